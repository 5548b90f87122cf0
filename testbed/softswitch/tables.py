"""Match-action tables at run time.

The generated code looks a key up with `table.get(key)`, and what it gets is a row: a small tuple with all that a packet needs of an entry. For
exact tables that is the dictionary of rows itself; for all others a cache of results that any write to the table empties. What is not in the
cache is found by tuple space search: entries that mask the same bits share a dictionary, so a miss costs one look-up for each combination of
masks in use, not one for each entry.

Full tables do not fit into a processor's caches. So what a packet visits is kept apart from what only the control plane needs, and in few places.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import lru_cache
from operator import mul
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from testbed.softswitch.meters import Meter
    from testbed.softswitch.profiles import Target

Args: TypeAlias = tuple[int, ...]
PACKED = 60
"""Bits: a key of several fields that is no wider becomes one number. Two digits of Python's integers."""
COUNTER_BITS = 64
"""Bits of a byte count in an entry's tally."""
SHARED = 1 << 12
"""Rows that are remembered, lest equal ones be made again."""
CACHE_SIZE = 1 << 16
"""Results kept for each table; a flood of different keys empties the cache instead of filling the memory."""


class Part(NamedTuple):
    """One field of an entry's match: value and mask, or (range) low and high."""

    value: int
    mask: int


Match: TypeAlias = tuple[Part, ...]
Row: TypeAlias = "tuple[int | Entry | Target, ...]"
LookupKey: TypeAlias = int | tuple[int, ...]
Identity: TypeAlias = LookupKey | tuple[Match, int]
"""What tells the entries of a table apart."""


class _Tally:
    """What packets change in an entry. Slots of a base class come first: it is one cache line of the entry."""

    __slots__ = ("last_hit", "meter", "tally")

    def __init__(self) -> None:
        self.tally = 0
        """Packets above 64 bits, bytes below: one number is one object to fetch and to replace."""
        self.meter: Meter | None = None
        self.last_hit = 0.0
        """Seconds; kept up to date in tables with idle timeouts."""


class Entry(_Tally):
    """An entry as the control plane sees it. The data plane sees its row.

    Args:
        action: index in the table's actions.
        args: the action's arguments.
        match: one part for each key field.
        priority: 0 in tables that have none.
        hit: False for the default entry.
    """

    __slots__ = ("action", "args", "cookie", "hit", "match", "metadata", "priority", "target", "timeout_ns", "timer")

    def __init__(self, action: int, args: Args, match: Match = (), priority: int = 0, *, hit: bool = True) -> None:
        super().__init__()
        self.action = action
        self.args = args
        self.match = match
        self.priority = priority
        self.hit = hit
        self.metadata = b""
        self.cookie = 0
        """P4Runtime's controller_metadata."""
        self.timeout_ns = 0
        """Idle timeout; 0: none."""
        self.timer = 0
        self.target: Target | None = None
        """In a table with an action profile: the member or group that has the action."""

    @property
    def packets(self) -> int:
        """Packets that the entry's direct counter has counted."""
        return self.tally >> COUNTER_BITS

    @property
    def bytes(self) -> int:
        """Bytes that it has counted: as P4Runtime has them, with a sign."""
        half = 1 << COUNTER_BITS - 1
        return (self.tally & 2 * half - 1 ^ half) - half

    def count(self, packets: int, size: int) -> None:
        """Set the direct counter."""
        self.tally = packets << COUNTER_BITS | size & (1 << COUNTER_BITS) - 1

    def row(self, *, accounts: bool) -> Row:
        """What a look-up gives: the action, whether it is a hit, and the arguments or the target.

        A table that accounts for its packets has the entry itself for a hit. Equal rows are one object: the data plane visits fewer places.
        """
        what = self.args if self.target is None else (self.target,)
        if self.hit and accounts:
            return (self.action, self, *what)
        row = (self.action, self.hit, *what)
        return row if self.target is not None else _shared(row)


@lru_cache(maxsize=SHARED)
def _shared(row: Row) -> Row:
    """The first of equal rows, as far as it remembers."""
    return row


