"""To the node and back: steering, encapsulation, the checks of the reverse tunnel, decapsulation."""

import zlib
from typing import Any

import pytest
from scapy.layers.ipsec import ESP

from controller.dataplane.entries import Entry, Ternary
from controller.dataplane.pipeline import DropReason
from controller.mobility.address import parse_address
from frames import (
    CELLULAR_COA,
    CELLULAR_MAC,
    CELLULAR_PORT,
    CN,
    CN_MAC,
    CN_PORT,
    HA,
    HAO,
    HOA,
    NODE,
    OTHER_COA,
    OTHER_HOA,
    TCP,
    UDP,
    WIFI_COA,
    WIFI_MAC,
    WIFI_PORT,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
    PadN,
    Raw,
    exactly,
    flow,
    from_switch,
    node_entries,
    number,
    ports,
    static_entries,
    to_switch,
    tunnel,
    udp_to_node,
)
from rig import Rig

CARE_OF = {1: (WIFI_COA, WIFI_PORT, WIFI_MAC), 2: (CELLULAR_COA, CELLULAR_PORT, CELLULAR_MAC)}


@pytest.fixture
def home(rig: Rig) -> Rig:
    rig.install(static_entries())
    rig.install(node_entries())
    return rig


def label(packet: IPv6, sport: int, dport: int, protocol: int, spi: int = 0) -> int:
    """The flow label that the outer header must have: CRC-32 over the inner flow, 20 bits, never 0."""
    words = bytes([protocol]) + sport.to_bytes(2) + dport.to_bytes(2) + spi.to_bytes(4)
    return (zlib.crc32(parse_address(packet.src) + parse_address(packet.dst) + words) & 0xFFFFF) or 1


def tunnelled(packet: IPv6, bid: int, flow_label: int) -> tuple[int, bytes]:
    """What must leave for a packet towards the node by one of its bindings."""
    care_of, port, station = CARE_OF[bid]
    inner = packet.copy()
    inner.hlim -= 1
    outer = IPv6(src=HA, dst=care_of, hlim=64, nh=41, tc=packet.tc, fl=flow_label)
    return port, from_switch(outer / inner, station)


def sent_by(rig: Rig, packet: IPv6) -> int:
    """Send a packet from the correspondent; return the BID by which it left."""
    sent = rig.send(CN_PORT, to_switch(packet))
    assert len(sent) == 1, rig.drops()
    return next(bid for bid, (_, port, _) in CARE_OF.items() if port == sent[0][0])


@pytest.mark.parametrize("size", [0, 1, 7, 255, 1000, 1400, 8000])
def test_a_packet_to_the_home_address_is_tunnelled_to_the_care_of_address(home: Rig, size: int) -> None:
    packet = udp_to_node(size)
    assert home.send(CN_PORT, to_switch(packet)) == [tunnelled(packet, 1, label(packet, 4000, 5000, 17))]
    assert home.counter("tunnels", (NODE, 1)) == (1, 14 + 40 + 8 + size)


@pytest.mark.parametrize("traffic_class", [0x00, 0x01, 0x02, 0x03, 0xB8, 0xFF])
def test_traffic_class_and_ecn_are_copied_outside(home: Rig, traffic_class: int) -> None:
    packet = udp_to_node(tc=traffic_class, fl=0x12345)
    assert home.send(CN_PORT, to_switch(packet)) == [tunnelled(packet, 1, label(packet, 4000, 5000, 17))]


def test_a_packet_too_long_for_an_outer_header_is_dropped(home: Rig) -> None:
    frame = to_switch(udp_to_node(65495 - 8 + 1))
    if len(frame) > home.longest:
        pytest.skip(f"the target's wires carry no frame of {len(frame)} octets")
    assert home.send(CN_PORT, frame) == []
    assert home.drops() == {DropReason.TOO_BIG: (1, len(frame))}


@pytest.mark.parametrize(
    "extension",
    [
        IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))]),
        IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(12))]),
        IPv6ExtHdrDestOpt(options=[HAO(hoa=CN)]),
    ],
    ids=["8 octets", "16 octets", "24 octets"],
)
def test_ports_behind_an_extension_header_count(home: Rig, extension: IPv6ExtHdrDestOpt) -> None:
    home.install([flow(2, protocol=exactly(17, 8), destination_port=ports(5000, 5000))])
    packet = IPv6(src=CN, dst=HOA) / extension / UDP(sport=4000, dport=5000) / Raw(b"behind")
    assert home.send(CN_PORT, to_switch(packet)) == [tunnelled(packet, 2, label(packet, 4000, 5000, 17))]


