"""A `Control` in memory, for the tests of the northbound and of the command line."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from controller.mobility.address import Address, Prefix, format_address, parse_address
from controller.mobility.flows import FlowPolicy
from controller.mobility.model import Binding
from controller.mobility.provision import NodeProvision
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import AuthPolicy
from controller.northbound import Access, Role
from controller.northbound.control import (
    BindingKey,
    BindingState,
    BindingTraffic,
    BindingView,
    Health,
    NodeState,
    NodeView,
    PolicyState,
    PolicyView,
    Reloaded,
)
from controller.northbound.errors import (
    ConflictError,
    NotFoundError,
    RefusedError,
    UnavailableError,
    UnknownNodeError,
)
from controller.northbound.events import EventFeed
from controller.northbound.schedule import Schedule
from controller.northbound.switch_views import AuditView, Queues, SwitchState, SwitchView, TableUsage, Traffic
from controller.northbound.views import (
    Census,
    Change,
    DrainView,
    DrillView,
    FlowView,
    HomeNetworkView,
    Origin,
    ProvisionView,
    Stages,
    TableUpdate,
    TopologyLink,
    TopologyNode,
    TopologyPath,
    TopologyView,
)

OPEN = Access(anonymous=Role.ADMIN)
"""Lets everybody in."""
HOME_AGENT = parse_address("2001:db8:0:1::1")
NODE = parse_address("2001:db8:0:1::100")
ROUTER = parse_address("2001:db8:0:1::200")


def binding(bid: int, care_of: str, priority: int = 0) -> BindingView:
    return BindingView(Binding(bid, parse_address(care_of), 600, 1000.0, priority), 580.1239, BindingState.ACTIVE)


def default_nodes() -> dict[Address, NodeView]:
    node = NodeView(
        home_address=NODE,
        state=NodeState.REGISTERED,
        provisioned=True,
        home_agent=HOME_AGENT,
        sequence=17,
        bindings=(binding(1, "2001:db8:a1::100", 1), binding(2, "2001:db8:a2::100")),
        preferred_bid=1,
    )
    router = NodeView(
        home_address=ROUTER,
        state=NodeState.PROVISIONED,
        provisioned=True,
        home_agent=HOME_AGENT,
        mobile_router=True,
        prefixes=(Prefix.parse("2001:db8:f00::/56"),),
    )
    return {NODE: node, ROUTER: router}


def default_switch() -> SwitchView:
    return SwitchView(
        name="s1",
        address="127.0.0.1:9559",
        device_id=1,
        target="embedded",
        state=SwitchState.READY,
        in_sync=True,
        tables=(TableUsage("tunnels", 2, 1024),),
        punts={"mobility_header": 9},
        queues=Queues(2, 1),
        drops={"forged_inner_source": Traffic(3, 300), "no_route": Traffic(0, 0)},
    )


@dataclass
class FakeControl:
    """Policies live in a dict. `failure`, when set, is raised by the methods that change something."""

    known: dict[Address, NodeView] = field(default_factory=default_nodes)
    known_switches: list[SwitchView] = field(default_factory=lambda: [default_switch()])
    kept: dict[tuple[Address, str], FlowPolicy] = field(default_factory=dict)
    counted: dict[BindingKey, BindingTraffic] = field(
        default_factory=lambda: {(NODE, 1): BindingTraffic(Traffic(10, 1000), Traffic(7, 700))}
    )
    audits: dict[str, AuditView] = field(default_factory=lambda: {"s1": AuditView("s1", entries=20)})
    failure: Exception | None = None
    problems: tuple[str, ...] = ()
    feed: EventFeed = field(default_factory=lambda: EventFeed(time.time))
    provisions: dict[Address, ProvisionView] = field(
        default_factory=lambda: {
            NODE: ProvisionView(NodeProvision(NODE), Origin.REST),
            ROUTER: ProvisionView(
                NodeProvision(
                    ROUTER,
                    prefixes=(Prefix.parse("2001:db8:f00::/56"),),
                    mobile_router=True,
                    security=AuthPolicy(256, Key(bytes(range(20))), b"mr@example.net"),
                ),
                Origin.CONFIGURATION,
            ),
        }
    )
    schedules: dict[tuple[Address, str], Schedule | None] = field(default_factory=dict)
    signalled: list[FlowView] = field(default_factory=list)
    draining: DrainView | None = None
    preferences: dict[Address, tuple[int, ...]] = field(default_factory=dict)
    log: list[Change] = field(default_factory=list)

    def addresses(self) -> Sequence[Address]:
        return sorted(self.known)

    def census(self) -> Census:
        bindings = sum(len(node.bindings) for node in self.known.values())
        return Census(1, 1, 0, bindings, len(self.signalled), len(self.kept))

    def provision(self, home_address: Address) -> ProvisionView | None:
        return self.provisions.get(home_address)

    def preview_provision(self, node: NodeProvision) -> Sequence[TableUpdate]:
        self._refuse_configured(node)
        return [
            TableUpdate("insert", "home_addresses", {"address": format_address(node.home_address)}, "mobile_node", {})
        ]

    def preview_unprovision(self, home_address: Address) -> Sequence[TableUpdate]:
        known = self.provisions.get(home_address)
        if known is None:
            raise NotFoundError("not provisioned")
        self._refuse_configured(known.provision)
        return [TableUpdate("delete", "home_addresses", {"address": format_address(home_address)}, "mobile_node", {})]

    def _refuse_configured(self, node: NodeProvision) -> None:
        if self.failure is not None:
            raise self.failure
        known = self.provisions.get(node.home_address)
        if known is not None and known.origin is Origin.CONFIGURATION:
            raise ConflictError("provisioned in home-agent.toml: change it there")

    async def put_provision(self, node: NodeProvision) -> bool:
        self._refuse_configured(node)
        new = node.home_address not in self.provisions
        self.provisions[node.home_address] = ProvisionView(node, Origin.REST)
        view = NodeView(node.home_address, NodeState.PROVISIONED, provisioned=True, home_agent=HOME_AGENT)
        self.known.setdefault(node.home_address, view)
        return new

    async def delete_provision(self, home_address: Address) -> None:
        known = self.provisions.get(home_address)
        if known is None:
            raise NotFoundError("not provisioned")
        self._refuse_configured(known.provision)
        del self.provisions[home_address]
        self.known.pop(home_address, None)

    def flows(self, home_address: Address) -> Sequence[FlowView]:
        return self.signalled if home_address == NODE else []

    def revoke_all(self) -> int:
        return sum(1 for node in self.known.values() if node.bindings)

    async def drill(self, home_address: Address, bid: int, seconds: float) -> DrillView:
        if self.failure is not None:
            raise self.failure
        if bid not in {view.binding.bid for view in self.known[home_address].bindings}:
            raise NotFoundError("there is no such binding")
        return DrillView(home_address, bid, 1, 1e9, 2.5, 1e9 + seconds, 1.5)

    def topology(self, home_addresses: Collection[Address]) -> TopologyView:
        nodes = (
            TopologyNode("s1", "switch", "anchor", "ready"),
            TopologyNode("wifi", "access-router", prefixes=(Prefix.parse("2001:db8:a1::/64"),)),
        )
        links = (TopologyLink("s1:3", "wifi:core", 1, 5.0, None, up=True),)
        paths = [TopologyPath(address, 1, ("s1", "wifi")) for address in home_addresses if address == NODE]
        return TopologyView("three-access", nodes, links, tuple(paths))

    def home_networks(self) -> Sequence[HomeNetworkView]:
        return [
            HomeNetworkView(Prefix.parse("2001:db8:0:1::/64"), HOME_AGENT, open=False, link="virtual", registered=1)
        ]

    def preview_policy(self, policy: FlowPolicy, schedule: Schedule | None = None) -> Sequence[TableUpdate]:
        self._refuse_double(policy)
        if schedule is not None and not schedule.is_open(time.time()):
            return []
        match = {"node_id": "1", "protocol": "17"}
        return [TableUpdate("insert", "flow_bindings", match, "steer_flow", {"bid": 2}, 131062)]

    def preview_policy_deletion(self, home_address: Address, name: str) -> Sequence[TableUpdate]:
        policy = self.kept[home_address, name]
        return [
            TableUpdate("delete", "flow_bindings", {"node_id": "1"}, "steer_flow", {"bid": 2}, 131072 - policy.priority)
        ]

    def drain(self) -> DrainView | None:
        return self.draining

    async def begin_drain(self, home_agents: Sequence[Address], seconds_left: float | None) -> None:
        if self.failure is not None:
            raise self.failure
        self.draining = DrainView(tuple(home_agents), seconds_left, 1)

    async def end_drain(self) -> bool:
        was, self.draining = self.draining, None
        return was is not None

    async def record_change(self, change: Change) -> None:
        self.log.append(replace(change, time=1e9, number=len(self.log) + 1))

    async def changes(self, limit: int, before: int | None = None) -> Sequence[Change]:
        return [one for one in reversed(self.log) if before is None or one.number < before][:limit]

    def stages(self) -> Stages:
        return Stages((0.001, 0.01), {"decode": (3, 1, 0), "total": (0, 4, 1)}, {"decode": 0.005, "total": 0.2})

    def refused_hellos(self) -> Mapping[str, int]:
        return {"forged": 4, "miswired": 0}

    def gauges(self) -> Mapping[str, float]:
        return {"commit_queue": 3, "unsent_packets": 0}

    def node(self, home_address: Address) -> NodeView | None:
        return self.known.get(home_address)

    async def revoke(self, home_address: Address, bid: int | None = None) -> None:
        if self.failure is not None:
            raise self.failure
        node = self.known[home_address]
        left = tuple(view for view in node.bindings if bid not in {None, view.binding.bid})
        if left == node.bindings:
            raise NotFoundError("there is no such binding")
        self.known[home_address] = replace(node, bindings=left)

    async def traffic(self, home_addresses: Collection[Address]) -> Mapping[BindingKey, BindingTraffic]:
        return {key: value for key, value in self.counted.items() if key[0] in home_addresses}

    async def switches(self) -> Sequence[SwitchView]:
        return self.known_switches

    async def audit(self, name: str) -> AuditView | None:
        return self.audits.get(name)

    async def drain_switch(self, name: str) -> bool:
        return self._set_drained(name, drained=True)

    async def undrain_switch(self, name: str) -> bool:
        return self._set_drained(name, drained=False)

    def _set_drained(self, name: str, *, drained: bool) -> bool:
        if self.failure is not None:
            raise self.failure
        for position, switch in enumerate(self.known_switches):
            if switch.name == name:
                self.known_switches[position] = replace(switch, drained=drained)
                return switch.drained is not drained
        raise NotFoundError("no such switch")

    async def switch(self, name: str) -> SwitchView | None:
        return next((switch for switch in self.known_switches if switch.name == name), None)

    def policies(self, home_address: Address | None = None) -> Sequence[PolicyView]:
        found = [policy for policy in self.kept.values() if home_address in {None, policy.home_address}]
        return [
            PolicyView(policy, self._state(policy), self.schedules.get((policy.home_address, policy.name)))
            for policy in sorted(found, key=lambda policy: (policy.home_address, policy.priority))
        ]

    async def put_policy(self, policy: FlowPolicy, schedule: Schedule | None = None) -> bool:
        if self.failure is not None:
            raise self.failure
        self._refuse_double(policy)
        key = (policy.home_address, policy.name)
        new = key not in self.kept
        self.kept[key] = policy
        self.schedules[key] = schedule
        return new

    def _refuse_double(self, policy: FlowPolicy) -> None:
        key = (policy.home_address, policy.name)
        for other_key, other in self.kept.items():
            if other_key != key and other.home_address == policy.home_address and other.priority == policy.priority:
                raise ConflictError(f"priority {policy.priority} belongs to the policy {other.name!r}: choose another")

    def preference(self, home_address: Address) -> Sequence[int] | None:
        return self.preferences.get(home_address)

    def preview_preference(self, home_address: Address, bids: Sequence[int] | None) -> Sequence[TableUpdate]:
        number = "1" if home_address == NODE else "2"
        return [TableUpdate("modify", "default_binding", {"node_id": number}, "steer", {"bid": (bids or (1,))[0]})]

    async def set_preference(self, home_address: Address, bids: Sequence[int] | None) -> bool:
        if self.failure is not None:
            raise self.failure
        was = self.preferences.pop(home_address, None) is not None
        if bids is not None:
            self.preferences[home_address] = tuple(bids)
        return was

    async def delete_policy(self, home_address: Address, name: str) -> bool:
        if self.failure is not None:
            raise self.failure
        return self.kept.pop((home_address, name), None) is not None

    async def reload(self) -> Reloaded:
        if self.failure is not None:
            raise self.failure
        return Reloaded(1, 2, 3, 4, ("northbound.listen",))

    def signalling(self) -> Mapping[str, int]:
        return {"received": 5, "refused_146": 2}

    def health(self) -> Health:
        return Health(12.5, {switch.name: switch.state for switch in self.known_switches}, self.problems)

    def lose_switch(self) -> None:
        lost = replace(
            self.known_switches[0],
            state=SwitchState.CONNECTING,
            in_sync=False,
            tables=(),
            drops={},
            last_error="connection refused",
        )
        self.known_switches[0] = lost
        self.counted.clear()

    def fail_with(self, status: int) -> None:
        address = format_address(NODE)
        self.failure = {
            404: UnknownNodeError(f"{address} went away"),
            409: ConflictError("taken"),
            422: RefusedError("the range expands to 30 entries: choose a power of two"),
            500: RuntimeError("secret"),
            503: UnavailableError("the state database is full"),
        }[status]

    def _state(self, policy: FlowPolicy) -> PolicyState:
        node = self.known.get(policy.home_address)
        bids = {view.binding.bid for view in node.bindings} if node else set()
        return PolicyState.ACTIVE if policy.is_active(bids) else PolicyState.INACTIVE
