"""Whatever the network sends: no exception, no state, and a bounded amount of everything."""

from __future__ import annotations

import contextlib
from random import Random
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from controller.mobility.address import Address, Prefix, is_routable_unicast, parse_address
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork, NodeProvision
from controller.mobility.mobile_node import MobileNode, MobileNodeConfig
from controller.mobility.wire import BindingIdentifier, BindingUpdate, NetworkPrefix, WireError, decapsulate
from controller.mobility.wire import encode_packet as encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.mobility.model import NodeRecord
    from tests.mobility.conftest import Bench

HOME = Prefix.parse("2001:db8:0:1::/64")
HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
COA1 = parse_address("2001:db8:a1::1")
COA2 = parse_address("2001:db8:a2::1")
NETWORK = Prefix.parse("2001:db8:1:2::/64")
UPDATE = BindingUpdate(
    77,
    0xC440,
    60,
    (NetworkPrefix(NETWORK), BindingIdentifier(1, COA1, 10), BindingIdentifier(2, COA2), BindingIdentifier(3)),
)
PACKET = encode(COA1, HA, UPDATE, home_address=HOA)
MOBILITY = 64
"""Where the Mobility Header begins in PACKET."""


def make_engine() -> HomeAgent:
    provision = NodeProvision(HOA, mobile_router=True, prefixes=(NETWORK,))
    return HomeAgent(HomeAgentConfig((HomeNetwork(HOME, HA),), {HOA: provision}))


