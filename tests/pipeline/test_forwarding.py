"""What the pipeline does with packets that nobody tunnels: routing, scope, lengths, packets of the controller."""

import pytest
from scapy.layers.l2 import ARP, Ether

from controller.dataplane.pipeline import DropReason
from frames import (
    CELLULAR_PORT,
    CN,
    CN_MAC,
    CN_PORT,
    HA,
    HOA,
    HOME_MAC,
    HOME_PORT,
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
from rig import Rig


@pytest.fixture
def routed(rig: Rig) -> Rig:
    rig.install(static_entries())
    return rig


def datagram(**header: object) -> IPv6:
    return IPv6(**{"src": CN, "dst": "2001:db8:a1::99", "hlim": 20, **header}) / UDP(sport=1, dport=2) / Raw(b"data")


def test_a_packet_is_routed_with_new_mac_addresses_and_one_hop_less(routed: Rig) -> None:
    assert routed.send(CN_PORT, to_switch(datagram())) == [(WIFI_PORT, from_switch(datagram(hlim=19), WIFI_MAC))]


def test_the_longest_prefix_wins(routed: Rig) -> None:
    from controller.dataplane.entries import Entry
    from frames import prefix

    routed.install([Entry("routes", (prefix("2001:db8:a1::99/128"),), "next_hop", (HOME_PORT,))])
    assert routed.send(CN_PORT, to_switch(datagram())) == [(HOME_PORT, from_switch(datagram(hlim=19), HOME_MAC))]


def test_a_node_without_binding_is_looked_for_on_the_home_link(routed: Rig) -> None:
    packet = datagram(dst=HOA)
    packet_after = datagram(dst=HOA, hlim=19)
    assert routed.send(CN_PORT, to_switch(packet)) == [(HOME_PORT, from_switch(packet_after, HOME_MAC))]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (bytes(Ether(dst="02:00:00:00:99:99", src=CN_MAC) / datagram()), DropReason.NOT_FOR_US),
        (bytes(Ether(dst="02:00:00:00:00:fe", src=CN_MAC) / ARP()), DropReason.NOT_IP),
        (to_switch(datagram(hlim=1)), DropReason.HOP_LIMIT),
        (to_switch(datagram(hlim=0)), DropReason.HOP_LIMIT),
        (to_switch(datagram(dst="2001:db8:dead::1")), DropReason.NO_ROUTE),
        (to_switch(datagram(dst="ff0e::1")), DropReason.SCOPE),
        (to_switch(datagram(dst="fe80::1")), DropReason.SCOPE),
        (to_switch(datagram(src="fe80::1")), DropReason.SCOPE),
        (to_switch(datagram(src="febf::1")), DropReason.SCOPE),
        (to_switch(datagram(src="ff02::1")), DropReason.MALFORMED),
        (to_switch(datagram(version=5)), DropReason.MALFORMED),
        (to_switch(datagram(plen=13)), DropReason.MALFORMED),
        (to_switch(datagram())[:53], DropReason.MALFORMED),
        (to_switch(datagram())[:20], DropReason.MALFORMED),
        (to_switch(datagram(nh=0)), DropReason.MALFORMED),
        (to_switch(datagram(dst=HA)), DropReason.SIGNALLING_DENIED),
    ],
    ids=lambda value: value.name if isinstance(value, DropReason) else "",
)
def test_what_cannot_be_forwarded_is_dropped_and_counted_by_reason(
    routed: Rig, frame: bytes, reason: DropReason
) -> None:
    assert routed.send(CN_PORT, frame) == []
    assert routed.drops() == {reason: (1, len(frame))}


def test_padding_of_a_short_frame_is_passed_on(routed: Rig) -> None:
    padding = bytes(10)
    (port, frame), *rest = routed.send(CN_PORT, to_switch(datagram()) + padding)
    assert (port, frame, rest) == (WIFI_PORT, from_switch(datagram(hlim=19), WIFI_MAC) + padding, [])


def test_a_tunnel_that_only_passes_through_is_routed(routed: Rig) -> None:
    inner = IPv6(src="2001:db8:9::1", dst=HOA) / UDP() / Raw(b"x")
    packet = IPv6(src=CN, dst=WIFI_COA, hlim=9) / inner
    expected = IPv6(src=CN, dst=WIFI_COA, hlim=8) / inner
    assert routed.send(CN_PORT, to_switch(packet)) == [(WIFI_PORT, from_switch(expected, WIFI_MAC))]


def test_the_controller_sends_out_of_a_port_of_its_choice(routed: Rig) -> None:
    frame = bytes(Ether(dst="33:33:00:00:00:01", src=CN_MAC) / datagram())
    assert routed.packet_out(frame, routed=False, egress_port=CELLULAR_PORT) == [(CELLULAR_PORT, frame)]


def test_the_controller_lets_the_switch_route(routed: Rig) -> None:
    # Straight to the care-of address or the home link: a message of the home agent never enters a tunnel by itself.
    routed.install(node_entries())
    for destination, port, station in ((WIFI_COA, WIFI_PORT, WIFI_MAC), (HOA, HOME_PORT, HOME_MAC)):
        packet = IPv6(src=HA, dst=destination, hlim=64) / Raw(bytes(8))
        frame = bytes(Ether(dst="00:00:00:00:00:00", src="00:00:00:00:00:00") / packet)
        assert routed.packet_out(frame, routed=True) == [(port, from_switch(packet, station))]
