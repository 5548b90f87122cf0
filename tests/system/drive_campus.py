"""Run by `test_several_routers`: the campus, whose home link has a router beside the home agent, and a node that comes and goes.

Everything is in network namespaces of this run. Prints as JSON what the kernels found.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from controller.fabric.loader import load_topology, sample_topologies
from netns_site import NODE, Site, mac_of, router_of
from testbed.netns.plan import BRIDGE, make_plan
from testbed.netns.processes import enter_private_network
from testbed.netns.world import World, WorldOptions, namespaces
from testbed.settings import ControllerSettings

ARCHIVE = "2001:db8:e::10"
CN = "2001:db8:c::10"


class Campus(Site):
    """What is done, step by step."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.anchor = router_of(world.topology, "s1", "1")
        self.gateway = router_of(world.topology, "gateway", "eth0")

    async def both_ways(self) -> dict[str, Any]:
        """Return what is answered between the node and who is behind either router, and where the gateway sends the node's packets."""
        answers = [
            await self.ping("archive", NODE),
            await self.ping("student", ARCHIVE),
            await self.ping("cn", NODE),
            await self.ping("home", NODE),
        ]
        return {"answers": answers, "by": await self.neighbour("gateway", "eth0")}

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
