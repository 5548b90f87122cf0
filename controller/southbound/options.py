"""What a session is told: its switch, its limits, where it remembers election ids; and the states that it goes through."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

import grpc
import grpc.aio

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
    # What ends a connection that carries nothing is this; `grpc.keepalive_timeout_ms` does not, and without it a minute goes by.
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # Each session has a connection of its own: a switch tells its clients apart by it.
    ("grpc.use_local_subchannel_pool", 1),
)


class Foreign(StrEnum):
    """What becomes of entries that somebody else put into a switch."""

    REMOVE = "remove"
    ADOPT = "adopt"
    """They stay, and are reported; not in tables whose entries say that somebody is registered."""


class ElectionIds(Protocol):
    """Where election ids are kept over restarts of the controller."""

    async def load(self, switch: str) -> int:
        """Return the highest id used with a switch so far, 0 if there is none."""

    async def save(self, switch: str, election_id: int) -> None:
        """Keep an id, durably, before it is used."""


class WriteLog(Protocol):
    """Keeps what was written: `journal.Journal` is one."""

    def append(self, switch: str, request: bytes, refused: Mapping[int, int] | None) -> None:
        """Keep one Write.

        Args:
            switch: its name.
            request: the serialised `p4.v1.WriteRequest`.
            refused: of its updates, by position, those that were refused, with the code; None: there was no answer.
        """


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
class Timeouts:
    """How long one call may take, in seconds."""

    query: float = 10.0
    """Which pipeline there is."""
    write: float = 10.0
    read: float = 60.0
    push: float = 60.0


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
    foreign: Foreign = Foreign.REMOVE
    audit_interval: float = 30.0
    """Seconds between two comparisons of a switch that is ready; 0: never on its own."""
    packet_backlog: int = 1024
    """Packets to the switch that may wait, and digests and idle timeouts from it; more are dropped and counted."""
    pause: float = 0.2
    """Seconds before the first attempt to connect again; it doubles with each failure."""
    longest_pause: float = 2.0
    """Seconds."""
    answer_time: float = 5.0
    """Seconds that a switch has to answer an arbitration message."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    copy_port: int | None = None
    """By which copies of a packet begin their second pass; None: the target's usual one."""
    journal: WriteLog | None = None
    """Keeps what is written."""


def host_and_port(address: str) -> tuple[str, int]:
    """Split host:port; an IPv6 address is in brackets.

    Raises:
        ValueError: it has no port.
    """
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Return what the stream's connection is encrypted with.

    Raises:
        OSError: a file cannot be read, or holds something else.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(files.ca)
    if files.certificate is not None:
        # A key with a pass phrase is an error: nobody is there to type it.
        context.load_cert_chain(files.certificate, files.key, password="")
    context.set_alpn_protocols(["h2"])
    return context


def open_channel(options: SessionOptions) -> grpc.aio.Channel:
    """Return a channel to a switch, for all calls but the stream: see `duplex`.

    Raises:
        OSError: a TLS file cannot be read.
    """
    tls = options.tls
    if tls is None:
        return grpc.aio.insecure_channel(options.address, options=CHANNEL_OPTIONS)
    credentials = grpc.ssl_channel_credentials(
        tls.ca.read_bytes(),
        tls.key.read_bytes() if tls.key else None,
        tls.certificate.read_bytes() if tls.certificate else None,
    )
    return grpc.aio.secure_channel(options.address, credentials, options=CHANNEL_OPTIONS)
