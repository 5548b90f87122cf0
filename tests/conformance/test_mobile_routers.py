"""NEMO: mobile routers and the networks behind them (RFC 3963)."""

import struct

import pytest

from conformance import requirement
from conformance.dataplane import CELLULAR, CN, CN_PORT, HOME_PORT, WIFI, WIFI_PORT, Switch, tunnelled
from conformance.harness import COA1, COA2, HOA, HOA2, MN_MAC, ROUTER, Bed, make_config, on_real_link
from conformance.neighbours import advertisements, solicitation
from conformance.packets import ICMPV6, acknowledgement, bid, icmp, ip, ipv6, network, parse
from controller.dataplane.pipeline import DropReason
from controller.mobility.address import Address, Prefix
from controller.mobility.provision import NodeProvision
from rig import Rig

R = 0xC000 | ROUTER
ONE, TWO, OTHERS = "2001:db8:77::/64", "2001:db8:78::/64", "2001:db8:79::/64"
IN_ONE, IN_TWO, IN_OTHERS = (ip(f"2001:db8:{net}::5") for net in (77, 78, 79))
INSIDE = ip("2001:db8:77::100")
"""A home address from a router's own prefix."""
ANYCAST = ip("2001:db8:0:1:fdff:ffff:ffff:fffe")


def mobile_router(home: bytes, *prefixes: str) -> NodeProvision:
    """Return what a mobile router may do."""
    return NodeProvision(Address(home), mobile_router=True, prefixes=tuple(map(Prefix.parse, prefixes)))


@pytest.fixture
def routers() -> Bed:
    """Two mobile routers, the first with two prefixes."""
    return Bed(make_config(mobile_router(HOA, ONE, TWO), mobile_router(HOA2, OTHERS)))


@requirement("NEMO-01")
def test_nemo_01_r_without_h_is_140(routers: Bed) -> None:
    assert routers.register(flags=0x8000 | ROUTER).status == 140
    assert not routers.bindings()


@requirement("NEMO-01")
def test_nemo_01_so_is_a_node_that_is_no_mobile_router(bed: Bed) -> None:
    assert bed.register(flags=R).status == 140


@requirement("NEMO-02")
@pytest.mark.parametrize(("first", "second"), [(R, 0xC000), (0xC000, R), (R, 0x8000 | ROUTER), (R, 0x8000)])
def test_nemo_02_the_type_of_registration_may_not_change(routers: Bed, first: int, second: int) -> None:
    routers.register(flags=first)
    assert routers.register(flags=second, source=COA2).status == 139
    assert routers.care_of() == {0: COA1}


@requirement("NEMO-03")
def test_nemo_03_a_removal_may_leave_the_r_flag_out(routers: Bed) -> None:
    routers.register(network(ONE), flags=R)
    assert routers.register(flags=0xC000, lifetime=0).status == 0
    assert not routers.bindings()


@requirement("NEMO-04")
def test_nemo_04_all_named_prefixes_are_served(routers: Bed) -> None:
    ack = routers.register(network(ONE), network(TWO), flags=R)
    assert (ack.status, ack.flags & 0x40) == (0, 0x40)
    assert routers.tunnelled_to(IN_ONE) == routers.tunnelled_to(IN_TWO) == COA1


@requirement("NEMO-05")
@pytest.mark.parametrize(
    "bad",
    [
        network("ff0e::/64"),
        network("fe80::/64"),
        network("2001:db8:78::/63"),
        network("2001:db8:78::1/64"),
        network("2001:db8:78::/64", length=129),
        network("::/0"),
    ],
    ids=["multicast", "link-local", "another length", "host bits", "longer than 128", "everything"],
)
def test_nemo_05_one_invalid_prefix_is_141(routers: Bed, bad: tuple[int, int, bytes]) -> None:
    ack = routers.register(network(ONE), bad, flags=R)
    assert (ack.status, ack.flags & 0x40) == (141, 0)
    assert routers.tunnelled_to(IN_ONE) is None


@requirement("NEMO-06")
def test_nemo_06_a_prefix_of_nobody_is_142(routers: Bed) -> None:
    assert routers.register(network("2001:db8:99::/64"), flags=R).status == 142
    assert not routers.bindings()


