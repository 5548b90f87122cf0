"""Run by `test_late_route`: a node agent on an interface that gets an address, and its way out only afterwards.

Everything is in network namespaces of this run. Prints as JSON what was found.
"""

import asyncio
import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from controller.mobility import node_registration
from controller.mobility.wire.codes import Protocol
from testbed.netns.processes import enter_private_network, run_script
from testbed.node.agent import NodeAgent
from testbed.node.config import load_node

CONFIG = """
[node]
home_address = "2001:db8:0:1::100"
home_agent = "2001:db8:0:1::1"
security = "none"

[[interface]]
name = "wlan0"
bid = 1
"""
LINKS = """
for scope in default all; do
  echo 0 > /proc/sys/net/ipv6/conf/$scope/accept_dad
done
ip link set lo up
ip link add name wlan0 type veth peer name air
ip link set air up
ip link set wlan0 up
"""
ADDRESS = "ip address add 2001:db8:a1::100/64 dev wlan0 nodad"
ROUTE = """
ip neighbour replace 2001:db8:a1::1 lladdr 02:00:00:00:00:01 dev wlan0 nud permanent
ip -6 route add ::/0 via 2001:db8:a1::1 dev wlan0 onlink
"""
NEVER: Final = 3600.0
WITHIN: Final = 60.0


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(WITHIN):
        while not condition():  # noqa: ASYNC110  the agent tells nobody
            await asyncio.sleep(0.01)


async def drive(folder: Path) -> dict[str, Any]:
    # The engine does not send again by itself: what comes, the agent sent when the route came.
    node_registration.FIRST_TIMEOUT = NEVER  # type: ignore[misc]
    run_script(None, LINKS, "the links")
    path = folder / "node.toml"
    path.write_text(CONFIG, encoding="utf-8")
    settings = load_node(path)
    agent = NodeAgent(settings, settings.engine_config(folder))
    found: dict[str, Any] = {"settled before it looked": agent.status()["settled"]}
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86DD)) as air:
        air.bind(("air", 0x86DD))
        air.setblocking(False)
        stop = asyncio.Event()
        running = asyncio.create_task(agent.run(stop))
        await until(lambda: agent.status()["settled"])
        run_script(None, ADDRESS, "the address")
        await until(lambda: agent.counters["signalling_unsent"])
        found["unsent"] = list(agent.status()["failed"])
        run_script(None, ROUTE, "the route")
        await until(lambda: agent.counters["binding_updates"])
        packets: list[bytes] = []
        async with asyncio.timeout(WITHIN):
            while not packets:
                packet = await asyncio.get_running_loop().sock_recv(air, 2048)
                packets += [packet] if packet[6] in {Protocol.MOBILITY, Protocol.DESTINATION_OPTIONS} else []
        found["source"] = socket.inet_ntop(socket.AF_INET6, packets[0][8:24])
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return found


if __name__ == "__main__":
    enter_private_network()
    print(json.dumps(asyncio.run(drive(Path(sys.argv[1])))))  # noqa: T201 - its result
