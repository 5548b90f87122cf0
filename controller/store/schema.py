"""Opening a state database: its lock, its marks of identity, its tables."""

import contextlib
import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Final

from controller.store.model import StoreError

APPLICATION_ID: Final = 0x6D636F61
"""Marks the file as ours: "mcoa" in ASCII, kept by SQLite in the header of the file."""
_SCHEMA: Final = """
CREATE TABLE nodes (
    home_address  BLOB    NOT NULL PRIMARY KEY CHECK (length(home_address) = 16),
    node_id       INTEGER NOT NULL UNIQUE CHECK (node_id BETWEEN 1 AND 16777215),
    home_agent    BLOB    NOT NULL CHECK (length(home_agent) = 16),
    sequence      INTEGER NOT NULL CHECK (sequence BETWEEN 0 AND 65535),
    mobile_router INTEGER NOT NULL CHECK (mobile_router IN (0, 1)),
    forget_wall   REAL,
    prefixes      TEXT    NOT NULL
) WITHOUT ROWID;
CREATE TABLE bindings (
    home_address  BLOB    NOT NULL REFERENCES nodes ON DELETE CASCADE,
    bid           INTEGER NOT NULL CHECK (bid BETWEEN 0 AND 65535),
    care_of       BLOB    NOT NULL CHECK (length(care_of) = 16),
    lifetime      INTEGER NOT NULL CHECK (lifetime BETWEEN 0 AND 262140),
    expires_wall  REAL    NOT NULL,
    priority      INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 255),
    at_home       INTEGER NOT NULL CHECK (at_home IN (0, 1)),
    path_id       INTEGER CHECK (path_id BETWEEN 1 AND 16777215),
    PRIMARY KEY (home_address, bid)
) WITHOUT ROWID;
CREATE TABLE policies (
    home_address  BLOB    NOT NULL CHECK (length(home_address) = 16),
    name          TEXT    NOT NULL,
    priority      INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 65535),
    bid           INTEGER NOT NULL CHECK (bid BETWEEN 1 AND 65535),
    selector      TEXT    NOT NULL,
    PRIMARY KEY (home_address, name),
    UNIQUE (home_address, priority)
) WITHOUT ROWID;
CREATE TABLE switches (
    name          TEXT    NOT NULL PRIMARY KEY,
    election_id   BLOB    NOT NULL CHECK (length(election_id) = 16)
) WITHOUT ROWID;
"""
"""The tables of version 1. What came later stands in `_MIGRATIONS` alone, so old and new files end up the same."""

_MIGRATIONS: Final = (
    # 2: the home link (RFC 5648 section 5.6.3, L flag of RFC 6275 section 6.1.7)
    (
        "ALTER TABLE nodes ADD COLUMN link_local INTEGER NOT NULL DEFAULT 0 CHECK (link_local IN (0, 1));"
        "ALTER TABLE bindings ADD COLUMN link_layer BLOB CHECK (link_layer IS NULL OR length(link_layer) = 6);"
    ),
    # 3: flow bindings that nodes signalled (RFC 6089)
    "ALTER TABLE nodes ADD COLUMN flows TEXT NOT NULL DEFAULT '[]';",
    # 4: what operators set by REST, and the log of their changes
    (
        "CREATE TABLE documents (kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL,"
        " PRIMARY KEY (kind, key)) WITHOUT ROWID;"
        "CREATE TABLE audit (number INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, actor TEXT NOT NULL,"
        " role TEXT NOT NULL, action TEXT NOT NULL, resource TEXT NOT NULL, before TEXT, after TEXT);"
    ),
    # 5: what becomes of the packets that a policy takes, beside going to one BID
    (
        "CREATE TABLE policies_5 ("
        " home_address BLOB NOT NULL CHECK (length(home_address) = 16),"
        " name TEXT NOT NULL,"
        " priority INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 65535),"
        " treatment TEXT NOT NULL,"
        " fallback INTEGER NOT NULL DEFAULT 0 CHECK (fallback IN (0, 1)),"
        " selector TEXT NOT NULL,"
        " PRIMARY KEY (home_address, name),"
        " UNIQUE (home_address, priority)"
        ") WITHOUT ROWID;"
        "INSERT INTO policies_5 SELECT home_address, name, priority, json_object('steer', bid), 0, selector FROM policies;"
        "DROP TABLE policies;"
        "ALTER TABLE policies_5 RENAME TO policies;"
    ),
    # 6: how far the nodes' proofs have come: they outlive the bindings
    (
        "CREATE TABLE replay_marks ("
        " home_address BLOB NOT NULL PRIMARY KEY CHECK (length(home_address) = 16),"
        " association BLOB NOT NULL CHECK (length(association) = 8),"
        " value BLOB NOT NULL CHECK (length(value) = 8)"
        ") WITHOUT ROWID;"
    ),
    # 7: which wall clock the stored times are meant by
    (
        "CREATE TABLE timebase (only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1), boot TEXT NOT NULL,"
        " wall_minus_engine REAL NOT NULL);"
    ),
)
"""What brings a file from each version to the next."""

