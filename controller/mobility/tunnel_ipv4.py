"""IPv4 packets for nodes with an IPv4 home address that switches hand up, and errors about those that were in a tunnel.

RFC 2473 sections 7.2 and 8.3. The binding is that of the IPv6 home address (RFC 5648 section 8.2: one set of care-of addresses serves
both); the IPv4 home address is provisioned.

| packet | what happens |
|---|---|
| malformed, or for no IPv4 home address | dropped |
| its node has no binding away from home | ICMPv4 destination unreachable: host |
| time to live used up | ICMPv4 time exceeded |
| longer than the tunnel's MTU, with DF | ICMPv4 destination unreachable: fragmentation needed, with that MTU |
| longer than the tunnel's MTU, without DF | into the tunnel, the outer packet in fragments |
| any other | into the tunnel of the node's preferred binding |
| packet too big from inside of a tunnel | the tunnel's MTU shrinks; with DF, fragmentation needed to the source |
| another error from inside of a tunnel | ICMPv4 destination unreachable: host |
"""

from typing import Final

from controller.mobility.address import UNSPECIFIED, Ipv4Address, mapped
from controller.mobility.events import DropReason
from controller.mobility.model import Binding, NodeRecord
from controller.mobility.outlet import Outlet
from controller.mobility.parts import Inbound, RecordView
from controller.mobility.provision import Directory
from controller.mobility.tunnel_errors import Tunnels, fragments
from controller.mobility.wire.codes import IcmpType
from controller.mobility.wire.errors import WireError
from controller.mobility.wire.icmp import is_sound
from controller.mobility.wire.ipv4 import (
    FRAGMENTATION_NEEDED,
    HOST_UNREACHABLE,
    MINIMUM_HEADER,
    TIME_EXCEEDED,
    UNREACHABLE,
    Ipv4Packet,
    decode_ipv4,
    encapsulate_ipv4,
    icmpv4_error,
    may_be_reported,
    one_hop_less,
    quoted_ipv4,
)
from controller.mobility.wire.packet import HEADER_LENGTH

ERRORS: Final = (
    IcmpType.DESTINATION_UNREACHABLE,
    IcmpType.PACKET_TOO_BIG,
    IcmpType.TIME_EXCEEDED,
    IcmpType.PARAMETER_PROBLEM,
)
MINIMUM_MTU: Final = 68
"""What every IPv4 link carries (RFC 791 section 3.2)."""


class Ipv4Tunnels:
    """The home agent's own end of the tunnels, for IPv4.

    Args:
        source: Where its errors come from.
        directory: Who has which IPv4 home address.
        outlet: Where packets go.
        record: The records in force.
        tunnels: Knows the MTU of each tunnel.
    """

    def __init__(
        self, source: Ipv4Address, directory: Directory, outlet: Outlet, record: RecordView, tunnels: Tunnels
    ) -> None:
        self._source: Final = source
        self._directory: Final = directory
        self._outlet: Final = outlet
        self._record: Final = record
        self._tunnels: Final = tunnels
        self._identification = 0

    def on_packet(self, octets: bytes, now: float, most: int | None = None) -> None:
        """Tunnel an IPv4 packet for a node, or tell its source why not.

        Args:
            octets: The packet, without link-layer header.
            now: Seconds of the engine's clock.
            most: What the switch could have put into the tunnel at most, in octets; None: it did not say.
        """
        try:
            header = decode_ipv4(octets)
        except WireError as error:
            self._outlet.drop(DropReason.MALFORMED, None, str(error))
            return
        octets = octets[: header.total_length]
        record, binding = self._binding(header.destination)
        if record is None:
            self._outlet.drop(DropReason.NOT_FOR_US, mapped(header.source))
        elif binding is None:
            self._report(UNREACHABLE, HOST_UNREACHABLE, 0, octets, header, now)
        elif header.time_to_live <= 1:
            self._report(TIME_EXCEEDED, 0, 0, octets, header, now)
        else:
            mtu = self._tunnels.paths.inside(binding.care_of)
            self._tunnel(octets, header, record, binding, mtu if most is None else min(mtu, most), now)

    def _binding(self, home_ipv4: Ipv4Address) -> tuple[NodeRecord | None, Binding | None]:
        """Return the record of whom an IPv4 home address belongs to, and the binding by which its packets go."""
        home_address = self._directory.home_address_of(home_ipv4)
        record = None if home_address is None else self._record(home_address)
        if record is None:
            # Nobody's, or of a node that has never registered: then there is no home agent address to speak of either.
            return (None, None) if home_address is None else (NodeRecord(home_address, UNSPECIFIED, 0), None)
        away = [binding for binding in record.bindings if not binding.at_home]
        return record, min(away, key=lambda one: (one.priority or 128, one.bid), default=None)

    def _tunnel(
        self, octets: bytes, header: Ipv4Packet, record: NodeRecord, binding: Binding, mtu: int, now: float
    ) -> None:
        """Send a packet through a tunnel, in the way its length and its DF bit allow (RFC 2473 section 7.2)."""
        if header.total_length > mtu and header.dont_fragment:
            self._report(UNREACHABLE, FRAGMENTATION_NEEDED, mtu, octets, header, now)
            return
        outer = encapsulate_ipv4(one_hop_less(octets, header), header, record.home_agent, binding.care_of)
        if header.total_length <= mtu:
            self._outlet.send(outer)
            return
        self._identification = (self._identification + 1) & 0xFFFFFFFF
        for piece in fragments(outer, mtu + HEADER_LENGTH, self._identification):
            self._outlet.send(piece)

    def on_error(self, inbound: Inbound) -> bool:
        """Pass an ICMPv6 error about an IPv4 packet in a tunnel on to its source (RFC 2473 section 8.3).

        Returns:
            Whether the error is about such a packet; otherwise nothing happened.
        """
        packet, message, now = inbound.packet, inbound.upper, inbound.now
        quoted = quoted_ipv4(message[8:], packet.destination)
        if quoted is None or not is_sound(
            packet.source, packet.destination, message, 8 + HEADER_LENGTH + MINIMUM_HEADER
        ):
            return False
        care_of, inner = quoted
        try:
            header = decode_ipv4(inner, cut=True)
        except WireError:
            return False
        record, _ = self._binding(header.destination)
        # Only what this home agent could have sent: an error about a tunnel that there is not is a forgery, or too late.
        if record is None or all(binding.care_of != care_of for binding in record.bindings):
            return False
        if message[0] == IcmpType.PACKET_TOO_BIG:
            if not self._tunnels.paths.learn(care_of, message, now):
                self._outlet.drop(DropReason.PATH_MTU, packet.source, f"MTU {int.from_bytes(message[4:8])}")
            elif header.dont_fragment:
                mtu = max(self._tunnels.paths.inside(care_of), MINIMUM_MTU)
                self._report(UNREACHABLE, FRAGMENTATION_NEEDED, mtu, inner, header, now)
        elif message[0] != IcmpType.PARAMETER_PROBLEM:
            # A parameter problem is about the header that the home agent wrote: its own fault, and nobody else's.
            self._report(UNREACHABLE, HOST_UNREACHABLE, 0, inner, header, now)
        return True

    def _report(self, kind: int, code: int, mtu: int, invoking: bytes, header: Ipv4Packet, now: float) -> None:
        if may_be_reported(invoking, header) and self._outlet.may_report(mapped(header.source), now):
            self._outlet.send(icmpv4_error(self._source, kind, code, mtu, invoking, header))
