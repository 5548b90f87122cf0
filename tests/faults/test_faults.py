"""Faults drawn at random, by seed, while nodes move and traffic flows.

After each: the tables say what the nodes were told, within five seconds; nothing that was acknowledged is lost; and no packet was
tunnelled to an address that was not registered at that moment. `make faults SEEDS=500` for more than a few.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from fault_switch import Rival
from fault_world import FaultWorld

SEEDS = int(os.environ.get("MCOA_FAULT_SEEDS", "8"))
FIRST = int(os.environ.get("MCOA_FAULT_FIRST", "0"))
ONLY = os.environ.get("MCOA_FAULT_ONLY", "")
"""The name of one fault: the seeds draw no other."""
FAULTS_OF_A_SEED = 3


async def killed_and_restarted_empty(world: FaultWorld) -> None:
    machine = world.victim()
    await machine.off()
    await asyncio.sleep(world.random.uniform(0, 0.3))
    await machine.on()


async def cut_in_the_middle_of_a_batch(world: FaultWorld) -> None:
    wire = world.victim().wire
    for _ in range(world.random.randint(1, 3)):
        wire.cut_after(world.random.randrange(20, 3000))
        await asyncio.sleep(world.random.uniform(0.05, 0.3))
    wire.cut()


async def half_of_a_batch_refused(world: FaultWorld) -> None:
    switch = world.victim().switch
    switch.refusing = world.random.uniform(0.2, 0.6)
    await asyncio.sleep(world.random.uniform(0.1, 0.5))
    switch.refusing = 0.0


async def another_controller_takes_over(world: FaultWorld) -> None:
    # Each bids more than the last: our session outbids by one whoever was there before.
    world.seen["rivals"] += 1
    victim = world.victim()
    rival = Rival(victim.direct, 2**62 + 2**32 * world.seen["rivals"], victim.switch.device_id)
    assert await rival.bid()
    there = [entry for entry in await rival.entries() if not entry.is_default_action]
    # Some of it may be refused; the rest is in force, as every switch goes on after an error.
    await rival.write(world.mischief(there))
    await asyncio.sleep(world.random.uniform(0, 0.3))
    await rival.leave()


async def slow_switch(world: FaultWorld) -> None:
    switch = world.victim().switch
    switch.delay = world.random.uniform(0.05, 0.25)
    await asyncio.sleep(world.random.uniform(0.3, 0.8))
    switch.delay = 0.0


async def answers_out_of_order(world: FaultWorld) -> None:
    switch = world.victim().switch
    for _ in range(10):
        switch.delay = world.random.uniform(0, 0.05)
        await asyncio.sleep(0.03)
    switch.delay = 0.0


async def stale_standby(world: FaultWorld) -> None:
    """A former controller comes back with the id that it had, and writes as if nothing had happened."""
    victim = world.victim()
    rival = Rival(victim.direct, 1, victim.switch.device_id)
    assert not await rival.bid()
    assert not await rival.write(world.deletions(await rival.entries()))
    await asyncio.sleep(0.05)
    await rival.leave()


async def store_full(world: FaultWorld) -> None:
    world.store_full = True
    await asyncio.sleep(world.random.uniform(0.1, 0.5))
    world.store_full = False


async def clock_jump(world: FaultWorld) -> None:
    world.clock_jump += world.random.choice((-1500, -600, 600, 1500))
    await asyncio.sleep(0.05)
    if world.random.random() < 0.5:
        await controller_killed(world)
    world.clock_jump = 0.0


async def controller_killed(world: FaultWorld) -> None:
    await world.stop_controller(abruptly=True)
    await world.start_controller()


Fault = Callable[[FaultWorld], Awaitable[None]]
FAULTS: tuple[Fault, ...] = (
    killed_and_restarted_empty,
    cut_in_the_middle_of_a_batch,
    half_of_a_batch_refused,
    another_controller_takes_over,
    slow_switch,
    answers_out_of_order,
    stale_standby,
    store_full,
    clock_jump,
    controller_killed,
)


def drawn_faults(seed: int) -> list[Fault]:
    """Return the faults of a seed: always the same ones. The first of neighbouring seeds differ, so a few seeds see each."""
    faults = [fault for fault in FAULTS if ONLY in {"", fault.__name__}]
    others = Random(f"faults of {seed}").choices(faults, k=FAULTS_OF_A_SEED - 1)
    return [faults[seed % len(faults)], *others]


async def churn(world: FaultWorld) -> None:
    """Let nodes move, come and go until cancelled."""
    moves = world.moves
    while True:
        idle = [node for node in world.nodes if node.asked is None]
        if idle:
            node = moves.choice(idle)
            world.ask(node, world.draw(node))
        await asyncio.sleep(moves.uniform(0.005, 0.05))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
async def test_the_tables_are_right_again_and_no_packet_went_astray(seed: int, tmp_path: Path) -> None:
    async with FaultWorld(tmp_path, seed) as world:
        for node in world.nodes:
            world.ask(node, world.draw(node))
        await world.settle()
        for fault in drawn_faults(seed):
            moving = asyncio.create_task(churn(world))
            await asyncio.sleep(world.random.uniform(0, 0.1))
            await fault(world)
            moving.cancel()
            await asyncio.gather(moving, return_exceptions=True)
            try:
                took = await world.settle()
                assert not world.wrong, world.wrong[0]
            except AssertionError as error:
                _report(f"{seed}\t{fault.__name__}\tfailed\t{error}")
                raise AssertionError(f"seed {seed}, after {fault.__name__}: {error}") from None
            _report(f"{seed}\t{fault.__name__}\t{took:.3f}\t{world.seen['tunnelled']}")
        assert world.seen["tunnelled"] > 0


def _report(line: str) -> None:
    """Add a line to the file that MCOA_FAULT_REPORT names: seed, fault, seconds until all was right, packets so far."""
    if path := os.environ.get("MCOA_FAULT_REPORT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
