"""Masked tables against the obvious search through all entries."""

from hypothesis import given
from hypothesis import strategies as st

from testbed.softswitch.tables import CACHE_SIZE, PACKED, Entry, MaskedTable, Part, key_factors, make_table

BITS = st.integers(0, 15)


@st.composite
def ternary(draw: st.DrawFn) -> Part:
    mask = draw(BITS)
    return Part(draw(BITS) & mask, mask)


@st.composite
def lpm(draw: st.DrawFn) -> Part:
    mask = 15 ^ (15 >> draw(st.integers(0, 4)))
    return Part(draw(BITS) & mask, mask)


@st.composite
def between(draw: st.DrawFn) -> Part:
    low, high = sorted((draw(BITS), draw(BITS)))
    return Part(low, high)


def matches(kinds: tuple[str, ...], match: tuple[Part, ...], key: tuple[int, ...]) -> bool:
    return all(
        part.value <= value <= part.mask if kind == "range" else value & part.mask == part.value
        for kind, part, value in zip(kinds, match, key, strict=True)
    )


ENTRIES = st.lists(st.tuples(ternary(), between(), st.integers(1, 100)), max_size=12, unique_by=lambda e: e[2])


@given(ENTRIES, st.lists(st.integers(0, 11), max_size=6), st.lists(st.tuples(BITS, BITS), max_size=8))
def test_ternary_and_range(
    entries: list[tuple[Part, Part, int]], removals: list[int], keys: list[tuple[int, int]]
) -> None:
    kinds = ("ternary", "range")
    table = make_table("t", kinds, 100, Entry(0, (), hit=False))
    assert isinstance(table, MaskedTable)
    live = [Entry(1, (priority,), (a, b), priority) for a, b, priority in entries]
    for entry in live:
        table.insert(entry)
    for round_ in range(2):
        for key in keys * 2:
            candidates = [e for e in live if matches(kinds, e.match, key)]
            best = max(candidates, key=lambda e: e.priority, default=table.default)
            assert (table.get(key) or table.find(key)) == (best.action, best.hit, *best.args)
        if round_ == 0:
            for index in removals:
                if index < len(live):
                    table.remove(live.pop(index))


@given(st.lists(lpm(), max_size=10, unique=True), st.lists(BITS, min_size=1, max_size=8))
def test_lpm(prefixes: list[Part], keys: list[int]) -> None:
    table = make_table("t", ("lpm",), 100, Entry(0, (), hit=False))
    assert isinstance(table, MaskedTable)
    entries = [Entry(1, (number,), (prefix,)) for number, prefix in enumerate(prefixes)]
    for entry in entries:
        table.insert(entry)
    for key in keys:
        candidates = [e for e in entries if matches(("lpm",), e.match, (key,))]
        best = max(candidates, key=lambda e: e.match[0].mask, default=table.default)
        assert table.find(key) == (best.action, best.hit, *best.args)


@given(st.data())
def test_a_key_of_several_fields_is_one_number(data: st.DataObject) -> None:
    widths = data.draw(st.lists(st.integers(1, 24), min_size=2, max_size=6))
    factors = key_factors(widths)
    if not factors:
        assert sum(widths) + len(widths) > PACKED
        return
    fields = st.tuples(*(st.integers(0, (1 << width) - 1) for width in widths))
    keys = data.draw(st.lists(fields, max_size=20, unique=True))
    numbers = {sum(value * factor for value, factor in zip(key, factors, strict=True)) for key in keys}
    assert len(numbers) == len(keys)
    assert all(0 <= number < 1 << PACKED for number in numbers)


def test_keys_that_differ_in_their_first_field_start_at_different_places() -> None:
    """A dictionary begins at the low bits: of 2 ** 17 places, 24 bits of a node and 16 of a BID must use many."""
    factors = key_factors((24, 16))
    numbers = {node * factors[0] + bid * factors[1] for node in range(1, 20_000) for bid in (1, 2, 3)}
    assert len({number % (1 << 17) for number in numbers}) > 0.9 * len(numbers)


def test_a_flood_of_keys_does_not_fill_the_memory() -> None:
    table = make_table("t", ("lpm",), 100, Entry(0, (), hit=False))
    assert isinstance(table, MaskedTable)
    for key in range(CACHE_SIZE + 10):
        table.find(key)
    assert sum(table.get(key) is not None for key in range(CACHE_SIZE + 10)) <= CACHE_SIZE
