"""Ports that switches say are down: paths lead around the links that end there, and back when they are up."""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from controller.fabric.openflow import lost_links
from controller.fabric.topology import Topology

LOG: Final = logging.getLogger(__name__)


class PortKeeper:
    """Hears what switches say of their ports.

    What a switch said last holds until it says something else: while it is away nobody knows better, and the switch itself counts as lost.

    Args:
        topology: the network. Ports without a link are of no interest.
        changed: is called with the positions of the links that end at a port that is down, when they are others than before.
    """

    def __init__(self, topology: Topology, changed: Callable[[frozenset[int]], None]) -> None:
        self._topology: Final = topology
        self._changed: Final = changed
        self._linked: Final = {(one.node, one.port) for one in topology.interfaces if one.port is not None}
        self._down: set[tuple[str, int]] = set()
        self._lost: frozenset[int] = frozenset()

    def heard(self, switch: str, ports: Mapping[int, bool]) -> None:
        """Hear which of a switch's ports are up, by number; those that are not named are as good as up."""
        said = {(switch, port) for port, up in ports.items() if not up} & self._linked
        before = {end for end in self._down if end[0] == switch}
        for _, port in sorted(said - before):
            LOG.warning("%s: port %d is down", switch, port)
        for _, port in sorted(before - said):
            LOG.info("%s: port %d is up", switch, port)
        self._down = self._down - before | said
        lost = lost_links(self._topology, self._down)
        if lost != self._lost:
            self._lost = lost
            self._changed(lost)
