"""Return routability and correspondent registration from the mobile node's side (RFC 6275 sections 11.6 and 11.7, RFC 5648 section 5).

Each correspondent has a `node_peer.Peer`, whose table says what happens when; this module sends and reads for all of them. With several
care-of addresses each has a care-of token and a Binding Update of its own, one at a time (RFC 5648 section 5.2): in bulk they are
for home agents only.
"""

from dataclasses import replace
from typing import Final

from controller.mobility.address import Address, is_routable_unicast
from controller.mobility.model import NO_BID, Binding, is_newer
from controller.mobility.node_events import RouteLost, RouteOptimised
from controller.mobility.node_identifiers import Identifiers
from controller.mobility.node_outlet import NodeOutlet
from controller.mobility.node_peer import (
    MAX_FAILURES,
    MAX_TIMEOUT,
    Claim,
    Peer,
    Situation,
    Task,
    Test,
    Token,
)
from controller.mobility.return_routability import MAX_TOKEN_LIFETIME, is_genuine, management_key, sign
from controller.mobility.wire.codes import LIFETIME_UNIT, BindingErrorStatus, IcmpType, Protocol, Status, UpdateFlag
from controller.mobility.wire.icmp import is_sound
from controller.mobility.wire.messages import (
    BindingAcknowledgement,
    BindingError,
    BindingRefreshRequest,
    BindingUpdate,
    CareOfTest,
    CareOfTestInit,
    HomeTest,
    HomeTestInit,
)
from controller.mobility.wire.options import BindingIdentifier, NonceIndices, Option
from controller.mobility.wire.packet import HEADER_LENGTH, Packet, encode_packet

__all__ = ["Correspondents", "Situation"]

MAX_PEERS: Final = 1024
"""Correspondents at a time."""
_EXPIRED: Final = frozenset(
    {Status.EXPIRED_HOME_NONCE_INDEX, Status.EXPIRED_CARE_OF_NONCE_INDEX, Status.EXPIRED_NONCES}
)


