"""Whom a home agent serves: its home networks, its mobile nodes, and its limits."""

from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import StrEnum
from typing import Final

from controller.mobility.address import IPV4_DUMMY, Address, Ipv4Address, Prefix
from controller.mobility.expansion import FULL, KeyShape
from controller.mobility.security.policy import NO_SECURITY, AuthPolicy, EspPolicy, SecurityPolicy
from controller.values import value


class LinkKind(StrEnum):
    """What a home network is made of."""

    VIRTUAL = "virtual"
    """Nothing but routes: nobody else can be there, so nothing has to be tested or defended."""
    REAL = "real"
    """A link with other hosts: addresses are tested before they are bound, and defended while nodes are away."""


class HomeBinding(StrEnum):
    """How a node may be at home and away at once (RFC 5648 section 5.6)."""

    REFUSE = "refuse"
    """Not at all: status 169."""
    NDP = "ndp"
    """The home agent is the only router on the link: the node answers for its address itself (status 0)."""
    STATIC = "static"
    """There are other routers: the home agent answers, and hands over frames to the node's link-layer address (status 5)."""


@value
class HomeNetwork:
    """A home prefix and the home agent address on it."""

    prefix: Prefix
    home_agent: Address
    """Where mobile nodes of this network register."""
    open: bool = False
    """Any home address inside the prefix may register, with the defaults of `NodeProvision`."""
    link: LinkKind = LinkKind.VIRTUAL
    mac: bytes | None = None
    """The home agent's link-layer address on a real link, 6 octets."""
    duplicate_detection: bool = True
    """On a real link: test a home address before its first binding (RFC 6275 section 10.3.1)."""
    home_binding: HomeBinding = HomeBinding.REFUSE
    valid_until: float | None = None
    """When the prefix ends, in seconds of the engine's clock; None: never. No binding outlives it (RFC 6275 section 10.3.1)."""
    preferred_until: float | None = None
    """When it is deprecated; None: never. A binding that goes on beyond is answered with status 1."""
    preference: int = 0
    """Of this home agent among others of the network, -32768 to 32767, high is good (RFC 6275 section 7.4)."""

    def __post_init__(self) -> None:
        if self.link is LinkKind.REAL and (self.mac is None or len(self.mac) != 6):
            raise ValueError(f"the home network {self.prefix} has a real link: it needs a MAC address of 6 octets")


@value
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
    security: SecurityPolicy = NO_SECURITY
    """How it proves that the home address is its own."""
    flows: bool = True
    """It may signal flow bindings (RFC 6089); otherwise each of their options gets status 128."""
    max_flows: int = 32
    """Flow bindings at a time; the options of more get status 129."""
    per_bid_sequences: bool = False
    """Each of its BIDs has a sequence number of its own, as in the drafts of RFC 5648 up to 05; the RFC has one for the home address.

    A replayed Binding Update of a BID that was forgotten would count as new, so the node's security has to find replays by itself.
    """
    home_ipv4: Ipv4Address | None = None
    """An IPv4 home address, whose packets go where those of the home address go, inside of the same tunnels.

    It is provisioned and never signalled: the options of RFC 5555 are not read. Who drives the engine gives the switches their
    entries for it while the node has a binding.
    """

    def __post_init__(self) -> None:
        security = self.security
        blind = (isinstance(security, AuthPolicy) and not security.timestamps) or (
            isinstance(security, EspPolicy) and not security.replay_window
        )
        if self.per_bid_sequences and blind:
            raise ValueError("per_bid_sequences needs protection against replays: timestamps, or a replay window")


