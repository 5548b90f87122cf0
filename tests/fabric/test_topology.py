from pathlib import Path

import pytest

from controller.fabric.fields import derived_mac, format_mac, parse_mac
from controller.fabric.loader import TopologyError, load_topology, parse_topology, sample_topologies
from controller.fabric.topology import Endpoint, Kind, Role, Topology
from controller.mobility.address import Prefix, parse_address

SAMPLE = sample_topologies() / "three-access.yaml"


def variant(old: str, new: str) -> str:
    text = SAMPLE.read_text()
    assert text.count(old) >= 1, old
    return text.replace(old, new, 1)


def problems(text: str) -> list[str]:
    with pytest.raises(TopologyError) as caught:
        parse_topology(text, "net.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_the_sample_is_what_the_demonstration_needs() -> None:
    topology = load_topology(SAMPLE)
    assert [(switch.role, switch.device_id) for switch in topology.anchors.values()] == [(Role.ANCHOR, 1)]
    assert topology.home_networks[0].prefix == Prefix.parse("2001:db8:0:1::/64")
    assert topology.home_networks[0].home_agent == parse_address("2001:db8:0:1::1")
    assert topology.mobile_nodes["mn"].home_address == parse_address("2001:db8:0:1::100")
    ports = {interface.port: interface.peer.node for interface in topology.interfaces_of("s1")}
    assert ports == {1: "home", 2: "cn", 3: "wifi", 4: "cellular", 5: "satellite"}
    radio = {
        i.name: (i.peer.node, i.link.delay_ms, i.link.rate_mbps, i.settings.bid)
        for i in topology.interfaces_of("mn")
        if i.settings
    }
    assert radio == {
        "wlan0": ("wifi", 5.0, 50.0, 1),
        "wwan0": ("cellular", 25.0, 20.0, 2),
        "sat0": ("satellite", 120.0, 10.0, 3),
    }
    assert set(topology.of_kind(Kind.ACCESS_ROUTER)) == {"wifi", "cellular", "satellite"}
    router = topology.mobile_nodes["mr"]
    assert router.prefixes == (Prefix.parse("2001:db8:f00::/56"),)
    uplinks = {i.name: i.settings.bid for i in topology.interfaces_of("mr") if i.settings and i.settings.bid}
    assert uplinks == {"wlan0": 1, "wwan0": 2}


def test_a_topology_survives_a_round_trip_through_json() -> None:
    topology = load_topology(SAMPLE)
    assert Topology.model_validate_json(topology.model_dump_json()) == topology


def test_derived_addresses_are_the_same_every_time_and_may_be_given() -> None:
    topology = load_topology(SAMPLE)
    end = Endpoint(node="wifi", interface="air")
    assert topology.interface(end).mac == derived_mac("wifi", "air")
    assert topology.interface(end).mac >> 40 == 0x02
    given = parse_topology(
        variant(
            "prefixes: [2001:db8:a1::/64]",
            "interfaces: {air: {mac: 02:00:00:00:00:07}}\n    prefixes: [2001:db8:a1::/64]",
        )
    )
    assert format_mac(given.interface(end).mac) == "02:00:00:00:00:07"
    ported = parse_topology(
        variant("    device_id: 1\n", "    device_id: 1\n    ports: {3: {mac: '02:00:00:00:00:03'}}\n")
    )
    assert {format_mac(i.mac) for i in ported.interfaces_of("s1") if i.port == 3} == {"02:00:00:00:00:03"}
    with pytest.raises(KeyError):
        topology.interface(Endpoint(node="wifi", interface="nowhere"))


@pytest.mark.parametrize(
    "text", ["", "02:00:00:00:00", "02:00:00:00:00:0g", "01:00:00:00:00:01", "00:00:00:00:00:00", "2:0:0:0:0:1"]
)
def test_what_is_no_interface_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        parse_mac(text)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("device_id: 1", "device_id: 0", "net.yaml:14: nodes.s1.device_id: Input should be greater than or equal to 1"),
        ("device_id: 1", "devise_id: 1", "nodes.s1.devise_id: unknown field: remove it or correct its spelling"),
        ("    device_id: 1\n", "", "net.yaml:11: nodes.s1.device_id: required, but not there"),
        ("kind: switch", "kind: toaster", "nodes.s1: Input tag 'toaster'"),
        ("role: anchor", "role: transit", "home_networks: there is no switch with role anchor"),
        ("grpc: 127.0.0.1:9559", "grpc: 127.0.0.1:70000", "nodes.s1.grpc: port 70000 is out of range"),
        ("grpc: 127.0.0.1:9559", "grpc: nowhere", "nodes.s1.grpc: String should match pattern"),
        ("b: cn}", "b: nobody}", "links.1.b: there is no node 'nobody': the nodes are s1, home"),
        ('a: "s1:2"', 'a: "s1:1"', "links.1.a: s1:1 is already used by link 0"),
        ('a: "s1:2"', 'a: "s1"', "links.1.a: s1 is a switch: name its port, as in 's1:1'"),
        ('a: "s1:2"', 'a: "s1:510"', "links.1.a: port 510 of s1 is out of range: 1 to 509"),
        ('a: "s1:2"', "a: cn", "links.1: both ends are at cn"),
        ("link: home", "link: cn", "home_networks.0.link: 'cn' is not a node of kind home-link"),
        (
            "home_agent: 2001:db8:0:1::1",
            "home_agent: 2001:db8:9::1",
            "home_networks.0.home_agent: 2001:db8:9::1 is not inside",
        ),
        (
            "prefixes: [2001:db8:a2::/64]",
            "prefixes: [2001:db8:a1::/48]",
            "nodes.cellular.prefixes.0: 2001:db8:a1::/48 overlaps 2001:db8:a1::/64",
        ),
        (
            "prefixes: [2001:db8:a2::/64]",
            "prefixes: ['2001:db8:a2::1/64']",
            "nodes.cellular.prefixes.0: 2001:db8:a2::1/64 has host bits set",
        ),
        (
            "addresses: [2001:db8:c::10]",
            "addresses: [2001:db8:0:1::1]",
            "nodes.cn.addresses.0: 2001:db8:0:1::1 is already at home_networks.0.home_agent",
        ),
        (
            "addresses: [2001:db8:c::10]",
            "addresses: [ff02::1]",
            "nodes.cn.addresses.0: 'ff02::1' is not a routable unicast address",
        ),
        ("addresses: [2001:db8:c::10]", "addresses: [17]", "nodes.cn.addresses.0: 17 is not an IPv6 address"),
        (
            "home_address: 2001:db8:0:1::100",
            "home_address: 2001:db8:5::1",
            "nodes.mn.home_address: 2001:db8:5::1 is inside of no home network",
        ),
        ("{bid: 2,", "{bid: 1,", "nodes.mn.interfaces.wwan0.bid: 1 is already the BID of wlan0"),
        (
            "address: 2001:db8:a1::100",
            "address: 2001:db8:ff::100",
            "nodes.mn.interfaces.wlan0.address: 2001:db8:ff::100 is inside of no prefix of wifi",
        ),
        ("delay_ms: 5,", "delay_ms: -1,", "links.5.delay_ms: Input should be greater than or equal to 0"),
        ("rate_mbps: 50", "rate_mbps: .nan", "links.5.rate_mbps: Input should be a finite number"),
        ('"wifi:air"', '"cellular:air"', "links.6.b: cellular:air is already used by link 5"),
        (
            "name: three-access",
            "name: three-access\nname: other",
            "net.yaml:3: name: named twice: the first is in line 2",
        ),
        ("  cn:\n", "  home:\n", "nodes.home: named twice"),
        ("interfaces:\n", "interfaces:\n      eth9: {bid: 9}\n", "nodes.mn.interfaces.eth9: no link ends at mn:eth9"),
        ("    device_id: 1\n", "    device_id: 1\n    ports: {9: {}}\n", "nodes.s1.ports.9: no link ends at s1:9"),
        ("  mn:\n", "  lonely: {kind: host}\n  mn:\n", "nodes.lonely: no path of links leads to it"),
        ("name: three-access", "name: 2026-99-99", "net.yaml: no valid YAML: month must be in 1..12"),
        ("name: three-access", "name: &a [*a]", "net.yaml: no valid YAML"),
        (
            "    device_id: 1\n",
            "    device_id: 1\n    ports: {3: {mac: 52:54:00:12:34:56}}\n",
            "nodes.s1.ports.3.mac: 41135085296 is not an Ethernet address: write it in quotes",
        ),
        ("name: three-access", "name: 3access", "net.yaml:2: name: String should match pattern"),
        ("name: three-access", "name: [three", "net.yaml:3: no valid YAML"),
    ],
)
def test_an_error_names_file_line_field_and_reason(old: str, new: str, expected: str) -> None:
    found = problems(variant(old, new))
    assert any(expected in problem and problem.startswith("net.yaml") for problem in found), found


