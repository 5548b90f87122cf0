"""One suite for a session with every switch there is: embedded and BMv2, in the clear and with certificates on both sides.

What needs a look inside of the switch is in `test_session`, what a switch does only when told to in `test_faults`.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, Lpm, Op, Range, Rate, Ternary, Update
from controller.dataplane.pipeline import DropReason
from controller.dataplane.plans import plan
from controller.fabric.loader import load_topology, sample_topologies
from controller.fabric.paths import Outage
from controller.fabric.statics import switch_entries
from controller.southbound.errors import NotReadyError, WriteFailedError, code_name
from controller.southbound.options import Timeouts, TlsFiles
from controller.southbound.states import SessionState
from controller.southbound.targets import TARGETS
from places import OF_BMV2, PLACES, SECURED, Place, make_place
from southbound_world import World, eventually, reached, write_stages

STATIC = switch_entries(load_topology(sample_topologies() / "three-access.yaml"), "s1")


@pytest.fixture(params=PLACES)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """A running switch without a program."""
    made = make_place(request.param, tmp_path)
    await made.start()
    yield made
    await made.stop()


def steer(node: int, bid: int = 1) -> Entry:
    return Entry(p.DEFAULT_BINDING, (node,), p.STEER, (bid,))


EVERY_KIND = (
    *STATIC,
    steer(1),
    Entry(p.TUNNELS, (1, 1), p.ENCAP_IPV6, (5, 2**127, 1460)),
    Entry(p.TUNNELS, (1, 2), p.DROP_TUNNEL),
    Entry(p.TUNNEL_TERMINATION, (5, 2**127), p.TERMINATE, (1,)),
    Entry(p.HOME_SOURCES, (7,), p.SENDER, (1,)),
    Entry(p.NETWORK_SOURCES, (Lpm(2**127, 56),), p.SENDER, (1,)),
    Entry(p.SOURCE_BINDINGS, (1, 1), p.ALLOW, (1,)),
    Entry(p.MULTICAST_GROUPS, (9,), p.COPY, (1, 2)),
    Entry(p.BALANCERS, (3, 63), p.CHOOSE, (2,)),
    Entry(p.DEFAULT_BINDING, (2,), p.REPLICATE, (9,)),
    Entry(p.TUNNEL_RATES, (1, 2), p.LIMIT, rate=Rate(125_000, 15_000)),
    Entry(p.NEIGHBOUR_PROXY, (7,), p.ANSWER_FOR_NODE, (1, 0)),
    Entry(p.MOBILE_NETWORKS, (Lpm(2**127, 56),), p.MOBILE_NODE, (1,)),
    Entry(p.MOBILE_NETWORKS, (None,), p.MOBILE_NODE, (2,)),
    Entry(p.FLOW_BINDINGS, (1, *(None,) * 9), p.DROP_FLOW, (), 1),
    Entry(
        p.FLOW_BINDINGS,
        (
            1,
            Ternary(2**127, 2**127),
            None,
            Ternary(17, 255),
            Range(5, 9),
            None,
            Ternary(8, 0xFC),
            None,
            Ternary(0, 1),
            Ternary(0, 1),
        ),
        p.STEER_FLOW,
        (2,),
        65535,
    ),
)


async def test_entries_of_every_kind_come_back_as_they_went(world: World, place: Place) -> None:
    world.want(*EVERY_KIND)
    async with world.running(place.address, **place.options) as session:
        assert world.states == [SessionState.CONNECTING, SessionState.SYNCING, SessionState.READY]
        assert await session.read_entries() == world.entries
    async with world.running(place.address, **place.options) as session:
        assert await session.read_entries() == world.entries
        assert session.repaired == 0
        assert session.last_error is None
        await write_stages(session, plan(world.entries, {}, grace=False).stages)
        assert await session.read_entries() == {}


async def test_a_plan_is_carried_out(world: World, place: Place) -> None:
    wanted = {entry.key: entry for entry in EVERY_KIND}
    async with world.running(place.address, **place.options) as session:
        await write_stages(session, plan({}, wanted).stages)
        assert await session.read_entries() == wanted


async def test_equal_paths_are_modified_and_come_back_as_they_went(world: World, place: Place) -> None:
    topology = load_topology(sample_topologies() / "leaf-spine.yaml")
    world.want(*switch_entries(topology, "leaf3"))
    async with world.running(place.address, **place.options) as session:
        held = dict(world.entries)
        for lost in ("spine2", "spine1", None, "spine3"):
            outage = Outage(frozenset() if lost is None else frozenset({lost}))
            wanted = {entry.key: entry for entry in switch_entries(topology, "leaf3", outage=outage)}
            stages = plan(held, wanted, grace=False).stages
            assert [{update.op for update in stage} for stage in stages] == [{Op.MODIFY}]
            world.want(*wanted.values())
            await write_stages(session, stages)
            assert await session.read_entries() == wanted
            held = wanted


async def test_writes_are_lenient_about_what_is_there(world: World, place: Place) -> None:
    async with world.running(place.address, **place.options) as session:
        await session.write([Update(Op.INSERT, steer(1)), Update(Op.MODIFY, steer(2)), Update(Op.DELETE, steer(3))])
        await session.write([Update(Op.INSERT, steer(1, 9))])
        assert set((await session.read_entries()).values()) == {steer(1, 9), steer(2)}


async def test_of_a_whole_batch_each_refused_update_is_told(world: World, place: Place) -> None:
    """More than gRPC's usual 8 KiB of trailing metadata carry."""
    stations = [Entry(p.MY_STATION, (mac,), p.L3) for mac in range(1, 1000)]
    async with world.running(place.address, **place.options) as session:
        with pytest.raises(WriteFailedError) as caught:
            await session.write([Update(Op.INSERT, entry) for entry in (*stations, steer(1))])
        room = session.table_sizes[p.MY_STATION]
        refused = {failure.update.entry for failure in caught.value.failures}
        there = set((await session.read_entries()).values())
        assert len(refused) == len(stations) - room
        assert refused | there == {*stations, steer(1)}
        assert not refused & there
        # BMv2 does not say why.
        why = "UNKNOWN" if place.options["target"] is TARGETS["bmv2"] else "RESOURCE_EXHAUSTED"
        assert {code_name(failure.code) for failure in caught.value.failures} == {why}
        assert session.state is SessionState.READY


