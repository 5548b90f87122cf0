"""How a mobile node finds a home agent, and another one when that is silent or refuses (RFC 6275 section 11.4.1)."""

from __future__ import annotations

import pytest

from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.discovery import anycast_address
from controller.mobility.mobile_node import MobileNode, MobileNodeConfig, Phase
from controller.mobility.node_events import HomeAgentChanged, RegistrationRefused, SwitchAdvised
from controller.mobility.provision import NodeProvision
from controller.mobility.wire import (
    BindingAcknowledgement,
    BindingIdentifier,
    BindingUpdate,
    Packet,
    decode_packet,
    encode_packet,
)
from controller.mobility.wire.codes import IcmpType
from controller.mobility.wire.icmp import discovery_body, icmp_packet
from route_world import COA, HA, HA2, HOA, HOME, RouteWorld
from security_kit import context, esp

ANYCAST = anycast_address(HOME)
HA3 = parse_address("2001:db8:0:1::3")


class Searching:
    """A node without home agent, and what it sends."""

    def __init__(self, **config: object) -> None:
        settings = MobileNodeConfig(HOA, None, home_prefix=HOME, **config)  # type: ignore[arg-type]  # by name
        self.node = MobileNode(settings, security=context(seed=3))
        self.now = 0.0

    def requests(self) -> list[tuple[Packet, bytes]]:
        """Return the discovery requests that were sent."""
        found = []
        for octets in self.node.outbox():
            packet = decode_packet(octets)
            message = packet.upper(octets)
            assert (packet.destination, message[0], message[1]) == (ANYCAST, IcmpType.HOME_AGENT_DISCOVERY_REQUEST, 0)
            assert packet.home_address is None
            found.append((packet, message))
        return found

    def reply(
        self, *agents: Address, identifier: bytes, source: Address = HA, to: Address = COA[1], router: bool = False
    ) -> None:
        """Answer a request."""
        body = discovery_body(int.from_bytes(identifier), agents, mobile_routers=router)
        self.node.receive(icmp_packet(source, to, IcmpType.HOME_AGENT_DISCOVERY_REPLY, body), self.now)

    def update(self) -> Packet:
        """Return the Binding Update that was sent."""
        (octets,) = self.node.outbox()
        packet = decode_packet(octets)
        assert isinstance(packet.message, BindingUpdate)
        return packet

    def wait(self) -> None:
        when = self.node.next_timer()
        assert when is not None
        self.now = when
        self.node.handle_timer(when)


@pytest.fixture
def searching() -> Searching:
    world = Searching()
    world.node.attach(1, COA[1])
    world.node.register(0.0)
    return world


def test_a_node_without_home_agent_asks_for_one(searching: Searching) -> None:
    ((packet, message),) = searching.requests()
    assert packet.source == COA[1]
    assert len(message) == 8
    assert message[6:8] == b"\0\0"
    assert searching.node.phase is Phase.PAUSED
    assert not searching.node.settled
    searching.reply(HA2, HA, identifier=message[4:6])
    assert searching.update().destination == HA2, "in the order of the reply"
    assert HomeAgentChanged(HA2) in searching.node.events()
    assert searching.node.home_agent == HA2


def test_requests_come_again_after_3_6_12_and_24_seconds_and_then_pause(searching: Searching) -> None:
    """INITIAL_DHAAD_TIMEOUT doubled, DHAAD_RETRIES 4; the same request each time."""
    times, identifiers = [], set()
    for _ in range(5):
        times.append(searching.now)
        identifiers |= {message[4:6] for _, message in searching.requests()}
        searching.wait()
    assert times == [0, 3, 9, 21, 45]
    assert len(identifiers) == 1
    assert searching.requests() == []
    searching.wait()
    assert searching.now == 93 + 60
    ((_, message),) = searching.requests()
    assert message[4:6] not in identifiers, "a new search"


def test_each_request_leaves_from_the_next_link(searching: Searching) -> None:
    searching.node.attach(2, COA[2])
    sources = []
    for _ in range(4):
        sources += [packet.source for packet, _ in searching.requests()]
        searching.wait()
    assert set(sources) == {COA[1], COA[2]}


@pytest.mark.parametrize("flaw", ["identifier", "empty", "link-local", "cut", "checksum", "code"])
def test_a_reply_that_is_not_believed(searching: Searching, flaw: str) -> None:
    ((_, message),) = searching.requests()
    identifier = message[4:6]
    kind = IcmpType.HOME_AGENT_DISCOVERY_REPLY
    good = icmp_packet(HA, COA[1], kind, discovery_body(int.from_bytes(identifier), (HA,)))
    match flaw:
        case "identifier":
            searching.reply(HA, identifier=bytes((identifier[0] ^ 1, identifier[1])))
        case "empty":
            searching.reply(identifier=identifier)
        case "link-local":
            searching.reply(parse_address("fe80::1"), parse_address("ff02::1"), identifier=identifier)
        case "cut":
            searching.node.receive(good[:-20], 0.0)
        case "checksum":
            searching.node.receive(good[:-1] + bytes((good[-1] ^ 1,)), 0.0)
        case _:
            body = discovery_body(int.from_bytes(identifier), (HA,))
            searching.node.receive(icmp_packet(HA, COA[1], kind, body, code=1), 0.0)
    assert searching.node.outbox() == []
    assert searching.node.home_agent is None


