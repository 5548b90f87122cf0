"""The pipeline's names and shapes as data: what `p4src` promises and the controller relies on.

`southbound.artefacts` checks this against the compiled P4Info, so a renamed table is found before a switch sees it.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

CPU_PORT: Final = 510
"""The port behind which the controller sits."""
DROP_PORT: Final = 511
"""A packet sent there ceases to exist."""

MY_STATION: Final = "my_station"
HOME_AGENTS: Final = "home_agents"
SIGNALLING: Final = "signalling"
TUNNEL_TERMINATION: Final = "tunnel_termination"
HOST_SOURCES: Final = "host_sources"
NETWORK_SOURCES: Final = "network_sources"
HOME_ADDRESSES: Final = "home_addresses"
MOBILE_NETWORKS: Final = "mobile_networks"
FLOW_BINDINGS: Final = "flow_bindings"
DEFAULT_BINDING: Final = "default_binding"
TUNNELS: Final = "tunnels"
ROUTES: Final = "routes"
NEXT_HOPS: Final = "next_hops"

L3: Final = "l3"
OWN_ADDRESS: Final = "own_address"
PUNT: Final = "punt"
DENY: Final = "deny"
TERMINATE: Final = "terminate"
ALLOW_HOST: Final = "allow_host"
ALLOW_NETWORK: Final = "allow_network"
MOBILE_NODE: Final = "mobile_node"
STEER_FLOW: Final = "steer_flow"
DROP_FLOW: Final = "drop_flow"
STEER: Final = "steer"
ENCAP_IPV6: Final = "encap_ipv6"
HOME_LINK: Final = "home_link"
DROP_TUNNEL: Final = "drop_tunnel"
NEXT_HOP: Final = "next_hop"
FORWARD: Final = "forward"

DROPS_COUNTER: Final = "drops"
"""The indirect counter of dropped packets and bytes; its index is a `DropReason`."""


class DropReason(IntEnum):
    """Why the switch dropped a packet."""

    NOT_FOR_US = 0
    """The destination MAC address is none of the switch's."""
    MALFORMED = 1
    NOT_IPV6 = 2
    HOP_LIMIT = 3
    UNREGISTERED_OUTER_SOURCE = 4
    """Tunnelled to the home agent from an address that is nobody's care-of address."""
    FORGED_INNER_SOURCE = 5
    """Tunnelled from a care-of address, in the name of a node that does not have it."""
    NO_BINDING = 6
    NO_TUNNEL = 7
    NO_ROUTE = 8
    POLICY = 9
    SIGNALLING_RATE = 10
    TUNNEL_RATE = 11
    ECN = 12
    """A congestion mark outside, none allowed inside (RFC 6040 section 4.2)."""
    TOO_BIG = 13
    SIGNALLING_DENIED = 14
    SCOPE = 15
    """Multicast or link-local: never forwarded."""


class PuntReason(IntEnum):
    """Why the switch handed a packet to the controller."""

    MOBILITY_HEADER = 1
    NEIGHBOUR_DISCOVERY = 2
    ICMPV6 = 3
    HOP_LIMIT = 4
    TOO_BIG = 5
    UNREACHABLE = 6


class Kind(Enum):
    """How a field of a key is matched."""

    EXACT = "exact"
    LPM = "lpm"
    TERNARY = "ternary"
    RANGE = "range"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a table's key."""

    name: str
    width: int
    """Bits."""
    kind: Kind = Kind.EXACT


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of an action."""

    name: str
    width: int
    """Bits."""


@dataclass(frozen=True, slots=True)
class Action:
    """An action that entries of a table may have."""

    name: str
    params: tuple[Param, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its key and the actions of its entries; actions for misses only are left out."""

    name: str
    fields: tuple[Field, ...]
    actions: tuple[Action, ...]
    counted: bool = False
    """It has a direct counter."""
    metered: bool = False
    """Its entries have a rate: the direct meter is written, read back and compared with them."""

    @property
    def has_priority(self) -> bool:
        """Whether entries need a priority: where several may match one packet by mask or range (P4Runtime section 9.1)."""
        return any(field.kind in {Kind.TERNARY, Kind.RANGE} for field in self.fields)


_NODE = Param("node_id", 24)
_BID = Param("bid", 16)
_MOBILE_NODE = Action(MOBILE_NODE, (_NODE,))
_ETHERNET = (Param("port", 9), Param("source_mac", 48), Param("destination_mac", 48))

_TABLES = (
    Table(MY_STATION, (Field("dst_mac", 48),), (Action(L3),)),
    Table(HOME_AGENTS, (Field("destination", 128),), (Action(OWN_ADDRESS),)),
    Table(
        SIGNALLING,
        (
            Field("destination", 128, Kind.TERNARY),
            Field("protocol", 8, Kind.TERNARY),
            Field("mh_type", 8, Kind.TERNARY),
            Field("icmp_type", 8, Kind.TERNARY),
            Field("udp_port", 16, Kind.TERNARY),
        ),
        (Action(PUNT, (Param("reason", 8),)), Action(DENY)),
        counted=True,
        metered=True,
    ),
    Table(
        TUNNEL_TERMINATION,
        (Field("source", 128), Field("destination", 128)),
        (Action(TERMINATE, (Param("path_id", 24),)),),
        counted=True,
    ),
    Table(
        HOST_SOURCES, (Field("path_id", 24), Field("source", 128)), (Action(ALLOW_HOST, (_NODE, _BID)),), counted=True
    ),
    Table(
        NETWORK_SOURCES,
        (Field("path_id", 24), Field("source", 128, Kind.LPM)),
        (Action(ALLOW_NETWORK, (_NODE, _BID)),),
        counted=True,
    ),
    Table(HOME_ADDRESSES, (Field("destination", 128),), (_MOBILE_NODE,)),
    Table(MOBILE_NETWORKS, (Field("destination", 128, Kind.LPM),), (_MOBILE_NODE,)),
    Table(
        FLOW_BINDINGS,
        (
            Field("node_id", 24),
            Field("source", 128, Kind.TERNARY),
            Field("destination", 128, Kind.TERNARY),
            Field("protocol", 8, Kind.TERNARY),
            Field("source_port", 16, Kind.RANGE),
            Field("destination_port", 16, Kind.RANGE),
            Field("traffic_class", 8, Kind.TERNARY),
            Field("flow_label", 20, Kind.TERNARY),
            Field("spi", 32, Kind.TERNARY),
        ),
        (Action(STEER_FLOW, (_BID,)), Action(DROP_FLOW)),
        counted=True,
    ),
    Table(DEFAULT_BINDING, (Field("node_id", 24),), (Action(STEER, (_BID,)),)),
    Table(
        TUNNELS,
        (Field("node_id", 24), Field("bid", 16)),
        (
            Action(ENCAP_IPV6, (Param("source", 128), Param("destination", 128))),
            Action(HOME_LINK, _ETHERNET),
            Action(DROP_TUNNEL),
        ),
        counted=True,
    ),
    Table(ROUTES, (Field("destination", 128, Kind.LPM),), (Action(NEXT_HOP, (Param("next_hop_id", 16),)),)),
    Table(NEXT_HOPS, (Field("next_hop_id", 16),), (Action(FORWARD, _ETHERNET),)),
)

TABLES: Final = {table.name: table for table in _TABLES}
"""Every table by name, in pipeline order."""

PACKET_IN: Final = (Field("ingress_port", 16), Field("reason", 8))
"""Metadata of a packet that the switch hands up."""

PACKET_OUT: Final = (Field("egress_port", 16), Field("routed", 8))
"""Metadata of a packet that the controller hands down."""
