"""IPv6 in IPv6 (RFC 2473) for a mobile node's end of its tunnels."""

from struct import Struct
from typing import Final

from controller.mobility.address import Address
from controller.mobility.wire.codes import Protocol
from controller.mobility.wire.errors import Malformation, WireError
from controller.mobility.wire.packet import HEADER_LENGTH, HOP_LIMIT, decode_packet, ipv6_header
from controller.values import value

_ADDRESSES: Final = Struct("!8x16s16s")
_ECN_MASK: Final = 0x03
_CONGESTION_EXPERIENCED: Final = 0x03
_ECT_1: Final = 0x01
_ECT_0: Final = 0x02
_NOT_ECT: Final = 0x00


@value
class Tunnelled:
    """What came out of a tunnel."""

    outer_source: Address
    outer_destination: Address
    source: Address
    """Of the inner packet."""
    destination: Address
    """Of the inner packet."""
    inner: bytes
    """The inner packet, its ECN field as RFC 6040 says."""


def addresses(packet: bytes) -> tuple[Address, Address]:
    """Return source and destination of an IPv6 packet.

    Raises:
        WireError: it is no IPv6 packet, or is cut short.
    """
    if len(packet) < HEADER_LENGTH:
        raise WireError(Malformation.TRUNCATED, len(packet))
    if packet[0] >> 4 != 6:
        raise WireError(Malformation.NOT_IPV6, 0)
    if HEADER_LENGTH + int.from_bytes(packet[4:6]) > len(packet):
        raise WireError(Malformation.TRUNCATED, len(packet))
    source, destination = _ADDRESSES.unpack_from(packet)
    return source, destination


def encapsulate(inner: bytes, source: Address, destination: Address, *, hop_limit: int = HOP_LIMIT) -> bytes:
    """Return an IPv6 packet inside another from `source` to `destination`.

    The traffic class is copied, ECN with it (RFC 6040 section 4.1, normal mode). The flow label is a hash of the inner addresses and
    flow label, so that a flow stays on one path (RFC 6438 section 3). The inner hop limit is left alone: whoever forwards decrements
    it, and a node that sends a packet of its own does not (RFC 2473 section 3.1).

    Raises:
        WireError: `inner` is no IPv6 packet, or is cut short.
        ValueError: the result would be longer than an IPv6 packet can be.
    """
    addresses(inner)
    length = HEADER_LENGTH + int.from_bytes(inner[4:6])
    first = int.from_bytes(inner[:4])
    header = ipv6_header(
        source,
        destination,
        Protocol.IPV6,
        length,
        hop_limit=hop_limit,
        traffic_class=first >> 20 & 0xFF,
        flow_label=_flow_label(inner, first & 0xFFFFF),
    )
    return header + inner[:length]


def _flow_label(inner: bytes, label: int) -> int:
    # A prime just below 2**20 as modulus spreads what differs in a few bits; 0 would mean "no label".
    return (int.from_bytes(inner[8:40]) ^ label << 64) % 0xFFFFD + 1


def decapsulate(outer: bytes) -> Tunnelled:
    """Return what an IPv6-in-IPv6 packet carries.

    Raises:
        WireError: it carries no IPv6 packet, is cut short, or has lost its ECN (RFC 6040 section 4.2: CE over Not-ECT).
    """
    chain = decode_packet(outer)
    if chain.protocol != Protocol.IPV6:
        raise WireError(Malformation.TUNNEL, HEADER_LENGTH)
    end = HEADER_LENGTH + int.from_bytes(outer[4:6])
    inner = outer[chain.payload : end]
    source, destination = addresses(inner)
    inner = inner[: HEADER_LENGTH + int.from_bytes(inner[4:6])]
    return Tunnelled(
        chain.source,
        chain.destination,
        source,
        destination,
        _merge_ecn(inner, outer[1] >> 4 & _ECN_MASK, chain.payload),
    )


def _merge_ecn(inner: bytes, outer_ecn: int, offset: int) -> bytes:
    """Return the inner packet with the ECN field of RFC 6040 figure 4."""
    inner_ecn = inner[1] >> 4 & _ECN_MASK
    ecn = inner_ecn
    if outer_ecn == _CONGESTION_EXPERIENCED:
        if inner_ecn == _NOT_ECT:
            raise WireError(Malformation.TUNNEL, offset + 1)
        ecn = _CONGESTION_EXPERIENCED
    elif outer_ecn == _ECT_1 and inner_ecn == _ECT_0:
        ecn = _ECT_1
    if ecn == inner_ecn:
        return inner
    return inner[:1] + bytes((inner[1] & ~(_ECN_MASK << 4) | ecn << 4,)) + inner[2:]
