"""What a node may do changes while it has bindings: what it may not keep is taken back, the rest is left alone."""

from dataclasses import replace

import pytest

from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.entitlement import excess
from controller.mobility.events import Revoked
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork, NodeProvision
from controller.mobility.model import NO_BID, Binding, NodeRecord
from controller.mobility.provision import HomeBinding, LinkKind
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import AuthPolicy, SecurityContext
from controller.mobility.wire import BindingIdentifier, BindingUpdate, encode_packet
from controller.mobility.wire.control_messages import RevocationIndication, RevocationTrigger
from controller.mobility.wire.packet import decode_packet

HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
OTHER = parse_address("2001:db8:0:1::200")
COA = parse_address("2001:db8:a1::1")
MNP = Prefix.parse("2001:db8:f00::/56")
NETWORK = HomeNetwork(Prefix.parse("2001:db8:0:1::/64"), HA, link=LinkKind.REAL, mac=bytes(6))


def record(*bindings: Binding, router: bool = False) -> NodeRecord:
    return NodeRecord(HOA, HA, 1, bindings, (MNP,) if router else (), router)


def away(bid: int, priority: int = 0) -> Binding:
    return Binding(bid, COA, 60, 60.0, priority)


HOME_BINDING = Binding(9, HOA, 60, 60.0, at_home=True, link_layer=bytes(6))
ROUTER = NodeProvision(HOA, mobile_router=True, prefixes=(MNP,))


@pytest.mark.parametrize(
    ("known", "provision", "network", "gone"),
    [
        (record(away(1), away(2)), NodeProvision(HOA), NETWORK, set()),
        (record(away(1), away(2)), None, NETWORK, {1, 2}),
        (record(away(1), away(2)), NodeProvision(HOA), None, {1, 2}),
        (record(away(1)), NodeProvision(HOA, multiple_care_of=False), NETWORK, {1}),
        (record(away(NO_BID)), NodeProvision(HOA, multiple_care_of=False), NETWORK, set()),
        (record(away(1), away(2, 5), away(3, 6)), NodeProvision(HOA, max_bindings=1), NETWORK, {1, 3}),
        (record(away(1), router=True), ROUTER, NETWORK, set()),
        (record(away(1), router=True), replace(ROUTER, mobile_router=False, prefixes=()), NETWORK, {1}),
        (record(away(1), router=True), replace(ROUTER, prefixes=()), NETWORK, {1}),
        (record(away(1), HOME_BINDING), NodeProvision(HOA), NETWORK, {9}),
        (record(away(1), HOME_BINDING), NodeProvision(HOA), replace(NETWORK, home_binding=HomeBinding.NDP), set()),
        (record(), None, NETWORK, set()),
    ],
)
def test_what_a_node_may_not_keep(
    known: NodeRecord, provision: NodeProvision | None, network: HomeNetwork | None, gone: set[int]
) -> None:
    assert excess(known, provision, network) == gone


class World:
    """An engine whose transactions are committed when a test says so."""

    def __init__(self, config: HomeAgentConfig) -> None:
        self.config = config
        self.engine = HomeAgent(config, security=SecurityContext(0.0, bytes))
        self.now = 100.0
        self.sequence = 0

    def register(self, *bids: int, home_address: Address = HOA) -> None:
        self.sequence += 1
        options = tuple(BindingIdentifier(bid, COA) for bid in bids)
        update = BindingUpdate(self.sequence, 0xC000, 600, options)
        self.engine.receive(encode_packet(COA, HA, update, home_address=home_address), self.now)

    def commit(self) -> None:
        for transaction in self.engine.transactions():
            self.engine.commit(transaction.number, self.now)

    def indications(self) -> list[tuple[int, list[int]]]:
        """Return what the nodes were told: the trigger, and the BIDs named."""
        messages = [decode_packet(packet).message for packet in self.engine.outbox()]
        return [
            (one.trigger, [option.bid for option in one.options if isinstance(option, BindingIdentifier)])
            for one in messages
            if isinstance(one, RevocationIndication)
        ]

    def wait(self) -> list[tuple[int, ...]]:
        """Let the time pass in which the nodes say nothing; return what was revoked."""
        for later in (1.1, 3.3):
            self.now += later
            self.engine.handle_timer(self.now)
            self.commit()
        return [event.bids for event in self.engine.events() if isinstance(event, Revoked)]

    def bids(self, home_address: Address = HOA) -> list[int]:
        known = self.engine.record(home_address)
        return [] if known is None else [one.bid for one in known.bindings]


@pytest.fixture
def world() -> World:
    open_network = HomeNetwork(NETWORK.prefix, HA, open=True)
    return World(HomeAgentConfig((open_network,), {HOA: NodeProvision(HOA)}))


