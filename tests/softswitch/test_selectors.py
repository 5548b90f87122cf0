"""Action profiles and selectors: through P4Runtime in, and out as the action that a packet gets."""

import struct
from collections import Counter

import pytest
from finsy.proto import p4r

from softswitch_kit import DELETE, INSERT, MODIFY, Selectors
from testbed.softswitch import errors
from testbed.softswitch.errors import EntityError

PLAIN, BALANCED, MASKED = 1, 2, 3
TAG = Selectors.TAG


def crc16(data: bytes) -> int:
    """CRC-16/ARC, bit by bit."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value


def packet(what: int, source: int = 1, port: int = 2, tag: int = TAG) -> bytes:
    return struct.pack(">BBIHBB", what, tag, source, port, 0, 0)


@pytest.fixture
def bench() -> Selectors:
    return Selectors()


def refused(code: int, message: str) -> "pytest.RaisesExc[EntityError]":
    return pytest.raises(EntityError, match=message, check=lambda error: error.code == code)


# -- execution ---------------------------------------------------------------------------------------------------------


def test_an_action_profile(bench: Selectors) -> None:
    assert bench.out(packet(PLAIN)) == (2, 0, 0)  # a miss does nothing and takes no branch, as on BMv2
    bench.member(INSERT, bench.profile, 1, "set_result", 50)
    bench.refer(INSERT, "plain", member=1)
    assert bench.out(packet(PLAIN)) == (2, 50, 1)
    bench.member(MODIFY, bench.profile, 1, "forward", 5, 51)
    assert bench.out(packet(PLAIN)) == (5, 51, 2)
    bench.member(INSERT, bench.profile, 2, "deny")
    bench.refer(MODIFY, "plain", member=2)
    assert bench.run(packet(PLAIN)) == []


def test_hit_and_miss(bench: Selectors) -> None:
    assert bench.out(packet(BALANCED)) == (2, 0, 5)
    bench.member(INSERT, bench.selector, 1, "set_result", 60)
    bench.refer(INSERT, "balanced", member=1)
    assert bench.out(packet(BALANCED)) == (2, 60, 4)


def test_a_group_chooses_by_the_hash_of_the_selector_fields(bench: Selectors) -> None:
    for member in (1, 2, 3):
        bench.member(INSERT, bench.selector, member, "set_result", 100 + member)
    bench.group(INSERT, 1, dict.fromkeys((1, 2, 3), 1))
    bench.refer(INSERT, "balanced", group=1)
    bench.refer(INSERT, "masked", group=1, priority=1)
    for source in range(50):
        expected = 101 + crc16(struct.pack(">IH", source, 99)) % 3
        assert bench.out(packet(BALANCED, source, 99)) == (2, expected, 4)
        assert bench.out(packet(MASKED, source, 99))[1] == expected


def test_weights(bench: Selectors) -> None:
    """A member's further copies take handles behind those of all members that were there: 1 2 3, then 1 1 (weight 3), then 3 (weight 2)."""
    for member in (1, 2, 3):
        bench.member(INSERT, bench.selector, member, "set_result", 100 + member)
    bench.group(INSERT, 1, {3: 2, 1: 3, 2: 1})
    bench.refer(INSERT, "balanced", group=1)
    layout = [101, 102, 103, 101, 101, 103]
    found: Counter[int] = Counter()
    for source in range(600):
        result = bench.out(packet(BALANCED, source, 1))[1]
        assert result == layout[crc16(struct.pack(">IH", source, 1)) % 6]
        found[result] += 1
    assert found[101] > found[103] > found[102] > 0


def test_a_change_of_a_group_or_a_member_counts_at_once(bench: Selectors) -> None:
    bench.member(INSERT, bench.selector, 1, "set_result", 101)
    bench.member(INSERT, bench.selector, 2, "forward", 6, 102)
    bench.group(INSERT, 1, {1: 1})
    bench.refer(INSERT, "balanced", group=1)
    assert bench.out(packet(BALANCED)) == (2, 101, 4)
    bench.group(MODIFY, 1, {2: 4})
    assert bench.out(packet(BALANCED)) == (6, 102, 4)
    bench.member(MODIFY, bench.selector, 2, "set_result", 103)
    assert bench.out(packet(BALANCED)) == (2, 103, 4)
    bench.group(MODIFY, 1, {})
    assert bench.out(packet(BALANCED)) == (2, 0, 4)  # an empty group is a miss
    bench.refer(MODIFY, "balanced", member=1)
    assert bench.out(packet(BALANCED)) == (2, 101, 4)


