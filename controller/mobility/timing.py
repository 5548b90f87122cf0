"""Deadlines and rates, on a clock that is handed in."""

import heapq
from typing import Final

from controller.mobility.address import Address


class Deadlines:
    """At most one deadline a home address, and the earliest of all at hand.

    A deadline that moves later stays in the heap where it was and is looked at again when it comes up, so a refresh
    costs no heap operation.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, Address]] = []
        self._wanted: Final[dict[Address, float]] = {}
        self._queued: Final[dict[Address, float]] = {}

    def set(self, key: Address, when: float) -> None:
        """Make `when` the deadline of `key`."""
        self._wanted[key] = when
        queued = self._queued.get(key)
        if queued is None or when < queued:
            self._push(key, when)

    def clear(self, key: Address) -> None:
        """Forget the deadline of `key`, if there is one."""
        self._wanted.pop(key, None)

    def next(self) -> float | None:
        """Return the earliest deadline, or None."""
        self._settle()
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> list[Address]:
        """Return the keys whose deadline has come, earliest first, and forget their deadlines."""
        keys: list[Address] = []
        while True:
            when = self.next()
            if when is None or when > now:
                return keys
            _, key = heapq.heappop(self._heap)
            del self._queued[key]
            del self._wanted[key]
            keys.append(key)

    def _push(self, key: Address, when: float) -> None:
        heapq.heappush(self._heap, (when, key))
        self._queued[key] = when
        if len(self._heap) > 2 * len(self._queued) + 64:
            # Deadlines that moved earlier leave their old places behind: a peer must not be able to pile them up.
            self._heap = [(when, key) for key, when in self._queued.items()]
            heapq.heapify(self._heap)

    def _settle(self) -> None:
        """Bring the heap into the state that its first item is a deadline that counts."""
        heap = self._heap
        while heap:
            when, key = heap[0]
            if self._queued.get(key) != when:
                heapq.heappop(heap)
                continue
            wanted = self._wanted.get(key)
            if wanted == when:
                return
            if wanted is None:
                heapq.heappop(heap)
                del self._queued[key]
            else:
                heapq.heapreplace(heap, (wanted, key))
                self._queued[key] = wanted


class TokenBucket:
    """Lets `rate` things a second pass, and `burst` at once."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate: Final = rate
        self._burst: Final = float(burst)
        self._tokens = float(burst)
        self._then: float | None = None

    def take(self, now: float) -> bool:
        """Tell whether one more may pass at time `now`, and count it if so."""
        if self._then is not None and now > self._then:
            self._tokens = min(self._burst, self._tokens + (now - self._then) * self._rate)
        self._then = now if self._then is None else max(self._then, now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
