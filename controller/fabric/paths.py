"""Paths through a topology: the next hops of each switch on all shortest paths to every destination, by the sum of link costs."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final, TypeAlias

import networkx as nx

from controller.fabric.fields import Mac
from controller.fabric.topology import Interface, Kind, MobileNode, OpenFlowSwitch, Switch, Topology
from controller.mobility.address import Address, Prefix, format_network, unmapped

if TYPE_CHECKING:
    Graph: TypeAlias = nx.DiGraph[str]

_FORWARDERS: Final = frozenset({Kind.SWITCH, Kind.OPENFLOW, Kind.ACCESS_ROUTER, Kind.ROUTER})


class NoPathError(ValueError):
    """A switch cannot reach something that it must reach."""


@dataclass(frozen=True, slots=True)
class NextHop:
    """Where a switch sends packets for a destination."""

    port: int
    source_mac: Mac
    """Of the switch's own port."""
    destination_mac: Mac
    """Of the neighbour's interface."""
    mtu: int = 1500
    """Octets of the longest packet that the link carries."""

    @property
    def place(self) -> tuple[int, Mac]:
        """By which several are put in order: the port, and who of those on a home link it is."""
        return self.port, self.destination_mac

    @property
    def params(self) -> tuple[int, ...]:
        """As an entry of a switch has them."""
        return self.port, self.source_mac, self.destination_mac, self.mtu


@dataclass(frozen=True, slots=True)
class Outage:
    """What of a network does not work."""

    nodes: frozenset[str] = frozenset()
    links: frozenset[int] = frozenset()
    """Positions in the file, from 0."""

    def __bool__(self) -> bool:
        return bool(self.nodes or self.links)


NO_OUTAGE: Final = Outage()


def graph(topology: Topology, outage: Outage = NO_OUTAGE) -> "Graph":
    """Return the network as a directed graph with the edge attributes `cost`, `out` and `into` (both `Interface`).

    Only switches and routers have edges that lead away: nothing is routed through a host. A home link is crossed, not routed
    through: a router on it is one hop away from each switch and router there. Mobile nodes are left out: they are reached through
    tunnels. Of parallel links the cheapest counts, then the first.
    """
    network: Graph = nx.DiGraph()
    network.add_nodes_from(
        name for name, node in topology.nodes.items() if not isinstance(node, MobileNode) and name not in outage.nodes
    )
    for position, link in enumerate(topology.links):
        if position in outage.links:
            continue
        _join(topology, network, topology.interface(link.a), topology.interface(link.b), link.cost)
    for one, other, cost in _across_home_links(topology, outage):
        _join(topology, network, one, other, cost)
    return network


def _join(topology: Topology, network: "Graph", one: Interface, other: Interface, cost: int) -> None:
    """Add the edges between two interfaces, as far as something is sent on there, and no cheaper ones are known."""
    for out, into in ((one, other), (other, one)):
        if out.node not in network or into.node not in network or topology.nodes[out.node].kind not in _FORWARDERS:
            continue
        known = network.get_edge_data(out.node, into.node)
        if known is None or cost < known["cost"]:
            network.add_edge(out.node, into.node, cost=cost, out=out, into=into)


def _across_home_links(topology: Topology, outage: Outage) -> Iterator[tuple[Interface, Interface, int]]:
    """Yield the pairs of interfaces on one home link of which one at least is a router's, and the cost of both links."""
    for home in topology.of_kind(Kind.HOME_LINK):
        if home in outage.nodes:
            continue
        there = [
            (topology.interface(link.b if link.a.node == home else link.a), link.cost)
            for position, link in enumerate(topology.links)
            if home in {link.a.node, link.b.node} and position not in outage.links
        ]
        for (one, near), (other, far) in combinations(there, 2):
            if Kind.ROUTER in {topology.nodes[one.node].kind, topology.nodes[other.node].kind}:
                yield one, other, near + far


def routes(topology: Topology, switch: str, outage: Outage = NO_OUTAGE) -> dict[Prefix, NextHop]:
    """Return one next hop for each destination: of several, rendezvous hashing takes one, for what can have one only.

    So destinations are spread over equal paths, and when one goes, only what took it moves.

    Raises:
        NoPathError: a destination is out of its reach.
        KeyError: there is no such switch.
    """
    return {prefix: _choose(prefix, group) for prefix, group in groups(topology, switch, outage).items()}


def _choose(prefix: Prefix, group: tuple[NextHop, ...]) -> NextHop:
    """Return the next hop of a group that a destination takes (rendezvous hashing)."""
    if len(group) == 1:
        return group[0]
    return max(
        group, key=lambda hop: hashlib.blake2b(f"{prefix} {hop.destination_mac}".encode(), digest_size=8).digest()
    )


def groups(topology: Topology, switch: str, outage: Outage = NO_OUTAGE) -> dict[Prefix, tuple[NextHop, ...]]:
    """Return all next hops on shortest paths, by destination, in the order of ports.

    What an outage leaves no path to keeps the way it has without: that a switch does not answer does not mean that it does not
    forward, and no other way is lost by it.

    Raises:
        NoPathError: a destination is out of reach although everything works.
        KeyError: there is no such switch.
    """
    return {one.prefix: one.whole if one.now is None else one.now for one in destinations(topology, switch, outage)}