class Table(ABC):
    """Entries by identity (match, priority), and a default entry.

    Args:
        name: as in the program.
        kinds: match kind of each key field: exact, lpm, ternary or range.
        size: how many entries it takes.
        default: the default entry.
        accounts: whether packets change entries: by a direct counter or meter, or by the time of the last hit.
    """

    def __init__(self, name: str, kinds: tuple[str, ...], size: int, default: Entry, *, accounts: bool = False) -> None:
        self.name = name
        self.kinds = kinds
        self.size = size
        self.accounts = accounts
        self.default = default
        self.miss = default.row(accounts=accounts)
        """The default entry's row."""
        self.initial = default
        """The default entry that the program brings; a reset goes back to it."""
        self.constant = False
        """Whether the entries are the program's own and cannot be changed."""
        self.entries: dict[Identity, Entry] = {}

    @abstractmethod
    def identity(self, match: Match, priority: int) -> Identity:
        """By what `entries` has an entry."""

    def insert(self, entry: Entry) -> None:
        """Add an entry whose identity is new."""
        self.entries[self.identity(entry.match, entry.priority)] = entry
        self._added(entry)

    def replace(self, entry: Entry, action: int, args: Args, target: "Target | None" = None) -> None:
        """Give an entry another action or target: its row is exchanged as a whole, so no packet sees half of it."""
        entry.action, entry.args, entry.target = action, args, target
        self._changed(entry)

    def remove(self, entry: Entry) -> None:
        """Take an entry out."""
        del self.entries[self.identity(entry.match, entry.priority)]
        self._removed(entry)

    def set_default(self, entry: Entry) -> None:
        """Exchange the default entry."""
        self.default = entry
        self.miss = entry.row(accounts=self.accounts)

    @abstractmethod
    def _changed(self, entry: Entry) -> None: ...

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
        accounts: whether packets change entries.
        factors: how the fields make one number, as `key_factors` says; empty: the key is a tuple, or the only field.
    """

    def __init__(
        self,
        name: str,
        kinds: tuple[str, ...],
        size: int,
        default: Entry,
        *,
        accounts: bool = False,
        factors: Args = (),
    ) -> None:
        super().__init__(name, kinds, size, default, accounts=accounts)
        self._factors = factors
        self._rows: dict[LookupKey, Row] = {}
        self.get = self._rows.get

    def _added(self, entry: Entry) -> None:
        self._rows[self.identity(entry.match)] = entry.row(accounts=self.accounts)

    _changed = _added

    def _removed(self, entry: Entry) -> None:
        del self._rows[self.identity(entry.match)]

    def identity(self, match: Match, priority: int = 0) -> LookupKey:  # noqa: ARG002 - exact entries have no priority
        """The key that packets are looked up with."""
        if len(match) == 1:
            return match[0].value
        values = [part.value for part in match]
        if self._factors:
            number: int = sum(map(mul, values, self._factors))
            return number
        return tuple(values)


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

    def __init__(self, name: str, kinds: tuple[str, ...], size: int, default: Entry, *, accounts: bool = False) -> None:
        super().__init__(name, kinds, size, default, accounts=accounts)
        self._ranges = tuple(index for index, kind in enumerate(kinds) if kind == "range")
        self._groups: dict[Args, _Group] = {}
        self._order: list[_Group] = []
        self._cache: dict[LookupKey, Row] = {}
        self.get = self._cache.get

    def identity(self, match: Match, priority: int) -> Identity:
        """Match and priority."""
        return match, priority

    def find(self, key: LookupKey) -> Row:
        """The row of the entry that wins for a key, or the default entry's; remembered for the next time."""
        best = self._best((key,) if isinstance(key, int) else key)
        row = self.miss if best is None else best.row(accounts=self.accounts)
        if len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
        self._cache[key] = row
        return row

    def _best(self, values: tuple[int, ...]) -> Entry | None:
        best, best_rank = None, -1
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
        return best

    def set_default(self, entry: Entry) -> None:
        """Exchange the default entry."""
        super().set_default(entry)
        self._cache.clear()

    def _changed(self, _entry: Entry) -> None:
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


def key_factors(widths: Iterable[int]) -> tuple[int, ...]:
    """By what each field of a key of several narrow fields is multiplied to make one number of their sum, quicker to hash than a tuple.

    Python's dictionaries begin their search at the low bits of a number. Fields side by side, as bits, would leave there
    nothing but the last field, which in many tables is nearly always the same. An odd factor that is no round number spreads
    all of them; it is larger than the fields to its right, so different keys stay different.
    """
    sizes = list(widths)
    if len(sizes) < 2 or sum(sizes) + len(sizes) - 1 > PACKED:
        return ()
    factors = [1]
    for size in sizes[:0:-1]:
        factors.append(factors[-1] * ((1 << size) + int(0.618 * (1 << size)) | 1))
    return tuple(reversed(factors))


def make_table(
    name: str,
    kinds: tuple[str, ...],
    size: int,
    default: Entry,
    widths: tuple[int, ...] = (),
    *,
    accounts: bool = False,
) -> ExactTable | MaskedTable:
    """A table of the sort that its key needs.

    Args:
        name: as in the program.
        kinds: match kind of each key field.
        size: how many entries it takes.
        default: the default entry.
        widths: bits of each key field; without them no key is packed.
        accounts: whether packets change entries: by a direct counter or meter, or by the time of the last hit.
    """
    if all(kind == "exact" for kind in kinds):
        return ExactTable(name, kinds, size, default, accounts=accounts, factors=key_factors(widths))
    return MaskedTable(name, kinds, size, default, accounts=accounts)


def _top(group: _Group) -> int:
    return group.top
