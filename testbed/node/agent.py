"""The node agent: a mobile node or mobile router on a Linux machine, or in a network namespace, without kernel Mobile IPv6.

The kernel tells which addresses the interfaces have; the engine (`controller.mobility.mobile_node`) says what to tell the home
agent; this carries the packets of both, and those of the tunnels.
"""

import asyncio
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any, Final

from controller.mobility.address import Address, Prefix, format_address
from controller.mobility.mobile_node import MobileNode, MobileNodeConfig
from controller.mobility.model import NO_BID, Binding
from controller.mobility.node_events import AtHome, Ignored, NodeEvent
from controller.mobility.security.policy import SecurityContext
from controller.mobility.wire.codes import Protocol
from controller.mobility.wire.errors import WireError
from controller.mobility.wire.icmp import ALL_NODES, OVERRIDE, ROUTER, advertisement_packet
from testbed.node.config import NodeFile
from testbed.node.local import LocalAddresses
from testbed.node.netlink import InterfaceState, Netlink, best_address
from testbed.node.report import EventLog, node_status
from testbed.node.sockets import Arrivals, Departures, Tunnel
from testbed.node.uplink import Uplinks

LOG: Final = logging.getLogger(__name__)

FAREWELL: Final = 3.0
"""Seconds that the deregistration at the end may take."""
_EVERYTHING: Final = Prefix(Address(bytes(16)), 0)


