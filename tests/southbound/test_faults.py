"""Sessions with a server that misbehaves on order."""

import asyncio
from dataclasses import replace

import pytest
from finsy.proto import p4r

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, Op, Update
from controller.southbound.artefacts import ArtefactError, load
from controller.southbound.calls import Calls
from controller.southbound.codec import Codec
from controller.southbound.errors import ConnectionLostError, NotReadyError, WriteFailedError
from controller.southbound.options import SessionOptions, Timeouts, open_channel
from controller.southbound.states import SessionState
from controller.southbound.stream import PacketIn
from controller.southbound.targets import target
from fake_p4runtime import ALREADY_EXISTS, NOT_FOUND, RESOURCE_EXHAUSTED, FakeP4Runtime
from fault_switch import Wire
from southbound_world import World, eventually, reached


def steer(node: int, bid: int = 1) -> Entry:
    return Entry(p.DEFAULT_BINDING, (node,), p.STEER, (bid,))


def tunnel(node: int) -> Entry:
    return Entry(p.TUNNELS, (node, 1), p.DROP_TUNNEL)


def inserts(*entries: Entry) -> list[Update]:
    return [Update(Op.INSERT, entry) for entry in entries]


async def test_refused_updates_are_named_and_the_others_done(world: World, fake: FakeP4Runtime) -> None:
    async with world.running(fake.address) as session:
        fake.refuse = {1: RESOURCE_EXHAUSTED, 3: RESOURCE_EXHAUSTED}
        with pytest.raises(WriteFailedError) as caught:
            await session.write(inserts(*map(steer, range(1, 6))))
        failures = caught.value.failures
        assert [(one.update.entry, one.code, one.message) for one in failures] == [
            (steer(2), RESOURCE_EXHAUSTED, "as ordered"),
            (steer(4), RESOURCE_EXHAUSTED, "as ordered"),
        ]
        assert set((await session.read_entries()).values()) == {steer(1), steer(3), steer(5)}
        assert session.state is SessionState.READY


async def test_without_details_every_update_counts_as_refused(world: World, fake: FakeP4Runtime) -> None:
    async with world.running(fake.address) as session:
        fake.refuse, fake.details = {1: RESOURCE_EXHAUSTED}, False
        with pytest.raises(WriteFailedError) as caught:
            await session.write(inserts(steer(1), steer(2)))
        assert len(caught.value.failures) == 2


async def test_what_fails_again_is_told_as_it_was_asked(world: World, fake: FakeP4Runtime) -> None:
    async with world.running(fake.address) as session:
        fake.refuse = {0: ALREADY_EXISTS, 1: NOT_FOUND}
        with pytest.raises(WriteFailedError) as caught:
            await session.write(inserts(steer(1)))
        assert caught.value.failures == ((Update(Op.INSERT, steer(1)), NOT_FOUND, "as ordered"),)


async def test_a_cut_stream_is_opened_again_and_tables_compared(world: World, fake: FakeP4Runtime) -> None:
    world.want(steer(1), steer(2))
    async with world.running(fake.address) as session:
        writes = len(fake.writes)
        fake.entries.popitem()
        fake.cut()
        await eventually(lambda: len(world.states) > 3)
        await reached(session, SessionState.READY)
        assert await session.read_entries() == world.entries
        assert [len(batch) for batch in fake.writes[writes:]] == [1]
        assert fake.pushes == 1
        assert fake.bids == [1, 2]


async def test_an_id_that_is_taken_is_outbid_on_the_next_connection(world: World, fake: FakeP4Runtime) -> None:
    fake.rival = 1
    async with world.running(fake.address):
        assert fake.bids == [1, 2]
    assert world.election_ids.ids["s1"] == 2


async def test_a_higher_primary_is_outbid_once(world: World, fake: FakeP4Runtime) -> None:
    fake.rival = 2**70
    world.election_ids.ids["s1"] = 5
    async with world.running(fake.address):
        assert fake.bids == [6, 2**70 + 1]
    assert world.election_ids.ids["s1"] == 2**70 + 1


