"""What a Binding Update that passed the rules does to the bindings of its home address.

The table `ACTIONS` says what happens in each state of a record; RFC 5648 section 6.2 is behind all of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from controller.mobility.address import Address, Prefix, is_routable_unicast
from controller.mobility.model import NO_BID, Binding, NodeRecord
from controller.mobility.request import RecordState, Request, RequestKind, state_of
from controller.mobility.wire.codes import Status
from controller.mobility.wire.options import BindingIdentifier

TOMBSTONE_TIME: Final = 10.0
"""Seconds for which a sequence number outlives the bindings: MAX_DELETE_BCE_TIMEOUT (RFC 6275 section 12)."""

_ACCEPTED: Final = int(Status.ACCEPTED)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to tell the node, and the record to put in force first."""

    status: int
    record: NodeRecord | None = None
    """The proposed record; None: nothing changes."""
    lifetime: int = 0
    """Granted, in seconds."""
    option_statuses: tuple[int, ...] = ()
    """For each BID option its own status; empty when all are 0."""


def decide(request: Request) -> Decision:
    """Return what a Binding Update does that no rule objected to."""
    return ACTIONS[state_of(request.record), request.kind](request)


def _refuse_unknown(_request: Request) -> Decision:
    # RFC 5648 section 6.2 and RFC 6275 section 10.3.2: there is nothing to remove.
    return Decision(Status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE)


def _refuse_plain_binding_exists(_request: Request) -> Decision:
    # RFC 5648 section 6.2: without the O flag a binding without BID stays, and stays alone.
    return Decision(Status.MCOA_NON_MCOA_BINDING_EXISTS)


def _replace_by_plain(request: Request) -> Decision:
    """Make the one binding without BID, whatever there was (RFC 5648 section 6.2)."""
    care_of = request.care_of
    if _loops(care_of, request):
        return Decision(Status.INVALID_CARE_OF_ADDRESS)
    if _limit(request) < 1:
        return Decision(Status.INSUFFICIENT_RESOURCES)
    granted = request.granted
    binding = Binding(NO_BID, care_of, granted, request.now + granted)
    return Decision(_ACCEPTED, _record(request, (binding,)), granted)


def _add(request: Request) -> Decision:
    """Add and update the named bindings, leave the others alone."""
    return _register(request, {binding.bid: binding for binding in _bindings(request)})


def _overwrite(request: Request) -> Decision:
    """Put the named bindings in the place of all that there were (O flag, RFC 5648 section 6.2)."""
    return _register(request, {})


def _remove_all(request: Request) -> Decision:
    """Remove every binding and keep the sequence number for a while (RFC 5648 section 5.4, RFC 6275 section 10.3.2)."""
    return Decision(_ACCEPTED, _record(request, ()))


def _remove_named(request: Request) -> Decision:
    """Remove the named bindings (RFC 5648 section 6.2)."""
    left = {binding.bid: binding for binding in _bindings(request)}
    statuses = [
        _ACCEPTED if left.pop(option.bid, None) is not None else int(Status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE)
        for option in request.identifiers
    ]
    return _conclude(statuses, _record(request, tuple(left.values())), 0)


ACTIONS: Final[Mapping[tuple[RecordState, RequestKind], Callable[[Request], Decision]]] = {
    (RecordState.NONE, RequestKind.PLAIN): _replace_by_plain,
    (RecordState.NONE, RequestKind.IDENTIFIED): _add,
    (RecordState.NONE, RequestKind.OVERWRITE): _overwrite,
    (RecordState.NONE, RequestKind.PLAIN_REMOVAL): _refuse_unknown,
    (RecordState.NONE, RequestKind.IDENTIFIED_REMOVAL): _refuse_unknown,
    (RecordState.LEGACY, RequestKind.PLAIN): _replace_by_plain,
    (RecordState.LEGACY, RequestKind.IDENTIFIED): _refuse_plain_binding_exists,
    (RecordState.LEGACY, RequestKind.OVERWRITE): _overwrite,
    (RecordState.LEGACY, RequestKind.PLAIN_REMOVAL): _remove_all,
    (RecordState.LEGACY, RequestKind.IDENTIFIED_REMOVAL): _refuse_unknown,
    (RecordState.MCOA, RequestKind.PLAIN): _replace_by_plain,
    (RecordState.MCOA, RequestKind.IDENTIFIED): _add,
    (RecordState.MCOA, RequestKind.OVERWRITE): _overwrite,
    (RecordState.MCOA, RequestKind.PLAIN_REMOVAL): _remove_all,
    (RecordState.MCOA, RequestKind.IDENTIFIED_REMOVAL): _remove_named,
    (RecordState.DELETING, RequestKind.PLAIN): _replace_by_plain,
    (RecordState.DELETING, RequestKind.IDENTIFIED): _add,
    (RecordState.DELETING, RequestKind.OVERWRITE): _overwrite,
    (RecordState.DELETING, RequestKind.PLAIN_REMOVAL): _refuse_unknown,
    (RecordState.DELETING, RequestKind.IDENTIFIED_REMOVAL): _refuse_unknown,
}


