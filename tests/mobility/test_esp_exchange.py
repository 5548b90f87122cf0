"""ESP between a home agent and its nodes: several care-of addresses, replays, lies about the home address, damage."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.mobility.address import Address
from controller.mobility.events import Dropped
from controller.mobility.node_events import Ignored
from controller.mobility.security.esp import LAST_SEQUENCE, EspSender, make_transform
from controller.mobility.security.esp_packet import seal_packet
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import NO_SECURITY, EspAlgorithm, EspAssociation, EspPolicy
from controller.mobility.wire import (
    AlternateCareOf,
    BindingAcknowledgement,
    BindingIdentifier,
    BindingUpdate,
    Option,
    decode_packet,
    encode_packet,
)
from security_kit import COA1, COA2, COA3, HA, HOA, HOA2, UNIX, Pair, esp

POLICIES = {HOA: esp(), HOA2: esp(first=0x2000)}
ALGORITHMS = list(EspAlgorithm)


class Peer:
    """A node's end of its association, with sequence numbers as the test wants them."""

    def __init__(self, policy: EspPolicy, sequence: int = 0) -> None:
        association = policy.from_node
        self._sender = EspSender(association.spi, make_transform(association, Random(5).randbytes), sequence)
        self._sequence = 0

    def update(self, *options: Option, source: Address = COA1, home: Address | None = HOA, lifetime: int = 60) -> bytes:
        """Return a Binding Update in ESP."""
        self._sequence += 1
        update = BindingUpdate(self._sequence, 0xC000, lifetime, options)
        return self.seal(encode_packet(source, HA, update, home_address=home))

    def seal(self, packet: bytes) -> bytes:
        return seal_packet(self._sender, packet, UNIX)


def bid(number: int, care_of: Address | None = None) -> BindingIdentifier:
    return BindingIdentifier(number, care_of)


def drops(pair: Pair) -> list[str]:
    return [event.reason for event in pair.agent.events() if isinstance(event, Dropped)]


def with_home_address(packet: bytes, home: Address) -> bytes:
    return packet[:48] + home + packet[64:]


def with_source(packet: bytes, source: Address) -> bytes:
    return packet[:8] + source + packet[24:]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_registration_handover_and_removal_are_in_esp(algorithm: EspAlgorithm) -> None:
    pair = Pair({HOA: esp(algorithm)})
    pair.node.attach(1, COA1)
    pair.node.attach(2, COA2)
    pair.node.register(pair.now)
    (packet,) = pair.updates()
    (answer,) = pair.deliver(packet)
    for one, spi in ((packet, 0x1000), (answer, 0x1001)):
        outer = decode_packet(one)
        assert outer.protocol == 50
        assert int.from_bytes(one[outer.payload : outer.payload + 4]) == spi
    assert decode_packet(answer).routing_address == HOA
    pair.answer(answer)
    pair.node.update(1, COA3, pair.now)
    pair.settle()
    assert pair.care_of() == {1: COA3, 2: COA2}
    pair.node.deregister_all(pair.now)
    pair.settle()
    assert pair.care_of() == {}


def test_a_plain_registration_names_its_care_of_address() -> None:
    pair = Pair({HOA: esp()})
    pair.nodes[HOA] = pair.new_node(HOA, multiple_care_of=False)
    pair.register()
    assert pair.care_of() == {0: COA1}
    pair.node.deregister_all(pair.now)
    pair.settle()
    assert pair.care_of() == {}


def test_a_care_of_address_that_esp_does_not_cover_is_not_believed() -> None:
    pair = Pair({HOA: esp()})
    peer = Peer(esp())
    assert pair.deliver(peer.update()) == []
    assert drops(pair) == ["care_of_address"]
    pair.deliver(with_source(peer.update(AlternateCareOf(COA1)), COA3))
    assert pair.care_of() == {0: COA1}


def test_refresh_of_known_identifiers_needs_no_care_of_address() -> None:
    pair = Pair({HOA: esp()})
    peer = Peer(esp())
    pair.deliver(peer.update(bid(1, COA1)), peer.update(bid(1)))
    assert pair.agent.counters["accepted"] == 2
    (answer,) = pair.deliver(peer.update(bid(2)))
    assert pair.agent.counters["refused_167"] == 1
    assert decode_packet(answer).protocol == 50


# What is not proved


def test_a_cleartext_update_is_dropped() -> None:
    pair = Pair(dict(POLICIES))
    assert pair.deliver(encode_packet(COA1, HA, BindingUpdate(1, 0xC000, 60, (bid(1, COA1),)), home_address=HOA)) == []
    assert drops(pair) == ["unprotected"]
    assert pair.state() == ()


def test_the_key_decides_whose_home_address_it_is() -> None:
    pair = Pair(dict(POLICIES))
    mine = Peer(POLICIES[HOA])
    for lie in (
        mine.update(bid(1, COA1), home=HOA2),
        with_home_address(mine.update(bid(1, COA1)), HOA2),
        mine.update(bid(1, COA1), source=HOA2, home=None),
        mine.update(bid(1, COA1), home=None),
    ):
        assert pair.deliver(lie) == []
    assert drops(pair) == ["foreign_association"] * 4
    assert pair.state() == ()


