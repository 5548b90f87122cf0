"""Registrations: from a Binding Update on the wire to its acknowledgement on the wire, and how many a second.

Through the embedded switch, and through BMv2 where it can run. The peer is a bare client on the same kind of switch in the same run: see `bench.floor`.
"""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from bench import namespace
from bench.bed import Numbers, ask, changes, floor_plan, insertions, start_controller, start_floor
from bench.floor import Plan
from bench.load import Mover, Update, as_sent, register
from bench.registry import Result, Results, Settings, bench
from controller.dataplane import pipeline as p
from controller.dataplane.entries import Op
from controller.dataplane.planner import node_entries
from testbed.bed import Bed, Request
from testbed.p4rt import Message, Messages

_PAUSE = 0.02
"""Seconds between two measured handovers, the same for the peers: the system is idle again. What is over is deleted some milliseconds
after an acknowledgement, and the log told ten after the Binding Update."""
_PEER = "bare client: the same entries in batches, nothing stored"


async def _in_turns(runs: Sequence[Callable[[int], Awaitable[float]]], rounds: int) -> list[float]:
    """As `registry.in_turns`, for several coroutines; they get the number of the round, from 1; round 0 warms up."""
    found: list[list[float]] = [[] for _ in runs]
    for number in range(rounds + 1):
        turns = list(zip(runs, found, strict=True))
        for run, figures in turns if number % 2 else reversed(turns):
            figure = await run(number)
            if number:
                figures.append(figure)
    return [median(figures) for figures in found]


@bench("registration.latency")
def latency(settings: Settings) -> Results:
    """One BID of three moves, over and over: the time from its Binding Update to the acknowledgement."""
    return asyncio.run(measure_latency(settings, Bed)) | _through_bmv2("latency", settings)


async def measure_latency(settings: Settings, kind: type[Bed]) -> Results:
    """Measure it on beds of one kind."""
    value, floor, least = await _latency_of(settings, kind, "power-loss")
    quick, quick_floor, _ = await _latency_of(settings, kind, "crash")
    note = "BID 2 of three moves: new path in, tunnel modified, stored on disk, then acknowledged"
    crash = 'the same with durability = "crash": stored, but not waiting for the disk'
    less = "the same beside a client that writes one of the three entries that a handover takes"
    peer = "bare client: packet-in, the same Write, packet-out"
    return {
        "registration.latency_p50": Result(value, "ms", peer, floor, note),
        "registration.latency_p50_crash": Result(quick, "ms", peer, quick_floor, crash),
        "registration.latency_p50_modify": Result(
            value, "ms", "bare client: packet-in, one modify, packet-out", least, less
        ),
    }


async def _latency_of(settings: Settings, kind: type[Bed], durability: str) -> tuple[float, float, float]:
    """Return how long the controller takes, a client that sends the same Writes, and one that only modifies the tunnel."""
    times = settings.amount(40)
    async with _bed(kind) as subject, _bed(kind) as same, _bed(kind) as least:
        await start_controller(subject, durability)
        first, *requests = [
            subject.request(1, number + 1, number) for number in range((settings.rounds + 1) * times + 1)
        ]
        await start_floor(same, _same_writes(same, [first, *requests]))
        await start_floor(least, _one_modify(least, [first, *requests]))
        for bed in (subject, same, least):
            await ask(bed, first)

        async def turn(bed: Bed, number: int) -> float:
            found: list[float] = []
            for request in requests[number * times : (number + 1) * times]:
                began = time.perf_counter()
                await ask(bed, request)
                found.append(time.perf_counter() - began)
                await asyncio.sleep(_PAUSE)
            return 1000 * median(found)

        value, floor, modify = await _in_turns([partial(turn, bed) for bed in (subject, same, least)], settings.rounds)
        return value, floor, modify


def _same_writes(bed: Bed, requests: Sequence[Request]) -> Plan:
    """Return what the controller writes: before it answers what is new, after that the deletion of what was before."""
    numbers = Numbers()
    entries = [node_entries(request.record, numbers) for request in requests]
    before = dict(zip(requests, [{}, *entries], strict=False))
    after = dict(zip(requests, entries, strict=True))

    def some(ops: Container[Op]) -> Callable[[Messages, Request], list[Message]]:
        return lambda messages, request: changes(messages, before[request], after[request], ops)

    return floor_plan(bed, requests, some({Op.INSERT, Op.MODIFY}), 1, some({Op.DELETE}))


def _one_modify(bed: Bed, requests: Sequence[Request]) -> Plan:
    """Return the least that makes a node's packets take another way: one entry is modified, and nothing else is done."""
    numbers = Numbers()

    def updates(messages: Messages, request: Request) -> list[Message]:
        if request is requests[0]:
            return insertions(messages, numbers, request)
        moved = node_entries(request.record, numbers)[p.TUNNELS, (numbers.node(request.home_address), 2), 0]
        return [messages.update(Op.MODIFY, moved)]

    return floor_plan(bed, requests, updates, 1)


@bench("registration.rate")
def rate(settings: Settings) -> Results:
    """New nodes with three BIDs each, many under way at a time."""
    return asyncio.run(measure_rate(settings, Bed)) | _through_bmv2("rate", settings)


