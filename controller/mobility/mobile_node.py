"""A mobile node as a machine without I/O: the peer of `HomeAgent`, and of correspondents.

| packet | from | to | who takes it |
|---|---|---|---|
| in a tunnel | the home agent | a care-of address | whoever takes what is inside |
| Binding Acknowledgement, revocation, home agent switch | the home agent | the home address | once proved: `node_registration` |
| Binding Refresh Request | the home agent | the home address | `node_registration` |
| Binding Error | the home agent | a care-of address | `node_registration` |
| Mobile Prefix Advertisement | the home agent | the home address, by a type 2 routing header | `node_prefixes` |
| Home Agent Address Discovery Reply | anybody | a care-of address | `node_agents` |
| anything of return routability and its registrations | a correspondent of ours | either | `node_correspondents` |
| anything else | | | nobody |
"""

from typing import Final

from controller.mobility.address import Address
from controller.mobility.flows import FlowEntry
from controller.mobility.model import NO_BID, Binding
from controller.mobility.node_agents import HomeAgents
from controller.mobility.node_correspondents import Correspondents, Situation
from controller.mobility.node_events import NodeEvent, PrefixesAdvertised, Revoked, SwitchAdvised
from controller.mobility.node_identifiers import Identifiers
from controller.mobility.node_intent import Intent
from controller.mobility.node_outlet import NodeOutlet
from controller.mobility.node_plan import Link, MobileNodeConfig
from controller.mobility.node_prefixes import PrefixFollower
from controller.mobility.node_registration import Phase, Registration
from controller.mobility.security.esp import SequenceExhaustedError
from controller.mobility.security.node_guard import NodeGuard, UnprovedError
from controller.mobility.security.policy import EspPolicy, SecurityContext
from controller.mobility.wire.codes import BindingErrorStatus, Protocol
from controller.mobility.wire.control_messages import (
    HomeAgentSwitch,
    RevocationAcknowledgement,
    RevocationIndication,
    RevocationStatus,
)
from controller.mobility.wire.errors import Malformation, WireError
from controller.mobility.wire.messages import BindingAcknowledgement, BindingError, BindingRefreshRequest
from controller.mobility.wire.options import BindingIdentifier
from controller.mobility.wire.packet import Packet, decode_packet
from controller.mobility.wire.tunnel import Tunnelled, addresses, decapsulate, encapsulate

__all__ = ["Link", "MobileNode", "MobileNodeConfig", "Phase"]


