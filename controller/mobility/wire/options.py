"""Mobility options: type, length, value items at the end of a Mobility Header (RFC 6275 section 6.2).

Padding is not data: reading drops Pad1 and PadN, writing puts in what the alignment of each option asks for. What
this module does not know, and a Binding Identifier or an option of RFC 4283 and RFC 4285 of an illegal length, comes back as
`RawOption`, so nothing is lost.
"""

from collections.abc import Callable, Iterable
from struct import Struct
from typing import ClassVar, Final

from controller.mobility.address import Address, Prefix
from controller.mobility.wire.codes import OptionType
from controller.mobility.wire.errors import Malformation, WireError
from controller.mobility.wire.flow_options import (
    FlowIdentification,
    FlowSummary,
    read_flow_identification,
    read_flow_summary,
)
from controller.values import value

_BID: Final = Struct("!HBB")
_AUTHENTICATION: Final = Struct("!BI")
_U16: Final = Struct("!H")
_U16_PAIR: Final = Struct("!HH")
_TYPE_LENGTH: Final = Struct("!BB")

# To look a member up in its enumeration takes three times as long as to compare with it, and these are looked at for every option.
_PAD1: Final = int(OptionType.PAD1)
_PADN: Final = int(OptionType.PADN)
_AUTHORIZATION_DATA: Final = int(OptionType.BINDING_AUTHORIZATION_DATA)

_ALIGNMENT: Final[dict[int, tuple[int, int]]] = {
    OptionType.RESTART_COUNTER: (4, 2),
}
"""Alignment of options that this package does not read (RFC 4285 sections 5 and 6, RFC 5847 section 3.4).

(modulus, remainder): the offset of the type octet in the Mobility Header, modulo the first, is the second.
"""


@value
class RawOption:
    """An option that is kept as it came."""

    type: int
    """Option type, 2 to 255."""
    content: bytes
    """What follows the length octet, at most 255 octets."""

    @property
    def alignment(self) -> tuple[int, int]:
        """The alignment of its type, where this package knows it."""
        return _ALIGNMENT.get(self.type, (1, 0))

    def data(self) -> bytes:
        """Return what follows the length octet."""
        return self.content


@value
class BindingRefreshAdvice:
    """When the home agent would like to be refreshed (RFC 6275 section 6.2.4)."""

    type: ClassVar[int] = OptionType.BINDING_REFRESH_ADVICE
    alignment: ClassVar[tuple[int, int]] = (2, 0)
    interval: int
    """Units of 4 seconds, 0 to 65535."""

    def data(self) -> bytes:
        """Return what follows the length octet."""
        return _U16.pack(self.interval)


@value
class AlternateCareOf:
    """A care-of address that is not the packet's source (RFC 6275 section 6.2.5)."""

    type: ClassVar[int] = OptionType.ALTERNATE_CARE_OF_ADDRESS
    alignment: ClassVar[tuple[int, int]] = (8, 6)
    address: Address

    def data(self) -> bytes:
        """Return what follows the length octet."""
        return sized(self.address, 16)


@value
class NonceIndices:
    """Which nonces a correspondent registration uses (RFC 6275 section 6.2.6)."""

    type: ClassVar[int] = OptionType.NONCE_INDICES
    alignment: ClassVar[tuple[int, int]] = (2, 0)
    home: int
    care_of: int

    def data(self) -> bytes:
        """Return what follows the length octet."""
        return _U16_PAIR.pack(self.home, self.care_of)


@value
class AuthorizationData:
    """The authenticator of a correspondent registration (RFC 6275 section 6.2.7). Always the last option."""

    type: ClassVar[int] = OptionType.BINDING_AUTHORIZATION_DATA
    alignment: ClassVar[tuple[int, int]] = (8, 2)
    authenticator: bytes
    """12 octets."""

    def data(self) -> bytes:
        """Return what follows the length octet."""
        return sized(self.authenticator, 12)


@value
class NetworkPrefix:
    """A mobile network prefix (RFC 3963 section 4.3)."""

    type: ClassVar[int] = OptionType.MOBILE_NETWORK_PREFIX
    alignment: ClassVar[tuple[int, int]] = (8, 4)
    prefix: Prefix
    """As received: bits beyond the length may be set, and the length may exceed 128."""

    def data(self) -> bytes:
        """Return what follows the length octet."""
        return _TYPE_LENGTH.pack(0, self.prefix.length) + sized(self.prefix.network, 16)


@value
class LinkLayerAddress:
    """A link-layer address (RFC 5568 section 6.4.4; option code 2 is the mobile node's own)."""

    type: ClassVar[int] = OptionType.LINK_LAYER_ADDRESS
    alignment: ClassVar[tuple[int, int]] = (1, 0)
    code: int
    address: bytes

    def data(self) -> bytes:
        """Return what follows the length octet."""
        return bytes((self.code,)) + self.address


