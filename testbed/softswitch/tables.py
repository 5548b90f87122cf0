"""Match-action tables at run time.

The generated code looks a key up with `table.get(key)`: for exact tables that is the dictionary of entries itself; for all others a cache
of results that any write to the table empties. What is not in the cache is found by tuple space search: entries that mask the same
bits share a dictionary, so a miss costs one look-up for each combination of masks in use, not one for each entry.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from testbed.softswitch.meters import Meter
    from testbed.softswitch.profiles import Target

Args: TypeAlias = tuple[int, ...]
PACKED = 60
"""Bits: a key of several fields that is no wider becomes one number. Two digits of Python's integers."""
CACHE_SIZE = 1 << 16
"""Results kept for each table; a flood of different keys empties the cache instead of filling the memory."""


class Part(NamedTuple):
    """One field of an entry's match: value and mask, or (range) low and high."""

    value: int
    mask: int


Match: TypeAlias = tuple[Part, ...]
LookupKey: TypeAlias = int | tuple[int, ...]
Identity: TypeAlias = tuple[Match, int]


class Entry:
    """What a look-up gives: the action to run, and the entry's own counters and meter."""

    __slots__ = (
        "action",
        "args",
        "bytes",
        "cookie",
        "hit",
        "last_hit",
        "match",
        "metadata",
        "meter",
        "packets",
        "priority",
        "target",
        "timeout_ns",
        "timer",
    )

    def __init__(self, action: int, args: Args, match: Match = (), priority: int = 0, *, hit: bool = True) -> None:
        self.action = action
        """Index in the table's actions."""
        self.args = args
        self.match = match
        self.priority = priority
        self.hit = hit
        """False for the default entry."""
        self.packets = 0
        self.bytes = 0
        self.meter: Meter | None = None
        self.metadata = b""
        self.cookie = 0
        """P4Runtime's controller_metadata."""
        self.last_hit = 0.0
        """Seconds; kept up to date in tables with idle timeouts."""
        self.timeout_ns = 0
        """Idle timeout; 0: none."""
        self.timer = 0
        self.target: Target | None = None
        """In a table with an action profile: the member or group that has the action."""


class Table(ABC):
    """Entries by identity (match, priority), and a default entry.

    Args:
        name: as in the program.
        kinds: match kind of each key field: exact, lpm, ternary or range.
        size: how many entries it takes.
        default: the default entry.
    """

    def __init__(self, name: str, kinds: tuple[str, ...], size: int, default: Entry) -> None:
        self.name = name
        self.kinds = kinds
        self.size = size
        self.default = default
        self.initial = default
        """The default entry that the program brings; a reset goes back to it."""
        self.constant = False
        """Whether the entries are the program's own and cannot be changed."""
        self.entries: dict[Identity, Entry] = {}

    def insert(self, entry: Entry) -> None:
        """Add an entry whose identity is new."""
        self.entries[entry.match, entry.priority] = entry
        self._added(entry)

    def replace(self, entry: Entry, action: int, args: Args) -> None:
        """Give an entry another action: one assignment after the other, between two packets, so no packet sees half of it."""
        entry.action, entry.args = action, args

    def remove(self, entry: Entry) -> None:
        """Take an entry out."""
        del self.entries[entry.match, entry.priority]
        self._removed(entry)

    def set_default(self, entry: Entry) -> None:
        """Exchange the default entry."""
        self.default = entry

    @abstractmethod
    def _added(self, entry: Entry) -> None: ...

    @abstractmethod
    def _removed(self, entry: Entry) -> None: ...


class ExactTable(Table):
    """All fields exact (or no field at all).

    Args:
        name: as in the program.
        kinds: as many times exact as there are fields.
        size: how many entries it takes.
        default: the default entry.
        shifts: how far to the left each field stands in a key that is one number; empty: the key is a tuple, or the only field.
    """

    def __init__(
        self, name: str, kinds: tuple[str, ...], size: int, default: Entry, shifts: tuple[int, ...] = ()
    ) -> None:
        super().__init__(name, kinds, size, default)
        self._shifts = shifts
        self._by_key: dict[LookupKey, Entry] = {}
        self.get = self._by_key.get

    def _added(self, entry: Entry) -> None:
        self._by_key[self._key(entry.match)] = entry

    def _removed(self, entry: Entry) -> None:
        del self._by_key[self._key(entry.match)]

    def _key(self, match: Match) -> LookupKey:
        values = tuple(part.value for part in match)
        if self._shifts:
            return sum(value << shift for value, shift in zip(values, self._shifts, strict=True))
        return values[0] if len(values) == 1 else values


class _Group:
    """Entries that mask the same bits."""

    __slots__ = ("buckets", "masks", "top")

    def __init__(self, masks: Args) -> None:
        self.masks = masks
        self.buckets: dict[Args, list[Entry]] = {}
        self.top = 0

    def rank(self, entry: Entry) -> int:
        """What decides between two entries that both match: priority, or prefix length where there is none."""
        return entry.priority or sum(mask.bit_count() for mask in self.masks)