def test_equal_interface_addresses_are_refused() -> None:
    twice = (
        "interfaces: {core: {mac: 02:00:00:00:00:07}, air: {mac: 02:00:00:00:00:07}}\n    prefixes: [2001:db8:a1::/64]"
    )
    (problem,) = problems(variant("prefixes: [2001:db8:a1::/64]", twice))
    assert "nodes.wifi.interfaces.air: 02:00:00:00:00:07 is already the address of wifi:core" in problem


def test_mobile_network_prefixes_are_checked() -> None:
    inside = parse_topology(
        variant("    interfaces:\n", "    prefixes: ['2001:db8:0:1:8000::/80', 2001:db8:77::/64]\n    interfaces:\n")
    )
    assert len(inside.mobile_nodes["mn"].prefixes) == 2
    (problem,) = problems(variant("    interfaces:\n", "    prefixes: [2001:db8:c::/64]\n    interfaces:\n"))
    assert "nodes.mn.prefixes.0: 2001:db8:c::/64 overlaps 2001:db8:c::/64 at nodes.cn.prefixes.0" in problem


def test_one_default_route_is_no_overlap_but_two_are() -> None:
    one = variant("prefixes: [2001:db8:c::/64]", "prefixes: [2001:db8:c::/64, '::/0']")
    assert Prefix.parse("::/0") in parse_topology(one).stations["cn"].prefixes
    two = one.replace("prefixes: [2001:db8:a1::/64]", "prefixes: [2001:db8:a1::/64, '::/0']")
    assert any("overlaps ::/0" in problem for problem in problems(two))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"nothing\.yaml: cannot be read"):
        load_topology(tmp_path / "nothing.yaml")
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(TopologyError, match="is empty"):
        load_topology(tmp_path / "empty.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(TopologyError, match=r"list\.yaml:1: Input should be"):
        load_topology(tmp_path / "list.yaml")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("ipv4_prefixes: [198.51.100.7/24]", "198.51.100.7/24 has host bits set"),
        ("ipv4_prefixes: [2001:db8::/32]", "nodes.cn.ipv4_prefixes"),
        ("ipv4_prefixes: ['198.51.100.0']", "is not an IPv4 prefix: write it as in 198.51.100.0/24"),
        ("ipv4_prefixes: [198.51.100.0/24, 198.51.100.128/25]", "198.51.100.128/25 overlaps 198.51.100.0/24"),
        ("ipv4_prefixes: [0.0.0.0/0, 198.51.100.0/24, 0.0.0.0/0]", "0.0.0.0/0 overlaps 0.0.0.0/0"),
        ("ipv4_addresses: [198.51.100.1, 198.51.100.1]", "198.51.100.1 is already at nodes.cn.ipv4_addresses.0"),
        ("ipv4_addresses: [224.0.0.1]", "is not a unicast address"),
    ],
)
def test_ipv4_that_cannot_be_is_named(change: str, expected: str) -> None:
    (problem, *_) = problems(variant("  cn:\n", f"  cn:\n    {change}\n"))
    assert expected in problem


