"""A model of a switch that checks after each update that no way leads nowhere, and small records to fill it with."""

from collections.abc import Iterable
from random import Random

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, EntryKey, Op, Update
from controller.dataplane.plans import Stages
from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.flows import FlowPolicy, Steer, TrafficSelector
from controller.mobility.model import Binding, Cause, NodeRecord, Transaction

AGENT = parse_address("2001:db8:0:1::1")
HOMES = [parse_address(f"2001:db8:0:1::10{n}") for n in range(3)]
COA = [parse_address(f"2001:db8:a{n}::100") for n in range(4)]
PREFIXES = [Prefix.parse(f"2001:db8:7{n}::/64") for n in range(3)]


class RefusedError(Exception):
    """The model switch has no room."""


class ModelSwitch:
    """Tables as a dict. Updates of one Write are done in random order, leniently; each leaves consistent tables."""

    def __init__(self, seed: int = 0) -> None:
        self.entries: dict[EntryKey, Entry] = {}
        self.random = Random(seed)
        self.refuse_after: int | None = None

    def write(self, stages: Stages, *, undoing: bool = False) -> None:
        """Carry out Writes; `undoing`: of a refused batch, of which other parts may still be half done."""
        for stage in stages:
            for update in self.random.sample(stage, len(stage)):
                if self.refuse_after is not None:
                    if self.refuse_after == 0:
                        raise RefusedError
                    self.refuse_after -= 1
                self.do(update)
                self.check()
            if not undoing:
                self.check_tunnels()

    def do(self, update: Update) -> None:
        if update.op is Op.DELETE:
            self.entries.pop(update.entry.key, None)
        else:
            self.entries[update.entry.key] = update.entry

    def check(self) -> None:
        for entry in self.pointers_in_use():
            for bid in self.bids(entry):
                assert (p.TUNNELS, (entry.match[0], bid), 0) in self.entries, entry
        for entry in self.entries.values():
            if entry.table in {p.HOME_ADDRESSES, p.MOBILE_NETWORKS}:
                assert (p.DEFAULT_BINDING, entry.params, 0) in self.entries, entry

    def check_tunnels(self) -> None:
        """A tunnel that traffic takes has its way back, or the node's own packets would be dropped."""
        for entry in self.pointers_in_use():
            for bid in self.bids(entry):
                tunnel = self.entries[p.TUNNELS, (entry.match[0], bid), 0]
                assert (p.TUNNEL_TERMINATION, tunnel.params[:2], 0) in self.entries, tunnel

    def bids(self, entry: Entry) -> set[int]:
        """To which BIDs a pointer leads; what it points to must be there."""
        match entry.action:
            case p.STEER | p.STEER_FLOW:
                return {entry.params[0]}
            case p.REPLICATE | p.REPLICATE_FLOW:
                return set(self.entries[p.MULTICAST_GROUPS, entry.params, 0].params)
            case p.BALANCE | p.BALANCE_FLOW:
                buckets = ((p.BALANCERS, (entry.params[0], bucket), 0) for bucket in range(p.BUCKETS))
                return {self.entries[bucket].params[0] for bucket in buckets}
        assert entry.action in {p.DISCARD, p.DROP_FLOW}
        return set()

    def pointers_in_use(self) -> list[Entry]:
        """What no entrance leads to is not in use: it may be incomplete, still or again."""
        entered = {
            entry.params[0] for entry in self.entries.values() if entry.table in {p.HOME_ADDRESSES, p.MOBILE_NETWORKS}
        }
        pointers = {p.DEFAULT_BINDING, p.FLOW_BINDINGS}
        return [entry for entry in self.entries.values() if entry.table in pointers and entry.match[0] in entered]


def record(home: Address, care_of: dict[int, int], prefixes: Iterable[Prefix] = (), sequence: int = 1) -> NodeRecord:
    bindings = tuple(Binding(bid, COA[n], 60, 60.0) for bid, n in sorted(care_of.items()))
    return NodeRecord(home, AGENT, sequence, bindings, tuple(prefixes))


def transaction(before: NodeRecord | None, after: NodeRecord | None) -> Transaction:
    known = after or before
    assert known is not None
    return Transaction(1, known.home_address, before, after, Cause.REGISTRATION)


def policy(home: Address, bid: int, priority: int) -> FlowPolicy:
    return FlowPolicy(f"flow {priority}", home, priority, TrafficSelector(protocol=17, dscp=priority), Steer(bid))
