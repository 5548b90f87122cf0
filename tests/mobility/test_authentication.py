"""RFC 4285 between a home agent and its node: what is proved passes, all else changes nothing."""

import hashlib
import hmac
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.mobility.address import Address
from controller.mobility.events import Dropped, Refused
from controller.mobility.node_events import Ignored, RegistrationRefused
from controller.mobility.security.authentication import find_authenticators, sign
from controller.mobility.security.home_guard import REFUSAL_BURST
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import NO_SECURITY, AuthPolicy
from controller.mobility.security.replay import TimestampGuard, ntp_difference, to_ntp
from controller.mobility.wire import (
    BindingAcknowledgement,
    BindingIdentifier,
    BindingUpdate,
    MessageAuthentication,
    MessageIdentifier,
    MobileNodeIdentifier,
    Option,
    RawOption,
    decode_packet,
    encode_message,
    encode_packet,
)
from security_kit import AUTH, AUTH_KEY, COA1, COA2, HA, HOA, HOA2, UNIX, Pair

V17 = bytes.fromhex(
    """3b 07 05 00 32 3f 00 0a c0 00 00 3c 08 10 01 6d 6e 31 40 65 78 61 6d 70 6c 65 2e 63 6f 6d 01 02
    00 00 0a 08 e0 00 00 00 12 34 56 78 00 09 11 01 00 00 01 00 b5 ec 6b 9c 24 9e e4 a2 e4 6b 53 23"""
)
NAI = b"mn1@example.com"


def packet_of(header: bytes, care_of: Address = COA1, home: Address = HOA) -> bytes:
    """Return a Mobility Header in its packet, byte by byte."""
    options = bytes((135, 2, 1, 2, 0, 0, 0xC9, 16)) + home
    payload = options + header
    return struct.pack("!IHBB", 6 << 28, len(payload), 60, 64) + care_of + HA + payload


def signed(
    *options: Option,
    key: Key = AUTH_KEY,
    spi: int = 256,
    care_of: Address = COA1,
    home: Address = HOA,
    sequence: int = 1,
    aaa_key: Key | None = None,
) -> bytes:
    """Return a signed Binding Update."""
    update = BindingUpdate(sequence, 0xC000, 60, options)
    header = sign(update, key, spi, care_of, home, HA, from_home_agent=False, aaa_key=aaa_key)
    return packet_of(header, care_of, home)


def stamp(pair: Pair, ahead: float = 0.0) -> MessageIdentifier:
    return MessageIdentifier(to_ntp(UNIX + pair.now + ahead))


def only(packets: list[bytes]) -> BindingAcknowledgement:
    (packet,) = packets
    message = decode_packet(packet).message
    assert isinstance(message, BindingAcknowledgement)
    return message


def proved(packet: bytes, key: bytes, care_of: bytes = COA1) -> bool:
    """Tell by hand whether an answer with a routing header is proved."""
    header = packet[64:]
    spot = header.index(bytes((9, 17, 1)) + (256).to_bytes(4))
    data = care_of + HOA + header[:4] + bytes(2) + header[6 : spot + 7]
    return hmac.new(key, data, hashlib.sha1).digest()[:12] == header[spot + 7 : spot + 19]


def drops(pair: Pair) -> list[str]:
    return [event.reason for event in pair.agent.events() if isinstance(event, Dropped)]


# The option


def test_the_vector_is_what_we_write() -> None:
    update = BindingUpdate(10, 0xC000, 60, (MobileNodeIdentifier(1, NAI), MessageIdentifier(0xE000000012345678)))
    assert sign(update, AUTH_KEY, 256, COA1, HOA, HA, from_home_agent=False) == V17


def test_the_vector_is_accepted_at_its_time() -> None:
    moment = 0xE0000000 - 2_208_988_800
    pair = Pair({HOA: replace(AUTH, node_identifier=NAI)}, now=moment - UNIX)
    assert only(pair.deliver(packet_of(V17))).status == 0
    assert pair.care_of() == {0: COA1}


