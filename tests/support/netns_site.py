"""A world of network namespaces, and what its kernels are asked: neighbours, routers, echo requests."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from controller.fabric.neighbours import link_local
from controller.fabric.topology import Endpoint, Topology
from controller.mobility.address import format_address
from testbed.netns.world import World

NODE = "2001:db8:0:1::100"
WITHIN = 40.0


def mac_of(topology: Topology, node: str, interface: str) -> str:
    return topology.interface(Endpoint(node=node, interface=interface)).mac.to_bytes(6).hex(":")


def router_of(topology: Topology, node: str, interface: str) -> str:
    return format_address(link_local(topology.interface(Endpoint(node=node, interface=interface)).mac))


class Site:
    """A world, and what its kernels are asked."""

    def __init__(self, world: World) -> None:
        self.world = world

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

    async def neighbour(self, node: str, interface: str) -> str | None:
        """Return the Ethernet address that a kernel has for the mobile node's home address."""
        shown = json.loads(await self.at(node, "ip", "-6", "-json", "neigh", "show", NODE, "dev", interface) or "[]")
        return str(shown[0].get("lladdr")) if shown else None
