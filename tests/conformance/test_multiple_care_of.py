"""MC: several care-of addresses (RFC 5648)."""

import struct
from dataclasses import replace

import pytest

from conformance import requirement
from conformance.correspondent import Peer, init
from conformance.dataplane import CELLULAR, CELLULAR_PORT, CN, CN_PORT, WIFI, WIFI_PORT, Switch
from conformance.flows import flow, flows_of, reference, selector, summary
from conformance.harness import A_H, COA1, COA2, COA3, HOA, HOA2, OVERWRITE, ROUTER, Bed, acks, make_config
from conformance.packets import (
    IPV6,
    Option,
    alternate,
    bid,
    ip,
    ipv6,
    network,
    options_of,
    parse,
    raw_option,
)
from controller.dataplane import pipeline as p
from controller.dataplane.planner import node_entries
from controller.mobility.address import Address, Prefix
from controller.mobility.model import NodeRecord
from controller.mobility.provision import NodeProvision
from rig import Rig
from steering import Seen, numbered, steered


def record(bed: Bed) -> NodeRecord:
    found = bed.engine.record(Address(HOA))
    assert found is not None
    return found


@pytest.fixture
def two(bed: Bed) -> Bed:
    bed.register(bid(1, COA1), bid(2, COA2))
    return bed


@requirement("MC-01")
def test_mc_01_the_care_of_address_stands_at_octet_6(bed: Bed) -> None:
    option = raw_option(35, b"\x01\x02\x00\x05" + COA2, 8, 2)
    assert bed.register(option).bids == [(0x102, 0)]
    assert bed.care_of() == {0x102: COA2}
    assert bed.register(bid(0x102)).status == 0
    # An IPv4 care-of address is read too; without RFC 5555 it cannot be served.
    assert bed.register(bid(3, bytes((192, 0, 2, 9)))).status == 129


@requirement("MC-02")
@pytest.mark.parametrize("length", [3, 5, 6, 16, 19, 21, 24])
def test_mc_02_an_illegal_length_refuses_everything(bed: Bed, length: int) -> None:
    ack = bed.register(bid(1, COA1), raw_option(35, (b"\0\2\0\0" + bytes(20))[:length], 2, 0))
    assert ack.status == 164
    assert not bed.bindings()


@requirement("MC-03")
@pytest.mark.parametrize("care_of", ["fe80::1", "ff02::1", "::", "::1"])
def test_mc_03_a_care_of_address_that_is_not_routable_is_164(bed: Bed, care_of: str) -> None:
    ack = bed.register(bid(1, COA1), bid(2, ip(care_of)))
    assert (ack.status, ack.bids) == (4, [(1, 0), (2, 164)])
    assert bed.care_of() == {1: COA1}


@requirement("MC-04")
def test_mc_04_a_first_bid_is_added(bed: Bed) -> None:
    ack = bed.register(bid(1, COA1))
    assert (ack.status, ack.bids) == (0, [(1, 0)])
    assert bed.care_of() == {1: COA1}


@requirement("MC-05")
def test_mc_05_a_second_bid_leaves_the_first(bed: Bed) -> None:
    bed.register(bid(1, COA1))
    assert bed.register(bid(2, COA2), source=COA2).status == 0
    assert bed.care_of() == {1: COA1, 2: COA2}


@requirement("MC-06")
def test_mc_06_bulk_comes_in_force_at_once(bed: Bed) -> None:
    bed.hold = True
    assert bed.send(bed.update(bid(1, COA1), bid(2, COA2), bid(3, COA3))) == []
    assert not bed.bindings()
    bed.hold = False
    bed.release()
    (ack,) = acks(bed.settle())
    assert ack.bids == [(1, 0), (2, 0), (3, 0)]
    assert bed.care_of() == {1: COA1, 2: COA2, 3: COA3}


@requirement("MC-07")
def test_mc_07_a_bid_moves(two: Bed) -> None:
    ack = two.register(bid(1, COA3))
    assert (ack.status, ack.bids) == (0, [(1, 0)])
    assert two.care_of() == {1: COA3, 2: COA2}