def word_sum(data: bytes) -> int:
    """Return the one's complement sum of 16-bit words, word by word (RFC 1071)."""
    total = sum(data[index] << 8 | data[index + 1] for index in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def is_sealed(mobility: bytes) -> bool:
    return word_sum(HOA + HA + len(mobility).to_bytes(4) + (135).to_bytes(4) + mobility) == 0xFFFF


def seal(mobility: bytes) -> bytes:
    blank = mobility[:4] + bytes(2) + mobility[6:]
    total = word_sum(HOA + HA + len(blank).to_bytes(4) + (135).to_bytes(4) + blank)
    return mobility[:4] + (0xFFFF - total).to_bytes(2) + mobility[6:]


def assert_untouched(engine: HomeAgent) -> None:
    assert list(engine.records()) == []
    assert engine.next_timer() is None


def test_the_packet_itself_is_accepted() -> None:
    engine = make_engine()
    engine.receive(PACKET, 0.0)
    (transaction,) = engine.transactions()
    assert transaction.after is not None
    assert len(transaction.after.bindings) == 2


def test_every_truncation() -> None:
    engine = make_engine()
    for length in range(len(PACKET)):
        engine.receive(PACKET[:length], 0.0)
        # The same with a payload length that fits, so that what is inside is cut instead.
        if length >= 40:
            engine.receive(PACKET[:4] + (length - 40).to_bytes(2) + PACKET[6:length], 0.0)
    assert engine.transactions() == []
    assert_untouched(engine)
    assert engine.counters["received"] == 2 * len(PACKET) - 40
    assert engine.counters["dropped_malformed"] + engine.counters["dropped_not_signalling"] == 2 * len(PACKET) - 40


def test_a_hundred_thousand_mutations() -> None:
    """From the destination on, all but the padding in the destination options stands under the checksum."""
    engine = make_engine()
    random = Random(6275)
    places = [*range(24, 42), *range(46, len(PACKET))]
    for _ in range(100_000):
        packet = bytearray(PACKET)
        for _ in range(random.randrange(1, 4)):
            packet[random.choice(places)] ^= random.randrange(1, 256)
        engine.receive(bytes(packet), 0.0)
        for transaction in engine.transactions():
            assert bytes(packet) == PACKET or is_sealed(bytes(packet[MOBILITY:])), "a checksum matched by chance"
            engine.abort(transaction.number, 0.0)
    assert_untouched(engine)
    assert engine.counters["received"] == 100_000
    assert engine.counters["dropped_malformed"] > 80_000


def test_mutations_under_a_right_checksum() -> None:
    """These reach the rules. What they propose has to make sense, and aborting it leaves nothing."""
    engine = make_engine()
    random = Random(5648)
    proposed = 0
    for _ in range(20_000):
        mobility = bytearray(PACKET[MOBILITY:])
        for _ in range(random.randrange(1, 5)):
            mobility[random.randrange(len(mobility))] = random.randrange(256)
        engine.receive(PACKET[:MOBILITY] + seal(bytes(mobility)), 0.0)
        for transaction in engine.transactions():
            proposed += 1
            assert transaction.after is not None
            assert_sensible(transaction.after)
            engine.abort(transaction.number, 0.0)
        engine.outbox()
    assert proposed > 1000
    assert_untouched(engine)


def assert_sensible(record: NodeRecord) -> None:
    assert record.home_address == HOA
    bids = [binding.bid for binding in record.bindings]
    assert bids == sorted(set(bids))
    assert bids == [0] or 0 not in bids
    assert all(is_routable_unicast(binding.care_of) for binding in record.bindings)
    assert all(0 < binding.lifetime <= 3600 for binding in record.bindings)
    assert set(record.prefixes) <= {NETWORK}


@given(st.binary(max_size=200), st.sampled_from([0, 40, 60, 64, 66, 70, 76]))
def test_any_octets_after_a_good_beginning(tail: bytes, kept: int) -> None:
    data = PACKET[:kept] + tail
    if kept >= 40:
        data = data[:4] + (len(data) - 40).to_bytes(2) + data[6:]
    engine = make_engine()
    node = MobileNode(MobileNodeConfig(HOA, HA))
    engine.receive(data, 0.0)
    node.receive(data, 0.0)
    assert_untouched(engine)
    assert node.bindings == ()
    with contextlib.suppress(WireError):
        decapsulate(data)


def test_a_flood_from_unknown_addresses_leaves_no_state(bench: Bench) -> None:
    for number in range(20_000):
        stranger = Address(HOME.network[:8] + (0x1000000 + number).to_bytes(8))
        bench.engine.receive(
            encode(COA1, HA, BindingUpdate(1, 0xC040, 60, (BindingIdentifier(1, COA1),)), home_address=stranger), 0.0
        )
        assert len(bench.engine.outbox()) == 1
    assert bench.engine.transactions() == []
    assert_untouched(bench.engine)
    assert len(bench.engine._registrar) == 0
    assert set(bench.engine.counters) == {"received", "refused_133"}


def test_an_open_network_is_bounded(make_bench: Callable[..., Bench]) -> None:
    network = HomeNetwork(HOME, HA, open=True)
    bench = make_bench(config_networks=(network,), config_max_bindings=100, config_max_in_flight=1000)
    for number in range(1000):
        home_address = Address(HOME.network[:8] + (0x1000 + number).to_bytes(8))
        bench.offer(home_address=home_address, sequence=1)
        bench.commit()
        bench.offer(home_address=home_address, sequence=2, lifetime=0)
        bench.commit()
    assert len(list(bench.engine.records())) == 100
    assert bench.engine.counters["refused_130"] == 900
    bench.pass_time(11)
    assert_untouched(bench.engine)


def test_nobody_reads(bench: Bench) -> None:
    packet = bench.packet(lifetime=0)
    for _ in range(70_000):
        bench.engine.receive(packet, 0.0)
    assert len(bench.engine.outbox()) == 65536
    assert bench.engine.counters["dropped_outbox_full"] == 70_000 - 65536
    assert len(bench.engine.events()) == 65536


def test_a_node_that_shortens_its_lifetime_again_and_again(bench: Bench) -> None:
    for units in range(800, 0, -1):
        bench.exchange(BindingIdentifier(1, COA1), lifetime=units)
    assert len(bench.engine._cache._deadlines._heap) <= 66
