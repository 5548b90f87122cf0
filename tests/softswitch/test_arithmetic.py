"""Every operator of v1model against arithmetic done here, by hand and with plain integers."""

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from softswitch_kit import Bench

BYTE = st.integers(0, 255)
SIGNED = st.integers(-128, 127)
WIDE = st.integers(0, 2**64 - 1)


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench("arithmetic")


def signed8(value: int) -> int:
    return (value + 128) % 256 - 128


def clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def expected(a: int, b: int, c: int, d: int, e: int, f: int, g: int, h: int) -> bytes:
    flags = (a < b) | (c < d) << 1 | (a == b) << 2 | (a >= b and (c >= d or a == 0)) << 3
    results = bytes([
        (a + b) % 256,
        (a - b) % 256,
        (a * b) % 256,
        clamp(a + b, 0, 255),
        clamp(a - b, 0, 255),
        signed8(c + d) % 256,
        clamp(c + d, -128, 127) % 256,
        clamp(c - d, -128, 127) % 256,
        (a << b) % 256,
        a >> b,
        (c >> b) % 256,
        a & b,
        a | b,
        a ^ b,
        255 - a,
        -a % 256,
    ])  # fmt: skip
    results += struct.pack(">HBBB", e << 4 | f, (e >> 6 & 15) << 4 | (f + 1) % 16, flags, max(a, b))
    results += (g * h % 2**64).to_bytes(8)
    results += struct.pack(">IhHBB", a, c, 0xF00F | a << 4, a // 8, a % 8)
    return results


@given(BYTE, BYTE, SIGNED, SIGNED, st.integers(0, 4095), st.integers(0, 15), WIDE, WIDE, st.binary(max_size=5))
@example(255, 255, -128, 127, 4095, 15, 2**64 - 1, 2**64 - 1, b"")
@example(0, 0, 0, 0, 0, 0, 0, 0, b"payload")
def test_operators(
    bench: Bench, a: int, b: int, c: int, d: int, e: int, f: int, g: int, h: int, payload: bytes
) -> None:
    packet = struct.pack(">BBbbHQQ", a, b, c, d, e << 4 | f, g, h)
    assert bench.run(packet + payload) == [(2, expected(a, b, c, d, e, f, g, h) + payload)]


def test_a_packet_that_is_too_short_is_dropped_by_the_program(bench: Bench) -> None:
    assert bench.run(b"\0" * 21) == []
    assert bench.run(b"") == []
