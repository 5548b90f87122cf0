"""What the registration benches share: a bed that the bare client controls, and what that client is told."""

import asyncio
import sys
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field

from bench.floor import Plan
from controller.dataplane.entries import Entry, EntryKey, Op
from controller.dataplane.ids import Path
from controller.dataplane.planner import node_entries
from controller.mobility.address import Address
from testbed.artefacts import artefacts
from testbed.bed import ACCESS_PORT, Bed, Request
from testbed.p4rt import Message, Messages
from testbed.process import ControllerProcess

WITHIN = 20.0
"""Seconds; whoever needs longer has lost something."""


class BenchError(RuntimeError):
    """A measurement could not be made."""


@dataclass(slots=True)
class Numbers:
    """Hands out numbers of nodes and paths in the order of asking."""

    nodes: dict[Address, int] = field(default_factory=dict)
    paths: dict[Path, int] = field(default_factory=dict)

    def node(self, home_address: Address) -> int:
        return self.nodes.setdefault(home_address, len(self.nodes) + 1)

    def path(self, path: Path) -> int:
        return self.paths.setdefault(path, len(self.paths) + 1)

    @staticmethod
    def home_agent(_address: Address) -> int:
        return 1

    @staticmethod
    def shared(thing: object) -> int:
        raise KeyError(thing)


async def ask(bed: Bed, request: Request) -> None:
    """Send a Binding Update and wait until it is accepted."""
    try:
        status = await bed.ask(request, within=WITHIN)
    except TimeoutError:
        raise BenchError(f"no acknowledgement within {WITHIN:g} s") from None
    if status:
        raise BenchError(f"the Binding Update was answered with status {status}")


async def start_controller(bed: Bed, durability: str = "power-loss") -> ControllerProcess:
    """Let our controller control the switch of a bed."""
    controller = bed.controller(durability)
    await controller.start()
    await controller.wait_ready()
    return controller


async def start_floor(bed: Bed, plan: Plan) -> None:
    """Let the bare client control the switch of a bed."""
    path = bed.folder / "plan.pickle"
    plan.save(path)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.floor", bed.address, str(path), stdout=asyncio.subprocess.PIPE
    )

    async def end() -> None:
        if process.returncode is None:
            process.kill()
        await process.wait()

    bed.stack.push_async_callback(end)
    if process.stdout is None or not await asyncio.wait_for(process.stdout.readline(), WITHIN):
        raise BenchError("the bare client ended before it was ready")


def floor_plan(
    bed: Bed,
    requests: Iterable[Request],
    updates: Callable[[Messages, Request], list[Message]],
    batch: int,
    afterwards: Callable[[Messages, Request], list[Message]] | None = None,
) -> Plan:
    """Return what the bare client does: for each request one write and one packet-out, and one more write after it."""
    p4info, device_config = artefacts()
    messages = Messages(p4info, bed.device_id)
    setup = [messages.update(Op.INSERT, entry) for entry in bed.static_entries()]
    asked = list(requests)
    return Plan(
        arbitration=messages.arbitration().SerializeToString(),
        pipeline=messages.pipeline(device_config).SerializeToString(),
        setup=[messages.write(setup).SerializeToString()],
        writes=[messages.write(updates(messages, request)).SerializeToString() for request in asked],
        answers=[messages.packet_out(request.answer, ACCESS_PORT).SerializeToString() for request in asked],
        batch=batch,
        afterwards=[messages.write(afterwards(messages, request)).SerializeToString() for request in asked]
        if afterwards
        else [],
    )


def insertions(messages: Messages, numbers: Numbers, request: Request) -> list[Message]:
    """Return the updates that a new registration needs."""
    return [messages.update(Op.INSERT, entry) for entry in node_entries(request.record, numbers).values()]


def changes(
    messages: Messages,
    before: Mapping[EntryKey, Entry],
    after: Mapping[EntryKey, Entry],
    ops: Container[Op] = frozenset(Op),
) -> list[Message]:
    """Return the updates that make of a node's entries those that it has next: those of some kinds, or all."""
    several = [
        *((Op.INSERT, entry) for key, entry in after.items() if key not in before),
        *((Op.MODIFY, entry) for key, entry in after.items() if before.get(key, entry) != entry),
        *((Op.DELETE, entry) for key, entry in before.items() if key not in after),
    ]
    return [messages.update(op, entry) for op, entry in several if op in ops]
