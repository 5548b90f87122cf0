"""Sessions with the embedded switch: the real server on a real port."""

import pytest

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, Op, Ternary, Update
from controller.dataplane.pipeline import DropReason
from controller.fabric.loader import load_topology, sample_topologies
from controller.fabric.statics import switch_entries
from controller.southbound.codec import CodecError
from controller.southbound.errors import NotReadyError, WriteFailedError
from controller.southbound.states import SessionState
from southbound_world import World, eventually, reached
from testbed.softswitch.ports import WirePort
from testbed.softswitch.switch import SoftSwitch

STATIC = switch_entries(load_topology(sample_topologies() / "three-access.yaml"), "s1")
MY_MAC = next(entry.match[0] for entry in STATIC if entry.table == p.MY_STATION)


def steer(node: int, bid: int = 1) -> Entry:
    return Entry(p.DEFAULT_BINDING, (node,), p.STEER, (bid,))


async def test_an_empty_switch_gets_pipeline_and_entries(world: World, soft_switch: tuple[SoftSwitch, str]) -> None:
    soft, address = soft_switch
    world.want(*STATIC, steer(1))
    async with world.running(address) as session:
        assert soft.pipeline is not None
        assert soft.pipeline.cookie == world.artefacts.cookie
        assert await session.read_entries() == world.entries
        assert world.states == [SessionState.CONNECTING, SessionState.SYNCING, SessionState.READY]
        assert session.last_error is None
        assert session.table_sizes[p.FLOW_BINDINGS] == 4096
    assert world.states[-1] is SessionState.STOPPED


async def test_a_second_session_changes_only_what_differs(world: World, soft_switch: tuple[SoftSwitch, str]) -> None:
    soft, address = soft_switch
    world.want(*STATIC, steer(1), steer(2))
    async with world.running(address):
        pipeline = soft.pipeline
    world.entries.pop(steer(1).key)
    world.want(steer(2, 7), steer(3))
    async with world.running(address) as session:
        assert soft.pipeline is pipeline, "the pipeline is pushed only if it differs"
        assert await session.read_entries() == world.entries
    assert world.election_ids.ids == {"s1": 2}


async def test_a_full_table_is_told_by_update(world: World, soft_switch: tuple[SoftSwitch, str]) -> None:
    stations = [Entry(p.MY_STATION, (mac,), p.L3) for mac in range(1, 67)]
    async with world.running(soft_switch[1]) as session:
        with pytest.raises(WriteFailedError) as caught:
            await session.write([Update(Op.INSERT, entry) for entry in (*stations, steer(1))])
        assert [failure.update.entry for failure in caught.value.failures] == stations[64:]
        assert "s1 refused 2 updates, the first: INSERT my_station (65,): RESOURCE_EXHAUSTED" in str(caught.value)
        assert steer(1) in (await session.read_entries()).values()


async def test_packets_go_up_and_down(world: World, soft_switch: tuple[SoftSwitch, str]) -> None:
    soft, address = soft_switch
    received: list[bytes] = []
    wire = WirePort(received.append)
    soft.add_port(1, wire)
    world.want(*STATIC)
    home_agent = next(entry.match[0] for entry in STATIC if entry.table == p.HOME_AGENTS)
    assert isinstance(home_agent, int)
    assert isinstance(MY_MAC, int)
    header = (
        bytes([0x60, 0, 0, 0, 0, 8, 135, 64])
        + bytes.fromhex("20010db800c100000000000000000001")
        + home_agent.to_bytes(16)
    )
    frame = MY_MAC.to_bytes(6) + bytes(6) + b"\x86\xdd" + header + bytes([59, 0, 5, 0, 0, 0, 0, 0])
    async with world.running(address) as session:
        wire.receive(frame)
        await eventually(lambda: bool(world.packets))
        assert world.packets == [(1, p.PuntReason.MOBILITY_HEADER, frame, 0)]
        assert session.packet_out(b"\x02" * 60, routed=False, egress_port=1)
        await eventually(lambda: bool(received))
        assert received == [b"\x02" * 60]
    assert not session.packet_out(b"too late")


async def test_counters_are_read_by_entry(world: World, soft_switch: tuple[SoftSwitch, str]) -> None:
    soft, address = soft_switch
    world.want(*STATIC, Entry(p.TUNNELS, (1, 2), p.ENCAP_IPV6, (5, 6, 1460)))
    async with world.running(address) as session:
        assert await session.read_counters(p.TUNNELS) == {(p.TUNNELS, (1, 2), 0): (0, 0)}
        there, gone = (p.TUNNELS, (1, 2), 0), (p.TUNNELS, (1, 3), 0)
        assert await session.read_counters_of([there, gone]) == {there: (0, 0)}
        with pytest.raises(CodecError, match="no_such_table"):
            await session.read_counters_of([("no_such_table", (1,), 0)])
        assert len(await session.read_counters(p.SIGNALLING)) == sum(one.table == p.SIGNALLING for one in STATIC)
        soft.process(bytes(60), 1)
        drops = await session.read_drops()
        assert set(drops) == set(DropReason)
        assert sum(packets for packets, _ in drops.values()) == 1
        for table in (p.ROUTES, "no_such_table"):
            with pytest.raises(ValueError, match="has no counter"):
                await session.read_counters(table)


async def test_a_switch_that_comes_late_and_comes_back_empty(world: World) -> None:
    soft = SoftSwitch()
    address = await soft.start()
    await soft.stop()
    world.want(*STATIC, steer(1))
    async with world.running(address, until=None) as session:
        await eventually(lambda: session.last_error is not None)
        with pytest.raises(NotReadyError, match="s1 is connecting"):
            await session.read_entries()
        for _ in range(2):
            soft = SoftSwitch()
            await soft.start(address)
            await reached(session, SessionState.READY)
            assert await session.read_entries() == world.entries
            await soft.stop()
            await reached(session, SessionState.CONNECTING)


async def test_flows_survive_the_round_trip_through_a_switch(world: World, soft_switch: tuple[SoftSwitch, str]) -> None:
    flow = Entry(p.FLOW_BINDINGS, (1, *(None,) * 2, Ternary(17, 255), *(None,) * 6), p.STEER_FLOW, (3,), 77)
    world.want(flow)
    async with world.running(soft_switch[1]) as session:
        assert await session.read_entries() == {flow.key: flow}
        assert await session.read_counters(p.FLOW_BINDINGS) == {flow.key: (0, 0)}
