"""The frame in which the parts of a home agent work: what they are handed, and what they may be asked.

The `HomeAgent` takes packets apart, finds the handler of each in its table, and asks every `Part` for its timers. A part knows
nothing of the others; it sends through the `Outlet` and reads records through the engine's view of them.
"""

from collections.abc import Callable
from enum import Enum
from typing import Final, TypeAlias

from controller.mobility.address import Address
from controller.mobility.model import NodeRecord
from controller.mobility.security.protection import UNPROTECTED, Protection
from controller.mobility.wire.codes import IcmpType, Protocol
from controller.mobility.wire.messages import Message
from controller.mobility.wire.packet import Packet
from controller.values import value

_PREFIX_SOLICITATION: Final = bytes((146,))


@value
class LinkInfo:
    """The link-layer side of a packet that came in on a home link."""

    source_mac: bytes
    """6 octets."""


class Fault(Enum):
    """Why a switch did not forward a packet that is for somebody else."""

    HOP_LIMIT = "hop limit"
    TOO_BIG = "too big"
    UNREACHABLE = "unreachable"


@value
class Obstacle:
    """What stopped a packet in a switch."""

    fault: Fault
    mtu: int = 0
    """Octets of the longest packet that could have gone on, where it was too big."""


@value
class LinkPacket:
    """An IPv6 packet for a home link: it is not routed."""

    home_agent: Address
    """The home agent address on that link."""
    destination_mac: bytes | None
    """6 octets; None: the one that the multicast destination maps to (RFC 2464 section 7)."""
    packet: bytes


@value
class Inbound:
    """A packet that came in, with all that a handler may want to know of it."""

    packet: Packet
    octets: bytes
    """The whole IPv6 packet."""
    now: float
    """Seconds of the engine's clock."""
    link: LinkInfo | None = None
    """Where the caller knows it: how it came in over the home link."""
    obstacle: Obstacle | None = None
    """Where it is for somebody else: why the switch handed it up instead of forwarding it."""
    in_esp: bool = False
    """It came in ESP, genuine and under the key of the node whose home address it names; `octets` are without ESP."""
    protection: Protection = UNPROTECTED
    """How it was proved, and so how it is answered."""

    @property
    def upper(self) -> bytes:
        """The upper-layer message, without what follows the IPv6 payload."""
        return self.packet.upper(self.octets)

    def proved(self, protection: Protection) -> "Inbound":
        """Return the same, with how it was proved."""
        return Inbound(self.packet, self.octets, self.now, self.link, self.obstacle, self.in_esp, protection)

    @property
    def is_prefix_solicitation(self) -> bool:
        """Whether it is a Mobile Prefix Solicitation (RFC 6275 section 6.7)."""
        return self.packet.protocol == Protocol.ICMPV6 and self.upper[:1] == _PREFIX_SOLICITATION


Handler: TypeAlias = Callable[[Inbound], None]
Topic: TypeAlias = type[Message] | IcmpType
"""What a packet is about: the class of its Mobility Header message, or its ICMPv6 type."""
RecordView: TypeAlias = Callable[[Address], NodeRecord | None]
"""Answers with the record in force of a home address."""


def topic(packet: Packet, octets: bytes) -> Topic | None:
    """Return what a packet is about, or None for anything that has no handler."""
    if packet.message is not None:
        return type(packet.message)
    if packet.protocol == Protocol.ICMPV6 and packet.payload < len(octets):
        return _ICMP_TYPES.get(octets[packet.payload])
    return None


_ICMP_TYPES = {int(kind): kind for kind in IcmpType}


class Part:
    """A part of the home agent with timers and an interest in what comes in force. Everything is optional."""

    def next_timer(self) -> float | None:
        """Return when `handle_timer` is due next, or None."""
        return None

    def handle_timer(self, now: float) -> None:
        """Do what is due by `now`."""

    def restored(self, record: NodeRecord) -> None:
        """Hear of a record that an earlier engine left."""

    def changed(self, before: NodeRecord | None, after: NodeRecord | None, now: float) -> None:
        """Hear that a record came in force: `before` is None for a new one, `after` for one that is gone."""
