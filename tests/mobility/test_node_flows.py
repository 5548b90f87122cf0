"""Mobile node and home agent together: flow bindings, revocation, home agent switch."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.flows import FlowEntry, FlowSelector, Span
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork, NodeProvision
from controller.mobility.mobile_node import MobileNode, MobileNodeConfig
from controller.mobility.node_events import FlowRefused, Revoked, SwitchAdvised

HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
COA = [parse_address(f"2001:db8:a{number}::1") for number in range(4)]
UDP = FlowSelector(protocol=Span(17, 17))


class World:
    """Both ends, and a network that loses what the test says."""

    def __init__(self, **provision: Any) -> None:
        node = NodeProvision(HOA, **provision)
        network = HomeNetwork(Prefix.parse("2001:db8:0:1::/64"), HA)
        self.agent = HomeAgent(HomeAgentConfig((network,), {HOA: node}))
        self.node = MobileNode(MobileNodeConfig(HOA, HA))
        self.now = 0.0
        self.events: list[object] = []

    def settle(self, *, lose: bool = False) -> None:
        for _ in range(40):
            packets = self.node.outbox()
            for packet in packets:
                self.agent.receive(packet, self.now)
            for transaction in self.agent.transactions():
                self.agent.commit(transaction.number, self.now)
            answers = self.agent.outbox()
            if not lose:
                for packet in answers:
                    self.node.receive(packet, self.now)
            self.events += self.node.events()
            if not packets and not answers and not self.agent.transactions():
                return

    def advance(self, seconds: float) -> None:
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

    def register(self, *bids: int) -> None:
        for bid in bids:
            self.node.attach(bid, COA[bid])
        self.node.register(self.now)
        self.settle()
        self.advance(2)

    def flows(self) -> dict[int, FlowEntry]:
        record = self.agent.record(HOA)
        return {} if record is None else {flow.fid: flow for flow in record.flows}

    def bids(self) -> list[int]:
        record = self.agent.record(HOA)
        return [] if record is None else [binding.bid for binding in record.bindings]


def flow(fid: int, bid: int, priority: int | None = None, selector: FlowSelector = UDP) -> FlowEntry:
    return FlowEntry(fid, priority or fid, selector, (bid,))


@pytest.fixture
def world() -> World:
    world = World()
    world.register(1, 2)
    return world


def test_a_flow_is_bound_changed_and_released(world: World) -> None:
    world.node.bind_flow(flow(7, 1), world.now)
    world.settle()
    assert world.flows() == {7: flow(7, 1)}
    world.node.bind_flow(flow(7, 2), world.now)
    world.node.bind_flow(flow(8, 1), world.now)
    world.settle()
    world.advance(2)
    assert world.flows() == {7: flow(7, 2), 8: flow(8, 1)}
    world.node.release_flow(7, world.now)
    world.settle()
    world.advance(2)
    assert world.flows() == {8: flow(8, 1)}


def test_flows_live_through_refreshes_handovers_and_lost_bids(world: World) -> None:
    world.node.bind_flow(flow(7, 1), world.now)
    world.settle()
    world.advance(1000)
    assert world.flows() == {7: flow(7, 1)}
    world.node.update(1, COA[3], world.now)
    world.settle()
    assert world.flows() == {7: flow(7, 1)}
    world.node.deregister(1, world.now)
    world.settle()
    assert (world.bids(), world.flows()) == ([2], {7: flow(7, 1)})
    world.node.deregister_all(world.now)
    world.settle()
    world.advance(20)
    world.register(1, 2)
    assert world.flows() == {7: flow(7, 1)}


def test_a_flow_waits_for_its_bid(world: World) -> None:
    world.node.bind_flow(flow(7, 3), world.now)
    world.settle()
    assert world.flows() == {}
    world.register(3)
    assert world.flows() == {7: flow(7, 3)}


def test_a_lost_acknowledgement_is_made_up_for(world: World) -> None:
    world.node.bind_flow(flow(7, 1), world.now)
    world.settle(lose=True)
    world.node.bind_flow(flow(7, 2), world.now)
    world.advance(5)
    assert world.flows() == {7: flow(7, 2)}
    assert world.node.settled


def test_what_the_home_agent_refuses_is_not_asked_again() -> None:
    world = World(flows=False)
    world.register(1)
    world.node.bind_flow(flow(7, 1), world.now)
    world.settle()
    world.advance(2000)
    assert [event for event in world.events if isinstance(event, FlowRefused)] == [FlowRefused(7, 128)]
    assert world.bids() == [1]


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (flow(0, 1), "1 to 65535"),
        (FlowEntry(1, 70000, UDP, (1,)), "1 to 65535"),
        (FlowEntry(1, 1, UDP, ()), "no BID"),
        (flow(8, 1, 7), "belongs to flow 7"),
        (flow(9, 1, selector=FlowSelector(protocol=Span(2, 1))), "no range"),
    ],
)
def test_what_cannot_be_signalled(world: World, bad: FlowEntry, text: str) -> None:
    world.node.bind_flow(flow(7, 1), world.now)
    with pytest.raises(ValueError, match=text):
        world.node.bind_flow(bad, world.now)


def test_a_revoked_bid_stays_away_and_the_others_stay(world: World) -> None:
    world.agent.revoke(HOA, (1,), world.now)
    world.settle()
    assert Revoked((1,), 1) in world.events
    assert world.bids() == [2]
    world.advance(1000)
    assert world.bids() == [2]
    world.node.register(world.now)
    world.settle()
    assert world.bids() == [1, 2]


def test_after_a_revocation_of_everything_the_node_is_silent(world: World) -> None:
    world.agent.revoke(HOA, None, world.now)
    world.settle()
    assert Revoked((1, 2), 1) in world.events
    world.advance(1000)
    assert (world.bids(), world.node.bindings) == ([], ())


def test_a_node_that_is_sent_away_goes(world: World) -> None:
    there: Address = parse_address("2001:db8:0:2::1")
    world.agent.drain([there], world.now)
    world.settle()
    world.advance(5)
    assert SwitchAdvised((there,)) in world.events
    assert world.bids() == []


@given(
    st.lists(
        st.tuples(st.sampled_from(["bind", "bind", "release", "drop", "attach", "wait"]), st.integers(1, 3),
                  st.integers(1, 3)),
        max_size=15,
    )
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_both_ends_agree_in_the_end(steps: list[tuple[str, int, int]]) -> None:
    """The model: a dictionary of what is wanted. What has a registered BID, and what had one, is at the home agent."""
    world = World()
    world.register(1, 2, 3)
    wanted: dict[int, FlowEntry] = {}
    links = {1, 2, 3}
    for step, fid, bid in steps:
        if step == "bind":
            wanted[fid] = flow(fid, bid)
            world.node.bind_flow(wanted[fid], world.now)
        elif step == "release":
            wanted.pop(fid, None)
            world.node.release_flow(fid, world.now)
        elif step == "drop" and len(links) > 1 and bid in links:
            links.discard(bid)
            world.node.deregister(bid, world.now)
        elif step == "attach":
            links.add(bid)
            world.node.attach(bid, COA[bid])
            world.node.register(world.now)
        else:
            world.advance(fid)
        world.settle()
    world.advance(10)
    assert set(world.bids()) == links
    held = world.flows()
    assert {fid: one for fid, one in held.items() if set(one.bids) <= links} == {
        fid: one for fid, one in wanted.items() if set(one.bids) <= links
    }
    assert held.keys() <= wanted.keys()
