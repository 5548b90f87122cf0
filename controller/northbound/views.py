"""More values that pass between service and northbound: what an operator has set, and what a request would do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from controller.mobility.address import Address, Prefix
from controller.mobility.flows import FlowEntry
from controller.mobility.provision import NodeProvision


class Origin(StrEnum):
    """Where it is said that a node may register."""

    CONFIGURATION = "configuration"
    """In the configuration file: REST shows it and does not change it."""
    REST = "rest"
    OPEN = "open"
    """Nowhere: its home network is open."""


@dataclass(frozen=True, slots=True)
class ProvisionView:
    """What a node may do, and who said so."""

    provision: NodeProvision
    origin: Origin


@dataclass(frozen=True, slots=True)
class FlowView:
    """A flow binding that a node signalled (RFC 6089)."""

    flow: FlowEntry
    active_bids: tuple[int, ...]
    """Those of its BIDs that are registered."""


@dataclass(frozen=True, slots=True)
class TableUpdate:
    """One change of one table entry, in names."""

    op: str
    """insert, modify or delete."""
    table: str
    match: Mapping[str, str]
    """By key field; fields that take any value are left out."""
    action: str
    params: Mapping[str, int | str]
    """Addresses are text."""
    priority: int = 0


@dataclass(frozen=True, slots=True)
class HomeNetworkView:
    """A home network."""

    prefix: Prefix
    home_agent: Address
    open: bool
    link: str
    """"virtual" or "real"."""
    registered: int
    """Nodes of it that have bindings."""


@dataclass(frozen=True, slots=True)
class DrainView:
    """All nodes are being sent elsewhere (RFC 5142)."""

    home_agents: tuple[Address, ...]
    """Where to, best first; empty: each finds one by itself."""
    seconds_left: float | None
    """For how long this home agent will still be there; None: it was not said."""
    remaining: int
    """Nodes that still have bindings."""


@dataclass(frozen=True, slots=True)
class TopologyNode:
    """Something in the network."""

    name: str
    kind: str
    role: str | None = None
    state: str | None = None
    """Of a switch, as `SwitchState`."""
    addresses: tuple[Address, ...] = ()
    prefixes: tuple[Prefix, ...] = ()


@dataclass(frozen=True, slots=True)
class TopologyLink:
    """A wire."""

    a: str
    b: str
    """Both as node:interface."""
    cost: int
    delay_ms: float
    rate_mbps: float | None
    up: bool
    """Both its ends are there and it carries frames, as far as the controller knows."""


@dataclass(frozen=True, slots=True)
class TopologyPath:
    """The way of one binding's packets, from the anchor to where the node is."""

    home_address: Address
    bid: int
    nodes: tuple[str, ...]
    """Names, the anchor first; empty: the topology file does not know where the care-of address is."""


@dataclass(frozen=True, slots=True)
class TopologyView:
    """The network as the topology file has it, with what is known of its state."""

    name: str
    nodes: tuple[TopologyNode, ...]
    links: tuple[TopologyLink, ...]
    paths: tuple[TopologyPath, ...] = ()


@dataclass(frozen=True, slots=True)
class Census:
    """How many there are."""

    registered: int
    provisioned: int
    """Provisioned without a binding."""
    deregistered: int
    bindings: int
    flows: int
    policies: int


@dataclass(frozen=True, slots=True)
class DrillView:
    """What a drill did."""

    home_address: Address
    bid: int
    taken_over_by: int
    """The BID that had the node's preferred traffic while the path was away."""
    down_at: float
    """Wall time when the switches were told, seconds since 1970."""
    failover_ms: float
    """From then until every switch in service had confirmed."""
    restored_at: float
    restore_ms: float
    """The same for giving it back."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change that an operator made, for the audit log."""

    actor: str
    role: str
    action: str
    resource: str
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None
    time: float = 0.0
    """Wall time, given by the service."""
    number: int = 0
    """Position in the log, given by the service."""


@dataclass(frozen=True, slots=True)
class Stages:
    """Histograms of where registrations spend their time, in seconds."""

    bounds: tuple[float, ...]
    """Upper bounds of the buckets, without the last, which has none."""
    counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """By stage: how many fell into each bucket, one more than there are bounds."""
    sums: Mapping[str, float] = field(default_factory=dict)
