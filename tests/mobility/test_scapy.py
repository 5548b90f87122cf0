"""scapy as a second opinion on the base protocol, in both directions. It knows no Binding Identifier option."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.mobility.address import Address, Prefix, format_address, parse_address
from controller.mobility.wire import (
    AlternateCareOf,
    AuthorizationData,
    BindingAcknowledgement,
    BindingError,
    BindingIdentifier,
    BindingRefreshAdvice,
    BindingRefreshRequest,
    BindingUpdate,
    CareOfTest,
    CareOfTestInit,
    HomeTest,
    HomeTestInit,
    Message,
    NetworkPrefix,
    NonceIndices,
    Option,
    RawOption,
    decode_packet,
    encapsulate,
    encode_packet,
    ipv6_header,
    parameter_problem,
)

HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
COA = parse_address("2001:db8:a1::1")
CN = parse_address("2001:db8:c::10")


@pytest.fixture(scope="module")
def scapy() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what scapy's imports find old-fashioned is not ours to mend
        import scapy.layers.inet6 as layers
    return layers


words = st.integers(0, 0xFFFF)
octets = st.integers(0, 255)
eight = st.binary(min_size=8, max_size=8)
addresses = st.binary(min_size=16, max_size=16).map(Address)
options: st.SearchStrategy[Option] = st.one_of(
    st.builds(BindingRefreshAdvice, words),
    st.builds(AlternateCareOf, addresses),
    st.builds(NonceIndices, words, words),
    st.builds(NetworkPrefix, st.builds(Prefix, addresses, octets)),
    st.builds(RawOption, st.integers(50, 255), st.binary(max_size=30)),
)
closed = st.builds(
    lambda head, tail: (*head, *tail),
    st.lists(options, max_size=4),
    st.lists(st.builds(AuthorizationData, st.binary(min_size=12, max_size=12)), max_size=1),
)


def spelled(option: Any) -> tuple[Any, ...]:
    """What scapy read, in words that fit both sides."""
    match type(option).__name__:
        case "MIP6OptBRAdvice":
            return (2, option.rinter)
        case "MIP6OptAltCoA":
            return (3, parse_address(option.acoa))
        case "MIP6OptNonceIndices":
            return (4, option.hni, option.coni)
        case "MIP6OptBindingAuthData":
            return (5, option.authenticator)
        case "MIP6OptMobNetPrefix":
            return (6, option.plen, parse_address(option.prefix))
        case _:
            return (option.otype, bytes(option.odata))


def expected(option: Option) -> tuple[Any, ...]:
    match option:
        case BindingRefreshAdvice(interval):
            return (2, interval)
        case AlternateCareOf(address):
            return (3, address)
        case NonceIndices(home, care_of):
            return (4, home, care_of)
        case AuthorizationData(authenticator):
            return (5, int.from_bytes(authenticator))
        case NetworkPrefix(prefix):
            return (6, prefix.length, prefix.network)
        case RawOption(kind, data):
            return (kind, data)
        case _:
            raise AssertionError(option)


def read_options(header: Any) -> list[tuple[Any, ...]]:
    return [spelled(option) for option in header.options if type(option).__name__ not in {"Pad1", "PadN"}]


def checksum_of(scapy: Any, packet: bytes) -> int:
    """Return the checksum that scapy puts into the same packet."""
    again = scapy.IPv6(packet)
    if scapy.HAO in again:
        # It overlooks a home address that has company, be it padding; alone it pads by itself.
        again[scapy.IPv6ExtHdrDestOpt].options = [again[scapy.HAO]]
        again[scapy.HAO].remove_payload()
    layer = again
    while not hasattr(layer, "cksum"):
        layer = layer.payload
    del layer.cksum
    rebuilt = scapy.IPv6(bytes(again))
    while not hasattr(rebuilt, "cksum"):
        rebuilt = rebuilt.payload
    return int(rebuilt.cksum)


relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@relaxed
@given(words, words, words, closed)
def test_scapy_reads_our_updates(
    scapy: Any, sequence: int, flags: int, lifetime: int, given_options: tuple[Option, ...]
) -> None:
    packet = scapy.IPv6(
        encode_packet(COA, HA, BindingUpdate(sequence, flags, lifetime, given_options), home_address=HOA)
    )
    assert parse_address(packet[scapy.HAO].hoa) == HOA
    header = packet[scapy.MIP6MH_BU]
    assert (header.seq, header.mhtime) == (sequence, lifetime)
    assert int(header.flags) << 9 | header.reserved == flags
    assert read_options(header) == [expected(option) for option in given_options]


@relaxed
@given(octets, words, words, st.booleans(), closed)
def test_scapy_reads_our_acknowledgements(
    scapy: Any, status: int, sequence: int, lifetime: int, router: Any, given_options: tuple[Option, ...]
) -> None:
    message = BindingAcknowledgement(status, sequence, lifetime, 0x40 if router else 0, given_options)
    packet = scapy.IPv6(encode_packet(HA, COA, message, routing_address=HOA))
    assert [parse_address(address) for address in packet[scapy.IPv6ExtHdrRouting].addresses] == [HOA]
    header = packet[scapy.MIP6MH_BA]
    assert (header.status, header.seq, header.mhtime) == (status, sequence, lifetime)
    assert ("R" in str(header.flags)) == router
    assert read_options(header) == [expected(option) for option in given_options]


@pytest.mark.parametrize(
    ("message", "home_address", "routing_address"),
    [
        (BindingUpdate(1, 0xC000, 60), HOA, None),
        (BindingUpdate(0xFFFF, 0xFFFF, 0xFFFF, (BindingIdentifier(1, COA, 5), BindingIdentifier(2))), HOA, None),
        (BindingUpdate(1, 0xC000, 0), None, None),
        (BindingAcknowledgement(0, 1, 60), None, HOA),
        (BindingAcknowledgement(4, 1, 60, 0, (BindingIdentifier(1),)), None, HOA),
        (BindingAcknowledgement(133, 1, 0), None, None),
        (BindingError(2, HOA), None, None),
        (BindingRefreshRequest(), None, None),
        (HomeTestInit(b"homecook"), None, None),
        (CareOfTestInit(b"carecook"), None, None),
        (HomeTest(7, b"homecook", b"hometokn"), None, None),
        (CareOfTest(8, b"carecook", b"caretokn"), None, None),
    ],
)
def test_scapy_has_the_same_checksum(
    scapy: Any, message: Message, home_address: Address | None, routing_address: Address | None
) -> None:
    packet = encode_packet(COA, HA, message, home_address=home_address, routing_address=routing_address)
    offset = 40 + 24 * (home_address is not None) + 24 * (routing_address is not None)
    assert checksum_of(scapy, packet) == int.from_bytes(packet[offset + 4 : offset + 6])


@relaxed
@given(words, st.integers(0, 0x7F), words, st.binary(min_size=16, max_size=16))
def test_we_read_the_updates_of_scapy(scapy: Any, sequence: int, flags: int, lifetime: int, care_of: bytes) -> None:
    packet = (
        scapy.IPv6(src=format_address(COA), dst=format_address(HA))
        / scapy.IPv6ExtHdrDestOpt(options=[scapy.HAO(hoa=format_address(HOA))])
        / scapy.MIP6MH_BU(
            seq=sequence,
            flags=flags,
            mhtime=lifetime,
            options=[
                scapy.MIP6OptAltCoA(acoa=format_address(Address(care_of))),
                scapy.MIP6OptMobNetPrefix(prefix="2001:db8:1:2::", plen=64),
                scapy.MIP6OptNonceIndices(olen=4, hni=3, coni=4),  # its own default length is wrong
            ],
        )
    )
    decoded = decode_packet(bytes(packet))
    assert (decoded.source, decoded.destination, decoded.home_address) == (COA, HA, HOA)
    assert decoded.message == BindingUpdate(
        sequence,
        flags << 9,
        lifetime,
        (
            AlternateCareOf(Address(care_of)),
            NetworkPrefix(Prefix.parse("2001:db8:1:2::/64")),
            NonceIndices(3, 4),
        ),
    )


@relaxed
@given(octets, words, words, words)
def test_we_read_the_acknowledgements_of_scapy(
    scapy: Any, status: int, sequence: int, lifetime: int, interval: int
) -> None:
    packet = (
        scapy.IPv6(src=format_address(HA), dst=format_address(COA))
        / scapy.IPv6ExtHdrRouting(type=2, segleft=1, addresses=[format_address(HOA)])
        / scapy.MIP6MH_BA(
            status=status, seq=sequence, mhtime=lifetime, flags="", options=[scapy.MIP6OptBRAdvice(rinter=interval)]
        )
    )
    decoded = decode_packet(bytes(packet))
    assert (decoded.source, decoded.destination, decoded.routing_address) == (HA, COA, HOA)
    assert decoded.message == BindingAcknowledgement(status, sequence, lifetime, 0, (BindingRefreshAdvice(interval),))


def test_we_read_the_other_messages_of_scapy(scapy: Any) -> None:
    head = scapy.IPv6(src=format_address(HA), dst=format_address(COA))
    for theirs, ours in [
        (scapy.MIP6MH_BE(status=1, ha=format_address(HOA)), BindingError(1, HOA)),
        (scapy.MIP6MH_BRR(), BindingRefreshRequest()),
        (scapy.MIP6MH_HoTI(cookie=b"homecook"), HomeTestInit(b"homecook")),
        (scapy.MIP6MH_CoTI(cookie=b"carecook"), CareOfTestInit(b"carecook")),
    ]:
        assert decode_packet(bytes(head / theirs)).message == ours


def test_scapy_reads_our_parameter_problem(scapy: Any) -> None:
    invoking = encode_packet(COA, HA, BindingUpdate(1, 0xC000, 60), home_address=HOA)
    packet = scapy.IPv6(parameter_problem(HA, COA, 64, invoking))
    error = packet[scapy.ICMPv6ParamProblem]
    assert (error.type, error.code, error.ptr) == (4, 0, 64)
    assert parse_address(error.payload.src) == COA
    assert checksum_of(scapy, parameter_problem(HA, COA, 64, invoking[:-1])) == int.from_bytes(
        parameter_problem(HA, COA, 64, invoking[:-1])[42:44]
    )


def test_scapy_reads_our_tunnel(scapy: Any) -> None:
    inner = ipv6_header(HOA, CN, 59, 0, traffic_class=0xB8)
    packet = scapy.IPv6(encapsulate(inner, COA, HA))
    assert (parse_address(packet.src), parse_address(packet.dst), packet.nh, packet.tc) == (COA, HA, 41, 0xB8)
    assert bytes(packet.payload) == inner
