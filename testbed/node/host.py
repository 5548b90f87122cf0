"""A mobile node in the lab: interfaces with care-of addresses, its end of the tunnels, and the protocol engine inside.

The engine (`controller.mobility.mobile_node`) decides what to say to the home agent; this host carries its packets, takes
tunnelled packets off at any care-of address that it holds, and sends its own traffic through the reverse tunnel. A mobile
router does the same for the hosts on its network (RFC 3963).
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from controller.mobility.address import Address
from controller.mobility.flows import FlowEntry
from controller.mobility.mobile_node import MobileNode, MobileNodeConfig
from controller.mobility.node_events import Ignored
from controller.mobility.security.policy import SecurityContext
from controller.mobility.wire.errors import WireError
from controller.mobility.wire.options import BindingIdentifier
from testbed.hosts import NetworkInterface
from testbed.packets import IPV6, UDP, Datagram, destination_of, is_signalling, parse_udp, source_of
from testbed.wire import Clock, TimerHandle, WireEnd

LINGER = 1.0
"""Seconds that a care-of address is held after its successor was acknowledged: what is under way still arrives."""

DatagramHandler = Callable[[Datagram, int], None]
"""Takes a datagram that came through a tunnel, and the BID by which it came."""

WayOut = Callable[[bytes], int]
"""Returns the BID by whose tunnel a mobile router sends an IPv6 packet of its network."""


class NoAnswerError(RuntimeError):
    """The home agent did not answer in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the home agent said to a request of the node."""

    status: int
    bids: tuple[int, ...]
    """The BIDs that the acknowledgement names."""
    seconds: float
    """From the request to the acknowledgement, at the node."""


@dataclass(slots=True)
class Uplink:
    """One of the node's ways out: an interface with a care-of address under a BID. The address changes when the node moves."""

    bid: int
    interface: NetworkInterface
    care_of: Address
    priority: int = 0
    """BID-PRI, 1 (preferred) to 127; 0: none."""