class Correspondents:
    """The Binding Update List, as far as it is about correspondents (RFC 6275 section 11.1)."""

    def __init__(self, home_address: Address, identifiers: Identifiers, outlet: NodeOutlet) -> None:
        self._home_address: Final = home_address
        self._identifiers: Final = identifiers
        self._outlet: Final = outlet
        self._peers: Final[dict[Address, Peer]] = {}

    def __contains__(self, address: object) -> bool:
        return address in self._peers

    def __len__(self) -> int:
        return len(self._peers)

    def add(self, correspondent: Address) -> None:
        """Want a correspondent to know the care-of addresses.

        Raises:
            RuntimeError: there is no source of randomness.
            ValueError: the address cannot be one of a correspondent, or there are `MAX_PEERS` of them.
        """
        if correspondent in self._peers:
            peer = self._peers[correspondent]
            peer.wanted = True
            peer.rests_until = None
            return
        if not is_routable_unicast(correspondent) or correspondent == self._home_address:
            raise ValueError("a correspondent has a routable unicast address of its own")
        if len(self._peers) >= MAX_PEERS:
            raise ValueError(f"{MAX_PEERS} correspondents are the most that are registered with")
        self._peers[correspondent] = Peer(correspondent, int.from_bytes(self._identifiers.cookie()[:2]))

    def remove(self, correspondent: Address) -> None:
        """Want it to know none; it is forgotten once it has said so."""
        if correspondent in self._peers:
            self._peers[correspondent].wanted = False

    def bindings(self, correspondent: Address) -> tuple[Binding, ...]:
        """Return what a correspondent acknowledged, by BID."""
        peer = self._peers.get(correspondent)
        return () if peer is None else tuple(peer.bindings[bid] for bid in sorted(peer.bindings))

    # Time

    def follow(self, situation: Situation) -> None:
        """Do the next step with each correspondent, as things are now."""
        for peer in tuple(self._peers.values()):
            self._step(peer, situation)

    def next_timer(self) -> float | None:
        """Return when something is due, or None."""
        times = [peer.next_timer() for peer in self._peers.values()]
        return min((when for when in times if when is not None), default=None)

    def handle_timer(self, situation: Situation) -> None:
        """Repeat what was not answered, and drop what has run out; `follow` does the rest."""
        now = situation.now
        for peer in self._peers.values():
            expired = peer.forget([bid for bid, one in peer.bindings.items() if one.expires <= now])
            if expired:
                self._outlet.report(RouteLost(peer.address, "it ran out", expired))
            if peer.rests_until is not None and peer.rests_until <= now:
                peer.rests_until = None
            if peer.held_until is not None and peer.held_until <= now:
                peer.held_until = None
            if peer.claim is not None and peer.claim.deadline <= now:
                self._unanswered(peer, peer.claim, now)
            for tested, test in tuple(peer.tests.items()):
                if test.deadline > now or not test.cookie:
                    continue
                if test.repeated >= MAX_FAILURES:
                    self._give_up(peer, "it does not answer", now)
                    break
                peer.tests[tested] = replace(test, cookie=b"")

    def _unanswered(self, peer: Peer, claim: Claim, now: float) -> None:
        peer.claim = None
        peer.timeout = 2 * claim.timeout
        if peer.timeout >= MAX_TIMEOUT:
            self._give_up(peer, "it does not acknowledge", now)

    def _give_up(self, peer: Peer, reason: str, now: float) -> None:
        bids = peer.rest(now)
        self._outlet.report(RouteLost(peer.address, reason, bids))

    # Sending

    def _step(self, peer: Peer, situation: Situation) -> None:
        """Send what is to be sent next."""
        peer.looked_at = situation.now
        if peer.claim is not None or peer.rests_until is not None:
            if peer.rests_until is not None and not peer.wanted:
                del self._peers[peer.address]
            return
        tasks = peer.tasks(situation)
        if not tasks or situation.from_home is None:
            peer.tests.clear()
            if not peer.wanted and not tasks:
                del self._peers[peer.address]
            return
        self._test(peer, tasks, situation)
        self._register(peer, tasks, situation)

    def _test(self, peer: Peer, tasks: list[Task], situation: Situation) -> None:
        """Send the inits of all tokens that lack, in parallel (RFC 6275 section 11.6.1)."""
        now = situation.now
        lacking = [] if peer.home_token(now) is not None else [self._home_address]
        care_ofs = dict.fromkeys(task.link.care_of for task in tasks if task.link is not None)
        lacking += [care_of for care_of in care_ofs if peer.care_of_token(care_of, now) is None]
        for tested in [one for one in peer.tests if one not in lacking]:
            del peer.tests[tested]
        for tested in lacking:
            test = peer.tests.get(tested)
            if test is None or not test.cookie:
                self._init(peer, tested, test, situation)

    def _init(self, peer: Peer, tested: Address, before: Test | None, situation: Situation) -> None:
        at_home = tested == self._home_address
        if not peer.may_send(HomeTestInit if at_home else CareOfTestInit, situation.now):
            return
        cookie = self._identifiers.cookie()
        if before is None:
            peer.tests[tested] = Test(cookie, situation.now)
        else:
            timeout = min(2 * before.timeout, MAX_TIMEOUT)
            peer.tests[tested] = Test(cookie, situation.now, timeout, before.repeated + 1)
        if at_home:
            assert situation.from_home is not None
            packet = encode_packet(tested, peer.address, HomeTestInit(cookie))
            self._outlet.send(situation.from_home(packet))
        else:
            self._outlet.send(encode_packet(tested, peer.address, CareOfTestInit(cookie)))

    def _register(self, peer: Peer, tasks: list[Task], situation: Situation) -> None:
        """Send the first Binding Update whose tokens are there."""
        now = situation.now
        home = peer.home_token(now)
        if home is None:
            return
        for task in tasks:
            care_of = None if task.link is None else peer.care_of_token(task.link.care_of, now)
            lifetime = peer.lifetime(task, situation)
            if task.removal or (care_of is not None and lifetime):
                if peer.may_send(BindingUpdate, now):
                    self._send(peer, task, home, care_of, lifetime, situation)
                return

    def _send(
        self, peer: Peer, task: Task, home: Token, care_of: Token | None, lifetime: int, situation: Situation
    ) -> None:
        peer.sequence = (peer.sequence + 1) & 0xFFFF
        key = management_key(home.octets, care_of.octets if care_of is not None else b"")
        binds = self._home_address if task.link is None else task.link.care_of
        peer.claim = Claim(task, peer.sequence, situation.now, peer.timeout, lifetime, key, binds)
        flags = int(UpdateFlag.ACKNOWLEDGE)
        options: list[Option] = []
        if task.bid != NO_BID:
            priority = task.link.priority if task.link is not None else 0
            options.append(BindingIdentifier(task.bid, None if task.link is None else task.link.care_of, priority))
            if peer.first and task.link is not None:
                flags |= UpdateFlag.OVERWRITE
        options.append(NonceIndices(home.index, care_of.index if care_of is not None else 0))
        update = BindingUpdate(peer.sequence, flags, lifetime // LIFETIME_UNIT, tuple(options))
        update = sign(update, key, binds, peer.address)
        # A removal leaves from a care-of address that is in use, or from home (RFC 6275 section 11.7.2).
        source = task.link.care_of if task.link is not None else next((one.care_of for one in situation.links), binds)
        home_address = self._home_address if source != self._home_address else None
        self._outlet.send(encode_packet(source, peer.address, update, home_address=home_address))

    # Receiving

    def receive(self, packet: Packet, message: bytes, situation: Situation, *, by_home: bool) -> None:
        """Take a packet from one of the correspondents.

        Args:
            packet: The packet.
            message: Its upper-layer message.
            situation: What correspondents may be told now.
            by_home: It came to the home address, in the tunnel from the home agent or on the home link.
        """
        peer = self._peers[packet.source]
        content = packet.message
        if isinstance(content, HomeTest) and by_home and packet.routing_address is None:
            self._tested(peer, self._home_address, content, situation)
        elif isinstance(content, CareOfTest):
            self._tested(peer, packet.destination, content, situation)
        elif isinstance(content, BindingAcknowledgement):
            self._acknowledged(peer, content, message, situation)
        elif isinstance(content, BindingRefreshRequest):
            self._refresh(peer, content, situation)
        elif isinstance(content, BindingError):
            self._error(peer, content, situation)
        elif packet.protocol == Protocol.ICMPV6 and self._is_refusal(packet, message):
            self._give_up(peer, "it knows no mobility", situation.now)
        else:
            self._outlet.ignore("of no interest from a correspondent")

    def _tested(self, peer: Peer, tested: Address, content: HomeTest | CareOfTest, situation: Situation) -> None:
        """Take a token, if it answers the init that was sent last (RFC 6275 section 11.6.2)."""
        test = peer.tests.get(tested)
        if test is None or not test.cookie or test.cookie != content.cookie:
            self._outlet.ignore("a test that nothing waits for")
            return
        del peer.tests[tested]
        # RFC 6275 section 5.2.7: 210 s after it was handed out at the latest, and that was after the init.
        token = Token(content.nonce_index, content.token, test.sent + MAX_TOKEN_LIFETIME)
        if tested == self._home_address:
            peer.home = token
        else:
            peer.care_of = {one: kept for one, kept in peer.care_of.items() if kept.until > situation.now} | {
                tested: token
            }

    def _acknowledged(self, peer: Peer, answer: BindingAcknowledgement, header: bytes, situation: Situation) -> None:
        """Take the answer to the Binding Update that is under way (RFC 6275 section 11.7.3)."""
        claim, now = peer.claim, situation.now
        if claim is None:
            self._outlet.ignore("a correspondent's acknowledgement that nothing waits for")
            return
        if answer.status in _EXPIRED and answer.sequence == claim.sequence:
            # RFC 6275 section 9.5.4: these are not signed, there is nothing to sign them with.
            self._nonces_expired(peer, claim, answer.status, now)
        elif not is_genuine(answer, header, claim.key, claim.binds, peer.address):
            self._outlet.ignore("a correspondent's acknowledgement that is not genuine")
        elif answer.status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW and not is_newer(claim.sequence, answer.sequence):
            peer.sequence = answer.sequence
            peer.claim = None
        elif answer.sequence != claim.sequence or answer.status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW:
            self._outlet.ignore("a correspondent's acknowledgement of another Binding Update")
        elif answer.status < 128:
            peer.claim = None
            granted = min(answer.lifetime_units * LIFETIME_UNIT, claim.lifetime)
            binding = peer.note(claim, granted)
            if binding is not None:
                self._outlet.report(RouteOptimised(peer.address, binding))
        elif claim.task.removal:
            peer.claim = None
            peer.forget([claim.task.bid])  # it knows of none, or keeps it until it runs out
        else:
            self._give_up(peer, f"it refuses with status {answer.status}", now)

    def _nonces_expired(self, peer: Peer, claim: Claim, status: int, now: float) -> None:
        peer.claim = None
        peer.expired_nonces += 1
        if peer.expired_nonces > MAX_FAILURES:
            self._give_up(peer, f"it refuses with status {status}", now)
            return
        if status != Status.EXPIRED_CARE_OF_NONCE_INDEX:
            peer.home = None
        if status != Status.EXPIRED_HOME_NONCE_INDEX and claim.task.link is not None:
            peer.care_of.pop(claim.task.link.care_of, None)

    def _refresh(self, peer: Peer, request: BindingRefreshRequest, situation: Situation) -> None:
        """Refresh what a correspondent names, if it is bound there (RFC 6275 section 11.7.4)."""
        named = {option.bid for option in request.options if isinstance(option, BindingIdentifier)}
        for bid in peer.refresh_at:
            if not named or bid in named:
                peer.refresh_at[bid] = situation.now

    def _error(self, peer: Peer, error: BindingError, situation: Situation) -> None:
        """Take a Binding Error (RFC 6275 section 11.3.6)."""
        if error.status == BindingErrorStatus.UNKNOWN_BINDING and peer.bindings:
            bids = peer.forget(list(peer.bindings))
            self._outlet.report(RouteLost(peer.address, "it knows no binding", bids))
        elif error.status == BindingErrorStatus.UNKNOWN_MESSAGE_TYPE and (peer.tests or peer.claim is not None):
            self._give_up(peer, "it knows no return routability", situation.now)
        else:
            self._outlet.ignore("a Binding Error without cause")

    def _is_refusal(self, packet: Packet, message: bytes) -> bool:
        """Tell whether an ICMPv6 message says that a Mobility Header of ours was not understood (RFC 6275 section 11.3.5)."""
        if (
            not is_sound(packet.source, packet.destination, message, 8 + HEADER_LENGTH)
            or message[:2] != _NOT_UNDERSTOOD
        ):
            return False
        quoted = message[8:]
        return quoted[24:40] == packet.source and _speaks_mobility(quoted)


_NOT_UNDERSTOOD: Final = bytes((IcmpType.PARAMETER_PROBLEM, 1))
"""An unrecognised next header (RFC 4443 section 3.4)."""


def _speaks_mobility(quoted: bytes) -> bool:
    """Tell whether a quoted packet of ours has a Mobility Header, right away or after a Home Address option."""
    following = quoted[6]
    if following == Protocol.DESTINATION_OPTIONS and len(quoted) > HEADER_LENGTH:
        following = quoted[HEADER_LENGTH]
    return following == Protocol.MOBILITY
