"""IPv4 packets for a node with an IPv4 home address, against scapy, which builds what goes in and reads what comes out."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, defragment6
from scapy.packet import Raw

from controller.mobility.address import Address, parse_address, parse_ipv4
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork, NodeProvision
from controller.mobility.wire import BindingIdentifier, BindingUpdate, encode_packet
from controller.mobility.wire.codes import IcmpType
from controller.mobility.wire.icmp import icmp_packet
from route_world import COA, HA, HOA, HOME

V4, AGENT_V4, CN_V4 = "198.51.100.7", "198.51.100.1", "203.0.113.9"
ROUTER = parse_address("2001:db8:ffff::1")


class Bench:
    def __init__(self, **config: Any) -> None:
        node = NodeProvision(HOA, home_ipv4=parse_ipv4(V4))
        self.engine = HomeAgent(
            HomeAgentConfig((HomeNetwork(HOME, HA),), {HOA: node}, ipv4=parse_ipv4(AGENT_V4), **config)
        )
        self.now = 0.0

    def register(self, *bids: int) -> Bench:
        options = tuple(BindingIdentifier(bid, COA[bid], 10 * bid) for bid in bids)
        update = BindingUpdate(1, 0xC000, 60, options)
        self.engine.receive(encode_packet(COA[bids[0]], HA, update, home_address=HOA), self.now)
        for transaction in self.engine.transactions():
            self.engine.commit(transaction.number, self.now)
        self.engine.outbox()
        return self

    def send(self, packet: bytes) -> list[bytes]:
        self.engine.receive(packet, self.now)
        return self.engine.outbox()

    def error(self, packet: bytes) -> Any:
        """Return the one ICMPv4 error, its checksums verified."""
        (octets,) = self.send(packet)
        return read_error(octets)


def read_error(octets: bytes) -> Any:
    answer = IP(octets)
    rebuilt = answer.copy()
    del rebuilt.chksum
    del rebuilt[ICMP].chksum
    assert bytes(rebuilt) == octets, "scapy computes the same checksums and lengths"
    assert (answer.src, answer.dst, answer.proto) == (AGENT_V4, CN_V4, 1)
    assert len(octets) <= 576
    return answer


def datagram(size: int = 100, *, df: bool = True, **fields: Any) -> bytes:
    """Return an IPv4 packet with a datagram of that many octets in all."""
    header = IP(**({"src": CN_V4, "dst": V4, "flags": "DF" if df else 0} | fields))
    return bytes(header / UDP(sport=4000, dport=5000) / Raw((bytes(range(256)) * 8)[: size - 28]))


@pytest.fixture
def bench() -> Bench:
    return Bench().register(2, 1)


def test_a_packet_goes_into_the_tunnel_of_the_preferred_binding(bench: Bench) -> None:
    packet = datagram(tos=0xB8 | 1, ttl=9)
    (octets,) = bench.send(packet)
    outer = IPv6(octets)
    assert (octets[8:24], octets[24:40]) == (HA, COA[1])
    assert (outer.nh, outer.tc, outer.hlim) == (4, 0xB9, 64), "traffic class copied, ECN with it"
    assert outer.fl
    inner = IP(octets[40:])
    expected = IP(packet)
    expected.ttl = 8
    del expected.chksum
    assert bytes(inner) == bytes(expected)


def test_a_packet_that_is_too_big_and_must_not_be_fragmented_is_answered(bench: Bench) -> None:
    """RFC 2473 section 7.2 (a), RFC 1191 section 4."""
    packet = datagram(1461)
    answer = bench.error(packet)
    assert (answer[ICMP].type, answer[ICMP].code, answer[ICMP].nexthopmtu) == (3, 4, 1460)
    assert answer.tos == 0xC0
    assert answer.original[28:] == packet[:548]
    assert len(bench.send(datagram(1460))) == 1


def test_a_packet_that_may_be_fragmented_goes_in_outer_fragments(bench: Bench) -> None:
    """RFC 2473 section 7.2 (b): the inner packet stays whole."""
    packet = datagram(1461, df=False)
    pieces = bench.send(packet)
    assert len(pieces) == 2
    assert all(len(piece) <= 1500 for piece in pieces)
    whole = defragment6([IPv6(piece) for piece in pieces])
    assert IPv6ExtHdrFragment not in whole
    inner = IP(bytes(whole)[40:])
    assert (inner.len, inner.ttl, bytes(inner)[20:]) == (1461, 63, packet[20:])


def too_big(inner: bytes, mtu: int, *, care_of: Address = COA[1], kind: IcmpType = IcmpType.PACKET_TOO_BIG) -> bytes:
    """Return an error about a packet that was in the tunnel."""
    outer = bytes(IPv6(src=socket_text(HA), dst=socket_text(care_of), nh=4) / Raw(inner))
    return icmp_packet(ROUTER, HA, kind, struct.pack("!I", mtu) + outer[:1200])


def socket_text(address: bytes) -> str:
    return ":".join(f"{int.from_bytes(address[at : at + 2]):x}" for at in range(0, 16, 2))


def test_an_error_from_the_tunnel_shrinks_it(bench: Bench) -> None:
    """RFC 2473 section 8.3: the MTU less the tunnel header."""
    answer = bench.error(too_big(datagram(1400), 1300))
    assert (answer[ICMP].type, answer[ICMP].code, answer[ICMP].nexthopmtu) == (3, 4, 1260)
    assert bench.error(datagram(1261))[ICMP].nexthopmtu == 1260
    assert len(bench.send(datagram(1260))) == 1
    bench.now = 700.0
    assert len(bench.send(datagram(1400))) == 1, "the path may have become wider: RFC 8201 section 4"


def test_without_df_an_error_from_the_tunnel_is_the_home_agents_alone(bench: Bench) -> None:
    assert bench.send(too_big(datagram(1400, df=False), 1300)) == []
    assert len(bench.send(datagram(1400, df=False))) == 2


@pytest.mark.parametrize("kind", [IcmpType.DESTINATION_UNREACHABLE, IcmpType.TIME_EXCEEDED])
def test_an_unreachable_tunnel_is_an_unreachable_host(bench: Bench, kind: IcmpType) -> None:
    answer = bench.error(too_big(datagram(), 0, kind=kind))
    assert (answer[ICMP].type, answer[ICMP].code) == (3, 1)


@pytest.mark.parametrize("flaw", ["care-of address", "home address", "checksum", "not ours", "parameter problem"])
def test_an_error_about_no_tunnel_of_ours_does_nothing(bench: Bench, flaw: str) -> None:
    packet = {
        "care-of address": too_big(datagram(), 1300, care_of=COA[4]),
        "home address": too_big(bytes(IP(src=CN_V4, dst="198.51.100.8") / UDP() / Raw(bytes(20))), 1300),
        "checksum": too_big(datagram(), 1300)[:-1] + b"\x55",
        "not ours": icmp_packet(
            ROUTER, HA, IcmpType.PACKET_TOO_BIG,
            struct.pack("!I", 1300) + bytes(IPv6(src="2001:db8:c::1", dst=socket_text(COA[1]), nh=4)) + datagram(),
        ),
        "parameter problem": too_big(datagram(), 0, kind=IcmpType.PARAMETER_PROBLEM),
    }[flaw]  # fmt: skip
    assert bench.send(packet) == []
    assert len(bench.send(datagram(1400))) == 1


def test_time_to_live(bench: Bench) -> None:
    for ttl in (0, 1):
        answer = bench.error(datagram(ttl=ttl))
        assert (answer[ICMP].type, answer[ICMP].code) == (11, 0)


def test_a_node_without_binding_is_unreachable() -> None:
    answer = Bench().error(datagram())
    assert (answer[ICMP].type, answer[ICMP].code) == (3, 1)


def test_an_address_of_nobody_is_none_of_our_business(bench: Bench) -> None:
    assert bench.send(bytes(IP(src=CN_V4, dst="198.51.100.8") / UDP() / Raw(bytes(20)))) == []
    assert bench.engine.counters["dropped_not_for_us"] == 1


@pytest.mark.parametrize(
    "packet",
    [
        datagram(1461, src="224.0.0.1"),
        datagram(1461, src="0.0.0.0"),
        datagram(1461, src="127.0.0.1"),
        datagram(1461, src="255.255.255.255"),
        datagram(1461, frag=3),
        bytes(IP(src=CN_V4, dst=V4, flags="DF") / ICMP(type=3, code=1) / Raw(bytes(1450))),
        bytes(IP(src=CN_V4, dst=V4, flags="DF", proto=1)) + b"",
    ],
    ids=["multicast", "unspecified", "loopback", "broadcast", "later fragment", "an error", "icmp cut"],
)
def test_no_error_about(bench: Bench, packet: bytes) -> None:
    """RFC 1122 section 3.2.2, RFC 1812 section 4.3.2.7."""
    assert [one for one in bench.send(packet) if one[0] >> 4 == 4] == []


def test_an_echo_request_is_answered_with_an_error(bench: Bench) -> None:
    packet = bytes(IP(src=CN_V4, dst=V4, flags="DF") / ICMP(type=8) / Raw(bytes(1500)))
    assert bench.error(packet)[ICMP].nexthopmtu == 1460


@pytest.mark.parametrize("flaw", ["short", "header length", "total length", "checksum", "empty"])
def test_what_is_no_ipv4_packet_is_dropped(bench: Bench, flaw: str) -> None:
    good = datagram()
    packet = {
        "short": good[:19],
        "header length": b"\x44" + good[1:],
        "total length": good[:2] + b"\x00\x10" + good[4:],
        "checksum": good[:10] + bytes((good[10] ^ 1,)) + good[11:],
        "empty": b"\x45",
    }[flaw]
    assert bench.send(packet) == []
    assert bench.engine.counters["dropped_malformed"] == 1


def test_padding_of_a_frame_is_left_out(bench: Bench) -> None:
    (octets,) = bench.send(datagram(40) + bytes(6))
    assert len(octets) == 80


def test_errors_are_limited(bench: Bench) -> None:
    assert sum(len(bench.send(datagram(1461))) for _ in range(1000)) == 20


def test_a_source_is_limited() -> None:
    bench = Bench(source_rate=10.0, source_burst=5).register(1)
    assert sum(len(bench.send(datagram())) for _ in range(100)) == 5
    assert bench.engine.counters["dropped_source_rate"] == 95


@given(st.binary(max_size=120), st.integers(0, 40), st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_nothing_raises(tail: bytes, at: int, value: int) -> None:
    bench = Bench().register(1)
    packet = bytearray(datagram(28 + len(tail)) + tail)
    packet[at % len(packet)] = value
    bench.send(bytes(packet))
    bench.send(too_big(bytes(packet), 1280))
    bench.send(b"\x45" + tail)
