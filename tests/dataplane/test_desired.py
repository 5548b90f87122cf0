"""Changes, carried out update by update on a model of a switch that checks after each one that no way leads nowhere."""

from dataclasses import replace

import pytest

from controller.dataplane import pipeline as p
from controller.dataplane.desired import CapacityError, ConflictError, DesiredState
from controller.dataplane.entries import Entry, Op
from controller.dataplane.flows import PolicyError
from controller.dataplane.ids import Ids, OutOfIdsError, Path
from controller.dataplane.planner import NodeFacts
from controller.dataplane.plans import Plan, Step, diff, merge
from controller.mobility.address import Address, parse_address
from controller.mobility.flows import Balance, FlowPolicy, Replicate, Share, TrafficSelector
from controller.mobility.model import NodeRecord
from model_switch import AGENT, COA, HOMES, PREFIXES, ModelSwitch, policy, record, transaction

SOURCES = {p.HOME_SOURCES, p.SOURCE_BINDINGS}


def registered(state: DesiredState, switch: ModelSwitch, after: NodeRecord) -> None:
    done = state.apply(transaction(state.record(after.home_address), after))
    switch.write(done.stages)
    state.confirm(done)
    switch.write(state.take_break(done))
    state.finish_break(done)


def test_a_first_registration_ends_with_the_entrance() -> None:
    done = DesiredState().apply(transaction(None, record(HOMES[0], {1: 0, 2: 1}, PREFIXES[:1])))
    assert [step for step, _ in done.steps()] == [Step.MAKE, Step.ATTACH]
    assert {update.op for update in done.updates()} == {Op.INSERT}
    assert {update.entry.table for update in done.stages[-1]} == {p.HOME_ADDRESSES, p.MOBILE_NETWORKS}
    assert done.break_ == ()


def test_a_handover_is_one_write_with_one_modify_before_the_break() -> None:
    state, switch = DesiredState(), ModelSwitch()
    registered(state, switch, record(HOMES[0], {1: 0, 2: 1}))
    done = state.apply(transaction(state.record(HOMES[0]), record(HOMES[0], {1: 0, 2: 2})))
    assert [step for step, _ in done.steps()] == [Step.MAKE]
    (make,) = done.stages
    assert {(update.op, update.entry.table) for update in make} == {
        (Op.INSERT, p.TUNNEL_TERMINATION),
        (Op.INSERT, p.SOURCE_BINDINGS),
        (Op.MODIFY, p.TUNNELS),
    }
    (tunnel,) = (update.entry for update in make if update.entry.table == p.TUNNELS)
    assert tunnel.params[1] == int.from_bytes(COA[2])
    (break_,) = done.break_
    assert {update.entry.table for update in break_} == {p.SOURCE_BINDINGS, p.TUNNEL_TERMINATION}


def test_a_deregistration_closes_the_entrance_first() -> None:
    state, switch = DesiredState(), ModelSwitch()
    registered(state, switch, record(HOMES[0], {1: 0}, PREFIXES[:1]))
    done = state.apply(transaction(state.record(HOMES[0]), None))
    assert [step for step, _ in done.steps()] == [Step.DETACH, Step.UNMAKE]
    switch.write(done.stages)
    state.confirm(done)
    assert {key[0] for key in switch.entries} == {p.TUNNEL_TERMINATION, *SOURCES, p.NETWORK_SOURCES}
    assert switch.entries == state.desired()
    switch.write(state.take_break(done))
    state.finish_break(done)
    assert switch.entries == state.desired() == {}
    assert len(state.ids.nodes) == len(state.ids.paths) == 0


def test_a_shared_care_of_address_goes_with_its_last_node() -> None:
    state, switch = DesiredState(), ModelSwitch()
    for home in HOMES[:2]:
        registered(state, switch, record(home, {1: 0}))
    first = state.apply(transaction(state.record(HOMES[0]), None))
    assert {update.entry.table for stage in first.break_ for update in stage} == SOURCES
    state.confirm(first)
    second = state.apply(transaction(state.record(HOMES[1]), None))
    assert {update.entry.table for stage in second.break_ for update in stage} == {*SOURCES, p.TUNNEL_TERMINATION}


def test_a_path_in_the_making_is_inserted_by_each_plan_but_written_once() -> None:
    state = DesiredState()
    plans = [state.apply(transaction(None, record(home, {1: 0}))) for home in HOMES[:2]]
    assert all(any(u.entry.table == p.TUNNEL_TERMINATION for u in one.stages[0]) for one in plans)
    merged = merge(plans)
    assert [u.entry.table for u in merged.stages[0]].count(p.TUNNEL_TERMINATION) == 1
    assert len(merged.stages) == 2
    assert merged.numbers == (*plans[0].numbers, *plans[1].numbers)


