"""What the northbound may see and do: a protocol that the service fulfils, and the values that pass through it.

The northbound imports no engine and knows no switch session. Views are values of one moment; they may be kept.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from controller.mobility.address import Address, Prefix
from controller.mobility.flows import FlowPolicy
from controller.mobility.model import Binding
from controller.mobility.provision import NodeProvision
from controller.northbound.events import EventFeed
from controller.northbound.schedule import Schedule
from controller.northbound.switch_views import AuditView, SwitchState, SwitchView, Traffic
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


@dataclass(frozen=True, slots=True)
class BindingTraffic:
    """The switches' counters of one BID, summed over the switches that carry it."""

    downstream: Traffic
    """Towards the mobile node."""
    upstream: Traffic
    """From the mobile node, through the reverse tunnel."""


BindingKey: TypeAlias = tuple[Address, int]
"""Home address and BID."""


class BindingState(StrEnum):
    """How far a binding has come."""

    ACTIVE = "active"
    """Every anchor switch in sync carries it."""
    PENDING = "pending"
    """In the binding cache; a switch that must carry it is not reachable or not yet in sync."""


class NodeState(StrEnum):
    """What the home agent knows of a home address."""

    REGISTERED = "registered"
    """At least one binding is in the cache."""
    PROVISIONED = "provisioned"
    """Configured, without a binding now."""
    DEREGISTERED = "deregistered"
    """Without a binding; its last sequence number is still remembered."""


@dataclass(frozen=True, slots=True)
class BindingView:
    """One binding, as of the moment of the call."""

    binding: Binding
    remaining: float
    """Seconds until it expires, at least 0."""
    state: BindingState


@dataclass(frozen=True, slots=True)
class NodeView:
    """One mobile node, as of the moment of the call."""

    home_address: Address
    state: NodeState
    provisioned: bool
    """Named in the configuration; otherwise it was admitted by an open home network."""
    home_agent: Address | None = None
    """The home agent address it registered with, or would; None when no home network holds the home address."""
    sequence: int | None = None
    """Last accepted sequence number."""
    mobile_router: bool = False
    prefixes: tuple[Prefix, ...] = ()
    """Mobile network prefixes in force."""
    bindings: tuple[BindingView, ...] = ()
    """In ascending order of BID."""
    preferred_bid: int | None = None
    """Where traffic goes that no policy names; None without a binding."""


class PolicyState(StrEnum):
    """What a policy does at the moment."""

    ACTIVE = "active"
    """Its BID is registered; flows are steered by it."""
    INACTIVE = "inactive"
    """None of its BIDs is registered: its flows take the preferred binding (RFC 6089 section 5.3.4)."""
    WAITING = "waiting"
    """Its schedule says that it is not in force now."""


@dataclass(frozen=True, slots=True)
class PolicyView:
    """One policy, as of the moment of the call."""

    policy: FlowPolicy
    state: PolicyState
    schedule: Schedule | None = None
    """When it is in force; None: always."""


@dataclass(frozen=True, slots=True)
class Health:
    """The controller's state in brief."""

    uptime: float
    """Seconds since it was started."""
    switches: Mapping[str, SwitchState]
    problems: tuple[str, ...] = ()
    """What an operator should look at, beside switches that are not ready; empty when all is well."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What reading the configuration file again has done."""

    added: int
    """Nodes."""
    changed: int
    removed: int
    revoked: int
    """Bindings that are being taken back, because their nodes could not register them today."""
    at_next_start: tuple[str, ...]
    """Paths of changed fields that take effect when the controller is started again, as in ``northbound.listen``."""


