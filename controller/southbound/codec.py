"""Entries to P4Runtime messages and back: names to ids, integers to canonical octets (P4Runtime section 8.4).

Every shape of update (operation, table, action, which fields are given) is built once as a template; encoding copies it and
puts the values in. That is several times faster than building messages from objects.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from finsy.proto import p4i, p4r

from controller.dataplane.entries import Entry, EntryKey, Lpm, Match, Op, Range, Rate, Ternary, Update

Message: TypeAlias = Any
"""A message of finsy's protocol buffers: the package has no types."""


class CodecError(ValueError):
    """An entry does not fit the program, or a switch sent what does not."""


@dataclass(frozen=True, slots=True)
class _Field:
    id: int
    name: str
    width: int
    kind: int


@dataclass(frozen=True, slots=True)
class _Action:
    id: int
    name: str
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Table:
    id: int
    name: str
    fields: tuple[_Field, ...]
    sparse: bool
    """Whether fields may be left out."""
    actions: dict[str, _Action]


_ShapeKey: TypeAlias = tuple[int, str, str, tuple[bool, ...] | None]
_Shape: TypeAlias = tuple[Message, tuple[_Field, ...], tuple[int, ...]]


def octets(value: int) -> bytes:
    """Return an unsigned integer as the shortest byte string, at least one octet long (P4Runtime section 8.4)."""
    return value.to_bytes((value.bit_length() + 7) >> 3 or 1)


class Codec:
    """Translates entries of one program.

    Args:
        info: its `p4.config.v1.P4Info`.
    """

    def __init__(self, info: Message) -> None:
        actions = {
            action.preamble.id: _Action(
                action.preamble.id, action.preamble.alias, tuple(param.bitwidth for param in action.params)
            )
            for action in info.actions
        }
        self._param_ids = {action.preamble.id: tuple(param.id for param in action.params) for action in info.actions}
        self._action_names = {number: action.name for number, action in actions.items()}
        self._tables = {}
        for table in info.tables:
            fields = tuple(
                _Field(field.id, field.name, field.bitwidth, field.match_type) for field in table.match_fields
            )
            offered = {actions[ref.id].name: actions[ref.id] for ref in table.action_refs}
            sparse = any(field.kind != p4i.MatchField.EXACT for field in fields)
            self._tables[table.preamble.alias] = _Table(
                table.preamble.id, table.preamble.alias, fields, sparse, offered
            )
        self._by_id = {table.id: table for table in self._tables.values()}
        self._shapes: dict[_ShapeKey, _Shape] = {}

    @property
    def table_ids(self) -> dict[str, int]:
        """The id of each table by name."""
        return {name: table.id for name, table in self._tables.items()}

    # Encoding.

    def add_updates(self, request: Message, updates: Iterable[Update]) -> None:
        """Append updates to a `p4.v1.WriteRequest`.

        Raises:
            CodecError: an entry does not fit the program.
        """
        add = request.updates.add
        shapes = self._shapes
        try:
            for update in updates:
                op, entry = update
                table = self._tables[entry.table]
                given = tuple(match is not None for match in entry.match) if table.sparse else None
                shape = shapes.get((op, entry.table, entry.action, given))
                template, fields, widths = shape if shape is not None else self._new_shape(op, entry, given)
                message = add()
                message.CopyFrom(template)
                _put_values(message.entity.table_entry, entry, fields, widths)
        except (KeyError, ValueError, OverflowError, TypeError, AttributeError) as error:
            raise CodecError(f"{update.entry} does not fit the program: {error}") from error

    def entry_message(self, entry: Entry) -> Message:
        """Return an entry as `p4.v1.TableEntry`.

        Raises:
            CodecError: it does not fit the program.
        """
        request = p4r.WriteRequest()
        self.add_updates(request, [Update(Op.INSERT, entry)])
        return request.updates[0].entity.table_entry

    def _new_shape(self, op: Op, entry: Entry, given: tuple[bool, ...] | None) -> _Shape:
        table = self._tables[entry.table]
        if entry.action not in table.actions:
            raise CodecError(f"table {table.name} has no action {entry.action!r}")
        action = table.actions[entry.action]
        if len(entry.match) != len(table.fields):
            raise CodecError(f"table {table.name} has {len(table.fields)} fields, not {len(entry.match)}")
        message = p4r.Update(type=int(op))
        body = message.entity.table_entry
        body.table_id = table.id
        present = tuple(field for index, field in enumerate(table.fields) if given is None or given[index])
        for field in present:
            _set_kind(body.match.add(field_id=field.id), field)
        if len(present) != len(table.fields) and any(
            field.kind == p4i.MatchField.EXACT for field in table.fields if field not in present
        ):
            raise CodecError(f"an exact field of {table.name} has no value")
        body.action.action.action_id = action.id
        for param_id in self._param_ids[action.id]:
            body.action.action.params.add(param_id=param_id)
        shape = (message, present, action.widths)
        self._shapes[op, entry.table, entry.action, given] = shape
        return shape

    # Decoding.

    def decode(self, message: Message) -> Entry:
        """Return the entry that a `p4.v1.TableEntry` holds, in the one form that its like always has.

        Raises:
            CodecError: it is not of this program.
        """
        table = self._by_id.get(message.table_id)
        if table is None:
            raise CodecError(f"table id {message.table_id} is not in the program")
        name = self._action_names.get(message.action.action.action_id)
        if name is None or name not in table.actions:
            raise CodecError(
                f"an entry of {table.name} has action {message.action.action.action_id}, which is not the table's"
            )
        values = {param.param_id: int.from_bytes(param.value) for param in message.action.action.params}
        try:
            params = tuple(values[number] for number in self._param_ids[table.actions[name].id])
        except KeyError as error:
            raise CodecError(f"an entry of {table.name} lacks parameter {error} of {name}") from None
        meter = message.meter_config
        rate = Rate(meter.pir, meter.pburst) if message.HasField("meter_config") and meter.pir else None
        return Entry(table.name, self._match(table, message), name, params, message.priority, rate)

    def decode_key(self, message: Message) -> EntryKey:
        """Return the key of a `p4.v1.TableEntry`, whatever its action.

        Raises:
            CodecError: it is not of this program.
        """
        table = self._by_id.get(message.table_id)
        if table is None:
            raise CodecError(f"table id {message.table_id} is not in the program")
        return table.name, self._match(table, message), message.priority

    @staticmethod
    def _match(table: _Table, message: Message) -> tuple[Match, ...]:
        if not table.sparse and len(message.match) == len(table.fields):
            found = {part.field_id: int.from_bytes(part.exact.value) for part in message.match}
            if len(found) == len(table.fields):
                return tuple(found[field.id] for field in table.fields)
        parts = {part.field_id: part for part in message.match}
        return tuple(_value(field, parts.get(field.id)) for field in table.fields)


