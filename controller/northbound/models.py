"""The resources as JSON: what requests may say and what answers look like."""

from collections.abc import Mapping
from typing import Annotated, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from controller.mobility.address import Address, format_address
from controller.northbound.control import (
    BindingKey,
    BindingState,
    BindingTraffic,
    BindingView,
    Health,
    NodeState,
    NodeView,
)
from controller.northbound.switch_views import AuditView, DriftKind, SwitchState, SwitchView, Traffic

T = TypeVar("T")

AddressText = Annotated[str, Field(json_schema_extra={"format": "ipv6"}, examples=["2001:db8:a1::100"])]


class Resource(BaseModel):
    """What all resources have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Items(Resource, Generic[T]):
    """A list of resources."""

    items: list[T]
    total: int = Field(description="How many there are, on all pages; of a filtered list, how many are on this one.")
    next: str | None = Field(default=None, description="Cursor of the next page; null: this is the last.")

    @classmethod
    def of(cls, items: list[T], total: int | None = None, following: str | None = None) -> Self:
        """Return the list resource of some items; without `total` they are all there are."""
        return cls(items=items, total=len(items) if total is None else total, next=following)


class TrafficCount(Resource):
    """Packets and bytes since the binding's table entry was inserted."""

    packets: int
    bytes: int

    @classmethod
    def of(cls, traffic: Traffic) -> Self:
        """Return the resource of a count."""
        return cls(packets=traffic.packets, bytes=traffic.bytes)


class NodeResource(Resource):
    """A mobile node."""

    home_address: AddressText
    state: NodeState = Field(
        description="registered: it has a binding. deregistered: its sequence number is remembered."
    )
    provisioned: bool = Field(description="Named in the configuration; otherwise admitted by an open home network.")
    home_agent: AddressText | None = Field(description="The home agent address of its home network.")
    sequence: int | None = Field(description="Last accepted sequence number.")
    mobile_router: bool
    prefixes: list[str] = Field(description="Mobile network prefixes in force (RFC 3963).")
    bids: list[int] = Field(description="Registered binding identifiers; 0 is a binding without one.")
    preferred_bid: int | None = Field(description="Where traffic goes that no policy names.")

    @classmethod
    def of(cls, node: NodeView) -> Self:
        """Return the resource of a node."""
        return cls(
            home_address=format_address(node.home_address),
            state=node.state,
            provisioned=node.provisioned,
            home_agent=None if node.home_agent is None else format_address(node.home_agent),
            sequence=node.sequence,
            mobile_router=node.mobile_router,
            prefixes=list(map(str, node.prefixes)),
            bids=[view.binding.bid for view in node.bindings],
            preferred_bid=node.preferred_bid,
        )


class BindingResource(Resource):
    """A binding: a care-of address of a mobile node under its binding identifier (RFC 5648)."""

    home_address: AddressText
    bid: int = Field(description="Binding identifier, 1 to 65535; 0: registered without one (RFC 6275).", examples=[1])
    care_of_address: AddressText
    at_home: bool = Field(description="This care-of address is the home link.")
    priority: int | None = Field(description="BID-PRI: 1 (preferred) to 127; null: none was given (RFC 6089).")
    lifetime_seconds: int = Field(description="Granted lifetime.")
    remaining_seconds: float = Field(description="Until it expires.")
    state: BindingState = Field(description="pending: a switch that must carry it is not in sync.")
    downstream: TrafficCount | None = Field(description="Towards the mobile node; null while it cannot be read.")
    upstream: TrafficCount | None = Field(description="From the mobile node; null while it cannot be read.")

    @classmethod
    def of(cls, home_address: Address, view: BindingView, traffic: BindingTraffic | None) -> Self:
        """Return the resource of a binding with its counters, as far as they are known."""
        return cls(
            home_address=format_address(home_address),
            bid=view.binding.bid,
            care_of_address=format_address(view.binding.care_of),
            at_home=view.binding.at_home,
            priority=view.binding.priority or None,
            lifetime_seconds=view.binding.lifetime,
            remaining_seconds=round(view.remaining, 3),
            state=view.state,
            downstream=None if traffic is None else TrafficCount.of(traffic.downstream),
            upstream=None if traffic is None else TrafficCount.of(traffic.upstream),
        )


def bindings_of(node: NodeView, traffic: Mapping[BindingKey, BindingTraffic]) -> list[BindingResource]:
    """Return the resources of a node's bindings, with their counters as far as they are known."""
    return [
        BindingResource.of(node.home_address, view, traffic.get((node.home_address, view.binding.bid)))
        for view in node.bindings
    ]


