"""What the switch cannot run is refused when it is loaded, by name and place."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch_kit import config, p4info
from testbed.softswitch import ArtefactError, SoftSwitch, UnsupportedError

Json = dict[str, Any]


def load(name: str, change: Callable[[Json], object]) -> None:
    data = json.loads(config(name))
    change(data)
    SoftSwitch().load(p4info(name), json.dumps(data).encode())


def ingress(data: Json) -> Json:
    found: Json = data["pipelines"][0]
    return found


def selector(data: Json) -> Json:
    found: Json = next(p for p in ingress(data)["action_profiles"] if "selector" in p)["selector"]
    return found


def keyed(data: Json) -> Json:
    return next(table for table in ingress(data)["tables"] if table["key"])


def first_primitive(data: Json, op: str) -> Json:
    for action in data["actions"]:
        for primitive in action["primitives"]:
            if primitive["op"] == op:
                found: Json = primitive
                return found
    raise AssertionError(op)


def test_the_programs_load_as_they_are() -> None:
    for name in ("arithmetic", "parsing", "tables", "copies", "selectors"):
        load(name, lambda _: None)


SECTIONS: list[tuple[str, Callable[[Json], object], str]] = [
    ("tables", lambda d: d["header_unions"].append({"name": "u1"}), "header unions (u1)"),
    ("tables", lambda d: d["extern_instances"].append({"name": "ext1"}), "extern instances (ext1)"),
    ("tables", lambda d: d.update(novelties=[{"name": "n"}]), "the section 'novelties'"),
    ("tables", lambda d: ingress(d)["tables"][0].update(type="twofold"), "'twofold'"),
    ("selectors", lambda d: selector(d).update(algo="round_robin"), "the hash algorithm 'round_robin'"),
    ("selectors", lambda d: selector(d)["input"][0].update(type="riddle"), "the calculation input 'riddle'"),
    ("tables", lambda d: first_primitive(d, "count").update(op="frobnicate"), "the primitive 'frobnicate'"),
    ("tables", lambda d: first_primitive(d, "assign")["parameters"][1].update(type="riddle"), "the operand type 'riddle'"),
    ("tables", lambda d: d["calculations"][0].update(algo="xxh64"), "the hash algorithm 'xxh64'"),
    ("tables", lambda d: d["parsers"].append(d["parsers"][0]), "2 parsers"),
    ("tables", lambda d: d["header_types"][-1]["fields"].append(["odd", 3, False]), "bits"),
    ("tables", lambda d: d["header_types"][-1]["fields"].extend([["a", "*"], ["b", "*"]]), "two variable-length fields"),
    ("tables", lambda d: d["meter_arrays"][0].update(rate_count=3), "3 rates"),
    ("parsing", lambda d: d["parsers"][0]["parse_states"][0]["parser_ops"][0].update(op="jump"), "the parser operation 'jump'"),
    ("copies", lambda d: first_primitive(d, "resubmit").update(op="add_to_field"), "the primitive 'add_to_field'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "construct"), SECTIONS, ids=[item[2] for item in SECTIONS])
def test_unsupported_constructs(name: str, change: Callable[[Json], object], construct: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        load(name, change)
    assert construct in caught.value.construct
    assert caught.value.where
    assert caught.value.where in str(caught.value)


def test_an_unknown_operator_deep_in_an_expression() -> None:
    text = config("arithmetic").replace(b'"op": "^"', b'"op": "<=>"')
    with pytest.raises(UnsupportedError, match="the operator '<=>'"):
        SoftSwitch().load(p4info("arithmetic"), text)


BROKEN: list[tuple[bytes, str]] = [
    (b"", "not a BMv2 JSON"),
    (b"\xff\xfe\x00", "not a BMv2 JSON"),
    (b"[]", "not an object"),
    (b"{}", "version"),
    (b'{"__meta__": {"version": [1, 0]}}', "version"),
    (b'{"__meta__": {"version": [2, 23]}}', "incomplete"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_malformed_programs(text: bytes, message: str) -> None:
    with pytest.raises(ArtefactError, match=message):
        SoftSwitch().load(p4info("tables"), text)


INCONSISTENT: list[tuple[Callable[[Json], object], str]] = [
    (lambda d: keyed(d)["key"][0].update(target=["data", "nothing"]), "'data' has no field 'nothing'"),
    (lambda d: ingress(d).update(init_table="nowhere"), "no node 'nowhere'"),
    (lambda d: first_primitive(d, "assign")["parameters"][0].update(value=["data", "nothing"]), "no field 'nothing'"),
    (lambda d: ingress(d)["conditionals"][0].update(true_next=ingress(d)["conditionals"][0]["name"]), "cycle"),
    (lambda d: d["pipelines"].pop(), "no egress pipeline"),
]


@pytest.mark.parametrize(("change", "message"), INCONSISTENT, ids=[item[1] for item in INCONSISTENT])
def test_inconsistent_programs(change: Callable[[Json], object], message: str) -> None:
    with pytest.raises(ArtefactError, match=message):
        load("tables", change)


def test_p4info_of_another_program() -> None:
    with pytest.raises(ArtefactError, match="do not belong together"):
        SoftSwitch().load(p4info("tables"), config("copies"))
    with pytest.raises(ArtefactError, match="do not belong together"):
        SoftSwitch().load(p4info("copies"), config("tables"))


def test_p4info_that_differs_in_one_place() -> None:
    info = p4info("tables")
    info.tables[0].match_fields[0].bitwidth = 31
    with pytest.raises(ArtefactError, match="31 bits in the P4Info"):
        SoftSwitch().load(info, config("tables"))
    info = p4info("tables")
    info.tables[1].match_fields[0].match_type = info.tables[0].match_fields[0].match_type
    with pytest.raises(ArtefactError, match="is exact"):
        SoftSwitch().load(info, config("tables"))
    info = p4info("tables")
    info.tables[0].size = 5
    with pytest.raises(ArtefactError, match="5 entries in the P4Info"):
        SoftSwitch().load(info, config("tables"))
    info = p4info("tables")
    del next(action for action in info.actions if action.params).params[:]
    with pytest.raises(ArtefactError, match="parameters differ"):
        SoftSwitch().load(info, config("tables"))
    info = p4info("tables")
    info.registers[0].size = 9
    with pytest.raises(ArtefactError, match="9 cells"):
        SoftSwitch().load(info, config("tables"))
    info = p4info("tables")
    info.digests.add().preamble.name = "learned"
    with pytest.raises(ArtefactError, match="the digest learned"):
        SoftSwitch().load(info, config("tables"))


def test_a_program_that_is_refused_leaves_the_old_one_in_force() -> None:
    switch = SoftSwitch()
    switch.load(p4info("tables"), config("tables"), cookie=7)
    with pytest.raises(ArtefactError):
        switch.load(p4info("tables"), b"{}")
    assert switch.pipeline is not None
    assert switch.pipeline.cookie == 7


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(node, dict):
        for key, value in node.items():
            yield from places(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from places(value, (*path, index))


PROGRAMS = {name: json.loads(config(name)) for name in ("parsing", "tables", "copies", "selectors")}
PLACES = [(name, path) for name, data in PROGRAMS.items() for path in places(data) if path]
JUNK = [
    None,
    True,
    -1,
    0,
    1 << 70,
    "",
    "0x",
    "INJECTED()",
    "1\nINJECTED()",
    [],
    ["a"],
    {},
    {"type": "field"},
    [["a", "b"]],
]


@given(st.sampled_from(PLACES), st.sampled_from(JUNK))
@settings(max_examples=300, deadline=None)
def test_junk_anywhere_in_a_program_is_refused_and_never_becomes_code(
    place: tuple[str, tuple[Any, ...]], junk: Any
) -> None:
    name, path = place
    data = json.loads(json.dumps(PROGRAMS[name]))
    parent = data
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = junk
    switch = SoftSwitch()
    try:
        switch.load(p4info(name), json.dumps(data).encode())
    except ArtefactError as error:
        assert str(error)  # noqa: PT017 - most junk is refused, some is harmless
    if switch.pipeline is not None:
        assert "INJECTED(" not in switch.pipeline.compiled.source


def test_an_expression_that_nests_too_deeply() -> None:
    def nest(data: Json) -> None:
        primitive = first_primitive(data, "assign")
        for _ in range(400):
            inner = primitive["parameters"][1]
            primitive["parameters"][1] = {
                "type": "expression",
                "value": {"op": "~", "left": None, "right": inner},
            }

    with pytest.raises(UnsupportedError, match="nests"):
        load("tables", nest)
