"""How full the tables are with entries of nodes, and whether more would fit."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping

from controller.dataplane.entries import EntryKey
from controller.dataplane.plans import Plan


class CapacityError(ValueError):
    """A change wants more entries than a table has room for.

    Attributes:
        full: the BIDs without which the rest would fit; empty: what is missing does not belong to certain BIDs.
    """

    def __init__(self, message: str, full: frozenset[int] = frozenset()) -> None:
        super().__init__(message)
        self.full = full


class Occupancy:
    """Entries of each table: those that nodes want, those in their grace period, those that are about to go."""

    def __init__(self) -> None:
        self._wanted: Counter[str] = Counter()
        self._lingering: Counter[str] = Counter()
        # Entries that pending changes delete at once: they take room until that is done.
        self._leaving: Counter[str] = Counter()
        self._capacity: dict[str, int] = {}

    def set_capacity(self, capacity: Mapping[str, int]) -> None:
        """Say how many entries of nodes each table has room for; a table that is not named has no limit."""
        self._capacity = dict(capacity)

    def used(self, table: str) -> int:
        """Return how many entries of nodes a table has, those that are about to be deleted included."""
        return self._wanted[table] + self._lingering[table] + self._leaving[table]

    def want(self, keys: Iterable[EntryKey]) -> None:
        """Count entries that are wanted from now on."""
        for key in keys:
            self._wanted[key[0]] += 1

    def unwant(self, keys: Iterable[EntryKey]) -> None:
        """Count entries that are wanted no more."""
        for key in keys:
            self._wanted[key[0]] -= 1

    def linger(self, key: EntryKey, change: int = 1) -> None:
        """Count an entry whose grace period begins; with -1, one whose grace period ends."""
        self._lingering[key[0]] += change

    def leave(self, plan: Plan) -> None:
        """Count what a plan is about to delete at once."""
        for table, gone in plan.deletions().items():
            self._leaving[table] += gone

    def left(self, plan: Plan) -> None:
        """Count what a plan has deleted as gone."""
        for table, gone in plan.deletions().items():
            self._leaving[table] -= gone

    def refuse_overflow(
        self, new: Collection[EntryKey], of_bids: Callable[[], Mapping[int, Collection[EntryKey]]]
    ) -> None:
        """Refuse new entries that would not fit: they come before old ones go.

        Args:
            new: their keys.
            of_bids: gives what each BID needs, the most preferred BID first; asked only when not all fits.

        Raises:
            CapacityError: a table is too full.
        """
        if not self._capacity:
            return
        counts: dict[str, int] = {}
        for key in new:
            counts[key[0]] = counts.get(key[0], 0) + 1
        for table, count in counts.items():
            room = self._capacity.get(table)
            if room is not None and self.used(table) + count > room:
                why = f"table {table} is full: {self.used(table)} of {room} entries are taken"
                raise CapacityError(why, self._unfit(set(new), of_bids()))

    def _unfit(self, new: set[EntryKey], of_bids: Mapping[int, Collection[EntryKey]]) -> frozenset[int]:
        """Return the BIDs that there is no room for; none: nor is there for what does not belong to certain BIDs."""
        free = Counter({table: room - self.used(table) for table, room in self._capacity.items()})

        def take(keys: set[EntryKey]) -> bool:
            counts = Counter(key[0] for key in keys if key[0] in self._capacity)
            if any(count > free[table] for table, count in counts.items()):
                return False
            free.subtract(counts)
            return True

        if not take(new.difference(*of_bids.values())):
            return frozenset()
        full: set[int] = set()
        for bid, keys in of_bids.items():
            mine = new.intersection(keys)
            if take(mine):
                new -= mine  # another BID with this care-of address has it too
            else:
                full.add(bid)
        return frozenset(full)
