from typing import Any

import pytest

from controller.mobility.address import Address, Prefix, parse_address
from testbed.hosts import Host, Router
from testbed.packets import Datagram, ethernet, ipv6, udp
from testbed.wire import Scheduler, Wire, WireSpec

_CORE_MAC, _CORE_PEER = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"
_AIR_MAC, _AIR_PEER = b"\x02\0\0\0\0\x03", b"\x02\0\0\0\0\x04"
_PREFIX = Prefix.parse("2001:db8:a1::/64")
_MOBILE = parse_address("2001:db8:a1::100")
_FAR = parse_address("2001:db8:c::10")


class _Bench:
    """An access router with bare wires at both sides."""

    def __init__(self, clock: Any) -> None:
        scheduler = Scheduler(clock)
        self.clock = clock
        self.core, self.air = Wire(scheduler, WireSpec(), "core"), Wire(scheduler, WireSpec(), "air")
        self.to_core: list[bytes] = []
        self.to_air: list[bytes] = []
        self.core.a.connect(self.to_core.append)
        self.air.a.connect(self.to_air.append)
        self.router = Router((parse_address("2001:db8:a1::1"),), (_PREFIX,), "core")
        self.router.plug("core", _CORE_MAC, self.core.b, _CORE_PEER)
        self.router.plug("air", _AIR_MAC, self.air.b, _AIR_PEER)

    def from_core(self, packet: bytes) -> None:
        self.core.a.send(ethernet(_CORE_MAC, _CORE_PEER, packet))
        self.clock.turn(0.001)

    def from_air(self, packet: bytes) -> None:
        self.air.a.send(ethernet(_AIR_MAC, _AIR_PEER, packet))
        self.clock.turn(0.001)


@pytest.fixture
def bench(clock: Any) -> _Bench:
    return _Bench(clock)


def _packet(source: Address, destination: Address, hop_limit: int = 64) -> bytes:
    return ipv6(source, destination, 59, b"x", hop_limit=hop_limit)


def test_a_known_neighbour_gets_its_packets_with_a_lower_hop_limit(bench: _Bench) -> None:
    bench.router.add_neighbour(_MOBILE, "air")
    bench.from_core(_packet(_FAR, _MOBILE, 64))
    assert bench.to_air == [ethernet(_AIR_PEER, _AIR_MAC, _packet(_FAR, _MOBILE, 63))]
    assert bench.to_core == []


def test_a_new_care_of_address_is_found_by_its_first_packet(bench: _Bench) -> None:
    bench.from_core(_packet(_FAR, _MOBILE))
    assert bench.to_air == []
    assert bench.router.counters["unknown_neighbour"] == 1
    bench.from_air(_packet(_MOBILE, _FAR))
    bench.from_core(_packet(_FAR, _MOBILE))
    assert bench.to_core == [ethernet(_CORE_PEER, _CORE_MAC, _packet(_MOBILE, _FAR, 63))]
    assert len(bench.to_air) == 1


def test_foreign_sources_are_no_neighbours(bench: _Bench) -> None:
    stranger = parse_address("2001:db8:ffff::1")
    bench.from_air(_packet(stranger, _FAR))
    bench.from_core(_packet(_FAR, stranger))
    assert bench.to_air == []
    # Not in its prefix: back out of the core, as its default route says.
    assert len(bench.to_core) == 2


@pytest.mark.parametrize("hop_limit", [0, 1])
def test_the_last_hop_is_the_last(bench: _Bench, hop_limit: int) -> None:
    bench.router.add_neighbour(_MOBILE, "air")
    bench.from_core(_packet(_FAR, _MOBILE, hop_limit))
    assert bench.to_air == []
    assert bench.router.counters["hop_limit"] == 1


def test_its_own_packets_end_there(bench: _Bench) -> None:
    bench.from_core(_packet(_FAR, parse_address("2001:db8:a1::1")))
    assert (bench.to_air, bench.to_core) == ([], [])
    assert bench.router.counters["mine"] == 1


def test_frames_for_other_stations_are_ignored(bench: _Bench) -> None:
    bench.router.add_neighbour(_MOBILE, "air")
    bench.core.a.send(ethernet(_AIR_PEER, _CORE_PEER, _packet(_FAR, _MOBILE)))
    bench.core.a.send(ethernet(_CORE_MAC, _CORE_PEER, b"\x45" + bytes(50)))
    bench.core.a.send(b"short")
    bench.clock.turn(0.001)
    assert bench.to_air == []


def _host(clock: Any) -> tuple[Host, Wire, list[Datagram]]:
    wire = Wire(Scheduler(clock), WireSpec())
    host = Host((_FAR,))
    host.plug("eth0", _CORE_MAC, wire.b, _CORE_PEER)
    heard: list[Datagram] = []
    host.on_datagram(heard.append)
    return host, wire, heard


def test_a_host_takes_datagrams_for_its_address_only(clock: Any) -> None:
    host, wire, heard = _host(clock)
    for destination in (_FAR, _MOBILE):
        wire.a.send(ethernet(_CORE_MAC, _CORE_PEER, udp(_MOBILE, destination, (1, 2), b"hello")))
    clock.turn(0.001)
    assert [datagram.payload for datagram in heard] == [b"hello"]
    assert host.counters == {"udp": 1, "not_mine": 1}


def test_a_host_refuses_a_wrong_checksum_and_keeps_icmp(clock: Any) -> None:
    host, wire, heard = _host(clock)
    broken = bytearray(udp(_MOBILE, _FAR, (1, 2), b"hello"))
    broken[-1] ^= 1
    icmp = ipv6(_MOBILE, _FAR, 58, bytes((1, 0, 0, 0)))
    wire.a.send(ethernet(_CORE_MAC, _CORE_PEER, bytes(broken)))
    wire.a.send(ethernet(_CORE_MAC, _CORE_PEER, icmp))
    clock.turn(0.001)
    assert (heard, host.icmp) == ([], [icmp])
    assert host.counters == {"bad": 1, "icmpv6": 1}


def test_a_host_sends_to_its_neighbour(clock: Any) -> None:
    host, wire, _ = _host(clock)
    sent: list[bytes] = []
    wire.a.connect(sent.append)
    host.send(_packet(_FAR, _MOBILE))
    clock.turn(0.001)
    assert sent == [ethernet(_CORE_PEER, _CORE_MAC, _packet(_FAR, _MOBILE))]


def test_a_host_without_a_wire_says_so() -> None:
    with pytest.raises(ValueError, match="not plugged in"):
        Host((_FAR,)).send(b"")
