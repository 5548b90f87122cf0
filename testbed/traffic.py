"""Measures what a network does to traffic: numbered, time-stamped UDP flows, and what of them arrived when and by which path."""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from controller.mobility.address import Address
from testbed.packets import Datagram, udp
from testbed.wire import Clock, TimerHandle

_MAGIC = b"mcoa"
_PAYLOAD = struct.Struct("!4sHxxQd")
"""Magic, flow number, sequence number, time of sending in seconds of the lab's clock."""

MIN_SIZE = _PAYLOAD.size


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow of equal packets at a steady rate."""

    number: int
    """0 to 65535, unique in a lab: a sink tells flows apart by it."""
    name: str
    source: Address
    destination: Address
    source_port: int
    destination_port: int
    rate: float = 200.0
    """Packets a second."""
    size: int = 100
    """Octets of UDP payload, at least `MIN_SIZE`."""

    @property
    def interval(self) -> float:
        """Nominal time between two packets, seconds."""
        return 1 / self.rate


class Sender:
    """Sends one flow until it is stopped.

    Args:
        flow: what to send.
        output: takes each IPv6 packet.
        clock: the event loop.
    """

    def __init__(self, flow: Flow, output: Callable[[bytes], None], clock: Clock) -> None:
        self.flow = flow
        self.sent: list[float] = []
        """Time of sending of each packet; the index is its sequence number."""
        self._output = output
        self._clock = clock
        self._timer: TimerHandle | None = None
        self._next = 0.0
        self._filler = bytes(max(0, flow.size - MIN_SIZE))

    def start(self) -> None:
        """Send the first packet now and go on at the flow's rate."""
        self._next = self._clock.time()
        self._tick()

    def stop(self) -> None:
        """Send no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _tick(self) -> None:
        self.send_one()
        # From the plan, not from now: a late timer is made up for, so the rate holds over time.
        self._next += self.flow.interval
        self._timer = self._clock.call_at(self._next, self._tick)

    def send_one(self) -> None:
        """Send the next packet of the flow."""
        flow, now = self.flow, self._clock.time()
        payload = _PAYLOAD.pack(_MAGIC, flow.number, len(self.sent), now) + self._filler
        self.sent.append(now)
        self._output(udp(flow.source, flow.destination, (flow.source_port, flow.destination_port), payload))


class Arrival(NamedTuple):
    """One packet that arrived."""

    sequence: int
    sent_at: float
    at: float
    path: int
    """By which way it came: a BID at the mobile node, 0 where there is only one."""


@dataclass(slots=True)
class Sink:
    """Takes what arrives and keeps one line about each packet."""

    arrivals: dict[int, list[Arrival]] = field(default_factory=dict)
    """By flow number, in order of arrival."""
    foreign: int = 0
    """Datagrams that belong to no flow."""

    def take(self, datagram: Datagram, now: float, path: int = 0) -> None:
        """Note one datagram that arrived at `now`."""
        payload = datagram.payload
        if len(payload) < _PAYLOAD.size or payload[:4] != _MAGIC:
            self.foreign += 1
            return
        _, flow, sequence, sent_at = _PAYLOAD.unpack_from(payload)
        self.arrivals.setdefault(flow, []).append(Arrival(sequence, sent_at, now, path))

    def of(self, flow: Flow) -> list[Arrival]:
        """Return the arrivals of one flow so far."""
        return self.arrivals.get(flow.number, [])


@dataclass(frozen=True, slots=True)
class Measurement:
    """What became of the packets of one flow that were sent in a window of time."""

    sent: int
    received: int
    """Different packets that arrived, duplicates not counted again."""
    duplicates: int
    reordered: int
    """Arrivals after one with a greater sequence number."""
    longest_gap: float
    """Seconds between two arrivals, the longest; 0 with fewer than two."""
    outage: float
    """The longest gap minus the nominal interval, seconds, not below 0."""
    delay: float
    """Median one-way delay, seconds; 0 if nothing arrived."""
    paths: dict[int, int]
    """Packets that arrived, by path."""

    @property
    def lost(self) -> int:
        """Packets that were sent and never arrived."""
        return self.sent - self.received


def measure(sender: Sender, arrivals: Iterable[Arrival], since: float, until: float) -> Measurement:
    """Return what became of the packets sent from `since` to `until`, seconds of the clock.

    Ask after the last of them had time to arrive: what is still on its way counts as lost.
    """
    window = [arrival for arrival in arrivals if since <= arrival.sent_at < until]
    sent = sum(since <= when < until for when in sender.sent)
    gaps = [late.at - early.at for early, late in pairwise(window)]
    longest = max(gaps, default=0.0)
    delays = sorted(arrival.at - arrival.sent_at for arrival in window)
    highest, reordered, paths = -1, 0, dict[int, int]()
    for arrival in window:
        reordered += arrival.sequence < highest
        highest = max(highest, arrival.sequence)
        paths[arrival.path] = paths.get(arrival.path, 0) + 1
    received = len({arrival.sequence for arrival in window})
    return Measurement(
        sent=sent,
        received=received,
        duplicates=len(window) - received,
        reordered=reordered,
        longest_gap=longest,
        outage=max(0.0, longest - sender.flow.interval),
        delay=delays[len(delays) // 2] if delays else 0.0,
        paths=paths,
    )
