"""Fields of variable length, and parser value sets."""

import pytest
from finsy.proto import p4r
from hypothesis import given
from hypothesis import strategies as st

from softswitch_kit import DELETE, INSERT, MODIFY, Bench, fill_match, number
from testbed.softswitch import errors
from testbed.softswitch.errors import EntityError

OPTIONS, PIECES = 1, 2
TOO_SHORT, OUT_OF_BOUNDS, HEADER_TOO_SHORT = 0xE1, 0xE3, 0xE4


@pytest.fixture
def bench() -> Bench:
    return Bench("variable")


def out(bench: Bench, frame: bytes) -> tuple[int, bytes, bytes]:
    """The mark's value, the checksum, and what comes after the mark."""
    ((port, left),) = bench.run(frame)
    assert port == 2
    return left[0], left[1:3], left[3:]


def checksum(data: bytes) -> bytes:
    """The Internet checksum, word by word."""
    data += b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(data[i : i + 2]) for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (total ^ 0xFFFF).to_bytes(2)


@given(
    value=st.binary(max_size=20),
    tag=st.sampled_from([1, 8, 9]),
    tail=st.binary(min_size=2, max_size=2),
    rest=st.binary(),
)
def test_a_header_with_a_varbit_is_parsed_copied_changed_and_summed_up(
    value: bytes, tag: int, tail: bytes, rest: bytes
) -> None:
    bench = BENCH
    header = bytes([tag, len(value)]) + value
    start = bytes([OPTIONS, 0])
    mark, sum_, left = out(bench, start + header + tail + rest)
    saved = bytes([tag + 1, len(value)]) + value + tail
    kept = b"" if tag == 9 else header + (b"\xbe\xef" if tag == 8 else tail)
    assert (mark, left) == (0, start + kept + saved + rest)
    assert sum_ == checksum(saved)


BENCH = Bench("variable")
"""One for all examples: no entries, no state."""


def test_a_varbit_longer_than_its_field(bench: Bench) -> None:
    frame = bytes([OPTIONS, 0, 1, 21]) + bytes(40)
    mark, _, left = out(bench, frame)
    assert (mark, left) == (HEADER_TOO_SHORT, frame)


def test_a_varbit_longer_than_the_packet(bench: Bench) -> None:
    frame = bytes([OPTIONS, 0, 1, 20]) + bytes(10)
    mark, _, left = out(bench, frame)
    assert (mark, left) == (TOO_SHORT, frame)


@given(st.lists(st.tuples(st.integers(1, 5), st.binary(max_size=8)), max_size=3))
def test_a_stack_of_varbits(pieces: list[tuple[int, bytes]]) -> None:
    frame = bytes([PIECES, 0]) + b"".join(bytes([tag, len(value)]) + value for tag, value in pieces) + b"\0rest"
    assert out(BENCH, frame)[::2] == (0, frame)


def test_a_stack_shifts_varbits_too(bench: Bench) -> None:
    start, first, rest = bytes([PIECES, 0]), b"\x01\x02ab", b"\0rest"
    assert out(bench, start + first + b"\x07\x03cde" + rest)[2] == start + b"\x07\x03cde" + rest
    assert out(bench, start + first + b"\x06\x01z" + rest)[2] == start + b"\x77\x02ab" + first + b"\x06\x01z" + rest
    assert out(bench, start + first * 4 + rest)[0] == OUT_OF_BOUNDS


def members(bench: Bench, name: str, *keys: tuple[int, ...]) -> p4r.Entity:
    entity = p4r.Entity()
    entity.value_set_entry.value_set_id = bench.names.id("value_sets", name)
    for key in keys:
        member = entity.value_set_entry.members.add()
        for field, value in enumerate(key, 1):
            fill_match(member.match.add(field_id=field), 2, value)
    return entity


def mark(bench: Bench, kind: int, pair: int = 0) -> int:
    return out(bench, bytes([kind, pair]))[0]


def test_value_sets_steer_the_parser(bench: Bench) -> None:
    assert (mark(bench, 9), mark(bench, 3, 0x12)) == (0, 0)
    bench.write(MODIFY, members(bench, "kinds", (9,), (10,)))
    bench.write(MODIFY, members(bench, "pairs", (1, 2)))
    assert [mark(bench, kind) for kind in (8, 9, 10, 11)] == [0, 1, 1, 0]
    assert [mark(bench, 3, pair) for pair in (0x12, 0x21, 0x11)] == [2, 0, 0]
    bench.write(MODIFY, members(bench, "kinds"))
    assert mark(bench, 9) == 0


def test_value_sets_are_read_as_they_were_written(bench: Bench) -> None:
    kinds, pairs = members(bench, "kinds", (10,), (9,)), members(bench, "pairs", (3, 4))
    bench.write(MODIFY, kinds)
    bench.write(MODIFY, pairs)
    assert bench.read(lambda entity: entity.value_set_entry.SetInParent()) == [kinds, pairs]
    assert bench.read(lambda entity: entity.CopyFrom(members(bench, "pairs"))) == [pairs]


def test_value_sets_that_cannot_be(bench: Bench) -> None:
    def refused(kind: int, entity: p4r.Entity) -> int:
        with pytest.raises(EntityError) as caught:
            bench.write(kind, entity)
        return caught.value.code

    right = members(bench, "kinds", (9,))
    bench.write(MODIFY, right)
    assert refused(INSERT, right) == errors.INVALID_ARGUMENT
    assert refused(DELETE, right) == errors.INVALID_ARGUMENT
    assert refused(MODIFY, members(bench, "kinds", (1,), (1,))) == errors.ALREADY_EXISTS
    assert refused(MODIFY, members(bench, "kinds", *((n,) for n in range(5)))) == errors.RESOURCE_EXHAUSTED
    assert refused(MODIFY, members(bench, "pairs", (1,))) == errors.INVALID_ARGUMENT
    assert refused(MODIFY, members(bench, "pairs", (1, 16))) == errors.INVALID_ARGUMENT
    unknown = members(bench, "kinds", (1,))
    unknown.value_set_entry.value_set_id = 5
    assert refused(MODIFY, unknown) == errors.INVALID_ARGUMENT
    ternary = members(bench, "kinds")
    ternary.value_set_entry.members.add().match.add(field_id=1).ternary.value = number(1)
    assert refused(MODIFY, ternary) == errors.INVALID_ARGUMENT
    assert bench.read(lambda entity: entity.CopyFrom(members(bench, "kinds"))) == [right]
