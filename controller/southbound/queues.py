"""Queues with an end: what finds one full is dropped and counted."""

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class CountingQueue(Generic[T]):
    """A bounded queue whose writers never wait.

    Args:
        size: how many items may wait.
    """

    def __init__(self, size: int) -> None:
        self._queue: asyncio.Queue[T] = asyncio.Queue(size)
        self.dropped = 0
        """Items that found it full."""

    def offer(self, item: T) -> bool:
        """Queue an item; False: there was no room, and it is dropped."""
        try:
            self._queue.put_nowait(item)
        except asyncio.QueueFull:
            self.dropped += 1
            return False
        return True

    def __len__(self) -> int:
        return self._queue.qsize()

    async def get(self) -> T:
        """Wait for the next item."""
        return await self._queue.get()
