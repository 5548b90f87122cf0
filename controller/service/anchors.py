"""The switches as the rest of the service sees them: the anchors in service, written as one.

Every anchor gets the same entries. How many have to confirm a registration before it is acknowledged is the quorum; the
others follow. An anchor that is away, or that does not keep up, is read back and brought to what is desired before it is in
service again, so what it missed is no loss.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from controller.dataplane.entries import EntryKey
from controller.dataplane.plans import Stage
from controller.southbound.errors import SouthboundError, WriteFailedError, code_name
from controller.southbound.session import SwitchSession
from controller.southbound.states import SessionState

LOG: Final = logging.getLogger(__name__)

MAX_BEHIND: Final = 64
"""Writes that an anchor outside of the quorum may have before it: more, and it starts over."""

_ETHERNET_FROM_US: Final = {6: bytes(12) + b"\x86\xdd", 4: bytes(12) + b"\x08\x00"}
"""Ethernet headers without addresses, by IP version: the switch's routing fills them in."""


class Quorum(StrEnum):
    """Which anchors have to confirm a registration before it is acknowledged."""

    ALL = "all"
    """Every anchor in service, at least one. One that is away carries no traffic: it is not waited for."""
    MAJORITY = "majority"
    """More than half of all that are configured."""
    ANY = "any"
    """One."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a stage."""

    refused: Mapping[EntryKey, str] = field(default_factory=dict)
    """What a switch refused, with its reason. Empty where enough others took it."""
    shortfall: str | None = None
    """Why too few anchors have confirmed; None: enough have."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one anchor said to a stage."""

    session: SwitchSession
    refused: Mapping[EntryKey, str] = field(default_factory=dict)
    lost: bool = False

    @property
    def confirmed(self) -> bool:
        return not self.lost and not self.refused