@requirement("NEMO-07")
def test_nemo_07_nothing_named_and_nothing_known_is_143() -> None:
    bed = Bed(make_config(mobile_router(HOA)))
    assert bed.register(flags=R).status == 143
    assert not bed.bindings()


@requirement("NEMO-08")
def test_nemo_08_what_is_known_is_served_without_being_named(routers: Bed) -> None:
    ack = routers.register(flags=R)
    assert (ack.status, ack.flags & 0x40) == (0, 0x40)
    assert routers.tunnelled_to(IN_ONE) == routers.tunnelled_to(IN_TWO) == COA1


@requirement("NEMO-09")
def test_nemo_09_a_prefix_that_is_no_longer_named_is_no_longer_served(routers: Bed) -> None:
    routers.register(network(ONE), network(TWO), flags=R)
    routers.register(network(TWO), flags=R)
    assert routers.tunnelled_to(IN_ONE) is None
    assert routers.tunnelled_to(IN_TWO) == COA1


@requirement("NEMO-10")
def test_nemo_10_a_refresh_may_name_another(routers: Bed) -> None:
    routers.register(network(ONE), flags=R)
    assert routers.tunnelled_to(IN_TWO) is None
    routers.register(network(ONE), network(TWO), flags=R)
    assert routers.tunnelled_to(IN_ONE) == routers.tunnelled_to(IN_TWO) == COA1


@requirement("NEMO-11")
def test_nemo_11_a_removal_takes_all_prefixes_whatever_it_names(routers: Bed) -> None:
    routers.register(network(ONE), network(TWO), flags=R)
    assert routers.register(network("ff0e::/64"), network(ONE), flags=R, lifetime=0).status == 0
    assert routers.tunnelled_to(IN_ONE) is None
    assert routers.tunnelled_to(IN_TWO) is None


@requirement("NEMO-12")
def test_nemo_12_the_prefix_of_another_router_is_142(routers: Bed) -> None:
    assert routers.register(network(OTHERS), flags=R).status == 142
    routers.register(network(OTHERS), flags=R, home=HOA2, source=COA2)
    assert routers.register(network(OTHERS), flags=R).status == 142
    assert routers.tunnelled_to(IN_OTHERS) == COA2


@requirement("NEMO-13")
def test_nemo_13_a_mobile_router_is_a_router_to_its_neighbours() -> None:
    bed = on_real_link(mobile_router(HOA, ONE))
    bed.send(bed.update(flags=R))
    bed.advance(10)
    assert {(one.target, one.flags) for one in advertisements(bed.on_link())} == {(HOA, 0x80 | 0x20)}
    bed.send(solicitation(ip("fe80::5"), HOA))
    assert [one.flags for one in advertisements(bed.on_link())] == [0x80 | 0x40]


@requirement("NEMO-14")
def test_nemo_14_a_home_address_from_its_own_prefix_is_not_on_the_home_link() -> None:
    bed = on_real_link(mobile_router(INSIDE, ONE))
    assert bed.register(network(ONE), flags=R, home=INSIDE).status == 0
    assert bed.advance(10) == []
    assert bed.on_link() == []
    bed.send(solicitation(ip("fe80::5"), INSIDE))
    assert bed.on_link() == []


@requirement("NEMO-14")
def test_nemo_14_without_the_r_flag_it_is_132() -> None:
    bed = on_real_link(mobile_router(INSIDE, ONE))
    assert bed.register(home=INSIDE).status == 132


@pytest.fixture
def switch(rig: Rig, routers: Bed) -> Switch:
    """A switch that carries the first router's packets."""
    routers.register(network(ONE), network(TWO), bid(1, WIFI), flags=R, source=WIFI)
    return Switch(rig, routers)


def echo(source: bytes, destination: bytes) -> bytes:
    """Return an Echo Request."""
    return ipv6(source, destination, ICMPV6, icmp(128, 0, bytes(8), source, destination))


