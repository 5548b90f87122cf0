"""The Ethernet addresses of next hops: asked for by Neighbor Solicitations, and asked again before they are old (RFC 4861 section 7).

A port that leads to a neighbour with `discover` in the topology has one entry, so state is bounded by the file. An entry is
always in use, as routes point to it: when it becomes stale it is probed at once. One that does not answer any more keeps its
address, as long as nobody says another (RFC 7048): no other is better.

Frames in, frames out: nothing here sends or waits.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from controller.fabric.advertiser import LinkFrame
from controller.fabric.fields import Mac
from controller.fabric.neighbours import answer_solicitation, link_local, solicitation_frame
from controller.fabric.topology import Station, Topology
from controller.mobility.address import Address
from controller.mobility.wire.codes import IcmpType, Protocol
from controller.mobility.wire.icmp import OVERRIDE, SOLICITED, read_neighbour

REACHABLE_TIME: Final = 30.0
"""Seconds (RFC 4861 section 10); times 0.5 to 1.5, drawn anew each time."""
RETRANSMISSION: Final = 1.0
"""Seconds between two solicitations."""
ATTEMPTS: Final = 3
"""Solicitations in that rhythm, to the group and to the neighbour alone."""
PATIENCE: Final = 5.0
"""Seconds between two solicitations for one that has not answered so often."""
_HEADERS: Final = 54
_ETHERTYPE: Final = b"\x86\xdd"


class State(StrEnum):
    """What is known of a neighbour (RFC 4861 section 7.3.2); a stale one is probed at once."""

    INCOMPLETE = "incomplete"
    REACHABLE = "reachable"
    PROBE = "probe"


@dataclass(slots=True)
class Neighbour:
    """What is behind a port."""

    node: str
    interface: str
    address: Address
    """That it is asked for."""
    own: Mac
    """Of the switch's port."""
    state: State = State.INCOMPLETE
    mac: Mac | None = None
    """What it answered; None: nothing yet."""
    due: float = 0.0
    attempts: int = 0


