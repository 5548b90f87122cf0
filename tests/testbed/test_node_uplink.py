"""The way out of each packet, against scapy's view of the same packets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.mobility.address import parse_address
from controller.mobility.flows import FlowEntry, FlowSelector, Span
from controller.mobility.model import Binding
from testbed.node.uplink import MAX_FLOWS, Uplinks, read_upper

HOME = "2001:db8:0:1::100"
PEER = "2001:db8:c::10"


def binding(bid: int, priority: int = 0) -> Binding:
    return Binding(bid, parse_address(f"2001:db8:a{bid}::1"), 60, 60.0, priority)


def packet(source: str, destination: str, ports: tuple[int, int], *, traffic_class: int = 0) -> bytes:
    from scapy.layers.inet import UDP
    from scapy.layers.inet6 import IPv6

    return bytes(IPv6(src=source, dst=destination, tc=traffic_class) / UDP(sport=ports[0], dport=ports[1]) / b"x")


def flow(fid: int, priority: int, bids: tuple[int, ...], selector: FlowSelector) -> FlowEntry:
    return FlowEntry(fid, priority, selector, bids)


def test_a_flow_goes_out_by_the_bid_by_which_its_packets_come() -> None:
    uplinks = Uplinks(follow=False)
    # As the node signalled it: port 5001 is on the node's side of packets to it.
    uplinks.set_ways(
        [flow(1, 10, (2,), FlowSelector(destination_ports=Span(5001, 5001)))], [binding(1, 1), binding(2, 2)]
    )
    assert uplinks.choose(packet(HOME, PEER, (5001, 7))) == 2
    assert uplinks.choose(packet(HOME, PEER, (7, 5001))) == 1


def test_the_first_flow_by_priority_decides_and_one_without_a_registered_bid_is_passed_over() -> None:
    uplinks = Uplinks(follow=False)
    flows = [
        flow(1, 20, (1,), FlowSelector(protocol=Span(17, 17))),
        flow(2, 10, (9, 3), FlowSelector(protocol=Span(17, 17))),
    ]
    uplinks.set_ways(flows, [binding(1, 1), binding(3)])
    assert uplinks.choose(packet(HOME, PEER, (1, 2))) == 3
    uplinks.set_ways(flows, [binding(1, 1)])
    assert uplinks.choose(packet(HOME, PEER, (1, 2))) == 1
    uplinks.set_ways(flows, [])
    assert uplinks.choose(packet(HOME, PEER, (1, 2))) is None


def test_what_an_operator_steers_is_followed_until_that_bid_goes() -> None:
    uplinks = Uplinks(follow=True)
    uplinks.set_ways([], [binding(1, 1), binding(2, 2)])
    uplinks.arrived(packet(PEER, HOME, (80, 4000)), 2)
    assert uplinks.choose(packet(HOME, PEER, (4000, 80))) == 2
    assert uplinks.choose(packet(HOME, PEER, (4001, 80))) == 1
    uplinks.set_ways([], [binding(1, 1)])
    assert uplinks.choose(packet(HOME, PEER, (4000, 80))) == 1


def test_flows_that_are_followed_do_not_pile_up() -> None:
    uplinks = Uplinks(follow=True)
    template = bytearray(packet(PEER, HOME, (80, 0)))
    for port in range(MAX_FLOWS + 50):
        template[42:44] = port.to_bytes(2)
        uplinks.arrived(bytes(template), 1)
    assert len(uplinks.followed) == MAX_FLOWS


@given(st.integers(0, 255), st.integers(0, 2**20 - 1), st.integers(0, 65535), st.integers(0, 65535), st.booleans())
def test_fields_are_those_that_scapy_reads(tc: int, label: int, source: int, destination: int, extended: bool) -> None:  # noqa: FBT001  Hypothesis passes by name
    from scapy.layers.inet import TCP
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt

    head = IPv6(src=PEER, dst=HOME, tc=tc, fl=label)
    body = TCP(sport=source, dport=destination)
    whole = bytes(head / IPv6ExtHdrDestOpt() / body if extended else head / body)
    found = read_upper(whole)
    assert found is not None
    assert (found.protocol, found.source_port, found.destination_port) == (6, source, destination)
    assert (found.traffic_class, found.flow_label) == (tc & 0xFC, label)
    assert found.reversed().reversed() == found


@given(st.binary(max_size=120))
def test_whatever_comes_is_read_or_refused(octets: bytes) -> None:
    read_upper(octets)
    read_upper(b"\x60" + octets)


@pytest.mark.parametrize(("offset", "ports"), [(0, (80, 4000)), (1, (None, None))])
def test_ports_are_in_the_first_fragment_only(offset: int, ports: tuple[int | None, int | None]) -> None:
    from scapy.layers.inet import UDP
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment

    whole = bytes(IPv6(src=PEER, dst=HOME) / IPv6ExtHdrFragment(offset=offset, nh=17) / UDP(sport=80, dport=4000))
    found = read_upper(whole)
    assert found is not None
    assert (found.source_port, found.destination_port) == ports
