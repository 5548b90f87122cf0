"""The home agent's own address on a home link: neighbours find it, and nobody else gets it."""

from conformance.harness import HA, HOA, Bed, make_config, on_real_link
from conformance.neighbours import NEIGHBOUR_MAC, advertisements, solicitation
from conformance.packets import ip

HOST = ip("2001:db8:0:1::5")
ROUTER, SOLICITED, OVERRIDE = 0x80, 0x40, 0x20


def test_a_neighbour_finds_the_home_agent() -> None:
    bed = on_real_link()
    bed.send(solicitation(HOST, HA))
    (answer,) = advertisements(bed.on_link())
    assert (answer.mac, answer.source, answer.destination, answer.target) == (NEIGHBOUR_MAC, HA, HOST, HA)
    assert answer.flags == ROUTER | SOLICITED | OVERRIDE


def test_a_neighbour_that_is_not_sure_any_more_asks_it_alone() -> None:
    bed = on_real_link()
    bed.send(solicitation(HOST, HA, destination=HA))
    (answer,) = advertisements(bed.on_link())
    assert answer.flags == ROUTER | SOLICITED | OVERRIDE


def test_nobody_takes_the_address() -> None:
    bed = on_real_link()
    bed.send(solicitation(bytes(16), HA))
    (answer,) = advertisements(bed.on_link())
    assert (answer.mac, answer.destination, answer.flags) == (None, ip("ff02::1"), ROUTER | OVERRIDE)


def test_it_is_answered_for_nobody_else() -> None:
    bed = on_real_link()
    bed.send(solicitation(HOST, HOA))
    bed.send(solicitation(HOST, ip("2001:db8:0:1::77")))
    assert advertisements(bed.on_link()) == []


def test_on_a_virtual_link_nobody_asks() -> None:
    bed = Bed(make_config())
    bed.send(solicitation(HOST, HA))
    assert bed.on_link() == []
