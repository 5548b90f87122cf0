"""The composition root: wires the layers and runs them in one event loop."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from controller.config import Settings
from controller.dataplane.desired import DesiredState
from controller.dataplane.entries import Rate
from controller.dataplane.ids import Ids
from controller.dataplane.pipeline import PuntReason
from controller.dataplane.wanted import WantedOf
from controller.fabric.advertiser import Advertiser
from controller.fabric.discovery import NeighbourDiscovery, with_macs
from controller.fabric.paths import NO_OUTAGE, NoPathError, Outage, home_agents, home_doors, switch_entries
from controller.mobility.address import Address, format_address
from controller.mobility.home_agent import HomeAgent
from controller.mobility.model import NodeRecord
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
from controller.service.anchors import Anchors, Quorum
from controller.service.committer import Committer
from controller.service.control import Machinery, ServiceControl
from controller.service.dispatcher import Dispatcher
from controller.service.facts import node_facts
from controller.service.home_links import HomeLinks, network_layer
from controller.service.links import LinkKeeper, link_watch
from controller.service.next_hops import NextHopKeeper
from controller.service.ports import PortKeeper
from controller.service.preferences import with_preferences
from controller.service.programs import Programs
from controller.service.reload import Reloader
from controller.service.rerouting import Rerouter, Static
from controller.service.revoker import Revoker
from controller.service.sessions import session_options
from controller.service.stages import Stopwatch, TimedWriter
from controller.service.transit import Transit, TransitError, check_installed
from controller.southbound.artefacts import Artefacts
from controller.southbound.journal import Journal
from controller.southbound.session import SwitchSession
from controller.southbound.states import SessionState
from controller.southbound.stream import PacketIn
from controller.store import Change, SqliteStore, StoredState

LOG: Final = logging.getLogger(__name__)

_FAULTS: Final = {
    int(PuntReason.HOP_LIMIT): Fault.HOP_LIMIT,
    int(PuntReason.TOO_BIG): Fault.TOO_BIG,
    int(PuntReason.UNREACHABLE): Fault.UNREACHABLE,
}
"""Reasons of packets that are nobody's here, but whose source should hear why they went no further."""

REVIEW_INTERVAL: Final = 0.1
"""Seconds between two looks whether a switch is in service."""

_T = TypeVar("_T")


