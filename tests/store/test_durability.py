"""A writer is killed at random points: what it had said to be committed must be there."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from controller.store import SqliteStore

ROOT = Path(__file__).parent.parent.parent

WRITER = """
import sys, time
from pathlib import Path
from controller.mobility.address import Address
from controller.mobility.model import Binding, NodeRecord
from controller.store import Change, SqliteStore, StoredNode

store = SqliteStore(Path(sys.argv[1]), lambda: 0.0, survives_power_loss=sys.argv[3] == "True")
start = int(sys.argv[2])
for group in range(start, start + 100_000):
    changes = []
    for member in range(1, 6):
        home = Address(member.to_bytes(16))
        bindings = tuple(Binding(bid, Address(group.to_bytes(16)), 60, 60.0) for bid in range(1, 4))
        record = NodeRecord(home, home, group % 65536, bindings)
        changes.append(Change(home, StoredNode(record, member, {bid: group for bid in range(1, 4)})))
    store.commit(changes)
    sys.stdout.write(f"{group}\\n")
    sys.stdout.flush()
"""


def run_until_killed(path: Path, start: int, seconds: float, *, survives_power_loss: bool) -> int:
    """Run the writer for a while, kill it, and return the last group that it said to be committed."""
    command = [sys.executable, "-c", WRITER, str(path), str(start), str(survives_power_loss)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        first = process.stdout.readline()
        time.sleep(seconds)
        process.kill()
        rest = process.stdout.read().splitlines()
        process.wait()
    lines = [line for line in (first.strip(), *rest) if line]
    return int(lines[-1])


@pytest.mark.parametrize("survives_power_loss", [True, False])
def test_acknowledged_groups_survive_kill_9(tmp_path: Path, *, survives_power_loss: bool) -> None:
    path = tmp_path / "state.sqlite3"
    moments = random.Random(5)
    group = 1
    for _ in range(8):
        said = run_until_killed(path, group, moments.uniform(0.0, 0.03), survives_power_loss=survives_power_loss)
        store = SqliteStore(path, lambda: 0.0)
        nodes = store.load(1.0).nodes
        store.close()
        kept = {int.from_bytes(binding.care_of) for node in nodes for binding in node.record.bindings}
        assert len(nodes) == 5
        assert len(kept) == 1, "a group was written in part"
        # The group under way may be there although nobody was told.
        assert kept <= {said, said + 1}
        assert {path_id for node in nodes for path_id in node.path_ids.values()} == kept
        group = said + 2


NARROW = """
import resource, sys
from pathlib import Path
from controller.store import Document, SqliteStore

resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
store = SqliteStore(Path(sys.argv[1]), lambda: 0.0)
store.save_document(Document("kind", "key", "body"))
store.close()
"""


def test_a_disk_without_room_for_the_whole_log_is_room_enough(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    done = subprocess.run(
        [sys.executable, "-c", NARROW, str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    store = SqliteStore(path, lambda: 0.0)
    assert [document.body for document in store.load(1.0).documents] == ["body"]
    store.close()
