"""Binding Updates from their arrival to their answer: at most one change of a home address is under way at a time.

| state of a home address | event | what happens | next |
|---|---|---|---|
| idle | Binding Update that is refused | Binding Acknowledgement with the status | idle |
| idle | Binding Update that is accepted | a transaction is proposed | under way |
| idle | the same, first one of an address on a real link | duplicate address detection begins | probing |
| idle | something runs out, or is revoked | a transaction is proposed | under way |
| probing | nobody has the address | the transaction is proposed | under way |
| probing | somebody has it | Binding Acknowledgement with status 134 | idle, or the next that waits |
| probing, under way | the same Binding Update with a newer number | that number counts, and is answered | as before |
| probing, under way | the same with an old number | dropped | as before |
| probing, under way | another Binding Update | it waits; the fifth is dropped | as before |
| under way | commit | the record is in force; Binding Acknowledgement | idle, or the next that waits |
| under way | abort, of a Binding Update | the old record stays; Binding Acknowledgement with a status that refuses | idle, or the next |
| under way | abort, for some of its BIDs | it is decided anew without these, which get status 130 | under way, or idle as above |
| under way | abort, of anything else | the old record stays; proposed again a second later | idle, or the next |

What a Binding Update does to the record is another table: `decide.ACTIONS`.
"""

from collections import deque
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Final

from controller.mobility.address import Address
from controller.mobility.cache import BindingCache
from controller.mobility.decide import TOMBSTONE_TIME, Decision, decide
from controller.mobility.draining import Draining
from controller.mobility.events import Aborted, Committed, DropReason, Refused, RefusedInPart
from controller.mobility.home_link import HomeLink
from controller.mobility.limits import NO_WEIGHT, Weight
from controller.mobility.model import NO_BID, Cause, NodeRecord, ReplayMark, Transaction, is_newer
from controller.mobility.outlet import Outlet
from controller.mobility.parts import Inbound, Part
from controller.mobility.prefixes import PrefixTimes
from controller.mobility.provision import Directory, HomeAgentConfig
from controller.mobility.reply import acknowledgement
from controller.mobility.request import Arrival, in_force, read_request
from controller.mobility.revocation import without
from controller.mobility.rules import judge
from controller.mobility.security.esp import SequenceExhaustedError
from controller.mobility.wire.codes import Status
from controller.mobility.wire.messages import BindingUpdate
from controller.mobility.wire.options import BindingIdentifier

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
    full: frozenset[int] = frozenset()
    """BIDs of the Binding Update for which there was no room."""
    waiting: deque[Arrival] = field(default_factory=deque)


