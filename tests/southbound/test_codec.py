from typing import Any

import pytest
from finsy.proto import p4r
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, Lpm, Match, Op, Range, Ternary, Update
from controller.dataplane.pipeline import TABLES, Field, Kind
from controller.southbound.artefacts import Artefacts, load
from controller.southbound.codec import Codec, CodecError, octets

CODEC = Codec(load().info)


def message_of(entry: Entry) -> Any:
    return p4r.TableEntry.FromString(CODEC.entry(entry))


def matches(field: Field) -> st.SearchStrategy[Match]:
    highest = (1 << field.width) - 1
    numbers = st.integers(0, highest)
    if field.kind is Kind.EXACT:
        return numbers
    if field.kind is Kind.LPM:
        lengths = st.integers(1, field.width)
        return st.none() | st.builds(
            lambda n, size: Lpm(n >> (field.width - size) << (field.width - size), size), numbers, lengths
        )
    if field.kind is Kind.TERNARY:
        return st.none() | st.builds(lambda n, mask: Ternary(n & mask, mask), numbers, st.integers(1, highest))
    both = st.tuples(numbers, numbers).map(lambda ends: Range(min(ends), max(ends)))
    return st.none() | both.filter(lambda ends: tuple(ends) != (0, highest))


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    table = draw(st.sampled_from(list(TABLES.values())))
    action = draw(st.sampled_from(table.actions))
    return Entry(
        table.name,
        tuple(draw(matches(field)) for field in table.fields),
        action.name,
        tuple(
            draw(st.integers(0, (1 << param.width) - 1))
            for _ in range(draw(st.integers(1, 5)) if table.selector else 1)
            for param in action.params
        ),
        draw(st.integers(1, 2**31 - 1)) if table.has_priority else 0,
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(entries(), max_size=5), st.sampled_from(Op))
def test_what_is_encoded_is_decoded(several: list[Entry], op: Op) -> None:
    again = p4r.WriteRequest.FromString(CODEC.updates([Update(op, entry) for entry in several]))
    assert [update.type for update in again.updates] == [op] * len(several)
    messages = [update.entity.table_entry for update in again.updates]
    assert [message.HasField("action") for message in messages] == [op is not Op.DELETE] * len(several)
    if op is not Op.DELETE:
        assert [CODEC.decode(message) for message in messages] == several
    assert [CODEC.decode_key(message) for message in messages] == [entry.key for entry in several]


@settings(max_examples=60, deadline=None)
@given(entries())
def test_the_encoding_is_that_of_protocol_buffers(entry: Entry) -> None:
    """What a switch sends back is compared as bytes, so ours have to be what a protocol buffers library writes."""
    assert p4r.TableEntry.FromString(CODEC.entry(entry)).SerializeToString(deterministic=True) == CODEC.entry(entry)


@pytest.mark.parametrize("size", range(1, 17))
def test_every_length_is_encoded_as_protocol_buffers_do(size: int) -> None:
    # All octets are those of a percent sign, which means something to what puts values into a text.
    percents = int.from_bytes(b"%" * size)
    entry = Entry(p.TUNNELS, (percents & 0xFFFFFF, percents & 0xFFFF), p.ENCAP_IPV6, (37, percents, 37))
    assert p4r.TableEntry.FromString(CODEC.entry(entry)).SerializeToString(deterministic=True) == CODEC.entry(entry)
    assert CODEC.decode(message_of(entry)) == entry


@pytest.mark.parametrize(
    ("value", "expected"), [(0, b"\0"), (1, b"\1"), (255, b"\xff"), (256, b"\1\0"), (2**128 - 1, b"\xff" * 16)]
)
def test_octets_are_the_shortest(value: int, expected: bytes) -> None:
    assert octets(value) == expected


def test_values_on_the_wire_are_canonical_and_what_matches_everything_is_left_out() -> None:
    entry = Entry(p.SIGNALLING, (None, Ternary(135, 255), None, None, None, None), p.PUNT, (1,), 100)
    message = message_of(entry)
    assert [(part.field_id, part.ternary.value, part.ternary.mask) for part in message.match] == [(2, b"\x87", b"\xff")]
    assert [param.value for param in message.action.action.params] == [b"\1"]
    assert message.priority == 100


