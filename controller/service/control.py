"""What the northbound may see and do, answered by the running service."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, Protocol

from controller.config import Settings
from controller.dataplane import pipeline as p
from controller.dataplane.desired import DesiredState
from controller.dataplane.entries import EntryKey
from controller.dataplane.flows import PolicyError, validate_policy
from controller.dataplane.planner import binding_counters
from controller.dataplane.text import format_action, format_key
from controller.mobility.address import Address, format_address
from controller.mobility.flows import FlowPolicy
from controller.mobility.home_agent import HomeAgent
from controller.mobility.model import NodeRecord
from controller.northbound.control import (
    AuditView,
    BindingKey,
    BindingState,
    BindingTraffic,
    BindingView,
    ConflictError,
    Difference,
    DriftKind,
    Health,
    NodeState,
    NodeView,
    PolicyState,
    PolicyView,
    RefusedError,
    Reloaded,
    SwitchState,
    SwitchView,
    TableUsage,
    Traffic,
    UnavailableError,
    UnknownNodeError,
)
from controller.service.anchors import Anchors
from controller.service.committer import Committer
from controller.service.jobs import PolicyJob
from controller.service.reload import Reloader
from controller.service.revoker import Revoker
from controller.southbound.errors import SouthboundError
from controller.southbound.readback import Drift
from controller.southbound.session import SwitchSession
from controller.southbound.states import SessionState
from controller.store import Store, StoreError

LOG: Final = logging.getLogger(__name__)

_COUNTED: Final = (p.TUNNELS, p.HOST_SOURCES, p.NETWORK_SOURCES)
"""Tables whose direct counters count a binding's packets."""

MAX_SHOWN: Final = 1000
"""Differences that an audit lists; it counts all."""

_STATES: Final = {
    SessionState.STOPPED: SwitchState.CONNECTING,
    SessionState.CONNECTING: SwitchState.CONNECTING,
    SessionState.STANDBY: SwitchState.STANDBY,
    SessionState.SYNCING: SwitchState.SYNCING,
    SessionState.READY: SwitchState.READY,
}


class StoreThread(Protocol):
    """Runs a blocking call of the store in the store's own thread."""

    def __call__(self, call: Callable[[], object]) -> Awaitable[object]:
        """Run it and return what it returns."""


