"""Packets to the home agent itself that are no signalling: the Home Address option check, and Echo."""

from typing import Final

from controller.mobility.address import Address, is_routable_unicast
from controller.mobility.events import DropReason
from controller.mobility.model import NodeRecord
from controller.mobility.outlet import Outlet
from controller.mobility.parts import Inbound, RecordView
from controller.mobility.wire.codes import BindingErrorStatus, IcmpType, Protocol
from controller.mobility.wire.icmp import error_packet, icmp_packet, is_sound
from controller.mobility.wire.messages import BindingError
from controller.mobility.wire.packet import encode_packet

_ACCEPTED_WITHOUT_BINDING: Final = frozenset({Protocol.ESP, Protocol.AUTHENTICATION, Protocol.MOBILITY})
"""RFC 6275 section 9.3.1: these bring their own proof, or ask for a binding."""
_PORT_UNREACHABLE: Final = 4


class LocalDelivery:
    """What a home agent does as an ordinary host."""

    def __init__(self, outlet: Outlet, record: RecordView) -> None:
        self._outlet: Final = outlet
        self._record: Final = record

    def admits(self, inbound: Inbound) -> bool:
        """Tell whether the Home Address option of a packet is to be believed, and answer with a Binding Error if not.

        RFC 6275 section 9.3.1; with several care-of addresses each of them counts (RFC 5648 section 6.5).
        """
        packet = inbound.packet
        home_address = packet.home_address
        if home_address is None or packet.protocol in _ACCEPTED_WITHOUT_BINDING:
            return True
        if not is_routable_unicast(home_address):
            self._outlet.drop(DropReason.HOME_ADDRESS, packet.source)
            return False
        record = self._record(home_address)
        if record is not None and any(
            binding.care_of == packet.source and binding.expires > inbound.now for binding in record.bindings
        ):
            return True
        self._outlet.drop(DropReason.UNKNOWN_BINDING, packet.source)
        if self._outlet.may_report(packet.source, inbound.now):
            error = BindingError(BindingErrorStatus.UNKNOWN_BINDING, home_address)
            self._outlet.send(encode_packet(packet.destination, packet.source, error))
        return False

    def on_echo(self, inbound: Inbound) -> None:
        """Answer an Echo Request (RFC 4443 section 4.2), a mobile node's with a type 2 routing header (RFC 6275 section 9.3.2)."""
        packet = inbound.packet
        message = inbound.upper
        sender = packet.home_address or packet.source
        if not is_sound(sender, packet.destination, message, 8) or not is_routable_unicast(packet.source):
            self._outlet.drop(DropReason.MALFORMED, packet.source, "echo request")
            return
        destination, routing_address = packet.source, packet.home_address
        if routing_address is None and (care_of := _away(self._record(packet.source))) is not None:
            destination, routing_address = care_of, packet.source
        self._outlet.send(
            icmp_packet(
                packet.destination, destination, IcmpType.ECHO_REPLY, message[4:], routing_address=routing_address
            )
        )

    def on_datagram(self, inbound: Inbound) -> None:
        """Say that nobody listens (RFC 4443 section 3.1): with this traceroute knows that it has arrived."""
        packet = inbound.packet
        self._outlet.drop(DropReason.NOT_SIGNALLING, packet.source, "UDP")
        if is_routable_unicast(packet.source) and self._outlet.may_report(packet.source, inbound.now):
            kind, octets = IcmpType.DESTINATION_UNREACHABLE, inbound.octets
            self._outlet.send(error_packet(packet.destination, kind, _PORT_UNREACHABLE, 0, octets))


def _away(record: NodeRecord | None) -> Address | None:
    """Return the care-of address at which the home agent reaches a node with packets of its own."""
    preferred = None if record is None else record.preferred
    return None if preferred is None or preferred.at_home else preferred.care_of
