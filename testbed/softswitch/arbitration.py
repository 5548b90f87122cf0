"""Who may write: P4Runtime's client arbitration (specification section "Client Arbitration and Controller Replication").

Pure: it knows clients as objects that take messages, and gives back nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from finsy.proto import p4r

from testbed.softswitch import errors
from testbed.softswitch.errors import EntityError, not_found

MAX_CLIENTS = 64
"""Open streams for one role."""


class Client:
    """One open stream.

    Args:
        send: takes messages for the client; must not block.
        name: the peer's address, for logs.
    """

    def __init__(self, send: Callable[[p4r.StreamMessageResponse], None], name: str) -> None:
        self.send = send
        self.name = name
        self.role: str | None = None
        """None until the first arbitration message."""
        self.election_id: int | None = None


@dataclass(slots=True)
class _Role:
    clients: list[Client] = field(default_factory=list)
    primary: Client | None = None
    highest: int | None = None
    """The highest election id ever seen of a primary."""


class Arbitration:
    """The live clients of one device, for each role."""

    def __init__(self, device_id: int) -> None:
        self._device_id = device_id
        self._roles: dict[str, _Role] = {}

    def update(self, client: Client, message: p4r.MasterArbitrationUpdate) -> None:
        """Take an arbitration message, and notify whom it concerns.

        Raises:
            EntityError: the stream must be closed with this error.
        """
        name = message.role.name
        if client.role is None:
            if message.device_id != self._device_id:
                raise not_found(f"no device {message.device_id} here, but device {self._device_id}")
        elif message.device_id != self._device_id:
            raise EntityError(errors.FAILED_PRECONDITION, "the device id of a stream cannot change")
        elif name != client.role:
            raise EntityError(errors.FAILED_PRECONDITION, "the role of a stream cannot change: open a new one")
        if message.role.HasField("config"):
            raise errors.invalid(
                f"role {name!r}: this switch knows no role configuration; leave it out for full access"
            )
        role = self._roles.setdefault(name, _Role())
        election = message.election_id.high << 64 | message.election_id.low if message.HasField("election_id") else None
        if election == 0:
            election = None
        if election is not None and any(c is not client and c.election_id == election for c in role.clients):
            raise errors.invalid(f"the election id {election} is in use by another client")
        if client.role is None:
            if len(role.clients) >= MAX_CLIENTS:
                raise EntityError(errors.RESOURCE_EXHAUSTED, f"there are {MAX_CLIENTS} clients already")
            role.clients.append(client)
            client.role = name
        client.election_id = election
        self._elect(role, client)

    def _elect(self, role: _Role, client: Client) -> None:
        if client.election_id is not None and (role.highest is None or client.election_id >= role.highest):
            role.primary, role.highest = client, client.election_id
            for other in role.clients:
                self._notify(role, other)
        elif role.primary is client:
            role.primary = None
            for other in role.clients:
                self._notify(role, other)
        else:
            self._notify(role, client)

    def leave(self, client: Client) -> None:
        """A stream has ended. When it was the primary's, there is none until somebody bids again."""
        if client.role is None:
            return
        role = self._roles[client.role]
        role.clients.remove(client)
        if role.primary is client:
            role.primary = None
            for other in role.clients:
                self._notify(role, other)

    def is_primary(self, role: str, election_id: int) -> bool:
        """Whether a request with this role and election id comes from the primary."""
        known = self._roles.get(role)
        return known is not None and known.primary is not None and known.primary.election_id == election_id

    def knows(self, role: str) -> bool:
        """Whether a client has ever had the role; the default role is always there."""
        return not role or role in self._roles

    def client_is_primary(self, client: Client) -> bool:
        """Whether a stream is the primary's."""
        return client.role is not None and self._roles[client.role].primary is client

    def primaries(self) -> list[Client]:
        """The primary of every role that has one: they get what the data plane sends up."""
        return [role.primary for role in self._roles.values() if role.primary is not None]

    def _notify(self, role: _Role, client: Client) -> None:
        message = p4r.StreamMessageResponse()
        update = message.arbitration
        update.device_id = self._device_id
        if client.role:
            update.role.name = client.role
        if role.highest is not None:
            update.election_id.high, update.election_id.low = role.highest >> 64, role.highest & (1 << 64) - 1
        if role.primary is client:
            update.status.code, update.status.message = errors.OK, "you are the primary"
        elif role.primary is not None:
            update.status.code, update.status.message = errors.ALREADY_EXISTS, "there is a primary: you are a backup"
        else:
            update.status.code, update.status.message = errors.NOT_FOUND, "there is no primary"
        client.send(message)