def test_a_router_wants_home_agents_for_routers() -> None:
    """RFC 3963 section 7."""
    world = Searching(mobile_router=True)
    world.node.attach(1, COA[1])
    world.node.register(0.0)
    ((_, message),) = world.requests()
    assert message[6:8] == b"\x80\0"
    world.reply(HA, identifier=message[4:6])
    assert world.node.outbox() == [], "these serve no routers"
    world.reply(HA2, identifier=message[4:6], router=True)
    assert world.update().destination == HA2


def test_without_a_way_to_find_one_there_has_to_be_a_home_agent() -> None:
    with pytest.raises(ValueError, match="home_prefix"):
        MobileNodeConfig(HOA, None)


# With home agents


def found(**options: object) -> RouteWorld:
    world = RouteWorld(agents=(HA, HA2), home_agent=None, home_prefix=HOME, **options)  # type: ignore[arg-type]  # by name
    for one, other in ((HA, HA2), (HA2, HA)):
        advertise(world, one, other)
    world.node.attach(1, COA[1])
    world.node.attach(2, COA[2])
    world.node.register(world.now)
    world.run(3)
    return world


def advertise(world: RouteWorld, to: Address, about: Address) -> None:
    """Let a home agent hear another's Router Advertisement, valid for hours."""
    information = b"\x03\x04\x40\xe0" + bytes(12) + about
    agent = b"\x08\x01\0\0" + (-about[15] & 0xFFFF).to_bytes(2) + (9000).to_bytes(2)
    body = bytes((64, 0x20)) + (1800).to_bytes(2) + bytes(8) + information + agent
    source = parse_address(f"fe80::{about[15]}")
    packet = icmp_packet(source, parse_address("ff02::1"), IcmpType.ROUTER_ADVERTISEMENT, body, hop_limit=255)
    world.agents[to].receive(packet, world.now)


def bound(world: RouteWorld, agent: Address) -> list[int]:
    record = world.agents[agent].record(HOA)
    return [] if record is None else [binding.bid for binding in record.bindings]


@pytest.mark.parametrize("security", ["none", "esp"])
def test_discovery_and_registration_with_the_home_agents_of_this_project(security: str) -> None:
    world = found(security=esp()) if security == "esp" else found()
    assert world.node.home_agent == HA, "the one with the higher preference"
    assert bound(world, HA) == [1, 2]
    assert bound(world, HA2) == []


def test_a_silent_home_agent_is_left_for_the_next() -> None:
    """RFC 6275 section 11.7.1: once the patience reaches MAX_BINDACK_TIMEOUT."""
    world = found()
    world.lost = lambda packet: HA in {packet[8:24], packet[24:40]}
    since = world.now
    world.node.update(1, COA[3], world.now)
    world.run(30)
    assert world.node.home_agent == HA
    world.run(30)
    assert (world.node.home_agent, bound(world, HA2)) == (HA2, [1, 2])
    tries = [packet.destination for _, packet in world.messages(BindingUpdate, since=since)]
    assert tries == [HA] * 5 + [HA2]


def test_all_are_silent_for_a_while() -> None:
    """It goes round them, asks again for others, and is back when one is."""
    world = found()
    world.lost = lambda packet: packet[24:40] != ANYCAST and bool({HA, HA2} & {packet[8:24], packet[24:40]})
    world.node.update(1, COA[3], world.now)
    world.run(900)
    tried = {packet.destination for _, packet in world.messages(BindingUpdate, since=5)}
    assert tried == {HA, HA2}
    world.lost = lambda _packet: False
    world.run(100)
    agent = world.node.home_agent
    assert agent is not None
    assert bound(world, agent) == [1, 2]


def test_a_home_agent_that_refuses_is_left_for_the_next() -> None:
    world = RouteWorld(agents=(HA, HA2), other_home_agents=(HA2,))
    world.agents[HA].unprovision(HOA)
    world.register(1, 2)
    world.run(3)
    assert (world.node.home_agent, bound(world, HA2)) == (HA2, [1, 2])
    assert RegistrationRefused(133, final=False) in world.events


