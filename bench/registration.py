"""Registrations: from a Binding Update on the wire to its acknowledgement on the wire, and how many a second.

Both through the embedded switch. The peer is a bare client on the same kind of switch in the same run: see `bench.floor`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.bed import Bed, Numbers, Request, floor_plan, insertions
from bench.registry import Result, Results, Settings, bench
from controller.dataplane import pipeline as p
from controller.dataplane.entries import Op
from controller.dataplane.planner import node_entries
from testbed.artefacts import artefacts

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
    times = settings.amount(60)
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        async with Bed(Path(one)) as subject, Bed(Path(other)) as peer:
            await subject.start_controller()
            messages = peer.messages(artefacts()[0])
            requests = [subject.request(1, number + 1, number) for number in range((settings.rounds + 1) * times + 1)]
            numbers = Numbers()
            first = requests[0]

            def updates(request: Request) -> list[object]:
                if request is first:
                    return list(insertions(messages, numbers, request))
                entries = node_entries(request.record, numbers).values()
                return [
                    messages.update(Op.MODIFY, entry)
                    for entry in entries
                    if entry.table == p.TUNNELS and entry.match[1] == 2
                ]

            await peer.start_floor(floor_plan(peer, artefacts(), requests, updates, 1))
            await subject.ask(first)
            await peer.ask(first)

            def turn(bed: Bed) -> Callable[[int], Awaitable[float]]:
                async def run(number: int) -> float:
                    found: list[float] = []
                    for request in requests[1 + number * times : 1 + (number + 1) * times]:
                        began = time.perf_counter()
                        await bed.ask(request)
                        found.append(time.perf_counter() - began)
                    return 1000 * median(found)

                return run

            value, floor = await _in_turns(turn(subject), turn(peer), settings.rounds)
    note = "BID 2 of three moves: insert, then modify, stored on disk, then acknowledged"
    peer_name = "bare client: packet-in, one modify, packet-out"
    return {"registration.latency_p50": Result(value, "ms", peer_name, floor, note)}


@bench("registration.rate")
def rate(settings: Settings) -> Results:
    """New nodes with three BIDs each, many under way at a time."""
    return asyncio.run(_rate(settings))


async def _rate(settings: Settings) -> Results:
    times = settings.amount(300)
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        async with Bed(Path(one)) as subject, Bed(Path(other)) as peer:
            await subject.start_controller()
            messages = peer.messages(artefacts()[0])
            requests = [subject.request(node + 1, 1) for node in range((settings.rounds + 1) * times)]
            numbers = Numbers()
            plan = floor_plan(
                peer, artefacts(), requests, lambda request: insertions(messages, numbers, request), _WINDOW
            )
            await peer.start_floor(plan)

            def turn(bed: Bed) -> Callable[[int], Awaitable[float]]:
                async def run(number: int) -> float:
                    part = requests[number * times : (number + 1) * times]
                    began = time.perf_counter()
                    await _all(bed, part)
                    return len(part) / (time.perf_counter() - began)

                return run

            value, ceiling = await _in_turns(turn(subject), turn(peer), settings.rounds)
    note = f"new nodes with three BIDs each, {_WINDOW} under way"
    peer_name = "bare client: the same entries in batches, nothing stored"
    return {"registration.rate": Result(value, "registrations/s", peer_name, ceiling, note)}


async def _all(bed: Bed, requests: list[Request]) -> None:
    """Ask for everything, with a window of requests under way, in order."""
    window = asyncio.Semaphore(_WINDOW)
    async with asyncio.TaskGroup() as group:
        for request in requests:
            await window.acquire()
            group.create_task(_one(bed, request, window))


async def _one(bed: Bed, request: Request, window: asyncio.Semaphore) -> None:
    try:
        await bed.ask(request)
    finally:
        window.release()
