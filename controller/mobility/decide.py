"""What a Binding Update that passed the rules does to the bindings of its home address.

The table `ACTIONS` says what happens in each state of a record; RFC 5648 section 6.2 is behind all of it.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

from controller.mobility.address import Address, Prefix, is_ipv4_unicast, is_routable_unicast
from controller.mobility.flow_rules import FlowLimits, process_flows
from controller.mobility.model import NO_BID, Binding, NodeRecord
from controller.mobility.provision import HomeBinding
from controller.mobility.request import RecordState, Request, RequestKind, state_of
from controller.mobility.wire.codes import LIFETIME_UNIT, Status
from controller.mobility.wire.flow_options import FlowIdentification
from controller.mobility.wire.options import BindingIdentifier
from controller.values import value

TOMBSTONE_TIME: Final = 10.0
"""Seconds for which a sequence number outlives the bindings: MAX_DELETE_BCE_TIMEOUT (RFC 6275 section 12)."""

_ACCEPTED: Final = int(Status.ACCEPTED)
_REFUSED: Final = 128
"""Statuses from here on refuse."""


@value
class Decision:
    """What to tell the node, and the record to put in force first."""

    status: int
    record: NodeRecord | None = None
    """The proposed record; None: nothing changes."""
    lifetime: int = 0
    """Granted, in seconds."""
    option_statuses: tuple[int, ...] = ()
    """For each BID option its own status; empty when all are 0."""
    flow_options: tuple[FlowIdentification, ...] = ()
    """What the acknowledgement says of flow bindings."""


def decide(request: Request) -> Decision:
    """Return what a Binding Update does that no rule objected to."""
    decision = _with_flows(request, ACTIONS[state_of(request.record), request.kind](request))
    if decision.status == _ACCEPTED and decision.lifetime and _is_deprecated(request, decision.lifetime):
        return replace(decision, status=int(Status.ACCEPTED_PREFIX_DISCOVERY_NECESSARY))
    return decision


def _with_flows(request: Request, decision: Decision) -> Decision:
    """Add what becomes of flow bindings: they come after the BID options, against what those leave (RFC 6089 section 5.3.1)."""
    record = decision.record
    if record is None or not record.bindings:
        return decision  # refused: nothing changes; or all removed: flow options count for nothing (section 5.3.3)
    # A binding without BID takes the place of everything there was; no flow can refer to it.
    known = request.record.flows if request.record is not None and request.has_identifiers else ()
    if not known and not request.has_flow_options:
        return decision  # as nearly always: nothing to say, and none to delete
    provision = request.provision
    limits = FlowLimits(
        allowed=provision is not None and provision.flows,
        most=0 if provision is None else min(provision.max_flows, request.room.flows),
        shape=request.config.flow_keys,
    )
    bids = frozenset(binding.bid for binding in record.bindings) - {NO_BID}
    outcome = process_flows(request.arrival.update.options, bids, known, limits)
    if not outcome.flows and not outcome.echoes:
        return decision
    return replace(decision, record=replace(record, flows=outcome.flows), flow_options=outcome.echoes)


def _is_deprecated(request: Request, lifetime: int) -> bool:
    """Tell whether the home prefix is or becomes deprecated, or ends, with the binding (RFC 6275 section 10.3.1).

    Both lifetimes count in units of 4 seconds there.
    """
    valid, preferred = request.valid_left, request.preferred_left
    units = lifetime // LIFETIME_UNIT
    if preferred is not None and int(preferred) // LIFETIME_UNIT < units:
        return True
    return valid is not None and int(valid) // LIFETIME_UNIT <= units


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
    if not granted:
        return Decision(Status.ADMINISTRATIVELY_PROHIBITED)  # the home prefix is at its end
    binding = Binding(NO_BID, care_of, granted, request.now + granted)
    return Decision(_ACCEPTED, _record(request, (binding,)), granted)


def _add(request: Request) -> Decision:
    """Add and update the named bindings, leave the others alone."""
    known = _by_bid(request)
    return _register(request, known, dict(known))


def _overwrite(request: Request) -> Decision:
    """Put the named bindings in the place of all that there were (O flag, RFC 5648 section 6.2)."""
    return _register(request, _by_bid(request), {})


def _remove_all(request: Request) -> Decision:
    """Remove every binding and keep the sequence number for a while (RFC 5648 section 5.4, RFC 6275 section 10.3.2)."""
    return Decision(_ACCEPTED, _record(request, ()))


def _remove_named(request: Request) -> Decision:
    """Remove the named bindings (RFC 5648 section 6.2)."""
    left = _by_bid(request)
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


def _register(request: Request, known: Mapping[int, Binding], result: dict[int, Binding]) -> Decision:
    """Put the named bindings into `result`, each on its own merits.

    Care-of addresses that an option leaves out come from the bindings before this Binding Update (`known`), also when those are
    about to be overwritten: RFC 5648 section 6.2 names the steps in that order.
    """
    limit = _limit(request)
    granted = request.granted
    if not granted:
        return Decision(Status.ADMINISTRATIVELY_PROHIBITED)  # the home prefix is at its end
    seen: set[int] = set()
    statuses: list[int] = []
    if request.config.any_update_ends_home and not any(option.at_home for option in request.identifiers):
        _end_home_binding(result)
    for option in request.identifiers:
        bid = option.bid
        status = _check_identifier(option, request, known, seen)
        if option.at_home and status < _REFUSED:
            status = _check_home(request, result, seen)
        if status < _REFUSED and (bid in request.full or (bid not in result and len(result) >= limit)):
            status = int(Status.INSUFFICIENT_RESOURCES)
        seen.add(bid)
        if status < _REFUSED:
            if option.at_home:
                _end_home_binding(result)  # RFC 5648 section 5.6.3: one at a time, and the newest counts
            result[bid] = _binding(option, request, known.get(bid), granted)
        statuses.append(status)
    bindings = tuple(map(result.__getitem__, sorted(result)))
    return _conclude(statuses, _record(request, bindings), granted)


def _end_home_binding(result: dict[int, Binding]) -> None:
    for bid in [bid for bid, binding in result.items() if binding.at_home]:
        del result[bid]


def _binding(option: BindingIdentifier, request: Request, known: Binding | None, granted: int) -> Binding:
    """Return the binding that an accepted BID option asks for."""
    expires = request.now + granted
    if option.at_home:
        link_layer = request.arrival.link_layer or (known.link_layer if known is not None else None)
        return Binding(
            option.bid,
            request.arrival.home_address,
            granted,
            expires,
            option.priority,
            at_home=True,
            link_layer=link_layer,
        )
    if option.care_of is not None:
        return Binding(option.bid, Address(option.care_of), granted, expires, option.priority)
    assert known is not None
    return Binding(option.bid, known.care_of, granted, expires, option.priority)


def _check_home(request: Request, result: Mapping[int, Binding], seen: AbstractSet[int]) -> int:
    """Return the status of a BID option with the H flag that has no other fault (RFC 5648 sections 5.6.3 and 6.3)."""
    if any(binding.at_home and bid in seen for bid, binding in result.items()):
        return Status.MCOA_MALFORMED  # two home bindings in one message
    if request.arrival.link_layer is None and not any(binding.link_layer for binding in _bindings(request)):
        return Status.MCOA_MALFORMED  # there is nowhere to hand over its packets to
    return Status.MCOA_RETURNHOME_WO_NDP if request.home_binding is HomeBinding.STATIC else _ACCEPTED


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
    before = known.get(option.bid)
    known_good = before is not None and before.care_of == care_of and not before.at_home and not option.at_home
    if known_good and care_of != request.arrival.home_agent and not request.mobile_router:
        return _ACCEPTED  # as nearly always: what was good is good, unless a prefix came that it lies in
    if care_of is not None and not _is_unicast(care_of):
        return Status.MCOA_MALFORMED  # RFC 5648 section 6.2
    if option.at_home and request.home_binding is HomeBinding.REFUSE:
        # RFC 5648 section 6.3: this network does not serve home and foreign links at the same time.
        return Status.MCOA_SIMULTANEOUS_HOME_AND_FOREIGN_PROHIBITED
    if care_of is None:
        # RFC 5648 section 6.2; what was bound at home has no care-of address that could be kept away from it.
        return _ACCEPTED if before is not None and before.at_home == option.at_home else Status.MCOA_UNKNOWN_COA
    return _check_care_of(care_of, option, request)


def _check_care_of(care_of: bytes, option: BindingIdentifier, request: Request) -> int:
    if option.at_home:
        # RFC 5648 section 5.6.3: the care-of address of the home link is the home address.
        return _ACCEPTED if care_of == request.arrival.home_address else Status.INVALID_CARE_OF_ADDRESS
    if len(care_of) == 4:
        return Status.ADMINISTRATIVELY_PROHIBITED  # an IPv4 care-of address needs RFC 5555, which is not enabled
    return Status.INVALID_CARE_OF_ADDRESS if _loops(Address(care_of), request) else _ACCEPTED


def _is_unicast(care_of: bytes) -> bool:
    if len(care_of) == 4:
        return is_ipv4_unicast(care_of)
    return is_routable_unicast(Address(care_of))


def _loops(care_of: Address, request: Request) -> bool:
    """Tell whether a tunnel to that care-of address would lead into itself: it is the node's own home address or prefix."""
    arrival = request.arrival
    if care_of == arrival.home_address or care_of == arrival.home_agent:  # noqa: PLR1714 -- for every BID; a set costs more
        return True
    return request.mobile_router and any(care_of in prefix for prefix in _prefixes(request))


