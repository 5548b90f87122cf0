import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.flows import (
    Balance,
    Discard,
    FlowPolicy,
    PortRange,
    Replicate,
    Share,
    Steer,
    TrafficSelector,
    Treatment,
)
from controller.mobility.model import Binding, NodeRecord, ReplayMark
from controller.store import Change, ExpiredBinding, SqliteStore, Store, StoredNode, StoreError

HOME_AGENT = parse_address("2001:db8:0:1::1")
NODE = parse_address("2001:db8:0:1::100")
OTHER = parse_address("2001:db8:0:1::200")
WALL = 1_000_000.0
"""Wall time minus engine time."""
FULL = FlowPolicy(
    name="video",
    home_address=NODE,
    priority=10,
    selector=TrafficSelector(
        source=Prefix.parse("2001:db8:c::/64"),
        destination=Prefix.parse("2001:db8:0:1::100/128"),
        protocol=17,
        source_ports=PortRange(1, 65535),
        destination_ports=PortRange(443, 443),
        dscp=46,
        flow_label=0xFFFFF,
        spi=0xFFFFFFFF,
    ),
    treatment=Steer(2),
)


def binding(bid: int, expires: float = 700.0) -> Binding:
    return Binding(bid, parse_address(f"2001:db8:a{bid}::100"), 600, expires, priority=bid)


def stored(*bindings: Binding, home_address: Address = NODE, node_id: int = 5, sequence: int = 1) -> StoredNode:
    record = NodeRecord(home_address, HOME_AGENT, sequence, bindings)
    return StoredNode(record, node_id, {entry.bid: 100 + entry.bid for entry in bindings})


def change(node: StoredNode) -> Change:
    return Change(node.record.home_address, node)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path, lambda: WALL)
    yield store
    store.close()


def reopened(store: SqliteStore, path: Path, wall: float = WALL) -> SqliteStore:
    store.close()
    return SqliteStore(path, lambda: wall)


def test_it_is_a_store(store: SqliteStore) -> None:
    as_protocol: Store = store
    assert as_protocol.load(0.0).nodes == ()


def test_what_was_committed_is_there_after_a_restart(store: SqliteStore, path: Path) -> None:
    node = stored(binding(1), binding(3))
    record = replace(
        node.record, prefixes=(Prefix.parse("2001:db8:f00::/56"), Prefix.parse("::/0")), mobile_router=True
    )
    node = replace(node, record=record)
    store.commit([change(node), change(stored(binding(2), home_address=OTHER, node_id=6))])
    again = reopened(store, path)
    assert again.load(200.0).nodes == (node, stored(binding(2), home_address=OTHER, node_id=6))
    again.close()


def test_a_change_replaces_all_that_was_known_of_the_node(store: SqliteStore) -> None:
    store.commit([change(stored(binding(1), binding(2)))])
    moved = stored(replace(binding(2), care_of=OTHER), sequence=2)
    store.commit([change(moved)])
    assert store.load(200.0).nodes == (moved,)


def test_the_last_change_of_a_group_wins(store: SqliteStore) -> None:
    last = stored(binding(3), sequence=3)
    store.commit([change(stored(binding(1))), Change(NODE, None), change(last)])
    assert store.load(200.0).nodes == (last,)
    store.commit([change(stored(binding(1), sequence=4)), Change(NODE, None)])
    assert store.load(200.0).nodes == ()


def test_a_node_id_given_free_is_taken_in_the_same_group(store: SqliteStore) -> None:
    store.commit([change(stored(binding(1), node_id=5))])
    taker = stored(binding(1), home_address=OTHER, node_id=5)
    back = stored(binding(1), node_id=7)
    store.commit([Change(NODE, None), change(taker), change(back)])
    assert store.load(200.0).nodes == (back, taker)


def test_expired_bindings_are_dropped_for_good_and_reported(store: SqliteStore, path: Path) -> None:
    store.commit([change(stored(binding(1, expires=300.0), binding(2, expires=700.0)))])
    store.commit([change(stored(binding(1, expires=250.0), home_address=OTHER, node_id=6))])
    again = reopened(store, path)
    state = again.load(300.0)
    assert state.nodes == (stored(binding(2)),)
    assert state.expired == (
        ExpiredBinding(NODE, binding(1, expires=300.0)),
        ExpiredBinding(OTHER, binding(1, expires=250.0)),
    )
    # Also when the clock is set back afterwards.
    assert again.load(200.0).nodes == (stored(binding(2)),)
    again.close()


