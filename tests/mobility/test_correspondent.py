"""The correspondent role: return routability with tokens that the test computes, and the vectors of the digest."""

import pytest

from conformance.correspondent import CARE_OF_TEST_INIT, HOME_TEST_INIT, Peer, authorised, init, key_of
from conformance.harness import CN, COA1, COA2, COA3, HA, HOA, Bed, acks
from conformance.packets import (
    DESTINATION_OPTIONS,
    MOBILITY,
    bid,
    ip,
    ipv6,
    mobility,
    nonces,
    parse,
    raw_option,
    update,
    with_hao,
)
from controller.mobility.address import Address
from controller.mobility.correspondent import Correspondent
from controller.mobility.home_agent import HomeAgent
from controller.mobility.nonces import Nonces
from controller.mobility.return_routability import authenticator, care_of_token, home_token, management_key
from controller.mobility.security.policy import SecurityContext

KCN = bytes(range(20))
NONCE = b"\xaa" * 8
V15 = bytes.fromhex("3b03050 0566c00098000003c0404000100 02050cfd3903e389a2c9273664f8c4".replace(" ", ""))


def test_the_vectors_of_the_digest() -> None:
    home, care_of = home_token(KCN, Address(HOA), NONCE), care_of_token(KCN, Address(COA1), NONCE)
    assert home.hex() == "e553cb8b82e943d0"
    assert care_of.hex() == "adb38ffa0e0d1cb2"
    key = management_key(home, care_of)
    assert key.hex() == "b4dfb64e712e4bfa87968aee8e532f67e8a6b026"
    assert management_key(home).hex() == "107762bcfc80bbb9e6159602f644ac80d0c09380"
    assert authenticator(key, Address(COA1), Address(CN), V15).hex() == "fd3903e389a2c9273664f8c4"


def test_v15_is_believed() -> None:
    given = iter([KCN, NONCE, NONCE])
    engine = Correspondent(frozenset({Address(CN)}), lambda count: next(given)[:count])
    engine.receive(init(HOME_TEST_INIT, HOA), 0.0)
    engine.receive(init(CARE_OF_TEST_INIT, COA1), 31.0)
    home, care_of = (parse(one) for one in engine.outbox())
    assert home.payload[6:8] + home.payload[16:24] == bytes.fromhex("0001 e553cb8b82e943d0")
    assert care_of.payload[6:8] + care_of.payload[16:24] == bytes.fromhex("0002 adb38ffa0e0d1cb2")
    engine.receive(ipv6(COA1, CN, DESTINATION_OPTIONS, with_hao(HOA, MOBILITY, V15)), 32.0)
    (ack,) = acks(parse(one) for one in engine.outbox())
    assert (ack.status, ack.sequence, ack.lifetime) == (0, 9, 60)
    assert (ack.packet.destination, ack.packet.routing) == (COA1, HOA)
    assert engine.care_of(Address(HOA), 32.0) == COA1
    # The answer is signed with the same key, and the authenticator is its end.
    key = bytes.fromhex("b4dfb64e712e4bfa87968aee8e532f67e8a6b026")
    assert authenticator(key, Address(COA1), Address(CN), ack.packet.payload) == ack.packet.payload[-12:]


@pytest.fixture
def peer() -> Peer:
    return Peer()


def test_a_care_of_address_is_registered_and_runs_out(peer: Peer) -> None:
    (ack,) = acks(peer.update(lifetime=200))
    assert (ack.status, ack.lifetime) == (0, 105), "420 seconds at most"
    assert peer.care_of() == {0: COA1}
    assert peer.engine.next_timer() == 420.0
    peer.now = 420.0
    peer.engine.handle_timer(peer.now)
    assert peer.care_of() == {}
    assert peer.engine.next_timer() is None


def test_several_bids_one_at_a_time(peer: Peer) -> None:
    (ack,) = acks(peer.update(bid(1, COA1, priority=9)))
    assert (ack.status, ack.bids) == (0, [(1, 0)])
    assert acks(peer.update(bid(2, COA2, priority=5), care_of=COA2))[0].status == 0
    assert peer.care_of() == {1: COA1, 2: COA2}
    assert peer.engine.care_of(Address(HOA), 0.0) == COA2
    # Without its care-of address a known BID is refreshed; the key is that of the address it has.
    assert acks(peer.update(bid(1), care_of=COA1))[0].status == 0
    assert acks(peer.update(bid(1), lifetime=0))[0].status == 0
    assert peer.care_of() == {2: COA2}
    assert acks(peer.update(lifetime=0))[0].status == 0
    assert peer.care_of() == {}


@pytest.mark.parametrize(
    ("option", "status"),
    [
        (bid(0, COA1), 164),
        (bid(1, COA1, home=True), 164),
        (bid(1, bytes((192, 0, 2, 9))), 164),
        (raw_option(35, bytes(6), 2, 0), 164),
        (bid(9), 167),
    ],
)
def test_what_a_correspondent_does_not_take(peer: Peer, option: tuple[int, int, bytes], status: int) -> None:
    assert acks(peer.update(option))[0].status == status
    assert peer.care_of() == {}


def test_a_binding_without_bid_is_in_the_way(peer: Peer) -> None:
    peer.update()
    assert acks(peer.update(bid(1, COA1)))[0].status == 165
    assert acks(peer.update(bid(1, COA1), flags=0x8040))[0].status == 0
    assert peer.care_of() == {1: COA1}
    peer.update(care_of=COA3)
    assert peer.care_of() == {0: COA3}


