"""Tables have an end: a change that would go beyond it is refused before anything is written."""

from dataclasses import replace
from random import Random

import pytest

from controller.dataplane import pipeline as p
from controller.dataplane.desired import CapacityError, DesiredState
from controller.dataplane.entries import EntryKey, Op
from controller.dataplane.plans import Plan, Stages
from controller.mobility.address import Address
from model_switch import COA, HOMES, record, transaction


def put(state: DesiredState, home: Address, care_of: dict[int, int]) -> Plan:
    return state.apply(transaction(state.record(home), record(home, care_of)))


def test_a_change_that_fits_exactly_is_taken_and_one_more_is_not() -> None:
    state = DesiredState()
    state.set_capacity({p.TUNNELS: 3})
    state.confirm(put(state, HOMES[0], {1: 0, 2: 1}))
    before = state.desired()
    with pytest.raises(CapacityError, match="table tunnels is full: 2 of 3 entries are taken"):
        put(state, HOMES[1], {1: 0, 2: 1})
    assert state.desired() == before
    assert not state.is_pending(HOMES[1])
    state.confirm(put(state, HOMES[1], {1: 2}))
    assert state.used(p.TUNNELS) == 3


def test_what_goes_takes_room_until_it_is_gone() -> None:
    state = DesiredState()
    state.set_capacity({p.TUNNELS: 2})
    state.confirm(put(state, HOMES[0], {1: 0, 2: 1}))
    leaving = put(state, HOMES[0], {})
    with pytest.raises(CapacityError):
        put(state, HOMES[1], {1: 2})
    state.confirm(leaving)
    put(state, HOMES[1], {1: 2})


def test_the_old_care_of_address_takes_room_until_its_grace_period_is_over() -> None:
    state = DesiredState()
    state.set_capacity({p.TUNNEL_TERMINATION: 2})
    state.confirm(put(state, HOMES[0], {1: 0}))
    moved = put(state, HOMES[0], {1: 1})
    state.confirm(moved)
    assert state.used(p.TUNNEL_TERMINATION) == 2
    with pytest.raises(CapacityError):
        put(state, HOMES[1], {1: 2})
    state.take_break(moved)
    state.finish_break(moved)
    put(state, HOMES[1], {1: 2})


def full(state: DesiredState, home: Address, care_of: dict[int, int], priorities: dict[int, int]) -> frozenset[int]:
    """Return the BIDs that a change is refused for."""
    plain = record(home, care_of)
    bindings = tuple(replace(one, priority=priorities.get(one.bid, 0)) for one in plain.bindings)
    with pytest.raises(CapacityError) as caught:
        state.apply(transaction(state.record(home), replace(plain, bindings=bindings)))
    return caught.value.full


def test_room_is_given_to_the_bids_that_the_node_prefers() -> None:
    state = DesiredState()
    state.set_capacity({p.TUNNELS: 2})
    wanted = {1: 0, 2: 1, 3: 2}
    assert full(state, HOMES[0], wanted, {}) == {3}
    assert full(state, HOMES[0], wanted, {3: 1, 2: 5}) == {1}
    assert full(state, HOMES[0], wanted, {1: 7, 2: 8, 3: 9}) == {3}


def test_bids_with_one_care_of_address_need_its_room_once() -> None:
    state = DesiredState()
    state.set_capacity({p.TUNNEL_TERMINATION: 1})
    assert full(state, HOMES[0], {1: 0, 2: 1, 3: 0}, {}) == {2}
    assert full(state, HOMES[0], {1: 0, 2: 1, 3: 0}, {2: 1}) == {1, 3}


def test_no_bid_is_to_blame_for_what_the_node_needs_with_any() -> None:
    state = DesiredState()
    state.set_capacity({p.HOME_ADDRESSES: 0, p.TUNNELS: 1})
    assert full(state, HOMES[0], {1: 0, 2: 1}, {}) == frozenset()


@pytest.mark.parametrize("seed", range(40))
def test_without_the_bids_that_are_full_the_rest_fits_and_with_any_of_them_it_does_not(seed: int) -> None:
    random, state = Random(seed), DesiredState()
    state.set_capacity({table: random.randint(2, 7) for table in (p.TUNNELS, p.TUNNEL_TERMINATION, p.SOURCE_BINDINGS)})
    refused = 0
    for _ in range(80):
        home = random.choice(HOMES)
        wanted = {bid: random.randrange(len(COA)) for bid in random.sample((1, 2, 3, 4), random.randint(1, 4))}
        too_many: frozenset[int] = frozenset()
        try:
            change = put(state, home, wanted)
        except CapacityError as error:
            too_many = error.full
        if too_many:
            refused += 1
            rest = {bid: where for bid, where in wanted.items() if bid not in too_many}
            for bid in too_many:
                with pytest.raises(CapacityError):
                    put(state, home, {**rest, bid: wanted[bid]})
            change = put(state, home, rest)
        state.confirm(change)
        state.take_break(change)
        state.finish_break(change)
    assert refused


@pytest.mark.parametrize("seed", range(30))
def test_no_table_of_a_switch_ever_overflows(seed: int) -> None:
    """A switch that takes each update as it comes, and changes that are undone as often as they are not."""
    random, state = Random(seed), DesiredState()
    room = {p.TUNNELS: 5, p.TUNNEL_TERMINATION: 4, p.SOURCE_BINDINGS: 6, p.DEFAULT_BINDING: 3, p.HOME_ADDRESSES: 3}
    state.set_capacity(room)
    held: set[EntryKey] = set()
    refused, breaks = 0, list[Plan]()

    def write(stages: Stages) -> None:
        for stage in stages:
            for op, entry in random.sample(stage, len(stage)):
                (held.discard if op is Op.DELETE else held.add)(entry.key)
                full = [table for table, size in room.items() if sum(key[0] == table for key in held) > size]
                assert not full

    for _ in range(60):
        home = random.choice(HOMES)
        care_of = {bid: random.randrange(len(COA)) for bid in random.sample((1, 2, 3), random.randint(0, 3))}
        try:
            change = put(state, home, care_of)
        except CapacityError:
            refused += 1
            continue
        write(change.stages)
        if random.random() < 0.3:
            undone = state.rollback(change)
            write((*undone.stages, *undone.break_))
            state.confirm(undone)
        else:
            state.confirm(change)
            breaks.append(change)
        if breaks and random.random() < 0.6:
            done = breaks.pop(0)
            write(state.take_break(done))
            state.finish_break(done)
        assert held == set(state.desired())
        for table in room:
            assert state.used(table) == sum(key[0] == table for key in held)
    assert refused