@requirement("MC-08")
def test_mc_08_an_unknown_bid_without_address_is_167(two: Bed) -> None:
    assert two.register(bid(9)).status == 167
    assert two.register(bid(1), bid(9)).bids == [(1, 0), (9, 167)]


@requirement("MC-09")
def test_mc_09_a_known_bid_without_address_is_refreshed(bed: Bed) -> None:
    bed.register(bid(1, COA1), lifetime=15)
    bed.advance(50)
    assert bed.register(bid(1), lifetime=15).status == 0
    bed.advance(50)
    assert bed.care_of() == {1: COA1}


@requirement("MC-10")
def test_mc_10_overwrite_removes_what_is_not_named(two: Bed) -> None:
    assert two.register(bid(3, COA3), flags=A_H | OVERWRITE).status == 0
    assert two.care_of() == {3: COA3}


@requirement("MC-11")
def test_mc_11_a_plain_binding_is_in_the_way(bed: Bed) -> None:
    bed.register()
    before = bed.bindings()
    assert bed.register(bid(1, COA1)).status == 165
    assert bed.bindings() == before


@requirement("MC-12")
def test_mc_12_overwrite_helps(bed: Bed) -> None:
    bed.register()
    bed.register(bid(1, COA1))
    assert bed.register(bid(1, COA1), flags=A_H | OVERWRITE).status == 0
    assert bed.care_of() == {1: COA1}


@requirement("MC-13")
def test_mc_13_a_plain_registration_replaces_all(two: Bed) -> None:
    assert two.register(source=COA3).bids == []
    assert two.care_of() == {0: COA3}


@requirement("MC-14")
def test_mc_14_every_bid_comes_back_in_order(bed: Bed) -> None:
    ack = bed.register(bid(9, COA1), bid(2, COA2), bid(5, COA3))
    assert ack.bids == [(9, 0), (2, 0), (5, 0)]


@requirement("MC-15")
def test_mc_15_without_care_of_address(bed: Bed) -> None:
    ack = bed.register(bid(1, COA1, priority=7), bid(2, bytes((192, 0, 2, 9))))
    assert [(kind, data) for kind, data in ack.options if kind == 35] == [
        (35, bytes((0, 1, 0, 7))),
        (35, bytes((0, 2, 129, 0))),
    ]


@requirement("MC-16")
def test_mc_16_partial_failure(bed: Bed) -> None:
    ack = bed.register(bid(1, COA1), bid(2))
    assert (ack.status, ack.bids) == (4, [(1, 0), (2, 167)])
    assert bed.care_of() == {1: COA1}


@requirement("MC-17")
def test_mc_17_the_status_that_came_is_ignored(bed: Bed) -> None:
    ack = bed.register(bid(1, COA1, status=255))
    assert (ack.status, ack.bids) == (0, [(1, 0)])


@requirement("MC-18")
def test_mc_18_a_correspondent_refuses_bulk() -> None:
    peer = Peer()
    (ack,) = acks(peer.update(bid(1, COA1), bid(2, COA2)))
    assert (ack.status, ack.bids) == (168, [(1, 0), (2, 0)])
    assert peer.care_of() == {}


@requirement("MC-19")
def test_mc_19_bulk_can_be_forbidden() -> None:
    bed = Bed(make_config(NodeProvision(Address(HOA), bulk=False)))
    assert bed.register(bid(1, COA1), bid(2, COA2)).status == 168
    assert not bed.bindings()
    assert bed.register(bid(1, COA1)).status == 0


@requirement("MC-20")
def test_mc_20_several_care_of_addresses_can_be_forbidden() -> None:
    bed = Bed(make_config(NodeProvision(Address(HOA), multiple_care_of=False)))
    assert bed.register(bid(1, COA1)).status == 166
    assert bed.register().status == 0


@requirement("MC-21")
def test_mc_21_one_sequence_number_for_all_bids(bed: Bed) -> None:
    bed.register(bid(1, COA1), sequence=9)
    ack = bed.register(bid(2, COA2), sequence=9)
    assert (ack.status, ack.sequence) == (135, 9)


