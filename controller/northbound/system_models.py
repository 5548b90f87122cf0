"""The controller and its network as JSON."""

from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import Field, StrictFloat

from controller.mobility.address import Address, format_address, format_host, format_network
from controller.northbound import fields
from controller.northbound.control import Reloaded
from controller.northbound.events import Kind
from controller.northbound.models import AddressText, Resource
from controller.northbound.views import Change, DrainView, DrillView, HomeNetworkView, TopologyView

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-24T12:00:00+00:00"])]
MAX_DRILL = 60
"""Seconds."""


def timestamp(seconds: float) -> str:
    """Return a wall time as RFC 3339 has it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


class RevokedResource(Resource):
    """What was begun."""

    nodes: int = Field(description="Nodes whose bindings are being revoked.")


class DrillRequest(Resource):
    """How a drill is to be."""

    seconds: Annotated[StrictFloat, Field(ge=0.1, le=MAX_DRILL)] = Field(
        default=2.0, description="For how long the path is away."
    )


class DrillResource(Resource):
    """What a drill did."""

    home_address: AddressText
    bid: int
    taken_over_by: int = Field(description="The BID that had the node's preferred traffic meanwhile.")
    down_at: Timestamp = Field(description="When the switches were told.")
    failover_ms: float = Field(description="From then until all switches in service had confirmed.")
    restored_at: Timestamp
    restore_ms: float

    @classmethod
    def of(cls, view: DrillView) -> Self:
        """Return the resource of a drill."""
        return cls(
            home_address=format_address(view.home_address),
            bid=view.bid,
            taken_over_by=view.taken_over_by,
            down_at=timestamp(view.down_at),
            failover_ms=view.failover_ms,
            restored_at=timestamp(view.restored_at),
            restore_ms=view.restore_ms,
        )


class DrainRequest(Resource):
    """Where nodes are to go."""

    home_agents: list[fields.AddressText] = Field(
        default=[], max_length=64, description="Best first; none: each node finds one by discovery."
    )
    seconds_left: Annotated[StrictFloat, Field(ge=0, le=262_140)] | None = Field(
        default=None, description="For how long this home agent will still be there; null: it is not said."
    )

    def addresses(self) -> list[Address]:
        """Return the engine's form of the home agents."""
        return [fields.home_address(text) for text in self.home_agents]


class DrainResource(Resource):
    """All nodes are asked to go to other home agents, and no binding is prolonged (RFC 5142)."""

    home_agents: list[AddressText]
    seconds_left: float | None
    remaining: int = Field(description="Nodes that still have bindings.")

    @classmethod
    def of(cls, view: DrainView) -> Self:
        """Return the resource of a draining."""
        left = None if view.seconds_left is None else round(view.seconds_left, 3)
        return cls(home_agents=list(map(format_address, view.home_agents)), seconds_left=left, remaining=view.remaining)


class SwitchDrain(Resource):
    """Whether a switch is out of service."""

    drained: bool


class HomeNetworkResource(Resource):
    """A home network."""

    prefix: str
    home_agent: AddressText
    open: bool = Field(description="Any home address inside of the prefix may register.")
    link: str = Field(description="virtual, or real: with other hosts on it.")
    registered: int = Field(description="Nodes of it that have bindings.")

    @classmethod
    def of(cls, view: HomeNetworkView) -> Self:
        """Return the resource of a home network."""
        return cls(
            prefix=str(view.prefix),
            home_agent=format_address(view.home_agent),
            open=view.open,
            link=view.link,
            registered=view.registered,
        )


class TopologyNodeResource(Resource):
    """Something in the network."""

    name: str
    kind: str
    role: str | None = Field(description="Of a switch: anchor or transit.")
    state: str | None = Field(description="Of a switch: of the session with it.")
    addresses: list[AddressText]
    prefixes: list[str]


class TopologyLinkResource(Resource):
    """A wire."""

    a: str = Field(examples=["s1:3"])
    b: str
    cost: int
    delay_ms: float
    rate_mbps: float | None
    up: bool = Field(description="Both its ends are there and it carries frames, as far as the controller knows.")


class TopologyPathResource(Resource):
    """The way of a binding's packets."""

    home_address: AddressText
    bid: int
    nodes: list[str] = Field(
        description="The anchor first; empty: the care-of address is from outside of the topology."
    )


class TopologyResource(Resource):
    """The network as the topology file has it, with what is known of its state."""

    name: str
    nodes: list[TopologyNodeResource]
    links: list[TopologyLinkResource]
    paths: list[TopologyPathResource]

    @classmethod
    def of(cls, view: TopologyView) -> Self:
        """Return the resource of a network."""
        return cls(
            name=view.name,
            nodes=[
                TopologyNodeResource(
                    name=node.name,
                    kind=node.kind,
                    role=node.role,
                    state=node.state,
                    addresses=list(map(format_host, node.addresses)),
                    prefixes=list(map(format_network, node.prefixes)),
                )
                for node in view.nodes
            ],
            links=[
                TopologyLinkResource(
                    a=link.a, b=link.b, cost=link.cost, delay_ms=link.delay_ms, rate_mbps=link.rate_mbps, up=link.up
                )
                for link in view.links
            ],
            paths=[
                TopologyPathResource(
                    home_address=format_address(path.home_address), bid=path.bid, nodes=list(path.nodes)
                )
                for path in view.paths
            ],
        )


class ReloadedResource(Resource):
    """What reading the configuration file again has done."""

    added: int = Field(description="Nodes.")
    changed: int
    removed: int
    revoked: int = Field(description="Bindings that are being taken back: their nodes could not register them today.")
    at_next_start: list[str] = Field(
        description="Changed fields that take effect when the controller is started again."
    )

    @classmethod
    def of(cls, view: Reloaded) -> Self:
        """Return the resource of a reload."""
        return cls(
            added=view.added,
            changed=view.changed,
            removed=view.removed,
            revoked=view.revoked,
            at_next_start=list(view.at_next_start),
        )


class ChangeResource(Resource):
    """A change that somebody made by REST, on the dashboard, by SIGHUP or in the token file."""

    number: int
    time: Timestamp
    actor: str = Field(
        description='Name of the token; "SIGHUP"; of changes of tokens whose the token file is, as in "root (token file)".'
    )
    role: str
    action: str = Field(examples=["put"])
    resource: str = Field(examples=["/v1/nodes/2001:db8:0:1::100/policies/video"])
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    @classmethod
    def of(cls, change: Change) -> Self:
        """Return the resource of a change."""
        return cls(
            number=change.number,
            time=timestamp(change.time),
            actor=change.actor,
            role=change.role,
            action=change.action,
            resource=change.resource,
            before=None if change.before is None else dict(change.before),
            after=None if change.after is None else dict(change.after),
        )


class EventResource(Resource):
    """Something that happened. What more it has depends on its kind."""

    id: str
    time: Timestamp
    kind: Kind
    details: dict[str, Any]
