"""Tunnels where they need a head: errors from inside of them, and packets that switches hand up instead of tunnelling.

RFC 2473 sections 4, 7 and 8, RFC 6275 sections 10.4.2 and 10.4.3, RFC 4443 section 2.4.

| packet | what happens |
|---|---|
| unreachable, time exceeded, limit of nesting from inside of a tunnel | destination unreachable (address) to the original source |
| packet too big from inside of a tunnel | the tunnel's MTU shrinks; packet too big to the original source, if it can send smaller |
| to a node's link-local address, or to an address of a virtual network without binding | destination unreachable (address) |
| hop limit used up | time exceeded |
| its tunnel encapsulation limit is 0 | parameter problem, pointing at the limit |
| longer than the tunnel's MTU | packet too big; up to 1280 octets: the outer packet goes in fragments |
| any other for a node or its networks | to the node's preferred binding: through its tunnel, or on the home link |
"""

from collections import Counter
from struct import Struct
from typing import Final

from controller.mobility.address import Address, Prefix, is_routable_unicast
from controller.mobility.events import DropReason
from controller.mobility.model import Binding, NodeRecord
from controller.mobility.outlet import Outlet
from controller.mobility.parts import Fault, Inbound, Obstacle, Part, RecordView
from controller.mobility.path_mtus import PathMtus
from controller.mobility.provision import Directory, LinkKind
from controller.mobility.wire.codes import IcmpType, Protocol
from controller.mobility.wire.errors import WireError
from controller.mobility.wire.icmp import error_packet, is_sound, link_local
from controller.mobility.wire.packet import HEADER_LENGTH, MINIMUM_MTU
from controller.mobility.wire.tunnel import addresses, encapsulate
from controller.values import value

_UNREACHABLE_ADDRESS: Final = 3
_NO_ROUTE: Final = 0
_REDIRECT: Final = 137
_LIMIT_OPTION: Final = 4
"""Tunnel encapsulation limit (RFC 2473 section 4.1.1)."""
_FRAGMENT: Final = Struct("!BxHI")


@value
class Quoted:
    """A tunnelled packet inside of an ICMPv6 error."""

    care_of: Address
    """Where its tunnel ended."""
    limit: int | None
    """Offset of its tunnel encapsulation limit in the quoted packet."""
    inner: bytes
    """As much of the original packet as came along; at least its IPv6 header."""


def read_quoted(quoted: bytes, home_agent: Address) -> Quoted | None:
    """Return what an ICMPv6 error quotes, if that is a packet of ours in a tunnel."""
    if len(quoted) < 2 * HEADER_LENGTH or quoted[0] >> 4 != 6 or quoted[8:24] != home_agent:
        return None
    protocol, offset, limit = quoted[6], HEADER_LENGTH, None
    if protocol == Protocol.DESTINATION_OPTIONS:
        limit = find_limit(quoted, HEADER_LENGTH)
        protocol, offset = quoted[offset], offset + 8 + 8 * quoted[offset + 1]
    inner = quoted[offset:]
    if protocol != Protocol.IPV6 or len(inner) < HEADER_LENGTH or inner[0] >> 4 != 6:
        return None
    return Quoted(Address(quoted[24:40]), limit, inner)


def find_limit(packet: bytes, offset: int) -> int | None:
    """Return where the tunnel encapsulation limit stands in the destination options at `offset`, or None."""
    end = min(len(packet), offset + 8 + 8 * packet[offset + 1])
    at = offset + 2
    while at + 2 < end:
        if packet[at] == _LIMIT_OPTION and packet[at + 1] == 1:
            return at + 2
        at += 1 if packet[at] == 0 else 2 + packet[at + 1]
    return None


def may_be_reported(invoking: bytes) -> bool:
    """Tell whether a packet may cause an ICMPv6 error (RFC 4443 section 2.4 e)."""
    source, destination = Address(invoking[8:24]), invoking[24]
    if not is_routable_unicast(source) or destination == 0xFF:
        return False
    if invoking[6] != Protocol.ICMPV6 or len(invoking) <= HEADER_LENGTH:
        return True
    kind = invoking[HEADER_LENGTH]
    return kind >= 128 and kind != _REDIRECT


def fragments(packet: bytes, mtu: int, identification: int) -> list[bytes]:
    """Return an IPv6 packet without extension headers in fragments of at most `mtu` octets (RFC 8200 section 4.5)."""
    payload = packet[HEADER_LENGTH:]
    size = (mtu - HEADER_LENGTH - 8) // 8 * 8
    pieces = []
    for start in range(0, len(payload), size):
        piece = payload[start : start + size]
        more = start + size < len(payload)
        head = _FRAGMENT.pack(packet[6], start | more, identification)
        length = (len(head) + len(piece)).to_bytes(2)
        pieces.append(packet[:4] + length + bytes((Protocol.FRAGMENT,)) + packet[7:40] + head + piece)
    return pieces


