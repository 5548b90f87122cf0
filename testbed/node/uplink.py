"""Which binding a packet of the node leaves by: the same flow rules as for packets to it, seen from the other side.

| order | rule | BID |
|---|---|---|
| 1 | the node's own flow bindings, by FID-PRI (RFC 6089 section 5.3.6) | the first of the flow's BIDs that is registered |
| 2 | the way by which packets of the same flow came | that one, so policies that only the home agent knows hold both ways |
| 3 | all others | the preferred binding (RFC 6089 section 4.4) |
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, NamedTuple

from controller.mobility.flows import FlowEntry, Span
from controller.mobility.model import Binding

MAX_FLOWS: Final = 4096
"""Flows whose way in is remembered; beyond, the one that was quiet longest is forgotten."""
_EXTENSIONS: Final = frozenset({0, 43, 60})
_PORTS: Final = frozenset({6, 17, 132, 136})
_FRAGMENT: Final = 44
_ESP: Final = 50
_AUTHENTICATION: Final = 51


class Upper(NamedTuple):
    """What selectors look at. Ports and SPI are None where the packet has none."""

    source: int
    destination: int
    protocol: int
    source_port: int | None
    destination_port: int | None
    spi: int | None
    traffic_class: int
    """Without its ECN bits."""
    flow_label: int

    def reversed(self) -> "Upper":
        """Return the fields of a packet of the same flow that goes the other way."""
        return self._replace(
            source=self.destination,
            destination=self.source,
            source_port=self.destination_port,
            destination_port=self.source_port,
        )


def read_upper(packet: bytes) -> Upper | None:
    """Return the fields of an IPv6 packet, extension headers passed over, or None when it is none or is cut short."""
    if len(packet) < 40 or packet[0] >> 4 != 6:
        return None
    first = int.from_bytes(packet[:4])
    protocol, offset, first_fragment = packet[6], 40, True
    while protocol in _EXTENSIONS or protocol == _FRAGMENT:
        if offset + 8 > len(packet):
            return None
        length = 8 if protocol == _FRAGMENT else 8 * (packet[offset + 1] + 1)
        if protocol == _FRAGMENT:
            first_fragment = int.from_bytes(packet[offset + 2 : offset + 4]) < 8
        protocol, offset = packet[offset], offset + length
        if not first_fragment:
            break
    ports: tuple[int | None, int | None] = (None, None)
    spi: int | None = None
    if first_fragment and protocol in _PORTS and offset + 4 <= len(packet):
        ports = (int.from_bytes(packet[offset : offset + 2]), int.from_bytes(packet[offset + 2 : offset + 4]))
    elif first_fragment and protocol == _ESP and offset + 4 <= len(packet):
        spi = int.from_bytes(packet[offset : offset + 4])
    elif first_fragment and protocol == _AUTHENTICATION and offset + 8 <= len(packet):
        spi = int.from_bytes(packet[offset + 4 : offset + 8])
    return Upper(
        int.from_bytes(packet[8:24]),
        int.from_bytes(packet[24:40]),
        protocol,
        *ports,
        spi,
        first >> 20 & 0xFC,
        first & 0xFFFFF,
    )


def matches(flow: FlowEntry, upper: Upper) -> bool:
    """Tell whether a packet to the node belongs to a flow."""
    selector = flow.selector
    if selector.ipv4:
        return False
    pairs: tuple[tuple[Span | None, int | None], ...] = (
        (selector.source, upper.source),
        (selector.destination, upper.destination),
        (selector.protocol, upper.protocol),
        (selector.source_ports, upper.source_port),
        (selector.destination_ports, upper.destination_port),
        (selector.spi, upper.spi),
        (selector.traffic_class, upper.traffic_class),
        (selector.flow_label, upper.flow_label),
    )
    return all(span is None or (value is not None and span.low <= value <= span.high) for span, value in pairs)


@dataclass(frozen=True, slots=True)
class _Ways:
    """What there is to choose from."""

    flows: tuple[FlowEntry, ...] = ()
    bids: AbstractSet[int] = frozenset()
    preferred: int | None = None


class Uplinks:
    """Chooses the BID of each packet that leaves.

    Args:
        follow: whether the second rule of the table applies.
    """

    def __init__(self, *, follow: bool) -> None:
        self._follow: Final = follow
        self._came: Final[OrderedDict[Upper, int]] = OrderedDict()
        self._ways = _Ways()

    def set_ways(self, flows: Iterable[FlowEntry], bindings: Iterable[Binding]) -> None:
        """Take note of the flow bindings and of what is registered."""
        ordered = sorted(bindings, key=lambda binding: (binding.priority or 128, binding.bid))
        self._ways = _Ways(
            tuple(sorted(flows, key=lambda flow: flow.priority)),
            frozenset(binding.bid for binding in ordered),
            ordered[0].bid if ordered else None,
        )

    def arrived(self, packet: bytes, bid: int) -> None:
        """Take note of a packet that came by a BID."""
        upper = read_upper(packet) if self._follow else None
        if upper is None:
            return
        self._came[upper] = bid
        self._came.move_to_end(upper)
        if len(self._came) > MAX_FLOWS:
            self._came.popitem(last=False)

    def choose(self, packet: bytes) -> int | None:
        """Return the BID for an IPv6 packet, None while nothing is registered."""
        ways = self._ways
        upper = read_upper(packet) if ways.flows or self._came else None
        if upper is None:
            return ways.preferred
        came = upper.reversed()
        for flow in ways.flows:
            if matches(flow, came):
                bid = next((bid for bid in flow.bids if bid in ways.bids), None)
                if bid is not None:
                    return bid
        bid = self._came.get(came)
        return bid if bid is not None and bid in ways.bids else ways.preferred

    @property
    def followed(self) -> Mapping[Upper, int]:
        """The flows whose way in is known."""
        return self._came
