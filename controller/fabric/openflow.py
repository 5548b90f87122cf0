"""OpenFlow transit: the routes of Open vSwitch bridges, as plain data, and the process that keeps them there.

The process is `controller.fabric.openflow_app`, an os-ken application of its own: os-ken runs on threads and a configuration that
is global to a process. It is told what to install by one line of JSON, always all of it, and tells by lines what happens:

| line | direction | meaning |
|---|---|---|
| ``{"datapaths": [...]}`` | in | what each datapath should hold from now on |
| ``{"event": "listening", "port": 6653}`` | out | it takes connections |
| ``{"event": "datapath", "id": 3, "up": true}`` | out | a datapath came or went |
| ``{"event": "port", "id": 3, "port": 1, "up": false}`` | out | a port lost or got its link |
| ``{"event": "installed", "id": 3, "added": 7, "removed": 0}`` | out | a datapath holds what it should |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from controller.fabric.fields import format_mac
from controller.fabric.paths import NO_OUTAGE, NextHop, Outage
from controller.fabric.topology import Topology
from controller.fabric.ways import FIRST_SET, ways
from controller.mobility.address import Prefix, format_network

_ALL: Final = Prefix.parse("::/0")
_ALL_IPV4: Final = Prefix.parse_ipv4("0.0.0.0/0")


@dataclass(frozen=True, slots=True)
class Hop:
    """A next hop of a datapath."""

    port: int
    source: str
    """Ethernet address of its own port."""
    destination: str
    """Of the next hop."""

    def to_json(self) -> list[Any]:
        """Return it as JSON can have it."""
        return [self.port, self.source, self.destination]


@dataclass(frozen=True, slots=True)
class TransitRoute:
    """Where a datapath sends packets for a prefix."""

    prefix: str
    hop: Hop | None
    """None: any of a group."""
    group: int = 0
    """The number of the group; 0: none."""

    def to_json(self) -> list[Any]:
        """Return it as JSON can have it."""
        return [self.prefix, *(self.hop.to_json() if self.hop is not None else [self.group])]


@dataclass(frozen=True, slots=True)
class Datapath:
    """What an OpenFlow switch should hold."""

    name: str
    datapath_id: int
    ports: tuple[tuple[int, str], ...]
    """Number and Ethernet address of each."""
    routes: tuple[TransitRoute, ...]
    groups: Mapping[int, tuple[Hop, ...]]
    """Next hops of equal cost, by number."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can have it."""
        return {
            "name": self.name,
            "id": self.datapath_id,
            "ports": [list(port) for port in self.ports],
            "groups": [[number, *(hop.to_json() for hop in hops)] for number, hops in self.groups.items()],
            "routes": [one.to_json() for one in self.routes],
        }


def datapaths(topology: Topology, outage: Outage = NO_OUTAGE) -> list[Datapath]:
    """Return what each OpenFlow switch of a topology should hold.

    Raises:
        NoPathError: one cannot reach something.
    """
    found: list[Datapath] = []
    for name, node in topology.openflow.items():
        ports = tuple((one.port, format_mac(one.mac)) for one in topology.interfaces_of(name) if one.port is not None)
        known = ways(topology, name, outage)
        routes = known.routes
        if _ALL in routes:  # a P4 switch takes it for IPv4 too, where nothing else is said
            routes = {_ALL_IPV4: routes[_ALL]} | routes
        groups = {
            number: tuple(_hop(hop) for hop in dict.fromkeys(hops))
            for number, hops in known.next_hops.items()
            if number >= FIRST_SET
        }
        held = tuple(
            TransitRoute(format_network(prefix), None, number)
            if number in groups
            else TransitRoute(format_network(prefix), _hop(known.next_hops[number][0]))
            for prefix, number in sorted(routes.items())
        )
        found.append(Datapath(name, node.datapath_id, ports, held, groups))
    return found


def _hop(hop: NextHop) -> Hop:
    return Hop(hop.port, format_mac(hop.source_mac), format_mac(hop.destination_mac))


def lost_links(topology: Topology, down: set[tuple[str, int]]) -> frozenset[int]:
    """Return the positions in the file of the links that end at one of these ports, each a node and a number."""
    return frozenset(
        position
        for position, link in enumerate(topology.links)
        if any((end.node, end.interface) in {(node, str(port)) for node, port in down} for end in (link.a, link.b))
    )