@pytest.mark.parametrize(
    "option",
    [
        MobileNodeIdentifier(subtype, identifier)
        for subtype, identifier in ((1, NAI), (2, COA1), (3, b"\x12" * 8), (5, bytes(6)), (8, bytes(20)), (255, b"x"))
    ]
    + [MobileNodeIdentifier(1, b"x" * 254), MessageIdentifier(0), MessageIdentifier(2**64 - 1)]
    + [MessageAuthentication(1, 2**32 - 1, bytes(12)), MessageAuthentication(2, 3, bytes(20))]
    + [RawOption(8, b""), RawOption(8, b"\x01"), RawOption(9, b""), RawOption(9, bytes(5)), RawOption(10, bytes(7))],
)
def test_options_both_ways(option: Option) -> None:
    packet = encode_packet(COA1, HA, BindingUpdate(1, 0xC000, 60, (option,)), home_address=HOA)
    message = decode_packet(packet).message
    assert isinstance(message, BindingUpdate)
    assert message.options == (option,)


def test_alignment_of_the_options() -> None:
    options = (MobileNodeIdentifier(1, b"ab"), MessageIdentifier(5), MessageAuthentication(1, 256, bytes(12)))
    header = encode_message(BindingUpdate(1, 0xC000, 60, options), HOA, HA)
    assert header.index(b"\x0a\x08") % 8 == 2
    assert header.index(b"\x09\x11") % 4 == 1


# The exchange


def test_a_registration_is_proved_both_ways() -> None:
    pair = Pair({HOA: AUTH})
    pair.node.attach(1, COA1)
    pair.node.attach(2, COA2)
    pair.node.register(pair.now)
    (packet,) = pair.updates()
    (answer,) = pair.deliver(packet)
    assert proved(answer, bytes(range(16)))
    pair.answer(answer)
    assert pair.care_of() == {1: COA1, 2: COA2}
    assert [binding.bid for binding in pair.node.bindings] == [1, 2]
    sent = decode_packet(packet).message
    assert sent is not None
    mine = [option for option in only([answer]).options if isinstance(option, MessageIdentifier)]
    assert mine == [option for option in sent.options if isinstance(option, MessageIdentifier)]


def test_handover_refresh_and_removal_are_proved() -> None:
    pair = Pair({HOA: replace(AUTH, node_identifier=NAI, aaa_key=Key(b"a" * 20))})
    pair.register(bid1=COA1)
    pair.now += 10
    pair.node.update(1, COA2, pair.now)
    pair.settle()
    assert pair.care_of() == {1: COA2}
    pair.node.refresh(pair.now)
    pair.settle()
    pair.node.deregister_all(pair.now)
    pair.settle()
    assert pair.care_of() == {}
    assert pair.agent.counters["accepted"] == 4


def test_an_update_without_authenticator_is_dropped() -> None:
    pair = Pair({HOA: AUTH})
    packet = encode_packet(COA1, HA, BindingUpdate(1, 0xC000, 60, (stamp(pair),)), home_address=HOA)
    assert pair.deliver(packet) == []
    assert drops(pair) == ["unprotected"]
    assert pair.state() == ()


def test_an_authenticator_for_the_aaa_server_alone_is_not_enough() -> None:
    pair = Pair({HOA: AUTH})
    update = BindingUpdate(1, 0xC000, 60, (stamp(pair), MessageAuthentication(2, 3, bytes(20))))
    assert pair.deliver(encode_packet(COA1, HA, update, home_address=HOA)) == []
    assert drops(pair) == ["unprotected"]


def test_both_authenticators_are_checked_where_both_have_a_key() -> None:
    aaa = Key(b"another key, sixteen")
    pair = Pair({HOA: replace(AUTH, aaa_key=aaa)})
    assert pair.deliver(signed(stamp(pair))) == []
    assert drops(pair) == ["unprotected"]
    assert only(pair.deliver(signed(stamp(pair), aaa_key=Key(bytes(16))))).status == 146
    assert only(pair.deliver(signed(stamp(pair), aaa_key=aaa))).status == 0


