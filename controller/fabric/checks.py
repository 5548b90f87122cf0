"""What must hold between the fields of a topology: each check yields the place and the reason of what does not."""

from collections.abc import Iterator
from itertools import combinations
from typing import TypeAlias

from controller.fabric.fields import Mac, derived_mac, format_mac
from controller.fabric.topology import (
    DEFAULT_INTERFACE,
    MAX_PORT,
    Endpoint,
    HomeNetwork,
    Kind,
    MobileNode,
    OpenFlowSwitch,
    Station,
    Switch,
    Topology,
)
from controller.mobility.address import Address, Prefix, format_address, format_host, format_network

Finding: TypeAlias = tuple[tuple[str | int, ...], str]
"""Path to a field, and what is wrong with it."""


def check(topology: Topology) -> list[Finding]:
    """Return everything that makes a topology unusable although each field is well formed.

    Checks that need correct links are made only when the links are.
    """
    found = [
        *_links(topology),
        *_switches(topology),
        *_openflow(topology),
        *_home_networks(topology),
        *_addresses(topology),
        *_prefixes(topology),
    ]
    if not found:
        found = [
            *_macs(topology),
            *_discovered(topology),
            *_unlinked_settings(topology),
            *_routers(topology),
            *_mobile_nodes(topology),
            *_reachable(topology),
        ]
    return found


def _links(topology: Topology) -> Iterator[Finding]:
    used: dict[tuple[str, str], int] = {}
    for position, link in enumerate(topology.links):
        if link.a.node == link.b.node:
            yield ("links", position), f"both ends are at {link.a.node}: a link joins two nodes"
        for side, end in (("a", link.a), ("b", link.b)):
            place = ("links", position, side)
            node = topology.nodes.get(end.node)
            if node is None:
                yield place, f"there is no node {end.node!r}: the nodes are {', '.join(topology.nodes)}"
                continue
            if isinstance(node, Switch | OpenFlowSwitch):
                yield from ((place, reason) for reason in _port_faults(end))
            key = (end.node, end.interface)
            if key in used:
                hint = "; name the interfaces, as in 'node:eth1'" if end.interface == DEFAULT_INTERFACE else ""
                yield place, f"{end} is already used by link {used[key]} (counting from 0){hint}"
            used.setdefault(key, position)


def _port_faults(end: Endpoint) -> Iterator[str]:
    text = end.interface
    if not (text.isascii() and text.isdecimal()) or text != str(int(text)):
        yield f"{end.node} is a switch: name its port, as in '{end.node}:1'"
    elif not 1 <= int(text) <= MAX_PORT:
        yield f"port {text} of {end.node} is out of range: 1 to {MAX_PORT}"


def _switches(topology: Topology) -> Iterator[Finding]:
    servers: dict[str, str] = {}
    for name, switch in topology.switches.items():
        port = int(switch.grpc.rpartition(":")[2])
        if not 1 <= port <= 65535:
            yield ("nodes", name, "grpc"), f"port {port} is out of range: 1 to 65535"
        if switch.grpc in servers:
            yield ("nodes", name, "grpc"), f"{switch.grpc} is already the server of {servers[switch.grpc]}"
        servers.setdefault(switch.grpc, name)


def _openflow(topology: Topology) -> Iterator[Finding]:
    datapaths: dict[int, str] = {}
    for name, node in topology.openflow.items():
        if node.datapath_id in datapaths:
            yield ("nodes", name, "datapath_id"), f"{node.datapath_id} is already that of {datapaths[node.datapath_id]}"
        datapaths.setdefault(node.datapath_id, name)


def _home_networks(topology: Topology) -> Iterator[Finding]:
    for position, network in enumerate(topology.home_networks):
        place = ("home_networks", position)
        if network.home_agent not in network.prefix:
            yield (
                (*place, "home_agent"),
                f"{format_address(network.home_agent)} is not inside {network.prefix} (RFC 6275 section 10.1)",
            )
        if network.link is None:
            continue
        node = topology.nodes.get(network.link)
        if node is None or node.kind != Kind.HOME_LINK:
            yield (*place, "link"), f"{network.link!r} is not a node of kind {Kind.HOME_LINK}"
    if topology.home_networks and not topology.anchors:
        yield ("home_networks",), "there is no switch with role anchor that could serve them"


