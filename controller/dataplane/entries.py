"""Table entries as the controller thinks of them: by name, with integers for values.

Integers have one form only, so two entries are the same if and only if they compare equal: the canonical byte strings of
P4Runtime (section 8.4) are made from them at the last moment, in `southbound`.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple, TypeAlias


class Lpm(NamedTuple):
    """A longest-prefix match: value with its low bits zero, and prefix length in bits."""

    value: int
    length: int


class Ternary(NamedTuple):
    """A ternary match: value with every bit outside of the mask zero."""

    value: int
    mask: int


class Range(NamedTuple):
    """A range match, both ends included."""

    low: int
    high: int


class Rate(NamedTuple):
    """What an entry's direct meter lets through; what is beyond is red. Packets or bytes, as the table's meter counts."""

    per_second: int
    burst: int


Match: TypeAlias = int | Lpm | Ternary | Range | None
"""One field of a key: an int for an exact match, None for "any" (ternary, range; lpm of length 0)."""

EntryKey: TypeAlias = tuple[str, tuple[Match, ...], int]
"""What tells entries of a switch apart: table, match, priority."""


class Entry(NamedTuple):
    """One table entry. A tuple, as the planner makes a dozen of them for each registration."""

    table: str
    """The table's alias in P4Info."""
    match: tuple[Match, ...]
    """One element for each key field, in the order of P4Info."""
    action: str
    """The action's alias in P4Info."""
    params: tuple[int, ...] = ()
    """In the order of P4Info; in tables with a selector those of each action, one after the other."""
    priority: int = 0
    """1 and up where the table has ternary or range fields, greater wins; otherwise 0."""
    rate: Rate | None = None
    """Only in tables that are `metered`; None: no limit."""

    @property
    def key(self) -> EntryKey:
        """What no two entries of a switch share."""
        return self.table, self.match, self.priority


class Op(IntEnum):
    """Kinds of update, numbered as in P4Runtime."""

    INSERT = 1
    MODIFY = 2
    DELETE = 3


class Update(NamedTuple):
    """One change of one entry."""

    op: Op
    entry: Entry


Entries: TypeAlias = Mapping[EntryKey, Entry]
"""Entries of a switch by their key."""
