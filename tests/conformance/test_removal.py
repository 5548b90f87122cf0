"""DER: removal of bindings (RFC 6275 section 10.3.2, RFC 5648 sections 5.4 and 6.2)."""

import pytest

from conformance import requirement
from conformance.harness import COA1, COA2, COA3, HOA, MN_MAC, OVERWRITE, ROUTER, Bed, make_config, on_real_link
from conformance.neighbours import solicitation
from conformance.packets import acknowledgement, bid, ip, network, parse
from controller.mobility.address import Address, Prefix
from controller.mobility.provision import NodeProvision


@pytest.fixture
def bulk(bed: Bed) -> Bed:
    """Three BIDs are registered."""
    bed.register(bid(1, COA1), bid(2, COA2), bid(3, COA3))
    return bed


@requirement("DER-01")
def test_der_01_lifetime_0_removes(bed: Bed) -> None:
    bed.register()
    ack = bed.register(sequence=700, lifetime=0)
    assert (ack.status, ack.lifetime, ack.sequence) == (0, 0, 700)
    assert not bed.bound()


@requirement("DER-02")
def test_der_02_nothing_to_remove_is_133(bed: Bed) -> None:
    assert bed.register(lifetime=0).status == 133


@requirement("DER-03")
def test_der_03_the_home_address_option_may_be_left_out(bed: Bed) -> None:
    bed.register()
    ack = bed.register(source=HOA, option=False, lifetime=0)
    assert ack.status == 0
    assert (ack.packet.destination, ack.packet.routing) == (HOA, None)
    assert not bed.bindings()


@requirement("DER-04")
def test_der_04_no_refresh_is_advised() -> None:
    bed = Bed(refresh_advice=0.5)
    assert bed.register().option(2) is not None
    assert bed.register(lifetime=0).option(2) is None


@requirement("DER-05")
def test_der_05_the_sequence_number_is_remembered_for_a_while(bed: Bed) -> None:
    bed.register(sequence=10)
    bed.register(sequence=20, lifetime=0)
    ack = bed.register(sequence=19)
    assert (ack.status, ack.sequence) == (135, 20)
    bed.advance(11)
    assert bed.register(sequence=19).status == 0


@requirement("DER-06")
def test_der_06_the_home_address_is_no_longer_defended() -> None:
    bed = on_real_link()
    bed.send(bed.update())
    bed.advance(5)
    bed.on_link()
    bed.send(solicitation(ip("fe80::5"), HOA))
    assert len(bed.on_link()) == 1
    bed.register(lifetime=0)
    bed.on_link()
    bed.send(solicitation(ip("fe80::5"), HOA))
    assert bed.on_link() == []


@requirement("DER-07")
def test_der_07_a_refusal_to_the_home_link_goes_to_the_link_layer_address(bed: Bed) -> None:
    bed.register(sequence=10)
    assert bed.send(bed.update(sequence=9, source=HOA, option=False, lifetime=0), mac=MN_MAC) == []
    (frame,) = bed.on_link()
    ack = acknowledgement(parse(frame.packet))
    assert frame.destination_mac == MN_MAC
    assert (ack.status, ack.packet.destination, ack.packet.routing) == (135, HOA, None)


@requirement("DER-08")
@pytest.mark.parametrize("legacy", [False, True])
def test_der_08_the_home_address_as_care_of_address_removes_as_configured(*, legacy: bool) -> None:
    bed = Bed(home_care_of_removes=legacy)
    bed.register()
    ack = bed.register(source=HOA)
    assert ack.status == (0 if legacy else 174)
    assert bool(bed.bindings()) is not legacy


@requirement("DER-09")
def test_der_09_a_plain_removal_takes_bids_and_prefixes() -> None:
    prefix = "2001:db8:77::/64"
    provision = NodeProvision(Address(HOA), mobile_router=True, prefixes=(Prefix.parse(prefix),))
    bed = Bed(make_config(provision))
    bed.register(network(prefix), bid(1, COA1), bid(2, COA2), flags=0xC000 | ROUTER)
    assert bed.tunnelled_to(ip("2001:db8:77::5")) in {COA1, COA2}
    assert bed.register(lifetime=0, flags=0xC000 | ROUTER).status == 0
    assert not bed.bindings()
    assert bed.tunnelled_to(ip("2001:db8:77::5")) is None
    record = bed.engine.record(Address(HOA))
    assert record is not None
    assert (record.prefixes, record.flows) == ((), ())


@requirement("DER-10")
def test_der_10_with_bid_options_only_those_are_removed(bulk: Bed) -> None:
    ack = bulk.register(bid(2), lifetime=0)
    assert (ack.status, ack.bids) == (0, [(2, 0)])
    assert bulk.care_of() == {1: COA1, 3: COA3}
    assert bulk.bound(COA1)
    assert not bulk.bound(COA2)


@requirement("DER-11")
def test_der_11_the_o_flag_is_ignored(bulk: Bed) -> None:
    assert bulk.register(bid(1), lifetime=0, flags=0xC000 | OVERWRITE).status == 0
    assert bulk.care_of() == {2: COA2, 3: COA3}


@requirement("DER-12")
def test_der_12_an_unknown_bid_is_133(bulk: Bed) -> None:
    ack = bulk.register(bid(99), lifetime=0)
    assert (ack.status, ack.bids) == (133, [(99, 0)])
    assert len(bulk.care_of()) == 3


@requirement("DER-13")
def test_der_13_known_and_unknown_together_are_4(bulk: Bed) -> None:
    ack = bulk.register(bid(1), bid(99), lifetime=0)
    assert (ack.status, ack.bids) == (4, [(1, 0), (99, 133)])
    assert bulk.care_of() == {2: COA2, 3: COA3}


@requirement("DER-14")
def test_der_14_an_old_removal_is_135(bulk: Bed) -> None:
    assert bulk.register(sequence=1, lifetime=0).status == 135
    assert bulk.register(bid(1), sequence=1, lifetime=0).status == 135
    assert len(bulk.care_of()) == 3
