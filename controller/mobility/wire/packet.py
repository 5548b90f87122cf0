"""IPv6 packets that carry signalling: the chain of extension headers down to the Mobility Header, and back."""

from struct import Struct
from typing import Final

from controller.mobility.address import ADDRESS_LENGTH, Address
from controller.mobility.wire.checksum import upper_layer_checksum
from controller.mobility.wire.codes import Protocol
from controller.mobility.wire.errors import Malformation, WireError
from controller.mobility.wire.messages import Message, decode_message, encode_message
from controller.values import value

HEADER_LENGTH: Final = 40
"""Octets of the IPv6 header."""
MINIMUM_MTU: Final = 1280
"""What every IPv6 link carries (RFC 8200 section 5); an ICMPv6 error is cut to it (RFC 4443 section 2.4)."""
HOP_LIMIT: Final = 64

_IPV6: Final = Struct("!IHBB16s16s")
_ROUTING: Final = Struct("!BBBB4x16s")
_ROUTING_TYPE_2: Final = 2
_MOBILITY: Final = int(Protocol.MOBILITY)
_ROUTING_HEADER: Final = int(Protocol.ROUTING)
_FRAGMENT: Final = int(Protocol.FRAGMENT)
_HOP_BY_HOP: Final = int(Protocol.HOP_BY_HOP)
_HOME_ADDRESS_OPTION: Final = 0xC9
_HOME_ADDRESS_HEAD: Final = b"\x01\x02\x00\x00\xc9\x10"
"""A PadN of 4 octets, then type and length: this puts the option at 8n+6 (RFC 6275 section 6.3)."""
_PARAMETER_PROBLEM: Final = 4


@value
class Packet:
    """An IPv6 packet as the engine sees it."""

    source: Address
    """As on the wire."""
    destination: Address
    """As on the wire."""
    home_address: Address | None
    """Of the Home Address option (RFC 6275 section 6.3)."""
    routing_address: Address | None
    """Of a type 2 routing header with a segment left (RFC 6275 section 6.4): the final destination."""
    protocol: int
    """The upper-layer protocol, after all extension headers that are read here."""
    payload: int
    """Offset of the upper-layer header in the packet."""
    message: Message | None
    """The Mobility Header message, when the protocol is 135."""

    def upper(self, octets: bytes) -> bytes:
        """Return the upper-layer message of the packet, which is `octets`, without what follows the IPv6 payload."""
        return octets[self.payload : HEADER_LENGTH + int.from_bytes(octets[4:6])]


def decode_packet(packet: bytes) -> Packet:
    """Return what an IPv6 packet says, with its Mobility Header decoded and verified.

    Octets beyond the payload length (Ethernet padding) are ignored. Fragments are refused.

    Raises:
        WireError: the packet is malformed, at any layer that is read.
    """
    if len(packet) < HEADER_LENGTH:
        raise WireError(Malformation.TRUNCATED, len(packet))
    first, length, protocol, _, source, destination = _IPV6.unpack_from(packet)
    if first >> 28 != 6:
        raise WireError(Malformation.NOT_IPV6, 0)
    end = HEADER_LENGTH + length
    if end > len(packet):
        raise WireError(Malformation.TRUNCATED, len(packet))
    home_address, routing_address, protocol, offset = _read_extensions(packet, protocol, end)
    message = None
    if protocol == _MOBILITY:
        message = decode_message(packet, offset, end, home_address or source, routing_address or destination)
    return Packet(source, destination, home_address, routing_address, protocol, offset, message)


_EXTENSIONS: Final = frozenset(
    {Protocol.HOP_BY_HOP, Protocol.ROUTING, Protocol.FRAGMENT, Protocol.DESTINATION_OPTIONS},
)


def _read_extensions(packet: bytes, protocol: int, end: int) -> tuple[Address | None, Address | None, int, int]:
    """Return home address, routing address, upper-layer protocol and its offset."""
    offset = HEADER_LENGTH
    home_address: Address | None = None
    routing_address: Address | None = None
    while protocol in _EXTENSIONS:
        # RFC 8200 section 4: next header, then the length in units of 8 octets without the first 8.
        stop = offset + 8 + 8 * packet[offset + 1] if offset + 8 <= end else end + 1
        if stop > end:
            raise WireError(Malformation.TRUNCATED, end)
        if protocol == _ROUTING_HEADER:
            routing_address = _read_routing(packet, offset, routing_address)
        elif protocol == _FRAGMENT:
            raise WireError(Malformation.FRAGMENT, offset)
        elif protocol == _HOP_BY_HOP and offset != HEADER_LENGTH:
            raise WireError(Malformation.EXTENSION_HEADER, offset)
        elif packet.startswith(_HOME_ADDRESS_HEAD, offset + 2) and stop == offset + 24 and home_address is None:
            home_address = Address(packet[offset + 8 : stop])  # the usual form, without a walk through its options
        else:
            home_address = _read_options(packet, offset + 2, stop, home_address)
        protocol = packet[offset]
        offset = stop
    return home_address, routing_address, protocol, offset


