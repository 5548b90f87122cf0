"""What is known of a node beside its record, for the planner of table entries."""

from collections.abc import Callable
from typing import Final

from controller.config import Settings
from controller.dataplane.entries import Rate
from controller.dataplane.planner import NodeFacts
from controller.mobility.home_agent import HomeAgent
from controller.mobility.model import NodeRecord

_BURST_SECONDS: Final = 0.1
"""What a BID may let through at once, as time at its rate."""
_LEAST_BURST: Final = 3036
"""Octets: two frames of full length, or a meter would let nothing long through."""


def node_facts(settings: Settings, engine: HomeAgent) -> Callable[[NodeRecord], NodeFacts]:
    """Return the function that knows the facts of each node."""
    rates = {node.home_address: {bid: _rate(kbps) for bid, kbps in node.rates_kbps.items()} for node in settings.nodes}
    tunnel_mtu = settings.home_agent.tunnel_mtu

    def facts(record: NodeRecord) -> NodeFacts:
        provision = engine.provision_of(record.home_address)
        home_ipv4 = None if provision is None else provision.home_ipv4
        learnt = {one.care_of: mtu for one in record.bindings if (mtu := engine.learnt_mtu(one.care_of)) is not None}
        return NodeFacts(engine.defended(record), home_ipv4, rates.get(record.home_address, {}), tunnel_mtu, learnt)

    return facts


def _rate(kbps: int) -> Rate:
    octets = kbps * 125
    return Rate(octets, max(_LEAST_BURST, int(octets * _BURST_SECONDS)))
