"""REG: home registration (RFC 6275 sections 9.6 and 10.3.1)."""

import pytest

from conformance import packets, requirement
from conformance.harness import ALL_NODES, COA1, COA2, HA, HOA, KEY_MANAGEMENT, LINK_LOCAL, Bed, acks, on_real_link
from conformance.packets import Ack, Seen, bid, icmp, ip, ipv6, parse

HOA_LINK_LOCAL = ip("fe80::100")


def neighbour(source: bytes, target: bytes) -> bytes:
    """Return a neighbour's advertisement of an address."""
    body = bytes((0x20, 0, 0, 0)) + target + bytes.fromhex("0201020000000999")
    return ipv6(source, ALL_NODES, 58, icmp(136, 0, body, source, ALL_NODES), hop_limit=255)


def probes(bed: Bed) -> list[Seen]:
    """Return the probes for duplicates that were sent."""
    return [seen for seen in (parse(frame.packet) for frame in bed.on_link()) if seen.kind == 135]


def settled(bed: Bed, packet: bytes) -> Ack:
    """Send a first Binding Update and wait for its answer."""
    assert bed.send(packet) == []
    (ack,) = acks(bed.advance(1.5))
    return ack


@requirement("REG-01")
@pytest.mark.parametrize("flags", [0xC000, 0x4000])
def test_reg_01_an_accepted_update_is_always_answered(bed: Bed, flags: int) -> None:
    assert bed.register(flags=flags).status == 0


@requirement("REG-02")
def test_reg_02_sequence_copied_and_lifetime_within_the_limit() -> None:
    bed = Bed(max_lifetime=1200)
    ack = bed.register(sequence=77, lifetime=1000)
    assert (ack.sequence, ack.lifetime) == (77, 300)
    assert bed.register(sequence=78, lifetime=20).lifetime == 20


@requirement("REG-03")
def test_reg_03_the_lifetime_ends_with_the_home_prefix() -> None:
    bed = Bed(network={"valid_until": 1060.0})
    assert bed.register(lifetime=100).lifetime <= 15
    assert bed.register(bid(1, COA1), flags=0xC040, lifetime=100).lifetime <= 15


@requirement("REG-04")
def test_reg_04_the_binding_is_removed_with_the_home_prefix() -> None:
    bed = Bed(network={"valid_until": 1060.0})
    bed.register(lifetime=100)
    bed.advance(59)
    assert bed.bound()
    bed.advance(2)
    assert not bed.bound()


@requirement("REG-04")
def test_reg_04_also_when_its_end_is_moved_forward(bed: Bed) -> None:
    bed.register(lifetime=100)
    bed.engine.set_prefix_lifetimes(bed.engine_config.networks[0].prefix, bed.now + 30, None, bed.now)
    bed.advance(31)
    assert not bed.bound()


@requirement("REG-05")
@pytest.mark.parametrize(
    ("valid", "preferred"), [(None, 1020.0), (None, 900.0), (1400.0, None)], ids=["soon", "already", "ends with it"]
)
def test_reg_05_a_deprecated_prefix_is_status_1(valid: float | None, preferred: float | None) -> None:
    bed = Bed(network={"valid_until": valid, "preferred_until": preferred})
    assert bed.register(lifetime=100).status == 1


@requirement("REG-06")
def test_reg_06_otherwise_status_0() -> None:
    bed = Bed(network={"valid_until": 5000.0, "preferred_until": 1404.0})
    assert bed.register(lifetime=100).status == 0


@requirement("REG-07")
def test_reg_07_duplicates_are_looked_for_before_the_first_answer() -> None:
    bed = on_real_link()
    assert bed.send(bed.update()) == []
    (probe,) = probes(bed)
    assert (probe.source, probe.destination) == (bytes(16), ip("ff02::1:ff00:100"))
    assert (probe.hop_limit, probe.payload[8:], probe.sound) == (255, HOA, True)
    assert not bed.bound()
    (ack,) = acks(bed.advance(1.5))
    assert ack.status == 0
    assert bed.bound()


