"""From what the home agent knows of one node to the table entries that carry its traffic. Pure functions."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from controller.dataplane import pipeline as p
from controller.dataplane.doors import home_link_entry
from controller.dataplane.entries import Entry, EntryKey, Lpm
from controller.dataplane.flows import flow_entry, signalled_entries
from controller.dataplane.ids import Path
from controller.mobility.address import Address, Prefix, format_address
from controller.mobility.flows import FlowPolicy
from controller.mobility.model import Binding, NodeRecord


class Numbers(Protocol):
    """Where the planner looks up the small numbers; `ids.Ids` is one."""

    def node(self, home_address: Address) -> int:
        """Return a node's number, KeyError if it has none."""

    def path(self, care_of: Address, home_agent: Address) -> int:
        """Return a path's number, KeyError if it has none."""


@dataclass(frozen=True, slots=True)
class BindingCounters:
    """The entries whose direct counters count one BID."""

    downstream: EntryKey
    """Towards the node: its entry in `tunnels`."""
    upstream: tuple[EntryKey, ...]
    """From the node: its entries in `host_sources` and `network_sources`. Empty if another BID of the node uses the same
    care-of address and counts for both, and for a binding at home."""


def address_number(address: Address) -> int:
    """Return an address as table entries hold it."""
    return int.from_bytes(address)


def lpm(prefix: Prefix) -> Lpm | None:
    """Return a prefix as table entries hold it; None stands for all addresses."""
    return Lpm(int.from_bytes(prefix.network), prefix.length) if prefix.length else None


def paths(record: NodeRecord | None) -> dict[Path, int]:
    """Return the paths that a node uses, each with the BID that its packets count for.

    A care-of address under two BIDs of one node is one path: a packet through it could belong to either, and the lowest BID is taken.
    A binding at home has none: what the node sends there is no tunnel (RFC 5648 section 5.6).
    """
    found: dict[Path, int] = {}
    for binding in record.bindings if record is not None else ():
        assert record is not None
        if not binding.at_home:
            path = Path(binding.care_of, record.home_agent)
            found[path] = min(binding.bid, found.get(path, binding.bid))
    return found


def node_entries(record: NodeRecord | None, ids: Numbers, policies: Iterable[FlowPolicy] = ()) -> dict[EntryKey, Entry]:
    """Return every entry that one node's bindings call for; none without a binding.

    Args:
        record: the node; None or a tombstone calls for nothing.
        ids: has the numbers of the node and of all its paths.
        policies: the node's valid flow policies; those whose BID is not registered are inactive (RFC 6089 section 5.3.4).

    Raises:
        ValueError: a flow goes to several BIDs, which the data plane cannot carry yet, or a binding at home has no link-layer address.
        KeyError: a number is missing in `ids`.
    """
    if record is None or (preferred := record.preferred) is None:
        return {}
    node_id = ids.node(record.home_address)
    entries: list[Entry] = []
    for path, bid in paths(record).items():
        path_id = ids.path(*path)
        ends = (address_number(path.care_of), address_number(path.home_agent))
        entries.append(Entry(p.TUNNEL_TERMINATION, ends, p.TERMINATE, (path_id,)))
        entries.append(
            Entry(p.HOST_SOURCES, (path_id, address_number(record.home_address)), p.ALLOW_HOST, (node_id, bid))
        )
        entries += [
            Entry(p.NETWORK_SOURCES, (path_id, lpm(prefix)), p.ALLOW_NETWORK, (node_id, bid))
            for prefix in record.prefixes
        ]
    entries += [_tunnel(record, node_id, binding) for binding in record.bindings]
    active = {binding.bid for binding in record.bindings}
    entries += [flow_entry(node_id, policy) for policy in policies if policy.is_active(active)]
    entries += _signalled(record, node_id)
    entries.append(Entry(p.DEFAULT_BINDING, (node_id,), p.STEER, (preferred.bid,)))
    entries.append(Entry(p.HOME_ADDRESSES, (address_number(record.home_address),), p.MOBILE_NODE, (node_id,)))
    entries += [Entry(p.MOBILE_NETWORKS, (lpm(prefix),), p.MOBILE_NODE, (node_id,)) for prefix in record.prefixes]
    return {entry.key: entry for entry in entries}


def _tunnel(record: NodeRecord, node_id: int, binding: Binding) -> Entry:
    """Return the entry that carries a binding's packets to the node.

    Raises:
        ValueError: the binding is at home and nobody said where.
    """
    home_agent = address_number(record.home_agent)
    if not binding.at_home:
        ends = (home_agent, address_number(binding.care_of))
        return Entry(p.TUNNELS, (node_id, binding.bid), p.ENCAP_IPV6, ends)
    if binding.link_layer is None:
        raise ValueError(
            f"binding {binding.bid} of {format_address(record.home_address)} is at home without a link-layer address"
        )
    return home_link_entry(node_id, binding.bid, home_agent, int.from_bytes(binding.link_layer))


def _signalled(record: NodeRecord, node_id: int) -> list[Entry]:
    """Return the entries of the flows that a node signalled and that are active.

    Raises:
        ValueError: a flow goes to several registered BIDs, which the data plane cannot carry yet.
    """
    entries: list[Entry] = []
    for flow in record.flows:
        bids = record.active_bids(flow)
        if len(bids) > 1:
            raise ValueError(
                f"flow {flow.fid} of {format_address(record.home_address)} goes to the BIDs {bids}: "
                "the data plane cannot copy packets yet; bind each flow to one BID"
            )
        if bids:
            entries += signalled_entries(node_id, flow, bids[0])
    return entries


def binding_counters(record: NodeRecord, ids: Numbers) -> dict[int, BindingCounters]:
    """Return for each BID of a node the entries that count its packets.

    Raises:
        KeyError: a number is missing in `ids`.
    """
    node_id = ids.node(record.home_address)
    upstream: dict[int, list[EntryKey]] = {}
    for path, bid in paths(record).items():
        path_id = ids.path(*path)
        upstream.setdefault(bid, []).append((p.HOST_SOURCES, (path_id, address_number(record.home_address)), 0))
        upstream[bid] += [(p.NETWORK_SOURCES, (path_id, lpm(prefix)), 0) for prefix in record.prefixes]
    return {
        binding.bid: BindingCounters((p.TUNNELS, (node_id, binding.bid), 0), tuple(upstream.get(binding.bid, ())))
        for binding in record.bindings
    }
