"""The store on SQLite: one file, write-ahead log, nothing to run."""

import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from controller.mobility.address import Address, format_address
from controller.mobility.flows import FlowPolicy
from controller.mobility.model import Binding, ReplayMark
from controller.store import rows, schema
from controller.store.model import (
    MAX_AUDIT_ENTRIES,
    AuditEntry,
    Change,
    Clock,
    Document,
    ExpiredBinding,
    StoredNode,
    StoredState,
    StoreError,
    system_offset,
)

SLEW: Final = 1.0
"""Seconds: by less than that the wall clock is adjusted, not set."""

# The columns of each statement stand in the order of the row types in `rows`.
_SELECT_NODES = (
    "SELECT home_address, node_id, home_agent, sequence, mobile_router, forget_wall, prefixes, link_local, flows"
    " FROM nodes ORDER BY home_address"
)
# Not REPLACE: that would delete the bindings with the row.
_WRITE_NODE = (
    "INSERT INTO nodes (home_address, node_id, home_agent, sequence, mobile_router, forget_wall, prefixes, link_local, flows)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (home_address) DO UPDATE SET node_id = excluded.node_id,"
    " home_agent = excluded.home_agent, sequence = excluded.sequence, mobile_router = excluded.mobile_router,"
    " forget_wall = excluded.forget_wall, prefixes = excluded.prefixes, link_local = excluded.link_local, flows = excluded.flows"
)
_SELECT_BINDINGS = (
    "SELECT home_address, bid, care_of, lifetime, expires_wall, priority, at_home, link_layer, path_id"
    " FROM bindings ORDER BY home_address, bid"
)
_DELETE_BINDING = "DELETE FROM bindings WHERE home_address = ? AND bid = ?"
_WRITE_BINDING = (
    "INSERT OR REPLACE INTO bindings (home_address, bid, care_of, lifetime, expires_wall, priority, at_home, link_layer, path_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_WRITE_MARK = "INSERT OR REPLACE INTO replay_marks (home_address, association, value) VALUES (?, ?, ?)"
_SELECT_POLICIES = (
    "SELECT home_address, name, priority, treatment, fallback, selector FROM policies ORDER BY home_address, priority"
)
_INSERT_POLICY = (
    "INSERT OR REPLACE INTO policies (home_address, name, priority, treatment, fallback, selector)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)


class SqliteStore:
    """A `Store` in one SQLite file, open from construction to `close`.

    The file, its log (``-wal``, ``-shm``) and its lock (``.lock``) stand beside each other. Other programs may read the file
    while the controller runs; a second controller is refused.

    Args:
        path: the database; made when it does not exist, its directory is not.
        clock: wall time minus engine time, asked anew at each call: the wall clock may be set while the controller runs.
        survives_power_loss: whether a commit waits until the disk has it. Without, what was committed outlives the end of the
            process, however it comes, but the last moments of it may be lost with the power.
        boot: names the time during which the engine's clock runs on, also from one process to the next (`system_boot`). While
            it stays the same, setting the wall clock ends no binding and prolongs none. "": nothing is known of it.

    Raises:
        StoreError: in use by another process, not a database, another program's, damaged, or of another version.
    """

    def __init__(
        self, path: Path, clock: Clock = system_offset, boot: str = "", *, survives_power_loss: bool = True
    ) -> None:
        self._path = path.resolve()
        self._clock = clock
        self._boot = boot
        self._base: float | None = None
        self._lock: int | None = schema.lock(self._path)
        try:
            self._database = schema.connect(self._path, survives_power_loss=survives_power_loss)
        except StoreError:
            self._unlock()
            raise

    def load(self, now: float) -> StoredState:
        """Return everything stored; drop, for good, what has expired (see `Store.load`)."""
        try:
            return self._load(self._clock(), now)
        except (AttributeError, TypeError, ValueError) as error:
            raise StoreError(f"{self._path}: a row is damaged: {error}; the file was left as it is") from error

    def commit(self, changes: Sequence[Change]) -> None:
        """Write changes in one SQLite transaction (see `Store.commit`)."""
        if not changes:
            return
        offset = self._clock()
        latest = {change.home_address: change for change in changes}
        node_rows: list[rows.NodeRow] = []
        binding_rows: list[rows.BindingRow] = []
        marks = [change.mark for change in changes if change.mark is not None]
        mark_rows = [(mark.home_address, mark.association, mark.value.to_bytes(8)) for mark in marks]
        replaced: list[tuple[bytes]] = []
        gone: list[tuple[bytes, int]] = []
        for home_address, change in latest.items():
            if change.node is not None:
                node, bindings = rows.node_rows(change, offset)
                node_rows.append(node)
                binding_rows.extend(bindings)
            if change.node is None or change.gone is None or len(latest) < len(changes):
                replaced.append((home_address,))
            else:
                gone.extend((home_address, bid) for bid in change.gone)
        with self._transaction() as database:
            self._settle(database, offset)
            # What goes goes first: a node id given free by one change may be taken by another of the same group.
            for statement, several in (
                ("DELETE FROM nodes WHERE home_address = ?", replaced),
                (_DELETE_BINDING, gone),
                (_WRITE_NODE, node_rows),
                (_WRITE_BINDING, binding_rows),
                (_WRITE_MARK, mark_rows),
            ):
                if several:
                    database.executemany(statement, several)

    def save_policy(self, policy: FlowPolicy) -> None:
        """Write a policy in place of the one of the same node and name (see `Store.save_policy`)."""
        row = rows.policy_row(policy)
        with self._transaction() as database:
            taken = database.execute(
                "SELECT name FROM policies WHERE home_address = ? AND priority = ? AND name <> ?",
                (policy.home_address, policy.priority, policy.name),
            ).fetchone()
            if taken is not None:
                node = format_address(policy.home_address)
                raise StoreError(f"priority {policy.priority} of {node} belongs to the policy {taken[0]!r}")
            database.execute(_INSERT_POLICY, row)

    def delete_policy(self, home_address: Address, name: str) -> bool:
        """Remove a policy; tell whether there was one."""
        with self._transaction() as database:
            cursor = database.execute("DELETE FROM policies WHERE home_address = ? AND name = ?", (home_address, name))
            return cursor.rowcount > 0

    def save_document(self, document: Document) -> None:
        """Write a document in place of the one of the same kind and key (see `Store.save_document`)."""
        with self._transaction() as database:
            row = (document.kind, document.key, document.body)
            database.execute("INSERT OR REPLACE INTO documents (kind, key, body) VALUES (?, ?, ?)", row)

    def delete_document(self, kind: str, key: str) -> bool:
        """Remove a document; tell whether there was one."""
        with self._transaction() as database:
            cursor = database.execute("DELETE FROM documents WHERE kind = ? AND key = ?", (kind, key))
            return cursor.rowcount > 0

    def append_audit(self, entry: AuditEntry) -> None:
        """Write an entry to the end of the audit log (see `Store.append_audit`)."""
        with self._transaction() as database:
            row = (entry.time, entry.actor, entry.role, entry.action, entry.resource, entry.before, entry.after)
            number = database.execute(
                "INSERT INTO audit (time, actor, role, action, resource, before, after) VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            ).lastrowid
            assert number is not None
            database.execute("DELETE FROM audit WHERE number <= ?", (number - MAX_AUDIT_ENTRIES,))

    def audit(self, limit: int, before: int | None = None) -> tuple[AuditEntry, ...]:
        """Return entries of the audit log, newest first (see `Store.audit`)."""
        with self._transaction() as database:
            found = database.execute(
                "SELECT time, actor, role, action, resource, before, after, number FROM audit"
                " WHERE number < ? ORDER BY number DESC LIMIT ?",
                (2**63 - 1 if before is None else before, limit),
            ).fetchall()
            return tuple(AuditEntry(*row) for row in found)

    def election_id(self, switch: str) -> int:
        """Return the election id last saved for a switch, 0 when there is none."""
        with self._transaction() as database:
            row = database.execute("SELECT election_id FROM switches WHERE name = ?", (switch,)).fetchone()
            return 0 if row is None else int.from_bytes(row[0])

    def save_election_id(self, switch: str, election_id: int) -> None:
        """Remember an election id, 0 to 2**128 - 1, for a switch."""
        with self._transaction() as database:
            database.execute("INSERT OR REPLACE INTO switches VALUES (?, ?)", (switch, election_id.to_bytes(16)))

    def close(self) -> None:
        """Give the database free for another process. Calling it again does nothing."""
        self._database.close()
        self._unlock()

    def _load(self, offset: float, now: float) -> StoredState:
        with self._transaction() as database:
            self._settle(database, offset)
            live, expired, path_ids = self._load_bindings(offset, now)
            nodes: list[StoredNode] = []
            for row in database.execute(_SELECT_NODES).fetchall():
                key = row[0]
                node = rows.node_from_rows(row, tuple(live[key]), path_ids[key], offset, now)
                if node.record.bindings or (node.record.forget_at is not None and node.record.forget_at > now):
                    nodes.append(node)
                else:
                    database.execute("DELETE FROM nodes WHERE home_address = ?", (key,))
            # A row left behind could come to life again when the wall clock is set back, in conflict with newer ids.
            dropped = [(entry.home_address, entry.binding.bid) for entry in expired]
            database.executemany(_DELETE_BINDING, dropped)
            policies = database.execute(_SELECT_POLICIES).fetchall()
            elections = database.execute("SELECT name, election_id FROM switches").fetchall()
            documents = database.execute("SELECT kind, key, body FROM documents ORDER BY kind, key").fetchall()
            marks = database.execute("SELECT home_address, association, value FROM replay_marks ORDER BY home_address")
            return StoredState(
                nodes=tuple(nodes),
                policies=tuple(map(rows.policy_from_row, policies)),
                election_ids={name: int.from_bytes(value) for name, value in elections},
                expired=tuple(expired),
                documents=tuple(Document(*row) for row in documents),
                marks=tuple(ReplayMark(Address(home), key, int.from_bytes(value)) for home, key, value in marks),
            )

    def _load_bindings(
        self, offset: float, now: float
    ) -> tuple[defaultdict[bytes, list[Binding]], list[ExpiredBinding], defaultdict[bytes, dict[int, int]]]:
        """Return live bindings by home address, expired ones, and path ids by home address and BID."""
        live: defaultdict[bytes, list[Binding]] = defaultdict(list)
        expired: list[ExpiredBinding] = []
        path_ids: defaultdict[bytes, dict[int, int]] = defaultdict(dict)
        for row in self._database.execute(_SELECT_BINDINGS):
            binding = rows.binding_from_row(row, offset, now)
            home_address, path_id = row[0], row[-1]
            if binding.expires <= now:
                expired.append(ExpiredBinding(home_address, binding))
                continue
            live[home_address].append(binding)
            if path_id is not None:
                path_ids[home_address][binding.bid] = path_id
        return live, expired, path_ids

    def _settle(self, database: sqlite3.Connection, offset: float) -> None:
        """Move the stored times along with a wall clock that was set since they were written."""
        if self._base is None:
            row = database.execute("SELECT boot, wall_minus_engine FROM timebase").fetchone()
            same_boot = row is not None and self._boot and row[0] == self._boot
            self._base = row[1] if same_boot else None
        if self._base is not None and abs(offset - self._base) <= SLEW:
            return
        if self._base is not None:
            set_by = offset - self._base
            database.execute("UPDATE bindings SET expires_wall = expires_wall + ?", (set_by,))
            database.execute("UPDATE nodes SET forget_wall = forget_wall + ?", (set_by,))
        database.execute("INSERT OR REPLACE INTO timebase VALUES (1, ?, ?)", (self._boot, offset))
        self._base = offset

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a block in one transaction: committed at its end, rolled back when it raises."""
        database = self._database
        try:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                self._base = None  # what it was moved to is gone with the rest
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
        except (sqlite3.Error, OverflowError) as error:
            raise StoreError(f"{self._path}: {error}") from error

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