def test_the_aaa_authenticator_by_hand() -> None:
    packet = signed(aaa_key=Key(b"a" * 16))
    header = packet[64:]
    found = find_authenticators(header)
    assert found is not None
    _, aaa = found
    assert aaa.option.spi == 3
    inner = hashlib.sha1(COA1 + HOA + header[:4] + bytes(2) + header[6 : aaa.covered]).digest()
    assert aaa.option.authenticator == hmac.new(b"a" * 16, inner, hashlib.sha1).digest()


def test_an_authenticator_where_none_is_expected_is_dropped() -> None:
    pair = Pair({HOA: NO_SECURITY})
    assert pair.deliver(signed(stamp(pair))) == []
    assert drops(pair) == ["no_security_association"]


def test_the_key_of_another_node_proves_nothing() -> None:
    other = AuthPolicy(300, Key(b"k" * 16))
    pair = Pair({HOA: AUTH, HOA2: other})
    assert only(pair.deliver(signed(stamp(pair), home=HOA, key=other.key))).status == 146
    assert pair.deliver(signed(stamp(pair), home=HOA, key=other.key, spi=300)) == []
    assert drops(pair) == ["no_security_association"]
    assert pair.state() == ()


def test_a_refusal_takes_no_sequence_number() -> None:
    pair = Pair({HOA: AUTH})
    pair.register()
    before = pair.state()
    answer = only(pair.deliver(signed(stamp(pair, 1), key=Key(b"x" * 16), sequence=500)))
    assert (answer.status, answer.sequence) == (146, 500)
    assert pair.state() == before
    assert [event.status for event in pair.agent.events() if isinstance(event, Refused)] == [146]


def test_an_unproved_copy_replaces_no_update_under_way() -> None:
    pair = Pair({HOA: AUTH})
    pair.agent.receive(signed(stamp(pair), sequence=1), pair.now)
    (transaction,) = pair.agent.transactions()
    pair.agent.receive(signed(stamp(pair, 0.5), sequence=9, key=Key(b"x" * 16)), pair.now)
    pair.agent.outbox()
    pair.agent.commit(transaction.number, pair.now)
    assert only(pair.agent.outbox()).sequence == 1


def test_a_retransmission_under_way_is_answered_once_with_its_own_timestamp() -> None:
    pair = Pair({HOA: AUTH})
    pair.agent.receive(signed(stamp(pair), sequence=1), pair.now)
    (transaction,) = pair.agent.transactions()
    again = stamp(pair, 1.5)
    pair.agent.receive(signed(again, sequence=2), pair.now + 1.5)
    assert pair.agent.transactions() == []
    pair.agent.commit(transaction.number, pair.now)
    answer = only(pair.agent.outbox())
    assert answer.sequence == 2
    assert again in answer.options


def test_refusals_are_limited() -> None:
    pair = Pair({HOA: AUTH})
    packet = signed(stamp(pair), key=Key(b"x" * 16))
    answers = pair.deliver(*[packet] * (REFUSAL_BURST + 50))
    assert len(answers) == REFUSAL_BURST
    assert pair.agent.counters["dropped_refusal_rate"] == 50


def test_another_identifier_under_the_right_key_is_refused() -> None:
    pair = Pair({HOA: replace(AUTH, node_identifier=NAI)})
    assert only(pair.deliver(signed(MobileNodeIdentifier(1, b"mn2@example.com"), stamp(pair)))).status == 146
    assert only(pair.deliver(signed(MobileNodeIdentifier(3, NAI), stamp(pair)))).status == 146
    assert only(pair.deliver(signed(MobileNodeIdentifier(1, NAI), stamp(pair)))).status == 0


# Where the options stand


@pytest.mark.parametrize(
    "options",
    [
        (MessageAuthentication(1, 256, bytes(12)), MobileNodeIdentifier(1, NAI)),
        (MessageAuthentication(1, 256, bytes(12)), MessageIdentifier(1)),
        (MessageAuthentication(1, 256, bytes(12)), BindingIdentifier(1, COA2)),
        (MessageAuthentication(2, 3, bytes(20)), MessageAuthentication(1, 256, bytes(12))),
        (MessageAuthentication(1, 256, bytes(12)), MessageAuthentication(1, 256, bytes(12))),
        (MessageAuthentication(3, 256, bytes(12)),),
        (RawOption(9, bytes(4)),),
    ],
    ids=["identifier after", "timestamp after", "bid after", "aaa first", "twice", "subtype", "short"],
)
def test_options_out_of_order_are_dropped(options: tuple[Option, ...]) -> None:
    pair = Pair({HOA: AUTH})
    assert pair.deliver(encode_packet(COA1, HA, BindingUpdate(1, 0xC000, 60, options), home_address=HOA)) == []
    assert drops(pair) == ["security_options"]