def test_a_healthy_node_hears_nothing(world: World) -> None:
    world.register(1, 2)
    world.commit()
    world.engine.outbox()
    world.engine.provision(NodeProvision(HOA, max_bindings=3))
    assert world.engine.review(world.now) == {}
    assert world.engine.outbox() == []
    assert world.wait() == []
    assert world.bids() == [1, 2]


def test_the_bindings_beyond_a_lower_limit_are_revoked_by_name(world: World) -> None:
    world.register(1, 2, 3)
    world.commit()
    world.engine.outbox()
    world.engine.provision(NodeProvision(HOA, max_bindings=2))
    assert world.engine.review(world.now, [HOA]) == {HOA: {3}}
    assert world.indications() == [(RevocationTrigger.REVOKING_NODE_LOCAL_POLICY, [3])]
    assert world.wait() == [(3,)]
    assert world.bids() == [1, 2]


def test_a_network_that_is_closed_keeps_those_of_the_configuration(world: World) -> None:
    for home_address in (HOA, OTHER):
        world.register(1, home_address=home_address)
        world.commit()
    closed = replace(world.config, networks=(replace(world.config.networks[0], open=False),))
    world.engine.reconfigure(closed, world.now)
    assert world.engine.review(world.now) == {OTHER: {1}}
    world.wait()
    assert (world.bids(), world.bids(OTHER)) == ([1], [])
    world.register(1, home_address=OTHER)
    assert world.engine.counters["refused_133"] == 1


def test_a_change_under_way_is_looked_at_when_it_is_in_force(world: World) -> None:
    world.register(1, 2)
    world.engine.provision(NodeProvision(HOA, max_bindings=1))
    assert world.engine.review(world.now) == {}
    world.commit()
    assert world.bids() == [1, 2]
    assert world.indications() == [(RevocationTrigger.REVOKING_NODE_LOCAL_POLICY, [2])]
    world.wait()
    assert world.bids() == [1]


def test_what_was_believed_without_proof_goes_when_proof_is_asked_for(world: World) -> None:
    world.register(1)
    world.commit()
    node = NodeProvision(HOA, security=AuthPolicy(256, Key(bytes(20))))
    world.engine.provision(node)
    assert world.engine.review(world.now, [HOA], unproved=[HOA]) == {HOA: {1}}
    world.wait()
    assert world.bids() == []


def test_a_node_that_leaves_hears_of_it_under_its_own_key_and_is_then_forgotten() -> None:
    closed = HomeNetwork(NETWORK.prefix, HA)
    world = World(HomeAgentConfig((closed,), {HOA: NodeProvision(HOA)}))
    world.register(1)
    world.commit()
    world.engine.outbox()
    world.engine.provision(NodeProvision(HOA, security=AuthPolicy(256, Key(bytes(20)))))
    world.engine.unprovision(HOA)
    assert world.engine.review(world.now) == {HOA: {1}}
    (packet,) = world.engine.outbox()
    message = decode_packet(packet).message
    assert message is not None
    assert [option for option in message.options if option.type == 9], "an RFC 4285 authenticator"
    world.register(1)
    assert world.engine.counters["dropped_unprotected"] == 1, "the key is still asked for"
    world.wait()
    world.register(1)
    assert world.engine.counters["refused_133"] == 1


def test_limits_change_in_place(world: World) -> None:
    world.register(1, 2)
    world.commit()
    changed = replace(
        world.config, max_lifetime=40, max_bindings=2, refresh_advice=0.5, source_rate=1.0, source_burst=1
    )
    world.engine.reconfigure(changed, world.now)
    world.register(1, home_address=OTHER)
    assert world.engine.counters["refused_130"] == 1
    world.register(1)
    assert world.engine.counters["dropped_source_rate"] == 1
    world.now += 1
    world.register(1)
    world.commit()
    known = world.engine.record(HOA)
    assert known is not None
    assert [one.lifetime for one in known.bindings] == [40, 2400]


def test_other_home_networks_need_another_home_agent(world: World) -> None:
    more = (*world.config.networks, HomeNetwork(Prefix.parse("2001:db8:9::/64"), parse_address("2001:db8:9::1")))
    for networks in (more, (), (replace(world.config.networks[0], link=LinkKind.REAL, mac=bytes(6)),)):
        with pytest.raises(ValueError, match="start it again"):
            world.engine.reconfigure(replace(world.config, networks=networks, max_lifetime=8), world.now)
    world.register(1)
    world.commit()
    known = world.engine.record(HOA)
    assert known is not None
    assert known.bindings[0].lifetime == 2400
