"""Keeps watch over the links between P4 switches (`fabric.hellos`): sends the hellos, hears those that come, tells what is lost."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from controller.config.model import ControllerSection
from controller.fabric.advertiser import LinkFrame
from controller.fabric.hellos import LinkWatch, Refusal
from controller.fabric.topology import Topology
from controller.service.anchors import Anchors
from controller.southbound.stream import PacketIn

LOG: Final = logging.getLogger(__name__)

_KEY_OCTETS: Final = 32


def link_watch(topology: Topology, section: ControllerSection) -> LinkWatch | None:
    """Return what watches a topology's links with a key of its own; None if it is not to be done."""
    if section.hello_interval_s == 0:
        return None
    return LinkWatch(
        topology,
        os.urandom(_KEY_OCTETS),
        interval=section.hello_interval_s,
        misses=section.hello_misses,
        hold=section.hello_hold_s,
    )


class LinkKeeper:
    """Sends hellos and hears them.

    Args:
        watch: decides which links are lost; None: nobody wants to know.
        anchors: the switches.
        send: sends frames by ports of switches.
        changed: is called with the positions of all lost links when others are lost than before.
    """

    def __init__(
        self,
        watch: LinkWatch | None,
        anchors: Anchors,
        send: Callable[[Iterable[LinkFrame]], None],
        changed: Callable[[frozenset[int]], None],
    ) -> None:
        self._watch: Final = watch
        self._anchors: Final = anchors
        self._send: Final = send
        self._changed: Final = changed
        self._told: Final[set[tuple[str, int, Refusal]]] = set()

    @property
    def refused(self) -> Mapping[str, int]:
        """Frames of link discovery that did not count, by reason: each reason there is."""
        counted = {} if self._watch is None else self._watch.refused
        return {reason.value: counted.get(reason, 0) for reason in Refusal}

    async def run(self) -> None:
        """Say hello whenever it is time."""
        watch = self._watch
        if watch is None:
            return
        loop = asyncio.get_running_loop()
        while (due := watch.next_timer()) is not None:
            await asyncio.sleep(max(0.0, due - loop.time()))
            before = watch.lost
            if watch.handle_timer(loop.time(), (session.name for session in self._anchors.in_service())):
                for position in sorted(watch.lost - before):
                    LOG.warning("%s carries nothing: paths lead around it", watch.name(position))
                for position in sorted(before - watch.lost):
                    LOG.info("%s carries frames again: paths may take it", watch.name(position))
                self._changed(watch.lost)
            self._send(watch.outbox())

    def receive(self, switch: str, packet: PacketIn) -> None:
        """Take a frame of link discovery."""
        if self._watch is None:
            return
        refusal = self._watch.receive(switch, packet.ingress_port, packet.frame)
        if refusal is None or refusal is Refusal.REPLAYED:  # a hello may come late
            return
        # Once for each port and reason: whoever sends nonsense must not fill the log.
        told = (switch, packet.ingress_port, refusal)
        if told not in self._told:
            self._told.add(told)
            LOG.warning("%s: a frame of link discovery at port %d is %s", *told)