def test_handles_are_used_again(bench: Selectors) -> None:
    """After the change the order of the copies is that of BMv2: the lowest free handle first."""
    for member in (1, 2, 3, 4):
        bench.member(INSERT, bench.selector, member, "set_result", 100 + member)
    bench.member(DELETE, bench.selector, 2, None)
    bench.group(INSERT, 1, {1: 1, 4: 3})  # member 4 has handle 3, its copies take 1 and 4
    bench.refer(INSERT, "balanced", group=1)
    layout = [101, 104, 104, 104]
    assert [bench.out(packet(BALANCED, s, 3))[1] for s in range(40)] == [
        layout[crc16(struct.pack(">IH", s, 3)) % 4] for s in range(40)
    ]


def test_a_one_shot_action_set(bench: Selectors) -> None:
    first, second = bench.action("set_result", 1), bench.action("forward", 4, 2)
    bench.one_shot(INSERT, "balanced", (first, 1), (second, 2), (first, 1))
    layout = [(2, 1, 4), (4, 2, 4), (4, 2, 4), (2, 1, 4)]
    for source in range(40):
        assert bench.out(packet(BALANCED, source, 5)) == layout[crc16(struct.pack(">IH", source, 5)) % 4]
    bench.one_shot(MODIFY, "balanced", (second, 1))
    assert bench.out(packet(BALANCED)) == (4, 2, 4)
    bench.write(DELETE, bench.entry("balanced"))
    assert bench.out(packet(BALANCED)) == (2, 0, 5)


def test_entries_of_an_indirect_table_are_counted(bench: Selectors) -> None:
    bench.one_shot(INSERT, "balanced", (bench.action("set_result", 1), 1))
    for _ in range(3):
        bench.run(packet(BALANCED))
    bench.run(packet(BALANCED, tag=9))

    def ask(entity: p4r.Entity) -> None:
        entity.table_entry.table_id = bench.names.id("tables", "balanced")
        entity.table_entry.counter_data.SetInParent()

    (entity,) = bench.read(ask)
    assert entity.table_entry.counter_data.packet_count == 3


# -- read --------------------------------------------------------------------------------------------------------------


def test_what_is_written_can_be_read(bench: Selectors) -> None:
    bench.member(INSERT, bench.profile, 9, "forward", 5, 51)
    bench.member(INSERT, bench.selector, 1, "set_result", 1)
    bench.member(INSERT, bench.selector, 2, "set_result", 2)
    bench.group(INSERT, 1, {2: 5, 1: 1}, max_size=10)
    bench.refer(INSERT, "plain", member=9)
    bench.refer(INSERT, "balanced", group=1)
    bench.refer(INSERT, "balanced", member=2, tag=8)
    members = bench.read(lambda e: e.action_profile_member.SetInParent())
    assert [(m.action_profile_member.action_profile_id, m.action_profile_member.member_id) for m in members] == [
        (bench.profile, 9),
        (bench.selector, 1),
        (bench.selector, 2),
    ]
    assert members[0].action_profile_member.action == bench.action("forward", 5, 51)
    (group,) = bench.read(lambda e: e.action_profile_group.SetInParent())
    assert group.action_profile_group.max_size == 10
    assert [(m.member_id, m.weight) for m in group.action_profile_group.members] == [(2, 5), (1, 1)]
    entries = bench.read(lambda e: e.table_entry.SetInParent())
    actions = [e.table_entry.action for e in entries]
    assert [a.action_profile_member_id for a in actions] == [9, 0, 2]
    assert [a.action_profile_group_id for a in actions] == [0, 1, 0]
    one = bench.read(lambda e: setattr(e.action_profile_member, "member_id", 1))
    assert len(one) == 1


def test_an_action_set_is_read_as_it_was_written(bench: Selectors) -> None:
    entity = bench.entry("balanced")
    chosen = entity.table_entry.action.action_profile_action_set
    for value, weight in ((3, 2), (1, 1), (3, 2)):
        chosen.action_profile_actions.add(action=bench.action("set_result", value), weight=weight)
    bench.write(INSERT, entity)
    (found,) = bench.read(lambda e: setattr(e.table_entry, "table_id", entity.table_entry.table_id))
    assert found == entity
    assert bench.read(lambda e: e.action_profile_member.SetInParent()) == []
    assert bench.read(lambda e: e.action_profile_group.SetInParent()) == []