class TableResource(Resource):
    """How full a table is."""

    name: str
    entries: int
    size: int = Field(description="Entries for which the P4 program asked; 0: unknown.")


class SwitchResource(Resource):
    """A switch."""

    name: str
    address: str = Field(description="host:port of its P4Runtime server.", examples=["127.0.0.1:9559"])
    device_id: int
    target: str = Field(examples=["embedded"])
    state: SwitchState
    in_sync: bool = Field(description="Its tables are what the controller wants.")
    tables: list[TableResource]
    drops: dict[str, TrafficCount] = Field(description="Dropped packets by reason; empty while it cannot be read.")
    drift: int = Field(description="Entries that differed from what is desired when they were last compared.")
    queue_drops: int = Field(description="Packets to the switch, and digests of it, that found a queue full.")
    last_error: str | None
    repaired: int = Field(description="Entries that were not as wanted while it was ready, and were put right.")
    adopted: int = Field(description="Entries of somebody else's that are left alone.")
    suspicions: list[str] = Field(description="What it said lately that cannot be true.")
    drained: bool = Field(description="Out of service, by an operator: nothing waits for it, paths lead around it.")

    @classmethod
    def of(cls, view: SwitchView) -> Self:
        """Return the resource of a switch."""
        return cls(
            name=view.name,
            address=view.address,
            device_id=view.device_id,
            target=view.target,
            state=view.state,
            in_sync=view.in_sync,
            tables=[TableResource(name=name, entries=entries, size=size) for name, entries, size in view.tables],
            drops={reason: TrafficCount.of(traffic) for reason, traffic in view.drops.items()},
            drift=view.drift,
            queue_drops=view.queue_drops,
            last_error=view.last_error,
            repaired=view.repaired,
            adopted=view.adopted,
            suspicions=list(view.suspicions),
            drained=view.drained,
        )


class DifferenceResource(Resource):
    """An entry that is not as it should be."""

    kind: DriftKind
    table: str
    key: str = Field(examples=["node_id=1 bid=2"])
    actual: str | None = Field(description="The action that it has; null: it is missing.")
    wanted: str | None = Field(description="The action that it should have; null: it should not be there.")


class AuditResource(Resource):
    """A switch's tables beside what they should hold."""

    switch: str
    problem: str | None = Field(description="Why nothing could be compared; null: it was.")
    entries: int = Field(description="How many the switch has.")
    drift: int = Field(description="How many differ.")
    adopted: int
    differences: list[DifferenceResource] = Field(description="The first of those that differ.")

    @classmethod
    def of(cls, view: AuditView) -> Self:
        """Return the resource of an audit."""
        return cls(
            switch=view.switch,
            problem=view.problem,
            entries=view.entries,
            drift=view.drift,
            adopted=view.adopted,
            differences=[
                DifferenceResource(kind=one.kind, table=one.table, key=one.key, actual=one.actual, wanted=one.wanted)
                for one in view.differences
            ],
        )


class HealthResource(Resource):
    """The controller's state in brief."""

    status: Literal["ok", "degraded"] = Field(description="ok: every switch is ready and nothing needs a look.")
    version: str
    uptime_seconds: float
    switches: dict[str, SwitchState] = Field(examples=[{"s1": "ready"}])
    problems: list[str] = Field(description="What an operator should look at, beside switches that are not ready.")

    @classmethod
    def of(cls, health: Health, version: str) -> Self:
        """Return the resource of the controller's state."""
        well = not health.problems and all(state is SwitchState.READY for state in health.switches.values())
        return cls(
            status="ok" if well else "degraded",
            version=version,
            uptime_seconds=round(health.uptime, 3),
            switches=dict(health.switches),
            problems=list(health.problems),
        )


class FieldError(Resource):
    """One thing that is wrong in a request."""

    part: str = Field(description="body, path or query.", examples=["body"])
    field: str = Field(description="Path to the field; empty: the whole part.", examples=["selector.destination_ports"])
    reason: str


class Problem(Resource):
    """Why a request failed (RFC 9457)."""

    type: str = Field(description="A URN that tells problems apart.", examples=["urn:mcoa:problem:conflict"])
    title: str = Field(description="What the type means.")
    status: int
    detail: str = Field(description="What was wrong with this request, and what to do.")
    instance: str = Field(description="Path of the request.")
    errors: list[FieldError] | None = Field(default=None, description="With status 422: each field that is wrong.")
