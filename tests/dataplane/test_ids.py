import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.dataplane.ids import IdPool, Ids, IdTable, OutOfIdsError, Path
from controller.mobility.address import parse_address


def test_numbers_begin_at_one_and_come_back_lowest_first() -> None:
    pool = IdPool()
    assert [pool.take() for _ in range(4)] == [1, 2, 3, 4]
    pool.give_back(3)
    pool.give_back(2)
    assert [pool.take() for _ in range(3)] == [2, 3, 5]


def test_a_full_pool_says_so() -> None:
    pool = IdPool(2)
    pool.claim(1)
    assert pool.take() == 2
    with pytest.raises(OutOfIdsError, match="all 2 numbers are taken"):
        pool.take()
    with pytest.raises(ValueError, match="already taken"):
        pool.claim(2)
    for number in (0, 3):
        with pytest.raises(ValueError, match="out of range"):
            pool.claim(number)


def test_a_number_stays_while_anybody_holds_it() -> None:
    table: IdTable[str] = IdTable()
    assert table.hold("path", "one") == table.hold("path", "two") == 1
    table.drop("path", "one")
    table.drop("path", "never held it")
    assert table.number("path") == 1
    assert table.hold("other", "one") == 2
    table.drop("path", "two")
    table.drop("path", "two")
    assert "path" not in table
    assert table.hold("third", "one") == 1


def test_restored_numbers_are_kept_apart_from_new_ones() -> None:
    ids = Ids()
    home, away, agent = (parse_address(f"2001:db8::{n}") for n in (1, 2, 3))
    ids.nodes.restore(home, 1, home)
    ids.paths.restore(Path(away, agent), 7, home)
    ids.paths.restore(Path(away, agent), 7, away)
    assert (ids.node(home), ids.path(Path(away, agent))) == (1, 7)
    assert ids.nodes.hold(away, away) == 2
    with pytest.raises(ValueError, match="has the number 7 already, 8 cannot be restored"):
        ids.paths.restore(Path(away, agent), 8, home)
    with pytest.raises(ValueError, match="already taken"):
        ids.nodes.restore(agent, 2, agent)
    with pytest.raises(KeyError):
        ids.node(agent)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3))))
def test_no_two_things_ever_have_one_number(steps: list[tuple[bool, int, int]]) -> None:
    table: IdTable[int] = IdTable(6)
    holders: dict[int, set[int]] = {}
    for hold, key, holder in steps:
        if hold:
            known = table.number(key) if key in table else None
            assert table.hold(key, holder) == (known or table.number(key))
            holders.setdefault(key, set()).add(holder)
        else:
            table.drop(key, holder)
            holders.get(key, set()).discard(holder)
        alive = {key for key, held in holders.items() if held}
        assert len(table) == len(alive)
        assert len({table.number(key) for key in alive}) == len(alive)
