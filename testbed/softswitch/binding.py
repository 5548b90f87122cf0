"""P4Info bound to a compiled program: proof that the two belong together, and the schema that comes of it."""

from collections.abc import Iterable
from typing import TypeVar

from finsy.proto import p4i

from testbed.softswitch.compiler import Compiled
from testbed.softswitch.digest_types import digest_schema
from testbed.softswitch.errors import ArtefactError, UnsupportedError
from testbed.softswitch.profiles import Profile
from testbed.softswitch.program import ActionProfile, Program
from testbed.softswitch.program import Table as TableProgram
from testbed.softswitch.schema import (
    ActionRef,
    ArraySchema,
    DirectUnits,
    MatchField,
    Param,
    ProfileSchema,
    Schema,
    TableSchema,
    ValueSetSchema,
)

_T = TypeVar("_T")
_KINDS = {
    p4i.MatchField.EXACT: "exact",
    p4i.MatchField.LPM: "lpm",
    p4i.MatchField.TERNARY: "ternary",
    p4i.MatchField.RANGE: "range",
    p4i.MatchField.OPTIONAL: "optional",
}


def visible_tables(info: p4i.P4Info) -> set[str]:
    """Names of the tables that the P4Info declares."""
    return {table.preamble.name for table in info.tables}


def check_supported(info: p4i.P4Info) -> None:
    """Refuse what the P4Info declares and the switch does not serve.

    Raises:
        UnsupportedError: names the first such thing.
    """
    for what, items in (("extern instances", info.externs),):
        if items:
            item = items[0]
            name = item.preamble.name if hasattr(item, "preamble") else item.extern_type_name
            raise UnsupportedError(f"{what} ({name})", "P4Info")


def bind(info: p4i.P4Info, compiled: Compiled) -> Schema:
    """Match a P4Info with a program.

    Raises:
        ArtefactError: they do not belong together; says what differs first.
        UnsupportedError: something the switch does not serve.
    """
    check_supported(info)
    program = compiled.program
    # A switch on an expression becomes a table of p4c's own, with constant entries.
    controlled = {
        n for n, table in program.tables.items() if table.keys and not (table.entries and table.default_const)
    }
    hidden = controlled - visible_tables(info)
    if hidden:
        raise ArtefactError(
            f"the program has the table {min(hidden)}, which the P4Info does not know: they do not belong together"
        )
    profiles = {item.preamble.id: _profile(info, item, program, compiled) for item in info.action_profiles}
    schema = Schema(
        info=info,
        compiled=compiled,
        tables=_by_id(_table(info, item, compiled, profiles) for item in info.tables),
        counters={c.preamble.id: (_counter(c), _find(compiled.counters, c, "counter")) for c in info.counters},
        meters={m.preamble.id: (_meter(m), _find(compiled.meters, m, "meter")) for m in info.meters},
        registers={
            r.preamble.id: (_register(r, program), _find(compiled.registers, r, "register")) for r in info.registers
        },
        profiles=profiles,
        value_sets={v.preamble.id: _value_set(v, compiled) for v in info.value_sets},
        digests={d.preamble.id: digest_schema(info, d, compiled) for d in info.digests},
        packet_in=_metadata(info, program, "packet_in"),
        packet_out=_metadata(info, program, "packet_out"),
    )
    sizes = [(array, found.size) for array, found in schema.counters.values()]
    sizes += [(array, meter.size) for array, meter in schema.meters.values()]
    sizes += [(array, len(cells)) for array, cells in schema.registers.values()]
    for array, actual in sizes:
        if actual != array.size:
            raise ArtefactError(f"{array.name}: {array.size} cells in the P4Info, {actual} in the program")
    for table in schema.tables.values():
        if table.counter:
            schema.direct_counters[table.counter.id] = table
        if table.meter:
            schema.direct_meters[table.meter.id] = table
    return schema


def _by_id(tables: Iterable[TableSchema]) -> dict[int, TableSchema]:
    return {table.id: table for table in tables}


