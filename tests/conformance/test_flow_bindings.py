"""FLOW: flow bindings (RFC 6089, RFC 6088)."""

import struct
from dataclasses import replace

import pytest

import frames
from conformance import requirement
from conformance.dataplane import CELLULAR, CELLULAR_PORT, CN, CN_PORT, WIFI, WIFI_PORT, Switch
from conformance.flows import FIRST_PORT, LAST_PORT, PROTOCOL, flow, flows_of, reference, selector, summary, udp
from conformance.harness import COA1, COA2, COA3, HOA, Bed, make_config
from conformance.packets import bid, checksum, ipv6
from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry
from controller.dataplane.planner import node_entries
from controller.mobility.address import Address, parse_address
from controller.mobility.expansion import KeyShape
from controller.mobility.flows import FlowEntry, FlowSelector, Span
from controller.mobility.model import NodeRecord
from controller.mobility.provision import NodeProvision
from rig import Rig
from steering import Seen, numbered, steered

VIDEO = Seen(destination=int.from_bytes(HOA), protocol=17, destination_ports=5004)
UDP = FlowSelector(protocol=Span(17, 17))


def record(bed: Bed) -> NodeRecord:
    found = bed.engine.record(Address(HOA))
    assert found is not None
    return found


def fids(bed: Bed) -> list[int]:
    """Return the flows in force, first priority first."""
    return [one.fid for one in record(bed).flows]


@pytest.fixture
def three(bed: Bed) -> Bed:
    """Three BIDs, of which the third is preferred."""
    bed.register(bid(1, COA1, priority=20), bid(2, COA2, priority=30), bid(3, COA3, priority=10))
    return bed


@requirement("FLOW-01")
def test_flow_01_a_new_flow_is_installed(bed: Bed) -> None:
    ack = bed.register(bid(1, COA1), bid(2, COA2), flow(7, 100, reference(2), udp(5000, 5010)))
    assert ack.status == 0
    assert flows_of(ack) == [(7, 0)]
    (data,) = [data for kind, data in ack.options if kind == 45]
    assert data == struct.pack("!HHH", 7, 100, 0) + reference(2) + udp(5000, 5010), "a copy of what was sent"
    wanted = FlowSelector(destination_ports=Span(5000, 5010), protocol=Span(17, 17))
    assert record(bed).flows == (FlowEntry(7, 100, wanted, (2,)),)
    assert steered(record(bed), VIDEO) == 2


@requirement("FLOW-02")
def test_flow_02_a_new_flow_needs_a_selector(bed: Bed) -> None:
    ack = bed.register(bid(1, COA1), flow(7, 100, reference(1)))
    assert (ack.status, flows_of(ack), fids(bed)) == (0, [(7, 130)], [])


@requirement("FLOW-03")
def test_flow_03_a_new_flow_needs_a_binding_reference(bed: Bed) -> None:
    ack = bed.register(bid(1, COA1), flow(7, 100, udp()))
    assert (ack.status, flows_of(ack), fids(bed)) == (0, [(7, 130)], [])


@requirement("FLOW-04")
def test_flow_04_an_unknown_selector_format_is_133(bed: Bed) -> None:
    ack = bed.register(bid(1, COA1), flow(7, 100, reference(1), selector(bytes(4), 9)))
    assert (ack.status, flows_of(ack), fids(bed)) == (0, [(7, 133)], [])


@requirement("FLOW-05")
def test_flow_05_an_unknown_bid_is_131(bed: Bed) -> None:
    ack = bed.register(bid(1, COA1), flow(7, 100, reference(77), udp()))
    assert (ack.status, flows_of(ack), fids(bed)) == (0, [(7, 131)], [])


@requirement("FLOW-06")
def test_flow_06_one_fid_twice_refuses_all_flow_options(bed: Bed) -> None:
    twice = (flow(7, 1, reference(1), udp()), flow(8, 2, reference(1), udp(53)), flow(7, 3, reference(1), udp(80)))
    ack = bed.register(bid(1, COA1), *twice)
    assert (ack.status, flows_of(ack), fids(bed)) == (0, [(7, 130), (8, 130), (7, 130)], [])
    assert bed.care_of() == {1: COA1}


