"""The packets with which a home agent answers."""

from typing import Final

from controller.mobility.address import Address
from controller.mobility.decide import Decision
from controller.mobility.request import Arrival
from controller.mobility.wire.codes import (
    LIFETIME_UNIT,
    AcknowledgementFlag,
    BindingErrorStatus,
    OptionType,
    UpdateFlag,
)
from controller.mobility.wire.errors import Malformation, WireError
from controller.mobility.wire.messages import BindingAcknowledgement, BindingError
from controller.mobility.wire.options import BindingIdentifier, BindingRefreshAdvice, Option, RawOption
from controller.mobility.wire.packet import encode_packet, parameter_problem

_REPORTED: Final = frozenset({Malformation.PAYLOAD_PROTOCOL, Malformation.HEADER_LENGTH})
_MOBILE_ROUTER: Final = int(UpdateFlag.MOBILE_ROUTER)


def acknowledgement(arrival: Arrival, decision: Decision, sequence: int, advice: int = 0) -> bytes:
    """Return the packet with the Binding Acknowledgement.

    With `advice`, in seconds, it tells when the home agent would like a refresh (RFC 6275 section 6.2.4).

    It goes to the source of the Binding Update, with a type 2 routing header if that had a Home Address option (RFC 6275
    section 9.5.4), and not to a care-of address that an option named. It is protected as the Binding Update was.

    Raises:
        SequenceExhaustedError: the security association of the node is used up.
    """
    refused = decision.status >= 128
    # RFC 3963 section 6.2: the R flag is set when the node is served as a mobile router.
    served_as_router = arrival.update.flags & _MOBILE_ROUTER and not refused
    options: tuple[Option, ...] = (*_echo(arrival, decision.option_statuses), *decision.flow_options)
    if advice >= LIFETIME_UNIT and not refused:
        options += (BindingRefreshAdvice(advice // LIFETIME_UNIT),)
    message = BindingAcknowledgement(
        decision.status,
        sequence,
        decision.lifetime // LIFETIME_UNIT,
        AcknowledgementFlag.MOBILE_ROUTER if served_as_router else 0,
        options,
    )
    routing_address = arrival.home_address if arrival.has_home_option else None
    return arrival.protection.encode(arrival.home_agent, arrival.source, message, routing_address)


def _echo(arrival: Arrival, statuses: tuple[int, ...]) -> tuple[BindingIdentifier, ...]:
    """Return all BID options of the Binding Update, in order, without care-of address.

    RFC 5648 section 6.2, with erratum 1904: the length is 4. H flag and BID-PRI are copied (RFC 6089 section 5.3.5).
    """
    echoes: list[BindingIdentifier] = []
    for option in arrival.update.options:
        if isinstance(option, BindingIdentifier):
            status = statuses[len(echoes)] if statuses else 0
            echoes.append(BindingIdentifier(option.bid, None, option.priority, status, option.at_home))
        elif isinstance(option, RawOption) and option.type == OptionType.BINDING_IDENTIFIER and len(option.content) > 3:
            # Of an illegal length, so the whole Binding Update was refused with 164; what it named can still be read.
            content = option.content
            echoes.append(BindingIdentifier(int.from_bytes(content[:2]), None, content[3] & 0x7F, 0, content[3] > 0x7F))
    return tuple(echoes)


def unknown_message_report(home_agent: Address, source: Address, home_address: Address) -> bytes:
    """Return the packet with the Binding Error on a message of unknown type (RFC 6275 section 9.2)."""
    return encode_packet(home_agent, source, BindingError(BindingErrorStatus.UNKNOWN_MESSAGE_TYPE, home_address))


def problem_report(packet: bytes, error: WireError) -> bytes | None:
    """Return the ICMPv6 Parameter Problem that RFC 6275 section 9.2 wants for a malformed packet, or None."""
    if error.reason not in _REPORTED:
        return None
    return parameter_problem(Address(packet[24:40]), Address(packet[8:24]), error.offset, packet)
