"""Entries to P4Runtime and back: names to ids, integers to canonical octets (P4Runtime section 8.4)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from finsy.proto import p4i

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, EntryKey, Lpm, Match, Range, Rate, Ternary, Update
from controller.southbound.encoding import Encoder, Message, action_name
from controller.southbound.flow_fields import FlowFields
from controller.southbound.wire import CodecError

__all__ = ["Codec", "CodecError", "Message", "octets"]


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
    selected: bool
    """Whether an entry's actions stand in a set, one of which is taken by a hash."""


def octets(value: int) -> bytes:
    """Return an unsigned integer as the shortest byte string, at least one octet long (P4Runtime section 8.4)."""
    return value.to_bytes((value.bit_length() + 7) >> 3 or 1)


class Codec:
    """Translates entries of one program.

    Args:
        info: its `p4.config.v1.P4Info`.
        copy_port: by which copies of a packet begin their second pass.
    """

    def __init__(self, info: Message, copy_port: int = p.COPY_PORT) -> None:
        actions = {
            action.preamble.id: _Action(
                action.preamble.id, action_name(action), tuple(param.bitwidth for param in action.params)
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
                table.preamble.id, table.preamble.alias, fields, sparse, offered, table.implementation_id != 0
            )
        self._by_id = {table.id: table for table in self._tables.values()}
        drops = (p.DROPS_COUNTER, p.EGRESS_DROPS_COUNTER)
        self.drop_counters: Final = tuple(c.preamble.id for c in info.counters if c.preamble.alias in drops)
        """The ids of the counters that have a cell for each reason to drop."""
        self._copy_port = copy_port
        self._encoder = Encoder(info, copy_port)
        self._flows = FlowFields(info)

    @property
    def table_ids(self) -> dict[str, int]:
        """The id of each table by name."""
        return {name: table.id for name, table in self._tables.items()}

    # Encoding.

    def updates(self, updates: Iterable[Update]) -> bytes:
        """Return updates as fields of a serialised `p4.v1.WriteRequest`.

        Raises:
            CodecError: an entry does not fit the program.
        """
        return self._encoder.updates(updates)

    def entry(self, entry: Entry) -> bytes:
        """Return an entry as a serialised `p4.v1.TableEntry`: the only serialisation that it has here.

        Raises:
            CodecError: it does not fit the program.
        """
        return self._encoder.entry(entry)

    def key(self, key: EntryKey) -> bytes:
        """Return the key of an entry as a serialised `p4.v1.TableEntry` without action.

        Raises:
            CodecError: it does not fit the program.
        """
        return self._encoder.key(key)

    # Decoding.

    def decode(self, message: Message) -> Entry:
        """Return the entry that a `p4.v1.TableEntry` holds, in the one form that its like always has.

        Raises:
            CodecError: it is not of this program.
        """
        table = self._by_id.get(message.table_id)
        if table is None:
            raise CodecError(f"table id {message.table_id} is not in the program")
        if table.selected:
            name, params = self._decode_set(table, message.action.action_profile_action_set.action_profile_actions)
        else:
            name, params = self._decode_action(table, message.action.action)
        meter = message.meter_config
        rate = Rate(meter.pir, meter.pburst) if message.HasField("meter_config") and meter.pir else None
        return Entry(table.name, self._match(table, message), name, params, message.priority, rate)

    def _decode_action(self, table: _Table, action: Message) -> tuple[str, tuple[int, ...]]:
        name = self._action_names.get(action.action_id)
        if name is None or name not in table.actions:
            raise CodecError(f"an entry of {table.name} has action {action.action_id}, which is not the table's")
        values = {param.param_id: int.from_bytes(param.value) for param in action.params}
        try:
            return name, tuple(values[number] for number in self._param_ids[table.actions[name].id])
        except KeyError as error:
            raise CodecError(f"an entry of {table.name} lacks parameter {error} of {name}") from None

    def _decode_set(self, table: _Table, members: Sequence[Message]) -> tuple[str, tuple[int, ...]]:
        """Return the one action of a set, and the parameters of all of its members as often as their weights say."""
        found = [(*self._decode_action(table, member.action), member.weight) for member in members]
        names = {name for name, _, _ in found}
        if len(names) != 1 or not all(0 < weight <= p.PATH_BUCKETS for _, _, weight in found):
            raise CodecError(
                f"an entry of {table.name} has no set of one action, each of a weight from 1 to {p.PATH_BUCKETS}"
            )
        return names.pop(), tuple(value for _, params, weight in found for value in params * weight)

    def decode_group(self, message: Message) -> Entry:
        """Return the entry that a `p4.v1.PacketReplicationEngineEntry` holds; copies by another port are none.

        Raises:
            CodecError: it is no multicast group of ours.
        """
        if not message.HasField("multicast_group_entry"):
            raise CodecError("the replication engine has an entry that is no multicast group")
        group = message.multicast_group_entry
        if any(replica.instance == 0 for replica in group.replicas):
            raise CodecError(f"multicast group {group.multicast_group_id} has a copy without a BID")
        bids = tuple(sorted(replica.instance for replica in group.replicas if _port(replica) == self._copy_port))
        return Entry(p.MULTICAST_GROUPS, (group.multicast_group_id,), p.COPY, bids)

    def decode_key(self, message: Message) -> EntryKey:
        """Return the key of a `p4.v1.TableEntry`, whatever its action.

        Raises:
            CodecError: it is not of this program.
        """
        table = self._by_id.get(message.table_id)
        if table is None:
            raise CodecError(f"table id {message.table_id} is not in the program")
        return table.name, self._match(table, message), message.priority

    def _match(self, table: _Table, message: Message) -> tuple[Match, ...]:
        if not table.sparse and len(message.match) == len(table.fields):
            found = {part.field_id: int.from_bytes(part.exact.value) for part in message.match}
            if len(found) == len(table.fields):
                return tuple(found[field.id] for field in table.fields)
        parts = {part.field_id: part for part in message.match}
        match = tuple(_value(field, parts.get(field.id)) for field in table.fields)
        return self._flows.from_switch(match) if table.name == p.FLOW_BINDINGS and not self._flows.same else match


def _port(replica: Message) -> int:
    return int.from_bytes(replica.port) if replica.WhichOneof("port_kind") == "port" else int(replica.egress_port)


_EXACT: Final = p4i.MatchField.EXACT
_LPM: Final = p4i.MatchField.LPM
_TERNARY: Final = p4i.MatchField.TERNARY
_RANGE: Final = p4i.MatchField.RANGE


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
