"""IPv6 in IPv6 at the mobile node's end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.mobility.address import Address, parse_address
from controller.mobility.wire import Malformation, WireError, addresses, decapsulate, encapsulate, ipv6_header

HA = parse_address("2001:db8:0:1::1")
COA = parse_address("2001:db8:a1::1")
HOA = parse_address("2001:db8:0:1::100")
CN = parse_address("2001:db8:c::10")

NOT_ECT, ECT1, ECT0, CE = range(4)


def inner(*, traffic_class: int = 0, flow_label: int = 0, payload: bytes = b"payload", source: Address = HOA) -> bytes:
    header = ipv6_header(source, CN, 17, len(payload), hop_limit=9, traffic_class=traffic_class, flow_label=flow_label)
    return header + payload


@given(st.integers(0, 255), st.integers(0, 0xFFFFF), st.binary(max_size=100))
def test_round_trip(traffic_class: int, flow_label: int, payload: bytes) -> None:
    packet = inner(traffic_class=traffic_class, flow_label=flow_label, payload=payload)
    out = decapsulate(encapsulate(packet + b"link padding", COA, HA))
    assert out.inner == packet
    assert (out.outer_source, out.outer_destination, out.source, out.destination) == (COA, HA, HOA, CN)


def test_outer_header() -> None:
    packet = inner(traffic_class=0xB9, flow_label=7)
    outer = encapsulate(packet, COA, HA, hop_limit=33)
    label = int.from_bytes(outer[:4]) & 0xFFFFF
    assert outer[:40] == ipv6_header(COA, HA, 41, len(packet), hop_limit=33, traffic_class=0xB9, flow_label=label)
    assert label
    assert outer[40:] == packet


def test_flow_label_is_stable_and_spreads() -> None:
    labels = {int.from_bytes(encapsulate(inner(flow_label=flow), COA, HA)[:4]) & 0xFFFFF for flow in range(1000)} | {
        int.from_bytes(encapsulate(inner(flow_label=flow), COA, HA)[:4]) & 0xFFFFF for flow in range(1000)
    }
    assert len(labels) > 990


# RFC 6040 figure 4: inner ECN by row, outer ECN by column (Not-ECT, ECT(1), ECT(0), CE).
ECN = {
    NOT_ECT: (NOT_ECT, NOT_ECT, NOT_ECT, None),
    ECT0: (ECT0, ECT1, ECT0, CE),
    ECT1: (ECT1, ECT1, ECT1, CE),
    CE: (CE, CE, CE, CE),
}


@pytest.mark.parametrize("inner_ecn", ECN)
@pytest.mark.parametrize("outer_ecn", range(4))
def test_ecn(inner_ecn: int, outer_ecn: int) -> None:
    packet = inner(traffic_class=0xA8 | inner_ecn)
    outer = bytearray(encapsulate(packet, HA, COA))
    outer[1] = outer[1] & 0xCF | outer_ecn << 4
    expected = ECN[inner_ecn][outer_ecn]
    if expected is None:
        with pytest.raises(WireError) as caught:
            decapsulate(bytes(outer))
        assert caught.value.reason is Malformation.TUNNEL
    else:
        assert decapsulate(bytes(outer)).inner == inner(traffic_class=0xA8 | expected)


def test_tunnel_encapsulation_limit_is_passed_over() -> None:
    packet = inner()
    limit = bytes.fromhex("29 00 04 01 04 01 01 00")
    outer = ipv6_header(HA, COA, 60, len(limit) + len(packet)) + limit + packet
    assert decapsulate(outer).inner == packet


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        inner(),
        encapsulate(inner(), HA, COA)[:-1],
        ipv6_header(HA, COA, 41, 10) + bytes(10),
        ipv6_header(HA, COA, 41, 60) + b"\x45" + bytes(59),
        ipv6_header(HA, COA, 41, 40) + ipv6_header(CN, HOA, 17, 1),
    ],
)
def test_what_is_no_tunnel_packet(packet: bytes) -> None:
    with pytest.raises(WireError):
        decapsulate(packet)


@pytest.mark.parametrize("packet", [b"", bytes(40), inner()[:-1]])
def test_what_cannot_be_encapsulated(packet: bytes) -> None:
    with pytest.raises(WireError):
        encapsulate(packet, COA, HA)


def test_what_would_be_too_long() -> None:
    with pytest.raises(ValueError, match="65535"):
        encapsulate(inner(payload=bytes(65535)), COA, HA)


def test_addresses() -> None:
    assert addresses(inner()) == (HOA, CN)
