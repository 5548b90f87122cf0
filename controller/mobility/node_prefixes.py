"""How a mobile node follows the prefixes of its home network: mobile prefix discovery (RFC 6275 section 11.4.2 and 11.4.3).

| event | what happens |
|---|---|
| the node is told to ask, or status 1 says that it has to | a solicitation with a new identifier |
| the advertisement with that identifier | its prefixes count |
| none for 3 s, then twice as long, up to 32 s | another solicitation |
| an advertisement that nobody asked for | its prefixes do not count; a solicitation, which also acknowledges it |
| the node has no binding any more | silence |
"""

from typing import Final

from controller.mobility.address import Address
from controller.mobility.node_identifiers import Identifiers
from controller.mobility.wire.checksum import upper_layer_checksum
from controller.mobility.wire.codes import IcmpType, Protocol
from controller.mobility.wire.icmp import PrefixInformation, discovery_body, is_sound, read_discovery, read_prefixes
from controller.mobility.wire.packet import Packet, wrap_upper

FIRST_TIMEOUT: Final = 3.0
"""Seconds: INITIAL_SOLICIT_TIMER (RFC 6275 section 12); doubled each time."""
MAX_TIMEOUT: Final = 32.0
"""MAX_BINDACK_TIMEOUT (RFC 6275 section 11.8)."""


class PrefixFollower:
    """Solicits the home prefixes, and believes only what it solicited."""

    def __init__(self, home_address: Address, identifiers: Identifiers) -> None:
        self._home_address: Final = home_address
        self._identifiers: Final = identifiers
        self._identifier: int | None = None
        self._deadline: float | None = None
        self._timeout = FIRST_TIMEOUT
        self.prefixes: tuple[PrefixInformation, ...] = ()
        """What the home agent said last."""

    @property
    def deadline(self) -> float | None:
        """When to solicit again; None: nothing waits for an answer."""
        return self._deadline

    def solicit(self, care_of: Address, home_agent: Address, now: float) -> bytes:
        """Return a solicitation from a registered care-of address; the timer runs from now on."""
        if self._deadline is None:
            self._timeout = FIRST_TIMEOUT
        else:
            self._timeout = min(2 * self._timeout, MAX_TIMEOUT)
        self._deadline = now + self._timeout
        self._identifier = self._identifiers.next()
        body = discovery_body(self._identifier)
        head = bytes((IcmpType.MOBILE_PREFIX_SOLICITATION, 0))
        checksum = upper_layer_checksum(self._home_address, home_agent, Protocol.ICMPV6, head + bytes(2) + body)
        message = head + checksum.to_bytes(2) + body
        return wrap_upper(care_of, home_agent, Protocol.ICMPV6, message, home_address=self._home_address)

    def stop(self) -> None:
        """Wait for nothing any more: the node has no binding."""
        self._deadline = None
        self._identifier = None

    def take(self, packet: Packet, message: bytes) -> bool | None:
        """Take an ICMPv6 message from the home agent.

        Returns:
            True: the advertisement that was asked for, and `prefixes` is what it says. False: one that nobody asked for, which RFC
            6275 section 11.4.3 answers with a solicitation. None: no sound advertisement, so nothing of interest.
        """
        if packet.routing_address is None or not is_sound(packet.source, packet.routing_address, message, 8):
            return None  # RFC 6275 section 11.4.3: it has a type 2 routing header
        if message[0] != IcmpType.MOBILE_PREFIX_ADVERTISEMENT or message[1]:
            return None
        if self._identifier is None or read_discovery(message)[0] != self._identifier:
            return False
        self._identifier = None  # one answer counts, a copy of it does not
        self._deadline = None
        self.prefixes = read_prefixes(message)
        return True
