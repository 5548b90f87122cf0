"""The arithmetic of return routability (RFC 6275 section 5.2), for both of its ends.

A node proves that it is reached at its home address and at its care-of address: each proof is a token that only the correspondent can
make and that was sent there. Both together give the key under which a Binding Update is believed.
"""

import hashlib
import hmac
from dataclasses import replace
from typing import Final, TypeVar

from controller.mobility.address import Address
from controller.mobility.wire.messages import BindingAcknowledgement, BindingUpdate, encode_message
from controller.mobility.wire.options import AuthorizationData

TOKEN_OCTETS: Final = 8
AUTHENTICATOR_OCTETS: Final = 12
MAX_TOKEN_LIFETIME: Final = 210.0
"""Seconds for which a node uses a token (RFC 6275 section 12)."""
MAX_NONCE_LIFETIME: Final = 240.0
"""Seconds for which a correspondent believes it."""
MAX_BINDING_LIFETIME: Final = 420
"""Seconds: MAX_RR_BINDING_LIFETIME (RFC 6275 section 12)."""

SignedT = TypeVar("SignedT", BindingUpdate, BindingAcknowledgement)


def home_token(secret: bytes, home_address: Address, nonce: bytes) -> bytes:
    """Return the home keygen token (RFC 6275 section 5.2.5): 8 octets."""
    return hmac.digest(secret, home_address + nonce + b"\x00", "sha1")[:TOKEN_OCTETS]


def care_of_token(secret: bytes, care_of: Address, nonce: bytes) -> bytes:
    """Return the care-of keygen token (RFC 6275 section 5.2.5): 8 octets."""
    return hmac.digest(secret, care_of + nonce + b"\x01", "sha1")[:TOKEN_OCTETS]


def management_key(home: bytes, care_of: bytes = b"") -> bytes:
    """Return the binding management key (RFC 6275 section 5.2.6); without care-of token that of a removal."""
    # SHA-1 is what the RFC says; it serves to mix two tokens here, not to resist collisions.
    return hashlib.sha1(home + care_of, usedforsecurity=False).digest()


def authenticator(key: bytes, care_of: Address, correspondent: Address, header: bytes) -> bytes:
    """Return the authenticator of a Mobility Header (RFC 6275 section 6.2.7): 12 octets.

    Args:
        key: Binding management key.
        care_of: The care-of address that is registered; of a removal the home address.
        correspondent: The correspondent's address.
        header: The whole Mobility Header, whose last 12 octets are the place of the authenticator. Its checksum counts as 0.
    """
    covered = header[:4] + bytes(2) + header[6:-AUTHENTICATOR_OCTETS]
    return hmac.digest(key, care_of + correspondent + covered, "sha1")[:AUTHENTICATOR_OCTETS]


def sign(message: SignedT, key: bytes, care_of: Address, correspondent: Address) -> SignedT:
    """Return a message with Binding Authorization Data as its last option; for the arguments see `authenticator`."""
    blank = replace(message, options=(*message.options, AuthorizationData(bytes(AUTHENTICATOR_OCTETS))))
    # The checksum does not count, so neither do the addresses.
    header = encode_message(blank, care_of, correspondent)
    proof = AuthorizationData(authenticator(key, care_of, correspondent, header))
    return replace(message, options=(*message.options, proof))


def is_genuine(message: SignedT, header: bytes, key: bytes, care_of: Address, correspondent: Address) -> bool:
    """Tell whether a message that came ends with the right authenticator; for the arguments see `authenticator`."""
    last = message.options[-1] if message.options else None
    if not isinstance(last, AuthorizationData) or header[-14:-12] != b"\x05\x0c":
        return False  # RFC 6275 section 6.2.7: the last option, and no padding after it
    expected = authenticator(key, care_of, correspondent, header)
    return hmac.compare_digest(last.authenticator, expected) and header.endswith(last.authenticator)
