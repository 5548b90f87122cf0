"""ICMPv6 messages that a home agent reads and writes: neighbours, routers, discovery, errors.

Sources: RFC 4443, RFC 4861, RFC 6275 sections 6.5 to 6.8 and 7, RFC 3963 section 4.
"""

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Final

from controller.mobility.address import UNSPECIFIED, Address, Prefix
from controller.mobility.wire.checksum import upper_layer_checksum
from controller.mobility.wire.codes import IcmpType, Protocol
from controller.mobility.wire.packet import HEADER_LENGTH, HOP_LIMIT, MINIMUM_MTU, ipv6_header
from controller.values import value

ALL_NODES: Final = Address(b"\xff\x02" + bytes(13) + b"\x01")
"""ff02::1"""
LINK_HOP_LIMIT: Final = 255
"""What neighbour discovery demands: the packet has not been forwarded (RFC 4861 section 3.1)."""
_SOLICITED_NODE: Final = bytes.fromhex("ff0200000000000000000001ff")
_LINK_LOCAL: Final = bytes.fromhex("fe80000000000000")

_HEAD: Final = Struct("!BBH")
_U32: Final = Struct("!I")
_DISCOVERY: Final = Struct("!HH")
_PREFIX_INFORMATION: Final = Struct("!BBBBII4x16s")

ROUTER: Final = 0x80
"""R flag of a Neighbor Advertisement."""
SOLICITED: Final = 0x40
OVERRIDE: Final = 0x20
MOBILE_ROUTERS: Final = 0x8000
"""R flag of discovery requests and replies (RFC 3963 section 7)."""


def solicited_node(address: Address) -> Address:
    """Return the solicited-node multicast address (RFC 4291 section 2.7.1)."""
    return Address(_SOLICITED_NODE + address[13:])


def link_local(address: Address) -> Address:
    """Return the link-local address with the same interface identifier (RFC 6275 section 10.4.1)."""
    return Address(_LINK_LOCAL + address[8:])


def icmp_packet(
    source: Address,
    destination: Address,
    kind: IcmpType,
    body: bytes,
    *,
    code: int = 0,
    hop_limit: int = HOP_LIMIT,
    routing_address: Address | None = None,
) -> bytes:
    """Return an IPv6 packet with an ICMPv6 message; `body` is what follows the checksum.

    With `routing_address` it has a type 2 routing header to that home address, and the checksum counts with it.
    """
    message = _HEAD.pack(kind, code, 0) + body
    checksum = upper_layer_checksum(source, routing_address or destination, Protocol.ICMPV6, message)
    message = _HEAD.pack(kind, code, checksum) + body
    protocol = Protocol.ICMPV6
    if routing_address is not None:
        message = bytes((protocol, 2, 2, 1, 0, 0, 0, 0)) + routing_address + message
        protocol = Protocol.ROUTING
    return ipv6_header(source, destination, protocol, len(message), hop_limit=hop_limit) + message


def is_sound(source: Address, destination: Address, message: bytes, minimum: int) -> bool:
    """Tell whether an ICMPv6 message has at least `minimum` octets and a right checksum."""
    return len(message) >= minimum and not upper_layer_checksum(source, destination, Protocol.ICMPV6, message)


def error_packet(source: Address, kind: IcmpType, code: int, parameter: int, invoking: bytes) -> bytes:
    """Return an ICMPv6 error to the source of `invoking`, of which goes along what fits (RFC 4443 section 2.4).

    Args:
        source: Who reports.
        kind: Its type, below 128.
        code: Its code.
        parameter: The 32 bits after the checksum: MTU, pointer, or 0.
        invoking: The packet at fault.
    """
    quoted = invoking[: MINIMUM_MTU - HEADER_LENGTH - 8]
    return icmp_packet(source, Address(invoking[8:24]), kind, _U32.pack(parameter) + quoted, code=code)


# Neighbours (RFC 4861 sections 4.3, 4.4)


@value
class NeighbourMessage:
    """A Neighbor Solicitation or Advertisement that passed the checks of RFC 4861 section 7.1."""

    target: Address
    flags: int
    link_layer: bytes | None
    """Of the source or target link-layer address option."""


def read_neighbour(source: Address, destination: Address, hop_limit: int, message: bytes) -> NeighbourMessage | None:
    """Return a Neighbor Solicitation or Advertisement, or None when it has to be ignored."""
    if hop_limit != LINK_HOP_LIMIT or not is_sound(source, destination, message, 24) or message[1]:
        return None
    target = Address(message[8:24])
    if target[0] == 0xFF:
        return None
    options = read_options(message, 24)
    if options is None:
        return None
    solicitation = message[0] == IcmpType.NEIGHBOR_SOLICITATION
    link_layer = next((data[:6] for kind, data in options if kind == (1 if solicitation else 2)), None)
    if solicitation and source == UNSPECIFIED and (link_layer or not destination.startswith(_SOLICITED_NODE)):
        return None
    return NeighbourMessage(target, message[4], link_layer)


