"""Next hops are asked for their Ethernet addresses: what is sent is read with scapy, and answered with it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import Ether

from controller.dataplane import pipeline as p
from controller.fabric.discovery import ATTEMPTS, Neighbour, NeighbourDiscovery, State, with_macs
from controller.fabric.loader import TopologyError, load_topology, parse_topology, sample_topologies
from controller.fabric.paths import routes
from controller.fabric.statics import switch_entries
from controller.mobility.address import Prefix

BASE = (sample_topologies() / "dual-anchor.yaml").read_text()
ROUTER = "fe80::99"
TEXT = BASE.replace(
    'prefixes: ["2001:db8:a1::/64"]}', 'prefixes: ["2001:db8:a1::/64"], interfaces: {core: {discover: "fe80::99"}}}'
)
TOPOLOGY = parse_topology(TEXT)
PORT = ("t2", 3)
OWN = next(one.mac for one in TOPOLOGY.interfaces_of("t2") if one.port == 3)
WIFI = Prefix.parse("2001:db8:a1::/64")
FIRST, SECOND = "02:00:00:00:aa:01", "02:00:00:00:aa:02"


def text_of(mac: int) -> str:
    return ":".join(f"{octet:02x}" for octet in mac.to_bytes(6))


def number_of(mac: str) -> int:
    return int(mac.replace(":", ""), 16)


class World:
    def __init__(self) -> None:
        self.discovery = NeighbourDiscovery(TOPOLOGY, reachable=30, dice=random.Random(1))
        self.now = 100.0

    @property
    def one(self) -> Neighbour:
        return self.discovery.neighbours[PORT]

    def turn(self, seconds: float) -> list[Ether]:
        """Return what was asked meanwhile."""
        asked, end = [], self.now + seconds
        while (due := self.discovery.next_timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.discovery.handle_timer(self.now)
            asked += [Ether(one.frame) for one in self.discovery.outbox()]
        self.now = end
        return asked

    def hear(self, frame: Ether, port: tuple[str, int] = PORT) -> bool:
        return self.discovery.receive(*port, bytes(frame), self.now)


def advertisement(mac: str | None = FIRST, *, solicited: int = 1, override: int = 1, **fields: object) -> Ether:
    target = {"tgt": ROUTER, "R": 1, "S": solicited, "O": override} | fields
    packet = IPv6(src=ROUTER, dst="fe80::1", hlim=255) / ICMPv6ND_NA(**target)
    if mac is not None:
        packet /= ICMPv6NDOptDstLLAddr(lladdr=mac)
    return Ether(dst=text_of(OWN), src=mac or FIRST) / packet


def answered() -> World:
    world = World()
    world.turn(0)
    assert world.hear(advertisement())
    assert (world.one.state, world.one.mac) == (State.REACHABLE, number_of(FIRST))
    return world


def test_it_is_asked_for_as_a_router_asks() -> None:
    (asked,) = World().turn(0)
    assert (asked.dst, asked.src) == ("33:33:ff:00:00:99", text_of(OWN))
    assert (asked[IPv6].dst, asked[IPv6].hlim) == ("ff02::1:ff00:99", 255)
    assert asked[ICMPv6ND_NS].tgt == ROUTER
    assert asked[ICMPv6NDOptSrcLLAddr].lladdr == text_of(OWN)
    again = IPv6(bytes(asked[IPv6]))
    del again[ICMPv6ND_NS].cksum
    assert bytes(again) == bytes(asked[IPv6]), "its checksum is right"


def test_what_it_answers_is_where_packets_go() -> None:
    before = routes(TOPOLOGY, "t2")[WIFI]
    told = with_macs(TOPOLOGY, answered().discovery.learned)
    after = routes(told, "t2")[WIFI]
    assert (after.port, after.source_mac) == (before.port, before.source_mac)
    assert after.destination_mac == number_of(FIRST) != before.destination_mac
    changed = set(switch_entries(TOPOLOGY, "t2")) ^ set(switch_entries(told, "t2"))
    assert {entry.table for entry in changed} == {p.NEXT_HOPS}, "routes stay as they are"


def test_only_a_switch_with_such_a_neighbour_hands_neighbour_discovery_up() -> None:
    tables = {name: [entry.table for entry in switch_entries(TOPOLOGY, name)] for name in ("t1", "t2")}
    assert (tables["t1"].count(p.SIGNALLING), tables["t2"].count(p.SIGNALLING)) == (0, 4)


def test_who_does_not_answer_is_asked_less_often() -> None:
    asked = World().turn(62)
    assert len(asked) == ATTEMPTS + 12
    assert all(one.dst == "33:33:ff:00:00:99" for one in asked)


def test_an_answer_gets_old_and_the_neighbour_is_asked_alone() -> None:
    world = answered()
    assert not world.turn(14.9), "half of 30 seconds at least"
    (first, *_) = asked = world.turn(32)
    assert (first.dst, first[IPv6].dst) == (FIRST, ROUTER)
    assert len(asked) >= 1
    assert not world.hear(advertisement()), "nothing changed"
    assert world.one.state is State.REACHABLE


def test_one_that_is_gone_keeps_its_address_until_another_is_told() -> None:
    world = answered()
    asked = world.turn(60)
    assert [one.dst for one in asked[:ATTEMPTS]] == [FIRST] * ATTEMPTS
    assert {one.dst for one in asked[ATTEMPTS:]} == {"33:33:ff:00:00:99"}
    assert (world.one.state, world.one.mac) == (State.INCOMPLETE, number_of(FIRST))
    assert world.hear(advertisement(SECOND, override=0))
    assert world.discovery.learned == {("wifi", "core"): number_of(SECOND)}


@pytest.mark.parametrize(
    ("frame", "mac", "state"),
    [
        (advertisement(SECOND, solicited=0, override=1), SECOND, State.PROBE),
        (advertisement(SECOND, solicited=1, override=1), SECOND, State.REACHABLE),
        (advertisement(SECOND, solicited=1, override=0), FIRST, State.PROBE),
        (advertisement(SECOND, solicited=0, override=0), FIRST, State.PROBE),
        (advertisement(None, solicited=1, override=1), FIRST, State.REACHABLE),
        (advertisement(FIRST, solicited=0, override=1), FIRST, State.REACHABLE),
    ],
    ids=["unsolicited", "override", "another one", "another one, unsolicited", "no option", "no news"],
)
def test_advertisements_count_as_the_rfc_has_it(frame: Ether, mac: str, state: State) -> None:
    """RFC 4861 section 7.2.5, and appendix C."""
    world = answered()
    world.hear(frame)
    assert (world.one.mac, world.one.state) == (number_of(mac), state)


def test_a_neighbour_that_asks_says_where_it_is_and_is_answered() -> None:
    world = answered()
    own = str(IPv6(World().turn(0)[0][IPv6].build()).src)
    question = IPv6(src=ROUTER, dst=own, hlim=255) / ICMPv6ND_NS(tgt=own) / ICMPv6NDOptSrcLLAddr(lladdr=SECOND)
    assert world.hear(Ether(dst=text_of(OWN), src=SECOND) / question)
    assert (world.one.state, world.one.mac) == (State.PROBE, number_of(SECOND))
    (sent,) = world.discovery.outbox()
    answer = Ether(sent.frame)
    assert (answer.dst, answer[ICMPv6ND_NA].tgt, answer[ICMPv6ND_NA].S) == (SECOND, own, 1)


@pytest.mark.parametrize(
    "frame",
    [
        advertisement(SECOND, tgt="fe80::98"),
        advertisement("33:33:00:00:00:01"),
        advertisement("00:00:00:00:00:00"),
        Ether(bytes(advertisement(SECOND))[:70]),
        Ether() / IPv6(src=ROUTER, dst="fe80::1", hlim=64) / ICMPv6ND_NA(tgt=ROUTER, O=1) / ICMPv6NDOptDstLLAddr(),
        Ether() / IPv6(src=ROUTER, dst="fe80::1", hlim=255) / ICMPv6ND_NA(tgt=ROUTER, code=1),
        Ether() / IPv6(src=ROUTER, dst="fe80::1", hlim=255) / ICMPv6ND_NA(tgt=ROUTER, cksum=1),
    ],
    ids=["another target", "a group", "nobody", "cut short", "from afar", "a code", "a wrong checksum"],
)
def test_what_is_not_believed(frame: Ether) -> None:
    world = answered()
    assert not world.hear(frame)
    assert world.one.mac == number_of(FIRST)


def test_a_port_has_its_own_neighbour() -> None:
    world = World()
    assert not world.hear(advertisement(), ("t2", 4))
    assert not world.hear(advertisement(), ("nobody", 3))
    assert not world.discovery.learned


@given(st.binary(max_size=200))
def test_nonsense_never_raises(noise: bytes) -> None:
    discovery = NeighbourDiscovery(TOPOLOGY)
    assert not discovery.receive(*PORT, noise, 1.0)
    discovery.receive(*PORT, bytes(advertisement())[:54] + noise, 1.0)
    assert len(discovery.neighbours) == 1


def test_without_such_neighbours_there_is_nothing_to_do() -> None:
    discovery = NeighbourDiscovery(load_topology(sample_topologies() / "dual-anchor.yaml"))
    assert discovery.next_timer() is None


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("wlan0: {bid: 1,", 'wlan0: {discover: "fe80::1", bid: 1,', "is no P4 switch"),
        ('discover: "fe80::99"', 'discover: "ff02::1"', "not a routable unicast address"),
        ('discover: "fe80::99"', 'discover: "nonsense"', "discover"),
    ],
)
def test_what_makes_no_sense_is_refused(old: str, new: str, reason: str) -> None:
    with pytest.raises(TopologyError, match=reason):
        parse_topology(TEXT.replace(old, new))