def _register(request: Request, result: dict[int, Binding]) -> Decision:
    """Put the named bindings into `result`, each on its own merits.

    Care-of addresses that an option leaves out come from the bindings before this Binding Update, also when those are
    about to be overwritten: RFC 5648 section 6.2 names the steps in that order.
    """
    known = {binding.bid: binding for binding in _bindings(request)}
    limit = _limit(request)
    granted = request.granted
    expires = request.now + granted
    seen: set[int] = set()
    statuses: list[int] = []
    for option in request.identifiers:
        bid = option.bid
        status = _check_identifier(option, request, known, seen)
        seen.add(bid)
        if status == _ACCEPTED and bid not in result and len(result) >= limit:
            status = int(Status.INSUFFICIENT_RESOURCES)
        if status == _ACCEPTED:
            care_of = known[bid].care_of if option.care_of is None else Address(option.care_of)
            result[bid] = Binding(bid, care_of, granted, expires, option.priority)
        statuses.append(status)
    bindings = tuple(result[bid] for bid in sorted(result))
    return _conclude(statuses, _record(request, bindings), granted)


def _check_identifier(
    option: BindingIdentifier,
    request: Request,
    known: Mapping[int, Binding],
    seen: set[int],
) -> int:
    """Return the status of one BID option of a registration."""
    care_of = option.care_of
    if option.bid == NO_BID or option.bid in seen:
        return Status.MCOA_MALFORMED  # RFC 5648 section 4.1 reserves 0; of a BID named twice the first counts
    if care_of is not None and not _is_unicast(care_of):
        return Status.MCOA_MALFORMED  # RFC 5648 section 6.2
    if option.at_home:
        # RFC 5648 section 6.3: this home agent does not serve home and foreign links at the same time.
        return Status.MCOA_SIMULTANEOUS_HOME_AND_FOREIGN_PROHIBITED
    if care_of is None:
        return _ACCEPTED if option.bid in known else Status.MCOA_UNKNOWN_COA  # RFC 5648 section 6.2
    if len(care_of) == 4:
        return Status.ADMINISTRATIVELY_PROHIBITED  # an IPv4 care-of address needs RFC 5555, which is not enabled
    return Status.INVALID_CARE_OF_ADDRESS if _loops(Address(care_of), request) else _ACCEPTED


def _is_unicast(care_of: bytes) -> bool:
    if len(care_of) == 4:
        return 0 < care_of[0] < 224 and care_of[0] != 127
    return is_routable_unicast(Address(care_of))


def _loops(care_of: Address, request: Request) -> bool:
    """Tell whether a tunnel to that care-of address would lead into itself: it is the node's own home address or prefix."""
    if care_of in {request.arrival.home_address, request.arrival.home_agent}:
        return True
    return any(care_of in prefix for prefix in _prefixes(request))


def _conclude(statuses: list[int], record: NodeRecord, lifetime: int) -> Decision:
    """Return the decision on a Binding Update of which each BID option has its own status (RFC 5648 section 6.3)."""
    failures = [status for status in statuses if status != _ACCEPTED]
    if not failures:
        return Decision(_ACCEPTED, record, lifetime)
    if len(failures) < len(statuses):
        return Decision(Status.MCOA_NOTCOMPLETE, record, lifetime, tuple(statuses))
    # When all fail, nothing changes, and a status below 128 would be a lie. The RFC has no text for this case.
    if len(set(failures)) == 1:
        return Decision(failures[0])
    return Decision(failures[0], option_statuses=tuple(statuses))


def _record(request: Request, bindings: tuple[Binding, ...]) -> NodeRecord:
    """Return the record with these bindings; without any it is a tombstone."""
    arrival = request.arrival
    old = request.record
    if not bindings:
        forget_at = request.now + TOMBSTONE_TIME
        return NodeRecord(arrival.home_address, arrival.home_agent, arrival.update.sequence, forget_at=forget_at)
    if request.removal and old is not None:
        prefixes, mobile_router = old.prefixes, old.mobile_router
    else:
        prefixes, mobile_router = _prefixes(request), request.mobile_router
    return NodeRecord(
        arrival.home_address,
        arrival.home_agent,
        arrival.update.sequence,
        bindings,
        prefixes,
        mobile_router,
    )


def _prefixes(request: Request) -> tuple[Prefix, ...]:
    """Return the mobile network prefixes of a registration: those it names, or those it has (RFC 3963 section 6.2)."""
    if not request.mobile_router or request.provision is None:
        return ()
    return tuple(dict.fromkeys(request.prefixes)) or request.provision.prefixes


def _bindings(request: Request) -> tuple[Binding, ...]:
    return request.record.bindings if request.record is not None else ()


def _limit(request: Request) -> int:
    """Return how many bindings the node may have in the end."""
    return min(request.provision.max_bindings if request.provision is not None else 0, request.room)