@pytest.mark.parametrize(
    ("selectors", "packet", "bid"),
    [
        ({"destination_port": ports(5000, 5010)}, udp_to_node(dport=5010), 2),
        ({"destination_port": ports(5000, 5010)}, udp_to_node(dport=5011), 1),
        ({"source_port": ports(4000, 4000)}, udp_to_node(), 2),
        ({"protocol": exactly(6, 8)}, udp_to_node(), 1),
        ({"protocol": exactly(6, 8)}, IPv6(src=CN, dst=HOA) / TCP(sport=4000, dport=5000), 2),
        ({"source": Ternary(number("2001:db8:c::"), (2**48 - 1) << 80)}, udp_to_node(), 2),
        ({"source": Ternary(number("2001:db8:d::"), (2**48 - 1) << 80)}, udp_to_node(), 1),
        ({"destination": exactly(number(HOA), 128)}, udp_to_node(), 2),
        ({"traffic_class": Ternary(46 << 2, 0xFC)}, udp_to_node(tc=46 << 2 | 1), 2),
        ({"traffic_class": Ternary(46 << 2, 0xFC)}, udp_to_node(tc=10 << 2), 1),
        ({"flow_label": exactly(0xABCDE, 20)}, udp_to_node(fl=0xABCDE), 2),
        ({"spi": exactly(0x1234, 32)}, IPv6(src=CN, dst=HOA) / ESP(spi=0x1234, seq=1, data=bytes(16)), 2),
        ({"spi": exactly(0x1234, 32)}, IPv6(src=CN, dst=HOA) / ESP(spi=0x1235, seq=1, data=bytes(16)), 1),
        ({"node": 8}, udp_to_node(), 1),
        ({}, udp_to_node(), 2),
    ],
)
def test_a_flow_binding_takes_what_its_selectors_say(
    home: Rig, selectors: dict[str, Any], packet: IPv6, bid: int
) -> None:
    home.install([flow(2, **selectors)])
    assert sent_by(home, packet) == bid


def test_the_first_flow_binding_by_priority_decides(home: Rig) -> None:
    home.install([flow(1, priority=20, protocol=exactly(17, 8)), flow(2, priority=30, source_port=ports(1, 65535))])
    assert sent_by(home, udp_to_node()) == 2


def test_a_handover_is_one_changed_entry(home: Rig) -> None:
    assert sent_by(home, udp_to_node()) == 1
    home.modify([tunnel(1, CELLULAR_COA)])
    packet = udp_to_node()
    assert home.send(CN_PORT, to_switch(packet)) == [tunnelled(packet, 2, label(packet, 4000, 5000, 17))]


def test_a_flow_binding_may_drop(home: Rig) -> None:
    home.install([Entry("flow_bindings", (NODE, *[None] * 9), "drop_flow", (), 5)])
    frame = to_switch(udp_to_node())
    assert home.send(CN_PORT, frame) == []
    assert home.drops() == {DropReason.POLICY: (1, len(frame))}


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        (tunnel(1, WIFI_COA), DropReason.NO_TUNNEL),
        (Entry("default_binding", (NODE,), "steer", (1,)), DropReason.NO_BINDING),
    ],
)
def test_a_node_whose_way_is_missing_is_dropped_with_the_reason(home: Rig, missing: Entry, reason: DropReason) -> None:
    home.delete([missing])
    frame = to_switch(udp_to_node())
    assert home.send(CN_PORT, frame) == []
    assert home.drops() == {reason: (1, len(frame))}


def test_a_mobile_network_is_reached_through_its_router(home: Rig) -> None:
    packet = IPv6(src=CN, dst="2001:db8:77:1::5") / UDP(sport=1, dport=2)
    assert home.send(CN_PORT, to_switch(packet)) == [tunnelled(packet, 1, label(packet, 1, 2, 17))]


def reverse(inner: IPv6, care_of: str = WIFI_COA, **outer: object) -> bytes:
    return to_switch(IPv6(**{"src": care_of, "dst": HA, **outer}) / inner, WIFI_MAC)


def from_node(**header: object) -> IPv6:
    return IPv6(**{"src": HOA, "dst": CN, "hlim": 33, **header}) / UDP(sport=5000, dport=4000) / Raw(b"up")


