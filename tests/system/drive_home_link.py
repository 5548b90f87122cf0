"""Run by `test_home_link`: a home link with a kernel on it, whose neighbour discovery meets the home agent's.

Everything is in network namespaces of this run. Prints as JSON what the kernel found.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from controller.fabric.loader import parse_topology
from testbed.netns.plan import BRIDGE, make_plan
from testbed.netns.processes import enter_private_network
from testbed.netns.world import World, WorldOptions, namespaces
from testbed.settings import ControllerSettings

TOPOLOGY = """
name: home-link
home_networks:
  - {prefix: "2001:db8:0:1::/64", home_agent: "2001:db8:0:1::1", link: home}
nodes:
  s1: {kind: switch, role: anchor, device_id: 1, grpc: "127.0.0.1:9559"}
  home: {kind: home-link, addresses: ["2001:db8:0:1::2"]}
  wifi: {kind: access-router, addresses: ["2001:db8:a1::1"], prefixes: ["2001:db8:a1::/64"]}
  mn:
    kind: mobile-node
    home_address: "2001:db8:0:1::100"
    interfaces:
      wlan0: {bid: 1, priority: 5, address: "2001:db8:a1::100"}
      eth0: {bid: 2, priority: 1}
  squatted:
    kind: mobile-node
    home_address: "2001:db8:0:1::300"
    interfaces:
      wlan0: {bid: 1, address: "2001:db8:a1::300"}
links:
  - {a: "s1:1", b: "home:switch0"}
  - {a: "s1:2", b: "wifi:core"}
  - {a: "mn:wlan0", b: "wifi:air1"}
  - {a: "squatted:wlan0", b: "wifi:air2"}
  - {a: "mn:eth0", b: "home:port1"}
"""
NODE = "2001:db8:0:1::100"
SQUATTED = "2001:db8:0:1::300"
WITHIN = 30.0


class HomeWorld(World):
    """A world in which one node never gets what it wants."""

    async def agent_ready(self, node: str, patience: float = 60.0) -> None:
        if node != "squatted":
            await super().agent_ready(node, patience)


class Drive:
    """What is done, step by step."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def home(self, *command: str) -> str:
        """Run a command on the home link's host; return what it said."""
        return (await self.world.run("home", *command)).stdout

    async def until(self, look: Callable[[], Any], text: str) -> str:
        """Look until a text is there; return the last look."""
        found = ""
        try:
            async with asyncio.timeout(WITHIN):
                while text not in found:
                    found = await look()
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise SystemExit(f"no {text!r} within {WITHIN:g} s in: {found}") from None
        return found

    async def ping(self) -> int:
        """Return how many of three echo requests to the node are answered, once one was."""
        await self.until(lambda: self.home("ping", "-6", "-n", "-c", "1", "-W", "2", NODE), "1 received")
        output = await self.home("ping", "-6", "-n", "-c", "3", "-i", "0.3", "-W", "3", NODE)
        return int(output.split(" received")[0].rsplit(" ", 1)[1])

    async def neighbour(self) -> dict[str, Any]:
        found = json.loads(await self.home("ip", "-6", "-json", "neigh", "show", NODE, "dev", BRIDGE) or "[]")
        return found[0] if found else {}

    async def run(self, home_binding: str) -> dict[str, Any]:
        found: dict[str, Any] = {"away": await self.ping()}
        found["resolved"] = (await self.neighbour()).get("lladdr")
        await self.until(self.log, f"refused {SQUATTED} from 2001:db8:a1::300: status 134")
        found["probed"] = await self.take_the_address()
        found["still"] = await self.ping()
        # An address of the home network tells the node that it is at home.
        await self.world.give_address("mn", "eth0", "2001:db8:0:1::1100/64", "home")
        if home_binding == "static":
            await self.until(self.bindings, '"at_home":true')
        else:
            await self.until(self.told, self.mac_of_node())
        found["told"] = (await self.neighbour()).get("lladdr")
        await self.home("ip", "-6", "neigh", "flush", "dev", BRIDGE, "to", NODE)
        found["at_home"] = await self.ping()
        found["asked"] = (await self.neighbour()).get("lladdr")
        bindings = json.loads(await self.bindings())["items"]
        found["bindings"] = {one["bid"]: one["at_home"] for one in bindings}
        found["handed_over"] = sum(one["downstream"]["packets"] for one in bindings if one["at_home"])
        return found

    async def bindings(self) -> str:
        return (await self.world.client.get(f"/v1/nodes/{NODE}/bindings")).text

    async def log(self) -> str:
        return self.world.processes["controller"].output()

    async def told(self) -> str:
        return str((await self.neighbour()).get("lladdr"))

    def mac_of_node(self) -> str:
        mac = next(one.mac for one in self.world.topology.interfaces_of("mn") if one.name == "eth0")
        return mac.to_bytes(6).hex(":")

    async def take_the_address(self) -> bool:
        """Have the kernel try to take the node's home address, with duplicate address detection; tell whether it failed."""
        knobs = f"/proc/sys/net/ipv6/conf/{BRIDGE}"
        await self.home("sh", "-c", f"echo 1 > {knobs}/accept_dad; echo 1 > {knobs}/dad_transmits")
        await self.home("ip", "-6", "address", "add", f"{NODE}/128", "dev", BRIDGE)

        async def address() -> str:
            return await self.home("ip", "-6", "address", "show", "dev", BRIDGE, "to", NODE)

        shown = await self.until(address, "dadfailed")
        await self.home("ip", "-6", "address", "del", f"{NODE}/128", "dev", BRIDGE)
        return "dadfailed" in shown


async def drive(folder: Path, home_binding: str) -> dict[str, Any]:
    topology = parse_topology(TOPOLOGY)
    settings = ControllerSettings(network={"link": "real", "home_binding": home_binding})
    agents = {"mn": {"at_home": "alone" if home_binding == "refuse" else "beside"}}
    with namespaces(make_plan(topology)) as pids:
        # Somebody on the home link has an address that a node is going to register.
        world = HomeWorld(topology, pids, folder, WorldOptions(settings=settings, agents=agents))
        await world.run("home", "ip", "-6", "address", "add", f"{SQUATTED}/128", "dev", BRIDGE, "nodad")
        async with world:
            found = await Drive(world).run(home_binding)
    interfaces = {f"{one.node}:{one.name}": one.mac.to_bytes(6).hex(":") for one in topology.interfaces}
    return found | {"macs": interfaces}


if __name__ == "__main__":
    enter_private_network()
    print(json.dumps(asyncio.run(drive(Path(sys.argv[1]), sys.argv[2]))))  # noqa: T201 - its result
