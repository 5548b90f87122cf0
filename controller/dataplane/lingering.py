"""Entries that nobody wants any more, kept until their grace period is over."""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from controller.dataplane.entries import Entry, EntryKey
from controller.dataplane.occupancy import Occupancy


class Kept(NamedTuple):
    """An entry in its grace period."""

    entry: Entry
    number: int
    """The change that let it go."""


class Lingering(Mapping[EntryKey, Kept]):
    """The entries in their grace period, by key.

    Args:
        occupancy: they take room.
    """

    def __init__(self, occupancy: Occupancy) -> None:
        self._occupancy = occupancy
        self._kept: dict[EntryKey, Kept] = {}

    def __getitem__(self, key: EntryKey) -> Kept:
        return self._kept[key]

    def __contains__(self, key: object) -> bool:
        return key in self._kept

    def __iter__(self) -> Iterator[EntryKey]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, entry: Entry, number: int) -> None:
        """Keep an entry that a change has let go."""
        key = entry.key
        if key not in self._kept:
            self._occupancy.linger(key)
        self._kept[key] = Kept(entry, number)

    def take(self, key: EntryKey) -> Kept | None:
        """Keep an entry no longer, and return it; None: it was not kept."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._occupancy.linger(key, -1)
        return kept

    def take_of(self, key: EntryKey, numbers: Collection[int]) -> Entry | None:
        """Keep an entry no longer that one of these changes let go, and return it; None: none of them did, or it was taken before."""
        kept = self._kept.get(key)
        if kept is None or kept.number not in numbers:
            return None
        del self._kept[key]
        self._occupancy.linger(key, -1)
        return kept.entry
