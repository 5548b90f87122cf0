"""Flow policies as JSON."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, StrictInt, model_validator

from controller.mobility.address import Address, Prefix, format_address
from controller.mobility.flows import (
    MAX_TARGETS,
    MAX_WEIGHT,
    Balance,
    Discard,
    FlowPolicy,
    Replicate,
    Share,
    Steer,
    TrafficSelector,
    Treatment,
)
from controller.northbound import fields, rules
from controller.northbound.control import NodeView, PolicyState, PolicyView
from controller.northbound.models import AddressText, Resource
from controller.northbound.schedule import DAYS, Schedule
from controller.northbound.views import TableUpdate

_WITH_PORTS: Final[set[int | str]] = {"tcp", "udp", 33, 132, 136}
"""Protocols whose headers begin with two ports: TCP, UDP, DCCP, SCTP, UDP-Lite."""
_WITH_SPI: Final[set[int | str]] = {"esp", 51}
"""Protocols with a security parameter index: ESP, AH."""

_UNIQUE: Final[rules.JsonSchema] = {"uniqueItems": True}
_PORTS: Final = ("source_ports", "destination_ports")
_GOES_WITH: Final[dict[str, str | None]] = {"steer": "bid", "balance": "shares", "replicate": "bids", "drop": None}
"""Which field says where packets go, by action."""
_FITTING: Final = rules.by_kind(
    "action",
    "steer",
    {action: (field,) if field else () for action, field in _GOES_WITH.items()},
    {action: frozenset({field} if field else ()) for action, field in _GOES_WITH.items()},
)
_FALLBACK: Final = rules.one_of(
    rules.case(fallback={"const": False}), rules.case(selector={"additionalProperties": rules.NULL})
)


def _one_of(protocols: set[int | str]) -> rules.JsonSchema:
    """Return the schema of some protocols, by name or number, or none said."""
    numbers = [fields.protocol_number(protocol) for protocol in protocols]
    return {"enum": [None, *sorted(map(str, protocols - set(numbers))), *sorted(numbers)]}


Bid = Annotated[StrictInt, Field(ge=1, le=65535), fields.WHOLE]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Action = Literal["steer", "balance", "replicate", "drop"]


class Selector(Resource):
    """Which packets towards the mobile node a policy takes. Null or left out: any value.

    The source is the correspondent's side, the destination the mobile node's (RFC 6088).
    """

    model_config = ConfigDict(
        json_schema_extra=rules.one_of(
            rules.case(absent=("spi",), protocol=_one_of(_WITH_PORTS)),
            rules.case(absent=(*_PORTS, "spi")),
            rules.case(absent=_PORTS, protocol=_one_of(_WITH_SPI)),
        )
    )

    source: fields.PrefixText | None = None
    destination: fields.PrefixText | None = None
    protocol: fields.ProtocolField | None = Field(default=None, description="By number, or tcp, udp, esp, icmpv6.")
    source_ports: fields.PortsField | None = Field(default=None, description="One port, or the lowest and the highest.")
    destination_ports: fields.PortsField | None = Field(
        default=None, description="One port, or the lowest and the highest."
    )
    dscp: Annotated[StrictInt, Field(ge=0, le=63), fields.WHOLE] | None = None
    flow_label: Annotated[StrictInt, Field(ge=0, le=0xFFFFF), fields.WHOLE] | None = None
    spi: Annotated[StrictInt, Field(ge=0, le=0xFFFFFFFF), fields.WHOLE] | None = Field(
        default=None, description="Of ESP or AH."
    )

    @model_validator(mode="after")
    def _fits_protocol(self) -> Self:
        ports = self.source_ports is not None or self.destination_ports is not None
        if ports and self.protocol is not None and self.protocol not in _WITH_PORTS:
            raise ValueError(f"protocol {self.protocol} has no ports: leave out source_ports and destination_ports")
        if self.spi is not None and self.protocol is not None and self.protocol not in _WITH_SPI:
            raise ValueError(f"protocol {self.protocol} has no SPI: leave out spi")
        if ports and self.spi is not None:
            raise ValueError("no packet has ports and an SPI where a switch can see both: leave out one of them")
        return self

    def to_selector(self) -> TrafficSelector:
        """Return the engine's form."""
        return TrafficSelector(
            source=None if self.source is None else Prefix.parse(self.source),
            destination=None if self.destination is None else Prefix.parse(self.destination),
            protocol=None if self.protocol is None else fields.protocol_number(self.protocol),
            source_ports=None if self.source_ports is None else fields.port_range(self.source_ports),
            destination_ports=None if self.destination_ports is None else fields.port_range(self.destination_ports),
            dscp=self.dscp,
            flow_label=self.flow_label,
            spi=self.spi,
        )

    @classmethod
    def of(cls, selector: TrafficSelector) -> Self:
        """Return the resource of a selector, whatever its origin: it is not checked again."""
        protocol = selector.protocol
        return cls.model_construct(
            source=None if selector.source is None else str(selector.source),
            destination=None if selector.destination is None else str(selector.destination),
            protocol=None if protocol is None else fields.PROTOCOL_NAMES.get(protocol, protocol),
            source_ports=None if selector.source_ports is None else fields.format_ports(selector.source_ports),
            destination_ports=None
            if selector.destination_ports is None
            else fields.format_ports(selector.destination_ports),
            dscp=selector.dscp,
            flow_label=selector.flow_label,
            spi=selector.spi,
        )


