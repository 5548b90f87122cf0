from collections import Counter
from dataclasses import replace

import pytest

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, EntryKey, Lpm
from controller.dataplane.ids import Ids
from controller.dataplane.pipeline import TABLES
from controller.dataplane.planner import NO_FACTS, NodeFacts, binding_counters, node_entries
from controller.dataplane.plans import diff, fill
from controller.mobility.address import Prefix, parse_address
from controller.mobility.flows import FlowPolicy, Steer, TrafficSelector
from controller.mobility.model import Binding, NodeRecord
from steering import numbered

HOME = parse_address("2001:db8:0:1::100")
AGENT = parse_address("2001:db8:0:1::1")
COA = [parse_address(f"2001:db8:a{n}::100") for n in range(4)]


def number(address: bytes) -> int:
    return int.from_bytes(address)


def record(*bindings: Binding, prefixes: tuple[Prefix, ...] = ()) -> NodeRecord:
    return NodeRecord(HOME, AGENT, 1, bindings, prefixes)


def binding(bid: int, care_of: int, priority: int = 0) -> Binding:
    return Binding(bid, COA[care_of], 60, 60.0, priority)


def ids_for(node: NodeRecord, *policies: FlowPolicy) -> Ids:
    return numbered(node, policies)


def entries_of(node: NodeRecord, *policies: FlowPolicy, facts: NodeFacts = NO_FACTS) -> dict[EntryKey, Entry]:
    return node_entries(node, ids_for(node, *policies), policies, facts)


def steer(bid: int, priority: int = 1) -> FlowPolicy:
    return FlowPolicy(f"to-{bid}", HOME, priority, TrafficSelector(protocol=17), Steer(bid))


def test_a_node_with_three_bindings() -> None:
    entries = entries_of(record(binding(1, 1, 2), binding(2, 2, 1), binding(3, 3)))
    assert set(entries.values()) == {
        *(Entry(p.TUNNEL_TERMINATION, (1, number(COA[n])), p.TERMINATE, (n,)) for n in (1, 2, 3)),
        *(Entry(p.SOURCE_BINDINGS, (n, 1), p.ALLOW, (n,)) for n in (1, 2, 3)),
        *(Entry(p.TUNNELS, (1, n), p.ENCAP_IPV6, (1, number(COA[n]), 1460)) for n in (1, 2, 3)),
        Entry(p.HOME_SOURCES, (number(HOME),), p.SENDER, (1,)),
        Entry(p.DEFAULT_BINDING, (1,), p.STEER, (2,)),
        Entry(p.HOME_ADDRESSES, (number(HOME),), p.MOBILE_NODE, (1,)),
    }
    assert all(key == entry.key for key, entry in entries.items())


def test_an_empty_switch_is_filled_in_the_order_of_a_difference_from_nothing() -> None:
    entries = entries_of(record(binding(1, 0), binding(2, 1)), steer(2))
    stages = fill(entries)
    assert tuple(map(tuple, stages)) == diff({}, entries)
    assert [stage[-1] for stage in stages] == [stage[-1] for stage in diff({}, entries)]
    assert sum(map(len, stages)) == len(entries)


def test_no_binding_no_entries() -> None:
    assert node_entries(None, Ids()) == {}
    assert node_entries(record(), Ids(), [steer(1)]) == {}


def test_a_mobile_router_has_its_prefixes() -> None:
    prefix = Prefix.parse("2001:db8:77::/56")
    entries = entries_of(record(binding(1, 1), binding(2, 2), prefixes=(prefix,)))
    key = Lpm(number(prefix.network), 56)
    assert entries[p.MOBILE_NETWORKS, (key,), 0] == Entry(p.MOBILE_NETWORKS, (key,), p.MOBILE_NODE, (1,))
    assert entries[p.NETWORK_SOURCES, (key,), 0] == Entry(p.NETWORK_SOURCES, (key,), p.SENDER, (1,))


def test_one_care_of_address_under_two_bids_counts_for_the_lower() -> None:
    node = record(binding(4, 1), binding(9, 1))
    entries = entries_of(node)
    assert Counter(entry.table for entry in entries.values())[p.TUNNELS] == 2
    assert entries[p.SOURCE_BINDINGS, (1, 1), 0].params == (4,)
    counters = binding_counters(node, ids_for(node))
    assert counters[4].upstream == ((p.SOURCE_BINDINGS, (1, 1), 0),)
    assert counters[9].upstream == ()
    assert counters[9].downstream == (p.TUNNELS, (1, 9), 0)


def test_a_policy_is_in_force_while_its_bid_is_registered() -> None:
    node = record(binding(1, 1), binding(2, 2))
    entries = entries_of(node, steer(2, 1), steer(3, 2))
    flows = [entry for entry in entries.values() if entry.table == p.FLOW_BINDINGS]
    assert [entry.params for entry in flows] == [(2,)]


def test_a_binding_at_home_is_refused_by_name() -> None:
    at_home = replace(binding(2, 2), care_of=HOME, at_home=True)
    with pytest.raises(ValueError, match=r"binding 2 of 2001:db8:0:1::100 is at home"):
        entries_of(record(binding(1, 1), at_home))


def test_every_entry_has_the_shape_of_its_table() -> None:
    node = record(binding(1, 1), binding(2, 2), prefixes=(Prefix.parse("2001:db8:77::/56"),))
    for entry in entries_of(node, steer(1)).values():
        table = TABLES[entry.table]
        assert len(entry.match) == len(table.fields)
        assert (entry.priority > 0) == table.has_priority
        (action,) = (action for action in table.actions if action.name == entry.action)
        assert all(0 <= value < 1 << param.width for value, param in zip(entry.params, action.params, strict=True))


def test_counters_are_found_among_the_entries() -> None:
    node = record(binding(1, 1), binding(2, 2), prefixes=(Prefix.parse("2001:db8:77::/56"),))
    entries = entries_of(node)
    for counters in binding_counters(node, ids_for(node)).values():
        assert counters.downstream in entries
        assert len(counters.upstream) == 1
        assert all(key in entries for key in counters.upstream)
        assert all(TABLES[key[0]].counted for key in (counters.downstream, *counters.upstream))
