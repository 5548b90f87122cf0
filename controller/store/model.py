"""What is stored, and what a store can do.

The engine's clock is monotonic and means nothing after a restart, so a store keeps wall time. It converts at its own boundary:
everything that goes in or comes out is in seconds of the engine's clock.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from controller.mobility.address import Address
from controller.mobility.flows import FlowPolicy
from controller.mobility.model import Binding, NodeRecord, ReplayMark
from controller.values import value

MAX_AUDIT_ENTRIES: Final = 100_000
"""So many changes are remembered."""

Clock: TypeAlias = Callable[[], float]
"""Returns wall time minus engine time, in seconds, at the moment of the call."""


def system_offset() -> float:
    """Return wall time minus engine time when the engine's clock is `time.monotonic` (that of asyncio)."""
    return time.time() - time.monotonic()


def system_boot() -> str:
    """Return what names the running time of this machine since it was started; "" where the system does not tell.

    As long as it is the same, so is the clock of `time.monotonic`, in one process as in the next.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class StoreError(Exception):
    """The state database cannot be opened, read or written. The text says which file, why, and what to do."""


@value
class StoredNode:
    """A record with the numbers under which the switches know its node and its paths."""

    record: NodeRecord
    node_id: int
    """1 to 2**24 - 1, unique among all stored nodes."""
    path_ids: Mapping[int, int] = field(default_factory=dict)
    """BID to path id. Nodes that share a care-of address share its path id; a binding at home has none."""


@value
class Change:
    """What becomes of one home address: its new state, or None when nothing of it is kept."""

    home_address: Address
    node: StoredNode | None
    mark: ReplayMark | None = None
    """How far the node's proofs have come; it stays when nothing else is kept. None: as before."""
    gone: tuple[int, ...] | None = None
    """The BIDs that were kept of it and are no more, so that the others need only be written over; None: whatever there is goes."""


@value
class ExpiredBinding:
    """A stored binding whose lifetime ended while no controller ran."""

    home_address: Address
    binding: Binding


@value
class Document:
    """What an operator set by REST, as JSON text that only the layer above understands."""

    kind: str
    """What it is, such as "node"."""
    key: str
    """Which, unique for its kind."""
    body: str


@value
class AuditEntry:
    """A change that somebody made by REST."""

    time: float
    """Wall time, seconds since 1970."""
    actor: str
    """Name of the token."""
    role: str
    action: str
    """What was done: put, delete, revoke and so on."""
    resource: str
    """Path of the resource."""
    before: str | None
    """What it was, as JSON text; None: it was not there."""
    after: str | None
    """What it became; None: it is gone."""
    number: int = 0
    """Position in the log, from 1, given by the store."""


@value
class StoredState:
    """Everything a store holds, as of one moment of the engine's clock."""

    nodes: tuple[StoredNode, ...] = ()
    """In ascending order of home address: live bindings and tombstones only."""
    policies: tuple[FlowPolicy, ...] = ()
    """In ascending order of home address, then priority."""
    election_ids: Mapping[str, int] = field(default_factory=dict)
    """Highest P4Runtime election id used with a switch, by the name of the switch."""
    expired: tuple[ExpiredBinding, ...] = ()
    """What was dropped in loading."""
    documents: tuple[Document, ...] = ()
    """In ascending order of kind, then key."""
    marks: tuple[ReplayMark, ...] = ()
    """In ascending order of home address."""


class Store(Protocol):
    """A durable store. Its methods block: call them from one thread, not from the event loop.

    When a method that writes has returned, what it wrote survives a crash of the process and a loss of power. When it raised
    `StoreError`, nothing of that call was written.
    """

    def load(self, now: float) -> StoredState:
        """Return everything stored; drop, for good, what has expired.

        Args:
            now: the engine's clock, in seconds.
        """

    def commit(self, changes: Sequence[Change]) -> None:
        """Write changes in their order, all or none of them. The last one for a home address wins."""

    def save_policy(self, policy: FlowPolicy) -> None:
        """Write a policy in place of the one of the same node and name, if there is one.

        Raises:
            StoreError: another policy of the node has the priority.
        """

    def delete_policy(self, home_address: Address, name: str) -> bool:
        """Remove a policy; tell whether there was one."""

    def save_document(self, document: Document) -> None:
        """Write a document in place of the one of the same kind and key, if there is one."""

    def delete_document(self, kind: str, key: str) -> bool:
        """Remove a document; tell whether there was one."""

    def append_audit(self, entry: AuditEntry) -> None:
        """Write an entry to the end of the audit log; the oldest ones go when there are more than `MAX_AUDIT_ENTRIES`."""

    def audit(self, limit: int, before: int | None = None) -> tuple[AuditEntry, ...]:
        """Return entries of the audit log, newest first.

        Args:
            limit: at most so many.
            before: only entries with a smaller number.
        """

    def election_id(self, switch: str) -> int:
        """Return the election id last saved for a switch, 0 when there is none."""

    def save_election_id(self, switch: str, election_id: int) -> None:
        """Remember an election id, 0 to 2**128 - 1, for a switch."""

    def close(self) -> None:
        """Give the store free for another process. Calling it again does nothing."""
