"""Run inside of a network namespace: registrations through BMv2, which gets Binding Updates over a veth pair."""

import argparse
import asyncio
import contextlib
import json
import socket
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Final

import grpc.aio

from bench import registration
from bench.bed import WITHIN, BenchError
from bench.namespace import BMV2, make_link, packet_socket, prepare
from bench.registry import Results, Settings
from testbed.bed import ACCESS_PORT, SWITCH, Bed
from testbed.settings import free_port

_LONGEST: Final = 65535
_NUMBERS: Final = count(1)


class VethBed(Bed):
    """The bed around BMv2, of which only the access port has a link."""

    window = 32
    """From 40 on BMv2 loses some, of the bare client's too."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        nodes = self.topology.nodes
        nodes = {**nodes, SWITCH: nodes[SWITCH].model_copy(update={"target": "bmv2"})}
        self.topology = self.topology.model_copy(update={"nodes": nodes})
        self._link: socket.socket | None = None

    async def start_switch(self) -> str:
        """Start BMv2, to end with the bed."""
        number = next(_NUMBERS)
        outside, inside = f"out-{number}", f"in-{number}"
        make_link(outside, inside)
        address = f"127.0.0.1:{free_port()}"
        command = [BMV2, "--device-id", str(self.device_id), "-L", "off", "-i", f"{ACCESS_PORT}@{inside}", "--no-p4"]
        command += ["--thrift-port", str(free_port()), "--", "--grpc-server-addr", address, "--cpu-port", "510"]
        nowhere = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(*command, stdout=nowhere, stderr=nowhere)
        self.stack.push_async_callback(process.wait)
        self.stack.callback(process.kill)
        try:
            async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(WITHIN):
                await channel.channel_ready()
        except TimeoutError:
            raise BenchError("BMv2 does not answer") from None
        self._link = self.stack.enter_context(packet_socket(outside))
        self._link.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._link, self._read, self._link)
        self.stack.callback(loop.remove_reader, self._link)
        return address

    def send(self, port: int, frame: bytes) -> None:
        """Send a frame to the access port."""
        if port != ACCESS_PORT or self._link is None:
            raise BenchError(f"there is no link at port {port}")
        self._link.send(frame)

    def _read(self, link: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.out(link.recv(_LONGEST))


_MEASURES: Final[dict[str, Callable[[Settings, type[Bed]], Coroutine[None, None, Results]]]] = {
    "latency": registration.measure_latency,
    "rate": registration.measure_rate,
    "sustained": registration.measure_sustained,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.veth_registration", description=__doc__)
    parser.add_argument("what", choices=tuple(_MEASURES))
    parser.add_argument("rounds", type=int)
    parser.add_argument("scale", type=float)
    given = parser.parse_args()
    prepare()
    results = asyncio.run(_MEASURES[given.what](Settings(given.rounds, given.scale), VethBed))
    print(json.dumps({name: asdict(result) for name, result in results.items()}))


if __name__ == "__main__":
    main()
