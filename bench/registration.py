"""Registrations: from a Binding Update on the wire to its acknowledgement on the wire, and how many a second.

Both through the embedded switch. The peer is a bare client on the same kind of switch in the same run: see `bench.floor`.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from bench.bed import Numbers, ask, changes, floor_plan, insertions, start_controller, start_floor
from bench.registry import Result, Results, Settings, bench
from controller.dataplane import pipeline as p
from controller.dataplane.entries import Op
from controller.dataplane.planner import node_entries
from testbed.bed import Bed, Request
from testbed.p4rt import Message, Messages

_PAUSE = 0.005
"""Seconds between two measured handovers, the same for the peer: the clearing up after one is not counted in the next."""
_MESSAGE_AT = 14 + 40 + 24
"""Where a Mobility Header begins in a frame: after Ethernet, IPv6 and the Home Address option."""
_CHECKSUM_AT, _SEQUENCE_AT, _FLAGS_AT = _MESSAGE_AT + 4, _MESSAGE_AT + 6, _MESSAGE_AT + 8
_OVERWRITE = 0x0040
_PEER = "bare client: the same entries in batches, nothing stored"
_WINDOW = 64
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
            waited = await _all(bed, part)
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
            await _all(bed, first)
            assert controller.pid is not None
            used, began = _cpu_seconds(controller.pid), time.perf_counter()
            moves = _moves(first, until=began + seconds)
            several = await asyncio.gather(*(_one_after_the_other(bed, moves) for _ in range(_WINDOW)))
            took, used = time.perf_counter() - began, _cpu_seconds(controller.pid) - used
    ceiling = await _sustained_floor(settings)
    waits = [1000 * wait for some in several for wait in some]
    answered = len(waits)
    late = quantiles(waits, n=100)[98] if answered > 1 else waits[0]
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
    }


async def _sustained_floor(settings: Settings) -> float:
    """Return how many such changes a second the bare client carries out: the same entries, written as they come, nothing stored."""
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
            await _all(bed, first)
            began = time.perf_counter()
            await _all(bed, moves)
            return len(moves) / (time.perf_counter() - began)


def _moves(first: list[Request], until: float) -> Iterator[Request]:
    """Yield Binding Updates of all nodes in turn: each time BID 2 is somewhere else.

    To encode each would take longer than the controller needs for it, so a node's first one is changed: sequence number, O flag,
    the last but one group of the care-of address of BID 2, and the checksum (RFC 1624).
    """
    for sequence in count(2):
        for request in first:
            if time.perf_counter() >= until:
                return
            frame = bytearray(request.frame)
            at = frame.index(request.record.bindings[1].care_of, _MESSAGE_AT) + 12
            flags = int.from_bytes(frame[_FLAGS_AT : _FLAGS_AT + 2])
            changes = ((_SEQUENCE_AT, sequence & 0xFFFF), (_FLAGS_AT, flags & ~_OVERWRITE), (at, sequence & 0xFFFF))
            total = ~int.from_bytes(frame[_CHECKSUM_AT : _CHECKSUM_AT + 2]) & 0xFFFF
            for position, value in changes:
                total += (~int.from_bytes(frame[position : position + 2]) & 0xFFFF) + value
                frame[position : position + 2] = value.to_bytes(2)
            while total > 0xFFFF:
                total = (total & 0xFFFF) + (total >> 16)
            frame[_CHECKSUM_AT : _CHECKSUM_AT + 2] = (~total & 0xFFFF).to_bytes(2)
            yield replace(request, sequence=sequence & 0xFFFF, frame=bytes(frame))


async def _one_after_the_other(bed: Bed, requests: Iterator[Request]) -> list[float]:
    """Ask for what is left of requests that others take from too; return how many seconds each took."""
    waits: list[float] = []
    for request in requests:
        began = time.perf_counter()
        await ask(bed, request)
        waits.append(time.perf_counter() - began)
    return waits


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


async def _all(bed: Bed, requests: list[Request]) -> list[float]:
    """Ask for everything, with a window of requests under way, in order; return how many seconds each took."""
    window = asyncio.Semaphore(_WINDOW)
    async with asyncio.TaskGroup() as group:
        tasks = []
        for request in requests:
            await window.acquire()
            tasks.append(group.create_task(_one(bed, request, window)))
    return [task.result() for task in tasks]


async def _one(bed: Bed, request: Request, window: asyncio.Semaphore) -> float:
    began = time.perf_counter()
    try:
        await ask(bed, request)
    finally:
        window.release()
    return time.perf_counter() - began
