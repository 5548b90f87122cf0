"""Measures what a network does to a stream of UDP datagrams between two namespaces: numbered, time-stamped, at a steady rate.

Sender and receiver are processes of their own (``python -m testbed.netns.probe send|receive``); the machine's monotonic clock
is the same for both.
"""

import argparse
import asyncio
import json
import signal
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from testbed.netns.processes import die_with_parent
from testbed.softswitch.ports import enlarge_buffers

_RECORD: Final = struct.Struct("!4sIdd")
"""Magic, sequence number, time of sending, time of arrival (0 on the wire): seconds of the monotonic clock."""
_MAGIC: Final = b"mcoP"
MIN_SIZE: Final = _RECORD.size


@dataclass(frozen=True, slots=True)
class Loss:
    """What became of the datagrams that were sent in a window of time."""

    sent: int
    received: int
    duplicates: int
    reordered: int
    longest_gap: float
    """Seconds between two arrivals, the longest."""
    delay: float
    """Median one-way delay, seconds; 0 if nothing arrived."""

    @property
    def lost(self) -> int:
        """Datagrams that were sent and never arrived."""
        return self.sent - self.received

    def to_json(self) -> dict[str, object]:
        """Return it as JSON can have it: gaps and delays in milliseconds."""
        found = asdict(self)
        gap, delay = found.pop("longest_gap"), found.pop("delay")
        return {**found, "lost": self.lost, "longest_gap_ms": round(gap * 1e3, 2), "delay_ms": round(delay * 1e3, 2)}


@dataclass(frozen=True, slots=True)
class Arrival:
    """One datagram that arrived."""

    sequence: int
    sent_at: float
    at: float


def read_arrivals(log: Path) -> list[Arrival]:
    """Return what a receiver wrote down so far."""
    octets = log.read_bytes()
    whole = len(octets) // _RECORD.size * _RECORD.size
    return [Arrival(number, sent, at) for _, number, sent, at in _RECORD.iter_unpack(octets[:whole])]


def loss_of(arrivals: list[Arrival], sent: int, since: float = 0.0, until: float = float("inf")) -> Loss:
    """Return what became of the datagrams that were sent from `since` to `until`.

    Args:
        arrivals: all of them.
        sent: how many were sent in that time.
        since: seconds of the monotonic clock.
        until: the same.
    """
    window = [one for one in arrivals if since <= one.sent_at < until]
    gaps = [late.at - early.at for early, late in pairwise(window)]
    delays = sorted(one.at - one.sent_at for one in window)
    highest, reordered = -1, 0
    for one in window:
        reordered += one.sequence < highest
        highest = max(highest, one.sequence)
    received = len({one.sequence for one in window})
    median = delays[len(delays) // 2] if delays else 0.0
    return Loss(sent, received, len(window) - received, reordered, max(gaps, default=0.0), median)


async def _send(to: str, port: int, source: str | None, rate: float, size: int) -> int:
    """Send until SIGTERM; return how many."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    filler = bytes(max(0, size - MIN_SIZE))
    number, following = 0, time.monotonic()
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        if source is not None:
            sock.bind((source, 0))
        sock.connect((to, port))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while not stop.is_set():
            now = time.monotonic()
            while following <= now:
                try:
                    sock.send(_RECORD.pack(_MAGIC, number, time.monotonic(), 0.0) + filler)
                except OSError as error:  # an ICMPv6 error came in: told once, and the datagram counts as sent
                    sys.stderr.write(f"{number}: {error}\n")
                number += 1
                following += 1 / rate
            try:
                async with asyncio.timeout(max(0.0, following - time.monotonic())):
                    await stop.wait()
            except TimeoutError:
                pass
    return number


async def _receive(port: int, log: Path) -> int:
    """Receive until SIGTERM; return how many."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    count = 0
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock, log.open("wb") as out:
        sock.bind(("::", port))
        sock.setblocking(False)
        enlarge_buffers(sock)

        def take() -> None:
            nonlocal count
            while True:
                try:
                    datagram = sock.recv(65535)
                except BlockingIOError:
                    break
                if len(datagram) >= MIN_SIZE and datagram.startswith(_MAGIC):
                    _, number, sent, _ = _RECORD.unpack_from(datagram)
                    out.write(_RECORD.pack(_MAGIC, number, sent, time.monotonic()))
                    count += 1
            out.flush()

        loop.add_reader(sock.fileno(), take)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await stop.wait()
        loop.remove_reader(sock.fileno())
        take()
    return count


def main() -> None:
    """Send or receive until SIGTERM; print how many datagrams, as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("role", choices=("send", "receive"))
    parser.add_argument("--to", default="::1")
    parser.add_argument("--source")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, default=100.0, help="datagrams a second")
    parser.add_argument("--size", type=int, default=100, help=f"octets of payload, from {MIN_SIZE}")
    parser.add_argument("--log", type=Path, default=Path("arrivals.bin"))
    options = parser.parse_args()
    die_with_parent()
    if options.role == "send":
        count = asyncio.run(_send(options.to, options.port, options.source, options.rate, options.size))
    else:
        count = asyncio.run(_receive(options.port, options.log))
    sys.stdout.write(json.dumps({"count": count}) + "\n")


if __name__ == "__main__":
    main()
