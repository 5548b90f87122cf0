"""MH: reception of Mobility Headers (RFC 6275 sections 6.1, 6.2 and 9.2)."""

import struct

import pytest

from conformance import packets, requirement
from conformance.harness import COA1, HA, HOA, Bed, acks
from conformance.packets import DESTINATION_OPTIONS, MOBILITY, checksum, ipv6, mobility, raw_option, with_hao


def from_care_of(header: bytes) -> bytes:
    """Return a Mobility Header in its packet from the care-of address, with a Home Address option."""
    return ipv6(COA1, HA, DESTINATION_OPTIONS, with_hao(HOA, MOBILITY, header))


def unknown(source: bytes, *, home: bytes | None = None) -> bytes:
    """Return a message of type 200."""
    header = mobility(200, bytes(10), home or source, HA)
    if home is None:
        return ipv6(source, HA, MOBILITY, header)
    return ipv6(source, HA, DESTINATION_OPTIONS, with_hao(home, MOBILITY, header))


@requirement("MH-01")
def test_mh_01_a_wrong_checksum_gets_no_answer(bed: Bed) -> None:
    packet = bytearray(bed.update())
    packet[40 + 24 + 5] ^= 1
    bed.silence(bytes(packet))
    assert not bed.bound()


@requirement("MH-02")
def test_mh_02_the_checksum_counts_with_the_home_address(bed: Bed) -> None:
    body = packets.update(1)
    bed.silence(from_care_of(mobility(5, body, COA1, HA)))
    assert acks(bed.send(from_care_of(mobility(5, body, HOA, HA))))[0].status == 0


@requirement("MH-02")
@pytest.mark.parametrize("protocol", [2, 58, 134])
def test_mh_02_the_checksum_counts_with_next_header_135(bed: Bed, protocol: int) -> None:
    header = bytearray(mobility(5, packets.update(1), HOA, HA))
    header[4:6] = bytes(2)
    header[4:6] = struct.pack("!H", checksum(HOA, HA, protocol, bytes(header)))
    bed.silence(from_care_of(bytes(header)))


@requirement("MH-03")
def test_mh_03_the_acknowledgement_counts_with_its_final_destination(bed: Bed) -> None:
    seen = bed.register().packet
    assert (seen.destination, seen.routing) == (COA1, HOA)
    assert checksum(HA, HOA, MOBILITY, seen.payload) == 0
    assert checksum(HA, COA1, MOBILITY, seen.payload) != 0


@requirement("MH-04")
@pytest.mark.parametrize("home", [None, HOA])
def test_mh_04_an_unknown_type_gets_a_binding_error(bed: Bed, home: bytes | None) -> None:
    (error,) = bed.send(unknown(COA1, home=home))
    assert (error.source, error.destination, error.routing, error.home) == (HA, COA1, None, None)
    assert error.sound
    assert (error.kind, error.payload[6]) == (7, 2)
    assert error.payload[8:24] == (home or bytes(16))


@requirement("MH-05")
@pytest.mark.parametrize("source", ["::", "ff02::1", "ff0e::1"])
def test_mh_05_no_binding_error_to_such_a_source(bed: Bed, source: str) -> None:
    bed.silence(unknown(packets.ip(source)))


@requirement("MH-06")
def test_mh_06_binding_errors_are_rate_limited(bed: Bed) -> None:
    burst = sum(len(bed.send(unknown(COA1))) for _ in range(1000))
    assert 0 < burst <= bed.engine_config.error_burst
    bed.advance(1)
    later = sum(len(bed.send(unknown(COA1))) for _ in range(1000))
    assert 0 < later <= bed.engine_config.error_rate


@requirement("MH-07")
def test_mh_07_something_behind_the_header_is_a_parameter_problem(bed: Bed) -> None:
    packet = bed.update(payload=17)
    (problem,) = bed.send(packet)
    assert (problem.source, problem.destination, problem.routing, problem.protocol) == (HA, COA1, None, 58)
    assert problem.sound
    assert problem.payload[:2] == bytes((4, 0))
    assert struct.unpack_from("!I", problem.payload, 4) == (40 + 24,)
    assert problem.payload[8:] == packet
    assert not bed.bindings()


@requirement("MH-08")
def test_mh_08_too_short_a_header_is_a_parameter_problem(bed: Bed) -> None:
    packet = from_care_of(mobility(5, bytes(2), HOA, HA))
    (problem,) = bed.send(packet)
    assert (problem.destination, problem.protocol, problem.payload[:2]) == (COA1, 58, bytes((4, 0)))
    assert struct.unpack_from("!I", problem.payload, 4) == (40 + 24 + 1,)
    assert not bed.bindings()


@requirement("MH-09")
def test_mh_09_the_reserved_octet_is_ignored(bed: Bed) -> None:
    ack = bed.register(reserved=0xFF)
    assert ack.status == 0
    assert ack.packet.payload[3] == 0


@requirement("MH-10")
def test_mh_10_unknown_options_are_skipped(bed: Bed) -> None:
    ack = bed.register(raw_option(200, b"abc"), packets.bid(1, COA1), raw_option(201, b""))
    assert (ack.status, ack.bids) == (0, [(1, 0)])


@requirement("MH-11")
@pytest.mark.parametrize(
    "padding",
    [bytes(4), b"\0\1\1\0", b"\1\2\xff\xff", b"\1\0\0\0", bytes(6) + b"\1\4abcd" + b"\1\6" + b"\xa5" * 6 + bytes(2)],
)
def test_mh_11_padding_of_any_form_is_accepted(bed: Bed, padding: bytes) -> None:
    body = struct.pack("!HHH", 1, 0xC000, 60) + padding
    body += bytes(-(6 + len(body)) % 8)
    assert acks(bed.send(from_care_of(mobility(5, body, HOA, HA))))[0].status == 0


@requirement("MH-12")
@pytest.mark.parametrize("options", [b"\xc8\xff" + bytes(10), bytes(11) + b"\xc8", b"\x23\x0c" + bytes(10)])
def test_mh_12_an_option_that_overruns_the_header_changes_nothing(bed: Bed, options: bytes) -> None:
    body = struct.pack("!HHH", 1, 0xC000, 60) + options
    bed.silence(from_care_of(mobility(5, body, HOA, HA)))
    assert not bed.bound()


@requirement("MH-13")
def test_mh_13_reserved_flags_are_ignored(bed: Bed) -> None:
    assert bed.register(flags=0xC00F).status == 0