def _table(info: p4i.P4Info, item: p4i.Table, compiled: Compiled, profiles: dict[int, ProfileSchema]) -> TableSchema:
    name = item.preamble.name
    spec, table = compiled.program.tables.get(name), compiled.tables.get(name)
    if spec is None or table is None:
        raise ArtefactError(f"the P4Info has the table {name}, which the program does not: they do not belong together")
    fields = _fields(item, spec)
    actions = _actions(info, item, spec)
    counter, meter = _direct(info, item, spec)
    if item.size and item.size != spec.size and spec.keys and not spec.entries:
        raise ArtefactError(f"table {name}: {item.size} entries in the P4Info, {spec.size} in the program")
    if item.is_const_table is False and not item.has_initial_entries and spec.entries:
        raise ArtefactError(f"table {name}: the program brings entries of its own, the P4Info says there are none")
    profile = profiles.get(item.implementation_id)
    if (profile and profile.profile.name) != (spec.profile and spec.profile.name):
        raise ArtefactError(f"table {name}: its action profile differs between P4Info and program")
    return TableSchema(
        id=item.preamble.id,
        name=item.preamble.alias or name,
        fields=fields,
        actions=actions,
        by_index={action.index: action for action in actions.values()},
        size=spec.size,
        table=table,
        const_default=bool(item.const_default_action_id) or spec.default_const,
        constant=item.is_const_table,
        prioritised=any(f.kind in {"ternary", "range", "optional"} for f in fields),
        counter=counter,
        meter=meter,
        timeouts=spec.timeouts and item.idle_timeout_behavior == p4i.Table.NOTIFY_CONTROL,
        profile=profile,
    )


def _profile(info: p4i.P4Info, item: p4i.ActionProfile, program: Program, compiled: Compiled) -> ProfileSchema:
    name = item.preamble.name
    spec = program.profiles.get(name)
    if spec is None and not item.table_ids:  # p4c leaves out what no table uses
        spec = ActionProfile(name, item.size, "" if item.with_selector else None, ())
        compiled.profiles[name] = Profile(name)
    if spec is None:
        raise ArtefactError(
            f"the P4Info has the action profile {name}, which the program does not: they do not belong together"
        )
    if item.with_selector != (spec.algorithm is not None):
        raise ArtefactError(f"action profile {name}: a selector in one of P4Info and program, in the other not")
    offers = [
        _actions(info, table, program.tables[table.preamble.name])
        for table in info.tables
        if table.preamble.id in item.table_ids
    ]
    if any(offer.keys() != offers[0].keys() for offer in offers):
        raise ArtefactError(f"action profile {name}: the tables that share it have different actions")
    actions = {ref.id: ref for ref in offers[0].values() if ref.in_table} if offers else {}
    return ProfileSchema(
        id=item.preamble.id,
        name=item.preamble.alias or name,
        selector=item.with_selector,
        size=item.size,
        max_group_size=item.max_group_size,
        by_members=item.HasField("sum_of_members"),
        max_weight=item.sum_of_members.max_member_weight,
        weightless=item.weights_disallowed,
        actions=actions,
        by_index={action.index: action for action in actions.values()},
        profile=compiled.profiles[name],
    )


def _value_set(item: p4i.ValueSet, compiled: Compiled) -> ValueSetSchema:
    name = item.preamble.name
    values = compiled.value_sets.get(name)
    if values is None:
        raise ArtefactError(
            f"the P4Info has the value set {name}, which the program does not: they do not belong together"
        )
    where = f"value set {name}"
    fields = tuple(_match_field(match, where) for match in item.match)
    if values.widths is not None and values.widths != tuple(field.width for field in fields):
        raise ArtefactError(f"{where}: its fields differ between P4Info and program")
    values.kinds = tuple(field.kind for field in fields)
    return ValueSetSchema(item.preamble.id, item.preamble.alias or name, fields, item.size, values)


def _match_field(match: p4i.MatchField, where: str, untyped: int = 0) -> MatchField:
    """A field of a key; one of type error has no width in the P4Info: it takes that of the program."""
    kind = _KINDS.get(match.match_type)
    if kind is None or (match.type_name.name and not match.bitwidth):
        raise UnsupportedError(
            f"the match field {match.name} ({match.type_name.name or match.other_match_type})", where
        )
    return MatchField(match.id, match.name, match.bitwidth or untyped, kind)


def _fields(item: p4i.Table, spec: TableProgram) -> tuple[MatchField, ...]:
    where = f"table {spec.name}"
    if len(item.match_fields) != len(spec.keys):
        raise ArtefactError(
            f"{where}: {len(item.match_fields)} key fields in the P4Info, {len(spec.keys)} in the program"
        )
    fields = []
    for match, key in zip(item.match_fields, spec.keys, strict=True):
        field = _match_field(match, where, key.width)
        if ("ternary" if field.kind == "optional" else field.kind) != key.kind or field.width != key.width:
            raise ArtefactError(
                f"{where}: the field {match.name} is {field.kind}, {match.bitwidth} bits in the P4Info;"
                f" {key.kind}, {key.width} bits in the program"
            )
        fields.append(field)
    return tuple(fields)


