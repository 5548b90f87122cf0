"""Mobile nodes as JSON: what they may do, what they have signalled."""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, StrictBool, StrictFloat, StrictInt, model_validator

from controller.mobility.address import Address, Prefix, format_address, format_ipv4, parse_ipv4
from controller.mobility.flows import FlowEntry, FlowSelector
from controller.mobility.provision import NodeProvision
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import (
    AUTH_KEY_OCTETS,
    DEFAULT_REPLAY_WINDOW,
    DEFAULT_TIMESTAMP_WINDOW,
    NO_SECURITY,
    AuthPolicy,
    EspAlgorithm,
    EspAssociation,
    EspPolicy,
    SecurityPolicy,
)
from controller.northbound import fields, rules
from controller.northbound.models import Resource
from controller.northbound.views import FlowView, Origin, ProvisionView

_KEY: Final = "^([0-9a-fA-F]{2})+$"


def _key(value: SecretStr) -> SecretStr:
    if re.fullmatch(_KEY, value.get_secret_value()) is None:
        raise ValueError("not a key: it has to be hexadecimal digits, two for each octet")
    return value


Spi = Annotated[StrictInt, Field(ge=256, le=0xFFFFFFFF), fields.WHOLE]
KeyText = Annotated[
    SecretStr,
    AfterValidator(_key),
    Field(min_length=2, max_length=1024, json_schema_extra={"writeOnly": True, "pattern": _KEY}),
]
SecurityKind = Literal["none", "auth", "esp"]
DEFAULT_ALGORITHM: Final = EspAlgorithm.AES_128_CBC_SHA_256
_ONLY: Final = {
    "none": frozenset[str](),
    "auth": frozenset({"spi", "key", "mn_id", "timestamp_window_seconds"}),
    "esp": frozenset({"spi", "key", "reply_spi", "reply_key", "algorithm", "replay_window"}),
}
_NEEDED: Final[dict[str, tuple[str, ...]]] = {"none": (), "auth": ("spi",), "esp": ("spi", "reply_spi")}


def _keys_of(octets: str) -> rules.JsonSchema:
    key = rules.one_of(rules.NULL, {"pattern": f"^([0-9a-fA-F]{{2}}){{{octets}}}$"})
    return {"key": key, "reply_key": key}


_KEY_LENGTHS: Final = rules.one_of(
    rules.case(kind={"enum": ["none", "auth"]}, **_keys_of(f"{AUTH_KEY_OCTETS},")),
    *(
        rules.case(
            ("kind",) if algorithm is DEFAULT_ALGORITHM else ("kind", "algorithm"),
            kind={"const": "esp"},
            algorithm={"enum": [algorithm, None]} if algorithm is DEFAULT_ALGORITHM else {"const": algorithm},
            **_keys_of(str(algorithm.key_octets)),
        )
        for algorithm in EspAlgorithm
    ),
)


