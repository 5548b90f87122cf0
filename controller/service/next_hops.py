"""Asks for the Ethernet addresses of next hops (`fabric.discovery`) by way of the switches that they are at."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from controller.fabric.advertiser import LinkFrame
from controller.fabric.discovery import NeighbourDiscovery
from controller.fabric.fields import format_mac
from controller.southbound.stream import PacketIn

LOG: Final = logging.getLogger(__name__)


class NextHopKeeper:
    """Sends what discovery wants to send, and tells when an address is another.

    Args:
        discovery: decides what to ask and what to believe.
        send: sends frames by ports of switches.
        changed: is called when an Ethernet address is another than before.
    """

    def __init__(
        self,
        discovery: NeighbourDiscovery,
        send: Callable[[Iterable[LinkFrame]], None],
        changed: Callable[[], None],
    ) -> None:
        self._discovery: Final = discovery
        self._send: Final = send
        self._changed: Final = changed

    async def run(self) -> None:
        """Ask whenever it is time."""
        loop = asyncio.get_running_loop()
        while (due := self._discovery.next_timer()) is not None:
            await asyncio.sleep(max(0.0, min(due - loop.time(), 1.0)))
            self._discovery.handle_timer(loop.time())
            self._send(self._discovery.outbox())

    def receive(self, switch: str, packet: PacketIn) -> bool:
        """Take a frame of neighbour discovery; return whether it came from a neighbour that is asked for here."""
        one = self._discovery.neighbours.get((switch, packet.ingress_port))
        if one is None:
            return False
        if self._discovery.receive(switch, packet.ingress_port, packet.frame, asyncio.get_running_loop().time()):
            assert one.mac is not None, "it was told"
            LOG.info("%s: %s:%s is at %s", switch, one.node, one.interface, format_mac(one.mac))
            self._changed()
        self._send(self._discovery.outbox())
        return True
