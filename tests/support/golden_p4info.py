"""The P4Info as a page that people read, and that a change of the P4Runtime API shows up in.

`python -m golden_p4info` writes `tests/pipeline/golden/p4info.txt` again (`make golden` does that); a test compares the page with
the committed P4Info, without a compiler.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finsy.proto import p4i
from google.protobuf import text_format

ROOT = Path(__file__).parents[2]
P4INFO = ROOT / "p4src" / "build" / "home_agent.p4info.txtpb"
GOLDEN = ROOT / "tests" / "pipeline" / "golden" / "p4info.txt"


def read(path: Path = P4INFO) -> p4i.P4Info:
    """Return a P4Info in text format."""
    return text_format.Parse(path.read_text(encoding="utf-8"), p4i.P4Info())


def describe(info: p4i.P4Info) -> str:
    """Return the page: sorted by name, one line for each thing that a client can write, read or rely on."""
    used = {ref.id for table in info.tables for ref in table.action_refs}
    parts = [f"architecture {info.pkg_info.arch}", ""]
    for header in sorted(info.controller_packet_metadata, key=_name):
        parts += [f"{header.preamble.name} (id {header.preamble.id})"]
        parts += [f"  {item.id}: {item.name}, {item.bitwidth} bits" for item in header.metadata]
        parts += [""]
    for table in sorted(info.tables, key=_name):
        parts += [*_table(info, table), ""]
    for action in sorted((a for a in info.actions if a.preamble.id in used), key=_name):
        parts += [f"action {action.preamble.name} (id {action.preamble.id}, alias {action.preamble.alias})"]
        parts += [f"  {param.id}: {param.name}, {_width(param)}" for param in action.params]
    parts += [""]
    parts += _others(info)
    return "\n".join(parts).rstrip() + "\n"


def _name(item: Any) -> str:
    return str(item.preamble.name)


def _width(item: p4i.MatchField | p4i.Action.Param) -> str:
    return f"{item.bitwidth} bits" + (f" ({item.type_name.name})" if item.type_name.name else "")


def _table(info: p4i.P4Info, table: p4i.Table) -> Iterator[str]:
    names = {action.preamble.id: action.preamble.name for action in info.actions}
    constant = ", constant" if table.is_const_table else ""
    idle = ", idle timeouts" if table.idle_timeout_behavior == p4i.Table.NOTIFY_CONTROL else ""
    yield f"table {table.preamble.name} (id {table.preamble.id}, alias {table.preamble.alias})"
    yield f"  size {table.size}{constant}{idle}"
    for field in table.match_fields:
        kind = p4i.MatchField.MatchType.Name(field.match_type).lower()
        yield f"  key {field.id}: {field.name}, {kind}, {_width(field)}"
    for ref in table.action_refs:
        scope = {p4i.ActionRef.DEFAULT_ONLY: ", default only", p4i.ActionRef.TABLE_ONLY: ", entries only"}
        yield f"  action {names[ref.id]}{scope.get(ref.scope, '')}"
    if table.const_default_action_id:
        yield f"  default {names[table.const_default_action_id]}, constant"
    elif table.HasField("initial_default_action"):
        yield f"  default {names[table.initial_default_action.action_id]}"
    yield from _direct(info, table)
    for profile in info.action_profiles:
        if profile.preamble.id == table.implementation_id:
            yield f"  action profile {profile.preamble.name}"
    yield from (f"  {note}" for note in table.preamble.annotations)


def _direct(info: p4i.P4Info, table: p4i.Table) -> Iterator[str]:
    for counter in info.direct_counters:
        if counter.preamble.id in table.direct_resource_ids:
            yield f"  direct counter {counter.preamble.name} (id {counter.preamble.id}), {_counted(counter.spec)}"
    for meter in info.direct_meters:
        if meter.preamble.id in table.direct_resource_ids:
            yield f"  direct meter {meter.preamble.name} (id {meter.preamble.id}), {_metered(meter.spec)}"


def _others(info: p4i.P4Info) -> Iterator[str]:
    for counter in info.counters:
        yield f"counter {_known(counter)}, {counter.size} cells, {_counted(counter.spec)}"
    for meter in info.meters:
        yield f"meter {_known(meter)}, {meter.size} cells, {_metered(meter.spec)}"
    for register in info.registers:
        yield f"register {_known(register)}, {register.size} cells of {register.type_spec.bitstring.bit.bitwidth} bits"
    for profile in info.action_profiles:
        what = "selector" if profile.with_selector else "profile"
        yield f"action {what} {_known(profile)}, size {profile.size}, groups of {profile.max_group_size} at most"
    for values in info.value_sets:
        yield f"value set {_known(values)}, size {values.size}"
    for digest in info.digests:
        yield f"digest {_known(digest)}"
    for name, kind in sorted(info.type_info.serializable_enums.items()):
        yield f"enum {name}, {kind.underlying_type.bitwidth} bits"
        yield from (f"  {int.from_bytes(member.value)}: {member.name}" for member in kind.members)


def _known(item: Any) -> str:
    return f"{item.preamble.name} (id {item.preamble.id})"


def _counted(spec: p4i.CounterSpec) -> str:
    return str(p4i.CounterSpec.Unit.Name(spec.unit)).lower()


def _metered(spec: p4i.MeterSpec) -> str:
    return str(p4i.MeterSpec.Unit.Name(spec.unit)).lower()


def main() -> None:
    """Write the page again."""
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(describe(read()), encoding="utf-8")


if __name__ == "__main__":
    main()
