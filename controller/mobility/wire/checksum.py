"""The Internet checksum (RFC 1071) over the IPv6 pseudo-header (RFC 8200 section 8.1).

The one's complement sum of 16-bit words equals the whole buffer, read as one number, modulo 65535, because 65536 is congruent
to 1. That lets the interpreter's big integers do the adding instead of a loop over octets.
"""

from controller.mobility.address import Address


def upper_layer_checksum(source: Address, destination: Address, protocol: int, data: bytes) -> int:
    """Return the checksum of an upper-layer message.

    Args:
        source: Source of the pseudo-header; the home address when a Home Address option is present.
        destination: Final destination; the address in a type 2 routing header when there is one (RFC 6275 section 6.1.1).
        protocol: Upper-layer protocol number, 0 to 255.
        data: The message. With its checksum field zero, the result is the value of that field; with the field
            filled in, the result is 0 when the message is intact.
    """
    # The addresses are whole 16-bit words, so an even message needs no shift; an odd one is padded with a zero octet.
    number = int.from_bytes(source + destination + data)
    if len(data) & 1:
        number <<= 8
    return -(number + len(data) + protocol) % 0xFFFF
