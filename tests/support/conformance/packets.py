"""Packets of the conformance suite, built and taken apart octet by octet: nothing here uses the project's own codecs."""

import ipaddress
import struct
from collections.abc import Iterable
from dataclasses import dataclass

ICMPV6, NONE, DESTINATION_OPTIONS, ROUTING, MOBILITY, IPV6 = 58, 59, 60, 43, 135, 41


def ip(text: str) -> bytes:
    """Return the 16 octets of an address."""
    return ipaddress.IPv6Address(text).packed


def checksum(source: bytes, destination: bytes, protocol: int, data: bytes) -> int:
    """Return the checksum of RFC 8200 section 8.1, word by word as RFC 1071 has it."""
    buffer = source + destination + struct.pack("!II", len(data), protocol) + data
    if len(buffer) % 2:
        buffer += b"\0"
    total: int = sum(word for (word,) in struct.iter_unpack("!H", buffer))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv6(source: bytes, destination: bytes, next_header: int, payload: bytes, hop_limit: int = 64) -> bytes:
    """Return an IPv6 packet."""
    return struct.pack("!IHBB", 6 << 28, len(payload), next_header, hop_limit) + source + destination + payload


def with_hao(home_address: bytes, next_header: int, payload: bytes) -> bytes:
    """Return destination options with a Home Address option at offset 6 (RFC 6275 section 6.3), and what follows."""
    return bytes((next_header, 2, 1, 2, 0, 0, 0xC9, 16)) + home_address + payload


def with_rh2(home_address: bytes, next_header: int, payload: bytes) -> bytes:
    """Return a type 2 routing header (RFC 6275 section 6.4), and what follows."""
    return bytes((next_header, 2, 2, 1, 0, 0, 0, 0)) + home_address + payload


# Mobility options: (modulus, remainder, octets) of each, the first two being its alignment.

Option = tuple[int, int, bytes]


def raw_option(kind: int, data: bytes, modulus: int = 1, remainder: int = 0) -> Option:
    """Return any option."""
    return modulus, remainder, bytes((kind, len(data))) + data


def bid(number: int, care_of: bytes | None = None, *, priority: int = 0, status: int = 0, home: bool = False) -> Option:
    """Return a Binding Identifier option (RFC 5648 section 4.1)."""
    data = struct.pack("!HBB", number, status, priority | home << 7) + (care_of or b"")
    return raw_option(35, data, *((2, 0) if care_of is None else (8, 2)))


def alternate(care_of: bytes) -> Option:
    """Return an Alternate Care-of Address option (RFC 6275 section 6.2.5)."""
    return raw_option(3, care_of, 8, 6)


def nonces(home: int, care_of: int) -> Option:
    """Return a Nonce Indices option (RFC 6275 section 6.2.6)."""
    return raw_option(4, struct.pack("!HH", home, care_of), 2, 0)


def network(prefix: str, *, reserved: int = 0, length: int | None = None) -> Option:
    """Return a Mobile Network Prefix option (RFC 3963 section 4.3)."""
    address, _, bits = prefix.partition("/")
    return raw_option(6, bytes((reserved, int(bits) if length is None else length)) + ip(address), 8, 4)


def link_layer(mac: bytes, code: int = 2) -> Option:
    """Return a Mobility Header Link-Layer Address option (RFC 5568 section 6.4.4)."""
    return raw_option(7, bytes((code,)) + mac)


def lay_out(options: Iterable[Option], start: int) -> bytes:
    """Return options with the padding that their alignment asks for, up to a multiple of 8 octets."""
    out = b""
    for modulus, remainder, octets in options:
        while (start + len(out) - remainder) % modulus:
            gap = (remainder - start - len(out)) % modulus
            out += b"\0" if gap == 1 else bytes((1, gap - 2)) + bytes(gap - 2)
        out += octets
    gap = -(start + len(out)) % 8
    if gap:
        out += b"\0" if gap == 1 else bytes((1, gap - 2)) + bytes(gap - 2)
    return out


