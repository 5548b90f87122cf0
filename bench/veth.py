"""Run inside of a network namespace: one target between two veth pairs, and as many packets as it takes."""

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

from bench.switch import ACCESS_PORT, BMV2, CORRESPONDENT_PORT, Case, Site
from testbed.artefacts import artefacts
from testbed.p4rt import Messages, Programmer
from testbed.settings import free_port

_WINDOWS = (4, 8, 16, 32, 48)
"""Packets under way, fewer than the 64 that a queue of BMv2 holds. Each target is measured with all, the best counts."""
_WARM_UP = 300
"""Packets."""
_ALL = 3
"""Every EtherType, for a packet socket."""
_SWITCH_COMMAND = "import typer; from testbed.cli import switch; typer.run(switch)"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def _make_links() -> None:
    # BMv2 asks /sys whether its interfaces are up: it must be that of this namespace.
    subprocess.run(["mount", "-t", "sysfs", "none", "/sys"], check=True)
    for name in ("all", "default"):
        # The kernel's own neighbour discovery would mix with what is counted.
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1", encoding="ascii")
    _ip("link", "set", "lo", "up")
    for port in (CORRESPONDENT_PORT, ACCESS_PORT):
        _ip("link", "add", f"out{port}", "type", "veth", "peer", "name", f"sw{port}")
        for end in (f"out{port}", f"sw{port}"):
            _ip("link", "set", end, "up", "mtu", "9000")


def _command(target: str, address: str) -> list[str]:
    ports = [word for port in (CORRESPONDENT_PORT, ACCESS_PORT) for word in ("-i", f"{port}@sw{port}")]
    if target == "embedded":
        return [sys.executable, "-c", _SWITCH_COMMAND, "--grpc", address, *ports]
    return [
        BMV2,
        "--device-id",
        "1",
        "-L",
        "off",
        *ports,
        "--no-p4",
        "--",
        "--grpc-server-addr",
        address,
        "--cpu-port",
        "510",
    ]


def _open(interface: str) -> socket.socket:
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    link.bind((interface, _ALL))
    link.settimeout(1.0)
    return link


def _blast(case: Case, packets: int, window: int) -> float:
    """Send frames with a window, count what comes out as it should; return packets a second, 0 when too many were lost."""
    way_in, way_out = _open(f"out{case.way_in}"), _open(f"out{case.way_out}")
    sent = received = lost = 0
    with way_in, way_out:
        began = time.perf_counter()
        while received + lost < packets:
            while sent < packets and sent - received - lost < window:
                way_in.send(case.frame)
                sent += 1
            try:
                received += len(way_out.recv(65535)) == case.length
            except TimeoutError:
                lost = sent - received
        took = time.perf_counter() - began
    return received / took if lost <= packets // 100 else 0.0


async def _measure(target: str, name: str, packets: int) -> float:
    site = Site()
    case = site.cases()[name]
    p4info, program = artefacts()
    address = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(*_command(target, address), stdout=asyncio.subprocess.DEVNULL)
    try:
        messages = Messages(p4info, site.device_id)
        async with Programmer(address, messages, program) as programmer:
            await programmer.insert(site.entries())
            # A target that has just started loses some: that is not what is measured.
            await asyncio.to_thread(_blast, case, _WARM_UP, min(_WINDOWS))
            best = max([await asyncio.to_thread(_blast, case, packets, window) for window in _WINDOWS])
            if not best:
                raise SystemExit(f"{target} lost packets with every window: no rate can be given")
            return best
    finally:
        process.kill()
        await process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.veth", description=__doc__)
    parser.add_argument("target", choices=("embedded", "bmv2"))
    parser.add_argument("case", choices=tuple(Site().cases()))
    parser.add_argument("packets", type=int)
    given = parser.parse_args()
    _make_links()
    figure = asyncio.run(_measure(given.target, given.case, given.packets))
    print(json.dumps({"packets_per_second": figure}))


if __name__ == "__main__":
    main()
