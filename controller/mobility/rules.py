"""Whether a Binding Update is processed at all: the checks that come before its bindings, in the order of the RFCs.

Each rule answers None (passed), a status (refuse with it) or a reason (drop without an answer). The first that objects decides.
"""

from collections.abc import Callable
from typing import Final

from controller.mobility.address import Address, Prefix, is_routable_unicast
from controller.mobility.events import DropReason
from controller.mobility.model import is_newer
from controller.mobility.request import Request
from controller.mobility.security.protection import InEsp
from controller.mobility.wire.codes import Status

Verdict = Status | DropReason | None


def home_address_is_routable(request: Request) -> Verdict:
    """RFC 6275 sections 9.3.1 and 9.5.1."""
    return None if is_routable_unicast(request.arrival.home_address) else DropReason.HOME_ADDRESS


def care_of_is_routable(request: Request) -> Verdict:
    """RFC 6275 sections 9.5.1 and 9.5.4: source and alternate care-of address; those of BID options come later."""
    if not is_routable_unicast(request.arrival.source):
        return DropReason.CARE_OF_ADDRESS
    if request.alternate is not None and not is_routable_unicast(request.alternate):
        return DropReason.CARE_OF_ADDRESS
    return None


def care_of_is_protected(request: Request) -> Verdict:
    """RFC 4877 section 4.2, RFC 6275 section 11.7.1: ESP does not cover the packet's source, so an option has to name it."""
    if not isinstance(request.arrival.protection, InEsp) or request.removal or request.has_identifiers:
        return None
    return None if request.alternate is not None else DropReason.CARE_OF_ADDRESS


def has_home_address_option(request: Request) -> Verdict:
    """RFC 6275 sections 10.3.1 and 10.3.2: a registration needs the option, a removal from the home link does not.

    A home link binding comes from the home address itself, with or without the option (RFC 5648 section 5.6.3).
    """
    if request.arrival.has_home_option or any(option.at_home for option in request.identifiers):
        return None
    if request.removal and (request.network is not None or request.provision is not None):
        return None
    return DropReason.NO_HOME_ADDRESS_OPTION


def nonce_indices_are_absent(request: Request) -> Verdict:
    """RFC 6275 section 9.5.1: a home registration must not have Nonce Indices."""
    return DropReason.NONCE_INDICES if request.home_registration and request.has_nonce_indices else None


def sequence_is_newer(request: Request) -> Verdict:
    """RFC 6275 section 9.5.1: newer modulo 2**16 than the last accepted; equal and 32768 behind are old."""
    last = request.last_sequence
    if last is None or is_newer(request.arrival.update.sequence, last):
        return None
    return Status.SEQUENCE_NUMBER_OUT_OF_WINDOW


def registration_type_is_kept(request: Request) -> Verdict:
    """RFC 6275 section 9.5.1 for the H flag; RFC 3963 section 6.2 for the R flag, which a removal does not need to repeat."""
    record = request.record
    if record is None or not record.bindings:
        return None
    changed = record.mobile_router != request.mobile_router and not request.removal
    if changed or not request.home_registration:
        return Status.REGISTRATION_TYPE_CHANGE_DISALLOWED
    return None


def is_home_registration(request: Request) -> Verdict:
    """This home agent is no correspondent. RFC 3963 section 6.2 has a status for a mobile router that forgets the H flag."""
    if request.home_registration:
        return None
    if request.mobile_router and request.provision is not None:
        return Status.MOBILE_ROUTER_OPERATION_NOT_PERMITTED
    return DropReason.NOT_A_CORRESPONDENT


def is_no_proxy_registration(request: Request) -> Verdict:
    """RFC 5213 section 5.3.1: proxy registrations are not enabled here."""
    return Status.PROXY_REGISTRATION_NOT_ENABLED if request.proxy_registration else None


def something_to_remove(request: Request) -> Verdict:
    """RFC 6275 section 10.3.2: a removal needs a binding, and nothing else."""
    if request.removal and (request.record is None or not request.record.bindings):
        return Status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE
    return None


