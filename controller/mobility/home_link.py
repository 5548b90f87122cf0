"""The home agent on a home link: it tests home addresses for duplicates, and answers for nodes that are away.

RFC 6275 sections 10.3.1 (duplicate address detection) and 10.4.1 (interception), RFC 3963 section 6.5 (mobile routers are routers),
RFC 5648 section 5.6 (nodes at home and away at once).

| event | what happens |
|---|---|
| first registration of an address on a real link | a probe for it (L flag: for its link-local address too); a second later it goes on |
| advertisement or foreign probe of a probed address | the registration is refused, status 134 |
| a node's first binding is in force | three unsolicited advertisements, a second apart |
| solicitation for the address of a node that is away | an advertisement |
| solicitation for the home agent's own address | an advertisement, as a router |
| the last binding is gone, or the node answers for itself | silence |
"""

from collections.abc import Callable
from typing import Final

from controller.mobility.address import UNSPECIFIED, Address
from controller.mobility.model import NodeRecord
from controller.mobility.outlet import Outlet
from controller.mobility.parts import Inbound, Part, RecordView
from controller.mobility.provision import Directory, HomeBinding, HomeNetwork, LinkKind
from controller.mobility.timing import Deadlines
from controller.mobility.wire.icmp import (
    ALL_NODES,
    OVERRIDE,
    ROUTER,
    SOLICITED,
    advertisement_packet,
    link_local,
    probe_packet,
    read_neighbour,
)

PROBE_TIME: Final = 1.0
"""Seconds: RetransTimer of RFC 4861, once (DupAddrDetectTransmits of RFC 4862)."""
ADVERTISEMENTS: Final = 3
"""MAX_NEIGHBOR_ADVERTISEMENT (RFC 4861 section 10), a second apart."""
ADVERTISEMENT_INTERVAL: Final = 1.0

Probed = Callable[[int, bool, float], None]
"""Hears of a probe's end: the number it was started with, whether the address is free, and the time."""


