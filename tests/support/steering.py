"""Where a switch steers a packet, read off the entries that the planner wants: the highest priority that matches."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, Match, Range, Ternary
from controller.dataplane.ids import Ids
from controller.dataplane.planner import node_entries, shared
from controller.mobility.flows import FlowPolicy
from controller.mobility.model import NodeRecord


@dataclass(frozen=True, slots=True)
class Seen:
    """A packet as the parser of a switch sees it."""

    source: int = 1 << 125
    destination: int = 0
    protocol: int = 59
    source_ports: int = 0
    destination_ports: int = 0
    traffic_class: int = 0
    flow_label: int = 0
    spi: int = 0
    ipv4: int = 0


def takes(entry: Entry, packet: Seen) -> bool:
    def fits(match: Match, value: int) -> bool:
        match match:
            case None:
                return True
            case Ternary(wanted, mask):
                assert not wanted & ~mask, "P4Runtime refuses bits outside of the mask"
                return value & mask == wanted
            case Range(low, high):
                return low <= value <= high
        raise AssertionError(match)

    values = (
        packet.source, packet.destination, packet.protocol, packet.source_ports, packet.destination_ports,
        packet.traffic_class, packet.flow_label, packet.spi, packet.ipv4,
    )  # fmt: skip
    return all(fits(match, value) for match, value in zip(entry.match[1:], values, strict=True))


def numbered(record: NodeRecord, policies: Collection[FlowPolicy] = ()) -> Ids:
    ids = Ids()
    ids.nodes.hold(record.home_address, record.home_address)
    for thing in shared(record, policies):
        ids.hold(thing, record.home_address)
    return ids


def steered(record: NodeRecord, packet: Seen, policies: Iterable[FlowPolicy] = ()) -> int:
    """Return the BID to which a switch steers a packet."""
    several = tuple(policies)
    entries = node_entries(record, numbered(record, several), several).values()
    hits = [entry for entry in entries if entry.table == p.FLOW_BINDINGS and takes(entry, packet)]
    if hits:
        return max(hits, key=lambda entry: entry.priority).params[0]
    (default,) = [entry for entry in entries if entry.table == p.DEFAULT_BINDING]
    return default.params[0]
