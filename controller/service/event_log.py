"""What the engine reports, as lines of the log: each thing in full, but not each packet of a flood."""

import logging
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from controller.mobility.address import format_address
from controller.mobility.events import (
    Aborted,
    Committed,
    Dropped,
    DropReason,
    Event,
    Refused,
    RefusedInPart,
    Revoked,
)
from controller.mobility.model import Transaction
from controller.service.feed import SECURITY

LOG: Final = logging.getLogger("mcoa.events")

PERIOD: Final = 60.0
"""Seconds in which one thing is logged once."""
CAPACITY: Final = 256
"""Different things that are logged in a period; a flood of made-up home addresses gets no further."""

CHANGES: Final = 100
"""Changes that are logged one by one in a second: of what is beyond, their number is. The event stream has them all."""


class LogLimiter:
    """Lets each thing be logged once in a period, and remembers how often it was not.

    Args:
        period: seconds.
        capacity: how many things are remembered; further ones are not logged before the oldest has had its time.
    """

    def __init__(self, period: float = PERIOD, capacity: int = CAPACITY) -> None:
        self._period: Final = period
        self._capacity: Final = capacity
        self._since: Final[OrderedDict[Hashable, float]] = OrderedDict()
        self._skipped: Final[dict[Hashable, int]] = {}
        self._others = 0

    def admit(self, key: Hashable, now: float) -> int | None:
        """Return how often the thing was left out since it was logged last, or None when it is to be left out now.

        Args:
            key: What makes two lines the same thing.
            now: Seconds of a clock that does not run backwards.
        """
        since = self._since.get(key)
        if since is not None and now < since + self._period:
            self._skipped[key] = self._skipped.get(key, 0) + 1
            return None
        if since is None and len(self._since) >= self._capacity:
            oldest, when = next(iter(self._since.items()))
            if now < when + self._period:
                self._others += 1
                return None
            del self._since[oldest]
            self._others += self._skipped.pop(oldest, 0)
        self._since[key] = now
        self._since.move_to_end(key)
        return self._skipped.pop(key, 0)

    def others(self) -> int:
        """Return how many lines were left out of which nothing is remembered, once."""
        others, self._others = self._others, 0
        return others


class EventLog:
    """Writes events to the log."""

    def __init__(self, limiter: LogLimiter | None = None) -> None:
        self._limiter: Final = limiter or LogLimiter()
        self._second = float("-inf")
        self._changes = 0

    def write(self, event: Event, now: float) -> None:
        """Log an event that happened at `now`, in seconds of a clock that does not run backwards."""
        match event:
            case Committed(transaction):
                if self._admit_change(now):
                    who = format_address(transaction.home_address)
                    bindings = "none" if transaction.after is None else _bindings(transaction)
                    LOG.info("%s of %s: bindings %s", transaction.cause, who, bindings)
            case Aborted(transaction, status):
                LOG.info(
                    "%s of %s undone: status %d", transaction.cause, format_address(transaction.home_address), status
                )
            case Refused(home_address, source, status):
                if (more := self._admit((home_address, status), now)) is not None:
                    who, where = format_address(home_address), format_address(source)
                    LOG.info("refused %s from %s: status %d%s", who, where, status, more)
            case RefusedInPart(home_address, source, statuses):
                if (more := self._admit((home_address, statuses), now)) is not None:
                    who, where = format_address(home_address), format_address(source)
                    told = ", ".join(f"{bid} with status {status}" for bid, status in statuses)
                    LOG.info("refused BIDs of %s from %s: %s%s", who, where, told, more)
            case Dropped(reason, source, detail):
                self._dropped(reason, "nobody" if source is None else format_address(source), detail, now)
            case Revoked(home_address, bids, status):
                answer = "no answer" if status is None else f"answer {status}"
                LOG.info("revoked %s: bindings %s, %s", format_address(home_address), list(bids), answer)

    def _admit_change(self, now: float) -> bool:
        if now >= self._second + 1.0:
            if self._changes > CHANGES:
                LOG.info("%d changes more in the last second", self._changes - CHANGES)
            self._second, self._changes = now, 0
        self._changes += 1
        return self._changes <= CHANGES

    def _dropped(self, reason: DropReason, source: str, detail: str, now: float) -> None:
        if reason not in SECURITY:
            LOG.debug("dropped a packet of %s: %s %s", source, reason, detail)
        elif (more := self._admit(reason, now)) is not None:
            LOG.warning("dropped a packet of %s: %s%s", source, f"{reason} {detail}".rstrip(), more)

    def _admit(self, key: Hashable, now: float) -> str | None:
        skipped = self._limiter.admit(key, now)
        if skipped is None:
            return None
        others = self._limiter.others()
        more = f", and {skipped} times since it was last logged" if skipped else ""
        return more + (f"; {others} lines about others were left out" if others else "")


def _bindings(transaction: Transaction) -> str:
    after = transaction.after
    assert after is not None
    return ", ".join(f"{one.bid} {format_address(one.care_of)}" for one in after.bindings) or "none"
