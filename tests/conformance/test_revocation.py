"""REV: revocation, home agent switch, heartbeat (RFC 5846, RFC 5142, RFC 5847)."""

import struct

import pytest

from conformance import requirement
from conformance.flows import SWITCH, answer, flow, indications, reference, udp
from conformance.harness import COA1, COA2, COA3, HA, HOA, HOA2, Bed, make_config
from conformance.packets import IPV6, MOBILITY, Seen, bid, ip, ipv6, lay_out, mobility, options_of, parse
from controller.mobility.address import Address
from controller.mobility.events import Revoked
from controller.mobility.model import Cause
from controller.mobility.wire import decode_packet
from security_kit import Pair, esp

NEXT, THIRD = ip("2001:db8:0:2::1"), ip("2001:db8:0:3::1")


@pytest.fixture
def two(bed: Bed) -> Bed:
    bed.register(bid(1, COA1, priority=20), bid(2, COA2, priority=10))
    return bed


def revoke(bed: Bed, *bids: int, home: bytes = HOA, trigger: int = 1) -> list[tuple[Seen, int, int, int, list[int]]]:
    bed.engine.revoke(Address(home), bids or None, bed.now, trigger)
    return indications(bed.settle())


@requirement("REV-01")
def test_rev_01_an_indication_goes_to_the_care_of_address(two: Bed) -> None:
    ((packet, trigger, _, flags, bids),) = revoke(two, 1)
    assert (packet.source, packet.destination, packet.routing) == (HA, COA1, HOA)
    assert (trigger, flags, bids) == (1, 0, [1])
    # Octet by octet but for checksum and sequence number: vector V13 of the digest, with BID 1.
    assert packet.payload[:4] + packet.payload[6:8] + packet.payload[10:] == bytes.fromhex(
        "3b021000 0101 0000 230400010000 010400000000"
    )


@requirement("REV-02")
def test_rev_02_no_bid_means_all(two: Bed) -> None:
    ((packet, _, _, _, bids),) = revoke(two)
    assert (bids, packet.destination) == ([], COA2)


@requirement("REV-02")
def test_rev_02_bids_name_what_goes(bed: Bed) -> None:
    bed.register(bid(1, COA1), bid(2, COA2), bid(3, COA3))
    ((_, _, sequence, _, bids),) = revoke(bed, 1, 3)
    assert bids == [1, 3]
    bed.send(answer(sequence, home=HOA, source=COA1, agent=HA))
    assert bed.care_of() == {2: COA2}


@requirement("REV-03")
def test_rev_03_the_right_answer_removes(two: Bed) -> None:
    two.register(bid(1), bid(2), flow(7, 1, reference(1), udp()))
    ((_, _, sequence, _, _),) = revoke(two, 1)
    two.send(answer(sequence - 1 & 0xFFFF, home=HOA, source=COA1, agent=HA))
    two.send(answer(sequence, home=HOA2, source=COA1, agent=HA))
    assert two.care_of() == {1: COA1, 2: COA2}
    two.hold = True
    two.send(answer(sequence, home=HOA, source=COA1, agent=HA))
    assert two.care_of() == {1: COA1, 2: COA2}, "not before the switches have it"
    two.hold = False
    two.release()
    assert two.care_of() == {2: COA2}
    assert Revoked(Address(HOA), (1,), 0) in two.engine.events()
    record = two.engine.record(Address(HOA))
    assert record is not None
    assert [one.fid for one in record.flows] == [7], "a flow sleeps while its BID is away"
    two.send(answer(sequence, home=HOA, source=COA1, agent=HA))
    assert two.engine.counters["dropped_unexpected_message"] == 3


@requirement("REV-03")
def test_rev_03_whatever_its_status_the_home_agent_has_the_last_word(two: Bed) -> None:
    ((_, _, sequence, _, _),) = revoke(two)
    two.send(answer(sequence, home=HOA, source=COA2, agent=HA, status=134))
    assert two.care_of() == {}
    assert Revoked(Address(HOA), (1, 2), 134) in two.engine.events()
    assert two.register(sequence=1).status == 135, "the sequence number is remembered"