def test_there_is_no_interop_mode_with_a_sequence_number_for_each_bid(bed: Bed) -> None:
    """The drafts' independent counters are refused with the number to go on from, so such a node gets in step."""
    assert bed.register(bid(1, COA1), sequence=44327).status == 0
    assert bed.register(bid(2, COA2), sequence=57486).status == 0
    ack = bed.register(bid(1, COA1), sequence=44328)
    assert (ack.status, ack.sequence) == (135, 57486)
    assert bed.register(bid(1, COA1), sequence=ack.sequence + 1).status == 0


@pytest.fixture
def independent() -> Bed:
    """A node whose BIDs count for themselves, as implementations of the drafts up to 05 do."""
    return Bed(make_config(NodeProvision(Address(HOA), per_bid_sequences=True)))


@requirement("MC-22")
def test_mc_22_each_bid_may_count_for_itself(independent: Bed) -> None:
    for number, sequence in ((1, 44327), (2, 57486), (1, 44328), (3, 12), (2, 57487), (1, 44329)):
        care_of = {1: COA1, 2: COA2, 3: COA3}[number]
        ack = independent.register(bid(number, care_of), sequence=sequence)
        assert (ack.status, ack.sequence) == (0, sequence)
    assert independent.care_of() == {1: COA1, 2: COA2, 3: COA3}


@requirement("MC-22")
def test_mc_22_a_bid_that_repeats_itself_hears_its_own_number(independent: Bed) -> None:
    independent.register(bid(1, COA1), sequence=44327)
    independent.register(bid(2, COA2), sequence=57486)
    for sequence in (44327, 44326, 44327 - 0x8000 & 0xFFFF):
        ack = independent.register(bid(1, COA3), sequence=sequence)
        assert (ack.status, ack.sequence) == (135, 44327)
    assert independent.care_of() == {1: COA1, 2: COA2}
    independent.register(bid(1), lifetime=0, sequence=44330)
    assert independent.register(bid(1, COA3), sequence=44329).status == 135, "remembered though its binding is gone"


@requirement("MC-22")
def test_mc_22_in_bulk_every_named_bid_has_to_be_newer(independent: Bed) -> None:
    independent.register(bid(1, COA1), sequence=100)
    independent.register(bid(2, COA2), sequence=200)
    ack = independent.register(bid(1), bid(2), sequence=150)
    assert (ack.status, ack.sequence) == (135, 200)
    assert independent.register(bid(1), bid(2), sequence=201).status == 0


@requirement("MC-22")
def test_mc_22_without_that_mode_the_number_to_go_on_from_is_told(bed: Bed) -> None:
    bed.register(bid(1, COA1), sequence=44327)
    bed.register(bid(2, COA2), sequence=57486)
    ack = bed.register(bid(1, COA1), sequence=44328)
    assert (ack.status, ack.sequence) == (135, 57486)
    assert bed.register(bid(1, COA1), sequence=57487).status == 0


@requirement("MC-23")
def test_mc_23_bid_0_binds_nothing(bed: Bed) -> None:
    ack = bed.register(bid(1, COA1), bid(0, COA2))
    assert (ack.status, ack.bids) == (4, [(1, 0), (0, 164)])
    assert bed.care_of() == {1: COA1}


@requirement("MC-24")
def test_mc_24_of_one_bid_twice_the_first_counts(bed: Bed) -> None:
    ack = bed.register(bid(1, COA1), bid(1, COA2))
    assert (ack.status, ack.bids) == (4, [(1, 0), (1, 164)])
    assert bed.care_of() == {1: COA1}


@requirement("MC-25")
def test_mc_25_an_alternate_care_of_address_does_not_count(bed: Bed) -> None:
    assert bed.register(alternate(COA3), bid(1, COA2)).status == 0
    assert bed.care_of() == {1: COA2}


@requirement("MC-26")
def test_mc_26_the_care_of_address_is_that_of_the_option(bed: Bed) -> None:
    ack = bed.register(bid(1, COA2), source=COA1)
    assert ack.packet.destination == COA1
    assert bed.care_of() == {1: COA2}


