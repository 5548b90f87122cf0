"""Updates of any kind, right and wrong: the verdict on each is the specification's, and what is read back is what was accepted."""

import os
from typing import Any

import pytest
from finsy.proto import p4r
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p4rt_fuzz import Updates
from p4rt_model import Model, shortest
from softswitch_kit import Bench, p4info
from testbed.softswitch.errors import EntityError

EXAMPLES = int(os.environ.get("MCOA_FUZZ_EXAMPLES", "15"))
"""Sequences of updates for each program; more for a longer hunt."""
PROGRAMS = ("tables", "selectors", "copies")


def entries(bench: Bench) -> list[p4r.Entity]:
    return bench.read(lambda entity: entity.table_entry.SetInParent())


def canonical(message: Any) -> Any:
    """A message without what has no meaning: leading zeros, the order of match fields, counters."""
    if isinstance(message, p4r.TableEntry):
        message.ClearField("counter_data")
        message.ClearField("meter_config")
        message.ClearField("is_const")
        ordered = sorted(message.match, key=lambda match: match.field_id)
        copies = [p4r.FieldMatch.FromString(match.SerializeToString()) for match in ordered]
        del message.match[:]
        message.match.extend(copies)
    for field, value in message.ListFields():
        if isinstance(value, bytes) and field.name != "metadata":
            setattr(message, field.name, shortest(value))
        elif hasattr(value, "ListFields"):
            canonical(value)
        elif not isinstance(value, (bytes, int, str)):
            for item in value:
                canonical(item)
    return message


def action_order(action: p4r.Action) -> p4r.Action:
    ordered = sorted(action.params, key=lambda param: param.param_id)
    copies = [p4r.Action.Param.FromString(param.SerializeToString()) for param in ordered]
    del action.params[:]
    action.params.extend(copies)
    return action


def verdict(bench: Bench, update: p4r.Update) -> tuple[int, str]:
    try:
        bench.pipeline.write(update)
    except EntityError as error:
        return error.code, str(error)
    return 0, ""


@pytest.mark.parametrize("name", PROGRAMS)
@given(st.data())
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
def test_the_verdict_on_every_update_is_the_specifications(name: str, data: st.DataObject) -> None:
    bench = Bench(name)
    model = Model(bench.info, entries(bench))
    updates = data.draw(st.lists(Updates(p4info(name)).any(), min_size=15, max_size=40))
    for update in updates:
        right = model.judge(update)
        code, text = verdict(bench, update)
        assert code in right or (not code and not right), (text, right, update)
    compare(bench, model)


def compare(bench: Bench, model: Model) -> None:
    for entity in entries(bench):
        entry = canonical(entity.table_entry)
        if entry.action.HasField("action"):
            action_order(entry.action.action)
        kept = canonical(model.entries.pop(model._key(entry)))
        if kept.action.HasField("action"):
            action_order(kept.action.action)
        assert entry == kept
    assert not model.entries
    members = bench.read(lambda entity: entity.action_profile_member.SetInParent())
    assert len(members) == len(model.members)
    for entity in members:
        member = entity.action_profile_member
        assert action_order(canonical(member.action)) == action_order(
            canonical(model.members[member.action_profile_id, member.member_id])
        )
    groups = bench.read(lambda entity: entity.action_profile_group.SetInParent())
    assert len(groups) == len(model.groups)
    for entity in groups:
        group = entity.action_profile_group
        assert group == model.groups[group.action_profile_id, group.group_id]
    replication = bench.read(lambda entity: entity.packet_replication_engine_entry.SetInParent())
    assert len(replication) == len(model.replication)
    for entity in replication:
        entry = entity.packet_replication_engine_entry
        which = entry.WhichOneof("type")
        message = getattr(entry, which)
        key = message.multicast_group_id if which == "multicast_group_entry" else message.session_id
        assert canonical(entry) == canonical(model.replication[which, key])
