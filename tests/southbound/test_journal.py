"""The ring file of writes, and sending it to another switch."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, Op, Update
from controller.southbound.errors import SouthboundError, WriteFailedError
from controller.southbound.journal import Journal, JournalError, Record, read
from controller.southbound.options import SessionOptions
from controller.southbound.replay import replay
from fake_p4runtime import RESOURCE_EXHAUSTED, FakeP4Runtime
from southbound_world import World
from testbed.softswitch.switch import SoftSwitch

records = st.builds(
    Record,
    st.floats(0, 2e9),
    st.just(5),
    st.text(max_size=20),
    st.none() | st.dictionaries(st.integers(0, 2**32 - 1), st.integers(1, 16), max_size=4),
    st.binary(max_size=700),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(records, max_size=40), st.integers(0, 40))
def test_the_last_records_are_there_whole_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, several: list[Record], reopened: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "ring"
    times = iter([record.when for record in several])
    for part in (several[:reopened], several[reopened:]):
        with Journal(path, 4096, 5, lambda: next(times)) as journal:
            for record in part:
                journal.append(record.switch, record.request, record.refused)
    found = list(read(path))
    assert found == several[len(several) - len(found) :]
    kept = sum(len(record.pack()) + 8 for record in found)
    if len(found) < len(several):
        assert kept + len(several[-len(found) - 1].pack()) + 8 > 4096, "room for one more was given away"


def test_a_record_larger_than_the_ring_is_counted(tmp_path: Path) -> None:
    with Journal(tmp_path / "ring", 4096, 5) as journal:
        journal.append("s1", bytes(5000), {})
        assert journal.skipped == 1
    assert list(read(tmp_path / "ring")) == []


def test_half_a_record_is_told_from_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    with Journal(path, 4096, 5) as journal:
        journal.append("s1", b"one", {})
        journal.append("s1", b"another", {})
    data = bytearray(path.read_bytes())
    data[data.index(b"another")] ^= 1
    path.write_bytes(data)
    found = read(path)
    assert next(found).request == b"one"
    with pytest.raises(JournalError, match="is damaged"):
        next(found)


def test_what_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    path.write_bytes(b"x" * (4096 + 32))
    with pytest.raises(JournalError, match="is no journal"):
        Journal(path, 4096, 5)
    with pytest.raises(JournalError, match="has 4128 octets, not 8224"):
        Journal(path, 8192, 5)
    with pytest.raises(JournalError, match="is no journal"):
        next(read(path))
    assert path.read_bytes() == b"x" * (4096 + 32)
    with pytest.raises(JournalError, match="cannot be read"):
        next(read(tmp_path / "nowhere"))
    with pytest.raises(JournalError, match="cannot be opened"):
        Journal(tmp_path / "no" / "where", 4096, 5)
    path.write_bytes(struct.pack("<8sQQQ", b"mcoajrn1", 4096, 10, 5) + bytes(4096))
    with pytest.raises(JournalError, match="damaged"):
        Journal(path, 4096, 5)


def steer(node: int, bid: int = 1) -> Entry:
    return Entry(p.DEFAULT_BINDING, (node,), p.STEER, (bid,))


async def test_a_replay_brings_another_switch_to_the_same_tables(world: World, tmp_path: Path) -> None:
    first, second = SoftSwitch(), SoftSwitch()
    addresses = [await first.start(), await second.start()]
    ring = tmp_path / "ring"
    with Journal(ring, 1 << 20, world.artefacts.cookie) as journal:
        world.want(*(steer(node) for node in range(1, 1500)))
        async with world.running(addresses[0], journal=journal) as session:
            await session.write([Update(Op.MODIFY, steer(3, 7)), Update(Op.DELETE, steer(4))])
            expected = await session.read_entries()
    written = list(read(ring))
    assert [record.switch for record in written] == ["s1"] * 3
    options = SessionOptions("other", addresses[1], 1)
    with pytest.raises(SouthboundError, match=r"another program|pipeline"):
        await replay(written, options, world.artefacts, 1, push=False)
    done = await replay(written, options, world.artefacts, 1, push=True)
    assert (done.writes, done.updates, done.refused, done.otherwise) == (3, 1501, 0, 0)
    world.entries = expected
    async with world.running(addresses[1]) as session:
        assert session.drift.entries == len(expected)
        assert not session.drift
    await first.stop()
    await second.stop()


async def test_what_is_answered_otherwise_is_told(world: World, fake: FakeP4Runtime, tmp_path: Path) -> None:
    ring = tmp_path / "ring"
    with Journal(ring, 1 << 20, world.artefacts.cookie) as journal:
        async with world.running(fake.address, journal=journal) as session:
            fake.refuse = {1: RESOURCE_EXHAUSTED}
            with pytest.raises(WriteFailedError):
                await session.write([Update(Op.INSERT, steer(node)) for node in (1, 2, 3)])
    (record,) = read(ring)
    assert record.refused == {1: RESOURCE_EXHAUSTED}
    options = SessionOptions("other", fake.address, 1)
    done = await replay([record], options, world.artefacts, 9, push=True)
    assert (done.updates, done.refused, done.otherwise) == (3, 0, 1)
    assert done.first == "INSERT in write 1: RESOURCE_EXHAUSTED then, OK now"
    fake.rival = 50
    with pytest.raises(SouthboundError, match="another controller is primary"):
        await replay([record], options, world.artefacts, 10, push=False)