def test_the_default_entry_is_no_action_for_ever(bench: Selectors) -> None:
    def ask(entity: p4r.Entity) -> None:
        entity.table_entry.table_id = bench.names.id("tables", "plain")
        entity.table_entry.is_default_action = True

    (found,) = bench.read(ask)
    assert found.table_entry.action.action.action_id == bench.names.id("actions", "NoAction")
    entity = p4r.Entity()
    ask(entity)
    with refused(errors.PERMISSION_DENIED, "constant"):
        bench.write(MODIFY, entity)


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_members_that_cannot_be(bench: Selectors) -> None:
    bench.member(INSERT, bench.profile, 1, "deny")
    with refused(errors.ALREADY_EXISTS, "member 1"):
        bench.member(INSERT, bench.profile, 1, "deny")
    with refused(errors.INVALID_ARGUMENT, "other than 0"):
        bench.member(INSERT, bench.profile, 0, "deny")
    with refused(errors.INVALID_ARGUMENT, "needs an action"):
        bench.member(INSERT, bench.profile, 2, None)
    with refused(errors.INVALID_ARGUMENT, "needs an action"):
        bench.member(MODIFY, bench.profile, 1, None)
    with refused(errors.INVALID_ARGUMENT, "no action with id"):
        bench.member(INSERT, bench.selector, 1, "deny")
    with refused(errors.INVALID_ARGUMENT, "no action profile with id 5"):
        bench.member(INSERT, 5, 1, "deny")
    with refused(errors.NOT_FOUND, "no member 2"):
        bench.member(MODIFY, bench.profile, 2, "deny")
    with refused(errors.NOT_FOUND, "no member 2"):
        bench.member(DELETE, bench.profile, 2, None)
    for member in (2, 3, 4):
        bench.member(INSERT, bench.profile, member, "deny")
    with refused(errors.RESOURCE_EXHAUSTED, "full with 4"):
        bench.member(INSERT, bench.profile, 5, "deny")


def test_groups_that_cannot_be(bench: Selectors) -> None:
    for member in (1, 2):
        bench.member(INSERT, bench.selector, member, "set_result", member)
    bench.group(INSERT, 1, {1: 1})
    with refused(errors.ALREADY_EXISTS, "group 1"):
        bench.group(INSERT, 1, {1: 1})
    with refused(errors.INVALID_ARGUMENT, "other than 0"):
        bench.group(INSERT, 0, {1: 1})
    with refused(errors.NOT_FOUND, "no member 7"):
        bench.group(INSERT, 2, {7: 1})
    with refused(errors.INVALID_ARGUMENT, "given twice"):
        bench.group(INSERT, 2, [(1, 1), (1, 1)])
    with refused(errors.INVALID_ARGUMENT, "weight must be"):
        bench.group(INSERT, 2, {1: 0})
    with refused(errors.INVALID_ARGUMENT, "weight must be"):
        bench.group(INSERT, 2, {1: -3})
    for size in (0, -1, 13):
        with refused(errors.INVALID_ARGUMENT, "max_size"):
            bench.group(INSERT, 2, {1: 1}, max_size=size)
    with refused(errors.INVALID_ARGUMENT, "cannot change"):
        bench.group(MODIFY, 1, {1: 1}, max_size=11)
    with refused(errors.RESOURCE_EXHAUSTED, "larger than 12"):
        bench.group(MODIFY, 1, {1: 7, 2: 6})
    with refused(errors.NOT_FOUND, "no group 2"):
        bench.group(MODIFY, 2, {1: 1})
    with refused(errors.NOT_FOUND, "no group 2"):
        bench.group(DELETE, 2, {})
    bench.group(INSERT, 2, {1: 12})
    bench.group(INSERT, 3, {1: 12})
    with refused(errors.RESOURCE_EXHAUSTED, "exceed 32"):
        bench.group(INSERT, 4, {2: 8})
    bench.group(INSERT, 4, {2: 7})
    (first, *_) = bench.read(lambda e: e.action_profile_group.SetInParent())
    assert [(m.member_id, m.weight) for m in first.action_profile_group.members] == [(1, 1)]


