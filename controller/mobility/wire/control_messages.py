"""Messages beside registration: Home Agent Switch (RFC 5142), Heartbeat (RFC 5847), Binding Revocation (RFC 5846)."""

from enum import IntEnum
from struct import Struct
from typing import ClassVar, Final

from controller.mobility.address import ADDRESS_LENGTH, Address
from controller.mobility.wire.codes import MessageType
from controller.mobility.wire.errors import Malformation, WireError
from controller.mobility.wire.options import Option, decode_options, sized
from controller.values import value

_HEARTBEAT: Final = Struct("!HI")
_REVOCATION: Final = Struct("!BBHH")
_INDICATION: Final = 1
_ACKNOWLEDGEMENT: Final = 2


class RevocationTrigger(IntEnum):
    """Why a binding is revoked (RFC 5846 section 6.1)."""

    UNSPECIFIED = 0
    ADMINISTRATIVE = 1
    SAME_ACCESS_TYPE_HANDOVER = 2
    DIFFERENT_ACCESS_TYPE_HANDOVER = 3
    UNKNOWN_HANDOVER = 4
    USER_INITIATED = 5
    ACCESS_SESSION_TERMINATION = 6
    POSSIBLE_OUT_OF_SYNC = 7
    PER_PEER_POLICY = 128
    REVOKING_NODE_LOCAL_POLICY = 129


class RevocationStatus(IntEnum):
    """Answer to a revocation (RFC 5846 section 6.2); below 128 the bindings are gone."""

    SUCCESS = 0
    PARTIAL_SUCCESS = 1
    BINDING_DOES_NOT_EXIST = 128
    IPV4_HOME_ADDRESS_REQUIRED = 129
    GLOBAL_REVOCATION_NOT_AUTHORIZED = 130
    NODE_IDENTITY_REQUIRED = 131
    NODE_IS_ATTACHED = 132
    TRIGGER_NOT_SUPPORTED = 133
    FUNCTION_NOT_SUPPORTED = 134
    PROXY_REVOCATION_NOT_SUPPORTED = 135


class RevocationFlag(IntEnum):
    """Masks of the flag word of both revocation messages."""

    PROXY = 0x8000
    IPV4_HOME_ADDRESS_ONLY = 0x4000
    GLOBAL = 0x2000


class HeartbeatFlag(IntEnum):
    """Masks of the flag word of a Heartbeat (RFC 5847 section 3.3)."""

    UNSOLICITED = 0x0002
    RESPONSE = 0x0001


@value
class HomeAgentSwitch:
    """Asks a mobile node to leave its home agent for another (RFC 5142 section 4)."""

    type: ClassVar[int] = MessageType.HOME_AGENT_SWITCH
    home_agents: tuple[Address, ...] = ()
    """Where to go, best first, at most 255; empty: find one by discovery."""
    options: tuple[Option, ...] = ()

    def fixed(self) -> bytes:
        """Return what stands between the checksum and the options."""
        return bytes((len(self.home_agents), 0)) + b"".join(sized(one, ADDRESS_LENGTH) for one in self.home_agents)


@value
class Heartbeat:
    """Asks whether the peer lives, or answers that (RFC 5847 section 3.3)."""

    type: ClassVar[int] = MessageType.HEARTBEAT
    sequence: int
    """0 to 2**32 - 1; an answer repeats it."""
    flags: int = 0
    """Masks in `HeartbeatFlag`."""
    options: tuple[Option, ...] = ()

    def fixed(self) -> bytes:
        """Return what stands between the checksum and the options."""
        return _HEARTBEAT.pack(self.flags, self.sequence)


@value
class RevocationIndication:
    """Takes bindings back (BRI, RFC 5846 section 6.1); without BID option all of a home address."""

    type: ClassVar[int] = MessageType.BINDING_REVOCATION
    trigger: int
    """0 to 255; names in `RevocationTrigger`."""
    sequence: int
    flags: int = 0
    """Masks in `RevocationFlag`."""
    options: tuple[Option, ...] = ()

    def fixed(self) -> bytes:
        """Return what stands between the checksum and the options."""
        return _REVOCATION.pack(_INDICATION, self.trigger, self.sequence, self.flags)


@value
class RevocationAcknowledgement:
    """Answers a revocation (BRA, RFC 5846 section 6.2)."""

    type: ClassVar[int] = MessageType.BINDING_REVOCATION
    status: int
    """0 to 255; names in `RevocationStatus`."""
    sequence: int
    flags: int = 0
    options: tuple[Option, ...] = ()

    def fixed(self) -> bytes:
        """Return what stands between the checksum and the options."""
        return _REVOCATION.pack(_ACKNOWLEDGEMENT, self.status, self.sequence, self.flags)


def read_switch(data: bytes, start: int, end: int) -> HomeAgentSwitch:
    """Return the Home Agent Switch message from `start` to `end`."""
    first = start + 8
    stop = first + ADDRESS_LENGTH * data[start + 6]
    if stop > end:
        raise WireError(Malformation.TRUNCATED, start + 6)
    found = tuple(Address(data[at : at + ADDRESS_LENGTH]) for at in range(first, stop, ADDRESS_LENGTH))
    return HomeAgentSwitch(found, decode_options(data, stop, end))


def read_heartbeat(data: bytes, start: int, end: int) -> Heartbeat:
    """Return the Heartbeat message from `start` to `end`."""
    flags, sequence = _HEARTBEAT.unpack_from(data, start + 6)
    return Heartbeat(sequence, flags, decode_options(data, start + 12, end))


def read_revocation(data: bytes, start: int, end: int) -> RevocationIndication | RevocationAcknowledgement:
    """Return the revocation message from `start` to `end`."""
    kind, code, sequence, flags = _REVOCATION.unpack_from(data, start + 6)
    if kind == _INDICATION:
        return RevocationIndication(code, sequence, flags, decode_options(data, start + 12, end))
    if kind == _ACKNOWLEDGEMENT:
        return RevocationAcknowledgement(code, sequence, flags, decode_options(data, start + 12, end))
    raise WireError(Malformation.OPTION, start + 6)
