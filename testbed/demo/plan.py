"""What the demonstration sends.

Three flows to the mobile node and three back, one that the node itself binds, and one each way for a mobile router's network.
"""

from collections import Counter
from dataclasses import dataclass

from controller.fabric.topology import Kind, Topology
from controller.mobility.address import format_address
from controller.mobility.flows import FlowEntry, FlowSelector, Span
from testbed.hosts import Host
from testbed.lab import Lab
from testbed.node.host import MobileNodeHost
from testbed.packets import UDP, Datagram
from testbed.traffic import Flow, Measurement, Sender, Sink, measure

_DOWN_RATES = (200.0, 250.0, 150.0)
"""Packets a second of each flow to the node: unlike, so that their lines in the picture do not hide each other."""
_UP_RATE = 100.0
"""Packets a second of each flow from the node."""
_DOWN_PORT = 5000
_UP_PORT = 6000
_NAMES = ("voice", "video", "bulk data")
_OWN_NAME = "telemetry"
_OWN_FLOW = 100
_ROUTER_DOWN, _ROUTER_UP = 200, 201


class PlanError(ValueError):
    """The topology cannot carry the demonstration; the text says what is missing."""


@dataclass(slots=True)
class Lane:
    """One binding identifier with the traffic that is to take it."""

    bid: int
    access: str
    """Name of the access network, for people."""
    down: Sender
    up: Sender

    @property
    def policy(self) -> dict[str, object]:
        """The REST policy that steers the flow towards the node to this BID."""
        flow = self.down.flow
        return {
            "priority": 10 * self.bid,
            "bid": self.bid,
            "selector": {
                "source": f"{format_address(flow.source)}/128",
                "protocol": "udp",
                "destination_ports": str(flow.destination_port),
            },
        }


@dataclass(slots=True)
class Router:
    """A mobile router with a host behind it, and their traffic."""

    node: MobileNodeHost
    host: Host
    host_name: str
    bid: int
    """By which both flows go: that of the preferred uplink."""
    down: Sender
    up: Sender


def actors(topology: Topology) -> tuple[str, str]:
    """Return the names of the correspondent and of the mobile node that a demonstration would take.

    Raises:
        PlanError: there is no correspondent with an address, or no mobile node with three uplinks.
    """
    uplinks = Counter(
        interface.node
        for interface in topology.interfaces
        if interface.settings is not None and interface.settings.bid is not None
    )
    node = next((name for name in topology.mobile_nodes if uplinks[name] >= 3), None)
    for name, station in topology.stations.items():
        if station.kind is Kind.CORRESPONDENT and station.addresses and node is not None:
            return name, node
    raise PlanError(
        f"topology {topology.name!r} needs a correspondent with an address, and a mobile node with three interfaces that have"
        " a bid and an address: take three-access.yaml as a pattern"
    )


