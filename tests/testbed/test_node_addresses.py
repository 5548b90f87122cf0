"""What a node takes for its own addresses when they come and go."""

from hypothesis import given
from hypothesis import strategies as st

from controller.mobility.address import Address, parse_address
from testbed.node.local import LINGER, LocalAddresses

WIFI, OTHER, CELLULAR = (parse_address(f"2001:db8:a{number}::1") for number in (1, 2, 3))


def test_an_address_that_is_gone_is_taken_for_a_while() -> None:
    local = LocalAddresses()
    local.set({WIFI: 1, CELLULAR: 2}, 10.0)
    assert (local.bid_of(WIFI, 10.0), local.bid_of(CELLULAR, 99.0), local.bid_of(OTHER, 10.0)) == (1, 2, None)
    local.set({CELLULAR: 2}, 100.0)
    assert local.bid_of(WIFI, 100.0 + 0.9 * LINGER) == 1
    assert local.bid_of(WIFI, 100.0 + LINGER) is None


def test_other_changes_meanwhile_make_it_no_longer() -> None:
    local = LocalAddresses()
    local.set({WIFI: 1}, 0.0)
    for step in range(20):
        local.set({CELLULAR: 2}, step * LINGER / 4)
    assert local.bid_of(WIFI, LINGER) is None


def test_a_lap_does_not_cut_the_next_one_short() -> None:
    """A vehicle comes back to a cell: what remained of the first time has nothing to do with the second."""
    local = LocalAddresses()
    for lap in range(5):
        since = lap * 1.6 * LINGER
        local.set({WIFI: 1, CELLULAR: 2}, since)
        for moment in (0.3, 0.6, 0.9, 1.1):
            local.set({CELLULAR: 2} | ({OTHER: 1} if moment > 0.5 else {}), since + moment * LINGER)
            assert local.bid_of(WIFI, since + moment * LINGER) == 1
        assert local.bid_of(WIFI, since + 1.29 * LINGER) == 1
        assert local.bid_of(WIFI, since + 1.31 * LINGER) is None


def test_one_that_is_forgotten_is_taken_no_longer() -> None:
    local = LocalAddresses()
    local.set({WIFI: 1}, 0.0)
    local.forget(WIFI)
    local.set({}, 0.1)
    assert local.bid_of(WIFI, 0.1) is None


@given(
    st.lists(
        st.tuples(st.floats(0.01, 1.5), st.dictionaries(st.sampled_from((WIFI, OTHER, CELLULAR)), st.integers(1, 3)))
    )
)
def test_an_address_is_taken_while_it_is_there_and_so_long_afterwards(
    changes: list[tuple[float, dict[Address, int]]],
) -> None:
    local, now = LocalAddresses(), 0.0
    there: dict[Address, int] = {}
    left: dict[Address, tuple[int, float]] = {}
    for seconds, usable in changes:
        now += seconds
        left |= {address: (bid, now) for address, bid in there.items() if address not in usable}
        there = usable
        local.set(usable, now)
        for address in (WIFI, OTHER, CELLULAR):
            gone = left.get(address)
            late = gone[0] if gone is not None and now < gone[1] + LINGER else None
            assert local.bid_of(address, now) == usable.get(address, late)
