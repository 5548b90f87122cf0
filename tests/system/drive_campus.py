"""Run by `test_several_routers`: the campus, whose home link has a router beside the home agent, and a node that comes and goes.

Everything is in network namespaces of this run. Prints as JSON what the kernels found.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from controller.fabric.loader import load_topology, sample_topologies
from controller.fabric.neighbours import link_local
from controller.fabric.topology import Endpoint, Topology
from controller.mobility.address import format_address
from testbed.netns.plan import BRIDGE, make_plan
from testbed.netns.processes import enter_private_network
from testbed.netns.world import World, WorldOptions, namespaces
from testbed.settings import ControllerSettings

NODE = "2001:db8:0:1::100"
ARCHIVE = "2001:db8:e::10"
CN = "2001:db8:c::10"
WITHIN = 40.0


def mac_of(topology: Topology, node: str, interface: str) -> str:
    return topology.interface(Endpoint(node=node, interface=interface)).mac.to_bytes(6).hex(":")


def router_of(topology: Topology, node: str, interface: str) -> str:
    return format_address(link_local(topology.interface(Endpoint(node=node, interface=interface)).mac))


class Campus:
    """What is done, step by step."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.anchor = router_of(world.topology, "s1", "1")
        self.gateway = router_of(world.topology, "gateway", "eth0")

    async def at(self, node: str, *command: str) -> str:
        return (await self.world.run(node, *command)).stdout

    async def until(self, look: Callable[[], Awaitable[Any]], wanted: Callable[[Any], bool]) -> Any:
        """Look until it is as wanted; return the last look."""
        found = None
        try:
            async with asyncio.timeout(WITHIN):
                while True:
                    found = await look()
                    if wanted(found):
                        return found
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise SystemExit(f"not within {WITHIN:g} s; last: {found}") from None

    async def ping(self, source: str, address: str) -> int:
        """Return how many of three echo requests are answered, once one was."""
        once = ("ping", "-6", "-n", "-c", "1", "-W", "2", address)
        await self.until(lambda: self.at(source, *once), lambda said: " 1 received" in said)
        output = await self.at(source, "ping", "-6", "-n", "-c", "3", "-i", "0.3", "-W", "3", address)
        return int(output.split(" received")[0].rsplit(" ", 1)[1])

    async def default_routers(self, node: str, interface: str) -> list[str]:
        """Return the default routers of which a kernel has heard by Router Advertisements."""
        shown = json.loads(
            await self.at(node, "ip", "-6", "-json", "route", "show", "default", "dev", interface) or "[]"
        )
        heard = [one for one in shown if one.get("protocol") == "ra"]
        hops = [hop["gateway"] for one in heard for hop in one.get("nexthops", [one])]
        return sorted(set(hops))

    async def listen(self, node: str, interface: str) -> list[str]:
        """Have a kernel take Router Advertisements, also when it forwards; return the routers once it knows two."""
        await self.at(node, "sh", "-c", f"echo 2 > /proc/sys/net/ipv6/conf/{interface}/accept_ra")
        look = lambda: self.default_routers(node, interface)  # noqa: E731
        return list(await self.until(look, lambda routers: len(routers) >= 2))

    async def neighbour_of_gateway(self) -> str | None:
        shown = json.loads(await self.at("gateway", "ip", "-6", "-json", "neigh", "show", NODE, "dev", "eth0") or "[]")
        return shown[0].get("lladdr") if shown else None

    async def both_ways(self) -> dict[str, Any]:
        """Return what is answered between the node and who is behind either router, and where the gateway sends the node's packets."""
        answers = [
            await self.ping("archive", NODE),
            await self.ping("student", ARCHIVE),
            await self.ping("cn", NODE),
            await self.ping("home", NODE),
        ]
        return {"answers": answers, "by": await self.neighbour_of_gateway()}

    async def run(self) -> dict[str, Any]:
        found: dict[str, Any] = {"routers": sorted([self.anchor, self.gateway])}
        # The kernel's own default route would stand for the one by the same router.
        await self.at("home", "ip", "-6", "route", "flush", "exact", "::/0", "dev", BRIDGE)
        found["heard"] = await self.listen("home", BRIDGE)
        found["away"] = await self.both_ways()
        await self.go_home()
        found["at home"] = await self.both_ways()
        found["heard at home"] = await self.listen("student", "wlan0")
        for name, router in (("by anchor", self.anchor), ("by gateway", self.gateway)):
            await self.at(
                "student", "ip", "-6", "route", "replace", "::/0", "via", router, "dev", "wlan0", "metric", "10"
            )
            found[name] = [await self.ping("student", CN), await self.ping("student", ARCHIVE)]
        await self.at("student", "ip", "-6", "route", "del", "::/0", "dev", "wlan0", "metric", "10")
        await self.leave()
        found["away again"] = await self.both_ways()
        bindings = (await self.world.client.get(f"/v1/nodes/{NODE}/bindings")).json()["items"]
        found["bindings"] = {one["bid"]: one["care_of_address"] for one in bindings}
        found["advertised"] = self.world.processes["gateway"].output()
        return found

    async def go_home(self) -> None:
        world = self.world
        await world.air(plug="student:wlan0", into="home")
        await world.take_address("student", "wlan0", "2001:db8:b1::100/64")
        await world.give_address("student", "wlan0", "2001:db8:0:1::1100/64", "home")
        await self.until(self.status, lambda said: said["at_home"] == "wlan0" and said["settled"])

    async def leave(self) -> None:
        world = self.world
        await world.air(plug="student:wlan0", into="canteen")
        await world.take_address("student", "wlan0", "2001:db8:0:1::1100/64")
        await world.give_address("student", "wlan0", "2001:db8:b3::100/64", "canteen")
        await self.until(self.status, lambda said: said["at_home"] is None and said["settled"])

    async def status(self) -> dict[str, Any]:
        return self.world.status("student")


async def drive(folder: Path, switch: str) -> dict[str, Any]:
    topology = load_topology(sample_topologies() / "campus.yaml")
    options = WorldOptions(switch=switch, settings=ControllerSettings(network={"link": "real"}))
    with namespaces(make_plan(topology)) as pids:
        async with World(topology, pids, folder, options) as world:
            found = await Campus(world).run()
    macs = {"anchor": mac_of(topology, "s1", "1"), "student": mac_of(topology, "student", "wlan0")}
    return found | {"macs": macs}


if __name__ == "__main__":
    enter_private_network()
    print(json.dumps(asyncio.run(drive(Path(sys.argv[1]), sys.argv[2]))))  # noqa: T201 - its result