@requirement("NEMO-15")
@pytest.mark.parametrize(
    ("port", "source"), [(CN_PORT, CN), (HOME_PORT, ip("2001:db8:0:1::5"))], ids=["from outside", "from the home link"]
)
def test_nemo_15_packets_for_its_networks_are_tunnelled_to_the_router(switch: Switch, port: int, source: bytes) -> None:
    for destination in (IN_ONE, IN_TWO, HOA):
        ((way, outer),) = switch.send(port, echo(source, destination))
        assert (way, outer.destination) == (WIFI_PORT, WIFI)
        assert outer.payload[8:40] == source + destination


@requirement("NEMO-16")
def test_nemo_16_only_its_own_sources_come_out_of_its_tunnel(switch: Switch) -> None:
    for source in (IN_ONE, IN_TWO, HOA):
        ((way, seen),) = switch.send(WIFI_PORT, tunnelled(echo(source, CN)))
        assert (way, seen.source) == (CN_PORT, source)
    assert switch.send(WIFI_PORT, tunnelled(echo(IN_OTHERS, CN))) == []
    assert switch.drops() == {DropReason.FORGED_INNER_SOURCE}


@requirement("NEMO-17")
def test_nemo_17_only_from_a_registered_care_of_address(switch: Switch) -> None:
    assert switch.send(WIFI_PORT, tunnelled(echo(IN_ONE, CN), CELLULAR)) == []
    assert switch.drops() == {DropReason.UNREGISTERED_OUTER_SOURCE}


def discovery(*, routers: bool) -> bytes:
    """Return a Home Agent Address Discovery Request."""
    body = struct.pack("!HH", 0x55, 0x8000 if routers else 0)
    return ipv6(COA1, ANYCAST, ICMPV6, icmp(144, 0, body, COA1, ANYCAST))


def home_agent_advertisement(last: int, *, mobile_routers: bool) -> bytes:
    """Return a Router Advertisement of another home agent with its Home Agent Information option."""
    source, everyone = ip(f"fe80::{last}"), ip("ff02::1")
    body = struct.pack("!BBHII", 64, 0x20, 1800, 0, 0)
    body += struct.pack("!BBBBIII", 3, 4, 64, 0xE0, 86400, 86400, 0) + ip(f"2001:db8:0:1::{last}")
    body += struct.pack("!BBHHH", 8, 1, 0x8000 if mobile_routers else 0, 5, 1800)
    return ipv6(source, everyone, ICMPV6, icmp(134, 0, body, source, everyone), hop_limit=255)


@requirement("NEMO-18")
def test_nemo_18_discovery_for_routers_lists_those_that_serve_them(routers: Bed) -> None:
    routers.send(home_agent_advertisement(2, mobile_routers=True))
    routers.send(home_agent_advertisement(3, mobile_routers=False))
    (reply,) = routers.send(discovery(routers=True))
    assert struct.unpack_from("!HH", reply.payload, 4) == (0x55, 0x8000)
    assert reply.payload[8:] == ip("2001:db8:0:1::2") + ip("2001:db8:0:1::1")


@requirement("NEMO-18")
def test_nemo_18_the_reply_is_vector_v19(routers: Bed) -> None:
    (reply,) = routers.send(discovery(routers=True))
    assert reply.payload == bytes.fromhex("9100651d0055800020010db8000000010000000000000001")


@requirement("NEMO-19")
def test_nemo_19_without_any_the_plain_list_with_r_clear(bed: Bed) -> None:
    bed.send(home_agent_advertisement(3, mobile_routers=False))
    (reply,) = bed.send(discovery(routers=True))
    assert struct.unpack_from("!HH", reply.payload, 4) == (0x55, 0)
    assert reply.payload[8:] == ip("2001:db8:0:1::3") + ip("2001:db8:0:1::1")


@requirement("NEMO-20")
def test_nemo_20_the_reserved_octet_of_a_prefix_is_ignored(routers: Bed) -> None:
    assert routers.register(network(ONE, reserved=0xFF), flags=R).status == 0
    assert routers.tunnelled_to(IN_ONE) == COA1


@requirement("NEMO-03")
def test_nemo_03_from_the_home_link_too(routers: Bed) -> None:
    routers.register(network(ONE), flags=R)
    assert routers.send(routers.update(flags=R, source=HOA, option=False, lifetime=0), mac=MN_MAC) == []
    (frame,) = routers.on_link()
    assert acknowledgement(parse(frame.packet)).status == 0
    assert not routers.bindings()
