import json

import pytest

from controller.dataplane import pipeline as p
from controller.dataplane.doors import Door
from controller.dataplane.entries import Entry, Lpm
from controller.dataplane.pipeline import TABLES
from controller.fabric.loader import load_topology, parse_topology, sample_topologies
from controller.fabric.paths import NoPathError, Outage, groups, routes
from controller.fabric.statics import home_doors, home_ports, switch_entries
from controller.fabric.ways import FIRST_SET, ways
from controller.mobility.address import Prefix, format_network, parse_address

TWO_SWITCHES = """
name: two-switches
home_networks:
  - {prefix: 2001:db8:1::/64, home_agent: 2001:db8:1::1, link: home}
  - {prefix: 2001:db8:2::/64, home_agent: 2001:db8:2::1}
nodes:
  a1: {kind: switch, device_id: 1, grpc: "127.0.0.1:1001"}
  t1: {kind: switch, role: transit, device_id: 2, grpc: "127.0.0.1:1002"}
  home: {kind: home-link, addresses: [2001:db8:1::2]}
  cn: {kind: correspondent, addresses: [2001:db8:c::10, 2001:db8:d::1], prefixes: [2001:db8:c::/64, "::/0"]}
  ar: {kind: access-router, prefixes: [2001:db8:a::/64]}
  behind: {kind: host, addresses: [2001:db8:e::1]}
  mn:
    kind: mobile-node
    home_address: 2001:db8:1::100
    prefixes: [2001:db8:77::/64, "2001:db8:1:0:8000::/80"]
links:
  - {a: "a1:1", b: home}
  - {a: "a1:2", b: "t1:1"}
  - {a: "a1:3", b: "t1:3", cost: 5}
  - {a: "t1:2", b: cn}
  - {a: "a1:9", b: "ar:core", cost: 10}
  - {a: "t1:9", b: "ar:other"}
  - {a: "ar:lan", b: behind}
  - {a: "ar:air", b: mn}
"""


def ports(switch: str) -> dict[str, int]:
    return {str(prefix): hop.port for prefix, hop in routes(parse_topology(TWO_SWITCHES), switch).items()}


def test_the_sample_gives_a_route_for_every_network() -> None:
    found = {
        str(prefix): hop.port
        for prefix, hop in routes(load_topology(sample_topologies() / "three-access.yaml"), "s1").items()
    }
    assert found == {
        "2001:db8:0:1::/64": 1,
        "2001:db8:c::/64": 2,
        "2001:db8:a1::/64": 3,
        "2001:db8:a2::/64": 4,
        "2001:db8:a3::/64": 5,
    }


def test_routes_take_the_cheapest_path() -> None:
    assert ports("a1") == {
        "2001:db8:1::/64": 1,
        "2001:db8:c::/64": 2,
        "::/0": 2,
        "2001:db8:a::/64": 2,
        "2001:db8:e::1/128": 2,
    }


def test_a_transit_switch_leaves_what_is_mobile_to_the_anchor() -> None:
    assert ports("t1") == {
        "2001:db8:1::/64": 1,
        "2001:db8:1::1/128": 1,
        "2001:db8:2::/64": 1,
        "2001:db8:2::1/128": 1,
        "2001:db8:77::/64": 1,
        "2001:db8:c::/64": 2,
        "::/0": 2,
        "2001:db8:a::/64": 9,
        "2001:db8:e::1/128": 9,
    }


def test_what_is_behind_a_mobile_router_has_no_route_of_its_own() -> None:
    topology = load_topology(sample_topologies() / "three-access.yaml")
    (camera,) = topology.stations["camera"].addresses
    assert any(camera in prefix for prefix in topology.mobile_nodes["mr"].prefixes)
    assert not any(camera in prefix for prefix in routes(topology, "s1"))


