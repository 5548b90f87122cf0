"""What the engine and the sessions report, as events for operators."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from controller.mobility.address import Address, format_address
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
from controller.mobility.model import Cause, NodeRecord, Transaction
from controller.mobility.wire.codes import Status
from controller.northbound.events import EventFeed, Kind

_KINDS: Final = {
    Cause.DEREGISTRATION: Kind.DEREGISTRATION,
    Cause.EXPIRY: Kind.EXPIRY,
    Cause.REVOCATION: Kind.REVOCATION,
}
SECURITY: Final = frozenset(
    {
        DropReason.UNPROTECTED,
        DropReason.NO_SECURITY_ASSOCIATION,
        DropReason.FOREIGN_ASSOCIATION,
        DropReason.SECURITY_OPTIONS,
        DropReason.INTEGRITY,
        DropReason.REPLAYED,
        DropReason.SEQUENCE_EXHAUSTED,
    }
)
"""What an operator should hear of: somebody tries to be somebody else, or a key does not fit."""


def publish(feed: EventFeed, event: Event) -> None:
    """Publish what an operator wants to hear of an engine's event."""
    match event:
        case Committed(transaction):
            kind = _kind(transaction)
            if kind is not None:
                feed.publish(kind, partial(_changed, transaction))
        case Refused(home_address, source, status):
            feed.publish(
                Kind.REFUSAL,
                partial(_refused, home_address, source, status),
            )
        case Aborted(transaction, status):
            feed.publish(
                Kind.REFUSAL,
                partial(_refused, transaction.home_address, None, status),
            )
        case RefusedInPart(home_address, source, statuses):
            feed.publish(
                Kind.REFUSAL,
                partial(_refused, home_address, source, Status.MCOA_NOTCOMPLETE, statuses),
            )
        case Dropped(reason, source, detail) if reason in SECURITY:
            feed.publish(
                Kind.SECURITY,
                partial(_dropped, reason, source, detail),
            )
        case Revoked() | Dropped():
            pass  # what a revocation takes away comes as a transaction


def _refused(
    home_address: Address, source: Address | None, status: int, bids: tuple[tuple[int, int], ...] = ()
) -> Mapping[str, Any]:
    return {
        "home_address": format_address(home_address),
        "source": None if source is None else format_address(source),
        "status": int(status),
        "bids": [{"bid": bid, "status": one} for bid, one in bids],
    }


def _dropped(reason: DropReason, source: Address | None, detail: str) -> Mapping[str, Any]:
    return {"reason": reason.value, "source": None if source is None else format_address(source), "detail": detail}


def _kind(transaction: Transaction) -> Kind | None:
    if transaction.cause is Cause.REGISTRATION:
        return Kind.HANDOVER if _moved(transaction.before, transaction.after) else Kind.REGISTRATION
    return _KINDS.get(transaction.cause)


def _moved(before: NodeRecord | None, after: NodeRecord | None) -> list[int]:
    """Return the BIDs whose care-of address is another one now."""
    if before is None or after is None:
        return []
    old = {binding.bid: binding.care_of for binding in before.bindings}
    return [one.bid for one in after.bindings if one.bid in old and old[one.bid] != one.care_of]


def _changed(transaction: Transaction) -> Mapping[str, Any]:
    before, after = transaction.before, transaction.after
    old = () if before is None else before.bindings
    new = () if after is None else after.bindings
    known = {binding.bid for binding in old}
    kept = {binding.bid for binding in new}
    return {
        "home_address": format_address(transaction.home_address),
        "bindings": [
            {"bid": one.bid, "care_of_address": format_address(one.care_of), "lifetime_seconds": one.lifetime}
            for one in new
        ],
        "added": [one.bid for one in new if one.bid not in known],
        "moved": _moved(before, after),
        "removed": [one.bid for one in old if one.bid not in kept],
    }
