"""Nodes that come, move and go, with overlapping, merged, refused and undone plans, on a model of a switch."""

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from controller.dataplane import pipeline as p
from controller.dataplane.desired import ConflictError, DesiredState
from controller.dataplane.entries import Entry, EntryKey
from controller.dataplane.plans import Plan, Step, diff, merge, plan
from controller.mobility.address import Address
from controller.mobility.flows import (
    Balance,
    Discard,
    FlowEntry,
    FlowPolicy,
    FlowSelector,
    Replicate,
    Share,
    Span,
    Steer,
    TrafficSelector,
    Treatment,
)
from controller.mobility.model import NodeRecord
from model_switch import HOMES, PREFIXES, ModelSwitch, RefusedError, policy, record, transaction


def with_flows(node: NodeRecord, flows: dict[int, tuple[tuple[int, ...], int]]) -> NodeRecord:
    """Add flow bindings that the node signalled: priority to BIDs and an upper end of ports from 1 on."""
    signalled = tuple(
        FlowEntry(number, number, FlowSelector(protocol=Span(17, 17), source_ports=Span(1, end)), bids)
        for number, (bids, end) in sorted(flows.items())
    )
    return replace(node, flows=signalled)


several = st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True).map(tuple)
treatments: st.SearchStrategy[Treatment] = st.one_of(
    st.integers(1, 4).map(Steer),
    several.map(Replicate),
    st.tuples(several, st.integers(1, 3)).map(
        lambda pair: Balance(tuple(Share(bid, pair[1] + bid) for bid in pair[0]))
    ),
    st.just(Discard()),
)
records = st.builds(
    with_flows,
    st.builds(
        record,
        st.sampled_from(HOMES),
        st.dictionaries(st.integers(1, 3), st.integers(0, 3), max_size=3),
        st.sets(st.sampled_from(PREFIXES)).map(sorted),
    ),
    st.dictionaries(st.integers(1, 3), st.tuples(several, st.integers(1, 3)), max_size=2),
)


def world(nodes: list[NodeRecord]) -> dict[EntryKey, Entry]:
    state = DesiredState()
    for node in nodes:
        if state.record(node.home_address) is None:
            try:
                state.confirm(state.apply(transaction(None, node)))
            except ConflictError:
                continue
    return state.desired()


@given(st.lists(records, max_size=4), st.lists(records, max_size=4), st.integers())
@settings(max_examples=60, deadline=None)
def test_reconciling_leads_from_anything_to_anything(
    now: list[NodeRecord], wanted: list[NodeRecord], seed: int
) -> None:
    switch, target = ModelSwitch(seed), world(wanted)
    switch.entries = world(now)
    switch.write(diff(switch.entries, target))
    assert switch.entries == target
    assert diff(switch.entries, target) == ()
    assert plan(target, target) == Plan()


class Life(RuleBasedStateMachine):
    """Nodes come, move and go; plans overlap, are merged, refused and undone; the switch is never inconsistent."""

    done: Bundle[Plan] = Bundle("done")

    @initialize(seed=st.integers())
    def begin(self, seed: int) -> None:
        self.state = DesiredState()
        self.switch = ModelSwitch(seed)
        self.unbroken = 0

    @rule(target=done, nodes=st.lists(records, min_size=1, max_size=3, unique_by=lambda node: node.home_address))
    def register(self, nodes: list[NodeRecord]) -> MultipleResults[Plan]:
        return self.carry_out([*self.planned(nodes)])

    @rule(
        target=done,
        nodes=st.lists(records, min_size=1, max_size=3, unique_by=lambda node: node.home_address),
        room=st.integers(0, 12),
    )
    def refuse(self, nodes: list[NodeRecord], room: int) -> MultipleResults[Plan]:
        plans = [*self.planned(nodes)]
        desired = self.state.desired()
        merged = merge(plans)
        self.switch.refuse_after = room
        reached = Step.MAKE
        try:
            for reached, stage in merged.steps():  # noqa: B007  the step that fails is used below
                self.switch.write((stage,))
        except RefusedError:
            self.switch.refuse_after = None
            for one in plans:
                undone = self.state.rollback(one, reached)
                self.switch.write(undone.stages, undoing=True)
                self.state.confirm(undone)
            return multiple()
        self.switch.refuse_after = None
        assert self.state.desired() == desired
        return self.carry_out(plans)

    @rule(target=done, home=st.sampled_from(HOMES), forgotten=st.booleans())
    def deregister(self, home: Address, forgotten: bool) -> MultipleResults[Plan]:  # noqa: FBT001  Hypothesis passes by name
        before = self.state.record(home)
        if before is None:
            return multiple()
        after = None if forgotten else replace(before, bindings=(), prefixes=(), forget_at=1.0)
        return self.carry_out([self.state.apply(transaction(before, after))])

    @rule(
        target=done,
        home=st.sampled_from(HOMES),
        wishes=st.dictionaries(st.integers(1, 4), treatments, max_size=3),
        fallback=st.none() | treatments,
    )
    def steer(self, home: Address, wishes: dict[int, Treatment], fallback: Treatment | None) -> MultipleResults[Plan]:
        wanted = [replace(policy(home, 1, priority), treatment=wish) for priority, wish in wishes.items()]
        if fallback is not None:
            wanted.append(FlowPolicy("rest", home, 9, TrafficSelector(), fallback, fallback=True))
        return self.carry_out([self.state.set_policies(home, wanted)])

    @rule(one=consumes(done))
    def break_old_ways(self, one: Plan) -> None:
        self.switch.write(self.state.take_break(one))
        self.state.finish_break(one)
        self.unbroken -= 1

    @precondition(lambda self: self.unbroken == 0)
    @rule()
    def nothing_is_left_over(self) -> None:
        in_use = [node for home in HOMES if (node := self.state.record(home)) is not None]
        assert len(self.state.ids.nodes) == len(in_use)
        assert len(self.state.ids.paths) == len({binding.care_of for node in in_use for binding in node.bindings})
        several = [key for key in self.switch.entries if key[0] == p.MULTICAST_GROUPS]
        assert len(self.state.ids.copies) == len(several)
        assert len(self.state.ids.spreads) * p.BUCKETS == sum(key[0] == p.BALANCERS for key in self.switch.entries)

    @invariant()
    def the_switch_has_what_is_desired(self) -> None:
        assert self.switch.entries == self.state.desired()

    def planned(self, nodes: list[NodeRecord]) -> Iterable[Plan]:
        for node in nodes:
            try:
                yield self.state.apply(transaction(self.state.record(node.home_address), node))
            except ConflictError:
                continue

    def carry_out(self, plans: list[Plan]) -> MultipleResults[Plan]:
        merged = merge(plans)
        self.switch.write(merged.stages)
        self.state.confirm(merged)
        broken = [one for one in plans if one.break_]
        self.unbroken += len(broken)
        return multiple(*broken)


Life.TestCase.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
TestLife = Life.TestCase
