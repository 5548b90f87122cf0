"""A mobile node, its home agents and a correspondent in memory: every packet goes by its IPv6 destination, as through a network."""

from __future__ import annotations

import heapq
from collections import Counter
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.correspondent import Correspondent
from controller.mobility.discovery import anycast_address
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork, NodeProvision
from controller.mobility.mobile_node import MobileNode, MobileNodeConfig
from controller.mobility.security.policy import NO_SECURITY, SecurityPolicy
from controller.mobility.wire import WireError, decapsulate, decode_packet
from controller.mobility.wire.codes import Protocol
from security_kit import context

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.mobility.node_events import NodeEvent
    from controller.mobility.wire import Packet

HOME = Prefix.parse("2001:db8:0:1::/64")
HA = parse_address("2001:db8:0:1::1")
HA2 = parse_address("2001:db8:0:1::2")
HOA = parse_address("2001:db8:0:1::100")
CN = parse_address("2001:db8:c::1")
COA = [parse_address(f"2001:db8:a{number}::1") for number in range(5)]


class RouteWorld:
    """The engines, a clock, and the network between them.

    Attributes:
        lost: packets of which it says True are lost.
        seen: every packet that went, decoded where it can be, with the time.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        agents: tuple[Address, ...] = (HA,),
        security: SecurityPolicy = NO_SECURITY,
        provision: dict[str, Any] | None = None,
        **node: Any,
    ) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.agents = {address: self._agent(address, security, provision or {}) for address in agents}
        self.correspondent = Correspondent(frozenset({CN}), Random(seed).randbytes)
        settings: dict[str, Any] = {"lifetime": 600} | node
        settings.setdefault("home_agent", HA)
        self.node = MobileNode(MobileNodeConfig(HOA, security=security, **settings), security=context(seed=2))
        self.lost: Callable[[bytes], bool] = lambda _packet: False
        self.spread = 0.0
        self.seen: list[tuple[float, bytes]] = []
        self.events: list[NodeEvent] = []
        self.at_home = False
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def _agent(self, address: Address, security: SecurityPolicy, provision: dict[str, Any]) -> HomeAgent:
        network = HomeNetwork(HOME, address, preference=-address[15])
        nodes = {HOA: NodeProvision(HOA, security=security, **provision)}
        return HomeAgent(HomeAgentConfig((network,), nodes), security=context(seed=address[15]))

    # The network

    def send(self, packet: bytes) -> None:
        """Carry a packet to whoever has its destination address."""
        self.seen.append((self.now, packet))
        if self.lost(packet):
            return
        delay = 0.01 + self.random.uniform(0, self.spread)
        heapq.heappush(self._later, (self.now + delay, next(self._order), lambda: self.deliver(packet)))

    def deliver(self, packet: bytes) -> None:
        """Hand a packet over."""
        destination = Address(packet[24:40])
        if destination == CN:
            self.correspondent.receive(packet, self.now)
        elif destination in self.agents:
            self._at_agent(self.agents[destination], destination, packet)
        elif destination == anycast_address(HOME):
            for agent in list(self.agents.values())[:1]:
                agent.receive(packet, self.now)
        elif destination == HOA and not self.at_home:
            self._intercept(packet)
        else:
            self.node.receive(packet, self.now)

    def _at_agent(self, agent: HomeAgent, address: Address, packet: bytes) -> None:
        """A switch takes reverse-tunnelled packets of registered care-of addresses off; the rest is for the engine."""
        if packet[6] != Protocol.IPV6:
            agent.receive(packet, self.now)
            return
        try:
            tunnelled = decapsulate(packet)
        except WireError:
            return
        record = agent.record(tunnelled.source)
        if record is not None and any(one.care_of == tunnelled.outer_source for one in record.bindings):
            self.send(tunnelled.inner)
        del address

    def _intercept(self, packet: bytes) -> None:
        """The home agent that has a binding tunnels."""
        for agent in self.agents.values():
            record = agent.record(HOA)
            if record is not None and record.bindings:
                agent.receive(packet, self.now)
                return

    def engines(self) -> list[MobileNode | Correspondent | HomeAgent]:
        """Return all that takes part."""
        return [self.node, self.correspondent, *self.agents.values()]

    def work(self) -> None:
        """Carry what the engines want to send, and carry out what they propose."""
        for agent in self.agents.values():
            for transaction in agent.transactions():
                agent.commit(transaction.number, self.now)
        for engine in self.engines():
            for packet in engine.outbox():
                self.send(packet)
        self.events += self.node.events()

    def run(self, seconds: float) -> None:
        """Let the world turn."""
        end = self.now + seconds
        self.work()
        while True:
            timers = [self.node.next_timer(), self.correspondent.next_timer()]
            timers += [agent.next_timer() for agent in self.agents.values()]
            timers.append(self._later[0][0] if self._later else None)
            when = min((time for time in timers if time is not None), default=None)
            if when is None or when > end:
                break
            self.now = max(self.now, when)
            while self._later and self._later[0][0] <= self.now:
                heapq.heappop(self._later)[2]()
            for engine in self.engines():
                engine.handle_timer(self.now)
            self.work()
        self.now = end

    # What is seen

    def messages(self, kind: type, *, since: float = 0.0) -> list[tuple[float, Packet]]:
        """Return the packets that carried a Mobility Header message of a kind, tunnelled ones too, with their times."""
        found = []
        for when, octets in self.seen:
            if when >= since and (packet := self.decoded(octets)) is not None and isinstance(packet.message, kind):
                found.append((when, packet))
        return found

    @staticmethod
    def decoded(octets: bytes) -> Packet | None:
        """Return a packet, or what is in the tunnel."""
        try:
            packet = decode_packet(octets)
            return decode_packet(octets[packet.payload :]) if packet.protocol == Protocol.IPV6 else packet
        except WireError:
            return None

    def counts(self) -> Counter[str]:
        """Return how many messages of each kind went."""
        packets = (self.decoded(octets) for _, octets in self.seen)
        return Counter(type(one.message).__name__ for one in packets if one is not None and one.message is not None)

    def at_correspondent(self) -> dict[int, Address]:
        """Return what the correspondent believes."""
        record = self.correspondent.record(HOA, self.now)
        return {} if record is None else {one.bid: one.care_of for one in record.bindings}

    def at_node(self) -> dict[int, Address]:
        """Return what the node believes of the correspondent."""
        return {one.bid: one.care_of for one in self.node.correspondent_bindings(CN)}

    def register(self, *bids: int) -> None:
        """Attach links and register them."""
        for bid in bids:
            self.node.attach(bid, COA[bid], 10 * bid)
        self.node.register(self.now)
        self.run(1)