def test_a_tombstone_is_kept_until_its_time(store: SqliteStore) -> None:
    node = stored()
    tomb = replace(node, record=replace(node.record, forget_at=210.0))
    store.commit([change(tomb)])
    assert store.load(209.0).nodes == (tomb,)
    assert store.load(210.0).nodes == ()
    assert store.load(209.0).nodes == ()


def test_a_clock_that_was_set_back_does_not_prolong_a_lifetime(store: SqliteStore, path: Path) -> None:
    store.commit([change(stored(binding(1, expires=700.0)))])
    again = reopened(store, path, wall=WALL - 86_400)
    assert again.load(200.0).nodes == (stored(binding(1, expires=800.0)),)
    again.close()


@pytest.mark.parametrize("set_by", [86_400.0, -86_400.0, 300.0])
def test_a_wall_clock_that_is_set_while_the_machine_runs_changes_no_lifetime(path: Path, set_by: float) -> None:
    wall = WALL
    store = SqliteStore(path, lambda: wall, boot="this start")
    tomb = replace(stored(home_address=OTHER, node_id=6), record=NodeRecord(OTHER, HOME_AGENT, 1, (), forget_at=700.0))
    store.commit([change(stored(binding(1, expires=700.0))), change(tomb)])
    wall += set_by
    store.commit([change(stored(binding(1, expires=700.0), binding(2, expires=750.0)))])
    store.close()
    wall += set_by  # and once more while no controller ran
    again = SqliteStore(path, lambda: wall, boot="this start")
    before_end = again.load(699.0)
    assert [entry.expires for node in before_end.nodes for entry in node.record.bindings] == [700.0, 750.0]
    assert [node.record.forget_at for node in before_end.nodes] == [None, 700.0]
    assert before_end.expired == ()
    assert again.load(700.0).expired == (ExpiredBinding(NODE, binding(1, expires=700.0)),)
    again.close()


def test_after_a_start_of_the_machine_the_wall_clock_counts(path: Path) -> None:
    wall = WALL
    store = SqliteStore(path, lambda: wall, boot="one")
    store.commit([change(stored(binding(1, expires=700.0)))])
    wall += 86_400.0
    store.commit([])
    store.commit([change(stored(home_address=OTHER, node_id=6))])
    store.close()
    again = SqliteStore(path, lambda: wall + 650.0, boot="two")
    assert again.load(0.0).nodes == (stored(binding(1, expires=50.0)),)
    again.close()


def test_a_refused_group_does_not_move_the_stored_times(path: Path) -> None:
    wall = WALL
    store = SqliteStore(path, lambda: wall, boot="this start")
    store.commit([change(stored(binding(1, expires=700.0)))])
    wall += 86_400.0
    with pytest.raises(StoreError, match="UNIQUE"):
        store.commit([change(stored(home_address=OTHER, node_id=5))])
    assert store.load(200.0).nodes == (stored(binding(1, expires=700.0)),)
    store.close()


def test_engine_time_starts_anew_with_each_process(store: SqliteStore, path: Path) -> None:
    store.commit([change(stored(binding(1, expires=700.0)))])
    again = reopened(store, path, wall=WALL + 650.0)
    assert again.load(0.0).nodes == (stored(binding(1, expires=50.0)),)
    again.close()


def test_a_refused_group_leaves_nothing(store: SqliteStore) -> None:
    good, bad = stored(binding(1)), stored(binding(1), home_address=OTHER, node_id=0)
    with pytest.raises(StoreError, match="node_id"):
        store.commit([change(good), change(bad)])
    with pytest.raises(StoreError, match="carries the record of"):
        store.commit([change(good), Change(OTHER, good)])
    with pytest.raises(StoreError, match="UNIQUE"):
        store.commit([change(good), change(stored(home_address=OTHER, node_id=good.node_id))])
    assert store.load(200.0).nodes == ()
    store.commit([])
    store.commit([change(good)])
    assert store.load(200.0).nodes == (good,)


