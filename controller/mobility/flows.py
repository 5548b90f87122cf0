"""Which traffic of a mobile node takes which path: selectors and flow bindings (RFC 6088, RFC 6089)."""

from dataclasses import dataclass
from typing import NamedTuple

from controller.mobility.address import Address, Prefix


class PortRange(NamedTuple):
    """An inclusive range of ports, 0 to 65535."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class FlowPolicy:
    """An operator's flow binding: traffic of one mobile node that goes to one BID."""

    name: str
    """Unique for a mobile node."""
    home_address: Address
    priority: int
    """1 (first) to 65535, unique for a mobile node, as FID-PRI in RFC 6089 section 4.2."""
    selector: TrafficSelector
    bid: int
    """Where it goes, 1 to 65535; while that BID is not registered the policy is inactive (RFC 6089 section 5.3.4)."""


class Span(NamedTuple):
    """An inclusive range of numbers."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class FlowEntry:
    """A flow binding that a mobile node signalled (RFC 6089 section 5.3)."""

    fid: int
    """Flow identifier, 1 to 65535, unique for a mobile node."""
    priority: int
    """FID-PRI, 1 (first) to 65535, unique for a mobile node."""
    selector: FlowSelector
    bids: tuple[int, ...]
    """Where it goes, at least one, in the node's order; several: a copy to each that is registered."""
