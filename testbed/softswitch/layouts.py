"""Entries as nearly every client writes them, told by their octets.

To take a message apart member by member costs more than all else that a write does. But most messages to one table have the same
members in the same order: all fields of the key, all exact, and an action with all of its parameters. Two of them whose values take as
many octets differ in nothing but the values. So what was found right in one message, its layout, is right in the other.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from struct import Struct
from typing import Final, TypeAlias

from finsy.proto import p4r

from testbed.softswitch.bytestrings import shared
from testbed.softswitch.schema import ActionRef, MatchField, Param
from testbed.softswitch.tables import Args, Match, Part

Chosen: TypeAlias = tuple[int, Args]
"""Number and arguments of an entry's action."""

_USUAL: Final = frozenset({"table_id", "match", "action"})
_MOST: Final = 1024
"""Layouts of one table; a program's own clients need some dozens."""


class _Layout:
    """One layout: the octets that are always the same, and where the values are.

    Args:
        data: a message that has it.
        other: the same with other octets in all values.
        fields: of the table.
        action: which the message has, if any.
    """

    __slots__ = ("_action", "_constant", "_fulls", "_odd", "_struct")

    def __init__(self, data: bytes, other: bytes, fields: Sequence[MatchField], action: ActionRef | None) -> None:
        runs = [len(list(run)) for _, run in groupby(map(int.__eq__, data, other))]
        self._struct = Struct("".join(f"{size}s" for size in runs))
        self._constant = self._struct.unpack(data)[::2]
        self._fulls = tuple((1 << field.width) - 1 for field in fields)
        self._action = action
        values: list[MatchField | Param] = [*fields, *(action.params if action else ())]
        self._odd = tuple((place, value.width) for place, value in enumerate(values) if value.width % 8)

    def decode(self, data: bytes) -> tuple[Match, Chosen | None] | None:
        """Return what `Layouts.decode` does, of a message of the same size."""
        parts = self._struct.unpack(data)
        if parts[::2] != self._constant:
            return None
        values = tuple(map(shared, map(int.from_bytes, parts[1::2])))
        for place, width in self._odd:
            if values[place] >> width:
                return None
        match = tuple(map(Part, values, self._fulls))
        return match, None if self._action is None else (self._action.index, values[len(match) :])


class Layouts:
    """The layouts of one table, learned from what was written to it.

    Args:
        fields: of the table, all exact.
        actions: by id.
    """

    def __init__(self, fields: Sequence[MatchField], actions: Mapping[int, ActionRef]) -> None:
        self._fields = fields
        self._actions = actions
        self._known: dict[int, list[_Layout]] = {}
        self._count = 0

    def decode(self, message: p4r.TableEntry) -> tuple[Match, Chosen | None] | None:
        """Return key and action of a message that is right and has no other members; None if that is not known of this one.

        The action is None if the message has none.
        """
        data = message.SerializeToString()
        for layout in self._known.get(len(data), ()):
            found = layout.decode(data)
            if found is not None:
                return found
        return None

    def learn(self, message: p4r.TableEntry) -> None:
        """Remember the layout of a message that was carried out."""
        if self._count >= _MOST or not {field.name for field, _ in message.ListFields()} <= _USUAL:
            return
        action, params = message.action.action, tuple[Param, ...]()
        ref = self._actions.get(action.action_id) if message.HasField("action") else None
        if ref is not None:
            params = ref.params
        given = [(match.field_id, len(match.exact.value)) for match in message.match]
        given += [(param.param_id, len(param.value)) for param in action.params]
        wanted: list[MatchField | Param] = [*self._fields, *params]
        # Octets in front that are zero are allowed, as many as one likes: of those we remember nothing.
        if [number for number, _ in given] != [value.id for value in wanted] or any(
            not 0 < size <= (value.width + 7) // 8 for (_, size), value in zip(given, wanted, strict=True)
        ):
            return
        layout = _Layout(message.SerializeToString(), _other(message).SerializeToString(), self._fields, ref)
        self._known.setdefault(message.ByteSize(), []).append(layout)
        self._count += 1


def _other(message: p4r.TableEntry) -> p4r.TableEntry:
    """The same message, but every octet of every value another one."""
    other = p4r.TableEntry()
    other.CopyFrom(message)
    for match in other.match:
        match.exact.value = bytes(octet ^ 0xFF for octet in match.exact.value)
    for param in other.action.action.params:
        param.value = bytes(octet ^ 0xFF for octet in param.value)
    return other
