"""What P4Runtime says about single updates: every field is checked, and a refused update changes nothing."""

from collections.abc import Callable

import pytest
from finsy.proto import p4r

from softswitch_kit import DELETE, INSERT, MODIFY, Bench
from testbed.softswitch import errors
from testbed.softswitch.errors import EntityError


@pytest.fixture
def bench() -> Bench:
    return Bench("tables")


def exact(bench: Bench, address: int = 1) -> p4r.Entity:
    return bench.names.entry("exact_table", {"address": address, "tag": 1}, "counted_result", 7)


def refused(bench: Bench, kind: int, entity: p4r.Entity) -> int:
    before = [e.SerializeToString() for e in bench.read(lambda e: e.table_entry.SetInParent())]
    with pytest.raises(EntityError) as caught:
        bench.write(kind, entity)
    assert str(caught.value)
    assert [e.SerializeToString() for e in bench.read(lambda e: e.table_entry.SetInParent())] == before
    return caught.value.code


def change(entity: p4r.Entity, how: Callable[[p4r.TableEntry], object]) -> p4r.Entity:
    how(entity.table_entry)
    return entity


BAD_INSERTS: list[tuple[str, Callable[[p4r.TableEntry], object]]] = [
    ("unknown table", lambda e: setattr(e, "table_id", 99)),
    ("no table", lambda e: setattr(e, "table_id", 0)),
    ("unknown field", lambda e: setattr(e.match[0], "field_id", 9)),
    ("field twice", lambda e: e.match.append(e.match[0])),
    ("missing exact field", lambda e: e.match.pop()),
    ("wrong kind", lambda e: e.match[0].lpm.SetInParent()),
    ("no kind", lambda e: e.match[0].ClearField("exact")),
    ("empty value", lambda e: setattr(e.match[0].exact, "value", b"")),
    ("too wide", lambda e: setattr(e.match[1].exact, "value", b"\1\0")),
    ("priority", lambda e: setattr(e, "priority", 1)),
    ("no action", lambda e: e.ClearField("action")),
    ("unknown action", lambda e: setattr(e.action.action, "action_id", 12345)),
    ("no params", lambda e: e.action.action.ClearField("params")),
    ("param twice", lambda e: e.action.action.params.append(e.action.action.params[0])),
    ("unknown param", lambda e: setattr(e.action.action.params[0], "param_id", 9)),
    ("wide param", lambda e: setattr(e.action.action.params[0], "value", b"\1\0")),
    ("empty param", lambda e: setattr(e.action.action.params[0], "value", b"")),
    ("member", lambda e: setattr(e.action, "action_profile_member_id", 1)),
    ("no meter here", lambda e: e.meter_config.SetInParent()),
    ("default", lambda e: setattr(e, "is_default_action", True)),
]


@pytest.mark.parametrize("how", [item[1] for item in BAD_INSERTS], ids=[item[0] for item in BAD_INSERTS])
def test_invalid_inserts(bench: Bench, how: Callable[[p4r.TableEntry], object]) -> None:
    assert refused(bench, INSERT, change(exact(bench), how)) == errors.INVALID_ARGUMENT


def test_leading_zeros_are_taken_and_come_back_canonical(bench: Bench) -> None:
    entity = exact(bench)
    entity.table_entry.match[0].exact.value = b"\0\0\0\0\1"
    bench.write(INSERT, entity)
    [read] = bench.read(lambda e: e.table_entry.CopyFrom(p4r.TableEntry(table_id=entity.table_entry.table_id)))
    assert read.table_entry.match[0].exact.value == b"\1"
    assert refused(bench, INSERT, exact(bench)) == errors.ALREADY_EXISTS


def test_life_of_an_entry(bench: Bench) -> None:
    assert refused(bench, MODIFY, exact(bench)) == errors.NOT_FOUND
    assert refused(bench, DELETE, exact(bench)) == errors.NOT_FOUND
    bench.write(INSERT, exact(bench))
    assert refused(bench, INSERT, exact(bench)) == errors.ALREADY_EXISTS
    bench.write(MODIFY, exact(bench))
    bench.write(DELETE, exact(bench))
    assert refused(bench, DELETE, exact(bench)) == errors.NOT_FOUND
    assert refused(bench, p4r.Update.UNSPECIFIED, exact(bench)) == errors.INVALID_ARGUMENT


