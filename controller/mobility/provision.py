"""Whom a home agent serves: its home networks, its mobile nodes, and its limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from controller.mobility.address import Address, Prefix


@dataclass(frozen=True, slots=True)
class HomeNetwork:
    """A home prefix and the home agent address on it."""

    prefix: Prefix
    home_agent: Address
    """Where mobile nodes of this network register."""
    open: bool = False
    """Any home address inside the prefix may register, with the defaults of `NodeProvision`."""


@dataclass(frozen=True, slots=True)
class NodeProvision:
    """What one mobile node may do."""

    home_address: Address
    multiple_care_of: bool = True
    """It may register several care-of addresses (RFC 5648); otherwise status 166."""
    bulk: bool = True
    """It may register several in one Binding Update; otherwise status 168."""
    max_bindings: int = 8
    """Bindings at a time; more get status 130."""
    prefixes: tuple[Prefix, ...] = ()
    """Mobile network prefixes that belong to it (RFC 3963 section 6.1.2)."""
    mobile_router: bool = False
    """It may set the R flag; otherwise status 140."""


@dataclass(frozen=True, slots=True)
class HomeAgentConfig:
    """All that a `HomeAgent` is told before it starts."""

    networks: tuple[HomeNetwork, ...]
    nodes: Mapping[Address, NodeProvision] = field(default_factory=dict)
    """By home address."""
    max_lifetime: int = 3600
    """Longest lifetime that is granted, in seconds, 4 to 262 140; rounded down to a multiple of 4."""
    max_bindings: int = 65536
    """Bindings of all nodes together, remembered sequence numbers included; more get status 130."""
    max_in_flight: int = 4096
    """Home addresses with a transaction under way; Binding Updates of others are dropped then, and come again."""
    error_rate: float = 10.0
    """Binding Error and ICMPv6 error messages a second (RFC 6275 section 9.3.3, RFC 4443 section 2.4)."""
    error_burst: int = 20
    """How many of them may leave at once."""
    home_care_of_removes: bool = False
    """A Binding Update without BID whose care-of address is the home address removes, as RFC 3775 had it.

    For mobile routers that is so in any case (RFC 3963 section 6.2).
    """

    def __post_init__(self) -> None:
        if not 4 <= self.max_lifetime <= 262140:
            raise ValueError(f"max_lifetime is {self.max_lifetime} s; it has to be 4 to 262140 (16 bits of 4 s)")
        for name in ("max_bindings", "max_in_flight", "error_burst"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it has to be at least 1")


class Directory:
    """Answers who a home address belongs to. Built once from the configuration; a look-up costs no search."""

    def __init__(self, config: HomeAgentConfig) -> None:
        self._nodes: Final = config.nodes
        self._networks: Final[dict[tuple[int, int, Address], HomeNetwork]] = {}
        for network in config.networks:
            shift = 128 - network.prefix.length
            key = (shift, int.from_bytes(network.prefix.network) >> shift, network.home_agent)
            self._networks[key] = network
        self._shifts: Final = tuple(sorted({key[0] for key in self._networks}))
        self.home_agents: Final = frozenset(network.home_agent for network in config.networks)
        """The addresses at which Binding Updates are taken."""

    def network(self, home_address: Address, home_agent: Address) -> HomeNetwork | None:
        """Return the most specific home network of that home agent that holds the home address."""
        number = int.from_bytes(home_address)
        for shift in self._shifts:
            network = self._networks.get((shift, number >> shift, home_agent))
            if network is not None:
                return network
        return None

    def authorise(self, home_address: Address, network: HomeNetwork | None) -> NodeProvision | None:
        """Return what that home address may do, or None when it may not register at all.

        This is the one place that decides whom a Binding Update is believed.
        """
        provision = self._nodes.get(home_address)
        if provision is None and network is not None and network.open and home_address != network.home_agent:
            return NodeProvision(home_address)
        return provision