@requirement("FLOW-07")
@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), FlowEntry(7, 50, UDP, (1,))),
        ((reference(2),), FlowEntry(7, 50, UDP, (2,))),
        (
            (udp(53),),
            FlowEntry(7, 50, FlowSelector(destination_ports=Span(53, 53), protocol=Span(17, 17)), (1,)),
        ),
    ],
)
def test_flow_07_a_known_flow_is_changed_in_what_is_given(
    three: Bed, parts: tuple[bytes, ...], expected: FlowEntry
) -> None:
    three.register(bid(1), flow(7, 100, reference(1), udp()))
    assert flows_of(three.register(bid(1), flow(7, 50, *parts))) == [(7, 0)]
    assert record(three).flows == (expected,)


@requirement("FLOW-07")
@pytest.mark.parametrize(("part", "status"), [(reference(77), 131), (selector(bytes(4), 9), 133), (reference(), 130)])
def test_flow_07_a_refused_change_leaves_the_flow_as_it_was(three: Bed, part: bytes, status: int) -> None:
    three.register(bid(1), flow(7, 100, reference(1), udp()))
    before = record(three).flows
    assert flows_of(three.register(bid(1), flow(7, 50, part))) == [(7, status)]
    assert record(three).flows == before


@requirement("FLOW-08")
def test_flow_08_a_summary_keeps_what_it_names(three: Bed) -> None:
    three.register(bid(1), flow(1, 1, reference(1), udp(1)), flow(2, 2, reference(1), udp(2)))
    ack = three.register(bid(1), summary(1, 9), summary(1))
    assert flows_of(ack) == [(9, 132)]
    assert fids(three) == [1]


@requirement("FLOW-09")
def test_flow_09_what_is_not_named_is_deleted(three: Bed) -> None:
    three.register(bid(1), flow(1, 1, reference(1), udp(1)), flow(2, 2, reference(1), udp(2)))
    three.register(bid(1), flow(2, 2))
    assert fids(three) == [2]
    assert three.register(bid(1), bid(2), bid(3)).status == 0
    assert fids(three) == []


@requirement("FLOW-10")
def test_flow_10_a_flow_sleeps_while_its_bids_are_away(three: Bed) -> None:
    three.register(bid(2), flow(7, 1, reference(2), udp()))
    assert steered(record(three), VIDEO) == 2
    three.register(bid(2), summary(7), lifetime=0)
    assert fids(three) == [7]
    assert steered(record(three), VIDEO) == 3
    three.register(bid(2, COA2), summary(7))
    assert steered(record(three), VIDEO) == 2


@requirement("FLOW-10")
def test_flow_10_also_when_its_bid_runs_out(three: Bed) -> None:
    three.register(bid(2), lifetime=15)
    three.register(bid(1), bid(3, priority=10), flow(7, 1, reference(2), udp()), lifetime=100)
    three.advance(61)
    assert sorted(three.care_of()) == [1, 3]
    assert fids(three) == [7]
    assert steered(record(three), VIDEO) == 3


@requirement("FLOW-11")
def test_flow_11_the_lowest_priority_number_wins(three: Bed) -> None:
    three.register(bid(1), flow(1, 10, reference(1), udp()), flow(2, 20, reference(2), udp(5000, 5010)))
    assert steered(record(three), VIDEO) == 1
    # They change places in one message.
    ack = three.register(bid(1), flow(1, 20), flow(2, 10))
    assert flows_of(ack) == [(1, 0), (2, 0)]
    assert steered(record(three), VIDEO) == 2