@value
class BindingIdentifier:
    """A binding identifier, with or without its care-of address (RFC 5648 section 4.1, RFC 6089 section 4.4)."""

    bid: int
    """0 to 65535; 0 is reserved."""
    care_of: bytes | None = None
    """16 octets (IPv6), 4 octets (IPv4), or None. Only a Binding Update carries one."""
    priority: int = 0
    """BID-PRI, 0 to 127: lower is preferred, 0 is none."""
    status: int = 0
    """Meaningful in a Binding Acknowledgement and a Care-of Test."""
    at_home: bool = False
    """The H flag: this care-of address is the home link."""
    type: ClassVar[int] = OptionType.BINDING_IDENTIFIER

    @property
    def alignment(self) -> tuple[int, int]:
        """2n without a care-of address, 8n+2 with one (RFC 5648 section 4.1)."""
        return (2, 0) if self.care_of is None else (8, 2)

    def data(self) -> bytes:
        """Return what follows the length octet."""
        if not 0 <= self.priority < 0x80:
            raise ValueError(f"BID-PRI {self.priority} of BID {self.bid} is not in 0 to 127")
        body = _BID.pack(self.bid, self.status, self.priority | (0x80 if self.at_home else 0))
        if self.care_of is None:
            return body
        if len(self.care_of) not in {4, 16}:
            raise ValueError(f"the care-of address of BID {self.bid} has {len(self.care_of)} octets instead of 4 or 16")
        return body + self.care_of


@value
class MobileNodeIdentifier:
    """Who the mobile node is, beside its home address (RFC 4283 section 3)."""

    type: ClassVar[int] = OptionType.MOBILE_NODE_IDENTIFIER
    alignment: ClassVar[tuple[int, int]] = (1, 0)
    subtype: int
    """What the identifier is: names in `codes.IdentifierSubtype`."""
    identifier: bytes
    """1 to 254 octets; for a network access identifier its text in UTF-8."""

    def data(self) -> bytes:
        """Return what follows the length octet."""
        return bytes((self.subtype,)) + self.identifier


@value
class MessageAuthentication:
    """The Mobility Message Authentication option (RFC 4285 section 5)."""

    type: ClassVar[int] = OptionType.AUTHENTICATION
    alignment: ClassVar[tuple[int, int]] = (4, 1)
    subtype: int
    """Who checks it: names in `codes.AuthenticationSubtype`."""
    spi: int
    """Mobility SPI, 0 to 2**32 - 1: which key."""
    authenticator: bytes
    """12 octets from a mobile node and its home agent; 20 for an AAA server and HMAC-SHA1."""

    def data(self) -> bytes:
        """Return what follows the length octet."""
        return _AUTHENTICATION.pack(self.subtype, self.spi) + self.authenticator


@value
class MessageIdentifier:
    """The replay protection option (RFC 4285 section 6)."""

    type: ClassVar[int] = OptionType.MESSAGE_IDENTIFIER
    alignment: ClassVar[tuple[int, int]] = (8, 2)
    timestamp: int
    """NTP format: seconds since 1900 times 2**32, modulo 2**64."""

    def data(self) -> bytes:
        """Return what follows the length octet."""
        return self.timestamp.to_bytes(8)


Option = (
    BindingIdentifier
    | RawOption
    | AlternateCareOf
    | NetworkPrefix
    | NonceIndices
    | AuthorizationData
    | BindingRefreshAdvice
    | LinkLayerAddress
    | FlowIdentification
    | FlowSummary
    | MobileNodeIdentifier
    | MessageAuthentication
    | MessageIdentifier
)

_PADDING: Final = (b"", b"\x00", *(bytes((OptionType.PADN, count)) + bytes(count) for count in range(6)))
"""The padding of 0 to 7 octets: Pad1 for one, PadN for more (RFC 6275 sections 6.2.2, 6.2.3)."""


def _read_identifier(data: bytes, start: int, length: int) -> BindingIdentifier | RawOption:
    if length not in {4, 8, 20}:
        return RawOption(OptionType.BINDING_IDENTIFIER, data[start : start + length])
    bid, status, flags = _BID.unpack_from(data, start)
    care_of = data[start + 4 : start + length] if length > 4 else None
    return BindingIdentifier(bid, care_of, flags & 0x7F, status, flags > 0x7F)


def _read_refresh_advice(data: bytes, start: int, length: int) -> BindingRefreshAdvice:
    _expect(length, 2, start)
    return BindingRefreshAdvice(*_U16.unpack_from(data, start))


def _read_alternate(data: bytes, start: int, length: int) -> AlternateCareOf:
    _expect(length, 16, start)
    return AlternateCareOf(Address(data[start : start + 16]))


def _read_nonce_indices(data: bytes, start: int, length: int) -> NonceIndices:
    _expect(length, 4, start)
    return NonceIndices(*_U16_PAIR.unpack_from(data, start))


