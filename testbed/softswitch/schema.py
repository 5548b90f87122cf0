"""What P4Runtime's ids mean in a compiled program."""

from dataclasses import dataclass, field

from finsy.proto import p4i

from testbed.softswitch.compiler import Compiled, CounterArray
from testbed.softswitch.digest_types import DigestSchema
from testbed.softswitch.meters import MeterArray
from testbed.softswitch.profiles import Profile
from testbed.softswitch.tables import ExactTable, MaskedTable, ValueSet


@dataclass(frozen=True, slots=True)
class MatchField:
    """A field of a table's key."""

    id: int
    name: str
    width: int
    kind: str
    """exact, lpm, ternary, range or optional."""


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of an action, or a metadata field of a packet header for the controller."""

    id: int
    name: str
    width: int


@dataclass(frozen=True, slots=True)
class ActionRef:
    """An action as one table offers it."""

    id: int
    name: str
    index: int
    """In the table of the program."""
    params: tuple[Param, ...]
    in_table: bool
    as_default: bool


@dataclass(frozen=True, slots=True)
class DirectUnits:
    """What a direct resource counts or meters."""

    id: int
    bytes: bool
    packets: bool


@dataclass(frozen=True, slots=True)
class TableSchema:
    """A table: its P4Info, and the table at run time."""

    id: int
    name: str
    fields: tuple[MatchField, ...]
    actions: dict[int, ActionRef]
    by_index: dict[int, ActionRef]
    size: int
    table: ExactTable | MaskedTable
    const_default: bool
    constant: bool
    prioritised: bool
    counter: DirectUnits | None
    meter: DirectUnits | None
    timeouts: bool = False
    """Whether its entries can become idle."""
    profile: "ProfileSchema | None" = None
    """Where its entries' actions are; None: in the entries."""


@dataclass(frozen=True, slots=True)
class ProfileSchema:
    """An action profile, or an action selector."""

    id: int
    name: str
    selector: bool
    size: int
    max_group_size: int
    by_members: bool
    """Whether sizes count members; else they count weights."""
    max_weight: int
    """Of one member; 0: any."""
    weightless: bool
    """Whether weights are the switch's own affair, and must be 0."""
    actions: dict[int, ActionRef]
    by_index: dict[int, ActionRef]
    profile: Profile


@dataclass(frozen=True, slots=True)
class ValueSetSchema:
    """A parser value set."""

    id: int
    name: str
    fields: tuple[MatchField, ...]
    size: int
    values: ValueSet


@dataclass(frozen=True, slots=True)
class ArraySchema:
    """An indirect counter, meter or register."""

    id: int
    name: str
    size: int
    width: int = 0
    bytes: bool = True
    packets: bool = True


@dataclass(frozen=True, slots=True)
class Schema:
    """Everything that P4Runtime can address."""

    info: p4i.P4Info
    compiled: Compiled
    tables: dict[int, TableSchema]
    counters: dict[int, tuple[ArraySchema, CounterArray]]
    meters: dict[int, tuple[ArraySchema, MeterArray]]
    registers: dict[int, tuple[ArraySchema, list[int]]]
    profiles: dict[int, ProfileSchema]
    value_sets: dict[int, ValueSetSchema]
    digests: dict[int, DigestSchema]
    direct_counters: dict[int, TableSchema] = field(default_factory=dict)
    direct_meters: dict[int, TableSchema] = field(default_factory=dict)
    packet_in: tuple[Param, ...] = ()
    packet_out: tuple[Param, ...] = ()
