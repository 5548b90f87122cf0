"""Who wants which entries: what is claimed, shared, in its grace period, and how much room all of it takes."""

from collections.abc import Callable, Collection, Iterable, Mapping

from controller.dataplane.entries import Entry, EntryKey
from controller.dataplane.lingering import Lingering
from controller.dataplane.nodes import Claims
from controller.dataplane.occupancy import Occupancy
from controller.dataplane.plans import SHARED_TABLES


class Ledger:
    """The entries of all nodes, as far as one node's change has to know of the others."""

    def __init__(self) -> None:
        self.occupancy = Occupancy()
        """How full the tables are."""
        self.lingering = Lingering(self.occupancy)
        """What is in its grace period."""
        self.claims = Claims()
        """Which node has what two could want."""
        # Shared entries that are not known to be in force: they are inserted by every plan that needs them, so that a node
        # does not depend on a neighbour's plan, which may yet fail.
        self._unconfirmed: set[EntryKey] = set()

    def refuse_overflow(
        self,
        fresh: Iterable[EntryKey],
        others: Collection[EntryKey],
        of_bids: Callable[[], Mapping[int, Collection[EntryKey]]],
    ) -> None:
        """Refuse new entries of a node that would not fit; arguments as of `compare` and of `Occupancy.refuse_overflow`.

        Raises:
            CapacityError: a table is too full.
        """
        added = [key for key in fresh if key not in others and key not in self.lingering]
        self.occupancy.refuse_overflow(added, of_bids)

    def compare(
        self,
        old: Mapping[EntryKey, Entry],
        new: Mapping[EntryKey, Entry],
        fresh: Iterable[EntryKey],
        others: Collection[EntryKey],
    ) -> tuple[Mapping[EntryKey, Entry], Mapping[EntryKey, Entry]]:
        """Return what is there and what is wanted, of all that a node's change may write.

        Args:
            old: its entries before.
            new: its entries after.
            fresh: keys of those that it did not have before.
            others: keys of those that other nodes want too.
        """
        before, after = old, new
        if others:
            before = {key: entry for key, entry in old.items() if key in new or key not in others}
        for key in fresh:
            if (kept := self.lingering.take(key)) is not None:
                before = {**before, key: kept.entry}
            elif key in others and key not in self._unconfirmed:
                after = {one: entry for one, entry in after.items() if one != key}
            elif key[0] in SHARED_TABLES:
                self._unconfirmed.add(key)
        return before, after

    def enter(self, gone: list[EntryKey], fresh: list[EntryKey], others: Collection[EntryKey]) -> None:
        """Take note of what a node wants now and of what nobody wants any more."""
        if others:
            gone, fresh = ([key for key in keys if key not in others] for keys in (gone, fresh))
        self._unconfirmed.difference_update(gone)
        self.occupancy.unwant(gone)
        self.occupancy.want(fresh)

    def confirm(self, shared: Iterable[EntryKey]) -> None:
        """Take note that shared entries are in force."""
        self._unconfirmed.difference_update(shared)

    def in_force(self, shared: Collection[EntryKey]) -> set[EntryKey]:
        """Return those of some shared entries that are known to be in force."""
        return set(shared) - self._unconfirmed
