"""Router Advertisements on home links, as scapy and the engine of another home agent read them."""

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controller.fabric.advertiser import INTERVAL, Advertiser, Served
from controller.fabric.fields import parse_mac
from controller.fabric.neighbours import link_local
from controller.fabric.statics import HomePort
from controller.mobility.address import Prefix, format_address, parse_address
from controller.mobility.wire.icmp import read_router_advertisement

MAC = parse_mac("02:00:00:00:00:01")
AGENT = parse_address("2001:db8:0:1::1")
PREFIX = Prefix.parse("2001:db8:0:1::/64")
ROUTER = format_address(link_local(MAC))


def advertiser() -> Advertiser:
    return Advertiser({"s1": [HomePort(1, MAC, AGENT)], "s2": []}, {AGENT: Served(PREFIX)}, 0.0, random.Random(1))


def ether(frame: bytes) -> Any:
    from scapy.layers.l2 import Ether

    return Ether(frame)


def solicitation(source: str = "fe80::9", *, hop_limit: int = 255) -> bytes:
    from scapy.layers.inet6 import ICMPv6ND_RS, ICMPv6NDOptSrcLLAddr, IPv6
    from scapy.layers.l2 import Ether

    option = b"" if source == "::" else ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:99")
    head = Ether(src="02:00:00:00:00:99", dst="33:33:00:00:00:02") / IPv6(src=source, dst="ff02::2", hlim=hop_limit)
    return bytes(head / ICMPv6ND_RS() / option)


def test_it_advertises_by_itself_with_the_home_agent_bits() -> None:
    from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptPrefixInfo, IPv6

    one = advertiser()
    due = one.next_timer()
    assert due is not None
    one.handle_timer(due)
    (sent,) = one.outbox()
    assert (sent.switch, sent.port) == ("s1", 1)
    frame = ether(sent.frame)
    assert (frame.dst, frame.src) == ("33:33:00:00:00:01", "02:00:00:00:00:01")
    assert (frame[IPv6].src, frame[IPv6].dst, frame[IPv6].hlim) == (ROUTER, "ff02::1", 255)
    told = frame[ICMPv6ND_RA]
    assert (told.H, told.M, told.O, told.routerlifetime) == (1, 0, 0, 1800)
    prefix = frame[ICMPv6NDOptPrefixInfo]
    assert (prefix.prefix, prefix.prefixlen, prefix.L, prefix.A, prefix.R) == ("2001:db8:0:1::1", 64, 1, 1, 1)
    following = one.next_timer()
    assert following is not None
    assert INTERVAL[0] <= following - due <= INTERVAL[1]
    packet = sent.frame[14:]
    read = read_router_advertisement(link_local(MAC), parse_address("ff02::1"), 255, packet[40:])
    assert read is not None
    assert (read.home_agent, read.mobile_routers, read.addresses, read.lifetime) == (True, True, (AGENT,), 1800)


def test_who_asks_is_answered_alone_and_who_has_no_address_with_all() -> None:
    one = advertiser()
    assert one.receive("s1", 1, solicitation())
    (sent,) = one.outbox()
    assert ether(sent.frame).dst == "02:00:00:00:00:99"
    assert one.receive("s1", 1, solicitation("::"))
    (sent,) = one.outbox()
    assert ether(sent.frame).dst == "33:33:00:00:00:01"


def test_several_home_networks_of_one_link_are_in_one_advertisement() -> None:
    from scapy.layers.inet6 import ICMPv6NDOptHAInfo, ICMPv6NDOptPrefixInfo

    other, networks = parse_address("2001:db8:0:2::1"), {AGENT: Served(PREFIX, -3)}
    networks[other] = Served(Prefix.parse("2001:db8:0:2::/64"), 7)
    virtual = parse_address("2001:db8:0:3::1")
    homes = [HomePort(1, MAC, AGENT), HomePort(1, MAC, other), HomePort(2, MAC, virtual)]
    one = Advertiser({"s1": homes}, networks, 0.0, random.Random(1))
    one.handle_timer(1.0)
    (sent,) = one.outbox()
    frame = ether(sent.frame)
    count = range(1, 3)
    assert [frame.getlayer(ICMPv6NDOptPrefixInfo, number).prefix for number in count] == [
        "2001:db8:0:1::1",
        "2001:db8:0:2::1",
    ]
    # One option speaks for the router: the highest preference of what it serves.
    assert (frame[ICMPv6NDOptHAInfo].pref, frame[ICMPv6NDOptHAInfo].lifetime) == (7, 1800)


def test_what_was_forwarded_or_comes_elsewhere_is_not_answered() -> None:
    one = advertiser()
    one.receive("s1", 1, solicitation(hop_limit=64))
    assert not one.receive("s1", 2, solicitation())
    assert not one.receive("s2", 1, solicitation())
    assert not one.outbox()
    assert Advertiser({}, {}, 0.0).next_timer() is None


def test_neighbours_find_the_router() -> None:
    from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
    from scapy.layers.l2 import Ether

    ask = ICMPv6ND_NS(tgt=ROUTER) / ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:99")
    frame = bytes(Ether(src="02:00:00:00:00:99") / IPv6(src="fe80::9", dst=ROUTER, hlim=255) / ask)
    one = advertiser()
    assert one.receive("s1", 1, frame)
    (sent,) = one.outbox()
    assert ether(sent.frame)[ICMPv6ND_NA].tgt == ROUTER


@given(st.binary(max_size=150), st.integers(0, 69), st.integers(0, 255))
def test_no_frame_is_too_strange(octets: bytes, position: int, value: int) -> None:
    one = advertiser()
    one.receive("s1", 1, octets)
    frame = bytearray(solicitation())
    frame[position % len(frame)] = value
    one.receive("s1", 1, bytes(frame))
    assert len(one.outbox()) <= 2