class ServiceError(Exception):
    """The controller cannot start. One line: what, where, what to do."""


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
        self._store_thread = store_thread
        self._store = store
        self._journal = journal
        self._programs = Programs.of(settings, artefacts)
        # The wall clock is read once: the engine's own does not jump.
        security = SecurityContext(time.time() - self._loop.time(), os.urandom)

        def engine_config(settings: Settings) -> HomeAgentConfig:
            config = settings.home_agent_config(security.clock_offset, restarts)
            return replace(config, flow_keys=self._programs.flow_keys)

        self._engine = HomeAgent(engine_config(settings), security=security, on_decoded=self._note_decoded)
        self._feed = EventFeed(time.time)
        self._stopwatch = Stopwatch()
        self._desired = DesiredState(
            Ids(self._programs.highest_number, home_agents(settings.topology)),
            node_facts(settings, self._engine),
            self._programs.flow_keys,
        )
        self._discovery = NeighbourDiscovery(settings.topology, settings.controller.neighbour_reachable_s)
        self._rerouter = Rerouter(self._desired, partial(self._static, settings))
        self._ports = PortKeeper(settings.topology, partial(self._rerouter.set_lost_links, "gnmi"))
        self._transit = self._make_transit(settings)
        self._anchors = Anchors(
            (self._session(settings, name) for name in self._switch_names(settings)),
            self._desired.localised,
            anchors=settings.topology.anchors,
            quorum=Quorum(settings.controller.quorum),
        )
        self._desired.set_capacity(self._anchors.capacity(self._desired.static_counts))
        self._committer = self._make_committer(settings)
        self._home_links = HomeLinks(settings.topology, self._anchors.sessions, self._anchors)
        self._advertiser = self._make_advertiser(settings)
        self._next_hops = NextHopKeeper(self._discovery, self._home_links.send_frames, self._rerouter.refresh)
        self._links = LinkKeeper(
            link_watch(settings.topology, settings.controller),
            self._anchors,
            self._home_links.send_frames,
            partial(self._rerouter.set_lost_links, "hellos"),
        )
        self._dispatcher = Dispatcher(
            self._engine,
            self._committer,
            self._anchors,
            self._home_links,
            self._feed,
            self._stopwatch,
            nodes_at=self._desired.ids.nodes_at,
        )
        self._revoker = Revoker(self._engine, self._dispatcher.pump)
        self._reloader = Reloader(settings, self._engine, engine_config, self._dispatcher.pump)
        self._control = ServiceControl(
            self._reloader,
            Machinery(
                self._engine,
                self._desired,
                self._anchors,
                self._committer,
                self._rerouter,
                self._links,
                store,
                self._in_store_thread,
                self._revoker,
                self._feed,
                self._stopwatch,
            ),
        )
        self.northbound: Final = self._make_northbound(settings)
        self._dispatcher.tell(self._control.committed, self._revoker.heard)
        self._reloading: set[asyncio.Task[None]] = set()
        self._decoded = 0.0
        self._control.provision_stored(state)
        self._suspects = self._restore(state)
        self._control.restore(state)

    # Beginning

    def _switch_names(self, settings: Settings) -> list[str]:
        for switch in settings.switches:
            try:
                static = self._static(settings, switch.name, NO_OUTAGE)
            except NoPathError as error:
                raise ServiceError(f"{settings.topology_file}: {error}") from error
            if (overflow := self._programs.overflow(switch.name, static.entries)) is not None:
                raise ServiceError(f"{settings.topology_file}: {overflow}")
            self._desired.set_static(switch.name, static.entries, anchor=static.anchor, doors=static.doors)
        return [switch.name for switch in settings.switches]

    def _make_transit(self, settings: Settings) -> Transit | None:
        """Return what drives the OpenFlow switches of the topology, if it has any."""
        if not settings.topology.openflow:
            return None
        try:
            check_installed()
        except TransitError as error:
            raise ServiceError(f"{settings.topology_file}: {error}") from error
        rerouter = self._rerouter

        def changed(nodes: frozenset[str], links: frozenset[int]) -> None:
            rerouter.set_lost_nodes(nodes)
            rerouter.set_lost_links("ports", links)

        transit = Transit(settings.topology, str(settings.openflow.listen), changed)
        rerouter.tell(transit.lead_around)
        return transit

    def _make_advertiser(self, settings: Settings) -> Advertiser:
        """Return what speaks as a router on the home links; on a virtual one there is nobody to hear it."""
        real = {
            network.home_agent: network.prefix for network in settings.home_agent.networks if network.link == "real"
        }
        ports = {
            name: [home for home in homes if home.home_agent in real] for name, homes in self._home_links.ports.items()
        }
        return Advertiser(ports, real, self._loop.time())

    def _make_committer(self, settings: Settings) -> Committer:
        return Committer(
            self._desired,
            TimedWriter(self._anchors, self._stopwatch),
            self._commit_to_store,
            grace_period=settings.controller.grace_period_s,
            batch_limit=settings.controller.batch_limit,
            batch_window=settings.controller.batch_window_s,
        )

    def _make_northbound(self, settings: Settings) -> NorthboundServer:
        listen, dashboard = settings.northbound.listen, settings.northbound.dashboard
        try:
            app = create_app(self._control, _access(settings), dashboard=dashboard)
        except ModuleNotFoundError as error:
            raise ServiceError(
                f"northbound.dashboard: {error.name} is not installed: pip install 'mcoa[dashboard]', or set it to false"
            ) from error
        return NorthboundServer(app, listen.host, listen.port, settings.tls, dashboard=dashboard)

    async def _advertise(self) -> None:
        """Send Router Advertisements when they are due."""
        while (due := self._advertiser.next_timer()) is not None:
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            self._advertiser.handle_timer(self._loop.time())
            self._home_links.send_frames(self._advertiser.outbox())

    def _static(self, settings: Settings, switch: str, outage: Outage) -> Static:
        """Return what a switch has by its place in the network."""
        topology = with_macs(settings.topology, self._discovery.learned)
        rate = Rate(settings.home_agent.signalling_rate, settings.home_agent.signalling_burst)
        reports = Rate(settings.home_agent.report_rate, settings.home_agent.report_burst)
        entries = switch_entries(topology, switch, rate, reports, outage=outage)
        return Static(entries, home_doors(topology, switch, outage=outage), switch in topology.anchors)

    def _session(self, settings: Settings, name: str) -> SwitchSession:
        return SwitchSession(
            session_options(settings, name, self._journal),
            self._programs.by_switch[name],
            WantedOf(self._desired, name),
            election_ids=self,
            on_state=self._switch_changed,
            on_packet=partial(self._packet_in, name),
            on_ports=partial(self._ports.heard, name),
        )

    def _switch_changed(self, session: SwitchSession, state: SessionState) -> None:
        self._control.switch_changed(session, state)
        self._rerouter.heard(session, state)

    async def load(self, switch: str) -> int:
        """Return the highest election id used with a switch (`southbound.session.ElectionIds`)."""
        return await self._in_store_thread(lambda: self._store.election_id(switch))

    async def save(self, switch: str, election_id: int) -> None:
        """Keep an election id before it is used (`southbound.session.ElectionIds`)."""
        await self._in_store_thread(lambda: self._store.save_election_id(switch, election_id))

    def _restore(self, state: StoredState) -> list[Address]:
        """Take over what was stored; return whose bindings the configuration may no longer allow."""
        policies = with_preferences(state.policies, state.documents)
        gone: list[Change] = []
        kept = list[NodeRecord]()
        suspects: list[Address] = []
        for node in state.nodes:
            record = self._programs.carried(node.record)
            excess = self._engine.excess(record)
            if excess is None:
                LOG.warning("%s has no home network any more: its bindings go", format_address(record.home_address))
                gone.append(Change(record.home_address, None))
                continue
            if excess:
                suspects.append(record.home_address)
            wanted = self._programs.enforceable(policies.pop(record.home_address, ()))
            try:
                self._desired.restore(record, node.node_id, node.path_ids, wanted)
            except ValueError as error:
                raise ServiceError(f"what is stored does not fit the switches: {error}") from error
            kept.append(record)
        for home_address, rest in policies.items():
            self._desired.confirm(self._desired.set_policies(home_address, self._programs.enforceable(rest)))
        self._engine.restore(kept, state.marks)
        if gone:
            self._store_thread.submit(self._store.commit, gone).result()
        for expired in state.expired:
            LOG.info("BID %d of %s ended meanwhile", expired.binding.bid, format_address(expired.home_address))
        LOG.info("restored %d nodes, %d policies", len(kept), len(state.policies))
        return suspects

    # Running

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set.

        Raises:
            ServerError: the REST server cannot listen.
        """
        await self.northbound.start()
        LOG.info("REST on %s", self.northbound.url)
        self._rerouter.follow(self._anchors.sessions)
        sessions = [asyncio.create_task(one.run(), name=one.name) for one in self._anchors.sessions.values()]
        committing = asyncio.create_task(self._committer.run(), name="commit")
        rerouting = asyncio.create_task(self._rerouter.run(), name="reroute")
        transit = [] if self._transit is None else [asyncio.create_task(self._transit.run(), name="openflow")]
        self._dispatcher.pump()
        advertising = asyncio.create_task(self._advertise(), name="advertise")
        watching = [
            asyncio.create_task(self._links.run(), name="links"),
            asyncio.create_task(self._next_hops.run(), name="next hops"),
        ]
        reviewing = asyncio.create_task(self._review_suspects(), name="review")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        tasks = [*sessions, committing, rerouting, *transit]
        # None of them ends by itself: one that does has failed, and a controller without it would lie about its work.
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in tasks if task.done()]
        self._feed.close()
        self._committer.stop()
        await asyncio.wait([committing])
        for task in (*sessions, rerouting, *transit, advertising, *watching, stopping, reviewing, *self._reloading):
            task.cancel()
        await asyncio.gather(
            *sessions, rerouting, *transit, stopping, reviewing, *self._reloading, return_exceptions=True
        )
        self._dispatcher.close()
        await self.northbound.stop()
        for task in failed:
            task.result()

    async def _review_suspects(self) -> None:
        """Take back what the configuration no longer allows, once there is a switch that can carry the word of it."""
        while self._suspects and not self._anchors.in_service():  # noqa: ASYNC110 - sessions announce nothing
            await asyncio.sleep(REVIEW_INTERVAL)
        for home_address, bids in self._engine.review(self._loop.time(), self._suspects).items():
            LOG.warning("%s may not keep BIDs %s: they are revoked", format_address(home_address), sorted(bids))
        self._dispatcher.pump()

    def reload(self) -> None:
        """Begin to read the configuration file again; the log says what comes of it."""

        async def reload() -> None:
            with suppress(ControlError):  # the log has it
                await self._reloader.reload()

        task = asyncio.create_task(reload(), name="reload")
        self._reloading.add(task)
        task.add_done_callback(self._reloading.discard)

    def _packet_in(self, switch: str, packet: PacketIn) -> None:
        began = self._decoded = self._loop.time()
        if packet.reason == PuntReason.LINK_DISCOVERY:
            self._links.receive(switch, packet)
            return
        link = self._home_links.link_of(switch, packet)
        if link is not None and self._advertiser.receive(switch, packet.ingress_port, packet.frame):
            self._home_links.send_frames(self._advertiser.outbox())
            return
        if packet.reason == PuntReason.NEIGHBOUR_DISCOVERY and self._next_hops.receive(switch, packet) and link is None:
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

    # The store's thread

    async def _in_store_thread(self, call: Callable[[], _T]) -> _T:
        return await self._loop.run_in_executor(self._store_thread, call)

    async def _commit_to_store(self, changes: Sequence[Change]) -> None:
        began = self._loop.time()
        await self._in_store_thread(lambda: self._store.commit(changes))
        self._stopwatch.add("store", self._loop.time() - began)


def _access(settings: Settings) -> Access:
    section = settings.northbound
    anonymous = None if section.anonymous == "none" else Role(section.anonymous)
    limit = RateLimit(section.requests_per_second, section.requests_burst)
    return Access(TokenFile(settings.tokens), anonymous=anonymous, limit=limit)
