"""What the controller asks of a compiled program: every table, field, action and header of `dataplane.pipeline`, by name."""

from collections.abc import Iterator
from typing import Any, Final

from finsy.proto import p4i

from controller.dataplane import pipeline as p
from controller.dataplane.pipeline import Kind
from controller.southbound.encoding import action_name
from controller.southbound.flow_fields import OPTIONAL

KINDS: Final = {
    Kind.EXACT: p4i.MatchField.EXACT,
    Kind.LPM: p4i.MatchField.LPM,
    Kind.TERNARY: p4i.MatchField.TERNARY,
    Kind.RANGE: p4i.MatchField.RANGE,
}
_KIND_NAMES: Final = {value: kind.value for kind, value in KINDS.items()}
_HANDED_OUT: Final = frozenset({"node_id", "path_id"})
"""Numbers that the controller hands out: where they are narrower, there are fewer of them."""
_LEAST_BITS: Final = 16
"""Of those numbers: with fewer a program is not worth it."""


def unmet(info: Any) -> Iterator[str]:  # noqa: ANN401  finsy's messages have no types
    """Yield what a program lacks, in words. It may have more actions than are asked for, and constant tables of its own."""
    actions = {action.preamble.id: action for action in info.actions}
    tables = {table.preamble.alias: table for table in info.tables}
    for name, table in tables.items():
        if name not in p.TABLES and not table.is_const_table:
            yield f"the controller does not know table {name}"
    counted = {counter.direct_table_id for counter in info.direct_counters}
    metered = {meter.direct_table_id for meter in info.direct_meters}
    profiles = {profile.preamble.id: profile for profile in info.action_profiles}
    for name, wanted in p.TABLES.items():
        if name not in tables:
            yield f"table {name} is missing"
            continue
        table = tables[name]
        if table.size <= 0:
            yield f"table {name} has no size"
        yield from (_flow_key(table) if name == p.FLOW_BINDINGS else _key(table, wanted))
        yield from _actions(table, wanted, actions)
        for what, asked, there in (("counter", wanted.counted, counted), ("meter", wanted.metered, metered)):
            if asked and table.preamble.id not in there:
                yield f"table {name} has no direct {what}"
        yield from _selector(name, profiles.get(table.implementation_id), selected=bool(wanted.selector))
    yield from _headers(info)
    if p.DROPS_COUNTER not in {counter.preamble.alias for counter in info.counters}:
        yield f"counter {p.DROPS_COUNTER} is missing"


def number_bits(info: Any) -> int:  # noqa: ANN401  as above
    """Return how wide the numbers of nodes and paths may be in a program: the narrowest of their fields and parameters, in bits."""
    fields = (field for table in info.tables for field in table.match_fields)
    params = (param for action in info.actions for param in action.params)
    return min(int(one.bitwidth) for several in (fields, params) for one in several if one.name in _HANDED_OUT)


def _key(table: Any, wanted: p.Table) -> Iterator[str]:  # noqa: ANN401  as above
    name, fields = table.preamble.alias, table.match_fields
    names, wanted_names = [field.name for field in fields], [field.name for field in wanted.fields]
    if names != wanted_names:
        yield f"the key of table {name} is {', '.join(names)}, the controller needs {', '.join(wanted_names)}"
        return
    for field, asked in zip(fields, wanted.fields, strict=True):
        yield from _field(name, field, asked, {asked.kind})


def _flow_key(table: Any) -> Iterator[str]:  # noqa: ANN401  as above
    """Yield what is missing in the key that may differ (see `flow_fields`)."""
    name = table.preamble.alias
    fields = {field.name: field for field in table.match_fields}
    known = {field.name: field for field in p.TABLES[name].fields}
    for unknown in fields.keys() - known.keys():
        yield f"the controller does not know field {unknown} of table {name}"
    for asked in known.values():
        if asked.name in fields:
            kinds: set[Kind] = {Kind.RANGE, Kind.TERNARY} if asked.kind is Kind.RANGE else {asked.kind}
            yield from _field(name, fields[asked.name], asked, kinds)
        elif asked.name not in OPTIONAL:
            yield f"table {name} has no field {asked.name}"
    ports = {fields[one].match_type for one in ("source_port", "destination_port") if one in fields}
    if len(ports) > 1:
        yield f"table {name} matches source_port and destination_port in different ways"
    if "spi" not in fields and ports == {KINDS[Kind.RANGE]}:
        yield f"table {name} has no field spi: then ports have to be ternary, so that an SPI can stand there"


def _field(table: str, field: Any, asked: p.Field, kinds: set[Kind]) -> Iterator[str]:  # noqa: ANN401  as above
    if field.match_type not in {KINDS[kind] for kind in kinds}:
        wanted = " or ".join(sorted(kind.value for kind in kinds))
        yield f"field {asked.name} of table {table} is {_KIND_NAMES.get(field.match_type, 'unknown')}, not {wanted}"
    yield from _width(f"field {asked.name} of table {table}", asked.name, field.bitwidth, asked.width)


def _actions(table: Any, wanted: p.Table, actions: dict[int, Any]) -> Iterator[str]:  # noqa: ANN401  as above
    offered = {action_name(actions[ref.id]): actions[ref.id] for ref in table.action_refs if ref.id in actions}
    for action in wanted.actions:
        what = f"action {action.name} of table {wanted.name}"
        if action.name not in offered:
            yield f"{what} is missing"
            continue
        params = offered[action.name].params
        names, wanted_names = [param.name for param in params], [param.name for param in action.params]
        if names != wanted_names:
            yield f"{what} takes {', '.join(names) or 'nothing'}, not {', '.join(wanted_names) or 'nothing'}"
            continue
        for param, asked in zip(params, action.params, strict=True):
            yield from _width(f"parameter {asked.name} of {what}", asked.name, param.bitwidth, asked.width)


def _selector(table: str, profile: Any, *, selected: bool) -> Iterator[str]:  # noqa: ANN401  as above
    if not selected:
        if profile is not None:
            yield f"actions of table {table} are in {profile.preamble.alias}: they have to be in its entries"
    elif profile is None or not profile.with_selector:
        yield f"table {table} has no action selector"
    elif 0 < profile.max_group_size < p.PATH_BUCKETS:
        yield f"{profile.preamble.alias} of table {table} takes {profile.max_group_size} actions, {p.PATH_BUCKETS} are needed"


def _headers(info: Any) -> Iterator[str]:  # noqa: ANN401  as above
    headers = {
        header.preamble.alias: {field.name: field.bitwidth for field in header.metadata}
        for header in info.controller_packet_metadata
    }
    for name, wanted in (("packet_in", p.PACKET_IN), ("packet_out", p.PACKET_OUT)):
        if name not in headers:
            yield f"header {name} is missing"
            continue
        for field in wanted:
            if field.name not in headers[name]:
                yield f"header {name} has no field {field.name}"
            else:
                yield from _width(
                    f"field {field.name} of header {name}", field.name, headers[name][field.name], field.width
                )


def _width(what: str, name: str, bits: int, wanted: int) -> Iterator[str]:
    least = _LEAST_BITS if name in _HANDED_OUT else wanted
    if bits < least:
        yield f"{what} is too small: {bits} bits, {least} are needed"