def test_a_refused_neighbour_leaves_the_shared_path_alone() -> None:
    state, switch = DesiredState(), ModelSwitch()
    plans = [state.apply(transaction(None, record(home, {1: 0}))) for home in HOMES[:2]]
    switch.write(merge(plans).stages[:1])
    undone = state.rollback(plans[0], Step.MAKE)
    assert undone.touches({(p.TUNNELS, (1, 1), 0)})
    assert not undone.touches({(p.TUNNEL_TERMINATION, (1, int.from_bytes(COA[0])), 0)})
    switch.write(undone.stages)
    state.confirm(undone)
    switch.write(plans[1].stages)
    state.confirm(plans[1])
    assert switch.entries == state.desired()
    assert state.record(HOMES[0]) is None


@pytest.mark.parametrize("leaves_first", [True, False])
@pytest.mark.parametrize("last_first", [True, False])
def test_a_path_that_changes_hands_in_a_refused_batch_never_goes(*, leaves_first: bool, last_first: bool) -> None:
    state, switch = DesiredState(), ModelSwitch()
    registered(state, switch, record(HOMES[1], {1: 0}))
    before = dict(switch.entries)
    leave, come = transaction(state.record(HOMES[1]), None), transaction(None, record(HOMES[0], {1: 0}))
    plans = [state.apply(change) for change in ((leave, come) if leaves_first else (come, leave))]
    for one in reversed(plans) if last_first else plans:
        undone = state.rollback(one, Step.MAKE)
        switch.write(undone.stages)
        state.confirm(undone)
    assert switch.entries == state.desired() == before


def test_a_path_left_by_one_and_refused_to_another_keeps_its_grace() -> None:
    state, switch = DesiredState(), ModelSwitch()
    registered(state, switch, record(HOMES[1], {1: 0}))
    leave = state.apply(transaction(state.record(HOMES[1]), None))
    come = state.apply(transaction(None, record(HOMES[0], {1: 0})))
    switch.write(merge([leave, come]).stages)
    state.confirm(leave)
    undone = state.rollback(come)
    switch.write(undone.stages)
    state.confirm(undone)
    assert {key[0] for key in switch.entries} == {p.TUNNEL_TERMINATION, *SOURCES}
    switch.write(state.take_break(leave))
    state.finish_break(leave)
    assert switch.entries == state.desired() == {}
    assert len(state.ids.paths) == 0


def test_numbers_come_back_only_after_the_break() -> None:
    state, switch = DesiredState(), ModelSwitch()
    registered(state, switch, record(HOMES[0], {1: 0}))
    gone = state.apply(transaction(state.record(HOMES[0]), None))
    state.confirm(gone)
    registered(state, switch, record(HOMES[1], {1: 1}))
    assert (state.ids.node(HOMES[1]), state.ids.path(Path(COA[1], AGENT))) == (2, 2)
    state.take_break(gone)
    state.finish_break(gone)
    registered(state, switch, record(HOMES[2], {1: 2}))
    assert (state.ids.node(HOMES[2]), state.ids.path(Path(COA[2], AGENT))) == (1, 1)


def test_what_is_wanted_again_is_not_broken() -> None:
    state, switch = DesiredState(), ModelSwitch()
    registered(state, switch, record(HOMES[0], {1: 0}))
    away = state.apply(transaction(state.record(HOMES[0]), record(HOMES[0], {1: 1})))
    switch.write(away.stages)
    state.confirm(away)
    back = state.apply(transaction(state.record(HOMES[0]), record(HOMES[0], {1: 0})))
    assert [step for step, _ in back.steps()] == [Step.MAKE]
    switch.write(back.stages)
    state.confirm(back)
    assert state.take_break(away) == ()
    state.finish_break(away)
    assert state.ids.path(Path(COA[0], AGENT)) == 1
    switch.write(state.take_break(back))
    state.finish_break(back)
    assert switch.entries == state.desired()


def test_an_entry_let_go_twice_has_its_own_grace() -> None:
    state, switch = DesiredState(), ModelSwitch()
    registered(state, switch, record(HOMES[0], {1: 0}))
    plans = []
    for care_of in (1, 0, 2):
        plans.append(state.apply(transaction(state.record(HOMES[0]), record(HOMES[0], {1: care_of}))))
        state.confirm(plans[-1])
    assert state.take_break(plans[0]) == ()
    assert sum(map(len, state.take_break(plans[2]))) == 2