async def test_losing_primacy_stops_writes_and_a_vacancy_is_taken(world: World, fake: FakeP4Runtime) -> None:
    async with world.running(fake.address) as session:
        fake.primary_id = 9
        fake.tell(primary=False, election_id=9)
        await reached(session, SessionState.STANDBY)
        with pytest.raises(NotReadyError):
            await session.write(inserts(steer(1)))
        fake.tell(primary=False, vacant=True, election_id=9)
        await reached(session, SessionState.READY)
        assert fake.bids == [1, 10]
        await session.write(inserts(steer(1)))


async def test_a_write_that_is_not_permitted_says_so(world: World, fake: FakeP4Runtime) -> None:
    async with world.running(fake.address) as session:
        fake.primary_id = 9
        with pytest.raises(NotReadyError, match="PERMISSION_DENIED not primary"):
            await session.write(inserts(steer(1)))


async def test_a_switch_that_does_not_answer_a_write_is_reconciled(world: World, fake: FakeP4Runtime) -> None:
    async with world.running(fake.address, timeouts=Timeouts(write=0.1)) as session:
        fake.write_gate.clear()
        world.want(steer(1))
        with pytest.raises(ConnectionLostError, match="DEADLINE_EXCEEDED"):
            await session.write(inserts(steer(1)))
        await reached(session, SessionState.CONNECTING)
        fake.write_gate.set()
        await reached(session, SessionState.READY)
        assert await session.read_entries() == world.entries


@pytest.mark.timeout(90)
async def test_a_connection_that_carries_nothing_any_more_is_noticed_by_keepalive(
    world: World, fake: FakeP4Runtime
) -> None:
    """Nothing is written or compared meanwhile, and no end of the connection says so. Without the option it takes a minute."""
    wire = Wire(int(fake.address.rpartition(":")[2]))
    await wire.open()
    async with world.running(wire.address, audit_interval=0) as session:
        assert not await session.audit()
        wire.freeze()
        async with asyncio.timeout(40):
            await session.wait_for(SessionState.CONNECTING)
        assert "UNAVAILABLE" in str(session.last_error)
        wire.thaw()
        wire.cut()
        async with asyncio.timeout(30):
            await session.wait_for(SessionState.READY)
    await wire.close()


async def test_a_write_under_way_when_the_connection_goes_is_lost_not_cancelled(
    world: World, fake: FakeP4Runtime
) -> None:
    async with world.running(fake.address) as session:
        fake.write_gate.clear()
        write = asyncio.create_task(session.write(inserts(steer(1))))
        await eventually(lambda: fake.writes_waiting == 1)
        session.restart("a test wants it")
        with pytest.raises(ConnectionLostError):
            await write
        fake.write_gate.set()
        await reached(session, SessionState.READY)


async def test_a_call_on_a_connection_that_was_closed_meanwhile_is_lost() -> None:
    options = SessionOptions("s1", "127.0.0.1:1", 1)
    async with open_channel(options) as channel:
        calls = Calls("s1", channel, 1, Codec(load().info), options.target)
        calls.may_write(1)
    for call in (calls.compare({}), calls.write(inserts(tunnel(1))), calls.read_drops(), calls.pipeline()):
        with pytest.raises(ConnectionLostError, match=r"s1: .* failed"):
            await call


async def test_a_cancelled_write_is_cancelled(world: World, fake: FakeP4Runtime) -> None:
    async with world.running(fake.address) as session:
        fake.write_gate.clear()
        write = asyncio.create_task(session.write(inserts(steer(1))))
        await eventually(lambda: fake.writes_waiting == 1)
        write.cancel()
        with pytest.raises(asyncio.CancelledError):
            await write
        assert session.state is SessionState.READY
        fake.write_gate.set()


async def test_a_refused_reconciliation_is_tried_again_with_the_rest_done(world: World, fake: FakeP4Runtime) -> None:
    world.want(tunnel(1), tunnel(2), steer(1))
    fake.refuse = {0: RESOURCE_EXHAUSTED}
    async with world.running(fake.address) as session:
        assert session.last_error is not None
        assert "RESOURCE_EXHAUSTED" in session.last_error
        assert [len(batch) for batch in fake.writes] == [3, 1]
        assert await session.read_entries() == world.entries


