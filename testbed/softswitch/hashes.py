"""The hash algorithms of v1model, each from bytes to an integer, as BMv2 computes them."""

import binascii
import zlib
from collections.abc import Callable

Hash = Callable[[bytes], int]


def _reflected_table(polynomial: int) -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ polynomial if value & 1 else value >> 1
        table.append(value)
    return tuple(table)


_CRC16 = _reflected_table(0xA001)


def crc16(data: bytes) -> int:
    """CRC-16/ARC."""
    value = 0
    for byte in data:
        value = (value >> 8) ^ _CRC16[(value ^ byte) & 0xFF]
    return value


def crc_ccitt(data: bytes) -> int:
    """CRC-16/CCITT, initial value 0xFFFF."""
    return binascii.crc_hqx(data, 0xFFFF)


def csum16(data: bytes) -> int:
    """The Internet checksum (RFC 1071): complement of the one's complement sum of 16-bit words."""
    if len(data) % 2:
        data += b"\0"
    # 2**16 is 1 modulo 0xFFFF, so the one's complement sum of the words is the whole number modulo 0xFFFF
    number = int.from_bytes(data)
    total = number % 0xFFFF
    if total == 0 and number:
        total = 0xFFFF
    return total ^ 0xFFFF


def xor16(data: bytes) -> int:
    """XOR of the 16-bit words, the last one padded with zeros."""
    if len(data) % 2:
        data += b"\0"
    value = 0
    for index in range(0, len(data), 2):
        value ^= data[index] << 8 | data[index + 1]
    return value


def identity(data: bytes) -> int:
    """The first eight bytes as they are."""
    return int.from_bytes(data[:8])


HASHES: dict[str, Hash] = {
    "crc32": zlib.crc32,
    "crc16": crc16,
    "crcCCITT": crc_ccitt,
    "csum16": csum16,
    "cksum16": csum16,
    "xor16": xor16,
    "identity": identity,
}
"""By the name in the compiled program. The custom CRCs start as the standard ones, and P4Runtime cannot change them."""
HASHES["crc32_custom"] = HASHES["crc32"]
HASHES["crc16_custom"] = HASHES["crc16"]
