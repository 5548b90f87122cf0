"""Desired state, plans and session together: whatever a switch refuses and whenever it is lost, its tables end as desired."""

import asyncio
from contextlib import suppress
from random import Random

import pytest

from controller.dataplane.desired import DesiredState
from controller.dataplane.plans import Plan, Stages
from controller.mobility.address import parse_address
from controller.mobility.flows import FlowPolicy, Steer, TrafficSelector
from controller.mobility.model import Binding, Cause, NodeRecord, Transaction
from controller.southbound.errors import ConnectionLostError, NotReadyError, SouthboundError, WriteFailedError
from controller.southbound.session import SwitchSession
from fake_p4runtime import RESOURCE_EXHAUSTED, FakeP4Runtime
from southbound_world import World

AGENT = parse_address("2001:db8:0:1::1")
HOMES = [parse_address(f"2001:db8:0:1::{n:x}") for n in range(0x100, 0x108)]
COA = [parse_address(f"2001:db8:a1::{n:x}") for n in range(6)]


async def carry_out(session: SwitchSession, state: DesiredState, change: Plan) -> bool:
    """Do with a plan what the service does; tell whether it is in force."""
    for step, stage in change.steps():
        try:
            await session.write(stage)
        except WriteFailedError:
            undone = state.rollback(change, step)
            await write(session, undone.stages)
            state.confirm(undone)
            return False
        except (NotReadyError, ConnectionLostError):
            pass
    state.confirm(change)
    return True


async def write(session: SwitchSession, stages: Stages) -> None:
    for stage in stages:
        try:
            await session.write(stage)
        except WriteFailedError:
            session.restart("an undo or a deletion was refused")
        except (NotReadyError, ConnectionLostError):
            pass


async def end_grace(session: SwitchSession, state: DesiredState, done: Plan) -> None:
    await write(session, state.take_break(done))
    state.finish_break(done)


def some_record(random: Random, number: int) -> NodeRecord:
    care_of = {bid: random.choice(COA) for bid in random.sample((1, 2, 3), random.randint(0, 3))}
    bindings = tuple(Binding(bid, care_of[bid], 60, 1.0) for bid in sorted(care_of))
    return NodeRecord(random.choice(HOMES), AGENT, number, bindings)


async def as_desired(session: SwitchSession, state: DesiredState) -> None:
    async with asyncio.timeout(4):
        while True:
            with suppress(SouthboundError):
                if await session.read_entries() == state.desired():
                    return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("seed", range(4))
async def test_tables_end_as_desired(world: World, fake: FakeP4Runtime, seed: int) -> None:
    random, state = Random(seed), DesiredState()
    world.desired = state.desired
    broken: list[Plan] = []
    for home in HOMES:
        state.confirm(state.set_policies(home, [FlowPolicy("f", home, 5, TrafficSelector(protocol=17), Steer(2))]))
    async with world.running(fake.address) as session:
        for number in range(120):
            if random.random() < 0.2:
                fake.refuse = {fake.updates_seen + random.randint(0, 6): RESOURCE_EXHAUSTED}
            if random.random() < 0.04:
                fake.cut()
                await asyncio.sleep(0.002)
            after = some_record(random, number)
            home = after.home_address
            change = state.apply(Transaction(number, home, state.record(home), after, Cause.REGISTRATION))
            if await carry_out(session, state, change):
                broken.append(change)
            if broken and random.random() < 0.5:
                await end_grace(session, state, broken.pop(0))
        fake.refuse = {}
        await as_desired(session, state)
