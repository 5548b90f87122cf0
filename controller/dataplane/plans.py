"""Plans: table updates in an order that never leaves a packet without a way.

A Write may be carried out in any order inside (P4Runtime section 12), so updates that depend on one another travel in
different, awaited Writes. A plan has seven steps; each is one Write:

1. MAKE: new decapsulation, new tunnels, and tunnels that change their other end.
2. STEER: flow and default entries, which point to tunnels.
3. ATTACH: the entrances, home addresses and mobile networks.
4. DETACH, 5. UNSTEER, 6. UNMAKE: the same backwards, for what goes.
7. BREAK: the old decapsulation, after a grace period in which packets already under way still arrive. Whether the switch first forgets
   the tunnel's end or who may send through it, what comes that way is dropped.

A step that nothing depends on is not waited for. Without an entrance no packet comes as far as a pointer, so a node that is new,
or leaves altogether, needs no step of its own for pointers: two Writes, not three. And a tunnel that changes its other end goes
with the decapsulation of that end: a handover is one Write. Should the switch change the tunnel first, packets to the node take
the new path a moment before its own may; it sends none that way before the acknowledgement, which waits for both.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple, Self, TypeAlias, overload

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entries, Entry, EntryKey, Op, Update


class Step(IntEnum):
    """The steps of a plan, in order."""

    MAKE = 0
    STEER = 1
    ATTACH = 2
    DETACH = 3
    UNSTEER = 4
    UNMAKE = 5
    BREAK = 6


Stage: TypeAlias = tuple[Update, ...]
"""Updates that may be carried out in any order: one Write."""

Stages: TypeAlias = tuple[Stage, ...]
"""Writes to be awaited one after the other."""

# How far a table is from the entrance: entries of a lower level are what those of a higher level point to.
_TARGET, _POINTER, _ENTRANCE = 0, 1, 2
_LEVELS: Final = {
    p.TUNNEL_TERMINATION: _TARGET,
    p.HOME_SOURCES: _TARGET,
    p.NETWORK_SOURCES: _TARGET,
    p.SOURCE_BINDINGS: _TARGET,
    p.MULTICAST_GROUPS: _TARGET,
    p.BALANCERS: _TARGET,
    p.TUNNEL_RATES: _TARGET,
    p.TUNNEL_SOURCES: _TARGET,
    p.LINK_PORTS: _TARGET,
    p.INTERFACES: _TARGET,
    p.PUNT_POLICERS: _TARGET,
    p.TUNNELS: _TARGET,
    p.NEXT_HOPS: _TARGET,
    p.ROUTES: _POINTER,
    p.FLOW_BINDINGS: _POINTER,
    p.DEFAULT_BINDING: _POINTER,
    p.HOME_ADDRESSES: _ENTRANCE,
    p.NEIGHBOUR_PROXY: _ENTRANCE,
    p.MOBILE_NETWORKS: _ENTRANCE,
    p.HOME_AGENTS: _ENTRANCE,
    p.SIGNALLING: _ENTRANCE,
    p.MY_STATION: _ENTRANCE,
}
_ENTRANCES: Final = frozenset(table for table, level in _LEVELS.items() if level == _ENTRANCE)
_INSERT_STEPS: Final = {table: (Step.MAKE, Step.STEER, Step.ATTACH)[level] for table, level in _LEVELS.items()}
_UNSEEN_STEPS: Final = _INSERT_STEPS | {p.FLOW_BINDINGS: Step.MAKE, p.DEFAULT_BINDING: Step.MAKE}
"""Where there is no entrance yet."""
DELETE_STEPS: Final = {table: (Step.UNMAKE, Step.UNSTEER, Step.DETACH)[level] for table, level in _LEVELS.items()} | {
    p.HOME_SOURCES: Step.BREAK,
    p.NETWORK_SOURCES: Step.BREAK,
    p.SOURCE_BINDINGS: Step.BREAK,
    p.TUNNEL_TERMINATION: Step.BREAK,
    # These too may be another node's by then.
    p.BALANCERS: Step.BREAK,
    p.MULTICAST_GROUPS: Step.BREAK,
}
"""The step in which an entry of a table is deleted."""

SHARED_TABLES: Final = frozenset({p.TUNNEL_TERMINATION, p.BALANCERS, p.MULTICAST_GROUPS})
"""Tables in which nodes may share an entry: that of a path, which nodes with one care-of address have in common, say."""

STEPS: Final = tuple(Step)
"""The steps in order: to iterate over an enumeration costs more than what is done in most of them."""

_NOTHING: Final[Stages] = ((),) * len(Step)


class Plan(NamedTuple):
    """Updates in their order, from one state of a switch to another. A tuple, as each registration makes one."""

    now: Stages = _NOTHING
    """One stage for each `Step`, many of them empty."""
    later: Stages = _NOTHING
    """What may wait for the grace period; also one stage for each `Step`."""
    numbers: tuple[int, ...] = ()
    """The changes of a `DesiredState` that it carries out."""

    @property
    def stages(self) -> Stages:
        """What to write now: the stages that are not empty."""
        return tuple(stage for stage in self.now if stage)

    @property
    def break_(self) -> Stages:
        """What to delete after the grace period: the stages that are not empty."""
        return tuple(stage for stage in self.later if stage)

    def steps(self) -> Iterator[tuple[Step, Stage]]:
        """Yield what to write now, each stage with its step."""
        return ((step, stage) for step, stage in zip(STEPS, self.now, strict=True) if stage)

    def updates(self) -> Iterator[Update]:
        """Yield every update, in order, those that may wait at the end."""
        for stages in (self.now, self.later):
            for stage in stages:
                yield from stage

    def deferred(self) -> Self:
        """Return the part of it that may wait for the grace period: what is kept until then."""
        return self._replace(now=_NOTHING)

    def deletions(self) -> Mapping[str, int]:
        """Return how many entries of each table are deleted now."""
        found: dict[str, int] = {}
        for stage in self.now[Step.DETACH :]:  # before that there are none
            for update in stage:
                found[update.entry.table] = found.get(update.entry.table, 0) + 1
        return found

    def touches(self, keys: Iterable[EntryKey]) -> bool:
        """Tell whether any of these entries is one that the plan writes now: whose plan was it that a switch refused?"""
        wanted = set(keys)
        return any(update.entry.key in wanted for stage in self.now for update in stage)


def plan(
    before: Entries, after: Entries, *, grace: bool = True, entered: bool = False, numbers: tuple[int, ...] = ()
) -> Plan:
    """Return what brings a switch from one set of entries to another.

    Args:
        before: what is there.
        after: what should be there.
        grace: deletions of decapsulation entries may wait (`Plan.later`); False: all is written now.
        entered: there is an entrance, and it stays, though neither of the two has it.
        numbers: of the changes that the plan carries out.
    """
    now: defaultdict[Step, list[Update]] = defaultdict(list)
    later: defaultdict[Step, list[Update]] = defaultdict(list)
    write_steps = _INSERT_STEPS if entered or _has_entrance(before) else _UNSEEN_STEPS
    stays = entered or _has_entrance(after)
    for key, entry in after.items():
        old = before.get(key)
        if old is None:
            now[write_steps[entry.table]].append(Update(Op.INSERT, entry))
        elif old != entry:
            now[write_steps[entry.table]].append(Update(Op.MODIFY, entry))
    for key, entry in before.items():
        if key not in after:
            step = DELETE_STEPS[entry.table]
            if not stays and entry.table in {p.FLOW_BINDINGS, p.DEFAULT_BINDING}:
                step = Step.UNMAKE
            stages = later if grace and step is Step.BREAK else now
            stages[step].append(Update(Op.DELETE, entry))
    return Plan(_staged(now), _staged(later), numbers)


def _staged(found: Mapping[Step, list[Update]]) -> Stages:
    """Return one stage for each step; a plan has something to do in few of them."""
    stages = list(_NOTHING)
    for step, updates in found.items():
        stages[step] = tuple(updates)
    return tuple(stages)


def _has_entrance(entries: Entries) -> bool:
    return any(key[0] in _ENTRANCES for key in entries)


def diff(actual: Entries, desired: Entries) -> Stages:
    """Return the Writes that turn what a switch has into what it should have: only the difference, in the safe order."""
    return plan(actual, desired, grace=False).stages


class Insertions(Sequence[Update]):
    """Insertions of entries, each made when it is looked at: of hundreds of thousands, few are needed at a time.

    Args:
        entries: what to insert.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, place: int) -> Update: ...

    @overload
    def __getitem__(self, place: slice) -> list[Update]: ...

    def __getitem__(self, place: int | slice) -> Update | list[Update]:
        """Return an insertion, or several."""
        if isinstance(place, int):
            return Update(Op.INSERT, self._entries[place])
        return [Update(Op.INSERT, entry) for entry in self._entries[place]]