class SecurityRequest(Resource):
    """How a node proves that the home address is its own."""

    model_config = ConfigDict(
        json_schema_extra={"allOf": [rules.by_kind("kind", "none", _NEEDED, _ONLY), _KEY_LENGTHS]}
    )

    kind: SecurityKind = "none"
    spi: Spi | None = Field(
        default=None, description="With auth the mobility SPI; with esp that from the node to here."
    )
    key: KeyText | None = Field(
        default=None, description="Hexadecimal; never shown. Left out: the key that the node has already."
    )
    mn_id: Annotated[str, Field(min_length=1, max_length=254)] | None = Field(
        default=None, description="With auth: network access identifier (RFC 4283)."
    )
    timestamp_window_seconds: Annotated[StrictFloat, Field(gt=3, le=3600)] | None = None
    reply_spi: Spi | None = Field(default=None, description="With esp: from here to the node.")
    reply_key: KeyText | None = None
    algorithm: EspAlgorithm | None = Field(default=None, description="With esp; aes-128-cbc-hmac-sha-256.")
    replay_window: Annotated[StrictInt, Field(ge=0, le=8192, multiple_of=64), fields.WHOLE] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        given = {name for name in type(self).model_fields if name != "kind" and getattr(self, name) is not None}
        if stray := sorted(given - _ONLY[self.kind]):
            raise ValueError(f"{', '.join(stray)} does not go with kind {self.kind}: leave it out")
        if missing := [name for name in _NEEDED[self.kind] if name not in given]:
            raise ValueError(f"kind {self.kind} needs {', '.join(missing)}")
        return self

    def to_policy(self, known: SecurityPolicy) -> SecurityPolicy:
        """Return the engine's form.

        Args:
            known: what the node has now: its keys stay where the request gives none.

        Raises:
            ValueError: a key is missing or of the wrong length. The text has no part of one.
        """
        if self.kind == "auth":
            assert self.spi is not None
            key = self._one("key", self.key, known.key if isinstance(known, AuthPolicy) else None)
            identifier = None if self.mn_id is None else self.mn_id.encode()
            window = self.timestamp_window_seconds or DEFAULT_TIMESTAMP_WINDOW
            return AuthPolicy(self.spi, key, identifier, window=window)
        if self.kind == "esp":
            assert self.spi is not None
            assert self.reply_spi is not None
            algorithm = self.algorithm or DEFAULT_ALGORITHM
            esp = known if isinstance(known, EspPolicy) else None
            key = self._one("key", self.key, esp.from_node.key if esp else None)
            reply = self._one("reply_key", self.reply_key, esp.to_node.key if esp else None)
            window = DEFAULT_REPLAY_WINDOW if self.replay_window is None else self.replay_window
            return EspPolicy(
                EspAssociation(self.spi, key, algorithm), EspAssociation(self.reply_spi, reply, algorithm), int(window)
            )
        return NO_SECURITY

    @staticmethod
    def _one(name: str, given: SecretStr | None, known: Key | None) -> Key:
        if given is not None:
            return Key.from_hex(given.get_secret_value())
        if known is None:
            raise ValueError(f"{name} is required: the node has none yet")
        return known


class SecurityResource(Resource):
    """How a node proves that the home address is its own; keys are not shown."""

    kind: SecurityKind
    spi: int | None = None
    mn_id: str | None = None
    timestamp_window_seconds: float | None = None
    reply_spi: int | None = None
    algorithm: EspAlgorithm | None = None
    replay_window: int | None = None

    @classmethod
    def of(cls, policy: SecurityPolicy) -> Self:
        """Return the resource of a security policy."""
        match policy:
            case AuthPolicy():
                name = None if policy.node_identifier is None else policy.node_identifier.decode()
                return cls(kind="auth", spi=policy.spi, mn_id=name, timestamp_window_seconds=policy.window)
            case EspPolicy():
                return cls(
                    kind="esp",
                    spi=policy.from_node.spi,
                    reply_spi=policy.to_node.spi,
                    algorithm=policy.from_node.algorithm,
                    replay_window=policy.replay_window,
                )
        return cls(kind="none")


def _fingerprints(policy: SecurityPolicy) -> list[str]:
    keys: tuple[Key | None, ...] = ()
    match policy:
        case AuthPolicy():
            keys = (policy.key, policy.aaa_key)
        case EspPolicy():
            keys = (policy.from_node.key, policy.to_node.key)
    return [key.fingerprint().hex() for key in keys if key is not None]


