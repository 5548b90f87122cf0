"""Where the packets of a flow go: to one BID, spread over several, copied to several, or nowhere."""

from collections.abc import Collection, Iterable, Sequence
from typing import TypeAlias

from controller.dataplane.ids import Copies, Spread
from controller.dataplane.pipeline import BUCKETS
from controller.mobility.flows import Balance, Discard, Replicate, Share, Steer, Treatment

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

    All shares get their buckets first, registered or not; then those of BIDs that are away go to the others. So while a BID is
    away its flows move, and no other.

    Args:
        shares: at least one of a registered BID.
        registered: BIDs.
    """
    buckets = _dealt(shares, BUCKETS)
    present = [share for share in shares if share.bid in registered]
    away = [position for position, bid in enumerate(buckets) if bid not in registered]
    for position, bid in zip(away, _dealt(present, len(away)), strict=True):
        buckets[position] = bid
    return tuple(buckets)


def _dealt(shares: Sequence[Share], count: int) -> list[int]:
    """Deal `count` cards to BIDs by their weights, always the next one to whom the most is owing."""
    total = sum(share.weight for share in shares)
    got = [0] * len(shares)
    dealt: list[int] = []
    for turn in range(1, count + 1):
        position = max(range(len(shares)), key=lambda one: shares[one].weight * turn - got[one] * total)
        got[position] += 1
        dealt.append(shares[position].bid)
    return dealt