class MobileNodeHost:
    """A mobile node.

    Args:
        config: of its engine.
        clock: the event loop.
    """

    def __init__(self, config: MobileNodeConfig, clock: Clock) -> None:
        # Read once, as the controller does: the loop's clock does not jump.
        self.security = SecurityContext(time.time() - clock.time(), os.urandom)
        self.engine = MobileNode(config, security=self.security)
        self.home_address = config.home_address
        self.uplinks: dict[int, Uplink] = {}
        """By BID."""
        self.counters: Counter[str] = Counter()
        """Packets: binding_update (sent), signalling (received), forwarded, hop_limit, refused, bad, no_uplink, other."""
        self.tunnelled: Counter[int] = Counter()
        """Tunnelled packets that came, by BID."""
        self._clock = clock
        self._interfaces: dict[str, NetworkInterface] = {}
        self._held: dict[Address, Uplink] = {}
        self._arrivals: Counter[Address] = Counter()
        self._handler: DatagramHandler | None = None
        self._network: NetworkInterface | None = None
        self._way_out: WayOut = self._preferred
        self._timers: set[TimerHandle] = set()
        self._engine_timer: TimerHandle | None = None
        self._waiting: asyncio.Future[None] | None = None

    @property
    def home_agent(self) -> Address:
        """Where the node registers.

        Raises:
            NoAnswerError: it has found no home agent yet.
        """
        if self.engine.home_agent is None:
            raise NoAnswerError("no home agent is known yet")
        return self.engine.home_agent

    # Building

    def plug(self, name: str, mac: bytes, end: WireEnd, neighbour: bytes) -> None:
        """Give the node one more interface."""
        self._interfaces[name] = NetworkInterface(name, mac, end, neighbour, self._receive)

    def plug_network(self, name: str, mac: bytes, end: WireEnd, neighbour: bytes) -> None:
        """Give a mobile router the interface to its own network; it forwards what goes between there and the tunnels."""
        self._network = NetworkInterface(name, mac, end, neighbour, self._from_network)

    def choose_way_out(self, choose: WayOut) -> None:
        """Let `choose` say by which BID packets of the router's network go; without, by the one it prefers."""
        self._way_out = choose

    def add_uplink(self, bid: int, interface: str, care_of: Address, priority: int) -> None:
        """Give an interface its care-of address, to be registered under a BID.

        Raises:
            ValueError: as `MobileNode.attach`.
            KeyError: there is no such interface.
        """
        uplink = Uplink(bid, self._interfaces[interface], care_of, priority)
        self.engine.attach(bid, care_of, priority)
        self.uplinks[bid] = uplink
        self._held[care_of] = uplink

    def on_datagram(self, handler: DatagramHandler) -> None:
        """Let `handler` have every UDP datagram with a right checksum that comes through a tunnel."""
        self._handler = handler

    def close(self) -> None:
        """Stop all timers."""
        for timer in (*self._timers, self._engine_timer):
            if timer is not None:
                timer.cancel()
        self._timers.clear()
        self._engine_timer = None

    # Signalling

    async def register(self, *, within: float) -> Answer:
        """Register all uplinks.

        Args:
            within: seconds to wait for the answer to it all; the engine repeats what is lost meanwhile.

        Raises:
            NoAnswerError: none came.
        """
        return await self._ask(self.engine.register, within)

    async def move(self, bid: int, care_of: Address, *, within: float) -> Answer:
        """Take a new care-of address under a BID and register it, make before break.

        The node holds both addresses until the home agent acknowledged the new one, and the old one `LINGER` seconds longer.

        Raises:
            NoAnswerError: as `register`.
            KeyError: there is no such BID.
        """
        uplink = self.uplinks[bid]
        old, uplink.care_of = uplink.care_of, care_of
        self._held[care_of] = uplink
        answer = await self._ask(lambda now: self.engine.update(bid, care_of, now), within)
        if answer.status < 128:
            self._later(LINGER, lambda: self._let_go(old))
        return answer

    async def deregister(self, bid: int | None, *, within: float) -> Answer:
        """Remove one BID, or everything.

        Raises:
            NoAnswerError: as `register`.
        """
        if bid is None:
            return await self._ask(self.engine.deregister_all, within)
        return await self._ask(lambda now: self.engine.deregister(bid, now), within)

    async def bind_flow(self, flow: FlowEntry, *, within: float) -> Answer:
        """Have packets of a flow sent to the BIDs that it names (RFC 6089).

        Raises:
            NoAnswerError: as `register`.
            ValueError: as `MobileNode.bind_flow`.
        """
        return await self._ask(lambda now: self.engine.bind_flow(flow, now), within)

    async def _ask(self, action: Callable[[float], None], within: float) -> Answer:
        began = self._clock.time()
        self._waiting = asyncio.get_running_loop().create_future()
        action(began)
        self._work()
        try:
            if self.engine.settled:  # nothing had to be asked
                return Answer(0, (), 0.0)
            async with asyncio.timeout(within):
                await self._waiting
        except TimeoutError:
            raise NoAnswerError(f"no Binding Acknowledgement within {within:g} s") from None
        finally:
            self._waiting = None
        answer = self.engine.last_answer
        assert answer is not None
        bids = tuple(option.bid for option in answer.options if isinstance(option, BindingIdentifier))
        return Answer(answer.status, bids, self._clock.time() - began)

    def _work(self) -> None:
        """Send what the engine wants sent, and wake it when it wants to be woken."""
        for packet in self.engine.outbox():
            uplink = self._held.get(source_of(packet))
            if uplink is None:
                self.counters["no_uplink"] += 1
                continue
            self.counters["binding_update"] += 1
            uplink.interface.send(packet)
        self.counters["bad"] += sum(isinstance(event, Ignored) for event in self.engine.events())
        if self._engine_timer is not None:
            self._engine_timer.cancel()
        due = self.engine.next_timer()
        self._engine_timer = None if due is None else self._clock.call_at(due, self._wake)

    def _wake(self) -> None:
        self.engine.handle_timer(self._clock.time())
        self._work()

    def _signalled(self, packet: bytes) -> None:
        self.counters["signalling"] += 1
        before = self.engine.last_answer
        self.engine.receive(packet, self._clock.time())
        answer, settled = self.engine.last_answer, self.engine.settled
        self._work()
        # Several messages may be needed; the answer to the last one counts.
        if settled and answer is not None and answer is not before and self._waiting and not self._waiting.done():
            self._waiting.set_result(None)

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        self._timers.add(self._clock.call_at(self._clock.time() + seconds, action))

    def _let_go(self, care_of: Address) -> None:
        if all(uplink.care_of != care_of for uplink in self.uplinks.values()):
            self._held.pop(care_of, None)

    # Traffic

    def send(self, packet: bytes, bid: int) -> bool:
        """Send an IPv6 packet of the node through the reverse tunnel of a BID; tell whether that BID is registered."""
        try:
            outer = self.engine.encapsulate(packet, bid)
        except KeyError:
            self.counters["no_uplink"] += 1
            return False
        self.uplinks[bid].interface.send(outer)
        return True

    def arrivals_at(self, care_of: Address) -> int:
        """Return how many tunnelled packets came to a care-of address so far."""
        return self._arrivals[care_of]

    def _receive(self, packet: bytes, _interface: NetworkInterface, _source_mac: bytes) -> None:
        care_of = destination_of(packet)
        uplink = self._held.get(care_of)
        if uplink is None:
            self.counters["refused"] += 1
        elif packet[6] == IPV6:
            self._tunnelled(packet, uplink)
            self._arrivals[care_of] += 1
        elif is_signalling(packet):
            self._signalled(packet)
        else:
            self.counters["other"] += 1

    def _tunnelled(self, packet: bytes, uplink: Uplink) -> None:
        try:
            inner = self.engine.decapsulate(packet).inner
        except WireError:
            self.counters["bad"] += 1
            return
        self.tunnelled[uplink.bid] += 1
        if destination_of(inner) != self.home_address:
            self._to_network(inner)
            return
        datagram = parse_udp(inner) if inner[6] == UDP else None
        if datagram is None:
            self.counters["other"] += 1
        elif self._handler is not None:
            self._handler(datagram, uplink.bid)

    # The network of a mobile router

    def _preferred(self, _packet: bytes) -> int:
        links = [link for link in self.engine.links if link.bid in {binding.bid for binding in self.engine.bindings}]
        return links[0].bid if links else 0

    def _from_network(self, packet: bytes, _interface: NetworkInterface, _source_mac: bytes) -> None:
        forwarded = self._one_hop_less(packet)
        if forwarded is None:
            return
        try:
            self.send(forwarded, self._way_out(forwarded))
        except WireError:  # not from its network: the home agent would not take it either
            self.counters["bad"] += 1

    def _to_network(self, packet: bytes) -> None:
        forwarded = self._one_hop_less(packet)
        if forwarded is None:
            return
        if self._network is None:
            self.counters["other"] += 1
            return
        self.counters["forwarded"] += 1
        self._network.send(forwarded)

    def _one_hop_less(self, packet: bytes) -> bytes | None:
        """Return a packet as a router passes it on (RFC 8200 section 3), None if it has no hop left."""
        if packet[7] <= 1:
            self.counters["hop_limit"] += 1
            return None
        return packet[:7] + bytes((packet[7] - 1,)) + packet[8:]