def test_a_table_is_full_at_its_size(bench: Bench) -> None:
    for address in range(4):
        bench.write(INSERT, exact(bench, address))
    assert refused(bench, INSERT, exact(bench, 4)) == errors.RESOURCE_EXHAUSTED
    bench.write(MODIFY, exact(bench, 3))
    bench.write(DELETE, exact(bench, 3))
    bench.write(INSERT, exact(bench, 4))


BAD_TERNARY = [
    {"address": ("ternary", 1, 0), "tag": 1},
    {"address": ("ternary", 3, 1), "tag": 1},
    {"address": ("lpm", 0, 1), "tag": 1},
    {"address": ("ternary", 1 << 32, 1 << 32), "tag": 1},
]


@pytest.mark.parametrize("match", BAD_TERNARY)
def test_invalid_ternary_matches(bench: Bench, match: dict[str, int | tuple[object, ...]]) -> None:
    entity = bench.names.entry("ternary_table", match, "metered_result", 1, priority=1)
    assert refused(bench, INSERT, entity) == errors.INVALID_ARGUMENT


@pytest.mark.parametrize("priority", [0, -1])
def test_a_priority_is_needed_where_entries_can_overlap(bench: Bench, priority: int) -> None:
    entity = bench.names.entry("ternary_table", {"tag": 1}, "metered_result", 1, priority=priority)
    assert refused(bench, INSERT, entity) == errors.INVALID_ARGUMENT


@pytest.mark.parametrize(("value", "length"), [(0, 0), (0, 33), (0x0A000001, 8)])
def test_invalid_prefixes(bench: Bench, value: int, length: int) -> None:
    entity = bench.names.entry("lpm_table", {"address": ("lpm", value, length)}, "set_result", 1)
    assert refused(bench, INSERT, entity) == errors.INVALID_ARGUMENT


@pytest.mark.parametrize(("low", "high"), [(5, 4), (0, 0xFFFF), (0, 0x10000)])
def test_invalid_ranges(bench: Bench, low: int, high: int) -> None:
    entity = bench.names.entry("range_table", {"port": ("range", low, high)}, "set_result", 1, priority=1)
    assert refused(bench, INSERT, entity) == errors.INVALID_ARGUMENT


def test_constant_entries_can_be_read_but_not_changed(bench: Bench) -> None:
    entity = bench.names.entry("const_table", {"tag": ("ternary", 1, 1)}, "set_result", 1, priority=1)
    assert refused(bench, INSERT, entity) == errors.PERMISSION_DENIED
    table = bench.names.id("tables", "const_table")
    entries = bench.read(lambda e: e.table_entry.CopyFrom(p4r.TableEntry(table_id=table)))
    assert [e.table_entry.is_const for e in entries] == [True] * 3
    for entity in entries:
        for kind in (INSERT, MODIFY, DELETE):
            assert refused(bench, kind, entity) == errors.INVALID_ARGUMENT  # nobody writes is_const
        entity.table_entry.is_const = False
        assert refused(bench, DELETE, entity) == errors.PERMISSION_DENIED
        assert refused(bench, MODIFY, entity) == errors.PERMISSION_DENIED


def test_default_entries(bench: Bench) -> None:
    entity = bench.names.entry("lpm_table", {}, "set_result", 1)
    entity.table_entry.is_default_action = True
    assert refused(bench, INSERT, entity) == errors.INVALID_ARGUMENT
    assert refused(bench, DELETE, entity) == errors.INVALID_ARGUMENT
    bench.write(MODIFY, entity)
    constant = bench.names.entry("exact_table", {}, "NoAction")
    constant.table_entry.is_default_action = True
    assert refused(bench, MODIFY, constant) == errors.PERMISSION_DENIED
    scoped = bench.names.entry("range_table", {}, "forward", 1, 1)
    scoped.table_entry.is_default_action = True
    assert refused(bench, MODIFY, scoped) == errors.PERMISSION_DENIED
    only_default = bench.names.entry("exact_table", {"address": 1, "tag": 1}, "NoAction")
    assert refused(bench, INSERT, only_default) == errors.PERMISSION_DENIED
    [read] = bench.read(
        lambda e: e.table_entry.CopyFrom(p4r.TableEntry(table_id=entity.table_entry.table_id, is_default_action=True))
    )
    assert read == entity


