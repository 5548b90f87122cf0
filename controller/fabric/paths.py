"""From a topology to each switch's static entries: who it is, what it hands up, and where everything lies.

Paths are shortest by the sum of link costs. Of equally short ones each destination takes one, by rendezvous hashing: the
destinations are spread over them, and when one goes, only what took it moves. The same topology gives the same entries and
numbers on every run.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import networkx as nx

from controller.dataplane import pipeline as p
from controller.dataplane.doors import Door
from controller.dataplane.entries import Entry, Lpm, Rate, Ternary
from controller.dataplane.ids import home_agent_numbers
from controller.fabric.fields import Mac
from controller.fabric.topology import Interface, Kind, MobileNode, OpenFlowSwitch, Switch, Topology
from controller.mobility.address import Address, Prefix, format_network, unmapped
from controller.mobility.discovery import anycast_address

if TYPE_CHECKING:
    Graph: TypeAlias = nx.DiGraph[str]

SIGNALLING_PRIORITY: Final = 100
"""Priority of the entries for a home agent address; leaves room on both sides."""
SIGNALLING_RATE: Final = Rate(10_000, 2_000)
"""Packets a second, and at once, of each kind of signalling that a switch hands to the controller, if nothing else is said."""
REPORT_RATE: Final = Rate(100, 50)
"""Packets a second, and at once, of each kind that a switch hands up so that their source may hear why they were dropped."""
LINK_RATE: Final = Rate(6_000, 600)
"""Frames of link discovery a second, and at once, that a switch hands up, all its ports together."""

_ICMPV6: Final = 58
_UDP: Final = 17
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
_NEIGHBOURS: Final = (133, 134, 135, 136)
"""ICMPv6 types that the controller sees from a home link: Router and Neighbor Solicitations and Advertisements."""
_FORWARDERS: Final = frozenset({Kind.SWITCH, Kind.OPENFLOW, Kind.ACCESS_ROUTER})


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

    Only switches and access routers have edges that lead away: nothing is routed through a host. Mobile nodes are left out:
    they are reached through tunnels. Of parallel links the cheapest counts, then the first.
    """
    network: Graph = nx.DiGraph()
    network.add_nodes_from(
        name for name, node in topology.nodes.items() if not isinstance(node, MobileNode) and name not in outage.nodes
    )
    for position, link in enumerate(topology.links):
        if position in outage.links:
            continue
        ends = (topology.interface(link.a), topology.interface(link.b))
        for out, into in (ends, ends[::-1]):
            if out.node not in network or into.node not in network or topology.nodes[out.node].kind not in _FORWARDERS:
                continue
            known = network.get_edge_data(out.node, into.node)
            if known is None or link.cost < known["cost"]:
                network.add_edge(out.node, into.node, cost=link.cost, out=out, into=into)
    return network