@requirement("REG-07")
def test_reg_07_with_the_l_flag_for_the_link_local_address_too() -> None:
    bed = on_real_link()
    bed.send(bed.update(flags=0xC000 | LINK_LOCAL))
    assert {probe.payload[8:] for probe in probes(bed)} == {HOA, HOA_LINK_LOCAL}


@requirement("REG-08")
@pytest.mark.parametrize("target", [HOA, HOA_LINK_LOCAL], ids=["home address", "link-local address"])
def test_reg_08_a_duplicate_is_134(target: bytes) -> None:
    bed = on_real_link()
    bed.send(bed.update(flags=0xC000 | LINK_LOCAL))
    (ack,) = acks(bed.send(neighbour(ip("fe80::999"), target)))
    assert ack.status == 134
    assert bed.advance(5) == []
    assert not bed.bindings()


@requirement("REG-09")
def test_reg_09_no_second_look_while_there_is_a_binding() -> None:
    bed = on_real_link()
    assert settled(bed, bed.update(bid(1, COA1))).status == 0
    bed.on_link()
    assert bed.register(bid(2, COA2)).status == 0
    assert bed.register(bid(1, COA1)).status == 0
    assert not probes(bed)


@requirement("REG-10")
def test_reg_10_without_the_l_flag_the_link_local_address_does_not_matter() -> None:
    bed = on_real_link()
    bed.send(bed.update())
    assert bed.send(neighbour(ip("fe80::999"), HOA_LINK_LOCAL)) == []
    (ack,) = acks(bed.advance(1.5))
    assert ack.status == 0


@requirement("REG-11")
def test_reg_11_a_retransmission_meanwhile_makes_one_binding_and_one_answer() -> None:
    bed = on_real_link()
    assert bed.send(bed.update(sequence=5)) == []
    bed.advance(0.5)
    assert bed.send(bed.update(sequence=6)) == []
    (ack,) = acks(bed.advance(2))
    assert (ack.status, ack.sequence) == (0, 6)
    assert bed.care_of() == {0: COA1}
    assert bed.register(sequence=6).status == 135


@requirement("REG-12")
def test_reg_12_the_k_flag_is_not_promised(bed: Bed) -> None:
    ack = bed.register(flags=0xC000 | KEY_MANAGEMENT)
    assert ack.status == 0
    assert not ack.flags & 0x80


@requirement("REG-13")
def test_reg_13_a_refresh_is_advised_before_the_end() -> None:
    ack = Bed(refresh_advice=0.5).register(lifetime=100)
    assert ack.option(2) == (50).to_bytes(2)
    assert ack.lifetime > 50


@requirement("REG-13")
def test_reg_13_not_by_a_home_agent_that_keeps_its_bindings(bed: Bed) -> None:
    assert bed.register().option(2) is None


@requirement("REG-14")
def test_reg_14_the_binding_ends_with_its_lifetime(bed: Bed) -> None:
    bed.register(lifetime=15)
    bed.advance(59)
    assert bed.bound()
    bed.advance(2)
    assert not bed.bound()


@requirement("REG-15")
def test_reg_15_a_refresh_restarts_the_lifetime_which_may_be_shorter(bed: Bed) -> None:
    bed.register(lifetime=100)
    bed.advance(300)
    bed.register(lifetime=100)
    bed.advance(200)
    assert bed.bound()
    bed.register(lifetime=5)
    bed.advance(21)
    assert not bed.bound()


@requirement("REG-16")
def test_reg_16_a_new_care_of_address_takes_the_packets_at_once(bed: Bed) -> None:
    bed.register()
    bed.register(source=COA2)
    assert bed.bound(COA2)
    assert not bed.bound(COA1)
    inner = ipv6(ip("2001:db8:c::1"), HOA, 17, bytes(16))
    (outer,) = bed.send(inner)
    assert (outer.source, outer.destination, outer.protocol) == (HA, COA2, packets.IPV6)
