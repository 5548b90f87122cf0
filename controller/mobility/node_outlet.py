"""What leaves a mobile node: packets and events, each bounded."""

from collections import deque
from typing import Final

from controller.mobility.node_events import Ignored, NodeEvent

QUEUE_LIMIT: Final = 65536
"""Packets, and events, that are kept for whoever drives the engine; of more the oldest are lost."""


class NodeOutlet:
    """The ways out of a mobile node's engine, shared by its parts."""

    def __init__(self) -> None:
        self._packets: Final[deque[bytes]] = deque(maxlen=QUEUE_LIMIT)
        self._events: Final[deque[NodeEvent]] = deque(maxlen=QUEUE_LIMIT)

    def send(self, packet: bytes) -> None:
        """Send an IPv6 packet."""
        self._packets.append(packet)

    def report(self, event: NodeEvent) -> None:
        """Note an event."""
        self._events.append(event)

    def ignore(self, detail: str) -> None:
        """Note a packet that the node had no use for."""
        self._events.append(Ignored(detail))

    def take_packets(self) -> list[bytes]:
        """Return the packets to send, in order, once."""
        packets = list(self._packets)
        self._packets.clear()
        return packets

    def take_events(self) -> list[NodeEvent]:
        """Return what happened since the last call."""
        events = list(self._events)
        self._events.clear()
        return events