def _read_authorization(data: bytes, start: int, length: int) -> AuthorizationData:
    _expect(length, 12, start)
    return AuthorizationData(data[start : start + 12])


def _read_prefix(data: bytes, start: int, length: int) -> NetworkPrefix:
    _expect(length, 18, start)
    return NetworkPrefix(Prefix(Address(data[start + 2 : start + 18]), data[start + 1]))


def _read_link_layer(data: bytes, start: int, length: int) -> LinkLayerAddress:
    if not length:
        raise WireError(Malformation.OPTION, start - 1)
    return LinkLayerAddress(data[start], data[start + 1 : start + length])


def _read_flow(data: bytes, start: int, length: int) -> FlowIdentification | RawOption:
    raw = RawOption(OptionType.FLOW_IDENTIFICATION, data[start : start + length])
    return read_flow_identification(data, start, length) or raw


def _read_node_identifier(data: bytes, start: int, length: int) -> MobileNodeIdentifier | RawOption:
    if length < 2:
        return RawOption(OptionType.MOBILE_NODE_IDENTIFIER, data[start : start + length])
    return MobileNodeIdentifier(data[start], data[start + 1 : start + length])


def _read_authentication(data: bytes, start: int, length: int) -> MessageAuthentication | RawOption:
    if length < 6:
        return RawOption(OptionType.AUTHENTICATION, data[start : start + length])
    subtype, spi = _AUTHENTICATION.unpack_from(data, start)
    return MessageAuthentication(subtype, spi, data[start + 5 : start + length])


def _read_message_identifier(data: bytes, start: int, length: int) -> MessageIdentifier | RawOption:
    if length != 8:
        return RawOption(OptionType.MESSAGE_IDENTIFIER, data[start : start + length])
    return MessageIdentifier(int.from_bytes(data[start : start + 8]))


def _expect(length: int, expected: int, start: int) -> None:
    if length != expected:
        raise WireError(Malformation.OPTION, start - 1)


_READERS: Final[dict[int, Callable[[bytes, int, int], Option]]] = {
    OptionType.BINDING_REFRESH_ADVICE: _read_refresh_advice,
    OptionType.ALTERNATE_CARE_OF_ADDRESS: _read_alternate,
    OptionType.NONCE_INDICES: _read_nonce_indices,
    OptionType.BINDING_AUTHORIZATION_DATA: _read_authorization,
    OptionType.MOBILE_NETWORK_PREFIX: _read_prefix,
    OptionType.LINK_LAYER_ADDRESS: _read_link_layer,
    OptionType.MOBILE_NODE_IDENTIFIER: _read_node_identifier,
    OptionType.AUTHENTICATION: _read_authentication,
    OptionType.MESSAGE_IDENTIFIER: _read_message_identifier,
    OptionType.BINDING_IDENTIFIER: _read_identifier,
    OptionType.FLOW_IDENTIFICATION: _read_flow,
    OptionType.FLOW_SUMMARY: read_flow_summary,
}


def decode_options(data: bytes, start: int, end: int) -> tuple[Option, ...]:
    """Return the options in `data` from octet `start` up to `end`, in order, without padding.

    Raises:
        WireError: an option runs over `end`, or a known one has a length that it cannot have.
    """
    options: list[Option] = []
    readers = _READERS
    offset = start
    while offset < end:
        kind = data[offset]
        if kind == _PAD1:
            offset += 1
            continue
        body = offset + 2
        if body > end:
            raise WireError(Malformation.OPTION, offset)
        length = data[body - 1]
        offset = body + length
        if offset > end:
            raise WireError(Malformation.OPTION, body - 1)
        if kind == _PADN:
            continue
        reader = readers.get(kind)
        options.append(reader(data, body, length) if reader else RawOption(kind, data[body:offset]))
    return tuple(options)


def encode_options(options: Iterable[Option], start: int) -> bytes:
    """Return the options with their padding, up to a multiple of 8 octets.

    Args:
        options: What to write, in order.
        start: Octets of the Mobility Header before the first option.

    Raises:
        ValueError: a value does not fit its field, or the authorization data would not be last.
    """
    parts: list[bytes] = []
    offset = start
    last = 0
    for option in options:
        if last == _AUTHORIZATION_DATA:
            raise ValueError("Binding Authorization Data has to be the last option (RFC 6275 section 6.2.7)")
        modulus, remainder = option.alignment
        padding = (remainder - offset) % modulus
        body = option.data()
        last = option.type
        parts += (_PADDING[padding], _TYPE_LENGTH.pack(last, len(body)), body)
        offset += padding + 2 + len(body)
    parts.append(_PADDING[-offset % 8])
    return b"".join(parts)


def sized(value: bytes, size: int) -> bytes:
    """Return `value`, the content of a field of `size` octets, or raise ValueError: `struct` would pad or cut it."""
    if len(value) != size:
        raise ValueError(f"a field of {size} octets was given {len(value)}")
    return value
