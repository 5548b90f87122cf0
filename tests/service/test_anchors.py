"""Several anchors: who has to confirm, who is waited for, and who is brought back into line."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, Op, Update
from controller.service import anchors as module
from controller.service.anchors import Anchors, Quorum
from controller.southbound.artefacts import load
from controller.southbound.errors import SouthboundError
from controller.southbound.session import SwitchSession
from controller.southbound.states import SessionState
from fake_p4runtime import RESOURCE_EXHAUSTED, FakeP4Runtime
from southbound_world import World, eventually, reached


def insert(node: int) -> Update:
    return Update(Op.INSERT, Entry(p.DEFAULT_BINDING, (node,), p.STEER, (1,)))


@dataclass
class Several:
    anchors: Anchors
    fakes: list[FakeP4Runtime]
    sessions: list[SwitchSession]
    world: World

    async def write(self, node: int) -> module.Outcome:
        """Write what is desired from now on."""
        self.world.want(insert(node).entry)
        async with asyncio.timeout(4):
            return await self.anchors.write((insert(node),))


@asynccontextmanager
async def running(quorum: Quorum, count: int = 3) -> AsyncIterator[Several]:
    world = World(load())
    async with AsyncExitStack() as stack:
        fakes = [FakeP4Runtime() for _ in range(count)]
        sessions = []
        for number, fake in enumerate(fakes):
            await fake.start()
            stack.push_async_callback(fake.stop)
            sessions.append(await stack.enter_async_context(world.running(fake.address, name=f"s{number}")))
        yield Several(Anchors(sessions, quorum=quorum), fakes, sessions, world)


async def test_all_in_service_are_waited_for() -> None:
    async with running(Quorum.ALL) as several:
        several.fakes[2].write_gate.clear()
        write = asyncio.create_task(several.write(1))
        await eventually(lambda: several.fakes[2].writes_waiting == 1)
        assert not write.done()
        several.fakes[2].write_gate.set()
        assert await write == module.Outcome()
        assert [len(fake.entries) for fake in several.fakes] == [1, 1, 1]


@pytest.mark.parametrize(("quorum", "slow"), [(Quorum.ANY, 2), (Quorum.MAJORITY, 1)])
async def test_the_quorum_is_enough_and_the_others_follow(quorum: Quorum, slow: int) -> None:
    async with running(quorum) as several:
        for fake in several.fakes[:slow]:
            fake.write_gate.clear()
        assert await several.write(1) == module.Outcome()
        assert await several.write(2) == module.Outcome()
        assert [len(fake.entries) for fake in several.fakes[:slow]] == [0] * slow
        for fake in several.fakes[:slow]:
            fake.write_gate.set()
        await eventually(lambda: all(len(fake.entries) == 2 for fake in several.fakes))
        assert all(session.state is SessionState.READY for session in several.sessions)


async def test_an_anchor_that_is_away_is_not_waited_for_and_is_caught_up() -> None:
    async with running(Quorum.ALL) as several:
        away = several.fakes[0]
        await away.stop()
        await eventually(lambda: several.sessions[0].state is SessionState.CONNECTING)
        assert several.anchors.shortfall() is None
        assert await several.write(1) == module.Outcome()
        assert away.entries == {}
        await away.start()
        await reached(several.sessions[0], SessionState.READY)
        assert len(away.entries) == 1


async def test_without_a_majority_nothing_new_is_taken() -> None:
    async with running(Quorum.MAJORITY) as several:
        for number in (0, 1):
            await several.fakes[number].stop()
            await eventually(lambda number=number: several.sessions[number].state is SessionState.CONNECTING)  # type: ignore[misc]
        text = "1 of 3 anchors in service, the quorum (majority) needs 2"
        assert several.anchors.shortfall() == text
        assert (await several.write(1)).shortfall is not None


async def test_who_refuses_what_the_quorum_took_is_brought_into_line() -> None:
    async with running(Quorum.MAJORITY) as several:
        bad = several.fakes[0]
        bad.refuse = {bad.updates_seen: RESOURCE_EXHAUSTED}
        assert await several.write(1) == module.Outcome()
        await eventually(lambda: len(bad.entries) == 1)
        await reached(several.sessions[0], SessionState.READY)
        assert "refused what the quorum took" in str(several.sessions[0].last_error)


async def test_all_means_that_one_can_refuse() -> None:
    async with running(Quorum.ALL) as several:
        several.fakes[1].refuse = {several.fakes[1].updates_seen: RESOURCE_EXHAUSTED}
        outcome = await several.write(1)
        assert outcome.refused == {insert(1).entry.key: "s1: RESOURCE_EXHAUSTED as ordered"}
        assert outcome.shortfall is None


async def test_an_anchor_that_does_not_keep_up_starts_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BEHIND", 3)
    async with running(Quorum.ANY) as several:
        slow = several.fakes[0]
        slow.write_gate.clear()
        for node in range(1, 6):
            assert await several.write(node) == module.Outcome()
        await eventually(lambda: "does not keep up" in str(several.sessions[0].last_error))
        slow.write_gate.set()
        await reached(several.sessions[0], SessionState.READY)
        await eventually(lambda: len(slow.entries) == 5)


async def test_a_transit_switch_gets_no_tunnels() -> None:
    async with running(Quorum.ALL, count=2) as several:
        anchors = Anchors(several.sessions, anchors={"s0"})
        assert await anchors.write((insert(1),)) == module.Outcome()
        assert [len(fake.entries) for fake in several.fakes] == [1, 0]


async def test_nothing_waits_for_a_drained_anchor_and_it_follows() -> None:
    async with running(Quorum.ALL) as several:
        several.anchors.drained = frozenset({"s0"})
        away = several.fakes[0]
        away.write_gate.clear()
        assert await several.write(1) == module.Outcome()
        assert [len(fake.entries) for fake in several.fakes] == [0, 1, 1]
        assert [session.name for session in several.anchors.in_service()] == ["s1", "s2", "s0"]
        away.write_gate.set()
        await eventually(lambda: len(away.entries) == 1)


async def test_a_drained_anchor_counts_for_no_quorum() -> None:
    async with running(Quorum.MAJORITY) as several:
        several.anchors.drained = frozenset({"s0", "s1"})
        assert several.anchors.shortfall() is None
        await several.fakes[2].stop()
        await eventually(lambda: several.sessions[2].state is SessionState.CONNECTING)
        assert several.anchors.shortfall() == "0 of 1 anchors in service, the quorum (majority) needs 1"


async def test_an_anchor_that_lies_is_named_and_takes_no_other_down(caplog: pytest.LogCaptureFixture) -> None:
    async with running(Quorum.MAJORITY) as several:
        several.fakes[0].forgets = True
        assert not (await several.write(1)).refused
        with contextlib.suppress(SouthboundError):
            await several.sessions[0].audit()
        liar, *others = several.sessions
        await eventually(lambda: liar.state is not SessionState.READY)
        assert "s0 does not hold what it said it would: 1 missing" in liar.suspicions[0]
        assert any(
            record.levelname == "ERROR" and "s0 cannot be trusted" in record.message for record in caplog.records
        )
        for node in (2, 3):
            outcome = await several.write(node)
            assert (outcome.refused, outcome.shortfall) == ({}, None)
        for session, fake in zip(others, several.fakes[1:], strict=True):
            assert session.state is SessionState.READY
            assert (list(session.suspicions), session.last_error) == ([], None)
            assert len(fake.entries) == 3
        several.fakes[0].forgets = False
        await reached(liar, SessionState.READY)
        assert len(several.fakes[0].entries) == 3
