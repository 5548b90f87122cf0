"""IPv4 packets where a home agent meets them: inside of its tunnels, and in the errors about them (RFC 791, 792, 1191, 2473)."""

from struct import Struct
from typing import Final

from controller.mobility.address import Address, Ipv4Address
from controller.mobility.wire.codes import Protocol
from controller.mobility.wire.errors import Malformation, WireError
from controller.mobility.wire.packet import HEADER_LENGTH, HOP_LIMIT, ipv6_header
from controller.values import value

NO_ERRORS: Final = frozenset({0, 8, 9, 10, 13, 14, 15, 16, 17, 18})
"""ICMPv4 types that are no errors (RFC 1122 section 3.2.2)."""
UNREACHABLE: Final = 3
HOST_UNREACHABLE: Final = 1
FRAGMENTATION_NEEDED: Final = 4
TIME_EXCEEDED: Final = 11
MINIMUM_HEADER: Final = 20
LONGEST_ERROR: Final = 576
"""Octets of an ICMPv4 error at most (RFC 1812 section 4.3.2.3)."""

_HEADER: Final = Struct("!BBHHHBBH4s4s")
_ERROR: Final = Struct("!BBHHH")
_ICMP: Final = 1
_DONT_FRAGMENT: Final = 0x4000
_MORE_OR_OFFSET: Final = 0x3FFF
_OFFSET: Final = 0x1FFF
_INTERNETWORK_CONTROL: Final = 0xC0
"""Precedence 6: what errors are sent with (RFC 1812 section 4.3.2.5)."""


@value
class Ipv4Packet:
    """What an IPv4 header says."""

    source: Ipv4Address
    destination: Ipv4Address
    time_to_live: int
    dont_fragment: bool
    first: bool
    """Not a fragment other than the first."""
    whole: bool
    """No fragment at all."""
    type_of_service: int
    protocol: int
    header_length: int
    total_length: int


def decode_ipv4(packet: bytes, *, cut: bool = False) -> Ipv4Packet:
    """Return what an IPv4 header says (RFC 791 section 3.1); its checksum is verified.

    Args:
        packet: The packet; octets beyond its total length are ignored.
        cut: It is quoted in an error, so not all of it has to be there.

    Raises:
        WireError: it is no IPv4 packet, is cut short, or its checksum is wrong.
    """
    if len(packet) < MINIMUM_HEADER:
        raise WireError(Malformation.TRUNCATED, len(packet))
    first, service, total, _, fragment, time_to_live, protocol, _, source, destination = _HEADER.unpack_from(packet)
    header_length = 4 * (first & 0x0F)
    if first >> 4 != 4 or header_length < MINIMUM_HEADER or total < header_length:
        raise WireError(Malformation.IPV4_HEADER, 0)
    if len(packet) < header_length or (len(packet) < total and not cut):
        raise WireError(Malformation.TRUNCATED, len(packet))
    if ones_complement(packet[:header_length]):
        raise WireError(Malformation.CHECKSUM, 10)
    return Ipv4Packet(
        Ipv4Address(source),
        Ipv4Address(destination),
        time_to_live,
        bool(fragment & _DONT_FRAGMENT),
        not fragment & _OFFSET,
        not fragment & _MORE_OR_OFFSET,
        service,
        protocol,
        header_length,
        total,
    )


def ones_complement(data: bytes) -> int:
    """Return the checksum of RFC 1071; 0 over data that has a right one in it."""
    if len(data) % 2:
        data += b"\0"
    remainder = int.from_bytes(data) % 0xFFFF
    return 0xFFFF - remainder if remainder else 0 if any(data) else 0xFFFF


def one_hop_less(packet: bytes, header: Ipv4Packet) -> bytes:
    """Return a packet with its time to live decremented, and the header's checksum to match."""
    end = header.header_length
    head = packet[:8] + bytes((packet[8] - 1, packet[9], 0, 0)) + packet[12:end]
    return head[:10] + ones_complement(head).to_bytes(2) + head[12:] + packet[end : header.total_length]


def encapsulate_ipv4(inner: bytes, header: Ipv4Packet, source: Address, destination: Address) -> bytes:
    """Return an IPv4 packet inside of an IPv6 packet (RFC 2473 section 6), ECN copied (RFC 6040 section 4.1)."""
    # A flow stays on one path (RFC 6438 section 3): a prime just below 2**20 spreads what differs in a few bits.
    label = int.from_bytes(header.source + header.destination) % 0xFFFFD + 1
    outer = ipv6_header(
        source,
        destination,
        Protocol.IPV4,
        header.total_length,
        hop_limit=HOP_LIMIT,
        traffic_class=header.type_of_service,
        flow_label=label,
    )
    return outer + inner[: header.total_length]


def may_be_reported(packet: bytes, header: Ipv4Packet) -> bool:
    """Tell whether a packet may cause an ICMPv4 error (RFC 1122 section 3.2.2, RFC 1812 section 4.3.2.7)."""
    if not header.first or not 0 < header.source[0] < 224 or header.source[0] == 127 or header.destination[0] >= 224:
        return False
    kind = packet[header.header_length : header.header_length + 1]
    return header.protocol != _ICMP or (kind != b"" and kind[0] in NO_ERRORS)


def icmpv4_error(source: Ipv4Address, kind: int, code: int, mtu: int, invoking: bytes, header: Ipv4Packet) -> bytes:
    """Return the packet of an ICMPv4 error to the source of `invoking`.

    Args:
        source: Who reports.
        kind: Its type.
        code: Its code.
        mtu: Of the next hop, for `FRAGMENTATION_NEEDED` (RFC 1191 section 4); otherwise 0.
        invoking: The packet at fault, of which as much goes along as fits into 576 octets.
        header: What its header says.
    """
    quoted = invoking[: min(header.total_length, LONGEST_ERROR - MINIMUM_HEADER - _ERROR.size)]
    message = _ERROR.pack(kind, code, 0, 0, mtu) + quoted
    message = _ERROR.pack(kind, code, ones_complement(message), 0, mtu) + quoted
    fields = (0x45, _INTERNETWORK_CONTROL, MINIMUM_HEADER + len(message), 0, 0, HOP_LIMIT, _ICMP)
    head = _HEADER.pack(*fields, 0, source, header.source)
    return _HEADER.pack(*fields, ones_complement(head), source, header.source) + message


def quoted_ipv4(quoted: bytes, home_agent: Address) -> tuple[Address, bytes] | None:
    """Return care-of address and inner packet, as far as it came along, of a packet that an ICMPv6 error quotes.

    None: what it quotes is no IPv4 packet in a tunnel of that home agent.
    """
    end = HEADER_LENGTH + MINIMUM_HEADER
    if len(quoted) < end or quoted[0] >> 4 != 6 or quoted[8:24] != home_agent or quoted[6] != Protocol.IPV4:
        return None
    return Address(quoted[24:40]), quoted[HEADER_LENGTH:]
