"""What goes to the controller, unchanged and in measure."""

import pytest
from rig import Rig

from controller.dataplane.pipeline import DropReason, PuntReason
from frames import (
    CN,
    HA,
    HAO,
    HOA,
    MIP6MH_BU,
    UDP,
    WIFI_COA,
    WIFI_MAC,
    WIFI_PORT,
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    Raw,
    node_entries,
    static_entries,
    to_switch,
)


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


def test_what_is_denied_is_dropped(home: Rig) -> None:
    frame = to_switch(IPv6(src=CN, dst=HA) / UDP(sport=1, dport=9) / Raw(b"discard"))
    assert home.send(WIFI_PORT, frame) == []
    assert home.drops() == {DropReason.SIGNALLING_DENIED: (1, len(frame))}
