"""Neighbour discovery of the conformance suite, octet by octet (RFC 4861)."""

from dataclasses import dataclass

from conformance.packets import ICMPV6, icmp, ip, ipv6, parse
from controller.mobility.parts import LinkPacket

NEIGHBOUR_MAC = bytes.fromhex("020000000999")


def solicited_node(target: bytes) -> bytes:
    """Return the solicited-node multicast address."""
    return ip("ff02::1:ff00:0")[:13] + target[13:]


def solicitation(source: bytes, target: bytes, *, destination: bytes | None = None, hop_limit: int = 255) -> bytes:
    """Return a Neighbor Solicitation: of duplicate address detection when the source is unspecified."""
    destination = destination or solicited_node(target)
    option = b"\1\1" + NEIGHBOUR_MAC if any(source) else b""
    message = icmp(135, 0, bytes(4) + target + option, source, destination)
    return ipv6(source, destination, ICMPV6, message, hop_limit)


@dataclass(frozen=True)
class Advertisement:
    """A Neighbor Advertisement that was sent on the link."""

    mac: bytes | None
    source: bytes
    destination: bytes
    flags: int
    """R 0x80, S 0x40, O 0x20."""
    target: bytes
    link_layer: bytes


def advertisements(frames: list[LinkPacket]) -> list[Advertisement]:
    """Return the Neighbor Advertisements among frames, after the checks that all of them have to pass."""
    found = []
    for frame in frames:
        seen = parse(frame.packet)
        if seen.protocol != ICMPV6 or seen.kind != 136:
            continue
        assert seen.sound
        assert seen.hop_limit == 255
        assert seen.payload[1] == 0
        assert (len(seen.payload), seen.payload[24:26]) == (32, b"\2\1")
        found.append(
            Advertisement(
                frame.destination_mac,
                seen.source,
                seen.destination,
                seen.payload[4],
                seen.payload[8:24],
                seen.payload[26:],
            )
        )
    return found