def test_policies_are_kept_in_order(store: SqliteStore, path: Path) -> None:
    empty = FlowPolicy("all", NODE, 5, TrafficSelector(), Steer(1))
    other = FlowPolicy("video", OTHER, 10, TrafficSelector(dscp=0), Steer(1))
    for policy in (other, FULL, empty):
        store.save_policy(policy)
    again = reopened(store, path)
    assert again.load(0.0).policies == (empty, FULL, other)
    again.save_policy(replace(FULL, priority=1))
    assert again.delete_policy(OTHER, "video")
    assert not again.delete_policy(OTHER, "video")
    assert again.load(0.0).policies == (replace(FULL, priority=1), empty)
    again.close()


@pytest.mark.parametrize(
    "treatment", [Replicate((1, 2, 65535)), Balance((Share(1, 3), Share(2, 1))), Discard(), Steer(4)]
)
def test_every_treatment_is_kept(store: SqliteStore, treatment: Treatment) -> None:
    policy = FlowPolicy("all", NODE, 5, TrafficSelector(), treatment, fallback=True)
    store.save_policy(policy)
    assert store.load(0.0).policies == (policy,)


def test_a_priority_belongs_to_one_policy_of_a_node(store: SqliteStore) -> None:
    store.save_policy(FULL)
    with pytest.raises(StoreError, match="priority 10 of 2001:db8:0:1::100 belongs to the policy 'video'"):
        store.save_policy(replace(FULL, name="other"))
    assert store.load(0.0).policies == (FULL,)


def test_election_ids(store: SqliteStore, path: Path) -> None:
    assert store.election_id("s1") == 0
    store.save_election_id("s1", 7)
    store.save_election_id("s1", 2**128 - 1)
    store.save_election_id("s2", 1)
    again = reopened(store, path)
    assert again.election_id("s1") == 2**128 - 1
    assert again.load(0.0).election_ids == {"s1": 2**128 - 1, "s2": 1}
    with pytest.raises(StoreError):
        again.save_election_id("s1", 2**128)
    again.close()


def test_the_file_is_private_and_close_is_harmless_twice(store: SqliteStore, path: Path) -> None:
    assert path.stat().st_mode & 0o077 == 0
    store.close()
    store.close()
    with pytest.raises(StoreError):
        store.load(0.0)


def test_one_process_at_a_time(store: SqliteStore, path: Path) -> None:
    code = "import sys, pathlib; from controller.store import *\ntry: SqliteStore(pathlib.Path(sys.argv[1]))\n"
    code += "except StoreError as error: print(error)\nelse: print('opened')"

    def attempt() -> str:
        root = Path(__file__).parent.parent.parent
        done = subprocess.run([sys.executable, "-c", code, path], cwd=root, capture_output=True, text=True, check=True)
        return done.stdout

    assert "in use by another controller (process " in attempt()
    with pytest.raises(StoreError, match="in use by another controller"):
        SqliteStore(path)
    store.close()
    assert attempt() == "opened\n"


def test_others_may_look_while_it_is_open(store: SqliteStore, path: Path) -> None:
    store.commit([change(stored(binding(1)))])
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    assert reader.execute("SELECT bid, path_id FROM bindings").fetchall() == [(1, 101)]
    reader.close()


def refuse(path: Path, match: str) -> None:
    """See that a file is refused with a reason and left as it is."""
    before = path.read_bytes()
    with pytest.raises(StoreError, match=match) as caught:
        SqliteStore(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"[controller]\nstate = 'x'\n" * 100)
    refuse(path, "not a database")


def test_a_damaged_database_is_refused(store: SqliteStore, path: Path) -> None:
    store.commit([change(stored(binding(1), home_address=Address(i.to_bytes(16)), node_id=i)) for i in range(1, 500)])
    store.close()
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 3000] = b"\xa5" * 3000
    path.write_bytes(content)
    refuse(path, "damaged|malformed")