@requirement("FLOW-11")
def test_flow_11_a_priority_belongs_to_one_flow(three: Bed) -> None:
    three.register(bid(1), flow(1, 10, reference(1), udp(1)))
    ack = three.register(bid(1), summary(1), flow(2, 10, reference(1), udp(2)), flow(3, 11, reference(1), udp(3)))
    assert flows_of(ack) == [(2, 130), (3, 0)]
    assert fids(three) == [1, 3]


@requirement("FLOW-12")
def test_flow_12_a_flow_may_go_to_several_bids(bed: Bed) -> None:
    ack = bed.register(bid(1, COA1), bid(2, COA2), flow(7, 1, reference(1, 2), udp()))
    assert flows_of(ack) == [(7, 0)]
    assert record(bed).active_bids(record(bed).flows[0]) == (1, 2)
    assert copied(record(bed)) == (1, 2)
    bed.register(bid(2), summary(7), lifetime=0)
    assert record(bed).active_bids(record(bed).flows[0]) == (1,)
    assert copied(record(bed)) == ()
    assert steered(record(bed), VIDEO) == 1


def copied(node: NodeRecord) -> tuple[int, ...]:
    """Return the BIDs to which a switch copies the packets of a node's only flow; none: it copies nothing."""
    entries = node_entries(node, numbered(node))
    (flow_entry,) = (one for one in entries.values() if one.table == p.FLOW_BINDINGS)
    if flow_entry.action != p.REPLICATE_FLOW:
        return ()
    return entries[p.MULTICAST_GROUPS, flow_entry.params, 0].params


@requirement("FLOW-12")
def test_flow_12_each_bid_gets_a_copy(rig: Rig) -> None:
    group = Entry("multicast_groups", (5,), "copy", (1, 2))
    replicate = Entry("flow_bindings", (frames.NODE, *[None] * 9), "replicate_flow", (5,), 10)
    rig.install([*frames.static_entries(), *frames.node_entries(), group, replicate])
    sent = rig.send(frames.CN_PORT, frames.to_switch(frames.udp_to_node()))
    care_of = {parse_address(frames.WIFI_COA), parse_address(frames.CELLULAR_COA)}
    assert {frame[38:54] for _, frame in sent} == care_of
    assert len(sent) == 2


@requirement("FLOW-13")
def test_flow_13_what_no_flow_takes_goes_to_the_lowest_bid_priority(three: Bed) -> None:
    three.register(bid(1, priority=20), flow(7, 1, reference(1), udp()))
    assert steered(record(three), replace(VIDEO, protocol=58, destination_ports=0)) == 3


def fragment(packet: bytes, start: int, end: int, *, identification: int = 7) -> bytes:
    """Return a fragment of a packet without extension headers: octets of its payload, from a multiple of 8 on."""
    piece = packet[40 + start : 40 + end]
    more = 40 + end < len(packet)
    head = struct.pack("!BBHI", packet[6], 0, start | more, identification)
    return packet[:4] + struct.pack("!HB", 8 + len(piece), 44) + packet[7:40] + head + piece


@pytest.fixture
def video(bed: Bed, rig: Rig) -> Switch:
    """WiFi is preferred; what goes to UDP port 5004 takes the cellular way, through a switch."""
    options = (bid(1, WIFI, priority=10), bid(2, CELLULAR, priority=20))
    bed.register(*options, flow(7, 1, reference(2), udp(5004)), source=WIFI)
    return Switch(rig, bed)


@requirement("FLOW-14")
def test_flow_14_all_fragments_of_a_packet_take_one_way(video: Switch) -> None:
    """A switch keeps no state of packets, so it reads ports of no fragment, the first one included: none is torn apart."""
    packet = datagram(5004, 1000)
    ((whole, _),) = video.send(CN_PORT, packet)
    assert whole == CELLULAR_PORT
    ways = [
        video.send(CN_PORT, fragment(packet, start, end))
        for start, end in ((0, 496), (496, 992), (992, 1008), (0, 8), (496, 992))
    ]
    assert [port for ((port, _),) in ways] == [WIFI_PORT] * 5