class ServiceControl:
    """The service's answer to `northbound.Control`."""

    def __init__(
        self,
        reloader: Reloader,
        *,
        engine: HomeAgent,
        desired: DesiredState,
        anchors: Anchors,
        committer: Committer,
        store: Store,
        in_store_thread: StoreThread,
        revoker: Revoker,
    ) -> None:
        self._reloader = reloader
        self._engine = engine
        self._desired = desired
        self._anchors = anchors
        self._committer = committer
        self._store = store
        self._in_store_thread = in_store_thread
        self._revoker = revoker
        reloader.on_change(self._reconfigured)
        self._reconfigured(reloader.settings)
        self._policies: dict[Address, dict[str, FlowPolicy]] = {}
        self._policy_lock = asyncio.Lock()
        self._started = asyncio.get_running_loop().time()

    def _reconfigured(self, settings: Settings) -> None:
        self._settings = settings
        self._provisioned = {node.home_address for node in settings.nodes}

    async def reload(self) -> Reloaded:
        """Read the configuration file again and bring into force what can be."""
        return await self._reloader.reload()

    def restore_policies(self, policies: Sequence[FlowPolicy]) -> None:
        """Take over the policies that the store had."""
        for policy in policies:
            self._policies.setdefault(policy.home_address, {})[policy.name] = policy

    # Nodes

    def nodes(self) -> Sequence[NodeView]:
        """Return every node that is provisioned or registered, in ascending order of home address."""
        known = {record.home_address: record for record in self._engine.records()}
        return [self._view(address, known.get(address)) for address in sorted(known.keys() | self._provisioned)]

    def node(self, home_address: Address) -> NodeView | None:
        """Return one node, None when it is unknown."""
        record = self._engine.record(home_address)
        if record is None and home_address not in self._provisioned and not self._may_register(home_address):
            return None
        return self._view(home_address, record)

    def _may_register(self, home_address: Address) -> bool:
        return any(network.open and home_address in network.prefix for network in self._settings.home_agent.networks)

    def _view(self, home_address: Address, record: NodeRecord | None) -> NodeView:
        now = asyncio.get_running_loop().time()
        in_force = all(session.state is SessionState.READY for session in self._anchors.sessions.values())
        state = BindingState.ACTIVE if in_force else BindingState.PENDING
        networks = self._settings.home_agent.networks
        home_agent = next((network.home_agent for network in networks if home_address in network.prefix), None)
        provisioned = home_address in self._provisioned
        if record is None:
            return NodeView(home_address, NodeState.PROVISIONED, provisioned, home_agent)
        preferred = record.preferred
        return NodeView(
            home_address,
            NodeState.REGISTERED if record.bindings else NodeState.DEREGISTERED,
            provisioned,
            record.home_agent,
            record.sequence,
            record.mobile_router,
            record.prefixes,
            tuple(BindingView(one, max(0.0, one.expires - now), state) for one in record.bindings),
            None if preferred is None else preferred.bid,
        )

    async def revoke(self, home_address: Address, bid: int | None = None) -> None:
        """Take one binding of a node back, or all."""
        if self.node(home_address) is None:
            raise UnknownNodeError(f"{format_address(home_address)} is neither configured nor registered")
        await self._revoker.revoke(home_address, bid)

    async def traffic(self, home_address: Address | None = None) -> Mapping[BindingKey, BindingTraffic]:
        """Return the counters of one node's bindings or of all, summed over the switches that can be read."""
        if home_address is None:
            records = [record for record in self._engine.records() if record.bindings]
        else:
            record = self._engine.record(home_address)
            records = [] if record is None else [record]
        counted = await asyncio.gather(*(self._read_counters(session) for session in self._anchors.in_service()))
        found: dict[BindingKey, BindingTraffic] = {}
        for record in records:
            for bid, keys in binding_counters(record, self._desired.ids).items():
                if any(keys.downstream in counters for counters in counted):
                    downstream, upstream = _sum(counted, (keys.downstream,)), _sum(counted, keys.upstream)
                    found[record.home_address, bid] = BindingTraffic(downstream, upstream)
        return found

    @staticmethod
    async def _read_counters(session: SwitchSession) -> Mapping[EntryKey, tuple[int, int]]:
        counters: dict[EntryKey, tuple[int, int]] = {}
        try:
            for table in _COUNTED:
                counters.update(await session.read_counters(table))
        except SouthboundError as error:
            LOG.warning("counters cannot be read: %s", error)
            return {}
        return counters

    # Switches

    async def switches(self) -> Sequence[SwitchView]:
        """Return every switch, in the order of the configuration."""
        return await asyncio.gather(*(self._switch_view(session) for session in self._anchors.sessions.values()))

    async def switch(self, name: str) -> SwitchView | None:
        """Return one switch, None when there is none of that name."""
        session = self._anchors.sessions.get(name)
        return None if session is None else await self._switch_view(session)

    async def _switch_view(self, session: SwitchSession) -> SwitchView:
        settings = next(switch for switch in self._settings.switches if switch.name == session.name)
        ready = session.state is SessionState.READY
        drops: dict[str, Traffic] = {}
        tables: tuple[TableUsage, ...] = ()
        if ready:
            used = Counter(key[0] for key in self._desired.desired(session.name))
            tables = tuple(TableUsage(name, used[name], size) for name, size in session.table_sizes.items())
            try:
                read = await session.read_drops()
                drops = {reason.name.lower(): Traffic(*count) for reason, count in read.items()}
            except SouthboundError as error:
                LOG.warning("drops cannot be read: %s", error)
        return SwitchView(
            session.name,
            str(settings.address),
            settings.device_id,
            settings.target,
            _STATES[session.state],
            ready,
            tables,
            drops,
            session.last_error,
            session.repaired,
            len(session.drift.adopted),
            tuple(session.suspicions),
        )

    async def audit(self, name: str) -> AuditView | None:
        """Compare the tables of a switch with what they should hold; None when there is none of that name."""
        session = self._anchors.sessions.get(name)
        if session is None:
            return None
        try:
            drift = await session.audit(repair=False)
        except SouthboundError as error:
            return AuditView(name, str(error))
        return AuditView(
            name, None, drift.entries, len(drift), len(drift.adopted), tuple(islice(_differences(drift), MAX_SHOWN))
        )

    def signalling(self) -> Mapping[str, int]:
        """Return what became of signalling since the start, as the engine counts it."""
        return self._engine.counters

    # Policies

    def policies(self, home_address: Address | None = None) -> Sequence[PolicyView]:
        """Return policies of one node or of all, in ascending order of home address, then priority."""
        nodes = sorted(self._policies) if home_address is None else [home_address]
        found: list[PolicyView] = []
        for node in nodes:
            record = self._engine.record(node)
            for policy in sorted(self._policies.get(node, {}).values(), key=lambda one: one.priority):
                active = record is not None and policy.is_active({binding.bid for binding in record.bindings})
                found.append(PolicyView(policy, PolicyState.ACTIVE if active else PolicyState.INACTIVE))
        return found

    async def put_policy(self, policy: FlowPolicy) -> bool:
        """Store a policy and bring it into force; tell whether it is new."""
        node = policy.home_address
        if self.node(node) is None:
            raise UnknownNodeError(f"{format_address(node)} is neither configured nor registered")
        try:
            validate_policy(policy)
        except PolicyError as error:
            raise RefusedError(str(error)) from error
        async with self._policy_lock:
            now = self._policies.get(node, {})
            for other in now.values():
                if other.name != policy.name and other.priority == policy.priority:
                    raise ConflictError(
                        f"priority {policy.priority} belongs to the policy {other.name!r}: choose another"
                    )
            old = now.get(policy.name)
            await self._keep(lambda: self._store.save_policy(policy))
            refusal = await self._bring_into_force(node, {**now, policy.name: policy})
            if refusal is not None:
                await self._keep(lambda: self._store_again(policy, old))
                raise RefusedError(refusal)
        return old is None

    async def delete_policy(self, home_address: Address, name: str) -> bool:
        """Remove a policy; tell whether there was one."""
        if self.node(home_address) is None:
            raise UnknownNodeError(f"{format_address(home_address)} is neither configured nor registered")
        async with self._policy_lock:
            now = self._policies.get(home_address, {})
            old = now.get(name)
            if old is None:
                return False
            await self._keep(lambda: self._store.delete_policy(home_address, name))
            rest = {key: policy for key, policy in now.items() if key != name}
            refusal = await self._bring_into_force(home_address, rest)
            if refusal is not None:
                await self._keep(lambda: self._store.save_policy(old))
                raise RefusedError(refusal)
        return True

    async def _bring_into_force(self, node: Address, policies: dict[str, FlowPolicy]) -> str | None:
        """Hand a node's policies to the committer; return why they were refused, None if they were not."""
        outcome: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._committer.submit(PolicyJob(node, tuple(policies.values()), outcome))
        refusal = await outcome
        if refusal is None:
            self._policies[node] = policies
        return refusal

    def _store_again(self, refused: FlowPolicy, old: FlowPolicy | None) -> None:
        self._store.delete_policy(refused.home_address, refused.name)
        if old is not None:
            self._store.save_policy(old)

    async def _keep(self, call: Callable[[], object]) -> None:
        try:
            await self._in_store_thread(call)
        except StoreError as error:
            raise UnavailableError(str(error)) from error

    # Health

    def health(self) -> Health:
        """Return the controller's state in brief."""
        uptime = asyncio.get_running_loop().time() - self._started
        return Health(uptime, {name: _STATES[session.state] for name, session in self._anchors.sessions.items()})


def _differences(drift: Drift) -> Iterator[Difference]:
    for entry in drift.missing:
        yield Difference(DriftKind.MISSING, entry.table, format_key(entry), None, format_action(entry))
    for actual, wanted in drift.different:
        key, is_, should = format_key(actual), format_action(actual), format_action(wanted)
        yield Difference(DriftKind.DIFFERENT, actual.table, key, is_, should)
    for entry in drift.foreign:
        yield Difference(DriftKind.FOREIGN, entry.table, format_key(entry), format_action(entry), None)


def _sum(counted: Sequence[Mapping[EntryKey, tuple[int, int]]], keys: Sequence[EntryKey]) -> Traffic:
    counts = [counters[key] for counters in counted for key in keys if key in counters]
    return Traffic(sum(packets for packets, _ in counts), sum(octets for _, octets in counts))