def test_another_nodes_prefix_is_refused_and_nothing_changes() -> None:
    state, switch = DesiredState(), ModelSwitch()
    registered(state, switch, record(HOMES[0], {1: 0}, PREFIXES[:1]))
    before = state.desired()
    with pytest.raises(ConflictError, match="belongs to another node"):
        state.apply(transaction(None, record(HOMES[1], {1: 1}, PREFIXES[:1])))
    assert state.desired() == before
    assert len(state.ids.nodes) == 1
    leaving = state.apply(transaction(state.record(HOMES[0]), record(HOMES[0], {1: 0})))
    with pytest.raises(ConflictError, match="may yet get back"):
        state.apply(transaction(None, record(HOMES[1], {1: 1}, PREFIXES[:1])))
    state.confirm(leaving)
    registered(state, switch, record(HOMES[1], {1: 1}, PREFIXES[:1]))


def test_running_out_of_numbers_changes_nothing() -> None:
    state = DesiredState(Ids(2))
    state.confirm(state.apply(transaction(None, record(HOMES[0], {1: 0}))))
    with pytest.raises(OutOfIdsError):
        state.apply(transaction(None, record(HOMES[1], {1: 1, 2: 2})))
    assert HOMES[1] not in state.ids.nodes
    assert not state.is_pending(HOMES[1])
    state.apply(transaction(None, record(HOMES[1], {1: 1})))


def test_one_change_of_a_node_at_a_time() -> None:
    state = DesiredState()
    first = state.apply(transaction(None, record(HOMES[0], {1: 0})))
    assert state.is_pending(HOMES[0])
    with pytest.raises(RuntimeError, match="still pending"):
        state.set_policies(HOMES[0], [])
    state.confirm(first)
    assert not state.is_pending(HOMES[0])
    state.set_policies(HOMES[0], [])


def test_a_narrower_path_is_one_modify_and_can_be_undone() -> None:
    learnt: dict[Address, int] = {}
    state, switch = DesiredState(facts=lambda _record: NodeFacts(path_mtus=dict(learnt))), ModelSwitch()
    registered(state, switch, record(HOMES[0], {1: 0, 2: 1}))
    registered(state, switch, record(HOMES[1], {7: 1}))
    assert set(state.ids.nodes_at(COA[1])) == {HOMES[0], HOMES[1]}
    assert state.ids.nodes_at(COA[2]) == []
    learnt[COA[1]] = 1360
    narrowed = state.refresh(HOMES[0])
    (update,) = narrowed.updates()
    assert (update.op, update.entry.match[1], update.entry.params[-1]) == (Op.MODIFY, 2, 1360)
    switch.write(narrowed.stages)
    undone = state.rollback(narrowed)
    assert [one.entry.params[-1] for one in undone.updates()] == [1460]
    switch.write(undone.stages)
    state.confirm(undone)
    assert switch.entries == state.desired()
    for change in (state.refresh(HOMES[0]), state.refresh(HOMES[1])):
        switch.write(change.stages)
        state.confirm(change)
    assert sorted(entry.params[-1] for entry in switch.entries.values() if entry.table == p.TUNNELS) == [
        1360,
        1360,
        1460,
    ]
    learnt.clear()
    widened = state.refresh(HOMES[0])
    assert [one.entry.params[-1] for one in widened.updates()] == [1460]
    state.confirm(widened)
    again = state.refresh(HOMES[0])
    assert again.stages == ()
    state.confirm(again)
    nobody = state.refresh(HOMES[2])
    assert nobody.stages == ()


def test_policies_come_into_force_with_their_bid_and_can_be_undone() -> None:
    state, switch = DesiredState(), ModelSwitch()
    early = state.set_policies(HOMES[0], [policy(HOMES[0], 2, 5)])
    assert early.stages == ()
    state.confirm(early)
    registered(state, switch, record(HOMES[0], {1: 0, 2: 1}))
    assert sum(key[0] == p.FLOW_BINDINGS for key in switch.entries) == 1
    changed = state.set_policies(HOMES[0], [policy(HOMES[0], 1, 5), policy(HOMES[0], 2, 4)])
    assert [(u.op, u.entry.params) for u in changed.stages[0]] == [(Op.INSERT, (2,)), (Op.MODIFY, (1,))]
    undone = state.rollback(changed)
    switch.write(undone.stages)
    state.confirm(undone)
    assert state.policies(HOMES[0]) == (policy(HOMES[0], 2, 5),)
    assert switch.entries == state.desired()


@pytest.mark.parametrize(
    ("policies", "field"),
    [
        ([policy(HOMES[1], 1, 1)], "home_address"),
        ([policy(HOMES[0], 1, 1), replace(policy(HOMES[0], 1, 1), name="other")], "priority"),
        ([policy(HOMES[0], 1, 1), replace(policy(HOMES[0], 1, 2), name="flow 1")], "name"),
        ([policy(HOMES[0], 0, 1)], "bid"),
    ],
)
def test_contradicting_policies_are_refused(policies: list[FlowPolicy], field: str) -> None:
    with pytest.raises(PolicyError) as caught:
        DesiredState().set_policies(HOMES[0], policies)
    assert caught.value.field == field