SCHEMA_VERSION: Final = 1 + len(_MIGRATIONS)
"""Kept in `PRAGMA user_version`."""


def lock(path: Path) -> int:
    """Take the lock beside a database, so that one process alone uses it; return the descriptor that holds it.

    The kernel drops the lock when the process ends, however it ends. It stands on a file of its own because closing any
    descriptor of the database itself would drop SQLite's locks on it.

    Raises:
        StoreError: another process holds it, or the directory is missing or closed to us.
    """
    beside = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise StoreError(
            f"{path}: the directory {path.parent} does not exist: create it or name another path"
        ) from None
    except OSError as error:
        raise StoreError(f"{beside}: cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise StoreError(
            f"{path}: in use by another controller (process {holder}): stop it or name another database"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def connect(path: Path, *, survives_power_loss: bool) -> sqlite3.Connection:
    """Open a database, make its tables when it is new, and refuse one that is not ours or not sound.

    Nothing is written before the file has proved to be empty or ours.

    Raises:
        StoreError: with the path and the reason.
    """
    try:
        # Where mobile nodes are is private: the file is its owner's alone.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened: {error.strerror}") from error
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be opened: {error}") from error
    try:
        _identify(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL syncs the log in each commit; NORMAL leaves it to the system when the disk has it, and the file is sound in any case.
        connection.execute(f"PRAGMA synchronous = {'FULL' if survives_power_loss else 'NORMAL'}")
        connection.execute("PRAGMA foreign_keys = ON")
        _grow_log(connection)
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path}: {error}: restore it from a backup or move it away; it was left as it is") from error
    except StoreError:
        connection.close()
        raise
    return connection


def _grow_log(connection: sqlite3.Connection) -> None:
    """Let the log have the size that it will come to, by a transaction that is too large for the cache and is given up.

    The disk then takes a commit in half the time: a file that grows has to have its size written too. Where there is no room for
    that, the log grows as it is needed.
    """
    (pages,) = connection.execute("PRAGMA wal_autocheckpoint").fetchone()
    (octets,) = connection.execute("PRAGMA page_size").fetchone()
    (cache,) = connection.execute("PRAGMA cache_size").fetchone()
    connection.execute(f"PRAGMA cache_size = {pages // 100}")
    connection.execute("BEGIN IMMEDIATE")
    with contextlib.suppress(sqlite3.OperationalError):
        connection.execute("CREATE TABLE room (octets BLOB)")
        connection.execute("INSERT INTO room VALUES (zeroblob(?))", (pages * octets,))
    if connection.in_transaction:  # SQLite ends it by itself when the disk is full
        connection.execute("ROLLBACK")
    connection.execute(f"PRAGMA cache_size = {cache}")


def _identify(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure that a database is ours, sound and of this version; give an empty one our tables."""
    application = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application == 0 and version == 0 and tables == 0:
        migrations = "".join(_MIGRATIONS)
        connection.executescript(
            f"BEGIN; {_SCHEMA} {migrations} PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
        return
    if application != APPLICATION_ID:
        raise StoreError(f"{path}: a database of another program: name another path")
    if not 1 <= version <= SCHEMA_VERSION:
        raise StoreError(
            f"{path}: written with schema version {version}, this program knows {SCHEMA_VERSION}: use the release that wrote it"
        )
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise StoreError(f"{path}: damaged ({verdict}): restore it from a backup or move it away; it was left as it is")
    for number, migration in enumerate(_MIGRATIONS[version - 1 :], version + 1):
        connection.executescript(f"BEGIN; {migration} PRAGMA user_version = {number}; COMMIT;")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
