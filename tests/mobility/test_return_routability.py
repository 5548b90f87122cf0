"""Return routability from the mobile node's side, against our correspondent and against tokens computed here from the RFC."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from controller.mobility.address import Address, parse_address
from controller.mobility.mobile_node import MobileNode, MobileNodeConfig
from controller.mobility.node_events import RouteLost, RouteOptimised
from controller.mobility.wire import (
    BindingAcknowledgement,
    BindingError,
    BindingIdentifier,
    BindingRefreshRequest,
    BindingUpdate,
    CareOfTest,
    CareOfTestInit,
    HomeTest,
    HomeTestInit,
    NonceIndices,
    Option,
    Packet,
    decapsulate,
    decode_packet,
    encapsulate,
    encode_packet,
    parameter_problem,
)
from route_world import CN, COA, HA, HOA, RouteWorld
from security_kit import context


def optimised(*bids: int, **options: object) -> RouteWorld:
    world = RouteWorld(**options)  # type: ignore[arg-type]  # by name
    world.register(*bids)
    world.node.optimise(CN, world.now)
    world.run(1)
    return world


def is_update(packet: bytes) -> bool:
    decoded = RouteWorld.decoded(packet)
    return decoded is not None and isinstance(decoded.message, BindingUpdate) and decoded.destination == CN


def correspondent_updates(world: RouteWorld, since: float = 0.0) -> list[BindingUpdate]:
    found = []
    for _, packet in world.messages(BindingUpdate, since=since):
        if packet.destination == CN:
            assert isinstance(packet.message, BindingUpdate)
            found.append(packet.message)
    return found


def test_one_home_test_one_care_of_test_each_then_one_update_each() -> None:
    """RFC 5648 section 5.2: each care-of address has a token and a Binding Update of its own."""
    world = optimised(1, 2, 3)
    assert world.at_correspondent() == world.at_node() == {1: COA[1], 2: COA[2], 3: COA[3]}
    counts = world.counts()
    assert (counts["HomeTestInit"], counts["CareOfTestInit"]) == (2, 3), "the tunnelled Home Test Init was seen twice"
    updates = correspondent_updates(world)
    assert len(updates) == 3
    assert [sum(isinstance(option, BindingIdentifier) for option in update.options) for update in updates] == [1, 1, 1]
    assert [update.flags for update in updates] == [0x8040, 0x8000, 0x8000], "the first overwrites what was before"
    assert all(update.lifetime_units * 4 <= 420 for update in updates)
    assert [event.binding.bid for event in world.events if isinstance(event, RouteOptimised)] == [1, 2, 3]


def test_the_home_test_goes_by_the_tunnel_and_the_care_of_test_does_not() -> None:
    world = optimised(1)
    (_, first), *_ = world.messages(HomeTestInit)
    (_, second) = world.messages(CareOfTestInit)[0]
    assert (first.source, first.destination, first.home_address) == (HOA, CN, None)
    assert (second.source, second.destination, second.home_address) == (COA[1], CN, None)
    outer = next(packet for _, packet in world.seen if packet[6] == 41)
    assert (outer[8:24], outer[24:40]) == (COA[1], HA)
    assert isinstance(first.message, HomeTestInit)
    assert isinstance(second.message, CareOfTestInit)
    assert first.message.cookie != second.message.cookie


def test_without_bids_the_best_link_alone_is_registered() -> None:
    world = optimised(1, 2, multiple_care_of=False)
    assert world.at_correspondent() == world.at_node() == {0: COA[1]}
    (update,) = correspondent_updates(world)
    assert update.flags == 0x8000


class Peer:
    """A correspondent by hand: it hands out tokens of its own making and checks the authenticator by the RFC's formula."""

    def __init__(self) -> None:
        self.node = MobileNode(MobileNodeConfig(HOA, HA, lifetime=600), security=context(seed=7))
        self.now = 0.0
        self.home, self.care_of = bytes.fromhex("e553cb8b82e943d0"), bytes.fromhex("adb38ffa0e0d1cb2")

    def registered(self) -> Peer:
        self.node.attach(1, COA[1])
        self.node.register(0.0)
        update = self.sent()[0].message
        assert isinstance(update, BindingUpdate)
        self.from_home_agent(
            BindingAcknowledgement(0, update.sequence, update.lifetime_units, 0, (BindingIdentifier(1),))
        )
        self.node.optimise(CN, self.now)
        return self

    def sent(self) -> list[Packet]:
        """Return what the node sent, tunnelled packets without the tunnel."""
        packets = self.node.outbox()
        return [decode_packet(decapsulate(one).inner if one[6] == 41 else one) for one in packets]

    def from_home_agent(self, message: BindingAcknowledgement) -> None:
        self.node.receive(encode_packet(HA, COA[1], message, routing_address=HOA), self.now)

    def home_test(self, cookie: bytes, index: int = 1, *, tunnelled: bool = True) -> None:
        packet = encode_packet(CN, HOA, HomeTest(index, cookie, self.home))
        self.node.receive(encapsulate(packet, HA, COA[1]) if tunnelled else packet, self.now)

    def care_of_test(self, cookie: bytes, index: int = 2, to: Address = COA[1]) -> None:
        self.node.receive(encode_packet(CN, to, CareOfTest(index, cookie, self.care_of)), self.now)

    def cookies(self) -> tuple[bytes, bytes]:
        """Return the cookies of the inits."""
        messages = [packet.message for packet in self.sent()]
        (home,) = [one.cookie for one in messages if isinstance(one, HomeTestInit)]
        (care_of,) = [one.cookie for one in messages if isinstance(one, CareOfTestInit)]
        return home, care_of

    def key(self) -> bytes:
        return hashlib.sha1(self.home + self.care_of).digest()

    def authenticator(self, header: bytes, care_of: bytes, key: bytes) -> bytes:
        """First(96, HMAC_SHA1(Kbm, care-of address | correspondent | MH)) of RFC 6275 section 6.2.7, checksum 0."""
        covered = header[:4] + bytes(2) + header[6:-12]
        return hmac.new(key, care_of + CN + covered, hashlib.sha1).digest()[:12]

    def update(self) -> tuple[BindingUpdate, bytes]:
        """Return the one Binding Update that was sent, and its Mobility Header."""
        (octets,) = self.node.outbox()
        packet = decode_packet(octets)
        assert isinstance(packet.message, BindingUpdate)
        assert (packet.source, packet.destination, packet.home_address) == (COA[1], CN, HOA)
        return packet.message, packet.upper(octets)

    def answer(
        self, status: int, sequence: int, lifetime: int = 100, key: bytes | None = None, *options: Option
    ) -> None:
        """Answer a Binding Update, signed with a key if there is one."""
        octets = encode_packet(
            CN, COA[1], BindingAcknowledgement(status, sequence, lifetime, 0, options), routing_address=HOA
        )
        if key is not None:
            body = octets[64:]
            assert len(body) == 16
            blank = b"\x3b\x03" + body[2:12] + b"\x01\x04\0\0\0\0" + b"\x05\x0c" + bytes(12)
            header = blank[:-12] + self.authenticator(blank, COA[1], key)
            octets = rebuilt(header)
        self.node.receive(octets, self.now)


