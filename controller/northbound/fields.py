"""Field types of requests: checked text on the outside, one canonical spelling inside.

What a type refuses, its JSON Schema refuses too, so that a program can check a request before it sends it.
"""

from datetime import UTC
from typing import Annotated, Any, Final

from fastapi import Path
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, PlainValidator, WithJsonSchema

from controller.mobility.address import (
    Address,
    Prefix,
    format_address,
    format_ipv4,
    is_ipv4_unicast,
    is_routable_unicast,
    parse_address,
    parse_ipv4,
)
from controller.mobility.flows import PortRange

PROTOCOLS: Final = {"tcp": 6, "udp": 17, "esp": 50, "icmpv6": 58}
"""Upper-layer protocols that may be given by name."""
PROTOCOL_NAMES: Final = {number: name for name, number in PROTOCOLS.items()}

NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
"""Pattern of a policy's name."""

_NOT_ROUTABLE: Final = (
    "^[fF]([fF][0-9a-fA-F]|[eE][89aAbB])[0-9a-fA-F]:",  # multicast, link-local
    "^(0*:)+0*[0-9a-fA-F]{0,2}$",  # unspecified, loopback
    r"^(0*:)+0+\.0+\.0+\.[0-9]+$",
    "^(0*:)+[fF]{4}:([0-9a-fA-F]{1,4}:[0-9a-fA-F]{1,4}|[0-9.]+)$",  # IPv4-mapped
    "^(0{1,4}:){5}[fF]{4}:(:[0-9a-fA-F]{0,4}|[0-9a-fA-F]{1,4}::)$",
)
"""Patterns of the IPv6 addresses that `home_address` refuses, in any spelling."""
ROUTABLE: Final[dict[str, Any]] = {
    "format": "ipv6",
    "not": {"anyOf": [{"pattern": pattern} for pattern in _NOT_ROUTABLE]},
}
"""JSON Schema of the text of a routable unicast address."""


