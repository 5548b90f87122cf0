"""Whether the links between P4 switches carry anything: hellos out of one end, expected at the other, both ways.

A hello is an LLDP frame (IEEE 802.1AB) that names the switch and the port that it left by, with a number and an authenticator,
so nobody but the controller makes one and none counts twice. A link is lost when `misses` hellos in a row did not come, in
either direction, and taken back when all have come for the time `hold`. Misses are counted by hellos that were sent, not by
the clock: a controller that was held up for a while finds no link lost because of it.

Frames in, frames out: nothing here sends or waits.
"""

import hashlib
import hmac
import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from struct import Struct
from typing import Final, TypeAlias

from controller.fabric.advertiser import LinkFrame
from controller.fabric.fields import Mac
from controller.fabric.topology import Interface, Topology

ETHERTYPE: Final = b"\x88\xcc"
DESTINATION: Final = b"\x01\x80\xc2\x00\x00\x0e"
"""The nearest bridge: no bridge passes it on (IEEE 802.1AB section 7.1)."""
INTERVAL: Final = 0.15
"""Seconds between two hellos on a link."""
MISSES: Final = 3
"""Hellos in a row; of a link that has only just come into sight twice as many."""
HOLD: Final = 3.0
"""Seconds."""
UNDER_WAY: Final = 16
"""Hellos that may be under way on a link: what comes later does not count."""

_END, _CHASSIS, _PORT, _TTL, _ORGANISATION = 0, 1, 2, 3, 127
_LOCALLY_ASSIGNED: Final = b"\x07"
"""Subtype of a chassis or a port identifier."""
_HELLO: Final = b"\x02\x6d\x63\x01"
"""A locally administered organisation, and its subtype."""
_NUMBER: Final = Struct("!Q")
_TAG_OCTETS: Final = 16
_HEADER: Final = 14
_MAX_FRAME: Final = 256
_MIN_IDENTIFIER: Final = 2

LinkEnd: TypeAlias = tuple[str, int]
"""A switch and the number of its port."""


class Refusal(StrEnum):
    """Why a frame of link discovery does not count."""

    MALFORMED = "malformed"
    FOREIGN = "foreign"
    """Another device's."""
    FORGED = "forged"
    """It says that it is ours, and is not."""
    REPLAYED = "replayed"
    """Ours, but it has come before, or too late."""
    MISWIRED = "miswired"
    """Ours, but from another port than the topology has at the other end."""


@dataclass(slots=True)
class _Direction:
    """One way along a link."""

    sender: LinkEnd
    receiver: LinkEnd
    mac: Mac
    """Of the port that hellos leave by."""
    due: deque[int] = field(default_factory=lambda: deque(maxlen=UNDER_WAY))
    """Numbers of the hellos that have not come, the oldest first."""
    heard: bool = False
    """One came since the last was sent."""
    missed: int = 0
    """In a row."""


@dataclass(slots=True)
class _Link:
    """A link and what is known of it."""

    position: int
    """In the topology file."""
    name: str
    directions: tuple[_Direction, _Direction]
    lost: bool = False
    sound_since: float | None = None
    """Since when every hello has come; None: one is missing."""


