"""Mobile node and home agent together: the home link, alone and beside others, and prefix discovery."""

from collections.abc import Callable
from typing import Any

import pytest

from controller.mobility.address import Prefix, parse_address
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork, NodeProvision
from controller.mobility.mobile_node import MobileNode, MobileNodeConfig
from controller.mobility.node_events import PrefixesAdvertised
from controller.mobility.parts import LinkInfo
from controller.mobility.provision import HomeBinding

HOME = Prefix.parse("2001:db8:0:1::/64")
HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
COA = [parse_address(f"2001:db8:a{number}::1") for number in range(4)]
MAC = bytes.fromhex("020000000199")


class World:
    def __init__(self, network: Callable[..., HomeNetwork] = HomeNetwork, **config: Any) -> None:
        self.agent = HomeAgent(HomeAgentConfig((network(HOME, HA),), {HOA: NodeProvision(HOA)}, **config))
        self.node = MobileNode(MobileNodeConfig(HOA, HA))
        self.events: list[object] = []
        self.now = 0.0
        self.link: LinkInfo | None = None

    def settle(self) -> None:
        for _ in range(20):
            packets = self.node.outbox()
            for packet in packets:
                self.agent.receive(packet, self.now, link=self.link)
            for transaction in self.agent.transactions():
                self.agent.commit(transaction.number, self.now)
            answers = [*self.agent.outbox(), *(one.packet for one in self.agent.link_outbox())]
            for packet in answers:
                self.node.receive(packet, self.now)
            self.events += self.node.events()
            if not packets and not answers:
                return

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            timers = [when for when in (self.node.next_timer(), self.agent.next_timer()) if when is not None]
            if not timers or min(timers) > end:
                break
            self.now = max(self.now, min(timers))
            self.agent.handle_timer(self.now)
            self.node.handle_timer(self.now)
            self.settle()
        self.now = end

    def bindings(self) -> dict[int, bool]:
        record = self.agent.record(HOA)
        return {} if record is None else {binding.bid: binding.at_home for binding in record.bindings}

    def away(self) -> None:
        for bid in (1, 2):
            self.node.attach(bid, COA[bid])
        self.node.register(self.now)
        self.settle()
        self.wait(2)
        assert self.bindings() == {1: False, 2: False}


def test_a_node_that_returns_home_leaves_no_binding() -> None:
    world = World()
    world.away()
    world.link = LinkInfo(MAC)
    world.node.return_home(world.now)
    world.settle()
    assert world.bindings() == {}
    assert world.node.settled
    world.wait(1000)
    assert (world.bindings(), world.node.bindings) == ({}, ())


def test_the_home_link_is_used_beside_the_others() -> None:
    world = World(lambda prefix, agent: HomeNetwork(prefix, agent, home_binding=HomeBinding.STATIC))
    world.away()
    world.link = LinkInfo(MAC)
    world.node.attach_home(3, MAC)
    world.node.register(world.now)
    world.settle()
    world.wait(2)
    assert world.bindings() == {1: False, 2: False, 3: True}
    record = world.agent.record(HOA)
    assert record is not None
    home = record.binding(3)
    assert home is not None
    assert (home.care_of, home.link_layer) == (HOA, MAC)


def test_a_home_agent_without_that_leaves_the_others_as_they_are() -> None:
    world = World()
    world.away()
    world.link = LinkInfo(MAC)
    world.node.attach_home(3, MAC)
    world.node.register(world.now)
    world.settle()
    world.wait(5)
    assert world.bindings() == {1: False, 2: False}


@pytest.mark.parametrize("link_layer", [b"", bytes(5), bytes(7)])
def test_a_link_layer_address_has_six_octets(link_layer: bytes) -> None:
    with pytest.raises(ValueError, match="6 octets"):
        World().node.attach_home(1, link_layer)


def test_home_prefixes_come_when_they_are_asked_for() -> None:
    world = World(prefix_discovery=True)
    world.away()
    world.node.solicit_prefixes(world.now)
    world.settle()
    world.wait(5)
    (heard,) = [event for event in world.events if isinstance(event, PrefixesAdvertised)]
    assert [prefix.prefix for prefix in heard.prefixes] == [HOME]


def test_without_a_binding_no_prefixes_are_asked_for() -> None:
    world = World(prefix_discovery=True)
    world.node.solicit_prefixes(world.now)
    assert world.node.outbox() == []
    assert world.node.next_timer() is None