def _conclude(statuses: list[int], record: NodeRecord, lifetime: int) -> Decision:
    """Return the decision on a Binding Update of which each BID option has its own status (RFC 5648 section 6.3)."""
    failures = [status for status in statuses if status >= _REFUSED]
    if not failures:
        # RFC 5648 section 6.3 puts status 5 into the acknowledgement and into the option: both, when it is about nothing else.
        status = statuses[0] if len(statuses) == 1 else _ACCEPTED
        return Decision(status, record, lifetime, tuple(statuses) if any(statuses) else ())
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
        return NodeRecord(
            arrival.home_address,
            arrival.home_agent,
            arrival.update.sequence,
            forget_at=forget_at,
            sequences=request.sequences,
        )
    if request.removal and old is not None:
        prefixes, mobile_router, link_local = old.prefixes, old.mobile_router, old.link_local
    else:
        prefixes, mobile_router, link_local = _prefixes(request), request.mobile_router, request.link_local
    return NodeRecord(
        arrival.home_address,
        arrival.home_agent,
        arrival.update.sequence,
        bindings,
        prefixes,
        mobile_router,
        link_local=link_local,
        sequences=request.sequences,
    )


def _prefixes(request: Request) -> tuple[Prefix, ...]:
    """Return the mobile network prefixes of a registration: those it names, or those it has (RFC 3963 section 6.2)."""
    if not request.mobile_router or request.provision is None:
        return ()
    return tuple(dict.fromkeys(request.prefixes)) or request.provision.prefixes


def _bindings(request: Request) -> tuple[Binding, ...]:
    return request.record.bindings if request.record is not None else ()


def _by_bid(request: Request) -> dict[int, Binding]:
    return {binding.bid: binding for binding in _bindings(request)}


def _limit(request: Request) -> int:
    """Return how many bindings the node may have in the end."""
    return min(request.provision.max_bindings if request.provision is not None else 0, request.room.bindings)
