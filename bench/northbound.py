"""What reading by REST costs registrations: their p99 without readers, and with 200 mixed reads a second.

Switch and registering nodes share a process, the controller and the readers have one each: three on the machine's processors.
1000 registrations a second are offered where the machine carries 1200; elsewhere a share of what it does: more would measure its
queue, not what readers cost.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from bench.bed import ask, start_controller
from bench.registry import Result, Results, Settings, bench
from controller.mobility.address import format_address
from testbed.bed import Bed, Request

_READS = 200
"""A second."""
_MOST = 1000
"""Registrations a second that the issue asks for."""
_ROOM = 1.2
"""So many times what is offered a machine has to carry when it does nothing else; without that room its queue grows."""
_SHARE = 0.6
"""Of what a machine carries that has no such room: so much is offered there."""
_WINDOW = 64
"""So many registrations may be under way: one more that is due waits, and its time counts from when it was due."""
_KNOWN = 200
"""Nodes whose pages are read one by one; they have registered before."""
_NODES = 20_000
"""With three care-of addresses each they leave some room in a table of 65 536."""
_SECONDS = 8.6
"""Of one turn: with seven rounds readers read for a minute."""


@bench("northbound.interference")
def interference(settings: Settings) -> Results:
    """Offer registrations at a steady rate, in turns without and with readers."""
    return asyncio.run(_interference(settings))


@dataclass(slots=True)
class _Load:
    """Registrations of new nodes, and of the same ones with another care-of address when the switch has no room for more.

    Args:
        bed: where.
    """

    bed: Bed
    _numbers: Iterator[tuple[int, int]] = field(
        default_factory=lambda: ((sequence, node) for sequence in count(1) for node in range(1, _NODES + 1))
    )

    def next(self) -> Request:
        sequence, node = next(self._numbers)
        return self.bed.request(node, sequence, sequence - 1)

    async def flood(self, seconds: float) -> float:
        """Return how many a second the machine carries."""
        end = time.perf_counter() + seconds
        done = 0

        async def worker() -> None:
            nonlocal done
            while time.perf_counter() < end:
                await ask(self.bed, self.next())
                done += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(_WINDOW):
                group.create_task(worker())
        return done / seconds

    async def offer(self, rate: float, seconds: float) -> list[float]:
        """Offer so many a second; return how many milliseconds each took from when it was due."""
        found: list[float] = []
        window = asyncio.Semaphore(_WINDOW)

        async def one(due: float) -> None:
            async with window:
                await ask(self.bed, self.next())
            found.append(1000 * (time.perf_counter() - due))

        due = time.perf_counter()
        end = due + seconds
        async with asyncio.TaskGroup() as group:
            while due < end:
                group.create_task(one(due))
                due += 1 / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
        return found


async def _interference(settings: Settings) -> Results:
    seconds = max(1.0, _SECONDS * settings.scale)
    quiet: list[list[float]] = []
    disturbed: list[list[float]] = []
    reads: list[float] = []
    with TemporaryDirectory() as folder:
        async with Bed(Path(folder)) as bed:
            controller = await start_controller(bed)
            load = _Load(bed)
            known = [load.next() for _ in range(_KNOWN)]
            for request in known:
                await ask(bed, request)
            carries = await load.flood(max(1.0, 4.0 * settings.scale))
            rate = _MOST if carries >= _ROOM * _MOST else _SHARE * carries
            paths = _paths([format_address(request.home_address) for request in known])
            async with _readers(controller.url, bed.token, paths) as readers:
                shares = _Shares(
                    {"controller": controller.pid, "switch and nodes": os.getpid(), "readers": readers.pid}
                )
                for number in range(settings.rounds):
                    for busy in (False, True) if number % 2 else (True, False):
                        if not busy:
                            quiet.append(await load.offer(rate, seconds))
                            continue
                        await readers.begin()
                        shares.begin()
                        disturbed.append(await load.offer(rate, seconds))
                        shares.end()
                        reads += await readers.end()
    ours, peer = median(map(_p99, disturbed)), median(map(_p99, quiet))
    note = (
        f"{rate:.0f} registrations a second offered, of {_MOST} that were asked for (the machine carries"
        f" {carries:.0f}), beside {len(reads) / (settings.rounds * seconds):.0f} of {_READS} reads a second for"
        f" {settings.rounds * seconds:.0f} s; median of {settings.rounds} turns; processors: {shares.text()}"
    )
    mixed = "lists of 50 nodes or bindings, one node and its bindings, switches, policies, events, metrics, health"
    return {
        "northbound.interference": Result(ours, "ms", "p99 of registrations without readers", peer, note),
        "northbound.read_p99": Result(_p99(reads), "ms", None, None, f"beside those registrations: {mixed}"),
    }


def _paths(known: list[str]) -> list[str]:
    """Return what is read, in turns: half of it lists and pages of the whole, half of it single nodes."""
    common = (
        "/v1/nodes?limit=50",
        "/v1/bindings?limit=50",
        "/v1/switches",
        "/v1/policies",
        "/v1/events?limit=20",
        "/health",
        "/metrics",
    )
    found: list[str] = []
    for number, address in enumerate(known):
        found.append(common[number % len(common)])
        found.append(f"/v1/nodes/{address}/bindings" if number % 4 == 3 else f"/v1/nodes/{address}")
    return found


@dataclass(slots=True)
class _Reading:
    """The process of the readers."""

    process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        return self.process.pid

    async def begin(self) -> None:
        self._tell("begin")

    async def end(self) -> list[float]:
        self._tell("end")
        assert self.process.stdout is not None
        found: list[float] = json.loads(await self.process.stdout.readline())
        return found

    def _tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())


@asynccontextmanager
async def _readers(url: str, token: str, paths: list[str]) -> AsyncIterator[_Reading]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.readers",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=16 << 20,
    )
    host, _, port = url.removeprefix("http://").rpartition(":")
    told = {"host": host, "port": int(port), "token": token, "paths": paths, "rate": _READS}
    assert process.stdin is not None
    process.stdin.write(json.dumps(told).encode() + b"\n")
    try:
        yield _Reading(process)
    finally:
        process.stdin.close()
        await process.wait()


class _Shares:
    """What part of a processor each process took while it was looked at."""

    def __init__(self, pids: dict[str, int | None]) -> None:
        self._pids = {name: pid for name, pid in pids.items() if pid is not None}
        self._took = dict.fromkeys(self._pids, 0.0)
        self._seconds = 0.0
        self._began: dict[str, float] = {}

    def begin(self) -> None:
        self._began = {name: _processor_time(pid) for name, pid in self._pids.items()}
        self._seconds -= time.perf_counter()

    def end(self) -> None:
        self._seconds += time.perf_counter()
        for name, pid in self._pids.items():
            self._took[name] += _processor_time(pid) - self._began[name]

    def text(self) -> str:
        return ", ".join(f"{name} {100 * took / self._seconds:.0f} %" for name, took in self._took.items())


def _processor_time(pid: int) -> float:
    """Return seconds of processor that a process has used (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98] if len(values) > 1 else values[0]
