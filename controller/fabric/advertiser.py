"""The home agent as a router on its home links: Router Advertisements with the home-agent bits, and its link-local address there.

RFC 4861 section 6.2 (advertisements), RFC 6275 section 7 (H flag, router address, home agent information, interval), RFC 3963
section 4.2 (mobile routers are served). Frames in, frames out: nothing here sends or waits.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Final

from controller.fabric.fields import Mac
from controller.fabric.neighbours import answer_solicitation, link_local
from controller.fabric.statics import HomePort
from controller.mobility.address import UNSPECIFIED, Address, Prefix
from controller.mobility.wire.codes import IcmpType, Protocol
from controller.mobility.wire.icmp import (
    ALL_NODES,
    LINK_HOP_LIMIT,
    PrefixInformation,
    icmp_packet,
    is_sound,
    read_options,
)

INTERVAL: Final = (7.0, 10.0)
"""Seconds between two advertisements to all, drawn anew each time (RFC 4861 section 6.2.4)."""
FIRST_INTERVAL: Final = 1.0
"""Before the first."""
LIFETIME: Final = 1800
"""Seconds: of the router, and of the home agent."""
PREFIX_LIFETIME: Final = 86_400

_HEAD: Final = Struct("!BBHII")
_HOME_AGENT_FLAG: Final = 0x20
_CURRENT_HOP_LIMIT: Final = 64
_ETHERTYPE: Final = b"\x86\xdd"
_ALL_NODES_MAC: Final = b"\x33\x33\x00\x00\x00\x01"
_HEADERS: Final = 54


@dataclass(frozen=True, slots=True)
class LinkFrame:
    """A frame to send by a port of a switch."""

    switch: str
    port: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Served:
    """A home network as it is advertised."""

    prefix: Prefix
    preference: int = 0
    """Of its home agent, -32768 to 32767 (RFC 6275 section 7.4)."""


def advertisement(mac: Mac, networks: Mapping[Address, Served], destination: Address = ALL_NODES) -> bytes:
    """Return the IPv6 packet of a Router Advertisement on a home link.

    Args:
        mac: of the port there.
        networks: those of the link, by home agent address.
        destination: all nodes, or who has asked.
    """
    preference = max(one.preference for one in networks.values())
    # RFC 6275 section 7.4: reserved with R on top (RFC 3963 section 4.2), preference, lifetime.
    information = b"\x08\x01\x80\x00" + preference.to_bytes(2, signed=True) + LIFETIME.to_bytes(2)
    interval = b"\x07\x01\x00\x00" + int(INTERVAL[1] * 1000).to_bytes(4)
    options = b"\x01\x01" + mac.to_bytes(6)
    for home_agent, one in networks.items():
        options += PrefixInformation(one.prefix, PREFIX_LIFETIME, PREFIX_LIFETIME, home_agent).option()
    body = _HEAD.pack(_CURRENT_HOP_LIMIT, _HOME_AGENT_FLAG, LIFETIME, 0, 0) + options + interval + information
    return icmp_packet(link_local(mac), destination, IcmpType.ROUTER_ADVERTISEMENT, body, hop_limit=LINK_HOP_LIMIT)


@dataclass(slots=True)
class _Port:
    """A port on a home link."""

    mac: Mac
    networks: dict[Address, Served]


class Advertiser:
    """Speaks on home links.

    Args:
        ports: of each switch, by name, those on a home link.
        networks: those with a real home link, by home agent address.
        now: seconds of the clock.
        dice: for the intervals.
    """

    def __init__(
        self,
        ports: Mapping[str, Iterable[HomePort]],
        networks: Mapping[Address, Served],
        now: float,
        dice: random.Random | None = None,
    ) -> None:
        self._ports: Final[dict[tuple[str, int], _Port]] = {}
        for name, homes in ports.items():
            for home in homes:
                if home.home_agent in networks:
                    port = self._ports.setdefault((name, home.port), _Port(home.mac, {}))
                    port.networks[home.home_agent] = networks[home.home_agent]
        self._dice: Final = dice or random.Random()  # noqa: S311  only to keep routers out of step
        self._due: float | None = now + FIRST_INTERVAL if self._ports else None
        self._outbox: list[LinkFrame] = []

    def receive(self, switch: str, port: int, frame: bytes) -> bool:
        """Take a frame that a switch handed up; tell whether it was for the router on the link."""
        home = self._ports.get((switch, port))
        if home is None or len(frame) < _HEADERS + 8 or frame[12:14] != _ETHERTYPE or frame[20] != Protocol.ICMPV6:
            return False
        if frame[_HEADERS] == IcmpType.ROUTER_SOLICITATION:
            self._solicited(switch, port, frame)
            return True
        reply = answer_solicitation(frame, home.mac, {link_local(home.mac)})
        if reply is not None:
            self._outbox.append(LinkFrame(switch, port, reply))
        return reply is not None

    def _solicited(self, switch: str, port: int, frame: bytes) -> None:
        source, destination = Address(frame[22:38]), Address(frame[38:54])
        message = frame[_HEADERS : _HEADERS + int.from_bytes(frame[18:20])]
        options = read_options(message, 8)
        # RFC 4861 section 6.1.1
        if (
            frame[21] != LINK_HOP_LIMIT
            or not is_sound(source, destination, message, 8)
            or message[1]
            or options is None
        ):
            return
        link_layer = next((data[:6] for kind, data in options if kind == 1), None)
        if source == UNSPECIFIED:
            if link_layer is None:
                self._send(switch, port, ALL_NODES, _ALL_NODES_MAC)
        else:
            self._send(switch, port, source, link_layer or frame[6:12])

    def _send(self, switch: str, port: int, destination: Address, mac: bytes) -> None:
        home = self._ports[switch, port]
        packet = advertisement(home.mac, home.networks, destination)
        self._outbox.append(LinkFrame(switch, port, mac + home.mac.to_bytes(6) + _ETHERTYPE + packet))

    def next_timer(self) -> float | None:
        """Return when the next advertisement to all is due."""
        return self._due

    def handle_timer(self, now: float) -> None:
        """Advertise on all home links."""
        if self._due is None or now < self._due:
            return
        self._due = now + self._dice.uniform(*INTERVAL)
        for switch, port in self._ports:
            self._send(switch, port, ALL_NODES, _ALL_NODES_MAC)

    def outbox(self) -> list[LinkFrame]:
        """Return the frames to send, once."""
        frames, self._outbox = self._outbox, []
        return frames