def is_in_home_network(request: Request) -> Verdict:
    """RFC 6275 section 10.3.1; a mobile router may take its home address from its own prefix (RFC 3963 section 6.2)."""
    if request.removal or request.network is not None:
        return None
    provision = request.provision
    if provision is not None and request.mobile_router:
        home_address = request.arrival.home_address
        if any(home_address in prefix for prefix in provision.prefixes):
            return None
    return Status.NOT_HOME_SUBNET


def is_authorised(request: Request) -> Verdict:
    """RFC 6275 section 10.3.1, other reasons: on a home link of ours, but nobody we serve. What exists may always be removed."""
    if request.provision is None and not request.removal:
        return Status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE
    return None


def may_be_mobile_router(request: Request) -> Verdict:
    """RFC 3963 section 6.2."""
    if not request.mobile_router or request.removal:
        return None
    if request.provision is None or not request.provision.mobile_router:
        return Status.MOBILE_ROUTER_OPERATION_NOT_PERMITTED
    return None


def prefixes_are_its_own(request: Request) -> Verdict:
    """RFC 3963 section 6.2: explicit mode checks each prefix, implicit mode needs at least one; removals ignore them."""
    if not request.mobile_router or request.removal or request.provision is None:
        return None
    owned = request.provision.prefixes
    if not request.prefixes:
        return None if owned else Status.FORWARDING_SETUP_FAILED
    if not all(_is_valid_prefix(prefix, owned) for prefix in request.prefixes):
        return Status.INVALID_PREFIX
    if not all(prefix in owned for prefix in request.prefixes):
        return Status.NOT_AUTHORIZED_FOR_PREFIX
    return None


def _is_valid_prefix(prefix: Prefix, owned: tuple[Prefix, ...]) -> bool:
    """Tell whether a prefix can be one; a wrong length of an owned prefix makes it invalid rather than unauthorised."""
    network, length = prefix
    if not 0 < length <= 128 or not is_routable_unicast(network):
        return False
    if int.from_bytes(network) & ((1 << (128 - length)) - 1):
        return False
    return all(prefix == other or not _overlap(prefix, other) for other in owned)


def _overlap(one: Prefix, other: Prefix) -> bool:
    return Address(one.network) in other or Address(other.network) in one


def multiple_care_of_is_allowed(request: Request) -> Verdict:
    """RFC 5648 section 6.2: status 166 when the administrator forbids it."""
    if not request.has_identifiers or request.removal or request.provision is None:
        return None
    return None if request.provision.multiple_care_of else Status.MCOA_PROHIBITED


def identifiers_have_legal_lengths(request: Request) -> Verdict:
    """RFC 5648 section 6.2: 4, 8 or 20; one bad option spoils the whole Binding Update."""
    return Status.MCOA_MALFORMED if request.has_malformed_identifier else None


def bulk_is_allowed(request: Request) -> Verdict:
    """RFC 5648 section 6.2: status 168."""
    if len(request.identifiers) < 2 or request.removal or request.provision is None:
        return None
    return None if request.provision.bulk else Status.MCOA_BULK_REGISTRATION_PROHIBITED


RULES: Final[tuple[Callable[[Request], Verdict], ...]] = (
    home_address_is_routable,
    care_of_is_routable,
    care_of_is_protected,
    has_home_address_option,
    nonce_indices_are_absent,
    sequence_is_newer,
    registration_type_is_kept,
    is_home_registration,
    is_no_proxy_registration,
    something_to_remove,
    is_in_home_network,
    is_authorised,
    may_be_mobile_router,
    prefixes_are_its_own,
    multiple_care_of_is_allowed,
    identifiers_have_legal_lengths,
    bulk_is_allowed,
)


def judge(request: Request) -> Verdict:
    """Return what the first rule that objects says; None when none does."""
    for rule in RULES:
        verdict = rule(request)
        if verdict is not None:
            return verdict
    return None