def _read_routing(packet: bytes, offset: int, known: Address | None) -> Address | None:
    """Return the address that a routing header leaves to be visited."""
    _, units, kind, left = packet[offset : offset + 4]
    if left == 0:
        return known  # RFC 8200 section 4.4: with no segment left it is passed over, whatever its type
    if kind != _ROUTING_TYPE_2 or units != 2 or left != 1 or known is not None:
        raise WireError(Malformation.EXTENSION_HEADER, offset + 2)
    return Address(packet[offset + 8 : offset + 24])


def _read_options(packet: bytes, start: int, end: int, known: Address | None) -> Address | None:
    """Return the home address among the options from `start` to `end` (RFC 8200 section 4.2, RFC 6275 section 6.3)."""
    offset = start
    while offset < end:
        kind = packet[offset]
        if kind == 0:
            offset += 1
            continue
        body = offset + 2
        stop = body + packet[offset + 1] if body <= end else body
        if stop > end:
            raise WireError(Malformation.EXTENSION_HEADER, offset)
        if kind == _HOME_ADDRESS_OPTION:
            # RFC 6275 section 6.3: at most one in a packet.
            if stop - body != ADDRESS_LENGTH or known is not None:
                raise WireError(Malformation.EXTENSION_HEADER, offset)
            known = Address(packet[body:stop])
        elif kind & 0xC0:
            # RFC 8200 section 4.2: the two high bits forbid to skip an unknown option.
            raise WireError(Malformation.EXTENSION_HEADER, offset)
        offset = stop
    return known


def encode_packet(
    source: Address,
    destination: Address,
    message: Message,
    *,
    home_address: Address | None = None,
    routing_address: Address | None = None,
    hop_limit: int = HOP_LIMIT,
) -> bytes:
    """Return the IPv6 packet that carries a Mobility Header message.

    Args:
        source: IPv6 source, as on the wire.
        destination: IPv6 destination, as on the wire.
        message: What to carry.
        home_address: Adds a Home Address option; only Binding Updates have one (RFC 6275 section 6.1).
        routing_address: Adds a type 2 routing header to it; only Binding Acknowledgements have one (RFC 6275 section 6.1).
        hop_limit: 1 to 255.

    Raises:
        ValueError: a value does not fit its field.
    """
    header = encode_message(message, home_address or source, routing_address or destination)
    return wrap_upper(
        source,
        destination,
        _MOBILITY,
        header,
        home_address=home_address,
        routing_address=routing_address,
        hop_limit=hop_limit,
    )


def wrap_upper(
    source: Address,
    destination: Address,
    protocol: int,
    payload: bytes,
    *,
    home_address: Address | None = None,
    routing_address: Address | None = None,
    hop_limit: int = HOP_LIMIT,
) -> bytes:
    """Return the IPv6 packet that carries an upper-layer message with its checksum; for the rest see `encode_packet`."""
    if home_address is not None:
        payload = bytes((protocol, 2)) + _HOME_ADDRESS_HEAD + home_address + payload
        protocol = Protocol.DESTINATION_OPTIONS
    if routing_address is not None:
        payload = _ROUTING.pack(protocol, 2, _ROUTING_TYPE_2, 1, routing_address) + payload
        protocol = _ROUTING_HEADER
    return ipv6_header(source, destination, protocol, len(payload), hop_limit=hop_limit) + payload


def ipv6_header(
    source: Address,
    destination: Address,
    protocol: int,
    length: int,
    *,
    hop_limit: int = HOP_LIMIT,
    traffic_class: int = 0,
    flow_label: int = 0,
) -> bytes:
    """Return an IPv6 header (RFC 8200 section 3) for a payload of `length` octets, at most 65535."""
    if not 0 <= length <= 0xFFFF:
        raise ValueError(f"an IPv6 payload has at most 65535 octets, not {length}")
    return _IPV6.pack(6 << 28 | traffic_class << 20 | flow_label, length, protocol, hop_limit, source, destination)


def parameter_problem(source: Address, destination: Address, pointer: int, invoking: bytes, *, code: int = 0) -> bytes:
    """Return an ICMPv6 Parameter Problem packet (RFC 4443 section 3.4).

    Args:
        source: Who reports.
        destination: Source of the invoking packet, as on the wire.
        pointer: Offset of the offending octet in the invoking packet.
        invoking: The packet at fault; as much of it goes along as fits into 1280 octets.
        code: 0 for an erroneous field, 1 for an unknown next header, 2 for an unknown option.
    """
    quoted = invoking[: MINIMUM_MTU - HEADER_LENGTH - 8]
    head = bytes((_PARAMETER_PROBLEM, code))
    rest = pointer.to_bytes(4) + quoted
    checksum = upper_layer_checksum(source, destination, Protocol.ICMPV6, head + bytes(2) + rest)
    body = head + checksum.to_bytes(2) + rest
    return ipv6_header(source, destination, Protocol.ICMPV6, len(body)) + body
