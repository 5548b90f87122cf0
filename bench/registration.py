"""Registrations: from a Binding Update on the wire to its acknowledgement on the wire, and how many a second.

Both through the embedded switch. The peer is a bare client on the same kind of switch in the same run: see `bench.floor`.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from bench.bed import Numbers, ask, changes, floor_plan, insertions, start_controller, start_floor
from bench.load import Mover, Update, as_sent, register
from bench.registry import Result, Results, Settings, bench
from controller.dataplane import pipeline as p
from controller.dataplane.entries import Op
from controller.dataplane.planner import node_entries
from testbed.bed import Bed, Request
from testbed.p4rt import Message, Messages

_PAUSE = 0.005
"""Seconds between two measured handovers, the same for the peer: the clearing up after one is not counted in the next."""
_PEER = "bare client: the same entries in batches, nothing stored"
_WINDOW = 128
"""Binding Updates under way at a time, each of another node."""


async def _in_turns(
    subject: Callable[[int], Awaitable[float]], peer: Callable[[int], Awaitable[float]], rounds: int
) -> tuple[float, float]:
    """As `registry.in_turns`, for coroutines; they get the number of the round, from 1; round 0 warms up."""
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(rounds + 1):
        turns = ((subject, ours), (peer, theirs))
        for run, found in turns if number % 2 else turns[::-1]:
            figure = await run(number)
            if number:
                found.append(figure)
    return median(ours), median(theirs)


@bench("registration.latency")
def latency(settings: Settings) -> Results:
    """One BID of three moves, over and over: the time from its Binding Update to the acknowledgement."""
    return asyncio.run(_latency(settings))


async def _latency(settings: Settings) -> Results:
    value, floor = await _latency_of(settings, "power-loss")
    quick, quick_floor = await _latency_of(settings, "crash")
    note = "BID 2 of three moves: new path in, tunnel modified, stored on disk, then acknowledged"
    crash = 'the same with durability = "crash": stored, but not waiting for the disk'
    peer_name = "bare client: packet-in, one modify, packet-out"
    return {
        "registration.latency_p50": Result(value, "ms", peer_name, floor, note),
        "registration.latency_p50_crash": Result(quick, "ms", peer_name, quick_floor, crash),
    }


async def _latency_of(settings: Settings, durability: str) -> tuple[float, float]:
    times = settings.amount(60)
    numbers = Numbers()
    async with _two_beds() as (subject, peer):
        await start_controller(subject, durability)
        first, *requests = [
            subject.request(1, number + 1, number) for number in range((settings.rounds + 1) * times + 1)
        ]

        def updates(messages: Messages, request: Request) -> list[Message]:
            if request is first:
                return insertions(messages, numbers, request)
            moved = [
                entry
                for entry in node_entries(request.record, numbers).values()
                if entry.table == p.TUNNELS and entry.match[1] == 2
            ]
            return [messages.update(Op.MODIFY, entry) for entry in moved]

        await start_floor(peer, floor_plan(peer, [first, *requests], updates, 1))
        await ask(subject, first)
        await ask(peer, first)

        async def turn(bed: Bed, number: int) -> float:
            found: list[float] = []
            for request in requests[number * times : (number + 1) * times]:
                began = time.perf_counter()
                await ask(bed, request)
                found.append(time.perf_counter() - began)
                await asyncio.sleep(_PAUSE)
            return 1000 * median(found)

        return await _in_turns(lambda number: turn(subject, number), lambda number: turn(peer, number), settings.rounds)


@bench("registration.rate")
def rate(settings: Settings) -> Results:
    """New nodes with three BIDs each, many under way at a time."""
    return asyncio.run(_rate(settings))


async def _rate(settings: Settings) -> Results:
    times = settings.amount(300)
    numbers = Numbers()
    waits: list[float] = []
    async with _two_beds() as (subject, peer):
        await start_controller(subject)
        requests = [subject.request(node + 1, 1) for node in range((settings.rounds + 1) * times)]
        plan = floor_plan(peer, requests, lambda messages, request: insertions(messages, numbers, request), _WINDOW)
        await start_floor(peer, plan)

        async def turn(bed: Bed, number: int) -> float:
            part = requests[number * times : (number + 1) * times]
            began = time.perf_counter()
            waited = await register(bed, as_sent(part), _WINDOW)
            if bed is subject and number:
                waits.extend(waited)
            return len(part) / (time.perf_counter() - began)

        value, ceiling = await _in_turns(
            lambda number: turn(subject, number), lambda number: turn(peer, number), settings.rounds
        )
    note = f"new nodes with three BIDs each, {_WINDOW} under way"
    late = 1000 * quantiles(waits, n=100)[98] if len(waits) > 1 else 1000 * waits[0]
    slow = f"99 of 100 were answered by then, with {_WINDOW} under way: the queue in front of them is in it"
    return {
        "registration.rate": Result(value, "registrations/s", _PEER, ceiling, note),
        "registration.latency_p99": Result(late, "ms", None, None, slow),
    }


@bench("registration.sustained")
def sustained(settings: Settings) -> Results:
    """A minute of Binding Updates with three BIDs each, one of which has moved, as many as the controller takes."""
    return asyncio.run(_sustained(settings))


async def _sustained(settings: Settings) -> Results:
    seconds = 60 * settings.scale
    with TemporaryDirectory() as folder:
        async with Bed(Path(folder)) as bed:
            controller = await start_controller(bed)
            first = [bed.request(node + 1, 1) for node in range(max(settings.amount(4000), 2 * _WINDOW))]
            await register(bed, as_sent(first), _WINDOW)
            assert controller.pid is not None
            used, here, began = _cpu_seconds(controller.pid), time.process_time(), time.perf_counter()
            waits = await register(bed, _moves(first, until=began + seconds), _WINDOW)
            took, here = time.perf_counter() - began, time.process_time() - here
            used = _cpu_seconds(controller.pid) - used
    ceiling, floor_here = await _sustained_floor(settings)
    answered = len(waits)
    late = 1000 * (quantiles(waits, n=100)[98] if answered > 1 else waits[0])
    each = 1e6 * used / answered
    alone = f"{each:.0f} microseconds of the controller's process each: with a processor of its own it would take {1e6 / each:.0f} a second"
    note = (
        f"{answered} in {took:.0f} s, {_WINDOW} under way, {100 * used / took:.0f} % of a processor for the controller"
    )
    return {
        "registration.sustained": Result(answered / took, "registrations/s", _PEER, ceiling, note),
        "registration.sustained_p99": Result(
            late, "ms", None, None, f"99 of 100 were answered by then, {_WINDOW} under way"
        ),
        "registration.controller_cpu": Result(each, "us", None, None, alone),
        "registration.bed_cpu": Result(
            1e6 * here / answered, "us", _PEER, floor_here, "switch and load generator, each"
        ),
    }


async def _sustained_floor(settings: Settings) -> tuple[float, float]:
    """Return how many such changes a second the bare client carries out, and what switch and load generator need for each, in microseconds.

    The same entries, written as they come, nothing stored.
    """
    numbers = Numbers()
    with TemporaryDirectory() as folder:
        async with Bed(Path(folder)) as bed:
            nodes = range(1, max(settings.amount(2000), 2 * _WINDOW) + 1)
            first = [bed.request(node, 1) for node in nodes]
            moves = [bed.request(node, sequence, sequence) for sequence in (2, 3, 4) for node in nodes]
            held = {request.home_address: request.record for request in first}

            def updates(messages: Messages, request: Request) -> list[Message]:
                if request.sequence == 1:
                    return insertions(messages, numbers, request)
                before = node_entries(held[request.home_address], numbers)
                held[request.home_address] = request.record
                return changes(messages, before, node_entries(request.record, numbers))

            await start_floor(bed, floor_plan(bed, [*first, *moves], updates, _WINDOW))
            await register(bed, as_sent(first), _WINDOW)
            used, began = time.process_time(), time.perf_counter()
            await register(bed, as_sent(moves), _WINDOW)
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
async def _two_beds() -> AsyncIterator[tuple[Bed, Bed]]:
    """Give one switch for the subject and one for the peer."""
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        async with Bed(Path(one)) as subject, Bed(Path(other)) as peer:
            yield subject, peer
