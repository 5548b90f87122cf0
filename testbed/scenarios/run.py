"""Runs a scenario in a world: traffic, steps, measurements, and the verdict."""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from controller.fabric.topology import MobileNode, Station
from controller.mobility.address import Address, Prefix, format_address
from testbed.netns.probe import Arrival, loss_of
from testbed.netns.processes import ProcessError
from testbed.netns.traffic import Download, Ends, Stream, iperf3, ping, traceroute
from testbed.netns.world import World
from testbed.scenarios import model
from testbed.scenarios.crowd import run_crowd

SETTLE: Final = 20.0
"""Seconds within which a node has to be registered after something happened to it."""
_FIRST_PORT: Final = 5001
_FIRST_DOWNLOAD: Final = 8080
_MARGIN: Final = 0.2
"""Seconds of traffic around a handover that are looked at for its gap."""
_LEAD: Final = 0.5
"""Seconds of traffic before the first step and after the last."""


class StepError(RuntimeError):
    """A step could not be carried out."""


@dataclass(slots=True)
class Event:
    """Something that was done."""

    at: float
    """Seconds since the traffic began."""
    text: str
    seconds: float = 0.0
    """How long it took."""


@dataclass(slots=True)
class Outcome:
    """What came of a scenario."""

    metrics: dict[str, float] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    handovers: list[dict[str, Any]] = field(default_factory=list)
    arrivals: dict[str, list[Arrival]] = field(default_factory=dict)
    began: float = 0.0
    seconds: float = 0.0
    error: str | None = None
    """Why it ended early."""


