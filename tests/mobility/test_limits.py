"""What the network can make the engine keep or do has bounds."""

from conformance.harness import COA1, COA2, HA, Bed, make_config
from conformance.packets import bid, ip, ipv6
from controller.mobility.address import Address
from controller.mobility.limits import SourceLimiter


def test_a_source_has_its_rate_and_others_theirs() -> None:
    bed = Bed(source_rate=10.0, source_burst=3)
    assert [len(bed.send(bed.update())) for _ in range(5)] == [1, 1, 1, 0, 0]
    assert bed.engine.counters["dropped_source_rate"] == 2
    assert len(bed.send(bed.update(source=COA2))) == 1
    bed.now += 0.1
    assert [len(bed.send(bed.update())) for _ in range(2)] == [1, 0]


def test_a_flood_from_ever_new_sources_takes_no_memory() -> None:
    limiter = SourceLimiter(10.0, 3, 100)
    for number in range(10_000):
        assert limiter.admits(Address(number.to_bytes(16)), 0.0)
    assert len(limiter) == 100


def test_without_a_rate_nothing_is_kept() -> None:
    limiter = SourceLimiter(0.0, 1, 100)
    assert all(limiter.admits(Address(COA1), 0.0) for _ in range(1000))
    assert len(limiter) == 0


def test_all_nodes_together() -> None:
    bed = Bed(make_config(network={"open": True}, max_bindings=10))
    statuses = [bed.register(bid(1, COA1), home=ip(f"2001:db8:0:1::{number:x}")).status for number in range(2, 20)]
    assert statuses == [0] * 10 + [130] * 8
    # What grows is refused, what is refreshed or removed is not.
    assert bed.register(bid(1), home=ip("2001:db8:0:1::2")).status == 0
    assert bed.register(bid(1), bid(2, COA2), home=ip("2001:db8:0:1::2")).bids == [(1, 0), (2, 130)]
    assert bed.register(home=ip("2001:db8:0:1::2"), lifetime=0).status == 0
    bed.advance(11)
    assert bed.register(bid(1, COA1), home=ip("2001:db8:0:1::30")).status == 0


def test_a_flood_of_garbage_leaves_nothing() -> None:
    bed = Bed()
    for number in range(5000):
        bed.engine.receive(ipv6(ip(f"2001:db8:ffff::{number:x}"), HA, 135, bytes(16)), bed.now)
    assert not bed.bindings()
    assert len(bed.engine.events()) == 5000
    assert len(bed.engine.outbox()) <= 20, "error messages have their rate"
