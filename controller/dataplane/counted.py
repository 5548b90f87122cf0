"""Entries by key that know how many there are of each table."""

from collections import Counter
from collections.abc import Mapping
from typing import TypeVar

from controller.dataplane.entries import EntryKey

V = TypeVar("V")


class CountedEntries(dict[EntryKey, V]):
    """A dict of entries. It is changed by the methods below alone: others would not count."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: Counter[str] = Counter()

    def count(self, table: str) -> int:
        """Return how many entries of a table there are."""
        return self._counts[table]

    def __setitem__(self, key: EntryKey, value: V) -> None:
        if key not in self:
            self._counts[key[0]] += 1
        super().__setitem__(key, value)

    def __delitem__(self, key: EntryKey) -> None:
        super().__delitem__(key)
        self._counts[key[0]] -= 1

    def add(self, entries: Mapping[EntryKey, V]) -> None:
        """Take over entries."""
        for key, value in entries.items():
            self[key] = value

    def take(self, key: EntryKey) -> V | None:
        """Remove an entry and return it; None: there was none."""
        if key not in self:
            return None
        value = self[key]
        del self[key]
        return value
