"""From what the home agent knows of one node to the table entries that carry its traffic. Pure functions."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

from controller.dataplane import pipeline as p
from controller.dataplane.doors import home_link_entry
from controller.dataplane.entries import Entries, Entry, EntryKey, Lpm, Rate
from controller.dataplane.flows import FlowAction, ipv4_entry, policy_entries, signalled_entries
from controller.dataplane.ids import Copies, Path, Shared, Spread
from controller.dataplane.ways import Way, copies, way
from controller.mobility.address import Address, Prefix, format_address
from controller.mobility.expansion import FULL, KeyShape
from controller.mobility.flows import FlowEntry, FlowPolicy
from controller.mobility.model import Binding, NodeRecord, rank

DEFAULT_TUNNEL_MTU: Final = 1460
"""Octets: what links of 1500 leave for an inner packet."""
_MAPPED: Final = 0xFFFF << 32
"""IPv4 addresses stand in the tables as IPv4-mapped ones (RFC 4291 section 2.5.5.2)."""


class Numbers(Protocol):
    """Where the planner looks up the small numbers; `ids.Ids` is one."""

    def node(self, home_address: Address) -> int:
        """Return a node's number, KeyError if it has none."""

    def path(self, path: Path) -> int:
        """Return a path's number, KeyError if it has none."""

    def home_agent(self, address: Address) -> int:
        """Return a home agent address's number."""

    def shared(self, thing: Spread | Copies) -> int:
        """Return the number of a spread or of copies, KeyError if it has none."""


_NONE: Final[Mapping[Any, Any]] = MappingProxyType({})


class NodeFacts(NamedTuple):
    """What the configuration says of a node that its record does not."""

    proxied: tuple[Address, ...] = ()
    """Addresses for which switches answer on the home link: the node's, while it is away."""
    home_ipv4: bytes | None = None
    """Its IPv4 home address, 4 octets."""
    rates: Mapping[int, Rate] = _NONE
    """What a BID lets through towards the node, in octets; a BID without an entry: everything."""
    tunnel_mtu: int = DEFAULT_TUNNEL_MTU
    """Octets of the longest packet that goes into its tunnels whole."""
    path_mtus: Mapping[Address, int] = _NONE
    """The same of tunnels to care-of addresses with a narrower way."""
    flow_keys: KeyShape = FULL
    """What the keys of its flows can say in every switch that has them."""


NO_FACTS: Final = NodeFacts()


@dataclass(frozen=True, slots=True)
class BindingCounters:
    """The entries whose direct counters count one BID."""

    downstream: EntryKey
    """Towards the node: its entry in `tunnels`."""
    upstream: tuple[EntryKey, ...]
    """From the node: its entry in `source_bindings`. Empty if another BID of the node uses the same care-of address and counts for
    both, and for a binding at home."""


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
    if record is not None:
        for binding in record.bindings:  # the lowest BID comes first
            if not binding.at_home:
                found.setdefault(Path(binding.care_of, record.home_agent), binding.bid)
    return found


def ways(
    record: NodeRecord, policies: Iterable[FlowPolicy]
) -> tuple[list[tuple[FlowPolicy, Way]], list[tuple[FlowEntry, Way]], Way]:
    """Return where the packets of each active flow of a node go, and those of no flow.

    Args:
        record: the node; it has a binding.
        policies: its valid policies. Those of which no BID is registered are inactive (RFC 6089 section 5.3.4).
    """
    registered = {binding.bid for binding in record.bindings}
    active = [(policy, way(policy.treatment, registered)) for policy in policies if policy.is_active(registered)]
    signalled = [(flow, copies(bids)) for flow in record.flows if (bids := record.active_bids(flow))]
    preferred = record.preferred
    assert preferred is not None
    default: Way = preferred.bid
    fallbacks = [(policy.priority, position) for position, (policy, _) in enumerate(active) if policy.fallback]
    if fallbacks:
        default = active[min(fallbacks)[1]][1]
    return [one for one in active if not one[0].fallback], signalled, default


def shared(record: NodeRecord | None, policies: Collection[FlowPolicy] = ()) -> tuple[Shared, ...]:
    """Return everything of a node's that has a number and may be another's too, each once."""
    if record is None or not record.bindings:
        return ()
    found: list[Shared] = list(paths(record))
    if not record.flows and not policies:
        return tuple(found)
    by_policy, signalled, default = ways(record, policies)
    targets = [default, *(target for _, target in by_policy), *(target for _, target in signalled)]
    found += (target for target in targets if isinstance(target, Spread | Copies))
    return tuple(dict.fromkeys(found))


