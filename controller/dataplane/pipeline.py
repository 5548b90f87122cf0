"""The pipeline's names and shapes as data: what `p4src` promises and the controller relies on.

`southbound.artefacts` checks this against the compiled P4Info, so a renamed table is found before a switch sees it.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

CPU_PORT: Final = 510
"""The port behind which the controller sits."""
COPY_PORT: Final = CPU_PORT
"""By which copies of a packet begin their second pass through the switch: nothing leaves by it."""
DROP_PORT: Final = 511
"""A packet sent there ceases to exist."""

MY_STATION: Final = "my_station"
HOME_AGENTS: Final = "home_agents"
LINK_PORTS: Final = "link_ports"
INTERFACES: Final = "interfaces"
NEIGHBOUR_PROXY: Final = "neighbour_proxy"
SIGNALLING: Final = "signalling"
TUNNEL_TERMINATION: Final = "tunnel_termination"
HOME_SOURCES: Final = "home_sources"
NETWORK_SOURCES: Final = "network_sources"
SOURCE_BINDINGS: Final = "source_bindings"
HOME_ADDRESSES: Final = "home_addresses"
MOBILE_NETWORKS: Final = "mobile_networks"
FLOW_BINDINGS: Final = "flow_bindings"
DEFAULT_BINDING: Final = "default_binding"
BALANCERS: Final = "balancers"
TUNNEL_RATES: Final = "tunnel_rates"
TUNNELS: Final = "tunnels"
TUNNEL_SOURCES: Final = "tunnel_sources"
ROUTES: Final = "routes"
NEXT_HOPS: Final = "next_hops"
PUNT_POLICERS: Final = "punt_policers"

PATHS: Final = "paths"
"""No table: the action selector of `NEXT_HOPS`."""

MULTICAST_GROUPS: Final = "multicast_groups"
"""No table: the groups of the packet replication engine, as entries. Key: the group's number; parameters: the BIDs that get copies."""

EXPECT: Final = "expect"
L3: Final = "l3"
OWN_ADDRESS: Final = "own_address"
PUNT: Final = "punt"
DENY: Final = "deny"
INTERFACE: Final = "interface"
ANSWER_FOR_NODE: Final = "answer_for_node"
ANSWER_FOR_US: Final = "answer_for_us"
TERMINATE: Final = "terminate"
SENDER: Final = "sender"
ALLOW: Final = "allow"
MOBILE_NODE: Final = "mobile_node"
STEER_FLOW: Final = "steer_flow"
DROP_FLOW: Final = "drop_flow"
BALANCE_FLOW: Final = "balance_flow"
REPLICATE_FLOW: Final = "replicate_flow"
STEER: Final = "steer"
BALANCE: Final = "balance"
REPLICATE: Final = "replicate"
DISCARD: Final = "discard"
CHOOSE: Final = "choose"
LIMIT: Final = "limit"
COPY: Final = "copy"
"""Of `MULTICAST_GROUPS`."""
ENCAP_IPV6: Final = "encap_ipv6"
HOME_LINK: Final = "home_link"
DROP_TUNNEL: Final = "drop_tunnel"
TUNNEL_SOURCE: Final = "tunnel_source"
NEXT_HOP: Final = "next_hop"
FORWARD: Final = "forward"
REFUSE_UNROUTED: Final = "refuse_unrouted"
POLICE: Final = "police"

BUCKETS: Final = 64
"""Of a balanced flow's hash; each has one BID in `BALANCERS`."""
PATH_BUCKETS: Final = 60
"""The same of several equal paths in one entry of `NEXT_HOPS`: up to six share them evenly, and unlike those of a division by 64 its
remainders take every bit of a hash into account."""
MAX_TUNNEL_MTU: Final = 65495
"""Octets: what a 16-bit payload length leaves for the inner packet."""

DROPS_COUNTER: Final = "drops"
"""The indirect counter of dropped packets and bytes; its index is a `DropReason`."""
EGRESS_DROPS_COUNTER: Final = "egress_drops"
"""The same of what a chip drops on its way out; programs for one processor have none."""


class DropReason(IntEnum):
    """Why the switch dropped a packet."""

    NOT_FOR_US = 0
    """The destination MAC address is none of the switch's."""
    MALFORMED = 1
    NOT_IP = 2
    """Neither IPv6 nor an IPv4 header without options."""
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
    REPORT_RATE = 16
    """Its source would get an ICMPv6 error, but not so often."""


class PuntReason(IntEnum):
    """Why the switch handed a packet to the controller."""

    MOBILITY_HEADER = 1
    NEIGHBOUR_DISCOVERY = 2
    ICMPV6 = 3
    HOP_LIMIT = 4
    TOO_BIG = 5
    UNREACHABLE = 6
    HOME_ADDRESS = 7
    """A Home Address option for a home agent address: the engine knows whether to believe it."""
    LINK_DISCOVERY = 8
    """An LLDP frame that came by a port with a switch behind it."""


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
    selector: str = ""
    """Name of the action selector that has its entries' actions; empty: none. With one, an entry has one action or several, of which a
    flow's hash takes one: its parameters are those of all of them, one after the other. How many there are is what the hash is
    divided by, so one that stands there twice has twice the flows."""

    @property
    def has_priority(self) -> bool:
        """Whether entries need a priority: where several may match one packet by mask or range (P4Runtime section 9.1)."""
        return any(field.kind in {Kind.TERNARY, Kind.RANGE} for field in self.fields)


