"""The home agent against a model that is as simple as can be: a dictionary of care-of addresses and a number."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork, NodeProvision
from controller.mobility.limits import Tally
from controller.mobility.wire import (
    BindingAcknowledgement,
    BindingIdentifier,
    BindingUpdate,
    decode_packet,
    encode_packet,
)

HOME = Prefix.parse("2001:db8:0:1::/64")
HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
COAS = [parse_address(f"2001:db8:a{number}::1") for number in range(1, 5)]
LIMIT = 4

Identifiers = list[tuple[int, Address | None]]
identifiers = st.lists(
    st.tuples(st.integers(1, 6), st.none() | st.sampled_from(COAS)),
    min_size=1,
    max_size=5,
    unique_by=lambda item: item[0],
)
lifetimes = st.integers(1, 20)


@dataclass
class Model:
    """What a home agent should know of one node."""

    bindings: dict[int, tuple[Address, float]] = field(default_factory=dict)
    """BID (0: none) to care-of address and end."""
    sequence: int = 0
    forget_at: float | None = None

    def pass_time(self, now: float) -> None:
        self.bindings = {bid: entry for bid, entry in self.bindings.items() if entry[1] > now}
        if self.forget_at is not None and self.forget_at <= now:
            self.forget_at = None

    def remembers(self) -> bool:
        return bool(self.bindings) or self.forget_at is not None

    def register(
        self, wanted: Identifiers, until: float, *, overwrite: bool, full: frozenset[int] = frozenset()
    ) -> tuple[int, list[int]]:
        """Return the status of the whole and of each BID."""
        if 0 in self.bindings and not overwrite:
            return 165, [0] * len(wanted)
        result = {} if overwrite else dict(self.bindings)
        statuses = []
        for bid, care_of in wanted:
            if care_of is None and bid not in self.bindings:
                statuses.append(167)
            elif bid in full or (bid not in result and len(result) >= LIMIT):
                statuses.append(130)
            else:
                result[bid] = (care_of or self.bindings[bid][0], until)
                statuses.append(0)
        return self.conclude(statuses, result)

    def remove(self, wanted: Identifiers, now: float) -> tuple[int, list[int]]:
        result = {bid: entry for bid, entry in self.bindings.items() if bid not in dict(wanted)}
        status, statuses = self.conclude([0 if bid in self.bindings else 133 for bid, _ in wanted], result)
        if not self.bindings and status < 128:
            self.forget_at = now + 10
        return status, statuses

    def conclude(self, statuses: list[int], result: dict[int, tuple[Address, float]]) -> tuple[int, list[int]]:
        bad = [status for status in statuses if status]
        if len(bad) == len(statuses):
            return bad[0], [0] * len(bad) if len(set(bad)) == 1 else statuses
        self.bindings = result
        if result:
            self.forget_at = None
        return 4 if bad else 0, statuses


class HomeAgentMachine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        config = HomeAgentConfig((HomeNetwork(HOME, HA),), {HOA: NodeProvision(HOA, max_bindings=LIMIT)})
        self.config = config
        self.engine = HomeAgent(config)
        self.model = Model()
        self.now = 0.0
        self.sequence = 100

    def exchange(
        self, flags: int, lifetime: int, wanted: Identifiers, *, source: Address = COAS[0], step: int = 1
    ) -> BindingAcknowledgement:
        """Send, carry out, and return the answer."""
        self.sequence = (self.sequence + step) & 0xFFFF
        options = tuple(BindingIdentifier(bid, care_of) for bid, care_of in wanted)
        update = BindingUpdate(self.sequence, flags, lifetime, options)
        self.engine.receive(encode_packet(source, HA, update, home_address=HOA), self.now)
        for transaction in self.engine.transactions():
            self.engine.commit(transaction.number, self.now)
        (reply,) = self.engine.outbox()
        answer = decode_packet(reply).message
        assert isinstance(answer, BindingAcknowledgement)
        return answer

    def agree(self, answer: BindingAcknowledgement, expected: tuple[int, list[int]]) -> None:
        statuses = [option.status for option in answer.options if isinstance(option, BindingIdentifier)]
        assert (answer.status, statuses) == expected
        assert answer.sequence == self.sequence
        if self.model.remembers():
            self.model.sequence = self.sequence

    @rule(wanted=identifiers, lifetime=lifetimes, overwrite=st.booleans())
    def register(self, wanted: Identifiers, lifetime: int, *, overwrite: bool) -> None:
        answer = self.exchange(0xC040 if overwrite else 0xC000, lifetime, wanted)
        self.agree(answer, self.model.register(wanted, self.now + 4 * lifetime, overwrite=overwrite))

    @rule(source=st.sampled_from(COAS), lifetime=lifetimes)
    def register_without_bid(self, source: Address, lifetime: int) -> None:
        answer = self.exchange(0xC000, lifetime, [], source=source)
        self.model.bindings = {0: (source, self.now + 4 * lifetime)}
        self.model.forget_at = None
        self.agree(answer, (0, []))

    @rule(wanted=identifiers)
    def remove(self, wanted: Identifiers) -> None:
        self.agree(self.exchange(0xC040, 0, wanted), self.model.remove(wanted, self.now))

    @rule()
    def remove_all(self) -> None:
        answer = self.exchange(0xC000, 0, [])
        if self.model.bindings:
            self.model.bindings = {}
            self.model.forget_at = self.now + 10
            self.agree(answer, (0, []))
        else:
            self.agree(answer, (133, []))

    @precondition(lambda self: self.model.remembers())
    @rule(wanted=identifiers, behind=st.integers(0, 0x8000))
    def send_late(self, wanted: Identifiers, behind: int) -> None:
        kept = self.sequence
        self.sequence = (self.model.sequence - behind) & 0xFFFF
        answer = self.exchange(0xC040, 10, wanted, step=0)
        assert (answer.status, answer.sequence) == (135, self.model.sequence)
        self.sequence = kept

    @rule(wanted=identifiers, overwrite=st.booleans())
    def register_in_vain(self, wanted: Identifiers, *, overwrite: bool) -> None:
        """The switches refuse."""
        self.sequence = (self.sequence + 1) & 0xFFFF
        options = tuple(BindingIdentifier(bid, care_of) for bid, care_of in wanted)
        update = BindingUpdate(self.sequence, 0xC040 if overwrite else 0xC000, 10, options)
        self.engine.receive(encode_packet(COAS[0], HA, update, home_address=HOA), self.now)
        for transaction in self.engine.transactions():
            self.engine.abort(transaction.number, self.now)
        (reply,) = self.engine.outbox()
        answer = decode_packet(reply).message
        assert isinstance(answer, BindingAcknowledgement)
        assert answer.status >= 128
        if self.model.remembers():
            self.model.sequence = self.sequence

    @rule(wanted=identifiers, overwrite=st.booleans(), rooms=st.lists(st.frozensets(st.integers(1, 9)), max_size=4))
    def register_what_fits(self, wanted: Identifiers, rooms: list[frozenset[int]], *, overwrite: bool) -> None:
        """The switches have no room for some BIDs, and when these are left out perhaps none for others."""
        self.sequence = (self.sequence + 1) & 0xFFFF
        options = tuple(BindingIdentifier(bid, care_of) for bid, care_of in wanted)
        update = BindingUpdate(self.sequence, 0xC040 if overwrite else 0xC000, 10, options)
        self.engine.receive(encode_packet(COAS[0], HA, update, home_address=HOA), self.now)
        full: frozenset[int] = frozenset()
        in_vain = False
        while transactions := self.engine.transactions():
            (transaction,) = transactions
            if not rooms:
                self.engine.commit(transaction.number, self.now)
                break
            none = rooms.pop(0)
            # Nothing that was named is to blame any more: then it is refused as a whole.
            in_vain = not none & dict(wanted).keys() - full
            full |= none & dict(wanted).keys()
            self.engine.abort(transaction.number, self.now, full=none)
        (reply,) = self.engine.outbox()
        answer = decode_packet(reply).message
        assert isinstance(answer, BindingAcknowledgement)
        if in_vain:
            assert answer.status == 130
            if self.model.remembers():
                self.model.sequence = self.sequence
        else:
            self.agree(answer, self.model.register(wanted, self.now + 40, overwrite=overwrite, full=full))

    @rule(seconds=st.integers(1, 30))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        self.engine.handle_timer(self.now)
        for transaction in self.engine.transactions():
            self.engine.commit(transaction.number, self.now)
        assert self.engine.outbox() == []
        self.model.pass_time(self.now)

    @rule()
    def restart(self) -> None:
        records = list(self.engine.records())
        self.engine = HomeAgent(self.config)
        self.engine.restore(records)

    @invariant()
    def same(self) -> None:
        record = self.engine.record(HOA)
        held = {} if record is None else {b.bid: (b.care_of, b.expires) for b in record.bindings}
        assert held == self.model.bindings
        if record is not None:
            assert record.sequence == self.model.sequence
            assert record.forget_at == (None if held else self.model.forget_at)
        else:
            assert not self.model.remembers()
        ends = [end for _, end in held.values()] or [when for when in (self.model.forget_at,) if when is not None]
        assert self.engine.next_timer() == min(ends, default=None)
        flows = 0 if record is None else len(record.flows)
        assert self.engine.tally() == Tally(
            bool(held), record is not None and not held, len(held), flows if held else 0
        )


HomeAgentMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestHomeAgent = HomeAgentMachine.TestCase