async def test_writes_are_carried_out_one_after_the_other(world: World, fake: FakeP4Runtime) -> None:
    async with world.running(fake.address) as session:
        fake.write_gate.clear()
        tasks = [asyncio.create_task(session.write(inserts(steer(node)))) for node in range(1, 4)]
        await asyncio.sleep(0.05)
        assert not fake.writes
        fake.write_gate.set()
        await asyncio.gather(*tasks)
        assert [len(batch) for batch in fake.writes] == [1, 1, 1]


async def test_a_large_stage_is_several_writes_of_which_as_many_are_under_way_as_the_target_takes(
    world: World, fake: FakeP4Runtime
) -> None:
    narrow = replace(target("embedded"), batch=10, in_flight=3)
    async with world.running(fake.address, target=narrow) as session:
        fake.write_gate.clear()
        fake.refuse = {number: RESOURCE_EXHAUSTED for number in range(100) if number % 7 == 0}
        stage = inserts(*map(steer, range(1, 51)), *map(tunnel, range(1, 51)))
        writing = asyncio.create_task(session.write(stage))
        await eventually(lambda: fake.writes_waiting == 3)
        await asyncio.sleep(0.05)
        assert fake.writes_waiting == 3
        fake.write_gate.set()
        with pytest.raises(WriteFailedError) as caught:
            await writing
        assert sorted(map(len, fake.writes)) == [10] * 10
        refused = {failure.update.entry for failure in caught.value.failures}
        assert len(refused) == 15
        assert refused | set((await session.read_entries()).values()) == {update.entry for update in stage}


async def test_packets_that_find_the_backlog_full_are_counted(world: World, fake: FakeP4Runtime) -> None:
    async with world.running(fake.address, packet_backlog=4) as session:
        taken = [session.packet_out(bytes([number])) for number in range(20)]
        assert taken == 5 * [True] + 15 * [False]  # the first has left at once
        assert session.packets_waiting == 4
        await eventually(lambda: len(fake.packets_out) == 5)
        assert [packet.payload for packet in fake.packets_out] == [bytes([number]) for number in range(5)]
    assert session.packets_dropped == 15


async def test_packets_are_handed_over_in_the_order_in_which_they_came(world: World, fake: FakeP4Runtime) -> None:
    async with world.running(fake.address, packet_backlog=4) as session:
        for number in range(20):
            fake.packet_in(p4r.PacketIn(payload=bytes([number])))
        await eventually(lambda: len(world.packets) == 20)
        assert [packet.frame for packet in world.packets] == [bytes([number]) for number in range(20)]
    assert session.packets_dropped == 0


async def test_a_handler_that_fails_does_not_end_the_session(world: World, fake: FakeP4Runtime) -> None:
    def broken(packet: PacketIn) -> None:
        world.packets.append(packet)
        raise ZeroDivisionError

    async with world.running(fake.address, on_packet=broken) as session:
        for number in range(2):
            fake.packet_in(p4r.PacketIn(payload=bytes([number])))
        await eventually(lambda: len(world.packets) == 2)
        assert session.state is SessionState.READY


async def test_an_election_id_that_cannot_be_kept_is_not_used(
    world: World, fake: FakeP4Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(switch: str, election_id: int) -> None:
        raise RuntimeError(f"no room for {election_id} of {switch}")

    with monkeypatch.context() as patch:
        patch.setattr(world.election_ids, "save", full)
        async with world.running(fake.address, until=None) as session:
            await eventually(lambda: session.last_error == "no room for 1 of s1")
            assert fake.bids == []
            patch.undo()
            await reached(session, SessionState.READY)


async def test_a_restart_reconciles(world: World, fake: FakeP4Runtime) -> None:
    async with world.running(fake.address) as session:
        world.want(steer(1))
        session.restart("a test wants it")
        await reached(session, SessionState.CONNECTING)
        assert session.last_error == "a test wants it"
        await reached(session, SessionState.READY)
        assert await session.read_entries() == world.entries


async def test_a_program_for_another_kind_of_switch_is_refused(world: World, fake: FakeP4Runtime) -> None:
    with pytest.raises(
        ArtefactError, match="s1 is of kind tofino and takes tofino, but the program is built as bmv2-json"
    ):
        world.session(fake.address, target=target("tofino"))
    world.artefacts = replace(world.artefacts, config_format="tofino")
    with pytest.raises(ArtefactError, match="takes bmv2-json"):
        world.session(fake.address)
