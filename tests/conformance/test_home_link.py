"""HL: nodes that are at home, and away at the same time (RFC 5648 sections 5.6 and 6.3)."""

import pytest

from conformance import requirement
from conformance.harness import CN, COA1, COA2, HA, HOA, MN_MAC, OVERWRITE, Bed, on_real_link
from conformance.neighbours import advertisements, solicitation
from conformance.packets import ICMPV6, MOBILITY, Ack, Option, acknowledgement, bid, ip, ipv6, link_layer, parse
from controller.mobility.provision import HomeBinding

OTHER_MAC = bytes.fromhex("0200000001ff")
HOST = ip("2001:db8:0:1::5")


def at_home(bed: Bed, *options: Option, option: bool = False, mac: bytes | None = MN_MAC, **details: int) -> Ack:
    """Send a Binding Update from the home link; return its answer, which goes to a link-layer address."""
    packet = bed.update(*options, source=HOA, option=option, **details)  # type: ignore[arg-type]  # flags, lifetime
    assert bed.send(packet, mac=mac) == []
    (frame,) = [one for one in bed.on_link() if parse(one.packet).protocol == MOBILITY]
    assert frame.destination_mac == MN_MAC
    return acknowledgement(parse(frame.packet))


def both(policy: HomeBinding) -> Bed:
    """Return a home agent with a node that is away under BID 1 and at home under BID 2."""
    bed = on_real_link(home_binding=policy)
    bed.send(bed.update(bid(1, COA1, priority=10)))
    bed.advance(10)
    bed.on_link()
    at_home(bed, bid(2, HOA, priority=5, home=True), link_layer(MN_MAC))
    return bed


@requirement("HL-01")
@pytest.mark.parametrize("option", [False, True])
def test_hl_01_a_home_binding_has_the_home_address_and_a_lifetime_of_its_own(*, option: bool) -> None:
    bed = on_real_link(home_binding=HomeBinding.STATIC)
    at_home(bed, bid(2, HOA, home=True), link_layer(MN_MAC), option=option, lifetime=10)
    assert bed.care_of() == {2: HOA}
    bed.advance(39)
    assert bed.care_of() == {2: HOA}
    bed.advance(2)
    assert not bed.bindings()


@requirement("HL-01")
def test_hl_01_another_care_of_address_cannot_be_at_home() -> None:
    bed = on_real_link(home_binding=HomeBinding.STATIC)
    assert at_home(bed, bid(2, COA1, home=True), link_layer(MN_MAC)).status >= 128
    assert not bed.bindings()


@requirement("HL-01")
def test_hl_01_where_it_is_not_served_it_is_169() -> None:
    bed = on_real_link()
    assert at_home(bed, bid(2, HOA, home=True), link_layer(MN_MAC)).status == 169
    assert not bed.bindings()


@requirement("HL-02")
def test_hl_02_the_answer_goes_to_the_address_in_the_option_without_asking() -> None:
    bed = on_real_link(home_binding=HomeBinding.STATIC)
    packet = bed.update(bid(2, HOA, home=True), link_layer(MN_MAC), source=HOA, option=False)
    assert bed.send(packet, mac=OTHER_MAC) == []
    seen = [(frame.destination_mac, parse(frame.packet)) for frame in bed.on_link()]
    ((mac, answer),) = [one for one in seen if one[1].protocol == MOBILITY]
    assert (mac, acknowledgement(answer).packet.destination) == (MN_MAC, HOA)
    assert not [one for _, one in seen if one.protocol == ICMPV6 and one.kind == 135]


@requirement("HL-02")
def test_hl_02_without_the_option_the_frame_says_it() -> None:
    bed = on_real_link(home_binding=HomeBinding.STATIC)
    assert at_home(bed, bid(2, HOA, home=True)).status == 5