class Control(Protocol):
    """What the northbound may ask of the service. Everything runs in the service's event loop.

    Methods that touch switches or the disk are coroutines; the others answer from memory at once. A switch that cannot be
    read takes nothing down: its counters are left out.
    """

    @property
    def feed(self) -> EventFeed:
        """What happens."""

    # Nodes

    def addresses(self) -> Sequence[Address]:
        """Return every known home address, provisioned or registered, in ascending order. It must not be changed."""

    def census(self) -> Census:
        """Return how many of everything there are."""

    def node(self, home_address: Address) -> NodeView | None:
        """Return the node of a home address.

        An address inside an open home network that never registered is known too (state "provisioned", `provisioned` false)
        if policies for it would be accepted. None: unknown.
        """

    def provision(self, home_address: Address) -> ProvisionView | None:
        """Return what a node may do; None: it is not provisioned, or unknown."""

    def preview_provision(self, node: NodeProvision) -> Sequence[TableUpdate]:
        """Return what serving a node so would write to each anchor, and change nothing; raises as `put_provision` does.

        Bindings that it may not keep count as revoked.
        """

    async def put_provision(self, node: NodeProvision) -> bool:
        """Serve a node from now on, durably; tell whether it is new. Bindings that it may not keep are revoked.

        Raises:
            ConflictError: the configuration file has it, or another node has its prefix, key or SPI.
            RefusedError: it cannot be served, such as outside of every home network.
            UnavailableError: it could not be made durable; nothing was changed.
        """

    async def delete_provision(self, home_address: Address) -> None:
        """Serve a node no more, and revoke its bindings.

        Raises:
            NotFoundError: it is not provisioned.
            ConflictError: the configuration file has it.
            UnavailableError: it could not be made durable; nothing was changed.
        """

    def preview_unprovision(self, home_address: Address) -> Sequence[TableUpdate]:
        """Return what serving a node no more would write to each anchor; raises as `delete_provision` does."""

    def flows(self, home_address: Address) -> Sequence[FlowView]:
        """Return the flow bindings that a node signalled, first priority first."""

    async def revoke(self, home_address: Address, bid: int | None = None) -> None:
        """Take one binding of a node back, or all of them (RFC 5846), and wait until that is in force.

        Args:
            home_address: Whose bindings.
            bid: Which; 0 for the one without BID. None: all.

        Raises:
            UnknownNodeError: no such node.
            NotFoundError: there is no such binding.
            ConflictError: the node registered it anew meanwhile.
            UnavailableError: it is under way and takes longer.
        """

    def revoke_all(self) -> int:
        """Begin to take all bindings of all nodes back; return of how many nodes. Events tell the rest."""

    async def traffic(self, home_addresses: Collection[Address]) -> Mapping[BindingKey, BindingTraffic]:
        """Return counters by home address and BID, of some nodes; without those that cannot be read now."""

    async def drill(self, home_address: Address, bid: int, seconds: float) -> DrillView:
        """Take a path away in a controlled way, as if its binding had ended, and give it back after a while.

        Args:
            home_address: Whose path.
            bid: Which.
            seconds: for how long.

        Raises:
            UnknownNodeError: no such node.
            NotFoundError: there is no such binding.
            ConflictError: it is the node's only one, or a drill of the node is under way.
            RefusedError: a switch refused the change; it was undone.
        """

    # Switches and the network

    async def switches(self) -> Sequence[SwitchView]:
        """Return every configured switch, in the order of the configuration."""

    async def switch(self, name: str) -> SwitchView | None:
        """Return the switch of that name; None: there is none."""

    async def audit(self, name: str) -> AuditView | None:
        """Compare the tables of a switch with what they should hold, and repair nothing; None: there is no such switch."""

    async def drain_switch(self, name: str) -> bool:
        """Take a switch out of service, durably: no registration waits for it, and paths lead around it when this returns.

        It is kept up to date all the same, so that it may come back at any time.

        Returns:
            Whether it was in service.

        Raises:
            NotFoundError: there is no such switch.
            ConflictError: it is the only anchor in service.
            UnavailableError: it could not be made durable; nothing was changed.
        """

    async def undrain_switch(self, name: str) -> bool:
        """Put a switch back into service; tell whether it was drained.

        Raises:
            UnavailableError: it could not be made durable; nothing was changed.
        """

    def topology(self, home_addresses: Collection[Address]) -> TopologyView:
        """Return the network, with the paths of some nodes' bindings."""

    def home_networks(self) -> Sequence[HomeNetworkView]:
        """Return the home networks, in the order of the configuration."""

    # Policies

    def policies(self, home_address: Address | None = None) -> Sequence[PolicyView]:
        """Return policies, of one node or of all, in ascending order of home address, then priority."""

    def preview_policy(self, policy: FlowPolicy, schedule: Schedule | None = None) -> Sequence[TableUpdate]:
        """Return what putting a policy would write to each anchor now, and change nothing; raises as `put_policy` does."""

    async def put_policy(self, policy: FlowPolicy, schedule: Schedule | None = None) -> bool:
        """Make a policy durable and bring it into force; tell whether it is new.

        Raises:
            UnknownNodeError: no such node.
            ConflictError: another policy of the node has the priority.
            RefusedError: the data plane cannot realise it; nothing was changed.
            UnavailableError: it could not be made durable; nothing was changed.
        """

    def preview_policy_deletion(self, home_address: Address, name: str) -> Sequence[TableUpdate]:
        """Return what removing a policy would write to each anchor now, and change nothing.

        Raises:
            UnknownNodeError: no such node.
            RefusedError: the data plane cannot realise it.
        """

    async def delete_policy(self, home_address: Address, name: str) -> bool:
        """Remove a policy; tell whether there was one.

        Raises:
            UnknownNodeError: no such node.
            UnavailableError: the removal could not be made durable; nothing was changed.
        """

    def preference(self, home_address: Address) -> Sequence[int] | None:
        """Return a node's BIDs as the operator prefers them, the best first; None: nothing is said."""

    def preview_preference(self, home_address: Address, bids: Sequence[int] | None) -> Sequence[TableUpdate]:
        """Return what `set_preference` would write to each anchor now, and change nothing; raises as it does."""

    async def set_preference(self, home_address: Address, bids: Sequence[int] | None) -> bool:
        """Say in which order a node's paths are preferred, durably, or say it no more; tell whether it was said before.

        Args:
            home_address: whose.
            bids: the best first, each once; they need not be registered. None: the node's own order counts again.

        Raises:
            UnknownNodeError: no such node.
            RefusedError: the data plane cannot realise it; nothing was changed.
            UnavailableError: it could not be made durable; nothing was changed.
        """

    async def reload(self) -> Reloaded:
        """Read the configuration file again and bring into force what can be.

        Raises:
            RefusedError: it has an error; everything is as it was.
        """

    # The controller

    def drain(self) -> DrainView | None:
        """Return how the draining stands; None: nothing is drained."""

    async def begin_drain(self, home_agents: Sequence[Address], seconds_left: float | None) -> None:
        """Ask all nodes to go to other home agents, and prolong no binding from now on (RFC 5142), durably.

        Args:
            home_agents: Where to, best first; empty: each finds one by itself.
            seconds_left: For how long this one will still be there; None: it is not said.

        Raises:
            RefusedError: more addresses than fit into a message.
            UnavailableError: it could not be made durable; nothing was changed.
        """

    async def end_drain(self) -> bool:
        """Serve as before; tell whether anything was drained."""

    async def record_change(self, change: Change) -> None:
        """Write to the audit log. It does not fail: the change has been made already; the log says so when it cannot be written."""

    async def changes(self, limit: int, before: int | None = None) -> Sequence[Change]:
        """Return changes from the audit log, newest first, of numbers below `before`.

        Raises:
            UnavailableError: it cannot be read.
        """

    def signalling(self) -> Mapping[str, int]:
        """Return what became of signalling since the controller was started: how often each thing happened, by name."""

    def refused_hellos(self) -> Mapping[str, int]:
        """Return the frames of link discovery that did not count, by reason."""

    def stages(self) -> Stages:
        """Return how long registrations spent in each stage."""

    def gauges(self) -> Mapping[str, float]:
        """Return the lengths of queues and the like, by name."""

    def health(self) -> Health:
        """Return the controller's state in brief."""
