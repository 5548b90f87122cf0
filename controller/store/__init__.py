"""The durable binding cache: what the controller must still know after its process was killed."""

from controller.store.model import (
    AuditEntry,
    Change,
    Clock,
    Document,
    ExpiredBinding,
    Store,
    StoredNode,
    StoredState,
    StoreError,
    system_boot,
    system_offset,
)
from controller.store.sqlite import SqliteStore

__all__ = [
    "AuditEntry",
    "Change",
    "Clock",
    "Document",
    "ExpiredBinding",
    "SqliteStore",
    "Store",
    "StoreError",
    "StoredNode",
    "StoredState",
    "system_boot",
    "system_offset",
]
