"""Builds what a topology file describes out of virtual wires and small stations; the switches are left to be plugged in."""

from collections.abc import Iterable, Mapping

from controller.fabric.topology import Interface, Kind, Link, MobileNode, Station, Topology
from controller.mobility.address import Address
from controller.mobility.mobile_node import MobileNodeConfig
from controller.mobility.security.policy import NO_SECURITY, SecurityPolicy
from testbed.hosts import Host, Hub, Router
from testbed.node.host import MobileNodeHost
from testbed.wire import Clock, Scheduler, Wire, WireEnd, WireSpec

_CORE = "core"
_LIFETIME = 600
"""Seconds that mobile nodes ask for."""


class NetworkError(ValueError):
    """A topology that the lab cannot build, although a controller could work in it."""


class Network:
    """Everything of a topology but its switches, in this process.

    Args:
        topology: what to build.
        clock: the event loop.
        seed: of the dice for losses.
        credentials: how mobile nodes prove themselves, by name; others do not.

    Raises:
        NetworkError: the lab has no station for something in the file; says which.
    """

    def __init__(
        self,
        topology: Topology,
        clock: Clock,
        seed: int = 0,
        credentials: Mapping[str, SecurityPolicy] | None = None,
    ) -> None:
        self.topology = topology
        self.clock = clock
        self.scheduler = Scheduler(clock)
        self.wires: dict[str, Wire] = {}
        """By their ends, as in ``s1:1 home:eth0``."""
        self.hosts: dict[str, Host] = {}
        """Correspondents, stations on home links, and other hosts."""
        self.hubs: dict[str, Hub] = {}
        """The home links."""
        self.routers: dict[str, Router] = {}
        self.mobile_nodes: dict[str, MobileNodeHost] = {}
        self.switch_ports: dict[tuple[str, int], WireEnd] = {}
        """The wire's end for each linked port of each switch: to be connected."""
        self._credentials = credentials or {}
        self._make_stations()
        self._ends = self._make_wires(seed)
        for interface in topology.interfaces:
            self._plug(interface)
        for interface in topology.interfaces:
            self._introduce(interface)

    def wire(self, node: str, interface: str) -> Wire:
        """Return the wire at an interface of a node.

        Raises:
            KeyError: there is none.
        """
        for name, wire in self.wires.items():
            if f"{node}:{interface}" in name.split():
                return wire
        raise KeyError(f"{node}:{interface}")

    def close(self) -> None:
        """Stop the stations and forget every frame that is on its way."""
        for node in self.mobile_nodes.values():
            node.close()
        self.scheduler.close()

    def _make_stations(self) -> None:
        for name, node in self.topology.nodes.items():
            if isinstance(node, MobileNode):
                agent = self._home_agent(name, node)
                config = MobileNodeConfig(
                    node.home_address,
                    agent,
                    prefixes=node.prefixes,
                    mobile_router=bool(node.prefixes),
                    lifetime=_LIFETIME,
                    security=self._credentials.get(name, NO_SECURITY),
                )
                self.mobile_nodes[name] = MobileNodeHost(config, self.clock)
            elif isinstance(node, Station) and node.kind in {Kind.ACCESS_ROUTER, Kind.ROUTER}:
                core = self._core_of(name)
                self.routers[name] = Router(node.addresses, node.prefixes, core)
            elif isinstance(node, Station) and node.kind is Kind.HOME_LINK:
                self._make_home_link(name, node)
            elif isinstance(node, Station):
                links = len(self.topology.interfaces_of(name))
                if links > 1:
                    raise NetworkError(f"{name} has {links} links: a {node.kind} of the lab has one interface")
                self.hosts[name] = Host(node.addresses)

    def _make_home_link(self, name: str, node: Station) -> None:
        """Make a link with a host on it, whose Ethernet address is the one that the first switch sends to."""
        up, switch = self._way_up(name)
        self.hubs[name], self.hosts[name] = Hub(), Host(node.addresses)
        wire = Wire(self.scheduler, WireSpec(), f"{name} {name}:host")
        self.hubs[name].join(wire.a)
        self.hosts[name].plug(up.name, up.mac.to_bytes(6), wire.b, switch.mac.to_bytes(6))

    def _way_up(self, home: str) -> tuple[Interface, Interface]:
        """Return the interface of a home link at its first switch, and the switch's."""
        for interface in self.topology.interfaces_of(home):
            if interface.peer.node in self.topology.switches:
                return interface, self.topology.interface(interface.peer)
        raise NetworkError(f"{home} leads nowhere: link it to a switch")

    def _home_agent(self, name: str, node: MobileNode) -> Address:
        for network in self.topology.home_networks:
            if node.home_address in network.prefix:
                return network.home_agent
        raise NetworkError(
            f"the home address of {name} lies in no home network of the topology: no home agent serves it"
        )

    def _core_of(self, router: str) -> str:
        """Return the router's interface towards the rest: that called "core", else the first to a switch, else to a home link."""
        interfaces = self.topology.interfaces_of(router)
        names = [interface.name for interface in interfaces]
        if _CORE in names:
            return _CORE
        for kind in (Kind.SWITCH, Kind.HOME_LINK):
            for interface in interfaces:
                if self.topology.nodes[interface.peer.node].kind == kind:
                    return interface.name
        raise NetworkError(f"{router} leads nowhere: link it to a switch, or call one of its interfaces {_CORE!r}")

    def _make_wires(self, seed: int) -> dict[tuple[str, str], WireEnd]:
        ends: dict[tuple[str, str], WireEnd] = {}
        for number, link in enumerate(self.topology.links):
            name = f"{link.a} {link.b}"
            wire = Wire(self.scheduler, _spec(link), name, seed + number)
            self.wires[name] = wire
            ends[link.a.node, link.a.interface] = wire.a
            ends[link.b.node, link.b.interface] = wire.b
        return ends

    def _plug(self, interface: Interface) -> None:
        end = self._ends[interface.node, interface.name]
        mac = interface.mac.to_bytes(6)
        # Across a home link it is the switch.
        at_home = interface.peer.node in self.hubs
        peer = self._way_up(interface.peer.node)[1] if at_home else self.topology.interface(interface.peer)
        neighbour = peer.mac.to_bytes(6)
        if interface.port is not None:
            self.switch_ports[interface.node, interface.port] = end
        elif interface.node in self.hubs:
            self.hubs[interface.node].join(end)
        elif interface.node in self.hosts:
            self.hosts[interface.node].plug(interface.name, mac, end, neighbour)
        elif interface.node in self.routers:
            self.routers[interface.node].plug(interface.name, mac, end, neighbour)
        else:
            self._plug_mobile_node(interface, end, neighbour)

    def _plug_mobile_node(self, interface: Interface, end: WireEnd, neighbour: bytes) -> None:
        node = self.mobile_nodes[interface.node]
        mac = interface.mac.to_bytes(6)
        if self.topology.nodes[interface.peer.node].kind is Kind.HOST:
            node.plug_network(interface.name, mac, end, neighbour)
            return
        if interface.peer.node in self.hubs:
            raise NetworkError(
                f"{interface.node}:{interface.name}: nodes of the lab do not come home: use `mcoa scenario`"
            )
        settings = interface.settings
        if settings is None or settings.address is None or settings.bid is None:
            raise NetworkError(f"{interface.node}:{interface.name} needs an address and a bid for the lab to use it")
        node.plug(interface.name, mac, end, neighbour)
        node.add_uplink(settings.bid, interface.name, settings.address, settings.priority or 0)

    def _introduce(self, interface: Interface) -> None:
        """Tell an access router which addresses are at the other end of this interface's wire."""
        router = self.routers.get(interface.peer.node)
        if router is None or interface.port is not None:
            return
        for address in self._addresses(interface):
            if any(address in prefix for prefix in router.prefixes):
                router.add_neighbour(address, interface.peer.interface)

    def _addresses(self, interface: Interface) -> Iterable[Address]:
        if interface.settings is not None and interface.settings.address is not None:
            yield interface.settings.address
        node = self.topology.nodes[interface.node]
        if isinstance(node, Station):
            yield from node.addresses


def _spec(link: Link) -> WireSpec:
    rate = None if link.rate_mbps is None else link.rate_mbps * 1e6
    return WireSpec(delay=link.delay_ms / 1000, rate=rate, loss=link.loss)