def read_options(message: bytes, start: int) -> list[tuple[int, bytes]] | None:
    """Return the neighbour discovery options from `start` as type and content, or None when one is malformed."""
    options: list[tuple[int, bytes]] = []
    offset = start
    while offset < len(message):
        if offset + 2 > len(message) or not message[offset + 1]:
            return None  # RFC 4861 section 4.6: a length of 0 spoils the whole packet
        end = offset + 8 * message[offset + 1]
        if end > len(message):
            return None
        options.append((message[offset], message[offset + 2 : end]))
        offset = end
    return options


def probe_packet(target: Address) -> bytes:
    """Return the Neighbor Solicitation of duplicate address detection (RFC 4862 section 5.4.2)."""
    body = bytes(4) + target
    destination = solicited_node(target)
    return icmp_packet(UNSPECIFIED, destination, IcmpType.NEIGHBOR_SOLICITATION, body, hop_limit=LINK_HOP_LIMIT)


def advertisement_packet(source: Address, destination: Address, target: Address, mac: bytes, flags: int) -> bytes:
    """Return a Neighbor Advertisement with the target's link-layer address (RFC 4861 section 4.4)."""
    body = bytes((flags, 0, 0, 0)) + target + b"\x02\x01" + mac
    return icmp_packet(source, destination, IcmpType.NEIGHBOR_ADVERTISEMENT, body, hop_limit=LINK_HOP_LIMIT)


# Routers (RFC 4861 section 4.2, RFC 6275 section 7, RFC 3963 section 4.2)


@value
class RouterAdvertisement:
    """What a home agent wants to know of another's Router Advertisement."""

    home_agent: bool
    """The H flag."""
    addresses: tuple[Address, ...]
    """Of Prefix Information options with the R flag: the sender's own global addresses."""
    preference: int
    lifetime: int
    """Seconds for which it serves as home agent."""
    mobile_routers: bool


def read_router_advertisement(
    source: Address, destination: Address, hop_limit: int, message: bytes
) -> RouterAdvertisement | None:
    """Return a Router Advertisement, or None when it has to be ignored (RFC 4861 section 6.1.2)."""
    if hop_limit != LINK_HOP_LIMIT or not is_sound(source, destination, message, 16) or message[1]:
        return None
    options = read_options(message, 16)
    if options is None or not source.startswith(b"\xfe\x80"):
        return None
    addresses: list[Address] = []
    preference, lifetime = 0, int.from_bytes(message[6:8])
    mobile_routers = False
    for kind, data in options:
        if kind == 3 and len(data) == 30 and data[1] & 0x20:
            addresses.append(Address(data[14:30]))
        elif kind == 8 and len(data) == 6:
            # RFC 6275 section 7.4: reserved with R on top (RFC 3963 section 4.2), preference, lifetime.
            mobile_routers = bool(data[0] & 0x80)
            preference = int.from_bytes(data[2:4], signed=True)
            lifetime = int.from_bytes(data[4:6])
    return RouterAdvertisement(bool(message[5] & 0x20), tuple(addresses), preference, lifetime, mobile_routers)


# Discovery (RFC 6275 sections 6.5 to 6.8)


def read_discovery(message: bytes) -> tuple[int, bool]:
    """Return identifier and R flag of a discovery request or reply."""
    identifier, flags = _DISCOVERY.unpack_from(message, 4)
    return identifier, bool(flags & MOBILE_ROUTERS)


def discovery_body(identifier: int, addresses: Iterable[Address] = (), *, mobile_routers: bool = False) -> bytes:
    """Return the body of a discovery request, or of a reply with its addresses."""
    return _DISCOVERY.pack(identifier, MOBILE_ROUTERS if mobile_routers else 0) + b"".join(addresses)


def reply_addresses(message: bytes) -> Iterator[Address]:
    """Yield the addresses of a discovery reply."""
    for offset in range(8, len(message) - 15, 16):
        yield Address(message[offset : offset + 16])


@value
class PrefixInformation:
    """A Prefix Information option (RFC 4861 section 4.6.2, RFC 6275 section 7.2)."""

    prefix: Prefix
    valid: int
    """Seconds; 0xFFFFFFFF: for ever."""
    preferred: int
    router_address: Address | None = None
    """The home agent's address on the prefix; sets the R flag."""

    def option(self) -> bytes:
        """Return the option: on-link, autonomous, and R with the whole router address."""
        flags = 0xC0 | (0x20 if self.router_address else 0)
        address = self.router_address or self.prefix.network
        return _PREFIX_INFORMATION.pack(3, 4, self.prefix.length, flags, self.valid, self.preferred, address)


def read_prefixes(message: bytes, start: int = 8) -> tuple[PrefixInformation, ...]:
    """Return the Prefix Information options of a Mobile Prefix Advertisement."""
    found: list[PrefixInformation] = []
    for kind, data in read_options(message, start) or ():
        if kind == 3 and len(data) == 30 and data[0] <= 128:
            address = Address(data[14:30])
            shift = 128 - data[0]
            network = Address((int.from_bytes(address) >> shift << shift).to_bytes(16))
            valid, preferred = int.from_bytes(data[2:6]), int.from_bytes(data[6:10])
            router = address if data[1] & 0x20 else None
            found.append(PrefixInformation(Prefix(network, data[0]), valid, preferred, router))
    return tuple(found)