@requirement("REV-04")
def test_rev_04_once_more_after_a_second_then_it_goes(two: Bed) -> None:
    ((first, _, _, _, _),) = revoke(two, 2)
    assert two.advance(0.99) == []
    (second,) = two.advance(0.02)
    assert second.payload == first.payload
    assert two.advance(1.9) == []
    assert 2 in two.care_of()
    assert two.advance(0.2) == []
    assert two.care_of() == {1: COA1}
    assert Revoked(Address(HOA), (2,), None) in two.engine.events()
    assert two.advance(30) == []


@requirement("REV-05")
def test_rev_05_an_indication_is_protected_as_registrations_are() -> None:
    pair = Pair({Address(HOA): esp(first=0x1000)})
    pair.register(bid1=Address(COA1))
    pair.agent.revoke(Address(HOA), None, pair.now)
    (octets,) = pair.agent.outbox()
    packet = parse(octets)
    assert (packet.destination, packet.routing, packet.protocol) == (COA1, HOA, 50)
    assert packet.payload[:4] == (0x1001).to_bytes(4), "the SPI towards the node"
    for sequence in range(3):
        pair.deliver(answer(sequence, home=HOA, source=COA1, agent=HA))
    assert pair.care_of() == {1: COA1}, "nobody else may answer"
    clear, _ = pair.node._guard.open(octets, decode_packet(octets))
    ((_, _, sequence, _, _),) = indications([parse(clear)])
    pair.deliver(pair.node._guard.seal(answer(sequence, home=HOA, source=COA1, agent=HA), pair.now))
    assert pair.care_of() == {}


def test_a_binding_that_is_renewed_meanwhile_stays(two: Bed) -> None:
    revoke(two)
    two.advance(0.5)
    two.register(bid(1))
    two.advance(10)
    assert two.care_of() == {1: COA1}
    assert Revoked(Address(HOA), (2,), None) in two.engine.events()


def test_a_change_under_way_is_waited_for(two: Bed) -> None:
    ((_, _, sequence, _, _),) = revoke(two, 1)
    two.hold = True
    two.send(two.update(bid(2)))
    two.send(answer(sequence, home=HOA, source=COA1, agent=HA))
    assert len(two.held) == 1
    two.hold = False
    two.release()
    two.advance(0.2)
    assert two.care_of() == {2: COA2}


def test_a_removal_that_was_undone_is_proposed_again(two: Bed) -> None:
    ((_, _, sequence, _, _),) = revoke(two, 1)
    two.engine.receive(answer(sequence, home=HOA, source=COA1, agent=HA), two.now)
    (transaction,) = two.engine.transactions()
    assert transaction.cause is Cause.REVOCATION
    two.engine.abort(transaction.number, two.now)
    assert two.care_of() == {1: COA1, 2: COA2}
    two.advance(10)
    assert two.care_of() == {2: COA2}


def test_a_second_revocation_widens_the_first(two: Bed) -> None:
    ((_, _, first, _, _),) = revoke(two, 1)
    ((_, _, second, _, bids),) = revoke(two, 2)
    assert (second, bids) == (first + 1, [])
    two.send(answer(first, home=HOA, source=COA1, agent=HA))
    assert len(two.care_of()) == 2
    two.send(answer(second, home=HOA, source=COA1, agent=HA))
    assert two.care_of() == {}


@pytest.mark.parametrize("bids", [(), (9,)])
def test_there_is_nothing_to_revoke(two: Bed, bids: tuple[int, ...]) -> None:
    with pytest.raises(LookupError, match="no such binding"):
        two.engine.revoke(Address(HOA2), None, two.now)
    if bids:
        with pytest.raises(LookupError, match="no such binding"):
            two.engine.revoke(Address(HOA), bids, two.now)


