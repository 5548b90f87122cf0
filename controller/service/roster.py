"""Which home addresses there are, provisioned or registered, and how many of everything."""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Sequence
from typing import Final

from controller.config import Settings
from controller.mobility.address import Address
from controller.mobility.home_agent import HomeAgent
from controller.northbound.views import Census, HomeNetworkView
from controller.service.policies import PolicyBook
from controller.service.provisioning import Provisioning


class Roster:
    """All nodes.

    Args:
        engine: knows who has registered.
        provisioning: knows who may.
        policies: are counted too.
    """

    def __init__(self, engine: HomeAgent, provisioning: Provisioning, policies: PolicyBook) -> None:
        self._engine: Final = engine
        self._provisioning: Final = provisioning
        self._policies: Final = policies
        self._addresses: list[Address] = []

    @property
    def addresses(self) -> Sequence[Address]:
        """Every home address, in ascending order."""
        return self._addresses

    def restore(self) -> None:
        """Take over whom engine and provisioning have."""
        registered = {record.home_address for record in self._engine.records()}
        self._addresses = sorted(registered.union(self._provisioning))

    def note(self, address: Address) -> None:
        """Look whether a node has come or gone."""
        known = self._engine.record(address) is not None or address in self._provisioning
        at = bisect_left(self._addresses, address)
        there = at < len(self._addresses) and self._addresses[at] == address
        if known and not there:
            insort(self._addresses, address)
        elif there and not known:
            del self._addresses[at]

    def home_networks(self, settings: Settings) -> list[HomeNetworkView]:
        """Return the home networks of a configuration, with how many nodes of each have bindings."""
        registered = Counter(record.home_agent for record in self._engine.records() if record.bindings)
        return [
            HomeNetworkView(one.prefix, one.home_agent, one.open, one.link, registered[one.home_agent])
            for one in settings.home_agent.networks
        ]

    def census(self) -> Census:
        """Return how many of everything there are."""
        tally = self._engine.tally()
        without = len(self._addresses) - tally.registered - tally.deregistered
        return Census(tally.registered, without, tally.deregistered, tally.bindings, tally.flows, len(self._policies))