@requirement("HL-03")
def test_hl_03_where_the_home_agent_goes_on_answering_the_status_is_5() -> None:
    bed = on_real_link(home_binding=HomeBinding.STATIC)
    ack = at_home(bed, bid(2, HOA, home=True), link_layer(MN_MAC))
    assert (ack.status, ack.bids) == (5, [(2, 5)])
    ack = bed.register(bid(1, COA1), bid(2, HOA, home=True), link_layer(MN_MAC))
    assert (ack.status, ack.bids) == (0, [(1, 0), (2, 5)])


@requirement("HL-04")
def test_hl_04_where_the_node_answers_itself_the_status_is_0() -> None:
    bed = on_real_link(home_binding=HomeBinding.NDP)
    ack = at_home(bed, bid(2, HOA, home=True), link_layer(MN_MAC))
    assert (ack.status, ack.bids) == (0, [(2, 0)])
    bed.on_link()
    bed.send(solicitation(HOST, HOA))
    assert bed.on_link() == []


@requirement("HL-05")
def test_hl_05_with_status_5_the_home_agent_goes_on_answering_for_the_node() -> None:
    bed = both(HomeBinding.STATIC)
    bed.on_link()
    bed.send(solicitation(HOST, HOA))
    assert [one.target for one in advertisements(bed.on_link())] == [HOA]


@requirement("HL-06")
def test_hl_06_frames_to_the_node_at_home_go_to_the_stored_address() -> None:
    bed = both(HomeBinding.STATIC)
    bed.on_link()
    packet = ipv6(CN, HOA, 17, bytes(16))
    assert bed.send(packet) == []
    (frame,) = bed.on_link()
    assert (frame.home_agent, frame.destination_mac) == (HA, MN_MAC)
    assert frame.packet == packet[:7] + bytes((63,)) + packet[8:]


@requirement("HL-07")
@pytest.mark.parametrize(
    ("options", "flags", "left"),
    [
        ([bid(2, COA2)], 0xC000, {1: COA1, 2: COA2}),
        ([bid(1, COA1)], 0xC000 | OVERWRITE, {1: COA1}),
        ([bid(1)], 0xC000, {1: COA1, 2: HOA}),
    ],
    ids=["the same BID away", "overwritten", "another BID refreshed"],
)
def test_hl_07_leaving_home(options: list[Option], flags: int, left: dict[int, bytes]) -> None:
    bed = both(HomeBinding.STATIC)
    assert bed.register(*options, flags=flags).status == 0
    assert bed.care_of() == left
    bed.on_link()
    assert (bed.tunnelled_to(HOA) is None) == (HOA in left.values())


@requirement("HL-07")
def test_hl_07_as_configured_any_update_without_the_h_flag_ends_it() -> None:
    bed = on_real_link(home_binding=HomeBinding.STATIC, any_update_ends_home=True)
    at_home(bed, bid(2, HOA, home=True), link_layer(MN_MAC))
    bed.register(bid(1, COA1))
    assert bed.care_of() == {1: COA1}


@requirement("HL-07")
def test_hl_07_its_removal_leaves_the_rest() -> None:
    bed = both(HomeBinding.STATIC)
    assert at_home(bed, bid(2), option=True, lifetime=0).status == 0
    assert bed.care_of() == {1: COA1}


@requirement("HL-08")
def test_hl_08_the_newest_home_binding_counts() -> None:
    bed = both(HomeBinding.STATIC)
    ack = at_home(bed, bid(3, HOA, home=True), link_layer(MN_MAC))
    assert ack.status == 5
    assert bed.care_of() == {1: COA1, 3: HOA}


@requirement("HL-08")
def test_hl_08_of_two_in_one_message_the_first() -> None:
    bed = on_real_link(home_binding=HomeBinding.STATIC)
    ack = at_home(bed, bid(2, HOA, home=True), bid(3, HOA, home=True), link_layer(MN_MAC))
    assert (ack.status, ack.bids) == (4, [(2, 5), (3, 164)])
    assert bed.care_of() == {2: HOA}