def test_a_node_without_policy_is_not_reached_by_the_key_of_another() -> None:
    pair = Pair({HOA: esp(), HOA2: NO_SECURITY})
    assert pair.deliver(Peer(esp()).update(bid(1, COA1), home=HOA2)) == []
    assert pair.state() == ()


def test_esp_without_association_is_dropped() -> None:
    pair = Pair({HOA: esp(), HOA2: NO_SECURITY})
    stranger = Peer(esp(first=0x3000))
    assert pair.deliver(stranger.update(bid(1, COA1)), stranger.update(bid(1, COA1), home=HOA2)) == []
    assert drops(pair) == ["no_security_association"] * 2


@pytest.mark.parametrize("octets", range(12))
def test_esp_that_ends_too_early(octets: int) -> None:
    pair = Pair({HOA: esp()})
    packet = Peer(esp()).update(bid(1, COA1))[: 64 + octets]
    assert pair.deliver(packet[:4] + (24 + octets).to_bytes(2) + packet[6:]) == []
    assert drops(pair)[0] in {"no_security_association", "integrity"}


def test_a_wrong_key_is_dropped() -> None:
    pair = Pair({HOA: esp()})
    policy = esp()
    association = EspAssociation(policy.from_node.spi, Key(bytes(48)), policy.from_node.algorithm)
    wrong = Peer(EspPolicy(association, policy.to_node))
    assert pair.deliver(wrong.update(bid(1, COA1))) == []
    assert drops(pair) == ["integrity"]


def test_a_genuine_but_malformed_message_is_dropped_without_quoting_it() -> None:
    pair = Pair({HOA: esp()})
    packet = encode_packet(COA1, HA, BindingUpdate(1, 0xC000, 60, (bid(1, COA1),)), home_address=HOA)
    for damaged in (packet[:-1] + b"\x02", packet[:64] + b"\x06" + packet[65:]):
        assert pair.deliver(Peer(esp(), pair.agent.counters["received"] + 1).seal(damaged)) == []
    assert drops(pair) == ["malformed"] * 2


# Replays and several care-of addresses


def test_a_replay_is_dropped_from_whatever_address_it_comes() -> None:
    pair = Pair({HOA: esp()})
    packet = Peer(esp()).update(bid(1, COA1))
    pair.deliver(packet)
    before = pair.state()
    assert pair.deliver(packet, with_source(packet, COA2), with_source(packet, COA3)) == []
    assert drops(pair) == ["replayed"] * 3
    assert pair.state() == before


@pytest.mark.parametrize("window", [64, 1024])
def test_packets_of_a_slow_link_are_accepted_within_the_window(window: int) -> None:
    pair = Pair({HOA: esp(replay_window=window)})
    peer = Peer(esp())
    late = [peer.update(bid(2, COA2), source=COA2) for _ in range(2)]
    fast = [peer.update(bid(1, COA1)) for _ in range(window)]
    pair.deliver(*fast[:-1], late[1], *fast[-1:], late[0])
    # The window is about packets: the sequence number of the Binding Updates, which is older, is another matter.
    assert pair.agent.counters["refused_135"] == 1
    assert drops(pair) == ["replayed"]


@given(st.data())
def test_in_any_order_each_packet_counts_once(data: st.DataObject) -> None:
    pair = Pair({HOA: esp(replay_window=64)})
    peer = Peer(esp())
    links = [COA1, COA2, COA3]
    packets = [peer.update(bid(1 + number % 3, links[number % 3]), source=links[number % 3]) for number in range(12)]
    order = data.draw(st.lists(st.integers(0, 11), min_size=1, max_size=40))
    answers = pair.deliver(*(packets[number] for number in order))
    assert len(answers) == len(set(order))
    newest = max(order)
    highest = {number % 3 + 1: links[number % 3] for number in order}
    assert pair.care_of().items() <= highest.items()
    assert pair.care_of()[newest % 3 + 1] == links[newest % 3]


def test_several_paths_of_different_delay_lose_nothing() -> None:
    """Three links, of which one is a second slower and one ten: a burst of handovers on the fast one closes nobody out."""
    pair = Pair({HOA: esp()})
    peer = Peer(esp())
    links = {COA1: 0.01, COA2: 1.0, COA3: 10.0}
    under_way: list[tuple[float, bytes]] = []
    for step in range(90):
        care_of = list(links)[step % 3]
        bound = bid(1 + step % 3, care_of)
        under_way.append((step / 3 + links[care_of], peer.update(bound, source=care_of)))
    for _, packet in sorted(under_way):
        pair.deliver(packet)
    assert drops(pair) == []
    assert pair.agent.counters["dropped_replayed"] == 0
    assert pair.care_of() == {1: COA1, 2: COA2, 3: COA3}


