"""Values that pass between service and northbound: switches, what is in their tables, what these count."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple


class Traffic(NamedTuple):
    """Packets and bytes since the table entry that counts them was inserted."""

    packets: int
    bytes: int


class SwitchState(StrEnum):
    """Where the session with a switch stands."""

    CONNECTING = "connecting"
    """Not reachable yet, or again: the controller keeps trying."""
    STANDBY = "standby"
    """Reachable, but another controller is primary."""
    SYNCING = "syncing"
    """Primary; the pipeline is being pushed or the tables reconciled."""
    READY = "ready"
    """Primary, with the tables as they should be."""


class TableUsage(NamedTuple):
    """How full a table of a switch is."""

    name: str
    entries: int
    size: int
    """Entries for which the P4 program asked, 0 when unknown."""


class Queues(NamedTuple):
    """What waits for a switch, or from it."""

    packets: int = 0
    """Packets and notices of either direction."""
    writes: int = 0
    """Writes that it has not answered, the one under way included."""


NO_QUEUES: Final = Queues()
"""Nothing waits."""


@dataclass(frozen=True, slots=True)
class SwitchView:
    """One switch, as of the moment of the call."""

    name: str
    address: str
    """host:port of its P4Runtime server."""
    device_id: int
    target: str
    """Kind of switch: "embedded" or "bmv2"."""
    state: SwitchState
    in_sync: bool
    """Its tables are what the controller wants."""
    tables: tuple[TableUsage, ...] = ()
    drops: Mapping[str, Traffic] = field(default_factory=dict)
    """Dropped packets by the name of the reason; empty while the switch cannot be read."""
    last_error: str | None = None
    """Why the session last failed; None when it never did."""
    drift: int = 0
    """Entries that were not as desired when tables and desired state were last compared."""
    queue_drops: int = 0
    """Packets to the switch, and digests of it, that found a queue full."""
    repaired: int = 0
    """Entries that were not as wanted while it was ready, and were put right, since the start."""
    adopted: int = 0
    """Entries of somebody else's that are left alone."""
    suspicions: tuple[str, ...] = ()
    """What it said lately that cannot be true, the oldest first."""
    drained: bool = False
    """An operator has taken it out of service."""
    punts: Mapping[str, int] = field(default_factory=dict)
    """Packets that it handed to the controller since the start, by the name of the reason."""
    queues: Queues = NO_QUEUES


class DriftKind(StrEnum):
    """How an entry of a switch differs from what is wanted."""

    MISSING = "missing"
    DIFFERENT = "different"
    FOREIGN = "foreign"
    """There, but nobody's."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One entry that is not as it should be, in words."""

    kind: DriftKind
    table: str
    key: str
    actual: str | None
    """The action that it has; None: it is missing."""
    wanted: str | None
    """The action that it should have; None: it should not be there."""


@dataclass(frozen=True, slots=True)
class AuditView:
    """A switch's tables beside what they should hold."""

    switch: str
    problem: str | None = None
    """Why nothing could be compared; None: it was."""
    entries: int = 0
    """How many the switch has."""
    drift: int = 0
    """How many differ."""
    adopted: int = 0
    differences: tuple[Difference, ...] = ()
    """The first of those that differ."""
