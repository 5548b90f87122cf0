"""Reads a BMv2 JSON into a program: checked, with every reference resolved, and refused by name where this switch cannot run it."""

import json
from collections.abc import Mapping
from typing import Any

from testbed.softswitch.errors import ArtefactError, UnsupportedError
from testbed.softswitch.program import (
    MISS,
    Action,
    ActionProfile,
    Array,
    Condition,
    Field,
    Header,
    Json,
    Key,
    LearnList,
    Pipeline,
    Program,
    State,
    Table,
    whole,
)

_KNOWN = frozenset({
    "header_types", "headers", "header_stacks", "field_lists", "errors", "enums", "parsers", "deparsers", "meter_arrays",
    "counter_arrays", "register_arrays", "calculations", "actions", "pipelines", "checksums", "force_arith", "field_aliases",
    "program", "__meta__",
    "learn_lists", "parse_vsets",
})  # fmt: skip
MAX_CELLS = 1 << 22
"""Cells of one counter, meter or register array."""
_REFUSED = {
    "header_union_types": "header unions",
    "header_unions": "header unions",
    "header_union_stacks": "header union stacks",
    "extern_instances": "extern instances",
}


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
    profiles = {a["name"]: _profile(a) for p in data["pipelines"] for a in p.get("action_profiles", ())}
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
        pipelines={p["name"]: _pipeline(p, headers, actions, profiles) for p in data["pipelines"]},
        deparser=_deparser(_only(data["deparsers"], "deparser")),
        counters={c["name"]: _array(c) for c in data["counter_arrays"]},
        meters={m["name"]: _array(m) for m in data["meter_arrays"]},
        registers={r["name"]: _array(r) for r in data["register_arrays"]},
        calculations={c["name"]: c for c in data["calculations"]},
        checksums=tuple(data["checksums"]),
        errors={item[0]: whole(item[1]) for item in data.get("errors", [])},
        aliases={name: (target[0], target[1]) for name, target in data.get("field_aliases", [])},
        profiles=profiles,
        learn_lists={
            whole(item["id"]): LearnList(item["name"], tuple(item["elements"])) for item in data.get("learn_lists", [])
        },
        value_sets={item["name"]: whole(item["max_size"]) for item in data.get("parse_vsets", [])},
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
    types: dict[str, tuple[tuple[Field, ...], int]] = {}
    for kind in data["header_types"]:
        fields = tuple(_field(item) for item in kind["fields"])
        if sum(field.variable for field in fields) > 1:
            raise UnsupportedError("two variable-length fields in one header", f"header type {kind['name']}")
        types[kind["name"]] = fields, whole(kind.get("max_length", 0))
    headers = {}
    for item in data["headers"]:
        fields, longest = types[item["header_type"]]
        header = Header(item["name"], fields, item["metadata"], longest)
        if not header.metadata and header.bits % 8:
            raise UnsupportedError(f"a header of {header.bits} bits", f"header {header.name}")
        headers[header.name] = header
    return headers


def _field(item: list[Any]) -> Field:
    if item[1] == "*":
        return Field(item[0], 0, signed=False, variable=True)
    return Field(item[0], whole(item[1]), bool(item[2]) if len(item) > 2 else False)


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


def _profile(data: Json) -> ActionProfile:
    selector = data.get("selector")
    if not isinstance(data["name"], str):
        raise ArtefactError(f"the BMv2 JSON is malformed: an action profile is named {data['name']!r}")
    return ActionProfile(
        name=data["name"],
        size=whole(data["max_size"]),
        algorithm=None if selector is None else selector["algo"],
        inputs=() if selector is None else tuple(selector["input"]),
    )


def _pipeline(
    data: Json, headers: Mapping[str, Header], actions: Mapping[int, Action], profiles: Mapping[str, ActionProfile]
) -> Pipeline:
    if data.get("action_calls"):
        raise UnsupportedError(f"the action call {data['action_calls'][0]['name']}", f"pipeline {data['name']}")
    nodes: dict[str, Table | Condition] = {}
    for item in data["tables"]:
        nodes[item["name"]] = _table(item, headers, actions, profiles)
    for item in data["conditionals"]:
        nodes[item["name"]] = Condition(item["name"], item["expression"], item["true_next"], item["false_next"])
    return Pipeline(data["name"], data["init_table"], nodes)


def _table(
    data: Json, headers: Mapping[str, Header], actions: Mapping[int, Action], profiles: Mapping[str, ActionProfile]
) -> Table:
    where = f"table {data['name']}"
    if data["type"] not in {"simple", "indirect", "indirect_ws"}:
        raise UnsupportedError(f"the implementation {data['type']!r}", where)
    keys = tuple(_key(item, headers, where) for item in data["key"])
    chosen, following = tuple(actions[i] for i in data["action_ids"]), dict(data["next_tables"])
    profile = None if data["type"] == "simple" else profiles[data["action_profile"]]
    default = data.get("default_entry")
    if profile is not None:
        chosen, default = _indirect(chosen, default, where), None
        if not {"__HIT__", "__MISS__"} & following.keys():
            following[MISS] = data.get("base_default_next")
    elif default is None:
        raise UnsupportedError("a table without default entry", where)
    elif default["action_id"] not in data["action_ids"]:
        chosen = (*chosen, actions[default["action_id"]])
    names, ids = [action.name for action in chosen], [action.id for action in chosen]
    return Table(
        name=data["name"],
        kind=data["match_type"],
        keys=keys,
        actions=chosen,
        next=following,
        size=whole(data["max_size"]),
        default=names.index(MISS) if default is None else ids.index(default["action_id"]),
        default_args=() if default is None else tuple(int(value, 16) for value in default.get("action_data", ())),
        default_const=default is None or bool(default.get("action_const")),
        counters=data["with_counters"],
        meter=data.get("direct_meters"),
        entries=tuple(data.get("entries", ())),
        timeouts=bool(data.get("support_timeout")),
        profile=profile,
    )


def _indirect(actions: tuple[Action, ...], default: Json | None, where: str) -> tuple[Action, ...]:
    """The actions of a table with an action profile: by name, so that a member means the same in every table that shares the profile.

    A miss does nothing: P4Runtime has no other default for such tables, and BMv2 neither. It has a node of its own to go on at, which is
    not that of NoAction: in a `switch`, BMv2 takes no branch then, not even the default branch.
    """
    if default is not None:
        raise UnsupportedError("a default action in a table with an action profile", where)
    return (*sorted(actions, key=lambda action: action.name), Action(-1, MISS, (), ()))


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
