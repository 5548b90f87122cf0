"""A mobile node as a machine without I/O: the peer of `HomeAgent`.

It keeps what it wants (its links) and what was acknowledged (its bindings), and sends one Binding Update after the other
until the two agree. So every loss, refusal or restart is handled by the same step: look at the difference again.
"""

from collections import deque
from dataclasses import replace
from typing import Final

from controller.mobility.address import Address
from controller.mobility.flows import FlowEntry
from controller.mobility.model import NO_BID, Binding
from controller.mobility.node_events import (
    AtHome,
    FlowRefused,
    Ignored,
    LinkRefused,
    NodeEvent,
    PrefixesAdvertised,
    Registered,
    RegistrationRefused,
    Removed,
    Revoked,
    SwitchAdvised,
)
from controller.mobility.node_flows import FlowBook
from controller.mobility.node_ledger import Ledger
from controller.mobility.node_plan import (
    Link,
    MobileNodeConfig,
    Outstanding,
    Plan,
    PlanKind,
    Wish,
    build_update,
    next_plan,
)
from controller.mobility.node_prefixes import PrefixFollower
from controller.mobility.rules import is_newer
from controller.mobility.security.esp import SequenceExhaustedError
from controller.mobility.security.node_guard import NodeEnds, NodeGuard, UnprovedError
from controller.mobility.security.policy import EspPolicy, SecurityContext
from controller.mobility.wire.codes import LIFETIME_UNIT, Protocol, Status
from controller.mobility.wire.control_messages import (
    HomeAgentSwitch,
    RevocationAcknowledgement,
    RevocationIndication,
    RevocationStatus,
)
from controller.mobility.wire.errors import Malformation, WireError
from controller.mobility.wire.messages import BindingAcknowledgement, BindingRefreshRequest
from controller.mobility.wire.options import BindingIdentifier
from controller.mobility.wire.packet import Packet, decode_packet
from controller.mobility.wire.tunnel import Tunnelled, addresses, decapsulate, encapsulate

__all__ = ["Link", "MobileNode", "MobileNodeConfig"]

FIRST_TIMEOUT: Final = 1.5
"""Seconds before the first registration is sent again: InitialBindackTimeoutFirstReg (RFC 6275 section 12)."""
TIMEOUT: Final = 1.0
"""Seconds before any other Binding Update is sent again: INITIAL_BINDACK_TIMEOUT."""
MAX_TIMEOUT: Final = 32.0
"""MAX_BINDACK_TIMEOUT; also the pause after a refusal that may pass."""
MAX_UPDATE_RATE: Final = 3
"""Binding Updates in any second (RFC 6275 section 12)."""

_PASSING: Final = frozenset({Status.REASON_UNSPECIFIED, Status.INSUFFICIENT_RESOURCES})
"""Statuses that say nothing against asking again later."""


