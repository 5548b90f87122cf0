"""HAO: the Home Address option and the type 2 routing header (RFC 6275 sections 6.3, 6.4 and 9.3)."""

import pytest

from conformance import packets, requirement
from conformance.harness import COA1, COA2, COA3, HA, HOA, Bed, make_config
from conformance.packets import (
    DESTINATION_OPTIONS,
    ICMPV6,
    MOBILITY,
    alternate,
    bid,
    icmp,
    ip,
    ipv6,
    mobility,
    with_hao,
    with_rh2,
)
from controller.mobility.address import Address
from controller.mobility.mobile_node import MobileNode, MobileNodeConfig


@requirement("HAO-01")
def test_hao_01_the_mobile_node_sends_it_at_an_offset_of_8n_and_6() -> None:
    node = MobileNode(MobileNodeConfig(Address(HOA), Address(HA)))
    node.attach(1, Address(COA1))
    node.register(0.0)
    (packet,) = node.outbox()
    assert packet[6] == DESTINATION_OPTIONS
    at = packet.index(b"\xc9\x10", 40)
    assert (at - 40) % 8 == 6
    assert packet[at + 2 : at + 18] == HOA


@requirement("HAO-01")
@pytest.mark.parametrize(
    "options",
    [
        b"\xc9\x0f" + bytes(15) + b"\x01\x01\x00" + bytes(2),
        b"\x01\x02\x00\x00\xc9\x10" + HOA + b"\x01\x02\x00\x00\xc9\x10" + HOA + bytes(2),
    ],
    ids=["length 15", "twice"],
)
def test_hao_01_another_length_or_a_second_one_is_refused(bed: Bed, options: bytes) -> None:
    options += bytes(-(2 + len(options)) % 8)
    header = mobility(5, packets.update(1), HOA, HA)
    packet = bytes((MOBILITY, (2 + len(options)) // 8 - 1)) + options + header
    assert not [seen for seen in bed.send(ipv6(COA1, HA, DESTINATION_OPTIONS, packet)) if seen.protocol == MOBILITY]
    assert not bed.bindings()


@requirement("HAO-02")
@pytest.mark.parametrize("home", ["ff0e::1", "ff02::1", "fe80::1", "::1", "::"])
def test_hao_02_such_a_home_address_is_dropped(bed: Bed, home: str) -> None:
    address = ip(home)
    bed.silence(bed.update(home=address))
    echo = with_hao(address, ICMPV6, icmp(128, 0, bytes(8), address, HA))
    bed.silence(ipv6(COA1, HA, DESTINATION_OPTIONS, echo))


@requirement("HAO-03")
def test_hao_03_without_binding_data_gets_a_binding_error(bed: Bed) -> None:
    error = bed.echo(COA1)
    assert (error.source, error.destination, error.routing, error.protocol) == (HA, COA1, None, MOBILITY)
    assert (error.kind, error.payload[6], error.payload[8:24]) == (7, 1, HOA)


@requirement("HAO-04")
def test_hao_04_any_registered_care_of_address_will_do(bed: Bed) -> None:
    bed.register(bid(1, COA1), bid(2, COA2))
    assert bed.bound(COA1)
    assert bed.bound(COA2)


@requirement("HAO-05")
def test_hao_05_an_unregistered_source_gets_a_binding_error(bed: Bed) -> None:
    bed.register(bid(1, COA1), bid(2, COA2))
    assert not bed.bound(COA3)


@requirement("HAO-06")
def test_hao_06_a_first_binding_update_needs_no_binding(bed: Bed) -> None:
    assert bed.register().status == 0


@requirement("HAO-06")
@pytest.mark.parametrize("protocol", [50, 51])
def test_hao_06_esp_and_ah_get_no_binding_error(bed: Bed, protocol: int) -> None:
    packet = with_hao(HOA, protocol, bytes(32))
    assert bed.send(ipv6(COA1, HA, DESTINATION_OPTIONS, packet)) == []


@requirement("HAO-07")
def test_hao_07_answers_to_a_bound_node_are_routed_by_its_care_of_address(bed: Bed) -> None:
    bed.register()
    reply = bed.echo(COA1)
    assert (reply.source, reply.destination, reply.routing, reply.kind) == (HA, COA1, HOA, 129)
    assert reply.sound


@requirement("HAO-07")
def test_hao_07_so_are_answers_to_what_came_from_the_home_address(bed: Bed) -> None:
    bed.register(bid(1, COA1, priority=20), bid(2, COA2, priority=10))
    (reply,) = bed.send(ipv6(HOA, HA, ICMPV6, icmp(128, 0, bytes(8), HOA, HA)))
    assert (reply.destination, reply.routing, reply.kind) == (COA2, HOA, 129)


@requirement("HAO-08")
def test_hao_08_without_the_option_the_answer_has_no_routing_header(bed: Bed) -> None:
    bed.register()
    seen = bed.register(source=HOA, option=False, lifetime=0).packet
    assert (seen.destination, seen.routing) == (HOA, None)


@requirement("HAO-09")
def test_hao_09_other_messages_have_no_routing_header_and_no_option() -> None:
    bed = Bed(refresh_requests=True)
    bed.register(bid(1, COA1), lifetime=100)
    (tunnelled,) = bed.advance(301)
    assert (tunnelled.source, tunnelled.destination, tunnelled.protocol) == (HA, COA1, packets.IPV6)
    inner = packets.parse(tunnelled.payload)
    assert (inner.source, inner.destination, inner.routing, inner.home) == (HA, HOA, None, None)
    assert (inner.protocol, inner.kind) == (MOBILITY, 0)
    (error,) = bed.send(ipv6(COA1, HA, DESTINATION_OPTIONS, with_hao(HOA, MOBILITY, mobility(200, bytes(10), HOA, HA))))
    assert (error.kind, error.routing, error.home) == (7, None, None)


@requirement("HAO-09")
def test_hao_09_a_routing_header_to_the_home_agent_leads_nowhere(bed: Bed) -> None:
    header = mobility(5, packets.update(1), HOA, HOA)
    bed.silence(ipv6(HOA, HA, packets.ROUTING, with_rh2(HOA, MOBILITY, header)))


@requirement("HAO-10")
def test_hao_10_the_answer_goes_to_the_source_not_to_the_alternate_care_of_address(bed: Bed) -> None:
    seen = bed.register(alternate(COA2)).packet
    assert (seen.destination, seen.routing) == (COA1, HOA)
    assert bed.care_of() == {0: COA2}


@requirement("HAO-10")
def test_hao_10_nor_to_that_of_a_bid_option() -> None:
    bed = Bed(make_config())
    assert bed.register(bid(1, COA2)).packet.destination == COA1
