"""Flow options, traffic selectors and control messages, octet by octet."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.mobility.address import Address, parse_address
from controller.mobility.flows import FlowSelector, Span
from controller.mobility.wire import (
    BindingReference,
    FlowIdentification,
    FlowSummary,
    Heartbeat,
    HomeAgentSwitch,
    Malformation,
    Message,
    RawOption,
    RawSubOption,
    RevocationAcknowledgement,
    TrafficSelectorOption,
    WireError,
    decode_message,
    decode_options,
    decode_selector,
    encode_message,
    encode_options,
    encode_selector,
    upper_layer_checksum,
)

HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
NEXT = parse_address("2001:db8:0:2::1")


def header(kind: int, body: str) -> bytes:
    data = bytes((59, 0, kind, 0, 0, 0)) + bytes.fromhex(body)
    data = bytes((59, len(data) // 8 - 1)) + data[2:]
    return data[:4] + upper_layer_checksum(HA, HOA, 135, data).to_bytes(2) + data[6:]


CONTROL: dict[str, tuple[str, int, Message]] = {
    "switch": (f"02 00 {HA.hex()} {NEXT.hex()}", 12, HomeAgentSwitch((HA, NEXT))),
    "switch to whoever is found": ("00 00", 12, HomeAgentSwitch()),
    "heartbeat": ("00 00 01 02 03 04 01 02 00 00", 13, Heartbeat(0x01020304)),
    "its answer": ("00 01 00 00 00 05 01 00 1c 04 00 00 00 09 01 02 00 00", 13, Heartbeat(5, 1, (RawOption(28, bytes((0, 0, 0, 9))),))),
    "acknowledgement": ("02 01 12 34 20 00 01 02 00 00", 16, RevocationAcknowledgement(1, 0x1234, 0x2000)),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTROL)
def test_control_messages_both_ways(name: str) -> None:
    text, kind, message = CONTROL[name]
    data = header(kind, text)
    assert decode_message(data, 0, len(data), HA, HOA) == message
    assert encode_message(message, HA, HOA).hex(" ") == data.hex(" ")


def test_a_switch_message_that_counts_more_addresses_than_it_has() -> None:
    data = header(12, f"02 00 {HA.hex()}")
    with pytest.raises(WireError) as caught:
        decode_message(data, 0, len(data), HA, HOA)
    assert (caught.value.reason, caught.value.offset) == (Malformation.TRUNCATED, 6)


def test_a_revocation_of_neither_type() -> None:
    data = header(16, "03 01 12 34 20 00 01 02 00 00")
    with pytest.raises(WireError) as caught:
        decode_message(data, 0, len(data), HA, HOA)
    assert caught.value.reason is Malformation.OPTION


def one_option(text: str) -> object:
    data = bytes.fromhex(text)
    (option,) = decode_options(data, 0, len(data))
    return option


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2d 06 00 07 00 64 00 00", FlowIdentification(7, 100)),
        ("2d 06 00 07 00 64 ff 83", FlowIdentification(7, 100, 131)),
        ("2d 05 00 07 00 64 00", FlowIdentification(7, damaged=True)),
        ("2d 01 07", RawOption(45, b"\x07")),
        # A sub-option that overruns, half a BID, and a selector without format spoil this option and nothing else.
        ("2d 08 00 07 00 64 00 00 02 04", FlowIdentification(7, 100, damaged=True)),
        ("2d 07 00 07 00 64 00 00 02", FlowIdentification(7, 100, damaged=True)),
        ("2d 0b 00 07 00 64 00 00 02 03 00 01 00", FlowIdentification(7, 100, damaged=True)),
        ("2d 09 00 07 00 64 00 00 03 01 02", FlowIdentification(7, 100, damaged=True)),
        # Pad1, PadN (its length counts what follows it), one of RFC 7109, one that nobody knows.
        (
            "2d 15 00 07 00 64 00 00 00 01 02 00 00 04 02 00 0b 63 02 aa bb 01 00",
            FlowIdentification(7, 100, 0, (RawSubOption(4, b"\x00\x0b"), RawSubOption(99, b"\xaa\xbb"))),
        ),
        ("2c 04 00 01 00 09", FlowSummary((1, 9))),
        ("2c 00", FlowSummary(())),
        ("2c 03 00 01 07", FlowSummary((1,))),
    ],
)
def test_flow_options_are_read(text: str, expected: object) -> None:
    assert one_option(text) == expected


SELECTORS = {
    "everything": (2, "00000000", FlowSelector()),
    "ports": (2, "00320000 1388 1392 11", FlowSelector(destination_ports=Span(5000, 5010), protocol=Span(17, 17))),
    "all of IPv6": (
        2,
        "ffff0000" + HA.hex() + NEXT.hex() + HOA.hex() + HOA.hex()
        + "00000001 00000002 00000003 000fffff 0004 0005 0006 0007 08 f0 06 11",
        FlowSelector(
            source=Span(int.from_bytes(HA), int.from_bytes(NEXT)),
            destination=Span(int.from_bytes(HOA), int.from_bytes(HOA)),
            spi=Span(1, 2),
            flow_label=Span(3, 0xFFFFF),
            source_ports=Span(4, 5),
            destination_ports=Span(6, 7),
            traffic_class=Span(8, 0xF0),
            protocol=Span(6, 17),
        ),
    ),
    "IPv4": (
        1,
        # A, G, I, J, K, M: bits 0, 6, 8, 9, 10 and 12.
        "82e80000 c0000201 0050 1f90 1f91 b8 11",
        FlowSelector(
            ipv4=True,
            source=Span(0xC0000201, 0xC0000201),
            source_ports=Span(0x50, 0x50),
            destination_ports=Span(8080, 8081),
            traffic_class=Span(0xB8, 0xB8),
            protocol=Span(17, 17),
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SELECTORS)
def test_selectors_both_ways(name: str) -> None:
    number, text, selector = SELECTORS[name]
    option = TrafficSelectorOption(number, bytes.fromhex(text))
    assert decode_selector(option) == selector
    if name != "all of IPv6":  # its destination has an end that equals its start, which we leave out
        assert encode_selector(selector) == option
    assert decode_selector(encode_selector(selector)) == selector


def test_the_low_bits_of_the_traffic_class_and_the_high_ones_of_the_flow_label_do_not_count() -> None:
    flags = 1 << 31 - 6 | 1 << 31 - 12 | 1 << 31 - 13
    content = flags.to_bytes(4) + bytes.fromhex("fff12345 2b 2f")
    assert decode_selector(TrafficSelectorOption(2, content)) == FlowSelector(
        flow_label=Span(0x12345, 0x12345), traffic_class=Span(0x28, 0x2C)
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (9, "00000000"),
        (0, "00000000"),
        (2, "000000"),
        (2, "40000000" + HA.hex()),  # an end without a start
        (2, "80000000" + HA.hex()[:-2]),  # cut short
        (2, "00000000 00"),  # more than the flags name
        (2, "00300000 0005 0004"),  # an empty range
    ],
)
def test_selectors_that_make_no_sense(number: int, text: str) -> None:
    with pytest.raises(ValueError, match=r"traffic selector|range|octets"):
        decode_selector(TrafficSelectorOption(number, bytes.fromhex(text)))


@pytest.mark.parametrize(
    "selector",
    [
        FlowSelector(ipv4=True, flow_label=Span(1, 1)),
        FlowSelector(source_ports=Span(2, 1)),
        FlowSelector(source_ports=Span(0, 65536)),
        FlowSelector(ipv4=True, source=Span(0, 1 << 32)),
    ],
)
def test_selectors_that_cannot_be_written(selector: FlowSelector) -> None:
    with pytest.raises(ValueError, match=r"flow label|no range"):
        encode_selector(selector)


def spans(width: int, step: int = 1) -> st.SearchStrategy[Span | None]:
    ends = st.integers(0, (1 << width) // step - 1).map(lambda number: number * step)
    return st.none() | st.tuples(ends, ends).map(lambda pair: Span(min(pair), max(pair)))


@given(
    st.builds(
        FlowSelector,
        st.just(value=False),
        spans(128),
        spans(128),
        spans(32),
        spans(20),
        spans(16),
        spans(16),
        spans(8, 4),
        spans(8),
    )
)
def test_any_selector_round_trips_and_stands_where_it_may(selector: FlowSelector) -> None:
    option = FlowIdentification(7, 1, 0, (BindingReference((1,)), encode_selector(selector)))
    data = encode_options((RawOption(200, b"x"), option), 12)
    _, found = decode_options(bytes(12) + data, 12, 12 + len(data))
    assert isinstance(found, FlowIdentification)
    assert found == option
    (_, selected) = found.sub_options
    assert isinstance(selected, TrafficSelectorOption)
    assert decode_selector(selected) == selector
    place = 12 + data.index(struct.pack("!BB", 3, len(selected.data())) + selected.data())
    if selector.source or selector.destination:
        assert place % 8 == 0
    elif selector.spi or selector.flow_label:
        assert place % 4 == 0
    elif selector.source_ports or selector.destination_ports:
        assert place % 2 == 0


@pytest.mark.parametrize(
    "option",
    [
        FlowSummary(tuple(range(128))),
        FlowIdentification(1, 1, 0, (BindingReference(tuple(range(125))),)),
        FlowIdentification(1, 1, 0, (RawSubOption(99, bytes(200)), RawSubOption(98, bytes(60)))),
    ],
)
def test_options_that_are_too_long(option: FlowSummary | FlowIdentification) -> None:
    with pytest.raises(ValueError, match=r"127 FIDs|255 are the most"):
        encode_options((option,), 12)


def test_addresses_have_sixteen_octets() -> None:
    with pytest.raises(ValueError, match="16 octets"):
        encode_message(HomeAgentSwitch((Address(b"short"),)), HA, HOA)
