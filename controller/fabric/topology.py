"""The topology model: which nodes there are, how they are linked, and what addresses they own.

A file says what there is, never how to configure it: routes, next hops and entries are computed from it (`paths`). Files are
read with `loader.load_topology`, which also makes the checks that span several fields.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_serializer, model_validator

from controller.fabric.fields import (
    AddressField,
    Ipv4HostField,
    Ipv4PrefixField,
    Mac,
    MacField,
    NeighbourField,
    PrefixField,
    derived_mac,
)
from controller.mobility.address import Address, Prefix

MAX_PORT = 509
"""Highest port number for a link: 510 is the controller's port, 511 drops (see the pipeline)."""

DEFAULT_INTERFACE = "eth0"
"""The interface a link takes on a node that is no switch when the file names none."""

Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,31}$")]
"""A node's or an interface's name: a letter, then letters, digits, dot, dash, underscore; 32 at most."""


class Kind(StrEnum):
    """What a node is."""

    SWITCH = "switch"
    """A P4 switch."""
    OPENFLOW = "openflow"
    """A transit switch that is driven by OpenFlow 1.3, Open vSwitch say."""
    HOME_LINK = "home-link"
    CORRESPONDENT = "correspondent"
    ACCESS_ROUTER = "access-router"
    ROUTER = "router"
    """A router on a home link beside the home agent. It advertises itself there, and leads to what is behind it."""
    HOST = "host"
    MOBILE_NODE = "mobile-node"


class Role(StrEnum):
    """What a switch does."""

    ANCHOR = "anchor"
    """It carries tunnels: it is the data plane of the home agent."""
    TRANSIT = "transit"
    """It only forwards."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HomeNetwork(_Model):
    """A home link's prefix and the home agent address that serves it."""

    prefix: PrefixField
    home_agent: AddressField
    """Inside of the prefix (RFC 6275 section 10.1)."""
    ipv4_prefix: Ipv4PrefixField | None = None
    """Where its nodes have their IPv4 home addresses, if they have any: other switches leave it to the nearest anchor."""
    link: Name | None = None
    """The node of kind home-link that is this network; none: a virtual home link, no node is ever at home."""


class InterfaceSettings(_Model):
    """What may be said about an interface of a node that is no switch."""

    mac: MacField | None = None
    """None: derived from the names."""
    address: AddressField | None = None
    """A mobile node's care-of address on this interface; other kinds list theirs under `addresses`."""
    discover: NeighbourField | None = None
    """Of a station at a P4 switch: an address at this interface for which the switch asks by neighbour discovery (RFC 4861), to learn
    the Ethernet address. Until there is an answer, that of `mac` is taken."""
    bid: Annotated[int, Field(ge=1, le=65535)] | None = None
    """The binding identifier a mobile node registers for this interface."""
    priority: Annotated[int, Field(ge=1, le=127)] | None = None
    """Its BID-PRI, 1 is preferred (RFC 6089 section 4.4)."""


class SwitchPort(_Model):
    """What may be said about a port of a switch."""

    mac: MacField | None = None
    """None: derived from the names."""