def _owned(topology: Topology) -> Iterator[tuple[tuple[str | int, ...], Address]]:
    """Yield every address of the file with its place."""
    for position, network in enumerate(topology.home_networks):
        yield ("home_networks", position, "home_agent"), network.home_agent
    for name, node in topology.nodes.items():
        if isinstance(node, Switch | OpenFlowSwitch):
            continue
        if isinstance(node, Station):
            for position, address in enumerate(node.addresses):
                yield ("nodes", name, "addresses", position), address
            for position, address in enumerate(node.ipv4_addresses):
                yield ("nodes", name, "ipv4_addresses", position), address
        else:
            yield ("nodes", name, "home_address"), node.home_address
        for interface, settings in node.interfaces.items():
            if settings.address is not None:
                yield ("nodes", name, "interfaces", interface, "address"), settings.address


def _addresses(topology: Topology) -> Iterator[Finding]:
    owners: dict[Address, str] = {}
    for place, address in _owned(topology):
        where = ".".join(map(str, place))
        if address in owners:
            yield place, f"{format_host(address)} is already at {owners[address]}"
        owners.setdefault(address, where)


def _networks(topology: Topology) -> Iterator[tuple[tuple[str | int, ...], Prefix]]:
    """Yield every prefix of the file with its place; mobile network prefixes are checked apart."""
    for position, network in enumerate(topology.home_networks):
        yield ("home_networks", position, "prefix"), network.prefix
        if network.ipv4_prefix is not None:
            yield ("home_networks", position, "ipv4_prefix"), network.ipv4_prefix
    for name, station in topology.stations.items():
        for position, prefix in enumerate(station.prefixes):
            yield ("nodes", name, "prefixes", position), prefix
        for position, prefix in enumerate(station.ipv4_prefixes):
            yield ("nodes", name, "ipv4_prefixes", position), prefix


def overlap(one: Prefix, other: Prefix) -> bool:
    """Tell whether two prefixes have an address in common."""
    return one.network in other or other.network in one


def _prefixes(topology: Topology) -> Iterator[Finding]:
    networks = list(_networks(topology))
    for (first_place, first), (place, prefix) in combinations(networks, 2):
        # A default route lies over everything on purpose; two of them would not say where to go.
        alike = (first.is_ipv4, first.is_default) == (prefix.is_ipv4, prefix.is_default)
        if alike and overlap(first, prefix):
            where = ".".join(map(str, first_place))
            yield place, f"{format_network(prefix)} overlaps {format_network(first)} at {where}"
    mobile = [
        (("nodes", name, "prefixes", position), prefix)
        for name, node in topology.mobile_nodes.items()
        for position, prefix in enumerate(node.prefixes)
    ]
    for (first_place, first), (place, prefix) in combinations(mobile, 2):
        if overlap(first, prefix):
            yield place, f"{prefix} overlaps {first} at {'.'.join(map(str, first_place))}"
    for place, prefix in mobile:
        for other_place, other in networks:
            # RFC 3963 section 3: a mobile network prefix may be part of the home network.
            inside_home = other_place[0] == "home_networks" and prefix.length > other.length
            if other.length and overlap(prefix, other) and not inside_home:
                yield place, f"{prefix} overlaps {other} at {'.'.join(map(str, other_place))}"


def _macs(topology: Topology) -> Iterator[Finding]:
    owners: dict[Mac, str] = {}
    for interface in topology.interfaces:
        name = f"{interface.node}:{interface.name}"
        if interface.mac in owners:
            part = "ports" if interface.port is not None else "interfaces"
            key = interface.port if interface.port is not None else interface.name
            derived = (
                " (derived from the names: give one explicitly)"
                if interface.mac == derived_mac(interface.node, interface.name)
                else ""
            )
            yield (
                ("nodes", interface.node, part, key),
                f"{format_mac(interface.mac)} is already the address of {owners[interface.mac]}{derived}",
            )
        owners.setdefault(interface.mac, name)