async def test_more_updates_than_a_batch_holds(world: World, place: Place) -> None:
    wanted = [steer(node) for node in range(1, 2502)]
    async with world.running(place.address, **place.options) as session:
        await session.write([Update(Op.INSERT, entry) for entry in wanted])
        assert set((await session.read_entries()).values()) == set(wanted)


async def test_counters_can_be_read(world: World, place: Place) -> None:
    world.want(*EVERY_KIND)
    async with world.running(place.address, **place.options) as session:
        tunnels = await session.read_counters(p.TUNNELS)
        assert tunnels == {(p.TUNNELS, (1, bid), 0): (0, 0) for bid in (1, 2)}
        there, gone = (p.TUNNELS, (1, 2), 0), (p.TUNNELS, (9, 9), 0)
        assert await session.read_counters_of([there, gone]) == {there: (0, 0)}
        assert await session.read_drops() == dict.fromkeys(DropReason, (0, 0))


async def test_the_later_controller_takes_over_and_the_first_returns_when_it_leaves(world: World, place: Place) -> None:
    other = World(world.artefacts)
    async with world.running(place.address, **place.options) as first:
        async with other.running(place.address, **place.options):
            await reached(first, SessionState.STANDBY)
            with pytest.raises(NotReadyError, match="s1 is standby"):
                await first.write([Update(Op.INSERT, steer(1))])
            assert await first.read_entries() == {}
        await reached(first, SessionState.READY)
        await first.write([Update(Op.INSERT, steer(1))])
        await eventually(lambda: first.state is SessionState.READY)


async def test_without_takeover_a_session_waits_for_its_turn(world: World, place: Place) -> None:
    other = World(world.artefacts)
    waits = place.options | {"takeover": False}
    async with (
        world.running(place.address, **place.options) as first,
        other.running(place.address, until=SessionState.STANDBY, **waits) as second,
    ):
        assert first.state is SessionState.READY
        await first.stop()
        await reached(second, SessionState.READY)


async def test_a_switch_that_comes_back_empty_gets_all_again(world: World, place: Place) -> None:
    world.want(*EVERY_KIND)
    async with world.running(place.address, **place.options) as session:
        await place.stop()
        await reached(session, SessionState.CONNECTING)
        with pytest.raises(NotReadyError, match="s1 is connecting"):
            await session.read_entries()
        await place.start()
        await reached(session, SessionState.READY)
        assert await session.read_entries() == world.entries


async def test_a_change_while_the_tables_are_reconciled_is_not_lost(world: World, place: Place) -> None:
    world.want(*(steer(node) for node in range(1, 3001)))
    async with world.running(place.address, until=SessionState.SYNCING, **place.options) as session:
        for node in range(3001, 3020):
            world.want(steer(node))
            world.entries.pop(steer(node - 3000).key)
            try:
                await session.write([Update(Op.INSERT, steer(node)), Update(Op.DELETE, steer(node - 3000))])
            except NotReadyError:
                await asyncio.sleep(0.001)
        await reached(session, SessionState.READY)
        assert await session.read_entries() == world.entries


async def test_drift_is_found_and_put_right(world: World, place: Place) -> None:
    world.want(*EVERY_KIND)
    async with world.running(place.address, **place.options) as session:
        assert not await session.audit(), "what was written is there"
        # What is wanted changes behind the session's back, which for it is the same as tables that did.
        del world.entries[steer(1).key]
        world.want(steer(77))
        drift = await session.audit(repair=False)
        assert (drift.missing, drift.foreign) == ((steer(77),), (steer(1),))
        await session.audit()
        assert not await session.audit()
        assert await session.read_entries() == world.entries


@pytest.mark.timeout(120)
@pytest.mark.parametrize("place", OF_BMV2, indirect=True)
async def test_a_read_of_more_than_4_mebibytes(world: World, place: Place) -> None:
    """BMv2 answers in one message; gRPC's usual limit is 4 MiB."""
    wanted = [
        Entry(p.TUNNELS, (node, bid), p.ENCAP_IPV6, (5, 2**127 + node, 1460))
        for node in range(1, 20_001)
        for bid in (1, 2, 3)
    ]
    async with world.running(place.address, timeouts=Timeouts(write=60), **place.options) as session:
        await session.write([Update(Op.INSERT, entry) for entry in wanted])
        assert set((await session.read_entries()).values()) == set(wanted)


@pytest.mark.parametrize("place", SECURED, indirect=True)
async def test_a_client_without_certificate_gets_nowhere(world: World, place: Place) -> None:
    bare = TlsFiles(ca=place.options["tls"].ca)
    async with world.running(place.address, until=None, target=place.options["target"], tls=bare) as session:
        await eventually(lambda: session.last_error is not None)
        assert "UNAVAILABLE" in str(session.last_error)
        assert SessionState.SYNCING not in world.states
