"""Handovers are planned by what has moved: with the same outcome as if all that a node has were compared."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from controller.dataplane.desired import DesiredState
from controller.dataplane.entries import Update
from controller.dataplane.nodes import NodeState, difference
from controller.dataplane.plans import Stages, plan
from controller.mobility.model import NodeRecord
from model_switch import HOMES, PREFIXES, ModelSwitch, record, transaction

PLACES = st.dictionaries(st.integers(1, 3), st.integers(0, 3), max_size=3)
"""BID to one of four care-of addresses, which BIDs may share."""
RECORDS = st.builds(
    lambda places, prefixes, priorities: _preferred(record(HOMES[0], places, PREFIXES[:prefixes]), priorities),
    PLACES,
    st.integers(0, 1),
    st.sampled_from(((1, 2, 3), (3, 2, 1))),
)


def _preferred(one: NodeRecord, priorities: tuple[int, ...]) -> NodeRecord:
    bindings = tuple(replace(binding, priority=priorities[binding.bid - 1]) for binding in one.bindings)
    return replace(one, bindings=bindings)


@given(RECORDS, RECORDS)
def test_the_updates_are_those_of_comparing_everything(before: NodeRecord, after: NodeRecord) -> None:
    state, switch = DesiredState(), ModelSwitch()
    first = state.apply(transaction(None, before))
    switch.write(first.stages)
    state.confirm(first)
    held = NodeState(before).entries(state.ids)
    done = state.apply(transaction(before, after))
    whole = plan(held, NodeState(after).entries(state.ids))
    assert _sorted(done.now) == _sorted(whole.now)
    assert _sorted(done.later) == _sorted(whole.later)
    switch.write(done.stages)
    state.confirm(done)
    switch.write(state.take_break(done))
    state.finish_break(done)
    assert switch.entries == state.desired()


def _sorted(stages: Stages) -> list[list[Update]]:
    """Return stages with their updates in one order: inside a stage it means nothing."""
    return [sorted(stage, key=repr) for stage in stages]


def test_only_what_has_moved_is_looked_at() -> None:
    before, after = record(HOMES[0], {1: 0, 2: 1, 3: 2}), record(HOMES[0], {1: 0, 2: 3, 3: 2})
    found = difference(NodeState(before), NodeState(after))
    assert found is not None
    assert [list(side.paths.values()) for side in found] == [[2], [2]]


def test_where_two_bids_share_a_care_of_address_all_is_looked_at() -> None:
    apart, together = record(HOMES[0], {1: 0, 2: 1}), record(HOMES[0], {1: 0, 2: 0})
    assert difference(NodeState(apart), NodeState(together)) is None
    assert difference(NodeState(together), NodeState(apart)) is None