class Tunnels(Part):
    """The home agent's own end of the tunnels."""

    def __init__(self, directory: Directory, outlet: Outlet, record: RecordView) -> None:
        self._directory: Final = directory
        self._outlet: Final = outlet
        self._record: Final = record
        self.paths: Final = PathMtus()
        """What is known of the ways to care-of addresses."""
        self._networks: Final[dict[Prefix, Address]] = {}
        self._lengths: Final[Counter[int]] = Counter()
        self._link_locals: Final[dict[Address, Address]] = {}
        self._identification = 0

    def next_timer(self) -> float | None:
        """Return when something learnt of a path has had its time."""
        return self.paths.next_timer()

    def handle_timer(self, now: float) -> None:
        """Forget what has."""
        self.paths.handle_timer(now)

    # What comes in force

    def restored(self, record: NodeRecord) -> None:
        """Know the networks behind a node."""
        for prefix in record.prefixes if record.bindings else ():
            self._networks[prefix] = record.home_address
            self._lengths[prefix.length] += 1
        if record.bindings:
            self._link_locals[link_local(record.home_address)] = record.home_address

    def changed(self, before: NodeRecord | None, after: NodeRecord | None, now: float) -> None:
        """Follow the networks behind a node, and forget what is known of paths that nobody uses."""
        del now
        if before is not None and self.paths:
            kept = () if after is None else [binding.care_of for binding in after.bindings]
            for binding in before.bindings:
                if binding.care_of not in kept:
                    self.paths.forget(binding.care_of)
        if before is not None and after is not None and _behind(before) == _behind(after):
            return  # as nearly always: a refresh, or another care-of address
        if before is not None:
            for prefix in before.prefixes:
                if self._networks.pop(prefix, None) is not None:
                    self._lengths[prefix.length] -= 1
            self._link_locals.pop(link_local(before.home_address), None)
        if after is not None:
            self.restored(after)

    def _node(self, destination: Address) -> NodeRecord | None:
        """Return the node to which packets for an address go."""
        record = self._record(destination)
        if record is not None and record.bindings:
            return record
        number = int.from_bytes(destination)
        for length in sorted(+self._lengths, reverse=True):
            network = Address((number >> (128 - length) << (128 - length)).to_bytes(16))
            if (owner := self._networks.get(Prefix(network, length))) is not None:
                return self._record(owner)
        return None

    # Errors from inside of a tunnel

    def on_error(self, inbound: Inbound) -> None:
        """Pass an ICMPv6 error on to the source of the packet that was in the tunnel (RFC 2473 section 8)."""
        packet, message, now = inbound.packet, inbound.upper, inbound.now
        quoted = None
        if is_sound(packet.source, packet.destination, message, 8 + 2 * HEADER_LENGTH):
            quoted = read_quoted(message[8:], packet.destination)
        record = None if quoted is None else self._node(Address(quoted.inner[24:40]))
        # Only what this home agent could have sent: an error about a tunnel that there is not is a forgery, or too late.
        if quoted is None or record is None or all(one.care_of != quoted.care_of for one in record.bindings):
            self._outlet.drop(DropReason.NOT_SIGNALLING, packet.source, f"ICMPv6 type {message[0] if message else 0}")
            return
        parameter = int.from_bytes(message[4:8])
        if message[0] == IcmpType.PACKET_TOO_BIG:
            if not self.paths.learn(quoted.care_of, message, now):
                self._outlet.drop(DropReason.PATH_MTU, packet.source, f"MTU {parameter}")
            elif len_of(quoted.inner) > MINIMUM_MTU:
                mtu = max(self.paths.inside(quoted.care_of), MINIMUM_MTU)
                self._report(packet.destination, IcmpType.PACKET_TOO_BIG, 0, mtu, quoted.inner, now)
        elif message[0] != IcmpType.PARAMETER_PROBLEM or parameter == quoted.limit:
            # A parameter problem elsewhere in the outer header is the home agent's own fault.
            self._report(
                packet.destination,
                IcmpType.DESTINATION_UNREACHABLE,
                _UNREACHABLE_ADDRESS,
                0,
                quoted.inner,
                now,
            )

    def _report(self, source: Address, kind: IcmpType, code: int, parameter: int, invoking: bytes, now: float) -> None:
        if may_be_reported(invoking) and self._outlet.may_report(Address(invoking[8:24]), now):
            self._outlet.send(error_packet(source, kind, code, parameter, invoking))

    # Packets that switches hand up

    def serves(self, destination: Address) -> bool:
        """Tell whether packets for an address are the home agent's business, though it is not its own address."""
        return (
            destination in self._link_locals
            or self._node(destination) is not None
            or self._directory.home_of(destination) is not None
        )

    def on_transit(self, octets: bytes, now: float, obstacle: Obstacle | None = None) -> None:
        """Tunnel a packet for a node, or tell its source why not."""
        try:
            source, destination = addresses(octets)
        except WireError as error:
            self._outlet.drop(DropReason.MALFORMED, None, str(error))
            return
        octets = octets[: len_of(octets)]
        record = self._node(destination)
        if record is None:
            if obstacle is None or obstacle.fault is Fault.UNREACHABLE:
                self._refuse_unbound(source, destination, octets, now, routed=obstacle is not None)
            else:
                self._tell(self._speaker(destination), obstacle, octets, now)
            return
        home_agent = record.home_agent
        if octets[7] <= 1:
            self._report(home_agent, IcmpType.TIME_EXCEEDED, 0, 0, octets, now)
            return
        limit = find_limit(octets, HEADER_LENGTH) if octets[6] == Protocol.DESTINATION_OPTIONS else None
        if limit is not None and octets[limit] == 0:
            self._report(home_agent, IcmpType.PARAMETER_PROBLEM, 0, limit, octets, now)
            return
        preferred = record.preferred
        assert preferred is not None
        inner = octets[:7] + bytes((octets[7] - 1,)) + octets[8:]
        if preferred.at_home:
            # RFC 5648 section 5.6.4: to the address it gave, without asking the neighbours.
            self._outlet.send_on_link(home_agent, preferred.link_layer, inner)
        else:
            self._tunnel(inner, octets, record, preferred, now, obstacle)

    def _speaker(self, destination: Address) -> Address:
        """Return the address in whose name errors about packets for a destination leave (RFC 4443 section 2.2)."""
        network = self._directory.home_of(destination)
        return network.home_agent if network is not None else next(iter(self._directory.home_agents))

    def _tell(self, source: Address, obstacle: Obstacle, octets: bytes, now: float) -> None:
        """Report what stopped a packet that is not for a node (RFC 4443 sections 3.1 to 3.3)."""
        match obstacle.fault:
            case Fault.HOP_LIMIT:
                self._report(source, IcmpType.TIME_EXCEEDED, 0, 0, octets, now)
            case Fault.TOO_BIG:
                self._report(source, IcmpType.PACKET_TOO_BIG, 0, max(obstacle.mtu, MINIMUM_MTU), octets, now)
            case Fault.UNREACHABLE:
                self._report(source, IcmpType.DESTINATION_UNREACHABLE, _NO_ROUTE, 0, octets, now)

    def _tunnel(
        self,
        inner: bytes,
        original: bytes,
        record: NodeRecord,
        binding: Binding,
        now: float,
        obstacle: Obstacle | None = None,
    ) -> None:
        """Send a packet through a tunnel, in the way its length allows (RFC 2473 section 7.1)."""
        mtu = self.paths.inside(binding.care_of)
        if obstacle is not None and obstacle.fault is Fault.TOO_BIG:
            # The switch knows the link; fragments carry 8 octets of payload at least, whatever it says.
            mtu = max(min(mtu, obstacle.mtu), MINIMUM_MTU - HEADER_LENGTH)
        if len(inner) > mtu and len(inner) > MINIMUM_MTU:
            self._report(record.home_agent, IcmpType.PACKET_TOO_BIG, 0, max(mtu, MINIMUM_MTU), original, now)
            return
        outer = encapsulate(inner, record.home_agent, binding.care_of)
        if len(inner) <= mtu:
            self._outlet.send(outer)
            return
        self._identification = (self._identification + 1) & 0xFFFFFFFF
        for piece in fragments(outer, mtu + HEADER_LENGTH, self._identification):
            self._outlet.send(piece)

    def _refuse_unbound(
        self, source: Address, destination: Address, octets: bytes, now: float, *, routed: bool
    ) -> None:
        """Answer a packet for a node's link-local address, or for one of a virtual network that is bound to nobody.

        A switch that has no route for one of others' packets (`routed`) says so.
        """
        home_address = self._link_locals.get(destination)
        record = None if home_address is None else self._record(home_address)
        network = self._directory.home_of(destination)
        home_agent = record.home_agent if record is not None else None
        if home_agent is None and network is not None and network.link is LinkKind.VIRTUAL:
            home_agent = network.home_agent
        if home_agent is None and routed:
            self._tell(self._speaker(destination), Obstacle(Fault.UNREACHABLE), octets, now)
            return
        if home_agent is None:
            self._outlet.drop(DropReason.NOT_FOR_US, source)
            return
        self._report(home_agent, IcmpType.DESTINATION_UNREACHABLE, _UNREACHABLE_ADDRESS, 0, octets, now)


def _behind(record: NodeRecord) -> tuple[object, ...]:
    """Return what decides about the networks that are reached through a node."""
    return record.prefixes, not record.bindings


def len_of(packet: bytes) -> int:
    """Return the length of an IPv6 packet as its header says it."""
    return HEADER_LENGTH + int.from_bytes(packet[4:6])