def test_next_hops_carry_the_addresses_of_both_ends() -> None:
    topology = parse_topology(TWO_SWITCHES)
    hop = routes(topology, "a1")[Prefix.parse("2001:db8:a::/64")]
    by_name = {(interface.node, interface.name): interface.mac for interface in topology.interfaces}
    assert (hop.source_mac, hop.destination_mac) == (by_name["a1", "2"], by_name["t1", "1"])


def test_entries_fit_the_pipeline_and_point_to_one_another() -> None:
    topology = parse_topology(TWO_SWITCHES)
    for switch in topology.switches:
        entries = switch_entries(topology, switch)
        assert len({entry.key for entry in entries}) == len(entries)
        for entry in entries:
            table = TABLES[entry.table]
            assert len(entry.match) == len(table.fields)
            (action,) = (action for action in table.actions if action.name == entry.action)
            if table.selector:
                assert len(entry.params) % len(action.params) == 0 < len(entry.params)
            else:
                assert len(entry.params) == len(action.params)
        hops = {entry.match[0] for entry in entries if entry.table == p.NEXT_HOPS}
        assert {entry.params[0] for entry in entries if entry.table == p.ROUTES} <= hops
        assert hops == {interface.port for interface in topology.interfaces_of(switch)}
        assert switch_entries(topology, switch) == entries


def test_the_port_on_the_home_link_is_known() -> None:
    topology = load_topology(sample_topologies() / "three-access.yaml")
    (home,) = home_ports(topology, "s1")
    assert (home.port, home.home_agent) == (1, parse_address("2001:db8:0:1::1"))
    assert home.mac == next(one.mac for one in topology.interfaces_of("s1") if one.port == 1)


def test_only_anchors_take_signalling() -> None:
    topology = parse_topology(TWO_SWITCHES)
    tables = {switch: [entry.table for entry in switch_entries(topology, switch)] for switch in topology.switches}
    # For each of two home agents six protocols, datagrams, the Home Address option and discovery; and the neighbours.
    assert tables["a1"].count(p.SIGNALLING) == 2 * 9 + 4
    assert tables["a1"].count(p.HOME_AGENTS) == 2
    assert not {p.SIGNALLING, p.HOME_AGENTS} & set(tables["t1"])
    assert tables["t1"].count(p.MY_STATION) == 4
    home_agent = int.from_bytes(parse_address("2001:db8:1::1"))
    assert Entry(p.HOME_AGENTS, (home_agent,), p.OWN_ADDRESS, (1,)) in switch_entries(topology, "a1")


def test_a_default_route_matches_everything() -> None:
    entries = switch_entries(parse_topology(TWO_SWITCHES), "a1")
    matches = [entry.match[0] for entry in entries if entry.table == p.ROUTES]
    assert matches.count(None) == 1
    assert all(isinstance(match, Lpm) for match in matches if match is not None)


def test_an_unreachable_network_is_named() -> None:
    # A host forwards nothing: what lies behind it is out of reach for the switch.
    text = TWO_SWITCHES.replace('{a: "ar:lan", b: behind}', '{a: "home:eth1", b: behind}')
    with pytest.raises(NoPathError, match="a1 has no path to behind for 2001:db8:e::1/128"):
        routes(parse_topology(text), "a1")
    with pytest.raises(KeyError):
        routes(parse_topology(TWO_SWITCHES), "cn")


def test_every_switch_has_a_way_to_the_home_link() -> None:
    topology = load_topology(sample_topologies() / "three-access.yaml")
    (home,) = home_ports(topology, "s1")
    number = int.from_bytes(home.home_agent)
    assert home_doors(topology, "s1") == {number: Door(home.port, home.mac)}
    topology = parse_topology(TWO_SWITCHES)
    doors = {switch: home_doors(topology, switch) for switch in topology.switches}
    for network in topology.home_networks:
        if network.link is None:
            continue
        number = int.from_bytes(network.home_agent)
        for switch, found in doors.items():
            on_link = any(home.home_agent == network.home_agent for home in home_ports(topology, switch))
            assert (found[number].destination_mac is None) == on_link
            assert on_link or found[number].port == routes(topology, switch)[network.prefix].port