def test_a_profile_without_selector_has_no_groups(bench: Selectors) -> None:
    entity = p4r.Entity()
    entity.action_profile_group.action_profile_id = bench.profile
    entity.action_profile_group.group_id = 1
    with refused(errors.INVALID_ARGUMENT, "no selector"):
        bench.write(INSERT, entity)
    with refused(errors.INVALID_ARGUMENT, "action_profile_group_id"):
        bench.refer(INSERT, "plain", group=1)
    with refused(errors.INVALID_ARGUMENT, "action_profile_action_set"):
        bench.one_shot(INSERT, "plain", (bench.action("deny"), 1))


def test_what_is_in_use_stays(bench: Selectors) -> None:
    bench.member(INSERT, bench.selector, 1, "set_result", 1)
    bench.member(INSERT, bench.selector, 2, "set_result", 2)
    bench.group(INSERT, 1, {1: 1})
    bench.refer(INSERT, "balanced", group=1)
    bench.refer(INSERT, "balanced", member=2, tag=8)
    with refused(errors.FAILED_PRECONDITION, "in use by a group"):
        bench.member(DELETE, bench.selector, 1, None)
    with refused(errors.FAILED_PRECONDITION, "in use by a table entry"):
        bench.member(DELETE, bench.selector, 2, None)
    with refused(errors.FAILED_PRECONDITION, "in use by a table entry"):
        bench.group(DELETE, 1, {})
    bench.write(DELETE, bench.entry("balanced"))
    bench.write(DELETE, bench.entry("balanced", tag=8))
    bench.group(DELETE, 1, {})
    bench.member(DELETE, bench.selector, 1, None)
    bench.member(DELETE, bench.selector, 2, None)


def test_entries_that_refer_to_nothing(bench: Selectors) -> None:
    with refused(errors.NOT_FOUND, "no member 1"):
        bench.refer(INSERT, "balanced", member=1)
    with refused(errors.NOT_FOUND, "no group 1"):
        bench.refer(INSERT, "balanced", group=1)
    entity = bench.entry("balanced")
    entity.table_entry.action.action.CopyFrom(bench.action("set_result", 1))
    with refused(errors.INVALID_ARGUMENT, "of type action"):
        bench.write(INSERT, entity)
    bench.member(INSERT, bench.selector, 1, "set_result", 1)
    bench.refer(INSERT, "balanced", member=1)
    with refused(errors.NOT_FOUND, "no group 3"):
        bench.refer(MODIFY, "balanced", group=3)
    assert bench.out(packet(BALANCED)) == (2, 1, 4)


def test_action_sets_are_not_mixed_with_members(bench: Selectors) -> None:
    action = bench.action("set_result", 1)
    bench.one_shot(INSERT, "balanced", (action, 1))
    with refused(errors.INVALID_ARGUMENT, "mixed"):
        bench.member(INSERT, bench.selector, 1, "set_result", 1)
    with refused(errors.INVALID_ARGUMENT, "mixed"):
        bench.group(INSERT, 1, {})
    bench.write(DELETE, bench.entry("balanced"))
    bench.member(INSERT, bench.selector, 1, "set_result", 1)
    with refused(errors.INVALID_ARGUMENT, "mixed"):
        bench.one_shot(INSERT, "masked", (action, 1), priority=1)


def test_action_sets_that_cannot_be(bench: Selectors) -> None:
    action = bench.action("set_result", 1)
    with refused(errors.INVALID_ARGUMENT, "largest group"):
        bench.one_shot(INSERT, "balanced", (action, 13))
    with refused(errors.INVALID_ARGUMENT, "weight must be"):
        bench.one_shot(INSERT, "balanced", (action, 0))
    with refused(errors.INVALID_ARGUMENT, "no action with id"):
        bench.one_shot(INSERT, "balanced", (bench.action("deny"), 1))
    bench.one_shot(INSERT, "balanced", (action, 12))
    bench.one_shot(MODIFY, "balanced", (action, 12))
    bench.one_shot(INSERT, "masked", (action, 12), priority=1)
    with refused(errors.RESOURCE_EXHAUSTED, "exceed 32"):
        bench.one_shot(INSERT, "masked", (action, 9), priority=2)
    assert bench.out(packet(BALANCED)) == (2, 1, 4)