def restarted(pair: Pair, policy: EspPolicy | None = None) -> Pair:
    """Return a home agent that took over what the store holds of another: records, and marks of transactions."""
    again = Pair({HOA: policy or esp()})
    again.agent.restore(list(pair.agent.records()), pair.marks.values())
    again.now = pair.now
    return again


def test_a_replay_is_dropped_after_a_restart() -> None:
    """Though the record is long gone, and with it the sequence number of the Binding Updates."""
    pair = Pair({HOA: esp()})
    peer = Peer(esp())
    old = [peer.update(bid(1, COA1)), peer.update(lifetime=0)]
    pair.deliver(*old)
    pair.now += 11
    pair.agent.handle_timer(pair.now)
    for transaction in pair.agent.transactions():
        pair.agent.commit(transaction.number, pair.now)
    assert list(pair.agent.records()) == []
    again = restarted(pair)
    assert again.deliver(*old) == []
    assert drops(again) == ["replayed"] * 2
    assert len(again.deliver(peer.update(bid(1, COA1)))) == 1, "what is new counts"
    forgetful = Pair({HOA: esp()})
    assert len(forgetful.deliver(*old)) == 2, "this is what the marks are for"


def test_with_a_new_key_everything_begins_anew() -> None:
    pair = Pair({HOA: esp()})
    pair.deliver(Peer(esp(), 5000).update(bid(1, COA1)))
    policy = replace(esp(), from_node=EspAssociation(0x1000, Key(bytes(range(1, 49)))))
    again = restarted(pair, policy)
    assert len(again.deliver(Peer(policy).update(bid(1, COA1)))) == 1
    assert drops(again) == []


def test_a_window_can_be_turned_off() -> None:
    pair = Pair({HOA: esp(replay_window=0)})
    packet = Peer(esp()).update(bid(1, COA1))
    pair.deliver(packet)
    pair.deliver(packet)
    assert pair.agent.counters["refused_135"] == 1  # what is left is the sequence number of the Binding Update


def test_an_association_that_is_used_up_answers_no_more() -> None:
    pair = Pair({HOA: esp()}, now=LAST_SEQUENCE / 4 + 1_577_836_800 - UNIX + 1)
    assert pair.deliver(Peer(esp()).update(bid(1, COA1))) == []
    assert drops(pair) == ["sequence_exhausted"]
    pair.node.attach(1, COA1)
    pair.node.register(pair.now)
    assert pair.updates() == []
    assert [type(event) for event in pair.node.events()] == [Ignored]
    assert pair.node.next_timer() is None


# The node


def test_a_node_believes_nothing_outside_of_esp() -> None:
    pair = Pair({HOA: esp()})
    pair.node.attach(1, COA1)
    pair.node.register(pair.now)
    (packet,) = pair.updates()
    (answer,) = pair.deliver(packet)
    clear = encode_packet(HA, COA1, BindingAcknowledgement(0, 1, 60, 0, (bid(1),)), routing_address=HOA)
    foreign = Peer(esp(first=0x4000)).seal(clear)
    pair.answer(clear, foreign, answer[:-1] + bytes((answer[-1] ^ 1,)))
    assert [type(event) for event in pair.node.events()] == [Ignored] * 3
    assert not pair.node.bindings
    pair.answer(answer, answer)
    assert len(pair.node.bindings) == 1
    assert "replay" in str(pair.node.events()[-1])


def test_a_restarted_node_is_heard() -> None:
    pair = Pair({HOA: esp()})
    pair.register()
    pair.now += 5
    pair.nodes[HOA] = pair.new_node(HOA)
    pair.register(bid1=COA2)
    assert pair.care_of() == {1: COA2}


# Damage


@pytest.mark.parametrize("algorithm", [EspAlgorithm.AES_128_CBC_SHA_256, EspAlgorithm.AES_128_GCM_16])
@given(data=st.data())
def test_no_damaged_packet_changes_anything(algorithm: EspAlgorithm, data: Any) -> None:
    pair = Pair({HOA: esp(algorithm), HOA2: esp(first=0x2000)})
    peer = Peer(esp(algorithm), 50)
    pair.deliver(peer.update(bid(1, COA1), bid(2, COA2)))
    before = pair.state()
    packet = peer.update(bid(1, COA3))
    damaged = bytearray(packet)
    for bit in data.draw(st.sets(st.integers(0, 8 * len(packet) - 1), min_size=1, max_size=4)):
        damaged[bit // 8] ^= 0x80 >> bit % 8
    pair.deliver(bytes(damaged))
    if pair.state() == before:
        # Nothing happened, not even to the window: the packet itself is still accepted.
        pair.deliver(packet)
    # Otherwise the damage was in the IPv6 header or the padding of the Home Address option, which ESP does not cover.
    assert pair.care_of() == {1: COA3, 2: COA2}
    assert bytes(damaged[64:]) == packet[64:] or pair.agent.counters["accepted"] == 2
