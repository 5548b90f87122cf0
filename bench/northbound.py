"""What reading by REST costs registrations: their p99 without readers, and with 200 mixed reads a second."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

import httpx

from bench.bed import ask, start_controller
from bench.registry import Result, Results, Settings, bench
from testbed.bed import Bed

_READS = 200
"""A second."""
_RATE = 300
"""Registrations a second that are offered."""
_WINDOW = 64
"""So many of each may be under way: a machine that is too slow is offered less, and the notes say how much came through."""


@bench("northbound.interference")
def interference(settings: Settings) -> Results:
    """Offer registrations at a steady rate, in turns without and with readers."""
    return asyncio.run(_interference(settings))


async def _interference(settings: Settings) -> Results:
    seconds = max(1.0, 5.0 * settings.scale)
    with TemporaryDirectory() as folder:
        async with Bed(Path(folder)) as bed:
            controller = await start_controller(bed)
            headers = {"Authorization": f"Bearer {bed.token}"}
            quiet: list[float] = []
            disturbed: list[float] = []
            reads: list[float] = []
            numbers = iter(range(1, 10_000_000))
            async with httpx.AsyncClient(
                base_url=controller.url, headers=headers, timeout=60, trust_env=False
            ) as client:
                for _ in range(settings.rounds):
                    quiet += await _register(bed, numbers, seconds)
                    stop = asyncio.Event()
                    reading = asyncio.create_task(_read(client, stop))
                    disturbed += await _register(bed, numbers, seconds)
                    stop.set()
                    reads += await reading
    ours, peer = _p99(disturbed), _p99(quiet)
    total = settings.rounds * seconds
    note = (
        f"{len(disturbed) / total:.0f} of {_RATE} registrations of new nodes a second beside"
        f" {len(reads) / total:.0f} of {_READS} reads a second; all in one machine's processes"
    )
    return {
        "northbound.interference": Result(ours, "ms", "p99 of registrations without readers", peer, note),
        "northbound.read_p99": Result(_p99(reads), "ms", None, None, "mixed reads beside those registrations"),
    }


async def _register(bed: Bed, numbers: Iterator[int], seconds: float) -> list[float]:
    found: list[float] = []
    under_way: set[asyncio.Task[None]] = set()

    async def one(number: int) -> None:
        began = time.perf_counter()
        await ask(bed, bed.request(number, 1))
        found.append(1000 * (time.perf_counter() - began))

    end = time.perf_counter() + seconds
    due = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        while time.perf_counter() < end:
            if len(under_way) < _WINDOW:
                task = group.create_task(one(next(numbers)))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            due += 1 / _RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
    return found


async def _read(client: httpx.AsyncClient, stop: asyncio.Event) -> list[float]:
    paths = (
        "/v1/nodes?limit=50",
        "/v1/bindings?limit=50",
        "/v1/switches",
        "/v1/policies",
        "/v1/events?limit=20",
        "/health",
    )
    found: list[float] = []
    under_way: set[asyncio.Task[None]] = set()

    async def one(path: str) -> None:
        began = time.perf_counter()
        answer = await client.get(path)
        answer.raise_for_status()
        found.append(1000 * (time.perf_counter() - began))

    due, number = time.perf_counter(), 0
    async with asyncio.TaskGroup() as group:
        while not stop.is_set():
            if len(under_way) < _WINDOW:
                task = group.create_task(one(paths[number % len(paths)]))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            number += 1
            due += 1 / _READS
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
    return found


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98] if len(values) > 1 else values[0]
