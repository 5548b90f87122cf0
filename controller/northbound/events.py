"""What happened, for those who watch: a ring of events that any number of readers follow at their own pace.

A reader is a position in the ring, so a slow one costs no memory: when it has fallen too far behind it is told how much it missed.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, TypeAlias

from controller.values import value

CAPACITY: Final = 10_000
"""Events that are remembered."""

Details: TypeAlias = Callable[[], Mapping[str, Any]]
"""Gives the details of an event as JSON values. Called when somebody reads it, which is seldom."""


class Kind(StrEnum):
    """What an event is about."""

    REGISTRATION = "registration"
    """Bindings are new, refreshed or changed."""
    HANDOVER = "handover"
    """A binding has another care-of address."""
    DEREGISTRATION = "deregistration"
    EXPIRY = "expiry"
    REVOCATION = "revocation"
    REFUSAL = "refusal"
    """A Binding Update was answered with a status of 128 or more, or a change was undone; or it was accepted without some of its
    BIDs: then `bids` names those, each with its status."""
    SECURITY = "security"
    """A packet that pretended to come from a node."""
    SWITCH = "switch"
    """The session with a switch is in another state."""
    POLICY = "policy"
    PREFERENCE = "preference"
    """The operator's order of a node's paths is another one."""
    NODE = "node"
    """A node was provisioned, by REST or by reloading the configuration, or is not any more."""
    DRAIN = "drain"
    DRILL = "drill"


@value
class Happening:
    """An event in the ring."""

    number: int
    """Ascending by one."""
    time: float
    """Wall time, seconds since 1970."""
    kind: Kind
    details: Details


class EventFeed:
    """The ring.

    Args:
        clock: wall time.
        capacity: events that are remembered.
    """

    def __init__(self, clock: Callable[[], float], capacity: int = CAPACITY) -> None:
        self._clock: Final = clock
        self._ring: Final[deque[Happening]] = deque(maxlen=capacity)
        self._news = asyncio.Event()
        self._closed = False
        self.last = 0
        """Number of the newest event; 0 before the first."""
        self.epoch: Final = f"{int(clock() * 1000):x}"
        """Tells the events of this run of the controller from those of another."""

    def publish(self, kind: Kind, details: Details) -> None:
        """Let everybody know."""
        self.last += 1
        self._ring.append(Happening(self.last, self._clock(), kind, details))
        if not self._news.is_set():
            self._news.set()

    def after(self, number: int, limit: int) -> list[Happening]:
        """Return events after a position, oldest first; without those that are forgotten."""
        if not self._ring or number >= self.last:
            return []
        first = self._ring[0].number
        start = max(0, number + 1 - first)
        return [self._ring[at] for at in range(start, min(start + limit, len(self._ring)))]

    @property
    def oldest(self) -> int:
        """Number of the oldest event that is remembered; one more than `last` when none is."""
        return self._ring[0].number if self._ring else self.last + 1

    @property
    def closed(self) -> bool:
        """Whether nothing more will happen."""
        return self._closed

    async def wait(self, number: int, seconds: float) -> bool:
        """Wait until there is something after a position, at most so long; tell whether there is."""
        if number >= self.last and not self._closed:
            news = self._news
            if news.is_set():
                # A fresh one for each round of waiting: the old one stays set for those who have not woken yet.
                news = self._news = asyncio.Event()
            try:
                async with asyncio.timeout(seconds):
                    await news.wait()
            except TimeoutError:
                return False
        return number < self.last

    def close(self) -> None:
        """Wake all who wait: the controller ends."""
        self._closed = True
        self._news.set()

    # Ids as clients see them.

    def id_of(self, number: int) -> str:
        """Return the id of an event, to go on after it."""
        return f"{self.epoch}-{number}"

    def position(self, text: str | None) -> tuple[int, int]:
        """Return where a reader goes on, and how many events it has missed for good.

        Args:
            text: id of the last event that it saw; None, or nothing that is an id: it saw none and wants what comes from now on.
        """
        epoch, _, number = (text or "").rpartition("-")
        if not number.isascii() or not number.isdecimal() or len(number) > 15 or not epoch:
            return self.last, 0
        if epoch != self.epoch:
            # Of a controller before this one: all that this one knows is new.
            return self.oldest - 1, self.oldest - 1
        seen = min(int(number), self.last)
        return seen, max(0, self.oldest - 1 - seen)


def as_json(feed: EventFeed, happening: Happening) -> dict[str, Any]:
    """Return an event as clients see it."""
    return {
        "id": feed.id_of(happening.number),
        "time": round(happening.time, 6),
        "kind": happening.kind.value,
        **happening.details(),
    }


def of_kinds(happenings: Iterable[Happening], kinds: frozenset[Kind]) -> list[Happening]:
    """Return those of some kinds; no kinds: all."""
    return [one for one in happenings if not kinds or one.kind in kinds]
