"""Keeps routes in step with what works: when a switch or a link is lost, paths lead around it, and back when it returns.

A switch counts as lost when its session has been without connection for `PATIENCE`. That it forwards all the same cannot be
ruled out, so nothing is taken from a destination that has no other way. Only routes that changed are written, and only to the
switches that they are on.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from controller.dataplane.desired import DesiredState
from controller.dataplane.doors import Door
from controller.dataplane.entries import Entry
from controller.dataplane.plans import Plan
from controller.fabric.paths import Outage
from controller.southbound.errors import SouthboundError
from controller.southbound.session import SwitchSession
from controller.southbound.states import SessionState

LOG: Final = logging.getLogger(__name__)

PATIENCE: Final = 0.25
"""Seconds that a session may be without connection: it may only have started over."""
FIRST_PATIENCE: Final = 3.0
"""Seconds that a switch has to come at the start of the controller."""


class Static(NamedTuple):
    """What a switch has by its place in the network."""

    entries: Iterable[Entry]
    doors: Mapping[int, Door]
    anchor: bool


class Rerouter:
    """Follows sessions and links.

    Args:
        desired: what the switches should hold.
        static: what one of them, by name, has by its place in a network with an outage.
    """

    def __init__(self, desired: DesiredState, static: Callable[[str, Outage], Static]) -> None:
        self._desired: Final = desired
        self._static: Final = static
        self._sessions: dict[str, SwitchSession] = {}
        self._outage = Outage()
        self._stale = False
        self._lost_links: dict[str, frozenset[int]] = {}
        self._lost_nodes: frozenset[str] = frozenset()
        self._drained: frozenset[str] = frozenset()
        self._settled: Final = asyncio.Event()
        self._listeners: Final[list[Callable[[Outage], None]]] = []
        self._deadlines: Final[dict[str, float]] = {}
        self._lost: Final[set[str]] = set()
        self._look: Final = asyncio.Event()
        self.rerouted = 0
        """Entries that were changed since the start."""

    @property
    def outage(self) -> Outage:
        """What paths lead around at the moment."""
        return self._outage

    def follow(self, sessions: Mapping[str, SwitchSession]) -> None:
        """Take note of the sessions, before they run."""
        self._sessions = dict(sessions)
        now = asyncio.get_running_loop().time()
        self._deadlines.update(dict.fromkeys(sessions, now + FIRST_PATIENCE))

    def heard(self, session: SwitchSession, state: SessionState) -> None:
        """Hear of a session's new state."""
        name = session.name
        if state is SessionState.READY:
            self._deadlines.pop(name, None)
            if name in self._lost:
                self._lost.discard(name)
                LOG.info("%s is back: paths may take it again", name)
        elif state is SessionState.CONNECTING and name not in self._lost and name not in self._deadlines:
            self._deadlines[name] = asyncio.get_running_loop().time() + PATIENCE
        self._look.set()

    def set_lost_links(self, observer: str, links: frozenset[int]) -> None:
        """Hear of one of those that watch links which ones carry nothing, by their positions in the topology file."""
        self._lost_links[observer] = links
        self._look.set()

    def set_lost_nodes(self, nodes: frozenset[str]) -> None:
        """Hear which nodes without a session are lost."""
        self._lost_nodes = nodes
        self._look.set()

    def lead_around(self, switches: frozenset[str]) -> None:
        """Hear which switches are to carry nothing although they work."""
        self._drained = switches
        self._settled.clear()
        self._look.set()

    async def settled(self) -> None:
        """Wait until paths are as they should be after all that was heard. `run` has to run."""
        await self._settled.wait()

    def refresh(self) -> None:
        """Hear that what switches have by their place may be another, though the same things work."""
        self._stale = True
        self._look.set()

    def tell(self, listener: Callable[[Outage], None]) -> None:
        """Have `listener` called with each outage that paths lead around from then on."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Reroute whenever it has become necessary."""
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            for name, deadline in list(self._deadlines.items()):
                if deadline <= now and self._sessions[name].state is SessionState.CONNECTING:
                    del self._deadlines[name]
                    self._lost.add(name)
                    LOG.warning("%s is lost: paths lead around it", name)
            links: frozenset[int] = frozenset().union(*self._lost_links.values())
            outage = Outage(self._lost_nodes | self._lost | self._drained, links)
            if outage != self._outage or self._stale:
                self._outage, self._stale = outage, False
                await self._reroute()
            if not self._look.is_set():
                self._settled.set()
            next_look = min(self._deadlines.values(), default=None)
            try:
                # A deadline of a session that only synchronises meanwhile is looked at again in a while.
                async with asyncio.timeout(None if next_look is None else max(next_look - loop.time(), 0.05)):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()

    async def _reroute(self) -> None:
        """Compute anew, and write what differs."""
        for listener in self._listeners:
            listener(self._outage)
        changes: list[tuple[SwitchSession, Plan]] = []
        for name, session in self._sessions.items():
            static = self._static(name, self._outage)
            change = self._desired.set_static(name, static.entries, anchor=static.anchor, doors=static.doors)
            # A switch that is away is brought to what is desired when it returns.
            if session.state is SessionState.READY and (change.stages or change.break_):
                changes.append((session, change))
        counts = await asyncio.gather(*(self._write(session, change) for session, change in changes))
        self.rerouted += sum(counts)
        LOG.info("rerouted: %d entries on %d switches", sum(counts), len(changes))

    @staticmethod
    async def _write(session: SwitchSession, change: Plan) -> int:
        written = 0
        try:
            for stage in (*change.stages, *change.break_):
                await session.write(stage)
                written += len(stage)
        except SouthboundError as error:
            session.restart(f"routes could not be changed: {error}")
        return written