def test_destinations_are_spread_over_equal_paths_and_only_those_of_a_lost_one_move() -> None:
    topology = load_topology(sample_topologies() / "leaf-spine.yaml")
    spines = {"spine1", "spine2", "spine3"}
    before = {switch: routes(topology, switch) for switch in topology.switches}
    for switch in ("leaf3", "leaf4", "leaf5"):
        found = groups(topology, switch)
        far = {prefix for prefix, group in found.items() if len(group) == 3}
        assert Prefix.parse("2001:db8:0:1::/64") in far
        assert all({hop.port for hop in found[prefix]} == {1, 2, 3} for prefix in far)
    taken = {hop.port for switch in ("leaf3", "leaf4", "leaf5") for hop in before[switch].values() if hop.port < 10}
    assert len(taken) > 1, "all destinations take one spine"
    for lost in spines:
        for switch in topology.switches.keys() - spines:
            after = routes(topology, switch, Outage(frozenset({lost})))
            gone = next(one.port for one in topology.interfaces_of(switch) if one.peer.node == lost)
            assert after.keys() == before[switch].keys()
            for prefix, hop in after.items():
                assert hop.port != gone
                assert before[switch][prefix].port in {gone, hop.port}


def test_paths_lead_around_a_lost_anchor_and_a_lost_link() -> None:
    topology = load_topology(sample_topologies() / "dual-anchor.yaml")
    home = Prefix.parse("2001:db8:0:1::/64")
    assert routes(topology, "t1")[home].port == 1
    assert routes(topology, "t1", Outage(frozenset({"a1"})))[home].port == 2
    assert routes(topology, "t1", Outage(links=frozenset({0})))[home].port == 2
    # The switch itself is no obstacle, and what has no other way keeps the one it has.
    assert routes(topology, "t1", Outage(frozenset({"t1", "a1", "a2"})))[home].port == 1


def test_an_outage_changes_routes_and_no_next_hops() -> None:
    topology = load_topology(sample_topologies() / "dual-anchor.yaml")
    before = set(switch_entries(topology, "t1"))
    after = set(switch_entries(topology, "t1", outage=Outage(frozenset({"a1"}))))
    assert {entry.table for entry in before ^ after} == {p.ROUTES}
    assert len(before - after) == len(after - before)


BOTH_VERSIONS = (
    TWO_SWITCHES.replace("home_agent: 2001:db8:1::1,", "home_agent: 2001:db8:1::1, ipv4_prefix: 192.0.2.0/24,")
    .replace("cn: {", "cn: {ipv4_addresses: [198.51.100.10, 203.0.113.9], ipv4_prefixes: [198.51.100.0/24], ")
    .replace("ar: {", 'ar: {ipv4_prefixes: ["0.0.0.0/0"], ')
)


def test_ipv4_has_routes_beside_ipv6() -> None:
    topology = parse_topology(BOTH_VERSIONS)
    found = {
        switch: {format_network(prefix): hop.port for prefix, hop in routes(topology, switch).items()}
        for switch in ("a1", "t1")
    }
    ipv4 = {switch: {text: port for text, port in ways.items() if ":" not in text} for switch, ways in found.items()}
    assert ipv4["a1"] == {"198.51.100.0/24": 2, "203.0.113.9/32": 2, "0.0.0.0/0": 2}
    assert ipv4["t1"] == {"198.51.100.0/24": 2, "203.0.113.9/32": 2, "0.0.0.0/0": 9, "192.0.2.0/24": 1}
    before = parse_topology(TWO_SWITCHES)
    for switch, known in found.items():
        assert {text: port for text, port in known.items() if ":" in text} == {
            str(prefix): hop.port for prefix, hop in routes(before, switch).items()
        }
    entries = {entry.match[0]: entry.params for entry in switch_entries(topology, "t1") if entry.table == p.ROUTES}
    assert entries[Lpm(0xFFFF_C0000200, 120)] == (1,)
    assert entries[Lpm(0xFFFF_00000000, 96)] == (9,)
    assert entries[None] == (2,), "IPv6 only: that of IPv4 is longer"