@value
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
    max_flows: int = 65536
    """Flow bindings of all nodes together; the options of more get status 129."""
    flow_keys: KeyShape = FULL
    """What switches can say of a flow: one that needs too many keys for it gets status 129."""
    source_rate: float = 0.0
    """Packets a second that are taken from one source address; 0: as many as come."""
    source_burst: int = 100
    """How many of them may come at once."""
    max_sources: int = 65536
    """Source addresses whose rate is remembered."""
    correspondent: bool = False
    """It is a correspondent node too, for its own traffic with mobile nodes (RFC 6275 section 9)."""
    heartbeat: bool = False
    """It answers Heartbeat messages (RFC 5847); otherwise with a Binding Error, as one that does not know them."""
    restart_counter: int = 0
    """How often this home agent was started, for the answers to Heartbeat messages."""
    home_care_of_removes: bool = False
    """A Binding Update without BID whose care-of address is the home address removes, as RFC 3775 had it.

    For mobile routers that is so in any case (RFC 3963 section 6.2).
    """
    any_update_ends_home: bool = False
    """Any Binding Update whose BID options all have H clear ends a home binding, as RFC 5648 section 5.6.5 can be read.

    Otherwise one for the same BID, or with the O flag, or its removal does.
    """
    refresh_requests: bool = False
    """Ask nodes to refresh at three quarters of the lifetime (RFC 6275 section 6.1.2, RFC 5648 section 6.4)."""
    refresh_advice: float = 0.0
    """Part of the lifetime after which a refresh is advised, below 1; 0: no advice (RFC 6275 section 10.3.1).

    A home agent that keeps its bindings through a restart has no need of earlier refreshes.
    """
    prefix_discovery: bool = True
    """Answer Mobile Prefix Solicitations, and advertise changes of home prefixes (RFC 6275 section 10.6)."""
    ipv4: Ipv4Address = IPV4_DUMMY
    """Where ICMPv4 errors about packets for IPv4 home addresses come from (RFC 2473 section 8.3)."""

    def __post_init__(self) -> None:
        if not 4 <= self.max_lifetime <= 262140:
            raise ValueError(f"max_lifetime is {self.max_lifetime} s; it has to be 4 to 262140 (16 bits of 4 s)")
        for name in ("max_bindings", "max_in_flight", "error_burst", "source_burst", "max_sources"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it has to be at least 1")
        if not 0 <= self.refresh_advice < 1:
            raise ValueError(f"refresh_advice is {self.refresh_advice}; it has to be 0 or between 0 and 1")


class Directory:
    """Answers who a home address belongs to. A look-up costs no search."""

    def __init__(self, config: HomeAgentConfig) -> None:
        self._nodes: Final = dict(config.nodes)
        self._networks: Final[dict[tuple[int, int, Address], HomeNetwork]] = {}
        self._on_link: Final[dict[Address, HomeNetwork]] = {}
        self.set_networks(config.networks)
        self._shifts: Final = tuple(sorted({key[0] for key in self._networks}))
        self.home_agents: Final = frozenset(network.home_agent for network in config.networks)
        """The addresses at which Binding Updates are taken."""
        self._ipv4: Final = {
            node.home_ipv4: home_address for home_address, node in config.nodes.items() if node.home_ipv4 is not None
        }

    def set_networks(self, networks: Iterable[HomeNetwork]) -> None:
        """Go by other rules for the same home networks."""
        for network in networks:
            if network.link is LinkKind.REAL:
                self._on_link[network.home_agent] = network
            shift = 128 - network.prefix.length
            key = (shift, int.from_bytes(network.prefix.network) >> shift, network.home_agent)
            self._networks[key] = network

    def put(self, node: NodeProvision) -> None:
        """Serve a node from now on, or by other rules; what it has registered stays as it is."""
        self.remove(node.home_address)
        self._nodes[node.home_address] = node
        if node.home_ipv4 is not None:
            self._ipv4[node.home_ipv4] = node.home_address

    def remove(self, home_address: Address) -> None:
        """Serve a node no more, unless its network is open; nothing happens when it was not served."""
        node = self._nodes.pop(home_address, None)
        if node is not None and node.home_ipv4 is not None:
            self._ipv4.pop(node.home_ipv4, None)

    def network(self, home_address: Address, home_agent: Address) -> HomeNetwork | None:
        """Return the most specific home network of that home agent that holds the home address."""
        number = int.from_bytes(home_address)
        for shift in self._shifts:
            network = self._networks.get((shift, number >> shift, home_agent))
            if network is not None:
                return network
        return None

    @property
    def has_links(self) -> bool:
        """Whether any home network has a real link."""
        return bool(self._on_link)

    def on_link(self, address: Address) -> HomeNetwork | None:
        """Return the network on whose real home link a home agent address of ours is; None: it is none, or is on no link."""
        return self._on_link.get(address)

    def home_address_of(self, home_ipv4: Ipv4Address) -> Address | None:
        """Return the home address of the node to which an IPv4 home address was given."""
        return self._ipv4.get(home_ipv4)

    def home_of(self, address: Address) -> HomeNetwork | None:
        """Return the most specific home network of an address that a node may register, whatever the home agent."""
        number = int.from_bytes(address)
        for shift in self._shifts:
            for home_agent in self.home_agents:
                network = self._networks.get((shift, number >> shift, home_agent))
                if network is not None and self.authorise(address, network) is not None:
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
