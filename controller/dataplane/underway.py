"""Changes that are under way: written but not confirmed, or confirmed with deletions that wait for the grace period."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, EntryKey, Op, Update
from controller.dataplane.ids import Ids, Shared
from controller.dataplane.lingering import Lingering
from controller.dataplane.nodes import NOBODY, ConflictError, NodeState
from controller.dataplane.plans import DELETE_STEPS, Plan, Stages
from controller.mobility.address import Address, format_address

_OVER: Final = Plan()
_PREFIX_TABLES: Final = frozenset({p.NETWORK_SOURCES, p.MOBILE_NETWORKS})


class UnderWay(NamedTuple):
    """A change that is under way, and the numbers that it keeps from being handed out again."""

    home_address: Address
    before: NodeState
    entries_before: Mapping[EntryKey, Entry]
    """Of a handover only those of the bindings that have moved."""
    shared_after: tuple[EntryKey, ...]
    """What of the entries after the change may be others' too."""
    plan: Plan
    shared: tuple[Shared, ...]


class Changes:
    """All changes that are under way, by number.

    Args:
        ids: the numbers that they keep.
        lingering: the entries that they have let go.
    """

    def __init__(self, ids: Ids, lingering: Lingering) -> None:
        self._ids = ids
        self._lingering = lingering
        self._pending: dict[int, UnderWay] = {}
        self._breaking: dict[int, UnderWay] = {}
        # Entries that came back to a change when another one was undone, and changes whose deletions are being written.
        self._inherited: dict[int, list[EntryKey]] = {}
        self._taken: set[int] = set()
        self._going: set[EntryKey] = set()
        self._busy: set[Address] = set()

    @property
    def going(self) -> set[EntryKey]:
        """Keys of what is being deleted after its grace period."""
        return self._going

    def keys(self) -> set[EntryKey]:
        """Return the keys of what is about to be written."""
        pending = (update.entry.key for change in self._pending.values() for update in change.plan.updates())
        return set(pending) | self._going

    def is_busy(self, home_address: Address) -> bool:
        """Tell whether a change of the node is pending."""
        return home_address in self._busy

    def refuse_returning(self, home_address: Address, keys: Iterable[EntryKey]) -> None:
        """Refuse new entries of a node that another one gets back if a pending change of it is undone.

        Raises:
            ConflictError: there is one.
        """
        for key in keys:
            if key[0] in _PREFIX_TABLES and any(
                key in change.entries_before and change.home_address != home_address
                for change in self._pending.values()
            ):
                who = format_address(home_address)
                raise ConflictError(f"{who} wants {key[0]} {key[1]}, which another node may yet get back")

    def begin(self, number: int, change: UnderWay) -> None:
        """Add a change: it is pending."""
        self._pending[number] = change
        self._busy.add(change.home_address)

    def confirm(self, number: int) -> UnderWay | None:
        """Return a pending change that is carried out but for its deletions; None: it is not pending."""
        change = self._pending.pop(number, None)
        if change is None:
            return None
        self._busy.discard(change.home_address)
        if change.plan.break_:
            # What could be undone is so no more: only what was let go is kept until it is deleted.
            self._breaking[number] = change._replace(before=NOBODY, shared_after=(), plan=_OVER)
        else:
            self.let_go(number, change)
        return change

    def undo(self, number: int) -> UnderWay:
        """Return a pending change that is to be undone; what it keeps is given up by `let_go`.

        Raises:
            KeyError: it is not pending.
        """
        change = self._pending.pop(number)
        self._inherited.pop(number, None)
        return change

    def let_go(self, number: int, change: UnderWay) -> None:
        """Give up the numbers that a change has kept."""
        for thing in change.shared:
            self._ids.drop(thing, number)
        self._ids.nodes.drop(change.home_address, number)

    def without(self, reverse: Plan, undone: UnderWay, unwritten: set[EntryKey]) -> Plan:
        """Return a plan that undoes a change, without what was not written, and what others come to own by that."""
        inserted = {update.entry.key for stage in undone.plan.now for update in stage if update.op is Op.INSERT}

        def due(update: Update) -> Iterator[Update]:
            if update.entry.key in unwritten:
                return
            # What the change had inserted was nobody's before.
            inherits = update.op is Op.DELETE and update.entry.key not in inserted
            heir = self._inherit(update.entry.key, reverse) if inherits else None
            if heir is None:
                yield update
            elif heir != update.entry:
                yield Update(Op.MODIFY, heir)

        stages = tuple(tuple(one for update in stage for one in due(update)) for stage in reverse.now)
        return Plan(stages, reverse.later, reverse.numbers)

    def _inherit(self, key: EntryKey, reverse: Plan) -> Entry | None:
        """Leave what an undone change would delete to a change that had let it go before; return the entry as it was then.

        That change may yet be undone too, or its grace period is not over: its node's traffic still takes this way.
        """
        heirs = {
            number: change.entries_before[key]
            for number, change in (self._pending | self._breaking).items()
            if key in change.entries_before and number not in self._taken and number not in reverse.numbers
        }
        if not heirs:
            return None
        last = max(heirs)
        self._lingering.keep(heirs[last], last)
        self._inherited.setdefault(last, []).append(key)
        return heirs[last]

    def take_break(self, done: Plan) -> Stages:
        """Return the deletions that a plan has deferred (see `DesiredState.take_break`)."""
        numbers = frozenset(done.numbers)
        stages = [
            [update for update in stage if self._goes(update.entry.key, numbers) is not None] if stage else []
            for stage in done.later
        ]
        if self._inherited:
            for number in done.numbers:
                for key in self._inherited.pop(number, ()):
                    if (entry := self._goes(key, numbers)) is not None:
                        stages[DELETE_STEPS[entry.table]].append(Update(Op.DELETE, entry))
        self._taken |= numbers
        return tuple(tuple(stage) for stage in stages if stage)

    def _goes(self, key: EntryKey, numbers: frozenset[int]) -> Entry | None:
        """Return an entry that these changes let go and nobody wants again: from here on it is being deleted."""
        entry = self._lingering.take_of(key, numbers)
        if entry is not None:
            self._going.add(key)
        return entry

    def finish_break(self, done: Plan) -> None:
        """Take note that these deletions are in force: the numbers in them are free for others now."""
        self._taken.difference_update(done.numbers)
        if not self._taken:
            self._going.clear()
        for number in done.numbers:
            if (change := self._breaking.pop(number, None)) is not None:
                self.let_go(number, change)