def test_a_restored_state_is_the_one_that_was_stored() -> None:
    state, switch = DesiredState(), ModelSwitch()
    for home, care_of in zip(HOMES, ({1: 0}, {1: 1, 2: 0}, {3: 2}), strict=True):
        registered(state, switch, record(home, care_of))
    registered(state, switch, replace(record(HOMES[0], {}), forget_at=99.0))
    state.confirm(state.set_policies(HOMES[1], [policy(HOMES[1], 2, 5)]))
    again = DesiredState()
    for home in reversed(HOMES):
        stored = state.record(home)
        assert stored is not None
        again.restore(stored, state.ids.node(home), state.path_ids(stored), state.policies(home))
    assert again.desired() == state.desired()
    assert diff(state.desired(), again.desired()) == ()
    with pytest.raises(ValueError, match="already taken"):
        again.restore(record(parse_address("2001:db8:0:1::9"), {}), 1, {})
    moved = again.apply(transaction(again.record(HOMES[1]), record(HOMES[1], {1: 1, 2: 3})))
    assert [step for step, _ in moved.steps()] == [Step.MAKE]


def test_static_entries_belong_to_their_switch() -> None:
    state = DesiredState()
    hops = [Entry(p.NEXT_HOPS, (n,), p.FORWARD, (n, 1, 2)) for n in (1, 2)]
    route = Entry(p.ROUTES, (None,), p.NEXT_HOP, (1,))
    first = state.set_static("s1", [*hops, route])
    assert [[u.entry.table for u in stage] for stage in first.stages] == [[p.NEXT_HOPS] * 2, [p.ROUTES]]
    state.set_static("t1", hops[:1], anchor=False)
    state.confirm(state.apply(transaction(None, record(HOMES[0], {1: 0}))))
    assert set(state.desired("t1").values()) == set(hops[:1])
    assert set(state.desired("s1")) == {*state.desired(), *(entry.key for entry in (*hops, route))}
    second = state.set_static("s1", [hops[1], route._replace(params=(2,))])
    assert [(u.op, u.entry.table) for stage in second.stages for u in stage] == [
        (Op.MODIFY, p.ROUTES),
        (Op.DELETE, p.NEXT_HOPS),
    ]


def test_merging_one_plan_or_none_changes_nothing() -> None:
    done = DesiredState().apply(transaction(None, record(HOMES[0], {1: 0})))
    assert merge([done]) is done
    assert merge([]) == Plan()


@pytest.mark.parametrize("treatment", [Balance((Share(1, 1), Share(2, 1))), Replicate((1, 2))])
def test_a_preview_shows_what_is_then_planned_and_keeps_no_number(treatment: Balance | Replicate) -> None:
    state, switch = DesiredState(), ModelSwitch()
    registered(state, switch, record(HOMES[0], {1: 0, 2: 1}))
    wanted = [FlowPolicy("both", HOMES[0], 1, TrafficSelector(), treatment)]
    shown = state.preview_policies(HOMES[0], wanted)
    assert (len(state.ids.spreads), len(state.ids.copies)) == (0, 0)
    done = state.set_policies(HOMES[0], wanted)
    assert shown == tuple(done.updates())


def test_a_preview_of_a_node_leaves_alone_what_others_share() -> None:
    state, switch = DesiredState(), ModelSwitch()
    for home in HOMES[:2]:
        registered(state, switch, record(home, {1: 0, 2: 1}))
    before = dict(state.desired())
    shown = state.preview_node(record(HOMES[0], {2: 1}), bytes((192, 0, 2, 1)))
    changes = {(update.op, update.entry.table) for update in shown}
    assert changes == {
        (Op.DELETE, p.TUNNELS),
        (Op.DELETE, p.SOURCE_BINDINGS),
        (Op.MODIFY, p.DEFAULT_BINDING),
        (Op.INSERT, p.HOME_ADDRESSES),
        (Op.INSERT, p.HOME_SOURCES),
    }
    assert state.desired() == before
    state.set_capacity({p.HOME_ADDRESSES: 2})
    with pytest.raises(CapacityError, match="table home_addresses is full: 2 of 2"):
        state.preview_node(record(HOMES[0], {1: 0, 2: 1}), bytes((192, 0, 2, 1)))


def test_actions_in_sets_are_counted_beside_entries() -> None:
    state = DesiredState()
    hops = [Entry(p.NEXT_HOPS, (1,), p.FORWARD, (1, 2, 3, 4)), Entry(p.NEXT_HOPS, (600,), p.FORWARD, (1, 2, 3, 4) * 60)]
    state.set_static("s1", [*hops, Entry(p.ROUTES, (None,), p.NEXT_HOP, (600,))])
    assert state.static_counts("s1") == {p.NEXT_HOPS: 2, p.ROUTES: 1, p.PATHS: 61}