def mobility(
    kind: int, body: bytes, source: bytes, destination: bytes, *, payload: int = NONE, reserved: int = 0
) -> bytes:
    """Return a Mobility Header: `body` is what follows the checksum, `source` and `destination` count for the checksum."""
    head = bytes((payload, (6 + len(body)) // 8 - 1, kind, reserved))
    value = checksum(source, destination, MOBILITY, head + bytes(2) + body)
    return head + struct.pack("!H", value) + body


def update(sequence: int, options: Iterable[Option] = (), *, flags: int = 0xC000, lifetime: int = 60) -> bytes:
    """Return what follows the checksum of a Binding Update; `lifetime` in units of 4 s."""
    return struct.pack("!HHH", sequence, flags, lifetime) + lay_out(options, 12)


def icmp(kind: int, code: int, body: bytes, source: bytes, destination: bytes) -> bytes:
    """Return an ICMPv6 message; `body` is what follows the checksum."""
    head = bytes((kind, code))
    return head + struct.pack("!H", checksum(source, destination, ICMPV6, head + bytes(2) + body)) + body


@dataclass(frozen=True)
class Seen:
    """A packet that came out, taken apart."""

    octets: bytes
    source: bytes
    destination: bytes
    hop_limit: int
    routing: bytes | None
    home: bytes | None
    protocol: int
    payload: bytes

    @property
    def final(self) -> bytes:
        """The final destination: of the routing header where there is one."""
        return self.routing or self.destination

    @property
    def kind(self) -> int:
        """Mobility Header type or ICMPv6 type."""
        return self.payload[2] if self.protocol == MOBILITY else self.payload[0]

    @property
    def sound(self) -> bool:
        """Whether the upper-layer checksum is right, with the final destination."""
        return checksum(self.home or self.source, self.final, self.protocol, self.payload) == 0


def parse(packet: bytes) -> Seen:
    """Take a packet apart."""
    first, length, protocol, hop_limit = struct.unpack_from("!IHBB", packet)
    assert first >> 28 == 6
    assert len(packet) == 40 + length
    offset = 40
    routing = home = None
    while protocol in {ROUTING, DESTINATION_OPTIONS}:
        size = 8 + 8 * packet[offset + 1]
        if protocol == ROUTING:
            assert packet[offset + 1 : offset + 4] == bytes((2, 2, 1))
            routing = packet[offset + 8 : offset + 24]
        elif packet[offset + 6] == 0xC9:
            home = packet[offset + 8 : offset + 24]
        protocol = packet[offset]
        offset += size
    return Seen(packet, packet[8:24], packet[24:40], hop_limit, routing, home, protocol, packet[offset:])


@dataclass(frozen=True)
class Ack:
    """A Binding Acknowledgement, taken apart."""

    status: int
    flags: int
    sequence: int
    lifetime: int
    """In units of 4 s."""
    options: tuple[tuple[int, bytes], ...]
    """Type and data, padding left out."""
    packet: Seen

    @property
    def bids(self) -> list[tuple[int, int]]:
        """BID and status of each Binding Identifier option; each has to be of length 4 (RFC 5648 erratum 1904)."""
        found = [data for kind, data in self.options if kind == 35]
        assert all(len(data) == 4 for data in found)
        return [(int.from_bytes(data[:2]), data[2]) for data in found]

    def option(self, kind: int) -> bytes | None:
        """Return the data of the first option of a type."""
        return next((data for one, data in self.options if one == kind), None)


def options_of(message: bytes, start: int) -> tuple[tuple[int, bytes], ...]:
    """Return the options of a Mobility Header that begin at `start`, without padding."""
    found = []
    offset = start
    while offset < len(message):
        if message[offset] == 0:
            offset += 1
            continue
        kind, length = message[offset], message[offset + 1]
        assert offset + 2 + length <= len(message)
        if kind != 1:
            found.append((kind, message[offset + 2 : offset + 2 + length]))
        offset += 2 + length
    return tuple(found)


def acknowledgement(seen: Seen) -> Ack:
    """Take a Binding Acknowledgement apart, after the checks that all of them have to pass."""
    assert seen.protocol == MOBILITY
    assert seen.kind == 6
    assert seen.sound
    assert seen.payload[0] == NONE
    assert seen.payload[3] == 0
    assert len(seen.payload) == 8 * (seen.payload[1] + 1)
    status, flags, sequence, lifetime = struct.unpack_from("!BBHH", seen.payload, 6)
    return Ack(status, flags, sequence, lifetime, options_of(seen.payload, 12), seen)
