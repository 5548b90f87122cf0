"""The composition root: wires the layers and runs them in one event loop."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Final

from controller.config import Settings
from controller.dataplane.desired import DesiredState
from controller.dataplane.ids import Ids
from controller.dataplane.pipeline import PuntReason
from controller.fabric.statics import home_agents
from controller.mobility.address import format_address
from controller.mobility.home_agent import HomeAgent
from controller.mobility.parts import Fault, Obstacle
from controller.mobility.provision import HomeAgentConfig
from controller.mobility.security.policy import SecurityContext
from controller.northbound import (
    Access,
    NorthboundServer,
    RateLimit,
    Role,
    TokenFile,
    create_app,
)
from controller.northbound.errors import ControlError
from controller.northbound.events import EventFeed
from controller.northbound.views import Change
from controller.service.committer import Committer
from controller.service.control import Machinery, ServiceControl
from controller.service.dispatcher import Dispatcher
from controller.service.durable import DurableStore
from controller.service.errors import ServiceError
from controller.service.facts import node_facts
from controller.service.home_links import network_layer
from controller.service.keeper import Keeper
from controller.service.network import Network
from controller.service.programs import Programs
from controller.service.reload import Reloader
from controller.service.restoring import restore
from controller.service.revoker import Revoker
from controller.service.stages import Stopwatch, TimedWriter
from controller.service.token_watch import TokenWatch
from controller.southbound.artefacts import Artefacts
from controller.southbound.journal import Journal
from controller.southbound.session import SwitchSession
from controller.southbound.states import SessionState
from controller.southbound.stream import PacketIn
from controller.store import SqliteStore, StoredState

LOG: Final = logging.getLogger(__name__)

_FAULTS: Final = {
    int(PuntReason.HOP_LIMIT): Fault.HOP_LIMIT,
    int(PuntReason.TOO_BIG): Fault.TOO_BIG,
    int(PuntReason.UNREACHABLE): Fault.UNREACHABLE,
}
"""Reasons of packets that are nobody's here, but whose source should hear why they went no further."""

REVIEW_INTERVAL: Final = 0.1
"""Seconds between two looks whether a switch is in service."""


