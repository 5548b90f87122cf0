"""The switches of one controller and the network around them: what each has by its place, and what it hears of its links."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any, Final, TypeAlias

from controller.config import Settings
from controller.dataplane.desired import DesiredState
from controller.dataplane.entries import Rate
from controller.dataplane.pipeline import PuntReason
from controller.dataplane.wanted import WantedOf
from controller.fabric.advertiser import Advertiser, Served
from controller.fabric.discovery import NeighbourDiscovery, with_macs
from controller.fabric.paths import NO_OUTAGE, NoPathError, Outage
from controller.fabric.statics import home_doors, switch_entries
from controller.mobility.parts import LinkInfo
from controller.service.anchors import Anchors, Quorum
from controller.service.errors import ServiceError
from controller.service.home_links import HomeLinks
from controller.service.links import LinkKeeper, link_watch
from controller.service.next_hops import NextHopKeeper
from controller.service.ports import PortKeeper
from controller.service.programs import Programs
from controller.service.rerouting import Rerouter, Static
from controller.service.sessions import session_options
from controller.service.transit import Transit, TransitError, check_installed
from controller.southbound.connection import PacketHandler
from controller.southbound.journal import Journal
from controller.southbound.options import ElectionIds
from controller.southbound.session import StateListener, SwitchSession
from controller.southbound.states import SessionState
from controller.southbound.stream import PacketIn

_REASONS: Final = {int(reason): reason.name.lower() for reason in PuntReason}
_OTHER: Final = "other"
"""Reasons that this controller does not know."""

Named: TypeAlias = tuple[str, Coroutine[Any, Any, None]]
"""What is to run as a task of that name."""
SwitchPacketHandler = Callable[[str, PacketIn], None]
"""Gets the name of a switch, and a packet that it handed over."""


class Network:
    """The sessions with all switches, their static entries, and who keeps these right.

    Args:
        settings: the configuration.
        programs: the P4 program of each switch.
        desired: what the switches should hold; gets their static entries and how much they have room for.
        election_ids: keeps those of the sessions.
        journal: keeps what is written to switches; None: nobody does.
        on_state: hears of each session that is in another state.
        on_packet: gets the packets of each switch, whose name comes first.

    Raises:
        ServiceError: the topology cannot be carried out.
    """

    def __init__(
        self,
        settings: Settings,
        programs: Programs,
        desired: DesiredState,
        election_ids: ElectionIds,
        journal: Journal | None,
        *,
        on_state: StateListener,
        on_packet: SwitchPacketHandler,
    ) -> None:
        self._loop: Final = asyncio.get_running_loop()
        self._settings: Final = settings
        self._programs: Final = programs
        self._desired: Final = desired
        self._election_ids: Final = election_ids
        self._journal: Final = journal
        self._on_state: Final = on_state
        topology = settings.topology
        self.punts: Final = {switch.name: Counter[str]() for switch in settings.switches}
        """Packets that each switch handed over, by the name of the reason."""
        self._discovery: Final = NeighbourDiscovery(topology, settings.controller.neighbour_reachable_s)
        self.rerouter: Final = Rerouter(desired, self._static)
        self._ports: Final = PortKeeper(topology, partial(self.rerouter.set_lost_links, "gnmi"))
        self._transit: Final = self._make_transit()
        self._set_statics()
        self.anchors: Final = Anchors(
            (self._session(switch.name, partial(on_packet, switch.name)) for switch in settings.switches),
            desired.localised,
            anchors=topology.anchors,
            quorum=Quorum(settings.controller.quorum),
        )
        desired.set_capacity(self.anchors.capacity(desired.static_counts))
        self.home_links: Final = HomeLinks(topology, self.anchors.sessions, self.anchors)
        self._advertiser: Final = self._make_advertiser()
        self._next_hops: Final = NextHopKeeper(self._discovery, self.home_links.send_frames, self.rerouter.refresh)
        self.links: Final = LinkKeeper(
            link_watch(topology, settings.controller),
            self.anchors,
            self.home_links.send_frames,
            partial(self.rerouter.set_lost_links, "hellos"),
        )

    def _make_transit(self) -> Transit | None:
        """Return what drives the OpenFlow switches of the topology, if it has any."""
        settings, rerouter = self._settings, self.rerouter
        if not settings.topology.openflow:
            return None
        try:
            check_installed()
        except TransitError as error:
            raise ServiceError(f"{settings.topology_file}: {error}") from error

        def changed(nodes: frozenset[str], links: frozenset[int]) -> None:
            rerouter.set_lost_nodes(nodes)
            rerouter.set_lost_links("ports", links)

        transit = Transit(settings.topology, str(settings.openflow.listen), changed)
        rerouter.tell(transit.lead_around)
        return transit

    def _make_advertiser(self) -> Advertiser:
        """Return what speaks as a router on the home links; on a virtual one there is nobody to hear it."""
        networks = self._settings.home_agent.networks
        real = {one.home_agent: Served(one.prefix, one.preference) for one in networks if one.link == "real"}
        return Advertiser(self.home_links.ports, real, self._loop.time())

    def _set_statics(self) -> None:
        file = self._settings.topology_file
        for switch in self._settings.switches:
            try:
                static = self._static(switch.name, NO_OUTAGE)
            except NoPathError as error:
                raise ServiceError(f"{file}: {error}") from error
            if (overflow := self._programs.overflow(switch.name, static.entries)) is not None:
                raise ServiceError(f"{file}: {overflow}")
            self._desired.set_static(switch.name, static.entries, anchor=static.anchor, doors=static.doors)

    def _static(self, switch: str, outage: Outage) -> Static:
        """Return what a switch has by its place in the network."""
        limits = self._settings.home_agent
        topology = with_macs(self._settings.topology, self._discovery.learned)
        rate = Rate(limits.signalling_rate, limits.signalling_burst)
        reports = Rate(limits.report_rate, limits.report_burst)
        entries = switch_entries(topology, switch, rate, reports, outage=outage)
        return Static(entries, home_doors(topology, switch, outage=outage), switch in topology.anchors)

    def _session(self, name: str, on_packet: PacketHandler) -> SwitchSession:
        return SwitchSession(
            session_options(self._settings, name, self._journal),
            self._programs.by_switch[name],
            WantedOf(self._desired, name),
            election_ids=self._election_ids,
            on_state=self._state_changed,
            on_packet=on_packet,
            on_ports=partial(self._ports.heard, name),
        )

    def _state_changed(self, session: SwitchSession, state: SessionState) -> None:
        self._on_state(session, state)
        self.rerouter.heard(session, state)

    def receive(self, switch: str, packet: PacketIn, link: LinkInfo | None) -> bool:
        """Take a packet if it is about the network itself, not about mobile nodes; tell whether it was.

        Args:
            switch: who handed it over.
            packet: the packet.
            link: how it came in on a home link; None: it did not.
        """
        self.punts[switch][_REASONS.get(packet.reason, _OTHER)] += 1
        if packet.reason == PuntReason.LINK_DISCOVERY:
            self.links.receive(switch, packet)
            return True
        if link is not None and self.home_links.is_own(link):
            return True
        if link is not None and self._advertiser.receive(switch, packet.ingress_port, packet.frame):
            self.home_links.send_frames(self._advertiser.outbox())
            return True
        return (
            packet.reason == PuntReason.NEIGHBOUR_DISCOVERY and self._next_hops.receive(switch, packet) and link is None
        )

    # Running

    def vital(self) -> Iterator[Named]:
        """Yield what has to run as long as the controller does; none of it ends by itself."""
        self.rerouter.follow(self.anchors.sessions)
        yield from ((name, session.run()) for name, session in self.anchors.sessions.items())
        yield "reroute", self.rerouter.run()
        if self._transit is not None:
            yield "openflow", self._transit.run()

    def helpful(self) -> Iterator[Named]:
        """Yield what runs beside it, and may end."""
        yield "advertise", self._advertise()
        yield "links", self.links.run()
        yield "next hops", self._next_hops.run()

    async def _advertise(self) -> None:
        """Send Router Advertisements when they are due."""
        while (due := self._advertiser.next_timer()) is not None:
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            self._advertiser.handle_timer(self._loop.time())
            self.home_links.send_frames(self._advertiser.outbox())
