"""The static entries of each switch: who it is, what it hands up, and where everything lies.

The same topology gives the same entries and numbers on every run.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from controller.dataplane import pipeline as p
from controller.dataplane.doors import Door
from controller.dataplane.entries import Entry, Lpm, Rate, Ternary
from controller.dataplane.ids import home_agent_numbers
from controller.fabric.fields import Mac
from controller.fabric.paths import NO_OUTAGE, Outage, routes
from controller.fabric.topology import Topology
from controller.fabric.ways import ways
from controller.mobility.address import Address, Prefix
from controller.mobility.discovery import anycast_address

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


def switch_entries(
    topology: Topology,
    switch: str,
    signalling_rate: Rate = SIGNALLING_RATE,
    report_rate: Rate = REPORT_RATE,
    *,
    outage: Outage = NO_OUTAGE,
) -> tuple[Entry, ...]:
    """Return every static entry of one switch.

    When paths change, entries of next hops or of routes change and nothing else (see `ways`).

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
    found = ways(topology, switch, outage)
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
        Entry(p.NEXT_HOPS, (number,), p.FORWARD, tuple(value for hop in slots for value in hop.params))
        for number, slots in found.next_hops.items()
    ]
    entries += [
        Entry(p.ROUTES, (_lpm(prefix),), p.NEXT_HOP, (number,)) for prefix, number in sorted(found.routes.items())
    ]
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
    chosen = routes(topology, switch, outage)
    for network in topology.home_networks:
        number, hop = int.from_bytes(network.home_agent), chosen.get(network.prefix)
        if network.link is not None and hop is not None and number not in own:
            own[number] = Door(hop.port, hop.source_mac, hop.destination_mac)
    return own
