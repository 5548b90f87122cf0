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

from dataclasses import dataclass
from typing import Any, Final

from controller.fabric.fields import format_mac
from controller.fabric.paths import NO_OUTAGE, Outage, routes
from controller.fabric.topology import Topology
from controller.mobility.address import Prefix, format_network

_ALL: Final = Prefix.parse("::/0")
_ALL_IPV4: Final = Prefix.parse_ipv4("0.0.0.0/0")


@dataclass(frozen=True, slots=True)
class TransitRoute:
    """Where a datapath sends packets for a prefix."""

    prefix: str
    port: int
    source: str
    """Ethernet address of its own port."""
    destination: str
    """Of the next hop."""


@dataclass(frozen=True, slots=True)
class Datapath:
    """What an OpenFlow switch should hold."""

    name: str
    datapath_id: int
    ports: tuple[tuple[int, str], ...]
    """Number and Ethernet address of each."""
    routes: tuple[TransitRoute, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can have it."""
        return {
            "name": self.name,
            "id": self.datapath_id,
            "ports": [list(port) for port in self.ports],
            "routes": [[one.prefix, one.port, one.source, one.destination] for one in self.routes],
        }


def datapaths(topology: Topology, outage: Outage = NO_OUTAGE) -> list[Datapath]:
    """Return what each OpenFlow switch of a topology should hold.

    Raises:
        NoPathError: one cannot reach something.
    """
    found: list[Datapath] = []
    for name, node in topology.openflow.items():
        ports = tuple((one.port, format_mac(one.mac)) for one in topology.interfaces_of(name) if one.port is not None)
        ways = routes(topology, name, outage)
        if _ALL in ways:  # a P4 switch takes it for IPv4 too, where nothing else is said
            ways = {_ALL_IPV4: ways[_ALL]} | ways
        held = tuple(
            TransitRoute(format_network(prefix), hop.port, format_mac(hop.source_mac), format_mac(hop.destination_mac))
            for prefix, hop in sorted(ways.items())
        )
        found.append(Datapath(name, node.datapath_id, ports, held))
    return found


def lost_links(topology: Topology, down: set[tuple[str, int]]) -> frozenset[int]:
    """Return the positions in the file of the links that end at one of these ports, each a node and a number."""
    return frozenset(
        position
        for position, link in enumerate(topology.links)
        if any((end.node, end.interface) in {(node, str(port)) for node, port in down} for end in (link.a, link.b))
    )