def node_entries(
    record: NodeRecord | None, ids: Numbers, policies: Collection[FlowPolicy] = (), facts: NodeFacts = NO_FACTS
) -> dict[EntryKey, Entry]:
    """Return every entry that one node's bindings call for; none without a binding.

    Args:
        record: the node; None or a tombstone calls for nothing.
        ids: has the numbers of the node and of all that it shares.
        policies: the node's valid flow policies.
        facts: what else is known of it.

    Raises:
        ValueError: a binding at home has no link-layer address.
        KeyError: a number is missing in `ids`.
    """
    if record is None or not record.bindings:
        return {}
    node_id, home_agent = ids.node(record.home_address), ids.home_agent(record.home_agent)
    addresses = [address_number(record.home_address)]
    if facts.home_ipv4 is not None:
        addresses.append(_MAPPED | int.from_bytes(facts.home_ipv4))
    entries = _sources(record, ids, node_id, home_agent, addresses)
    for binding in record.bindings:
        entries.append(_tunnel(record, node_id, home_agent, binding, facts))
        if facts.rates and (rate := facts.rates.get(binding.bid)) is not None:
            entries.append(Entry(p.TUNNEL_RATES, (node_id, binding.bid), p.LIMIT, rate=rate))
    if policies or record.flows:
        entries += _flows(record, ids, node_id, policies, facts)
    else:
        preferred = record.preferred
        assert preferred is not None
        entries.append(Entry(p.DEFAULT_BINDING, (node_id,), p.STEER, (preferred.bid,)))
    entries += [Entry(p.HOME_ADDRESSES, (address,), p.MOBILE_NODE, (node_id,)) for address in addresses]
    entries += [Entry(p.MOBILE_NETWORKS, (lpm(prefix),), p.MOBILE_NODE, (node_id,)) for prefix in record.prefixes]
    answer = (home_agent, int(record.mobile_router))
    entries += [
        Entry(p.NEIGHBOUR_PROXY, (address_number(target),), p.ANSWER_FOR_NODE, answer) for target in facts.proxied
    ]
    return {(entry.table, entry.match, entry.priority): entry for entry in entries}


def _sources(record: NodeRecord, ids: Numbers, node_id: int, home_agent: int, addresses: Iterable[int]) -> list[Entry]:
    """Return what lets the node's own packets out of its tunnels."""
    found: list[Entry] = []
    for path, bid in paths(record).items():
        path_id = ids.path(path)
        found.append(Entry(p.TUNNEL_TERMINATION, (home_agent, address_number(path.care_of)), p.TERMINATE, (path_id,)))
        found.append(Entry(p.SOURCE_BINDINGS, (path_id, node_id), p.ALLOW, (bid,)))
    found += [Entry(p.HOME_SOURCES, (address,), p.SENDER, (node_id,)) for address in addresses]
    found += [Entry(p.NETWORK_SOURCES, (lpm(prefix),), p.SENDER, (node_id,)) for prefix in record.prefixes]
    return found


def path_entries(
    record: NodeRecord, paths: Mapping[Path, int], ids: Numbers, facts: NodeFacts
) -> dict[EntryKey, Entry]:
    """Return those of a node's entries that depend on where some of its bindings are.

    Args:
        record: the node.
        paths: of these bindings, each with its BID; no two bindings of the node are at one place.
        ids: has the numbers of the node and of the paths.
        facts: what else is known of the node.

    Raises:
        KeyError: a number is missing in `ids`.
    """
    node_id, home_agent = ids.node(record.home_address), ids.home_agent(record.home_agent)
    found: dict[EntryKey, Entry] = {}
    for path, bid in paths.items():
        path_id = ids.path(path)
        place = (home_agent, int.from_bytes(path.care_of))
        found[p.TUNNEL_TERMINATION, place, 0] = Entry(p.TUNNEL_TERMINATION, place, p.TERMINATE, (path_id,))
        source = (path_id, node_id)
        found[p.SOURCE_BINDINGS, source, 0] = Entry(p.SOURCE_BINDINGS, source, p.ALLOW, (bid,))
        tunnel = (node_id, bid)
        found[p.TUNNELS, tunnel, 0] = Entry(p.TUNNELS, tunnel, p.ENCAP_IPV6, (*place, _mtu(path.care_of, facts)))
    return found


def _mtu(care_of: Address, facts: NodeFacts) -> int:
    """Return how many octets the longest packet has that goes into a tunnel whole."""
    return min(facts.tunnel_mtu, facts.path_mtus.get(care_of, facts.tunnel_mtu))


