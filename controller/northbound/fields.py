"""Field types of requests: checked text on the outside, one canonical spelling inside."""

from typing import Annotated, Any, Final

from fastapi import Path
from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from controller.mobility.address import Address, Prefix, is_routable_unicast, parse_address
from controller.mobility.flows import PortRange

PROTOCOLS: Final = {"tcp": 6, "udp": 17, "esp": 50, "icmpv6": 58}
"""Upper-layer protocols that may be given by name."""
PROTOCOL_NAMES: Final = {number: name for name, number in PROTOCOLS.items()}

NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
"""Pattern of a policy's name."""


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


def _prefix(text: str) -> str:
    if "/" not in text or "%" in text:
        raise ValueError(f"{text!r} is not an IPv6 prefix: write it as in 2001:db8:1::/64")
    return str(Prefix.parse(text))


def protocol_number(value: int | str) -> int:
    """Return the number of a protocol given by number or name."""
    return PROTOCOLS[value] if isinstance(value, str) else value


def _protocol(value: object) -> int | str:
    if isinstance(value, str) and value in PROTOCOLS:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255:
        return PROTOCOL_NAMES.get(value, value)
    raise ValueError(f"{_shown(value)} is not a protocol: give a number from 0 to 255 or one of {', '.join(PROTOCOLS)}")


def port_range(text: str) -> PortRange:
    """Return the range that canonical text spells: one port, or the lowest and the highest."""
    low, _, high = text.partition("-")
    return PortRange(int(low), int(high or low))


def format_ports(ports: PortRange) -> str:
    """Return the canonical text of a range."""
    return str(ports.low) if ports.low == ports.high else f"{ports.low}-{ports.high}"


def _ports(value: object) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str):
        parts = text.split("-")
        if len(parts) <= 2 and all(part.isascii() and part.isdecimal() and len(part) <= 5 for part in parts):
            ports = PortRange(int(parts[0]), int(parts[-1]))
            if ports.low <= ports.high <= 65535:
                return format_ports(ports)
    raise ValueError(f'{_shown(value)} is not a port or a range of ports: write 443 or "5000-5999", 0 to 65535')


def _schema(**schema: Any) -> WithJsonSchema:  # noqa: ANN401  JSON Schema keywords take any JSON value
    return WithJsonSchema(schema)


HomeAddressPath = Annotated[
    Address,
    PlainValidator(home_address),
    _schema(type="string", format="ipv6", examples=["2001:db8:0:1::100"]),
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

PrefixText = Annotated[str, AfterValidator(_prefix), Field(examples=["2001:db8:c::/64"], max_length=64)]
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
            {"type": "string", "pattern": "^[0-9]{1,5}(-[0-9]{1,5})?$"},
        ],
        examples=["5000-5999", 443],
    ),
]
