"""ESP where it stands in an IPv6 packet: after a Home Address option or a type 2 routing header (RFC 6275 section 11.3.2)."""

from typing import Final

from controller.mobility.security.esp import EspError, EspReceiver, EspSender
from controller.mobility.wire.codes import Protocol
from controller.mobility.wire.packet import HEADER_LENGTH

_NEXT_HEADER: Final = 6
"""Offset of the next header in the IPv6 header; in an extension header it is the first octet."""
_PROTECTED: Final = frozenset({Protocol.MOBILITY, Protocol.ICMPV6})
"""What the associations of RFC 3776 section 4.1 carry: Mobility Headers and prefix discovery."""


def seal_packet(sender: EspSender, packet: bytes, unix: float) -> bytes:
    """Return one of our own packets with its upper-layer message in ESP.

    Args:
        sender: The end of the association.
        packet: An IPv6 packet with no other extension headers than routing and destination options.
        unix: Seconds since 1970, now.

    Raises:
        SequenceExhaustedError: the association is used up.
    """
    offset, link = HEADER_LENGTH, _NEXT_HEADER
    while packet[link] in {Protocol.ROUTING, Protocol.DESTINATION_OPTIONS}:
        link, offset = offset, offset + 8 + 8 * packet[offset + 1]
    sealed = sender.seal(packet[offset:], packet[link], unix)
    return _with_payload(packet, offset, link, Protocol.ESP, sealed)


def open_packet(receiver: EspReceiver, packet: bytes, offset: int, end: int) -> bytes:
    """Return a packet with what its ESP carried in the place of ESP.

    Args:
        receiver: The end of the association that its SPI names.
        packet: An IPv6 packet that has been decoded down to ESP.
        offset: Where ESP begins.
        end: Where the packet ends.

    Raises:
        EspError: it is not genuine, or carries what no association is for.
    """
    message, protocol = receiver.open(packet[offset:end])
    if protocol not in _PROTECTED:
        raise EspError("protocol")  # in particular no further extension header: its Home Address would be unproved
    link, following = _NEXT_HEADER, HEADER_LENGTH
    while following < offset:
        link, following = following, following + 8 + 8 * packet[following + 1]
    return _with_payload(packet, offset, link, protocol, message)


def _with_payload(packet: bytes, offset: int, link: int, protocol: int, payload: bytes) -> bytes:
    """Return a packet with another upper-layer message, and the header before it saying so."""
    length = (offset + len(payload) - HEADER_LENGTH).to_bytes(2)
    headers = packet[:4] + length + packet[6:link] + bytes((protocol,)) + packet[link + 1 : offset]
    return headers + payload
