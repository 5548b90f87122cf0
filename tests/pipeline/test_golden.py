"""The committed P4Info says what its golden page says: whoever changes the P4Runtime API sees it in a diff, and has it reviewed."""

from collections.abc import Callable
from difflib import unified_diff

import pytest
from finsy.proto import p4i

from golden_p4info import GOLDEN, P4INFO, ROOT, describe, read


def test_the_api_is_the_golden_one() -> None:
    golden = GOLDEN.read_text(encoding="utf-8")
    now = describe(read())
    names = [str(path.relative_to(ROOT)) for path in (GOLDEN, P4INFO)]
    diff = "".join(unified_diff(golden.splitlines(keepends=True), now.splitlines(keepends=True), names[0], names[1]))
    if diff:
        pytest.fail(
            f"the P4Runtime API has changed; if that is meant, `make golden` accepts it:\n{diff}", pytrace=False
        )


def _widen(info: p4i.P4Info) -> None:
    info.tables[0].match_fields[0].bitwidth += 1


def _match_otherwise(info: p4i.P4Info) -> None:
    info.tables[0].match_fields[0].match_type = p4i.MatchField.TERNARY


def _shrink(info: p4i.P4Info) -> None:
    info.tables[-1].size //= 2


def _renumber(info: p4i.P4Info) -> None:
    info.tables[0].preamble.id += 1


def _drop_parameter(info: p4i.P4Info) -> None:
    action = next(action for action in info.actions if action.params)
    del action.params[-1]


def _drop_action(info: p4i.P4Info) -> None:
    del info.tables[0].action_refs[0]


def _free_default(info: p4i.P4Info) -> None:
    info.tables[0].const_default_action_id = 0


def _count_packets(info: p4i.P4Info) -> None:
    info.direct_counters[0].spec.unit = p4i.CounterSpec.PACKETS


def _drop_meter(info: p4i.P4Info) -> None:
    del info.direct_meters[0]


def _fewer_cells(info: p4i.P4Info) -> None:
    info.counters[0].size -= 1


def _swap_metadata(info: p4i.P4Info) -> None:
    header = info.controller_packet_metadata[0]
    header.metadata[0].name, header.metadata[1].name = header.metadata[1].name, header.metadata[0].name


def _renumber_reason(info: p4i.P4Info) -> None:
    next(iter(info.type_info.serializable_enums.values())).members[0].value = b"\x7f"


CHANGES = [
    _widen, _match_otherwise, _shrink, _renumber, _drop_parameter, _drop_action, _free_default,
    _count_packets, _drop_meter, _fewer_cells, _swap_metadata, _renumber_reason,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_a_change_shows(change: Callable[[p4i.P4Info], None]) -> None:
    info = read()
    before = describe(info)
    change(info)
    assert describe(info) != before
