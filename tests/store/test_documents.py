from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.store import AuditEntry, Document, SqliteStore, model, sqlite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    store.close()


def entry(number: int) -> AuditEntry:
    return AuditEntry(1e9 + number, "alice", "operator", "put", f"/v1/thing/{number}", None, '{"a": 1}')


def test_documents_survive(store: SqliteStore, path: Path) -> None:
    store.save_document(Document("node", "b", "1"))
    store.save_document(Document("node", "a", "2"))
    store.save_document(Document("node", "b", "3"))
    store.save_document(Document("drain", "", "4"))
    assert store.delete_document("drain", "")
    assert not store.delete_document("drain", "")
    store.close()
    again = SqliteStore(path)
    try:
        assert again.load(0.0).documents == (Document("node", "a", "2"), Document("node", "b", "3"))
    finally:
        again.close()


def test_the_audit_log_is_read_backwards_in_pages(store: SqliteStore) -> None:
    for number in range(5):
        store.append_audit(entry(number))
    newest = store.audit(2)
    assert [(one.number, one.resource) for one in newest] == [(5, "/v1/thing/4"), (4, "/v1/thing/3")]
    assert (newest[0].actor, newest[0].before, newest[0].after) == ("alice", None, '{"a": 1}')
    assert [one.number for one in store.audit(10, before=4)] == [3, 2, 1]
    assert store.audit(10, before=1) == ()


def test_the_audit_log_has_an_end(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert model.MAX_AUDIT_ENTRIES >= 10_000
    monkeypatch.setattr(sqlite, "MAX_AUDIT_ENTRIES", 3)
    for number in range(7):
        store.append_audit(entry(number))
    assert [one.number for one in store.audit(10)] == [7, 6, 5]