def test_a_cut_database_is_refused(store: SqliteStore, path: Path) -> None:
    store.commit([change(stored(binding(1), home_address=Address(i.to_bytes(16)), node_id=i)) for i in range(1, 500)])
    store.close()
    path.write_bytes(path.read_bytes()[:-8192])
    refuse(path, "damaged|malformed")


def test_a_newer_database_is_refused(store: SqliteStore, path: Path) -> None:
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    refuse(path, "schema version 99")


def test_a_file_of_the_first_version_is_brought_up_to_date(store: SqliteStore, path: Path) -> None:
    store.commit([change(stored(binding(1)))])
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("ALTER TABLE nodes DROP COLUMN link_local")
        database.execute("ALTER TABLE nodes DROP COLUMN flows")
        database.execute("ALTER TABLE bindings DROP COLUMN link_layer")
        database.execute("DROP TABLE documents")
        database.execute("DROP TABLE audit")
        database.execute("DROP TABLE replay_marks")
        database.execute("DROP TABLE timebase")
        database.execute("DROP TABLE policies")
        database.execute(
            "CREATE TABLE policies (home_address BLOB, name TEXT, priority INTEGER, bid INTEGER, selector TEXT)"
        )
        database.execute("INSERT INTO policies VALUES (?, 'all', 5, 7, '{}')", (NODE,))
        database.execute("PRAGMA user_version = 1")
    database.close()
    again = SqliteStore(path, lambda: WALL)
    (node,) = again.load(0.0).nodes
    assert not node.record.link_local
    assert node.record.flows == ()
    assert again.load(0.0).policies == (FlowPolicy("all", NODE, 5, TrafficSelector(), Steer(7)),)
    home = replace(node.record.bindings[0], at_home=True, link_layer=bytes.fromhex("020000000101"))
    record = replace(node.record, bindings=(home,), link_local=True)
    again.commit([Change(record.home_address, replace(node, record=record))])
    again.close()
    third = SqliteStore(path, lambda: WALL)
    (node,) = third.load(0.0).nodes
    third.close()
    assert (node.record.link_local, node.record.bindings[0].link_layer) == (True, bytes.fromhex("020000000101"))


def test_how_far_proofs_have_come_outlives_the_node(path: Path) -> None:
    marks = [ReplayMark(NODE, bytes(8), 5), ReplayMark(NODE, b"8 octets", 2**64 - 1), ReplayMark(OTHER, b"8 octets", 1)]
    store = SqliteStore(path, lambda: WALL)
    store.commit([Change(NODE, stored(binding(1)), marks[0]), Change(OTHER, None, marks[2])])
    store.commit([Change(NODE, stored(binding(2)), marks[1]), Change(NODE, None)])
    assert store.load(0.0).marks == (marks[1], marks[2])
    store.close()
    again = SqliteStore(path, lambda: WALL)
    assert (again.load(0.0).nodes, again.load(0.0).marks) == ((), (marks[1], marks[2]))
    again.close()


def test_the_database_of_another_program_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE songs (title TEXT)")
    database.close()
    refuse(path, "another program")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE policies SET selector = '[]'",
        'UPDATE policies SET selector = \'{"source": "x"}\'',
        "UPDATE policies SET selector = '{\"colour\": 1}'",
        "UPDATE policies SET treatment = '{}'",
        "UPDATE policies SET treatment = '{\"balance\": [[1]]}'",
        "UPDATE policies SET home_address = 'sixteen letters!'",
        "UPDATE nodes SET prefixes = 'x'",
        "UPDATE bindings SET expires_wall = 'soon'",
    ],
)
def test_a_damaged_row_is_told(store: SqliteStore, path: Path, damage: str) -> None:
    store.commit([change(stored(binding(1)))])
    store.save_policy(FULL)
    store.close()
    with sqlite3.connect(path) as database:
        database.execute(damage)
    database.close()
    store = SqliteStore(path, lambda: WALL)
    with pytest.raises(StoreError, match="row is damaged"):
        store.load(200.0)
    store.close()


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist: create it"):
        SqliteStore(tmp_path / "no" / "state.sqlite3")


def test_a_directory_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        SqliteStore(tmp_path)
