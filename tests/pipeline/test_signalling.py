"""What goes to the controller, unchanged and in measure."""

import pytest
from scapy.layers.inet6 import ICMPv6ND_NS
from scapy.layers.l2 import Ether

from controller.dataplane.entries import Rate
from controller.dataplane.pipeline import DropReason, PuntReason
from frames import (
    CN,
    HA,
    HAO,
    HOA,
    HOME_MAC,
    HOME_PORT,
    MIP6MH_BU,
    SWITCH_MAC,
    UDP,
    WIFI_COA,
    WIFI_MAC,
    WIFI_PORT,
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    Raw,
    exactly,
    node_entries,
    signalling,
    static_entries,
    to_switch,
)
from rig import Rig


@pytest.fixture
def home(rig: Rig) -> Rig:
    rig.install(static_entries())
    rig.install(node_entries())
    return rig


def binding_update() -> IPv6:
    return IPv6(src=WIFI_COA, dst=HA) / IPv6ExtHdrDestOpt(options=[HAO(hoa=HOA)]) / MIP6MH_BU(seq=1, mhtime=60)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (binding_update(), PuntReason.MOBILITY_HEADER),
        (IPv6(src=HOA, dst=HA) / MIP6MH_BU(seq=1, mhtime=0), PuntReason.MOBILITY_HEADER),
        (IPv6(src=CN, dst=HA) / ICMPv6EchoRequest(data=b"ping"), PuntReason.ICMPV6),
        (IPv6(src=CN, dst=HA, hlim=1) / ICMPv6EchoRequest(data=b"last hop"), PuntReason.ICMPV6),
    ],
)
def test_signalling_goes_to_the_controller_as_it_came(home: Rig, packet: IPv6, reason: PuntReason) -> None:
    frame = to_switch(packet, WIFI_MAC)
    assert home.send(WIFI_PORT, frame) == []
    assert home.punted() == [(WIFI_PORT, reason, frame)]
    assert home.drops() == {}


def test_signalling_for_somebody_else_is_routed(home: Rig) -> None:
    packet = binding_update()
    packet.dst = CN
    assert [port for port, _ in home.send(WIFI_PORT, to_switch(packet, WIFI_MAC))] == [2]
    assert home.punted() == []


@pytest.mark.parametrize("destination", ["ff02::1:ff00:100", HOA])
def test_neighbour_discovery_goes_to_the_controller(home: Rig, destination: str) -> None:
    home.install([signalling("punt", (2,), 60, destination=None, protocol=exactly(58, 8), icmp_type=exactly(135, 8))])
    packet = IPv6(src="fe80::5", dst=destination, hlim=255) / ICMPv6ND_NS(tgt=HOA)
    to = SWITCH_MAC if destination == HOA else "33:33:ff:00:01:00"
    frame = bytes(Ether(dst=to, src=HOME_MAC) / packet)
    assert home.send(HOME_PORT, frame) == []
    assert home.punted() == [(HOME_PORT, PuntReason.NEIGHBOUR_DISCOVERY, frame)]


def test_other_multicast_ends_here(home: Rig) -> None:
    frame = bytes(Ether(dst="33:33:00:00:00:01", src=HOME_MAC) / IPv6(src="fe80::5", dst="ff02::1") / UDP())
    assert home.send(HOME_PORT, frame) == []
    assert home.drops() == {DropReason.SCOPE: (1, len(frame))}


def test_a_multicast_frame_with_a_unicast_packet_is_not_for_us(home: Rig) -> None:
    frame = bytes(Ether(dst="33:33:00:00:00:01", src=HOME_MAC) / IPv6(src=CN, dst=HOA) / UDP())
    assert home.send(HOME_PORT, frame) == []
    assert home.drops() == {DropReason.NOT_FOR_US: (1, len(frame))}


def test_signalling_beyond_its_rate_is_dropped_and_counted(home: Rig) -> None:
    entry = next(one for one in static_entries() if one.table == "signalling" and one.action == "punt")
    home.modify([entry._replace(rate=Rate(1, 3))])
    frame = to_switch(binding_update(), WIFI_MAC)
    for _ in range(8):
        home.send(WIFI_PORT, frame)
    passed, (dropped, octets) = len(home.punted()), home.drops()[DropReason.SIGNALLING_RATE]
    # A second may pass while the test runs: then one more passes.
    assert passed + dropped == 8
    assert 3 <= passed <= 5
    assert octets == dropped * len(frame)


@pytest.mark.parametrize("protocol", [0, 43, 60])
def test_extension_headers_too_long_to_look_through_go_to_the_controller(home: Rig, protocol: int) -> None:
    home.install([signalling("punt", (1,), 70, protocol=exactly(protocol, 8))])
    packet = IPv6(src=WIFI_COA, dst=HA, nh=protocol) / Raw(bytes([135, 3, 1, 28]) + bytes(28) + bytes(MIP6MH_BU()))
    frame = to_switch(packet, WIFI_MAC)
    assert home.send(WIFI_PORT, frame) == []
    assert home.punted() == [(WIFI_PORT, PuntReason.MOBILITY_HEADER, frame)]


def test_what_is_denied_is_dropped(home: Rig) -> None:
    frame = to_switch(IPv6(src=CN, dst=HA) / UDP(sport=1, dport=9) / Raw(b"discard"))
    assert home.send(WIFI_PORT, frame) == []
    assert home.drops() == {DropReason.SIGNALLING_DENIED: (1, len(frame))}
