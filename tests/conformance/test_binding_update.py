"""BU: validation of Binding Updates (RFC 6275 sections 9.5.1, 9.5.4 and 10.3.1)."""

import pytest

from conformance import requirement
from conformance.harness import A_H, COA1, COA2, HOA, HOA2, Bed, make_config
from conformance.packets import alternate, bid, ip, nonces
from controller.mobility.address import Address
from controller.mobility.provision import NodeProvision


@requirement("BU-01")
@pytest.mark.parametrize("sequence", [0, 1, 40000, 65535])
def test_bu_01_a_first_sequence_number_may_be_any(bed: Bed, sequence: int) -> None:
    ack = bed.register(sequence=sequence)
    assert (ack.status, ack.sequence) == (0, sequence)


@requirement("BU-02")
@pytest.mark.parametrize("sequence", [15, 14, 0, 32783, 40000, 65535])
def test_bu_02_an_old_sequence_number_is_refused_with_the_last_one(bed: Bed, sequence: int) -> None:
    bed.register(sequence=15)
    ack = bed.register(sequence=sequence)
    assert (ack.status, ack.sequence) == (135, 15)


@requirement("BU-03")
@pytest.mark.parametrize(("last", "sequence"), [(15, 16), (15, 32782), (32783, 14), (65535, 0), (0, 32767)])
def test_bu_03_a_newer_one_is_accepted_across_the_wrap(bed: Bed, last: int, sequence: int) -> None:
    bed.register(sequence=last)
    ack = bed.register(sequence=sequence)
    assert (ack.status, ack.sequence) == (0, sequence)


@requirement("BU-04")
def test_bu_04_status_135_is_sent_without_the_acknowledge_flag(bed: Bed) -> None:
    bed.register(sequence=15)
    assert bed.register(sequence=15, flags=0x4000).status == 135


@requirement("BU-05")
def test_bu_05_an_old_one_changes_nothing(bed: Bed) -> None:
    bed.register(sequence=15, lifetime=50)
    bed.advance(100)
    assert bed.register(sequence=14, source=COA2, lifetime=1000).status == 135
    assert bed.care_of() == {0: COA1}
    assert bed.register(sequence=15).sequence == 15
    bed.advance(101)
    assert not bed.bindings()


@requirement("BU-06")
def test_bu_06_the_h_flag_may_not_change(bed: Bed) -> None:
    bed.register()
    assert bed.register(flags=0x8000, source=COA2).status == 139
    assert bed.bound(COA1)
    assert not bed.bound(COA2)


@requirement("BU-07")
def test_bu_07_a_home_registration_with_nonce_indices_is_dropped(bed: Bed) -> None:
    bed.silence(bed.update(nonces(1, 2)))


@requirement("BU-08")
@pytest.mark.parametrize("source", ["::", "ff02::1", "ff0e::5"])
def test_bu_08_no_answer_to_a_source_that_is_not_unicast(bed: Bed, source: str) -> None:
    bed.silence(bed.update(source=ip(source)))


@requirement("BU-09")
@pytest.mark.parametrize("care_of", ["fe80::1", "ff02::1", "ff0e::1", "::", "::1"])
def test_bu_09_a_care_of_address_that_is_not_routable_is_dropped(bed: Bed, care_of: str) -> None:
    bed.silence(bed.update(alternate(ip(care_of))))


@requirement("BU-09")
def test_bu_09_nor_is_a_link_local_source(bed: Bed) -> None:
    bed.silence(bed.update(source=ip("fe80::1")))


@requirement("BU-10")
def test_bu_10_outside_of_the_home_network_is_132() -> None:
    stranger = ip("2001:db8:99::1")
    bed = Bed(make_config(NodeProvision(Address(stranger))))
    assert bed.register(home=stranger).status == 132


@requirement("BU-10")
def test_bu_10_a_node_that_is_not_served_is_133(bed: Bed) -> None:
    # Not one of the four: 133 says by its name what is wrong, "not home agent for this mobile node".
    assert bed.register(home=ip("2001:db8:0:1::999")).status == 133


@requirement("BU-10")
def test_bu_10_policy_is_129(bed: Bed) -> None:
    bed.engine.drain([], bed.now)
    assert bed.register().status == 129


@requirement("BU-10")
def test_bu_10_no_room_is_130() -> None:
    bed = Bed(max_bindings=1)
    assert bed.register().status == 0
    assert bed.register(home=HOA2).status == 130


@requirement("BU-10")
def test_bu_10_a_change_that_the_data_plane_refuses_is_130(bed: Bed) -> None:
    bed.hold = True
    assert bed.send(bed.update()) == []
    bed.engine.abort(bed.held[0], bed.now)
    bed.held.clear()
    bed.hold = False
    (answer,) = bed.settle()
    assert answer.payload[6] == 130
    assert not bed.bindings()


@requirement("BU-11")
def test_bu_11_a_registration_without_home_address_option_is_dropped(bed: Bed) -> None:
    bed.silence(bed.update(source=HOA, option=False, lifetime=25))
    bed.silence(bed.update(bid(1, COA1), source=HOA, option=False, flags=A_H))
