"""A table that has learned how messages look judges each of them as one that has not learned anything."""

from collections.abc import Callable

import pytest
from finsy.proto import p4r

from controller.southbound.artefacts import load
from softswitch_kit import DELETE, INSERT, MODIFY, Names
from testbed.softswitch.errors import EntityError
from testbed.softswitch.pipeline import ForwardingPipeline

_PROGRAM = load()
_MAC = 0x0200_0000_0001


def entry(node: int = 7, bid: int = 3, port: int = 0x1FE) -> p4r.TableEntry:
    names = Names(_PROGRAM.info)
    return names.entry("tunnels", {"node_id": node, "bid": bid}, "home_link", port, _MAC, _MAC + 1).table_entry


def verdict(pipeline: ForwardingPipeline, kind: int, message: p4r.TableEntry) -> tuple[int, str]:
    try:
        pipeline.write(p4r.Update(type=kind, entity=p4r.Entity(table_entry=message)))
    except EntityError as error:
        return error.code, str(error)
    return 0, ""


def held(pipeline: ForwardingPipeline) -> list[p4r.Entity]:
    return list(pipeline.read(p4r.Entity(table_entry=p4r.TableEntry(table_id=entry().table_id))))


def taught() -> ForwardingPipeline:
    """A switch that has seen such messages, with the action and without it."""
    pipeline = ForwardingPipeline(_PROGRAM.info, _PROGRAM.config)
    for kind in (INSERT, MODIFY, MODIFY):
        assert verdict(pipeline, kind, entry()) == (0, "")
    gone = entry()
    gone.ClearField("action")
    assert verdict(pipeline, DELETE, gone) == (0, "")
    return pipeline


def _same(_: p4r.TableEntry) -> None:
    pass


def _port_of_ten_bits(message: p4r.TableEntry) -> None:
    message.action.action.params[0].value = b"\2\0"


def _zeros_in_front(message: p4r.TableEntry) -> None:
    message.match[0].exact.value = b"\0\0\0\7"


def _more_octets(message: p4r.TableEntry) -> None:
    message.match[1].exact.value = b"\1\0\0"


def _empty(message: p4r.TableEntry) -> None:
    message.match[0].exact.value = b""


def _twice(message: p4r.TableEntry) -> None:
    message.match[1].field_id = message.match[0].field_id


def _turned_round(message: p4r.TableEntry) -> None:
    first = p4r.FieldMatch.FromString(message.match[0].SerializeToString())
    del message.match[0]
    message.match.append(first)


def _masked(message: p4r.TableEntry) -> None:
    message.match[1].ternary.value = message.match[1].ternary.mask = b"\3"


def _parameter_twice(message: p4r.TableEntry) -> None:
    message.action.action.params[2].param_id = 2


def _parameter_missing(message: p4r.TableEntry) -> None:
    del message.action.action.params[2]


def _action_of_others(message: p4r.TableEntry) -> None:
    message.action.action.action_id += 1


def _no_action(message: p4r.TableEntry) -> None:
    message.ClearField("action")


def _priority(message: p4r.TableEntry) -> None:
    message.priority = 1


def _metadata(message: p4r.TableEntry) -> None:
    message.metadata, message.controller_metadata = b"mine", 5


def _counts(message: p4r.TableEntry) -> None:
    message.counter_data.packet_count = 9


def _default(message: p4r.TableEntry) -> None:
    message.is_default_action = True


def _constant(message: p4r.TableEntry) -> None:
    message.is_const = True


def _idle(message: p4r.TableEntry) -> None:
    message.idle_timeout_ns = 1


@pytest.mark.parametrize(
    "change",
    [
        *(_same, _port_of_ten_bits, _zeros_in_front, _more_octets, _empty, _twice, _turned_round, _masked),
        *(_parameter_twice, _parameter_missing, _action_of_others, _no_action, _priority, _metadata, _counts),
        *(_default, _constant, _idle),
    ],
)
def test_what_was_learned_changes_no_verdict(change: Callable[[p4r.TableEntry], None]) -> None:
    experienced, fresh = taught(), ForwardingPipeline(_PROGRAM.info, _PROGRAM.config)
    # With more in it than usual, so that the fresh one does not learn from it.
    there = entry(port=1)
    there.metadata = b"before"
    changed = entry()
    change(changed)
    steps = [(MODIFY, changed), (DELETE, changed), (INSERT, there), (MODIFY, changed), (0, changed), (DELETE, changed)]
    steps += [(DELETE, there), (INSERT, changed), (INSERT, changed)]
    for kind, message in steps:
        assert verdict(experienced, kind, message) == verdict(fresh, kind, message)
        assert held(experienced) == held(fresh)


def test_values_come_back_as_they_were_written() -> None:
    pipeline = taught()
    wanted = [
        entry(node, bid, port) for node in (0, 9, 255, 256, 0xFFFFFF) for bid in (0, 37, 999) for port in (1, 511)
    ]
    for message in wanted[::2]:
        assert verdict(pipeline, INSERT, message) == (0, "")
        assert verdict(pipeline, INSERT, message)[0] == 6
    for message in wanted[1::2]:
        assert verdict(pipeline, MODIFY, message) == (0, "")
    assert [entity.table_entry for entity in held(pipeline)] == wanted[1::2]