class Plan:
    """The lab's actors and their traffic.

    Args:
        lab: running.

    Raises:
        PlanError: as `actors`.
    """

    def __init__(self, lab: Lab) -> None:
        correspondent, self.node_name = actors(lab.topology)
        self.lab = lab
        self.node = lab.network.mobile_nodes[self.node_name]
        self.correspondent = lab.network.hosts[correspondent]
        self.at_node = Sink()
        self.at_correspondent = Sink()
        self.node.on_datagram(self._arrived_at_node)
        self.correspondent.on_datagram(self._arrived_at_correspondent)
        self.at_network = Sink()
        """At the host behind the mobile router."""
        self.lanes = {bid: self._lane(bid) for bid in sorted(self.node.uplinks)[:3]}
        self.own = self._own_flow()
        """The flow that the node binds by itself; no policy names it."""
        self.router = self._find_router()
        """None: the topology has no mobile router with a host behind it."""

    def _lane(self, bid: int) -> Lane:
        clock = self.lab.clock
        here = min(self.correspondent.addresses)
        there = self.node.home_address
        name = _NAMES[(bid - 1) % len(_NAMES)]
        down = Flow(bid, name, here, there, 40_000 + bid, _DOWN_PORT + bid, _DOWN_RATES[(bid - 1) % len(_DOWN_RATES)])
        up = Flow(1000 + bid, name, there, here, 50_000 + bid, _UP_PORT + bid, _UP_RATE)

        def send_up(packet: bytes) -> None:
            self.node.send(packet, bid)

        sender = Sender(down, self.correspondent.send, clock)
        return Lane(bid, self.lab.access_of(self.node_name, bid), sender, Sender(up, send_up, clock))

    def _own_flow(self) -> Sender:
        here, there = min(self.correspondent.addresses), self.node.home_address
        flow = Flow(_OWN_FLOW, _OWN_NAME, here, there, 40_000, _DOWN_PORT, _UP_RATE)
        return Sender(flow, self.correspondent.send, self.lab.clock)

    def binding_of_own_flow(self, bid: int) -> FlowEntry:
        """Return what the node signals to have its own flow sent to a BID (RFC 6089)."""
        selector = FlowSelector(protocol=Span(UDP, UDP), destination_ports=Span(_DOWN_PORT, _DOWN_PORT))
        return FlowEntry(1, 10, selector, (bid,))

    def _find_router(self) -> Router | None:
        for name, node in self.lab.topology.mobile_nodes.items():
            for interface in self.lab.topology.interfaces_of(name):
                host = self.lab.network.hosts.get(interface.peer.node)
                if node.prefixes and host is not None and host.addresses:
                    return self._router(name, interface.peer.node)
        return None

    def _router(self, name: str, host_name: str) -> Router:
        node, host = self.lab.network.mobile_nodes[name], self.lab.network.hosts[host_name]
        host.on_datagram(self._arrived_at_network)
        here, there = min(self.correspondent.addresses), min(host.addresses)
        bid = node.engine.links[0].bid
        down = Flow(_ROUTER_DOWN, f"to {host_name}", here, there, 40_100, 7000, _UP_RATE)
        up = Flow(_ROUTER_UP, f"from {host_name}", there, here, 50_100, 7001, _DOWN_RATES[0])
        clock = self.lab.clock
        return Router(
            node, host, host_name, bid, Sender(down, self.correspondent.send, clock), Sender(up, host.send, clock)
        )

    def _arrived_at_network(self, datagram: Datagram) -> None:
        self.at_network.take(datagram, self.lab.clock.time())

    def _arrived_at_node(self, datagram: Datagram, bid: int) -> None:
        self.at_node.take(datagram, self.lab.clock.time(), bid)

    def _arrived_at_correspondent(self, datagram: Datagram) -> None:
        self.at_correspondent.take(datagram, self.lab.clock.time())

    def down(self, bid: int, since: float, until: float) -> Measurement:
        """Return what became of the flow of a BID towards the node."""
        sender = self.lanes[bid].down
        return measure(sender, self.at_node.of(sender.flow), since, until)

    def up(self, bid: int, since: float, until: float) -> Measurement:
        """Return what became of the flow of a BID from the node."""
        sender = self.lanes[bid].up
        return measure(sender, self.at_correspondent.of(sender.flow), since, until)

    def own_flow(self, since: float, until: float) -> Measurement:
        """Return what became of the flow that the node binds by itself."""
        return measure(self.own, self.at_node.of(self.own.flow), since, until)

    def router_down(self, since: float, until: float) -> Measurement:
        """Return what became of the flow to the host behind the mobile router."""
        assert self.router is not None
        return measure(self.router.down, self.at_network.of(self.router.down.flow), since, until)

    def router_up(self, since: float, until: float) -> Measurement:
        """Return what became of the flow from there."""
        assert self.router is not None
        return measure(self.router.up, self.at_correspondent.of(self.router.up.flow), since, until)

    def lost(self, since: float, until: float) -> int:
        """Return how many packets of all flows, both ways and to the mobile router's network, were lost."""
        behind = 0 if self.router is None else self.router_down(since, until).lost
        return behind + sum(self.down(bid, since, until).lost + self.up(bid, since, until).lost for bid in self.lanes)

    def arrived(self) -> dict[int, int]:
        """Return how many packets came to the node so far, by BID."""
        return {bid: self.node.tunnelled[bid] for bid in self.lanes}

    def stop(self) -> None:
        """Stop all senders."""
        for lane in self.lanes.values():
            lane.down.stop()
            lane.up.stop()
        self.own.stop()
        if self.router is not None:
            self.router.down.stop()
            self.router.up.stop()
