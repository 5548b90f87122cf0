"""For tests of the embedded switch: programs by name, and P4Runtime messages by the names that P4Info has for things."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from finsy.proto import p4i, p4r

from testbed.softswitch import SoftSwitch
from testbed.softswitch.pipeline import ForwardingPipeline, parse_p4info

PROGRAMS = Path(__file__).parents[1] / "softswitch" / "programs"
INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE

Value = int | tuple[Any, ...]
"""Exact or optional: a number. LPM: ("lpm", value, length). Ternary: ("ternary", value, mask). Range: ("range", low, high)."""


def p4info(name: str) -> p4i.P4Info:
    return parse_p4info((PROGRAMS / f"{name}.p4info.txtpb").read_text())


def config(name: str) -> bytes:
    return (PROGRAMS / f"{name}.json").read_bytes()


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A switch with a program, and messages for it."""

    def __init__(self, name: str) -> None:
        self.clock = Clock()
        self.switch = SoftSwitch(clock=self.clock)
        self.info = p4info(name)
        self.switch.load(self.info, config(name), cookie=1)
        self.names = Names(self.info)

    @property
    def pipeline(self) -> ForwardingPipeline:
        assert self.switch.pipeline is not None
        return self.switch.pipeline

    def run(self, frame: bytes, port: int = 1) -> list[tuple[int, bytes]]:
        return self.switch.process(frame, port)

    def write(self, kind: int, entity: p4r.Entity) -> None:
        self.pipeline.write(p4r.Update(type=kind, entity=entity))

    def insert(self, table: str, match: Mapping[str, Value], action: str, *args: int, priority: int = 0) -> None:
        self.write(INSERT, self.names.entry(table, match, action, *args, priority=priority))

    def modify(self, table: str, match: Mapping[str, Value], action: str, *args: int, priority: int = 0) -> None:
        self.write(MODIFY, self.names.entry(table, match, action, *args, priority=priority))

    def delete(self, table: str, match: Mapping[str, Value], priority: int = 0) -> None:
        self.write(DELETE, self.names.entry(table, match, None, priority=priority))

    def default(self, table: str, action: str | None, *args: int) -> None:
        entity = self.names.entry(table, {}, action, *args)
        entity.table_entry.is_default_action = True
        self.write(MODIFY, entity)

    def read(self, fill: Callable[[p4r.Entity], object]) -> list[p4r.Entity]:
        entity = p4r.Entity()
        fill(entity)
        return list(self.pipeline.read(entity))


class Names:
    """P4Info by name."""

    def __init__(self, info: p4i.P4Info) -> None:
        self.info = info

    def id(self, kind: str, name: str) -> int:
        for item in getattr(self.info, kind):
            if name in {item.preamble.name, item.preamble.alias}:
                return int(item.preamble.id)
        raise KeyError(name)

    def entry(
        self, table: str, match: Mapping[str, Value], action: str | None, *args: int, priority: int = 0
    ) -> p4r.Entity:
        entity = p4r.Entity()
        entry = entity.table_entry
        spec = next(t for t in self.info.tables if table in {t.preamble.name, t.preamble.alias})
        entry.table_id = spec.preamble.id
        entry.priority = priority
        fields = {field.name: field for field in spec.match_fields}
        for name, value in match.items():
            fill_match(entry.match.add(field_id=fields[name].id), fields[name].match_type, value)
        if action is not None:
            offered = {ref.id for ref in spec.action_refs}
            actions = (a for a in self.info.actions if a.preamble.id in offered)
            declared = next(a for a in actions if action in {a.preamble.name, a.preamble.name.rpartition(".")[2]})
            entry.action.action.action_id = declared.preamble.id
            for param, value in zip(declared.params, args, strict=True):
                entry.action.action.params.add(param_id=param.id, value=number(value))
        return entity


def fill_match(match: p4r.FieldMatch, kind: int, value: Value) -> None:
    if isinstance(value, int):
        if kind == p4i.MatchField.OPTIONAL:
            match.optional.value = number(value)
        else:
            match.exact.value = number(value)
    elif value[0] == "lpm":
        match.lpm.value, match.lpm.prefix_len = number(value[1]), value[2]
    elif value[0] == "ternary":
        match.ternary.value, match.ternary.mask = number(value[1]), number(value[2])
    else:
        match.range.low, match.range.high = number(value[1]), number(value[2])


def number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8 or 1)


class Selectors(Bench):
    """The program `selectors`, and messages for its profile and its selector."""

    TAG = 7

    def __init__(self) -> None:
        super().__init__("selectors")
        self.profile = self.names.id("action_profiles", "profile")
        self.selector = self.names.id("action_profiles", "selector")

    def action(self, name: str, *args: int) -> p4r.Action:
        action = next(a for a in self.info.actions if a.preamble.name.rpartition(".")[2] == name)
        message = p4r.Action(action_id=action.preamble.id)
        for param, value in zip(action.params, args, strict=True):
            message.params.add(param_id=param.id, value=number(value))
        return message

    def member(self, kind: int, profile: int, member: int, name: str | None, *args: int) -> None:
        entity = p4r.Entity()
        entity.action_profile_member.action_profile_id = profile
        entity.action_profile_member.member_id = member
        if name is not None:
            entity.action_profile_member.action.CopyFrom(self.action(name, *args))
        self.write(kind, entity)

    def group(self, kind: int, group: int, weights: dict[int, int] | list[tuple[int, int]], max_size: int = 12) -> None:
        entity = p4r.Entity()
        message = entity.action_profile_group
        message.action_profile_id, message.group_id, message.max_size = self.selector, group, max_size
        for member, weight in weights.items() if isinstance(weights, dict) else weights:
            message.members.add(member_id=member, weight=weight)
        self.write(kind, entity)

    def entry(self, table: str, *, priority: int = 0, tag: int = TAG) -> p4r.Entity:
        match = ("ternary", tag, 0xFF) if table == "masked" else tag
        return self.names.entry(table, {"hdr.data.tag": match}, None, priority=priority)

    def refer(
        self, kind: int, table: str, *, member: int = 0, group: int = 0, tag: int = TAG, priority: int = 0
    ) -> None:
        entity = self.entry(table, tag=tag, priority=priority)
        if group:
            entity.table_entry.action.action_profile_group_id = group
        else:
            entity.table_entry.action.action_profile_member_id = member
        self.write(kind, entity)

    def one_shot(
        self, kind: int, table: str, *actions: tuple[p4r.Action, int], priority: int = 0, tag: int = TAG
    ) -> None:
        entity = self.entry(table, priority=priority, tag=tag)
        chosen = entity.table_entry.action.action_profile_action_set
        chosen.SetInParent()
        for action, weight in actions:
            chosen.action_profile_actions.add(action=action, weight=weight)
        self.write(kind, entity)

    def out(self, frame: bytes) -> tuple[int, int, int]:
        """Port, result and path."""
        ((port, frame),) = self.run(frame)
        return port, frame[8], frame[9]
