"""Bounds on what the network can make a home agent keep or do: room for all nodes together, and a rate for each source."""

from collections import OrderedDict
from typing import Final, NamedTuple

from controller.mobility.address import Address
from controller.mobility.model import NodeRecord
from controller.mobility.timing import TokenBucket


class Weight(NamedTuple):
    """What records count against the limits of all nodes together."""

    bindings: int = 0
    """A remembered sequence number counts as one."""
    flows: int = 0
    """Flow bindings that nodes signalled."""


NO_WEIGHT: Final = Weight()


class Tally(NamedTuple):
    """How many of everything the records in force have."""

    registered: int = 0
    """Nodes with a binding."""
    deregistered: int = 0
    """Nodes of which no more than a sequence number is remembered."""
    bindings: int = 0
    flows: int = 0


def weigh(record: NodeRecord | None) -> Weight:
    """Return what a record counts."""
    return NO_WEIGHT if record is None else Weight(max(1, len(record.bindings)), len(record.flows))


def _tally_of(record: NodeRecord | None) -> Tally:
    if record is None:
        return Tally()
    return Tally(1, 0, len(record.bindings), len(record.flows)) if record.bindings else Tally(0, 1)


def _alike(before: NodeRecord | None, after: NodeRecord | None) -> bool:
    """Tell whether two records surely weigh the same."""
    if before is None or after is None:
        return before is after
    return len(before.bindings) == len(after.bindings) and len(before.flows) == len(after.flows)


class Load:
    """What the records in force take, and what changes under way have reserved.

    What grows takes its room when it is proposed, what shrinks gives it back when that is in force: so the limits hold whatever
    becomes of the changes under way.
    """

    def __init__(self, most: Weight) -> None:
        self._most = most
        self._bindings = 0
        self._flows = 0
        self._tally = [0, 0, 0, 0]

    @property
    def tally(self) -> Tally:
        """What is in force."""
        return Tally(*self._tally)

    def limit(self, most: Weight) -> None:
        """Set another limit. What is beyond it stays, and nothing is added before there is room."""
        self._most = most

    def room(self, before: NodeRecord | None) -> Weight:
        """Return what a node may weigh that has `before` now."""
        bindings, flows = self._most
        if before is not None:
            bindings += len(before.bindings) or 1
            flows += len(before.flows)
        return Weight(bindings - self._bindings, flows - self._flows)

    def reserve(self, before: NodeRecord | None, after: NodeRecord | None) -> Weight:
        """Set aside what a change will need; return how much, to `release` when it is over."""
        if _alike(before, after):
            return NO_WEIGHT  # as nearly always: a refresh, or another care-of address
        old, new = weigh(before), weigh(after)
        taken = Weight(max(0, new.bindings - old.bindings), max(0, new.flows - old.flows))
        self._bindings += taken.bindings
        self._flows += taken.flows
        return taken

    def release(self, taken: Weight) -> None:
        """Give back what was set aside."""
        self._bindings -= taken.bindings
        self._flows -= taken.flows

    def replace(self, before: NodeRecord | None, after: NodeRecord | None) -> None:
        """Note that a record came in force in the place of another."""
        if _alike(before, after):
            return
        old, new = weigh(before), weigh(after)
        self._bindings += new.bindings - old.bindings
        self._flows += new.flows - old.flows
        was, now = _tally_of(before), _tally_of(after)
        self._tally = [count - one + other for count, one, other in zip(self._tally, was, now, strict=True)]


class SourceLimiter:
    """A token bucket for each source address, of the sources heard last.

    A source that was forgotten starts with a full bucket again: so a flood from ever new addresses is not held back here, and takes no
    memory either. The rate of the switch's signalling meter bounds that one.
    """

    def __init__(self, rate: float, burst: int, most: int) -> None:
        self._rate: Final = rate
        self._burst: Final = burst
        self._most: Final = most
        self._buckets: Final[OrderedDict[Address, TokenBucket]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def admits(self, source: Address, now: float) -> bool:
        """Tell whether one more packet of a source is processed, and count it if so. A rate of 0 admits everything."""
        if not self._rate:
            return True
        bucket = self._buckets.get(source)
        if bucket is None:
            bucket = self._buckets[source] = TokenBucket(self._rate, self._burst)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(source)
        return bucket.take(now)
