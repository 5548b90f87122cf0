"""Run by `test_several_routers`: two anchors on one home link, and one of them is killed.

Everything is in network namespaces of this run. Prints as JSON what the kernels found.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from controller.fabric.loader import parse_topology
from netns_site import NODE, Site, mac_of, router_of
from testbed.netns.plan import BRIDGE, make_plan
from testbed.netns.processes import enter_private_network
from testbed.netns.world import World, WorldOptions, namespaces
from testbed.settings import ControllerSettings

TOPOLOGY = """
name: two-anchors
home_networks:
  - {prefix: "2001:db8:0:1::/64", home_agent: "2001:db8:0:1::1", link: home}
nodes:
  s1: {kind: switch, role: anchor, device_id: 1, grpc: "127.0.0.1:9559"}
  s2: {kind: switch, role: anchor, device_id: 2, grpc: "127.0.0.1:9560"}
  t1: {kind: switch, role: transit, device_id: 3, grpc: "127.0.0.1:9561"}
  home: {kind: home-link, addresses: ["2001:db8:0:1::2"]}
  cn: {kind: correspondent, addresses: ["2001:db8:c::10"], prefixes: ["2001:db8:c::/64"]}
  wifi: {kind: access-router, addresses: ["2001:db8:a1::1"], prefixes: ["2001:db8:a1::/64"]}
  mn:
    kind: mobile-node
    home_address: "2001:db8:0:1::100"
    interfaces: {wlan0: {bid: 1, address: "2001:db8:a1::100"}}
links:
  - {a: "s1:1", b: "home:switch1"}
  - {a: "s2:1", b: "home:switch2"}
  - {a: "t1:1", b: "s1:2"}
  - {a: "t1:2", b: "s2:2", cost: 2}
  - {a: "t1:3", b: cn}
  - {a: "t1:4", b: "wifi:core"}
  - {a: "mn:wlan0", b: "wifi:air"}
"""


async def run(site: Site) -> dict[str, Any]:
    world = site.world
    macs = {name: mac_of(world.topology, name, "1") for name in ("s1", "s2")}
    found: dict[str, Any] = {"macs": macs}
    found["routers"] = sorted(router_of(world.topology, name, "1") for name in macs)
    await site.at("home", "ip", "-6", "route", "flush", "exact", "::/0", "dev", BRIDGE)
    found["heard"] = await site.listen("home", BRIDGE)
    found["both"] = [await site.ping("home", NODE), await site.ping("cn", NODE)]
    found["by"] = await site.neighbour("home", BRIDGE)
    world.processes["s1"].kill()
    found["one"] = [await site.ping("cn", NODE), await site.ping("home", NODE)]
    found["by the other"] = await site.neighbour("home", BRIDGE)
    # The neighbour cache is wrong when the node registers anew; what is then said for it comes from the anchor that is left.
    world.processes["mn"].stop()
    await site.at("home", "ip", "-6", "neigh", "replace", NODE, "lladdr", macs["s1"], "dev", BRIDGE, "nud", "stale")
    await world.restart("mn")

    found["said"] = await site.until(lambda: site.neighbour("home", BRIDGE), lambda mac: mac == macs["s2"])
    found["anew"] = [await site.ping("home", NODE), await site.ping("cn", NODE)]
    found["log"] = world.processes["controller"].output()
    return found


async def drive(folder: Path) -> dict[str, Any]:
    topology = parse_topology(TOPOLOGY)
    settings = ControllerSettings(network={"link": "real"})
    with namespaces(make_plan(topology)) as pids:
        async with World(topology, pids, folder, WorldOptions(settings=settings)) as world:
            return await run(Site(world))


if __name__ == "__main__":
    enter_private_network()
    print(json.dumps(asyncio.run(drive(Path(sys.argv[1])))))  # noqa: T201 - its result
