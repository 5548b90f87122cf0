"""Where the packets of a flow go: to one BID, spread over several, copied to several, or nowhere."""

from collections.abc import Collection, Iterable, Sequence
from typing import TypeAlias, TypeVar

from controller.dataplane.ids import Copies, Spread
from controller.dataplane.pipeline import BUCKETS
from controller.mobility.flows import Balance, Discard, Replicate, Share, Steer, Treatment

_T = TypeVar("_T")

Way: TypeAlias = int | Spread | Copies | None
"""A BID, several of them, or None for nowhere."""


def way(treatment: Treatment, registered: Collection[int]) -> Way:
    """Return where packets go by an active policy, while some BIDs are registered."""
    match treatment:
        case Steer(bid):
            return bid
        case Replicate(bids):
            return copies(bid for bid in bids if bid in registered)
        case Balance(shares):
            buckets = spread(shares, registered)
            return buckets[0] if len(set(buckets)) == 1 else Spread(buckets)
        case Discard():
            return None


def copies(bids: Iterable[int]) -> Way:
    """Return the way to several registered BIDs, of which there is at least one."""
    several = tuple(sorted(set(bids)))
    return several[0] if len(several) == 1 else Copies(several)


def spread(shares: Sequence[Share], registered: Collection[int]) -> tuple[int, ...]:
    """Return the BID of each bucket of a balanced flow.

    Args:
        shares: at least one of a registered BID.
        registered: BIDs.
    """
    return dealt([(share.bid, share.weight) for share in shares], registered, BUCKETS)


def dealt(shares: Sequence[tuple[_T, int]], present: Collection[_T], count: int) -> tuple[_T, ...]:
    """Return who has each bucket of a flow's hash.

    All get their buckets first, there or not; then those of who is away go to the others. So while one is away its flows move, and
    no other.

    Args:
        shares: who may have buckets, each with a weight; at least one of them is present.
        present: who may have buckets now.
        count: how many buckets there are.
    """
    buckets = _dealt(shares, count)
    here = [share for share in shares if share[0] in present]
    away = [position for position, one in enumerate(buckets) if one not in present]
    for position, one in zip(away, _dealt(here, len(away)), strict=True):
        buckets[position] = one
    return tuple(buckets)


def _dealt(shares: Sequence[tuple[_T, int]], count: int) -> list[_T]:
    """Deal `count` cards by weights, always the next one to whom the most is owing."""
    total = sum(weight for _, weight in shares)
    got = [0] * len(shares)
    found: list[_T] = []
    for turn in range(1, count + 1):
        position = max(range(len(shares)), key=lambda one: shares[one][1] * turn - got[one] * total)
        got[position] += 1
        found.append(shares[position][0])
    return found
