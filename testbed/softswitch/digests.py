"""Digests: what the data plane wants the controller to learn, in lists, and again only when it was not acknowledged.

P4Runtime specification, section "DigestEntry". Pure: time comes in by a clock, lists go out by `send`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from finsy.proto import p4r

from testbed.softswitch import errors
from testbed.softswitch.digest_types import DigestSchema, Values
from testbed.softswitch.errors import EntityError, invalid, not_found
from testbed.softswitch.values import DELETE, INSERT

MAX_LIST = 1024
"""Messages in one list; also what an unlimited list means."""
MAX_WAITING = 1 << 16
"""Messages of one digest that wait for an acknowledgement; more are dropped and counted."""


@dataclass(slots=True)
class _Learner:
    """One digest that is enabled."""

    schema: DigestSchema
    config: p4r.DigestEntry.Config
    buffer: dict[Values, None] = field(default_factory=dict)
    """What waits to be sent, in order."""
    since: float = 0.0
    """When the first of them came, in seconds."""
    waiting: dict[int, tuple[float, list[Values]]] = field(default_factory=dict)
    """What was sent and not acknowledged: time and messages, by list id."""
    known: set[Values] = field(default_factory=set)
    """All messages in `waiting`."""
    number: int = 0
    """The last list's id."""

    @property
    def limit(self) -> int:
        """Messages that make a list."""
        return min(self.config.max_list_size or MAX_LIST, MAX_LIST) if self.config.max_timeout_ns else 1

    def forget(self, list_id: int) -> None:
        """Take a list's messages out of the cache."""
        _, messages = self.waiting.pop(list_id, (0.0, []))
        self.known.difference_update(messages)


class Digests:
    """The digests of one pipeline.

    Args:
        schemas: by P4Runtime's id.
        clock: seconds.
        send: takes a list for the primary.
    """

    def __init__(
        self,
        schemas: Mapping[int, DigestSchema],
        clock: Callable[[], float],
        send: Callable[[p4r.StreamMessageResponse], None],
    ) -> None:
        self.dropped = 0
        """Messages that came while too many waited for an acknowledgement."""
        self._schemas = schemas
        self._clock = clock
        self._send = send
        self._learners: dict[int, _Learner] = {}
        self._by_list: dict[int, _Learner] = {}

    # -- data plane ----------------------------------------------------------------------------------------------------

    def learn(self, list_id: int, values: Values) -> None:
        """Take one message; called by the generated code."""
        learner = self._by_list.get(list_id)
        if learner is None or values in learner.known or values in learner.buffer:
            return
        if len(learner.known) >= MAX_WAITING:
            self.dropped += 1
            return
        if not learner.buffer:
            learner.since = self._clock()
        learner.buffer[values] = None
        if len(learner.buffer) >= learner.limit:
            self._flush(learner)

    def tick(self) -> None:
        """Send what has waited long enough, forget what was not acknowledged in time."""
        now = self._clock()
        for learner in self._learners.values():
            if learner.buffer and now - learner.since >= learner.config.max_timeout_ns / 1e9:
                self._flush(learner)
            limit = now - learner.config.ack_timeout_ns / 1e9
            for list_id in [number for number, (sent, _) in learner.waiting.items() if sent <= limit]:
                learner.forget(list_id)

    def _flush(self, learner: _Learner) -> None:
        message = p4r.StreamMessageResponse()
        learner.number += 1
        digest = message.digest
        digest.digest_id, digest.list_id = learner.schema.id, learner.number
        digest.timestamp = int(self._clock() * 1e9)
        for values in learner.buffer:
            learner.schema.encode(digest.data.add(), values)
        if learner.config.ack_timeout_ns:
            learner.waiting[learner.number] = self._clock(), list(learner.buffer)
            learner.known.update(learner.buffer)
        learner.buffer.clear()
        self._send(message)

    # -- P4Runtime -----------------------------------------------------------------------------------------------------

    def ack(self, message: p4r.DigestListAck) -> None:
        """A list has arrived.

        Raises:
            EntityError: no such digest.
        """
        if message.digest_id not in self._schemas:
            raise invalid(f"no digest with id {message.digest_id}")
        learner = self._learners.get(message.digest_id)
        if learner is not None:
            learner.forget(message.list_id)

    def write(self, kind: int, message: p4r.DigestEntry) -> None:
        """Enable, tune or disable a digest.

        Raises:
            EntityError: unknown digest, a bad configuration, enabled already or not enabled; nothing is changed.
        """
        schema, config = self._schemas.get(message.digest_id), message.config
        if schema is None:
            raise invalid(f"no digest with id {message.digest_id}")
        learner = self._learners.get(schema.id)
        if kind == INSERT and learner is not None:
            raise EntityError(errors.ALREADY_EXISTS, f"digest {schema.name}: it is enabled already")
        if kind != INSERT and learner is None:
            raise not_found(f"digest {schema.name}: it is not enabled")
        if kind == DELETE:
            del self._learners[schema.id], self._by_list[schema.list_id]
            return
        if min(config.max_timeout_ns, config.max_list_size, config.ack_timeout_ns) < 0:
            raise invalid(f"digest {schema.name}: timeouts and sizes cannot be negative")
        kept = p4r.DigestEntry.Config()
        kept.CopyFrom(config)
        if learner is None:
            self._learners[schema.id] = self._by_list[schema.list_id] = _Learner(schema, kept)
        else:
            learner.config = kept

    def read(self, message: p4r.DigestEntry) -> Iterator[p4r.Entity]:
        """The configuration of the digest that is asked for, or, for id 0, of all that are enabled.

        Raises:
            EntityError: unknown digest.
        """
        if message.digest_id and message.digest_id not in self._schemas:
            raise invalid(f"no digest with id {message.digest_id}")
        for learner in list(self._learners.values()):
            if message.digest_id in {0, learner.schema.id}:
                entity = p4r.Entity()
                entity.digest_entry.digest_id = learner.schema.id
                entity.digest_entry.config.CopyFrom(learner.config)
                yield entity
