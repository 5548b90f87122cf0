"""Updates of table entries as bytes on the wire, without a message object for each.

Every shape of entry (table, action, which fields are given) is taken apart once: what never changes is kept as bytes, and
encoding puts the values into it. That is several times faster than building messages, and because an entry has one encoding
only, what a switch reads back is compared as bytes too.

Field numbers are those of p4/v1/p4runtime.proto; the octets of values are canonical (P4Runtime section 8.4).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from finsy.proto import p4i, p4r

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, EntryKey, Match, Op, Update
from controller.southbound.flow_fields import FlowFields
from controller.southbound.wire import CodecError, Piece, Template, constant, framed, member, number_field, tag

Message: TypeAlias = Any
"""A message of finsy's protocol buffers: the package has no types."""

_Put: TypeAlias = Callable[[Any], bytes]
"""Encodes one field of a key."""
_Translate: TypeAlias = Callable[[tuple[Match, ...]], tuple[Match, ...]]


def action_name(action: Message) -> str:
    """Return the name of an action of P4Info, without the control that an alias has before it where two controls have one such name."""
    return str(action.preamble.alias).rpartition(".")[2]


_UPDATES: Final = tag(4)
_TYPE: Final = {op: number_field(1, op) for op in Op}
_ENTITY: Final = tag(2)
TABLE_ENTRY: Final = tag(2)
"""The tag of a table entry in an entity."""
REPLICATION_ENTRY: Final = tag(9)
"""The tag of an entry of the packet replication engine in an entity."""
_MATCH, _ACTION, _PRIORITY, _METER = 2, 3, 4, 6
"""Members of a table entry."""
_EXACT, _TERNARY, _LPM, _RANGE = 2, 3, 4, 6
"""Members of a match."""
_DIRECT, _SET = 1, 4
"""Members of an entry's action: the one action, or a set."""
_WEIGHT: Final = constant(number_field(2, 1))


def _match(field_id: int, kind: int, *members: Piece) -> Piece:
    return member(_MATCH, constant(number_field(1, field_id)), member(kind, *members))


def _exact(field_id: int, value: Piece) -> Piece:
    return _match(field_id, _EXACT, member(1, value))


def _put_exact(field_id: int, width: int) -> _Put:
    template = Template((width,), lambda values: _exact(field_id, values[0]))
    return lambda value: template.encode((value,))


def _put_pair(field_id: int, width: int, kind: int) -> _Put:
    """Return the encoder of a ternary or range match: two strings of octets."""
    return Template(
        (width, width), lambda values: _match(field_id, kind, member(1, values[0]), member(2, values[1]))
    ).encode


def _put_lpm(field_id: int, width: int) -> _Put:
    def of_length(length: int) -> Template:
        return Template(
            (width,), lambda values: _match(field_id, _LPM, member(1, values[0]), constant(number_field(2, length)))
        )

    templates = {length: of_length(length) for length in range(1, width + 1)}

    def put(match: tuple[int, int]) -> bytes:
        value, length = match
        if length not in templates:
            raise CodecError(f"a prefix length of {length}, in a field of {width} bits")
        return templates[length].encode((value,))

    return put


def _field_encoder(field: Message) -> _Put:
    number, width = int(field.id), int(field.bitwidth)
    if field.match_type == p4i.MatchField.EXACT:
        return _put_exact(number, width)
    if field.match_type == p4i.MatchField.LPM:
        return _put_lpm(number, width)
    if field.match_type == p4i.MatchField.TERNARY:
        return _put_pair(number, width, _TERNARY)
    if field.match_type == p4i.MatchField.RANGE:
        return _put_pair(number, width, _RANGE)
    raise CodecError(f"field {field.name} is matched in a way that is not supported")


@dataclass(frozen=True, slots=True)
class _Action:
    id: int
    params: tuple[int, ...]
    """Their ids."""
    widths: tuple[int, ...]

    def piece(self, values: Sequence[Piece]) -> Piece:
        """Return it in an entry or in a member of a set."""
        params = (
            member(4, constant(number_field(2, number)), member(3, value))
            for number, value in zip(self.params, values, strict=True)
        )
        return member(_DIRECT, constant(number_field(1, self.id)), *params)


@dataclass(frozen=True, slots=True)
class _Table:
    head: bytes
    fields: tuple[_Put, ...]
    required: frozenset[int]
    """Positions of fields that every entry has: the exact ones."""
    translate: _Translate | None
    """Gives a key as the program has it; None: it has it as the planner does."""
    key: Template | None
    """Head and key in one, where all fields are exact."""
    whole: dict[str, Template]
    """Head, key and action in one, by the name of the action, where all fields are exact and an entry has one action."""
    actions: dict[str, tuple[int, Template]]
    """By name: how many parameters each has, and how it stands in an entry; in tables with sets as a member of a set."""
    selected: bool
    """Whether an entry's actions stand in a set, one of which is taken by a hash."""


