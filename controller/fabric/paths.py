"""From a topology to each switch's static entries: who it is, what it hands up, and where everything lies.

Paths are shortest by the sum of link costs. The same topology gives the same entries and numbers on every run: of equally
short paths the one whose links come first in the file is taken.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import networkx as nx

from controller.dataplane import pipeline as p
from controller.dataplane.doors import Door
from controller.dataplane.entries import Entry, Lpm, Rate, Ternary
from controller.fabric.fields import Mac
from controller.fabric.topology import Interface, Kind, MobileNode, Switch, Topology
from controller.mobility.address import Address, Prefix
from controller.mobility.discovery import anycast_address

if TYPE_CHECKING:
    Graph: TypeAlias = nx.DiGraph[str]

SIGNALLING_PRIORITY: Final = 100
"""Priority of the entries for a home agent address; leaves room on both sides."""
SIGNALLING_RATE: Final = Rate(10_000, 2_000)
"""Packets a second, and at once, of each kind of signalling that a switch hands to the controller, if nothing else is said."""

_ICMPV6: Final = 58
_PUNTED: Final = {
    135: p.PuntReason.MOBILITY_HEADER,
    # Signalling may come in ESP (RFC 3776 section 4.1): a switch has no keys, so the controller takes it apart.
    50: p.PuntReason.MOBILITY_HEADER,
    _ICMPV6: p.PuntReason.ICMPV6,
    # Extension headers that the switch could not look through: a Mobility Header may be behind them.
    0: p.PuntReason.MOBILITY_HEADER,
    43: p.PuntReason.MOBILITY_HEADER,
    60: p.PuntReason.MOBILITY_HEADER,
}
"""What of the packets for a home agent address the controller sees, by protocol number."""
_DISCOVERY_REQUEST: Final = 144
"""ICMPv6 type of a dynamic home agent address discovery request (RFC 6275 section 6.5)."""
_NEIGHBOURS: Final = (134, 135, 136)
"""ICMPv6 types that the controller sees from a home link: Router Advertisement, Neighbor Solicitation and Advertisement."""
_FORWARDERS: Final = frozenset({Kind.SWITCH, Kind.ACCESS_ROUTER})


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


def graph(topology: Topology) -> "Graph":
    """Return the network as a directed graph with the edge attributes `cost`, `out` and `into` (both `Interface`).

    Only switches and access routers have edges that lead away: nothing is routed through a host. Mobile nodes are left out:
    they are reached through tunnels. Of parallel links the cheapest counts, then the first.
    """
    network: Graph = nx.DiGraph()
    network.add_nodes_from(name for name, node in topology.nodes.items() if not isinstance(node, MobileNode))
    for link in topology.links:
        ends = (topology.interface(link.a), topology.interface(link.b))
        for out, into in (ends, ends[::-1]):
            if out.node not in network or into.node not in network or topology.nodes[out.node].kind not in _FORWARDERS:
                continue
            known = network.get_edge_data(out.node, into.node)
            if known is None or link.cost < known["cost"]:
                network.add_edge(out.node, into.node, cost=link.cost, out=out, into=into)
    return network


def routes(topology: Topology, switch: str) -> dict[Prefix, NextHop]:
    """Return where a switch sends packets, by destination.

    Raises:
        NoPathError: a destination is out of its reach.
        KeyError: there is no such switch.
    """
    if not isinstance(topology.nodes[switch], Switch):
        raise KeyError(switch)
    network = graph(topology)
    distances: dict[str, float] = nx.single_source_dijkstra_path_length(network, switch, weight="cost")
    ways: dict[str, list[str]] = nx.single_source_dijkstra_path(network, switch, weight="cost")
    found: dict[Prefix, NextHop] = {}
    for prefix, owners in _destinations(topology, switch):
        reachable = [owner for owner in owners if owner in ways]
        if not reachable:
            raise NoPathError(f"{switch} has no path to {' or '.join(owners)} for {prefix}")
        nearest = min(reachable, key=lambda owner: distances[owner])
        if nearest != switch:
            found[prefix] = _next_hop(network, switch, ways[nearest][1])
    return found


def _next_hop(network: "Graph", switch: str, neighbour: str) -> NextHop:
    edge = network.edges[switch, neighbour]
    out: Interface = edge["out"]
    into: Interface = edge["into"]
    assert out.port is not None, "a switch's interfaces are ports"
    return NextHop(out.port, out.mac, into.mac)


def _destinations(topology: Topology, switch: str) -> Iterator[tuple[Prefix, list[str]]]:
    """Yield every destination with the nodes that are equally good for it."""
    for network in topology.home_networks:
        if network.link is not None:
            yield network.prefix, [network.link]
    # What is behind a mobile router is reached as the router is: through tunnels, or by way of an anchor.
    mobile = [prefix for node in topology.mobile_nodes.values() for prefix in node.prefixes]
    for name, station in topology.stations.items():
        for prefix in station.prefixes:
            yield prefix, [name]
        covered = [
            *mobile,
            *station.prefixes,
            *(network.prefix for network in topology.home_networks if network.link == name),
        ]
        for address in station.addresses:
            if not any(address in prefix for prefix in covered):
                yield _host(address), [name]
    if switch not in topology.anchors:
        yield from ((prefix, list(topology.anchors)) for prefix in _anchored(topology))


def _anchored(topology: Topology) -> Iterator[Prefix]:
    """Yield the destinations that another switch leaves to the nearest anchor."""
    homes = [network.prefix for network in topology.home_networks]
    for network in topology.home_networks:
        if network.link is None:
            yield network.prefix
        yield _host(network.home_agent)
    for node in topology.mobile_nodes.values():
        # A mobile network outside of the home network is reached through its home agent all the same (RFC 3963 section 7).
        yield from (prefix for prefix in node.prefixes if not any(prefix.network in home for home in homes))


def _host(address: Address) -> Prefix:
    return Prefix(address, 128)


def switch_entries(topology: Topology, switch: str, signalling_rate: Rate = SIGNALLING_RATE) -> tuple[Entry, ...]:
    """Return every static entry of one switch.

    Args:
        topology: the network.
        switch: its name.
        signalling_rate: packets that the switch may hand to the controller, for each home agent address and protocol.

    Raises:
        NoPathError: the switch cannot reach something.
        KeyError: there is no such switch.
    """
    ways = routes(topology, switch)
    ordered = sorted(set(ways.values()), key=lambda hop: (hop.port, hop.destination_mac))
    numbers = {hop: number for number, hop in enumerate(ordered, start=1)}
    entries = [Entry(p.MY_STATION, (interface.mac,), p.L3) for interface in topology.interfaces_of(switch)]
    if switch in topology.anchors:
        entries += _home_agents(topology, signalling_rate)
    entries += [
        Entry(p.NEXT_HOPS, (number,), p.FORWARD, (hop.port, hop.source_mac, hop.destination_mac))
        for hop, number in numbers.items()
    ]
    entries += [Entry(p.ROUTES, (_lpm(prefix),), p.NEXT_HOP, (numbers[hop],)) for prefix, hop in sorted(ways.items())]
    return tuple(entries)


def _lpm(prefix: Prefix) -> Lpm | None:
    return Lpm(int.from_bytes(prefix.network), prefix.length) if prefix.length else None


def _home_agents(topology: Topology, rate: Rate) -> Iterator[Entry]:
    """Yield what makes a switch a home agent: its addresses, and which packets for them the controller wants to see."""
    for home_agent in dict.fromkeys(network.home_agent for network in topology.home_networks):
        number = int.from_bytes(home_agent)
        yield Entry(p.HOME_AGENTS, (number,), p.OWN_ADDRESS)
        destination = Ternary(number, 2**128 - 1)
        for protocol, reason in _PUNTED.items():
            match = (destination, Ternary(protocol, 0xFF), None, None, None)
            yield Entry(p.SIGNALLING, match, p.PUNT, (int(reason),), SIGNALLING_PRIORITY, rate)
    for network in topology.home_networks:
        anycast = Ternary(int.from_bytes(anycast_address(network.prefix)), 2**128 - 1)
        discovery = (anycast, Ternary(_ICMPV6, 0xFF), None, Ternary(_DISCOVERY_REQUEST, 0xFF), None)
        yield Entry(p.SIGNALLING, discovery, p.PUNT, (int(p.PuntReason.ICMPV6),), SIGNALLING_PRIORITY, rate)
    if any(network.link is not None for network in topology.home_networks):
        # To whatever address: a solicitation for a node that is away goes to its solicited-node group, or to itself.
        for icmp_type in _NEIGHBOURS:
            solicitation = (None, Ternary(_ICMPV6, 0xFF), None, Ternary(icmp_type, 0xFF), None)
            why = int(p.PuntReason.NEIGHBOUR_DISCOVERY)
            yield Entry(p.SIGNALLING, solicitation, p.PUNT, (why,), SIGNALLING_PRIORITY - 1, rate)


@dataclass(frozen=True, slots=True)
class HomePort:
    """A port of a switch that is on a home link."""

    port: int
    mac: Mac
    home_agent: Address
    """The home agent address on that link."""


def home_ports(topology: Topology, switch: str) -> tuple[HomePort, ...]:
    """Return the ports of a switch that are on a home link, in the order of the file."""
    return tuple(
        HomePort(interface.port, interface.mac, network.home_agent)
        for interface in topology.interfaces_of(switch)
        for network in topology.home_networks
        if interface.port is not None and interface.peer.node == network.link
    )


def home_doors(topology: Topology, switch: str) -> dict[int, Door]:
    """Return by which way a switch delivers frames on each home link, by home agent address as a number.

    A switch that is not on a link hands them to the next one towards it.

    Raises:
        NoPathError: a home link is out of its reach.
        KeyError: there is no such switch.
    """
    own = {int.from_bytes(home.home_agent): Door(home.port, home.mac) for home in home_ports(topology, switch)}
    ways = routes(topology, switch)
    for network in topology.home_networks:
        number, hop = int.from_bytes(network.home_agent), ways.get(network.prefix)
        if network.link is not None and hop is not None and number not in own:
            own[number] = Door(hop.port, hop.source_mac, hop.destination_mac)
    return own