async def measure_rate(settings: Settings, kind: type[Bed]) -> Results:
    """Measure it on beds of one kind."""
    times = settings.amount(300)
    numbers = Numbers()
    waits: list[float] = []
    async with _bed(kind) as subject, _bed(kind) as peer:
        await start_controller(subject)
        requests = [subject.request(node + 1, 1) for node in range((settings.rounds + 1) * times)]
        plan = floor_plan(peer, requests, lambda messages, request: insertions(messages, numbers, request), kind.window)
        await start_floor(peer, plan)

        async def turn(bed: Bed, number: int) -> float:
            part = requests[number * times : (number + 1) * times]
            began = time.perf_counter()
            waited = await register(bed, as_sent(part), kind.window)
            if bed is subject and number:
                waits.extend(waited)
            return len(part) / (time.perf_counter() - began)

        value, ceiling = await _in_turns([partial(turn, subject), partial(turn, peer)], settings.rounds)
    note = f"new nodes with three BIDs each, {kind.window} under way"
    late = 1000 * quantiles(waits, n=100)[98] if len(waits) > 1 else 1000 * waits[0]
    slow = f"99 of 100 were answered by then, with {kind.window} under way: the queue in front of them is in it"
    return {
        "registration.rate": Result(value, "registrations/s", _PEER, ceiling, note),
        "registration.latency_p99": Result(late, "ms", None, None, slow),
    }


@bench("registration.sustained")
def sustained(settings: Settings) -> Results:
    """A minute of Binding Updates with three BIDs each, one of which has moved, as many as the controller takes."""
    return asyncio.run(measure_sustained(settings, Bed)) | _through_bmv2("sustained", settings)


async def measure_sustained(settings: Settings, kind: type[Bed]) -> Results:
    """Measure it on beds of one kind."""
    seconds = 60 * settings.scale
    async with _bed(kind) as bed:
        controller = await start_controller(bed)
        first = [bed.request(node + 1, 1) for node in range(max(settings.amount(4000), 2 * kind.window))]
        await register(bed, as_sent(first), kind.window)
        assert controller.pid is not None
        used, here, began = _cpu_seconds(controller.pid), time.process_time(), time.perf_counter()
        waits = await register(bed, _moves(first, until=began + seconds), kind.window)
        took, here = time.perf_counter() - began, time.process_time() - here
        used = _cpu_seconds(controller.pid) - used
    ceiling, floor_here = await _sustained_floor(settings, kind)
    answered = len(waits)
    late = 1000 * (quantiles(waits, n=100)[98] if answered > 1 else waits[0])
    each = 1e6 * used / answered
    alone = f"{each:.0f} microseconds of the controller's process each: with a processor of its own it would take {1e6 / each:.0f} a second"
    note = f"{answered} in {took:.0f} s, {kind.window} under way, {100 * used / took:.0f} % of a processor for the controller"
    return {
        "registration.sustained": Result(answered / took, "registrations/s", _PEER, ceiling, note),
        "registration.sustained_p99": Result(
            late, "ms", None, None, f"99 of 100 were answered by then, {kind.window} under way"
        ),
        "registration.controller_cpu": Result(each, "us", None, None, alone),
        "registration.bed_cpu": Result(
            1e6 * here / answered, "us", _PEER, floor_here, "switch and load generator, each"
        ),
    }


async def _sustained_floor(settings: Settings, kind: type[Bed]) -> tuple[float, float]:
    """Return how many such changes a second the bare client carries out, and what switch and load generator need for each, in microseconds.

    The same entries, written as they come, nothing stored.
    """
    numbers = Numbers()
    async with _bed(kind) as bed:
        nodes = range(1, max(settings.amount(2000), 2 * kind.window) + 1)
        first = [bed.request(node, 1) for node in nodes]
        moves = [bed.request(node, sequence, sequence) for sequence in (2, 3, 4) for node in nodes]
        held = {request.home_address: request.record for request in first}

        def updates(messages: Messages, request: Request) -> list[Message]:
            if request.sequence == 1:
                return insertions(messages, numbers, request)
            before = node_entries(held[request.home_address], numbers)
            held[request.home_address] = request.record
            return changes(messages, before, node_entries(request.record, numbers))

        await start_floor(bed, floor_plan(bed, [*first, *moves], updates, kind.window))
        await register(bed, as_sent(first), kind.window)
        used, began = time.process_time(), time.perf_counter()
        await register(bed, as_sent(moves), kind.window)
        took, used = time.perf_counter() - began, time.process_time() - used
        return len(moves) / took, 1e6 * used / len(moves)


def _moves(first: list[Request], until: float) -> Iterator[Update]:
    """Yield Binding Updates of all nodes in turn: each time BID 2 is somewhere else."""
    movers = [Mover(request) for request in first]
    for sequence in count(2):
        for mover in movers:
            if time.perf_counter() >= until:
                return
            yield mover.move(sequence & 0xFFFF)


def _cpu_seconds(pid: int) -> float:
    """Return how long a process has used a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def _bed(kind: type[Bed]) -> AsyncIterator[Bed]:
    """Give a switch, in a folder of its own."""
    with TemporaryDirectory() as folder:
        async with kind(Path(folder)) as bed:
            yield bed


def _through_bmv2(what: str, settings: Settings) -> Results:
    """Measure the same on beds around BMv2, in a network namespace; nothing where there is none."""
    if namespace.missing() or shutil.which(namespace.BMV2) is None:
        return {}
    arguments = [what, str(settings.rounds), str(settings.scale)]
    found = namespace.run("bench.veth_registration", arguments, within=600.0)
    return {f"{name}_bmv2": Result(**result) for name, result in found.items() if name != "registration.bed_cpu"}