@dataclass(frozen=True, slots=True)
class Destination:
    """What a switch sends somewhere: all but what it is nearest to itself."""

    prefix: Prefix
    end: tuple[str, ...]
    """What it is reached by: the node that it is connected to by one link alone, or the nodes that are equally good for it."""
    whole: tuple[NextHop, ...]
    """The next hops while everything works, in the order of ports."""
    now: tuple[NextHop, ...] | None
    """The same in an outage; None: no path is left."""


def destinations(topology: Topology, switch: str, outage: Outage = NO_OUTAGE) -> list[Destination]:
    """Return all that a switch sends somewhere, in the order of the file, as long as anything leads there.

    Raises:
        NoPathError: a destination is out of reach although everything works.
        KeyError: there is no such switch.
    """
    if not isinstance(topology.nodes[switch], Switch | OpenFlowSwitch):
        raise KeyError(switch)
    others = Outage(outage.nodes - {switch}, outage.links)
    whole = _groups(topology, switch, NO_OUTAGE)
    now = _groups(topology, switch, others) if others else whole
    found: list[Destination] = []
    for prefix, owners in _destinations(topology, switch):
        group = whole[prefix]
        if group is None:
            raise NoPathError(f"{switch} has no path to {' or '.join(owners)} for {format_network(prefix)}")
        if group:
            found.append(Destination(prefix, _end(topology, owners), group, now[prefix]))
    return found


def _end(topology: Topology, owners: list[str]) -> tuple[str, ...]:
    if len(owners) > 1:
        return tuple(owners)
    (owner,) = owners
    links = [one for one in topology.interfaces_of(owner) if not isinstance(topology.nodes[one.peer.node], MobileNode)]
    # What is behind one link alone is reached as the switch or router at its other end is.
    alone = len(links) == 1 and topology.nodes[links[0].peer.node].kind in _FORWARDERS
    return (links[0].peer.node if alone else owner,)


def _groups(topology: Topology, switch: str, outage: Outage) -> dict[Prefix, tuple[NextHop, ...] | None]:
    """Return next hops by destination: none where the switch itself is nearest, None where there is no path."""
    network = graph(topology, outage)
    far: dict[str, float] = nx.single_source_dijkstra_path_length(network, switch, weight="cost")
    # How far everything is from each neighbour: the neighbours on a shortest path are those for which the sum is right.
    beyond: dict[str, dict[str, float]] = {
        neighbour: nx.single_source_dijkstra_path_length(network, neighbour, weight="cost")
        for neighbour in network.successors(switch)
    }
    found: dict[Prefix, tuple[NextHop, ...] | None] = {}
    for prefix, owners in _destinations(topology, switch):
        nearest = min((far[owner] for owner in owners if owner in far), default=None)
        if nearest is None:
            found[prefix] = None
            continue
        ends = [owner for owner in owners if far.get(owner) == nearest]
        hops = {
            _next_hop(network, switch, neighbour)
            for neighbour, distances in beyond.items()
            if any(network.edges[switch, neighbour]["cost"] + distances.get(end, math.inf) == nearest for end in ends)
        }
        found[prefix] = () if switch in ends else tuple(sorted(hops, key=lambda hop: hop.place))
    return found


def _next_hop(network: "Graph", switch: str, neighbour: str) -> NextHop:
    edge = network.edges[switch, neighbour]
    out: Interface = edge["out"]
    into: Interface = edge["into"]
    return _hop(out, into)


def _hop(out: Interface, into: Interface) -> NextHop:
    assert out.port is not None, "a switch's interfaces are ports"
    return NextHop(out.port, out.mac, into.mac, min(out.link.mtu, into.link.mtu))


def neighbours_of(topology: Topology, switch: str) -> Iterator[NextHop]:
    """Yield what is at the other end of each port of a switch, in the order of the file."""
    for interface in topology.interfaces_of(switch):
        yield _hop(interface, topology.interface(interface.peer))


def _destinations(topology: Topology, switch: str) -> Iterator[tuple[Prefix, list[str]]]:
    """Yield every destination with the nodes that are equally good for it."""
    for network in topology.home_networks:
        if network.link is not None:
            yield network.prefix, [network.link]
    # What is behind a mobile router is reached as the router is: through tunnels, or by way of an anchor.
    mobile = [prefix for node in topology.mobile_nodes.values() for prefix in node.prefixes]
    for name, station in topology.stations.items():
        for prefix in station.all_prefixes:
            yield prefix, [name]
        covered = [
            *mobile,
            *station.all_prefixes,
            *(network.prefix for network in topology.home_networks if network.link == name),
        ]
        for address in station.all_addresses:
            is_ipv4 = unmapped(address) is not None  # ::/0 covers it, but another's 0.0.0.0/0 is longer
            if not any(address in prefix and prefix.is_ipv4 == is_ipv4 for prefix in covered):
                yield _host(address), [name]
    if switch not in topology.anchors:
        yield from ((prefix, list(topology.anchors)) for prefix in _anchored(topology))


def _anchored(topology: Topology) -> Iterator[Prefix]:
    """Yield the destinations that another switch leaves to the nearest anchor."""
    homes = [network.prefix for network in topology.home_networks]
    for network in topology.home_networks:
        if network.link is None:
            yield network.prefix
        if network.ipv4_prefix is not None:
            yield network.ipv4_prefix
        yield _host(network.home_agent)
    for node in topology.mobile_nodes.values():
        # A mobile network outside of the home network is reached through its home agent all the same (RFC 3963 section 7).
        yield from (prefix for prefix in node.prefixes if not any(prefix.network in home for home in homes))


def _host(address: Address) -> Prefix:
    return Prefix(address, 128)
