"""Next hops that share a number, and what of a switch changes when one of them fails."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Op
from controller.dataplane.plans import plan
from controller.fabric.loader import load_topology, parse_topology, sample_topologies
from controller.fabric.paths import NO_OUTAGE, Outage, groups
from controller.fabric.statics import switch_entries
from controller.fabric.ways import FIRST_SET, ways

TOPOLOGY = load_topology(sample_topologies() / "leaf-spine.yaml")
SPINES = ("spine1", "spine2", "spine3")
LEAVES = ("leaf1", "leaf2", "leaf3", "leaf4", "leaf5")
LINKS = range(len(TOPOLOGY.links) - 2)  # of switches, and of what is at one of them alone


def port_to(switch: str, peer: str) -> int:
    return next(one.port for one in TOPOLOGY.interfaces_of(switch) if one.peer.node == peer and one.port is not None)


@pytest.mark.parametrize("leaf", LEAVES)
def test_equal_paths_share_a_number_and_a_flows_hash(leaf: str) -> None:
    found, known = ways(TOPOLOGY, leaf), groups(TOPOLOGY, leaf)
    assert found.routes.keys() == known.keys()
    spread = 0
    for prefix, number in found.routes.items():
        slots = found.next_hops[number]
        assert set(slots) == set(known[prefix])
        if len(known[prefix]) == 1:
            assert slots == known[prefix]
            assert number == slots[0].port
            continue
        spread += 1
        assert number >= FIRST_SET
        assert len(slots) == p.PATH_BUCKETS
        counts = Counter(slots)
        assert len(set(counts.values())) == 1
    assert spread


@pytest.mark.parametrize("lost", SPINES)
def test_when_a_spine_fails_next_hops_change_and_nothing_else(lost: str) -> None:
    outage = Outage(frozenset({lost}))
    for leaf in LEAVES:
        before = {entry.key: entry for entry in switch_entries(TOPOLOGY, leaf)}
        after = {entry.key: entry for entry in switch_entries(TOPOLOGY, leaf, outage=outage)}
        updates = list(plan(before, after, grace=False).updates())
        assert updates
        assert {(update.op, update.entry.table) for update in updates} == {(Op.MODIFY, p.NEXT_HOPS)}
        # One for each end, not for each route.
        ends = {number for number in ways(TOPOLOGY, leaf).routes.values() if number >= FIRST_SET}
        assert len(updates) == len(ends)
        back = list(plan(after, before, grace=False).updates())
        assert {update.entry.key for update in back} == {update.entry.key for update in updates}


@pytest.mark.parametrize("lost", SPINES)
def test_only_flows_of_what_failed_move(lost: str) -> None:
    for leaf in LEAVES:
        before, after = ways(TOPOLOGY, leaf), ways(TOPOLOGY, leaf, Outage(frozenset({lost})))
        gone = port_to(leaf, lost)
        for number in set(before.routes.values()):
            old, new = before.next_hops[number], after.next_hops[number]
            if len(old) == 1:
                assert new == old
                continue
            assert gone not in {hop.port for hop in new}
            assert all(one == other for one, other in zip(old, new, strict=True) if one.port != gone)
            counts = Counter(new)
            assert len(set(counts.values())) == 1


def test_one_path_that_is_left_has_all_flows_of_the_same_number() -> None:
    outage = Outage(frozenset({"spine1"}), frozenset({1}))  # leaf1 to spine2
    before, after = ways(TOPOLOGY, "leaf1"), ways(TOPOLOGY, "leaf1", outage)
    assert before.routes == after.routes
    for number in set(before.routes.values()):
        if number >= FIRST_SET:
            assert [hop.port for hop in after.next_hops[number]] == [port_to("leaf1", "spine3")]


@given(
    st.builds(
        Outage, st.frozensets(st.sampled_from([*SPINES, *LEAVES]), max_size=4), st.frozensets(st.sampled_from(LINKS))
    ),
    st.sampled_from([*SPINES, *LEAVES]),
)
def test_whatever_fails_every_destination_has_its_shortest_paths(outage: Outage, switch: str) -> None:
    found, known = ways(TOPOLOGY, switch, outage), groups(TOPOLOGY, switch, outage)
    assert found.routes.keys() == known.keys()
    assert found.routes == ways(TOPOLOGY, switch, outage).routes
    for prefix, group in known.items():
        slots = set(found.next_hops[found.routes[prefix]])
        # What is cut off by itself may go where others of its end go.
        assert slots == set(group) or group == groups(TOPOLOGY, switch)[prefix]
    # A number that routes need now or with everything in order means the same end in both.
    whole = ways(TOPOLOGY, switch, NO_OUTAGE)
    for prefix, number in whole.routes.items():
        if number >= FIRST_SET:
            assert found.routes[prefix] == number


def test_paths_that_become_equal_by_an_outage_are_shared_too() -> None:
    text = (sample_topologies() / "leaf-spine.yaml").read_text()
    text = text.replace('{a: "leaf1:1", b: "spine1:1"}', '{a: "leaf1:1", b: "spine1:1", cost: 2}')
    text = text.replace('{a: "leaf1:2", b: "spine2:1"}', '{a: "leaf1:2", b: "spine2:1", cost: 2}')
    topology = parse_topology(text)
    before = ways(topology, "leaf1")
    after = ways(topology, "leaf1", Outage(frozenset({"spine3"})))
    assert all(number < FIRST_SET for number in before.routes.values())
    moved = {prefix for prefix, number in before.routes.items() if after.routes[prefix] != number}
    assert moved
    for prefix in moved:
        assert {hop.port for hop in after.next_hops[after.routes[prefix]]} == {1, 2}
