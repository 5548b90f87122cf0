"""The rules of flow bindings against a simple model, over the life of a node (RFC 6089 section 5.3)."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from conformance.flows import flow, flows_of, reference, summary, udp
from conformance.harness import COA1, COA2, COA3, HOA, Bed
from conformance.packets import bid
from controller.mobility.address import Address

COA = {1: COA1, 2: COA2, 3: COA3}
fids = st.integers(1, 4)
bids = st.integers(1, 3)


@dataclass
class Wanted:
    """A flow as the model has it."""

    priority: int
    port: int
    bid: int


@dataclass
class Model:
    """What a home agent should hold."""

    bids: set[int] = field(default_factory=set)
    flows: dict[int, Wanted] = field(default_factory=dict)


# Priority is ten times the FID, so no two flows collide; that has tests of its own.
options = st.lists(
    st.tuples(fids, st.none() | st.integers(1, 9), st.none() | bids, st.booleans()),
    max_size=4,
    unique_by=lambda one: one[0],
)


class Life(RuleBasedStateMachine):
    """BIDs come and go, flows are named, kept, changed and left out."""

    @initialize()
    def begin(self) -> None:
        self.bed = Bed()
        self.model = Model()

    @rule(named=st.sets(bids, min_size=1), listed=options, plain=st.sampled_from([False] * 9 + [True]))
    def register(self, named: set[int], listed: list[tuple[int, int | None, int | None, bool]], plain: bool) -> None:  # noqa: FBT001 -- Hypothesis passes by name
        if plain:
            self.bed.register(lifetime=0)
            self.model = Model()
            return
        model = self.model
        model.bids |= named
        self.say([bid(number, COA[number]) for number in sorted(named)], listed, 60)

    @rule(one=bids, listed=options)
    def remove(self, one: int, listed: list[tuple[int, int | None, int | None, bool]]) -> None:
        if one not in self.model.bids or len(self.model.bids) < 2:
            return
        self.model.bids.discard(one)
        self.say([bid(one)], listed, 0)

    def say(self, head: list, listed: list[tuple[int, int | None, int | None, bool]], lifetime: int) -> None:  # type: ignore[type-arg]
        before, after = self.model.flows, {}
        expected: list[tuple[int, int]] = []
        kept: list[int] = []
        sent = []
        for fid, port, to, whole in listed:
            if not whole:
                kept.append(fid)
                continue
            parts = ([] if to is None else [reference(to)]) + ([] if port is None else [udp(port)])
            sent.append(flow(fid, 10 * fid, *parts))
            old = before.get(fid)
            if (port is None or to is None) and old is None:
                expected.append((fid, 130))
            elif to is not None and to not in self.model.bids:
                expected.append((fid, 131))
                if old is not None:
                    after[fid] = old
            else:
                expected.append((fid, 0))
                known = old or Wanted(0, 0, 0)
                after[fid] = Wanted(10 * fid, port or known.port, to or known.bid)
        for fid in kept:
            if fid in before:
                after[fid] = before[fid]
            else:
                expected.append((fid, 132))
        ack = self.bed.register(*head, *sent, *([summary(*kept)] if kept else []), lifetime=lifetime)
        assert ack.status == 0
        assert flows_of(ack) == expected
        self.model.flows = after

    @invariant()
    def the_home_agent_holds_what_the_model_holds(self) -> None:
        record = self.bed.engine.record(Address(HOA))
        held = () if record is None else record.flows
        assert [one.fid for one in held] == sorted(self.model.flows)
        for one in held:
            wanted = self.model.flows[one.fid]
            ports = one.selector.destination_ports
            assert ports is not None
            assert (one.priority, ports.low, one.bids) == (wanted.priority, wanted.port, (wanted.bid,))
            assert record is not None
            assert record.active_bids(one) == ((wanted.bid,) if wanted.bid in self.model.bids else ())


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
TestLife = Life.TestCase
