"""The store from within the event loop: every call of it runs in one thread of its own."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from controller.service.stages import Stopwatch
from controller.store import Change, SqliteStore

T = TypeVar("T")


class DurableStore:
    """A store whose calls wait for no disk in the event loop.

    Args:
        store: the durable binding cache.
        thread: the one thread in which it is used.
        stopwatch: takes how long commits last.
    """

    def __init__(self, store: SqliteStore, thread: ThreadPoolExecutor, stopwatch: Stopwatch) -> None:
        self._loop: Final = asyncio.get_running_loop()
        self.store: Final = store
        self._thread: Final = thread
        self._stopwatch: Final = stopwatch

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking call of the store in its thread and return what it returns (`keeper.StoreThread`)."""
        return await self._loop.run_in_executor(self._thread, call)

    def commit(self, changes: Sequence[Change]) -> asyncio.Future[None]:
        """Begin to make changes durable, all or none of them; the future raises StoreError when they could not be."""
        began = self._loop.time()
        committed = self._loop.run_in_executor(self._thread, self.store.commit, changes)
        committed.add_done_callback(lambda _: self._stopwatch.add("store", self._loop.time() - began))
        return committed

    def commit_at_start(self, changes: Sequence[Change]) -> None:
        """Make changes durable before the event loop has anything else to do."""
        self._thread.submit(self.store.commit, changes).result()

    async def load(self, switch: str) -> int:
        """Return the highest election id used with a switch (`southbound.session.ElectionIds`)."""
        return await self.in_thread(lambda: self.store.election_id(switch))

    async def save(self, switch: str, election_id: int) -> None:
        """Keep an election id before it is used (`southbound.session.ElectionIds`)."""
        await self.in_thread(lambda: self.store.save_election_id(switch, election_id))
