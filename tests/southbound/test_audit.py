"""Comparing a switch with what it should hold, and switches that do not say the truth."""

import asyncio
from typing import Any

import pytest
from finsy.proto import p4d, p4r

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, Lpm, Op, Update
from controller.southbound.errors import DistrustError
from controller.southbound.options import Foreign
from controller.southbound.readback import Drift
from controller.southbound.session import SwitchSession
from controller.southbound.states import SessionState
from fake_p4runtime import FakeP4Runtime
from southbound_world import World, eventually, reached


def steer(node: int, bid: int = 1) -> Entry:
    return Entry(p.DEFAULT_BINDING, (node,), p.STEER, (bid,))


def route(number: int) -> Entry:
    return Entry(p.ROUTES, (Lpm(number << 64, 64),), p.NEXT_HOP, (number,))


def put(fake: FakeP4Runtime, session: SwitchSession, *entries: Entry) -> None:
    """Put entries into a switch behind the controller's back."""
    for entry in entries:
        message = p4r.TableEntry.FromString(session._codec.entry(entry))
        fake.entries[fake._key(message)] = message


async def in_order(session: SwitchSession) -> None:
    """Wait until what the session wrote when it came up has been read back once."""
    async with asyncio.timeout(4):
        while session._reconciler._unseen.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_nothing_differs_in_a_switch_that_was_left_alone(world: World, fake: FakeP4Runtime) -> None:
    world.want(steer(1), route(1))
    async with world.running(fake.address) as session:
        assert await session.audit() == Drift(entries=2)


async def test_drift_is_found_told_and_repaired(world: World, fake: FakeP4Runtime) -> None:
    world.want(steer(1), steer(2), route(1))
    async with world.running(fake.address) as session:
        await in_order(session)
        fake.entries.clear()
        put(fake, session, steer(2, 9), steer(7), route(1))
        drift = await session.audit(repair=False)
        assert drift.missing == (steer(1),)
        assert drift.different == ((steer(2, 9), steer(2)),)
        assert drift.foreign == (steer(7),)
        assert len(drift) == 3
        assert len(fake.entries) == 3
        assert await session.audit() == drift
        assert await session.read_entries() == world.entries
        assert session.repaired == 3
        assert not await session.audit()
        assert session.state is SessionState.READY


async def test_a_session_audits_on_its_own(world: World, fake: FakeP4Runtime) -> None:
    world.want(steer(1))
    async with world.running(fake.address, audit_interval=0.05) as session:
        await in_order(session)
        fake.entries.clear()
        await eventually(lambda: session.repaired == 1)
        await eventually(lambda: len(fake.entries) == 1)


async def test_foreign_entries_are_adopted_where_they_mean_no_registration(world: World, fake: FakeP4Runtime) -> None:
    world.want(steer(1))
    async with world.running(fake.address) as session:
        put(fake, session, route(5), steer(5))
    async with world.running(fake.address, foreign=Foreign.ADOPT) as session:
        assert await session.read_entries() == {**world.entries, route(5).key: route(5)}
        assert session.drift.adopted == (route(5),)
        assert session.drift.foreign == (steer(5),)
    async with world.running(fake.address) as session:
        assert await session.read_entries() == world.entries


async def test_what_a_change_is_about_to_write_is_no_drift(world: World, fake: FakeP4Runtime) -> None:
    world.in_flight = {steer(2).key}
    async with world.running(fake.address) as session:
        world.want(steer(2))
        assert not await session.audit()
        world.in_flight = set()
        assert (await session.audit()).missing == (steer(2),)


async def test_a_switch_that_does_not_hold_what_it_confirmed_is_not_trusted(world: World, fake: FakeP4Runtime) -> None:
    world.want(steer(1), steer(2))
    fake.forgets = True
    async with world.running(fake.address, until=None) as session:
        await eventually(lambda: len(session.suspicions) > 0)
        assert "s1 does not hold what it said it would: 2 missing" in session.suspicions[0]
        await eventually(lambda: session.state is SessionState.CONNECTING)
        world.states.clear()
        await asyncio.sleep(0.1)
        assert SessionState.READY not in world.states
        fake.forgets = False
        await reached(session, SessionState.READY)
        assert await session.read_entries() == world.entries