def test_a_topology_with_ipv4_is_the_same_after_it_was_written() -> None:
    topology = parse_topology(BOTH_VERSIONS)
    document = topology.model_dump(mode="json", exclude_none=True)
    assert document["nodes"]["cn"]["ipv4_prefixes"] == ["198.51.100.0/24"]
    assert document["nodes"]["cn"]["ipv4_addresses"] == ["198.51.100.10", "203.0.113.9"]
    assert parse_topology(json.dumps(document)) == topology


def test_a_router_on_the_home_link_is_one_hop_away_across_it() -> None:
    topology = load_topology(sample_topologies() / "campus.yaml")
    gateway = next(one for one in topology.interfaces_of("gateway") if one.name == "eth0")
    home = next(one for one in topology.interfaces_of("home") if one.peer.node == "s1")
    found = routes(topology, "s1")
    # By one and the same port: to the router, what is behind it; to the link itself, the rest of the home network.
    for text, mac in (
        ("2001:db8:e::/64", gateway.mac),
        ("2001:db8:0:1::3/128", gateway.mac),
        ("2001:db8:0:1::/64", home.mac),
    ):
        assert (found[Prefix.parse(text)].port, found[Prefix.parse(text)].destination_mac) == (1, mac)
    # Two next hops have two numbers.
    entries = {entry.match[0]: entry.params for entry in switch_entries(topology, "s1") if entry.table == "next_hops"}
    numbers = {
        text: ways(topology, "s1").routes[Prefix.parse(text)] for text in ("2001:db8:e::/64", "2001:db8:0:1::/64")
    }
    assert entries[numbers["2001:db8:e::/64"]][2] == gateway.mac
    assert entries[numbers["2001:db8:0:1::/64"]][2] == home.mac


BETWEEN = """
name: between
home_networks: [{prefix: "2001:db8:1::/64", home_agent: "2001:db8:1::1", link: home}]
nodes:
  s1: {kind: switch, device_id: 1, grpc: "127.0.0.1:1"}
  s2: {kind: switch, role: transit, device_id: 2, grpc: "127.0.0.1:2"}
  home: {kind: home-link}
  r1: {kind: router, addresses: ["2001:db8:1::3"]}
  r2: {kind: router, addresses: ["2001:db8:1::4"]}
  cn: {kind: correspondent, addresses: ["2001:db8:c::10"], prefixes: ["2001:db8:c::/64"]}
links:
  - {a: "s1:1", b: "home:port1"}
  - {a: r1, b: "home:port2"}
  - {a: r2, b: "home:port3"}
  - {a: "r1:up", b: "s2:1"}
  - {a: "r2:up", b: "s2:2"}
  - {a: "s2:3", b: cn}
"""


def test_routers_on_one_home_link_share_what_is_equally_far_behind_them() -> None:
    topology, far = parse_topology(BETWEEN), Prefix.parse("2001:db8:c::/64")
    there = {name: next(one for one in topology.interfaces_of(name) if one.name == "eth0").mac for name in ("r1", "r2")}
    group = groups(topology, "s1")[far]
    assert [hop.port for hop in group] == [1, 1]
    assert {hop.destination_mac for hop in group} == set(there.values())
    # The link of one of them to the home link fails: the other has it all, under the same number.
    lost = Outage(links=frozenset({1}))
    assert {hop.destination_mac for hop in groups(topology, "s1", lost)[far]} == {there["r2"]}
    before, after = ways(topology, "s1"), ways(topology, "s1", lost)
    assert before.routes[far] == after.routes[far] >= FIRST_SET
    assert {hop.destination_mac for hop in after.next_hops[after.routes[far]]} == {there["r2"]}
    # Nobody crosses a home link that is cut off, nor one whose node is away.
    assert {hop.destination_mac for hop in groups(topology, "s1", Outage(frozenset({"r2"})))[far]} == {there["r1"]}