def routes(topology: Topology, switch: str, outage: Outage = NO_OUTAGE) -> dict[Prefix, NextHop]:
    """Return where a switch sends packets, by destination: of each group the next hop that the destination takes.

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
    if not isinstance(topology.nodes[switch], Switch | OpenFlowSwitch):
        raise KeyError(switch)
    others = Outage(outage.nodes - {switch}, outage.links)
    found = _groups(topology, switch, others)
    unreachable = [prefix for prefix, group in found.items() if group is None]
    whole = _groups(topology, switch, NO_OUTAGE) if unreachable and others else found
    result: dict[Prefix, tuple[NextHop, ...]] = {}
    for prefix, group in found.items():
        known = group if group is not None else whole[prefix]
        if known is None:
            owners = dict(_destinations(topology, switch))[prefix]
            raise NoPathError(f"{switch} has no path to {' or '.join(owners)} for {format_network(prefix)}")
        if known:
            result[prefix] = known
    return result


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
        found[prefix] = () if switch in ends else tuple(sorted(hops, key=lambda hop: hop.port))
    return found


def _next_hop(network: "Graph", switch: str, neighbour: str) -> NextHop:
    edge = network.edges[switch, neighbour]
    out: Interface = edge["out"]
    into: Interface = edge["into"]
    return _hop(out, into)


def _hop(out: Interface, into: Interface) -> NextHop:
    assert out.port is not None, "a switch's interfaces are ports"
    return NextHop(out.port, out.mac, into.mac, out.link.mtu)


def _neighbours_of(topology: Topology, switch: str) -> Iterator[NextHop]:
    """Yield what is at the other end of each port, in the order of the file."""
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


def switch_entries(
    topology: Topology,
    switch: str,
    signalling_rate: Rate = SIGNALLING_RATE,
    report_rate: Rate = REPORT_RATE,
    *,
    outage: Outage = NO_OUTAGE,
) -> tuple[Entry, ...]:
    """Return every static entry of one switch.

    A next hop has the number of its port, whatever the routes are: when paths change, routes change and nothing else.

    Args:
        topology: the network.
        switch: its name.
        outage: what of it does not work.
        signalling_rate: packets that the switch may hand to the controller, for each home agent address and protocol.
        report_rate: the same for packets whose source should get an ICMPv6 error, for each kind of error.

    Raises:
        NoPathError: the switch cannot reach something.
        KeyError: there is no such switch.
    """
    ways = routes(topology, switch, outage)
    numbers = {hop: hop.port for hop in _neighbours_of(topology, switch)}
    entries = [Entry(p.MY_STATION, (interface.mac,), p.L3) for interface in topology.interfaces_of(switch)]
    watched = [
        one.port
        for one in topology.interfaces_of(switch)
        if one.port is not None and one.peer.node in topology.switches
    ]
    if watched:
        entries += [Entry(p.LINK_PORTS, (port,), p.EXPECT) for port in watched]
        entries.append(Entry(p.PUNT_POLICERS, (int(p.PuntReason.LINK_DISCOVERY),), p.POLICE, rate=LINK_RATE))
    entries += _neighbourhood(topology, switch, signalling_rate)
    if switch in topology.anchors:
        entries += _home_agents(topology, signalling_rate)
        entries += _listeners(topology, report_rate)
        entries += _neighbours(topology, switch)
        entries += [
            Entry(p.PUNT_POLICERS, (int(reason),), p.POLICE, rate=report_rate)
            for reason in (p.PuntReason.HOP_LIMIT, p.PuntReason.TOO_BIG, p.PuntReason.UNREACHABLE)
        ]
    entries += [
        Entry(p.NEXT_HOPS, (number,), p.FORWARD, (hop.port, hop.source_mac, hop.destination_mac, hop.mtu))
        for hop, number in numbers.items()
    ]
    entries += [Entry(p.ROUTES, (_lpm(prefix),), p.NEXT_HOP, (numbers[hop],)) for prefix, hop in sorted(ways.items())]
    return tuple(entries)


def _lpm(prefix: Prefix) -> Lpm | None:
    return Lpm(int.from_bytes(prefix.network), prefix.length) if prefix.length else None


def _home_agents(topology: Topology, rate: Rate) -> Iterator[Entry]:
    """Yield what makes a switch a home agent: its addresses, and which packets for them the controller wants to see."""
    for home_agent, home_agent_id in home_agents(topology).items():
        number = int.from_bytes(home_agent)
        yield Entry(p.HOME_AGENTS, (number,), p.OWN_ADDRESS, (home_agent_id,))
        yield Entry(p.TUNNEL_SOURCES, (home_agent_id,), p.TUNNEL_SOURCE, (number,))
        destination = Ternary(number, 2**128 - 1)
        for protocol, reason in _PUNTED.items():
            match = (destination, Ternary(protocol, 0xFF), None, None, None, None)
            yield Entry(p.SIGNALLING, match, p.PUNT, (int(reason),), SIGNALLING_PRIORITY, rate)
        # A Home Address option before anything else: RFC 6275 section 9.3.1 wants a Binding Error if it is not to be believed.
        option = (destination, None, None, None, None, Ternary(1, 1))
        why = int(p.PuntReason.HOME_ADDRESS)
        yield Entry(p.SIGNALLING, option, p.PUNT, (why,), SIGNALLING_PRIORITY - 2, rate)
    for network in topology.home_networks:
        anycast = Ternary(int.from_bytes(anycast_address(network.prefix)), 2**128 - 1)
        discovery = (anycast, Ternary(_ICMPV6, 0xFF), None, Ternary(_DISCOVERY_REQUEST, 0xFF), None, None)
        yield Entry(p.SIGNALLING, discovery, p.PUNT, (int(p.PuntReason.ICMPV6),), SIGNALLING_PRIORITY, rate)


def _neighbourhood(topology: Topology, switch: str, rate: Rate) -> Iterator[Entry]:
    """Yield what has neighbour discovery handed up, where the switch has neighbours that are asked, or that ask."""
    at_home = switch in topology.anchors and any(network.link is not None for network in topology.home_networks)
    asked = any(
        peer.settings is not None and peer.settings.discover is not None
        for peer in (topology.interface(one.peer) for one in topology.interfaces_of(switch))
    )
    # To whatever address: a solicitation for a node that is away goes to its solicited-node group, or to itself.
    for icmp_type in _NEIGHBOURS if at_home or asked else ():
        solicitation = (None, Ternary(_ICMPV6, 0xFF), None, Ternary(icmp_type, 0xFF), None, None)
        why = int(p.PuntReason.NEIGHBOUR_DISCOVERY)
        yield Entry(p.SIGNALLING, solicitation, p.PUNT, (why,), SIGNALLING_PRIORITY - 1, rate)


def _listeners(topology: Topology, rate: Rate) -> Iterator[Entry]:
    """Yield what has datagrams for a home agent address handed up, of which their source should hear that nobody listens."""
    for home_agent in home_agents(topology):
        match = (Ternary(int.from_bytes(home_agent), 2**128 - 1), Ternary(_UDP, 0xFF), None, None, None, None)
        yield Entry(p.SIGNALLING, match, p.PUNT, (int(p.PuntReason.UNREACHABLE),), SIGNALLING_PRIORITY, rate)


def home_agents(topology: Topology) -> dict[Address, int]:
    """Return the home agent addresses with their numbers in the pipeline, in the order of the file."""
    return home_agent_numbers(network.home_agent for network in topology.home_networks)


def _neighbours(topology: Topology, switch: str) -> Iterator[Entry]:
    """Yield what a switch needs to answer for home agents, and for nodes that are away, on its home links."""
    numbers = home_agents(topology)
    answered: dict[int, Address] = {}
    for home in home_ports(topology, switch):
        # A port answers for the nodes of one home agent; of another on the same link the controller answers.
        if answered.setdefault(home.port, home.home_agent) == home.home_agent:
            address = int.from_bytes(home.home_agent)
            yield Entry(p.INTERFACES, (home.port,), p.INTERFACE, (numbers[home.home_agent], home.mac, address))
    for home_agent in dict.fromkeys(answered.values()):
        yield Entry(p.NEIGHBOUR_PROXY, (int.from_bytes(home_agent),), p.ANSWER_FOR_US)


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


def home_doors(topology: Topology, switch: str, *, outage: Outage = NO_OUTAGE) -> dict[int, Door]:
    """Return by which way a switch delivers frames on each home link, by home agent address as a number.

    A switch that is not on a link hands them to the next one towards it.

    Raises:
        NoPathError: a home link is out of its reach.
        KeyError: there is no such switch.
    """
    own = {int.from_bytes(home.home_agent): Door(home.port, home.mac) for home in home_ports(topology, switch)}
    ways = routes(topology, switch, outage)
    for network in topology.home_networks:
        number, hop = int.from_bytes(network.home_agent), ways.get(network.prefix)
        if network.link is not None and hop is not None and number not in own:
            own[number] = Door(hop.port, hop.source_mac, hop.destination_mac)
    return own
