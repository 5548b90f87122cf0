"""Field types of topology files: text on the outside, the controller's own values inside."""

import hashlib
from typing import Annotated, NewType

from pydantic import PlainSerializer, PlainValidator

from controller.mobility.address import (
    Address,
    Ipv4Address,
    Prefix,
    format_address,
    format_ipv4,
    format_network,
    is_ipv4_unicast,
    is_routable_unicast,
    mapped,
    parse_address,
    parse_ipv4,
)

Mac = NewType("Mac", int)
"""An Ethernet address as a 48-bit integer, the form that table entries take."""


def format_mac(mac: Mac) -> str:
    """Return the usual text of an Ethernet address: six pairs of hexadecimal digits with colons."""
    return mac.to_bytes(6).hex(":")


def parse_mac(text: str) -> Mac:
    """Return the unicast Ethernet address that `text` spells.

    Raises:
        ValueError: `text` is not six pairs of hexadecimal digits with colons, or is a group address, or zero.
    """
    parts = text.split(":")
    if len(parts) != 6 or any(len(part) != 2 for part in parts):
        raise ValueError(
            f"{text!r} is not an Ethernet address: write six pairs of hexadecimal digits, as in 02:00:00:00:00:01"
        )
    try:
        octets = bytes.fromhex("".join(parts))
    except ValueError:
        raise ValueError(
            f"{text!r} is not an Ethernet address: {parts} has characters that are no hexadecimal digits"
        ) from None
    if octets[0] & 1 or not any(octets):
        raise ValueError(f"{text!r} cannot be an interface's address: it is a group address or zero")
    return Mac(int.from_bytes(octets))


def derived_mac(node: str, interface: str) -> Mac:
    """Return the address an interface gets when its file gives none: the same on every run and every machine.

    It is locally administered (second bit of the first octet set), and depends on nothing but the two names.
    """
    digest = hashlib.blake2b(f"{node}:{interface}".encode(), digest_size=5).digest()
    return Mac(int.from_bytes(b"\x02" + digest))


def _address(value: object) -> Address:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not an IPv6 address: write it as text")  # noqa: TRY004  pydantic reports ValueError only
    address = parse_address(value)
    if not is_routable_unicast(address):
        raise ValueError(f"{value!r} is not a routable unicast address")
    return address


def _neighbour(value: object) -> Address:
    if isinstance(value, str) and (address := parse_address(value)).startswith(b"\xfe\x80"):
        return address
    return _address(value)


def _ipv4(value: object) -> Ipv4Address:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not an IPv4 address: write it as text")  # noqa: TRY004  pydantic reports ValueError only
    address = parse_ipv4(value)
    if not is_ipv4_unicast(address):
        raise ValueError(f"{value!r} is not a unicast address")
    return address


def _prefix(value: object) -> Prefix:
    if not isinstance(value, str) or "/" not in value:
        raise ValueError(f"{value!r} is not an IPv6 prefix: write it as in 2001:db8:1::/64")
    return Prefix.parse(value)


def _ipv4_host(value: object) -> Address:
    return mapped(_ipv4(value))


def _format_ipv4_host(address: Address) -> str:
    return format_ipv4(Ipv4Address(address[12:]))


def _ipv4_prefix(value: object) -> Prefix:
    if not isinstance(value, str) or "/" not in value:
        raise ValueError(f"{value!r} is not an IPv4 prefix: write it as in 198.51.100.0/24")
    return Prefix.parse_ipv4(value)


def _mac(value: object) -> Mac:
    if not isinstance(value, str):
        # YAML 1.1 reads 52:54:00:12:34:56 as a number to the base of sixty.
        raise ValueError(f"{value!r} is not an Ethernet address: write it in quotes")  # noqa: TRY004  pydantic reports ValueError only
    return parse_mac(value)


AddressField = Annotated[Address, PlainValidator(_address), PlainSerializer(format_address)]
"""A routable unicast IPv6 address, written as text."""

NeighbourField = Annotated[Address, PlainValidator(_neighbour), PlainSerializer(format_address)]
"""An IPv6 address that one interface has, link-local or routable, written as text."""

Ipv4Field = Annotated[Ipv4Address, PlainValidator(_ipv4), PlainSerializer(format_ipv4)]
"""A unicast IPv4 address, written as text."""

Ipv4HostField = Annotated[Address, PlainValidator(_ipv4_host), PlainSerializer(_format_ipv4_host)]
"""A unicast IPv4 address, written as text, held as IPv4-mapped one."""

Ipv4PrefixField = Annotated[Prefix, PlainValidator(_ipv4_prefix), PlainSerializer(format_network)]
"""An IPv4 prefix, written as text, held as one of IPv4-mapped addresses."""

PrefixField = Annotated[Prefix, PlainValidator(_prefix), PlainSerializer(str)]
"""An IPv6 prefix, written as text."""

MacField = Annotated[Mac, PlainValidator(_mac), PlainSerializer(format_mac)]
"""An Ethernet unicast address, written as text."""
