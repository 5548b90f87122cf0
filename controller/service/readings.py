"""What is read from switches for whoever asks: anew while that costs little, else what was read a moment ago."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

SHARE: Final = 0.05
"""So much of the time may go into reading before readings are used again."""
_CREDIT: Final = 0.25
"""Seconds of reading that may come at once: who looks now and then always sees what is."""
_LONGEST: Final = 5.0
"""Seconds for which a reading is good at most."""
_KEPT: Final = 64


class Readings(Generic[T]):
    """Readings by what was read. Whoever asks while something is being read gets the same.

    Args:
        share: of the time that may go into reading.
        credit: seconds of reading that may come at once.
    """

    def __init__(self, share: float = SHARE, credit: float = _CREDIT) -> None:
        self._share: Final = share
        self._most: Final = credit
        self._credit = credit
        self._then = float("-inf")
        self._tasks: Final[OrderedDict[Hashable, asyncio.Task[T]]] = OrderedDict()
        self._read_at: Final[dict[Hashable, float]] = {}

    async def get(self, what: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Return what is read now, or what was read a moment ago."""
        task = self._tasks.get(what)
        if task is None or (task.done() and not self._is_good(what)):
            task = self._tasks[what] = asyncio.create_task(self._read(what, read), name="reading")
            self._tasks.move_to_end(what)
            while len(self._tasks) > _KEPT:
                oldest, _ = self._tasks.popitem(last=False)
                self._read_at.pop(oldest, None)
        # Shielded: a client that goes away must not take the reading from the others.
        return await asyncio.shield(task)

    def _is_good(self, what: Hashable) -> bool:
        return self._earn() <= 0 and self._then - self._read_at.get(what, float("-inf")) < _LONGEST

    def _earn(self) -> float:
        now = asyncio.get_running_loop().time()
        self._credit = min(self._most, self._credit + (now - self._then) * self._share)
        self._then = now
        return self._credit

    async def _read(self, what: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._read_at.pop(what, None)
        found = await read()
        self._earn()
        # A debt is bounded: one reading that took long must not keep the next away for minutes.
        self._credit = max(self._credit - (loop.time() - began), -_LONGEST * self._share)
        if what in self._tasks:
            self._read_at[what] = began
        return found
