"""Run inside of a network namespace of its own by `test_switch_interfaces`: `mcoa switch` between two veth pairs.

Prints as JSON what came out of it, in hexadecimal, for one packet to the mobile node and one from it.
"""

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path

from controller.dataplane.desired import DesiredState
from controller.fabric.loader import load_topology, sample_topologies
from controller.fabric.statics import switch_entries
from controller.mobility.model import Binding, NodeRecord
from testbed.artefacts import artefacts
from testbed.p4rt import Messages, Programmer
from testbed.packets import encapsulate, ethernet, udp
from testbed.settings import free_port

_CORRESPONDENT_PORT, _ACCESS_PORT = 2, 3
_EVERYTHING = 3
_SWITCH = "import typer; from testbed.cli import switch; typer.run(switch)"


def _make_links() -> None:
    for name in ("all", "default"):
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for port in (_CORRESPONDENT_PORT, _ACCESS_PORT):
        pair = ["ip", "link", "add", f"out{port}", "type", "veth", "peer", "name", f"sw{port}"]
        subprocess.run(pair, check=True)
        for end in (f"out{port}", f"sw{port}"):
            subprocess.run(["ip", "link", "set", end, "up"], check=True)


def _open(port: int) -> socket.socket:
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))
    link.bind((f"out{port}", _EVERYTHING))
    link.settimeout(10)
    return link


def _pass(frame: bytes, way_in: int, way_out: int) -> str:
    """Send a frame into one port and return what comes out of another, in hexadecimal."""
    with _open(way_in) as sender, _open(way_out) as receiver:
        sender.send(frame)
        return receiver.recv(65535).hex()


async def _drive() -> dict[str, str]:
    topology = load_topology(sample_topologies() / "three-access.yaml")
    node, agent = topology.mobile_nodes["mn"], topology.home_networks[0].home_agent
    care_of = node.interfaces["wlan0"].address
    assert care_of is not None
    correspondent = topology.stations["cn"].addresses[0]
    record = NodeRecord(node.home_address, agent, 1, (Binding(1, care_of, 3600, 3600.0, 1),))
    desired = DesiredState()
    desired.set_static("s1", switch_entries(topology, "s1"))
    desired.restore(record, 1, {1: 1})
    ports = {interface.port: interface for interface in topology.interfaces}

    def framed(port: int, packet: bytes) -> bytes:
        interface = ports[port]
        return ethernet(interface.mac.to_bytes(6), topology.interface(interface.peer).mac.to_bytes(6), packet)

    address = f"127.0.0.1:{free_port()}"
    interfaces = [word for port in (_CORRESPONDENT_PORT, _ACCESS_PORT) for word in ("-i", f"{port}@sw{port}")]
    command = [sys.executable, "-c", _SWITCH, "--grpc", address, *interfaces]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    p4info, program = artefacts()
    down = udp(correspondent, node.home_address, (1, 2), b"down")
    up = encapsulate(care_of, agent, udp(node.home_address, correspondent, (2, 1), b"up"))
    try:
        async with Programmer(address, Messages(p4info, 1), program) as programmer:
            await programmer.insert(desired.desired("s1").values())
            frame = framed(_CORRESPONDENT_PORT, down)
            found = await asyncio.to_thread(_pass, frame, _CORRESPONDENT_PORT, _ACCESS_PORT)
            frame = framed(_ACCESS_PORT, up)
            back = await asyncio.to_thread(_pass, frame, _ACCESS_PORT, _CORRESPONDENT_PORT)
    finally:
        process.terminate()
        await process.wait()
    return {"down": found, "up": back, "exit": str(process.returncode)}


if __name__ == "__main__":
    _make_links()
    print(json.dumps(asyncio.run(_drive())))  # noqa: T201 - that is how it reports to the test