@requirement("MC-27")
def test_mc_27_care_of_addresses_can_be_made_to_prove_themselves_one_by_one() -> None:
    """With bulk forbidden each address registers from itself: an answer that is lost binds nothing new there."""
    bed = Bed(make_config(NodeProvision(Address(HOA), bulk=False)))
    assert bed.register(bid(1, COA1), bid(2, ip("2001:db8:bad::1"))).status == 168
    for number, care_of in ((1, COA1), (2, COA2)):
        assert bed.register(bid(number, care_of), source=care_of).packet.destination == care_of
    assert bed.care_of() == {1: COA1, 2: COA2}


@requirement("MC-28")
def test_mc_28_a_bid_belongs_to_its_home_address(two: Bed) -> None:
    assert two.register(bid(1, COA3), home=HOA2).status == 0
    assert (two.care_of()[1], two.care_of(HOA2)[1]) == (COA1, COA3)
    two.register(bid(1), home=HOA2, lifetime=0)
    assert two.care_of()[1] == COA1


def flows(count: int) -> list[bytes]:
    """Return the first packets of that many TCP connections to the home address."""
    return [
        ipv6(CN, HOA, 6, struct.pack("!HHIIHHHH", 1024 + number, 80, 0, 0, 0x5002, 1024, 0, 0))
        for number in range(count)
    ]


def ways(switch: Switch, packets: list[bytes]) -> list[int]:
    """Return the port by which each packet left, the one that there is."""
    return [port for packet in packets for port, _ in switch.send(CN_PORT, packet)]


@requirement("MC-29")
def test_mc_29_a_flow_stays_on_one_care_of_address(bed: Bed, rig: Rig) -> None:
    """Every connection has one way, whatever is refreshed, moved or added beside that way."""
    packets = flows(20)
    steps: list[tuple[Option, ...]] = [
        (bid(1, WIFI), bid(2, CELLULAR)),
        (bid(2),),
        (bid(1), bid(2)),
        (bid(2, COA2),),
        (bid(3, COA3),),
        (bid(1),),
    ]
    for step in steps:
        bed.register(*step, source=WIFI)
        rig.reset()
        assert ways(Switch(rig, bed), packets) == [WIFI_PORT] * 20


@requirement("MC-29")
def test_mc_29_the_node_says_which_care_of_address_that_is(bed: Bed, rig: Rig) -> None:
    """The mechanism that RFC 5648 section 3 leaves open is RFC 6089: the lowest BID-PRI, then the lowest BID."""
    bed.register(bid(1, WIFI, priority=20), bid(2, CELLULAR, priority=10), source=WIFI)
    assert ways(Switch(rig, bed), flows(20)) == [CELLULAR_PORT] * 20


@requirement("MC-29")
def test_mc_29_without_that_binding_any_other_serves(bed: Bed, rig: Rig) -> None:
    """A look-up by the home address alone finds another one (RFC 5648 section 3)."""
    bed.register(bid(1, WIFI), bid(2, CELLULAR), source=WIFI)
    bed.register(bid(1), lifetime=0, source=CELLULAR)
    assert ways(Switch(rig, bed), flows(20)) == [CELLULAR_PORT] * 20


@requirement("MC-29")
def test_mc_29_a_selected_flow_comes_back_when_its_binding_is_gone(bed: Bed, rig: Rig) -> None:
    to_cellular = flow(7, 1, reference(2), selector(struct.pack("!I", 1 << 31 - 14) + b"\x06"))
    bed.register(bid(1, WIFI), bid(2, CELLULAR), to_cellular, source=WIFI)
    assert ways(Switch(rig, bed), flows(5)) == [CELLULAR_PORT] * 5
    bed.register(bid(2), summary(7), lifetime=0, source=WIFI)
    rig.reset()
    assert ways(Switch(rig, bed), flows(5)) == [WIFI_PORT] * 5


