"""A compiled v1model program as data: what p4c-bm2-ss wrote, read once, checked, with every reference resolved.

The format is that of BMv2's JSON, version 2. What it may contain and this switch cannot run is refused here or, when it
hides inside of an action or an expression, by the code generators: always with its name and place.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from testbed.softswitch.errors import ArtefactError, UnsupportedError

Json: TypeAlias = dict[str, Any]

_KNOWN = frozenset({
    "header_types", "headers", "header_stacks", "field_lists", "errors", "enums", "parsers", "deparsers", "meter_arrays",
    "counter_arrays", "register_arrays", "calculations", "actions", "pipelines", "checksums", "force_arith", "field_aliases",
    "program", "__meta__",
    "learn_lists",  # declarations only; the primitive that uses one is refused
})  # fmt: skip
MAX_CELLS = 1 << 22
"""Cells of one counter, meter or register array."""
_REFUSED = {
    "header_union_types": "header unions",
    "header_unions": "header unions",
    "header_union_stacks": "header union stacks",
    "parse_vsets": "parser value sets",
    "extern_instances": "extern instances",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a header or metadata type."""

    name: str
    width: int
    """Bits."""
    signed: bool


@dataclass(frozen=True, slots=True)
class Header:
    """A header or metadata instance."""

    name: str
    fields: tuple[Field, ...]
    metadata: bool

    @property
    def bits(self) -> int:
        """Width of the whole."""
        return sum(field.width for field in self.fields)


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
    field_lists: Mapping[int, tuple[tuple[str, str], ...]]

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


def load_program(text: bytes | str) -> Program:
    """Read a BMv2 JSON.

    Raises:
        ArtefactError: not JSON, not version 2, or inconsistent.
        UnsupportedError: a construct that the embedded switch cannot run.
    """
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ArtefactError(f"the device configuration is not a BMv2 JSON: {error}") from None
    if not isinstance(data, dict):
        raise ArtefactError("the device configuration is not a BMv2 JSON: not an object")
    try:
        return _read(data)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ArtefactError):
            raise
        raise ArtefactError(f"the BMv2 JSON is incomplete or malformed: {type(error).__name__} {error}") from error