def test_padded_octets_and_explicit_wildcards_decode_to_the_one_form() -> None:
    message = message_of(Entry(p.NETWORK_SOURCES, (Lpm(2**127, 1),), p.SENDER, (5,)))
    message.match[0].lpm.value = b"\xff" * 16
    message.action.action.params[0].value = b"\0\0\5"
    assert CODEC.decode(message) == Entry(p.NETWORK_SOURCES, (Lpm(2**127, 1),), p.SENDER, (5,))
    message.match[0].lpm.prefix_len = 0
    assert CODEC.decode(message).match == (None,)
    exact = message_of(Entry(p.SOURCE_BINDINGS, (7, 8), p.ALLOW, (1,)))
    exact.match[0].exact.value = b"\0\0\7"
    assert CODEC.decode(exact).match == (7, 8)

    flow = message_of(Entry(p.FLOW_BINDINGS, (1, *(None,) * 9), p.STEER_FLOW, (1,), 1))
    everything = flow.match.add(field_id=5)
    everything.range.low, everything.range.high = b"\0", b"\xff\xff"
    nothing = flow.match.add(field_id=4)
    nothing.ternary.value, nothing.ternary.mask = b"\1", b"\0"
    assert CODEC.decode(flow).match == (1, *(None,) * 9)


@pytest.mark.parametrize(
    "entry",
    [
        Entry("no_such_table", (1,), p.STEER, (1,)),
        Entry(p.DEFAULT_BINDING, (1,), "no_such_action", (1,)),
        Entry(p.DEFAULT_BINDING, (1,), p.MOBILE_NODE, (1,)),
        Entry(p.DEFAULT_BINDING, (1, 2), p.STEER, (1,)),
        Entry(p.DEFAULT_BINDING, (1,), p.STEER, ()),
        Entry(p.DEFAULT_BINDING, (1,), p.STEER, (1, 2)),
        Entry(p.DEFAULT_BINDING, (1, 2), p.STEER, ()),
        Entry(p.DEFAULT_BINDING, (), p.STEER, (1, 2)),
        Entry(p.DEFAULT_BINDING, (2**24,), p.STEER, (1,)),
        Entry(p.DEFAULT_BINDING, (-1,), p.STEER, (1,)),
        Entry(p.DEFAULT_BINDING, (1,), p.STEER, (2**16,)),
        Entry(p.DEFAULT_BINDING, (Ternary(1, 1),), p.STEER, (1,)),
        Entry(p.FLOW_BINDINGS, (None,) * 10, p.STEER_FLOW, (1,), 1),
        Entry(p.ROUTES, (5,), p.NEXT_HOP, (1,)),
        Entry(p.NEXT_HOPS, (5,), p.FORWARD, ()),
        Entry(p.NEXT_HOPS, (5,), p.FORWARD, (1, 2, 3)),
        Entry(p.NEXT_HOPS, (5,), p.FORWARD, (1 << 9, 2, 3, 4)),
        Entry(p.NEXT_HOPS, (5,), p.FORWARD, (1, 2, 3, 4, 5)),
    ],
)
def test_an_entry_that_does_not_fit_is_refused(entry: Entry) -> None:
    with pytest.raises(CodecError, match="does not fit the program"):
        message_of(entry)


def test_what_is_not_of_the_program_is_refused() -> None:
    good = message_of(Entry(p.DEFAULT_BINDING, (1,), p.STEER, (1,)))
    with pytest.raises(CodecError, match="table id 5 is not"):
        CODEC.decode(p4r.TableEntry(table_id=5))
    with pytest.raises(CodecError, match="table id 5 is not"):
        CODEC.decode_key(p4r.TableEntry(table_id=5))
    bare = p4r.TableEntry.FromString(good.SerializeToString())
    bare.ClearField("match")
    with pytest.raises(CodecError, match="exact field node_id has no value"):
        CODEC.decode(bare)
    bare = p4r.TableEntry.FromString(good.SerializeToString())
    del bare.action.action.params[:]
    with pytest.raises(CodecError, match="lacks parameter"):
        CODEC.decode(bare)
    bare.action.action.action_id = 17
    with pytest.raises(CodecError, match="not the table's"):
        CODEC.decode(bare)


def test_weights_of_a_set_are_so_many_actions() -> None:
    entry = Entry(p.NEXT_HOPS, (600,), p.FORWARD, (1, 2, 3, 1500, 4, 5, 6, 1400))
    message = message_of(entry)
    members = message.action.action_profile_action_set.action_profile_actions
    assert [member.weight for member in members] == [1, 1]
    members[1].weight = 3
    assert CODEC.decode(message) == entry._replace(params=entry.params[:4] + entry.params[4:] * 3)
    for weight in (0, -1, p.PATH_BUCKETS + 1):
        members[1].weight = weight
        with pytest.raises(CodecError, match="has no set of one action, each of a weight from 1 to 60"):
            CODEC.decode(message)
    message.action.action_profile_member_id = 5
    with pytest.raises(CodecError, match="has no set of one action"):
        CODEC.decode(message)


def test_every_table_has_an_id(artefacts: Artefacts) -> None:
    assert Codec(artefacts.info).table_ids.keys() == TABLES.keys()
