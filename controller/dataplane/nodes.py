"""What is wanted of one node, and what several of them want together.

A node's entries are not kept: they are made from its record whenever they are looked at, as they are a pure function of it.
With a million bindings that is the difference between a few hundred megabytes and several thousand.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple, Protocol

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, EntryKey
from controller.dataplane.ids import Copies, Ids, Path, Shared, Spread
from controller.dataplane.planner import (
    NO_FACTS,
    NodeFacts,
    address_number,
    keys_by_bid,
    node_entries,
    path_entries,
    shared,
)
from controller.dataplane.plans import SHARED_TABLES
from controller.mobility.address import Address, format_address
from controller.mobility.flows import FlowPolicy
from controller.mobility.model import NodeRecord

_HOME_TABLES: Final = frozenset({p.HOME_SOURCES, p.HOME_ADDRESSES})
_OWN_TABLES: Final = frozenset(
    {p.SOURCE_BINDINGS, p.TUNNELS, p.TUNNEL_RATES, p.DEFAULT_BINDING, p.FLOW_BINDINGS, *SHARED_TABLES}
)
"""Tables in whose keys a node has its own number, or what it shares with others by right."""


class ConflictError(ValueError):
    """A change wants an entry that belongs to another node."""


class Side(Protocol):
    """What a change of a node starts from, or leads to."""

    def entries(self, ids: Ids) -> dict[EntryKey, Entry]:
        """Return its entries; `ids` must still hold its numbers."""

    def shared(self) -> tuple[Shared, ...]:
        """Return what of it may be another's too."""


class NodeState(NamedTuple):
    """One home address: the input of the planner."""

    record: NodeRecord | None = None
    policies: tuple[FlowPolicy, ...] = ()
    facts: NodeFacts = NO_FACTS

    def entries(self, ids: Ids) -> dict[EntryKey, Entry]:
        """Return its entries; `ids` must still hold its numbers."""
        return node_entries(self.record, ids, self.policies, self.facts)

    def keys_by_bid(self, ids: Ids) -> dict[int, set[EntryKey]]:
        """Return what each BID needs, the most preferred BID first; `ids` must still hold its numbers."""
        return {} if self.record is None else keys_by_bid(self.record, ids, self.entries(ids))

    def shared(self) -> tuple[Shared, ...]:
        """Return what of it may be another's too."""
        return shared(self.record, self.policies)


NOBODY: Final = NodeState()


class Moved(NamedTuple):
    """Some bindings of a node that is otherwise as it was: all that a handover is about."""

    record: NodeRecord
    paths: Mapping[Path, int]
    """The paths of these bindings, each with its BID."""
    facts: NodeFacts

    def entries(self, ids: Ids) -> dict[EntryKey, Entry]:
        """Return the entries of these bindings; `ids` must still hold their numbers."""
        return path_entries(self.record, self.paths, ids, self.facts)

    def shared(self) -> tuple[Shared, ...]:
        """Return their paths."""
        return tuple(self.paths)


def difference(before: NodeState, after: NodeState) -> tuple[Moved, Moved] | None:
    """Return what differs between two states of a node, if that is nothing but the care-of addresses of some bindings.

    None, where more may differ, or where two bindings are at one place, which changes the entries of both.
    """
    old, new = before.record, after.record
    if old is None or new is None or before.policies != after.policies or before.facts != after.facts:
        return None
    if len(old.bindings) != len(new.bindings) or not old.bindings or not _same_frame(old, new):
        return None
    left: dict[Path, int] = {}
    entered: dict[Path, int] = {}
    there: set[Address] = set()
    then: set[Address] = set()
    for one, other in zip(old.bindings, new.bindings, strict=True):
        if one.bid != other.bid or one.priority != other.priority or one.at_home or other.at_home:
            return None
        there.add(one.care_of)
        then.add(other.care_of)
        if one.care_of != other.care_of:
            left[Path(one.care_of, old.home_agent)] = one.bid
            entered[Path(other.care_of, new.home_agent)] = other.bid
    if not len(there) == len(then) == len(old.bindings):
        return None
    return Moved(old, left, before.facts), Moved(new, entered, after.facts)


def _same_frame(one: NodeRecord, other: NodeRecord) -> bool:
    """Tell whether two records are the same in all that the entries depend on, beside the bindings."""
    return (
        one.home_agent == other.home_agent
        and one.prefixes == other.prefixes
        and one.flows == other.flows
        and one.mobile_router == other.mobile_router
    )


def is_shared(key: EntryKey) -> bool:
    """Tell whether nodes may share an entry."""
    return key[0] in SHARED_TABLES


def keys_of(thing: Shared, ids: Ids) -> list[EntryKey]:
    """Return the keys of the entries that something shared has in the switches."""
    match thing:
        case Path(care_of, home_agent):
            return [(p.TUNNEL_TERMINATION, (ids.home_agent(home_agent), address_number(care_of)), 0)]
        case Spread(buckets):
            return [(p.BALANCERS, (ids.shared(thing), bucket), 0) for bucket in range(len(buckets))]
        case Copies():
            return [(p.MULTICAST_GROUPS, (ids.shared(thing),), 0)]


def wanted_by_others(things: Iterable[Shared], home_address: Address, ids: Ids) -> set[EntryKey]:
    """Return the keys of those shared entries that other nodes want too. Changes hold numbers as well: they want nothing."""
    found: set[EntryKey] = set()
    for thing in things:
        for holder in ids.holders(thing):
            if isinstance(holder, bytes) and holder != home_address:
                found.update(keys_of(thing, ids))
                break
    return found


class Claims:
    """Which node has which of the entries that two nodes could want: prefixes, and addresses that are not its home address."""

    def __init__(self) -> None:
        self._owners: dict[EntryKey, Address] = {}

    def refuse(self, home_address: Address, entries: Iterable[EntryKey]) -> None:
        """Refuse what belongs to another node.

        Raises:
            ConflictError: it does.
        """
        for key in self._contested(home_address, entries):
            if self._owners.get(key, home_address) != home_address:
                who = format_address(home_address)
                raise ConflictError(f"{who} wants {key[0]} {key[1]}, which belongs to another node")

    def move(self, home_address: Address, gone: Iterable[EntryKey], fresh: Iterable[EntryKey]) -> None:
        """Take note of what a node has no more, and of what it has from now on."""
        for key in self._contested(home_address, gone):
            self._owners.pop(key, None)
        for key in self._contested(home_address, fresh):
            self._owners[key] = home_address

    @staticmethod
    def _contested(home_address: Address, keys: Iterable[EntryKey]) -> list[EntryKey]:
        others = [key for key in keys if key[0] not in _OWN_TABLES]
        if not others:
            return others
        home = (address_number(home_address),)
        return [key for key in others if not (key[0] in _HOME_TABLES and key[1] == home)]


def drop_holds(
    ids: Ids,
    home_address: Address,
    left: NodeState,
    left_things: Iterable[Shared],
    entered: NodeState,
    entered_things: Collection[Shared],
) -> None:
    """End a node's holds on what it has in the state `left` but not in the state `entered`."""
    for thing in left_things:
        if thing not in entered_things:
            ids.drop(thing, home_address)
    if left.record is not None and entered.record is None:
        ids.nodes.drop(home_address, home_address)
