"""Real traffic between two namespaces of a world: datagrams at a rate, a download by HTTP, iperf3, ping."""

import asyncio
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from testbed.netns.probe import Arrival, Loss, loss_of, read_arrivals
from testbed.netns.processes import Process, ProcessError
from testbed.netns.world import World

_PROBE: Final = [sys.executable, "-m", "testbed.netns.probe"]
_REST: Final = 0.6
"""Seconds that what is under way gets at the end to arrive."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Who talks to whom."""

    source: str
    """A node."""
    destination: str
    """A node."""
    address: str
    """Of the destination."""


class Stream:
    """Numbered datagrams at a steady rate. Use it in an async with statement.

    Args:
        world: where.
        name: for logs, unique in the world.
        ends: from whom to whom.
        rate: datagrams a second.
        port: at the destination.
        size: octets of payload.
    """

    def __init__(self, world: World, name: str, ends: Ends, rate: float, port: int = 5001, size: int = 100) -> None:
        self.rate: Final = rate
        self._world: Final = world
        self._name: Final = name
        self._ends: Final = ends
        self._port: Final = port
        self._size: Final = size
        self._log: Final = world.folder / f"{name}.bin"
        self.sent = 0

    async def __aenter__(self) -> Self:
        world, ends = self._world, self._ends
        port = str(self._port)
        command = [*_PROBE, "receive", "--port", port, "--log", str(self._log)]
        self._receiver = world.spawn(f"{self._name}-receiver", ends.destination, *command)
        await self._receiver.wait_line("ready")
        command = [*_PROBE, "send", "--to", ends.address, "--port", port]
        command += ["--rate", str(self.rate), "--size", str(self._size)]
        self._sender = world.spawn(f"{self._name}-sender", ends.source, *command)
        await self._sender.wait_line("ready")
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._sender.stop)
        await asyncio.sleep(_REST)
        await asyncio.to_thread(self._receiver.stop)
        found = re.findall(r'^\{"count": (\d+)\}$', self._sender.output(), re.MULTILINE)
        if not found:
            raise ProcessError(f"{self._sender.name} did not end as it should:\n{self._sender.last_lines()}")
        self.sent = int(found[-1])

    def arrivals(self) -> list[Arrival]:
        """Return what has arrived so far."""
        return read_arrivals(self._log)

    def loss(self) -> Loss:
        """Return what became of all of them, once the stream is over."""
        return loss_of(self.arrivals(), self.sent)


class Download:
    """A file that curl fetches from an HTTP server in another namespace, by one TCP connection.

    Args:
        world: where.
        name: for logs, unique in the world.
        ends: from whom to whom, and the address of the first.
        octets: of the file.
        port: of the server.
    """

    def __init__(self, world: World, name: str, ends: Ends, octets: int, port: int = 8080) -> None:
        self._world: Final = world
        self._name: Final = name
        self._ends: Final = ends
        self._octets: Final = octets
        self._port: Final = port
        self._client: Process | None = None

    async def start(self, limit_rate: str | None = None) -> None:
        """Serve a file of that many octets at the source, and have the destination fetch it.

        Args:
            limit_rate: octets a second, as curl's ``--limit-rate`` takes it; None: as fast as it goes.
        """
        world = self._world
        folder = world.folder / f"{self._name}-www"
        folder.mkdir(exist_ok=True)
        with (folder / "file").open("wb") as file:
            file.truncate(self._octets)
        command = [
            sys.executable,
            "-u",
            "-m",
            "http.server",
            "--bind",
            "::",
            "--directory",
            str(folder),
            str(self._port),
        ]
        server = world.spawn(f"{self._name}-server", self._ends.source, *command)
        await server.wait_line("Serving")
        form = '{"code":%{http_code},"octets":%{size_download},"seconds":%{time_total},"error":"%{errormsg}"}'
        limit = [] if limit_rate is None else ["--limit-rate", limit_rate]
        url = f"http://[{self._ends.address}]:{self._port}/file"
        fetch = ["curl", "--silent", "--output", "/dev/null", "--write-out", form, *limit, url]
        self._client = world.spawn(f"{self._name}-client", self._ends.destination, *fetch)

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self._client is not None and self._client.alive

    async def result(self, patience: float) -> dict[str, Any]:
        """Wait until it is over; return code, octets, seconds and error as curl tells them."""
        assert self._client is not None, "start it first"
        if await asyncio.to_thread(self._client.wait, patience) is None:
            self._client.kill()
            return {"code": 0, "octets": 0, "seconds": patience, "error": f"not over after {patience:g} s"}
        found: dict[str, Any] = json.loads(self._client.output() or "{}")
        return found


async def ping(world: World, node: str, address: str, count: int = 5, interval: float = 0.2) -> tuple[int, int]:
    """Return how many echo requests a node sent and how many were answered."""
    done = await world.run(node, "ping", "-6", "-n", "-c", str(count), "-i", str(interval), "-W", "2", address)
    found = re.search(r"(\d+) packets transmitted, (\d+) received", done.stdout)
    if found is None:
        raise ProcessError(f"ping from {node} to {address}: {done.stdout.strip()}")
    return int(found[1]), int(found[2])


async def traceroute(world: World, node: str, address: str) -> list[str | None]:
    """Return who answered a node at each hop towards an address, by UDP; None: nobody did."""
    done = await world.run(node, "traceroute", "-6", "-n", "-q", "1", "-w", "2", "-m", "8", address)
    found = re.findall(r"^ *\d+  (\S+)", done.stdout, re.MULTILINE)
    if not found:
        raise ProcessError(f"traceroute from {node} to {address}: {done.stdout.strip()}")
    return [None if hop == "*" else hop for hop in found]


async def iperf3(world: World, ends: Ends, seconds: int, port: int = 5201) -> dict[str, Any]:
    """Have iperf3 send by TCP for some seconds; return its report. The source is the client."""
    server = world.spawn(
        f"iperf3-{ends.destination}", ends.destination, "iperf3", "-s", "-1", "-p", str(port), "--forceflush"
    )
    await server.wait_line("Server listening")
    done = await world.run(
        ends.source,
        "iperf3",
        "-6",
        "-J",
        "-c",
        ends.address,
        "-p",
        str(port),
        "-t",
        str(seconds),
        patience=seconds + 30,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    if "error" in found:
        raise ProcessError(f"iperf3 from {ends.source} to {ends.address}: {found['error']}")
    return found


def logs(folder: Path) -> str:
    """Return the ends of all logs of a run, for an error."""
    parts = []
    for log in sorted(folder.glob("*.log")):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        parts.append(f"== {log.name}\n" + "\n".join(lines))
    return "\n".join(parts)