def _table(table: Message, actions: dict[int, tuple[str, _Action]], translate: _Translate | None) -> _Table:
    fields, selected = table.match_fields, table.implementation_id != 0
    required = frozenset(position for position, field in enumerate(fields) if field.match_type == p4i.MatchField.EXACT)
    head = number_field(1, table.preamble.id)
    offered = dict(actions[ref.id] for ref in table.action_refs)
    key, whole = None, {}
    if len(required) == len(fields):
        ids, widths = tuple(field.id for field in fields), tuple(field.bitwidth for field in fields)
        key = Template(widths, lambda values: _joined(constant(head), *map(_exact, ids, values)))
        if not selected:
            whole = {name: _whole(head, ids, widths, action) for name, action in offered.items()}
    stands = _as_member if selected else _alone
    return _Table(
        head,
        tuple(map(_field_encoder, fields)),
        required,
        translate,
        key,
        whole,
        {name: (len(action.params), stands(action)) for name, action in offered.items()},
        selected,
    )


def _joined(*pieces: Piece) -> Piece:
    return Piece(b"".join(piece.text for piece in pieces), sum(piece.size for piece in pieces))


def _alone(action: _Action) -> Template:
    return Template(action.widths, lambda values: member(_ACTION, action.piece(values)))


def _as_member(action: _Action) -> Template:
    return Template(action.widths, lambda values: member(1, action.piece(values), _WEIGHT))


def _whole(head: bytes, ids: tuple[int, ...], widths: tuple[int, ...], action: _Action) -> Template:
    def make(values: Sequence[Piece]) -> Piece:
        params = member(_ACTION, action.piece(values[len(ids) :]))
        return _joined(constant(head), *map(_exact, ids, values[: len(ids)]), params)

    return Template((*widths, *action.widths), make)


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
                    action.preamble.id,
                    tuple(param.id for param in action.params),
                    tuple(param.bitwidth for param in action.params),
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
        name, match, action, params, priority, rate = entry
        if name == p.MULTICAST_GROUPS:
            return _group(entry, self._copy_port)
        try:
            table = self._tables[name]
            whole = table.whole.get(action)
            if whole is not None and len(match) == len(table.fields):
                body = whole.encode(match + params)
            else:
                body = _key(table, match) + _action(table, entry)
            if priority:
                body += number_field(_PRIORITY, priority)
            if rate is not None:
                body += framed(tag(_METER), _meter(rate.per_second, rate.burst))
        except (KeyError, ValueError, OverflowError, TypeError, AttributeError) as error:
            raise CodecError(f"{entry} does not fit the program: {error}") from error
        return body

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
            body = _key(self._tables[name], match)
        except (KeyError, ValueError, OverflowError, TypeError, AttributeError) as error:
            raise CodecError(f"{name} {match} does not fit the program: {error}") from error
        return body + number_field(_PRIORITY, priority) if priority else body


def _key(table: _Table, match: tuple[Match, ...]) -> bytes:
    """Return the number of the table, and the key."""
    if table.key is not None:
        return table.key.encode(match)
    if table.translate is not None:
        match = table.translate(match)
    parts = [table.head]
    for position, (put, value) in enumerate(zip(table.fields, match, strict=True)):
        if value is not None:
            parts.append(put(value))
        elif position in table.required:
            raise CodecError("an exact field has no value")
    return b"".join(parts)


def _action(table: _Table, entry: Entry) -> bytes:
    """Return an entry's action, or its set of actions, each of the same weight."""
    if entry.action not in table.actions:
        raise CodecError(f"table {entry.table} has no action {entry.action!r}")
    count, template = table.actions[entry.action]
    params = entry.params
    if not table.selected:
        return template.encode(params)
    if not params:
        raise CodecError("a set of actions is empty")
    step = count or 1
    members = [template.encode(params[start : start + step]) for start in range(0, len(params), step)]
    return framed(tag(_ACTION), framed(tag(_SET), b"".join(members)))


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


def _meter(per_second: int, burst: int) -> bytes:
    # One colour boundary: committed and peak rate are the same, so a packet is green or red.
    config: bytes = p4r.MeterConfig(cir=per_second, cburst=burst, pir=per_second, pburst=burst).SerializeToString()
    return config
