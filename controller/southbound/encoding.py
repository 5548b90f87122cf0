"""Updates of table entries as bytes on the wire, without a message object for each.

Every shape of entry (table, action, which fields are given) is taken apart once: what never changes is kept as bytes, and
encoding joins it with the values. That is several times faster than building messages, and because an entry has one encoding
only, what a switch reads back is compared as bytes too.

Field numbers are those of p4/v1/p4runtime.proto; the octets of values are canonical (P4Runtime section 8.4).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from finsy.proto import p4i, p4r

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, EntryKey, Match, Op, Update
from controller.southbound.flow_fields import FlowFields

Message: TypeAlias = Any
"""A message of finsy's protocol buffers: the package has no types."""

_Put: TypeAlias = Callable[[Any], bytes]
"""Encodes one value of a key or an action."""
_Translate: TypeAlias = Callable[[tuple[Match, ...]], tuple[Match, ...]]

LENGTH_DELIMITED: Final = 2
_VARINT: Final = 0


class CodecError(ValueError):
    """An entry does not fit the program, or a switch sent what does not."""


def action_name(action: Message) -> str:
    """Return the name of an action of P4Info, without the control that an alias has before it where two controls have one such name."""
    return str(action.preamble.alias).rpartition(".")[2]


def varint(number: int) -> bytes:
    """Return a number as protocol buffers write it: seven bits an octet, the lowest first."""
    octets_ = bytearray()
    while number > 0x7F:
        octets_.append(number & 0x7F | 0x80)
        number >>= 7
    octets_.append(number)
    return bytes(octets_)


def varint_at(data: bytes, position: int) -> tuple[int, int]:
    """Return a number as protocol buffers write it, and where it ends.

    Raises:
        IndexError: the data end before it.
        CodecError: it is too long.
    """
    number = data[position]
    position += 1
    if number < 0x80:
        return number, position
    number &= 0x7F
    shift = 7
    while True:
        octet = data[position]
        position += 1
        number |= (octet & 0x7F) << shift
        if octet < 0x80:
            return number, position
        shift += 7
        if shift > 63:
            raise CodecError("a number does not end")


def _tag(number: int, wire_type: int) -> bytes:
    return varint(number << 3 | wire_type)


_LENGTHS: Final = tuple(map(varint, range(1024)))


def framed(tag: bytes, content: bytes) -> bytes:
    """Return a length-delimited field."""
    size = len(content)
    return tag + (_LENGTHS[size] if size < 1024 else varint(size)) + content


def _head(number: int, *lengths: int) -> bytes:
    return _tag(number, LENGTH_DELIMITED) + varint(sum(lengths))


_UPDATES: Final = _tag(4, LENGTH_DELIMITED)
_TYPE: Final = {op: _tag(1, _VARINT) + varint(op) for op in Op}
_ENTITY: Final = _tag(2, LENGTH_DELIMITED)
TABLE_ENTRY: Final = _tag(2, LENGTH_DELIMITED)
"""The tag of a table entry in an entity."""
REPLICATION_ENTRY: Final = _tag(9, LENGTH_DELIMITED)
"""The tag of an entry of the packet replication engine in an entity."""
_MATCH: Final = 2
_ACTION: Final = 3
_PRIORITY: Final = _tag(4, _VARINT)
_METER: Final = _tag(6, LENGTH_DELIMITED)
_EXACT, _TERNARY, _LPM, _RANGE = 2, 3, 4, 6


def _octet_count(value: int, width: int) -> int:
    length = value.bit_length()
    if length > width or value < 0:
        raise CodecError(f"{value} has more than {width} bits" if value >= 0 else f"{value} is negative")
    return (length + 7) >> 3 or 1


def _match_head(field_id: int, kind: int, body: int) -> bytes:
    """Return what stands before the members of a match whose members take `body` octets."""
    inner = _tag(1, _VARINT) + varint(field_id) + _head(kind, body)
    return _head(_MATCH, len(inner) + body) + inner


@dataclass(frozen=True, slots=True)
class _Octets:
    """A value that is one string of octets: an exact match or a parameter."""

    heads: tuple[bytes, ...]
    """What stands before the octets, by their count."""
    width: int


