"""Run inside of a network namespace: targets between two veth pairs each, and as many packets as they take.

The targets run side by side and are measured in turns of a fraction of a second, so what disturbs the machine disturbs all. A turn
counts if nothing was lost in it.
"""

import argparse
import asyncio
import json
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

from bench.namespace import BMV2, make_link, packet_socket, prepare
from bench.switch import ACCESS_PORT, CORRESPONDENT_PORT, Case, Site
from testbed.artefacts import artefacts
from testbed.p4rt import Messages, Programmer
from testbed.settings import free_port

_WINDOWS = (4, 8, 16, 32, 48)
"""Packets under way, fewer than the 64 that a queue of BMv2 holds. Each target is measured with the one that suits it best."""
_WARM_UP = 300
"""Packets."""
_TRIES = 5
"""Turns in a row that may lose packets."""
_PATIENCE = 1.0
"""Seconds after which a packet is lost."""
_SWITCH_COMMAND = "import typer; from testbed.cli import switch; typer.run(switch)"


def _make_links(targets: Sequence[str]) -> None:
    prepare()
    for target in targets:
        for port in (CORRESPONDENT_PORT, ACCESS_PORT):
            make_link(_outside(target, port), _inside(target, port))


def _outside(target: str, port: int) -> str:
    return f"out-{target}-{port}"


def _inside(target: str, port: int) -> str:
    return f"{target}-{port}"


def _command(target: str, address: str) -> list[str]:
    pairs = [f"{port}@{_inside(target, port)}" for port in (CORRESPONDENT_PORT, ACCESS_PORT)]
    ports = [word for pair in pairs for word in ("-i", pair)]
    if target == "embedded":
        return [sys.executable, "-c", _SWITCH_COMMAND, "--grpc", address, *ports]
    command = [BMV2, "--device-id", "1", "-L", "off", *ports, "--no-p4", "--", "--grpc-server-addr", address]
    return [*command, "--cpu-port", "510"]


def _open(interface: str) -> socket.socket:
    link = packet_socket(interface)
    link.settimeout(_PATIENCE)
    return link


def _blast(target: str, case: Case, packets: int, window: int) -> float:
    """Send frames with a window, count what comes out as it should; return packets a second, 0 when one was lost."""
    way_in, way_out = _open(_outside(target, case.way_in)), _open(_outside(target, case.way_out))
    sent = received = 0
    with way_in, way_out:
        began = time.perf_counter()
        while received < packets:
            while sent < packets and sent - received < window:
                way_in.send(case.frame)
                sent += 1
            try:
                received += len(way_out.recv(65535)) == case.length
            except TimeoutError:
                return 0.0
        return packets / (time.perf_counter() - began)


class Bench:
    """Targets that are ready.

    Args:
        case: what is sent through them.
        packets: in a turn.
    """

    def __init__(self, case: Case, packets: int) -> None:
        self._case = case
        self._packets = packets
        self._windows: dict[str, int] = {}

    async def prepare(self, target: str) -> None:
        """Find the window that suits a target."""
        # One that has just started loses some: that is not what is measured.
        await asyncio.to_thread(_blast, target, self._case, _WARM_UP, min(_WINDOWS))
        found = {window: await self._turn(target, window) for window in _WINDOWS}
        self._windows[target] = max(found, key=lambda window: found[window])

    async def measure(self, target: str) -> float:
        """Return the packets a second of a turn."""
        for _ in range(_TRIES):
            found = await self._turn(target, self._windows[target])
            if found:
                return found
        raise SystemExit(f"{target} lost packets in {_TRIES} turns: no rate can be given")

    async def _turn(self, target: str, window: int) -> float:
        return await asyncio.to_thread(_blast, target, self._case, self._packets, window)


async def _measure(targets: Sequence[str], name: str, packets: int, rounds: int) -> dict[str, list[float]]:
    site = Site()
    bench = Bench(site.cases()[name], packets)
    p4info, program = artefacts()
    messages = Messages(p4info, site.device_id)
    figures: dict[str, list[float]] = {target: [] for target in targets}
    async with AsyncExitStack() as stack:
        for target in targets:
            address = f"127.0.0.1:{free_port()}"
            nowhere = asyncio.subprocess.DEVNULL
            process = await asyncio.create_subprocess_exec(*_command(target, address), stdout=nowhere)
            stack.push_async_callback(process.wait)
            stack.callback(process.kill)
            programmer = await stack.enter_async_context(Programmer(address, messages, program))
            await programmer.insert(site.entries())
        for target in targets:
            await bench.prepare(target)
        for number in range(rounds):
            for target in targets if number % 2 else reversed(targets):
                figures[target].append(await bench.measure(target))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.veth", description=__doc__)
    parser.add_argument("case", choices=tuple(Site().cases()))
    parser.add_argument("packets", type=int)
    parser.add_argument("rounds", type=int)
    parser.add_argument("targets", nargs="+", choices=("embedded", "bmv2"))
    given = parser.parse_args()
    _make_links(given.targets)
    print(json.dumps(asyncio.run(_measure(given.targets, given.case, given.packets, given.rounds))))


if __name__ == "__main__":
    main()