@requirement("FLOW-14")
def test_flow_14_a_selector_without_ports_takes_all_fragments(bed: Bed, rig: Rig) -> None:
    source = selector(struct.pack("!I", 1 << 31) + CN)
    options = (bid(1, WIFI, priority=10), bid(2, CELLULAR, priority=20))
    bed.register(*options, flow(7, 1, reference(2), source), source=WIFI)
    switch, packet = Switch(rig, bed), datagram(5004, 1000)
    ways = [switch.send(CN_PORT, fragment(packet, start, end)) for start, end in ((0, 496), (496, 1008))]
    assert [port for ((port, _),) in ways] == [CELLULAR_PORT] * 2


def datagram(port: int, size: int) -> bytes:
    """Return a UDP packet from the correspondent to the home address."""
    head = struct.pack("!HHH", 4000, port, 8 + size)
    value = checksum(CN, HOA, 17, head + bytes(2 + size))
    return ipv6(CN, HOA, 17, head + struct.pack("!H", value) + bytes(size))


@requirement("FLOW-15")
def test_flow_15_bids_come_first(bed: Bed) -> None:
    ack = bed.register(flow(7, 1, reference(1), udp()), bid(1, COA1))
    assert (flows_of(ack), fids(bed)) == ([(7, 0)], [7])


@requirement("FLOW-15")
def test_flow_15_a_bid_that_was_refused_is_not_there(bed: Bed) -> None:
    ack = bed.register(bid(1, COA1), bid(9), flow(7, 1, reference(9), udp()))
    assert (ack.status, ack.bids, flows_of(ack)) == (4, [(1, 0), (9, 167)], [(7, 131)])


@requirement("FLOW-15")
def test_flow_15_a_refused_binding_update_changes_no_flow(three: Bed) -> None:
    three.register(bid(1), flow(7, 1, reference(1), udp()))
    ack = three.register(bid(9), flow(8, 2, reference(1), udp(1)))
    assert (ack.status, flows_of(ack), fids(three)) == (167, [], [7])


@requirement("FLOW-16")
def test_flow_16_no_priority_comes_after_any(bed: Bed) -> None:
    bed.register(bid(1, COA1), bid(2, COA2, priority=127), bid(3, COA3))
    assert steered(record(bed), VIDEO) == 2
    bed.register(bid(2), lifetime=0)
    assert steered(record(bed), VIDEO) == 1


@requirement("FLOW-17")
def test_flow_17_the_acknowledgement_copies_the_bid_priority(bed: Bed) -> None:
    ack = bed.register(bid(1, COA1, priority=93))
    assert ack.option(35) == bytes((0, 1, 0, 93))


@requirement("FLOW-18")
def test_flow_18_signalling_is_not_steered(three: Bed) -> None:
    everything = flow(7, 1, reference(2), selector(bytes(4)))
    ack = three.register(bid(1), everything, source=COA1)
    assert (ack.packet.destination, ack.packet.routing) == (COA1, HOA)
    assert three.register(bid(1), summary(7), source=COA3).packet.destination == COA3


@requirement("FLOW-19")
def test_flow_19_a_plain_removal_takes_all_flows(three: Bed) -> None:
    three.register(bid(1), flow(7, 1, reference(1), udp()))
    assert flows_of(three.register(summary(7), lifetime=0)) == []
    assert flows_of(three.register(bid(1, COA1), summary(7))) == [(7, 132)]


@requirement("FLOW-20")
def test_flow_20_removing_one_bid_keeps_what_the_summary_names(three: Bed) -> None:
    three.register(bid(1), flow(7, 1, reference(1), udp()), flow(8, 2, reference(1), udp(1)))
    ack = three.register(bid(2), summary(7), lifetime=0)
    assert (ack.status, fids(three)) == (0, [7])
    assert steered(record(three), VIDEO) == 1


@requirement("FLOW-21")
def test_flow_21_ranges_include_their_ends(three: Bed) -> None:
    three.register(bid(1), flow(7, 1, reference(1), udp(5000, 5010)))
    ways = [steered(record(three), replace(VIDEO, destination_ports=port)) for port in (4999, 5000, 5010, 5011)]
    assert ways == [3, 1, 1, 3]


