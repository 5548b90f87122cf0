"""The names and widths in `pipeline` against what p4c made of the program."""

from pathlib import Path

import pytest
from finsy.proto import p4i
from google.protobuf import text_format

from controller.dataplane import pipeline as p
from controller.dataplane.pipeline import Kind

P4INFO = Path(__file__).parents[2] / "p4src" / "build" / "home_agent.p4info.txtpb"
KINDS = {
    Kind.EXACT: p4i.MatchField.EXACT,
    Kind.LPM: p4i.MatchField.LPM,
    Kind.TERNARY: p4i.MatchField.TERNARY,
    Kind.RANGE: p4i.MatchField.RANGE,
}


@pytest.fixture(scope="module")
def info() -> p4i.P4Info:
    return text_format.Parse(P4INFO.read_text(), p4i.P4Info())


def test_tables_are_those_of_the_program(info: p4i.P4Info) -> None:
    compiled = {
        table.preamble.alias: [(field.name, field.bitwidth, field.match_type) for field in table.match_fields]
        for table in info.tables
    }
    ours = {
        table.name: [(field.name, field.width, KINDS[field.kind]) for field in table.fields]
        for table in p.TABLES.values()
    }
    assert ours == compiled


def test_actions_are_those_of_the_program(info: p4i.P4Info) -> None:
    actions = {action.preamble.id: action for action in info.actions}
    compiled = {
        table.preamble.alias: {
            actions[ref.id].preamble.alias: [(param.name, param.bitwidth) for param in actions[ref.id].params]
            for ref in table.action_refs
            if ref.scope != p4i.ActionRef.DEFAULT_ONLY
        }
        for table in info.tables
    }
    ours = {
        table.name: {action.name: [(param.name, param.width) for param in action.params] for action in table.actions}
        for table in p.TABLES.values()
    }
    assert ours == compiled


def test_counters_and_reasons_are_those_of_the_program(info: p4i.P4Info) -> None:
    tables = {table.preamble.id: table.preamble.alias for table in info.tables}
    assert {tables[counter.direct_table_id] for counter in info.direct_counters} == {
        table.name for table in p.TABLES.values() if table.counted
    }
    (drops,) = info.counters
    assert drops.preamble.alias == p.DROPS_COUNTER
    assert drops.size > max(p.DropReason)
    compiled = {member.name: member.value[0] for member in info.type_info.serializable_enums["punt_reason_t"].members}
    assert {reason.name: reason.value for reason in p.PuntReason} == {
        name: value for name, value in compiled.items() if value
    }


def test_packet_metadata_is_that_of_the_program(info: p4i.P4Info) -> None:
    compiled = {
        header.preamble.alias: [(field.name, field.bitwidth) for field in header.metadata]
        for header in info.controller_packet_metadata
    }
    assert compiled == {
        "packet_in": [(field.name, field.width) for field in p.PACKET_IN],
        "packet_out": [(field.name, field.width) for field in p.PACKET_OUT],
    }
