"""Packets from a switch, against what protocol buffers make of the same octets."""

import pytest
from finsy.proto import p4r
from hypothesis import given
from hypothesis import strategies as st

from controller.southbound.artefacts import load
from controller.southbound.codec import Codec, CodecError
from controller.southbound.stream import PacketIn, StreamCodec
from controller.southbound.wire import framed, number_field, tag

ARTEFACTS = load()
CODEC = StreamCodec(ARTEFACTS.info, Codec(ARTEFACTS.info))
INGRESS_PORT, REASON, MTU = 1, 2, 3

payloads = st.binary(max_size=300)
metadata = st.lists(st.tuples(st.integers(1, 4), st.binary(min_size=1, max_size=2)), max_size=4)


def message(payload: bytes, values: list[tuple[int, bytes]]) -> p4r.StreamMessageResponse:
    response = p4r.StreamMessageResponse()
    response.packet.payload = payload
    for number, value in values:
        response.packet.metadata.add(metadata_id=number, value=value)
    return response


def expected(payload: bytes, values: list[tuple[int, bytes]]) -> PacketIn:
    known = {number: int.from_bytes(value) for number, value in values}
    return PacketIn(known.get(INGRESS_PORT, 0), known.get(REASON, 0), payload, known.get(MTU, 0))


@given(payloads, metadata)
def test_a_packet_is_read_as_it_was_written(payload: bytes, values: list[tuple[int, bytes]]) -> None:
    data = message(payload, values).SerializeToString()
    assert CODEC.packet_in(data) == expected(payload, values)


@given(payloads, metadata)
def test_the_order_of_its_fields_does_not_matter(payload: bytes, values: list[tuple[int, bytes]]) -> None:
    fields = b"".join(framed(tag(2), number_field(1, number) + framed(tag(2), value)) for number, value in values)
    data = framed(tag(2), fields + framed(tag(1), payload))
    assert CODEC.packet_in(data) == expected(payload, values)


@given(payloads, metadata)
def test_fields_of_later_versions_are_passed_over(payload: bytes, values: list[tuple[int, bytes]]) -> None:
    data = message(payload, values).SerializeToString()
    assert CODEC.packet_in(data + number_field(99, 7)) == expected(payload, values)


@given(payloads, metadata, st.integers(1, 400))
def test_what_is_cut_off_is_refused_or_is_another_packet(
    payload: bytes, values: list[tuple[int, bytes]], length: int
) -> None:
    data = message(payload, values).SerializeToString()[:length]
    try:
        p4r.StreamMessageResponse.FromString(data)
    except Exception:  # noqa: BLE001  protobuf's own word for it
        with pytest.raises(CodecError):
            CODEC.packet_in(data)
    else:
        CODEC.packet_in(data)


def test_a_packet_with_two_payloads_is_refused() -> None:
    with pytest.raises(CodecError, match="two payloads"):
        CODEC.packet_in(framed(tag(2), framed(tag(1), b"one") + framed(tag(1), b"two")))


def test_what_is_something_else_is_refused() -> None:
    other = p4r.StreamMessageResponse()
    other.arbitration.device_id = 1
    with pytest.raises(CodecError, match="something else"):
        CODEC.packet_in(framed(tag(2), framed(tag(1), b"one")) + other.SerializeToString())