_EXACT: Final = p4i.MatchField.EXACT
_LPM: Final = p4i.MatchField.LPM
_TERNARY: Final = p4i.MatchField.TERNARY
_RANGE: Final = p4i.MatchField.RANGE


def _set_kind(part: Message, field: _Field) -> None:
    """Choose the member of the match that a field's kind asks for; values follow."""
    if field.kind == _EXACT:
        part.exact.value = b"\0"
    elif field.kind == _LPM:
        part.lpm.value = b"\0"
    elif field.kind == _TERNARY:
        part.ternary.value = b"\0"
    elif field.kind == _RANGE:
        part.range.low = b"\0"
    else:
        raise CodecError(f"field {field.name} is matched in a way that is not supported")


def _fit(value: int, width: int) -> bytes:
    length = value.bit_length()
    if length > width:
        raise CodecError(f"{value} has more than {width} bits")
    return value.to_bytes((length + 7) >> 3 or 1)


def _put_values(body: Message, entry: Entry, fields: tuple[_Field, ...], widths: tuple[int, ...]) -> None:
    values: Iterable[Any] = entry.match if len(fields) == len(entry.match) else filter(_is_given, entry.match)
    for part, field, value in zip(body.match, fields, values, strict=True):
        kind, width = field.kind, field.width
        if kind == _EXACT:
            part.exact.value = _fit(value, width)
        elif kind == _LPM:
            lpm = part.lpm
            lpm.value = _fit(value.value, width)
            lpm.prefix_len = value.length
        elif kind == _TERNARY:
            ternary = part.ternary
            ternary.value = _fit(value.value, width)
            ternary.mask = _fit(value.mask, width)
        else:
            both = part.range
            both.low = _fit(value.low, width)
            both.high = _fit(value.high, width)
    if entry.params or widths:
        for param, width, number in zip(body.action.action.params, widths, entry.params, strict=True):
            param.value = _fit(number, width)
    if entry.priority:
        body.priority = entry.priority
    if entry.rate is not None:
        # One colour boundary: committed and peak rate are the same, so a packet is green or red.
        meter = body.meter_config
        meter.cir = meter.pir = entry.rate.per_second
        meter.cburst = meter.pburst = entry.rate.burst


def _is_given(match: Match) -> bool:
    return match is not None


def _value(field: _Field, part: Message | None) -> Match:
    """Return a field's value; what matches everything becomes None, so that equal entries compare equal."""
    if part is None:
        if field.kind == _EXACT:
            raise CodecError(f"exact field {field.name} has no value")
        return None
    if field.kind == _EXACT:
        return int.from_bytes(part.exact.value)
    if field.kind == _LPM:
        length = part.lpm.prefix_len
        shift = field.width - length
        return Lpm(int.from_bytes(part.lpm.value) >> shift << shift, length) if length else None
    if field.kind == _TERNARY:
        mask = int.from_bytes(part.ternary.mask)
        return Ternary(int.from_bytes(part.ternary.value) & mask, mask) if mask else None
    low, high = int.from_bytes(part.range.low), int.from_bytes(part.range.high)
    return None if (low, high) == (0, (1 << field.width) - 1) else Range(low, high)