async def test_entries_that_are_read_twice_or_are_of_no_program_are_not_believed(
    world: World, fake: FakeP4Runtime
) -> None:
    world.want(steer(1))
    async with world.running(fake.address) as session:
        await in_order(session)
        fake.entries[b"again"] = next(iter(fake.entries.values()))
        with pytest.raises(DistrustError, match=r"has the entry default_binding \(1,\) twice"):
            await session.read_entries()
        fake.entries[b"again"] = p4r.TableEntry(table_id=next(iter(fake.entries.values())).table_id)
        with pytest.raises(DistrustError, match="sends what is not of its program"):
            await session.read_entries()
        assert len(session.suspicions) == 2


async def test_a_foreign_p4info_under_our_cookie_is_replaced(world: World, fake: FakeP4Runtime) -> None:
    world.want(steer(1))
    async with world.running(fake.address):
        pass
    del fake.info.tables[3:]
    async with world.running(fake.address) as session:
        assert fake.pushes == 2
        assert await session.read_entries() == world.entries


async def test_a_switch_that_insists_on_another_program_gets_no_entries(world: World, fake: FakeP4Runtime) -> None:
    world.want(steer(1))
    fake.lies_about_info = True
    async with world.running(fake.address, until=None) as session:
        await eventually(lambda: len(session.suspicions) > 0)
        assert "s1 took our program and says that it runs another one" in session.suspicions
        assert fake.writes == []


@pytest.mark.parametrize(("packets", "octets"), [(-1, 5), (0, 64), (2, -64)])
async def test_counts_that_cannot_be_are_not_passed_on(
    world: World, fake: FakeP4Runtime, packets: int, octets: int
) -> None:
    world.want(Entry(p.TUNNELS, (1, 1), p.DROP_TUNNEL))
    async with world.running(fake.address) as session:
        fake.counts = p4r.CounterData(packet_count=packets, byte_count=octets)
        with pytest.raises(DistrustError, match=f"s1 counts {packets} packets and {octets} bytes in tunnels"):
            await session.read_counters(p.TUNNELS)
        assert len(session.suspicions) == 1
        fake.counts = p4r.CounterData(packet_count=2, byte_count=128)
        assert set((await session.read_counters(p.TUNNELS)).values()) == {(2, 128)}
        assert session.state is SessionState.READY


async def test_repairs_wait_for_a_write_that_is_under_way(world: World, fake: FakeP4Runtime) -> None:
    async with world.running(fake.address) as session:
        fake.write_gate.clear()
        world.want(steer(1))
        write = asyncio.create_task(session.write([Update(Op.INSERT, steer(1))]))
        await eventually(lambda: fake.writes_waiting == 1)
        audit = asyncio.create_task(session.audit())
        await asyncio.sleep(0.02)
        assert not audit.done()
        fake.write_gate.set()
        await write
        assert not await audit


async def test_digests_and_idle_entries_are_told_and_acknowledged(world: World, fake: FakeP4Runtime) -> None:
    seen: list[Any] = []
    async with world.running(fake.address, on_notice=seen.append) as session:
        fake.say(p4r.StreamMessageResponse(digest=p4r.DigestList(digest_id=7, list_id=3, data=[p4d.P4Data(bool=True)])))
        entry = p4r.TableEntry.FromString(session._codec.entry(steer(4)))
        fake.say(p4r.StreamMessageResponse(idle_timeout_notification=p4r.IdleTimeoutNotification(table_entry=[entry])))
        await eventually(lambda: len(seen) == 2)
        assert (seen[0].digest_id, seen[0].list_id, len(seen[0].values)) == (7, 3, 1)
        assert seen[1].keys == (steer(4).key,)
        await eventually(lambda: fake.acknowledged == [(7, 3)])
