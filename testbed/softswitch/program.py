"""A compiled v1model program as data: what p4c-bm2-ss wrote, read once, checked, with every reference resolved.

The format is that of BMv2's JSON, version 2. What it may contain and this switch cannot run is refused here or, when it
hides inside of an action or an expression, by the code generators: always with its name and place.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from testbed.softswitch.errors import ArtefactError

Json: TypeAlias = dict[str, Any]

MISS = "$miss"
"""Name of what a table with an action profile does when nothing matches."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a header or metadata type."""

    name: str
    width: int
    """Bits; 0 for a variable-length field."""
    signed: bool
    variable: bool = False
    """A varbit: its value is a byte string."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header or metadata instance."""

    name: str
    fields: tuple[Field, ...]
    metadata: bool
    max_bytes: int = 0
    """With a variable-length field: of the whole; 0: any."""

    @property
    def bits(self) -> int:
        """Width of the whole, without a variable-length field."""
        return sum(field.width for field in self.fields)

    @property
    def variable(self) -> Field | None:
        """Its variable-length field."""
        return next((field for field in self.fields if field.variable), None)


@dataclass(frozen=True, slots=True)
class Action:
    """An action: its parameters (name, width) and its primitives as they stand in the JSON."""

    id: int
    name: str
    params: tuple[tuple[str, int], ...]
    primitives: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """One element of a table key."""

    name: str
    kind: str
    """exact, lpm, ternary or range ("optional" is ternary in this format)."""
    header: str
    field: str
    mask: int | None
    width: int


@dataclass(frozen=True, slots=True)
class ActionProfile:
    """An action profile, or, with an algorithm, an action selector."""

    name: str
    size: int
    algorithm: str | None
    inputs: tuple[Json, ...]
    """What the selector's hash is over."""


@dataclass(frozen=True, slots=True)
class Table:
    """A match-action table."""

    name: str
    kind: str
    keys: tuple[Key, ...]
    actions: tuple[Action, ...]
    next: Mapping[str, str | None]
    """By action name, or by `__HIT__` and `__MISS__`."""
    size: int
    default: int
    """Index in `actions` of the default action."""
    default_args: tuple[int, ...]
    default_const: bool
    counters: bool
    meter: str | None
    entries: tuple[Json, ...]
    timeouts: bool = False
    """Whether its entries can become idle."""
    profile: ActionProfile | None = None
    """Where the actions of its entries are kept; None: in the entries."""


@dataclass(frozen=True, slots=True)
class Condition:
    """An if in a control."""

    name: str
    expression: Json
    true_next: str | None
    false_next: str | None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A control: ingress or egress."""

    name: str
    start: str | None
    nodes: Mapping[str, Table | Condition]


@dataclass(frozen=True, slots=True)
class State:
    """A parser state."""

    name: str
    ops: tuple[Json, ...]
    key: tuple[Json, ...]
    transitions: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class Array:
    """A counter, meter or register array."""

    name: str
    size: int
    direct: str | None
    """The table that a direct counter or meter belongs to."""
    width: int = 0
    """Bits of a register cell."""
    unit: str = ""
    """Meters: bytes or packets."""
    target: tuple[str, str] | None = None
    """Direct meters: the field that takes the colour."""


@dataclass(frozen=True, slots=True)
class LearnList:
    """What one digest consists of."""

    name: str
    elements: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """A whole program."""

    headers: Mapping[str, Header]
    stacks: Mapping[str, tuple[str, ...]]
    states: Mapping[str, State]
    start: str
    actions: Mapping[int, Action]
    pipelines: Mapping[str, Pipeline]
    deparser: tuple[str, ...]
    counters: Mapping[str, Array]
    meters: Mapping[str, Array]
    registers: Mapping[str, Array]
    calculations: Mapping[str, Json]
    checksums: tuple[Json, ...]
    errors: Mapping[str, int]
    aliases: Mapping[str, tuple[str, str]]
    profiles: Mapping[str, ActionProfile]
    field_lists: Mapping[int, tuple[tuple[str, str], ...]]
    learn_lists: Mapping[int, LearnList]
    """What digests consist of."""
    value_sets: Mapping[str, int]
    """Sizes of the parser value sets."""

    @property
    def tables(self) -> dict[str, Table]:
        """All tables by name."""
        return {n.name: n for p in self.pipelines.values() for n in p.nodes.values() if isinstance(n, Table)}

    def field(self, header: str, name: str, where: str) -> Field:
        """A field by name; `$valid$` is the header's validity bit.

        Raises:
            ArtefactError: there is none.
        """
        if header not in self.headers:
            raise ArtefactError(f"{where}: no header instance {header!r} in the program")
        if name == "$valid$":
            return Field(name, 1, signed=False)
        for field in self.headers[header].fields:
            if field.name == name:
                return field
        raise ArtefactError(f"{where}: header {header!r} has no field {name!r}")


def whole(value: object) -> int:
    """A number of the JSON that ends up in generated code, where nothing but a number may be.

    Raises:
        ArtefactError: it is anything else, or negative.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ArtefactError(f"the BMv2 JSON is malformed: {value!r} stands where a number must be")
    return value
