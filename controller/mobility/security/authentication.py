"""The authenticators of RFC 4285: what they cover, where they stand, and how they are computed."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, TypeAlias, TypeVar

from controller.mobility.address import Address
from controller.mobility.security.keys import Key
from controller.mobility.wire.checksum import upper_layer_checksum
from controller.mobility.wire.codes import AuthenticationSubtype, MessageType, OptionType, Protocol
from controller.mobility.wire.control_messages import (
    HomeAgentSwitch,
    RevocationAcknowledgement,
    RevocationIndication,
)
from controller.mobility.wire.messages import (
    BindingAcknowledgement,
    BindingRefreshRequest,
    BindingUpdate,
    encode_message,
)
from controller.mobility.wire.options import MessageAuthentication, Option
from controller.values import value

HMAC_SHA1_SPI: Final = 3
"""The well-known SPI of an MN-AAA authenticator by HMAC-SHA1 (RFC 4285 section 5.2)."""
HOME_AGENT_OCTETS: Final = 12
"""First(96, ...) of RFC 4285 section 5.1."""
AAA_OCTETS: Final = 20

_HOME_AGENT: Final = int(AuthenticationSubtype.HOME_AGENT)
_AAA_SERVER: Final = int(AuthenticationSubtype.AAA_SERVER)
_ORDERS: Final = frozenset({(), (_HOME_AGENT,), (_AAA_SERVER,), (_HOME_AGENT, _AAA_SERVER)})
"""The authenticators that a message may have, by subtype."""
_PAD1: Final = int(OptionType.PAD1)
_PADN: Final = int(OptionType.PADN)
_AUTHENTICATION: Final = int(OptionType.AUTHENTICATION)
_UP_TO_SPI: Final = 7
"""Octets of the option up to and including its SPI: type, length, subtype, four of SPI."""

Signable: TypeAlias = (
    BindingUpdate
    | BindingAcknowledgement
    | BindingRefreshRequest
    | RevocationIndication
    | RevocationAcknowledgement
    | HomeAgentSwitch
)
"""The messages between a mobile node and its home agent that can carry an authenticator."""
SignableT = TypeVar("SignableT", bound=Signable)

_SECURITY_OPTIONS: Final = frozenset({OptionType.MESSAGE_IDENTIFIER, OptionType.AUTHENTICATION})
_OPTIONS_AT: Final[Mapping[int, int]] = {
    MessageType.BINDING_REFRESH_REQUEST: 8,
    MessageType.BINDING_UPDATE: 12,
    MessageType.BINDING_ACKNOWLEDGEMENT: 12,
    MessageType.BINDING_REVOCATION: 12,
}
"""Where the mobility options begin."""


@value
class Authenticator:
    """An authentication option where it stands in a Mobility Header."""

    option: MessageAuthentication
    covered: int
    """Octets of the Mobility Header up to and including the SPI."""


def find_authenticators(header: bytes) -> tuple[Authenticator, ...] | None:
    """Return the authenticators of a Mobility Header, or None when they do not stand as RFC 4285 section 5 has it.

    They are the last options, and that of the home agent comes before that of the AAA server. So the node's identifier and
    the timestamp come before them (RFC 4283 section 3.2), and nothing that means anything is left uncovered.

    Args:
        header: A whole Mobility Header that has been decoded, so its options fit.
    """
    offset = _options_at(header)
    found: list[Authenticator] = []
    while offset < len(header):
        kind = header[offset]
        if kind == _PAD1:
            offset += 1
            continue
        length = header[offset + 1]
        end = offset + 2 + length
        if kind == _AUTHENTICATION:
            if length < 5:
                return None
            spi = int.from_bytes(header[offset + 3 : offset + 7])
            option = MessageAuthentication(header[offset + 2], spi, header[offset + _UP_TO_SPI : end])
            found.append(Authenticator(option, offset + _UP_TO_SPI))
        elif kind != _PADN and found:
            return None
        offset = end
    subtypes = tuple([one.option.subtype for one in found])
    return tuple(found) if subtypes in _ORDERS else None


def _options_at(header: bytes) -> int:
    if header[2] == MessageType.HOME_AGENT_SWITCH:
        return 8 + 16 * header[6]  # RFC 5142 section 4: after so many addresses
    return _OPTIONS_AT.get(header[2], len(header))


def with_options(message: SignableT, *more: Option) -> SignableT:
    """Return a message with further options at the end."""
    return replace(message, options=(*message.options, *more))


def without_proof(update: BindingUpdate) -> BindingUpdate:
    """Return an update without timestamp and authenticators: what two copies of one request have in common."""
    kept = tuple([option for option in update.options if option.type not in _SECURITY_OPTIONS])
    if len(kept) == len(update.options):
        return update
    return BindingUpdate(update.sequence, update.flags, update.lifetime_units, kept)


def _covered(header: bytes, octets: int, care_of: Address, home_address: Address) -> bytes:
    """Return the mobility data of RFC 4285 section 5.1: the checksum counts as 0."""
    return care_of + home_address + header[:4] + b"\0\0" + header[6:octets]


def home_agent_authenticator(key: Key, header: bytes, octets: int, care_of: Address, home_address: Address) -> bytes:
    """Return the 12 octets of an MN-HA authenticator (RFC 4285 section 5.1).

    Args:
        key: What mobile node and home agent share.
        header: The Mobility Header; its Header Len counts all options.
        octets: How many octets of it are covered.
        care_of: The mobile node's end of the packet on the wire: source of a Binding Update, destination of the answer. The
            RFC does not say which of several care-of addresses it means, and this one is what both ends see.
        home_address: The home address.
    """
    data = _covered(header, octets, care_of, home_address)
    return hmac.digest(key.reveal(), data, "sha1")[:HOME_AGENT_OCTETS]


def aaa_authenticator(key: Key, header: bytes, octets: int, care_of: Address, home_address: Address) -> bytes:
    """Return the 20 octets of an MN-AAA authenticator with `HMAC_SHA1_SPI` (RFC 4285 section 5.2)."""
    data = _covered(header, octets, care_of, home_address)
    return hmac.digest(key.reveal(), hashlib.sha1(data).digest(), "sha1")  # noqa: S324 - what RFC 4285 section 5.2 says


def sign(
    message: Signable,
    key: Key,
    spi: int,
    care_of: Address,
    home_address: Address,
    peer: Address,
    *,
    from_home_agent: bool,
    aaa_key: Key | None = None,
) -> bytes:
    """Return the Mobility Header of a message with authenticators as its last options, and with its checksum.

    Args:
        message: What to write.
        key: Shared with the other end.
        spi: The mobility SPI of that key.
        care_of: The mobile node's address on the wire.
        home_address: The mobile node's home address.
        peer: The home agent.
        from_home_agent: Which way the message goes.
        aaa_key: Adds an MN-AAA authenticator.
    """
    message = with_options(message, MessageAuthentication(_HOME_AGENT, spi, bytes(HOME_AGENT_OCTETS)))
    if aaa_key is not None:
        message = with_options(message, MessageAuthentication(_AAA_SERVER, HMAC_SHA1_SPI, bytes(AAA_OCTETS)))
    ends = (peer, home_address) if from_home_agent else (home_address, peer)
    header = encode_message(message, *ends)
    for one in find_authenticators(header) or ():
        if one.option.subtype == _HOME_AGENT:
            value = home_agent_authenticator(key, header, one.covered, care_of, home_address)
        else:
            assert aaa_key is not None
            value = aaa_authenticator(aaa_key, header, one.covered, care_of, home_address)
        header = header[: one.covered] + value + header[one.covered + len(value) :]
    header = header[:4] + bytes(2) + header[6:]
    return header[:4] + upper_layer_checksum(*ends, Protocol.MOBILITY, header).to_bytes(2) + header[6:]
