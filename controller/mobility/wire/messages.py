"""Mobility Header messages (RFC 6275 section 6.1): octets to values and back."""

import struct
from collections.abc import Callable
from struct import Struct
from typing import ClassVar, Final

from controller.mobility.address import Address
from controller.mobility.wire.checksum import upper_layer_checksum
from controller.mobility.wire.codes import MessageType, Protocol
from controller.mobility.wire.control_messages import (
    Heartbeat,
    HomeAgentSwitch,
    RevocationAcknowledgement,
    RevocationIndication,
    read_heartbeat,
    read_revocation,
    read_switch,
)
from controller.mobility.wire.errors import Malformation, WireError
from controller.mobility.wire.options import Option, decode_options, encode_options, sized
from controller.values import value

_UPDATE: Final = Struct("!HHH")
_ACKNOWLEDGEMENT: Final = Struct("!BBHH")
_ERROR: Final = Struct("!Bx16s")
_TEST_INIT: Final = Struct("!2x8s")
_TEST: Final = Struct("!H8s8s")
_MOBILITY: Final = int(Protocol.MOBILITY)
_NO_NEXT_HEADER: Final = int(Protocol.NO_NEXT_HEADER)


@value
class BindingRefreshRequest:
    """Asks a mobile node to refresh (RFC 6275 section 6.1.2)."""

    type: ClassVar[int] = MessageType.BINDING_REFRESH_REQUEST
    options: tuple[Option, ...] = ()

    def fixed(self) -> bytes:
        """Return what stands between the checksum and the options."""
        return bytes(2)


@value
class HomeTestInit:
    """Opens the home half of return routability (RFC 6275 section 6.1.3)."""

    type: ClassVar[int] = MessageType.HOME_TEST_INIT
    cookie: bytes
    """8 octets."""
    options: tuple[Option, ...] = ()

    def fixed(self) -> bytes:
        """Return what stands between the checksum and the options."""
        return _TEST_INIT.pack(sized(self.cookie, 8))


@value
class CareOfTestInit:
    """Opens the care-of half of return routability (RFC 6275 section 6.1.4)."""

    type: ClassVar[int] = MessageType.CARE_OF_TEST_INIT
    cookie: bytes
    """8 octets."""
    options: tuple[Option, ...] = ()

    def fixed(self) -> bytes:
        """Return what stands between the checksum and the options."""
        return _TEST_INIT.pack(sized(self.cookie, 8))


@value
class HomeTest:
    """Answers a Home Test Init (RFC 6275 section 6.1.5)."""

    type: ClassVar[int] = MessageType.HOME_TEST
    nonce_index: int
    cookie: bytes
    token: bytes
    """Home keygen token, 8 octets."""
    options: tuple[Option, ...] = ()

    def fixed(self) -> bytes:
        """Return what stands between the checksum and the options."""
        return _TEST.pack(self.nonce_index, sized(self.cookie, 8), sized(self.token, 8))


@value
class CareOfTest:
    """Answers a Care-of Test Init (RFC 6275 section 6.1.6)."""

    type: ClassVar[int] = MessageType.CARE_OF_TEST
    nonce_index: int
    cookie: bytes
    token: bytes
    """Care-of keygen token, 8 octets."""
    options: tuple[Option, ...] = ()

    def fixed(self) -> bytes:
        """Return what stands between the checksum and the options."""
        return _TEST.pack(self.nonce_index, sized(self.cookie, 8), sized(self.token, 8))


@value
class BindingUpdate:
    """Registers, refreshes or removes bindings (RFC 6275 section 6.1.7)."""

    type: ClassVar[int] = MessageType.BINDING_UPDATE
    sequence: int
    """0 to 65535."""
    flags: int
    """The 16-bit flag word; masks in `codes.UpdateFlag`. Reserved bits are kept."""
    lifetime_units: int
    """Units of 4 seconds, 0 to 65535; 0 removes."""
    options: tuple[Option, ...] = ()

    def fixed(self) -> bytes:
        """Return what stands between the checksum and the options."""
        return _UPDATE.pack(self.sequence, self.flags, self.lifetime_units)


