"""The one exception that reading a packet can raise."""

from enum import StrEnum


class Malformation(StrEnum):
    """What is wrong with a packet."""

    TRUNCATED = "truncated"
    """It ends before a length or a fixed part says."""
    NOT_IPV6 = "not_ipv6"
    IPV4_HEADER = "ipv4_header"
    """An IPv4 header whose lengths cannot be."""
    EXTENSION_HEADER = "extension_header"
    """An extension header that cannot be, or one option in it that must not be skipped."""
    FRAGMENT = "fragment"
    """Signalling in fragments is not reassembled."""
    CHECKSUM = "checksum"
    PAYLOAD_PROTOCOL = "payload_protocol"
    """Something follows the Mobility Header (RFC 6275 section 9.2)."""
    HEADER_LENGTH = "header_length"
    """The Mobility Header is shorter than its type needs (RFC 6275 section 9.2)."""
    OPTION = "option"
    """A mobility option overruns the message or has a length that its type does not allow."""
    TUNNEL = "tunnel"
    """Not IPv6 in IPv6, or an ECN combination that must be dropped (RFC 6040)."""


class WireError(ValueError):
    """A packet that cannot be read.

    Attributes:
        reason: what is wrong.
        offset: the octet, counted from the start of what was given to the reader, at which it shows.
    """

    def __init__(self, reason: Malformation, offset: int) -> None:
        super().__init__(f"{reason} at octet {offset}")
        self.reason = reason
        self.offset = offset
