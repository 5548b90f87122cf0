import json

import pytest

from controller.fabric.fields import parse_mac
from controller.fabric.loader import load_topology, parse_topology, sample_topologies
from controller.fabric.neighbours import link_local
from controller.mobility.address import format_address
from testbed.netns.plan import BRIDGE, RADIO, PlanError, make_plan, short


def test_each_sample_topology_can_be_built() -> None:
    for path in sorted(sample_topologies().glob("*.yaml")):
        topology = load_topology(path)
        plan = make_plan(topology)
        assert {host.name for host in plan.hosts} | {device.name for device in plan.devices} == set(topology.nodes)
        ends = [end for cable in plan.cables for end in (cable.a, cable.b)]
        assert len(set(ends)) == len(ends), path.name
        assert all(len(name) <= 15 for _, name in ends)
        json.dumps(plan.to_json())


def test_links_of_mobile_nodes_go_through_the_air_and_the_others_are_cables() -> None:
    plan = make_plan(load_topology(sample_topologies() / "three-access.yaml"))
    assert {link.a for link in plan.air_links} == {"mn:wlan0", "mn:wwan0", "mn:sat0", "mr:wlan0", "mr:wwan0"}
    assert next(link for link in plan.air_links if link.a == "mn:sat0").delay_ms == 120
    assert any(cable.a == (None, "s1-2") and cable.b == ("cn", "eth0") for cable in plan.cables)


def test_routers_have_their_address_on_a_bridge_and_hosts_behind_a_router_go_through_it() -> None:
    plan = make_plan(load_topology(sample_topologies() / "three-access.yaml"))
    hosts = {host.name: host for host in plan.hosts}
    assert hosts["wifi"].addresses == ((BRIDGE, "2001:db8:a1::1/64"),)
    assert hosts["wifi"].forwarding
    assert (BRIDGE, "2001:db8:f00::1/64") in hosts["mr"].addresses
    assert [(route.prefix, route.via) for route in hosts["camera"].routes] == [("::/0", "2001:db8:f00::1")]
    assert RADIO in {nic.name for nic in hosts["home"].nics}


def test_link_local_addresses_are_made_of_ethernet_addresses() -> None:
    # The example of RFC 4291 appendix A.
    assert format_address(link_local(parse_mac("34:56:78:9a:bc:de"))) == "fe80::3656:78ff:fe9a:bcde"


def test_long_names_become_short_and_stay_different() -> None:
    names = [short(f"a-very-long-switch-name-{number}") for number in range(100)]
    assert len(set(names)) == 100
    assert all(len(name) <= 15 for name in names)
    assert short("s1-1") == "s1-1"


def test_what_cannot_be_built_is_named() -> None:
    text = """
name: odd
nodes:
  s1: {kind: switch, device_id: 1, grpc: "127.0.0.1:1"}
  cn: {kind: correspondent, addresses: ["2001:db8:c::1"]}
links:
  - {a: "s1:1", b: "cn:eth0"}
  - {a: "s1:2", b: "cn:eth1"}
"""
    with pytest.raises(PlanError, match="cn has 2 links"):
        make_plan(parse_topology(text))


def test_a_router_on_a_home_link_has_its_address_there_and_what_is_behind_it_on_a_bridge() -> None:
    topology = load_topology(sample_topologies() / "campus.yaml")
    plan = make_plan(topology)
    hosts = {host.name: host for host in plan.hosts}
    gateway = hosts["gateway"]
    assert gateway.addresses == (("eth0", "2001:db8:0:1::3/64"), (BRIDGE, "2001:db8:e::1/64"))
    assert gateway.advertised == (("eth0", "2001:db8:0:1::/64"),)
    # Its way out is the anchor at the other end of the home link, not the link's own host.
    anchor = next(one for one in topology.interfaces_of("s1") if one.port == 1)
    assert [(route.via, route.interface) for route in gateway.routes] == [
        (format_address(link_local(anchor.mac)), "eth0")
    ]
    assert hosts["archive"].routes[0].prefix == "::/0"
    # The link is there for those who come home, although a router has its place on it.
    assert RADIO in {nic.name for nic in hosts["home"].nics}
    assert all(not host.advertised for name, host in hosts.items() if name != "gateway")
