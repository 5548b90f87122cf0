import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.mobility.address import parse_address
from testbed.packets import (
    IPV6,
    MOBILITY,
    checksum,
    encapsulate,
    ipv6,
    mobility_checksum_ok,
    mobility_header,
    parse_udp,
    udp,
    valid_ipv6,
)

_A, _B = parse_address("2001:db8::1"), parse_address("2001:db8:1::2")


@given(st.binary(max_size=200), st.integers(0, 65535), st.integers(0, 65535))
def test_udp_comes_back_as_it_went_in(payload: bytes, source_port: int, destination_port: int) -> None:
    datagram = parse_udp(udp(_A, _B, (source_port, destination_port), payload, hop_limit=9))
    assert datagram is not None
    assert (datagram.source, datagram.destination, datagram.payload, datagram.hop_limit) == (_A, _B, payload, 9)
    assert (datagram.source_port, datagram.destination_port) == (source_port, destination_port)


@given(st.binary(max_size=64), st.data())
def test_one_wrong_bit_is_noticed(payload: bytes, data: st.DataObject) -> None:
    packet = bytearray(udp(_A, _B, (1, 2), payload))
    # Addresses, ports, length, checksum and payload are covered; the rest of the IPv6 header is not (RFC 8200 section 8.1).
    position = data.draw(st.integers(8, len(packet) - 1))
    packet[position] ^= 1 << data.draw(st.integers(0, 7))
    assert parse_udp(bytes(packet)) is None


@given(st.binary(max_size=100))
def test_scapy_agrees_about_the_checksum(payload: bytes) -> None:
    from scapy.layers.inet import UDP
    from scapy.layers.inet6 import IPv6

    packet = udp(_A, _B, (1234, 4321), payload)
    theirs = bytes(IPv6(src="2001:db8::1", dst="2001:db8:1::2", hlim=64) / UDP(sport=1234, dport=4321) / payload)
    assert packet == theirs


def test_a_tunnel_copies_the_traffic_class_and_lowers_the_inner_hop_limit() -> None:
    inner = ipv6(_A, _B, 59, b"", hop_limit=33, traffic_class=0xB9)
    outer = encapsulate(_B, _A, inner)
    assert outer[6] == IPV6
    assert int.from_bytes(outer[:2]) >> 4 & 0xFF == 0xB9
    assert outer[40 + 7] == 32
    assert outer[8:24] == _B


@pytest.mark.parametrize("packet", [b"", bytes(40), b"\x45" + bytes(60), b"\x60" + bytes(3) + b"\x01\x00" + bytes(40)])
def test_what_is_no_whole_ipv6_packet_is_none(packet: bytes) -> None:
    assert valid_ipv6(packet) is None


def test_padding_of_short_ethernet_frames_is_cut_off() -> None:
    packet = ipv6(_A, _B, 59, b"abc")
    assert valid_ipv6(packet + bytes(17)) == packet


def test_the_mobility_checksum_covers_the_home_address_not_the_care_of_address() -> None:
    home, care_of, agent = (parse_address(f"2001:db8::{number}") for number in (100, 200, 1))
    head = bytes((59, 1, 5, 0)) + b"\0\0" + bytes(10)
    value = checksum(home, agent, MOBILITY, head)
    message = head[:4] + value.to_bytes(2) + head[6:]
    # PadN of two octets brings the home address to an offset of 8n+6 (RFC 6275 section 6.3).
    options = bytes((MOBILITY, 2, 1, 2, 0, 0, 201, 16)) + home
    packet = ipv6(care_of, agent, 60, options + message)
    assert mobility_header(packet) == message
    assert mobility_checksum_ok(packet)
    assert not mobility_checksum_ok(ipv6(care_of, agent, MOBILITY, message))