class MaskedTable(Table):
    """At least one field is lpm, ternary or range."""

    def __init__(self, name: str, kinds: tuple[str, ...], size: int, default: Entry) -> None:
        super().__init__(name, kinds, size, default)
        self._ranges = tuple(index for index, kind in enumerate(kinds) if kind == "range")
        self._groups: dict[Args, _Group] = {}
        self._order: list[_Group] = []
        self._cache: dict[LookupKey, Entry] = {}
        self.get = self._cache.get

    def find(self, key: LookupKey) -> Entry:
        """The entry that wins for a key, or the default entry; remembered for the next time."""
        values = (key,) if isinstance(key, int) else key
        best, best_rank = self.default, -1
        for group in self._order:
            if group.top <= best_rank:
                break
            bucket = group.buckets.get(tuple(value & mask for value, mask in zip(values, group.masks, strict=True)))
            for entry in bucket or ():
                rank = group.rank(entry)
                if rank <= best_rank:
                    break
                if all(entry.match[i].value <= values[i] <= entry.match[i].mask for i in self._ranges):
                    best, best_rank = entry, rank
                    break
        if len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
        self._cache[key] = best
        return best

    def set_default(self, entry: Entry) -> None:
        """Exchange the default entry."""
        super().set_default(entry)
        self._cache.clear()

    def _masks(self, match: Match) -> Args:
        return tuple(0 if kind == "range" else part.mask for kind, part in zip(self.kinds, match, strict=True))

    def _bucket_key(self, match: Match) -> Args:
        return tuple(0 if kind == "range" else part.value for kind, part in zip(self.kinds, match, strict=True))

    def _added(self, entry: Entry) -> None:
        masks = self._masks(entry.match)
        group = self._groups.get(masks)
        if group is None:
            group = self._groups[masks] = _Group(masks)
            self._order.append(group)
        bucket = group.buckets.setdefault(self._bucket_key(entry.match), [])
        bucket.append(entry)
        bucket.sort(key=group.rank, reverse=True)
        if group.rank(entry) > group.top:
            group.top = group.rank(entry)
            self._order.sort(key=_top, reverse=True)
        self._cache.clear()

    def _removed(self, entry: Entry) -> None:
        masks = self._masks(entry.match)
        group, key = self._groups[masks], self._bucket_key(entry.match)
        group.buckets[key].remove(entry)
        if not group.buckets[key]:
            del group.buckets[key]
        if not group.buckets:
            del self._groups[masks]
            self._order.remove(group)
        self._cache.clear()


class ValueSet:
    """A parser value set: keys that a select compares with. Empty at first.

    Args:
        name: as in the program.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.widths: tuple[int, ...] | None = None
        """Bits of each part of the key, as the parser has it; None while no select uses the set."""
        self.kinds: tuple[str, ...] = ()
        """The match kind of each part."""
        self.members: list[Match] = []
        self._exact: set[Args] = set()
        self._others: list[Match] = []

    def replace(self, members: list[Match]) -> None:
        """Exchange all members."""
        full = tuple((1 << width) - 1 for width in self.widths or ())
        ranges = [kind == "range" for kind in self.kinds]
        self.members = members
        self._exact = {
            tuple(part.value for part in match)
            for match in members
            if tuple(p.mask for p in match) == full and not any(ranges)
        }
        self._others = [
            match for match in members if tuple(part.value for part in match) not in self._exact or any(ranges)
        ]

    def contains(self, *values: int) -> bool:
        """Whether a key matches one of the members."""
        return values in self._exact or any(
            all(
                part.value <= value <= part.mask if kind == "range" else value & part.mask == part.value
                for kind, part, value in zip(self.kinds, match, values, strict=True)
            )
            for match in self._others
        )


def key_shifts(widths: Iterable[int]) -> tuple[int, ...]:
    """How a key of several narrow fields is packed into one number, which is quicker to hash and to compare than a tuple."""
    sizes = list(widths)
    if len(sizes) < 2 or sum(sizes) > PACKED:
        return ()
    return tuple(sum(sizes[index + 1 :]) for index in range(len(sizes)))


def make_table(
    name: str, kinds: tuple[str, ...], size: int, default: Entry, widths: tuple[int, ...] = ()
) -> ExactTable | MaskedTable:
    """A table of the sort that its key needs.

    Args:
        name: as in the program.
        kinds: match kind of each key field.
        size: how many entries it takes.
        default: the default entry.
        widths: bits of each key field; without them no key is packed.
    """
    if all(kind == "exact" for kind in kinds):
        return ExactTable(name, kinds, size, default, key_shifts(widths))
    return MaskedTable(name, kinds, size, default)


def _top(group: _Group) -> int:
    return group.top
