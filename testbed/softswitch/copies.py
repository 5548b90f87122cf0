"""Multicast groups and clone sessions as P4Runtime writes and reads them."""

from collections.abc import Iterable, Iterator

from finsy.proto import p4r

from testbed.softswitch import errors
from testbed.softswitch.bytestrings import decode, encode
from testbed.softswitch.errors import EntityError, invalid, not_found, unimplemented
from testbed.softswitch.replication import Copy, Replication
from testbed.softswitch.values import DELETE, INSERT

PORT_BITS = 9
INSTANCE_BITS = 16
MAX_SESSION = 0x7FFF


class ReplicationEntries:
    """Writes and reads the packet replication engine of one pipeline."""

    def __init__(self, replication: Replication) -> None:
        self._replication = replication
        self._metadata: dict[int, bytes] = {}
        """What the controller has attached to multicast groups."""

    def write(self, kind: int, message: p4r.PacketReplicationEngineEntry) -> None:
        """Apply one update.

        Raises:
            EntityError: it is not valid or cannot be done; nothing is changed.
        """
        which = message.WhichOneof("type")
        if which == "multicast_group_entry":
            group = message.multicast_group_entry
            if not 0 < group.multicast_group_id < 1 << 16:
                raise invalid(f"the multicast group {group.multicast_group_id} is not in 1 to 65535")
            copies = () if kind == DELETE else _copies(group.replicas, None)
            self._store(kind, self._replication.groups, group.multicast_group_id, copies, "multicast group")
            self._metadata[group.multicast_group_id] = group.metadata
            if kind == DELETE:
                del self._metadata[group.multicast_group_id]
        elif which == "clone_session_entry":
            session = message.clone_session_entry
            if not 0 < session.session_id <= MAX_SESSION:
                raise invalid(f"the clone session {session.session_id} is not in 1 to {MAX_SESSION}")
            if session.class_of_service and kind != DELETE:
                raise unimplemented("a clone session with a class of service")
            copies = () if kind == DELETE else _copies(session.replicas, session.packet_length_bytes or None)
            self._store(kind, self._replication.sessions, session.session_id, copies, "clone session")
        else:
            raise invalid("the replication entry is neither a multicast group nor a clone session")

    @staticmethod
    def _store(kind: int, known: dict[int, tuple[Copy, ...]], number: int, copies: tuple[Copy, ...], what: str) -> None:
        if kind == INSERT:
            if number in known:
                raise EntityError(errors.ALREADY_EXISTS, f"the {what} {number} is there already")
            known[number] = copies
        elif number not in known:
            raise not_found(f"no {what} {number}")
        elif kind == DELETE:
            del known[number]
        else:
            known[number] = copies

    def read(self, message: p4r.PacketReplicationEngineEntry) -> Iterator[p4r.Entity]:
        """Groups or sessions that a request asks for; without type, both; id 0 is all.

        Raises:
            EntityError: no such group or session.
        """
        which = message.WhichOneof("type")
        if which in {None, "multicast_group_entry"}:
            wanted = message.multicast_group_entry.multicast_group_id
            for number, copies in _select(self._replication.groups, wanted, "multicast group"):
                entity = p4r.Entity()
                group = entity.packet_replication_engine_entry.multicast_group_entry
                group.multicast_group_id, group.metadata = number, self._metadata[number]
                for copy in copies:
                    group.replicas.add(port=encode(copy.port), instance=copy.instance)
                yield entity
        if which in {None, "clone_session_entry"}:
            wanted = message.clone_session_entry.session_id
            for number, copies in _select(self._replication.sessions, wanted, "clone session"):
                entity = p4r.Entity()
                session = entity.packet_replication_engine_entry.clone_session_entry
                session.session_id = number
                session.packet_length_bytes = next((copy.length for copy in copies if copy.length), 0)
                for copy in copies:
                    session.replicas.add(port=encode(copy.port), instance=copy.instance)
                yield entity


def _select(known: dict[int, tuple[Copy, ...]], wanted: int, what: str) -> Iterable[tuple[int, tuple[Copy, ...]]]:
    if not wanted:
        return list(known.items())
    if wanted not in known:
        raise not_found(f"no {what} {wanted}")
    return [(wanted, known[wanted])]


def _copies(replicas: Iterable[p4r.Replica], length: int | None) -> tuple[Copy, ...]:
    copies = []
    for replica in replicas:
        if replica.backup_replicas:
            raise unimplemented("backup replicas")
        which = replica.WhichOneof("port_kind")
        if which is None:
            raise invalid("a replica needs a port")
        port = replica.egress_port if which == "egress_port" else decode(replica.port, PORT_BITS, "replica port")
        if port >> PORT_BITS:
            raise invalid(f"the replica's port {port} does not fit into {PORT_BITS} bits")
        if replica.instance >> INSTANCE_BITS:
            raise invalid(f"the replica's instance {replica.instance} does not fit into {INSTANCE_BITS} bits")
        copies.append(Copy(port, replica.instance, length))
    if len({(copy.port, copy.instance) for copy in copies}) != len(copies):
        raise invalid("two replicas have the same port and instance")
    return tuple(copies)
