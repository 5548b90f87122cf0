"""The switches as operators see them: their state and tables, what differs, and taking one out of service."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

from controller.config import Settings
from controller.dataplane.desired import DesiredState
from controller.northbound.errors import ConflictError, NotFoundError
from controller.northbound.switch_views import AuditView, Queues, SwitchState, SwitchView, TableUsage, Traffic
from controller.service.differences import differences
from controller.service.keeper import Keeper
from controller.service.network import Network
from controller.service.readings import Readings
from controller.southbound.errors import SouthboundError
from controller.southbound.session import SwitchSession
from controller.southbound.states import SessionState
from controller.store import Document, Store

LOG: Final = logging.getLogger(__name__)

MAX_SHOWN: Final = 1000
"""Differences that an audit lists; it counts all."""
DRAINED: Final = "switch-drain"
"""Kind of the documents in the store; the key is the switch's name."""

STATES: Final = {
    SessionState.STOPPED: SwitchState.CONNECTING,
    SessionState.CONNECTING: SwitchState.CONNECTING,
    SessionState.STANDBY: SwitchState.STANDBY,
    SessionState.SYNCING: SwitchState.SYNCING,
    SessionState.READY: SwitchState.READY,
}


class Switches:
    """Shows switches, and drains them.

    Args:
        settings: the configuration.
        desired: what they should hold.
        network: their sessions, and what leads paths around those that are drained.
        store: remembers which are drained.
        keep: runs a call of the store in its thread.
    """

    def __init__(
        self,
        settings: Settings,
        desired: DesiredState,
        network: Network,
        store: Store,
        keep: Keeper,
    ) -> None:
        self._settings: Final = {switch.name: switch for switch in settings.switches}
        self._anchor_names: Final = frozenset(settings.topology.anchors)
        self._desired: Final = desired
        self._anchors: Final = network.anchors
        self._rerouter: Final = network.rerouter
        self._punts: Final = network.punts
        self._store: Final = store
        self._keep: Final = keep
        self._drops: Final[Readings[Mapping[str, Traffic]]] = Readings()
        self._changing: Final = asyncio.Lock()

    def restore(self, documents: Sequence[Document]) -> None:
        """Go on as an earlier controller left it; a switch that is configured no more is forgotten."""
        names = {document.key for document in documents if document.kind == DRAINED}
        self._anchors.drained = frozenset(names & set(self._anchors.sessions))
        self._rerouter.lead_around(self._anchors.drained)

    @property
    def drained(self) -> frozenset[str]:
        """Names of the switches that are out of service because an operator said so."""
        return self._anchors.drained

    def states(self) -> dict[str, SwitchState]:
        """Return the state of each, by name, in the order of the configuration."""
        return {name: STATES[session.state] for name, session in self._anchors.sessions.items()}

    async def all(self) -> list[SwitchView]:
        """Return every switch, in the order of the configuration."""
        return list(await asyncio.gather(*map(self._view, self._anchors.sessions.values())))

    async def one(self, name: str) -> SwitchView | None:
        """Return one switch, None when there is none of that name."""
        session = self._anchors.sessions.get(name)
        return None if session is None else await self._view(session)

    async def audit(self, name: str) -> AuditView | None:
        """Compare the tables of a switch with what they should hold; None when there is none of that name."""
        session = self._anchors.sessions.get(name)
        if session is None:
            return None
        try:
            drift = await session.audit(repair=False)
        except SouthboundError as error:
            return AuditView(name, str(error))
        shown = tuple(islice(differences(drift), MAX_SHOWN))
        return AuditView(name, None, drift.entries, len(drift), len(drift.adopted), shown)

    async def drain(self, name: str) -> bool:
        """Take a switch out of service and wait until paths lead around it; tell whether it was in service.

        Raises:
            NotFoundError: there is none of that name.
            ConflictError: no other anchor is in service.
            UnavailableError: it could not be made durable; nothing was changed.
        """
        if name not in self._anchors.sessions:
            raise NotFoundError(f"no switch is named {name!r}: GET /v1/switches lists those there are")
        async with self._changing:
            if name in self.drained:
                return False
            others = (self._anchor_names & {session.name for session in self._anchors.in_service()}) - self.drained
            if name in self._anchor_names and not others - {name}:
                raise ConflictError(f"{name} is the only anchor in service: without it no node could register")
            await self._keep(lambda: self._store.save_document(Document(DRAINED, name, "{}")))
            await self._set(self.drained | {name})
        return True

    async def undrain(self, name: str) -> bool:
        """Put a switch back into service; tell whether it was drained.

        Raises:
            UnavailableError: it could not be made durable; nothing was changed.
        """
        async with self._changing:
            if name not in self.drained:
                return False
            await self._keep(lambda: self._store.delete_document(DRAINED, name))
            await self._set(self.drained - {name})
        return True

    async def _set(self, drained: frozenset[str]) -> None:
        self._anchors.drained = drained
        self._rerouter.lead_around(drained)
        await self._rerouter.settled()

    async def _view(self, session: SwitchSession) -> SwitchView:
        settings = self._settings[session.name]
        ready = session.state is SessionState.READY
        return SwitchView(
            session.name,
            str(settings.address),
            settings.device_id,
            settings.target,
            STATES[session.state],
            ready,
            self._tables(session) if ready else (),
            await self._drops.get(session.name, lambda: self._read_drops(session)) if ready else {},
            session.last_error,
            len(session.drift),
            session.packets_dropped,
            session.repaired,
            len(session.drift.adopted),
            tuple(session.suspicions),
            session.name in self.drained,
            dict(self._punts[session.name]),
            Queues(session.packets_waiting, self._anchors.writes_waiting(session.name)),
        )

    def _tables(self, session: SwitchSession) -> tuple[TableUsage, ...]:
        static = self._desired.static_counts(session.name)
        anchor = session.name in self._anchor_names
        return tuple(
            TableUsage(name, static[name] + (self._desired.used(name) if anchor else 0), size)
            for name, size in session.table_sizes.items()
        )

    @staticmethod
    async def _read_drops(session: SwitchSession) -> Mapping[str, Traffic]:
        try:
            read = await session.read_drops()
        except SouthboundError as error:
            LOG.warning("drops cannot be read: %s", error)
            return {}
        return {reason.name.lower(): Traffic(*count) for reason, count in read.items()}
