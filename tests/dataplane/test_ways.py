"""Where packets go that a policy gives to several BIDs."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.dataplane import pipeline as p
from controller.dataplane.desired import DesiredState
from controller.dataplane.entries import Entry, Op, Rate
from controller.dataplane.flows import PolicyError, validate_policy
from controller.dataplane.ids import Copies, Spread
from controller.dataplane.planner import NodeFacts
from controller.dataplane.ways import spread, way
from controller.mobility.flows import Balance, Discard, FlowPolicy, Replicate, Share, Steer, TrafficSelector, Treatment
from controller.mobility.model import NodeRecord
from model_switch import AGENT, HOMES, record, transaction

shares = st.lists(
    st.builds(Share, st.integers(1, 9), st.integers(1, 64)), min_size=1, max_size=8, unique_by=lambda share: share.bid
)


@given(shares)
def test_buckets_are_dealt_by_weight(several: list[Share]) -> None:
    counts = Counter(spread(several, {share.bid for share in several}))
    total = sum(share.weight for share in several)
    for bid, weight in several:
        assert abs(counts[bid] - p.BUCKETS * weight / total) < 1


@given(shares, st.data())
def test_only_flows_of_bids_that_are_away_move(several: list[Share], data: st.DataObject) -> None:
    bids = [share.bid for share in several]
    registered = data.draw(st.sets(st.sampled_from(bids), min_size=1))
    all_there, some_there = spread(several, bids), spread(several, registered)
    assert set(some_there) <= registered
    assert all(now == then for now, then in zip(some_there, all_there, strict=True) if then in registered)


def test_several_bids_of_which_one_is_registered_are_that_one() -> None:
    assert way(Replicate((3, 1, 2)), {1, 3}) == Copies((1, 3))
    assert way(Replicate((3, 1, 2)), {3}) == 3
    assert isinstance(way(Balance((Share(1, 1), Share(2, 1))), {1, 2}), Spread)
    assert way(Balance((Share(1, 1), Share(2, 1))), {2}) == 2
    assert way(Steer(4), {4}) == 4
    assert way(Discard(), {4}) is None


def policy(treatment: Treatment, priority: int = 1, *, fallback: bool = False) -> FlowPolicy:
    selector = TrafficSelector() if fallback else TrafficSelector(protocol=17)
    return FlowPolicy(f"policy {priority}", HOMES[0], priority, selector, treatment, fallback)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (policy(Replicate(())), "treatment"),
        (policy(Replicate((1, 1))), "treatment"),
        (policy(Replicate(tuple(range(1, 10)))), "treatment"),
        (policy(Replicate((0, 1))), "bid"),
        (policy(Balance((Share(1, 0),))), "weight"),
        (policy(Balance((Share(1, 65),))), "weight"),
        (policy(Balance((Share(65536, 1),))), "bid"),
        (FlowPolicy("x", HOMES[0], 1, TrafficSelector(protocol=6), Steer(1), fallback=True), "selector"),
    ],
)
def test_a_treatment_that_cannot_be_is_refused(wrong: FlowPolicy, field: str) -> None:
    with pytest.raises(PolicyError) as caught:
        validate_policy(wrong)
    assert caught.value.field == field


def in_force(node: NodeRecord, *policies: FlowPolicy) -> DesiredState:
    state = DesiredState()
    state.confirm(state.apply(transaction(None, node)))
    state.confirm(state.set_policies(node.home_address, policies))
    return state


def default(state: DesiredState) -> Entry:
    return state.desired()[p.DEFAULT_BINDING, (1,), 0]


def test_what_stands_in_for_the_preferred_binding() -> None:
    node = record(HOMES[0], {1: 0, 2: 1})
    state = in_force(node, policy(Steer(9), 1, fallback=True), policy(Replicate((1, 2)), 2, fallback=True))
    assert default(state).action == p.REPLICATE
    assert state.desired()[p.MULTICAST_GROUPS, default(state).params, 0].params == (1, 2)
    assert default(in_force(node, policy(Balance((Share(1, 1), Share(2, 3))), fallback=True))).action == p.BALANCE
    assert default(in_force(node, policy(Discard(), fallback=True))).action == p.DISCARD
    assert default(in_force(node, policy(Steer(9), fallback=True))).params == (1,)


def test_a_bid_that_goes_shrinks_its_group_before_its_tunnel_goes() -> None:
    node = record(HOMES[0], {1: 0, 2: 1, 3: 2})
    state = in_force(node, policy(Replicate((1, 2, 3))))
    done = state.apply(transaction(node, record(HOMES[0], {1: 0, 3: 2})))
    written = [(update.op, update.entry.table) for stage in done.stages for update in stage]
    flow, tunnel = (Op.MODIFY, p.FLOW_BINDINGS), (Op.DELETE, p.TUNNELS)
    assert written.index((Op.INSERT, p.MULTICAST_GROUPS)) < written.index(flow) < written.index(tunnel)
    assert (Op.DELETE, p.MULTICAST_GROUPS) in [(update.op, update.entry.table) for update in done.updates()]


def test_nodes_with_the_same_group_share_it() -> None:
    state = DesiredState()
    for home in HOMES[:2]:
        state.confirm(state.apply(transaction(None, record(home, {1: 0, 2: 1}))))
        wanted = FlowPolicy("all", home, 1, TrafficSelector(), Replicate((1, 2)))
        state.confirm(state.set_policies(home, [wanted]))
    assert sum(key[0] == p.MULTICAST_GROUPS for key in state.desired()) == 1
    gone = state.set_policies(HOMES[0], [])
    assert p.MULTICAST_GROUPS not in {update.entry.table for update in gone.updates()}


def test_numbers_of_groups_come_from_what_they_are() -> None:
    one, other = (
        in_force(record(HOMES[0], {1: 0, 2: 1, 3: 2}), *wanted)
        for wanted in (
            [policy(Replicate((1, 2)))],
            [policy(Replicate((2, 3)), 5), policy(Replicate((1, 2)), 7)],
        )
    )
    assert one.ids.shared(Copies((1, 2))) == other.ids.shared(Copies((1, 2)))


def test_facts_of_a_node_become_entries() -> None:
    facts = NodeFacts((HOMES[0],), bytes((192, 0, 2, 1)), {2: Rate(125_000, 3036), 7: Rate(1, 1)}, 1400)
    state = DesiredState(facts=lambda _record: facts)
    state.confirm(state.apply(transaction(None, record(HOMES[0], {1: 0, 2: 1}))))
    entries = set(state.desired().values())
    mapped = 0xFFFF_C000_0201
    assert Entry(p.HOME_ADDRESSES, (mapped,), p.MOBILE_NODE, (1,)) in entries
    assert Entry(p.HOME_SOURCES, (mapped,), p.SENDER, (1,)) in entries
    assert Entry(p.TUNNEL_RATES, (1, 2), p.LIMIT, rate=Rate(125_000, 3036)) in entries
    assert sum(entry.table == p.TUNNEL_RATES for entry in entries) == 1
    home = int.from_bytes(HOMES[0])
    assert Entry(p.NEIGHBOUR_PROXY, (home,), p.ANSWER_FOR_NODE, (state.ids.home_agent(AGENT), 0)) in entries
    assert {entry.params[2] for entry in entries if entry.table == p.TUNNELS} == {1400}