class Switch(_Model):
    """A P4 switch."""

    kind: Literal[Kind.SWITCH]
    role: Role = Role.ANCHOR
    device_id: Annotated[int, Field(ge=1, le=2**64 - 1)]
    grpc: Annotated[str, StringConstraints(pattern=r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$")]
    """Where its P4Runtime server listens: host:port."""
    target: Name = "embedded"
    """Its kind in the table of capabilities (`southbound.targets`)."""
    ports: Mapping[Annotated[int, Field(ge=1, le=MAX_PORT)], SwitchPort] = Field(default_factory=dict)
    """Settings of ports by number; a port that is only named in a link needs none."""


class OpenFlowSwitch(_Model):
    """A transit switch that is driven by OpenFlow 1.3. It forwards as a router: each port has an Ethernet address of its own."""

    kind: Literal[Kind.OPENFLOW]
    datapath_id: Annotated[int, Field(ge=1, le=2**64 - 1)]
    """By which it makes itself known to the controller."""
    ports: Mapping[Annotated[int, Field(ge=1, le=MAX_PORT)], SwitchPort] = Field(default_factory=dict)
    """Settings of ports by number; a port that is only named in a link needs none."""


class Station(_Model):
    """A node that is no switch and does not move."""

    kind: Literal[Kind.HOME_LINK, Kind.CORRESPONDENT, Kind.ACCESS_ROUTER, Kind.ROUTER, Kind.HOST]
    addresses: tuple[AddressField, ...] = ()
    prefixes: tuple[PrefixField, ...] = ()
    """Networks behind it; ::/0 makes it the way to everything else, IPv4 included unless another station has 0.0.0.0/0."""
    ipv4_addresses: tuple[Ipv4HostField, ...] = ()
    ipv4_prefixes: tuple[Ipv4PrefixField, ...] = ()
    """IPv4 networks behind it, for what nodes with an IPv4 home address send and get; 0.0.0.0/0: all others."""
    interfaces: Mapping[Name, InterfaceSettings] = Field(default_factory=dict)

    @property
    def all_addresses(self) -> tuple[Address, ...]:
        """Its addresses, the IPv4 ones as IPv4-mapped ones."""
        return (*self.addresses, *self.ipv4_addresses)

    @property
    def all_prefixes(self) -> tuple[Prefix, ...]:
        """The networks behind it, the same way."""
        return (*self.prefixes, *self.ipv4_prefixes)


class MobileNode(_Model):
    """A node that registers with a home agent."""

    kind: Literal[Kind.MOBILE_NODE]
    home_address: AddressField
    prefixes: tuple[PrefixField, ...] = ()
    """Mobile network prefixes of a mobile router (RFC 3963)."""
    interfaces: Mapping[Name, InterfaceSettings] = Field(default_factory=dict)


Node: TypeAlias = Annotated[Switch | OpenFlowSwitch | Station | MobileNode, Field(discriminator="kind")]


class Endpoint(_Model):
    """One end of a link, written ``node``, ``switch:port`` or ``node:interface``."""

    node: Name
    interface: str = DEFAULT_INTERFACE
    """A port number in decimal for a switch, else an interface's name."""

    @model_validator(mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        node, colon, interface = value.partition(":")
        return {"node": node, "interface": interface} if colon else {"node": node}

    @model_serializer
    def _join(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return f"{self.node}:{self.interface}"


class Link(_Model):
    """A wire between two nodes, with the properties that the lab's virtual wires give it, the same both ways."""

    a: Endpoint
    b: Endpoint
    delay_ms: Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)] = 0.0
    """One-way delay, milliseconds."""
    rate_mbps: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] | None = None
    """Megabits a second; None: as fast as the machine."""
    loss: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    """Share of the frames that are lost, 0 to 1."""
    cost: Annotated[int, Field(ge=1, le=65535)] = 1
    """Weight in the path computation."""
    mtu: Annotated[int, Field(ge=1280, le=65535)] = 1500
    """Octets of the longest IP packet that it carries (RFC 8200 section 5: 1280 at least)."""


@dataclass(frozen=True, slots=True)
class Interface:
    """One resolved end of a link: what is plugged in where."""

    node: str
    name: str
    """The interface's name; of a switch, the port number in decimal."""
    mac: Mac
    port: int | None
    """The port number if the node is a switch."""
    settings: InterfaceSettings | None
    """What the file says about it; None for a port of a switch."""
    link: Link
    peer: Endpoint


class Topology(_Model):
    """A whole topology file."""

    name: Name
    description: str = ""
    home_networks: tuple[HomeNetwork, ...] = ()
    nodes: Mapping[Name, Node]
    links: tuple[Link, ...] = ()

    @cached_property
    def switches(self) -> dict[str, Switch]:
        """The switches by name, in the order of the file."""
        return {name: node for name, node in self.nodes.items() if isinstance(node, Switch)}

    @cached_property
    def openflow(self) -> dict[str, OpenFlowSwitch]:
        """The transit switches that are driven by OpenFlow, by name."""
        return {name: node for name, node in self.nodes.items() if isinstance(node, OpenFlowSwitch)}

    @cached_property
    def anchors(self) -> dict[str, Switch]:
        """The switches that carry tunnels, by name."""
        return {name: switch for name, switch in self.switches.items() if switch.role is Role.ANCHOR}

    @cached_property
    def stations(self) -> dict[str, Station]:
        """The nodes that neither switch nor move, by name."""
        return {name: node for name, node in self.nodes.items() if isinstance(node, Station)}

    def home_prefixes(self, link: str) -> tuple[Prefix, ...]:
        """Return the prefixes of the home networks whose home link a node is, in the order of the file."""
        return tuple(network.prefix for network in self.home_networks if network.link == link)

    @cached_property
    def mobile_nodes(self) -> dict[str, MobileNode]:
        """The mobile nodes by name."""
        return {name: node for name, node in self.nodes.items() if isinstance(node, MobileNode)}

    def of_kind(self, kind: Kind) -> dict[str, Switch | OpenFlowSwitch | Station | MobileNode]:
        """Return the nodes of one kind by name."""
        return {name: node for name, node in self.nodes.items() if node.kind == kind}

    @cached_property
    def interfaces(self) -> tuple[Interface, ...]:
        """Every end of every link, in the order of the file: both ends of the first link, and so on."""
        return tuple(self._resolve())

    def interfaces_of(self, node: str) -> tuple[Interface, ...]:
        """Return the linked interfaces of one node, in the order of the file."""
        return tuple(interface for interface in self.interfaces if interface.node == node)

    def interface(self, end: Endpoint) -> Interface:
        """Return the interface at one end of a link.

        Raises:
            KeyError: no link ends there.
        """
        for interface in self.interfaces:
            if (interface.node, interface.name) == (end.node, end.interface):
                return interface
        raise KeyError(str(end))

    def _resolve(self) -> Iterator[Interface]:
        for link in self.links:
            for end, peer in ((link.a, link.b), (link.b, link.a)):
                node = self.nodes[end.node]
                settings: InterfaceSettings | None = None
                port: int | None = None
                if isinstance(node, Switch | OpenFlowSwitch):
                    port = int(end.interface)
                    given = node.ports.get(port, SwitchPort()).mac
                else:
                    settings = node.interfaces.get(end.interface, InterfaceSettings())
                    given = settings.mac
                mac = derived_mac(end.node, end.interface) if given is None else given
                yield Interface(end.node, end.interface, mac, port, settings, link, peer)
