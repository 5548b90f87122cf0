"""Pipelines saved, committed and exchanged while their entries stay."""

import asyncio

import grpc
import pytest
from finsy.proto import p4r

from softswitch_kit import DELETE, INSERT, MODIFY, Bench, Selectors, config, p4info
from softswitch_site import SetConfig, Site, code_of
from testbed.softswitch import SoftSwitch
from testbed.softswitch.configuration import carry_over
from testbed.softswitch.errors import EntityError
from testbed.softswitch.pipeline import ForwardingPipeline

ENTITIES = (
    "action_profile_member",
    "action_profile_group",
    "table_entry",
    "counter_entry",
    "meter_entry",
    "register_entry",
    "packet_replication_engine_entry",
    "value_set_entry",
    "digest_entry",
)


def everything(pipeline: ForwardingPipeline) -> list[p4r.Entity]:
    found = []
    for name in ENTITIES:
        wanted = p4r.Entity()
        getattr(wanted, name).SetInParent()
        if name == "table_entry":
            wanted.table_entry.counter_data.SetInParent()
            wanted.table_entry.meter_config.SetInParent()
        found += list(pipeline.read(wanted))
    return found + list(pipeline.changed_defaults())


def full_tables() -> Bench:
    bench = Bench("tables")
    bench.insert("exact_table", {"address": 1, "tag": 1}, "counted_result", 11)
    bench.insert("lpm_table", {"address": ("lpm", 4, 30)}, "set_result", 22)
    bench.insert("ternary_table", {"tag": 1}, "metered_result", 32, priority=6)
    bench.insert("range_table", {"port": ("range", 4, 5)}, "forward", 3, 42, priority=2)
    bench.default("lpm_table", "set_result", 99)
    entity = p4r.Entity()
    entity.counter_entry.counter_id = bench.names.id("counters", "cells")
    entity.counter_entry.index.index = 3
    entity.counter_entry.data.packet_count = 7
    bench.write(MODIFY, entity)
    entity.meter_entry.meter_id = bench.names.id("meters", "policers")
    entity.meter_entry.index.index = 1
    entity.meter_entry.config.cir = entity.meter_entry.config.pir = 5
    bench.write(MODIFY, entity)
    entity.register_entry.register_id = bench.names.id("registers", "memory")
    entity.register_entry.index.index = 2
    entity.register_entry.data.bitstring = b"\x07"
    bench.write(MODIFY, entity)
    clone = p4r.Entity()
    clone.packet_replication_engine_entry.clone_session_entry.session_id = 5
    clone.packet_replication_engine_entry.clone_session_entry.replicas.add(port=b"\x03", instance=1)
    bench.write(INSERT, clone)
    return bench


def full_selectors() -> Bench:
    bench = Selectors()
    for member in (3, 1):
        bench.member(INSERT, bench.selector, member, "set_result", member)
    bench.group(INSERT, 1, {1: 2, 3: 1})
    bench.refer(INSERT, "balanced", group=1)
    bench.refer(INSERT, "masked", member=3, priority=1)
    return bench


@pytest.mark.parametrize("bench", [full_tables(), full_selectors()], ids=["tables", "selectors"])
def test_state_is_carried_over_whole(bench: Bench) -> None:
    switch = SoftSwitch(clock=bench.clock)
    switch.load(bench.info, bench.pipeline.config)
    assert switch.pipeline is not None
    assert everything(switch.pipeline) != everything(bench.pipeline)
    carry_over(bench.pipeline, switch.pipeline)
    assert everything(switch.pipeline) == everything(bench.pipeline)


def test_state_that_does_not_fit_is_refused_with_the_reason() -> None:
    bench, other = full_tables(), Bench("selectors")
    with pytest.raises(EntityError, match=r"cannot be kept.*no table with id"):
        carry_over(bench.pipeline, other.pipeline)


def entry(bench: Bench, address: int) -> p4r.Entity:
    return bench.names.entry("exact_table", {"address": address, "tag": 1}, "counted_result", 7)


async def test_reconcile_keeps_entries_where_a_new_commit_forgets_them(site: Site) -> None:
    primary = await site.primary()
    names = Bench("tables")
    await primary.write((INSERT, entry(names, 1)))
    wanted = p4r.Entity()
    wanted.table_entry.table_id = entry(names, 1).table_entry.table_id
    await primary.set_config(SetConfig.RECONCILE_AND_COMMIT, cookie=8)
    (answer,) = await primary.read(wanted)
    assert len(answer.entities) == 1
    assert site.switch.pipeline is not None
    assert site.switch.pipeline.cookie == 8
    assert (
        await code_of(primary.set_config(SetConfig.RECONCILE_AND_COMMIT, "copies")) is grpc.StatusCode.INVALID_ARGUMENT
    )
    assert site.switch.pipeline.cookie == 8
    await primary.set_config(SetConfig.VERIFY_AND_COMMIT)
    assert await primary.read(wanted) == []


async def test_what_is_written_after_a_save_comes_into_force_with_the_commit(site: Site) -> None:
    primary = await site.primary()
    names = Bench("tables")
    await primary.write((INSERT, entry(names, 1)))
    await primary.set_config(SetConfig.VERIFY_AND_SAVE, cookie=9)
    before = site.switch.pipeline
    assert before is not None
    assert (
        await code_of(primary.write((DELETE, entry(names, 1)))) is grpc.StatusCode.UNKNOWN
    )  # it is not in the saved one
    await primary.write((INSERT, entry(names, 2)))
    assert len(before.compiled.tables["In.exact_table"].entries) == 1
    await primary.set_config(SetConfig.COMMIT, "")
    assert site.switch.pipeline is not None
    assert site.switch.pipeline.cookie == 9
    (found,) = site.switch.pipeline.compiled.tables["In.exact_table"].entries.values()
    assert found.match[0].value == 2


async def test_a_reconcile_of_the_first_pipeline_is_a_commit(site: Site) -> None:
    client = site.client()
    await client.bid(1)
    await asyncio.wait_for(client.set_config(SetConfig.RECONCILE_AND_COMMIT, "selectors"), 5)
    assert site.switch.pipeline is not None
    assert site.switch.pipeline.config == config("selectors")
    assert site.switch.pipeline.info == p4info("selectors")
