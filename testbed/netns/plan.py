"""From a topology to what a Linux machine has to be told: namespaces, interfaces, addresses, routes, links and processes.

It is plain data that goes through JSON, because who builds it may be another interpreter: Mininet works with the system's
Python only. Nothing here touches the machine.

| node | becomes |
|---|---|
| switch of either kind | one interface for each port, in the core namespace, where switch processes and controller are too |
| access router | a namespace that forwards; what attaches to it is on one bridge |
| home link | a namespace with a bridge that joins switches and routers, its own host and nodes that come home |
| router on a home link | a namespace that forwards, and advertises itself there; what is behind it is on one bridge |
| correspondent, host | a namespace with one interface |
| mobile node | a namespace with its interfaces; the agent brings the rest. What is behind a mobile router is on one bridge |

A link with delay, rate or loss, and each link of a mobile node, goes through the air: a process that holds both ends.
"""

import hashlib
from collections.abc import Iterator
from typing import Final

from controller.fabric.fields import derived_mac, format_mac
from controller.fabric.neighbours import link_local
from controller.fabric.topology import Interface, Kind, MobileNode, OpenFlowSwitch, Station, Switch, Topology
from controller.mobility.address import Address, Prefix, format_address
from testbed.netns.parts import AirLink, AirPort, Cable, Device, Host, NetPlan, Nic, Route

BRIDGE: Final = "br0"
RADIO: Final = "radio"
"""The interface that an access router has for nodes to come when no link of the file ends there."""
LAN_MTU: Final = 1460
"""Behind a mobile router: what fits into a tunnel through paths of 1500 octets."""
_MAX_NAME: Final = 15
_CORE: Final = "core"


class PlanError(ValueError):
    """A topology that cannot be built out of namespaces, although a controller could work in it."""


def short(name: str) -> str:
    """Return a name that Linux takes for an interface: itself, or its beginning and a digest."""
    if len(name) <= _MAX_NAME:
        return name
    return f"{name[: _MAX_NAME - 7]}-{hashlib.blake2b(name.encode(), digest_size=3).hexdigest()}"


def make_plan(topology: Topology) -> NetPlan:
    """Return what a topology takes to be built.

    Raises:
        PlanError: something in it has no counterpart here; says what.
    """
    return _Planner(topology).plan()