def test_the_nodes_own_packet_leaves_the_tunnel(home: Rig) -> None:
    frame = reverse(from_node())
    assert home.send(WIFI_PORT, frame) == [(CN_PORT, from_switch(from_node(hlim=32), CN_MAC))]
    assert home.counter("source_bindings", (21, NODE)) == (1, len(frame))


def test_an_encapsulation_limit_is_taken_off_with_the_outer_header(home: Rig) -> None:
    outer = IPv6(src=WIFI_COA, dst=HA) / Raw(bytes.fromhex("2900040104010100"))
    outer.nh = 60
    frame = to_switch(outer / Raw(bytes(from_node())), WIFI_MAC)
    assert home.send(WIFI_PORT, frame) == [(CN_PORT, from_switch(from_node(hlim=32), CN_MAC))]


def test_a_packet_from_the_mobile_network_leaves_the_tunnel(home: Rig) -> None:
    inner = from_node(src="2001:db8:77::abc")
    after = from_node(src="2001:db8:77::abc", hlim=32)
    assert home.send(WIFI_PORT, reverse(inner)) == [(CN_PORT, from_switch(after, CN_MAC))]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (reverse(from_node(), "2001:db8:a1::66"), DropReason.UNREGISTERED_OUTER_SOURCE),
        (reverse(from_node(src=OTHER_HOA)), DropReason.FORGED_INNER_SOURCE),
        (reverse(from_node(), OTHER_COA), DropReason.FORGED_INNER_SOURCE),
        (reverse(from_node(src="2001:db8:78::1"), CELLULAR_COA), DropReason.FORGED_INNER_SOURCE),
        (reverse(from_node(hlim=1)), DropReason.HOP_LIMIT),
        (reverse(from_node(version=4)), DropReason.MALFORMED),
        (reverse(from_node(plen=200)), DropReason.MALFORMED),
        (reverse(from_node(src="ff0e::1")), DropReason.MALFORMED),
        (reverse(from_node(dst="ff02::1")), DropReason.SCOPE),
        (reverse(from_node())[:80], DropReason.MALFORMED),
    ],
    ids=lambda value: value.name if isinstance(value, DropReason) else "",
)
def test_the_reverse_tunnel_is_for_its_owner_only(home: Rig, frame: bytes, reason: DropReason) -> None:
    assert home.send(WIFI_PORT, frame) == []
    assert home.drops() == {reason: (1, len(frame))}


# RFC 6040 section 4.2; None: dropped. Rows: inner Not-ECT, ECT(1), ECT(0), CE; columns: outer in the same order.
ECN_AFTER: list[list[int | None]] = [
    [0, 0, 0, None],
    [1, 1, 1, 3],
    [2, 1, 2, 3],
    [3, 3, 3, 3],
]


@pytest.mark.parametrize("outer", range(4))
@pytest.mark.parametrize("inner", range(4))
def test_congestion_marks_come_out_of_the_tunnel(home: Rig, inner: int, outer: int) -> None:
    dscp = 10 << 2
    frame = reverse(from_node(tc=dscp | inner), tc=outer)
    after = ECN_AFTER[inner][outer]
    if after is None:
        assert home.send(WIFI_PORT, frame) == []
        assert home.drops() == {DropReason.ECN: (1, len(frame))}
    else:
        expected = from_switch(from_node(hlim=32, tc=dscp | after), CN_MAC)
        assert home.send(WIFI_PORT, frame) == [(CN_PORT, expected)]


def test_one_node_talks_to_the_other_through_both_tunnels(home: Rig) -> None:
    inner = from_node(dst=OTHER_HOA)
    after = from_node(dst=OTHER_HOA, hlim=32)
    outer = IPv6(src=HA, dst=OTHER_COA, hlim=64, fl=label(inner, 5000, 4000, 17))
    assert home.send(CELLULAR_PORT, reverse(inner, CELLULAR_COA)) == [(WIFI_PORT, from_switch(outer / after, WIFI_MAC))]


def test_a_tunnel_towards_the_node_is_wrapped_once_more(home: Rig) -> None:
    # What is inside another's tunnel is not the packet's upper layer: its ports must not steer.
    home.install([flow(2, destination_port=ports(5000, 5000))])
    packet = IPv6(src=CN, dst=HOA) / IPv6(src="2001:db8:9::1", dst="2001:db8:9::2") / UDP(sport=1, dport=5000)
    assert home.send(CN_PORT, to_switch(packet)) == [tunnelled(packet, 1, label(packet, 0, 0, 41))]
