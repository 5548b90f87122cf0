"""A session with what it needs, for tests to look at and change."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field

from controller.dataplane.entries import Entry, EntryKey
from controller.dataplane.plans import Stages
from controller.southbound.artefacts import Artefacts
from controller.southbound.connection import NoticeHandler, PacketHandler
from controller.southbound.options import MemoryElectionIds, SessionOptions
from controller.southbound.ports import PortsListener
from controller.southbound.session import SwitchSession
from controller.southbound.states import SessionState
from controller.southbound.stream import PacketIn


async def write_stages(session: SwitchSession, stages: Stages) -> None:
    for stage in stages:
        await session.write(stage)


@dataclass(frozen=True)
class _Wanted:
    """What a session is to know of a world's entries."""

    world: "World"

    def entries(self) -> dict[EntryKey, Entry]:
        return dict(self.world.entries if self.world.desired is None else self.world.desired())

    def parts(self) -> Iterator[dict[EntryKey, Entry]]:
        yield self.entries()

    def watch(self) -> AbstractContextManager["Changing"]:
        return nullcontext(Changing(self))


class Changing(AbstractSet[EntryKey]):
    """The keys in flight, and those that are not as they were at the beginning."""

    def __init__(self, wanted: _Wanted) -> None:
        self._wanted = wanted
        self._before = wanted.entries()

    def _keys(self) -> set[EntryKey]:
        now, before = self._wanted.entries(), self._before
        return self._wanted.world.in_flight | {key for key in now.keys() | before if now.get(key) != before.get(key)}

    def __contains__(self, key: object) -> bool:
        return key in self._keys()

    def __iter__(self) -> Iterator[EntryKey]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self._keys())


@dataclass
class World:
    """What a session is given, for tests to look at and change."""

    artefacts: Artefacts
    entries: dict[EntryKey, Entry] = field(default_factory=dict)
    election_ids: MemoryElectionIds = field(default_factory=MemoryElectionIds)
    states: list[SessionState] = field(default_factory=list)
    packets: list[PacketIn] = field(default_factory=list)
    in_flight: set[EntryKey] = field(default_factory=set)
    desired: Callable[[], dict[EntryKey, Entry]] | None = None
    """Instead of `entries`."""

    def want(self, *entries: Entry) -> None:
        self.entries.update((entry.key, entry) for entry in entries)

    def session(
        self,
        address: str,
        *,
        on_packet: PacketHandler | None = None,
        on_notice: NoticeHandler | None = None,
        on_ports: PortsListener | None = None,
        **options: object,
    ) -> SwitchSession:
        settings = {"name": "s1", "device_id": 1, "pause": 0.01, "longest_pause": 0.05, "answer_time": 2.0} | options
        return SwitchSession(
            SessionOptions(address=address, **settings),  # type: ignore[arg-type]  # options by name, for brevity
            self.artefacts,
            _Wanted(self),
            self.election_ids,
            on_state=lambda _, state: self.states.append(state),
            on_packet=on_packet or self.packets.append,
            on_notice=on_notice,
            on_ports=on_ports,
        )

    @asynccontextmanager
    async def running(
        self,
        address: str,
        *,
        until: SessionState | None = SessionState.READY,
        on_packet: PacketHandler | None = None,
        on_notice: NoticeHandler | None = None,
        on_ports: PortsListener | None = None,
        **options: object,
    ) -> AsyncIterator[SwitchSession]:
        session = self.session(address, on_packet=on_packet, on_notice=on_notice, on_ports=on_ports, **options)
        session.start()
        try:
            if until is not None:
                await reached(session, until)
            yield session
        finally:
            await session.stop()


async def reached(session: SwitchSession, state: SessionState) -> None:
    async with asyncio.timeout(4):
        await session.wait_for(state)


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(4):
        while not holds():  # noqa: ASYNC110  what is waited for is different each time
            await asyncio.sleep(0.005)