class ShareResource(Resource):
    """One BID's part of a balanced flow."""

    bid: Bid
    weight: Annotated[StrictInt, Field(ge=1, le=MAX_WEIGHT), fields.WHOLE] = Field(
        default=1, description="Of all weights of the registered BIDs together, so many flows take this one."
    )


class ScheduleResource(Resource):
    """When a policy is in force; times are UTC. What is left out does not restrict it."""

    not_before: fields.Instant | None = None
    not_after: fields.Instant | None = None
    days: list[Day] | None = Field(default=None, min_length=1, max_length=7, description="On which its hours begin.")
    begins: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] | None = Field(
        default=None, examples=["08:00"]
    )
    ends: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] | None = Field(
        default=None, description="Not after `begins`: on the next day.", examples=["18:00"]
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.not_before is not None and self.not_after is not None and self.not_before >= self.not_after:
            raise ValueError("not_after is not after not_before: the policy would never be in force")
        return self

    def to_schedule(self) -> Schedule:
        """Return the service's form."""
        return Schedule(
            None if self.not_before is None else self.not_before.timestamp(),
            None if self.not_after is None else self.not_after.timestamp(),
            tuple(range(7)) if self.days is None else tuple(sorted({DAYS.index(day) for day in self.days})),
            0 if self.begins is None else _minutes(self.begins),
            24 * 60 if self.ends is None else _minutes(self.ends),
        )

    @classmethod
    def of(cls, schedule: Schedule) -> Self:
        """Return the resource of a schedule."""
        return cls.model_construct(
            not_before=None if schedule.not_before is None else datetime.fromtimestamp(schedule.not_before, UTC),
            not_after=None if schedule.not_after is None else datetime.fromtimestamp(schedule.not_after, UTC),
            days=None if len(schedule.days) == 7 else [DAYS[day] for day in schedule.days],
            begins=_clock(schedule.begins) if schedule.begins else None,
            ends=_clock(schedule.ends) if schedule.ends < 24 * 60 else None,
        )


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


class PolicyRequest(Resource):
    """What a policy is to be."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "priority": 10,
                    "bid": 2,
                    "selector": {"source": "2001:db8:c::/64", "protocol": "udp", "destination_ports": "5000-5999"},
                },
                {"priority": 20, "action": "balance", "shares": [{"bid": 1, "weight": 3}, {"bid": 2, "weight": 1}]},
            ],
            "allOf": [_FITTING, _FALLBACK],
        }
    )

    priority: Annotated[StrictInt, Field(ge=1, le=65535), fields.WHOLE] = Field(
        description="1 comes first; unique for a mobile node."
    )
    action: Action = Field(
        default="steer",
        description="steer: to `bid`. balance: each 5-tuple to one of `shares`. replicate: a copy to each of `bids`."
        " drop: to nobody.",
    )
    bid: Bid | None = Field(default=None, description="With steer: the binding that takes these packets.")
    shares: list[ShareResource] | None = Field(default=None, min_length=1, max_length=MAX_TARGETS)
    bids: Annotated[list[Bid], Field(min_length=1, max_length=MAX_TARGETS, json_schema_extra=_UNIQUE)] | None = None
    selector: Selector = Selector()
    fallback: StrictBool = Field(
        default=False,
        description="It takes what nothing else takes, in place of the preferred binding; its selector is empty.",
    )
    schedule: ScheduleResource | None = Field(default=None, description="When it is in force; null: always.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        wanted = _GOES_WITH[self.action]
        for field in ("bid", "shares", "bids"):
            given = getattr(self, field) is not None
            if given and field != wanted:
                raise ValueError(f"action {self.action} does not go with {field}: leave it out")
            if not given and field == wanted:
                raise ValueError(f"action {self.action} needs {field}")
        targets = self.bids or [share.bid for share in self.shares or []]
        if len(set(targets)) < len(targets):
            raise ValueError("a BID is named twice")
        if self.fallback and self.selector != Selector():
            raise ValueError("a fallback takes what nothing else takes: leave out its selector")
        return self

    def to_policy(self, home_address: Address, name: str) -> FlowPolicy:
        """Return the engine's form."""
        return FlowPolicy(
            name, home_address, self.priority, self.selector.to_selector(), self._treatment(), fallback=self.fallback
        )

    def to_schedule(self) -> Schedule | None:
        """Return the service's form of its times."""
        return None if self.schedule is None else self.schedule.to_schedule()

    def _treatment(self) -> Treatment:
        match self.action:
            case "steer":
                assert self.bid is not None
                return Steer(self.bid)
            case "balance":
                return Balance(tuple(Share(share.bid, share.weight) for share in self.shares or ()))
            case "replicate":
                return Replicate(tuple(self.bids or ()))
            case "drop":
                return Discard()


class PolicyResource(Resource):
    """A policy: it says what becomes of flows towards a mobile node."""

    home_address: AddressText
    name: str
    priority: int = Field(description="1 comes first.")
    action: Action
    bid: int | None
    shares: list[ShareResource] | None
    bids: list[int] | None
    selector: Selector
    fallback: bool
    schedule: ScheduleResource | None
    state: PolicyState = Field(
        description="inactive: none of its BIDs is registered. waiting: its schedule says that it is not in force now."
    )

    @classmethod
    def of(cls, view: PolicyView) -> Self:
        """Return the resource of a policy."""
        policy = view.policy
        action, bid, shares, bids = _treated(policy.treatment)
        return cls(
            home_address=format_address(policy.home_address),
            name=policy.name,
            priority=policy.priority,
            action=action,
            bid=bid,
            shares=shares,
            bids=bids,
            selector=Selector.of(policy.selector),
            fallback=policy.fallback,
            schedule=None if view.schedule is None else ScheduleResource.of(view.schedule),
            state=view.state,
        )


def _treated(treatment: Treatment) -> tuple[Action, int | None, list[ShareResource] | None, list[int] | None]:
    match treatment:
        case Steer(bid):
            return "steer", bid, None, None
        case Balance(shares):
            return "balance", None, [ShareResource(bid=bid, weight=weight) for bid, weight in shares], None
        case Replicate(bids):
            return "replicate", None, None, list(bids)
        case Discard():
            return "drop", None, None, None


def _each_once(bids: list[int]) -> list[int]:
    if len(set(bids)) != len(bids):
        raise ValueError("a BID stands in it twice")
    return bids


class UpdateResource(Resource):
    """One change of one table entry."""

    op: Literal["insert", "modify", "delete"]
    table: str
    match: dict[str, str] = Field(description="By key field; fields that take any value are left out.")
    action: str
    params: dict[str, int | str] = Field(description="Addresses are text.")
    priority: int


class Preview(Resource):
    """What a request would do; nothing was changed."""

    valid: Literal[True] = True
    updates: list[UpdateResource] = Field(
        description="What would be written to each anchor now, in the order of the plan."
    )

    @classmethod
    def of(cls, updates: Sequence[TableUpdate] = ()) -> Self:
        """Return the resource of some updates."""
        return cls(
            updates=[
                UpdateResource.model_validate(
                    {
                        "op": one.op,
                        "table": one.table,
                        "match": dict(one.match),
                        "action": one.action,
                        "params": dict(one.params),
                        "priority": one.priority,
                    }
                )
                for one in updates
            ]
        )


class PreferenceRequest(Resource):
    """In which order a node's paths are to be preferred."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"bids": [2, 1]}]})

    bids: Annotated[list[Bid], AfterValidator(_each_once)] = Field(
        min_length=1,
        max_length=64,
        json_schema_extra=_UNIQUE,
        description="The best first, each once. One that is not registered is passed over; when none is, the node's own order"
        " (BID-PRI, RFC 6089) counts.",
        examples=[[2, 1]],
    )


class PreferenceResource(Resource):
    """The operator's order of a node's paths, for traffic that no policy and no flow binding names."""

    home_address: AddressText
    bids: list[int] = Field(description="The best first.")
    preferred_bid: int | None = Field(description="The one that counts now; null: the node has no binding.")

    @classmethod
    def of(cls, node: NodeView, bids: Sequence[int]) -> Self:
        """Return the resource of a preference."""
        return cls(home_address=format_address(node.home_address), bids=list(bids), preferred_bid=node.preferred_bid)