def test_what_is_read_is_what_was_written(bench: Bench) -> None:
    written = [
        bench.names.entry("exact_table", {"address": 5, "tag": 0}, "counted_result", 7),
        bench.names.entry("lpm_table", {"address": ("lpm", 0x0A000000, 8)}, "set_result", 0),
        bench.names.entry("lpm_table", {}, "NoAction"),
        bench.names.entry(
            "ternary_table", {"address": ("ternary", 0, 0xFF), "tag": 3}, "metered_result", 1, priority=3
        ),
        bench.names.entry("range_table", {"port": ("range", 0, 65534)}, "forward", 2, 3, priority=4),
        bench.names.entry("range_table", {}, "deny", priority=5),
        bench.names.entry("optional_table", {"port": 0}, "set_result", 4, priority=6),
    ]
    for number, entity in enumerate(written):
        entity.table_entry.metadata = bytes([number])
        bench.write(INSERT, entity)
    read = bench.read(lambda e: e.table_entry.SetInParent())
    assert [e for e in read if not e.table_entry.is_const] == written


def test_reads_can_be_narrowed(bench: Bench) -> None:
    bench.insert("range_table", {"port": ("range", 1, 2)}, "set_result", 1, priority=5)
    bench.insert("range_table", {"port": ("range", 3, 4)}, "deny", priority=6)
    table = bench.names.id("tables", "range_table")

    def count(entity: p4r.Entity) -> int:
        return len(list(bench.pipeline.read(entity)))

    assert count(p4r.Entity(table_entry=p4r.TableEntry(table_id=table))) == 2
    assert count(p4r.Entity(table_entry=p4r.TableEntry(table_id=table, priority=6))) == 1
    assert count(bench.names.entry("range_table", {"port": ("range", 1, 2)}, None, priority=5)) == 1
    assert count(bench.names.entry("range_table", {"port": ("range", 1, 2)}, None, priority=7)) == 0
    assert count(bench.names.entry("range_table", {}, "deny")) == 1
    with pytest.raises(EntityError, match="no table with id 99"):
        count(p4r.Entity(table_entry=p4r.TableEntry(table_id=99)))


def test_direct_counters_can_be_set_and_read_with_the_entry(bench: Bench) -> None:
    bench.write(INSERT, change(exact(bench), lambda e: e.counter_data.CopyFrom(p4r.CounterData(packet_count=3))))
    wanted = exact(bench)
    wanted.table_entry.ClearField("action")
    wanted.table_entry.counter_data.SetInParent()
    [read] = bench.pipeline.read(wanted)
    assert read.table_entry.counter_data.packet_count == 3
    update = p4r.Update(type=MODIFY)
    update.entity.direct_counter_entry.table_entry.CopyFrom(wanted.table_entry)
    update.entity.direct_counter_entry.data.byte_count = 9
    bench.pipeline.write(update)
    [read] = bench.pipeline.read(wanted)
    assert read.table_entry.counter_data == p4r.CounterData(byte_count=9)
    bench.write(MODIFY, exact(bench))  # leaves the counter alone
    [read] = bench.pipeline.read(wanted)
    assert read.table_entry.counter_data == p4r.CounterData(byte_count=9)
    update.type = INSERT
    with pytest.raises(EntityError, match="only be modified"):
        bench.pipeline.write(update)


