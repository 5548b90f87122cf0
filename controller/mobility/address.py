"""IPv6 addresses and prefixes, and IPv4 addresses, as the engine holds them.

An address is its octets in network order: that is what packets carry, it hashes fast and compares as it sorts. Text is
for people and stays at the edges (configuration, REST, events).
"""

import ipaddress
from functools import lru_cache
from typing import NamedTuple, NewType, Self

Address = NewType("Address", bytes)
"""An IPv6 address: exactly 16 octets, network order."""

Ipv4Address = NewType("Ipv4Address", bytes)
"""An IPv4 address: exactly 4 octets, network order."""

ADDRESS_LENGTH = 16
UNSPECIFIED = Address(bytes(ADDRESS_LENGTH))
LOOPBACK = Address(bytes(15) + b"\x01")
_MAPPED = bytes(10) + b"\xff\xff"
_MAPPED_LENGTH = 96
IPV4_DUMMY = Ipv4Address(bytes((192, 0, 0, 8)))
"""What an IPv6-only node sends ICMPv4 errors from (RFC 7600 section 4.8)."""


def parse_address(text: str) -> Address:
    """Return the address that `text` spells (RFC 4291 section 2.2, no zone).

    Raises:
        ValueError: `text` is no IPv6 address, or has a zone; the message repeats it.
    """
    if "%" in text:
        raise ValueError(f"{text!r} has a zone: that means something on one machine only; leave it out")
    return Address(ipaddress.IPv6Address(text).packed)


@lru_cache(
    8192
)  # To spell one takes 6 microseconds, and a list of bindings has hundreds: the same ones again and again.
def format_address(address: Address) -> str:
    """Return the canonical text of an address (RFC 5952)."""
    return str(ipaddress.IPv6Address(address))


def is_routable_unicast(address: Address) -> bool:
    """Tell whether an address is a unicast routable one in the sense of RFC 6275 section 2.

    That excludes the unspecified and the loopback address, multicast (ff00::/8), link-local (fe80::/10) and
    IPv4-mapped addresses.
    """
    first = address[0]
    if first == 0xFF or (first == 0xFE and address[1] & 0xC0 == 0x80):
        return False
    return not (
        first == 0 and address[:10] == bytes(10) and (address[10:12] == b"\xff\xff" or address[10:15] == bytes(5))
    )


def mapped(address: Ipv4Address) -> Address:
    """Return the IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2): as which IPv4 hosts stand in tables, counts and events."""
    return Address(_MAPPED + address)


def unmapped(address: Address) -> Ipv4Address | None:
    """Return the IPv4 address of an IPv4-mapped one; None: it is an IPv6 address."""
    return Ipv4Address(address[12:]) if address[:12] == _MAPPED else None


def parse_ipv4(text: str) -> Ipv4Address:
    """Return the IPv4 address that `text` spells in dotted decimals.

    Raises:
        ValueError: `text` is no IPv4 address; the message repeats it.
    """
    return Ipv4Address(ipaddress.IPv4Address(text).packed)


def format_ipv4(address: Ipv4Address) -> str:
    """Return the text of an IPv4 address: dotted decimals."""
    return str(ipaddress.IPv4Address(address))


def format_host(address: Address) -> str:
    """Return the text of an address, that of the IPv4 one if it is IPv4-mapped."""
    ipv4 = unmapped(address)
    return format_address(address) if ipv4 is None else format_ipv4(ipv4)


def is_ipv4_unicast(address: bytes) -> bool:
    """Tell whether 4 octets are an address that one host may have: not in 0.0.0.0/8 or 127.0.0.0/8, and below 224.0.0.0."""
    return 0 < address[0] < 224 and address[0] != 127


class Prefix(NamedTuple):
    """An IPv6 prefix: its first address, host bits zero, and its length in bits (0 to 128).

    An IPv4 prefix is one of IPv4-mapped addresses, 96 bits longer; `format_network` gives its usual text.
    """

    network: Address
    length: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the prefix that `text` spells, as in ``2001:db8:1::/64``.

        Raises:
            ValueError: `text` is no prefix, or bits beyond its length are set.
        """
        network = ipaddress.IPv6Network(text)
        return cls(Address(network.network_address.packed), network.prefixlen)

    @classmethod
    def parse_ipv4(cls, text: str) -> Self:
        """Return the IPv4 prefix that `text` spells, as in ``198.51.100.0/24``.

        Raises:
            ValueError: `text` is no prefix, or bits beyond its length are set.
        """
        network = ipaddress.IPv4Network(text)
        return cls(mapped(Ipv4Address(network.network_address.packed)), _MAPPED_LENGTH + network.prefixlen)

    @property
    def is_ipv4(self) -> bool:
        """Whether all of its addresses are IPv4-mapped."""
        return self.length >= _MAPPED_LENGTH and unmapped(self.network) is not None

    @property
    def is_default(self) -> bool:
        """Whether it has all addresses of its IP version."""
        return self.length == (_MAPPED_LENGTH if self.is_ipv4 else 0)

    def __contains__(self, address: object) -> bool:
        """Tell whether an address lies inside the prefix."""
        if not isinstance(address, bytes) or len(address) != ADDRESS_LENGTH:
            return False
        shift = 128 - self.length
        return int.from_bytes(address) >> shift == int.from_bytes(self.network) >> shift

    def __str__(self) -> str:
        return f"{format_address(self.network)}/{self.length}"


def format_network(prefix: Prefix) -> str:
    """Return the text of a prefix, that of an IPv4 one if its addresses are IPv4-mapped."""
    if not prefix.is_ipv4:
        return str(prefix)
    return f"{format_ipv4(Ipv4Address(prefix.network[12:]))}/{prefix.length - _MAPPED_LENGTH}"