def _actions(info: p4i.P4Info, item: p4i.Table, spec: TableProgram) -> dict[int, ActionRef]:
    declared = {action.preamble.id: action for action in info.actions}
    positions = {action.name: index for index, action in enumerate(spec.actions)}
    actions = {}
    for ref in item.action_refs:
        if ref.id not in declared:
            raise ArtefactError(f"table {spec.name}: the P4Info declares no action with id {ref.id}")
        action = declared[ref.id]
        name = action.preamble.name
        if name not in positions:
            raise ArtefactError(f"table {spec.name}: the program does not offer the action {name}")
        params = tuple(Param(p.id, p.name, p.bitwidth) for p in action.params)
        if [p.width for p in params] != [width for _, width in spec.actions[positions[name]].params]:
            raise ArtefactError(f"action {name}: its parameters differ between P4Info and program")
        actions[ref.id] = ActionRef(
            id=ref.id,
            name=action.preamble.alias or name,
            index=positions[name],
            params=params,
            in_table=ref.scope != p4i.ActionRef.DEFAULT_ONLY,
            as_default=ref.scope != p4i.ActionRef.TABLE_ONLY,
        )
    return actions


def _direct(info: p4i.P4Info, item: p4i.Table, spec: TableProgram) -> tuple[DirectUnits | None, DirectUnits | None]:
    counters = {c.preamble.id: c for c in info.direct_counters}
    meters = {m.preamble.id: m for m in info.direct_meters}
    counter = meter = None
    for number in item.direct_resource_ids:
        if number in counters:
            unit = counters[number].spec.unit
            counter = DirectUnits(number, unit != p4i.CounterSpec.PACKETS, unit != p4i.CounterSpec.BYTES)
        elif number in meters:
            unit_of_meter = meters[number].spec.unit
            meter = DirectUnits(number, unit_of_meter == p4i.MeterSpec.BYTES, unit_of_meter == p4i.MeterSpec.PACKETS)
    if bool(counter) != spec.counters or bool(meter) != bool(spec.meter):
        raise ArtefactError(f"table {spec.name}: its direct counters or meters differ between P4Info and program")
    return counter, meter


def _counter(item: p4i.Counter) -> ArraySchema:
    unit = item.spec.unit
    return ArraySchema(
        item.preamble.id,
        item.preamble.name,
        item.size,
        bytes=unit != p4i.CounterSpec.PACKETS,
        packets=unit != p4i.CounterSpec.BYTES,
    )


def _meter(item: p4i.Meter) -> ArraySchema:
    return ArraySchema(item.preamble.id, item.preamble.name, item.size)


def _register(item: p4i.Register, program: Program) -> ArraySchema:
    name = item.preamble.name
    declared = item.type_spec.bitstring.bit.bitwidth
    if not declared:
        raise UnsupportedError("a register whose cells are not of a bit type", f"register {name}")
    actual = program.registers[name].width if name in program.registers else declared
    if actual != declared:
        raise ArtefactError(f"register {name}: {declared} bits in the P4Info, {actual} in the program")
    return ArraySchema(item.preamble.id, name, item.size, declared)


def _find(found: dict[str, _T], item: p4i.Counter | p4i.Meter | p4i.Register, what: str) -> _T:
    name = item.preamble.name
    if name not in found:
        raise ArtefactError(
            f"the P4Info has the {what} {name}, which the program does not: they do not belong together"
        )
    return found[name]


def _metadata(info: p4i.P4Info, program: Program, name: str) -> tuple[Param, ...]:
    for item in info.controller_packet_metadata:
        if item.preamble.name == name:
            params = tuple(Param(m.id, m.name, m.bitwidth) for m in item.metadata)
            if sum(p.width for p in params) % 8:
                raise UnsupportedError(f"metadata of {sum(p.width for p in params)} bits", f"controller header {name}")
            header = program.headers.get(name)
            if header is not None and header.bits != sum(p.width for p in params):
                raise ArtefactError(f"controller header {name}: its width differs between P4Info and program")
            return params
    return ()
