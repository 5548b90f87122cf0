"""Deadlines against a plain dictionary, and the token bucket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.mobility.address import Address
from controller.mobility.timing import Deadlines, TokenBucket

keys = st.integers(0, 5).map(lambda number: Address(number.to_bytes(16)))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), keys, st.integers(0, 50)),
        st.tuples(st.just("clear"), keys, st.just(0)),
        st.tuples(st.just("due"), st.just(Address(bytes(16))), st.integers(0, 50)),
    ),
    max_size=60,
)


@given(steps)
def test_deadlines_are_a_dictionary_in_order(actions: list[tuple[str, Address, int]]) -> None:
    deadlines = Deadlines()
    model: dict[Address, float] = {}
    for action, key, when in actions:
        if action == "set":
            deadlines.set(key, when)
            model[key] = when
        elif action == "clear":
            deadlines.clear(key)
            model.pop(key, None)
        else:
            due = deadlines.due(when)
            assert sorted(due) == sorted(key for key, then in model.items() if then <= when)
            assert [model[key] for key in due] == sorted(model[key] for key in due)
            model = {key: then for key, then in model.items() if then > when}
        assert deadlines.next() == min(model.values(), default=None)


def test_a_deadline_that_moves_earlier_overtakes() -> None:
    deadlines = Deadlines()
    one, two = Address(bytes(16)), Address(bytes(15) + b"\x01")
    deadlines.set(one, 50.0)
    deadlines.set(two, 40.0)
    deadlines.set(one, 10.0)
    assert deadlines.next() == 10.0
    assert deadlines.due(45.0) == [one, two]
    assert deadlines.next() is None


def test_moving_deadlines_leave_nothing_behind() -> None:
    deadlines = Deadlines()
    for when in range(100_000, 0, -1):
        deadlines.set(Address(bytes(16)), float(when))
    assert len(deadlines._heap) < 100
    assert deadlines.next() == 1.0


def test_token_bucket() -> None:
    bucket = TokenBucket(rate=2.0, burst=3)
    assert [bucket.take(10.0) for _ in range(5)] == [True, True, True, False, False]
    assert not bucket.take(10.4)
    assert bucket.take(10.5)
    assert [bucket.take(100.0) for _ in range(5)] == [True, True, True, False, False]
    assert not bucket.take(1.0), "a clock that goes back gives nothing"


@pytest.mark.parametrize("rate", [0.5, 7.0, 1000.0])
def test_token_bucket_keeps_its_rate(rate: float) -> None:
    bucket = TokenBucket(rate, 10)
    taken = sum(bucket.take(step / (10 * rate)) for step in range(1000))
    assert 108 <= taken <= 110, "99.9 tokens in 999 steps, and the burst"
