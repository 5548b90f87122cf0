"""Builds and reads the packets that the lab's hosts exchange: Ethernet, IPv6, UDP, IPv6 in IPv6.

Written apart from the controller's codec on purpose: what one side gets wrong the other notices.
"""

import struct
from dataclasses import dataclass

from controller.mobility.address import Address

ETHERTYPE_IPV6 = b"\x86\xdd"
UDP = 17
IPV6 = 41
NO_NEXT_HEADER = 59
DESTINATION_OPTIONS = 60
ROUTING = 43
ESP = 50
MOBILITY = 135
ICMPV6 = 58
HOP_LIMIT = 64
_HOME_ADDRESS_OPTION = 0xC9


@dataclass(frozen=True, slots=True)
class Datagram:
    """A UDP datagram with what its IPv6 header says."""

    source: Address
    destination: Address
    source_port: int
    destination_port: int
    payload: bytes
    hop_limit: int


def checksum(source: bytes, destination: bytes, protocol: int, data: bytes) -> int:
    """Return the upper-layer checksum of RFC 8200 section 8.1, 0 to 0xFFFF.

    Over data whose checksum field is zero it is the value to put there; over data with a right checksum it is 0.
    """
    pseudo = source + destination + struct.pack("!II", len(data), protocol) + data
    if len(pseudo) % 2:
        pseudo += b"\0"
    # 2**16 is 1 modulo 0xFFFF: the remainder of the whole as one number is the ones' complement sum of its 16-bit words.
    remainder = int.from_bytes(pseudo) % 0xFFFF
    return 0xFFFF - remainder if remainder else 0


def ethernet(destination: bytes, source: bytes, packet: bytes) -> bytes:
    """Return an Ethernet frame that carries an IPv6 packet."""
    return destination + source + ETHERTYPE_IPV6 + packet


def ipv6(
    source: bytes,
    destination: bytes,
    next_header: int,
    payload: bytes,
    *,
    hop_limit: int = HOP_LIMIT,
    traffic_class: int = 0,
    flow_label: int = 0,
) -> bytes:
    """Return an IPv6 packet (RFC 8200 section 3)."""
    first = 6 << 28 | traffic_class << 20 | flow_label
    return struct.pack("!IHBB", first, len(payload), next_header, hop_limit) + source + destination + payload


def udp(
    source: bytes, destination: bytes, ports: tuple[int, int], payload: bytes, *, hop_limit: int = HOP_LIMIT
) -> bytes:
    """Return an IPv6 packet with a UDP datagram; `ports` are source and destination."""
    head = struct.pack("!HHH", *ports, 8 + len(payload))
    # A computed checksum of zero is sent as ones: zero means "none", which IPv6 forbids (RFC 8200 section 8.1).
    value = checksum(source, destination, UDP, head + b"\0\0" + payload) or 0xFFFF
    return ipv6(source, destination, UDP, head + struct.pack("!H", value) + payload, hop_limit=hop_limit)


def encapsulate(source: bytes, destination: bytes, packet: bytes) -> bytes:
    """Return an IPv6 packet inside another one (RFC 2473 section 3), with the inner traffic class copied.

    The inner hop limit is lowered by one: the tunnel entry forwards the packet (RFC 2473 section 3.1).
    """
    traffic_class = int.from_bytes(packet[:2]) >> 4 & 0xFF
    inner = packet[:7] + bytes((packet[7] - 1,)) + packet[8:]
    return ipv6(source, destination, IPV6, inner, traffic_class=traffic_class)


def valid_ipv6(packet: bytes) -> bytes | None:
    """Return an IPv6 packet without padding after its payload, or None if it is none or is cut short."""
    if len(packet) < 40 or packet[0] >> 4 != 6:
        return None
    end = 40 + int.from_bytes(packet[4:6])
    return packet[:end] if end <= len(packet) else None


def source_of(packet: bytes) -> Address:
    """Return the source address of an IPv6 packet."""
    return Address(packet[8:24])


def destination_of(packet: bytes) -> Address:
    """Return the destination address of an IPv6 packet."""
    return Address(packet[24:40])


def parse_udp(packet: bytes) -> Datagram | None:
    """Return the UDP datagram in an IPv6 packet without extension headers, or None if it is none or its checksum is wrong."""
    if packet[6] != UDP or len(packet) < 48:
        return None
    data = packet[40:]
    source, destination = source_of(packet), destination_of(packet)
    source_port, destination_port, length, value = struct.unpack_from("!HHHH", data)
    if length != len(data) or value == 0 or checksum(source, destination, UDP, data) != 0:
        return None
    return Datagram(source, destination, source_port, destination_port, data[8:], packet[7])


def mobility_header(packet: bytes) -> bytes | None:
    """Return the Mobility Header of an IPv6 packet, after destination options and routing headers, or None."""
    protocol, offset = _upper_layer(packet)
    return packet[offset:] if protocol == MOBILITY and offset + 8 <= len(packet) else None


def is_signalling(packet: bytes) -> bool:
    """Tell whether an IPv6 packet has a Mobility Header, or ESP which may hide one."""
    return _upper_layer(packet)[0] in {MOBILITY, ESP}


def _upper_layer(packet: bytes) -> tuple[int, int]:
    """Return what follows destination options and routing headers: its protocol and where it begins."""
    next_header, offset = packet[6], 40
    while next_header in {DESTINATION_OPTIONS, ROUTING} and offset + 8 <= len(packet):
        next_header, offset = packet[offset], offset + 8 * (packet[offset + 1] + 1)
    return next_header, offset


def mobility_checksum_ok(packet: bytes) -> bool:
    """Tell whether the checksum of a packet's Mobility Header is right (RFC 6275 sections 6.1.1, 6.3 and 6.4).

    The pseudo-header takes the addresses that count end to end: as source the one in a Home Address option if there is one, as
    destination the one in a type 2 routing header if there is one.
    """
    data = mobility_header(packet)
    if data is None:
        return False
    source, destination = bytes(source_of(packet)), bytes(destination_of(packet))
    next_header, offset = packet[6], 40
    while next_header in {DESTINATION_OPTIONS, ROUTING}:
        end = offset + 8 * (packet[offset + 1] + 1)
        if next_header == ROUTING and packet[offset + 2] == 2:
            destination = packet[offset + 8 : offset + 24]
        elif next_header == DESTINATION_OPTIONS:
            source = _home_address_option(packet[offset + 2 : end]) or source
        next_header, offset = packet[offset], end
    return checksum(source, destination, MOBILITY, data) == 0


def _home_address_option(options: bytes) -> bytes | None:
    position = 0
    while position < len(options):
        kind = options[position]
        if kind == 0:  # Pad1 has no length
            position += 1
            continue
        if kind == _HOME_ADDRESS_OPTION:
            return options[position + 2 : position + 18]
        position += 2 + options[position + 1]
    return None