class MobileNode:
    """A mobile node or mobile router with several links (RFC 6275 section 11, RFC 5648 section 5, RFC 3963 section 5).

    All times are seconds of one clock that the caller chooses, and never run backwards.

    Args:
        config: Who it is and how it registers.
        security: Clock and randomness: for a security policy, and for return routability.
    """

    def __init__(self, config: MobileNodeConfig, *, security: SecurityContext | None = None) -> None:
        self.config: Final = config
        self._guard: Final = NodeGuard(config.security, config.home_address, security)
        self._outlet: Final = NodeOutlet()
        self._intent: Final = Intent(config, self._outlet)
        identifiers = Identifiers(security)
        self._agents: Final = HomeAgents(config, identifiers, self._outlet, self._care_ofs)
        self._registration: Final = Registration(config, self._intent, self._guard, self._agents, self._outlet)
        self._prefixes: Final = PrefixFollower(config.home_address, identifiers)
        self._correspondents: Final = Correspondents(config.home_address, identifiers, self._outlet)
        self._at_home = False
        self.last_answer: BindingAcknowledgement | None = None
        """The acknowledgement that came last and was proved to be the home agent's."""

    # What the node is told to do

    def attach(self, bid: int, care_of: Address, priority: int = 0) -> None:
        """Note a link, or its new care-of address; `register` then tells the home agent.

        Raises:
            ValueError: the BID is not 1 to 65535, or the priority not 0 to 127.
        """
        self._attach(Link(bid, care_of, priority))

    def attach_home(self, bid: int, link_layer: bytes | None = None, priority: int = 0) -> None:
        """Note that a link is the home link, to be used beside the others (RFC 5648 section 5.6.3); `register` then tells.

        Raises:
            ValueError: the BID is not 1 to 65535, the priority not 0 to 127, or the link-layer address has not 6 octets.
        """
        if link_layer is not None and len(link_layer) != 6:
            raise ValueError(f"a link-layer address has 6 octets, not {len(link_layer)}")
        self._attach(Link(bid, self.config.home_address, priority, at_home=True, link_layer=link_layer))

    def _attach(self, link: Link) -> None:
        if not 1 <= link.bid <= 0xFFFF:
            raise ValueError(f"BID {link.bid} is not in 1 to 65535")
        if not 0 <= link.priority <= 0x7F:
            raise ValueError(f"priority {link.priority} of BID {link.bid} is not in 0 to 127")
        self._at_home = False
        self._intent.note(link)

    def return_home(self, now: float) -> None:
        """Use the home link alone: forget all links and have all bindings removed, from the home link (RFC 5648 section 5.5.1)."""
        self._intent.go_home(self.config.home_address)
        self._at_home = True
        self.deregister_all(now)

    def solicit_prefixes(self, now: float) -> None:
        """Ask for the home prefixes, again and again until they come. Without a binding nothing is sent."""
        care_of = next((binding.care_of for binding in self.bindings if not binding.at_home), None)
        if care_of is None or self.home_agent is None:
            self._prefixes.stop()
            return
        packet = self._prefixes.solicit(care_of, self.home_agent, now)
        try:
            self._outlet.send(self._guard.seal(packet, now))
        except SequenceExhaustedError as error:
            self._outlet.ignore(str(error))

    def register(self, now: float) -> None:
        """Tell the home agent of all links, and keep the bindings alive from now on."""
        self._registration.begin(now)
        self._follow(now)

    def update(self, bid: int, care_of: Address, now: float) -> None:
        """Move a BID to another care-of address and tell the home agent (handover).

        Raises:
            KeyError: no link has that BID.
        """
        self._intent.note(Link(bid, care_of, self._intent.links[bid].priority))
        self._registration.resume(now)
        self._follow(now)

    def deregister(self, bid: int, now: float) -> None:
        """Give a link up and have its binding removed, by way of another link if there is one (RFC 5648 section 5.4)."""
        if self._intent.drop(bid):
            self._registration.advance(now)
            self._follow(now)

    def deregister_all(self, now: float) -> None:
        """Have all bindings removed. The links stay noted, for `register`."""
        self._registration.end(now)
        self._follow(now)

    def refresh(self, now: float) -> None:
        """Refresh all bindings now (RFC 5648 section 5.1: without care-of addresses)."""
        self._intent.ledger.make_due(self._intent.ledger.bindings, now)
        self._registration.advance(now)

    def bind_flow(self, flow: FlowEntry, now: float) -> None:
        """Have packets of a flow sent to its BIDs once those are registered (RFC 6089 section 5.2); a known FID is changed.

        Raises:
            ValueError: it cannot be signalled; the text says why.
        """
        self._intent.flows.bind(flow)
        self._advance_when_settled(now)

    def release_flow(self, fid: int, now: float) -> None:
        """Have a flow binding removed."""
        self._intent.flows.release(fid)
        self._advance_when_settled(now)

    def _advance_when_settled(self, now: float) -> None:
        if self._registration.settled:
            self._registration.advance(now)

    def optimise(self, correspondent: Address, now: float) -> None:
        """Have a correspondent send straight to the care-of addresses, as long as they are registered (RFC 6275 section 11.7.2).

        Raises:
            RuntimeError: there is no source of randomness: the engine was made without `security`.
        """
        self._correspondents.add(correspondent)
        self._follow(now)

    def end_optimisation(self, correspondent: Address, now: float) -> None:
        """Have a correspondent send by way of the home agent again; nothing happens if it does."""
        self._correspondents.remove(correspondent)
        self._follow(now)

    # Packets and time

    def receive(self, packet: bytes, now: float) -> None:
        """Take an IPv6 packet. Nothing that it holds raises."""
        try:
            self._receive(packet, now, tunnelled=False)
        except (WireError, UnprovedError) as error:
            self._outlet.ignore(str(error))
        self._follow(now)

    def _receive(self, octets: bytes, now: float, *, tunnelled: bool) -> None:
        """Hand a packet to whoever takes it.

        Raises:
            WireError: it is malformed.
            UnprovedError: it lacks the proof that the security policy asks for.
        """
        packet = decode_packet(octets)
        in_esp = packet.protocol == Protocol.ESP
        octets, packet = self._guard.open(octets, packet)
        to_home = self.config.home_address in {packet.routing_address, packet.destination}
        in_tunnel = packet.protocol == Protocol.IPV6 and packet.source == self.home_agent
        if not to_home and not in_tunnel and packet.destination not in self._care_ofs():
            self._outlet.ignore("for somebody else")
        elif packet.source == self.home_agent:
            self._from_home_agent(octets, packet, now, in_esp=in_esp, tunnelled=tunnelled)
        elif packet.source in self._correspondents:
            direct = tunnelled or self._at_home or any(link.at_home for link in self.links)
            self._correspondents.receive(packet, packet.upper(octets), self._situation(now), by_home=to_home and direct)
        elif (
            packet.protocol == Protocol.ICMPV6
            and (moved := self._agents.take(packet, packet.upper(octets))) is not None
        ):
            self._registration.found(now, moved=moved)
        else:
            self._outlet.ignore("from nobody that the node has asked")

    def _from_home_agent(self, octets: bytes, packet: Packet, now: float, *, in_esp: bool, tunnelled: bool) -> None:
        message = packet.message
        if isinstance(message, BindingError) and message.status == BindingErrorStatus.UNKNOWN_BINDING and self.bindings:
            self._registration.doubt(now)
        elif packet.protocol == Protocol.IPV6 and not tunnelled:
            self._receive(self.decapsulate(octets).inner, now, tunnelled=True)
        elif packet.protocol == Protocol.ICMPV6:
            self._from_home_agent_icmp(packet.upper(octets), packet, now, in_esp=in_esp)
        elif self.config.home_address not in {packet.routing_address, packet.destination}:
            self._outlet.ignore("not to the home address")
        elif isinstance(message, BindingAcknowledgement | RevocationIndication | HomeAgentSwitch):
            self._guard.check(octets, packet, in_esp=in_esp)
            self._take_proved(message, packet.destination, now)
        elif isinstance(message, BindingRefreshRequest):
            # RFC 5648 section 5.8: refresh what the home agent names.
            self._registration.make_due(_named(message), now)
        else:
            self._outlet.ignore(f"protocol {packet.protocol} is of no interest")

    def _take_proved(
        self, message: BindingAcknowledgement | RevocationIndication | HomeAgentSwitch, care_of: Address, now: float
    ) -> None:
        if isinstance(message, BindingAcknowledgement):
            self._guard.check_timestamp(message)
            self.last_answer = message
            if self._registration.acknowledged(message, now):
                self.solicit_prefixes(now)
        elif isinstance(message, HomeAgentSwitch):
            self._outlet.report(SwitchAdvised(message.home_agents))
            self._registration.leave(message.home_agents, now)
        else:
            self._taken_back(message, care_of, now)

    def _taken_back(self, message: RevocationIndication, care_of: Address, now: float) -> None:
        """Give up what the home agent takes back, and say so (RFC 5846 section 8)."""
        gone = self._registration.give_up(_named(message))
        status = RevocationStatus.SUCCESS if gone else RevocationStatus.BINDING_DOES_NOT_EXIST
        answer = RevocationAcknowledgement(status, message.sequence)
        assert self.home_agent is not None
        try:
            self._outlet.send(self._guard.encode_answer(answer, care_of, self.home_agent, now))
        except SequenceExhaustedError as error:
            self._outlet.ignore(str(error))
        if gone:
            self._outlet.report(Revoked(gone, message.trigger))

    def _from_home_agent_icmp(self, message: bytes, packet: Packet, now: float, *, in_esp: bool) -> None:
        # A home agent answers a request for home agents too, from whichever of its addresses.
        if (moved := self._agents.take(packet, message)) is not None:
            self._registration.found(now, moved=moved)
            return
        solicited = self._prefixes.take(packet, message)
        if solicited is None:
            self._outlet.ignore("an ICMPv6 message of no interest")
        elif isinstance(self.config.security, EspPolicy) and not in_esp:
            self._outlet.ignore("a prefix advertisement that is not in ESP")
        elif solicited:
            self._outlet.report(PrefixesAdvertised(self._prefixes.prefixes))
        else:
            self.solicit_prefixes(now)

    def handle_timer(self, now: float) -> None:
        """Send again, refresh, and drop what has run out."""
        self._registration.handle_timer(now)
        if self._prefixes.deadline is not None and now >= self._prefixes.deadline:
            self.solicit_prefixes(now)
        if self._agents.handle_timer(now):
            self._registration.found(now, moved=False)
        if self._correspondents:
            self._correspondents.handle_timer(self._situation(now))
        self._follow(now)

    def next_timer(self) -> float | None:
        """Return when `handle_timer` is due next, or None."""
        parts = (self._registration, self._agents, self._correspondents)
        times = [self._prefixes.deadline, *(part.next_timer() for part in parts)]
        return min((when for when in times if when is not None), default=None)

    def _follow(self, now: float) -> None:
        """Let correspondents follow what became of the bindings."""
        if self._correspondents:
            self._correspondents.follow(self._situation(now))

    def _situation(self, now: float) -> Situation:
        """Return what a correspondent may be told."""
        home_agent = self.home_agent
        ends: dict[int, float] = {}
        links: list[Link] = []
        for binding in self.bindings:
            if not binding.at_home:
                ends[binding.bid] = binding.expires
                links.append(Link(binding.bid, binding.care_of, binding.priority))
        links.sort(key=lambda link: (link.priority or 128, link.bid))
        away = tuple(links)
        if home_agent is None:
            return Situation(now, away, ends)
        if away:
            return Situation(now, away, ends, lambda packet: encapsulate(packet, away[0].care_of, home_agent))
        # Back home: what goes to the home address comes straight, once the home agent has let go.
        at_home = self._at_home and not self._intent.ledger.may_hold(now)
        return Situation(now, away, ends, (lambda packet: packet) if at_home else None)

    def outbox(self) -> list[bytes]:
        """Return the IPv6 packets to send, in order, once."""
        return self._outlet.take_packets()

    def events(self) -> list[NodeEvent]:
        """Return what happened since the last call; when nobody asks, the oldest of many are lost."""
        return self._outlet.take_events()

    # What is known

    @property
    def home_agent(self) -> Address | None:
        """Where the node registers; None: that is still to be found."""
        return self._agents.current

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """What the home agent acknowledged and has not run out, by BID."""
        return tuple(sorted(self._intent.ledger.bindings.values(), key=lambda binding: binding.bid))

    @property
    def links(self) -> tuple[Link, ...]:
        """The links that are noted, in order of preference (RFC 6089 section 4.4)."""
        return self._intent.preferred_links

    @property
    def phase(self) -> Phase:
        """Where the conversation with the home agent is."""
        return self._registration.phase

    @property
    def settled(self) -> bool:
        """Whether nothing waits for an answer or for a better time."""
        return self._registration.settled

    def correspondent_bindings(self, correspondent: Address) -> tuple[Binding, ...]:
        """Return what a correspondent acknowledged and has not run out, by BID."""
        return self._correspondents.bindings(correspondent)

    def _care_ofs(self) -> tuple[Address, ...]:
        """Return the addresses of the links, best first, and those that are still registered."""
        links = (link.care_of for link in self._intent.preferred_links)
        held = (binding.care_of for binding in self._intent.ledger.bindings.values())
        return tuple(dict.fromkeys((*links, *held)))

    # Traffic

    def encapsulate(self, inner: bytes, bid: int = NO_BID) -> bytes:
        """Return a packet of this node inside the tunnel of a BID.

        Raises:
            KeyError: that BID is not registered.
            WireError: `inner` is no IPv6 packet, or its source is neither the home address nor in a prefix of this node.
        """
        care_of = self._intent.ledger.bindings[bid].care_of
        source, _ = addresses(inner)
        if not self._owns(source):
            raise WireError(Malformation.TUNNEL, 8)
        assert self.home_agent is not None
        return encapsulate(inner, care_of, self.home_agent)

    def decapsulate(self, outer: bytes) -> Tunnelled:
        """Return what the home agent tunnelled to this node.

        Raises:
            WireError: it is no tunnelled packet, comes from elsewhere (RFC 6275 section 11.3.3), or is for somebody else.
        """
        tunnelled = decapsulate(outer)
        if tunnelled.outer_source != self.home_agent:
            raise WireError(Malformation.TUNNEL, 8)
        if not self._owns(tunnelled.destination):
            raise WireError(Malformation.TUNNEL, 24)
        return tunnelled

    def _owns(self, address: Address) -> bool:
        return address == self.config.home_address or any(address in prefix for prefix in self.config.prefixes)


def _named(message: BindingRefreshRequest | RevocationIndication) -> frozenset[int]:
    return frozenset(option.bid for option in message.options if isinstance(option, BindingIdentifier))
