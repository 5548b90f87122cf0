"""Loops inside of actions, as p4c compiles `for`: jumps backwards in the list of primitives."""

import json
from typing import Any

from softswitch_kit import config, p4info
from testbed.softswitch import SoftSwitch

Json = dict[str, Any]


def field(name: str) -> Json:
    return {"type": "field", "value": ["data", name]}


def operation(op: str, left: Json, right: Json) -> Json:
    return {"type": "expression", "value": {"op": op, "left": left, "right": right}}


def constant(value: int) -> Json:
    return {"type": "hexstr", "value": hex(value)}


def jump(op: str, place: int, *condition: Json) -> Json:
    return {"op": op, "parameters": [*condition, constant(place)]}


def assign(name: str, value: Json) -> Json:
    return {"op": "assign", "parameters": [field(name), value]}


def switch(primitives: list[Json]) -> SoftSwitch:
    """The program `hashes` with a body of ours where it first sets the egress port."""
    data = json.loads(config("hashes"))
    action = next(a for a in data["actions"] if any("egress_spec" in str(p) for p in a["primitives"]))
    count = len(action["primitives"])
    shifted = [dict(p) for p in primitives]
    for primitive in shifted:
        if primitive["op"].startswith("_jump"):
            place = int(primitive["parameters"][-1]["value"], 16)
            primitive["parameters"] = [*primitive["parameters"][:-1], constant(place + count)]
    action["primitives"] += shifted
    found = SoftSwitch()
    found.load(p4info("hashes"), json.dumps(data).encode())
    return found


def result(device: SoftSwitch, first: int) -> int:
    ((_, frame),) = device.process(bytes(3) + first.to_bytes(4) + bytes(11), 1)
    return int.from_bytes(frame[7:13])


def test_a_loop_turns_as_often_as_its_condition_says() -> None:
    body = [
        assign("second", constant(0)),
        jump("_jump_if_zero", 5, operation(">", field("first"), constant(0))),
        assign("second", operation("+", field("second"), field("first"))),
        assign("first", operation("-", field("first"), constant(1))),
        jump("_jump", 1),
    ]
    device = switch(body)
    assert [result(device, first) for first in (0, 1, 5, 100)] == [0, 1, 15, 5050]


def test_a_loop_without_end_ends() -> None:
    body = [assign("second", operation("+", field("second"), constant(1))), jump("_jump", 0)]
    assert 1000 < result(switch(body), 0) < 1 << 20


def test_an_exit_inside_of_a_loop_ends_the_control() -> None:
    body = [
        jump("_jump_if_zero", 2, operation("==", field("first"), constant(3))),
        {"op": "exit", "parameters": []},
        assign("first", operation("+", field("first"), constant(1))),
        jump("_jump", 0),
    ]
    device = switch(body)
    ((port, frame),) = device.process(bytes(3) + bytes(4) + bytes(11), 1)
    assert (port, int.from_bytes(frame[3:7])) == (2, 3)