def _tunnel(record: NodeRecord, node_id: int, home_agent: int, binding: Binding, facts: NodeFacts) -> Entry:
    """Return the entry that carries a binding's packets to the node.

    Raises:
        ValueError: the binding is at home and nobody said where.
    """
    if not binding.at_home:
        params = (home_agent, address_number(binding.care_of), _mtu(binding.care_of, facts))
        return Entry(p.TUNNELS, (node_id, binding.bid), p.ENCAP_IPV6, params)
    if binding.link_layer is None:
        raise ValueError(
            f"binding {binding.bid} of {format_address(record.home_address)} is at home without a link-layer address"
        )
    station = int.from_bytes(binding.link_layer)
    return home_link_entry(node_id, binding.bid, address_number(record.home_agent), station)


def _flows(
    record: NodeRecord, ids: Numbers, node_id: int, policies: Iterable[FlowPolicy], facts: NodeFacts
) -> Iterator[Entry]:
    """Yield which packets go where."""
    by_policy, signalled, default = ways(record, policies)
    targets = [default, *(target for _, target in by_policy), *(target for _, target in signalled)]
    yield from _targets([target for target in targets if isinstance(target, Spread | Copies)], ids)
    for policy, target in by_policy:
        yield from policy_entries(node_id, policy, _flow_action(target, ids), facts.flow_keys)
    for flow, target in signalled:
        yield from signalled_entries(node_id, flow, _flow_action(target, ids), facts.flow_keys)
    action, params = _flow_action(default, ids)
    if signalled and facts.home_ipv4 is not None and not facts.flow_keys.ip_version:
        yield ipv4_entry(node_id, (action, params))
    yield Entry(p.DEFAULT_BINDING, (node_id,), _DEFAULT_ACTIONS[action], params)


def _targets(several: Collection[Spread | Copies], ids: Numbers) -> Iterator[Entry]:
    for target in several:
        number = ids.shared(target)
        if isinstance(target, Copies):
            yield Entry(p.MULTICAST_GROUPS, (number,), p.COPY, target.bids)
        else:
            for bucket, bid in enumerate(target.buckets):
                yield Entry(p.BALANCERS, (number, bucket), p.CHOOSE, (bid,))


def _flow_action(target: Way, ids: Numbers) -> FlowAction:
    match target:
        case None:
            return p.DROP_FLOW, ()
        case Spread():
            return p.BALANCE_FLOW, (ids.shared(target),)
        case Copies():
            return p.REPLICATE_FLOW, (ids.shared(target),)
        case _:
            return p.STEER_FLOW, (target,)


_DEFAULT_ACTIONS: Final = {
    p.DROP_FLOW: p.DISCARD,
    p.BALANCE_FLOW: p.BALANCE,
    p.REPLICATE_FLOW: p.REPLICATE,
    p.STEER_FLOW: p.STEER,
}
"""The same in the table of default bindings."""


def keys_by_bid(record: NodeRecord, ids: Numbers, entries: Entries) -> dict[int, set[EntryKey]]:
    """Return for each BID of a node, the most preferred first, the entries that it needs and that only BIDs need.

    Args:
        record: the node.
        ids: has the numbers of the node and of its paths.
        entries: the node's; what its flows need is looked up there. A flow that goes to several BIDs belongs to none of them.

    Raises:
        KeyError: a number is missing in `ids`.
    """
    node_id, home_agent = ids.node(record.home_address), ids.home_agent(record.home_agent)
    found: dict[int, set[EntryKey]] = {}
    for binding in sorted(record.bindings, key=rank):
        own = (node_id, binding.bid)
        keys = found[binding.bid] = {(p.TUNNELS, own, 0), (p.TUNNEL_RATES, own, 0)}
        if not binding.at_home:
            path_id = ids.path(Path(binding.care_of, record.home_agent))
            keys.add((p.TUNNEL_TERMINATION, (home_agent, address_number(binding.care_of)), 0))
            keys.add((p.SOURCE_BINDINGS, (path_id, node_id), 0))
    for key, entry in entries.items():
        if entry.action == p.STEER_FLOW:
            found[entry.params[0]].add(key)
    return found


def binding_counters(record: NodeRecord, ids: Numbers) -> dict[int, BindingCounters]:
    """Return for each BID of a node the entries that count its packets.

    Raises:
        KeyError: a number is missing in `ids`.
    """
    node_id = ids.node(record.home_address)
    upstream = {bid: (p.SOURCE_BINDINGS, (ids.path(path), node_id), 0) for path, bid in paths(record).items()}
    return {
        binding.bid: BindingCounters(
            (p.TUNNELS, (node_id, binding.bid), 0), tuple(filter(None, (upstream.get(binding.bid),)))
        )
        for binding in record.bindings
    }
