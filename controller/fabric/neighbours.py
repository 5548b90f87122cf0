"""Answers for a switch's own addresses on a link: Neighbor Solicitations and echo requests, frame by frame, without state."""

from collections.abc import Collection
from typing import Final

from controller.fabric.fields import Mac
from controller.mobility.address import UNSPECIFIED, Address
from controller.mobility.wire.codes import IcmpType, Protocol
from controller.mobility.wire.icmp import (
    ALL_NODES,
    LINK_HOP_LIMIT,
    OVERRIDE,
    ROUTER,
    SOLICITED,
    advertisement_packet,
    icmp_packet,
    read_neighbour,
    solicited_node,
)

_ETHERTYPE: Final = b"\x86\xdd"
_ALL_NODES_MAC: Final = b"\x33\x33\x00\x00\x00\x01"
_IPV6_HEADER: Final = 40
_HEADERS: Final = 54


def link_local(mac: Mac) -> Address:
    """Return the link-local address that goes with an Ethernet address (RFC 4291 appendix A)."""
    octets = mac.to_bytes(6)
    return Address(b"\xfe\x80" + bytes(6) + bytes((octets[0] ^ 2,)) + octets[1:3] + b"\xff\xfe" + octets[3:])


def solicitation_frame(mac: Mac, target: Address, alone: Mac | None = None) -> bytes:
    """Return the frame of a Neighbor Solicitation in the name of a port's link-local address (RFC 4861 section 7.2.2).

    Args:
        mac: of the port.
        target: whose Ethernet address is asked for.
        alone: where it was last, to ask it alone; None: the group of all that may have the address.
    """
    octets = mac.to_bytes(6)
    group = solicited_node(target)
    body = bytes(4) + target + b"\x01\x01" + octets
    destination = group if alone is None else target
    packet = icmp_packet(link_local(mac), destination, IcmpType.NEIGHBOR_SOLICITATION, body, hop_limit=LINK_HOP_LIMIT)
    station = b"\x33\x33" + group[12:] if alone is None else alone.to_bytes(6)
    return station + octets + _ETHERTYPE + packet


def spoken_by(packet: bytes, mac: Mac) -> bytes:
    """Return a packet as a port says it: in a Neighbor Advertisement, the target is at the port's own address.

    Args:
        packet: from the home agent, which knows one Ethernet address for each of its links.
        mac: of the port.
    """
    if packet[6] != Protocol.ICMPV6 or packet[_IPV6_HEADER] != IcmpType.NEIGHBOR_ADVERTISEMENT:
        return packet
    source, destination, target = (Address(packet[start : start + 16]) for start in (8, 24, _IPV6_HEADER + 8))
    return advertisement_packet(source, destination, target, mac.to_bytes(6), packet[_IPV6_HEADER + 4])


def answer_solicitation(frame: bytes, mac: Mac, own: Collection[Address]) -> bytes | None:
    """Return the frame with the Neighbor Advertisement for a Neighbor Solicitation (RFC 4861 section 7.2.4).

    Args:
        frame: as it came.
        mac: of the port that it came by.
        own: the addresses that are ours there.

    Returns:
        None when it is no solicitation, is malformed, or is for somebody else.
    """
    if len(frame) < _HEADERS or frame[12:14] != _ETHERTYPE or frame[14] >> 4 != 6 or frame[20] != Protocol.ICMPV6:
        return None
    source, destination = Address(frame[22:38]), Address(frame[38:54])
    message = frame[_HEADERS : _HEADERS + int.from_bytes(frame[18:20])]
    if not message or message[0] != IcmpType.NEIGHBOR_SOLICITATION:
        return None
    asked = read_neighbour(source, destination, frame[21], message)
    if asked is None or asked.target not in own:
        return None
    octets = mac.to_bytes(6)
    if source == UNSPECIFIED:
        reply = advertisement_packet(asked.target, ALL_NODES, asked.target, octets, ROUTER | OVERRIDE)
        return _ALL_NODES_MAC + octets + _ETHERTYPE + reply
    reply = advertisement_packet(asked.target, source, asked.target, octets, ROUTER | OVERRIDE | SOLICITED)
    return (asked.link_layer or frame[6:12]) + octets + _ETHERTYPE + reply
