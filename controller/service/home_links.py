"""The home links: what comes in on them is told apart, and what the home agent says on them leaves by the right port."""

from collections.abc import Iterable, Mapping
from typing import Final

from controller.fabric.advertiser import LinkFrame
from controller.fabric.neighbours import spoken_by
from controller.fabric.statics import HomePort, home_ports
from controller.fabric.topology import Topology
from controller.mobility.parts import LinkInfo, LinkPacket
from controller.service.anchors import Anchors
from controller.southbound.stream import PacketIn

_ETHERTYPE: Final = b"\x86\xdd"
_VLAN: Final = b"\x81\x00"
_MULTICAST: Final = b"\x33\x33"


class HomeLinks:
    """The ports of the anchors that are on a home link.

    Args:
        topology: the network.
        switches: names of the controlled switches.
        anchors: their sessions.
    """

    def __init__(self, topology: Topology, switches: Iterable[str], anchors: Anchors) -> None:
        self._ports: Final = {name: home_ports(topology, name) for name in switches}
        self._numbers: Final = {name: frozenset(home.port for home in homes) for name, homes in self._ports.items()}
        self._anchors: Final = anchors
        self._macs: Final = frozenset(home.mac.to_bytes(6) for homes in self._ports.values() for home in homes)

    @property
    def ports(self) -> Mapping[str, tuple[HomePort, ...]]:
        """The ports on home links, by switch."""
        return self._ports

    def send_frames(self, frames: Iterable[LinkFrame]) -> None:
        """Send whole frames, each by its switch, if that is in service."""
        for one in frames:
            session = self._anchors.sessions[one.switch]
            if session in self._anchors.in_service():
                session.packet_out(one.frame, routed=False, egress_port=one.port)

    def link_of(self, switch: str, packet: PacketIn) -> LinkInfo | None:
        """Return how a packet came in, if it did on a home link."""
        return LinkInfo(packet.frame[6:12]) if packet.ingress_port in self._numbers[switch] else None

    def is_own(self, link: LinkInfo) -> bool:
        """Tell whether a frame is from an anchor: of several on one home link, each hears what the others say for the home agent."""
        return link.source_mac in self._macs

    def send(self, packet: LinkPacket) -> bool:
        """Send a packet on a home link, by one anchor that is on it; return False if none is in service."""
        for session in self._anchors.in_service():
            for home in self._ports[session.name]:
                if home.home_agent == packet.home_agent:
                    return session.packet_out(_frame(packet, home), routed=False, egress_port=home.port)
        return False


def network_layer(frame: bytes) -> bytes:
    """Return what a frame carries: what is behind the Ethernet header, and the VLAN tag that a switch lets pass."""
    return frame[18:] if frame[12:14] == _VLAN else frame[14:]


def _frame(packet: LinkPacket, home: HomePort) -> bytes:
    # RFC 2464 section 7: a multicast group's frames go to 33-33 and the group's last four octets.
    destination = packet.destination_mac or _MULTICAST + packet.packet[36:40]
    return destination + home.mac.to_bytes(6) + _ETHERTYPE + spoken_by(packet.packet, home.mac)
