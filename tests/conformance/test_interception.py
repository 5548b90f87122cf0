"""ND: the home agent answers for nodes that are away (RFC 6275 section 10.4.1)."""

from typing import Any

import pytest

from conformance import requirement
from conformance.harness import ALL_NODES, COA1, HA, HA_MAC, HOA, HOA2, LINK_LOCAL, Bed, on_real_link
from conformance.neighbours import NEIGHBOUR_MAC, Advertisement, advertisements, solicitation, solicited_node
from conformance.packets import ip

HOST = ip("2001:db8:0:1::5")
HOA_LINK_LOCAL = ip("fe80::100")


def away(**details: Any) -> Bed:
    """Return a home agent on a real link with a node that is away; what was sent on the link is put aside."""
    bed = on_real_link()
    bed.send(bed.update(**details))
    bed.advance(10)
    assert bed.bound()
    bed.on_link()
    return bed


def answers(bed: Bed, packet: bytes) -> list[Advertisement]:
    """Return the advertisements that a packet brings about."""
    assert bed.send(packet) == []
    return advertisements(bed.on_link())


@requirement("ND-01")
def test_nd_01_a_new_binding_is_advertised_to_all() -> None:
    bed = on_real_link()
    bed.send(bed.update())
    bed.advance(10)
    sent = advertisements(bed.on_link())
    assert sent == [Advertisement(None, HA, ALL_NODES, 0x20, HOA, HA_MAC)] * 3


@requirement("ND-01")
def test_nd_01_a_refresh_is_not() -> None:
    bed = away()
    bed.register()
    bed.advance(10)
    assert bed.on_link() == []


@requirement("ND-02")
def test_nd_02_with_the_l_flag_the_link_local_address_too() -> None:
    bed = on_real_link()
    bed.send(bed.update(flags=0xC000 | LINK_LOCAL))
    bed.advance(10)
    sent = advertisements(bed.on_link())
    assert {one.target for one in sent} == {HOA, HOA_LINK_LOCAL}
    assert {one.flags for one in sent} == {0x20}


@requirement("ND-03")
@pytest.mark.parametrize("destination", [solicited_node(HOA), HOA], ids=["multicast", "unicast"])
def test_nd_03_a_solicitation_is_answered(destination: bytes) -> None:
    expected = Advertisement(NEIGHBOUR_MAC, HA, HOST, 0x40, HOA, HA_MAC)
    assert answers(away(), solicitation(HOST, HOA, destination=destination)) == [expected]


@requirement("ND-04")
def test_nd_04_a_probe_is_answered_to_all() -> None:
    assert answers(away(), solicitation(bytes(16), HOA)) == [Advertisement(None, HA, ALL_NODES, 0, HOA, HA_MAC)]


@requirement("ND-05")
def test_nd_05_without_the_l_flag_not_for_the_link_local_address() -> None:
    assert answers(away(), solicitation(HOST, HOA_LINK_LOCAL)) == []


@requirement("ND-05")
def test_nd_05_with_it_yes() -> None:
    (answer,) = answers(away(flags=0xC000 | LINK_LOCAL), solicitation(HOST, HOA_LINK_LOCAL))
    assert (answer.target, answer.flags) == (HOA_LINK_LOCAL, 0x40)


@requirement("ND-06")
@pytest.mark.parametrize(
    "packet",
    [
        solicitation(HOST, HOA2),
        solicitation(HOST, ip("2001:db8:0:1:1::100"), destination=solicited_node(HOA)),
        solicitation(HOST, ip("fe80::200")),
        solicitation(HOST, HOA, hop_limit=64),
    ],
    ids=["another home address", "the same group", "another link-local", "forwarded"],
)
def test_nd_06_others_are_not(packet: bytes) -> None:
    assert answers(away(), packet) == []


@requirement("ND-07")
@pytest.mark.parametrize("how", ["removed", "expired"])
def test_nd_07_silence_once_the_binding_is_gone(how: str) -> None:
    bed = away(lifetime=60, flags=0xC000 | LINK_LOCAL)
    if how == "removed":
        bed.register(lifetime=0, source=COA1)
    else:
        bed.advance(241)
    assert answers(bed, solicitation(HOST, HOA)) == []
    assert answers(bed, solicitation(HOST, HOA_LINK_LOCAL)) == []
    assert answers(bed, solicitation(bytes(16), HOA)) == []
