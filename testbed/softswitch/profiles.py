"""Action profiles and selectors at run time: members, and groups that a hash chooses a member from.

A member has a weight in a group. BMv2 has no weights: P4Runtime's front end there makes as many copies of a member as its largest weight,
a copy takes the lowest free handle, and the hash modulo the number of copies counts through the group's copies in the order of their handles.
The same is done here, so that the same packet takes the same member on both.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar


class Member:
    """An action with its arguments.

    Args:
        action: index in the actions of the tables that use the profile.
        args: the arguments.
        number: P4Runtime's id; 0 when it came with a table entry.
    """

    __slots__ = ("action", "args", "handles", "id", "row", "users", "weights")

    slots: ClassVar[None] = None
    """What tells a member from a group in the generated code."""

    def __init__(self, action: int, args: tuple[int, ...], number: int = 0) -> None:
        self.id = number
        self.set(action, args)
        self.handles: list[int] = []
        """One for each copy."""
        self.weights: list[int] = []
        """In each group that it is in."""
        self.users = 0
        """Table entries that refer to it."""

    def set(self, action: int, args: tuple[int, ...]) -> None:
        """Give it another action."""
        self.action = action
        self.args = args
        self.row = (action, True, *args)
        """What the data plane sees, in the form of a table entry's row."""


@dataclass(frozen=True, slots=True)
class Share:
    """A member's part in a group."""

    member: Member
    weight: int


@dataclass(slots=True, eq=False)
class Group:
    """Members to choose from."""

    id: int = 0
    """P4Runtime's id; 0 when it came with a table entry."""
    max_size: int = 0
    shares: tuple[Share, ...] = ()
    """In the order in which they were given."""
    slots: tuple[Member, ...] = ()
    """Every copy, by handle."""
    count: int = 0
    users: int = 0
    """Table entries that refer to it."""

    def fill(self) -> None:
        """Lay the copies of the shares out."""
        copies = [(share.member.handles[i], share.member) for share in self.shares for i in range(share.weight)]
        self.slots = tuple(member for _, member in sorted(copies, key=lambda copy: copy[0]))
        self.count = len(self.slots)


Target = Member | Group


@dataclass(slots=True)
class Profile:
    """Members and groups of one action profile or selector. Checks nothing: that is P4Runtime's part."""

    name: str
    members: dict[int, Member] = field(default_factory=dict)
    groups: dict[int, Group] = field(default_factory=dict)
    one_shots: int = 0
    """Groups that came with their table entries."""
    weight: int = 0
    """Sum of all weights in all groups."""
    shares: int = 0
    """Number of members in all groups."""
    _free: list[int] = field(default_factory=list)
    _next: int = 0

    def insert(self, member: Member) -> None:
        """Add a member."""
        self._copies(member, 1)
        self.members[member.id] = member

    def remove(self, member: Member) -> None:
        """Take a member out that nothing refers to."""
        del self.members[member.id]
        self._copies(member, 0)

    def set_group(self, group: Group, shares: Sequence[Share]) -> None:
        """Give a group, which may be new, other members."""
        self.groups[group.id] = group
        self._share(group, shares)

    def remove_group(self, group: Group) -> None:
        """Take a group out that nothing refers to."""
        del self.groups[group.id]
        self._share(group, ())

    def add_one_shot(self, shares: Sequence[Share]) -> Group:
        """A group of its own for one table entry, with members of its own."""
        group = Group()
        self._share(group, shares)
        self.one_shots += 1
        return group

    def remove_one_shot(self, group: Group) -> None:
        """Take such a group out."""
        shares = group.shares
        self._share(group, ())
        for share in shares:
            self._copies(share.member, 0)
        self.one_shots -= 1

    def _share(self, group: Group, shares: Sequence[Share]) -> None:
        before, group.shares = group.shares, tuple(shares)
        for share in before:
            share.member.weights.remove(share.weight)
        for share in sorted(shares, key=_by_id):
            share.member.weights.append(share.weight)
            self._copies(share.member, max(share.weight, len(share.member.handles)))
        group.fill()
        for share in sorted((*before, *shares), key=_by_id):
            self._copies(share.member, max(share.member.weights, default=1))
        self.weight += sum(s.weight for s in shares) - sum(s.weight for s in before)
        self.shares += len(shares) - len(before)

    def _copies(self, member: Member, count: int) -> None:
        while len(member.handles) < count:
            member.handles.append(self._take())
        while len(member.handles) > count:
            heapq.heappush(self._free, member.handles.pop())

    def _take(self) -> int:
        if self._free:
            return heapq.heappop(self._free)
        self._next += 1
        return self._next - 1


def _by_id(share: Share) -> int:
    return share.member.id
