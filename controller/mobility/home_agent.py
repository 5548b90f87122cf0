"""The home agent as a machine without I/O: packets and time go in, transactions, packets and events come out.

A Binding Update that is accepted becomes a `Transaction`. Whoever drives the engine carries it out and says `commit` or `abort`; only
then the Binding Acknowledgement is in the outbox. While that is under way the record in force is the old one.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from controller.mobility.address import Address, Prefix
from controller.mobility.correspondent import CorrespondentPart
from controller.mobility.decide import TOMBSTONE_TIME, Decision, decide
from controller.mobility.discovery import HomeAgentsList, PrefixDiscovery, no_randomness
from controller.mobility.draining import Draining
from controller.mobility.events import Aborted, Committed, DropReason, Event, Refused
from controller.mobility.heartbeat import Heartbeats
from controller.mobility.home_link import HomeLink
from controller.mobility.limits import NO_WEIGHT, Load, Weight
from controller.mobility.local import LocalDelivery
from controller.mobility.model import Cause, NodeRecord, Transaction
from controller.mobility.outlet import Outlet
from controller.mobility.parts import Handler, Inbound, LinkInfo, LinkPacket, Part, Topic
from controller.mobility.prefixes import PrefixTimes
from controller.mobility.provision import Directory, HomeAgentConfig, HomeNetwork, NodeProvision
from controller.mobility.reception import Desks, Reception
from controller.mobility.refresh import RefreshRequests
from controller.mobility.reply import acknowledgement
from controller.mobility.request import Arrival, in_force, read_request
from controller.mobility.revocation import Revocations, without
from controller.mobility.rules import is_newer, judge
from controller.mobility.security.esp import SequenceExhaustedError
from controller.mobility.security.home_guard import HomeGuard
from controller.mobility.security.policy import SecurityContext
from controller.mobility.timing import Deadlines
from controller.mobility.tunnel_errors import Tunnels
from controller.mobility.wire.codes import IcmpType, Status, UpdateFlag
from controller.mobility.wire.control_messages import Heartbeat, RevocationAcknowledgement, RevocationTrigger
from controller.mobility.wire.messages import BindingUpdate, CareOfTestInit, HomeTestInit

__all__ = ["HomeAgent", "HomeAgentConfig", "HomeNetwork", "NodeProvision"]

WAITING_LIMIT: Final = 4
"""Different Binding Updates of one node that wait while another is carried out."""
RETRY_TIME: Final = 1.0
"""Seconds after which a removal that was undone is proposed again."""


@dataclass(slots=True)
class _InFlight:
    """A transaction under way, whom to answer then, and who waits for its end."""

    transaction: Transaction
    arrival: Arrival | None = None
    """The newest copy of the Binding Update that is carried out; None for what a timer proposed."""
    decision: Decision | None = None
    reserved: Weight = NO_WEIGHT
    """What the change takes from the room of all nodes."""
    waiting: deque[Arrival] = field(default_factory=deque)


class HomeAgent:
    """A home agent with multiple care-of addresses (RFC 6275, RFC 5648, RFC 3963).

    All times are seconds of one clock that the caller chooses, and never run backwards.

    Attributes:
        counters: how often each thing happened: `received`, `accepted`, `committed`, `aborted`, `refused_<status>`, and
            `dropped_<reason>` for each `DropReason`.
    """

    def __init__(self, config: HomeAgentConfig, *, security: SecurityContext | None = None) -> None:
        self._config: Final = config
        self._directory: Final = Directory(config)
        self._records: Final[dict[Address, NodeRecord]] = {}
        self._in_flight: Final[dict[Address, _InFlight]] = {}
        self._addresses: Final[dict[int, Address]] = {}
        self._deadlines: Final = Deadlines()
        self._load: Final = Load(Weight(config.max_bindings, config.max_flows))
        self._last_number = 0
        self._proposed: list[Transaction] = []
        self._outlet: Final = Outlet(config.error_rate, config.error_burst)
        self.counters: Final = self._outlet.counters
        self._times: Final = PrefixTimes(config.networks)
        self._probing: Final[dict[int, Transaction]] = {}
        self._home_link: Final = HomeLink(self._directory, self._outlet, self.record, self._probed)
        random_bytes = no_randomness if security is None else security.random_bytes
        self._agents: Final = HomeAgentsList(config, self._outlet, random_bytes)
        guard = HomeGuard(config.nodes, security)
        self._prefixes: Final = PrefixDiscovery(
            config.networks, self._times, self._outlet, self.record, random_bytes, protection=guard.protection
        )
        self._tunnels: Final = Tunnels(self._directory, self._outlet, self.record)
        self._local: Final = LocalDelivery(self._outlet, self.record)
        self._revocations: Final = Revocations(self._outlet, self.record, guard.protection, self._take_back)
        self._draining: Final = Draining(self._outlet, self.record, guard.protection)
        self._correspondent: Final = (
            CorrespondentPart(self._outlet, random_bytes, config.max_bindings) if config.correspondent else None
        )
        parts: list[Part] = [self._home_link, self._prefixes, self._tunnels, self._revocations, self._draining]
        if self._correspondent is not None:
            parts.append(self._correspondent)
        if config.refresh_requests:
            parts.append(RefreshRequests(self._outlet, self.record))
        self._parts: Final = tuple(parts)
        self._reception: Final = Reception(
            config,
            self._directory,
            self._outlet,
            guard,
            Desks(self._handlers(), self._overheard(), self._tunnels, self._local, self._reject_unproved),
        )

    def _handlers(self) -> Mapping[Topic, Handler]:
        """Return who takes what is for a home agent address."""
        table: dict[Topic, Handler] = {
            BindingUpdate: self._on_update,
            IcmpType.DESTINATION_UNREACHABLE: self._tunnels.on_error,
            IcmpType.PACKET_TOO_BIG: self._tunnels.on_error,
            IcmpType.TIME_EXCEEDED: self._tunnels.on_error,
            IcmpType.PARAMETER_PROBLEM: self._tunnels.on_error,
            IcmpType.ECHO_REQUEST: self._local.on_echo,
            IcmpType.NEIGHBOR_SOLICITATION: self._home_link.on_solicitation,
            IcmpType.NEIGHBOR_ADVERTISEMENT: self._home_link.on_advertisement,
            IcmpType.ROUTER_ADVERTISEMENT: self._agents.on_router_advertisement,
            IcmpType.HOME_AGENT_DISCOVERY_REQUEST: self._agents.on_request,
        }
        table[RevocationAcknowledgement] = self._revocations.on_acknowledgement
        if self._correspondent is not None:
            table[HomeTestInit] = self._correspondent.on_home_test_init
            table[CareOfTestInit] = self._correspondent.on_care_of_test_init
        if self._config.heartbeat:
            table[Heartbeat] = Heartbeats(self._outlet, self._config.restart_counter).on_heartbeat
        if self._config.prefix_discovery:
            table[IcmpType.MOBILE_PREFIX_SOLICITATION] = self._prefixes.on_solicitation
        return table

    def _overheard(self) -> Mapping[Topic, Handler]:
        """Return who takes what is heard on a home link, though it is not for an address of ours."""
        return {
            IcmpType.NEIGHBOR_SOLICITATION: self._home_link.on_solicitation,
            IcmpType.NEIGHBOR_ADVERTISEMENT: self._home_link.on_advertisement,
            IcmpType.ROUTER_ADVERTISEMENT: self._agents.on_router_advertisement,
            IcmpType.HOME_AGENT_DISCOVERY_REQUEST: self._agents.on_request,
        }

    # What goes in

    def restore(self, records: Iterable[NodeRecord]) -> None:
        """Take over what an earlier engine left. Call it before anything else; what has run out goes by timer."""
        for record in records:
            self._put(record.home_address, record)
            for part in self._parts:
                part.restored(record)

    def receive(self, packet: bytes, now: float, *, link: LinkInfo | None = None) -> None:
        """Take an IPv6 packet, without link-layer header, at time `now`. Nothing that a packet holds raises.

        Args:
            packet: The packet; what follows its payload (Ethernet padding) is ignored. It is for a home agent address, was heard on
                a home link, or is for a mobile node and was handed up by a switch.
            now: Seconds of the engine's clock.
            link: For a packet from a home link, what its frame said.
        """
        self._reception.receive(packet, now, link)

    def set_prefix_lifetimes(
        self, prefix: Prefix, valid_until: float | None, preferred_until: float | None, now: float
    ) -> None:
        """Change how long a home prefix lasts, and tell its nodes (RFC 6275 section 10.6). None: for ever."""
        self._times.set(prefix, valid_until, preferred_until)
        for home_address, record in self._records.items():
            if home_address in prefix:
                self._prefixes.prefix_changed(record, now)
                if home_address not in self._in_flight:
                    self._arm(home_address, record)

    def revoke(
        self,
        home_address: Address,
        bids: Collection[int] | None,
        now: float,
        trigger: int = RevocationTrigger.ADMINISTRATIVE,
    ) -> frozenset[int]:
        """Take bindings of a node back (RFC 5846): it is told, and then they are removed by a transaction.

        Args:
            home_address: Whose bindings.
            bids: Which; `NO_BID` for the one without. None: all.
            now: Seconds of the engine's clock.
            trigger: Why; names in `wire.RevocationTrigger`.

        Returns:
            The BIDs that will go, unless the node renews them first. A `Revoked` event tells the end.

        Raises:
            LookupError: the node has none of these bindings.
        """
        return self._revocations.begin(home_address, None if bids is None else frozenset(bids), trigger, now)

    def drain(self, home_agents: Sequence[Address], now: float, time_left: float | None = None) -> None:
        """Ask all nodes to go to other home agents, best first, and prolong no binding from now on (RFC 5142).

        Args:
            home_agents: Where to go; empty: nodes find one by discovery.
            now: Seconds of the engine's clock.
            time_left: Seconds for which this home agent will still be there; None: that is not said.

        Raises:
            ValueError: more home agents than fit into a message.
        """
        self._draining.begin(tuple(self._records.values()), home_agents, now, time_left)

    def end_drain(self) -> None:
        """Serve as before `drain`."""
        self._draining.end()

    def handle_timer(self, now: float) -> None:
        """Do what is due by `now`: propose the removal of what has run out, and let each part do its own."""
        for part in self._parts:
            part.handle_timer(now)
        for home_address in self._deadlines.due(now):
            record = self._records.get(home_address)
            if record is None or home_address in self._in_flight:
                continue  # a record in flight gets its deadline back when that is over
            after = in_force(record, now)
            end = self._prefix_end(record)
            if after is not None and after.bindings and end is not None and end <= now:
                after = None
            if after is record:
                self._arm(home_address, record)
            else:
                cause = Cause.EXPIRY if record.forget_at is None else Cause.FORGOTTEN
                self._propose(home_address, record, after, cause)

    def commit(self, number: int, now: float) -> None:
        """Say that a transaction is in force. Its Binding Acknowledgement goes to the outbox.

        Raises:
            KeyError: there is no such transaction under way.
        """
        home_address, flight = self._finish(number)
        after = flight.transaction.after
        if flight.arrival is not None and after is not None:
            # A retransmission came meanwhile: its sequence number is the one that was accepted last.
            after = _with_sequence(after, flight.arrival.update.sequence)
        self._load.release(flight.reserved)
        before = self._records.get(home_address)
        self._put(home_address, after)
        for part in self._parts:
            part.changed(before, after, now)
        self.counters["committed"] += 1
        self._outlet.report(Committed(flight.transaction))
        if flight.arrival is not None and flight.decision is not None:
            self.counters["accepted"] += 1
            self._answer(flight.arrival, flight.decision, flight.arrival.update.sequence)
        self._resume(flight, now)

    def abort(self, number: int, now: float, status: int = Status.INSUFFICIENT_RESOURCES) -> None:
        """Say that a transaction is not in force. The old record stays, and the node is told `status`.

        What a timer proposed is proposed again a second later.

        Raises:
            KeyError: there is no such transaction under way.
            ValueError: the status is not one that refuses (128 to 255).
        """
        if not 128 <= status <= 255:
            raise ValueError(f"an aborted transaction cannot be answered with status {status}: it has to be 128 to 255")
        home_address, flight = self._finish(number)
        self._load.release(flight.reserved)
        self.counters["aborted"] += 1
        self._outlet.report(Aborted(flight.transaction, status))
        record = self._records.get(home_address)
        if flight.arrival is not None:
            self._refuse(flight.arrival, Decision(status))
            if record is not None:
                self._arm(home_address, record)
        elif record is not None:
            self._deadlines.set(home_address, now + RETRY_TIME)
        self._resume(flight, now)

    # What comes out

    def next_timer(self) -> float | None:
        """Return when `handle_timer` is due next, or None."""
        times = [self._deadlines.next(), *(part.next_timer() for part in self._parts)]
        return min((when for when in times if when is not None), default=None)

    def transactions(self) -> list[Transaction]:
        """Return what is newly proposed, in order, once."""
        proposed, self._proposed = self._proposed, []
        return proposed

    def outbox(self) -> list[bytes]:
        """Return the IPv6 packets to send, in order, once."""
        return self._outlet.take_packets()

    def link_outbox(self) -> list[LinkPacket]:
        """Return the IPv6 packets for home links, in order, once."""
        return self._outlet.take_link_packets()

    def events(self) -> list[Event]:
        """Return what happened since the last call; when nobody asks, the oldest of many are lost."""
        return self._outlet.take_events()

    def records(self) -> Iterator[NodeRecord]:
        """Return all records in force, tombstones included."""
        return iter(tuple(self._records.values()))

    def record(self, home_address: Address) -> NodeRecord | None:
        """Return the record in force of a home address."""
        return self._records.get(home_address)

    # Binding Updates

    def _take(self, arrival: Arrival, now: float) -> None:
        """Process a Binding Update, or let it wait for the one that is under way (at most one transaction a node)."""
        flight = self._in_flight.get(arrival.home_address)
        if flight is None:
            self._process(arrival, now)
            return
        waiting = flight.waiting
        last = waiting[-1] if waiting else flight.arrival
        if last is not None and last.same_content(arrival):
            if not is_newer(arrival.update.sequence, last.update.sequence):
                self._outlet.drop(DropReason.DUPLICATE, arrival.source)
            elif waiting:
                waiting[-1] = arrival
            else:
                flight.arrival = arrival
        elif len(waiting) >= WAITING_LIMIT:
            self._outlet.drop(DropReason.WAITING_FULL, arrival.source)
        else:
            waiting.append(arrival)

    def _process(self, arrival: Arrival, now: float) -> None:
        """Judge a Binding Update and propose what it asks for."""
        home_address = arrival.home_address
        before = self._records.get(home_address)
        room = self._load.room(before)
        request = read_request(arrival, now, self._config, self._directory, before, room, times=self._times)
        verdict = judge(request)
        if isinstance(verdict, DropReason):
            self._outlet.drop(verdict, arrival.source)
            return
        if verdict is None and self._draining.refuses(request):
            verdict = Status.ADMINISTRATIVELY_PROHIBITED
        decision = decide(request) if verdict is None else Decision(verdict)
        if decision.record is None:
            self._refuse(arrival, decision)
        elif len(self._in_flight) >= self._config.max_in_flight:
            self._outlet.drop(DropReason.IN_FLIGHT_FULL, arrival.source)
        else:
            cause = Cause.DEREGISTRATION if request.removal else Cause.REGISTRATION
            flight = self._propose(home_address, before, decision.record, cause)
            flight.arrival = arrival
            flight.decision = decision
            if self._home_link.must_probe(before, decision.record):
                # RFC 6275 section 10.3.1: nobody hears of the change before the address has proved to be free.
                self._probing[flight.transaction.number] = self._proposed.pop()
                self._home_link.probe(flight.transaction.number, decision.record, now)

    def _refuse(self, arrival: Arrival, decision: Decision) -> None:
        """Answer with a status of 128 or more."""
        record = self._records.get(arrival.home_address)
        sequence = arrival.update.sequence
        if decision.status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW and record is not None:
            sequence = record.sequence  # RFC 6275 section 9.5.1: the last accepted one
        elif record is not None and decision.status != Status.REGISTRATION_TYPE_CHANGE_DISALLOWED:
            # RFC 6275 section 9.5.1: a sequence number counts once it passed the checks, whatever policy says after.
            self._records[arrival.home_address] = _with_sequence(record, sequence)
        self._reject(arrival, decision, sequence)

    def _reject(self, arrival: Arrival, decision: Decision, sequence: int) -> None:
        self.counters[f"refused_{int(decision.status)}"] += 1
        self._outlet.report(Refused(arrival.home_address, arrival.source, int(decision.status)))
        self._answer(arrival, decision, sequence)

    def _answer(self, arrival: Arrival, decision: Decision, sequence: int) -> None:
        """Send a Binding Acknowledgement, to a node on the home link straight to its link-layer address.

        RFC 5648 section 6.3: without asking the neighbours for it; RFC 6275 section 10.3.2 has that for refusals.
        """
        advice = int(decision.lifetime * self._config.refresh_advice)
        try:
            packet = acknowledgement(arrival, decision, sequence, advice)
        except SequenceExhaustedError as error:
            self._outlet.drop(DropReason.SEQUENCE_EXHAUSTED, arrival.source, str(error))
            return
        if arrival.source == arrival.home_address and arrival.link_layer is not None:
            self._outlet.send_on_link(arrival.home_agent, arrival.link_layer, packet)
        else:
            self._outlet.send(packet)

    def _probed(self, number: int, free: bool, now: float) -> None:  # noqa: FBT001 -- the signature of `home_link.Probed`
        """Go on with a first registration, or refuse it."""
        transaction = self._probing.pop(number)
        if free:
            self._proposed.append(transaction)
        else:
            self.abort(number, now, Status.DUPLICATE_ADDRESS_DETECTION_FAILED)

    def _take_back(self, home_address: Address, bids: frozenset[int], now: float) -> bool:
        """Propose the removal of revoked bindings; False while another change of the node is under way."""
        if home_address in self._in_flight:
            return False
        record = self._records.get(home_address)
        if record is not None and any(binding.bid in bids for binding in record.bindings):
            self._propose(home_address, record, without(record, bids, now + TOMBSTONE_TIME), Cause.REVOCATION)
        return True

    # Transactions and records

    def _propose(
        self,
        home_address: Address,
        before: NodeRecord | None,
        after: NodeRecord | None,
        cause: Cause,
    ) -> _InFlight:
        self._last_number += 1
        transaction = Transaction(self._last_number, home_address, before, after, cause)
        flight = _InFlight(transaction, reserved=self._load.reserve(before, after))
        self._in_flight[home_address] = flight
        self._addresses[transaction.number] = home_address
        self._proposed.append(transaction)
        return flight

    def _finish(self, number: int) -> tuple[Address, _InFlight]:
        home_address = self._addresses.pop(number)
        return home_address, self._in_flight.pop(home_address)

    def _resume(self, flight: _InFlight, now: float) -> None:
        """Process what waited, as far as that goes."""
        waiting = flight.waiting
        while waiting:
            arrival = waiting.popleft()
            self._process(arrival, now)
            following = self._in_flight.get(arrival.home_address)
            if following is not None:
                for left in waiting:
                    self._take(left, now)
                return

    def _put(self, home_address: Address, record: NodeRecord | None) -> None:
        """Put a record in force."""
        self._load.replace(self._records.get(home_address), record)
        if record is None:
            self._records.pop(home_address, None)
            self._deadlines.clear(home_address)
        else:
            self._records[home_address] = record
            self._arm(home_address, record)

    def _arm(self, home_address: Address, record: NodeRecord) -> None:
        when = record.forget_at
        if when is None:
            when = min(binding.expires for binding in record.bindings)
            if (end := self._prefix_end(record)) is not None:
                when = min(when, end)
        self._deadlines.set(home_address, when)

    def _prefix_end(self, record: NodeRecord) -> float | None:
        """Return when the home prefix of a record ends, and all its bindings with it (RFC 6275 section 10.3.1)."""
        network = self._directory.network(record.home_address, record.home_agent)
        return None if network is None else self._times.until(network.prefix)[0]

    # Everything else

    def _on_update(self, inbound: Inbound) -> None:
        update = inbound.packet.message
        assert isinstance(update, BindingUpdate)
        arrival = Arrival.of(inbound, update)
        if self._correspondent is not None and not update.flags & UpdateFlag.HOME_REGISTRATION:
            record = self._records.get(arrival.home_address)
            if record is None or not record.bindings:
                self._correspondent.on_update(inbound)
            else:
                # RFC 6275 section 9.5.1: a home registration does not turn into another one. Said at once, and nothing is kept:
                # such an update has not been proved as one of the node's own.
                status = Status.REGISTRATION_TYPE_CHANGE_DISALLOWED
                self._reject(arrival, Decision(int(status)), arrival.update.sequence)
            return
        self._take(arrival, inbound.now)

    def _reject_unproved(self, inbound: Inbound, status: int) -> None:
        """Refuse a Binding Update with the sequence number that came; none is remembered (RFC 4285 section 5.1.1)."""
        assert isinstance(inbound.packet.message, BindingUpdate)
        arrival = Arrival.of(inbound, inbound.packet.message)
        self._reject(arrival, Decision(status), arrival.update.sequence)


def _with_sequence(record: NodeRecord, sequence: int) -> NodeRecord:
    return record if record.sequence == sequence else replace(record, sequence=sequence)
