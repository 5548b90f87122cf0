"""Mobile node and home agent in memory, with a network between them that loses, delays, reorders and repeats."""

from __future__ import annotations

import heapq
from functools import partial
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork, NodeProvision
from controller.mobility.mobile_node import MobileNode, MobileNodeConfig
from controller.mobility.security.policy import NO_SECURITY, EspAlgorithm, SecurityPolicy
from security_kit import AUTH, UNIX, context, esp

if TYPE_CHECKING:
    from collections.abc import Callable

HOME = Prefix.parse("2001:db8:0:1::/64")
HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
NETWORK = Prefix.parse("2001:db8:1:2::/64")


def care_of(access: int, host: int) -> Address:
    return parse_address(f"2001:db8:a{access}::{host:x}")


class World:
    """Two engines, a clock, and the network between them."""

    def __init__(
        self,
        seed: int,
        *,
        loss: float = 0.0,
        abort: float = 0.0,
        security: SecurityPolicy = NO_SECURITY,
        skew: float = 0.0,
        **provision: Any,
    ) -> None:
        self.random = Random(seed)
        self.loss = loss
        self.abort = abort
        self.now = 0.0
        self.config = HomeAgentConfig(
            (HomeNetwork(HOME, HA),),
            {HOA: NodeProvision(HOA, security=security, **provision)},
        )
        self.agent = HomeAgent(self.config, security=context())
        settings = MobileNodeConfig(
            HOA, HA, lifetime=120, first_sequence=self.random.randrange(65536), security=security
        )
        self.node = MobileNode(settings, security=context(UNIX + skew, seed=2))
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._later, (self.now + seconds, next(self._order), action))

    def run(self, seconds: float) -> None:
        """Let the world turn; whatever is due first happens first."""
        end = self.now + seconds
        self._spread()
        while True:
            times = [self._later[0][0] if self._later else None, self.agent.next_timer(), self.node.next_timer()]
            when = min((time for time in times if time is not None), default=end)
            if when > end or (when == end and not any(time is not None and time <= end for time in times)):
                break
            self.now = max(self.now, when)
            if times[0] is not None and times[0] <= self.now:
                heapq.heappop(self._later)[2]()
            self.agent.handle_timer(self.now)
            self.node.handle_timer(self.now)
            self._spread()
        self.now = end

    def _spread(self) -> None:
        """Put what the engines want to send, and to be done, into the future."""
        for transaction in self.agent.transactions():
            delay = self.random.uniform(0, 0.5) if self.loss else 0.0
            self.later(delay, partial(self._finish, transaction.number))
        for packet in self.node.outbox():
            self._carry(packet, lambda data: self.agent.receive(data, self.now))
        for packet in self.agent.outbox():
            self._carry(packet, lambda data: self.node.receive(data, self.now))

    def _finish(self, number: int) -> None:
        if self.random.random() < self.abort:
            self.agent.abort(number, self.now)
        else:
            self.agent.commit(number, self.now)

    def _carry(self, packet: bytes, deliver: Callable[[bytes], None]) -> None:
        if self.random.random() < self.loss:
            return
        for _ in range(1 + (self.random.random() < self.loss)):
            delay = self.random.uniform(0.01, 3.0) if self.loss else 0.01
            self.later(delay, lambda: deliver(packet))

    def assert_agreed(self) -> None:
        """Both know the same bindings, and these are the links of the node."""
        record = self.agent.record(HOA)
        held = {binding.bid: binding.care_of for binding in record.bindings} if record is not None else {}
        assert held == {binding.bid: binding.care_of for binding in self.node.bindings}
        assert held == {link.bid: link.care_of for link in self.node.links}


def test_a_quiet_network() -> None:
    world = World(1)
    world.node.attach(1, care_of(1, 1), 10)
    world.node.attach(2, care_of(2, 1), 20)
    world.node.register(world.now)
    world.run(1)
    world.assert_agreed()
    assert world.agent.counters["received"] == 1
    world.run(1000)
    world.assert_agreed()
    assert world.agent.counters["received"] == 1 + 1000 // 96, "one refresh each 80 % of 120 s"
    assert world.agent.counters["committed"] == world.agent.counters["received"]


def test_handover_takes_one_message_each_way() -> None:
    world = World(2)
    world.node.attach(1, care_of(1, 1))
    world.node.attach(2, care_of(2, 1))
    world.node.register(world.now)
    world.run(1)
    world.node.update(1, care_of(1, 2), world.now)
    world.run(0.1)
    world.assert_agreed()
    assert world.agent.counters["received"] == 2


def step(world: World) -> None:
    """Do one thing that a mobile node might do."""
    node, random = world.node, world.random
    bid = random.randrange(1, 4)
    known = {link.bid for link in node.links}
    match random.randrange(6):
        case 0 | 1:
            node.attach(bid, care_of(bid, random.randrange(1, 5)), random.randrange(3))
            node.register(world.now)
        case 2 | 3 if bid in known:
            node.update(bid, care_of(bid, random.randrange(1, 5)), world.now)
        case 4 if len(known) > 1:
            node.deregister(bid, world.now)
        case 5:
            node.refresh(world.now)
        case _:
            pass


