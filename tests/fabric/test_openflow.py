"""What OpenFlow switches should hold, and what follows from their ports."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.fabric.fields import Mac, parse_mac
from controller.fabric.loader import TopologyError, load_topology, parse_topology, sample_topologies
from controller.fabric.neighbours import answer_solicitation, link_local
from controller.fabric.openflow import datapaths, lost_links
from controller.fabric.paths import Outage
from controller.mobility.address import Address, format_address, parse_address

TOPOLOGY = load_topology(sample_topologies() / "openflow-transit.yaml")
MAC = parse_mac("02:00:00:00:00:01")


def test_each_datapath_gets_a_route_for_home_and_access_prefixes() -> None:
    found = {one.name: one for one in datapaths(TOPOLOGY)}
    assert found["o1"].datapath_id == 1
    ways = {one.prefix: one.hop.port for one in found["o1"].routes if one.hop}
    assert ways["2001:db8:0:1::/64"] == 1
    assert ways["2001:db8:0:1::1/128"] == 1
    assert ways["2001:db8:c::/64"] == 3
    assert {"2001:db8:a1::/64", "2001:db8:a2::/64"} <= ways.keys()
    macs = dict(found["o1"].ports)
    assert all(one.hop is not None and one.hop.source == macs[one.hop.port] for one in found["o1"].routes)


def test_ipv4_takes_the_ways_that_the_topology_has_for_it() -> None:
    text = (sample_topologies() / "openflow-transit.yaml").read_text()
    text = text.replace("kind: correspondent,", 'kind: correspondent, ipv4_prefixes: ["198.51.100.0/24"],')
    assert "ipv4_prefixes" in text
    (o1,) = (one for one in datapaths(parse_topology(text)) if one.name == "o1")
    assert {one.prefix: one.hop.port for one in o1.routes if one.hop and ":" not in one.prefix} == {
        "198.51.100.0/24": 3
    }
    (o1,) = (
        one for one in datapaths(parse_topology(text.replace('["2001:db8:c::/64"]', '["::/0"]'))) if one.name == "o1"
    )
    assert {one.prefix: one.hop.port for one in o1.routes if one.hop and ":" not in one.prefix} == {
        "198.51.100.0/24": 3,
        "0.0.0.0/0": 3,
    }


def test_an_outage_leads_datapaths_around_a_lost_anchor() -> None:
    (o1,) = (one for one in datapaths(TOPOLOGY, Outage(frozenset({"a1"}))) if one.name == "o1")
    assert {one.prefix: one.hop.port for one in o1.routes if one.hop}["2001:db8:0:1::/64"] == 2


def test_equal_paths_are_a_group_that_changes_alone() -> None:
    text = (sample_topologies() / "openflow-transit.yaml").read_text()
    equal = parse_topology(text.replace(", cost: 2}", "}"))
    whole, lost = (
        next(one for one in datapaths(equal, outage) if one.name == "o1")
        for outage in (Outage(), Outage(frozenset({"a1"})))
    )
    (home,) = (one for one in whole.routes if one.prefix == "2001:db8:0:1::/64")
    assert home.hop is None
    assert [hop.port for hop in whole.groups[home.group]] == [1, 2]
    assert [hop.port for hop in lost.groups[home.group]] == [2]
    assert lost.routes == whole.routes
    document = whole.to_json()
    assert ["2001:db8:0:1::/64", home.group] in document["routes"]
    assert [home.group, *(hop.to_json() for hop in whole.groups[home.group])] in document["groups"]


def test_a_port_that_is_down_is_a_link_that_is_lost() -> None:
    assert lost_links(TOPOLOGY, {("o1", 1)}) == {0}
    assert lost_links(TOPOLOGY, {("o1", 3), ("o2", 2)}) == {3, 4}
    assert lost_links(TOPOLOGY, {("o1", 77)}) == frozenset()


def test_ports_are_numbers_and_datapaths_are_different() -> None:
    text = (sample_topologies() / "openflow-transit.yaml").read_text()
    with pytest.raises(TopologyError, match="o1 is a switch: name its port"):
        parse_topology(text.replace('"o1:1"', '"o1:eth1"'))
    with pytest.raises(TopologyError, match="1 is already that of o1"):
        parse_topology(text.replace("datapath_id: 2", "datapath_id: 1"))


def solicitation(target: Address, source: str = "fe80::9") -> bytes:
    from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
    from scapy.layers.l2 import Ether

    ask = ICMPv6ND_NS(tgt=format_address(target))
    option = b"" if source == "::" else ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:99")
    group = f"ff02::1:ff{target[13]:02x}:{int.from_bytes(target[14:]):x}"
    return bytes(
        Ether(src="02:00:00:00:00:99", dst="33:33:ff:00:00:01") / IPv6(src=source, dst=group, hlim=255) / ask / option
    )


def test_a_neighbour_that_asks_for_an_own_address_gets_an_advertisement() -> None:
    from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
    from scapy.layers.l2 import Ether

    own = link_local(MAC)
    answer = answer_solicitation(solicitation(own), MAC, {own})
    assert answer is not None
    frame = Ether(answer)
    assert (frame.dst, frame.src) == ("02:00:00:00:00:99", "02:00:00:00:00:01")
    assert (frame[IPv6].src, frame[IPv6].dst, frame[IPv6].hlim) == (format_address(own), "fe80::9", 255)
    told = frame[ICMPv6ND_NA]
    assert (told.tgt, told.R, told.S, told.O) == (format_address(own), 1, 1, 1)
    assert frame[ICMPv6NDOptDstLLAddr].lladdr == "02:00:00:00:00:01"
    assert bytes(IPv6(bytes(frame[IPv6]))) == bytes(frame[IPv6])


def test_others_are_not_answered_for_and_who_tests_an_address_hears_it_with_all() -> None:
    own = link_local(MAC)
    assert answer_solicitation(solicitation(parse_address("fe80::77")), MAC, {own}) is None
    answer = answer_solicitation(solicitation(own, source="::"), MAC, {own})
    assert answer is not None
    assert answer[:6] == bytes.fromhex("333300000001")


@given(st.binary(max_size=120), st.integers(0, 95), st.integers(0, 255))
def test_no_frame_is_too_strange(octets: bytes, position: int, value: int) -> None:
    own = link_local(Mac(MAC))
    answer_solicitation(octets, MAC, {own})
    frame = bytearray(solicitation(own))
    frame[position % len(frame)] = value
    answer_solicitation(bytes(frame), MAC, {own})