# Timestamps


@pytest.mark.parametrize(("ahead", "status"), [(0, 0), (6.9, 0), (-6.9, 0), (7.1, 144), (-7.1, 144), (1e6, 144)])
def test_a_timestamp_has_to_be_near(ahead: float, status: int) -> None:
    pair = Pair({HOA: AUTH})
    assert only(pair.deliver(signed(stamp(pair, ahead)))).status == status


def test_an_old_timestamp_is_answered_with_the_time() -> None:
    pair = Pair({HOA: AUTH})
    replayed = signed(stamp(pair), sequence=1)
    assert only(pair.deliver(replayed)).status == 0
    before = pair.state()
    pair.now += 3
    answers = pair.deliver(replayed)
    assert proved(answers[0], bytes(range(16)))
    answer = only(answers)
    assert answer.status == 144
    (told,) = [option.timestamp for option in answer.options if isinstance(option, MessageIdentifier)]
    assert told >> 32 == int(UNIX + 2_208_988_800 + pair.now)
    assert told & 0xFFFFFFFF == stamp(pair, -3).timestamp & 0xFFFFFFFF
    assert pair.state() == before


def test_a_timestamp_counts_once_across_a_restart() -> None:
    """Within the window of 7 s nothing else would tell a replay, once the binding is gone."""
    pair = Pair({HOA: AUTH})
    old = signed(stamp(pair))
    assert only(pair.deliver(old)).status == 0
    forgetful, again = Pair({HOA: AUTH}), Pair({HOA: AUTH})
    again.agent.restore((), pair.marks.values())
    assert only(again.deliver(old)).status == 144
    assert only(forgetful.deliver(old)).status == 0, "this is what the marks are for"
    assert only(again.deliver(signed(stamp(pair, 1.0)))).status == 0


def test_a_clock_that_was_set_back_between_two_starts_locks_nobody_out() -> None:
    pair = Pair({HOA: AUTH}, now=100_000.0)
    assert only(pair.deliver(signed(stamp(pair)))).status == 0
    again = Pair({HOA: AUTH}, now=96_400.0)
    again.agent.restore((), pair.marks.values())
    assert only(again.deliver(signed(stamp(again)))).status == 0


def test_without_timestamp() -> None:
    pair = Pair({HOA: AUTH, HOA2: replace(AUTH, timestamps=False)})
    answer = only(pair.deliver(signed()))
    assert answer.status == 145
    assert not any(isinstance(option, MessageIdentifier) for option in answer.options)
    assert only(pair.deliver(signed(home=HOA2))).status == 0


def test_a_node_learns_the_home_agents_time() -> None:
    for wrong in (100.0, -100.0, 8.0, 1e8):
        pair = Pair({HOA: AUTH}, node_offset=UNIX + wrong)
        pair.register()
        assert pair.care_of() == {1: COA1}
        assert pair.agent.counters["refused_144"] == 1
        pair.now += 50
        pair.node.update(1, COA2, pair.now)
        pair.settle()
        assert pair.care_of() == {1: COA2}
        assert pair.agent.counters["refused_144"] == 1


def test_a_copy_in_the_network_does_not_disturb() -> None:
    pair = Pair({HOA: AUTH})
    pair.node.attach(1, COA1)
    pair.node.register(pair.now)
    (packet,) = pair.updates()
    accepted, refused = pair.deliver(packet, packet)
    assert only([refused]).status == 144
    pair.answer(refused, accepted)
    assert pair.node.settled
    assert len(pair.node.bindings) == 1
    assert pair.updates() == []


