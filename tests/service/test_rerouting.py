import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from controller.dataplane import pipeline as p
from controller.dataplane.desired import DesiredState
from controller.dataplane.entries import Update
from controller.fabric.loader import load_topology, sample_topologies
from controller.fabric.paths import Outage, routes
from controller.fabric.statics import home_doors, switch_entries
from controller.service import rerouting
from controller.service.rerouting import Rerouter, Static
from controller.southbound.states import SessionState

TOPOLOGY = load_topology(sample_topologies() / "dual-anchor.yaml")


class Session:
    """What a rerouter wants of a session."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = SessionState.READY
        self.written: list[Update] = []
        self.restarts: list[str] = []

    async def write(self, updates: tuple[Update, ...]) -> None:
        self.written += updates

    def restart(self, reason: str) -> None:
        self.restarts.append(reason)


def static(switch: str, outage: Outage) -> Static:
    entries = switch_entries(TOPOLOGY, switch, outage=outage)
    return Static(entries, home_doors(TOPOLOGY, switch, outage=outage), switch in TOPOLOGY.anchors)


class World:
    def __init__(self) -> None:
        self.desired = DesiredState()
        self.sessions = {name: Session(name) for name in TOPOLOGY.switches}
        for name in self.sessions:
            first = static(name, Outage())
            self.desired.set_static(name, first.entries, anchor=first.anchor, doors=first.doors)
        self.rerouter = Rerouter(self.desired, static)
        followed: Any = self.sessions
        self.rerouter.follow(followed)
        for session in self.sessions.values():
            self.become(session, SessionState.READY)

    def become(self, session: Session, state: SessionState) -> None:
        session.state = state
        one: Any = session
        self.rerouter.heard(one, state)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110  what is waited for announces nothing
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running() -> AsyncIterator[World]:
    world = World()
    task = asyncio.create_task(world.rerouter.run())
    try:
        yield world
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_lost_anchor_is_led_around_by_changed_routes_alone_and_back_when_it_returns() -> None:
    async with running() as world:
        before = {name: world.desired.desired(name) for name in world.sessions}
        lost = world.sessions["a1"]
        world.become(lost, SessionState.CONNECTING)
        await world.until(lambda: world.rerouter.rerouted > 0)
        assert world.rerouter.outage == Outage(frozenset({"a1"}))
        for name in ("t1", "t2"):
            written = world.sessions[name].written
            assert written
            assert {update.entry.table for update in written} == {p.ROUTES}
            wanted = {entry.key: entry for entry in switch_entries(TOPOLOGY, name, outage=world.rerouter.outage)}
            assert {update.entry.key: update.entry for update in written}.items() <= wanted.items()
            ways = routes(TOPOLOGY, name, world.rerouter.outage)
            assert all(hop.port != 1 for prefix, hop in ways.items() if str(prefix).startswith("2001:db8:0:1:"))
        assert not lost.written, "nothing can be written to a switch that is away"
        world.become(lost, SessionState.SYNCING)
        await asyncio.sleep(0.05)
        assert world.rerouter.outage, "a switch that synchronises cannot carry traffic yet"
        world.become(lost, SessionState.READY)
        await world.until(lambda: not world.rerouter.outage)
        await world.until(lambda: all(world.desired.desired(name) == before[name] for name in world.sessions))


async def test_a_session_that_only_starts_over_moves_nothing() -> None:
    async with running() as world:
        session = world.sessions["a1"]
        world.become(session, SessionState.CONNECTING)
        await asyncio.sleep(0)
        world.become(session, SessionState.SYNCING)
        await asyncio.sleep(rerouting.PATIENCE * 1.5)
        assert not world.rerouter.outage
        world.become(session, SessionState.READY)
        await asyncio.sleep(0.05)
        assert world.rerouter.rerouted == 0


async def test_a_link_that_carries_nothing_is_led_around() -> None:
    async with running() as world:
        world.rerouter.set_lost_links("ports", frozenset({0}))
        await world.until(lambda: world.rerouter.rerouted > 0)
        assert {update.entry.params[0] for update in world.sessions["t1"].written} == {2}
        world.rerouter.set_lost_links("ports", frozenset())
        await world.until(lambda: not world.rerouter.outage)


async def test_a_switch_that_refuses_a_route_starts_over(monkeypatch: pytest.MonkeyPatch) -> None:
    from controller.southbound.errors import NotReadyError

    async def refuse(_self: Session, _updates: tuple[Update, ...]) -> None:
        raise NotReadyError("it is away")

    async with running() as world:
        monkeypatch.setattr(Session, "write", refuse)
        world.rerouter.set_lost_links("ports", frozenset({0}))
        await world.until(lambda: bool(world.sessions["t1"].restarts))


async def test_a_drained_switch_is_led_around_and_keeps_its_own_routes() -> None:
    async with running() as world:
        before = {name: world.desired.desired(name) for name in world.sessions}
        world.rerouter.lead_around(frozenset({"a1"}))
        await world.rerouter.settled()
        assert {update.entry.table for update in world.sessions["t1"].written} == {p.ROUTES}
        assert not world.sessions["a1"].written, "what comes there all the same goes on as before"
        world.rerouter.lead_around(frozenset())
        await world.rerouter.settled()
        assert all(world.desired.desired(name) == before[name] for name in world.sessions)