class ProvisionRequest(Resource):
    """What a node may do."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"max_bindings": 4},
                {"mobile_router": True, "prefixes": ["2001:db8:f01::/56"]},
            ],
            **rules.one_of(
                rules.case(("mobile_router",), mobile_router={"const": True}), rules.case(prefixes={"maxItems": 0})
            ),
        }
    )

    multiple_care_of: StrictBool = Field(default=True, description="Several care-of addresses (RFC 5648).")
    bulk: StrictBool = Field(default=True, description="Several in one Binding Update.")
    max_bindings: Annotated[StrictInt, Field(ge=1, le=255), fields.WHOLE] = 8
    mobile_router: StrictBool = False
    prefixes: list[fields.PrefixText] = Field(
        default=[],
        max_length=64,
        description="Mobile network prefixes that it may register (RFC 3963); none is a part of another.",
        json_schema_extra={"uniqueItems": True},
    )
    home_ipv4: fields.Ipv4Text | None = Field(
        default=None,
        description="An IPv4 home address too: its packets go where those of the home address go, while the node has a"
        " binding. The node has to know it; it is not signalled (RFC 5555).",
    )
    flows: StrictBool = Field(default=True, description="It may signal flow bindings (RFC 6089).")
    max_flows: Annotated[StrictInt, Field(ge=1, le=1024), fields.WHOLE] = 32
    security: SecurityRequest = SecurityRequest()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.prefixes and not self.mobile_router:
            raise ValueError("only a mobile router has prefixes: set mobile_router")
        found = list(map(Prefix.parse, self.prefixes))
        if any(one.network in other for at, one in enumerate(found) for other in found[:at] + found[at + 1 :]):
            raise ValueError("prefixes overlap")
        return self

    def to_provision(self, home_address: Address, known: ProvisionView | None) -> NodeProvision:
        """Return the engine's form.

        Raises:
            ValueError: a key is missing or of the wrong length.
        """
        security = self.security.to_policy(NO_SECURITY if known is None else known.provision.security)
        return NodeProvision(
            home_address,
            multiple_care_of=self.multiple_care_of,
            bulk=self.bulk,
            max_bindings=self.max_bindings,
            prefixes=tuple(map(Prefix.parse, self.prefixes)),
            mobile_router=self.mobile_router,
            home_ipv4=None if self.home_ipv4 is None else parse_ipv4(self.home_ipv4),
            security=security,
            flows=self.flows,
            max_flows=self.max_flows,
        )


class ProvisionResource(Resource):
    """What a node may do, and who said so."""

    origin: Origin = Field(description="configuration: in the configuration file, where it has to be changed.")
    key_fingerprints: list[str] = Field(description="They tell whether a key is another one; the keys are not shown.")
    multiple_care_of: bool
    bulk: bool
    max_bindings: int
    mobile_router: bool
    prefixes: list[str]
    home_ipv4: str | None
    flows: bool
    max_flows: int
    security: SecurityResource

    @classmethod
    def of(cls, view: ProvisionView) -> Self:
        """Return the resource of a provisioned node."""
        node = view.provision
        return cls(
            origin=view.origin,
            key_fingerprints=_fingerprints(node.security),
            multiple_care_of=node.multiple_care_of,
            bulk=node.bulk,
            max_bindings=node.max_bindings,
            mobile_router=node.mobile_router,
            prefixes=list(map(str, node.prefixes)),
            home_ipv4=None if node.home_ipv4 is None else format_ipv4(node.home_ipv4),
            flows=node.flows,
            max_flows=node.max_flows,
            security=SecurityResource.of(node.security),
        )


class FlowResource(Resource):
    """A flow binding that a node signalled (RFC 6089)."""

    fid: int = Field(description="Flow identifier.")
    priority: int = Field(description="FID-PRI: 1 comes first. Policies of the operator come before all of them.")
    bids: list[int]
    active_bids: list[int] = Field(description="Those that are registered; none: the flow is inactive.")
    selector: dict[str, str] = Field(
        description="Ranges of header fields, as in RFC 6088; what is left out takes any value."
    )

    @classmethod
    def of(cls, view: FlowView) -> Self:
        """Return the resource of a flow binding."""
        flow: FlowEntry = view.flow
        return cls(
            fid=flow.fid,
            priority=flow.priority,
            bids=list(flow.bids),
            active_bids=list(view.active_bids),
            selector=_selector(flow.selector),
        )


def _selector(selector: FlowSelector) -> dict[str, str]:
    shown: dict[str, str] = {"ip_version": "4" if selector.ipv4 else "6"}
    for name in FlowSelector.__dataclass_fields__:
        span: Any = getattr(selector, name)
        if name == "ipv4" or span is None:
            continue
        spell = _spell(name, ipv4=selector.ipv4)
        low, high = spell(span.low), spell(span.high)
        shown[name] = low if low == high else f"{low}-{high}"
    return shown


def _spell(name: str, *, ipv4: bool) -> Any:  # noqa: ANN401  a function of an int
    if name not in {"source", "destination"}:
        return str
    if ipv4:
        return lambda number: ".".join(map(str, int(number).to_bytes(4)))
    return lambda number: format_address(Address(int(number).to_bytes(16)))