class Anchors:
    """Every switch that the service controls.

    Args:
        sessions: their sessions.
        localised: makes of a stage for all of them what one of them, by name, is to be written.
        anchors: names of those that carry tunnels; None: all do. The others have static entries only.
        quorum: which of them have to confirm.
    """

    def __init__(
        self,
        sessions: Iterable[SwitchSession],
        localised: Callable[[str, Stage], Stage] = lambda _name, stage: stage,
        *,
        anchors: Collection[str] | None = None,
        quorum: Quorum = Quorum.ALL,
    ) -> None:
        self._localised: Final = localised
        self.sessions = {session.name: session for session in sessions}
        """By name, in the order of the configuration."""
        self.quorum: Final = quorum
        self.unsent = 0
        """Packets for which no switch was in service."""
        self._anchors: Final = [
            session for name, session in self.sessions.items() if anchors is None or name in anchors
        ]
        self.drained: frozenset[str] = frozenset()
        """Names of switches that an operator has taken out of service: they are written, but nothing waits for them."""
        self._behind: Final[Counter[str]] = Counter()
        self._stragglers: Final[set[asyncio.Task[_Answer]]] = set()

    def in_service(self) -> list[SwitchSession]:
        """Return the sessions whose switch is as it should be and takes updates, those that are drained last."""
        ready = [session for session in self.sessions.values() if session.state is SessionState.READY]
        return sorted(ready, key=lambda session: session.name in self.drained) if self.drained else ready

    def _counted(self) -> list[SwitchSession]:
        """Return the sessions of the anchors that make up the quorum."""
        return [session for session in self._anchors if session.name not in self.drained]

    def capacity(self, static_counts: Callable[[str], Mapping[str, int]]) -> dict[str, int]:
        """Return how many entries of nodes each table has room for on every anchor.

        Args:
            static_counts: gives how many static entries each table of an anchor, by name, has.
        """
        room: dict[str, int] = {}
        for session in self._anchors:
            static = static_counts(session.name)
            for table, size in session.table_sizes.items():
                if size:
                    free = size - static.get(table, 0)
                    room[table] = min(room.get(table, free), free)
        return room

    def writes_waiting(self, name: str) -> int:
        """Return how many writes a switch has not answered, the one under way included."""
        return self._behind[name]

    def shortfall(self) -> str | None:
        """Return why no quorum can be reached now; None: it can."""
        there = sum(session.state is SessionState.READY for session in self._counted())
        return self._short_of(there, "in service")

    async def write(self, stage: Stage) -> Outcome:
        """Write a stage to every anchor in service or about to be, and wait for the quorum.

        A switch that is lost meanwhile refuses nothing: it is read back and brought up to date when it returns.
        """
        for session in self._anchors:
            if session.takes_writes and session.name in self.drained:
                self._follow(asyncio.create_task(self._write(session, stage)))
        there = [session for session in self._counted() if session.takes_writes]
        if len(there) == 1:
            return self._judge([await self._write(there[0], stage)])
        waiting = {asyncio.create_task(self._write(session, stage)) for session in there}
        answers: list[_Answer] = []
        while waiting and not self._enough(answers):
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            answers += [task.result() for task in done]
        for task in waiting:
            self._follow(task)
        return self._judge(answers)

    def _follow(self, task: asyncio.Task[_Answer]) -> None:
        """Hear what an anchor says that decides nothing: a refusal means that it lacks something."""
        self._stragglers.add(task)
        task.add_done_callback(self._straggled)

    def _enough(self, answers: list[_Answer]) -> bool:
        """Tell whether the others need not be waited for."""
        if self.quorum is Quorum.ALL:
            return False
        return sum(answer.confirmed for answer in answers) >= self._needed()

    def _needed(self) -> int:
        return len(self._counted()) // 2 + 1 if self.quorum is Quorum.MAJORITY else 1

    def _short_of(self, count: int, what: str) -> str | None:
        needed = self._needed()
        if count >= needed:
            return None
        return f"{count} of {len(self._counted())} anchors {what}, the quorum ({self.quorum}) needs {needed}"

    def _judge(self, answers: list[_Answer]) -> Outcome:
        refused = {key: reason for answer in answers for key, reason in answer.refused.items()}
        confirmed = sum(answer.confirmed for answer in answers)
        if refused and self.quorum is not Quorum.ALL and confirmed >= self._needed():
            for answer in answers:
                self._bring_into_line(answer)
            return Outcome()
        # One that refused a part has taken the rest.
        return Outcome(refused, self._short_of(sum(not answer.lost for answer in answers), "confirmed"))

    def _straggled(self, task: asyncio.Task[_Answer]) -> None:
        self._stragglers.discard(task)
        if not task.cancelled() and task.exception() is None:
            self._bring_into_line(task.result())

    @staticmethod
    def _bring_into_line(answer: _Answer) -> None:
        if answer.refused:
            answer.session.restart(f"it refused what the quorum took: {next(iter(answer.refused.values()))}")

    async def _write(self, session: SwitchSession, stage: Stage) -> _Answer:
        self._behind[session.name] += 1
        if self._behind[session.name] > MAX_BEHIND:
            session.restart(f"{MAX_BEHIND} writes wait for it: it does not keep up")
        try:
            await session.write(self._localised(session.name, stage))
        except WriteFailedError as error:
            return _Answer(
                session,
                {
                    failure.update.entry.key: f"{session.name}: {code_name(failure.code)} {failure.message}"
                    for failure in error.failures
                },
            )
        except SouthboundError as error:
            # Not ready, or lost: it is read back and brought up to date before it is in service again.
            LOG.warning("a write did not reach a switch: %s", error)
            return _Answer(session, lost=True)
        finally:
            self._behind[session.name] -= 1
        return _Answer(session)

    def resync(self, reason: str) -> None:
        """Have every anchor read back and brought to what is desired."""
        for session in self._anchors:
            session.restart(reason)

    def send(self, packet: bytes) -> None:
        """Send an IPv6 or IPv4 packet by way of a switch in service, which routes it."""
        frame = _ETHERNET_FROM_US[packet[0] >> 4] + packet
        for session in self.in_service():
            if session.packet_out(frame, routed=True):
                return
        self.unsent += 1