@pytest.mark.parametrize("seed", range(25))
def test_a_bad_network(seed: int) -> None:
    world = World(seed, loss=0.3, abort=0.1)
    for _ in range(30):
        step(world)
        world.run(world.random.choice([0.0, 0.2, 2.0, 20.0]))
    if not world.node.links:
        world.node.attach(1, care_of(1, 1))
    world.node.register(world.now)
    world.loss = world.abort = 0.0
    world.run(200)
    world.assert_agreed()


SECURED: list[SecurityPolicy] = [AUTH, esp(), esp(EspAlgorithm.AES_128_GCM_16)]


@pytest.mark.parametrize("security", SECURED, ids=["auth", "esp", "esp gcm"])
@pytest.mark.parametrize("seed", range(8))
def test_a_bad_network_with_proof(seed: int, security: SecurityPolicy) -> None:
    world = World(seed, loss=0.3, abort=0.1, security=security, skew=Random(seed).uniform(-30, 30))
    for _ in range(30):
        step(world)
        world.run(world.random.choice([0.0, 0.2, 2.0, 20.0]))
    if not world.node.links:
        world.node.attach(1, care_of(1, 1))
    world.node.register(world.now)
    world.loss = world.abort = 0.0
    world.run(200)
    world.assert_agreed()
    assert not world.agent.counters["refused_146"]
    assert not world.agent.counters["dropped_integrity"]


def test_proof_costs_no_message() -> None:
    for security in SECURED:
        world = World(1, security=security)
        world.node.attach(1, care_of(1, 1))
        world.node.attach(2, care_of(2, 1))
        world.node.register(world.now)
        world.run(1000)
        world.assert_agreed()
        assert world.agent.counters["received"] == world.agent.counters["committed"] == 1 + 1000 // 96


@pytest.mark.parametrize("seed", range(5))
def test_everything_is_removed_in_the_end(seed: int) -> None:
    world = World(seed, loss=0.3)
    for _ in range(10):
        step(world)
        world.run(1.0)
    world.node.deregister_all(world.now)
    world.run(60)
    world.loss = 0.0
    world.run(200)
    assert world.node.bindings == ()
    assert list(world.agent.records()) == []
    assert world.agent.next_timer() is None
    assert world.node.next_timer() is None


@pytest.mark.parametrize("seed", range(5))
def test_the_home_agent_forgets_everything(seed: int) -> None:
    world = World(seed, loss=0.1)
    world.node.attach(1, care_of(1, 1))
    world.node.attach(2, care_of(2, 1))
    world.node.register(world.now)
    world.run(30)
    world.agent = HomeAgent(world.config)
    world._later.clear()
    world.run(300)
    world.loss = 0.0
    world.run(200)
    world.assert_agreed()


@pytest.mark.parametrize("seed", range(5))
def test_the_home_agent_restarts_with_its_store(seed: int) -> None:
    world = World(seed)
    world.node.attach(1, care_of(1, 1))
    world.node.attach(2, care_of(2, 1))
    world.node.register(world.now)
    world.run(30)
    again = HomeAgent(world.config)
    again.restore(world.agent.records())
    world.agent = again
    world.assert_agreed()
    world.node.update(2, care_of(2, 9), world.now)
    world.run(1)
    world.assert_agreed()


def test_the_node_restarts() -> None:
    """Its first message overwrites what its former self left, and takes up the sequence number (RFC 5648 section 5.9)."""
    world = World(3)
    for bid in (1, 2, 3):
        world.node.attach(bid, care_of(bid, 1))
    world.node.register(world.now)
    world.run(10)
    world.node = MobileNode(MobileNodeConfig(HOA, HA, first_sequence=world.agent.record(HOA).sequence - 10 & 0xFFFF))  # type: ignore[union-attr]  # it is there
    world.node.attach(2, care_of(2, 7))
    world.node.register(world.now)
    world.run(5)
    world.assert_agreed()
    assert world.agent.counters["refused_135"] == 1


@pytest.mark.parametrize(
    ("provision", "expected"),
    [
        ({"multiple_care_of": False}, {0}),
        ({"bulk": False}, {1, 2, 3}),
        ({"max_bindings": 2}, {1, 2}),
    ],
)
def test_what_the_home_agent_does_not_allow(provision: dict[str, Any], expected: set[int]) -> None:
    world = World(4, **provision)
    for bid in (1, 2, 3):
        world.node.attach(bid, care_of(bid, 1))
    world.node.register(world.now)
    world.run(500)
    record = world.agent.record(HOA)
    assert record is not None
    assert {binding.bid for binding in record.bindings} == expected
    assert {binding.bid for binding in world.node.bindings} == expected
