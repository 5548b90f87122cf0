"""The air: a process that holds both ends of links and gives them delay, rate and loss, and lets a node change its access router.

The kernels that tests run on have no netem; and no queueing discipline could plug an interface in elsewhere. Commands come as one
line of JSON on a socket, each answered by one line:

| command | what happens |
|---|---|
| ``{"plug": "mr:wlan0", "into": "rsu2"}`` | the interface is now with another access router or home link |
| ``{"carrier": "mr:wlan0", "on": false}`` | the interface loses its carrier, and the kernel there says so |
| ``{"pass": "mr:wlan0", "on": false}`` | frames are lost and nobody is told |
| ``{"set": "mr:wlan0", "delay_ms": 20, "loss": 0.01, "rate_mbps": 5}`` | what it does to frames from now on |
| ``{"counters": true}`` | frames by link |
"""

import argparse
import asyncio
import contextlib
import fcntl
import json
import signal
import socket
import struct
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from testbed.netns.processes import die_with_parent
from testbed.softswitch.ports import InterfacePort
from testbed.wire import Scheduler, Wire, WireEnd, WireSpec

_SIOCGIFFLAGS: Final = 0x8913
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 1
_MAX_STATIONS: Final = 1024
"""Ethernet addresses that a port remembers."""


class CommandError(ValueError):
    """A command that cannot be carried out."""


class Socket:
    """A port of the air: one interface, and the wires that end there."""

    def __init__(self, interface: str) -> None:
        self.port: Final = InterfacePort(interface)
        self.ends: Final[list[WireEnd]] = []
        self._stations: Final[dict[bytes, WireEnd]] = {}
        self.port.receiver = self._from_interface

    def join(self, end: WireEnd) -> None:
        """Let a wire end here."""
        self.ends.append(end)

        def arrive(frame: bytes) -> None:
            if len(self._stations) < _MAX_STATIONS:
                self._stations[frame[6:12]] = end
            self.port.send(frame)

        end.connect(arrive)

    def part(self, end: WireEnd) -> None:
        """Take a wire away."""
        self.ends.remove(end)
        for mac in [mac for mac, known in self._stations.items() if known is end]:
            del self._stations[mac]

    def _from_interface(self, frame: bytes) -> None:
        end = None if frame[0] & 1 else self._stations.get(frame[:6])
        if end is not None:
            end.send(frame)
        else:
            for each in self.ends:
                each.send(frame)

    def carrier(self, *, on: bool) -> None:
        """Bring the interface up or down: the other end of its veth pair gets or loses its carrier."""
        name = self.port.name.encode()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            answer = fcntl.ioctl(sock, _SIOCGIFFLAGS, struct.pack("16sH22x", name, 0))
            flags = struct.unpack_from("16xH", answer)[0]
            flags = flags | _IFF_UP if on else flags & ~_IFF_UP
            fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH22x", name, flags))


class Air:
    """All links of a plan that go through the air.

    Args:
        plan: as `NetPlan.to_json` gives it.
    """

    def __init__(self, plan: dict[str, Any]) -> None:
        self._scheduler: Final = Scheduler()
        self._sockets: Final = {
            f"{port['node']}:{port['name']}": Socket(port["interface"]) for port in plan["air_ports"]
        }
        self._wires: Final[dict[str, Wire]] = {}
        self._places: Final[dict[str, str]] = {}
        for number, link in enumerate(plan["air_links"]):
            rate = None if link["rate_mbps"] is None else link["rate_mbps"] * 1e6
            wire = Wire(self._scheduler, WireSpec(link["delay_ms"] / 1000, rate, loss=link["loss"]), link["a"], number)
            self._wires[link["a"]], self._places[link["a"]] = wire, link["b"]
            self._sockets[link["a"]].join(wire.a)
            self._sockets[link["b"]].join(wire.b)

    async def open(self) -> None:
        """Begin to carry frames.

        Raises:
            PortError: an interface cannot be opened.
        """
        for one in self._sockets.values():
            await one.port.open()

    def close(self) -> None:
        """End."""
        for one in self._sockets.values():
            one.port.close()
        self._scheduler.close()

    def do(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command.

        Raises:
            CommandError: there is no such command, link or place.
        """
        match command:
            case {"plug": str(link), "into": str(place)}:
                self._plug(link, place)
            case {"carrier": str(link), "on": bool(on)}:
                self._wire(link).set_up(on)
                self._sockets[link].carrier(on=on)
            case {"pass": str(link), "on": bool(on)}:
                self._wire(link).set_up(on)
            case {"set": str(link), **values}:
                self._set(link, values)
            case {"counters": True}:
                return {name: [asdict(wire.a.counters), asdict(wire.b.counters)] for name, wire in self._wires.items()}
            case _:
                raise CommandError(f"{command} is no command of the air")
        return {}

    def _wire(self, link: str) -> Wire:
        if link not in self._wires:
            raise CommandError(f"{link!r} is no link of the air: {', '.join(self._wires)}")
        return self._wires[link]

    def _plug(self, link: str, node: str) -> None:
        wire = self._wire(link)
        place = node if node in self._sockets else self._socket_of(node)
        self._sockets[self._places[link]].part(wire.b)
        wire.set_up(up=False)  # what is on its way to the old place is lost
        wire.set_up(up=True)
        self._sockets[place].join(wire.b)
        self._places[link] = place

    def _socket_of(self, node: str) -> str:
        found = next((name for name in self._sockets if name.partition(":")[0] == node), None)
        if found is None:
            raise CommandError(f"{node!r} has no port in the air")
        return found

    def _set(self, link: str, values: dict[str, Any]) -> None:
        wire, spec = self._wire(link), self._wire(link).spec
        try:
            for key, value in values.items():
                match key:
                    case "delay_ms":
                        spec = replace(spec, delay=float(value) / 1000)
                    case "rate_mbps":
                        spec = replace(spec, rate=None if value is None else float(value) * 1e6)
                    case "loss":
                        spec = replace(spec, loss=float(value))
                    case _:
                        raise CommandError(f"{key!r} is nothing that a link has: delay_ms, rate_mbps, loss")
        except (TypeError, ValueError) as error:
            raise CommandError(str(error)) from None
        wire.spec = spec


async def _serve(air: Air, control: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            async for line in reader:
                try:
                    result = {"ok": True, **air.do(json.loads(line))}
                except (ValueError, OSError) as error:
                    result = {"ok": False, "error": str(error)}
                writer.write(json.dumps(result).encode() + b"\n")
                await writer.drain()
        writer.close()

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await air.open()
    server = await asyncio.start_unix_server(answer, control)
    sys.stdout.write("ready: the air\n")
    sys.stdout.flush()
    await stop.wait()
    server.close()
    air.close()


def main() -> None:
    """Be the air until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--control", type=Path, required=True)
    options = parser.parse_args()
    die_with_parent()
    plan = json.loads(options.plan.read_text(encoding="utf-8"))

    async def run() -> None:
        await _serve(Air(plan), options.control)

    asyncio.run(run())
    options.control.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
