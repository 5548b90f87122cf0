"""What the demonstration sends: three flows to the mobile node and three back, and where each is to go."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.fabric.topology import Kind
from controller.mobility.address import format_address
from testbed.lab import Lab
from testbed.packets import Datagram
from testbed.traffic import Flow, Measurement, Sender, Sink, measure

if TYPE_CHECKING:
    from testbed.node.host import MobileNodeHost

DOWN_RATE = 200.0
UP_RATE = 100.0
"""Packets a second of each flow."""
_DOWN_PORT = 5000
_UP_PORT = 6000
_NAMES = ("voice", "video", "bulk data", "telemetry")


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


class Plan:
    """The lab's actors and their traffic.

    Args:
        lab: running.

    Raises:
        PlanError: there is no correspondent, or no mobile node with three uplinks.
    """

    def __init__(self, lab: Lab) -> None:
        network = lab.network
        correspondents = lab.topology.of_kind(Kind.CORRESPONDENT)
        name = next((name for name, node in network.mobile_nodes.items() if len(node.uplinks) >= 3), None)
        if not correspondents or name is None:
            raise PlanError(
                f"topology {lab.topology.name!r} needs a correspondent and a mobile node with three interfaces that have"
                " a bid and an address: take three-access.yaml as a pattern"
            )
        self.lab = lab
        self.node: MobileNodeHost = network.mobile_nodes[name]
        self.node_name = name
        self.correspondent = network.hosts[next(iter(correspondents))]
        self.at_node = Sink()
        self.at_correspondent = Sink()
        self.node.on_datagram(self._arrived_at_node)
        self.correspondent.on_datagram(self._arrived_at_correspondent)
        self.lanes = {bid: self._lane(bid) for bid in sorted(self.node.uplinks)[:3]}

    def _lane(self, bid: int) -> Lane:
        clock = self.lab.clock
        here = min(self.correspondent.addresses)
        there = self.node.home_address
        name = _NAMES[(bid - 1) % len(_NAMES)]
        down = Flow(bid, name, here, there, 40_000 + bid, _DOWN_PORT + bid, DOWN_RATE)
        up = Flow(1000 + bid, name, there, here, 50_000 + bid, _UP_PORT + bid, UP_RATE)

        def send_up(packet: bytes) -> None:
            self.node.send(packet, bid)

        sender = Sender(down, self.correspondent.send, clock)
        return Lane(bid, self.lab.access_of(self.node_name, bid), sender, Sender(up, send_up, clock))

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

    def lost(self, since: float, until: float) -> int:
        """Return how many packets of all flows, both ways, were lost."""
        return sum(self.down(bid, since, until).lost + self.up(bid, since, until).lost for bid in self.lanes)

    def arrived(self) -> dict[int, int]:
        """Return how many packets came to the node so far, by BID."""
        return {bid: self.node.tunnelled[bid] for bid in self.lanes}

    def stop(self) -> None:
        """Stop all senders."""
        for lane in self.lanes.values():
            lane.down.stop()
            lane.up.stop()