def test_when_all_refuse_it_is_over_until_the_node_is_told_again() -> None:
    world = found()
    for agent in world.agents.values():
        agent.unprovision(HOA)
        if agent.record(HOA) is not None:
            agent.revoke(HOA, None, world.now)
    world.run(10)
    world.node.register(world.now)
    world.run(200)
    finals = [event for event in world.events if isinstance(event, RegistrationRefused) and event.final]
    assert len(finals) == 1
    assert world.node.phase is Phase.HALTED
    sent = len(world.seen)
    world.run(1000)
    assert len(world.seen) == sent
    for agent in world.agents.values():
        agent.provision(NodeProvision(HOA))
    world.node.register(world.now)
    world.run(5)
    agent_address = world.node.home_agent
    assert agent_address is not None
    assert bound(world, agent_address) == [1, 2]


def test_a_duplicate_address_is_not_tried_elsewhere() -> None:
    """RFC 6275 section 11.7.1: status 134 is about the home address."""
    world = RouteWorld(agents=(HA, HA2), other_home_agents=(HA2,))
    world.node.attach(1, COA[1])
    world.node.register(world.now)
    world.work()
    world.agents[HA].receive(next(packet for _, packet in world.seen), world.now)
    (transaction,) = world.agents[HA].transactions()
    world.agents[HA].abort(transaction.number, world.now, 134)
    world._later.clear()
    world.run(5)
    assert RegistrationRefused(134, final=True) in world.events
    assert (world.node.home_agent, bound(world, HA2)) == (HA, [])


def test_a_busy_home_agent_with_bindings_is_not_left() -> None:
    """Status 130 may pass; what is bound is worth more than another home agent."""
    world = RouteWorld(agents=(HA, HA2), other_home_agents=(HA2,), provision={"max_bindings": 2})
    world.register(1, 2)
    world.node.attach(3, COA[3])
    world.node.register(world.now)
    world.run(100)
    assert (world.node.home_agent, bound(world, HA), bound(world, HA2)) == (HA, [1, 2], [])


@pytest.mark.parametrize("named", [(HA2,), (HA3, HA2), ()])
def test_a_node_that_is_sent_away_registers_where_it_is_sent(named: tuple[Address, ...]) -> None:
    """RFC 5142 section 6.1: the binding goes first; without an address the node asks for home agents."""
    world = found()
    world.agents[HA].drain(named, world.now)
    world.run(5)
    assert SwitchAdvised(named) in world.events
    assert bound(world, HA) == []
    world.run(60)
    assert (world.node.home_agent, bound(world, HA2)) == (HA2, [1, 2])


def test_a_home_agent_that_serves_no_routers_is_left() -> None:
    """RFC 3963 section 5.3: the node has to leave it before it asks another."""
    router = {"mobile_router": True, "prefixes": (Prefix.parse("2001:db8:1:2::/64"),)}
    world = RouteWorld(agents=(HA, HA2), other_home_agents=(HA2,), mobile_router=True, provision=router)
    world.node.attach(1, COA[1])
    world.node.register(world.now)
    # A home agent that knows nothing of RFC 3963 takes the Binding Update and answers without R.
    first = sent_update(world)
    answer = BindingAcknowledgement(0, first.sequence, 60, 0, (BindingIdentifier(1),))
    world.node.receive(encode_packet(HA, COA[1], answer, routing_address=HOA), world.now)
    assert RegistrationRefused(140, final=False) in world.node.events()
    removal = sent_update(world)
    assert (removal.lifetime_units, removal.options) == (0, ())
    answer = BindingAcknowledgement(0, removal.sequence, 0)
    world.node.receive(encode_packet(HA, COA[1], answer, routing_address=HOA), world.now)
    world.run(3)
    assert (world.node.home_agent, bound(world, HA2)) == (HA2, [1])


def sent_update(world: RouteWorld) -> BindingUpdate:
    (octets,) = world.node.outbox()
    message = decode_packet(octets).message
    assert isinstance(message, BindingUpdate)
    return message


@pytest.mark.parametrize("seed", range(8))
def test_a_bad_network(seed: int) -> None:
    """Whatever is lost, in the end the node is bound at one home agent with all its links."""
    world = RouteWorld(seed=seed, agents=(HA, HA2), home_agent=None, home_prefix=HOME)
    for one, other in ((HA, HA2), (HA2, HA)):
        advertise(world, one, other)
    world.spread = 2.0
    world.lost = lambda _packet: world.random.random() < 0.4
    for bid in (1, 2):
        world.node.attach(bid, COA[bid])
    world.node.register(world.now)
    for _ in range(10):
        world.node.update(world.random.randrange(1, 3), COA[world.random.randrange(1, 5)], world.now)
        world.run(world.random.choice([0.5, 5.0, 50.0]))
    world.spread = 0.0
    world.lost = lambda _packet: False
    world.run(300)
    agent = world.node.home_agent
    assert agent is not None
    record = world.agents[agent].record(HOA)
    assert record is not None
    assert {one.bid: one.care_of for one in record.bindings} == {link.bid: link.care_of for link in world.node.links}
