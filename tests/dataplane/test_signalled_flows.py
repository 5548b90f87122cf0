"""Flows that nodes signal, as table entries: they take exactly what their selector takes, and the operator comes first."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.dataplane import flows
from controller.dataplane import pipeline as p
from controller.dataplane.flows import PORT_PROTOCOLS, SPI_PROTOCOLS, signalled_entries
from controller.dataplane.planner import node_entries
from controller.mobility.address import parse_address
from controller.mobility.expansion import WITH_PORTS, WITH_SPI, ExpansionError, expand
from controller.mobility.flows import FlowEntry, FlowPolicy, FlowSelector, Span, Steer, TrafficSelector
from controller.mobility.model import Binding, NodeRecord
from steering import Seen, numbered, steered, takes

HOME = parse_address("2001:db8:0:1::100")
AGENT = parse_address("2001:db8:0:1::1")
COA = [parse_address(f"2001:db8:a{number}::1") for number in (1, 2, 3)]

TO_1 = (p.STEER_FLOW, (1,))


def selected(selector: FlowSelector, packet: Seen) -> bool:
    """The plain reading of RFC 6088."""
    if selector.ipv4:
        return False
    has_ports, has_spi = packet.protocol in PORT_PROTOCOLS, packet.protocol in SPI_PROTOCOLS
    for name in ("source", "destination", "protocol", "flow_label"):
        span = getattr(selector, name)
        if span is not None and not span.low <= getattr(packet, name) <= span.high:
            return False
    for name, present in (("source_ports", has_ports), ("destination_ports", has_ports), ("spi", has_spi)):
        span = getattr(selector, name)
        if span is not None and not (present and span.low <= getattr(packet, name) <= span.high):
            return False
    span = selector.traffic_class
    return span is None or span.low >> 2 <= packet.traffic_class >> 2 <= span.high >> 2


def near(width: int, step: int = 1) -> st.SearchStrategy[int]:
    return st.integers(0, 40).map(lambda n: n * step) | st.integers(0, 40).map(lambda n: (1 << width) - step - n * step)


def spans(width: int, step: int = 1) -> st.SearchStrategy[Span | None]:
    return st.none() | st.tuples(near(width, step), near(width, step)).map(lambda pair: Span(min(pair), max(pair)))


protocols = st.sampled_from([6, 17, 50, 51, 58, 59, 132, 136])
selectors = st.builds(
    FlowSelector,
    st.sampled_from([False, False, False, True]),
    spans(128),
    spans(128),
    st.none() | spans(32),
    st.none() | spans(20),
    spans(16),
    spans(16),
    spans(8, 4),
    st.none() | protocols.map(lambda one: Span(one, one)) | spans(8),
)


@st.composite
def packets(draw: st.DrawFn) -> Seen:
    packet = Seen(
        source=draw(near(128)),
        destination=draw(near(128)),
        protocol=draw(protocols | near(8)),
        traffic_class=draw(near(8)),
        flow_label=draw(near(20)),
    )
    if packet.protocol in PORT_PROTOCOLS:
        return replace(packet, source_ports=draw(near(16)), destination_ports=draw(near(16)))
    return replace(packet, spi=draw(near(32))) if packet.protocol in SPI_PROTOCOLS else packet


@given(selectors, st.lists(packets(), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_entries_take_exactly_what_the_selector_takes(selector: FlowSelector, seen: list[Seen]) -> None:
    try:
        entries = [
            entry for entry in signalled_entries(7, FlowEntry(1, 1, selector, (1,)), TO_1) if entry.match[0] == 7
        ]
    except ExpansionError:
        return
    for packet in seen:
        assert any(takes(entry, packet) for entry in entries) == selected(selector, packet), packet
    assert len({entry.key for entry in entries}) == len(entries) <= 64


def test_the_engine_and_the_data_plane_know_the_same_protocols() -> None:
    assert set(WITH_PORTS) == set(PORT_PROTOCOLS)
    assert set(WITH_SPI) == set(SPI_PROTOCOLS)


@pytest.mark.parametrize(
    ("selector", "count"),
    [
        (FlowSelector(), 1),
        (FlowSelector(ipv4=True), 0),
        (FlowSelector(destination_ports=Span(5000, 5010), protocol=Span(17, 17)), 1),
        (FlowSelector(destination_ports=Span(0, 5010)), 4),
        (FlowSelector(destination_ports=Span(1, 5010)), 1),
        (FlowSelector(destination_ports=Span(1, 5010), protocol=Span(58, 58)), 0),
        (FlowSelector(spi=Span(0, 0)), 2),
        (FlowSelector(spi=Span(1, 1), source_ports=Span(1, 1)), 0),
        (FlowSelector(traffic_class=Span(4, 0xF8)), 10),
        (FlowSelector(source=Span(1, (1 << 20) - 2)), 38),
    ],
)
def test_how_many_entries_a_selector_needs(selector: FlowSelector, count: int) -> None:
    assert len(expand(selector)) == count


def test_a_selector_that_needs_too_many() -> None:
    with pytest.raises(ExpansionError, match="254 keys in a switch; 64 are the most"):
        expand(FlowSelector(source=Span(1, (1 << 128) - 2)))


RECORD = NodeRecord(HOME, AGENT, 1, tuple(Binding(bid, COA[bid - 1], 60, 60.0, 4 - bid) for bid in (1, 2, 3)))
UDP = FlowSelector(protocol=Span(17, 17))
UDP_5000 = FlowSelector(protocol=Span(17, 17), destination_ports=Span(5000, 5000))
VIDEO = Seen(protocol=17, destination_ports=5000)


def test_the_lowest_priority_number_wins_and_the_rest_goes_to_the_lowest_bid_priority() -> None:
    record = replace(RECORD, flows=(FlowEntry(1, 10, UDP, (1,)), FlowEntry(2, 20, UDP_5000, (2,))))
    assert steered(record, VIDEO) == 1
    record = replace(RECORD, flows=(FlowEntry(1, 20, UDP, (1,)), FlowEntry(2, 10, UDP_5000, (2,))))
    assert steered(record, VIDEO) == 2
    assert steered(record, Seen(protocol=6)) == 3


def test_an_operator_comes_before_a_node_whatever_the_numbers() -> None:
    record = replace(RECORD, flows=(FlowEntry(1, 1, UDP_5000, (1,)),))
    policy = FlowPolicy("all UDP", HOME, 65535, TrafficSelector(protocol=17), Steer(2))
    assert steered(record, VIDEO, (policy,)) == 2
    assert steered(record, VIDEO, (replace(policy, treatment=Steer(9)),)) == 1, (
        "a policy whose BID is away is passed over"
    )


def test_an_inactive_flow_is_passed_over() -> None:
    record = replace(RECORD, flows=(FlowEntry(1, 1, UDP_5000, (9,)), FlowEntry(2, 2, UDP, (2,))))
    assert steered(record, VIDEO) == 2
    assert record.active_bids(record.flows[0]) == ()


def test_a_flow_to_several_bids_goes_to_those_that_are_registered() -> None:
    record = replace(RECORD, flows=(FlowEntry(1, 1, UDP, (1, 2)),))
    entries = node_entries(record, numbered(record))
    (flow,) = (entry for entry in entries.values() if entry.table == p.FLOW_BINDINGS)
    assert flow.action == p.REPLICATE_FLOW
    assert entries[p.MULTICAST_GROUPS, flow.params, 0].params == (1, 2)
    assert steered(replace(record, flows=(FlowEntry(1, 1, UDP, (1, 9)),)), VIDEO) == 1


def test_the_bands_do_not_meet() -> None:
    assert flows._NODE_BAND - 1 < flows._OPERATOR_BAND - 65535