@value
class BindingAcknowledgement:
    """Answers a Binding Update (RFC 6275 section 6.1.8)."""

    type: ClassVar[int] = MessageType.BINDING_ACKNOWLEDGEMENT
    status: int
    """Below 128: accepted; names in `codes.Status`."""
    sequence: int
    lifetime_units: int
    """Granted lifetime in units of 4 seconds; undefined when refused."""
    flags: int = 0
    """The flag octet; masks in `codes.AcknowledgementFlag`."""
    options: tuple[Option, ...] = ()

    def fixed(self) -> bytes:
        """Return what stands between the checksum and the options."""
        return _ACKNOWLEDGEMENT.pack(self.status, self.flags, self.sequence, self.lifetime_units)


@value
class BindingError:
    """Reports a missing binding or an unknown message (RFC 6275 section 6.1.9)."""

    type: ClassVar[int] = MessageType.BINDING_ERROR
    status: int
    home_address: Address
    """The home address of the offending packet, or the unspecified address."""
    options: tuple[Option, ...] = ()

    def fixed(self) -> bytes:
        """Return what stands between the checksum and the options."""
        return _ERROR.pack(self.status, sized(self.home_address, 16))


@value
class UnknownMessage:
    """A message of a type that is not read here, kept as it came."""

    type: int
    data: bytes
    """What follows the checksum: 2 octets more than a multiple of 8, options included."""
    options: ClassVar[tuple[Option, ...]] = ()

    def fixed(self) -> bytes:
        """Return what stands after the checksum."""
        if len(self.data) % 8 != 2:
            raise ValueError(
                f"{len(self.data)} octets after the checksum do not fill a Mobility Header to a multiple of 8"
            )
        return self.data


Message = (
    BindingUpdate
    | BindingAcknowledgement
    | BindingError
    | BindingRefreshRequest
    | HomeTestInit
    | CareOfTestInit
    | HomeTest
    | CareOfTest
    | HomeAgentSwitch
    | Heartbeat
    | RevocationIndication
    | RevocationAcknowledgement
    | UnknownMessage
)

_HEADER: Final = Struct("!BBBBH")
_FIXED: Final = 6
"""Octets of every Mobility Header before the message data (RFC 6275 section 6.1.1)."""
MAXIMUM_LENGTH: Final = 2048
"""Octets of the longest Mobility Header: its length field has 8 bits and counts units of 8."""


def _read_update(data: bytes, start: int, end: int) -> BindingUpdate:
    sequence, flags, lifetime = _UPDATE.unpack_from(data, start + _FIXED)
    return BindingUpdate(sequence, flags, lifetime, decode_options(data, start + 12, end))


def _read_acknowledgement(data: bytes, start: int, end: int) -> BindingAcknowledgement:
    status, flags, sequence, lifetime = _ACKNOWLEDGEMENT.unpack_from(data, start + _FIXED)
    return BindingAcknowledgement(status, sequence, lifetime, flags, decode_options(data, start + 12, end))


def _read_error(data: bytes, start: int, end: int) -> BindingError:
    status, home_address = _ERROR.unpack_from(data, start + _FIXED)
    return BindingError(status, home_address, decode_options(data, start + 24, end))


def _read_refresh_request(data: bytes, start: int, end: int) -> BindingRefreshRequest:
    return BindingRefreshRequest(decode_options(data, start + 8, end))


def _read_home_test_init(data: bytes, start: int, end: int) -> HomeTestInit:
    (cookie,) = _TEST_INIT.unpack_from(data, start + _FIXED)
    return HomeTestInit(cookie, decode_options(data, start + 16, end))


def _read_care_of_test_init(data: bytes, start: int, end: int) -> CareOfTestInit:
    (cookie,) = _TEST_INIT.unpack_from(data, start + _FIXED)
    return CareOfTestInit(cookie, decode_options(data, start + 16, end))


def _read_home_test(data: bytes, start: int, end: int) -> HomeTest:
    index, cookie, token = _TEST.unpack_from(data, start + _FIXED)
    return HomeTest(index, cookie, token, decode_options(data, start + 24, end))