@requirement("MC-30")
def test_mc_30_every_care_of_address_may_send(two: Bed) -> None:
    assert sources(record(two)) == {COA1: 1, COA2: 2}


def sources(node: NodeRecord) -> dict[bytes, int]:
    """Return from which care-of addresses a switch takes packets of a node, and for which BID it counts them."""
    entries = list(node_entries(node, numbered(node)).values())
    tunnels = {one.params[0]: one.match[1] for one in entries if one.table == p.TUNNEL_TERMINATION}
    (sender,) = (one for one in entries if one.table == p.HOME_SOURCES)
    assert sender.match == (int.from_bytes(HOA),)
    found = {}
    for one in entries:
        if one.table == p.SOURCE_BINDINGS:
            outer = tunnels[one.match[0]]  # type: ignore[index]  # an exact match is a number
            assert isinstance(outer, int)
            assert one.match[1:] == sender.params
            found[outer.to_bytes(16)] = one.params[0]
    return found


@requirement("MC-31")
def test_mc_31_a_refresh_request_names_its_bids() -> None:
    bed = Bed(refresh_requests=True)
    bed.register(bid(1, COA1), bid(2, COA2), lifetime=25)
    (request, *_) = [parse(one.payload) for one in bed.advance(76) if one.protocol == IPV6]
    assert (request.kind, request.destination, request.routing) == (0, HOA, None)
    assert request.sound
    assert options_of(request.payload, 8) == ((35, bytes((0, 1, 0, 0))), (35, bytes((0, 2, 0, 0))))


@requirement("MC-32")
def test_mc_32_a_care_of_test_has_no_care_of_address() -> None:
    peer = Peer()
    (answer,) = peer.send(init(2, COA1, bid(7)))
    assert answer.kind == 4
    assert options_of(answer.payload, 24) == ((35, bytes((0, 7, 0, 0))),)
    (answer,) = peer.send(init(2, COA1, bid(7, COA2)))
    assert options_of(answer.payload, 24) == ((35, bytes((0, 7, 164, 0))),)


@requirement("MC-33")
def test_mc_33_together_with_mobile_networks_and_flows() -> None:
    prefix = Prefix.parse("2001:db8:1:2::/64")
    bed = Bed(make_config(NodeProvision(Address(HOA), mobile_router=True, prefixes=(prefix,))))
    options = (network(str(prefix)), bid(1, COA1), bid(2, COA2))
    ack = bed.register(*options, flags=A_H | ROUTER | OVERWRITE)
    assert (ack.status, ack.flags, ack.bids) == (0, 0x40, [(1, 0), (2, 0)])
    assert record(bed).prefixes == (prefix,)
    assert bed.care_of() == {1: COA1, 2: COA2}


@requirement("MC-34")
def test_mc_34_a_home_test_init_may_come_from_every_care_of_address(two: Bed) -> None:
    """A switch takes reverse-tunnelled packets by their addresses, whatever is inside."""
    assert sources(record(two)).keys() == {COA1, COA2}


@requirement("MC-35")
def test_mc_35_esp_follows_the_flow_decision(two: Bed) -> None:
    spi = selector(struct.pack("!II", 1 << 31 - 4, 0x1234))
    assert flows_of(two.register(bid(1), bid(2), flow(7, 1, reference(2), spi))) == [(7, 0)]
    packet = Seen(destination=int.from_bytes(HOA), protocol=50, spi=0x1234)
    assert steered(record(two), packet) == 2
    assert steered(record(two), replace(packet, spi=0x1235)) == 1


@requirement("MC-36")
def test_mc_36_each_binding_has_its_own_end(bed: Bed) -> None:
    bed.register(bid(1, COA1), lifetime=15)
    bed.register(bid(2, COA2), lifetime=150)
    bed.advance(61)
    assert bed.care_of() == {2: COA2}


@requirement("MC-37")
def test_mc_37_an_old_sequence_number_comes_before_bad_options(two: Bed) -> None:
    before = two.bindings()
    ack = two.register(raw_option(35, bytes(6), 2, 0), sequence=1)
    assert ack.status == 135
    assert two.bindings() == before
