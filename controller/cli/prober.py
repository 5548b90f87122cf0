"""Probe packets to a mobile node, sent at a steady pace while something is done to its paths."""

import contextlib
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

_ECHO_REQUEST: Final = 128
_ECHO_REPLY: Final = 129
_PATIENCE: Final = 1.0
"""Seconds for which an answer is waited for after the last probe: a satellite takes more than half of one."""
AGENT_TARGET_PORT: Final = 7
"""UDP port of the node to which an agent's probes go."""
_MAGIC: Final = b"mcoa-probe"


class ProbeError(Exception):
    """Probes cannot be sent. One line: why, what to do."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What became of the probes."""

    sent: int
    lost: int
    outage_ms: float
    """The longest time without a probe that came through, by times of sending; 0: none was lost."""
    answered_before: int
    """Probes that came through before anything was done; 0: nobody answers, so nothing was measured."""


class Transport(Protocol):
    """A way to send probes and to hear of those that came through."""

    @property
    def selector(self) -> dict[str, str]:
        """Which packets the probes are, as a policy has it."""

    def fileno(self) -> int:
        """Return what to wait on."""

    def send(self, sequence: int) -> None:
        """Send one."""

    def receive(self) -> int | None:
        """Return the number of one that came through; None: it was something else."""

    def close(self) -> None:
        """Send no more."""


class Echo:
    """ICMPv6 Echo from this machine, which needs a route to the home network.

    Args:
        home_address: whom to probe.

    Raises:
        ProbeError: the system does not let us.
    """

    def __init__(self, home_address: str) -> None:
        self._raw = False
        try:
            self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6)
        except OSError:
            try:
                self._socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
                self._raw = True
            except OSError as error:
                raise ProbeError(
                    f"this user may not send ICMPv6: {error.strerror}: widen net.ipv4.ping_group_range, or give --no-probe"
                ) from error
        self._socket.setblocking(False)
        self._identifier = os.getpid() & 0xFFFF
        try:
            self._socket.connect((home_address, 0))
        except OSError as error:
            self._socket.close()
            raise ProbeError(
                f"this machine has no route to {home_address}: {error.strerror}: give --no-probe"
            ) from error

    @property
    def selector(self) -> dict[str, str]:
        """ICMPv6 from the address that this machine sends from."""
        return {"source": f"{self._socket.getsockname()[0]}/128", "protocol": "icmpv6"}

    def fileno(self) -> int:
        """Return what to wait on."""
        return self._socket.fileno()

    def send(self, sequence: int) -> None:
        """Send one; what the system refuses counts as lost."""
        # The checksum is the system's (RFC 3542 section 3.1); the identifier too, of an unprivileged socket.
        with contextlib.suppress(OSError):
            self._socket.send(struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, self._identifier, sequence & 0xFFFF) + _MAGIC)

    def receive(self) -> int | None:
        """Return the number of one that was answered."""
        try:
            packet = self._socket.recv(256)
        except OSError:
            return None
        if len(packet) < 8 or packet[0] != _ECHO_REPLY or packet[8:] != _MAGIC:
            return None
        _, _, _, identifier, sequence = struct.unpack_from("!BBHHH", packet)
        return None if self._raw and identifier != self._identifier else int(sequence)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Agent:
    """Probes by way of a station that stands where correspondents are, such as that of ``mcoa lab``.

    It is sent datagrams of magic, number and home address, and sends each back when a probe has reached the node.

    Args:
        host: where the agent listens.
        port: its UDP port.
        home_address: whom to probe.

    Raises:
        ProbeError: there is no such host.
    """

    def __init__(self, host: str, port: int, home_address: str) -> None:
        self._home_address = socket.inet_pton(socket.AF_INET6, home_address)
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.setblocking(False)
            self._socket.connect(address)
        except OSError as error:
            raise ProbeError(f"no probes by way of {host}:{port}: {error.strerror or error}") from error

    @property
    def selector(self) -> dict[str, str]:
        """UDP to the port at which agents probe."""
        return {"protocol": "udp", "destination_ports": str(AGENT_TARGET_PORT)}

    def fileno(self) -> int:
        """Return what to wait on."""
        return self._socket.fileno()

    def send(self, sequence: int) -> None:
        """Send one."""
        with contextlib.suppress(OSError):
            self._socket.send(_MAGIC + struct.pack("!H", sequence & 0xFFFF) + self._home_address)

    def receive(self) -> int | None:
        """Return the number of one that reached the node."""
        try:
            datagram = self._socket.recv(256)
        except OSError:
            return None
        if len(datagram) != len(_MAGIC) + 18 or not datagram.startswith(_MAGIC):
            return None
        (sequence,) = struct.unpack_from("!H", datagram, len(_MAGIC))
        return int(sequence)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Prober:
    """Sends probes in a thread of its own.

    Args:
        transport: how.
        interval: seconds between two.
    """

    def __init__(self, transport: Transport, interval: float) -> None:
        self._transport = transport
        self._interval = interval
        self._sent: list[float] = []
        self._answered: set[int] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probes", daemon=True)
        self._began_at = float("inf")

    @property
    def selector(self) -> dict[str, str]:
        """Which packets the probes are, as a policy has it."""
        return self._transport.selector

    @contextlib.contextmanager
    def probing(self) -> Iterator[None]:
        """Send while a block runs, and wait for the last answers after it."""
        self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._thread.join()
            self._transport.close()

    def mark(self) -> int:
        """Take note that something is done from here on; return how many probes came through before."""
        self._began_at = time.monotonic()
        return len(self._answered)

    def result(self) -> ProbeResult:
        """Return what became of all probes; call it after the block."""
        longest = run = lost = 0
        for sequence in range(len(self._sent)):
            run = 0 if sequence & 0xFFFF in self._answered else run + 1
            lost += run > 0
            longest = max(longest, run)
        before = sum(1 for number in self._answered if number < len(self._sent) and self._sent[number] < self._began_at)
        return ProbeResult(len(self._sent), lost, round(longest * self._interval * 1000, 1), before)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._transport, selectors.EVENT_READ)
            due = time.monotonic()
            while not self._stopping.is_set():
                now = time.monotonic()
                if now >= due:
                    self._sent.append(now)
                    self._transport.send(len(self._sent) - 1)
                    due += self._interval
                    continue
                self._listen(selector, due - now)
            end = time.monotonic() + _PATIENCE
            while len(self._answered) < len(self._sent) and (left := end - time.monotonic()) > 0:
                self._listen(selector, left)

    def _listen(self, selector: selectors.BaseSelector, seconds: float) -> None:
        if selector.select(seconds) and (sequence := self._transport.receive()) is not None:
            self._answered.add(sequence)
