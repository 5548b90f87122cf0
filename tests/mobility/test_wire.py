"""The codec: what goes in comes out, what is malformed is refused at the octet where it shows."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.wire import (
    AlternateCareOf,
    AuthorizationData,
    BindingAcknowledgement,
    BindingError,
    BindingIdentifier,
    BindingReference,
    BindingRefreshAdvice,
    BindingRefreshRequest,
    BindingUpdate,
    CareOfTest,
    CareOfTestInit,
    FlowIdentification,
    FlowSummary,
    Heartbeat,
    HomeAgentSwitch,
    HomeTest,
    HomeTestInit,
    LinkLayerAddress,
    Malformation,
    Message,
    NetworkPrefix,
    NonceIndices,
    Option,
    OptionType,
    Protocol,
    RawOption,
    RawSubOption,
    RevocationAcknowledgement,
    RevocationIndication,
    TrafficSelectorOption,
    UnknownMessage,
    WireError,
    decode_message,
    decode_options,
    decode_packet,
    encode_message,
    encode_options,
    encode_packet,
    ipv6_header,
    parameter_problem,
    upper_layer_checksum,
)

HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
COA = parse_address("2001:db8:a1::1")


def folded_sum(source: bytes, destination: bytes, protocol: int, data: bytes) -> int:
    """The checksum the long way (RFC 1071): word by word, carry by carry."""
    pseudo = source + destination + len(data).to_bytes(4) + bytes(3) + bytes((protocol,)) + data
    if len(pseudo) % 2:
        pseudo += b"\x00"
    total = 0
    for index in range(0, len(pseudo), 2):
        total += pseudo[index] << 8 | pseudo[index + 1]
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


octets = st.integers(0, 255)
words = st.integers(0, 0xFFFF)
addresses = st.binary(min_size=16, max_size=16).map(Address)
eight = st.binary(min_size=8, max_size=8)

identifiers = st.builds(
    BindingIdentifier,
    words,
    st.one_of(st.none(), st.binary(min_size=4, max_size=4), addresses),
    st.integers(0, 127),
    octets,
    st.booleans(),
)
KNOWN = {
    OptionType.PAD1,
    OptionType.PADN,
    OptionType.BINDING_REFRESH_ADVICE,
    OptionType.ALTERNATE_CARE_OF_ADDRESS,
    OptionType.MOBILE_NODE_IDENTIFIER,
    OptionType.AUTHENTICATION,
    OptionType.MESSAGE_IDENTIFIER,
    OptionType.NONCE_INDICES,
    OptionType.BINDING_AUTHORIZATION_DATA,
    OptionType.MOBILE_NETWORK_PREFIX,
    OptionType.LINK_LAYER_ADDRESS,
    OptionType.BINDING_IDENTIFIER,
    OptionType.FLOW_SUMMARY,
    OptionType.FLOW_IDENTIFICATION,
}
options: st.SearchStrategy[Option] = st.one_of(
    identifiers,
    st.builds(RawOption, octets.filter(lambda kind: kind not in KNOWN), st.binary(max_size=60)),
    st.builds(RawOption, st.just(35), st.binary(max_size=40).filter(lambda data: len(data) not in {4, 8, 20})),
    st.builds(BindingRefreshAdvice, words),
    st.builds(AlternateCareOf, addresses),
    st.builds(NonceIndices, words, words),
    st.builds(NetworkPrefix, st.builds(Prefix, addresses, octets)),
    st.builds(LinkLayerAddress, octets, st.binary(max_size=20)),
)
flow_options = st.builds(
    FlowIdentification,
    words,
    words,
    octets,
    st.lists(
        st.one_of(
            st.builds(BindingReference, st.lists(words, max_size=5).map(tuple)),
            st.builds(TrafficSelectorOption, octets, st.binary(max_size=40)),
            st.builds(RawSubOption, st.integers(4, 255), st.binary(max_size=20)),
        ),
        max_size=4,
    ).map(tuple),
)
options = st.one_of(options, flow_options, st.builds(FlowSummary, st.lists(words, max_size=20).map(tuple)))
option_lists = st.lists(options, max_size=8).map(tuple)
closed_lists = st.one_of(
    option_lists,
    st.builds(
        lambda head, tail: (*head, tail),
        option_lists,
        st.builds(AuthorizationData, st.binary(min_size=12, max_size=12)),
    ),
)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(BindingUpdate, words, words, words, closed_lists),
    st.builds(BindingAcknowledgement, octets, words, words, octets, closed_lists),
    st.builds(BindingError, octets, addresses, closed_lists),
    st.builds(BindingRefreshRequest, option_lists),
    st.builds(HomeTestInit, eight, option_lists),
    st.builds(CareOfTestInit, eight, option_lists),
    st.builds(HomeTest, words, eight, eight, option_lists),
    st.builds(CareOfTest, words, eight, eight, option_lists),
    st.builds(HomeAgentSwitch, st.lists(addresses, max_size=4).map(tuple), option_lists),
    st.builds(Heartbeat, st.integers(0, 2**32 - 1), words, option_lists),
    st.builds(RevocationIndication, octets, words, words, option_lists),
    st.builds(RevocationAcknowledgement, octets, words, words, option_lists),
    st.builds(
        UnknownMessage,
        st.integers(8, 255).filter(lambda kind: kind not in {12, 13, 16}),
        st.integers(0, 30).flatmap(lambda n: st.binary(min_size=8 * n + 2, max_size=8 * n + 2)),
    ),
)


@given(closed_lists, st.sampled_from([8, 12, 16, 24]))
def test_options_round_trip(given_options: tuple[Option, ...], start: int) -> None:
    data = bytes(start) + encode_options(given_options, start)
    assert len(data) % 8 == 0
    assert decode_options(data, start, len(data)) == given_options


@given(closed_lists)
def test_options_stand_where_they_may(given_options: tuple[Option, ...]) -> None:
    data = bytes(12) + encode_options(given_options, 12)
    offset = 12
    for option in given_options:
        while data[offset] in {0, 1}:
            offset += 1 if data[offset] == 0 else 2 + data[offset + 1]
        assert data[offset] == option.type
        modulus, remainder = option.alignment
        assert offset % modulus == remainder
        offset += 2 + data[offset + 1]
    assert len(data) - offset < 8


@given(messages, addresses, addresses)
def test_messages_round_trip(message: Message, source: Address, destination: Address) -> None:
    data = encode_message(message, source, destination)
    assert len(data) == 8 + 8 * data[1]
    assert decode_message(data, 0, len(data), source, destination) == message


@given(messages, addresses, addresses, st.none() | addresses, st.none() | addresses)
def test_packets_round_trip(
    message: Message,
    source: Address,
    destination: Address,
    home_address: Address | None,
    routing_address: Address | None,
) -> None:
    data = encode_packet(source, destination, message, home_address=home_address, routing_address=routing_address)
    packet = decode_packet(data + b"padding of the link")
    assert packet.message == message
    assert (packet.source, packet.destination) == (source, destination)
    assert (packet.home_address, packet.routing_address) == (home_address, routing_address)
    assert packet.protocol == Protocol.MOBILITY
    assert packet.payload == 40 + 24 * (home_address is not None) + 24 * (routing_address is not None)


@given(messages, addresses, addresses)
def test_message_checksum_agrees_with_rfc_1071(message: Message, source: Address, destination: Address) -> None:
    data = encode_message(message, source, destination)
    assert folded_sum(source, destination, 135, data) == 0


@given(addresses, addresses, octets, st.binary(max_size=200))
def test_checksum_agrees_with_rfc_1071(source: Address, destination: Address, protocol: int, data: bytes) -> None:
    # 0 and 0xFFFF are the same number in one's complement; a real header never sums up to zero, so only 0 occurs there.
    expected = folded_sum(source, destination, protocol, data) % 0xFFFF
    assert upper_layer_checksum(source, destination, protocol, data) == expected


@given(messages, st.integers(0), st.integers(1, 255))
def test_a_changed_octet_is_noticed(message: Message, place: int, change: int) -> None:
    data = bytearray(encode_message(message, HOA, HA))
    data[place % len(data)] ^= change
    try:
        decoded = decode_message(bytes(data), 0, len(data), HOA, HA)
    except WireError:
        return
    # Only a swap of 00 and ff in both octets of a word leaves a one's complement sum alone; one octet cannot do it.
    pytest.fail(f"octet {place % len(data)} changed and {decoded} was read")


@pytest.mark.parametrize("length", [0, 1, 2, 3, 5, 6, 7, 9, 12, 16, 19, 21, 24])
def test_identifier_of_illegal_length_is_kept_raw(length: int) -> None:
    data = bytes(12) + bytes((35, length)) + bytes(range(1, length + 1))
    assert decode_options(data, 12, len(data)) == (RawOption(35, bytes(range(1, length + 1))),)


@pytest.mark.parametrize(
    ("kind", "length"), [(2, 1), (2, 3), (3, 15), (3, 17), (4, 3), (4, 6), (5, 11), (5, 16), (6, 17), (6, 19), (7, 0)]
)
def test_known_option_of_wrong_length_is_refused(kind: int, length: int) -> None:
    data = bytes(12) + bytes((kind, length)) + bytes(length)
    with pytest.raises(WireError) as caught:
        decode_options(data, 12, len(data))
    assert (caught.value.reason, caught.value.offset) == (Malformation.OPTION, 13)


@pytest.mark.parametrize("tail", ["23", "23 14 00 01", "c8 ff 00 00", "01 01", "03 10 00", "00 00 23"])
def test_option_that_overruns_is_refused(tail: str) -> None:
    data = bytes(12) + bytes.fromhex(tail)
    with pytest.raises(WireError, match="option"):
        decode_options(data, 12, len(data))


@pytest.mark.parametrize(
    "padding", ["00 00 00 00 00 00", "01 04 ff ff ff ff", "00 01 03 01 02 03", "01 00 01 00 01 00"]
)
def test_padding_is_passed_over_whatever_it_holds(padding: str) -> None:
    data = bytes(12) + bytes.fromhex(padding) + bytes.fromhex("23 04 00 01 00 05") + bytes.fromhex(padding)
    assert decode_options(data, 12, len(data)) == (BindingIdentifier(1, None, 5),)


def test_nothing_follows_authorization_data() -> None:
    with pytest.raises(ValueError, match="last option"):
        encode_options((AuthorizationData(bytes(12)), BindingRefreshAdvice(1)), 12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: BindingUpdate(0x10000, 0, 0),
        lambda: BindingUpdate(0, 0, -1),
        lambda: BindingAcknowledgement(256, 0, 0),
        lambda: BindingError(1, Address(b"short")),
        lambda: HomeTestInit(b"1234567"),
        lambda: CareOfTest(1, bytes(8), bytes(9)),
        lambda: BindingUpdate(1, 0, 0, (BindingIdentifier(0x10000),)),
        lambda: BindingUpdate(1, 0, 0, (BindingIdentifier(1, None, 128),)),
        lambda: BindingUpdate(1, 0, 0, (BindingIdentifier(1, b"12345"),)),
        lambda: BindingUpdate(1, 0, 0, (RawOption(200, bytes(256)),)),
        lambda: BindingUpdate(1, 0, 0, (AlternateCareOf(Address(b"")),)),
        lambda: BindingUpdate(1, 0, 0, tuple(RawOption(200, bytes(255)) for _ in range(9))),
        lambda: UnknownMessage(9, bytes(3)),
    ],
)
def test_what_does_not_fit_is_not_written(make: Callable[[], Message]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the texts differ; that nothing is cut silently is the point
        encode_message(make(), HOA, HA)


def resealed(message: bytes, **changes: int) -> bytes:
    """Return a Mobility Header with octets changed (`at_<offset>=value`) and the checksum made right again."""
    data = bytearray(message)
    for name, value in changes.items():
        data[int(name.removeprefix("at_"))] = value
    data[4:6] = bytes(2)
    data[4:6] = folded_sum(HOA, HA, 135, bytes(data)).to_bytes(2)
    return bytes(data)


UPDATE = encode_message(BindingUpdate(1, 0xC000, 60, (BindingIdentifier(1, COA),)), HOA, HA)


def test_checksum_comes_first() -> None:
    data = bytearray(resealed(UPDATE, at_0=17, at_2=200))
    data[4] ^= 1
    with pytest.raises(WireError) as caught:
        decode_message(bytes(data), 0, len(data), HOA, HA)
    assert (caught.value.reason, caught.value.offset) == (Malformation.CHECKSUM, 4)


def test_payload_protocol_comes_before_header_length() -> None:
    data = resealed(bytes((17, 0, 5)) + bytes(5))
    with pytest.raises(WireError) as caught:
        decode_message(bytes(40) + data, 40, 48, HOA, HA)
    assert (caught.value.reason, caught.value.offset) == (Malformation.PAYLOAD_PROTOCOL, 40)


@pytest.mark.parametrize(
    ("kind", "minimum"), [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2), (5, 1), (6, 1), (7, 2), (12, 0), (13, 1)]
)
def test_header_length_below_the_minimum_of_the_type(kind: int, minimum: int) -> None:
    for units in range(3):
        data = resealed(bytes((59, units, kind)) + bytes(5 + 8 * units))
        if units >= minimum:
            assert decode_message(data, 0, len(data), HOA, HA).type == kind
        else:
            with pytest.raises(WireError) as caught:
                decode_message(data, 0, len(data), HOA, HA)
            assert (caught.value.reason, caught.value.offset) == (Malformation.HEADER_LENGTH, 1)


def test_unknown_type_comes_before_payload_protocol_and_header_length() -> None:
    data = resealed(bytes((17, 0, 200)) + bytes(5))
    assert decode_message(data, 0, 8, HOA, HA) == UnknownMessage(200, bytes(2))


def test_reserved_octet_is_ignored() -> None:
    assert decode_message(resealed(UPDATE, at_3=255), 0, len(UPDATE), HOA, HA) == decode_message(
        UPDATE, 0, len(UPDATE), HOA, HA
    )


def test_checksum_covers_the_home_address_not_the_source() -> None:
    over_care_of = encode_message(BindingUpdate(1, 0xC000, 60), COA, HA)
    right = encode_packet(COA, HA, BindingUpdate(1, 0xC000, 60), home_address=HOA)
    assert decode_packet(right).home_address == HOA
    with pytest.raises(WireError, match="checksum"):
        decode_packet(right[:64] + over_care_of)


def chain(*headers: tuple[int, bytes], protocol: int = 59, payload: bytes = b"") -> bytes:
    """Return a packet with extension headers given as (type, everything after the next header octet)."""
    body = payload
    following = protocol
    for kind, rest in reversed(headers):
        body = bytes((following,)) + rest + body
        following = kind
    return ipv6_header(COA, HA, following, len(body)) + body


HAO = bytes.fromhex("02 01020000c910") + HOA
RH2 = bytes.fromhex("02 02 01 00000000") + HOA


def test_home_address_option_in_another_place_of_its_header() -> None:
    # A tunnel limit, padding of both kinds and an option that may be skipped stand before it.
    header = bytes.fromhex("04 0401ff 0002 0106000000000000 0100 c910") + HOA
    header += bytes(-(len(header) + 1) % 8)
    header = bytes(((len(header) + 1) // 8 - 1,)) + header[1:]
    assert decode_packet(chain((60, header))).home_address == HOA


def test_home_address_option_with_company_behind_it() -> None:
    header = bytes.fromhex("03 01020000 c910") + HOA + bytes.fromhex("0401ff 0103000000")
    assert decode_packet(chain((60, header))).home_address == HOA


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([(60, HAO), (60, HAO)], Malformation.EXTENSION_HEADER),
        ([(43, RH2), (43, RH2)], Malformation.EXTENSION_HEADER),
        ([(43, bytes.fromhex("02 00 01 00000000") + HOA)], Malformation.EXTENSION_HEADER),
        ([(43, bytes.fromhex("02 02 02 00000000") + HOA)], Malformation.EXTENSION_HEADER),
        ([(60, bytes.fromhex("00 c2 04 00000000"))], Malformation.EXTENSION_HEADER),
        ([(60, bytes.fromhex("00 01 05 00000000"))], Malformation.EXTENSION_HEADER),
        ([(60, bytes.fromhex("00 00 00 00000001"))], Malformation.EXTENSION_HEADER),
        ([(60, bytes.fromhex("00 c9 04 00000000"))], Malformation.EXTENSION_HEADER),
        ([(60, HAO), (0, bytes.fromhex("00 01 04 00000000"))], Malformation.EXTENSION_HEADER),
        ([(44, bytes(7))], Malformation.FRAGMENT),
        ([(60, bytes.fromhex("01 01 04 00000000"))], Malformation.TRUNCATED),
    ],
)
def test_chains_that_cannot_be(headers: list[tuple[int, bytes]], reason: Malformation) -> None:
    with pytest.raises(WireError) as caught:
        decode_packet(chain(*headers))
    assert caught.value.reason is reason


def test_chains_that_can_be() -> None:
    packet = decode_packet(
        chain(
            (0, bytes.fromhex("00 05 02 0000 0100")),
            (43, bytes.fromhex("00 00 00 00000000")),
            (43, RH2),
            (60, HAO),
            (60, bytes.fromhex("00 04 01 03 00 0000")),
            protocol=17,
            payload=b"data",
        )
    )
    assert (packet.home_address, packet.routing_address, packet.protocol, packet.message) == (HOA, HOA, 17, None)
    assert packet.payload == 40 + 8 + 8 + 24 + 24 + 8


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"", Malformation.TRUNCATED),
        (bytes(39), Malformation.TRUNCATED),
        (b"\x45" + bytes(60), Malformation.NOT_IPV6),
        (ipv6_header(COA, HA, 135, 8), Malformation.TRUNCATED),
        (ipv6_header(COA, HA, 135, 7) + bytes(7), Malformation.TRUNCATED),
        (ipv6_header(COA, HA, 135, 8) + bytes((59, 1, 5)) + bytes(5), Malformation.TRUNCATED),
        (ipv6_header(COA, HA, 60, 4) + bytes(4), Malformation.TRUNCATED),
    ],
)
def test_packets_cut_short(packet: bytes, reason: Malformation) -> None:
    with pytest.raises(WireError) as caught:
        decode_packet(packet)
    assert caught.value.reason is reason


def test_parameter_problem() -> None:
    invoking = encode_packet(COA, HA, BindingUpdate(1, 0xC000, 60), home_address=HOA)
    packet = parameter_problem(HA, COA, 64, invoking)
    assert packet[:40] == ipv6_header(HA, COA, 58, len(packet) - 40)
    assert packet[40:42] == b"\x04\x00"
    assert packet[44:48] == (64).to_bytes(4)
    assert packet[48:] == invoking
    assert folded_sum(HA, COA, 58, packet[40:]) == 0
    assert len(parameter_problem(HA, COA, 0, bytes(3000))) == 1280


@pytest.mark.parametrize("size", [-1, 0x10000])
def test_header_of_an_impossible_payload(size: int) -> None:
    with pytest.raises(ValueError, match="65535"):
        ipv6_header(COA, HA, 59, size)
