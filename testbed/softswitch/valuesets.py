"""Parser value sets: what a parser's select compares with, and P4Runtime can change."""

from collections.abc import Iterator, Mapping

from finsy.proto import p4r

from testbed.softswitch import errors
from testbed.softswitch.errors import EntityError, invalid
from testbed.softswitch.schema import Schema, ValueSetSchema
from testbed.softswitch.tables import Match
from testbed.softswitch.values import MODIFY, decode_key, encode_key


class ValueSetEntries:
    """Writes and reads the value sets of one pipeline."""

    def __init__(self, schema: Schema) -> None:
        self._sets = schema.value_sets

    def write(self, kind: int, message: p4r.ValueSetEntry) -> None:
        """Exchange all members of a set.

        Raises:
            EntityError: unknown set, an update other than MODIFY, a bad, duplicate or supernumerary member; nothing is changed.
        """
        if kind != MODIFY:
            raise invalid("a value set can only be modified")
        found = _find(self._sets, message.value_set_id)
        members = [_member(member, found) for member in message.members]
        if len(set(members)) != len(members):
            raise EntityError(errors.ALREADY_EXISTS, f"value set {found.name}: a member is given twice")
        if len(members) > found.size:
            raise EntityError(errors.RESOURCE_EXHAUSTED, f"value set {found.name}: it takes {found.size} members")
        found.values.replace(members)

    def read(self, message: p4r.ValueSetEntry) -> Iterator[p4r.Entity]:
        """The set that is asked for, or, for id 0, all.

        Raises:
            EntityError: unknown set.
        """
        wanted = message.value_set_id
        for found in [_find(self._sets, wanted)] if wanted else list(self._sets.values()):
            entity = p4r.Entity()
            entity.value_set_entry.value_set_id = found.id
            for match in found.values.members:
                encode_key(entity.value_set_entry.members.add().match, found.fields, match)
            yield entity


def _find(sets: Mapping[int, ValueSetSchema], number: int) -> ValueSetSchema:
    if number not in sets:
        raise invalid(f"no value set with id {number}")
    return sets[number]


def _member(message: p4r.ValueSetMember, found: ValueSetSchema) -> Match:
    return decode_key(message.match, found.fields, f"value set {found.name}")
