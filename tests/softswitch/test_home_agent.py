"""Our own program in the embedded switch: it loads, it carries packets, and no packet makes it fail."""

import struct
from functools import cache
from pathlib import Path

import pytest
from finsy.proto import p4r
from hypothesis import given
from hypothesis import strategies as st

from softswitch_kit import Names
from testbed.softswitch import SoftSwitch

BUILD = Path(__file__).parents[2] / "p4src" / "build"
HOME_AGENT = 0x20010DB8_00000001_00000000_00000001
HOME = 0x20010DB8_00000001_00000000_00000100
CARE_OF = 0x20010DB8_00A10000_00000000_00000100
CORRESPONDENT = 0x20010DB8_000C0000_00000000_00000010
STATION, NEIGHBOUR = 0x020000000001, 0x020000000002


@cache
def switch() -> SoftSwitch:
    switch = SoftSwitch()
    switch.load(BUILD / "home_agent.p4info.txtpb", BUILD / "home_agent.json")
    pipeline = switch.pipeline
    assert pipeline is not None
    entry = Names(pipeline.info).entry
    for entity in (
        entry("my_station", {"dst_mac": STATION}, "l3"),
        entry("home_agents", {"destination": HOME_AGENT}, "own_address", 1),
        entry("tunnel_sources", {"home_agent_id": 1}, "tunnel_source", HOME_AGENT),
        entry("home_addresses", {"destination": HOME}, "mobile_node", 1),
        entry("default_binding", {"node_id": 1}, "steer", 1),
        entry("tunnels", {"node_id": 1, "bid": 1}, "encap_ipv6", 1, CARE_OF, 1460),
        entry("routes", {}, "next_hop", 1),
        in_a_set(entry("next_hops", {"next_hop_id": 1}, "forward", 3, STATION, NEIGHBOUR, 1500)),
    ):
        pipeline.write(p4r.Update(type=p4r.Update.INSERT, entity=entity))
    return switch


def in_a_set(entity: p4r.Entity) -> p4r.Entity:
    """Return an entry whose action is the only one of a set."""
    action = p4r.Action()
    action.CopyFrom(entity.table_entry.action.action)
    entity.table_entry.action.action_profile_action_set.action_profile_actions.add(action=action, weight=1)
    return entity


def ethernet(destination: int = STATION) -> bytes:
    return destination.to_bytes(6) + bytes(6) + b"\x86\xdd"


def ipv6(source: int, destination: int, protocol: int, payload: bytes, hop_limit: int = 64) -> bytes:
    head = struct.pack(">IHBB", 6 << 28, len(payload), protocol, hop_limit)
    return head + source.to_bytes(16) + destination.to_bytes(16) + payload


UDP = struct.pack(">HHHH", 1000, 2000, 12, 0) + b"data"
DOWN = ethernet() + ipv6(CORRESPONDENT, HOME, 17, UDP)
UP = ethernet() + ipv6(CARE_OF, HOME_AGENT, 41, ipv6(HOME, CORRESPONDENT, 17, UDP))


def test_a_packet_for_the_home_address_leaves_in_a_tunnel() -> None:
    [(port, frame)] = switch().process(DOWN, 2)
    assert port == 3
    assert frame[:14] == NEIGHBOUR.to_bytes(6) + STATION.to_bytes(6) + b"\x86\xdd"
    assert frame[22:54] == HOME_AGENT.to_bytes(16) + CARE_OF.to_bytes(16)
    inner = ipv6(CORRESPONDENT, HOME, 17, UDP, hop_limit=63)
    assert frame[54:] == inner
    assert int.from_bytes(frame[18:20]) == len(inner)


def test_a_tunnel_from_an_unknown_care_of_address_is_dropped() -> None:
    assert switch().process(UP, 3) == []


@pytest.mark.parametrize("packet", [DOWN, UP], ids=["down", "up"])
def test_every_truncation(packet: bytes) -> None:
    for length in range(len(packet)):
        switch().process(packet[:length], 2)


@given(st.binary(max_size=120), st.sampled_from([1, 2, 3, 510]))
def test_noise(packet: bytes, port: int) -> None:
    switch().process(packet, port)
    switch().process(ethernet() + packet, port)


@given(
    st.sampled_from([DOWN, UP, (3 << 7).to_bytes(2) + b"\1" + DOWN]),
    st.lists(st.tuples(st.integers(0, 116), st.integers(0, 255)), max_size=4),
    st.sampled_from([1, 2, 3, 510]),
)
def test_mutations(packet: bytes, changes: list[tuple[int, int]], port: int) -> None:
    mutated = bytearray(packet)
    for position, value in changes:
        mutated[position % len(mutated)] = value
    for _, frame in switch().process(bytes(mutated), port):
        assert len(frame) >= 14
