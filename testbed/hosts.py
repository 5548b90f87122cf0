"""Small IPv6 stations that live in the lab's process: hosts that end packets, routers that pass them on, and a link that they share.

Neighbours are known, not asked for: the topology says who is at the other end of each wire. An access router also notes who
sends from its own prefix, so a node that takes a new care-of address is found there with its first packet.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from controller.mobility.address import Address, Prefix
from testbed.packets import (
    ETHERTYPE_IPV6,
    ICMPV6,
    UDP,
    Datagram,
    destination_of,
    ethernet,
    parse_udp,
    source_of,
    valid_ipv6,
)
from testbed.wire import WireEnd


class NetworkInterface:
    """An Ethernet interface at the end of a wire.

    Args:
        name: as in the topology file.
        mac: its address, six octets.
        end: the wire's end.
        neighbour: the Ethernet address at the other end of the wire.
        receive: takes each IPv6 packet that is addressed to this interface, and the interface itself.
    """

    def __init__(
        self,
        name: str,
        mac: bytes,
        end: WireEnd,
        neighbour: bytes,
        receive: Callable[[bytes, "NetworkInterface", bytes], None],
    ) -> None:
        self.name = name
        self.mac = mac
        self.neighbour = neighbour
        self.ignored = 0
        """Frames for somebody else, of another protocol, or cut short."""
        self._end = end
        self._receive = receive
        end.connect(self._frame)

    def send(self, packet: bytes, to: bytes | None = None) -> None:
        """Send an IPv6 packet to the neighbour, or to another Ethernet address."""
        self._end.send(ethernet(self.neighbour if to is None else to, self.mac, packet))

    def send_frame(self, frame: bytes) -> None:
        """Send a whole Ethernet frame as it is."""
        self._end.send(frame)

    def _frame(self, frame: bytes) -> None:
        packet = valid_ipv6(frame[14:]) if frame[12:14] == ETHERTYPE_IPV6 else None
        if packet is None or not (frame[:6] == self.mac or frame[0] & 1):
            self.ignored += 1
            return
        self._receive(packet, self, frame[6:12])


DatagramHandler = Callable[[Datagram], None]


class Host:
    """A host with one interface: a correspondent, or a station on the home link.

    Args:
        addresses: its IPv6 addresses, at least one to receive anything.
    """

    def __init__(self, addresses: tuple[Address, ...]) -> None:
        self.addresses = frozenset(addresses)
        self.counters: Counter[str] = Counter()
        """What arrived: udp, icmpv6, other, not_mine, bad."""
        self.icmp: list[bytes] = []
        """ICMPv6 packets that arrived, whole, the last hundred."""
        self._datagrams: DatagramHandler | None = None
        self._interface: NetworkInterface | None = None

    def plug(self, name: str, mac: bytes, end: WireEnd, neighbour: bytes) -> None:
        """Give the host its interface."""
        self._interface = NetworkInterface(name, mac, end, neighbour, self._receive)

    @property
    def interface(self) -> NetworkInterface:
        """Its interface.

        Raises:
            ValueError: it has none yet.
        """
        if self._interface is None:
            raise ValueError("the host is not plugged in: link it to something in the topology file")
        return self._interface

    def on_datagram(self, handler: DatagramHandler) -> None:
        """Let `handler` have every UDP datagram with a right checksum for one of the host's addresses."""
        self._datagrams = handler

    def send(self, packet: bytes) -> None:
        """Send an IPv6 packet to whoever is at the other end of the wire."""
        self.interface.send(packet)

    def _receive(self, packet: bytes, _interface: NetworkInterface, _source_mac: bytes) -> None:
        if destination_of(packet) not in self.addresses:
            self.counters["not_mine"] += 1
        elif packet[6] == UDP:
            datagram = parse_udp(packet)
            self.counters["bad" if datagram is None else "udp"] += 1
            if datagram is not None and self._datagrams is not None:
                self._datagrams(datagram)
        elif packet[6] == ICMPV6:
            self.counters["icmpv6"] += 1
            self.icmp = [*self.icmp[-99:], packet]
        else:
            self.counters["other"] += 1


class Hub:
    """A link that several stations share: what one sends reaches all others."""

    def __init__(self) -> None:
        self._ends: list[WireEnd] = []

    def join(self, end: WireEnd) -> None:
        """Let a wire end here."""
        self._ends.append(end)

        def repeat(frame: bytes) -> None:
            for other in self._ends:
                if other is not end:
                    other.send(frame)

        end.connect(repeat)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Where an address is."""

    interface: NetworkInterface
    mac: bytes


class Router:
    """A router between a core port and one or more attached links.

    Addresses inside its prefixes are on the attached links, everything else goes out of the core port.

    Args:
        addresses: its own; what is sent to them ends here.
        prefixes: of the attached links.
        core: the name of the interface towards everything else.
    """

    def __init__(self, addresses: tuple[Address, ...], prefixes: tuple[Prefix, ...], core: str) -> None:
        self.addresses = frozenset(addresses)
        self.prefixes = prefixes
        self.counters: Counter[str] = Counter()
        """What became of packets: forwarded, hop_limit, unknown_neighbour, no_core, mine."""
        self._core = core
        self._interfaces: dict[str, NetworkInterface] = {}
        self._neighbours: dict[Address, Neighbour] = {}

    def plug(self, name: str, mac: bytes, end: WireEnd, neighbour: bytes) -> None:
        """Give the router one more interface."""
        self._interfaces[name] = NetworkInterface(name, mac, end, neighbour, self._receive)

    def add_neighbour(self, address: Address, interface: str) -> None:
        """Say that `address` is at the other end of the wire at `interface`."""
        link = self._interfaces[interface]
        self._neighbours[address] = Neighbour(link, link.neighbour)

    def _receive(self, packet: bytes, interface: NetworkInterface, source_mac: bytes) -> None:
        source, destination = source_of(packet), destination_of(packet)
        if interface.name != self._core and source not in self._neighbours and self._attached(source):
            self._neighbours[source] = Neighbour(interface, source_mac)
        if destination in self.addresses:
            self.counters["mine"] += 1
            return
        if packet[7] <= 1:
            self.counters["hop_limit"] += 1
            return
        # RFC 8200 section 3: a node that forwards lowers the hop limit by one.
        forwarded = packet[:7] + bytes((packet[7] - 1,)) + packet[8:]
        if self._attached(destination):
            neighbour = self._neighbours.get(destination)
            if neighbour is None:
                self.counters["unknown_neighbour"] += 1
                return
            neighbour.interface.send(forwarded, neighbour.mac)
        else:
            core = self._interfaces.get(self._core)
            if core is None:
                self.counters["no_core"] += 1
                return
            core.send(forwarded)
        self.counters["forwarded"] += 1

    def _attached(self, address: Address) -> bool:
        return any(address in prefix for prefix in self.prefixes)
