"""Nodes that come and go while the home agent runs."""

import pytest

from controller.mobility.address import Prefix, parse_address
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork, NodeProvision
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import (
    AuthPolicy,
    EspAlgorithm,
    EspAssociation,
    EspPolicy,
    SecurityContext,
)
from controller.mobility.wire import BindingUpdate, encode_packet

HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
OTHER = parse_address("2001:db8:0:1::200")
COA = parse_address("2001:db8:a1::1")


def association(spi: int, octet: int) -> EspAssociation:
    algorithm = EspAlgorithm.AES_128_CBC_SHA_256
    return EspAssociation(spi, Key(bytes([octet]) * algorithm.key_octets), algorithm)


@pytest.fixture
def engine() -> HomeAgent:
    network = HomeNetwork(Prefix.parse("2001:db8:0:1::/64"), HA)
    return HomeAgent(HomeAgentConfig((network,)), security=SecurityContext(0.0, bytes))


def register(engine: HomeAgent) -> None:
    engine.receive(encode_packet(COA, HA, BindingUpdate(1, 0xC000, 60), home_address=HOA), 1.0)
    for transaction in engine.transactions():
        engine.commit(transaction.number, 1.0)


def test_a_node_is_served_from_when_it_is_provisioned(engine: HomeAgent) -> None:
    register(engine)
    assert engine.record(HOA) is None
    engine.provision(NodeProvision(HOA))
    register(engine)
    assert engine.record(HOA) is not None
    engine.unprovision(HOA)
    engine.unprovision(HOA)
    assert engine.record(HOA) is not None
    assert engine.counters["refused_133"] == 1


def test_a_policy_comes_and_goes(engine: HomeAgent) -> None:
    engine.provision(NodeProvision(HOA, security=AuthPolicy(256, Key(bytes(20)))))
    register(engine)
    assert engine.record(HOA) is None
    assert engine.counters["dropped_unprotected"] == 1
    engine.provision(NodeProvision(HOA))
    register(engine)
    assert engine.record(HOA) is not None


def test_an_spi_is_one_node_s(engine: HomeAgent) -> None:
    policy = EspPolicy(association(256, 1), association(257, 2))
    engine.provision(NodeProvision(HOA, security=policy))
    engine.provision(NodeProvision(HOA, security=policy))
    with pytest.raises(ValueError, match="two nodes use SPI 256"):
        engine.provision(NodeProvision(OTHER, security=EspPolicy(association(256, 3), association(258, 4))))
    engine.unprovision(HOA)
    engine.provision(NodeProvision(OTHER, security=EspPolicy(association(256, 3), association(258, 4))))
