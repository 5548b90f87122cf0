"""What a case is, and the frames that many of them need."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.dataplane.entries import Entry
from controller.dataplane.pipeline import DropReason, PuntReason
from controller.mobility.address import parse_address
from frames import (
    CELLULAR_COA,
    CELLULAR_MAC,
    CELLULAR_PORT,
    CN,
    CN_MAC,
    CN_PORT,
    HA,
    HOA,
    OTHER_COA,
    UDP,
    WIFI_COA,
    WIFI_MAC,
    WIFI_PORT,
    IPv6,
    Raw,
    from_switch,
    node_entries,
    static_entries,
    to_switch,
)

Frames = Sequence[tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Case:
    """Packets that are sent one after the other into tables that hold certain entries."""

    name: str
    send: Frames
    """Ports and frames."""
    out: Frames = ()
    """What leaves, all packets together, in any order."""
    punted: Sequence[tuple[int, PuntReason, bytes]] = ()
    drops: Mapping[DropReason, int] = field(default_factory=dict)
    """Packets by reason; their octets are those of the frames, if all frames are dropped."""
    entries: Sequence[Entry] = ()
    """In addition to, or instead of, the static ones and those of two nodes."""
    without: Sequence[Entry] = ()
    counters: Mapping[tuple[str, tuple[Any, ...]], tuple[int, int]] = field(default_factory=dict)
    """Direct counters: packets and octets, by table and key."""
    mtus: Sequence[int] | None = None
    """The MTU that came with each punted packet."""

    def tables(self) -> list[Entry]:
        """Return all entries."""
        found = {entry.key: entry for entry in (*static_entries(), *node_entries())}
        for entry in self.without:
            del found[entry.key]
        found.update((entry.key, entry) for entry in self.entries)
        return list(found.values())


def label(packet: IPv6, sport: int = 0, dport: int = 0, protocol: int = 17, spi: int = 0) -> int:
    """Return the flow label of the outer header: CRC-32 over addresses, protocol, ports and SPI, 20 bits, never 0."""
    return label_of(parse_address(packet.src) + parse_address(packet.dst), sport, dport, protocol, spi)


def label_of(addresses: bytes, sport: int, dport: int, protocol: int, spi: int) -> int:
    words = bytes([protocol]) + sport.to_bytes(2) + dport.to_bytes(2) + spi.to_bytes(4)
    return (zlib.crc32(addresses + words) & 0xFFFFF) or 1


CARE_OF = {1: (WIFI_COA, WIFI_PORT, WIFI_MAC), 2: (CELLULAR_COA, CELLULAR_PORT, CELLULAR_MAC)}
OTHER = (OTHER_COA, WIFI_PORT, WIFI_MAC)


def one_hop_less(packet: Any) -> Any:
    after = packet.copy()
    after.hlim -= 1
    return after


def tunnelled(packet: Any, bid: int, flow_label: int) -> tuple[int, bytes]:
    """Return what must leave for a packet towards the node by one of its bindings."""
    care_of, port, station = CARE_OF[bid]
    outer = IPv6(src=HA, dst=care_of, hlim=64, nh=41, tc=packet.tc, fl=flow_label)
    return port, from_switch(outer / one_hop_less(packet), station)


def from_cn(packet: Any) -> tuple[int, bytes]:
    return CN_PORT, to_switch(packet)


def to_cn(packet: Any) -> tuple[int, bytes]:
    return CN_PORT, from_switch(packet, CN_MAC)


def from_node(**header: Any) -> Any:
    """Return a datagram of the node's to the correspondent, as it is inside of the tunnel."""
    return IPv6(**{"src": HOA, "dst": CN, "hlim": 33, **header}) / UDP(sport=5000, dport=4000) / Raw(b"up")


def reverse(inner: Any, care_of: str = WIFI_COA, **outer: Any) -> tuple[int, bytes]:
    return WIFI_PORT, to_switch(IPv6(**{"src": care_of, "dst": HA, **outer}) / inner, WIFI_MAC)


def dropped(name: str, reason: DropReason, *frames: tuple[int, bytes], **more: Any) -> Case:
    return Case(name, frames, drops={reason: len(frames)}, **more)