def _discovered(topology: Topology) -> Iterator[Finding]:
    """Only a switch of ours asks, and only stations stay where they are."""
    for interface in topology.interfaces:
        settings = interface.settings
        if settings is None or settings.discover is None:
            continue
        place = ("nodes", interface.node, "interfaces", interface.name, "discover")
        if interface.peer.node not in topology.switches:
            yield place, f"nobody asks: {interface.peer.node} at the other end of the link is no P4 switch"
        elif isinstance(topology.nodes[interface.node], MobileNode):
            yield place, "a mobile node is reached through tunnels: nothing is to be discovered"


def _unlinked_settings(topology: Topology) -> Iterator[Finding]:
    """A setting for an interface that no link uses is a misspelling more often than a wish."""
    linked = {(interface.node, interface.name) for interface in topology.interfaces}
    for name, node in topology.nodes.items():
        part, keys = (
            ("ports", map(str, node.ports))
            if isinstance(node, Switch | OpenFlowSwitch)
            else ("interfaces", iter(node.interfaces))
        )
        for key in keys:
            if (name, key) not in linked:
                yield ("nodes", name, part, key), f"no link ends at {name}:{key}"


def _routers(topology: Topology) -> Iterator[Finding]:
    """A router is on a home link, with an address there: others know it by that."""
    for name, node in topology.of_kind(Kind.ROUTER).items():
        assert isinstance(node, Station)
        homes = [
            interface.peer.node
            for interface in topology.interfaces_of(name)
            if topology.nodes[interface.peer.node].kind == Kind.HOME_LINK
        ]
        if not homes:
            wanted = f"link it to a node of kind {Kind.HOME_LINK}, or make it an {Kind.ACCESS_ROUTER}"
            yield ("nodes", name), f"a {Kind.ROUTER} is on a home link: {wanted}"
        for link in homes:
            prefixes = topology.home_prefixes(link)
            if not any(address in prefix for prefix in prefixes for address in node.addresses):
                wanted = " or ".join(map(str, prefixes)) or "a home network, and none has that link"
                yield ("nodes", name, "addresses"), f"{name} is on {link}: it needs an address there, of {wanted}"


def _home_of(topology: Topology, address: Address) -> HomeNetwork | None:
    return next((network for network in topology.home_networks if address in network.prefix), None)


def _mobile_nodes(topology: Topology) -> Iterator[Finding]:
    for name, node in topology.mobile_nodes.items():
        if _home_of(topology, node.home_address) is None:
            yield ("nodes", name, "home_address"), f"{format_address(node.home_address)} is inside of no home network"
        yield from _attachments(topology, name)


def _attachments(topology: Topology, name: str) -> Iterator[Finding]:
    bids: dict[int, str] = {}
    for interface in topology.interfaces_of(name):
        place = ("nodes", name, "interfaces", interface.name)
        assert interface.settings is not None, "mobile nodes are no switches"
        bid, address = interface.settings.bid, interface.settings.address
        if bid is not None and bid in bids:
            yield (*place, "bid"), f"{bid} is already the BID of {bids[bid]}"
        if bid is not None:
            bids.setdefault(bid, interface.name)
        peer = topology.nodes[interface.peer.node]
        if not isinstance(peer, Station) or peer.kind is Kind.ROUTER:
            yield (
                place,
                f"{name} is linked to {interface.peer.node}: a mobile node attaches to an access router or a home link",
            )
        elif address is not None and peer.prefixes and not any(address in prefix for prefix in peer.prefixes):
            yield (*place, "address"), f"{format_address(address)} is inside of no prefix of {interface.peer.node}"


def _reachable(topology: Topology) -> Iterator[Finding]:
    """Every node hangs together with the first switch, if there is one."""
    if not topology.switches:
        return
    neighbours: dict[str, set[str]] = {name: set() for name in topology.nodes}
    for link in topology.links:
        neighbours[link.a.node].add(link.b.node)
        neighbours[link.b.node].add(link.a.node)
    seen: set[str] = set()
    todo = [next(iter(topology.switches))]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(neighbours[name])
    for name in topology.nodes:
        if name not in seen:
            yield ("nodes", name), "no path of links leads to it: add a link or remove the node"