class NodeAgent:
    """One mobile node on this machine.

    Args:
        config: its settings.
        engine: what the protocol engine is told.

    Raises:
        SocketError: a socket or the tunnel interface cannot be had.
    """

    def __init__(self, config: NodeFile, engine: MobileNodeConfig) -> None:
        self._loop: Final = asyncio.get_running_loop()
        self._config: Final = config
        node = config.node
        # The wall clock is read once: the loop's own does not jump.
        self.engine: Final = MobileNode(engine, security=SecurityContext(time.time() - self._loop.time(), os.urandom))
        self.counters: Final[Counter[str]] = Counter()
        """Packets: sent and received through tunnels, and those that went nowhere, by reason."""
        self._by_name: Final = {interface.name: interface for interface in config.interface}
        self._name_of: Final = {interface.bid: interface.name for interface in config.interface}
        self._states: dict[str, InterfaceState] = {}
        self._care_of: Final[dict[int, Address]] = {}
        self._local: Final = LocalAddresses()
        self._bindings: dict[int, Binding] = {}
        self._home: str | None = None
        self._settled_at_home = False
        self._looked = False
        self._unsent: list[bytes] = []
        self._tunnel_index = 0
        self._timer: asyncio.TimerHandle | None = None
        self._events: Final = EventLog()
        self._changed: Final = asyncio.Event()
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._uplinks: Final = Uplinks(follow=node.follow)
        self._netlink: Final = Netlink()
        self._departures: Final = Departures()
        self._tunnel: Final = Tunnel(node.tunnel)
        try:
            self._arrivals: Final = Arrivals(self._arrived)
        except OSError:
            self._tunnel.close()
            raise

    # Running

    async def run(self, stop: asyncio.Event) -> None:
        """Be a mobile node until `stop` is set; then deregister."""
        try:
            async with self._netlink:
                await self._begin()
                watching = asyncio.create_task(self._watch(), name="netlink")
                stopping = asyncio.create_task(stop.wait(), name="stop")
                try:
                    await asyncio.wait([watching, stopping], return_when=asyncio.FIRST_COMPLETED)
                    if watching.done():
                        watching.result()
                    await self._farewell()
                finally:
                    for task in (watching, stopping):
                        task.cancel()
                    await asyncio.gather(watching, stopping, return_exceptions=True)
                    await self._restore()
        finally:
            self._close()

    async def _begin(self) -> None:
        node = self._config.node
        self._tunnel_index = await self._netlink.raise_tunnel(node.tunnel, node.mtu)
        await self._netlink.add_address(self._tunnel_index, node.home_address, 128)
        if node.default_route:
            await self._netlink.add_route(self._tunnel_index, _EVERYTHING, node.home_address)
        for flow in self._config.flow:
            self.engine.bind_flow(flow.entry(), self._loop.time())
        self._loop.add_reader(self._arrivals.fileno(), self._arrivals.read)
        self._loop.add_reader(self._tunnel.fileno(), self._tunnel.read, self._left)
        await self._scan()

    async def _watch(self) -> None:
        """Look again whenever the kernel says that something changed. Many changes at once are one."""
        async for interfaces in self._netlink.changes():
            if interfaces:
                await self._scan()
            elif self._unsent:
                # An address is often there before its route: the node need not wait until it sends again by itself.
                self._send_signalling(self._unsent)

    async def _farewell(self) -> None:
        """Deregister, and wait for the answer as long as is decent."""
        self.engine.deregister_all(self._loop.time())
        self._pump()
        try:
            async with asyncio.timeout(FAREWELL):
                while not self.engine.settled:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            LOG.warning("the home agent did not acknowledge the deregistration within %g s", FAREWELL)

    async def _restore(self) -> None:
        """Take back what does not go with the tunnel interface."""
        state = self._states.get(self._home or "")
        if state is not None:
            await self._netlink.remove_address(state.index, self._config.node.home_address, 128)

    def _close(self) -> None:
        for file in (self._arrivals.fileno(), self._tunnel.fileno()):
            self._loop.remove_reader(file)
        if self._timer is not None:
            self._timer.cancel()
        self._arrivals.close()
        self._departures.close()
        self._tunnel.close()

    # Interfaces

    async def _scan(self) -> None:
        """Compare what the interfaces are with what was, and have the engine tell the home agent."""
        before, self._states = self._states, await self._netlink.interfaces(self._by_name)
        for name in before:
            if name not in self._states or self._states[name].index != before[name].index:
                self._departures.forget(name)
        home = self._interface_at_home()
        if self._config.node.at_home == "alone" and home is not None:
            await self._be_at_home(home)
        else:
            if self._home is not None and home is None:
                await self._leave_home()
            self._attach(before, home)
        self._pump()
        self._looked = True
        if self._home is not None and not self._settled_at_home and self._config.node.at_home == "alone":
            await self._settle_at_home()

    def _interface_at_home(self) -> str | None:
        """Return the interface that has an address of the home network, other than one that we gave it."""
        for name, state in self._states.items():
            own = (address for address in state.addresses if address != self._config.node.home_address)
            if state.up and any(address in self._config.node.home_prefix for address in own):
                return name
        return None

    def _attach(self, before: Mapping[str, InterfaceState], home: str | None) -> None:
        now, news = self._loop.time(), False
        own: dict[Address, int] = {}
        for name, interface in self._by_name.items():
            state = self._states.get(name)
            bid, usable = interface.bid, state.addresses if state is not None and state.up else ()
            if name == home and state is not None:
                if self._home != name:
                    self._home = name
                    self.engine.attach_home(bid, state.mac, interface.priority)
                    self._care_of[bid], news = self._config.node.home_address, True
                continue
            own.update(dict.fromkeys(usable, bid))
            known = before[name].addresses if name in before and before[name].up else ()
            care_of = best_address(usable, known, self._care_of.get(bid))
            if care_of is None:
                if self._care_of.pop(bid, None) is not None:
                    LOG.info("%s has no usable address: BID %d is given up", name, bid)
                    self.engine.deregister(bid, now)
            elif care_of != self._care_of.get(bid):
                LOG.info("%s has %s: BID %d", name, format_address(care_of), bid)
                self._care_of[bid], news = care_of, True
                self.engine.attach(bid, care_of, interface.priority)
        self._local.set(own, now)
        if news:
            self.engine.register(now)

    # Home

    async def _be_at_home(self, name: str) -> None:
        if self._home == name:
            return
        LOG.info("%s is on the home link: all bindings are given up", name)
        self._home, self._settled_at_home = name, False
        self._care_of.clear()
        now = self._loop.time()
        self._local.set({self._config.node.home_address: self._by_name[name].bid}, now)
        self.engine.return_home(now)

    async def _settle_at_home(self) -> None:
        """Once no binding is left, use the home address on the home link (RFC 6275 section 11.5.5)."""
        if self._home is None or self._bindings or not self.engine.settled:
            return
        self._settled_at_home = True
        node, state = self._config.node, self._states[self._home]
        await self._netlink.remove_address(self._tunnel_index, node.home_address, 128)
        if node.default_route:
            await self._netlink.remove_route(self._tunnel_index, _EVERYTHING)
        await self._netlink.add_address(state.index, node.home_address, 128)
        self._advertise(self._home)
        self._events.note({"event": "SettledAtHome", "interface": self._home}, self._loop.time())

    def _advertise(self, name: str) -> None:
        """Tell the neighbours that the home address is here now."""
        node = self._config.node
        flags = OVERRIDE | (ROUTER if node.mobile_router else 0)
        mac = self._states[name].mac
        packet = advertisement_packet(node.home_address, ALL_NODES, node.home_address, mac, flags)
        self._departures.send(packet, name, ALL_NODES)

    async def _leave_home(self) -> None:
        node = self._config.node
        LOG.info("%s has left the home link", self._home)
        state = self._states.get(self._home or "")
        if state is not None:
            await self._netlink.remove_address(state.index, node.home_address, 128)
            self._care_of.pop(self._by_name[self._home or ""].bid, None)
        self._local.forget(node.home_address)
        self._home = None
        await self._netlink.add_address(self._tunnel_index, node.home_address, 128)
        if node.default_route:
            await self._netlink.add_route(self._tunnel_index, _EVERYTHING, node.home_address)

    async def _answer_at_home(self, bid: int) -> None:
        """Have the kernel answer neighbours for the home address, on a home link that is one of several links."""
        name = self._name_of.get(bid, "")
        state = self._states.get(name)
        if state is not None:
            await self._netlink.add_address(state.index, self._config.node.home_address, 128)
            self._advertise(name)

    # The engine

    def _pump(self) -> None:
        """Send what the engine wants sent, note what happened, and wake it when it wants to be woken."""
        packets = self.engine.outbox()
        if packets:  # what is said now takes the place of what could not be said before
            self._send_signalling(packets)
        for event in self.engine.events():
            self._heard(event)
        bindings = ((self._bid_of(binding), binding) for binding in self.engine.bindings)
        self._bindings = {bid: binding for bid, binding in bindings if bid is not None}
        ways = [replace(binding, bid=bid) for bid, binding in self._bindings.items()]
        self._uplinks.set_ways((flow.entry() for flow in self._config.flow), ways)
        if self._timer is not None:
            self._timer.cancel()
        due = self.engine.next_timer()
        self._timer = None if due is None else self._loop.call_at(due, self._wake)
        self._changed.set()

    def _bid_of(self, binding: Binding) -> int | None:
        # One without BID (RFC 6275) is that of the interface whose address it has.
        return self._local.bid_of(binding.care_of, self._loop.time()) if binding.bid == NO_BID else binding.bid

    def _send_signalling(self, packets: list[bytes]) -> None:
        """Send packets, and keep those that the kernel does not take until it has a route."""
        self._unsent = []
        for packet in packets:
            bid = self._local.bid_of(Address(packet[8:24]), self._loop.time())
            name = self._name_of.get(bid) if bid is not None else self._home
            if name is not None and self._departures.send(packet, name, Address(packet[24:40])):
                self.counters["binding_updates"] += 1
                self.counters["signalling_octets"] += len(packet)
            else:
                self.counters["signalling_unsent"] += 1
                self._unsent.append(packet)

    def _heard(self, event: NodeEvent) -> None:
        if isinstance(event, Ignored):
            self.counters["ignored"] += 1
            LOG.debug("ignored: %s", event.detail)
            return
        LOG.info("%s", json.dumps(self._events.add(event, self._loop.time())))
        if isinstance(event, AtHome) and event.answers_neighbours:
            self._later(self._answer_at_home(event.bid))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _wake(self) -> None:
        self.engine.handle_timer(self._loop.time())
        self._pump()
        self._after_signalling()

    def _after_signalling(self) -> None:
        if self._home is not None and not self._settled_at_home and self._config.node.at_home == "alone":
            self._later(self._settle_at_home())

    # Traffic

    def _arrived(self, packet: bytes, interface: str) -> None:
        """Take a packet that came by some interface of this machine."""
        bid = self._local.bid_of(Address(packet[24:40]), self._loop.time())
        if bid is None or self._name_of[bid] != interface:
            return  # for somebody else on this machine
        if packet[6] == Protocol.IPV6 and packet[46] != Protocol.MOBILITY:
            self._take_off(packet, bid)
            return
        self.counters["signalling_octets"] += len(packet)
        self.engine.receive(packet, self._loop.time())
        self._pump()
        self._after_signalling()

    def _take_off(self, packet: bytes, bid: int) -> None:
        try:
            inner = self.engine.decapsulate(packet).inner
        except WireError:
            self.counters["refused"] += 1
            return
        self._uplinks.arrived(inner, bid)
        self.counters["received" if self._tunnel.write(inner) else "not_taken"] += 1
        self.counters[f"received_bid_{bid}"] += 1

    def _left(self, packet: bytes) -> None:
        """Take a packet that the kernel sends by the tunnel interface."""
        if packet[0] >> 4 != 6 or packet[24] == 0xFF:
            self.counters["not_ipv6_unicast"] += 1
            return
        bid = self._uplinks.choose(packet)
        if bid is None:
            self.counters["no_binding"] += 1
            return
        destination = Address(packet[24:40])
        outer = packet
        if not self._bindings[bid].at_home:
            try:
                outer = self.engine.encapsulate(packet, self._bindings[bid].bid)
            except WireError:  # from another address of this machine
                self.counters["foreign_source"] += 1
                return
            destination = self._config.node.home_agent
        sent = self._departures.send(outer, self._name_of[bid], destination)
        self.counters["sent" if sent else "unsent"] += 1
        self.counters[f"sent_bid_{bid}"] += 1

    # Status

    def status(self) -> dict[str, Any]:
        """Return what `mcoa node status` shows."""
        # Before it has seen its interfaces, a node does not know what it wants.
        at_rest = self._home is None or self._settled_at_home or bool(self._bindings)
        now = self._loop.time()
        return {
            **node_status(self._config, self._care_of, self._bindings, now),
            "at_home": self._home,
            "settled": self._looked and self.engine.settled and at_rest,
            "counters": dict(self.counters),
            "failed": dict(self._departures.failed),
            "events": self._events.kept(),
        }