def _whole(value: object) -> object:
    """Return a number without its empty fraction: to JSON Schema 1.0 is an integer (2020-12, validation, 6.1.1)."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE: Final = BeforeValidator(_whole)
"""Goes behind the bounds of a strict integer."""


def home_address(text: object) -> Address:
    """Return the home address that `text` spells, in any spelling of RFC 4291.

    Raises:
        ValueError: it is no routable unicast IPv6 address.
    """
    # `ipaddress` takes a zone, "%eth0", and drops it: that would make one node of two spellings.
    if not isinstance(text, str) or "%" in text:
        raise ValueError(f"{text!r} is not an IPv6 address")
    address = parse_address(text)
    if not is_routable_unicast(address):
        raise ValueError(f"{text!r} is not a routable unicast address")
    return address


def _shown(value: object) -> str:
    """Return how an error names a value: arrays and objects may be of any depth, so by their kind."""
    if isinstance(value, str | int | float) or value is None:
        return repr(value)
    return "an array" if isinstance(value, list) else "an object"


def _address(text: str) -> str:
    return format_address(home_address(text))


def _ipv4(text: str) -> str:
    address = parse_ipv4(text)
    if not is_ipv4_unicast(address):
        raise ValueError(f"{text!r} is not a unicast address")
    return format_ipv4(address)


def _instant(value: object) -> object:
    if not isinstance(value, str) or value[:4].isdecimal() is not True or value[4:5] != "-":
        raise ValueError(f"{_shown(value)} is not a time: write it as in 2026-11-24T08:00:00Z")
    return value


def _representable(value: AwareDatetime) -> AwareDatetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("years are 1 to 9999, in UTC too") from None


def _prefix(text: str) -> str:
    if "/" not in text or "%" in text:
        raise ValueError(f"{text!r} is not an IPv6 prefix: write it as in 2001:db8:1::/64")
    try:
        return str(Prefix.parse(text))
    except ValueError as error:
        raise ValueError(f"{text!r} is not an IPv6 prefix: {error}") from None


def protocol_number(value: int | str) -> int:
    """Return the number of a protocol given by number or name."""
    return PROTOCOLS[value] if isinstance(value, str) else value


def _protocol(value: object) -> int | str:
    if isinstance(value, str) and value in PROTOCOLS:
        return value
    number = _whole(value)
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= 255:
        return PROTOCOL_NAMES.get(number, number)
    raise ValueError(f"{_shown(value)} is not a protocol: give a number from 0 to 255 or one of {', '.join(PROTOCOLS)}")


def port_range(text: str) -> PortRange:
    """Return the range that canonical text spells: one port, or the lowest and the highest."""
    low, _, high = text.partition("-")
    return PortRange(int(low), int(high or low))


def format_ports(ports: PortRange) -> str:
    """Return the canonical text of a range."""
    return str(ports.low) if ports.low == ports.high else f"{ports.low}-{ports.high}"


def _ports(value: object) -> str:
    number = _whole(value)
    text = str(number) if isinstance(number, int) and not isinstance(number, bool) else number
    if isinstance(text, str):
        parts = text.split("-")
        if len(parts) <= 2 and all(part.isascii() and part.isdecimal() and len(part) <= 5 for part in parts):
            ports = PortRange(int(parts[0]), int(parts[-1]))
            if ports.high < ports.low <= 65535:
                raise ValueError(f"{text!r} begins above its end")
            if ports.high <= 65535:
                return format_ports(ports)
    raise ValueError(f'{_shown(value)} is not a port or a range of ports: write 443 or "5000-5999", 0 to 65535')


_PORT: Final = "([0-5]?[0-9]{1,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"


def _schema(**schema: Any) -> WithJsonSchema:  # noqa: ANN401  JSON Schema keywords take any JSON value
    return WithJsonSchema(schema)


HomeAddressPath = Annotated[
    Address,
    PlainValidator(home_address),
    _schema(type="string", **ROUTABLE, examples=["2001:db8:0:1::100"]),
    Path(description="Home address of the mobile node, in any spelling of RFC 4291."),
]
BidPath = Annotated[
    int, Path(ge=0, le=65535, description="Binding identifier; 0: the binding without one.", examples=[1])
]
PolicyNamePath = Annotated[
    str,
    Path(
        pattern=NAME,
        description="Name of the policy: letters, digits, dot, dash, underscore; at most 63.",
        examples=["video"],
    ),
]
SwitchNamePath = Annotated[str, Path(max_length=64, description="Name of the switch.", examples=["s1"])]

AddressText = Annotated[str, AfterValidator(_address), Field(max_length=64, json_schema_extra=ROUTABLE)]
"""A routable unicast address."""
Ipv4Text = Annotated[
    str,
    AfterValidator(_ipv4),
    Field(
        max_length=15,
        examples=["192.0.2.100"],
        json_schema_extra={"format": "ipv4", "not": {"pattern": "^(0|127|22[4-9]|2[3-5][0-9])\\."}},
    ),
]
"""An IPv4 address that one host may have."""
Instant = Annotated[AwareDatetime, AfterValidator(_representable), BeforeValidator(_instant)]
"""A point in time, RFC 3339."""
PrefixText = Annotated[
    str,
    AfterValidator(_prefix),
    Field(examples=["2001:db8:c::/64"], max_length=64, json_schema_extra={"format": "ipv6-prefix"}),
]
ProtocolField = Annotated[
    int | str,
    PlainValidator(_protocol),
    _schema(
        anyOf=[{"type": "integer", "minimum": 0, "maximum": 255}, {"type": "string", "enum": list(PROTOCOLS)}],
        examples=["udp", 132],
    ),
]
PortsField = Annotated[
    str,
    PlainValidator(_ports),
    _schema(
        anyOf=[
            {"type": "integer", "minimum": 0, "maximum": 65535},
            {"type": "string", "pattern": f"^{_PORT}(-{_PORT})?$"},
        ],
        examples=["5000-5999", 443],
    ),
]
