"""The switches as the rest of the service sees them: those in service, written as one."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from controller.dataplane.entries import EntryKey
from controller.dataplane.plans import Stage
from controller.southbound.errors import SouthboundError, WriteFailedError, code_name
from controller.southbound.session import SwitchSession
from controller.southbound.states import SessionState

LOG: Final = logging.getLogger(__name__)

_ETHERNET_FROM_US: Final = bytes(12) + b"\x86\xdd"
"""An Ethernet header without addresses: the switch's routing fills them in."""


class Anchors:
    """Every switch that the service controls.

    Args:
        sessions: their sessions.
        localised: makes of a stage for all of them what one of them, by name, is to be written.
    """

    def __init__(
        self,
        sessions: Iterable[SwitchSession],
        localised: Callable[[str, Stage], Stage] = lambda _name, stage: stage,
    ) -> None:
        self._localised: Final = localised
        self.sessions = {session.name: session for session in sessions}
        """By name, in the order of the configuration."""
        self.unsent = 0
        """Packets for which no switch was in service."""

    def in_service(self) -> list[SwitchSession]:
        """Return the sessions whose switch is as it should be and takes updates."""
        return [session for session in self.sessions.values() if session.state is SessionState.READY]

    async def write(self, stage: Stage) -> Mapping[EntryKey, str]:
        """Write a stage to every switch in service; return what was refused, each with the reason.

        A switch that is lost meanwhile refuses nothing: it is read back and brought up to date when it returns.
        """
        refused: dict[EntryKey, str] = {}
        results = await asyncio.gather(*(self._write(session, stage) for session in self.in_service()))
        for result in results:
            refused.update(result)
        return refused

    async def _write(self, session: SwitchSession, stage: Stage) -> dict[EntryKey, str]:
        try:
            await session.write(self._localised(session.name, stage))
        except WriteFailedError as error:
            return {
                failure.update.entry.key: f"{session.name}: {code_name(failure.code)} {failure.message}"
                for failure in error.failures
            }
        except SouthboundError as error:
            # Not ready, or lost: it is read back and brought up to date before it is in service again.
            LOG.warning("a write did not reach a switch: %s", error)
        return {}

    def resync(self, reason: str) -> None:
        """Have every switch read back and brought to what is desired."""
        for session in self.in_service():
            session.restart(reason)

    def send(self, packet: bytes) -> None:
        """Send an IPv6 packet by way of a switch in service, which routes it."""
        session = next(iter(self.in_service()), None)
        if session is None:
            self.unsent += 1
            return
        session.packet_out(_ETHERNET_FROM_US + packet, routed=True)
