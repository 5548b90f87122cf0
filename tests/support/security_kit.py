"""What the tests of security share: keys, policies, and a home agent with a mobile node that uses them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork, NodeProvision
from controller.mobility.mobile_node import MobileNode, MobileNodeConfig
from controller.mobility.model import ReplayMark
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import (
    AuthPolicy,
    EspAlgorithm,
    EspAssociation,
    EspPolicy,
    SecurityContext,
    SecurityPolicy,
)

HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
HOA2 = parse_address("2001:db8:0:1::200")
COA1 = parse_address("2001:db8:a::1")
COA2 = parse_address("2001:db8:b::1")
COA3 = parse_address("2001:db8:d::1")
HOME = Prefix.parse("2001:db8:0:1::/64")

UNIX = 1_790_000_000.0
"""Unix time at engine time 0."""

AUTH_KEY = Key(bytes(range(16)))
AUTH = AuthPolicy(256, AUTH_KEY)


def esp(algorithm: EspAlgorithm = EspAlgorithm.AES_128_CBC_SHA_256, first: int = 0x1000, **more: Any) -> EspPolicy:
    """Return a policy with an SPI of `first` from the node and the next one to it."""
    inbound, outbound = (
        Key(bytes((first + way + index) & 0xFF for index in range(algorithm.key_octets))) for way in (7, 91)
    )
    return EspPolicy(EspAssociation(first, inbound, algorithm), EspAssociation(first + 1, outbound, algorithm), **more)


def context(offset: float = UNIX, seed: int = 1) -> SecurityContext:
    """Return a clock and predictable randomness."""
    return SecurityContext(offset, Random(seed).randbytes)


def config(nodes: dict[Address, SecurityPolicy]) -> HomeAgentConfig:
    """Return a home agent's configuration."""
    provisions = {home: NodeProvision(home, security=policy) for home, policy in nodes.items()}
    return HomeAgentConfig((HomeNetwork(HOME, HA),), provisions)


@dataclass
class Pair:
    """A home agent and mobile nodes, with the packets between them in the test's hands."""

    policies: dict[Address, SecurityPolicy]
    now: float = 1000.0
    node_offset: float = UNIX
    agent: HomeAgent = field(init=False)
    nodes: dict[Address, MobileNode] = field(init=False)
    marks: dict[Address, ReplayMark] = field(default_factory=dict)
    """What a store would hold: the marks of committed transactions."""

    def __post_init__(self) -> None:
        self.agent = HomeAgent(config(self.policies), security=context())
        self.nodes = {home: self.new_node(home) for home in self.policies}

    def new_node(self, home: Address, **changes: Any) -> MobileNode:
        """Return a node as after a restart."""
        settings = replace(MobileNodeConfig(home, HA, security=self.policies[home]), **changes)
        return MobileNode(settings, security=context(self.node_offset, seed=2))

    @property
    def node(self) -> MobileNode:
        """The node with `HOA`."""
        return self.nodes[HOA]

    def updates(self, home: Address = HOA) -> list[bytes]:
        """Return what the node sends."""
        return self.nodes[home].outbox()

    def deliver(self, *packets: bytes) -> list[bytes]:
        """Hand packets to the home agent, commit what they ask for, and return its answers."""
        for packet in packets:
            self.agent.receive(packet, self.now)
            while proposed := self.agent.transactions():
                for transaction in proposed:
                    self.agent.commit(transaction.number, self.now)
                    if transaction.mark is not None:
                        self.marks[transaction.home_address] = transaction.mark
        return self.agent.outbox()

    def answer(self, *packets: bytes, home: Address = HOA) -> None:
        """Hand packets to the node."""
        for packet in packets:
            self.nodes[home].receive(packet, self.now)

    def settle(self, home: Address = HOA, change: Callable[[bytes], bytes] = lambda packet: packet) -> None:
        """Let packets travel until nobody has anything to say."""
        for _ in range(10):
            packets = self.updates(home)
            if not packets:
                return
            self.answer(*self.deliver(*(change(packet) for packet in packets)), home=home)

    def register(self, home: Address = HOA, **links: Address) -> None:
        """Register links, given as ``bid1=COA1``."""
        for name, care_of in (links or {"bid1": COA1}).items():
            self.nodes[home].attach(int(name.removeprefix("bid")), care_of)
        self.nodes[home].register(self.now)
        self.settle(home)

    def care_of(self, home: Address = HOA) -> dict[int, Address]:
        """Return the bindings that the home agent holds."""
        record = self.agent.record(home)
        return {one.bid: one.care_of for one in record.bindings} if record is not None else {}

    def state(self) -> tuple[Any, ...]:
        """Return all that a packet could change at the home agent."""
        return tuple(self.agent.records())