def rebuilt(header: bytes) -> bytes:
    """Return the packet of a Mobility Header from the correspondent to the node, with a right checksum."""
    pseudo = CN + HOA + len(header).to_bytes(4) + b"\0\0\0\x87" + header[:4] + b"\0\0" + header[6:]
    total = sum(int.from_bytes(pseudo[at : at + 2]) for at in range(0, len(pseudo), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    header = header[:4] + (0xFFFF - total).to_bytes(2) + header[6:]
    routing = b"\x87\x02\x02\x01\0\0\0\0" + HOA
    length = (len(routing) + len(header)).to_bytes(2)
    return b"\x60\0\0\0" + length + b"\x2b\x40" + CN + COA[1] + routing + header


@pytest.fixture
def peer() -> Peer:
    return Peer().registered()


def through_the_tests(peer: Peer) -> tuple[BindingUpdate, bytes]:
    home, care_of = peer.cookies()
    peer.home_test(home)
    assert peer.node.outbox() == []
    peer.care_of_test(care_of)
    return peer.update()


def test_the_update_is_proved_by_the_formula_of_the_rfc(peer: Peer) -> None:
    update, header = through_the_tests(peer)
    assert header[-14:-12] == b"\x05\x0c", "the last option, without padding after it"
    assert header[-12:] == peer.authenticator(header, COA[1], peer.key())
    assert next(option for option in update.options if isinstance(option, NonceIndices)) == NonceIndices(1, 2)
    peer.answer(0, update.sequence, 100, peer.key())
    (binding,) = peer.node.correspondent_bindings(CN)
    assert (binding.bid, binding.care_of, binding.lifetime, binding.expires) == (1, COA[1], 400, 400.0)


def test_tokens_may_come_in_any_order(peer: Peer) -> None:
    home, care_of = peer.cookies()
    peer.care_of_test(care_of)
    assert peer.node.outbox() == []
    peer.home_test(home)
    assert peer.update()[0].lifetime_units * 4 == 420


@pytest.mark.parametrize("flaw", ["cookie", "outside", "crossed", "to another address", "twice"])
def test_a_test_that_is_not_believed(peer: Peer, flaw: str) -> None:
    """RFC 6275 section 11.6.2."""
    home, care_of = peer.cookies()
    peer.care_of_test(care_of)
    match flaw:
        case "cookie":
            peer.home_test(bytes(8))
        case "outside":
            peer.home_test(home, tunnelled=False)
        case "crossed":
            peer.home_test(care_of)
        case "to another address":
            peer.node.receive(encode_packet(CN, COA[2], HomeTest(1, home, peer.home)), peer.now)
        case _:
            peer.care_of_test(care_of, 9)
    assert peer.node.outbox() == []
    peer.home_test(home)
    update, header = peer.update()
    assert header[-12:] == peer.authenticator(header, COA[1], peer.key())
    assert NonceIndices(1, 2) in update.options


def test_a_care_of_test_to_another_address_proves_nothing(peer: Peer) -> None:
    home, care_of = peer.cookies()
    peer.home_test(home)
    peer.care_of_test(care_of, to=HOA)
    assert peer.node.outbox() == []


def test_the_answer_has_to_be_genuine(peer: Peer) -> None:
    update, _ = through_the_tests(peer)
    for status in (0, 128, 130, 135):
        peer.answer(status, update.sequence)
        peer.answer(status, update.sequence, 100, bytes(20))
    assert peer.node.correspondent_bindings(CN) == ()
    peer.answer(0, update.sequence + 1, 100, peer.key())
    assert peer.node.correspondent_bindings(CN) == ()
    peer.answer(0, update.sequence, 100, peer.key())
    assert len(peer.node.correspondent_bindings(CN)) == 1


def test_the_number_of_the_correspondent_is_taken_over(peer: Peer) -> None:
    update, _ = through_the_tests(peer)
    peer.answer(135, (update.sequence + 500) & 0xFFFF, 0, peer.key())
    assert peer.update()[0].sequence == (update.sequence + 501) & 0xFFFF


@pytest.mark.parametrize(
    ("status", "kinds"), [(136, {HomeTestInit}), (137, {CareOfTestInit}), (138, {HomeTestInit, CareOfTestInit})]
)
def test_expired_nonces_are_tested_again(peer: Peer, status: int, kinds: set[type]) -> None:
    update, _ = through_the_tests(peer)
    peer.answer(status, update.sequence)  # RFC 6275 section 9.5.4: without authenticator
    again = peer.sent()
    assert {type(packet.message) for packet in again} == kinds
    for packet in again:
        message = packet.message
        if isinstance(message, HomeTestInit):
            peer.home = bytes(8)
            peer.home_test(message.cookie, 11)
        if isinstance(message, CareOfTestInit):
            peer.care_of = bytes(7) + b"\x01"
            peer.care_of_test(message.cookie, 12)
    second, header = peer.update()
    assert second.sequence == (update.sequence + 1) & 0xFFFF
    assert header[-12:] == peer.authenticator(header, COA[1], peer.key())
    expected = NonceIndices(11 if HomeTestInit in kinds else 1, 12 if CareOfTestInit in kinds else 2)
    assert expected in second.options


def test_a_correspondent_that_always_says_expired_is_left_alone(peer: Peer) -> None:
    update, _ = through_the_tests(peer)
    for _ in range(3):
        peer.now += 1.0
        peer.answer(138, update.sequence)
        update, _ = through_the_tests(peer)
    peer.answer(138, update.sequence)
    assert peer.node.outbox() == []
    assert any(isinstance(event, RouteLost) for event in peer.node.events())
    peer.now = 200.0
    peer.node.handle_timer(peer.now)
    assert not [one for one in peer.node.outbox() if is_update(one)]


@pytest.mark.parametrize("status", [128, 129, 130, 139, 164, 166, 168])
def test_a_refusal_ends_it_for_a_while(peer: Peer, status: int) -> None:
    update, _ = through_the_tests(peer)
    peer.answer(status, update.sequence, 0, peer.key())
    assert peer.node.outbox() == []
    (event,) = [event for event in peer.node.events() if isinstance(event, RouteLost)]
    assert str(status) in event.reason


def test_inits_come_again_with_new_cookies_and_then_no_more() -> None:
    """RFC 6275 sections 11.8 and 5.2.8: 1 s, doubled, at most three repetitions (MAX_RO_FAILURE); then by the home agent."""
    world = RouteWorld()
    world.register(1)
    world.lost = lambda packet: packet[24:40] == CN and packet[8:24] == COA[1]
    start = world.now
    world.node.optimise(CN, world.now)
    world.run(200)
    sent = world.messages(CareOfTestInit)
    assert [round(when - start) for when, _ in sent] == [0, 1, 3, 7]
    cookies = [packet.message.cookie for _, packet in sent if isinstance(packet.message, CareOfTestInit)]
    assert len(set(cookies)) == 4
    assert RouteLost(CN, "it does not answer") in world.events
    world.lost = lambda _packet: False
    world.run(200)
    assert world.at_correspondent() == {1: COA[1]}, "tried again after five minutes"


def test_an_update_comes_again_with_a_new_number() -> None:
    world = RouteWorld()
    world.register(1)
    world.lost = is_update
    world.node.optimise(CN, world.now)
    world.run(10)
    numbers = [update.sequence for update in correspondent_updates(world)]
    assert len(numbers) == 4, "after 1, 2 and 4 s"
    assert numbers == [(numbers[0] + step) & 0xFFFF for step in range(4)]
    world.lost = lambda _packet: False
    world.run(30)
    assert world.at_node() == world.at_correspondent() == {1: COA[1]}


def test_a_silent_correspondent_is_left_alone() -> None:
    world = RouteWorld()
    world.register(1)
    world.lost = is_update
    world.node.optimise(CN, world.now)
    world.run(120)
    assert RouteLost(CN, "it does not acknowledge") in world.events
    assert len(correspondent_updates(world)) == 5, "1, 2, 4, 8 and 16 s of patience"


def test_a_token_is_used_until_210_s_after_its_init() -> None:
    world = optimised(1)
    before = world.counts()["CareOfTestInit"]
    world.run(150)
    world.node.attach(1, COA[1], 5)
    world.node.register(world.now)
    world.run(1)
    assert world.counts()["CareOfTestInit"] == before, "still good"
    assert world.node.correspondent_bindings(CN)[0].priority == 5
    world.run(100)
    world.node.attach(1, COA[1], 6)
    world.node.register(world.now)
    world.run(1)
    assert world.counts()["CareOfTestInit"] == before + 1, "too old"
    assert world.node.correspondent_bindings(CN)[0].priority == 6


def test_bindings_stay_for_hours() -> None:
    """They are refreshed with fresh tokens, and there is never a time without them."""
    world = optimised(1, 2)
    for _ in range(200):
        world.run(30)
        assert world.at_correspondent() == {1: COA[1], 2: COA[2]}
        assert world.at_node() == world.at_correspondent()
    assert not [event for event in world.events if isinstance(event, RouteLost)]


def test_a_handover_reuses_the_home_token() -> None:
    world = optimised(1, 2)
    before = world.counts()
    world.node.update(1, COA[4], world.now)
    world.run(1)
    after = world.counts()
    assert world.at_correspondent() == {1: COA[4], 2: COA[2]}
    assert after["HomeTestInit"] == before["HomeTestInit"]
    assert after["CareOfTestInit"] == before["CareOfTestInit"] + 1


def test_a_link_that_goes_is_removed_at_the_correspondent() -> None:
    world = optimised(1, 2)
    since = world.now
    world.node.deregister(2, world.now)
    world.run(1)
    assert world.at_correspondent() == world.at_node() == {1: COA[1]}
    (update,) = correspondent_updates(world, since)
    assert update.lifetime_units == 0
    assert [option.bid for option in update.options if isinstance(option, BindingIdentifier)] == [2]
    assert [option.care_of for option in update.options if isinstance(option, NonceIndices)] == [0]


def test_the_end_of_it_removes_all() -> None:
    world = optimised(1, 2)
    world.node.end_optimisation(CN, world.now)
    world.run(2)
    assert world.at_correspondent() == world.at_node() == {}
    sent = len(world.seen)
    world.run(30)
    assert len(world.seen) == sent


def test_back_home_the_correspondents_are_told() -> None:
    world = optimised(1, 2)
    world.at_home = True
    world.node.return_home(world.now)
    world.run(2)
    assert world.at_correspondent() == world.at_node() == {}
    removals = [
        packet for _, packet in world.messages(BindingUpdate) if packet.destination == CN and packet.source == HOA
    ]
    assert [packet.home_address for packet in removals] == [None, None]


def test_a_correspondent_that_lost_its_bindings_says_so() -> None:
    world = optimised(1)
    error = encode_packet(CN, COA[1], BindingError(1, HOA))
    world.node.receive(error, world.now)
    world.run(1)
    assert RouteLost(CN, "it knows no binding", (1,)) in world.events
    assert world.at_node() == {1: COA[1]}, "registered again"
    strange = parse_address("2001:db8:d::1")
    world.node.receive(encode_packet(strange, COA[1], BindingError(1, HOA)), world.now)
    assert world.at_node() == {1: COA[1]}


def test_a_correspondent_without_mobility() -> None:
    world = RouteWorld()
    world.register(1)
    world.lost = lambda packet: packet[24:40] == CN
    world.node.optimise(CN, world.now)
    world.work()
    init = next(packet for _, packet in world.seen if packet[24:40] == CN and packet[8:24] == COA[1])
    problem = bytearray(parameter_problem(CN, COA[1], 6, init, code=1))
    world.node.receive(bytes(problem), world.now)
    world.run(20)
    assert RouteLost(CN, "it knows no mobility") in world.events
    assert len(world.messages(CareOfTestInit)) == 1


def test_a_binding_refresh_request_refreshes() -> None:
    world = optimised(1, 2)
    since = world.now
    request = encode_packet(CN, HOA, BindingRefreshRequest((BindingIdentifier(2),)))
    world.send(request)
    world.run(1)
    updates = correspondent_updates(world, since)
    assert [[option.bid for option in one.options if isinstance(option, BindingIdentifier)] for one in updates] == [[2]]


def test_without_randomness_nothing_is_tested() -> None:
    node = MobileNode(MobileNodeConfig(HOA, HA))
    with pytest.raises(RuntimeError, match="SecurityContext"):
        node.optimise(CN, 0.0)


@pytest.mark.parametrize("seed", range(12))
def test_a_bad_network(seed: int) -> None:
    """Loss and reordering of everything: in the end all three agree."""
    world = RouteWorld(seed=seed)
    world.register(1, 2)
    world.spread = 2.0
    world.lost = lambda _packet: world.random.random() < 0.25
    world.node.optimise(CN, world.now)
    for _ in range(20):
        bid = world.random.randrange(1, 4)
        if bid in {link.bid for link in world.node.links} and len(world.node.links) > 1 and world.random.random() < 0.3:
            world.node.deregister(bid, world.now)
        else:
            world.node.attach(bid, COA[world.random.randrange(1, 5)])
            world.node.register(world.now)
        world.run(world.random.choice([0.1, 3.0, 30.0]))
    world.spread = 0.0
    world.lost = lambda _packet: False
    world.node.register(world.now)
    world.run(700)
    assert world.at_node() == {link.bid: link.care_of for link in world.node.links}
    assert world.at_correspondent() == world.at_node()
