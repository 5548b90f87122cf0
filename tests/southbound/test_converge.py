"""Desired state, plans and session together: whatever a switch refuses and whenever it is lost, its tables end as desired."""

import asyncio
from contextlib import suppress
from random import Random

import pytest

from controller.dataplane.desired import DesiredState
from controller.dataplane.plans import Plan, Step
from controller.mobility.address import parse_address
from controller.mobility.flows import FlowPolicy, TrafficSelector
from controller.mobility.model import Binding, Cause, NodeRecord, Transaction
from controller.southbound.errors import ConnectionLostError, NotReadyError, SouthboundError, WriteFailedError
from controller.southbound.options import SessionState
from controller.southbound.session import SwitchSession
from fake_p4runtime import RESOURCE_EXHAUSTED, FakeP4Runtime
from southbound_world import World, reached

AGENT = parse_address("2001:db8:0:1::1")
HOMES = [parse_address(f"2001:db8:0:1::{n:x}") for n in range(0x100, 0x108)]
COA = [parse_address(f"2001:db8:a1::{n:x}") for n in range(6)]


async def carry_out(session: SwitchSession, state: DesiredState, change: Plan) -> bool:
    """Do with a plan what the service does; tell whether it is in force."""
    try:
        await session.carry_out(change)
    except WriteFailedError as error:
        undone = state.rollback(change, error.step if error.step is not None else Step.MAKE)
        try:
            await session.write_stages(undone.stages)
        except WriteFailedError:
            session.restart("an undo was refused")
        except (NotReadyError, ConnectionLostError):
            pass
        state.confirm(undone)
        return False
    except (NotReadyError, ConnectionLostError):
        pass
    state.confirm(change)
    return True


@pytest.mark.parametrize("seed", range(4))
async def test_tables_end_as_desired(world: World, fake: FakeP4Runtime, seed: int) -> None:
    random = Random(seed)
    state = DesiredState()
    world.entries = {}
    session = world.session(fake.address)
    session._desired = state.desired
    session.start()
    await reached(session, SessionState.READY)
    broken: list[Plan] = []
    for home in HOMES:
        state.confirm(state.set_policies(home, [FlowPolicy("f", home, 5, TrafficSelector(protocol=17), 2)]))
    for number in range(120):
        home = random.choice(HOMES)
        care_of = {bid: random.choice(COA) for bid in random.sample((1, 2, 3), random.randint(0, 3))}
        after = NodeRecord(home, AGENT, number, tuple(Binding(bid, care_of[bid], 60, 1.0) for bid in sorted(care_of)))
        if random.random() < 0.2:
            fake.refuse = {fake.updates_seen + random.randint(0, 6): RESOURCE_EXHAUSTED}
        if random.random() < 0.04:
            fake.cut()
            await asyncio.sleep(0.002)
        change = state.apply(Transaction(number, home, state.record(home), after, Cause.REGISTRATION))
        if await carry_out(session, state, change):
            broken.append(change)
        if broken and random.random() < 0.5:
            done = broken.pop(0)
            try:
                await session.write_stages(state.take_break(done))
            except WriteFailedError:
                session.restart("a deletion was refused")
            except (NotReadyError, ConnectionLostError):
                pass
            state.finish_break(done)
    fake.refuse = {}
    async with asyncio.timeout(4):
        while True:
            with suppress(SouthboundError):
                if await session.read_entries() == state.desired():
                    break
            await asyncio.sleep(0.01)
    await session.stop()