_NODE = Param("node_id", 24)
_BID = Param("bid", 16)
_NODE_FIELD = Field("node_id", 24)
_MOBILE_NODE = Action(MOBILE_NODE, (_NODE,))
_SENDER = Action(SENDER, (_NODE,))
_HOME_AGENT = Param("home_agent_id", 8)
_BALANCE = Param("balance_id", 16)
_GROUP = Param("group_id", 16)

_TABLES = (
    Table(LINK_PORTS, (Field("port", 9),), (Action(EXPECT),)),
    Table(MY_STATION, (Field("dst_mac", 48),), (Action(L3),)),
    Table(HOME_AGENTS, (Field("destination", 128),), (Action(OWN_ADDRESS, (_HOME_AGENT,)),)),
    Table(
        INTERFACES,
        (Field("port", 9),),
        (Action(INTERFACE, (_HOME_AGENT, Param("mac", 48), Param("address", 128))),),
    ),
    Table(
        NEIGHBOUR_PROXY,
        (Field("target", 128),),
        (Action(ANSWER_FOR_NODE, (_HOME_AGENT, Param("router", 1))), Action(ANSWER_FOR_US)),
    ),
    Table(
        SIGNALLING,
        (
            Field("destination", 128, Kind.TERNARY),
            Field("protocol", 8, Kind.TERNARY),
            Field("mh_type", 8, Kind.TERNARY),
            Field("icmp_type", 8, Kind.TERNARY),
            Field("udp_port", 16, Kind.TERNARY),
            Field("home_address_option", 1, Kind.TERNARY),
        ),
        (Action(PUNT, (Param("reason", 8),)), Action(DENY)),
        counted=True,
        metered=True,
    ),
    Table(
        TUNNEL_TERMINATION,
        (Field("home_agent_id", 8), Field("source", 128)),
        (Action(TERMINATE, (Param("path_id", 24),)),),
        counted=True,
    ),
    Table(HOME_SOURCES, (Field("source", 128),), (_SENDER,)),
    Table(NETWORK_SOURCES, (Field("source", 128, Kind.LPM),), (_SENDER,)),
    Table(SOURCE_BINDINGS, (Field("path_id", 24), _NODE_FIELD), (Action(ALLOW, (_BID,)),), counted=True),
    Table(HOME_ADDRESSES, (Field("destination", 128),), (_MOBILE_NODE,)),
    Table(MOBILE_NETWORKS, (Field("destination", 128, Kind.LPM),), (_MOBILE_NODE,)),
    Table(
        FLOW_BINDINGS,
        (
            _NODE_FIELD,
            Field("source", 128, Kind.TERNARY),
            Field("destination", 128, Kind.TERNARY),
            Field("protocol", 8, Kind.TERNARY),
            Field("source_port", 16, Kind.RANGE),
            Field("destination_port", 16, Kind.RANGE),
            Field("traffic_class", 8, Kind.TERNARY),
            Field("flow_label", 20, Kind.TERNARY),
            Field("spi", 32, Kind.TERNARY),
            Field("ipv4", 1, Kind.TERNARY),
        ),
        (
            Action(STEER_FLOW, (_BID,)),
            Action(DROP_FLOW),
            Action(BALANCE_FLOW, (_BALANCE,)),
            Action(REPLICATE_FLOW, (_GROUP,)),
        ),
        counted=True,
    ),
    Table(
        DEFAULT_BINDING,
        (_NODE_FIELD,),
        (Action(STEER, (_BID,)), Action(BALANCE, (_BALANCE,)), Action(REPLICATE, (_GROUP,)), Action(DISCARD)),
    ),
    Table(BALANCERS, (Field("balance_id", 16), Field("bucket", 6)), (Action(CHOOSE, (_BID,)),)),
    Table(TUNNEL_RATES, (_NODE_FIELD, Field("bid", 16)), (Action(LIMIT),), metered=True),
    Table(
        TUNNELS,
        (_NODE_FIELD, Field("bid", 16)),
        (
            Action(ENCAP_IPV6, (_HOME_AGENT, Param("destination", 128), Param("mtu", 16))),
            Action(HOME_LINK, (Param("port", 9), Param("source_mac", 48), Param("destination_mac", 48))),
            Action(DROP_TUNNEL),
        ),
        counted=True,
    ),
    Table(TUNNEL_SOURCES, (Field("home_agent_id", 8),), (Action(TUNNEL_SOURCE, (Param("source", 128),)),)),
    Table(
        ROUTES,
        (Field("destination", 128, Kind.LPM),),
        (Action(NEXT_HOP, (Param("next_hop_id", 16),)), Action(REFUSE_UNROUTED)),
    ),
    Table(
        NEXT_HOPS,
        (Field("next_hop_id", 16),),
        (Action(FORWARD, (Param("port", 9), Param("source_mac", 48), Param("destination_mac", 48), Param("mtu", 16))),),
        selector=PATHS,
    ),
    Table(PUNT_POLICERS, (Field("reason", 8),), (Action(POLICE),), counted=True, metered=True),
)

TABLES: Final = {table.name: table for table in _TABLES}
"""Every table by name, in pipeline order."""

PACKET_IN: Final = (Field("ingress_port", 16), Field("reason", 8), Field("mtu", 16))
"""Metadata of a packet that the switch hands up; the MTU, octets, is that of the way which was too narrow."""

PACKET_OUT: Final = (Field("egress_port", 16), Field("routed", 8))
"""Metadata of a packet that the controller hands down."""