def fill(desired: Entries) -> tuple[Insertions, ...]:
    """Return the Writes that give an empty switch what it should have, as `diff` from nothing does, without an object for each update."""
    steps: list[list[Entry]] = [[] for _ in STEPS]
    for entry in desired.values():
        steps[_UNSEEN_STEPS[entry.table]].append(entry)
    return tuple(Insertions(entries) for entries in steps if entries)


def joined(stages: Iterable[Stage]) -> Stage:
    """Join stages of one step of different nodes' plans to one Write.

    An update that several of them contain (the insertion of a shared entry) is written once.
    """
    several = list(filter(None, stages))
    if len(several) < 2:
        return several[0] if several else ()
    # By key: to hash whole updates costs several times as much, and no two nodes want different entries of one key.
    common: dict[tuple[Op, EntryKey], Update] = {}
    own: list[Update] = []
    for stage in several:
        for update in stage:
            entry = update.entry
            if entry.table in SHARED_TABLES:
                common[update.op, entry.key] = update
            else:
                own.append(update)
    return (*common.values(), *own)


def merge(plans: Iterable[Plan]) -> Plan:
    """Join plans of different nodes: one Write for each step instead of one for each step and plan."""
    several = tuple(plans)
    if len(several) < 2:
        return several[0] if several else Plan()
    return Plan(
        tuple(map(joined, zip(*[one.now for one in several], strict=True))),
        tuple(map(joined, zip(*[one.later for one in several], strict=True))),
        tuple(number for one in several for number in one.numbers),
    )
