"""What routers in tunnels say of the way: believed, passed on to whoever programs switches, forgotten in time."""

from collections.abc import Callable

import pytest
from scapy.layers.inet import UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6
from scapy.packet import Raw

from conformance.harness import CN, COA1, COA2, HA, HOA, Bed
from controller.mobility.address import Address
from controller.mobility.path_mtus import LEARNING_BURST, LEARNING_RATE, MTU_AGE, PathMtus

ROUTER = "2001:db8:ffff::1"
CARE_OF, OTHER = Address(COA1), Address(COA2)


def text(address: bytes) -> str:
    return ":".join(f"{int.from_bytes(address[at : at + 2]):x}" for at in range(0, 16, 2))


def too_big(mtu: int, *, size: int = 1400, care_of: bytes = COA1, home: bytes = HOA, source: bytes = HA) -> bytes:
    """Return what a router answers to a packet of that size in the tunnel."""
    inner = IPv6(src=text(CN), dst=text(home)) / UDP(sport=1, dport=2) / Raw(bytes(size - 48))
    outer = bytes(IPv6(src=text(source), dst=text(care_of)) / inner)
    return bytes(IPv6(src=ROUTER, dst=text(HA)) / ICMPv6PacketTooBig(mtu=mtu) / Raw(outer[:1232]))


@pytest.fixture
def bed() -> Bed:
    bed = Bed()
    bed.register(source=COA1)
    return bed


def test_a_change_is_told_once(bed: Bed) -> None:
    assert bed.engine.path_mtu_changes() == []
    bed.send(too_big(1400))
    assert bed.engine.path_mtu_changes() == [CARE_OF]
    assert bed.engine.learnt_mtu(CARE_OF) == 1360
    assert bed.engine.path_mtu_changes() == []
    bed.send(too_big(1400))
    assert bed.engine.path_mtu_changes() == [], "nothing new"
    bed.send(too_big(1300))
    bed.send(too_big(900))
    assert bed.engine.path_mtu_changes() == [CARE_OF]
    assert bed.engine.learnt_mtu(CARE_OF) == 1240, "every link carries 1280 octets"
    bed.send(too_big(1400))
    assert bed.engine.learnt_mtu(CARE_OF) == 1240, "an error never widens a path"


def test_it_is_forgotten_after_ten_minutes(bed: Bed) -> None:
    bed.register(source=COA1, lifetime=1000)
    bed.send(too_big(1400))
    bed.advance(300)
    bed.send(too_big(1400))
    bed.engine.path_mtu_changes()
    bed.advance(MTU_AGE - 1)
    assert bed.engine.learnt_mtu(CARE_OF) == 1360, "it was heard again meanwhile"
    bed.advance(1)
    assert bed.engine.path_mtu_changes() == [CARE_OF]
    assert bed.engine.learnt_mtu(CARE_OF) is None


def test_it_goes_with_the_binding(bed: Bed) -> None:
    bed.send(too_big(1400))
    bed.engine.path_mtu_changes()
    bed.register(source=COA2)
    assert bed.engine.learnt_mtu(CARE_OF) is None
    assert bed.engine.path_mtu_changes() == [CARE_OF]


@pytest.mark.parametrize(
    "forged",
    [
        lambda: too_big(1400, care_of=COA2),
        lambda: too_big(1400, source=CN),
        lambda: too_big(1400, home=bytes(HOA[:-1]) + b"\xee"),
        lambda: too_big(1400, size=1360),
        lambda: too_big(1400)[:40] + bytes((too_big(1400)[40],)) + bytes(3) + too_big(1400)[44:],
        lambda: too_big(1400)[:100],
    ],
    ids=["other tunnel", "not ours", "nobody's packet", "not too big", "checksum", "cut"],
)
def test_what_cannot_be_about_a_packet_of_ours_is_not_believed(bed: Bed, forged: Callable[[], bytes]) -> None:
    bed.send(forged())
    assert bed.engine.path_mtu_changes() == []
    assert bed.engine.learnt_mtu(CARE_OF) is None


def error(mtu: int) -> bytes:
    """Return the message alone: a router's, about a packet of 1500 octets."""
    return bytes((2, 0, 0, 0)) + mtu.to_bytes(4) + bytes((0x60, 0, 0, 0)) + (1460).to_bytes(2) + bytes(34)


def test_not_more_are_believed_than_switches_can_follow() -> None:
    paths = PathMtus()
    addresses = [Address(number.to_bytes(16)) for number in range(LEARNING_BURST + 50)]
    assert [paths.learn(address, error(1300), 5.0) for address in addresses].count(True) == LEARNING_BURST
    assert len(paths.changes()) == LEARNING_BURST
    assert paths.learn(addresses[-1], error(1300), 5.0 + 2 / LEARNING_RATE)
