"""What a session is told: its switch, its limits, where it remembers election ids; and the states that it goes through."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from controller.southbound.calls import Timeouts
from controller.southbound.targets import TARGETS, Target

MEBIBYTE: Final = 1 << 20
CHANNEL_OPTIONS: Final = (
    # The status of each update of a failed Write travels in trailing metadata: 4 MiB carries 20 000 of them.
    ("grpc.max_metadata_size", 4 * MEBIBYTE),
    ("grpc.absolute_max_metadata_size", 4 * MEBIBYTE),
    # BMv2 answers a Read in one message.
    ("grpc.max_receive_message_length", 256 * MEBIBYTE),
    ("grpc.max_send_message_length", 256 * MEBIBYTE),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # Each session has a connection of its own: a switch tells its clients apart by it.
    ("grpc.use_local_subchannel_pool", 1),
)


class SessionState(StrEnum):
    """Where a session stands."""

    STOPPED = "stopped"
    CONNECTING = "connecting"
    """Not reachable yet, or again."""
    STANDBY = "standby"
    """Connected, but another controller is primary, or nobody yet."""
    SYNCING = "syncing"
    """Primary; the pipeline is being pushed or the tables reconciled."""
    READY = "ready"
    """Primary, with the tables as desired: writes are taken."""


class ElectionIds(Protocol):
    """Where election ids are kept over restarts of the controller."""

    async def load(self, switch: str) -> int:
        """Return the highest id used with a switch so far, 0 if there is none."""

    async def save(self, switch: str, election_id: int) -> None:
        """Keep an id, durably, before it is used."""


class MemoryElectionIds:
    """Election ids that are forgotten at the end of the process: for tests and one-shot tools."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}

    async def load(self, switch: str) -> int:
        """Return the highest id used with a switch."""
        return self.ids.get(switch, 0)

    async def save(self, switch: str, election_id: int) -> None:
        """Keep an id."""
        self.ids[switch] = election_id


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of a client: the authority that signed the switch's certificate, and our own certificate and key if asked."""

    ca: Path
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What a session needs to know of its switch, and its limits."""

    name: str
    address: str
    """host:port of the P4Runtime server."""
    device_id: int
    target: Target = TARGETS["embedded"]
    role: str = ""
    """Arbitration role; empty: full access."""
    tls: TlsFiles | None = None
    """None: no encryption."""
    takeover: bool = True
    """On a new connection, bid higher than a primary that is there; False: stay standby until there is none."""
    packet_backlog: int = 1024
    """Packets from the switch that may wait; more are dropped and counted."""
    pause: float = 0.2
    """Seconds before the first attempt to connect again; it doubles with each failure."""
    longest_pause: float = 5.0
    """Seconds."""
    answer_time: float = 5.0
    """Seconds that a switch has to answer an arbitration message."""
    timeouts: Timeouts = field(default_factory=Timeouts)