class HomeLink(Part):
    """The neighbours' view of nodes that are away.

    Args:
        directory: the home networks.
        outlet: where packets go.
        record: the record in force of a home address.
        probed: hears how a probe ended.
    """

    def __init__(self, directory: Directory, outlet: Outlet, record: RecordView, probed: Probed) -> None:
        self._directory: Final = directory
        self._outlet: Final = outlet
        self._record: Final = record
        self._probed: Final = probed
        self._probes: Final[dict[Address, int]] = {}
        self._targets: Final[dict[Address, Address]] = {}
        self._probe_ends: Final = Deadlines()
        self._left: Final[dict[Address, int]] = {}
        self._announcing: Final = Deadlines()
        self._link_locals: Final[dict[Address, Address]] = {}

    # Duplicate address detection

    def must_probe(self, before: NodeRecord | None, after: NodeRecord) -> bool:
        """Tell whether an address has to be tested before it is bound (RFC 6275 section 10.3.1).

        Only a first binding, and only of an address on the link: one from a mobile network prefix is not (RFC 3963 section 6).
        A node that registers from the home link has the address in use there, rightly.
        """
        if before is not None and before.bindings:
            return False
        network = self._link_of(after)
        if network is None or not network.duplicate_detection:
            return False
        return not any(binding.at_home for binding in after.bindings)

    def probe(self, number: int, record: NodeRecord, now: float) -> None:
        """Test the addresses of a record that is to come in force; `probed` hears how it went."""
        home_address = record.home_address
        self._probes[home_address] = number
        for target in _addresses(record):
            self._targets[target] = home_address
            self._outlet.send_on_link(record.home_agent, None, probe_packet(target))
        self._probe_ends.set(home_address, now + PROBE_TIME)

    def _end_probe(self, home_address: Address, now: float, *, free: bool) -> None:
        number = self._probes.pop(home_address)
        self._probe_ends.clear(home_address)
        for target in (home_address, link_local(home_address)):
            if self._targets.get(target) == home_address:
                del self._targets[target]
        self._probed(number, free, now)

    # Neighbours

    def on_advertisement(self, inbound: Inbound) -> None:
        """Take a Neighbor Advertisement: somebody has an address that is being tested."""
        packet = inbound.packet
        message = read_neighbour(packet.source, packet.destination, inbound.octets[7], inbound.upper)
        if message is not None and (home_address := self._targets.get(message.target)) is not None:
            self._end_probe(home_address, inbound.now, free=False)

    def on_solicitation(self, inbound: Inbound) -> None:
        """Answer a Neighbor Solicitation for the address of a node that is away (RFC 6275 section 10.4.1)."""
        packet = inbound.packet
        message = read_neighbour(packet.source, packet.destination, inbound.octets[7], inbound.upper)
        if message is None:
            return
        if packet.source == UNSPECIFIED and message.target in self._targets:
            # RFC 4862 section 5.4.3: somebody else wants the address at the same time; neither gets it.
            self._end_probe(self._targets[message.target], inbound.now, free=False)
            return
        own = self._directory.on_link(message.target)
        record = None if own is not None else self._defended(message.target)
        network = own if record is None else self._link_of(record)
        if network is None or network.mac is None:
            return
        # RFC 4861 section 7.2.8: a proxy leaves O clear; for its own address the home agent is no proxy.
        flags = ROUTER | OVERRIDE if record is None else ROUTER if record.mobile_router else 0
        destination, mac = packet.source, message.link_layer or (inbound.link.source_mac if inbound.link else None)
        if packet.source == UNSPECIFIED:
            destination, mac = ALL_NODES, None  # RFC 4861 section 7.2.4: not solicited, to all
        else:
            flags |= SOLICITED
        reply = advertisement_packet(network.home_agent, destination, message.target, network.mac, flags)
        self._outlet.send_on_link(network.home_agent, mac, reply)

    def _defended(self, target: Address) -> NodeRecord | None:
        """Return the record of the node for which the home agent answers at an address."""
        record = self._record(self._link_locals.get(target, target))
        return record if record is not None and self._defends(record) else None

    def _defends(self, record: NodeRecord | None) -> bool:
        return bool(defended(self._directory, record))

    def _link_of(self, record: NodeRecord) -> HomeNetwork | None:
        return _link_of(self._directory, record)

    # What comes in force, and time

    def restored(self, record: NodeRecord) -> None:
        """Know the link-local address again; the neighbours know the rest."""
        if record.link_local and self._defends(record):
            self._link_locals[link_local(record.home_address)] = record.home_address

    def changed(self, before: NodeRecord | None, after: NodeRecord | None, now: float) -> None:
        """Begin or end to answer for a node."""
        if not self._directory.has_links:
            return  # home networks are virtual: nobody asks
        known = before or after
        assert known is not None
        home_address = known.home_address
        self._link_locals.pop(link_local(home_address), None)
        if after is None or not self._defends(after):
            self._left.pop(home_address, None)
            self._announcing.clear(home_address)
            return
        self.restored(after)
        if not self._defends(before) or (before is not None and _face(before) != _face(after)):
            self._left[home_address] = ADVERTISEMENTS
            self._announce(after, now)

    def _announce(self, record: NodeRecord, now: float) -> None:
        """Draw the packets of a node here (RFC 6275 section 10.4.1)."""
        network = self._link_of(record)
        assert network is not None
        assert network.mac is not None
        flags = OVERRIDE | (ROUTER if record.mobile_router else 0)
        for target in _addresses(record):
            packet = advertisement_packet(network.home_agent, ALL_NODES, target, network.mac, flags)
            self._outlet.send_on_link(network.home_agent, None, packet)
        left = self._left[record.home_address] - 1
        if left:
            self._left[record.home_address] = left
            self._announcing.set(record.home_address, now + ADVERTISEMENT_INTERVAL)
        else:
            del self._left[record.home_address]

    def next_timer(self) -> float | None:
        """Return when the next probe ends or the next advertisement leaves."""
        times = (self._probe_ends.next(), self._announcing.next())
        return min((when for when in times if when is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """End probes that nobody answered, and advertise again."""
        for home_address in self._probe_ends.due(now):
            self._end_probe(home_address, now, free=True)
        for home_address in self._announcing.due(now):
            record = self._record(home_address)
            if record is not None:
                self._announce(record, now)


def defended(directory: Directory, record: NodeRecord | None) -> tuple[Address, ...]:
    """Return the addresses of a node for which the home agent answers on the home link (RFC 6275 section 10.4.1)."""
    if record is None or not record.bindings:
        return ()
    network = _link_of(directory, record)
    if network is None:
        return ()
    # RFC 5648 section 5.6.2: with status 0 the node answers for itself at home; with status 5 the home agent goes on.
    at_home = any(binding.at_home for binding in record.bindings)
    return () if at_home and network.home_binding is HomeBinding.NDP else _addresses(record)


def _link_of(directory: Directory, record: NodeRecord) -> HomeNetwork | None:
    """Return the network whose link a home address is on, if that is a real one."""
    network = directory.network(record.home_address, record.home_agent) if directory.has_links else None
    return network if network is not None and network.link is LinkKind.REAL else None


def _addresses(record: NodeRecord) -> tuple[Address, ...]:
    """Return the addresses that are defended for a node: the link-local one with the L flag only."""
    home_address = record.home_address
    return (home_address, link_local(home_address)) if record.link_local else (home_address,)


def _face(record: NodeRecord) -> tuple[bool, bool]:
    """Return what the neighbours see of a node."""
    return record.mobile_router, record.link_local
