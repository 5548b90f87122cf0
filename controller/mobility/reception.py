"""How a packet finds its handler: checks that all packets pass, proof where it is asked for, then the table.

| packet | who takes it |
|---|---|
| malformed | Parameter Problem where an RFC asks for it (RFC 6275 section 9.2), else nobody |
| a type 2 routing header | nobody: it leads to a home address of the receiver, and a home agent has none |
| more than its source may send | nobody |
| for a home agent address, a Home Address option without binding | Binding Error (RFC 6275 section 9.3.1) |
| for a home agent address | its handler, once proved |
| neighbours, routers, discovery on a home link | its handler |
| for somebody else, handed up by a switch | the tunnels |
| the same, IPv4 | the tunnels, as far as they carry IPv4 |
"""

from collections.abc import Callable, Mapping
from typing import Final

from controller.mobility.address import UNSPECIFIED, Address, Ipv4Address, mapped
from controller.mobility.events import DropReason
from controller.mobility.limits import SourceLimiter
from controller.mobility.local import LocalDelivery
from controller.mobility.outlet import Outlet
from controller.mobility.parts import Handler, Inbound, LinkInfo, Obstacle, Topic, topic
from controller.mobility.provision import Directory, HomeAgentConfig
from controller.mobility.reply import problem_report, unknown_message_report
from controller.mobility.security.home_guard import PASSED, HomeGuard, Verdict
from controller.mobility.tunnel_errors import Tunnels
from controller.mobility.tunnel_ipv4 import Ipv4Tunnels
from controller.mobility.wire.codes import Protocol, UpdateFlag
from controller.mobility.wire.control_messages import Heartbeat, RevocationAcknowledgement, RevocationIndication
from controller.mobility.wire.errors import WireError
from controller.mobility.wire.messages import BindingUpdate, CareOfTestInit, HomeTestInit, UnknownMessage
from controller.mobility.wire.packet import HEADER_LENGTH, Packet, decode_packet
from controller.values import value

_ESP: Final = int(Protocol.ESP)
_HOME_REGISTRATION: Final = int(UpdateFlag.HOME_REGISTRATION)


@value
class Desks:
    """Who takes packets."""

    ours: Mapping[Topic, Handler]
    """What is for a home agent address."""
    overheard: Mapping[Topic, Handler]
    """What is heard on a home link."""
    tunnels: Tunnels
    ipv4: Ipv4Tunnels
    local: LocalDelivery
    reject: Callable[[Inbound, int], None]
    """Refuses a Binding Update that is not proved, with a status."""


