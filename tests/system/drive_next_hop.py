"""Run by `test_next_hop`: a router whose Ethernet address the topology does not know, and which is replaced under way.

Everything is in network namespaces of this run. Prints as JSON what was found.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from controller.fabric.loader import parse_topology
from testbed.netns.plan import make_plan
from testbed.netns.processes import enter_private_network
from testbed.netns.world import World, WorldOptions, namespaces
from testbed.settings import ControllerSettings

TOPOLOGY = """
name: next-hop
home_networks:
  - {prefix: "2001:db8:0:1::/64", home_agent: "2001:db8:0:1::1"}
nodes:
  s1: {kind: switch, role: anchor, device_id: 1, grpc: "127.0.0.1:9559"}
  cn: {kind: correspondent, addresses: ["2001:db8:c::10"], prefixes: ["2001:db8:c::/64"]}
  wifi:
    kind: access-router
    addresses: ["2001:db8:a1::1"]
    prefixes: ["2001:db8:a1::/64"]
    interfaces: {core: {discover: "fe80::99"}}
  mn:
    kind: mobile-node
    home_address: "2001:db8:0:1::100"
    interfaces: {wlan0: {bid: 1, address: "2001:db8:a1::100"}}
links:
  - {a: "s1:1", b: cn}
  - {a: "s1:2", b: "wifi:core"}
  - {a: "mn:wlan0", b: "wifi:air"}
"""
NODE = "2001:db8:0:1::100"
FIRST, SECOND = "02:00:00:00:aa:01", "02:00:00:00:aa:02"
WITHIN = 40.0


async def ping(world: World) -> int:
    """Return how many of three echo requests to the node are answered, once one was."""
    async with asyncio.timeout(WITHIN):
        while (await world.run("cn", "ping", "-6", "-n", "-c", "1", "-W", "1", NODE)).returncode:
            pass
    output = (await world.run("cn", "ping", "-6", "-n", "-c", "3", "-i", "0.3", "-W", "3", NODE)).stdout
    return int(output.split(" received")[0].rsplit(" ", 1)[1])


async def core(world: World, *command: str) -> str:
    """Run ip on the router; return what it said."""
    done = await world.run("wifi", "ip", "-6", *command)
    if done.returncode:
        raise SystemExit(f"ip -6 {' '.join(command)}: {done.stdout}")
    return done.stdout


async def drive(folder: Path) -> dict[str, Any]:
    topology = parse_topology(TOPOLOGY)
    settings = ControllerSettings(extra={"neighbour_reachable_s": 1.0})
    with namespaces(make_plan(topology)) as pids:
        world = World(topology, pids, folder, WorldOptions(settings=settings))
        # Another Ethernet address than that which follows from the names, and nobody has told the router of the switch's.
        await core(world, "address", "add", "fe80::99/64", "dev", "core", "nodad")
        await core(world, "link", "set", "core", "address", FIRST)
        await core(world, "neigh", "flush", "dev", "core", "nud", "permanent")
        async with world:
            found: dict[str, Any] = {"first": await ping(world)}
            await core(world, "link", "set", "core", "address", SECOND)
            found["second"] = await ping(world)
            neighbours = json.loads(await core(world, "-json", "neigh", "show", "dev", "core"))
        found["asked"] = {one["dst"]: one.get("lladdr") for one in neighbours}
        found["log"] = world.processes["controller"].output()
    found["switch"] = next(one.mac for one in topology.interfaces_of("s1") if one.port == 2).to_bytes(6).hex(":")
    return found


if __name__ == "__main__":
    enter_private_network()
    print(json.dumps(asyncio.run(drive(Path(sys.argv[1])))))  # noqa: T201 - its result