@requirement("FLOW-21")
def test_flow_21_ecn_and_the_upper_bits_of_the_flow_label_do_not_count(three: Bed) -> None:
    flags = 1 << 31 - 6 | 1 << 31 - 12  # flow label and traffic class
    three.register(bid(1), flow(7, 1, reference(1), selector(struct.pack("!IIB", flags, 0xFFF12345, 0xBB))))
    marked = replace(VIDEO, flow_label=0x12345)
    ways = [steered(record(three), replace(marked, traffic_class=one)) for one in (0xB7, 0xB8, 0xB9, 0xBB, 0xBC)]
    assert ways == [3, 1, 1, 1, 3]
    assert steered(record(three), replace(marked, traffic_class=0xB8, flow_label=0x12344)) == 3


@requirement("FLOW-22")
def test_flow_22_an_unknown_sub_option_is_skipped(bed: Bed) -> None:
    odd = bytes((99, 3, 1, 2, 3))
    ack = bed.register(bid(1, COA1), flow(7, 1, odd, reference(1), b"\0", udp()))
    assert (flows_of(ack), fids(bed)) == ([(7, 0)], [7])


def test_flow_options_that_are_malformed(three: Bed) -> None:
    end_without_start = selector(struct.pack("!IH", FIRST_PORT >> 1, 1))
    for option in (
        flow(0, 1, reference(1), udp()),
        flow(7, 0, reference(1), udp()),
        flow(7, 1, reference(1), reference(1), udp()),
        flow(7, 1, reference(1), udp(), udp()),
        flow(7, 1, reference(1), end_without_start),
        flow(7, 1, reference(1), selector(bytes(3))),
        flow(7, 1, reference(1), bytes((3, 40, 2))),
    ):
        ack = three.register(bid(1), option)
        assert (ack.status, [status for _, status in flows_of(ack)]) == (0, [130])
        assert fids(three) == []


def test_a_selector_that_a_switch_should_not_carry(three: Bed) -> None:
    both = 1 << 31 | 1 << 30
    wide = selector(struct.pack("!I", both) + bytes(15) + b"\1" + b"\xff" * 15 + b"\xfe")
    assert flows_of(three.register(bid(1), flow(7, 1, reference(1), wide))) == [(7, 129)]


def test_ranges_of_ports_that_switches_without_ranges_should_not_carry() -> None:
    """It is the switches' program that says whether a range is one key, or as many as there are aligned blocks in it."""
    every = FIRST_PORT | LAST_PORT | FIRST_PORT << 2 | LAST_PORT << 2  # source ports stand two bits before
    wide = selector(struct.pack("!IHHHHB", every | PROTOCOL, 1, 65534, 1, 65534, 17))
    for keys, status in ((KeyShape(), 0), (KeyShape(port_ranges=False), 129)):
        bed = Bed(flow_keys=keys)
        flows = flow(7, 1, reference(1), wide), flow(8, 2, reference(1), udp(5000, 5009))
        assert flows_of(bed.register(bid(1, COA1), *flows)) == [(7, status), (8, 0)]


def test_limits() -> None:
    bed = Bed(make_config(NodeProvision(Address(HOA), max_flows=2)))
    flows = [flow(number, number, reference(1), udp(number)) for number in (1, 2, 3)]
    assert flows_of(bed.register(bid(1, COA1), *flows)) == [(1, 0), (2, 0), (3, 129)]
    bed = Bed(make_config(NodeProvision(Address(HOA), flows=False)))
    assert flows_of(bed.register(bid(1, COA1), *flows)) == [(1, 128), (2, 128), (3, 128)]
    bed = Bed(max_flows=1)
    assert flows_of(bed.register(bid(1, COA1), *flows)) == [(1, 0), (2, 129), (3, 129)]
    assert flows_of(bed.register(bid(1, COA1), summary(1))) == []
