import heapq
from collections.abc import Callable

import pytest


class _Timer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class TurnedClock:
    """A clock that stands still until a test turns it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers = 0
        self._queue: list[tuple[float, int, _Timer, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None], /) -> _Timer:
        self.timers += 1
        timer = _Timer()
        heapq.heappush(self._queue, (when, self.timers, timer, callback))
        return timer

    def turn(self, seconds: float) -> None:
        end = self.now + seconds
        while self._queue and self._queue[0][0] <= end:
            when, _, timer, callback = heapq.heappop(self._queue)
            if not timer.cancelled:
                self.now = max(self.now, when)
                callback()
        self.now = end


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture(scope="session")
def clocks() -> type[TurnedClock]:
    """The class itself, for tests that need a fresh clock for each of many examples."""
    return TurnedClock
