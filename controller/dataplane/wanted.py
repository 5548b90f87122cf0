"""What one switch should hold, as whoever keeps it in step sees it."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from controller.dataplane.desired import DesiredState
from controller.dataplane.entries import Entries, EntryKey


class Wanted(Protocol):
    """What a switch should hold, whatever changes meanwhile."""

    def entries(self) -> Entries:
        """Return all of it at once, as of this moment."""

    def parts(self) -> Iterator[Entries]:
        """Yield it in parts of about a millisecond's work. Changes may come between two of them: see `watch`."""

    def watch(self) -> AbstractContextManager[AbstractSet[EntryKey]]:
        """Give the keys of all entries that may be changing, from now on until the end of the block: it grows."""


@dataclass(frozen=True, slots=True)
class WantedOf:
    """What a `DesiredState` wants of one switch."""

    state: DesiredState
    switch: str

    def entries(self) -> Entries:
        """Return all of it (see `Wanted`)."""
        return self.state.desired(self.switch)

    def parts(self) -> Iterator[Entries]:
        """Yield it in parts (see `Wanted`)."""
        return self.state.parts(self.switch)

    def watch(self) -> AbstractContextManager[AbstractSet[EntryKey]]:
        """Give the keys of what may be changing (see `Wanted`)."""
        return self.state.watch()