class MobileNode:
    """A mobile node or mobile router with several links (RFC 6275 section 11, RFC 5648 section 5, RFC 3963 section 5)."""

    def __init__(self, config: MobileNodeConfig, *, security: SecurityContext | None = None) -> None:
        self.config: Final = config
        self._guard: Final = NodeGuard(config.security, NodeEnds(config.home_address, config.home_agent), security)
        self._links: Final[dict[int, Link]] = {}
        self._ledger: Final = Ledger()
        self._flows: Final = FlowBook()
        self._prefixes: Final = PrefixFollower(config.home_address, config.home_agent)
        self._refused: Final[set[Link]] = set()
        self._outstanding: Outstanding | None = None
        self._sequence = config.first_sequence
        self._multiple = config.multiple_care_of
        self._bulk = config.bulk
        self._overwrite = True
        self._active = False
        self._halted = False
        self._registered_before = False
        self._not_before: float | None = None
        self._last_care_of: Address | None = None
        self.last_answer: BindingAcknowledgement | None = None
        """The acknowledgement that came last and was proved to be the home agent's."""
        self._sent: Final[deque[float]] = deque(maxlen=MAX_UPDATE_RATE)
        self._outbox: list[bytes] = []
        self._events: list[NodeEvent] = []

    # What the node is told to do

    def attach(self, bid: int, care_of: Address, priority: int = 0) -> None:
        """Note a link, or its new care-of address; `register` then tells the home agent.

        Raises:
            ValueError: the BID is not 1 to 65535, or the priority not 0 to 127.
        """
        if not 1 <= bid <= 0xFFFF:
            raise ValueError(f"BID {bid} is not in 1 to 65535")
        if not 0 <= priority <= 0x7F:
            raise ValueError(f"priority {priority} of BID {bid} is not in 0 to 127")
        self._refused.discard(self._links.get(bid, Link(bid, care_of)))
        self._links[bid] = Link(bid, care_of, priority)

    def attach_home(self, bid: int, link_layer: bytes | None = None, priority: int = 0) -> None:
        """Note that a link is the home link, to be used beside the others (RFC 5648 section 5.6.3); `register` then tells.

        Raises:
            ValueError: the BID is not 1 to 65535, the priority not 0 to 127, or the link-layer address has not 6 octets.
        """
        if link_layer is not None and len(link_layer) != 6:
            raise ValueError(f"a link-layer address has 6 octets, not {len(link_layer)}")
        self.attach(bid, self.config.home_address, priority)
        self._links[bid] = replace(self._links[bid], at_home=True, link_layer=link_layer)

    def return_home(self, now: float) -> None:
        """Use the home link alone: forget all links and have all bindings removed, from the home link (RFC 5648 section 5.5.1)."""
        self._links.clear()
        self._last_care_of = self.config.home_address
        self.deregister_all(now)

    def solicit_prefixes(self, now: float) -> None:
        """Ask for the home prefixes, again and again until they come. Without a binding nothing is sent."""
        care_of = next((binding.care_of for binding in self.bindings if not binding.at_home), None)
        if care_of is None:
            self._prefixes.stop()
        else:
            self._send_solicitation(self._prefixes.solicit(care_of, now), now)

    def register(self, now: float) -> None:
        """Tell the home agent of all links, and keep the bindings alive from now on."""
        self._active = True
        self._halted = False
        self._refused.clear()
        self._flows.ask_again()
        self._advance(now)

    def update(self, bid: int, care_of: Address, now: float) -> None:
        """Move a BID to another care-of address and tell the home agent (handover).

        Raises:
            KeyError: no link has that BID.
        """
        link = self._links[bid]
        self._refused.discard(link)
        self._links[bid] = Link(bid, care_of, link.priority)
        self._active = True
        self._halted = False
        self._advance(now)

    def deregister(self, bid: int, now: float) -> None:
        """Give a link up and have its binding removed, by way of another link if there is one (RFC 5648 section 5.4)."""
        link = self._links.pop(bid, None)
        if link is not None:
            self._last_care_of = link.care_of
            self._advance(now)

    def deregister_all(self, now: float) -> None:
        """Have all bindings removed. The links stay noted, for `register`."""
        self._active = False
        self._halted = False
        self._advance(now)

    def refresh(self, now: float) -> None:
        """Refresh all bindings now (RFC 5648 section 5.1: without care-of addresses)."""
        self._ledger.make_due(self._ledger.bindings, now)
        self._advance(now)

    def bind_flow(self, flow: FlowEntry, now: float) -> None:
        """Have packets of a flow sent to its BIDs once those are registered (RFC 6089 section 5.2); a known FID is changed.

        Raises:
            ValueError: it cannot be signalled; the text says why.
        """
        self._flows.bind(flow)
        self._advance_when_settled(now)

    def release_flow(self, fid: int, now: float) -> None:
        """Have a flow binding removed."""
        self._flows.release(fid)
        self._advance_when_settled(now)

    def _advance_when_settled(self, now: float) -> None:
        if self.settled:
            self._advance(now)

    # Packets and time

    def receive(self, packet: bytes, now: float) -> None:
        """Take an IPv6 packet. Nothing that it holds raises."""
        try:
            decoded = decode_packet(packet)
            in_esp = decoded.protocol == Protocol.ESP
            packet, decoded = self._guard.open(packet, decoded)
        except (WireError, UnprovedError) as error:
            self._events.append(Ignored(str(error)))
            return
        home_address = self.config.home_address
        for_us = home_address in {decoded.routing_address, decoded.destination} or decoded.protocol == Protocol.IPV6
        if decoded.source != self.config.home_agent or not for_us:
            self._events.append(Ignored("not from the home agent to the home address"))
        elif isinstance(decoded.message, BindingAcknowledgement | RevocationIndication | HomeAgentSwitch):
            try:
                self._guard.check(packet, decoded, in_esp=in_esp)
                self._take_proved(decoded.message, decoded.destination, now)
            except UnprovedError as error:
                self._events.append(Ignored(f"a message that is not proved: {error}"))
        elif decoded.protocol == Protocol.IPV6:
            self._receive_tunnelled(packet, now)
        elif isinstance(decoded.message, BindingRefreshRequest):
            self._refresh_requested(decoded.message, now)
        elif decoded.protocol == Protocol.ICMPV6:
            self._prefixes_advertised(packet, decoded, now, in_esp=in_esp)
        else:
            self._events.append(Ignored(f"protocol {decoded.protocol} is of no interest"))

    def _take_proved(
        self, message: BindingAcknowledgement | RevocationIndication | HomeAgentSwitch, care_of: Address, now: float
    ) -> None:
        if isinstance(message, BindingAcknowledgement):
            self._guard.check_timestamp(message)
            self.last_answer = message
            self._acknowledged(message, now)
        else:
            self._taken_back(message, care_of, now)

    def handle_timer(self, now: float) -> None:
        """Send again, refresh, and drop what has run out."""
        expired = self._ledger.expire(now)
        if expired:
            self._events.append(Removed(expired, expired=True))
            if not self._ledger.bindings:
                self._flows.forget()
        if self._prefixes.deadline is not None and now >= self._prefixes.deadline:
            self.solicit_prefixes(now)
        outstanding = self._outstanding
        if outstanding is not None:
            if now < outstanding.deadline:
                return
            # RFC 6275 section 11.8: again with a new sequence number and twice the patience. What is sent is what is
            # wanted now, which may have changed.
            timeout = min(2 * outstanding.timeout, MAX_TIMEOUT)
            self._advance(now, timeout=timeout, attempts=outstanding.attempts + 1)
        elif self._not_before is None or now >= self._not_before:
            self._advance(now)

    def next_timer(self) -> float | None:
        """Return when `handle_timer` is due next, or None."""
        times = [self._ledger.next_expiry(), self._prefixes.deadline]
        if self._outstanding is not None:
            times.append(self._outstanding.deadline)
        elif self._not_before is not None:
            times.append(self._not_before)
        elif self._active and not self._halted:
            times.append(self._ledger.next_refresh())
        return min((when for when in times if when is not None), default=None)

    def outbox(self) -> list[bytes]:
        """Return the IPv6 packets to send, in order, once."""
        packets, self._outbox = self._outbox, []
        return packets

    def events(self) -> list[NodeEvent]:
        """Return what happened since the last call."""
        events, self._events = self._events, []
        return events

    # What is known

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """What the home agent acknowledged and has not run out, by BID."""
        return tuple(sorted(self._ledger.bindings.values(), key=lambda binding: binding.bid))

    @property
    def links(self) -> tuple[Link, ...]:
        """The links that are noted, in order of preference (RFC 6089 section 4.4)."""
        return tuple(sorted(self._links.values(), key=lambda link: (link.priority or 128, link.bid)))

    @property
    def settled(self) -> bool:
        """Whether nothing waits for an answer or for a better time."""
        return self._outstanding is None and self._not_before is None

    # Traffic

    def encapsulate(self, inner: bytes, bid: int = NO_BID) -> bytes:
        """Return a packet of this node inside the tunnel of a BID.

        Raises:
            KeyError: that BID is not registered.
            WireError: `inner` is no IPv6 packet, or its source is neither the home address nor in a prefix of this node.
        """
        care_of = self._ledger.bindings[bid].care_of
        source, _ = addresses(inner)
        if not self._owns(source):
            raise WireError(Malformation.TUNNEL, 8)
        return encapsulate(inner, care_of, self.config.home_agent)

    def decapsulate(self, outer: bytes) -> Tunnelled:
        """Return what the home agent tunnelled to this node.

        Raises:
            WireError: it is no tunnelled packet, comes from elsewhere (RFC 6275 section 11.3.3), or is for somebody else.
        """
        tunnelled = decapsulate(outer)
        if tunnelled.outer_source != self.config.home_agent:
            raise WireError(Malformation.TUNNEL, 8)
        if not self._owns(tunnelled.destination):
            raise WireError(Malformation.TUNNEL, 24)
        return tunnelled

    def _owns(self, address: Address) -> bool:
        return address == self.config.home_address or any(address in prefix for prefix in self.config.prefixes)

    # Sending

    def _advance(self, now: float, *, timeout: float | None = None, attempts: int = 1) -> None:
        """Send the next Binding Update on the way to what is wanted."""
        self._outstanding = None
        self._not_before = None
        plan = None if self._halted else next_plan(self._wish(now))
        source = None if plan is None else self._source(plan, attempts)
        if plan is None or source is None:
            return  # nothing to say, or no link to say it from: then the bindings run out by themselves
        if len(self._sent) == MAX_UPDATE_RATE and now < self._sent[0] + 1.0:
            self._not_before = self._sent[0] + 1.0
            return
        if timeout is None:
            timeout = TIMEOUT if self._registered_before else FIRST_TIMEOUT
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._outstanding = Outstanding(plan, self._sequence, now, timeout, attempts)
        self._sent.append(now)
        self._last_care_of = source
        update = build_update(plan, self._sequence, self.config)
        if not plan.plain and plan.kind is not PlanKind.REMOVE_ALL:
            update = replace(update, options=(*update.options, *self._flows.options(self._bids_after(plan))))
        try:
            packet = self._guard.encode(update, source, now)
        except SequenceExhaustedError as error:
            self._outstanding = None
            self._halted = True
            self._events.append(Ignored(str(error)))
            return
        self._outbox.append(packet)
        self._ledger.tell((link.bid for link in plan.links), now + update.lifetime_units * LIFETIME_UNIT)

    def _bids_after(self, plan: Plan) -> frozenset[int]:
        """Return the BIDs that are registered once a plan is carried out."""
        named = frozenset(link.bid for link in plan.links)
        held = frozenset() if plan.overwrite else frozenset(self._ledger.bindings)
        return held - named if plan.removal else held | named

    def _wish(self, now: float) -> Wish:
        links = self.links if self._active else ()
        if links and not self._multiple:
            links = (replace(links[0], bid=NO_BID),)  # one binding without BID, of the best link
        ledger = self._ledger
        return Wish(
            links,
            ledger.bindings,
            ledger.doubtful,
            ledger.due(now),
            self._refused,
            ledger.may_hold(now),
            self._overwrite,
            self._bulk,
            self._multiple and self._flows.due(frozenset(ledger.bindings)),
        )

    def _source(self, plan: Plan, attempts: int) -> Address | None:
        """Return the care-of address to send from: one that the message names, or any other when that was in vain."""
        if plan.plain:
            return plan.links[0].care_of  # without BID option the source is what is registered
        named = [self._links[link.bid].care_of for link in plan.links if link.bid in self._links]
        candidates = list(dict.fromkeys(named + [link.care_of for link in self.links]))
        if not candidates:
            return self._last_care_of
        return candidates[(attempts - 1) % len(candidates)]

    # Answers

    def _acknowledged(self, answer: BindingAcknowledgement, now: float) -> None:
        outstanding = self._outstanding
        if outstanding is None:
            self._events.append(Ignored("an acknowledgement that nothing waits for"))
        elif answer.status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW:
            self._resynchronise(outstanding, answer.sequence, now)
        elif answer.status == Status.IDENTIFICATION_MISMATCH and self._guard.set_clock(answer, now):
            # RFC 4285 section 6: again, by the home agent's clock. When that is ours already, a copy was refused.
            self._advance(now, timeout=outstanding.timeout, attempts=outstanding.attempts)
        elif answer.sequence != outstanding.sequence or answer.status == Status.IDENTIFICATION_MISMATCH:
            self._events.append(Ignored(f"an acknowledgement of {answer.sequence} instead of {outstanding.sequence}"))
        elif answer.status < 128:
            self._outstanding = None
            self._accepted(outstanding, answer)
            self._advance(now)
            if answer.status == Status.ACCEPTED_PREFIX_DISCOVERY_NECESSARY:
                self.solicit_prefixes(now)
        else:
            self._outstanding = None
            self._refused_whole(outstanding, answer.status, now)

    def _resynchronise(self, outstanding: Outstanding, last: int, now: float) -> None:
        """Go on from the number that the home agent accepted last (RFC 6275 section 11.7.3)."""
        if is_newer(outstanding.sequence, last):
            # A copy of an earlier message was refused; the one that is under way will be accepted.
            self._events.append(Ignored("a refusal of an old sequence number"))
            return
        self._sequence = last
        self._advance(now, timeout=outstanding.timeout, attempts=outstanding.attempts)

    def _accepted(self, outstanding: Outstanding, answer: BindingAcknowledgement) -> None:
        plan = outstanding.plan
        self._registered_before = True
        if plan.removal:
            self._flows_acknowledged(plan, answer)
            self._removed(plan)
            return
        statuses = {option.bid: option.status for option in answer.options if isinstance(option, BindingIdentifier)}
        if not plan.plain and not statuses:
            # RFC 5648 sections 3 and 5.7: an answer without BID option comes from a home agent that knows of none.
            self._fall_back_to_one()
            return
        self._flows_acknowledged(plan, answer)
        names = {link.bid for link in plan.links}
        if plan.overwrite or plan.plain:
            others = (self._ledger.bindings.keys() | self._ledger.doubtful) - names
            self._report_removed(self._ledger.forget(others))
        self._overwrite = False
        self._note_bindings(outstanding, answer, statuses)

    def _flows_acknowledged(self, plan: Plan, answer: BindingAcknowledgement) -> None:
        if plan.plain or plan.kind is PlanKind.REMOVE_ALL:
            self._flows.forget()
        else:
            refused = self._flows.acknowledged(answer.options)
            self._events += [FlowRefused(fid, status) for fid, status in refused]

    def _removed(self, plan: Plan) -> None:
        """Note that what the plan names is gone, an unknown BID (133) included."""
        if plan.kind is PlanKind.REMOVE:
            self._report_removed(self._ledger.forget(link.bid for link in plan.links))
            return
        # RFC 5648 section 5.9: the next registration is a first one.
        self._overwrite = True
        self._registered_before = False
        self._report_removed(self._ledger.forget_all())

    def _fall_back_to_one(self) -> None:
        """Go on without BIDs: a binding without BID replaces all others, so there is no need to remove them first."""
        self._multiple = False
        self._report_removed(self._ledger.forget((*self._ledger.bindings, *self._ledger.doubtful)))

    def _note_bindings(
        self,
        outstanding: Outstanding,
        answer: BindingAcknowledgement,
        statuses: dict[int, int],
    ) -> None:
        """Take over what was granted, each BID with its own status (RFC 5648 section 5.7)."""
        granted = answer.lifetime_units * LIFETIME_UNIT
        noted: list[Binding] = []
        for link in outstanding.plan.links:
            status = statuses.get(link.bid, 0)
            if status >= 128:
                self._link_refused(link, status)
                continue
            binding = Binding(
                link.bid,
                link.care_of,
                granted,
                outstanding.sent + granted,
                link.priority,
                link.at_home,
                link.link_layer,
            )
            if link.at_home:
                without = Status.MCOA_RETURNHOME_WO_NDP
                self._events.append(AtHome(link.bid, without not in {answer.status, status}))
            self._ledger.note(binding, outstanding.sent + granted * self.config.refresh_after)
            noted.append(binding)
        if noted:
            self._events.append(Registered(tuple(noted)))

    def _link_refused(self, link: Link, status: int) -> None:
        self._ledger.forget((link.bid,))
        if status != Status.MCOA_UNKNOWN_COA:  # that one is asked again with its care-of address
            self._refused.add(link)
            self._events.append(LinkRefused(link.bid, status))

    def _refused_whole(self, outstanding: Outstanding, status: int, now: float) -> None:
        """Find another way, wait, or give up (RFC 5648 section 5.7, RFC 6275 section 11.7.3)."""
        plan = outstanding.plan
        if plan.removal and status == Status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE:
            self._removed(plan)  # gone is gone
            self._advance(now)
            return
        final = not self._adapt(plan, status)
        self._events.append(RegistrationRefused(status, final))
        if final:
            self._halted = True
        elif status in _PASSING:
            self._not_before = now + MAX_TIMEOUT
        else:
            self._advance(now)

    def _adapt(self, plan: Plan, status: int) -> bool:
        """Change what is sent next in the light of a refusal; False when there is nothing left to try."""
        match status:
            case Status.MCOA_PROHIBITED if self._multiple:
                self._fall_back_to_one()
            case Status.MCOA_BULK_REGISTRATION_PROHIBITED if self._bulk:
                self._bulk = False
            case Status.MCOA_NON_MCOA_BINDING_EXISTS if not plan.overwrite:
                self._overwrite = True
            case Status.MCOA_UNKNOWN_COA if plan.kind is PlanKind.REFRESH:
                self._ledger.forget(link.bid for link in plan.links)
            case _ if status in _PASSING:
                pass
            case _ if len(plan.links) == 1 and len(self._links) > 1 and plan.kind is PlanKind.REGISTER:
                self._link_refused(plan.links[0], status)
            case _:
                return False
        return True

    def _receive_tunnelled(self, outer: bytes, now: float) -> None:
        """Take signalling that the home agent sent to the home address, in a tunnel as it must (RFC 6275 section 6.1)."""
        try:
            inner = self.decapsulate(outer).inner
        except WireError as error:
            self._events.append(Ignored(str(error)))
            return
        if inner[6] == Protocol.IPV6:
            self._events.append(Ignored("a tunnel inside a tunnel"))
        else:
            self.receive(inner, now)

    def _taken_back(self, message: RevocationIndication | HomeAgentSwitch, care_of: Address, now: float) -> None:
        """Give up what the home agent takes back (RFC 5846), or all of it when it sends the node away (RFC 5142)."""
        if isinstance(message, HomeAgentSwitch):
            self._events.append(SwitchAdvised(message.home_agents))
            self.deregister_all(now)
            return
        named = {option.bid for option in message.options if isinstance(option, BindingIdentifier)}
        gone = self._ledger.forget(named or self._ledger.bindings)
        if named:
            # Not asked for again before the link changes, or the node is told to register.
            self._refused.update(link for link in self._links.values() if link.bid in named)
        else:
            self._halted = True
            self._outstanding = None
        if not self._ledger.bindings:
            self._flows.forget()
        status = RevocationStatus.SUCCESS if gone else RevocationStatus.BINDING_DOES_NOT_EXIST
        answer = RevocationAcknowledgement(status, message.sequence)
        try:
            self._outbox.append(self._guard.encode_answer(answer, care_of, now))
        except SequenceExhaustedError as error:
            self._events.append(Ignored(str(error)))
        if gone:
            self._events.append(Revoked(gone, message.trigger))

    def _refresh_requested(self, message: BindingRefreshRequest, now: float) -> None:
        """Refresh what the home agent names (RFC 5648 section 5.8)."""
        named = {option.bid for option in message.options if isinstance(option, BindingIdentifier)}
        self._ledger.make_due(named or self._ledger.bindings, now)
        if self._outstanding is None and self._not_before is None:
            self._advance(now)

    def _prefixes_advertised(self, octets: bytes, packet: Packet, now: float, *, in_esp: bool) -> None:
        message = octets[packet.payload : 40 + int.from_bytes(octets[4:6])]
        if isinstance(self.config.security, EspPolicy) and not in_esp:
            self._events.append(Ignored("a prefix advertisement that is not in ESP"))
            return
        before = self._prefixes.prefixes
        acknowledgement = self._prefixes.take(packet, message)
        if self._prefixes.prefixes is before:
            self._events.append(Ignored("an ICMPv6 message of no interest"))
            return
        self._events.append(PrefixesAdvertised(self._prefixes.prefixes))
        if acknowledgement is not None:
            self._send_solicitation(acknowledgement, now)

    def _send_solicitation(self, packet: bytes, now: float) -> None:
        try:
            self._outbox.append(self._guard.seal(packet, now))
        except SequenceExhaustedError as error:
            self._events.append(Ignored(str(error)))

    def _report_removed(self, bids: tuple[int, ...]) -> None:
        if bids:
            self._events.append(Removed(bids))
