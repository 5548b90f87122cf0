"""What leaves a home agent: packets, packets for a home link, events, counts; shared by all its parts."""

from collections import Counter, deque
from typing import Final

from controller.mobility.address import UNSPECIFIED, Address
from controller.mobility.events import Dropped, DropReason, Event
from controller.mobility.parts import LinkPacket
from controller.mobility.timing import TokenBucket

QUEUE_LIMIT: Final = 65536
"""Packets, and events, that are kept for whoever drives the engine."""


class Outlet:
    """The ways out of the engine, each bounded.

    Attributes:
        counters: how often each thing happened, by name.
    """

    def __init__(self, error_rate: float, error_burst: int) -> None:
        self._errors = TokenBucket(error_rate, error_burst)
        self._packets: list[bytes] = []
        self._link_packets: list[LinkPacket] = []
        self._events: deque[Event] = deque(maxlen=QUEUE_LIMIT)
        self.counters: Final[Counter[str]] = Counter()

    def limit_errors(self, rate: float, burst: int) -> None:
        """Let that many error messages a second leave, and at once."""
        self._errors = TokenBucket(rate, burst)

    def send(self, packet: bytes) -> None:
        """Send an IPv6 packet by way of the routes."""
        if len(self._packets) < QUEUE_LIMIT:
            self._packets.append(packet)
        else:
            self.drop(DropReason.OUTBOX_FULL, None)

    def send_on_link(self, home_agent: Address, destination_mac: bytes | None, packet: bytes) -> None:
        """Send an IPv6 packet on the home link of a home agent address; without MAC, to where its multicast group maps."""
        if len(self._link_packets) < QUEUE_LIMIT:
            self._link_packets.append(LinkPacket(home_agent, destination_mac, packet))
        else:
            self.drop(DropReason.OUTBOX_FULL, None)

    def report(self, event: Event) -> None:
        """Note an event."""
        self._events.append(event)

    def count(self, name: str) -> None:
        """Count something."""
        self.counters[name] += 1

    def drop(self, reason: DropReason, source: Address | None, detail: str = "") -> None:
        """Count and note a packet that gets no answer."""
        self.counters[f"dropped_{reason}"] += 1
        self._events.append(Dropped(reason, source, detail))

    def may_report(self, destination: Address | None, now: float) -> bool:
        """Tell whether an error message may go there now (RFC 6275 section 9.3.3, RFC 4443 section 2.4)."""
        if destination is None or destination == UNSPECIFIED or destination[0] == 0xFF:
            return False
        if self._errors.take(now):
            return True
        self.drop(DropReason.ERROR_RATE, destination)
        return False

    def take_packets(self) -> list[bytes]:
        """Return the packets to send, in order, once."""
        packets, self._packets = self._packets, []
        return packets

    def take_link_packets(self) -> list[LinkPacket]:
        """Return the packets for home links, in order, once."""
        packets, self._link_packets = self._link_packets, []
        return packets

    def take_events(self) -> list[Event]:
        """Return what happened since the last call; when nobody asks, the oldest of many are lost."""
        events = list(self._events)
        self._events.clear()
        return events
