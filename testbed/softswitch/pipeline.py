"""A program that is in force: compiled code, its P4Info, and the entities of both."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from finsy.proto import p4i, p4r
from google.protobuf import text_format

from testbed.softswitch.ageing import Ageing
from testbed.softswitch.arrays import Arrays
from testbed.softswitch.binding import bind, check_supported, visible_tables
from testbed.softswitch.compiler import compile_program
from testbed.softswitch.copies import ReplicationEntries
from testbed.softswitch.digests import Digests
from testbed.softswitch.entities import TableEntries
from testbed.softswitch.errors import ArtefactError, invalid, unimplemented
from testbed.softswitch.loader import load_program
from testbed.softswitch.members import ProfileEntries
from testbed.softswitch.packet_io import PacketIo
from testbed.softswitch.values import DELETE, INSERT, MODIFY
from testbed.softswitch.valuesets import ValueSetEntries

_KINDS = frozenset({INSERT, MODIFY, DELETE})


class ForwardingPipeline:
    """Compiles a program together with its P4Info.

    Args:
        info: the P4Info.
        config: the device configuration: BMv2's JSON.
        cookie: what the controller calls it.
        clock: seconds, monotonic.

    Raises:
        ArtefactError: the two are malformed or do not belong together.
        UnsupportedError: the switch cannot run it.
    """

    def __init__(
        self, info: p4i.P4Info, config: bytes, cookie: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        check_supported(info)
        self.info = info
        self.config = config
        self.cookie = cookie
        self.compiled = compile_program(load_program(config), clock, visible_tables(info))
        self.schema = bind(info, self.compiled)
        self.process = self.compiled.process
        self.packet_io = PacketIo(self.schema.packet_in, self.schema.packet_out)
        self.send: Callable[[p4r.StreamMessageResponse], None] = lambda _message: None
        """Takes digests and idle timeouts for the primary."""
        profiles, arrays = ProfileEntries(self.schema), Arrays(self.schema, clock)
        self._ageing = Ageing(clock, self._send)
        self._digests = Digests(self.schema.digests, clock, self._send)
        self.compiled.hooks.learn = self._digests.learn
        self._tables = tables = TableEntries(self.schema, profiles, self._ageing, clock)
        copies, value_sets = ReplicationEntries(self.compiled.replication), ValueSetEntries(self.schema)
        self._writers: dict[str, Callable[[int, Any], None]] = {
            "table_entry": tables.write,
            "action_profile_member": profiles.write_member,
            "action_profile_group": profiles.write_group,
            "direct_counter_entry": tables.write_direct_counter,
            "direct_meter_entry": tables.write_direct_meter,
            "counter_entry": arrays.write_counter,
            "meter_entry": arrays.write_meter,
            "register_entry": arrays.write_register,
            "packet_replication_engine_entry": copies.write,
            "value_set_entry": value_sets.write,
            "digest_entry": self._digests.write,
        }
        self._readers: dict[str, Callable[[Any], Iterator[p4r.Entity]]] = {
            "table_entry": tables.read,
            "action_profile_member": profiles.read_member,
            "action_profile_group": profiles.read_group,
            "direct_counter_entry": tables.read_direct_counter,
            "direct_meter_entry": tables.read_direct_meter,
            "counter_entry": arrays.read_counter,
            "meter_entry": arrays.read_meter,
            "register_entry": arrays.read_register,
            "packet_replication_engine_entry": copies.read,
            "value_set_entry": value_sets.read,
            "digest_entry": self._digests.read,
        }

    def _send(self, message: p4r.StreamMessageResponse) -> None:
        self.send(message)

    def tick(self) -> None:
        """Send what is due: digests that have waited long enough, entries that are idle."""
        self._ageing.tick()
        self._digests.tick()

    def acknowledge(self, message: p4r.DigestListAck) -> None:
        """Take the acknowledgement of a list of digests.

        Raises:
            EntityError: no such digest.
        """
        self._digests.ack(message)

    def write(self, update: p4r.Update) -> None:
        """Apply one update.

        Raises:
            EntityError: it is not valid or cannot be done; nothing is changed.
        """
        kind, entity = update.type, update.entity
        if kind not in _KINDS:
            raise invalid("an update must be INSERT, MODIFY or DELETE")
        which = entity.WhichOneof("entity")
        if which is None:
            raise invalid("the update names no entity")
        writer = self._writers.get(which)
        if writer is None:
            raise unimplemented(f"writing a {which}")
        writer(kind, getattr(entity, which))

    def changed_defaults(self) -> Iterator[p4r.Entity]:
        """The default entries that are not the program's."""
        return self._tables.read_changed_defaults()

    def read(self, entity: p4r.Entity) -> Iterator[p4r.Entity]:
        """What a request's entity asks for.

        Raises:
            EntityError: it is not valid.
        """
        which = entity.WhichOneof("entity")
        if which is None:
            raise invalid("the request names no entity")
        if which not in self._readers:
            raise unimplemented(f"reading a {which}")
        return self._readers[which](getattr(entity, which))


def parse_p4info(text: str) -> p4i.P4Info:
    """A P4Info in text format.

    Raises:
        ArtefactError: it is not one.
    """
    try:
        return text_format.Parse(text, p4i.P4Info())
    except text_format.ParseError as error:
        raise ArtefactError(f"the P4Info cannot be read: {error}") from None
