"""Random packets through random tables: the embedded switch and BMv2 do the same, and count the same.

`make differential` sends 10 000 packets; the suite sends fewer.
"""

import os
from collections.abc import Iterator
from itertools import islice
from random import Random

import pytest

import rig as rigs
from controller.dataplane.entries import Entry
from controller.dataplane.pipeline import TABLES
from random_traffic import frames, tables

PACKETS = int(os.environ.get("MCOA_DIFFERENTIAL_PACKETS", "400"))
PER_ROUND = 100
COUNTED = [name for name, table in TABLES.items() if table.counted]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[rigs.Rig, rigs.Rig]]:
    if (missing := rigs.bmv2_missing()) is not None:
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("differential")
    with rigs.running("embedded", folder) as embedded, rigs.running("bmv2", folder) as bmv2:
        yield embedded, bmv2


@pytest.mark.bmv2
@pytest.mark.root
@pytest.mark.parametrize("number", range(-(-PACKETS // PER_ROUND)))
def test_both_do_the_same(both: tuple[rigs.Rig, rigs.Rig], number: int) -> None:
    random = Random(number)
    entries = tables(random)
    for target in both:
        target.reset()
        target.install(entries)
    for position, (port, frame) in enumerate(islice(frames(random), min(PER_ROUND, PACKETS))):
        embedded, bmv2 = (_outcome(target, port, frame) for target in both)
        assert embedded == bmv2, f"packet {position} of round {number}, into port {port}: {frame.hex()}"
    assert both[0].drops() == both[1].drops()
    assert both[0].punted() == both[1].punted()
    assert _counters(both[0], entries) == _counters(both[1], entries)


def _outcome(target: rigs.Rig, port: int, frame: bytes) -> rigs.Frames | None:
    """Return what came out; None: nothing, and nobody counted it, as with a flow to a multicast group that is not there."""
    try:
        return sorted(target.send(port, frame))
    except rigs.NothingSeenError:
        return None


def _counters(target: rigs.Rig, entries: list[Entry]) -> dict[object, tuple[int, int]]:
    return {
        entry.key: target.counter(entry.table, entry.match, entry.priority)
        for entry in entries
        if entry.table in COUNTED
    }