class Runner:
    """One scenario in one world.

    Args:
        world: running, all of it.
        scenario: what to do.
    """

    def __init__(self, world: World, scenario: model.Scenario) -> None:
        self._world: Final = world
        self._scenario: Final = scenario
        self._outcome: Final = Outcome()
        self._streams: Final[dict[str, Stream]] = {}
        self._places: Final[dict[tuple[str, str], str]] = {}
        self._addresses: Final[dict[tuple[str, str], str]] = {}
        self._note_places()

    def _note_places(self) -> None:
        for interface in self._world.topology.interfaces:
            node, peer = self._world.topology.nodes[interface.node], self._world.topology.nodes[interface.peer.node]
            if isinstance(node, MobileNode) and interface.settings is not None and isinstance(peer, Station):
                key = (interface.node, interface.name)
                self._places[key] = interface.peer.node
                if interface.settings.address is not None:
                    length = next((one.length for one in peer.prefixes if interface.settings.address in one), 128)
                    self._addresses[key] = f"{format_address(interface.settings.address)}/{length}"

    async def run(self) -> Outcome:
        """Do it all; what fails on the way is in the outcome."""
        outcome = self._outcome
        outcome.began = time.monotonic()
        octets = self._signalling()
        try:
            async with AsyncExitStack() as stack:
                downloads = await self._begin(stack)
                outcome.began = time.monotonic()
                await asyncio.sleep(_LEAD)
                for step in self._scenario.steps:
                    await self._step(step)
                await self._end_downloads(downloads)
                await asyncio.sleep(_LEAD)
                outcome.seconds = time.monotonic() - outcome.began
        except (ProcessError, StepError, OSError) as error:
            outcome.error = str(error)
            outcome.seconds = time.monotonic() - outcome.began
        self._measure()
        outcome.metrics["signalling.octets"] = self._signalling() - octets
        return outcome

    def _signalling(self) -> int:
        """Return the octets of signalling, both ways, of all nodes so far."""
        total = 0
        for node in self._world.topology.mobile_nodes:
            if node in self._world.processes and self._world.processes[node].alive:
                total += int(self._world.status(node)["counters"].get("signalling_octets", 0))
        return total

    # Traffic

    def _address(self, name: str) -> str:
        node = self._world.topology.nodes.get(name)
        if isinstance(node, MobileNode):
            return format_address(node.home_address)
        if isinstance(node, Station) and node.addresses:
            return format_address(node.addresses[0])
        raise StepError(f"{name!r} is no node with an address in the topology {self._world.topology.name!r}")

    async def _begin(self, stack: AsyncExitStack) -> dict[str, Download]:
        for number, (name, stream) in enumerate(self._scenario.streams.items()):
            ends = Ends(stream.source, stream.destination, self._address(stream.destination))
            port = _FIRST_PORT + number
            self._streams[name] = await stack.enter_async_context(
                Stream(self._world, name, ends, stream.rate, port, stream.size)
            )
        downloads: dict[str, Download] = {}
        for number, (name, one) in enumerate(self._scenario.downloads.items()):
            ends = Ends(one.source, one.destination, self._address(one.source))
            downloads[name] = Download(self._world, name, ends, one.octets, _FIRST_DOWNLOAD + number)
            await downloads[name].start(one.rate)
        return downloads

    async def _end_downloads(self, downloads: dict[str, Download]) -> None:
        for name, download in downloads.items():
            result = await download.result(patience=60)
            wanted = self._scenario.downloads[name].octets
            whole = result.get("code") == 200 and result.get("octets") == wanted and not result.get("error")
            self._outcome.metrics[f"{name}.completed"] = float(whole)
            self._outcome.metrics[f"{name}.octets"] = float(result.get("octets", 0))
            self._outcome.metrics[f"{name}.seconds"] = float(result.get("seconds", 0))

    def _measure(self) -> None:
        outcome = self._outcome
        for name, stream in self._streams.items():
            arrivals = outcome.arrivals[name] = stream.arrivals()
            found = stream.loss().to_json()
            outcome.metrics |= {f"{name}.{key}": float(str(value)) for key, value in found.items()}
            for handover in outcome.handovers:
                # What arrived just before and just after bounds the gap.
                since, until = handover["from"] + outcome.began - _MARGIN, handover["until"] + outcome.began + _MARGIN
                due = round((until - since) * stream.rate)
                part = loss_of(arrivals, due, since, until)
                handover.setdefault("longest_gap_ms", {})[name] = round(part.longest_gap * 1e3, 2)
        times = sorted(one["registered_ms"] for one in outcome.handovers)
        if times:
            outcome.metrics["handovers.count"] = float(len(times))
            outcome.metrics["handovers.median_ms"] = times[len(times) // 2]
            outcome.metrics["handovers.max_ms"] = times[-1]

    # Steps

    def _now(self) -> float:
        return time.monotonic() - self._outcome.began

    async def _step(self, step: model.Step) -> None:
        what = getattr(step, step.kind)
        if step.wait is not None:
            await asyncio.sleep(step.wait)
            return
        began = self._now()
        action = getattr(self, f"_{step.kind}")
        text = await action(what)
        self._outcome.events.append(Event(began, text, self._now() - began))

    async def _handover(self, wish: model.Handover) -> str:
        key = (wish.node, wish.interface)
        old, new = self._addresses.get(key), self._new_address(wish)
        began = self._now()
        if wish.make_before_break and old is not None:
            await self._world.deprecate_address(wish.node, wish.interface, old)
            await self._until(wish.node, wish.interface, None)
            await asyncio.sleep(wish.overlap)
        await self._world.air(plug=f"{wish.node}:{wish.interface}", into=wish.into)
        if old is not None:
            await self._world.take_address(wish.node, wish.interface, old)
        await asyncio.sleep(wish.blind)
        attached = self._now()
        await self._world.give_address(wish.node, wish.interface, new, wish.into)
        self._places[key], self._addresses[key] = wish.into, new
        await self._until(wish.node, wish.interface, new.partition("/")[0])
        record = {"node": wish.node, "interface": wish.interface, "into": wish.into, "from": round(began, 3)}
        done = self._now()
        record |= {"until": round(done, 3), "registered_ms": round((done - attached) * 1e3, 1)}
        self._outcome.handovers.append(record)
        return f"{wish.node}:{wish.interface} to {wish.into}"

    def _new_address(self, wish: model.Handover) -> str:
        """Return the address of an interface in an access network: its prefix, and a part that is the interface's own."""
        if wish.into not in self._world.plan.gateways:
            raise StepError(f"{wish.into!r} is no access router or home link of {self._world.topology.name!r}")
        prefix = Prefix.parse(self._world.plan.gateways[wish.into][1])
        macs = [one.mac for one in self._world.topology.interfaces_of(wish.node) if one.name == wish.interface]
        if not macs:
            raise StepError(f"{wish.node} has no interface {wish.interface!r}")
        host = (1 << 48 | macs[0]) & (1 << 128 - prefix.length) - 1
        address = Address((int.from_bytes(prefix.network) | host).to_bytes(16))
        return f"{format_address(address)}/{prefix.length}"

    async def _until(self, node: str, interface: str, care_of: str | None) -> None:
        """Wait until a node is registered with an address on an interface, None: until that BID is given up."""
        deadline = time.monotonic() + SETTLE
        while True:
            found = await asyncio.to_thread(self._world.status, node)
            state = next(one for one in found["interfaces"] if one["name"] == interface)
            # After settling: with one care-of address, only the preferred interface is ever registered.
            if care_of is None and state["care_of"] is None and found["settled"]:
                return
            if care_of is not None and state["care_of"] == care_of and state["state"] == "registered":
                return
            if time.monotonic() > deadline:
                raise StepError(f"{node}:{interface} was not registered within {SETTLE:g} s: {found['interfaces']}")
            await asyncio.sleep(0.005)

    async def _drive(self, wish: model.Drive) -> str:
        for number in range(wish.handovers):
            into = wish.through[(number + 1) % len(wish.through)]
            one = model.Handover(
                node=wish.node,
                interface=wish.interface,
                into=into,
                make_before_break=wish.make_before_break,
                overlap=wish.overlap,
                blind=wish.blind,
            )
            began = self._now()
            text = await self._handover(one)
            self._outcome.events.append(Event(began, text, self._now() - began))
            await asyncio.sleep(wish.dwell)
        return f"{wish.handovers} handovers of {wish.node}"

    async def _crowd(self, wish: model.Crowd) -> str:
        found = await run_crowd(self._world, wish)
        self._outcome.metrics |= {f"crowd.{key}": value for key, value in found.items()}
        return f"{wish.nodes} nodes register"

    async def _carrier_off(self, wish: model.Link) -> str:
        await self._world.air(carrier=f"{wish.node}:{wish.interface}", on=False)
        await self._until(wish.node, wish.interface, None)
        return f"{wish.node}:{wish.interface} lost its carrier"

    async def _carrier_on(self, wish: model.Link) -> str:
        await self._world.air(carrier=f"{wish.node}:{wish.interface}", on=True)
        address = self._addresses[wish.node, wish.interface]
        await self._until(wish.node, wish.interface, address.partition("/")[0])
        return f"{wish.node}:{wish.interface} has a carrier again"

    async def _silence(self, wish: model.Link) -> str:
        await self._world.air(**{"pass": f"{wish.node}:{wish.interface}", "on": False})
        return f"{wish.node}:{wish.interface} loses every frame"

    async def _cut(self, wish: model.Wire) -> str:
        await self._world.set_link(wish.switch, wish.port, up=False)
        return f"{wish.switch}:{wish.port} down"

    async def _mend(self, wish: model.Wire) -> str:
        await self._world.set_link(wish.switch, wish.port, up=True)
        return f"{wish.switch}:{wish.port} up"

    async def _kill(self, name: str) -> str:
        process = self._world.processes.get(name)
        if process is None:
            raise StepError(f"there is no process {name!r}: {', '.join(self._world.processes)}")
        process.kill()
        return f"{name} killed"

    async def _start(self, name: str) -> str:
        await self._world.restart(name)
        return f"{name} started"

    async def _go_home(self, wish: model.Link) -> str:
        network = self._world.home_link_of(wish.node)
        step = model.Handover(node=wish.node, interface=wish.interface, into=network)
        key = (wish.node, wish.interface)
        old, new = self._addresses.get(key), self._new_address(step)
        await self._world.air(plug=f"{wish.node}:{wish.interface}", into=network)
        if old is not None:
            await self._world.take_address(wish.node, wish.interface, old)
        await self._world.give_address(wish.node, wish.interface, new, network)
        self._places[key], self._addresses[key] = network, new
        await self._until_home(wish.node, wish.interface)
        return f"{wish.node} at home on {wish.interface}"

    async def _until_home(self, node: str, interface: str) -> None:
        deadline = time.monotonic() + SETTLE
        while True:
            found = await asyncio.to_thread(self._world.status, node)
            if found["at_home"] == interface and found["settled"]:
                return
            if time.monotonic() > deadline:
                raise StepError(f"{node} was not at home within {SETTLE:g} s: {found}")
            await asyncio.sleep(0.01)

    async def _leave_home(self, wish: model.Handover) -> str:
        return await self._handover(wish.model_copy(update={"make_before_break": False}))

    async def _ping(self, wish: model.Reachable) -> str:
        sent, answered = await ping(self._world, wish.source, self._address(wish.destination), wish.count)
        metrics = self._outcome.metrics
        metrics["ping.sent"] = metrics.get("ping.sent", 0) + sent
        metrics["ping.lost"] = metrics.get("ping.lost", 0) + sent - answered
        return f"ping {wish.source} to {wish.destination}: {answered} of {sent}"

    async def _trace(self, wish: model.Trace) -> str:
        agents = {format_address(network.home_agent) for network in self._world.topology.home_networks}
        address = next(iter(agents)) if wish.destination is None else self._address(wish.destination)
        hops = await traceroute(self._world, wish.source, address)
        metrics = self._outcome.metrics
        metrics["trace.arrived"] = metrics.get("trace.arrived", 0) + (hops[-1] == address)
        metrics["trace.anchors"] = metrics.get("trace.anchors", 0) + any(hop in agents for hop in hops[:-1])
        return f"traceroute {wish.source} to {address}: {' '.join(hop or '*' for hop in hops)}"

    async def _iperf3(self, wish: model.Bandwidth) -> str:
        ends = Ends(wish.source, wish.destination, self._address(wish.destination))
        found = await iperf3(self._world, ends, wish.seconds)
        rate = round(found["end"]["sum_received"]["bits_per_second"] / 1e6, 2)
        self._outcome.metrics["iperf3.mbps"] = rate
        return f"iperf3 {wish.source} to {wish.destination}: {rate} Mbit/s"

    async def _policy(self, wish: model.PolicyStep) -> str:
        address = self._address(wish.node)
        answer = await self._world.client.put(f"/v1/nodes/{address}/policies/{wish.name}", json=dict(wish.body))
        if answer.is_error:
            raise StepError(f"policy {wish.name}: {answer.text}")
        return f"policy {wish.name} of {wish.node}"