def _exact(field_id: int, width: int) -> _Octets:
    heads = [b""]
    for count in range(1, (width + 7) // 8 + 1):
        member = _head(1, count)
        heads.append(_match_head(field_id, _EXACT, len(member) + count) + member)
    return _Octets(tuple(heads), width)


def _param(param_id: int, width: int) -> _Octets:
    heads = [b""]
    for count in range(1, (width + 7) // 8 + 1):
        inner = _tag(2, _VARINT) + varint(param_id) + _head(3, count)
        heads.append(_head(4, len(inner) + count) + inner)
    return _Octets(tuple(heads), width)


def _put_octets(spec: _Octets) -> _Put:
    def put(value: int) -> bytes:
        count = _octet_count(value, spec.width)
        return spec.heads[count] + value.to_bytes(count)

    return put


def _join(parts: list[bytes], specs: tuple[_Octets, ...], values: tuple[Any, ...]) -> None:
    """Append values to what is encoded so far. This is where most of the time goes, so it calls nothing of ours."""
    for spec, value in zip(specs, values, strict=True):
        length = value.bit_length()
        if length > spec.width or value < 0:
            raise CodecError(f"{value} does not fit into {spec.width} bits")
        count = (length + 7) >> 3 or 1
        parts.append(spec.heads[count])
        parts.append(value.to_bytes(count))


def _put_pair(field_id: int, width: int, kind: int) -> _Put:
    """Return the encoder of a ternary or range match: two strings of octets."""
    heads: dict[tuple[int, int], tuple[bytes, bytes]] = {}

    def put(pair: tuple[int, int]) -> bytes:
        first, second = pair
        counts = (_octet_count(first, width), _octet_count(second, width))
        head = heads.get(counts)
        if head is None:
            one = _head(1, counts[0])
            other = _head(2, counts[1])
            size = len(one) + counts[0] + len(other) + counts[1]
            head = heads[counts] = (_match_head(field_id, kind, size) + one, other)
        return head[0] + first.to_bytes(counts[0]) + head[1] + second.to_bytes(counts[1])

    return put


def _put_lpm(field_id: int, width: int) -> _Put:
    heads: dict[tuple[int, int], tuple[bytes, bytes]] = {}

    def put(match: tuple[int, int]) -> bytes:
        value, length = match
        if not 0 < length <= width:
            raise CodecError(f"a prefix length of {length}, in a field of {width} bits")
        count = _octet_count(value, width)
        head = heads.get((count, length))
        if head is None:
            one = _head(1, count)
            tail = _tag(2, _VARINT) + varint(length)
            head = heads[count, length] = (_match_head(field_id, _LPM, len(one) + count + len(tail)) + one, tail)
        return head[0] + value.to_bytes(count) + head[1]

    return put


def _field_encoder(field: Message) -> _Put:
    number, width = int(field.id), int(field.bitwidth)
    if field.match_type == p4i.MatchField.EXACT:
        return _put_octets(_exact(number, width))
    if field.match_type == p4i.MatchField.LPM:
        return _put_lpm(number, width)
    if field.match_type == p4i.MatchField.TERNARY:
        return _put_pair(number, width, _TERNARY)
    if field.match_type == p4i.MatchField.RANGE:
        return _put_pair(number, width, _RANGE)
    raise CodecError(f"field {field.name} is matched in a way that is not supported")


@dataclass(frozen=True, slots=True)
class _Action:
    head: bytes
    params: tuple[_Octets, ...]


@dataclass(frozen=True, slots=True)
class _Table:
    head: bytes
    fields: tuple[_Put, ...]
    exact: tuple[_Octets, ...]
    """The same where all of them are exact; otherwise empty."""
    required: frozenset[int]
    """Positions of fields that every entry has: the exact ones."""
    translate: _Translate | None
    """Gives a key as the program has it; None: it has it as the planner does."""
    actions: dict[str, _Action]
    selected: bool
    """Whether an entry's actions stand in a set, one of which is taken by a hash."""


def _table(table: Message, actions: dict[int, tuple[str, _Action]], translate: _Translate | None) -> _Table:
    fields = table.match_fields
    required = frozenset(position for position, field in enumerate(fields) if field.match_type == p4i.MatchField.EXACT)
    return _Table(
        _tag(1, _VARINT) + varint(table.preamble.id),
        tuple(map(_field_encoder, fields)),
        tuple(_exact(field.id, field.bitwidth) for field in fields) if len(required) == len(fields) else (),
        required,
        translate,
        dict(actions[ref.id] for ref in table.action_refs),
        table.implementation_id != 0,
    )


class Encoder:
    """Encodes entries of one program.

    Args:
        info: its `p4.config.v1.P4Info`.
        copy_port: by which copies of a packet begin their second pass.
    """

    def __init__(self, info: Message, copy_port: int = p.COPY_PORT) -> None:
        self._copy_port = copy_port
        flows = FlowFields(info)
        translations = {} if flows.same else {p.FLOW_BINDINGS: flows.to_switch}
        actions = {
            action.preamble.id: (
                action_name(action),
                _Action(
                    _tag(1, _VARINT) + varint(action.preamble.id),
                    tuple(_param(param.id, param.bitwidth) for param in action.params),
                ),
            )
            for action in info.actions
        }
        self._tables = {
            table.preamble.alias: _table(table, actions, translations.get(table.preamble.alias))
            for table in info.tables
        }
        self._frames: dict[tuple[Op, int], bytes] = {}

    def entry(self, entry: Entry) -> bytes:
        """Return an entry as a serialised `p4.v1.TableEntry`, a multicast group as a `PacketReplicationEngineEntry`.

        Raises:
            CodecError: it does not fit the program.
        """
        if entry.table == p.MULTICAST_GROUPS:
            return _group(entry, self._copy_port)
        try:
            table = self._tables[entry.table]
            parts = [table.head]
            self._add_key(parts, table, entry.match)
            self._add_action(parts, table, entry)
            if entry.priority:
                parts.append(_PRIORITY + varint(entry.priority))
            if entry.rate is not None:
                parts.append(framed(_METER, _meter(entry.rate.per_second, entry.rate.burst)))
            return b"".join(parts)
        except (KeyError, ValueError, OverflowError, TypeError, AttributeError) as error:
            raise CodecError(f"{entry} does not fit the program: {error}") from error

    def update(self, update: Update) -> bytes:
        """Return an update as a field of a serialised `p4.v1.WriteRequest`. A deletion has the key alone.

        Raises:
            CodecError: its entry does not fit the program.
        """
        op, entry = update
        if entry.table == p.MULTICAST_GROUPS:
            return framed(
                _UPDATES, _TYPE[op] + framed(_ENTITY, framed(REPLICATION_ENTRY, _group(entry, self._copy_port)))
            )
        body = self.key(entry.key) if op is Op.DELETE else self.entry(entry)
        size = len(body)
        frame = self._frames.get((op, size))
        if frame is None:
            # The frame depends on the size alone; sizes are few.
            whole = framed(_UPDATES, _TYPE[op] + framed(_ENTITY, framed(TABLE_ENTRY, body)))
            frame = self._frames[op, size] = whole[: len(whole) - size]
        return frame + body

    def updates(self, updates: Iterable[Update]) -> bytes:
        """Return updates as fields of a serialised `p4.v1.WriteRequest`: append them to what its head serialises to."""
        return b"".join(map(self.update, updates))

    def key(self, key: EntryKey) -> bytes:
        """Return the key of an entry as a serialised `p4.v1.TableEntry` without action.

        Raises:
            CodecError: it does not fit the program.
        """
        name, match, priority = key
        try:
            table = self._tables[name]
            parts = [table.head]
            self._add_key(parts, table, match)
        except (KeyError, ValueError, OverflowError, TypeError, AttributeError) as error:
            raise CodecError(f"{name} {match} does not fit the program: {error}") from error
        if priority:
            parts.append(_PRIORITY + varint(priority))
        return b"".join(parts)

    @staticmethod
    def _add_key(parts: list[bytes], table: _Table, match: tuple[Match, ...]) -> None:
        if table.exact:
            _join(parts, table.exact, match)
            return
        if table.translate is not None:
            match = table.translate(match)
        for position, (put, value) in enumerate(zip(table.fields, match, strict=True)):
            if value is not None:
                parts.append(put(value))
            elif position in table.required:
                raise CodecError("an exact field has no value")

    @staticmethod
    def _add_action(parts: list[bytes], table: _Table, entry: Entry) -> None:
        action = table.actions.get(entry.action)
        if action is None:
            raise CodecError(f"table {entry.table} has no action {entry.action!r}")
        if table.selected:
            parts.append(_action_set(action, entry.params))
            return
        inner = [action.head]
        _join(inner, action.params, entry.params)
        content = b"".join(inner)
        size = len(content)
        if size < len(_ACTION_FRAMES):
            parts.append(_ACTION_FRAMES[size])
            parts.append(content)
        else:
            parts.append(framed(_ACTION_TAG, framed(_DIRECT, content)))


def _action_set(action: _Action, params: tuple[int, ...]) -> bytes:
    """Return a set of actions, each of the same weight."""
    count = len(action.params) or 1
    members: list[bytes] = []
    for start in range(0, len(params), count):
        inner = [action.head]
        _join(inner, action.params, params[start : start + count])
        members.append(framed(_DIRECT, framed(_DIRECT, b"".join(inner)) + _WEIGHT))
    if not members:
        raise CodecError("a set of actions is empty")
    return framed(_ACTION_TAG, framed(_SET, b"".join(members)))


def _group(entry: Entry, copy_port: int) -> bytes:
    """Return a multicast group: a copy for each BID, which it has as its instance number, by the port for copies.

    Raises:
        CodecError: it is no group.
    """
    try:
        (number,) = entry.match
        group = p4r.MulticastGroupEntry(multicast_group_id=number)
        for bid in entry.params:
            group.replicas.add(egress_port=copy_port, instance=bid)
        message = p4r.PacketReplicationEngineEntry(multicast_group_entry=group)
        content: bytes = message.SerializeToString(deterministic=True)
    except (TypeError, ValueError) as error:
        raise CodecError(f"{entry} is no multicast group: {error}") from error
    return content


_ACTION_TAG: Final = _tag(_ACTION, LENGTH_DELIMITED)
_DIRECT: Final = _tag(1, LENGTH_DELIMITED)
_SET: Final = _tag(4, LENGTH_DELIMITED)
_WEIGHT: Final = _tag(2, _VARINT) + varint(1)
_ACTION_FRAMES: Final = tuple(
    _ACTION_TAG + varint(1 + len(varint(size)) + size) + _DIRECT + varint(size) for size in range(256)
)
"""What stands before an action, by its size."""


def _meter(per_second: int, burst: int) -> bytes:
    # One colour boundary: committed and peak rate are the same, so a packet is green or red.
    config: bytes = p4r.MeterConfig(cir=per_second, cburst=burst, pir=per_second, pburst=burst).SerializeToString()
    return config