@given(st.integers(0, 2**64 - 1), st.floats(-1e9, 1e9))
def test_timestamps_of_different_eras_compare(timestamp: int, seconds: float) -> None:
    later = (timestamp + round(seconds * 2**32)) % 2**64
    assert ntp_difference(later, timestamp) == pytest.approx(seconds, abs=1e-6)


def test_timestamps_across_the_end_of_the_era() -> None:
    guard = TimestampGuard(7.0)
    assert guard.accept(2**64 - 1, 5)
    assert guard.accept(3, 5)
    assert not guard.accept(3, 5)
    assert not guard.accept(2**64 - 1, 5)
    assert to_ntp(2_085_978_496) == 0


# The node


def node_waiting(pair: Pair) -> bytes:
    pair.node.attach(1, COA1)
    pair.node.register(pair.now)
    (packet,) = pair.updates()
    pair.node.events()
    return packet


@pytest.mark.parametrize("status", [0, 128, 144, 145, 146])
def test_a_node_believes_no_answer_without_proof(status: int) -> None:
    pair = Pair({HOA: AUTH})
    node_waiting(pair)
    answer = BindingAcknowledgement(status, 1, 60, options=(stamp(pair),))
    forged = sign(answer, Key(b"x" * 16), 256, COA1, HOA, HA, from_home_agent=True)
    pair.answer(
        encode_packet(HA, COA1, answer, routing_address=HOA),
        packet_of(forged)[:8] + HA + COA1 + bytes((135, 2, 2, 1, 0, 0, 0, 0)) + HOA + forged,
    )
    assert all(isinstance(event, Ignored) for event in pair.node.events())
    assert not pair.node.settled


def test_a_node_takes_no_answer_to_an_earlier_update() -> None:
    pair = Pair({HOA: AUTH})
    packet = node_waiting(pair)
    (old,) = pair.deliver(packet)
    pair.now += 2
    pair.node.handle_timer(pair.now)
    (again,) = pair.updates()
    pair.answer(old)
    assert [type(event) for event in pair.node.events()] == [Ignored]
    pair.answer(*pair.deliver(again))
    assert len(pair.node.bindings) == 1


def test_a_node_gives_up_when_its_key_is_wrong_only_if_the_home_agent_proves_itself() -> None:
    pair = Pair({HOA: AUTH})
    pair.nodes[HOA] = pair.new_node(HOA, security=replace(AUTH, key=Key(b"x" * 16)))
    packet = node_waiting(pair)
    pair.answer(*pair.deliver(packet))
    assert not any(isinstance(event, RegistrationRefused) for event in pair.node.events())
    assert pair.state() == ()


# Damage


@given(st.data())
def test_no_damaged_update_changes_anything(data: st.DataObject) -> None:
    pair = Pair({HOA: AUTH})
    pair.register(bid1=COA1, bid2=COA2)
    pair.now += 5
    before = pair.state()
    packet = signed(BindingIdentifier(1, COA2), stamp(pair), sequence=100)
    damaged = bytearray(packet)
    bits = data.draw(st.sets(st.integers(0, 8 * len(packet) - 1), min_size=1, max_size=4))
    for bit in bits:
        damaged[bit // 8] ^= 0x80 >> bit % 8
    if data.draw(st.booleans(), label="mend the checksum"):
        damaged = bytearray(mended(bytes(damaged)))
    pair.deliver(bytes(damaged))
    if pair.state() != before:
        # Then the damage was where nothing is covered because it means nothing: fields of the IPv6 header that routers
        # change or may set, octets of padding, and reserved ones.
        pair.deliver(packet)
        assert pair.care_of() == {1: COA2, 2: COA2}
        assert meaning(bytes(damaged)) == meaning(packet)


def mended(packet: bytes) -> bytes:
    """Return a packet whose Mobility Header has a right checksum, as an attacker would send it."""
    from controller.mobility.wire import upper_layer_checksum

    header = packet[64:68] + bytes(2) + packet[70:]
    value = upper_layer_checksum(Address(packet[48:64]), Address(packet[24:40]), 135, header)
    return packet[:68] + value.to_bytes(2) + packet[70:]


def meaning(packet: bytes) -> tuple[object, ...]:
    decoded = decode_packet(packet)
    return decoded.source, decoded.home_address, decoded.message