def test_default_routes_of_both_versions_stand_side_by_side() -> None:
    text = variant("  cn:\n", "  cn:\n    ipv4_prefixes: [0.0.0.0/0, 198.51.100.0/24]\n")
    assert parse_topology(text.replace("[2001:db8:c::/64]", '["::/0"]', 1)).stations["cn"].all_prefixes[1].is_default


CAMPUS = (sample_topologies() / "campus.yaml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "at", "reason"),
    [
        (
            '"2001:db8:0:1::3", ',
            "",
            "  gateway:",
            "nodes.gateway.addresses: gateway is on home: it needs an address there, of 2001:db8:0:1::/64",
        ),
        (
            "    link: home\n",
            "",
            "  gateway:",
            "gateway is on home: it needs an address there, of a home network, and none has that link",
        ),
        (
            'b: "home:gateway"',
            'b: "s1:9"',
            "  gateway:",
            "nodes.gateway: a router is on a home link: link it to a node of kind home-link, or make it an access-router",
        ),
        (
            'b: "library:air"',
            'b: "gateway:air"',
            "      wlan0:",
            "student is linked to gateway: a mobile node attaches to an access router or a home link",
        ),
    ],
)
def test_a_router_is_on_a_home_link_with_an_address_there(old: str, new: str, at: str, reason: str) -> None:
    assert CAMPUS.count(old) == 1
    text = CAMPUS.replace(old, new)
    (problem,) = [one for one in problems(text) if "home_networks" not in one]
    line = next(number for number, one in enumerate(text.splitlines(), 1) if one.startswith(at))
    assert problem.startswith(f"net.yaml:{line}: ")
    assert reason in problem
