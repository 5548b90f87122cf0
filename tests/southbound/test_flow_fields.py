"""Flows on a program whose key says less than ours: read from its P4Info, and still taking exactly what they should."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from finsy.proto import p4r
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH, ESP
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from controller.dataplane import pipeline as p
from controller.dataplane.desired import DesiredState
from controller.dataplane.entries import Entry, Match, Op, Range, Ternary, Update
from controller.dataplane.flows import PolicyError, policy_entries, signalled_entries, validate_policy
from controller.dataplane.pipeline import CPU_PORT
from controller.dataplane.planner import NodeFacts
from controller.mobility.address import Prefix, parse_address, parse_ipv4
from controller.mobility.expansion import FULL, ExpansionError, KeyShape, expand
from controller.mobility.flows import FlowEntry, FlowPolicy, FlowSelector, PortRange, Span, Steer, TrafficSelector
from controller.mobility.model import Binding, Cause, NodeRecord, Transaction
from controller.southbound.artefacts import load
from controller.southbound.codec import Codec, CodecError
from controller.southbound.flow_fields import FlowFields
from controller.southbound.session import SwitchSession
from frames import CELLULAR_COA, CN, CN_IPV4, CN_PORT, HA, HOA, HOME_IPV4, WIFI_COA, static_entries, to_switch
from narrow_program import narrow_artefacts, narrow_info, with_egress_drops
from southbound_world import World, write_stages
from steering import Seen, takes
from testbed.softswitch.switch import SoftSwitch

HOME = parse_address(HOA)
CARE_OF = {1: WIFI_COA, 2: CELLULAR_COA}
TO_1 = (p.STEER_FLOW, (1,))
NARROW = FlowFields(narrow_info())
ESP_OR_AH = (50, 51)


def narrow_takes(match: tuple[Match, ...], packet: Seen) -> bool:
    """Tell whether a key takes a packet in the narrow program, whose parser puts an SPI where ports stand."""
    source, destination = packet.source_ports, packet.destination_ports
    if packet.protocol in ESP_OR_AH:
        source, destination = packet.spi >> 16, packet.spi & 0xFFFF
    node, *fields = match
    seen = replace(packet, source_ports=source, destination_ports=destination, spi=0)
    return takes(Entry(p.FLOW_BINDINGS, (node, *fields, None, None), *TO_1), seen)


def near(width: int) -> st.SearchStrategy[int]:
    return (
        st.integers(0, 40) | st.integers(0, 40).map(lambda n: (1 << width) - 1 - n) | st.integers(0, (1 << width) - 1)
    )


def spans(width: int) -> st.SearchStrategy[Span]:
    return st.tuples(near(width), near(width)).map(lambda pair: Span(min(pair), max(pair)))


selectors = st.one_of(
    st.builds(
        FlowSelector,
        source_ports=st.none() | spans(16),
        destination_ports=st.none() | spans(16),
        protocol=st.none() | st.sampled_from([6, 17, 50, 51, 58]).map(lambda one: Span(one, one)) | spans(8),
    ),
    st.builds(
        FlowSelector, spi=spans(32), protocol=st.none() | st.sampled_from([50, 51]).map(lambda one: Span(one, one))
    ),
)


@st.composite
def packets(draw: st.DrawFn) -> Seen:
    packet = Seen(protocol=draw(st.sampled_from([6, 17, 50, 51, 58, 132])))
    if packet.protocol in ESP_OR_AH:
        return replace(packet, spi=draw(near(32) | st.builds(lambda one, two: one << 16 | two, near(16), near(16))))
    if packet.protocol == 58:
        return packet
    return replace(packet, source_ports=draw(near(16)), destination_ports=draw(near(16)))


@settings(max_examples=300, deadline=None)
@given(selectors, st.lists(packets(), min_size=1, max_size=20))
def test_a_flow_takes_the_same_packets_in_both_programs(selector: FlowSelector, seen: list[Seen]) -> None:
    flow = FlowEntry(1, 1, selector, (1,))
    try:
        wide, several = signalled_entries(7, flow, TO_1), signalled_entries(7, flow, TO_1, NARROW.shape)
    except ExpansionError:
        return
    keys = [NARROW.to_switch(entry.match) for entry in several]
    for packet in seen:
        expected = any(takes(entry, packet) for entry in wide)
        assert any(narrow_takes(key, packet) for key in keys) == expected, packet
        assert any(takes(entry, packet) for entry in several) == expected, (
            "a wide program may stand beside a narrow one"
        )
    assert len(set(keys)) == len(keys) <= 64
    assert {entry.priority for entry in several} <= {65535}
    assert [NARROW.from_switch(key) for key in keys] == [entry.match for entry in several]


@pytest.mark.parametrize(
    ("selector", "count"),
    [
        (FlowSelector(source_ports=Span(1, 65534), protocol=Span(17, 17)), 30),
        (FlowSelector(source_ports=Span(5000, 5009), destination_ports=Span(1, 6), protocol=Span(17, 17)), 2 * 4),
        (FlowSelector(source_ports=Span(4096, 8191), protocol=Span(6, 6)), 1),
        (FlowSelector(source_ports=Span(53, 53)), 4),  # as ESP has something else there, the protocols are named
        (FlowSelector(spi=Span(9, 9)), 2),
    ],
)
def test_how_many_keys_a_flow_takes(selector: FlowSelector, count: int) -> None:
    assert len(expand(selector, shape=NARROW.shape)) == count


def policy(selector: TrafficSelector) -> FlowPolicy:
    return FlowPolicy("video", HOME, 10, selector, Steer(2))


def test_what_needs_too_many_keys_is_refused_by_field() -> None:
    every = PortRange(1, 65534)
    selector = TrafficSelector(protocol=17, source_ports=every, destination_ports=every)
    validate_policy(policy(selector))
    with pytest.raises(PolicyError, match="900 keys in a switch; 64 are the most: choose ranges that begin and end"):
        validate_policy(policy(selector), NARROW.shape)
    assert len(policy_entries(7, policy(replace(selector, source_ports=None)), TO_1, NARROW.shape)) == 30


@pytest.mark.parametrize(
    ("selector", "field"),
    [
        (TrafficSelector(source=Prefix.parse("::/0")), "selector.source"),
        (TrafficSelector(source=Prefix.parse("::/8")), "selector.source"),
        (TrafficSelector(flow_label=0), "selector.flow_label"),
        (TrafficSelector(source=Prefix.parse("2000::/3")), None),
        (TrafficSelector(source=Prefix.parse("::/0"), destination=Prefix(HOME, 128)), None),
        (TrafficSelector(flow_label=5), None),
        (TrafficSelector(protocol=6), None),
    ],
)
def test_a_selector_that_only_the_version_keeps_from_ipv4_is_refused(
    selector: TrafficSelector, field: str | None
) -> None:
    validate_policy(policy(selector))
    if field is None:
        validate_policy(policy(selector), NARROW.shape)
        return
    with pytest.raises(PolicyError) as caught:
        validate_policy(policy(selector), NARROW.shape)
    assert caught.value.field == field


def test_shapes_are_read_from_p4info() -> None:
    assert FlowFields(load().info).shape == FULL
    assert FlowFields(load().info).same
    assert NARROW.shape == KeyShape(port_ranges=False, spi=False, ip_version=False)
    assert FlowFields(narrow_info(without=())).shape == KeyShape(port_ranges=False)


@pytest.mark.parametrize(
    ("position", "value", "problem"),
    [
        (4, Range(5000, 5009), "5000 to 5009 is no aligned block"),
        (8, Ternary(9, 2**32 - 1), "together with ESP or AH"),
        (9, Ternary(0, 1), "the program cannot match ipv4"),
    ],
)
def test_what_the_program_cannot_say_is_no_key(position: int, value: Match, problem: str) -> None:
    match: list[Match] = [7, *(None,) * 9]
    match[position] = value
    with pytest.raises(CodecError, match=problem):
        Codec(narrow_info()).entry(Entry(p.FLOW_BINDINGS, tuple(match), *TO_1, 5))


def test_a_foreign_key_is_read_as_it_is_and_can_be_deleted() -> None:
    """Somebody else may have masks that we never write; they have to be told apart, and to go."""
    codec = Codec(narrow_info())
    key = p4r.TableEntry(table_id=codec.table_ids[p.FLOW_BINDINGS], priority=7)
    key.match.add(field_id=1).exact.value = b"\x07"
    odd = key.match.add(field_id=5).ternary
    odd.value, odd.mask = b"\x10", b"\x55"
    assert codec.key(codec.decode_key(key)) == key.SerializeToString()


# On a switch.

LIVE = PortRange(5000, 5009)
FLOWS = (
    FlowPolicy("live", HOME, 1, TrafficSelector(protocol=17, destination_ports=LIVE), Steer(2)),
    FlowPolicy("backup", HOME, 2, TrafficSelector(source_ports=PortRange(1, 1023)), Steer(2)),
    FlowPolicy("vpn", HOME, 3, TrafficSelector(spi=0x00351388), Steer(2)),
)
SIGNALLED = FlowEntry(9, 1, FlowSelector(traffic_class=Span(0xB8, 0xB8)), (2,))
FACTS = NodeFacts(home_ipv4=parse_ipv4(HOME_IPV4))


@pytest.fixture
async def steered() -> AsyncIterator[tuple[SwitchSession, DesiredState, SoftSwitch]]:
    """Return an embedded switch that runs the narrow program, with a node that has flows."""
    state = DesiredState(facts=lambda _record: FACTS, flow_keys=NARROW.shape)
    state.set_static("s1", static_entries())
    bindings = tuple(Binding(bid, parse_address(care_of), 600, 600.0) for bid, care_of in CARE_OF.items())
    record = NodeRecord(HOME, parse_address(HA), 1, bindings, flows=(SIGNALLED,))
    state.confirm(state.apply(Transaction(1, HOME, None, record, Cause.REGISTRATION)))
    state.confirm(state.set_policies(HOME, FLOWS))
    world = World(narrow_artefacts(), desired=lambda: state.desired("s1"))
    switch = SoftSwitch(1, CPU_PORT)
    async with world.running(await switch.start()) as session:
        drift = await session.audit()
        assert not drift, drift.describe()
        assert drift.entries == len(state.desired("s1"))
        yield session, state, switch
    await switch.stop()


def bid_of(switch: SoftSwitch, packet: Packet) -> int:
    """Return the BID by which a packet leaves the switch."""
    [(_, frame)] = switch.process(to_switch(packet), CN_PORT)
    return next(bid for bid, care_of in CARE_OF.items() if Ether(frame)[IPv6].dst == care_of)


@pytest.mark.parametrize(
    ("packet", "bid"),
    [
        *((UDP(sport=2000, dport=port), 2 if LIVE.low <= port <= LIVE.high else 1) for port in range(4998, 5012)),
        (TCP(sport=2000, dport=5004), 1),
        *(
            (TCP(sport=port, dport=2000), 2 if 0 < port < 1024 else 1)
            for port in (0, 1, 2, 511, 1022, 1023, 1024, 65535)
        ),
        (ESP(spi=0x00351388), 2),
        (AH(spi=0x00351388, icv=bytes(12)) / UDP(), 2),
        # Whose halves are ports of flows: no flow of ports takes them.
        (ESP(spi=0x00351389), 1),
        (ESP(spi=0x07D0138C), 1),
        (AH(spi=0x00021389, icv=bytes(12)) / UDP(sport=2, dport=5001), 1),
    ],
)
async def test_ranges_steer_as_they_should(
    steered: tuple[SwitchSession, DesiredState, SoftSwitch], packet: Packet, bid: int
) -> None:
    _, _, switch = steered
    assert bid_of(switch, IPv6(src=CN, dst=HOA) / packet) == bid


async def test_an_ipv4_packet_passes_by_what_the_node_signalled_for_ipv6(
    steered: tuple[SwitchSession, DesiredState, SoftSwitch],
) -> None:
    _, _, switch = steered
    assert bid_of(switch, IPv6(src=CN, dst=HOA, tc=0xB8) / UDP()) == 2
    assert bid_of(switch, IP(src=CN_IPV4, dst=HOME_IPV4, tos=0xB8) / UDP(sport=2000)) == 1
    assert bid_of(switch, IP(src=CN_IPV4, dst=HOME_IPV4, tos=0xB8) / UDP(sport=2000, dport=5000)) == 2


async def test_all_entries_of_a_flow_come_and_go_together(
    steered: tuple[SwitchSession, DesiredState, SoftSwitch],
) -> None:
    """One flow is several entries; they are changed, read back and repaired as one."""
    session, state, switch = steered
    before = len(state.desired("s1"))
    wider = replace(FLOWS[0], selector=replace(FLOWS[0].selector, destination_ports=PortRange(4999, 5010)))
    plan = state.set_policies(HOME, [wider, *FLOWS[1:]])
    await write_stages(session, plan.stages)
    state.confirm(plan)
    assert bid_of(switch, IPv6(src=CN, dst=HOA) / UDP(sport=2000, dport=4999)) == 2
    assert not await session.audit()
    assert len(state.desired("s1")) > before
    (gone,) = [entry for entry in state.desired("s1").values() if entry.match[5:6] == (Range(5000, 5007),)]
    await session.write([Update(Op.DELETE, gone)])
    assert bid_of(switch, IPv6(src=CN, dst=HOA) / UDP(sport=2000, dport=5001)) == 1
    drift = await session.audit()
    assert [entry.key for entry in drift.missing] == [gone.key]
    assert bid_of(switch, IPv6(src=CN, dst=HOA) / UDP(sport=2000, dport=5001)) == 2
    plan = state.set_policies(HOME, ())
    await write_stages(session, plan.stages)
    state.confirm(plan)
    assert not await session.audit()
    assert bid_of(switch, IPv6(src=CN, dst=HOA) / UDP(sport=2000, dport=5001)) == 1


async def test_what_a_chip_drops_on_its_way_out_counts_too() -> None:
    """Here each packet is counted twice, once in either counter."""
    program = with_egress_drops(narrow_artefacts())
    world, switch = World(program, desired=dict), SoftSwitch(1, CPU_PORT)
    async with world.running(await switch.start()) as session:
        switch.process(bytes(60), 1)
        drops = await session.read_drops()
    await switch.stop()
    assert {reason: count for reason, count in drops.items() if count != (0, 0)} == {p.DropReason.NOT_IP: (2, 120)}