class _Planner:
    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._ports: list[AirPort] = []
        self._links: list[AirLink] = []
        self._cables: list[Cable] = []

    def plan(self) -> NetPlan:
        topology = self._topology
        for link in topology.links:
            self._join(topology.interface(link.a), topology.interface(link.b))
        routers = topology.of_kind(Kind.ACCESS_ROUTER)
        for name in (*routers, *topology.of_kind(Kind.HOME_LINK)):
            if self._has_radio(name):
                self._air_port(name, RADIO)
        hosts = tuple(
            self._host(name) for name in topology.nodes if name not in {**topology.switches, **topology.openflow}
        )
        gateways = {
            name: (format_address(node.addresses[0]), str(node.prefixes[0]))
            for name, node in routers.items()
            if isinstance(node, Station) and node.addresses and node.prefixes
        }
        gateways |= self._home_gateways()
        return NetPlan(
            topology.name,
            hosts,
            tuple(self._devices()),
            tuple(self._cables),
            tuple(self._ports),
            tuple(self._links),
            gateways,
        )

    def _home_gateways(self) -> dict[str, tuple[str, str]]:
        """Return for each home link the home agent's address, which is the router there, and the prefix."""
        return {
            network.link: (format_address(network.home_agent), str(network.prefix))
            for network in self._topology.home_networks
            if network.link is not None
        }

    # Links

    def _join(self, a: Interface, b: Interface) -> None:
        link = a.link
        if self._is_wireless(a, b):
            a, b = b, a
        for end in (a, b):
            if len(end.name) > _MAX_NAME or end.name in {BRIDGE, "lo"}:
                raise PlanError(
                    f"{end.node}:{end.name}: Linux takes names up to {_MAX_NAME} characters, not {BRIDGE} or lo"
                )
        if not (self._is_wireless(b, a) or link.delay_ms or link.rate_mbps or link.loss):
            self._cables.append(Cable(self._end(a), self._end(b)))
            return
        for end in (a, b):
            self._air_port(end.node, end.name, end.port)
        self._links.append(
            AirLink(f"{a.node}:{a.name}", f"{b.node}:{b.name}", link.delay_ms, link.rate_mbps, link.loss)
        )

    def _is_wireless(self, a: Interface, b: Interface) -> bool:
        """Tell whether `b` is a mobile node's way to the network at `a`."""
        kinds = {Kind.ACCESS_ROUTER, Kind.HOME_LINK}
        return isinstance(self._topology.nodes[b.node], MobileNode) and self._topology.nodes[a.node].kind in kinds

    def _air_port(self, node: str, name: str, port: int | None = None) -> None:
        interface = f"air{len(self._ports)}"
        self._ports.append(AirPort(interface, node, name))
        end = (None, short(f"{node}-{name}")) if port is not None else (node, name)
        self._cables.append(Cable(end, (None, interface)))

    @staticmethod
    def _end(interface: Interface) -> tuple[str | None, str]:
        if interface.port is not None:
            return None, short(f"{interface.node}-{interface.name}")
        return interface.node, interface.name

    # Nodes

    def _devices(self) -> Iterator[Device]:
        for name, node in self._topology.nodes.items():
            if not isinstance(node, Switch | OpenFlowSwitch):
                continue
            ports = tuple(
                (interface.port, short(f"{name}-{interface.name}"), format_mac(interface.mac))
                for interface in self._topology.interfaces_of(name)
                if interface.port is not None
            )
            number = node.device_id if isinstance(node, Switch) else node.datapath_id
            yield Device(name, str(node.kind), number, ports)

    def _host(self, name: str) -> Host:
        node = self._topology.nodes[name]
        if isinstance(node, MobileNode):
            return self._mobile_node(name, node)
        assert isinstance(node, Station)
        if node.kind is Kind.ACCESS_ROUTER:
            return self._router(name, node)
        if node.kind is Kind.ROUTER:
            return self._home_router(name, node)
        if node.kind is Kind.HOME_LINK:
            return self._home_link(name, node)
        return self._end_host(name, node)

    def _attached(self, router: str) -> list[Interface]:
        """Return the interfaces of a router that do not lead to the core."""
        return [one for one in self._topology.interfaces_of(router) if not self._is_core(one)]

    def _is_core(self, interface: Interface) -> bool:
        peer = self._topology.nodes[interface.peer.node]
        return interface.name == _CORE or isinstance(peer, Switch | OpenFlowSwitch) or peer.kind is Kind.HOME_LINK

    def _has_radio(self, name: str) -> bool:
        """Tell whether nodes that come to a network find no link of the file there, so that one is made for them."""
        peers = (self._topology.nodes[one.peer.node] for one in self._topology.interfaces_of(name))
        return not any(isinstance(peer, MobileNode) for peer in peers)

    def _router(self, name: str, node: Station) -> Host:
        core = [one for one in self._topology.interfaces_of(name) if self._is_core(one)]
        attached = self._attached(name)
        if not core or not node.prefixes or not node.addresses:
            raise PlanError(f"{name}: an access router needs a link to a switch, an address and a prefix")
        nics = [Nic(one.name, format_mac(one.mac)) for one in core]
        nics += [Nic(one.name, format_mac(one.mac), bridge=True) for one in attached]
        if self._has_radio(name):
            nics.append(Nic(RADIO, format_mac(derived_mac(name, RADIO)), bridge=True))
        addresses = [(BRIDGE, self._with_length(address, node.prefixes)) for address in node.addresses]
        routes, neighbours = self._default(core[0])
        return Host(name, str(node.kind), tuple(nics), tuple(addresses), routes, neighbours, forwarding=True)

    def _home_router(self, name: str, node: Station) -> Host:
        """Return a router on a home link: its addresses of a home network are there, the others on the bridge behind it."""
        outside = [one for one in self._topology.interfaces_of(name) if self._is_core(one)]
        inside = self._attached(name)
        nics = [Nic(one.name, format_mac(one.mac)) for one in outside]
        nics += [Nic(one.name, format_mac(one.mac), bridge=True) for one in inside]
        behind = BRIDGE if inside else "lo"
        at_home = {one.name: self._topology.home_prefixes(one.peer.node) for one in outside}
        addresses = []
        for address in node.addresses:
            place = next((nic for nic, known in at_home.items() if any(address in one for one in known)), behind)
            addresses.append((place, self._with_length(address, (*at_home.get(place, ()), *node.prefixes))))
        advertised = tuple((nic, str(prefix)) for nic, known in at_home.items() for prefix in known[:1])
        # A switch of its own is a better way out than the home agent on the home link.
        out = min(outside, key=lambda one: self._topology.nodes[one.peer.node].kind is Kind.HOME_LINK)
        routes, neighbours = self._default(out)
        return Host(
            name,
            str(node.kind),
            tuple(nics),
            tuple(addresses),
            routes,
            neighbours,
            forwarding=True,
            advertised=advertised,
        )

    def _default(self, out: Interface) -> tuple[tuple[Route, ...], tuple[tuple[str, str, str], ...]]:
        """Return the default route by an interface, and the neighbour that it leads to; on a home link that is the switch."""
        peer = self._topology.interface(out.peer)
        if self._topology.nodes[peer.node].kind is Kind.HOME_LINK:
            peer = self._topology.interface(self._way_up(peer.node).peer)
        via = format_address(link_local(peer.mac))
        return (Route("::/0", via, out.name),), ((out.name, via, format_mac(peer.mac)),)

    @staticmethod
    def _with_length(address: Address, prefixes: tuple[Prefix, ...]) -> str:
        length = next((prefix.length for prefix in prefixes if prefix.length and address in prefix), 128)
        return f"{format_address(address)}/{length}"

    def _home_link(self, name: str, node: Station) -> Host:
        interfaces = self._topology.interfaces_of(name)
        nics = tuple(Nic(one.name, format_mac(one.mac), bridge=True) for one in interfaces)
        if self._has_radio(name):
            nics = (*nics, Nic(RADIO, format_mac(derived_mac(name, RADIO)), bridge=True))
        prefixes = self._topology.home_prefixes(name)
        addresses = tuple((BRIDGE, self._with_length(one, prefixes)) for one in node.addresses)
        up = self._way_up(name)
        routes, neighbours = self._default(up)
        routes = tuple(Route(route.prefix, route.via, BRIDGE) for route in routes)
        neighbours = tuple((BRIDGE, address, mac) for _, address, mac in neighbours)
        # The bridge has the address that the switch sends to; it passes on what is for a node that came home.
        return Host(
            name, str(node.kind), nics, addresses, routes, neighbours, forwarding=True, bridge_mac=format_mac(up.mac)
        )

    def _way_up(self, home: str) -> Interface:
        """Return the interface of a home link at its first switch."""
        for interface in self._topology.interfaces_of(home):
            if interface.peer.node in self._topology.switches:
                return interface
        raise PlanError(f"{home}: a home link needs a link to a switch")

    def _end_host(self, name: str, node: Station) -> Host:
        interfaces = self._topology.interfaces_of(name)
        if len(interfaces) != 1:
            raise PlanError(f"{name} has {len(interfaces)} links: a {node.kind} has one interface here")
        (out,) = interfaces
        peer = self._topology.nodes[out.peer.node]
        if isinstance(peer, MobileNode):
            network = self._mobile_network(out.peer.node, peer)
            addresses = tuple((out.name, self._with_length(one, (network,))) for one in node.addresses)
            route = Route("::/0", format_address(self._router_address(network)), out.name)
            nic = Nic(out.name, format_mac(out.mac), mtu=LAN_MTU)
            return Host(name, str(node.kind), (nic,), addresses, (route,))
        prefixes = tuple(prefix for prefix in node.prefixes if prefix.length)
        addresses = tuple((out.name, self._with_length(one, prefixes)) for one in node.addresses)
        routes, neighbours = self._default(out)
        return Host(name, str(node.kind), (Nic(out.name, format_mac(out.mac)),), addresses, routes, neighbours)

    def _mobile_node(self, name: str, node: MobileNode) -> Host:
        nics: list[Nic] = []
        addresses: list[tuple[str, str]] = []
        routes: list[Route] = []
        inside = False
        for interface in self._topology.interfaces_of(name):
            peer = self._topology.nodes[interface.peer.node]
            mac = format_mac(interface.mac)
            assert interface.settings is not None
            if isinstance(peer, Station) and peer.kind is Kind.HOST:
                inside = True
                nics.append(Nic(interface.name, mac, bridge=True, mtu=LAN_MTU))
                continue
            nics.append(Nic(interface.name, mac))
            if interface.settings.address is not None and isinstance(peer, Station):
                text = self._with_length(interface.settings.address, peer.prefixes)
                addresses.append((interface.name, text))
                routes += [Route("::/0", format_address(one), interface.name) for one in peer.addresses[:1]]
        if inside:
            network = self._mobile_network(name, node)
            addresses.append((BRIDGE, f"{format_address(self._router_address(network))}/{network.length}"))
        return Host(name, str(node.kind), tuple(nics), tuple(addresses), tuple(routes), forwarding=inside)

    def _mobile_network(self, name: str, node: MobileNode) -> Prefix:
        """Return the /64 that the hosts behind a mobile router are in."""
        for other in self._topology.interfaces_of(name):
            peer = self._topology.nodes[other.peer.node]
            if not isinstance(peer, Station) or peer.kind is not Kind.HOST:
                continue
            for address in peer.addresses:
                outer = next((prefix for prefix in node.prefixes if address in prefix), None)
                if outer is not None:
                    length = max(64, outer.length)
                    first = int.from_bytes(address) >> 128 - length << 128 - length
                    return Prefix(Address(first.to_bytes(16)), length)
        raise PlanError(f"{name}: no host behind it has an address in one of its prefixes")

    @staticmethod
    def _router_address(network: Prefix) -> Address:
        return Address((int.from_bytes(network.network) + 1).to_bytes(16))
