import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softswitch_kit import Bench, config
from testbed.softswitch import SoftSwitch

OK, SHORT, STACK, VERSION = 0, 1, 3, 9


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench("parsing")


def fixed(kind: int, command: int = 0, version: int = 6, checksum: int = 0) -> bytes:
    return struct.pack(">BBH", version << 4 | kind, command, checksum)


def report(packet: bytes, bench: Bench) -> tuple[int, int, int, int, int, bytes]:
    """Error, byte looked at, state, bad checksum, first label, and the rest behind the report of 8 bytes and its length."""
    [(port, out)] = bench.run(packet)
    assert port == 2
    error, looked, state, flags, length = struct.unpack_from(">BBBBI", out)
    assert length >= len(packet)
    return error, looked, state, flags >> 7, flags & 127, out[8:]


def test_no_transition_matches(bench: Bench) -> None:
    packet = fixed(9) + b"payload"
    assert report(packet, bench) == (OK, 0, 0, 0, 0, packet)


def test_masks_and_don_t_cares(bench: Bench) -> None:
    assert report(fixed(2, 0xBF) + b"ab" + b"cd" + b"rest", bench) == (OK, 0, 2, 0, 0, fixed(2, 0xBF) + b"cdrest")
    assert report(fixed(2, 0x7F) + b"\xab\xcdxy", bench) == (OK, 0xAB, 3, 0, 0, fixed(2, 0x7F) + b"\xab\xcdxy")
    assert report(fixed(7, 7) + b"ab", bench)[:3] == (OK, 0, 0)
    assert report(fixed(7, 7), bench)[0] == SHORT  # kind 7 matches 3 &&& 3, so the tail must be there
    assert report(fixed(7, 8), bench)[0] == OK


def test_lookahead_does_not_consume_but_needs_the_bytes(bench: Bench) -> None:
    assert report(fixed(2) + b"\x12\x34", bench) == (OK, 0x12, 3, 0, 0, fixed(2) + b"\x12\x34")
    error, looked, state, *_ = report(fixed(2) + b"", bench)
    assert (error, looked, state) == (SHORT, 0, 3)


def test_verify_stops_with_the_program_s_own_error(bench: Bench) -> None:
    packet = fixed(1, version=4) + b"\x01ab"
    assert report(packet, bench) == (VERSION, 0, 0, 0, 0, packet)


def test_advance_beyond_the_end(bench: Bench) -> None:
    assert report(fixed(2, 0x80) + b"a", bench) == (SHORT, 0, 2, 0, 0, fixed(2, 0x80) + b"a")


def test_a_stack_is_filled_in_a_loop(bench: Bench) -> None:
    for labels in (b"\x03", b"\x02\x05", b"\x02\x04\x07"):
        packet = fixed(1) + labels + b"tt" + b"payload"
        assert report(packet, bench) == (OK, 0, 0, 0, 1, packet)


def test_a_stack_that_is_full(bench: Bench) -> None:
    packet = fixed(1) + b"\x02\x04\x06\x09tt"
    assert report(packet, bench) == (STACK, 0, 0, 0, 1, packet)


def test_push_pop_and_copies_of_elements(bench: Bench) -> None:
    assert report(fixed(1, 1) + b"\x02\x05tt", bench) == (OK, 0, 0, 0, 0x55, fixed(1, 1) + b"\xaa\x02\x05tt")
    [(_, out)] = bench.run(fixed(1, 1) + b"\x02\x04\x07tt")
    assert out[8:] == fixed(1, 1) + b"\xaa\x02\x04tt"  # the last element falls off
    assert report(fixed(1, 4) + b"\x02\x05tt", bench)[5] == fixed(1, 4) + b"\x02\x02tt"
    [(_, out)] = bench.run(fixed(1, 2) + b"\x02\x05tt")
    assert out[8:] == fixed(1, 2) + b"\x05tt"


def test_a_header_that_is_made_invalid_does_not_leave(bench: Bench) -> None:
    [(_, out)] = bench.run(fixed(1, 3) + b"\x03ttpayload")
    assert out[8:] == fixed(1, 3) + b"\x03payload"


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@given(st.integers(0, 255))
def test_checksums_are_verified(bench: Bench, command: int) -> None:
    right = checksum(fixed(9, command)[:2])
    assert report(fixed(9, command, checksum=right), bench)[3] == 0
    if command != 9:
        assert report(fixed(9, command, checksum=right ^ 1), bench)[3] == 1


def test_checksums_are_updated_where_the_condition_holds(bench: Bench) -> None:
    assert report(fixed(9, 9, checksum=1), bench)[5] == fixed(9, 9, checksum=checksum(fixed(9, 9)[:2]))
    assert report(fixed(9, 8, checksum=1), bench)[5] == fixed(9, 8, checksum=1)


def test_headers_that_are_added_count_in_the_egress_length(bench: Bench) -> None:
    [(_, out)] = bench.run(fixed(9) + b"payload")
    assert int.from_bytes(out[4:8]) == len(fixed(9) + b"payload") + 8


@given(st.binary(max_size=24))
def test_no_packet_is_too_strange(bench: Bench, packet: bytes) -> None:
    [(port, out)] = bench.run(packet)
    assert port == 2
    assert len(out) >= 8


def test_a_parser_that_goes_in_circles_ends_with_a_timeout(bench: Bench) -> None:
    program = json.loads(config("parsing"))
    labels = next(s for s in program["parsers"][0]["parse_states"] if s["name"] == "labels")
    labels["parser_ops"], labels["transition_key"] = [], []
    labels["transitions"] = [{"type": "default", "value": None, "mask": None, "next_state": "labels"}]
    switch = SoftSwitch()
    switch.load(bench.info, json.dumps(program).encode())
    [(_, out)] = switch.process(fixed(1) + b"rest", 1)
    assert out[0] == 255  # an error that the program does not name
    assert out[8:] == fixed(1) + b"rest"
