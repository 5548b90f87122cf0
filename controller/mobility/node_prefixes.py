"""How a mobile node follows the prefixes of its home network: mobile prefix discovery (RFC 6275 section 11.4.2 and 11.4.3)."""

from typing import Final

from controller.mobility.address import Address
from controller.mobility.wire.checksum import upper_layer_checksum
from controller.mobility.wire.codes import IcmpType, Protocol
from controller.mobility.wire.icmp import PrefixInformation, discovery_body, is_sound, read_discovery, read_prefixes
from controller.mobility.wire.packet import Packet, wrap_upper

FIRST_TIMEOUT: Final = 3.0
"""Seconds: INITIAL_SOLICIT_TIMER (RFC 6275 section 12); doubled each time."""
MAX_TIMEOUT: Final = 32.0


class PrefixFollower:
    """Solicits the home prefixes, and acknowledges what comes unasked."""

    def __init__(self, home_address: Address, home_agent: Address) -> None:
        self._home_address: Final = home_address
        self._home_agent: Final = home_agent
        self._identifier = 0
        self._deadline: float | None = None
        self._timeout = FIRST_TIMEOUT
        self.prefixes: tuple[PrefixInformation, ...] = ()
        """What the home agent said last."""

    @property
    def deadline(self) -> float | None:
        """When to solicit again; None: nothing waits for an answer."""
        return self._deadline

    def solicit(self, care_of: Address, now: float) -> bytes:
        """Return a solicitation from a registered care-of address; the timer runs from now on."""
        if self._deadline is None:
            self._timeout = FIRST_TIMEOUT
        else:
            self._timeout = min(2 * self._timeout, MAX_TIMEOUT)
        self._deadline = now + self._timeout
        return self._packet(care_of)

    def stop(self) -> None:
        """Wait for nothing any more: the node has no binding."""
        self._deadline = None

    def _packet(self, care_of: Address) -> bytes:
        self._identifier = (self._identifier + 1) & 0xFFFF
        body = discovery_body(self._identifier)
        head = bytes((IcmpType.MOBILE_PREFIX_SOLICITATION, 0))
        checksum = upper_layer_checksum(self._home_address, self._home_agent, Protocol.ICMPV6, head + bytes(2) + body)
        message = head + checksum.to_bytes(2) + body
        return wrap_upper(care_of, self._home_agent, Protocol.ICMPV6, message, home_address=self._home_address)

    def take(self, packet: Packet, message: bytes) -> bytes | None:
        """Take an advertisement from the home agent; return the solicitation that acknowledges one that came unasked.

        Nothing happens for what is no sound advertisement (RFC 6275 section 11.4.3): `prefixes` stays as it is.
        """
        destination = packet.routing_address or packet.destination
        sound = is_sound(packet.source, destination, message, 8)
        if not sound or message[0] != IcmpType.MOBILE_PREFIX_ADVERTISEMENT or message[1]:
            return None
        if packet.routing_address is None and packet.destination != self._home_address:
            return None
        self.prefixes = read_prefixes(message)
        solicited = self._deadline is not None and read_discovery(message)[0] == self._identifier
        self._deadline = None
        return None if solicited else self._packet(packet.destination)