class Registrar:
    """Takes Binding Updates to the binding cache.

    Args:
        config: The limits.
        directory: Whom the home agent serves.
        cache: The records in force.
        times: The lifetimes of home prefixes.
        outlet: Where answers go.
        draining: Whether bindings are still prolonged.
        mark: How far the proofs of a node have come.
    """

    def __init__(
        self,
        config: HomeAgentConfig,
        directory: Directory,
        cache: BindingCache,
        times: PrefixTimes,
        outlet: Outlet,
        draining: Draining,
        *,
        mark: Callable[[Address], ReplayMark | None],
    ) -> None:
        self._config = config
        self._directory: Final = directory
        self._cache: Final = cache
        self._times: Final = times
        self._outlet: Final = outlet
        self._draining: Final = draining
        self._mark: Final = mark
        self.home_link: Final = HomeLink(directory, outlet, cache.record, self._probed)
        """The part that tests home addresses, and answers for nodes that are away."""
        self._in_flight: Final[dict[Address, _InFlight]] = {}
        self._addresses: Final[dict[int, Address]] = {}
        self._probing: Final[dict[int, Transaction]] = {}
        self._proposed: list[Transaction] = []
        self._last_number = 0
        self._parts: tuple[Part, ...] = ()

    def tell(self, parts: Iterable[Part]) -> None:
        """Name the parts that hear of every change of a record."""
        self._parts = tuple(parts)

    def reconfigure(self, config: HomeAgentConfig) -> None:
        """Go by other limits from now on."""
        self._config = config

    @property
    def in_flight(self) -> AbstractSet[Address]:
        """The home addresses that have a transaction under way."""
        return self._in_flight.keys()

    def __len__(self) -> int:
        """Return how many home addresses have a transaction under way."""
        return len(self._in_flight)

    # Binding Updates

    def take(self, arrival: Arrival, now: float) -> None:
        """Process a Binding Update, or let it wait for the one that is under way."""
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

    def reject_unproved(self, inbound: Inbound, status: int) -> None:
        """Refuse a Binding Update with the sequence number that came; none is remembered (RFC 4285 section 5.1.1)."""
        assert isinstance(inbound.packet.message, BindingUpdate)
        self.reject(Arrival.of(inbound, inbound.packet.message), status)

    def reject(self, arrival: Arrival, status: int) -> None:
        """Refuse a Binding Update of which nothing is remembered."""
        self._reject(arrival, Decision(status), arrival.update.sequence)

    def _process(self, arrival: Arrival, now: float, full: frozenset[int] = frozenset()) -> None:
        """Judge a Binding Update and propose what it asks for; `full` are BIDs of it that were tried and found no room."""
        home_address = arrival.home_address
        before = self._cache.record(home_address)
        room = self._cache.load.room(before)
        request = read_request(arrival, now, self._config, self._directory, before, room, times=self._times, full=full)
        verdict = judge(request)
        if isinstance(verdict, DropReason):
            self._outlet.drop(verdict, arrival.source)
            return
        if verdict is None and self._draining.refuses(request):
            verdict = Status.ADMINISTRATIVELY_PROHIBITED
        decision = decide(request) if verdict is None else Decision(verdict)
        if decision.record is None:
            self._refuse(arrival, decision, request.last_sequence, request.sequences)
        elif len(self._in_flight) >= self._config.max_in_flight:
            self._outlet.drop(DropReason.IN_FLIGHT_FULL, arrival.source)
        else:
            cause = Cause.DEREGISTRATION if request.removal else Cause.REGISTRATION
            flight = self._propose(home_address, before, decision.record, cause)
            flight.arrival = arrival
            flight.decision = decision
            flight.full = full
            if not full and self.home_link.must_probe(before, decision.record):
                # RFC 6275 section 10.3.1: nobody hears of the change before the address has proved to be free.
                self._probing[flight.transaction.number] = self._proposed.pop()
                self.home_link.probe(flight.transaction.number, decision.record, now)

    def _refuse(
        self,
        arrival: Arrival,
        decision: Decision,
        last: int | None = None,
        sequences: tuple[tuple[int, int], ...] = (),
    ) -> None:
        """Answer with a status of 128 or more; `last` is the number that was accepted last, `sequences` what to remember."""
        record = self._cache.record(arrival.home_address)
        sequence = arrival.update.sequence
        if decision.status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW and last is not None:
            sequence = last  # RFC 6275 section 9.5.1
        elif record is not None and decision.status != Status.REGISTRATION_TYPE_CHANGE_DISALLOWED:
            # RFC 6275 section 9.5.1: a sequence number counts once it passed the checks, whatever policy says after.
            self._cache.note_sequence(record, sequence, sequences)
        self._reject(arrival, decision, sequence)

    def _reject(self, arrival: Arrival, decision: Decision, sequence: int) -> None:
        self._outlet.count(f"refused_{int(decision.status)}")
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

    # What ends without a Binding Update

    def expire(self, now: float) -> None:
        """Propose the removal of what has run out."""
        for home_address in self._cache.due(now):
            record = self._cache.record(home_address)
            if record is None or home_address in self._in_flight:
                continue  # a record in flight gets its deadline back when that is over
            after = in_force(record, now)
            end = self._cache.prefix_end(record)
            if after is not None and after.bindings and end is not None and end <= now:
                after = None
            if after is record:
                self._cache.arm(record)
            else:
                cause = Cause.EXPIRY if record.forget_at is None else Cause.FORGOTTEN
                self._propose(home_address, record, after, cause)

    def rearm(self, record: NodeRecord) -> None:
        """Set the deadline of a record anew, as its home prefix lasts for another time."""
        if record.home_address not in self._in_flight:
            self._cache.arm(record)

    def take_back(self, home_address: Address, bids: frozenset[int], now: float) -> bool:
        """Propose the removal of revoked bindings; False while another change of the node is under way."""
        if home_address in self._in_flight:
            return False
        record = self._cache.record(home_address)
        if record is not None and any(binding.bid in bids for binding in record.bindings):
            self._propose(home_address, record, without(record, bids, now + TOMBSTONE_TIME), Cause.REVOCATION)
        return True

    # Transactions

    def proposed(self) -> list[Transaction]:
        """Return what is newly proposed, in order, once."""
        proposed, self._proposed = self._proposed, []
        return proposed

    def commit(self, number: int, now: float) -> None:
        """Put a transaction in force, answer, and go on with what waits.

        Raises:
            KeyError: there is no such transaction under way.
        """
        home_address, flight = self._finish(number)
        after = flight.transaction.after
        if flight.arrival is not None and after is not None:
            # A retransmission came meanwhile: its sequence number is the one that was accepted last.
            after = _with_newer(after, flight.arrival)
        self._cache.load.release(flight.reserved)
        before = self._cache.record(home_address)
        self._cache.put(home_address, after)
        for part in self._parts:
            part.changed(before, after, now)
        self._outlet.count("committed")
        self._outlet.report(Committed(flight.transaction))
        if flight.arrival is not None and flight.decision is not None:
            self._outlet.count("accepted")
            if flight.decision.option_statuses:
                self._report_refused_bids(flight.arrival, flight.decision)
            self._answer(flight.arrival, flight.decision, flight.arrival.update.sequence)
        self._resume(flight, now)

    def _report_refused_bids(self, arrival: Arrival, decision: Decision) -> None:
        bids = [option.bid for option in arrival.update.options if isinstance(option, BindingIdentifier)]
        statuses = zip(bids, decision.option_statuses, strict=True)
        refused = tuple((bid, status) for bid, status in statuses if status >= Status.REASON_UNSPECIFIED)
        for _, status in refused:
            self._outlet.count(f"bids_refused_{status}")
        if refused:
            self._outlet.report(RefusedInPart(arrival.home_address, arrival.source, refused))

    def abort(self, number: int, now: float, status: int, full: frozenset[int] = frozenset()) -> None:
        """Let a transaction go, say so, and go on with what waits; or try again without the BIDs that were `full`.

        Raises:
            KeyError: there is no such transaction under way.
        """
        home_address, flight = self._finish(number)
        self._cache.load.release(flight.reserved)
        if self._try_without(flight, full, now):
            return
        self._outlet.count("aborted")
        self._outlet.report(Aborted(flight.transaction, status))
        record = self._cache.record(home_address)
        if flight.arrival is not None:
            after = flight.transaction.after
            sequences = () if after is None else _with_newer(after, flight.arrival).sequences
            self._refuse(flight.arrival, Decision(status), sequences=sequences)
            if record is not None:
                self._cache.arm(record)
        elif record is not None:
            self._cache.look_again(home_address, now + RETRY_TIME)
        self._resume(flight, now)

    def _try_without(self, flight: _InFlight, full: frozenset[int], now: float) -> bool:
        """Decide a Binding Update anew without BIDs that have no room; False: none of its BIDs is among them.

        Each BID has its own status (RFC 5648 section 6.2). Every try is for fewer BIDs, so there is an end to them.
        """
        arrival = flight.arrival
        if arrival is None:
            return False
        named = {option.bid for option in arrival.update.options if isinstance(option, BindingIdentifier)}
        if not full & named - flight.full:
            return False
        self._outlet.count("tried_without_bids")
        self._process(arrival, now, flight.full | full & named)
        if (again := self._in_flight.get(arrival.home_address)) is not None:
            again.waiting = flight.waiting
            return True
        if (record := self._cache.record(arrival.home_address)) is not None:
            self._cache.arm(record)
        self._resume(flight, now)
        return True

    def _propose(
        self, home_address: Address, before: NodeRecord | None, after: NodeRecord | None, cause: Cause
    ) -> _InFlight:
        self._last_number += 1
        transaction = Transaction(self._last_number, home_address, before, after, cause, self._mark(home_address))
        flight = _InFlight(transaction, reserved=self._cache.load.reserve(before, after))
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
            if arrival.home_address in self._in_flight:
                for left in waiting:
                    self.take(left, now)
                return


def _with_newer(record: NodeRecord, arrival: Arrival) -> NodeRecord:
    """Return a record with the sequence number of the newest copy of the Binding Update that it comes from."""
    old, new = record.sequence, arrival.update.sequence
    if old == new:
        return record
    named = {option.bid for option in arrival.update.options if isinstance(option, BindingIdentifier)} or {NO_BID}
    sequences = tuple((bid, new if bid in named and last == old else last) for bid, last in record.sequences)
    return replace(record, sequence=new, sequences=sequences)