class Reception:
    """Takes packets apart and hands them over."""

    def __init__(
        self,
        config: HomeAgentConfig,
        directory: Directory,
        outlet: Outlet,
        guard: HomeGuard,
        desks: Desks,
        on_decoded: Callable[[], None] | None = None,
    ) -> None:
        self._config = config
        self._directory: Final = directory
        self._outlet: Final = outlet
        self._guard: Final = guard
        self._desks: Final = desks
        self._on_decoded: Final = on_decoded
        self._sources = SourceLimiter(config.source_rate, config.source_burst, config.max_sources)

    def reconfigure(self, config: HomeAgentConfig) -> None:
        """Go by other limits from now on. When the rate for each source changes, all start with a full bucket."""
        old, self._config = self._config, config
        if (old.source_rate, old.source_burst, old.max_sources) != (
            config.source_rate,
            config.source_burst,
            config.max_sources,
        ):
            self._sources = SourceLimiter(config.source_rate, config.source_burst, config.max_sources)

    def receive(self, packet: bytes, now: float, link: LinkInfo | None, obstacle: Obstacle | None = None) -> None:
        """Take an IPv6 packet."""
        outlet = self._outlet
        outlet.count("received")
        try:
            decoded = decode_packet(packet)
        except WireError as error:
            if packet[:1] and packet[0] >> 4 == 4:
                self._receive_ipv4(packet, now)
            else:
                self._refuse_malformed(packet, error, now, obstacle)
            return
        if self._on_decoded is not None:
            self._on_decoded()
        if not self._sources.admits(decoded.source, now):
            outlet.drop(DropReason.SOURCE_RATE, decoded.source)
        elif decoded.destination in self._directory.home_agents:
            if decoded.routing_address is None:
                self._receive_ours(packet, decoded, now, link)
            else:
                # RFC 6275 section 6.4.2: what it leads to has to be a home address of the receiver.
                outlet.drop(DropReason.ROUTING_HEADER, decoded.source)
        else:
            self._receive_other(Inbound(decoded, packet, now, link, obstacle=obstacle))

    def _receive_ipv4(self, packet: bytes, now: float) -> None:
        source = mapped(Ipv4Address(packet[12:16]))
        if self._sources.admits(source, now):
            self._desks.ipv4.on_packet(packet, now)
        else:
            self._outlet.drop(DropReason.SOURCE_RATE, source)

    def _receive_ours(self, packet: bytes, decoded: Packet, now: float, link: LinkInfo | None) -> None:
        """Take a packet for a home agent address."""
        in_esp = decoded.protocol == _ESP
        if in_esp:
            opened = self._guard.open(packet, decoded)
            if isinstance(opened, DropReason):
                self._outlet.drop(opened, decoded.source)
                return
            packet, decoded = opened
        inbound = Inbound(decoded, packet, now, link, in_esp=in_esp)
        if decoded.home_address is not None and not self._desks.local.admits(inbound):
            return
        about = topic(decoded, packet)
        handler = self._desks.ours.get(about) if about is not None else None
        if handler is not None:
            self._hand_over(handler, inbound)
        elif isinstance(decoded.message, UnknownMessage | Heartbeat):
            self._refuse_unknown(inbound, decoded.message)
        elif isinstance(decoded.message, HomeTestInit | CareOfTestInit):
            self._outlet.drop(DropReason.NOT_A_CORRESPONDENT, decoded.source)
        elif decoded.protocol == Protocol.UDP:
            self._desks.local.on_datagram(inbound)
        elif decoded.message is None:
            self._outlet.drop(DropReason.NOT_SIGNALLING, decoded.source, f"protocol {decoded.protocol}")
        else:
            self._outlet.drop(DropReason.UNEXPECTED_MESSAGE, decoded.source, type(decoded.message).__name__)

    def _receive_other(self, inbound: Inbound) -> None:
        """Take a packet that is for no home agent address."""
        about = topic(inbound.packet, inbound.octets)
        handler = self._desks.overheard.get(about) if about is not None else None
        if handler is not None:
            handler(inbound)
        elif inbound.obstacle is not None or self._desks.tunnels.serves(inbound.packet.destination):
            self._desks.tunnels.on_transit(inbound.octets, inbound.now, inbound.obstacle)
        else:
            self._outlet.drop(DropReason.NOT_FOR_US, inbound.packet.source)

    def _hand_over(self, handler: Handler, inbound: Inbound) -> None:
        """Hand a packet to its handler, if it is proved where that is asked for: nothing else may change a binding."""
        verdict = self._proof(inbound)
        if isinstance(verdict, DropReason):
            self._outlet.drop(verdict, inbound.packet.source)
        elif verdict is PASSED:
            handler(inbound)  # as it is: there was nothing to prove
        elif verdict.status is None:
            handler(inbound.proved(verdict.protection))
        elif isinstance(inbound.packet.message, BindingUpdate):
            self._desks.reject(inbound.proved(verdict.protection), verdict.status)
        else:
            self._outlet.drop(DropReason.UNPROTECTED, inbound.packet.source)

    def _proof(self, inbound: Inbound) -> Verdict | DropReason:
        message = inbound.packet.message
        if isinstance(message, BindingUpdate):
            # A correspondent registration proves itself by return routability, not by the home agent's keys.
            needed = bool(message.flags & _HOME_REGISTRATION) or not self._config.correspondent
        else:
            needed = (
                isinstance(message, RevocationIndication | RevocationAcknowledgement) or inbound.is_prefix_solicitation
            )
        if not needed:
            return PASSED
        return self._guard.verify(inbound.packet, inbound.octets, inbound.now, in_esp=inbound.in_esp)

    def _refuse_unknown(self, inbound: Inbound, message: UnknownMessage | Heartbeat) -> None:
        """Answer with a Binding Error (RFC 6275 section 9.2)."""
        packet = inbound.packet
        self._outlet.drop(DropReason.UNKNOWN_MESSAGE, packet.source, f"type {message.type}")
        if self._outlet.may_report(packet.source, inbound.now):
            home_address = packet.home_address or UNSPECIFIED
            self._outlet.send(unknown_message_report(packet.destination, packet.source, home_address))

    def _refuse_malformed(self, packet: bytes, error: WireError, now: float, obstacle: Obstacle | None) -> None:
        destination = Address(packet[24:40]) if len(packet) >= HEADER_LENGTH else None
        ours = destination in self._directory.home_agents
        if destination is not None and not ours and (obstacle is not None or self._desks.tunnels.serves(destination)):
            # What is malformed for us, a fragment say, may be none of our business.
            self._desks.tunnels.on_transit(packet, now, obstacle)
            return
        source = Address(packet[8:24]) if destination is not None else None
        self._outlet.drop(DropReason.MALFORMED, source, str(error))
        if source is None or not ours:
            return
        report = problem_report(packet, error)
        if report is not None and self._outlet.may_report(source, now):
            self._outlet.send(report)