def test_a_wrong_authenticator_gets_no_answer(peer: Peer) -> None:
    assert peer.update(flaw=True) == []
    assert peer.care_of() == {}
    assert peer.engine.counters["dropped_not_genuine"] == 1


def test_without_nonce_indices_or_authenticator(peer: Peer) -> None:
    peer.tokens()
    for options in ((), (nonces(1, 1),), (raw_option(5, bytes(12), 8, 2),)):
        header = mobility(5, update(1, options, flags=0x8000), HOA, CN)
        assert peer.send(ipv6(COA1, CN, DESTINATION_OPTIONS, with_hao(HOA, MOBILITY, header))) == []
    assert peer.engine.counters["dropped_not_genuine"] == 3


def test_no_nonce_indices_and_the_empty_key(peer: Peer) -> None:
    """What anybody can compute proves nothing."""
    header = authorised(update(1, (raw_option(5, bytes(12), 8, 2),), flags=0x8000), b"", COA1)
    assert peer.send(ipv6(COA1, CN, DESTINATION_OPTIONS, with_hao(HOA, MOBILITY, header))) == []
    assert peer.care_of() == {}


def test_the_key_of_one_care_of_address_registers_no_other(peer: Peer) -> None:
    home, care_of = peer.tokens(COA1)
    assert peer.update(bid(1, COA2), tokens=(home, care_of)) == []
    assert peer.update(care_of=COA2, tokens=(home, care_of)) == []


def test_a_removal_needs_no_care_of_token(peer: Peer) -> None:
    peer.update()
    (index, token), _ = peer.tokens()
    assert acks(peer.update(lifetime=0, tokens=((index, token), (999, b"")), care_of=COA2))[0].status == 0
    assert peer.care_of() == {}


def test_nonces_expire(peer: Peer) -> None:
    home, care_of = peer.tokens()
    peer.now = 241.0
    fresh_home, fresh_care_of = peer.tokens()
    for tokens, status in (
        ((home, fresh_care_of), 136),
        ((fresh_home, care_of), 137),
        ((home, care_of), 138),
    ):
        (ack,) = acks(peer.update(tokens=tokens))
        assert ack.status == status
        assert ack.option(5) is None, "nothing to sign with"
    assert acks(peer.update(tokens=(fresh_home, fresh_care_of)))[0].status == 0


def test_sequence_numbers(peer: Peer) -> None:
    tokens = peer.tokens()
    peer.update(sequence=10, tokens=tokens)
    (ack,) = acks(peer.update(sequence=10, tokens=tokens, flags=0))
    assert (ack.status, ack.sequence) == (135, 10)
    # A removed registration is not played again while its nonces are good.
    peer.update(sequence=11, tokens=tokens, lifetime=0)
    assert acks(peer.update(sequence=11, tokens=tokens))[0].status == 135
    assert peer.care_of() == {}


def test_an_answer_only_on_request_or_refusal(peer: Peer) -> None:
    assert peer.update(flags=0) == []
    assert peer.care_of() == {0: COA1}


def test_a_full_correspondent() -> None:
    peer = Peer(max_bindings=1)
    peer.update()
    assert acks(peer.update())[0].status == 0, "a refresh takes no room"
    assert acks(peer.update(home=ip("2001:db8:0:1::999")))[0].status == 130


@pytest.mark.parametrize("kind", [HOME_TEST_INIT, CARE_OF_TEST_INIT])
def test_tests_that_are_dropped(peer: Peer, kind: int) -> None:
    header = mobility(kind, bytes(2) + b"cookie!!", HOA, CN)
    assert peer.send(ipv6(COA1, CN, DESTINATION_OPTIONS, with_hao(HOA, MOBILITY, header))) == []
    assert peer.send(init(kind, ip("fe80::1"))) == []
    assert peer.send(init(kind, COA1, peer=HA)) == []


def test_nonces_rotate_and_are_few() -> None:
    made: list[int] = []
    nonces = Nonces(lambda count: bytes((made.append(count) or len(made),)) * count)  # type: ignore[func-returns-value]
    indices = [nonces.current(float(now))[0] for now in range(0, 600, 10)]
    assert indices[:7] == [1, 1, 1, 2, 2, 2, 3]
    assert made == [8] * 20
    assert [index for index in range(30) if nonces.find(index, 599.0)] == list(range(13, 21))


def test_a_home_agent_may_be_a_correspondent_too() -> None:
    bed = Bed()
    bed.engine = HomeAgent(
        bed.engine._config.__class__(bed.engine._config.networks, bed.engine._config.nodes, correspondent=True),
        security=SecurityContext(0.0, bytes),
    )
    home = ip("2001:db8:ffff::1")
    tokens = []
    for kind, source in ((HOME_TEST_INIT, home), (CARE_OF_TEST_INIT, COA1)):
        (answer,) = bed.send(init(kind, source, peer=HA))
        tokens.append(answer.payload[16:24])
        assert answer.payload[6:8] == bytes((0, 1))
    body = update(1, (nonces(1, 1), raw_option(5, bytes(12), 8, 2)), flags=0x8000)
    header = authorised(body, key_of(*tokens), COA1, home, HA)
    (ack,) = acks(bed.send(ipv6(COA1, HA, DESTINATION_OPTIONS, with_hao(home, MOBILITY, header))))
    assert ack.status == 0
    # A home registration stays one (RFC 6275 section 9.5.1).
    bed.register()
    assert bed.register(flags=0x8000).status == 139
