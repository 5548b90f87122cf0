"""A flash crowd: many mobile nodes register at once, each an engine of its own, all in one process behind one access router.

The process is in the router's namespace, where all addresses of a part of its prefix are local. So their packets take the
router's own way into the network, and the answers end there.
"""

import argparse
import asyncio
import json
import sys
from typing import Final

from controller.mobility.address import Address, Prefix, format_address, parse_address
from controller.mobility.mobile_node import MobileNode, MobileNodeConfig
from testbed.netns.processes import ProcessError, die_with_parent, run_script
from testbed.netns.world import World
from testbed.node.sockets import Arrivals, Departures
from testbed.scenarios.model import Crowd

_PART: Final = 0xC0DE << 32
"""Care-of addresses of the crowd have this in the middle."""
_HOME_PART: Final = 0xC0DE << 32
_PATIENCE: Final = 60.0
_TICK: Final = 0.05


async def run_crowd(world: World, wish: Crowd) -> dict[str, float]:
    """Have a crowd register; return ``nodes``, ``registered``, and ``p50_ms``, ``p99_ms`` and ``max_ms`` of the time it took.

    Raises:
        ProcessError: the crowd could not be made.
    """
    if wish.through not in world.plan.gateways:
        raise ProcessError(f"{wish.through!r} is no access router of {world.topology.name!r}")
    network = world.topology.home_networks[0]
    prefix = Prefix.parse(world.plan.gateways[wish.through][1])
    part = Prefix(_number(prefix, _PART), 96)
    script = f"ip -6 route replace local {part} dev lo\n"
    await asyncio.to_thread(run_script, world.pids[wish.through], script, wish.through)
    out = world.topology.interfaces_of(wish.through)[0].name
    command = [sys.executable, "-m", "testbed.scenarios.crowd", "--home-prefix", str(network.prefix)]
    command += ["--home-agent", format_address(network.home_agent), "--nodes", str(wish.nodes)]
    command += ["--bids", str(wish.bids), "--care-of", str(part), "--interface", out]
    done = await world.run(wish.through, *command)
    if done.returncode:
        raise ProcessError(f"the crowd: {done.stdout.strip()}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _number(prefix: Prefix, host: int) -> Address:
    return Address((int.from_bytes(prefix.network) | host).to_bytes(16))


class _Member:
    """One node of the crowd."""

    def __init__(self, engine: MobileNode) -> None:
        self.engine = engine
        self.began = 0.0
        self.done: float | None = None


class _Crowd:
    """All of them, with the sockets that they share."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._loop = asyncio.get_running_loop()
        self._options = options
        self._agent = parse_address(options.home_agent)
        self._by_address: dict[Address, _Member] = {}
        self._members = [self._make(number) for number in range(1, options.nodes + 1)]
        self._departures = Departures()
        self._left = len(self._members)
        self._over = asyncio.Event()

    def _make(self, number: int) -> _Member:
        home, care_of = Prefix.parse(self._options.home_prefix), Prefix.parse(self._options.care_of)
        config = MobileNodeConfig(_number(home, _HOME_PART | number), self._agent, lifetime=120)
        member = _Member(MobileNode(config))
        for bid in range(1, self._options.bids + 1):
            address = _number(care_of, bid << 16 | number)
            member.engine.attach(bid, address, bid)
            self._by_address[address] = member
        return member

    async def register(self) -> dict[str, float]:
        arrivals = Arrivals(self._take)
        self._loop.add_reader(arrivals.fileno(), arrivals.read)
        try:
            for member in self._members:
                member.began = self._loop.time()
                member.engine.register(member.began)
                self._pump(member)
            await self._wait()
        finally:
            self._loop.remove_reader(arrivals.fileno())
            arrivals.close()
            self._departures.close()
        times = sorted((one.done - one.began) * 1e3 for one in self._members if one.done is not None)
        return {
            "nodes": float(len(self._members)),
            "registered": float(len(times)),
            "p50_ms": round(_quantile(times, 0.5), 1),
            "p99_ms": round(_quantile(times, 0.99), 1),
            "max_ms": round(_quantile(times, 1.0), 1),
        }

    async def _wait(self) -> None:
        """Wait until all are registered; engines send again what was lost meanwhile."""
        deadline = self._loop.time() + _PATIENCE
        while not self._over.is_set() and self._loop.time() < deadline:
            try:
                async with asyncio.timeout(_TICK):
                    await self._over.wait()
            except TimeoutError:
                for member in self._members:
                    due = member.engine.next_timer()
                    if due is not None and due <= self._loop.time():
                        member.engine.handle_timer(self._loop.time())
                        self._pump(member)

    def _take(self, packet: bytes, _interface: str) -> None:
        member = self._by_address.get(Address(packet[24:40]))
        if member is not None:
            member.engine.receive(packet, self._loop.time())
            self._pump(member)

    def _pump(self, member: _Member) -> None:
        for packet in member.engine.outbox():
            self._departures.send(packet, self._options.interface, self._agent)
        if member.done is None and len(member.engine.bindings) == self._options.bids:
            member.done = self._loop.time()
            self._left -= 1
            if not self._left:
                self._over.set()


async def _register(options: argparse.Namespace) -> dict[str, float]:
    return await _Crowd(options).register()


def _quantile(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("inf")


def main() -> None:
    """Register all nodes once; print how it went, as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    for name in ("--home-prefix", "--home-agent", "--care-of", "--interface"):
        parser.add_argument(name, required=True)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--bids", type=int, default=3)
    options = parser.parse_args()
    die_with_parent()
    sys.stdout.write(json.dumps(asyncio.run(_register(options))) + "\n")


if __name__ == "__main__":
    main()
