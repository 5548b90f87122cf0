"""A node that is at home and away at once (RFC 5648 section 5.6): what the planner makes of it carries packets both ways."""

import pytest

from controller.dataplane.doors import Door, localise
from controller.dataplane.ids import Ids, Path
from controller.dataplane.pipeline import DropReason
from controller.dataplane.planner import node_entries
from controller.mobility.address import parse_address
from controller.mobility.flows import FlowPolicy, PortRange, Steer, TrafficSelector
from controller.mobility.model import Binding, NodeRecord
from frames import (
    CN,
    CN_MAC,
    CN_PORT,
    HA,
    HOA,
    HOME_MAC,
    HOME_PORT,
    SWITCH_MAC,
    UDP,
    WIFI_COA,
    WIFI_MAC,
    WIFI_PORT,
    IPv6,
    Raw,
    from_switch,
    mac,
    number,
    static_entries,
    to_switch,
    udp_to_node,
)
from rig import Rig

STATION = "02:00:00:00:01:77"
HOST = "2001:db8:0:1::5"
OWN_DOOR = Door(HOME_PORT, mac(SWITCH_MAC))


def install(rig: Rig, door: Door | None, *policies: FlowPolicy) -> None:
    away = Binding(1, parse_address(WIFI_COA), 60, 60.0, priority=9)
    at_home = Binding(2, parse_address(HOA), 60, 60.0, 1, at_home=True, link_layer=mac(STATION).to_bytes(6))
    record = NodeRecord(parse_address(HOA), parse_address(HA), 1, (away, at_home))
    ids = Ids()
    ids.nodes.hold(record.home_address, "test")
    ids.paths.hold(Path(away.care_of, record.home_agent), "test")
    doors = {} if door is None else {number(HA): door}
    rig.install(static_entries())
    rig.install(localise(node_entries(record, ids, policies), doors).values())


def steer(bid: int) -> FlowPolicy:
    selector = TrafficSelector(protocol=17, destination_ports=PortRange(5000, 5000))
    return FlowPolicy("flow", parse_address(HOA), 10, selector, Steer(bid))


def handed_over(packet: IPv6, station: str = STATION) -> tuple[int, bytes]:
    after = packet.copy()
    after.hlim -= 1
    return HOME_PORT, from_switch(after, station)


def test_packets_are_handed_over_to_the_node_on_the_home_link(rig: Rig) -> None:
    install(rig, OWN_DOOR)
    packet = udp_to_node()
    assert rig.send(CN_PORT, to_switch(packet)) == [handed_over(packet)]
    assert rig.counter("tunnels", (1, 2))[0] == 1


def test_a_flow_takes_the_tunnel_beside_it(rig: Rig) -> None:
    install(rig, OWN_DOOR, steer(1))
    ((port, frame),) = rig.send(CN_PORT, to_switch(udp_to_node()))
    assert (port, frame[20], frame[38:54]) == (WIFI_PORT, 41, parse_address(WIFI_COA))
    other = udp_to_node(dport=6000)
    assert rig.send(CN_PORT, to_switch(other)) == [handed_over(other)]


def test_a_neighbour_to_whom_the_home_agent_answered_reaches_the_node_too(rig: Rig) -> None:
    install(rig, OWN_DOOR)
    packet = IPv6(src=HOST, dst=HOA) / UDP(sport=1, dport=2) / Raw(b"from the link")
    assert rig.send(HOME_PORT, to_switch(packet, HOME_MAC)) == [handed_over(packet)]


def test_the_node_sends_by_the_home_link_and_by_its_tunnel(rig: Rig) -> None:
    install(rig, OWN_DOOR)
    inner = IPv6(src=HOA, dst=CN, hlim=9) / UDP(sport=1, dport=2) / Raw(b"up")
    routed = inner.copy()
    routed.hlim = 8
    assert rig.send(HOME_PORT, to_switch(inner, STATION)) == [(2, from_switch(routed, CN_MAC))]
    outer = IPv6(src=WIFI_COA, dst=HA) / inner
    assert rig.send(WIFI_PORT, to_switch(outer, WIFI_MAC)) == [(2, from_switch(routed, CN_MAC))]
    assert rig.counter("source_bindings", (1, 1))[0] == 1


def test_the_home_address_is_no_outer_source(rig: Rig) -> None:
    install(rig, OWN_DOOR)
    forged = IPv6(src=HOA, dst=HA) / IPv6(src=HOA, dst=CN) / UDP(sport=1, dport=2)
    assert rig.send(HOME_PORT, to_switch(forged, STATION)) == []
    assert list(rig.drops()) == [DropReason.UNREGISTERED_OUTER_SOURCE]


@pytest.mark.parametrize("door", [Door(CN_PORT, mac(SWITCH_MAC), mac(CN_MAC)), None])
def test_a_switch_that_is_not_on_the_link_hands_on_or_drops(rig: Rig, door: Door | None) -> None:
    install(rig, door)
    packet = udp_to_node()
    sent = rig.send(WIFI_PORT, to_switch(packet, WIFI_MAC))
    if door is None:
        assert sent == []
        assert list(rig.drops()) == [DropReason.POLICY]
    else:
        assert sent == [(CN_PORT, handed_over(packet, CN_MAC)[1])]
