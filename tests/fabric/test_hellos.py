"""Watching links with hellos: two switches, a wire that the test holds, and a clock that it turns."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.lldp import LLDPDU, LLDPDUChassisID, LLDPDUPortID
from scapy.layers.l2 import Ether

from controller.fabric import hellos
from controller.fabric.hellos import LinkEnd, LinkWatch, Refusal
from controller.fabric.loader import load_topology, sample_topologies

TOPOLOGY = load_topology(sample_topologies() / "dual-anchor.yaml")
SWITCHES = frozenset(TOPOLOGY.switches)
WATCHED = {0, 1, 2, 3}
KEY = bytes(range(32))
INTERVAL = 0.25


@dataclass
class World:
    """The links of a topology between a watch and itself; those in `cut` lose what enters them at that end."""

    watch: LinkWatch = field(default_factory=lambda: LinkWatch(TOPOLOGY, KEY, interval=INTERVAL, misses=3, hold=2.0))
    now: float = 100.0
    cut: set[LinkEnd] = field(default_factory=set)
    in_service: frozenset[str] = SWITCHES
    seen: list[tuple[LinkEnd, bytes]] = field(default_factory=list)
    """What arrived, and where."""
    changes: int = 0

    def __post_init__(self) -> None:
        self.peers: dict[LinkEnd, LinkEnd] = {}
        for one in TOPOLOGY.interfaces:
            if one.port is not None and one.peer.node in SWITCHES:
                self.peers[one.node, one.port] = (one.peer.node, int(one.peer.interface))

    def turn(self, ticks: int = 1) -> None:
        for _ in range(ticks):
            due = self.watch.next_timer()
            assert due is not None
            self.now = max(self.now, due)
            self.changes += self.watch.handle_timer(self.now, self.in_service)
            for frame in self.watch.outbox():
                end = (frame.switch, frame.port)
                if end not in self.cut:
                    self.seen.append((self.peers[end], frame.frame))
                    self.watch.receive(*self.peers[end], frame.frame)


def test_sound_links_are_not_lost() -> None:
    world = World()
    world.turn(50)
    assert (world.watch.lost, world.changes, world.watch.refused) == (frozenset(), 0, {})
    assert {end for end, _ in world.seen} == set(world.peers), "every direction of every link between P4 switches"


@pytest.mark.parametrize("ends", [[("t1", 1)], [("a1", 1)], [("t1", 1), ("a1", 1)]], ids=["there", "back", "both"])
def test_a_link_is_lost_when_one_direction_carries_nothing(ends: list[LinkEnd]) -> None:
    world = World()
    world.turn(4)
    world.cut.update(ends)
    began = world.now
    while not world.watch.lost:
        world.turn()
    assert world.watch.lost == {0}
    assert world.now - began <= 4 * INTERVAL, "the last hello that came, and three that did not"


def test_a_link_that_returns_is_taken_back_after_a_while() -> None:
    world = World()
    world.turn(4)
    world.cut.add(("t1", 1))
    world.turn(6)
    world.cut.clear()
    world.turn(6)
    assert world.watch.lost == {0}
    world.cut.add(("t1", 1))
    world.turn(1)
    world.cut.clear()
    world.turn(7)
    assert world.watch.lost == {0}, "one hello was lost meanwhile: the time begins anew"
    world.turn(4)
    assert world.watch.lost == frozenset()
    assert world.changes == 2


def test_a_controller_that_was_held_up_finds_no_link_lost() -> None:
    world = World()
    world.turn(4)
    world.now += 60
    world.turn(10)
    assert world.changes == 0


def test_links_that_never_carried_anything_are_found() -> None:
    world = World()
    world.cut.add(("a2", 2))
    world.turn(8)
    assert world.watch.lost == {3}


def test_of_a_switch_that_is_away_nothing_is_concluded() -> None:
    world = World()
    world.turn(4)
    world.cut.add(("t1", 1))
    world.turn(6)
    assert world.watch.lost == {0}
    world.in_service = SWITCHES - {"a1", "a2"}
    before = len(world.seen)
    world.turn(20)
    assert world.watch.lost == {0}
    assert len(world.seen) == before, "there is nobody to hear"
    world.in_service = SWITCHES
    world.cut.clear()
    world.turn(3)
    assert world.watch.lost == {0}
    world.turn(10)
    assert world.watch.lost == frozenset()


def test_a_hello_is_an_lldp_frame_that_others_can_read() -> None:
    world = World()
    world.turn()
    frame = next(frame for end, frame in world.seen if end == ("a1", 1))
    read = Ether(frame)
    assert read.dst == "01:80:c2:00:00:0e"
    assert LLDPDU in read
    assert (read[LLDPDUChassisID].id, read[LLDPDUPortID].id) == (b"t1", b"1")
    mac = next(one.mac for one in TOPOLOGY.interfaces_of("t1") if one.port == 1)
    assert read.src == ":".join(f"{octet:02x}" for octet in mac.to_bytes(6))


def test_what_does_not_count() -> None:
    world = World()
    world.turn(3)
    world.cut.update(world.peers)
    watch = world.watch
    genuine = [frame for end, frame in world.seen if end == ("a1", 1)]
    assert watch.receive("a1", 1, genuine[-1]) is Refusal.REPLAYED
    assert watch.receive("a1", 1, genuine[0]) is Refusal.REPLAYED
    assert watch.receive("a1", 2, genuine[-1]) is Refusal.MISWIRED
    assert watch.receive("nobody", 7, genuine[-1]) is Refusal.MISWIRED
    other = LinkWatch(TOPOLOGY, bytes(32))
    other.handle_timer(0, SWITCHES)
    assert {watch.receive("a1", 1, one.frame) for one in other.outbox()} == {Refusal.FORGED}
    assert watch.receive("a1", 1, genuine[0][:12] + b"\x86\xdd" + genuine[0][14:]) is Refusal.MALFORMED
    assert watch.receive("a1", 1, genuine[0] + bytes(300)) is Refusal.MALFORMED
    plain = hellos.DESTINATION + bytes(6) + hellos.ETHERTYPE + bytes.fromhex("0202 0761 0402 0731 0602 0078 0000")
    assert watch.receive("a1", 1, plain) is Refusal.FOREIGN
    world.turn(4)
    assert watch.lost == WATCHED, "none of these was taken for a hello"


def test_every_bit_of_a_hello_is_guarded() -> None:
    watch = LinkWatch(TOPOLOGY, KEY)
    watch.handle_timer(0, SWITCHES)
    frame = next(one.frame for one in watch.outbox() if (one.switch, one.port) == ("t1", 1))
    end = len(frame) - 2
    for place in range(14, end):
        bent = frame[:place] + bytes((frame[place] ^ 1,)) + frame[place + 1 :]
        ttl = frame.index(b"\x06\x02\x00") + 3
        if place not in {ttl, ttl - 1, *_subtypes(frame)}:
            assert watch.receive("a1", 1, bent) in {Refusal.FORGED, Refusal.FOREIGN, Refusal.MALFORMED}, place
    assert watch.receive("a1", 1, frame) is None


def _subtypes(frame: bytes) -> set[int]:
    """Return where identifiers say of what kind they are: that decides nothing."""
    chassis = 16
    return {chassis, chassis + len(b"\x07t1") + 2}


@given(st.binary(max_size=300))
def test_nonsense_never_raises_and_never_counts(noise: bytes) -> None:
    watch = LinkWatch(TOPOLOGY, KEY)
    assert watch.receive("a1", 1, noise) is Refusal.MALFORMED
    assert watch.receive("a1", 1, bytes(12) + hellos.ETHERTYPE + noise) in {Refusal.MALFORMED, Refusal.FOREIGN}


def test_state_is_bounded_whatever_comes() -> None:
    world = World()
    world.cut.update(world.peers)
    world.turn(200)
    dice = random.Random(1)
    for _ in range(2000):
        world.watch.receive(
            "a1", dice.randrange(4), hellos.DESTINATION + bytes(6) + hellos.ETHERTYPE + dice.randbytes(40)
        )
    assert all(len(one.due) <= hellos.UNDER_WAY for link in world.watch._links for one in link.directions)
    assert set(world.watch.refused) <= set(Refusal)
