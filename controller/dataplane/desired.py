"""What the anchors should hold, and how a change of it is carried out, undone, or finished. It writes nothing itself.

The life of a change:

1. `DesiredState.apply` (a transaction) or `DesiredState.set_policies` answers with a `Plan`. From here on `desired` has the
   new entries.
2. The caller writes `Plan.stages` to every anchor.
3. All went well: `confirm`. When the grace period is over: `take_break`, write what it gives, `finish_break`.
   A switch refused: `rollback`, write the stages of the plan that it gives, and `confirm` that plan.

Different nodes may change at the same time, their plans merged and written together, as long as all writes to a switch go
one after the other. Updates are meant to be written leniently (an INSERT of what exists replaces it, a DELETE of what is gone
is fine), and a switch that was away catches up by `diff`.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count, islice
from typing import Final

from controller.dataplane.doors import Doors, localise, localise_stage
from controller.dataplane.entries import Entry, EntryKey, Op, Update
from controller.dataplane.flows import checked_policies
from controller.dataplane.ids import Ids, Path, Shared
from controller.dataplane.ledger import Ledger
from controller.dataplane.nodes import (
    NOBODY,
    ConflictError,
    NodeState,
    Side,
    difference,
    drop_holds,
    is_shared,
    wanted_by_others,
)
from controller.dataplane.occupancy import CapacityError
from controller.dataplane.planner import NO_FACTS, NodeFacts
from controller.dataplane.plans import Plan, Stage, Stages, Step, plan
from controller.dataplane.preview import preview
from controller.dataplane.statics import Statics
from controller.dataplane.underway import Changes, UnderWay
from controller.mobility.address import Address, format_address
from controller.mobility.expansion import FULL, KeyShape
from controller.mobility.flows import FlowPolicy
from controller.mobility.model import NodeRecord, Transaction

__all__ = ["CapacityError", "ConflictError", "DesiredState"]

_SLICE: Final = 50
"""Nodes of which the entries are made in one go: about a millisecond's work."""