def _read_care_of_test(data: bytes, start: int, end: int) -> CareOfTest:
    index, cookie, token = _TEST.unpack_from(data, start + _FIXED)
    return CareOfTest(index, cookie, token, decode_options(data, start + 24, end))


_READERS: Final[dict[int, tuple[int, Callable[[bytes, int, int], Message]]]] = {
    MessageType.BINDING_REFRESH_REQUEST: (0, _read_refresh_request),
    MessageType.HOME_TEST_INIT: (1, _read_home_test_init),
    MessageType.CARE_OF_TEST_INIT: (1, _read_care_of_test_init),
    MessageType.HOME_TEST: (2, _read_home_test),
    MessageType.CARE_OF_TEST: (2, _read_care_of_test),
    MessageType.BINDING_UPDATE: (1, _read_update),
    MessageType.BINDING_ACKNOWLEDGEMENT: (1, _read_acknowledgement),
    MessageType.BINDING_ERROR: (2, _read_error),
    MessageType.HOME_AGENT_SWITCH: (0, read_switch),
    MessageType.HEARTBEAT: (1, read_heartbeat),
    MessageType.BINDING_REVOCATION: (1, read_revocation),
}
"""For each type the smallest Header Len that holds its fixed part, and its reader."""


def decode_message(data: bytes, start: int, end: int, source: Address, destination: Address) -> Message:
    """Return the Mobility Header message at octet `start` of `data`, after the checks of RFC 6275 section 9.2 in their order.

    Args:
        data: A packet, or a Mobility Header alone.
        start: Where the Mobility Header begins.
        end: Where the packet ends; octets after the Mobility Header are ignored.
        source: The home address when the packet has a Home Address option, else the IPv6 source.
        destination: The address in a type 2 routing header when there is one, else the IPv6 destination.

    Raises:
        WireError: the message is malformed. For `PAYLOAD_PROTOCOL` and `HEADER_LENGTH` the offset is the pointer of the
            ICMPv6 Parameter Problem that RFC 6275 asks for.
    """
    if start + 8 > end:
        raise WireError(Malformation.TRUNCATED, end)
    payload_protocol = data[start]
    units = data[start + 1]
    kind = data[start + 2]
    stop = start + 8 + 8 * units
    if stop > end:
        raise WireError(Malformation.TRUNCATED, end)
    if upper_layer_checksum(source, destination, _MOBILITY, data[start:stop]):
        raise WireError(Malformation.CHECKSUM, start + 4)
    entry = _READERS.get(kind)
    if entry is None:
        return UnknownMessage(kind, data[start + _FIXED : stop])
    if payload_protocol != _NO_NEXT_HEADER:
        raise WireError(Malformation.PAYLOAD_PROTOCOL, start)
    minimum, reader = entry
    if units < minimum:
        raise WireError(Malformation.HEADER_LENGTH, start + 1)
    return reader(data, start, stop)


def encode_message(message: Message, source: Address, destination: Address) -> bytes:
    """Return the Mobility Header of a message, with padding and checksum.

    Args:
        message: What to write.
        source: The home address when the packet has a Home Address option, else the IPv6 source.
        destination: The address in a type 2 routing header when there is one, else the IPv6 destination.

    Raises:
        ValueError: a value does not fit its field, or the message is longer than 2048 octets.
    """
    try:
        fixed = message.fixed()
        body = fixed + encode_options(message.options, _FIXED + len(fixed))
        length = _FIXED + len(body)
        if length % 8 or length > MAXIMUM_LENGTH:
            raise ValueError(f"a Mobility Header cannot have {length} octets: it needs a multiple of 8, at most 2048")
        header = _HEADER.pack(_NO_NEXT_HEADER, length // 8 - 1, message.type, 0, 0)
    except struct.error as error:
        raise ValueError(f"{message!r} has a value that does not fit its field: {error}") from error
    checksum = upper_layer_checksum(source, destination, _MOBILITY, header + body)
    return header[:4] + checksum.to_bytes(2) + body