def whole(value: object) -> int:
    """A number of the JSON that ends up in generated code, where nothing but a number may be.

    Raises:
        ArtefactError: it is anything else, or negative.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ArtefactError(f"the BMv2 JSON is malformed: {value!r} stands where a number must be")
    return value


def _read(data: Json) -> Program:
    version = data.get("__meta__", {}).get("version", [0])
    if version[0] != 2:
        raise ArtefactError(
            f"BMv2 JSON of version {version}: this switch reads version 2; compile with a current p4c-bm2-ss"
        )
    for key, value in data.items():
        if key in _REFUSED and value:
            first = value[0]["name"] if isinstance(value[0], dict) and "name" in value[0] else str(value[0])
            raise UnsupportedError(f"{_REFUSED[key]} ({first})", "program")
        if key not in _KNOWN and key not in _REFUSED and value:
            raise UnsupportedError(f"the section {key!r}", "program")
    headers = _headers(data)
    actions = {a["id"]: _action(a) for a in data["actions"]}
    parser = _only(data["parsers"], "parser")
    program = Program(
        headers=headers,
        stacks=_stacks(data),
        states={
            s["name"]: State(s["name"], tuple(s["parser_ops"]), tuple(s["transition_key"]), tuple(s["transitions"]))
            for s in parser["parse_states"]
        },
        start=parser["init_state"],
        actions=actions,
        pipelines={p["name"]: _pipeline(p, headers, actions) for p in data["pipelines"]},
        deparser=_deparser(_only(data["deparsers"], "deparser")),
        counters={c["name"]: _array(c) for c in data["counter_arrays"]},
        meters={m["name"]: _array(m) for m in data["meter_arrays"]},
        registers={r["name"]: _array(r) for r in data["register_arrays"]},
        calculations={c["name"]: c for c in data["calculations"]},
        checksums=tuple(data["checksums"]),
        errors={item[0]: whole(item[1]) for item in data.get("errors", [])},
        aliases={name: (target[0], target[1]) for name, target in data.get("field_aliases", [])},
        field_lists={whole(f["id"]): _field_list(f) for f in data.get("field_lists", [])},
    )
    for name in program.deparser:
        if name not in headers or headers[name].metadata:
            raise ArtefactError(f"the deparser emits {name!r}, which is not a packet header")
    missing = {"ingress", "egress"} - program.pipelines.keys()
    if missing:
        raise ArtefactError(f"the program has no {' and no '.join(sorted(missing))} pipeline: it is not for v1model")
    return program


def _only(items: list[Json], what: str) -> Json:
    if len(items) != 1:
        raise UnsupportedError(f"{len(items)} {what}s in one program", "program")
    return items[0]


def _headers(data: Json) -> dict[str, Header]:
    types: dict[str, tuple[Field, ...]] = {}
    for kind in data["header_types"]:
        fields = []
        for item in kind["fields"]:
            if not isinstance(item[1], int):
                raise UnsupportedError(f"the variable-length field {item[0]}", f"header type {kind['name']}")
            fields.append(Field(item[0], whole(item[1]), bool(item[2]) if len(item) > 2 else False))
        types[kind["name"]] = tuple(fields)
    headers = {}
    for item in data["headers"]:
        header = Header(item["name"], types[item["header_type"]], item["metadata"])
        if not header.metadata and header.bits % 8:
            raise UnsupportedError(f"a header of {header.bits} bits", f"header {header.name}")
        headers[header.name] = header
    return headers


def _stacks(data: Json) -> dict[str, tuple[str, ...]]:
    by_id = {item["id"]: item["name"] for item in data["headers"]}
    return {stack["name"]: tuple(by_id[i] for i in stack["header_ids"]) for stack in data["header_stacks"]}


def _action(data: Json) -> Action:
    params = tuple((p["name"], whole(p["bitwidth"])) for p in data["runtime_data"])
    if not isinstance(data["name"], str):
        raise ArtefactError(f"the BMv2 JSON is malformed: an action is named {data['name']!r}")
    return Action(data["id"], data["name"], params, tuple(data["primitives"]))


def _field_list(data: Json) -> tuple[tuple[str, str], ...]:
    for element in data["elements"]:
        if element["type"] != "field":
            raise UnsupportedError(
                f"an element of type {element['type']!r}", f"field list {data.get('name', data['id'])}"
            )
    return tuple((element["value"][0], element["value"][1]) for element in data["elements"])


def _deparser(data: Json) -> tuple[str, ...]:
    if data.get("primitives"):
        raise UnsupportedError(f"the primitive {data['primitives'][0].get('op')!r}", f"deparser {data['name']}")
    return tuple(data["order"])


def _array(data: Json) -> Array:
    target = data.get("result_target")
    if data.get("rate_count", 2) != 2:
        raise UnsupportedError(f"{data['rate_count']} rates", f"meter {data['name']}")
    size = whole(data.get("size", 0))
    if size > MAX_CELLS:
        raise UnsupportedError(f"an array of {size} cells", f"array {data['name']}")
    return Array(
        name=data["name"],
        size=size,
        direct=data["binding"] if data.get("is_direct") else None,
        width=whole(data.get("bitwidth", 0)),
        unit=data.get("type", ""),
        target=(target[0], target[1]) if target else None,
    )


def _pipeline(data: Json, headers: Mapping[str, Header], actions: Mapping[int, Action]) -> Pipeline:
    if data.get("action_profiles"):
        raise UnsupportedError(f"the action profile {data['action_profiles'][0]['name']}", f"pipeline {data['name']}")
    if data.get("action_calls"):
        raise UnsupportedError(f"the action call {data['action_calls'][0]['name']}", f"pipeline {data['name']}")
    nodes: dict[str, Table | Condition] = {}
    for item in data["tables"]:
        nodes[item["name"]] = _table(item, headers, actions)
    for item in data["conditionals"]:
        nodes[item["name"]] = Condition(item["name"], item["expression"], item["true_next"], item["false_next"])
    return Pipeline(data["name"], data["init_table"], nodes)


def _table(data: Json, headers: Mapping[str, Header], actions: Mapping[int, Action]) -> Table:
    where = f"table {data['name']}"
    if data["type"] != "simple":
        raise UnsupportedError(f"the implementation {data['type']!r} (action profile or selector)", where)
    if data.get("support_timeout"):
        raise UnsupportedError("idle timeouts (support_timeout)", where)
    keys = tuple(_key(item, headers, where) for item in data["key"])
    chosen = tuple(actions[i] for i in data["action_ids"])
    default = data.get("default_entry")
    if default is None:
        raise UnsupportedError("a table without default entry", where)
    ids = [action.id for action in chosen]
    if default["action_id"] not in ids:
        chosen, ids = (*chosen, actions[default["action_id"]]), [*ids, default["action_id"]]
    return Table(
        name=data["name"],
        kind=data["match_type"],
        keys=keys,
        actions=chosen,
        next=data["next_tables"],
        size=whole(data["max_size"]),
        default=ids.index(default["action_id"]),
        default_args=tuple(int(value, 16) for value in default.get("action_data", ())),
        default_const=bool(default.get("action_const")),
        counters=data["with_counters"],
        meter=data.get("direct_meters"),
        entries=tuple(data.get("entries", ())),
    )


def _key(data: Json, headers: Mapping[str, Header], where: str) -> Key:
    kind = data["match_type"]
    if kind not in {"exact", "lpm", "ternary", "range"}:
        raise UnsupportedError(f"the match kind {kind!r}", where)
    header, name = data["target"]
    widths = {field.name: field.width for field in headers[header].fields} | {"$valid$": 1}
    if name not in widths:
        raise ArtefactError(f"{where}: header {header!r} has no field {name!r}")
    mask = None if data.get("mask") is None else int(data["mask"], 16)
    return Key(data.get("name") or f"{header}.{name}", kind, header, name, mask, widths[name])
