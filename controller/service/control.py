"""What the northbound may see and do, answered by the running service."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from controller.config import Settings
from controller.dataplane.desired import DesiredState
from controller.mobility.address import Address, format_address
from controller.mobility.flows import FlowPolicy
from controller.mobility.home_agent import HomeAgent
from controller.mobility.model import NodeRecord, Transaction
from controller.mobility.provision import NodeProvision
from controller.northbound.control import (
    BindingKey,
    BindingState,
    BindingTraffic,
    BindingView,
    Health,
    NodeState,
    NodeView,
    PolicyView,
    Reloaded,
)
from controller.northbound.errors import UnknownNodeError
from controller.northbound.events import EventFeed, Kind
from controller.northbound.schedule import Schedule
from controller.northbound.switch_views import AuditView, SwitchView
from controller.northbound.views import (
    Census,
    Change,
    DrainView,
    DrillView,
    FlowView,
    HomeNetworkView,
    ProvisionView,
    Stages,
    TableUpdate,
    TopologyView,
)
from controller.service.audit_log import AuditLog
from controller.service.committer import Committer
from controller.service.counters import TrafficCounters
from controller.service.drains import Drains
from controller.service.drills import Drills
from controller.service.keeper import Keeper, StoreThread
from controller.service.network import Network
from controller.service.network_view import NetworkView
from controller.service.policies import PolicyBook
from controller.service.provisioning import Provisioning
from controller.service.reload import Reloader
from controller.service.revoker import Revoker
from controller.service.roster import Roster
from controller.service.stages import Stopwatch
from controller.service.switches import STATES, Switches
from controller.southbound.session import SwitchSession
from controller.southbound.states import SessionState
from controller.store import Store, StoredState


@dataclass(frozen=True, slots=True)
class Machinery:
    """What of the service does the work."""

    engine: HomeAgent
    desired: DesiredState
    network: Network
    committer: Committer
    store: Store
    in_store_thread: StoreThread
    revoker: Revoker
    feed: EventFeed
    stopwatch: Stopwatch


class ServiceControl:
    """The service's answer to `northbound.Control`."""

    def __init__(self, reloader: Reloader, machinery: Machinery) -> None:
        engine, desired, network = machinery.engine, machinery.desired, machinery.network
        committer, store, anchors = machinery.committer, machinery.store, network.anchors
        settings = self._settings = reloader.settings
        self._reloader = reloader
        reloader.on_change(self._reconfigured)
        self._engine = engine
        self._desired = desired
        self._anchors = anchors
        self._committer = committer
        self._revoker = machinery.revoker
        self._stopwatch = machinery.stopwatch
        self._feed = machinery.feed
        keep = Keeper(machinery.in_store_thread)
        self._rerouter = network.rerouter
        self._links = network.links
        self._policies = PolicyBook(engine, desired, anchors, committer, store, keep)
        self._provisioning = Provisioning(
            settings, engine, desired, store, keep, pump=self._revoker.pump, committer=committer
        )
        reloader.check_with(self._provisioning.check_settings)
        self._roster = Roster(engine, self._provisioning, self._policies)
        self._drains = Drains(engine, self._revoker.pump, store, keep)
        self._drills = Drills(engine, committer, self._feed)
        self._counters = TrafficCounters(anchors, desired)
        self._network = NetworkView(settings.topology)
        self._switches = Switches(settings, desired, network, store, keep)
        self._audit_log = AuditLog(store, keep)
        self._started = asyncio.get_running_loop().time()

    @property
    def feed(self) -> EventFeed:
        """What happens."""
        return self._feed

    def _reconfigured(self, settings: Settings) -> None:
        self._settings = settings
        for address in self._provisioning.reconfigure(settings):
            self._roster.note(address)
            state = "provisioned" if address in self._provisioning else "removed"
            self._publish(Kind.NODE, home_address=format_address(address), state=state)

    async def reload(self) -> Reloaded:
        """Read the configuration file again and bring into force what can be."""
        return await self._reloader.reload()

    def provision_stored(self, state: StoredState) -> None:
        """Take over the nodes that the store has from REST. Comes before the bindings, which need to be allowed.

        Raises:
            StoreError: one is damaged.
        """
        self._provisioning.restore(state.documents)

    def restore(self, state: StoredState) -> None:
        """Take over what else the store had; the engine has its records.

        Raises:
            StoreError: a document is damaged.
        """
        self._policies.restore(state.policies, state.documents)
        self._roster.restore()
        self._drains.restore(state.documents)
        self._switches.restore(state.documents)

    def committed(self, transaction: Transaction) -> None:
        """Take note of a change that is in force: the list of known home addresses may be another one."""
        if (transaction.before is None) != (transaction.after is None):
            self._roster.note(transaction.home_address)

    # Nodes

    def addresses(self) -> Sequence[Address]:
        """Return every home address that is provisioned or registered, in ascending order."""
        return self._roster.addresses

    def census(self) -> Census:
        """Return how many of everything there are."""
        return self._roster.census()

    def node(self, home_address: Address) -> NodeView | None:
        """Return one node, None when it is unknown."""
        record = self._engine.record(home_address)
        if record is None and home_address not in self._provisioning and not self._may_register(home_address):
            return None
        return self._view(home_address, record)

    def _may_register(self, home_address: Address) -> bool:
        return any(
            network.open and home_address in network.prefix and home_address != network.home_agent
            for network in self._settings.home_agent.networks
        )

    def _view(self, home_address: Address, record: NodeRecord | None) -> NodeView:
        now = asyncio.get_running_loop().time()
        in_force = all(session.state is SessionState.READY for session in self._anchors.sessions.values())
        state = BindingState.ACTIVE if in_force else BindingState.PENDING
        provisioned = home_address in self._provisioning
        if record is None:
            networks = self._settings.home_agent.networks
            home_agent = next((network.home_agent for network in networks if home_address in network.prefix), None)
            return NodeView(home_address, NodeState.PROVISIONED, provisioned, home_agent)
        return NodeView(
            home_address,
            NodeState.REGISTERED if record.bindings else NodeState.DEREGISTERED,
            provisioned,
            record.home_agent,
            record.sequence,
            record.mobile_router,
            record.prefixes,
            tuple(BindingView(one, max(0.0, one.expires - now), state) for one in record.bindings),
            self._policies.preferred(record),
        )

    def _require(self, home_address: Address) -> None:
        if self.node(home_address) is None:
            raise UnknownNodeError(f"{format_address(home_address)} is neither provisioned nor registered")

    def provision(self, home_address: Address) -> ProvisionView | None:
        """Return what a node may do; None: it is not provisioned."""
        return self._provisioning.get(home_address)

    def preview_provision(self, node: NodeProvision) -> Sequence[TableUpdate]:
        """Return what serving a node so would write."""
        return self._provisioning.preview(node)

    def preview_unprovision(self, home_address: Address) -> Sequence[TableUpdate]:
        """Return what serving a node no more would write."""
        return self._provisioning.preview_deletion(home_address)

    async def put_provision(self, node: NodeProvision) -> bool:
        """Serve a node from now on; tell whether it is new."""
        known = self._provisioning.get(node.home_address)
        new = await self._provisioning.put(node)
        self._roster.note(node.home_address)
        if new or known is None or known.provision != node:
            self._publish(Kind.NODE, home_address=format_address(node.home_address), state="provisioned")
        return new

    async def delete_provision(self, home_address: Address) -> None:
        """Serve a node no more, and revoke its bindings."""
        await self._provisioning.delete(home_address)
        self._roster.note(home_address)
        self._publish(Kind.NODE, home_address=format_address(home_address), state="removed")

    def flows(self, home_address: Address) -> Sequence[FlowView]:
        """Return the flow bindings that a node signalled."""
        record = self._engine.record(home_address)
        return [] if record is None else [FlowView(flow, record.active_bids(flow)) for flow in record.flows]

    async def revoke(self, home_address: Address, bid: int | None = None) -> None:
        """Take one binding of a node back, or all."""
        self._require(home_address)
        await self._revoker.revoke(home_address, bid)

    def revoke_all(self) -> int:
        """Begin to take all bindings of all nodes back; return of how many nodes."""
        return self._revoker.revoke_all()

    async def traffic(self, home_addresses: Collection[Address]) -> Mapping[BindingKey, BindingTraffic]:
        """Return the counters of some nodes' bindings, summed over the switches that can be read."""
        found = (self._engine.record(address) for address in home_addresses)
        return await self._counters.of([record for record in found if record is not None and record.bindings])

    async def drill(self, home_address: Address, bid: int, seconds: float) -> DrillView:
        """Take a path away for a while."""
        self._require(home_address)
        return await self._drills.run(home_address, bid, seconds)

    # Switches and the network

    async def switches(self) -> Sequence[SwitchView]:
        """Return every switch, in the order of the configuration."""
        return await self._switches.all()

    async def switch(self, name: str) -> SwitchView | None:
        """Return one switch, None when there is none of that name."""
        return await self._switches.one(name)

    async def audit(self, name: str) -> AuditView | None:
        """Compare the tables of a switch with what they should hold; None when there is none of that name."""
        return await self._switches.audit(name)

    async def drain_switch(self, name: str) -> bool:
        """Take a switch out of service; tell whether it was in service."""
        was = await self._switches.drain(name)
        if was:
            self._publish(Kind.DRAIN, state="begun", switch=name)
        return was

    async def undrain_switch(self, name: str) -> bool:
        """Put a switch back into service; tell whether it was drained."""
        was = await self._switches.undrain(name)
        if was:
            self._publish(Kind.DRAIN, state="ended", switch=name)
        return was

    def switch_changed(self, session: SwitchSession, state: SessionState) -> None:
        """Take note that the session with a switch is in another state."""
        self._publish(Kind.SWITCH, switch=session.name, state=STATES[state].value, error=session.last_error)

    def topology(self, home_addresses: Collection[Address]) -> TopologyView:
        """Return the network, with the paths of some nodes' bindings."""
        found = (self._engine.record(address) for address in home_addresses)
        records = (record for record in found if record is not None)
        return self._network.view(self._switches.states(), records, self._rerouter.outage)

    def home_networks(self) -> Sequence[HomeNetworkView]:
        """Return the home networks, in the order of the configuration."""
        return self._roster.home_networks(self._settings)

    # Policies

    def policies(self, home_address: Address | None = None) -> Sequence[PolicyView]:
        """Return policies of one node or of all, in ascending order of home address, then priority."""
        return self._policies.views(home_address)

    def preview_policy(self, policy: FlowPolicy, schedule: Schedule | None = None) -> Sequence[TableUpdate]:
        """Return what putting a policy would write."""
        self._require(policy.home_address)
        return self._policies.preview(policy, schedule)

    async def put_policy(self, policy: FlowPolicy, schedule: Schedule | None = None) -> bool:
        """Store a policy and bring it into force; tell whether it is new."""
        self._require(policy.home_address)
        new = await self._policies.put(policy, schedule)
        self._publish(Kind.POLICY, home_address=format_address(policy.home_address), name=policy.name, state="put")
        return new

    def preview_policy_deletion(self, home_address: Address, name: str) -> Sequence[TableUpdate]:
        """Return what removing a policy would write."""
        self._require(home_address)
        return self._policies.preview_deletion(home_address, name)

    async def delete_policy(self, home_address: Address, name: str) -> bool:
        """Remove a policy; tell whether there was one."""
        self._require(home_address)
        found = await self._policies.delete(home_address, name)
        if found:
            self._publish(Kind.POLICY, home_address=format_address(home_address), name=name, state="deleted")
        return found

    def preference(self, home_address: Address) -> Sequence[int] | None:
        """Return a node's BIDs as the operator prefers them; None: nothing is said."""
        return self._policies.preference(home_address)

    def preview_preference(self, home_address: Address, bids: Sequence[int] | None) -> Sequence[TableUpdate]:
        """Return what putting a preference, or removing it, would write."""
        self._require(home_address)
        return self._policies.preview_preference(home_address, bids or ())

    async def set_preference(self, home_address: Address, bids: Sequence[int] | None) -> bool:
        """Store a preference and bring it into force, or remove it; tell whether there was one."""
        self._require(home_address)
        before = self._policies.preference(home_address)
        wanted = None if bids is None else tuple(bids)
        was = await self._policies.set_preference(home_address, wanted)
        if before != wanted:
            shown = None if bids is None else list(bids)
            self._publish(Kind.PREFERENCE, home_address=format_address(home_address), bids=shown)
        return was

    # The controller

    def drain(self) -> DrainView | None:
        """Return how the draining stands; None: nothing is drained."""
        return self._drains.view()

    async def begin_drain(self, home_agents: Sequence[Address], seconds_left: float | None) -> None:
        """Ask all nodes to go to other home agents."""
        await self._drains.begin(home_agents, seconds_left)
        self._publish(Kind.DRAIN, state="begun", home_agents=list(map(format_address, home_agents)))

    async def end_drain(self) -> bool:
        """Serve as before; tell whether anything was drained."""
        was = await self._drains.end()
        if was:
            self._publish(Kind.DRAIN, state="ended")
        return was

    async def record_change(self, change: Change) -> None:
        """Write to the audit log; when that fails, health says so."""
        await self._audit_log.record(change)

    async def changes(self, limit: int, before: int | None = None) -> Sequence[Change]:
        """Return changes from the audit log, newest first."""
        return await self._audit_log.changes(limit, before)

    def signalling(self) -> Mapping[str, int]:
        """Return what became of signalling since the start, as the engine counts it."""
        return self._engine.counters

    def refused_hellos(self) -> Mapping[str, int]:
        """Return the frames of link discovery that did not count, by reason."""
        return self._links.refused

    def stages(self) -> Stages:
        """Return how long registrations spent in each stage."""
        return self._stopwatch.view()

    def gauges(self) -> Mapping[str, float]:
        """Return the lengths of queues and the like."""
        return {"commit_queue": len(self._committer), "unsent_packets": self._anchors.unsent}

    def health(self) -> Health:
        """Return the controller's state in brief."""
        uptime = asyncio.get_running_loop().time() - self._started
        problems = [] if self._audit_log.failure is None else [self._audit_log.failure]
        problems += [
            f"{name} is out of service: DELETE /v1/switches/{name}/drain puts it back"
            for name in sorted(self._switches.drained)
        ]
        if self._drains.active:
            problems.append("all nodes are being sent to other home agents: DELETE /v1/drain ends that")
        return Health(uptime, self._switches.states(), tuple(problems))

    def _publish(self, kind: Kind, **details: object) -> None:
        self._feed.publish(kind, partial(dict, details))
