"""Which traffic of a mobile node takes which path: selectors and flow bindings (RFC 6088, RFC 6089)."""

from collections.abc import Collection
from typing import NamedTuple, TypeAlias

from controller.mobility.address import Address, Prefix
from controller.values import value


class PortRange(NamedTuple):
    """An inclusive range of ports, 0 to 65535."""

    low: int
    high: int


@value
class TrafficSelector:
    """What packets towards a mobile node a flow binding takes. None in a field: any value.

    Directions are those of a packet to the node: "source" is the correspondent's side (RFC 6088 section 3).
    """

    source: Prefix | None = None
    destination: Prefix | None = None
    protocol: int | None = None
    """Upper-layer protocol number after extension headers, 0 to 255."""
    source_ports: PortRange | None = None
    destination_ports: PortRange | None = None
    dscp: int | None = None
    """Differentiated services code point, 0 to 63: the top six bits of the traffic class."""
    flow_label: int | None = None
    """20 bits."""
    spi: int | None = None
    """Security parameter index of ESP or AH, 32 bits."""


@value
class Steer:
    """Packets go to one BID. While it is not registered, the policy is inactive (RFC 6089 section 5.3.4)."""

    bid: int
    """1 to 65535."""


@value
class Replicate:
    """A copy of every packet goes to each of these BIDs that is registered (RFC 6089 section 5.3.6); inactive while none is."""

    bids: tuple[int, ...]
    """At least one, all different."""


class Share(NamedTuple):
    """One BID's part of a balanced flow."""

    bid: int
    weight: int
    """1 to `MAX_WEIGHT`: of all weights of the registered BIDs together, so many take this one."""


@value
class Balance:
    """Each 5-tuple goes to one of these BIDs and stays there; inactive while none is registered."""

    shares: tuple[Share, ...]
    """At least one, all of different BIDs."""


@value
class Discard:
    """Packets are dropped and counted."""


MAX_WEIGHT = 64
MAX_TARGETS = 8
"""Most BIDs of one flow that is replicated or balanced."""

Treatment: TypeAlias = Steer | Replicate | Balance | Discard
"""What becomes of the packets that a policy takes."""


@value
class FlowPolicy:
    """An operator's flow binding: what becomes of some of the traffic towards one mobile node."""

    name: str
    """Unique for a mobile node."""
    home_address: Address
    priority: int
    """1 (first) to 65535, unique for a mobile node, as FID-PRI in RFC 6089 section 4.2."""
    selector: TrafficSelector
    treatment: Treatment
    fallback: bool = False
    """It takes what no other policy and no flow of the node's takes, in place of the preferred binding; its selector is empty.

    While several are active the first priority counts; while none is, the preferred binding.
    """

    @property
    def bids(self) -> tuple[int, ...]:
        """The BIDs to which packets may go, none when they are dropped."""
        match self.treatment:
            case Steer(bid):
                return (bid,)
            case Replicate(bids):
                return bids
            case Balance(shares):
                return tuple(share.bid for share in shares)
            case Discard():
                return ()

    def is_active(self, registered: Collection[int]) -> bool:
        """Tell whether it is in force while these BIDs are registered (RFC 6089 section 5.3.4)."""
        return isinstance(self.treatment, Discard) or any(bid in registered for bid in self.bids)


class Span(NamedTuple):
    """An inclusive range of numbers."""

    low: int
    high: int


@value
class FlowSelector:
    """What packets a flow takes that a mobile node signalled (RFC 6088). None in a field: any value.

    Beside `TrafficSelector`, an operator's, every field is a range, because that is what the RFC allows.
    """

    ipv4: bool = False
    """It takes IPv4 packets only; otherwise IPv6 packets only."""
    source: Span | None = None
    """Addresses as numbers of 32 or 128 bits; the correspondent's side."""
    destination: Span | None = None
    spi: Span | None = None
    flow_label: Span | None = None
    """20 bits; IPv6 only."""
    source_ports: Span | None = None
    destination_ports: Span | None = None
    traffic_class: Span | None = None
    """8 bits of which the lower two are zero: DSCP without ECN."""
    protocol: Span | None = None
    """Upper-layer protocol after extension headers."""


@value
class FlowEntry:
    """A flow binding that a mobile node signalled (RFC 6089 section 5.3)."""

    fid: int
    """Flow identifier, 1 to 65535, unique for a mobile node."""
    priority: int
    """FID-PRI, 1 (first) to 65535, unique for a mobile node."""
    selector: FlowSelector
    bids: tuple[int, ...]
    """Where it goes, at least one, in the node's order; several: a copy to each that is registered."""