def switches(seen: list[Seen]) -> list[tuple[bytes, Seen]]:
    """Return care-of address and inner packet of each Home Agent Switch message among packets."""
    inner = [(one.destination, parse(one.payload)) for one in seen if one.protocol == IPV6]
    return [(care_of, one) for care_of, one in inner if one.protocol == MOBILITY and one.kind == SWITCH]


@requirement("REV-06")
def test_rev_06_a_switch_message_lists_home_agents(two: Bed) -> None:
    two.engine.drain([Address(NEXT), Address(THIRD)], two.now, time_left=60)
    ((care_of, message),) = switches(two.settle())
    assert care_of == COA2, "to the home address, in the preferred tunnel"
    assert (message.source, message.destination, message.routing) == (HA, HOA, None)
    assert message.sound
    assert message.payload[6:40] == bytes((2, 0)) + NEXT + THIRD
    assert options_of(message.payload, 40) == ((2, struct.pack("!H", 15)),)
    two.engine.drain([], two.now)
    ((_, message),) = switches(two.settle())
    assert message.payload[6:] == bytes(2), "find one by discovery"


@requirement("REV-07")
def test_rev_07_again_after_5_10_and_20_seconds_until_the_node_is_gone(two: Bed) -> None:
    two.engine.drain([Address(NEXT)], two.now)
    start, times = two.now, []
    for _ in range(8):
        if switches(two.settle()):
            times.append(two.now - start)
        two.advance(0)
        when = two.engine.next_timer()
        assert when is not None
        two.now = when
        two.engine.handle_timer(when)
    assert times[:5] == [0, 5, 15, 35, 55]
    two.register(lifetime=0)
    assert switches(two.advance(200)) == []


@requirement("REV-07")
def test_rev_07_no_binding_is_prolonged(two: Bed) -> None:
    two.advance(10)
    two.engine.drain([Address(NEXT)], two.now)
    two.settle()
    assert two.register(bid(1), bid(2)).status == 129
    assert two.register(home=HOA2).status == 129
    assert two.register(bid(1, COA3), lifetime=57).status == 0, "a handover within what is left is none"
    assert two.register(bid(1), lifetime=0).status == 0
    two.engine.end_drain()
    assert two.register(bid(2)).status == 0
    assert switches(two.advance(60)) == []


def test_a_drain_keeps_to_its_rate() -> None:
    homes = [ip(f"2001:db8:0:1::1:{number:x}") for number in range(250)]
    bed = Bed(make_config(network={"open": True}))
    for home in homes:
        bed.register(home=home)
    bed.engine.drain([], bed.now)
    told = [message.destination for _, message in switches(bed.settle())]
    assert len(told) == 100, "as many as may leave at once"
    second = [message.destination for _, message in switches(bed.advance(1))]
    assert 80 <= len(second) <= 100
    third = [message.destination for _, message in switches(bed.advance(1))]
    assert sorted(told + second + third) == sorted(homes), "each once"
    with pytest.raises(ValueError, match="65 home agents do not fit"):
        bed.engine.drain([Address(NEXT)] * 65, bed.now)


def heartbeat(flags: int = 0) -> bytes:
    body = struct.pack("!HI", flags, 0x01020304) + lay_out((), 12)
    return ipv6(NEXT, HA, MOBILITY, mobility(13, body, NEXT, HA))


def test_a_heartbeat_is_answered_where_that_is_wanted(bed: Bed) -> None:
    (error,) = bed.send(heartbeat())
    assert (error.kind, error.payload[6]) == (7, 2)
    bed = Bed(heartbeat=True, restart_counter=9)
    (answered,) = bed.send(heartbeat())
    assert (answered.kind, answered.destination) == (13, NEXT)
    assert answered.sound
    assert answered.payload[6:12] == bytes.fromhex("0001 01020304")
    assert options_of(answered.payload, 12) == ((28, bytes((0, 0, 0, 9))),)
    assert bed.send(heartbeat(1)) == []
