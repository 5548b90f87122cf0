"""How the signalling of one mobile node is protected: not at all, by RFC 4285, or by ESP.

The home address is authorised by the key: a policy belongs to one provisioned home address, and what a packet says of itself
only selects the key it has to be proved with.
"""

from collections.abc import Callable
from dataclasses import field
from enum import StrEnum
from typing import Final

from controller.mobility.security.keys import Key
from controller.values import value

FIRST_SPI: Final = 256
"""Lower SPI values are reserved (RFC 4285 section 5, RFC 4303 section 2.1)."""
LAST_SPI: Final = 0xFFFFFFFF
AUTH_KEY_OCTETS: Final = 16
"""Least octets of an RFC 4285 key."""
MINIMUM_WINDOW: Final = 3.0
"""RFC 4285 section 6: the window should be more than 3 seconds."""
MAXIMUM_NODE_IDENTIFIER: Final = 254
DEFAULT_TIMESTAMP_WINDOW: Final = 7.0
"""Seconds (RFC 4285 section 6)."""
DEFAULT_REPLAY_WINDOW: Final = 1024
"""Sequence numbers: minutes of signalling."""


class EspAlgorithm(StrEnum):
    """A transform of ESP, with what its key material consists of."""

    AES_128_CBC_SHA_256 = "aes-128-cbc-hmac-sha-256"
    """RFC 3602 and RFC 4868: 16 octets for AES, then 32 for the MAC."""
    AES_256_CBC_SHA_256 = "aes-256-cbc-hmac-sha-256"
    """32 octets for AES, then 32 for the MAC."""
    AES_128_GCM_16 = "aes-128-gcm-16"
    """RFC 4106: 16 octets for AES, then 4 of salt."""
    AES_256_GCM_16 = "aes-256-gcm-16"
    """32 octets for AES, then 4 of salt."""

    @property
    def cipher_octets(self) -> int:
        """Octets of the AES key."""
        return 32 if self.value.startswith("aes-256-") else 16

    @property
    def is_gcm(self) -> bool:
        """Whether one primitive does both encryption and integrity."""
        return "gcm" in self.value

    @property
    def key_octets(self) -> int:
        """Octets of the whole key material."""
        return self.cipher_octets + (4 if self.is_gcm else 32)


@value
class NoSecurity:
    """Whatever names the home address is believed. For closed networks and tests."""


@value
class AuthPolicy:
    """RFC 4285: each Binding Update carries a keyed hash, and a timestamp against replay."""

    spi: int
    """Mobility SPI, 256 to 2**32 - 1."""
    key: Key
    """Shared by mobile node and home agent: at least 16 octets."""
    node_identifier: bytes | None = None
    """The node's network access identifier (RFC 4283); a Binding Update with another one is refused. None: any."""
    timestamps: bool = True
    """Require the replay protection option; otherwise the sequence number is all there is."""
    window: float = DEFAULT_TIMESTAMP_WINDOW
    """Seconds by which a timestamp may differ from the home agent's clock, more than 3."""
    aaa_key: Key | None = None
    """With it a Binding Update has to carry an MN-AAA authenticator too (RFC 4285 section 5.2)."""

    def __post_init__(self) -> None:
        _check_spi(self.spi)
        for key in (self.key, self.aaa_key):
            if key is not None and len(key) < AUTH_KEY_OCTETS:
                raise ValueError(f"the key has {len(key)} octets; RFC 4285 needs at least {AUTH_KEY_OCTETS}")
        if not MINIMUM_WINDOW < self.window <= 3600:
            raise ValueError(
                f"window is {self.window} s; it has to be more than 3 and at most 3600 (RFC 4285 section 6)"
            )
        if self.node_identifier is not None and not 1 <= len(self.node_identifier) <= MAXIMUM_NODE_IDENTIFIER:
            raise ValueError(f"the node identifier has {len(self.node_identifier)} octets; it needs 1 to 254")


@value
class EspAssociation:
    """One direction of an ESP transport mode security association with manual keys (RFC 4303, RFC 3776 section 4.1)."""

    spi: int
    """256 to 2**32 - 1; chosen by the receiver, and its alone."""
    key: Key
    """As long as the algorithm says."""
    algorithm: EspAlgorithm = EspAlgorithm.AES_128_CBC_SHA_256

    def __post_init__(self) -> None:
        _check_spi(self.spi)
        if len(self.key) != self.algorithm.key_octets:
            raise ValueError(
                f"the key has {len(self.key)} octets; {self.algorithm} needs {self.algorithm.key_octets}",
            )


@value
class EspPolicy:
    """ESP in transport mode for all signalling of the node with its home agent (RFC 3776, RFC 4877)."""

    from_node: EspAssociation
    to_node: EspAssociation
    replay_window: int = DEFAULT_REPLAY_WINDOW
    """How many sequence numbers behind the newest may still come, a multiple of 64 from 64 to 8192; 0: no protection.

    Several care-of addresses share one association, so packets of a slow link come late. RFC 4303 section 3.4.3 asks for 64.
    """

    def __post_init__(self) -> None:
        if self.replay_window % 64 or not 0 <= self.replay_window <= 8192:
            raise ValueError(f"replay_window is {self.replay_window}; it has to be 0, or a multiple of 64 up to 8192")
        if self.from_node.key == self.to_node.key:
            # With a counter mode, two directions under one key would use the same nonce twice (RFC 4106 section 3.1).
            raise ValueError("both directions have the same key; each needs a key of its own")


def _check_spi(spi: int) -> None:
    if not FIRST_SPI <= spi <= LAST_SPI:
        raise ValueError(f"SPI {spi} is not in {FIRST_SPI} to {LAST_SPI}; lower ones are reserved")


SecurityPolicy = NoSecurity | AuthPolicy | EspPolicy
NO_SECURITY: Final = NoSecurity()


@value
class SecurityContext:
    """What security needs from outside of a pure engine."""

    clock_offset: float
    """Unix time, in seconds, when the engine's clock was 0. Taken once, so a wall clock that jumps later moves nothing."""
    random_bytes: Callable[[int], bytes] = field(repr=False)
    """Returns that many unpredictable octets."""