class LinkWatch:
    """Watches the links that have a P4 switch at both ends.

    Args:
        topology: the network.
        key: of the authenticators, 16 to 64 octets, this process's own.
        interval: seconds between two hellos.
        misses: hellos in a row that did not come when a link is lost.
        hold: seconds for which every hello has to come before a link is taken back.
    """

    def __init__(
        self, topology: Topology, key: bytes, *, interval: float = INTERVAL, misses: int = MISSES, hold: float = HOLD
    ) -> None:
        self._key: Final = key
        self._interval: Final = interval
        self._misses: Final = misses
        self._hold: Final = hold
        self._number = 0
        self._due = 0.0
        self._in_service: frozenset[str] = frozenset()
        self._links: Final = list(_watched(topology))
        self._by_receiver: Final = {one.receiver: one for link in self._links for one in link.directions}
        self._outbox: list[LinkFrame] = []
        self.refused: Final[Counter[Refusal]] = Counter()
        """Frames that did not count, by reason."""

    @property
    def lost(self) -> frozenset[int]:
        """The links that carry nothing, by their positions in the topology file."""
        return frozenset(link.position for link in self._links if link.lost)

    def name(self, position: int) -> str:
        """Return a link's name, for people, by its position."""
        return next(link.name for link in self._links if link.position == position)

    def next_timer(self) -> float | None:
        """Return when the next hellos are due; None: there is nothing to watch."""
        return self._due if self._links else None

    def handle_timer(self, now: float, in_service: Iterable[str]) -> bool:
        """Count what has not come, and say hello once more; return whether other links are lost than before.

        Args:
            now: seconds of the clock.
            in_service: names of the switches that send and hand up what they are told to. Of a link to another one nothing can be
                known: it stays what it was.
        """
        if now < self._due:
            return False
        # After a delay the rhythm begins anew: hellos that were not sent need not be made up for.
        self._due = max(self._due + self._interval, now + self._interval / 2)
        before = self.lost
        present = frozenset(in_service)
        seen, self._in_service = present & self._in_service, present
        self._number += 1
        for link in self._links:
            ends = {one.sender[0] for one in link.directions}
            if ends <= seen:
                self._judge(link, now)
            else:
                self._begin(link)
            if ends <= present:
                for direction in link.directions:
                    self._say_hello(direction)
        return self.lost != before

    def _begin(self, link: _Link) -> None:
        link.sound_since = None
        for direction in link.directions:
            direction.due.clear()
            direction.heard = False
            direction.missed = -self._misses

    def _judge(self, link: _Link, now: float) -> None:
        for direction in link.directions:
            direction.missed = 0 if direction.heard else direction.missed + 1
        sound = all(direction.heard for direction in link.directions)
        if not sound:
            link.sound_since = None
        elif link.sound_since is None:
            link.sound_since = now
        if any(direction.missed >= self._misses for direction in link.directions):
            link.lost = True
        elif link.sound_since is not None and now - link.sound_since >= self._hold:
            link.lost = False
        for direction in link.directions:
            direction.heard = False

    def _say_hello(self, direction: _Direction) -> None:
        direction.due.append(self._number)
        switch, port = direction.sender
        self._outbox.append(LinkFrame(switch, port, self._frame(direction, self._number)))

    def outbox(self) -> list[LinkFrame]:
        """Return the frames to send, once."""
        frames, self._outbox = self._outbox, []
        return frames

    def _frame(self, direction: _Direction, number: int) -> bytes:
        switch, port = direction.sender
        chassis, name = switch.encode(), str(port).encode()
        content = _NUMBER.pack(number) + self._tag(chassis, name, number)
        return (
            DESTINATION
            + direction.mac.to_bytes(6)
            + ETHERTYPE
            + _tlv(_CHASSIS, _LOCALLY_ASSIGNED + chassis)
            + _tlv(_PORT, _LOCALLY_ASSIGNED + name)
            + _tlv(_TTL, max(1, math.ceil(self._interval * self._misses)).to_bytes(2))
            + _tlv(_ORGANISATION, _HELLO + content)
            + _tlv(_END, b"")
        )

    def _tag(self, chassis: bytes, port: bytes, number: int) -> bytes:
        text = bytes((len(chassis),)) + chassis + port + _NUMBER.pack(number)
        return hashlib.blake2b(text, key=self._key, digest_size=_TAG_OCTETS).digest()

    def receive(self, switch: str, port: int, frame: bytes) -> Refusal | None:
        """Take a frame of link discovery that a switch handed up.

        Returns:
            Why it does not count; None: it is the hello that was expected.
        """
        refusal = self._receive((switch, port), frame)
        if refusal is not None:
            self.refused[refusal] += 1
        return refusal

    def _receive(self, receiver: LinkEnd, frame: bytes) -> Refusal | None:
        elements = _elements(frame)
        if elements is None:
            return Refusal.MALFORMED
        chassis, port, _, *rest = elements
        hello = next((value for kind, value in rest if kind == _ORGANISATION and value.startswith(_HELLO)), None)
        if hello is None or len(hello) != len(_HELLO) + _NUMBER.size + _TAG_OCTETS:
            return Refusal.FOREIGN
        (number,) = _NUMBER.unpack_from(hello, len(_HELLO))
        name, text = chassis[1][1:], port[1][1:]
        if not hmac.compare_digest(self._tag(name, text, number), hello[-_TAG_OCTETS:]):
            return Refusal.FORGED
        direction = self._by_receiver.get(receiver)
        if direction is None or direction.sender != (name.decode(), int(text)):
            return Refusal.MISWIRED
        if number not in direction.due:
            return Refusal.REPLAYED
        while direction.due.popleft() != number:
            pass
        direction.heard = True
        return None


def _watched(topology: Topology) -> Iterator[_Link]:
    for position, link in enumerate(topology.links):
        if link.a.node in topology.switches and link.b.node in topology.switches:
            a, b = topology.interface(link.a), topology.interface(link.b)
            yield _Link(position, f"{link.a} to {link.b}", (_direction(a, b), _direction(b, a)))


def _direction(sender: Interface, receiver: Interface) -> _Direction:
    assert sender.port is not None, "a switch's interfaces are ports"
    assert receiver.port is not None, "a switch's interfaces are ports"
    return _Direction((sender.node, sender.port), (receiver.node, receiver.port), sender.mac)


def _tlv(kind: int, value: bytes) -> bytes:
    """Return a type, length, value element (IEEE 802.1AB section 8.4): seven bits of type, nine of length."""
    return (kind << 9 | len(value)).to_bytes(2) + value


def _elements(frame: bytes) -> list[tuple[int, bytes]] | None:
    """Return the elements of an LLDP frame up to the end; None: it has not what each must have, or is too long to be a hello."""
    if not _HEADER < len(frame) <= _MAX_FRAME or frame[12:14] != ETHERTYPE:
        return None
    found: list[tuple[int, bytes]] = []
    place = _HEADER
    while place + 2 <= len(frame):
        head = int.from_bytes(frame[place : place + 2])
        kind, end = head >> 9, place + 2 + (head & 0x1FF)
        if end > len(frame):
            return None
        if kind == _END:
            break
        found.append((kind, frame[place + 2 : end]))
        place = end
    # The first three are what they are in every frame, in this order (section 8.2); an identifier has a subtype and a value.
    kinds = [kind for kind, _ in found[:3]]
    if kinds != [_CHASSIS, _PORT, _TTL] or min(len(found[0][1]), len(found[1][1])) < _MIN_IDENTIFIER:
        return None
    return found