class DesiredState:
    """Entries of all nodes and the static entries of each switch, with the changes under way.

    Args:
        ids: the numbers that are handed out; None: new ones.
        facts: what the configuration says of a node.
        flow_keys: what the keys of flows can say in all switches.
    """

    def __init__(
        self,
        ids: Ids | None = None,
        facts: Callable[[NodeRecord], NodeFacts] = lambda _record: NO_FACTS,
        flow_keys: KeyShape = FULL,
    ) -> None:
        self.ids = ids if ids is not None else Ids()
        """The numbers of nodes, paths and all else that has one."""
        self.flow_keys: Final = flow_keys
        """What the keys of flows can say."""
        self._flows_are_free: Final = flow_keys == FULL
        self._facts = facts
        self._usual_facts = NO_FACTS
        self._nodes: dict[Address, NodeState] = {}
        self._statics = Statics()
        self._ledger = Ledger()
        self._changes = Changes(self.ids, self._ledger.lingering)
        self._numbers = count(1)
        self._watches: list[set[EntryKey]] = []

    # What there is.

    def desired(self, switch: str = "") -> dict[EntryKey, Entry]:
        """Return every entry that a switch should hold now, those in their grace period too.

        Args:
            switch: its name as given to `set_static`; an unknown one gets the entries of the nodes only.
        """
        found: dict[EntryKey, Entry] = {}
        for part in self.parts(switch):
            found.update(part)
        return found

    def parts(self, switch: str = "") -> Iterator[dict[EntryKey, Entry]]:
        """Yield what `desired` returns in parts that take about a millisecond each.

        Changes may come between two of them: `watch` tells which entries they are about.
        """
        yield dict(self._statics.entries(switch))
        if not self._statics.carries_nodes(switch):
            return
        doors = self._statics.doors(switch)
        addresses = iter(list(self._nodes))
        while several := list(islice(addresses, _SLICE)):
            part: dict[EntryKey, Entry] = {}
            for home_address in several:
                part.update(self._nodes.get(home_address, NOBODY).entries(self.ids))
            yield localise(part, doors)
        yield localise({key: kept.entry for key, kept in self._ledger.lingering.items()}, doors)

    @contextmanager
    def watch(self) -> Iterator[set[EntryKey]]:
        """Give the keys of all entries that may be changing, from now on until the end of the block."""
        touched = self.in_flight()
        self._watches.append(touched)
        try:
            yield touched
        finally:
            # By identity: two watches may have seen the same.
            self._watches = [one for one in self._watches if one is not touched]

    def localised(self, switch: str, stage: Stage) -> Stage:
        """Return a stage of a plan as it is to be written to one switch."""
        return localise_stage(stage, self._statics.doors(switch))

    def in_flight(self) -> set[EntryKey]:
        """Return the keys of what changes are about to write: there a switch may be behind, or ahead."""
        return self._changes.keys()

    def static_counts(self, switch: str) -> Counter[str]:
        """Return how many static entries each table of a switch has."""
        return self._statics.counts(switch)

    def set_capacity(self, capacity: Mapping[str, int]) -> None:
        """Say how many entries of nodes each table has room for on every anchor; a table that is not named has no limit."""
        self._ledger.occupancy.set_capacity(capacity)

    def used(self, table: str) -> int:
        """Return how many entries of nodes a table has, those that are about to be deleted included."""
        return self._ledger.occupancy.used(table)

    def record(self, home_address: Address) -> NodeRecord | None:
        """Return the record whose entries are wanted."""
        return self._nodes.get(home_address, NOBODY).record

    def policies(self, home_address: Address) -> tuple[FlowPolicy, ...]:
        """Return a node's flow policies, first priority first."""
        return self._nodes.get(home_address, NOBODY).policies

    def is_pending(self, home_address: Address) -> bool:
        """Tell whether a change of the node is neither confirmed nor rolled back: the next one has to wait."""
        return self._changes.is_busy(home_address)

    def bids_of(self, home_address: Address, keys: Collection[EntryKey]) -> frozenset[int]:
        """Return the BIDs of a node that need some of these entries; none, where one of them is not there for certain BIDs."""
        by_bid = self._nodes.get(home_address, NOBODY).keys_by_bid(self.ids)
        if set(keys).difference(*by_bid.values()):
            return frozenset()
        return frozenset(bid for bid, needed in by_bid.items() if not needed.isdisjoint(keys))

    def path_ids(self, record: NodeRecord) -> dict[int, int]:
        """Return the path id of each BID of a record that is wanted, but one at home: with `Ids.node` what a store keeps.

        Raises:
            KeyError: the record was not given to `apply`.
        """
        return {
            binding.bid: self.ids.path(Path(binding.care_of, record.home_agent))
            for binding in record.bindings
            if not binding.at_home
        }

    # The beginning.

    def restore(
        self, record: NodeRecord, node_id: int, path_ids: Mapping[int, int], policies: Iterable[FlowPolicy] = ()
    ) -> None:
        """Take over a stored node with the numbers it had. Nothing is planned: switches follow by `diff`.

        Args:
            record: the node; a tombstone only keeps its number.
            node_id: its number.
            path_ids: BID to path id; a BID without one gets a new number, so nodes with gaps are restored last.
            policies: its flow policies.

        Raises:
            ValueError: the numbers contradict those of another node, or a policy is not valid.
        """
        home_address = record.home_address
        to = self._state(record, checked_policies(home_address, policies, self.flow_keys))
        try:
            self.ids.nodes.restore(home_address, node_id, home_address)
            for binding in record.bindings:
                if not binding.at_home and (number := path_ids.get(binding.bid)) is not None:
                    self.ids.paths.restore(Path(binding.care_of, record.home_agent), number, home_address)
        except ValueError:
            drop_holds(self.ids, home_address, to, to.shared(), NOBODY, ())
            raise
        self.confirm(self._move(home_address, to, grace=False))

    def set_static(
        self, switch: str, entries: Iterable[Entry], *, anchor: bool = True, doors: Doors | None = None
    ) -> Plan:
        """Replace the static entries of a switch, and return the plan that carries it out there.

        Args:
            switch: its name.
            entries: all of its static entries.
            anchor: it carries the nodes' entries too; False for a transit switch.
            doors: its ways to home links; None: as before.
        """
        before = self._statics.entries(switch)
        change = self._statics.replace(switch, entries, anchor=anchor, doors=doors)
        self._note(before, self._statics.entries(switch))
        return change

    # Changes.

    def apply(self, transaction: Transaction) -> Plan:
        """Change a node's bindings.

        Raises:
            ValueError: it cannot be carried out (another node's prefix, no number left, say); nothing changed.
            RuntimeError: an earlier change of the node is still pending.
        """
        home_address = transaction.home_address
        self._require_idle(home_address)
        return self._move(home_address, self._state(transaction.after, self.policies(home_address)), grace=True)

    def set_policies(self, home_address: Address, policies: Iterable[FlowPolicy]) -> Plan:
        """Replace a node's flow policies.

        Raises:
            PolicyError: one of them cannot be carried out, or two have one name or priority; nothing changed.
            RuntimeError: an earlier change of the node is still pending.
        """
        self._require_idle(home_address)
        to = self._state(self.record(home_address), checked_policies(home_address, policies, self.flow_keys))
        return self._move(home_address, to, grace=True)

    def refresh(self, home_address: Address) -> Plan:
        """Plan anew for a node of which something else is known than its record and its policies.

        Raises:
            RuntimeError: an earlier change of the node is still pending.
        """
        self._require_idle(home_address)
        return self._move(home_address, self._state(self.record(home_address), self.policies(home_address)), grace=True)

    def preview_policies(self, home_address: Address, policies: Iterable[FlowPolicy]) -> tuple[Update, ...]:
        """Return the updates that `set_policies` would plan, and change nothing. None without a binding.

        Raises:
            PolicyError: one of them cannot be carried out, or two have one name or priority.
            OutOfIdsError: no number is left for what it needs.
        """
        node = self._nodes.get(home_address, NOBODY)
        to = node._replace(policies=checked_policies(home_address, policies, self.flow_keys))
        return preview(home_address, node, to, self.ids, self._ledger)

    def preview_node(self, record: NodeRecord, home_ipv4: bytes | None) -> tuple[Update, ...]:
        """Return the updates that a node's record would take, had it this IPv4 home address, and change nothing.

        Raises:
            ValueError: it could not be carried out (another node's address, no room, say).
        """
        state = self._state(record, self.policies(record.home_address))
        to = state._replace(facts=state.facts._replace(home_ipv4=home_ipv4))
        left = self._nodes.get(record.home_address, NOBODY)
        updates = preview(record.home_address, left, to, self.ids, self._ledger)
        fresh = [update.entry.key for update in updates if update.op is Op.INSERT]
        self._refuse_conflicts(record.home_address, fresh)
        self._ledger.occupancy.refuse_overflow([key for key in fresh if key not in self._ledger.lingering], dict)
        return updates

    def confirm(self, done: Plan) -> None:
        """Take note that `Plan.stages` of a plan, or of several merged ones, are in force on the anchors."""
        for number in done.numbers:
            if (change := self._changes.confirm(number)) is not None:
                self._ledger.occupancy.left(change.plan)
                self._ledger.confirm(change.shared_after)

    def rollback(self, failed: Plan, reached: Step = Step.BREAK) -> Plan:
        """Undo one node's plan that a switch refused; of several that were merged, call it for each.

        The reverse is ordered like any plan, leaves alone what other nodes have come to share, and has no grace period.

        Args:
            failed: the plan as `apply` or `set_policies` gave it.
            reached: the step that failed; what belongs to later steps was not written and is not undone.

        Returns:
            A plan to write and then to `confirm`, in any case: a switch that does not take it needs a `diff`.

        Raises:
            KeyError: the plan was confirmed or rolled back before.
        """
        (number,) = failed.numbers
        change = self._changes.undo(number)
        self._ledger.occupancy.left(change.plan)
        unwritten = {update.entry.key for stage in failed.now[reached + 1 :] for update in stage}
        reverse = self._move(change.home_address, change.before, grace=False)
        self._changes.let_go(number, change)
        return self._changes.without(reverse, change, unwritten)

    def take_break(self, done: Plan) -> Stages:
        """Return the deletions that a plan has deferred, without those that are wanted again or let go anew since.

        The entries count as gone from here on: write the stages before any stage of a plan that is made later.
        """
        stages = self._changes.take_break(done)
        self._note(self._changes.going)
        return stages

    def finish_break(self, done: Plan) -> None:
        """Take note that the deletions from `take_break` are in force: the numbers in them are free for others now."""
        self._changes.finish_break(done)

    # How it is done.

    def _require_idle(self, home_address: Address) -> None:
        if self._changes.is_busy(home_address):
            raise RuntimeError(
                f"a change of {format_address(home_address)} is still pending: confirm it or roll it back first"
            )

    def _state(self, record: NodeRecord | None, policies: tuple[FlowPolicy, ...]) -> NodeState:
        facts = NO_FACTS if record is None else self._facts(record)
        if not self._flows_are_free:
            facts = facts._replace(flow_keys=self.flow_keys)
        # Nearly all nodes have the same facts: one object for them.
        if facts == self._usual_facts:
            facts = self._usual_facts
        else:
            self._usual_facts = facts
        return NodeState(record, policies, facts)

    def _note(self, *several: Iterable[EntryKey]) -> None:
        for touched in self._watches:
            touched.update(*several)

    def _move(self, home_address: Address, to: NodeState, *, grace: bool) -> Plan:
        """Bring a node into another state: take numbers, compare, and keep book."""
        number = next(self._numbers)
        left = self._nodes.get(home_address, NOBODY)
        moved = difference(left, to)
        start: Side
        end: Side
        start, end = moved or (left, to)
        old_shared, new_shared = start.shared(), end.shared()
        old = start.entries(self.ids)
        try:
            if to.record is not None:
                self.ids.nodes.hold(home_address, home_address)
            for thing in new_shared:
                self.ids.hold(thing, home_address)
            new = end.entries(self.ids)
            others = wanted_by_others({*old_shared, *new_shared}, home_address, self.ids)
            fresh = [key for key in new if key not in old]
            if moved is None:  # A handover is about nothing that another node could want for itself.
                self._refuse_conflicts(home_address, fresh)
            if grace:  # What goes back to how it was has had the room.
                self._ledger.refuse_overflow(fresh, others, lambda: to.keys_by_bid(self.ids))
        except ValueError:
            drop_holds(self.ids, home_address, to, new_shared, left, old_shared)
            raise
        self._hold_until_over(number, home_address, old_shared)
        before, after = self._ledger.compare(old, new, fresh, others)
        change = plan(before, after, grace=grace, entered=moved is not None, numbers=(number,))
        gone = [key for key in old if key not in new]
        if moved is None:
            self._ledger.claims.move(home_address, gone, fresh)
        self._ledger.enter(gone, fresh, others)
        self._note(old, new)
        for stage in change.later:
            for update in stage:
                self._ledger.lingering.keep(update.entry, number)
        self._nodes[home_address] = to
        if to.record is None and not to.policies:
            del self._nodes[home_address]
        drop_holds(self.ids, home_address, left, old_shared, to, new_shared)
        self._ledger.occupancy.leave(change)
        shared_after = tuple(filter(is_shared, new))
        self._changes.begin(number, UnderWay(home_address, left, old, shared_after, change, old_shared))
        return change

    def _hold_until_over(self, number: int, home_address: Address, things: Iterable[Shared]) -> None:
        """Keep the numbers that a change starts from until its deletions are in force."""
        if home_address in self.ids.nodes:
            self.ids.nodes.hold(home_address, number)
        for thing in things:
            self.ids.hold(thing, number)

    def _refuse_conflicts(self, home_address: Address, keys: Iterable[EntryKey]) -> None:
        """Refuse new entries that are another node's, or that another node may yet get back."""
        self._ledger.claims.refuse(home_address, keys)
        self._changes.refuse_returning(home_address, keys)