class NeighbourDiscovery:
    """Asks for the neighbours of switches.

    Args:
        topology: the network; interfaces with `discover` at the other end of a P4 switch's port are asked for.
        reachable: seconds for which an answer is good.
        dice: for the times.
    """

    def __init__(
        self, topology: Topology, reachable: float = REACHABLE_TIME, dice: random.Random | None = None
    ) -> None:
        self._reachable: Final = reachable
        self._dice: Final = dice or random.Random()  # noqa: S311  only to keep routers out of step
        self._neighbours: Final = dict(_wanted(topology))
        self._outbox: list[LinkFrame] = []

    @property
    def neighbours(self) -> Mapping[tuple[str, int], Neighbour]:
        """What is known, by switch and port."""
        return self._neighbours

    @property
    def learned(self) -> dict[tuple[str, str], Mac]:
        """The Ethernet addresses that were told, by node and interface."""
        return {(one.node, one.interface): one.mac for one in self._neighbours.values() if one.mac is not None}

    def next_timer(self) -> float | None:
        """Return when something is to be asked; None: there is nobody to ask."""
        return min((one.due for one in self._neighbours.values()), default=None)

    def handle_timer(self, now: float) -> None:
        """Ask whoever has to be asked."""
        for (switch, port), one in self._neighbours.items():
            if one.due > now:
                continue
            if one.state is State.REACHABLE:
                _suspect(one, now)
            elif one.state is State.PROBE and one.attempts >= ATTEMPTS:
                one.state, one.attempts = State.INCOMPLETE, 0
            alone = one.mac if one.state is State.PROBE else None
            self._outbox.append(LinkFrame(switch, port, solicitation_frame(one.own, one.address, alone)))
            one.attempts = min(one.attempts + 1, ATTEMPTS)
            patient = one.state is State.INCOMPLETE and one.attempts >= ATTEMPTS
            one.due = now + (PATIENCE if patient else RETRANSMISSION)

    def receive(self, switch: str, port: int, frame: bytes, now: float) -> bool:
        """Take a frame that a switch handed up.

        Returns:
            Whether an Ethernet address is another than before. What is malformed or nobody's is ignored.
        """
        one = self._neighbours.get((switch, port))
        if one is None or len(frame) < _HEADERS or frame[12:14] != _ETHERTYPE or frame[14] >> 4 != 6:
            return False
        if frame[20] != Protocol.ICMPV6:
            return False
        source, destination = Address(frame[22:38]), Address(frame[38:54])
        message = frame[_HEADERS : _HEADERS + int.from_bytes(frame[18:20])]
        if not message or message[0] not in {IcmpType.NEIGHBOR_SOLICITATION, IcmpType.NEIGHBOR_ADVERTISEMENT}:
            return False
        said = read_neighbour(source, destination, frame[21], message)
        if said is None:
            return False
        told = _unicast(said.link_layer)
        before = one.mac
        if message[0] == IcmpType.NEIGHBOR_SOLICITATION:
            reply = answer_solicitation(frame, one.own, {link_local(one.own)})
            if reply is not None:
                self._outbox.append(LinkFrame(switch, port, reply))
            # RFC 4861 section 7.2.3: whoever asks says where it is; whether it can be reached there is to be seen.
            if source == one.address and told is not None and told != one.mac:
                one.mac = told
                _suspect(one, now)
        elif said.target == one.address:
            self._advertised(one, told, said.flags, now)
        return one.mac != before

    def _advertised(self, one: Neighbour, told: Mac | None, flags: int, now: float) -> None:
        """Take an advertisement (RFC 4861 section 7.2.5)."""
        if one.mac is None and told is None:
            return
        differs = told is not None and told != one.mac
        if differs and one.state is not State.INCOMPLETE and not flags & OVERRIDE:
            if one.state is State.REACHABLE:
                _suspect(one, now)
            return
        if told is not None:
            one.mac = told
        if flags & SOLICITED:
            one.state, one.attempts = State.REACHABLE, 0
            one.due = now + self._reachable * self._dice.uniform(0.5, 1.5)
        elif differs:
            _suspect(one, now)

    def outbox(self) -> list[LinkFrame]:
        """Return the frames to send, once."""
        frames, self._outbox = self._outbox, []
        return frames


def _suspect(one: Neighbour, now: float) -> None:
    """Have a neighbour asked alone, from now on."""
    one.state, one.attempts, one.due = State.PROBE, 0, now


def _unicast(link_layer: bytes | None) -> Mac | None:
    """Return an Ethernet address that one station can have, or None."""
    if link_layer is None or len(link_layer) != 6 or link_layer[0] & 1 or not any(link_layer):
        return None
    return Mac(int.from_bytes(link_layer))


def _wanted(topology: Topology) -> dict[tuple[str, int], Neighbour]:
    found: dict[tuple[str, int], Neighbour] = {}
    for port in topology.interfaces:
        if port.port is None or port.node not in topology.switches:
            continue
        peer = topology.interface(port.peer)
        if peer.settings is not None and peer.settings.discover is not None:
            found[port.node, port.port] = Neighbour(peer.node, peer.name, peer.settings.discover, port.mac)
    return found


def with_macs(topology: Topology, learned: Mapping[tuple[str, str], Mac]) -> Topology:
    """Return a topology whose stations have the Ethernet addresses that they told, by node and interface."""
    if not learned:
        return topology
    nodes = dict(topology.nodes)
    for (name, interface), mac in learned.items():
        node = nodes[name]
        assert isinstance(node, Station), "checked with the file"
        settings = node.interfaces[interface].model_copy(update={"mac": mac})
        nodes[name] = node.model_copy(update={"interfaces": {**node.interfaces, interface: settings}})
    # Not a copy: what a topology has computed of itself would go along.
    return Topology.model_construct(
        name=topology.name,
        description=topology.description,
        home_networks=topology.home_networks,
        nodes=nodes,
        links=topology.links,
    )