def test_direct_meters_can_be_set_and_read(bench: Bench) -> None:
    bench.insert("ternary_table", {"tag": 1}, "metered_result", 1, priority=1)
    update = p4r.Update(type=MODIFY)
    meter = update.entity.direct_meter_entry
    meter.table_entry.CopyFrom(bench.names.entry("ternary_table", {"tag": 1}, None, priority=1).table_entry)
    meter.config.CopyFrom(p4r.MeterConfig(cir=1, cburst=2, pir=3, pburst=4))
    bench.pipeline.write(update)
    [read] = bench.read(lambda e: e.direct_meter_entry.SetInParent())
    assert read.direct_meter_entry == meter
    meter.config.pir = 0
    with pytest.raises(EntityError, match="below the committed"):
        bench.pipeline.write(update)
    meter.config.eburst = 1
    with pytest.raises(EntityError, match="excess"):
        bench.pipeline.write(update)
    meter.ClearField("config")
    bench.pipeline.write(update)
    [read] = bench.read(lambda e: e.direct_meter_entry.SetInParent())
    assert not read.direct_meter_entry.HasField("config")


def test_cells_of_arrays(bench: Bench) -> None:
    counter = p4r.Update(type=MODIFY)
    counter.entity.counter_entry.counter_id = bench.names.id("counters", "cells")
    counter.entity.counter_entry.index.index = 3
    counter.entity.counter_entry.data.packet_count = 8
    bench.pipeline.write(counter)
    [read] = bench.pipeline.read(counter.entity)
    assert read == counter.entity
    register = p4r.Update(type=MODIFY)
    register.entity.register_entry.register_id = bench.names.id("registers", "memory")
    register.entity.register_entry.data.bitstring = b"\x12\x34"
    bench.pipeline.write(register)
    values = [e.register_entry.data.bitstring for e in bench.pipeline.read(register.entity)]
    assert values == [b"\x12\x34"] * 8
    meter = p4r.Update(type=MODIFY)
    meter.entity.meter_entry.meter_id = bench.names.id("meters", "policers")
    meter.entity.meter_entry.index.index = 1
    meter.entity.meter_entry.config.CopyFrom(p4r.MeterConfig(cir=1, cburst=2, pir=3, pburst=4))
    bench.pipeline.write(meter)
    assert list(bench.pipeline.read(meter.entity)) == [meter.entity]
    for update, code in ((-1, errors.INVALID_ARGUMENT), (16, errors.OUT_OF_RANGE)):
        counter.entity.counter_entry.index.index = update
        with pytest.raises(EntityError) as caught:
            bench.pipeline.write(counter)
        assert caught.value.code == code
    counter.entity.counter_entry.counter_id = 99
    with pytest.raises(EntityError, match="no counter with id 99"):
        list(bench.pipeline.read(counter.entity))
    register.entity.register_entry.data.bitstring = b"\1\0\0\0\0"
    with pytest.raises(EntityError, match="32 bits"):
        bench.pipeline.write(register)


def test_replicas_are_checked() -> None:
    bench = Bench("copies")
    update = p4r.Update(type=INSERT)
    group = update.entity.packet_replication_engine_entry.multicast_group_entry
    group.multicast_group_id = 7
    group.replicas.add(port=b"\3", instance=1)
    bench.pipeline.write(update)
    assert list(bench.pipeline.read(update.entity)) == [update.entity]
    with pytest.raises(EntityError, match="there already"):
        bench.pipeline.write(update)
    update.type = MODIFY
    group.replicas.add(port=b"\3", instance=1)
    with pytest.raises(EntityError, match="same port and instance"):
        bench.pipeline.write(update)
    group.replicas[1].port = b"\3\0"
    with pytest.raises(EntityError, match="9 bits"):
        bench.pipeline.write(update)
    group.replicas[1].ClearField("port")
    with pytest.raises(EntityError, match="needs a port"):
        bench.pipeline.write(update)
    group.multicast_group_id = 0
    with pytest.raises(EntityError, match="1 to 65535"):
        bench.pipeline.write(update)


def test_entities_that_the_switch_does_not_have(bench: Bench) -> None:
    entity = p4r.Entity()
    entity.digest_entry.digest_id = 1
    assert refused(bench, INSERT, entity) == errors.INVALID_ARGUMENT
    assert refused(bench, INSERT, p4r.Entity()) == errors.INVALID_ARGUMENT
    for wanted in (entity, p4r.Entity()):
        with pytest.raises(EntityError):
            list(bench.pipeline.read(wanted))
    entity.digest_entry.digest_id = 0
    assert list(bench.pipeline.read(entity)) == []