class Service:
    """One controller: engine, store, switches, northbound.

    Args:
        settings: the checked configuration.
        artefacts: the compiled P4 program for switches that have none of their own.
        store_thread: the one thread in which the store is used.
        store: the durable binding cache.
        state: what was in it.
        restarts: how often a controller was started on this store, this time included.
        journal: keeps what is written to switches.

    Raises:
        ServiceError: it cannot start.
    """

    def __init__(
        self,
        settings: Settings,
        artefacts: Artefacts,
        store_thread: ThreadPoolExecutor,
        store: SqliteStore,
        state: StoredState,
        restarts: int = 0,
        *,
        journal: Journal | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._feed = EventFeed(time.time)
        self._stopwatch = Stopwatch()
        self._store = DurableStore(store, store_thread, self._stopwatch)
        programs = Programs.of(settings, artefacts)
        # The wall clock is read once: the engine's own does not jump.
        security = SecurityContext(time.time() - self._loop.time(), os.urandom)
        engine_config = _engine_config(programs, security, restarts)
        self._engine = HomeAgent(engine_config(settings), security=security, on_decoded=self._note_decoded)
        ids = Ids(programs.highest_number, home_agents(settings.topology))
        self._desired = DesiredState(ids, node_facts(settings, self._engine), programs.flow_keys)
        self._network = self._make_network(settings, programs, journal)
        self._committer = self._make_committer(settings)
        self._dispatcher = self._make_dispatcher(ids)
        self._revoker = Revoker(self._engine, self._dispatcher.pump)
        self._reloader = Reloader(settings, self._engine, engine_config, self._dispatcher.pump)
        self._control = self._make_control()
        tokens = TokenFile(settings.tokens)
        self.northbound: Final = self._make_northbound(settings, tokens)
        keep = Keeper(self._store.in_thread)
        self._token_watch = TokenWatch(tokens, self._control.record_change, store, keep)
        self._dispatcher.tell(self._control.committed, self._revoker.heard)
        self._reloading: set[asyncio.Task[None]] = set()
        self._decoded = 0.0
        self._control.provision_stored(state)
        self._suspects = restore(state, self._engine, self._desired, programs, self._store)
        self._control.restore(state)
        self._token_watch.restore(state.documents)

    # Beginning

    def _make_network(self, settings: Settings, programs: Programs, journal: Journal | None) -> Network:
        return Network(
            settings,
            programs,
            self._desired,
            self._store,
            journal,
            on_state=self._switch_changed,
            on_packet=self._packet_in,
        )

    def _make_committer(self, settings: Settings) -> Committer:
        return Committer(
            self._desired,
            TimedWriter(self._network.anchors, self._stopwatch),
            self._store.commit,
            grace_period=settings.controller.grace_period_s,
            batch_limit=settings.controller.batch_limit,
            batch_window=settings.controller.batch_window_s,
        )

    def _make_dispatcher(self, ids: Ids) -> Dispatcher:
        return Dispatcher(
            self._engine,
            self._committer,
            self._network.anchors,
            self._network.home_links,
            self._feed,
            self._stopwatch,
            nodes_at=ids.nodes_at,
        )

    def _make_control(self) -> ServiceControl:
        return ServiceControl(
            self._reloader,
            Machinery(
                self._engine,
                self._desired,
                self._network,
                self._committer,
                self._store.store,
                self._store.in_thread,
                self._revoker,
                self._feed,
                self._stopwatch,
            ),
        )

    def _make_northbound(self, settings: Settings, tokens: TokenFile) -> NorthboundServer:
        listen, dashboard = settings.northbound.listen, settings.northbound.dashboard
        try:
            app = create_app(self._control, _access(settings, tokens), dashboard=dashboard)
        except ModuleNotFoundError as error:
            raise ServiceError(
                f"northbound.dashboard: {error.name} is not installed: pip install 'mcoa[dashboard]', or set it to false"
            ) from error
        return NorthboundServer(app, listen.host, listen.port, settings.tls, dashboard=dashboard)

    def _switch_changed(self, session: SwitchSession, state: SessionState) -> None:
        self._control.switch_changed(session, state)

    # Running

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set.

        Raises:
            ServerError: the REST server cannot listen.
        """
        await self.northbound.start()
        LOG.info("REST on %s", self.northbound.url)
        vital = [asyncio.create_task(work, name=name) for name, work in self._network.vital()]
        committing = asyncio.create_task(self._committer.run(), name="commit")
        self._dispatcher.pump()
        beside = [asyncio.create_task(work, name=name) for name, work in self._network.helpful()]
        beside.append(asyncio.create_task(self._review_suspects(), name="review"))
        beside.append(asyncio.create_task(self._token_watch.run(), name="tokens"))
        stopping = asyncio.create_task(stop.wait(), name="stop")
        # None of them ends by itself: one that does has failed, and a controller without it would lie about its work.
        await asyncio.wait([stopping, committing, *vital], return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in (committing, *vital) if task.done()]
        self._feed.close()
        self._committer.stop()
        await asyncio.wait([committing])
        others = (*vital, *beside, stopping, *self._reloading)
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self._dispatcher.close()
        await self.northbound.stop()
        for task in failed:
            task.result()

    async def _review_suspects(self) -> None:
        """Take back what the configuration no longer allows, once there is a switch that can carry the word of it."""
        while self._suspects and not self._network.anchors.in_service():  # noqa: ASYNC110 - sessions announce nothing
            await asyncio.sleep(REVIEW_INTERVAL)
        for home_address, bids in self._engine.review(self._loop.time(), self._suspects).items():
            LOG.warning("%s may not keep BIDs %s: they are revoked", format_address(home_address), sorted(bids))
        self._dispatcher.pump()

    def reload(self) -> None:
        """Begin to read the configuration file again; the log says what comes of it."""

        async def reload() -> None:
            with suppress(ControlError):  # the log has it
                done = asdict(await self._reloader.reload())
                await self._control.record_change(Change("SIGHUP", Role.ADMIN, "reload", "/v1/reload", None, done))

        task = asyncio.create_task(reload(), name="reload")
        self._reloading.add(task)
        task.add_done_callback(self._reloading.discard)

    def _packet_in(self, switch: str, packet: PacketIn) -> None:
        began = self._decoded = self._loop.time()
        link = self._network.home_links.link_of(switch, packet)
        if self._network.receive(switch, packet, link):
            return
        fault = _FAULTS.get(packet.reason)
        obstacle = None if fault is None else Obstacle(fault, packet.mtu)
        self._engine.receive(network_layer(packet.frame), began, link=link, obstacle=obstacle)
        now = self._loop.time()
        self._stopwatch.add("decode", self._decoded - began)
        self._stopwatch.add("decide", now - self._decoded)
        self._dispatcher.pump(began)

    def _note_decoded(self) -> None:
        self._decoded = self._loop.time()


def _engine_config(
    programs: Programs, security: SecurityContext, restarts: int
) -> Callable[[Settings], HomeAgentConfig]:
    """Return the function that makes of settings what the engine is told."""

    def engine_config(settings: Settings) -> HomeAgentConfig:
        return replace(settings.home_agent_config(security.clock_offset, restarts), flow_keys=programs.flow_keys)

    return engine_config


def _access(settings: Settings, tokens: TokenFile) -> Access:
    section = settings.northbound
    anonymous = None if section.anonymous == "none" else Role(section.anonymous)
    limit = RateLimit(section.requests_per_second, section.requests_burst)
    return Access(tokens, anonymous=anonymous, limit=limit)
