"""Small numbers for mobile nodes and paths: the switch matches a 128-bit address once and uses these from then on.

A number stays taken while anybody holds it, and the last hold is given up only when no switch has an entry with it any more:
a number that came back too early would let one node's packets into another's tunnel.
"""

from collections.abc import Collection, Hashable, Iterable
from heapq import heappop, heappush
from itertools import chain
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar
from zlib import crc32

from controller.mobility.address import Address

MAX_ID: Final = 2**24 - 1
"""Node ids and path ids are 24 bits wide in the pipeline; 0 is never handed out."""
_MAX_SHORT: Final = 2**16 - 1
"""Numbers of spreads and of copies are 16 bits wide."""
_MAX_HOME_AGENTS: Final = 2**8 - 1


class Path(NamedTuple):
    """The two ends of a tunnel. Nodes that share a care-of address share its path."""

    care_of: Address
    home_agent: Address


class Spread(NamedTuple):
    """How a balanced flow is spread: the BID of each bucket. Nodes with the same spread share its number."""

    buckets: tuple[int, ...]


class Copies(NamedTuple):
    """The BIDs that get copies of a packet, in ascending order. Nodes with the same share the number."""

    bids: tuple[int, ...]


Shared: TypeAlias = Path | Spread | Copies
"""What nodes may have in common, and what has a number for that."""


class OutOfIdsError(ValueError):
    """Every number is taken: the switch could not tell one more node or path apart."""


class IdPool:
    """Numbers from 1 to a limit; the lowest free one is handed out first."""

    def __init__(self, limit: int = MAX_ID) -> None:
        self._limit = limit
        # A bit for each number: a set of a million of them would take fifty times as much.
        self._taken = bytearray()
        self._count = 0
        self._returned: list[int] = []
        self._next = 1

    def __len__(self) -> int:
        return self._count

    def _is_taken(self, number: int) -> bool:
        position = number >> 3
        return position < len(self._taken) and bool(self._taken[position] >> (number & 7) & 1)

    def _mark(self, number: int) -> int:
        position = number >> 3
        if position >= len(self._taken):
            self._taken.extend(bytes(position + 1 - len(self._taken)))
        self._taken[position] |= 1 << (number & 7)
        self._count += 1
        return number

    def take(self) -> int:
        """Return a number that is taken from now on.

        Raises:
            OutOfIdsError: none is free.
        """
        while self._returned:
            number = heappop(self._returned)
            if not self._is_taken(number):
                return self._mark(number)
        while self._is_taken(self._next):
            self._next += 1
        if self._next > self._limit:
            raise OutOfIdsError(f"all {self._limit} numbers are taken")
        return self._mark(self._next)

    def take_near(self, wish: int) -> int:
        """Return the number that is wished for, or the next free one after it.

        Raises:
            OutOfIdsError: none is free.
        """
        for number in chain(range(wish, self._limit + 1), range(1, wish)):
            if not self._is_taken(number):
                return self._mark(number)
        raise OutOfIdsError(f"all {self._limit} numbers are taken")

    def claim(self, number: int) -> None:
        """Take one given number.

        Raises:
            ValueError: it is out of range or already taken.
        """
        if not 1 <= number <= self._limit:
            raise ValueError(f"number {number} is out of range: 1 to {self._limit}")
        if self._is_taken(number):
            raise ValueError(f"number {number} is already taken")
        self._mark(number)

    def give_back(self, number: int) -> None:
        """Make a taken number free."""
        if not self._is_taken(number):
            raise ValueError(f"number {number} is not taken")
        self._taken[number >> 3] &= ~(1 << (number & 7)) & 0xFF
        self._count -= 1
        if number < self._next:
            heappush(self._returned, number)


_Key = TypeVar("_Key", bound=Hashable)


class IdTable(Generic[_Key]):
    """Numbers for things, each kept while at least one holder wants it. Nearly all have one holder."""

    def __init__(self, limit: int = MAX_ID) -> None:
        self._pool = IdPool(limit)
        self._numbers: dict[_Key, int] = {}
        # The holder itself, or a set of several.
        self._holders: dict[_Key, Hashable | set[Hashable]] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, key: _Key) -> bool:
        return key in self._numbers

    def number(self, key: _Key) -> int:
        """Return the number of something.

        Raises:
            KeyError: nobody holds it.
        """
        return self._numbers[key]

    def holders(self, key: _Key) -> Collection[Hashable]:
        """Return who holds something, in no order; nobody, if it has no number."""
        if key not in self._numbers:
            return ()
        holders = self._holders[key]
        return holders if isinstance(holders, set) else (holders,)

    def hold(self, key: _Key, holder: Hashable, wish: int | None = None) -> int:
        """Return the number of something, new if it had none; `holder` keeps it from now on. Repeating changes nothing.

        Args:
            key: the thing.
            holder: who keeps it.
            wish: a new number is this one if it is free; None: the lowest free one.

        Raises:
            OutOfIdsError: it had none, and none is free.
        """
        number = self._numbers.get(key)
        if number is not None:
            self._join(key, holder)
            return number
        number = self._numbers[key] = self._pool.take() if wish is None else self._pool.take_near(wish)
        self._holders[key] = holder
        return number

    def restore(self, key: _Key, number: int, holder: Hashable) -> None:
        """Give something the number that it had in an earlier life of the controller.

        Raises:
            ValueError: something else has the number, or it has another one, or the number is out of range.
        """
        known = self._numbers.get(key)
        if known is None:
            self._pool.claim(number)
            self._numbers[key] = number
            self._holders[key] = holder
            return
        if known != number:
            raise ValueError(f"{key!r} has the number {known} already, {number} cannot be restored for it")
        self._join(key, holder)

    def drop(self, key: _Key, holder: Hashable) -> None:
        """End one hold; with the last one the number becomes free. Dropping what is not held changes nothing."""
        if key not in self._numbers:
            return
        holders = self._holders[key]
        if isinstance(holders, set):
            holders.discard(holder)
            if len(holders) == 1:
                (self._holders[key],) = holders
        elif holders == holder:
            del self._holders[key]
            self._pool.give_back(self._numbers.pop(key))

    def _join(self, key: _Key, holder: Hashable) -> None:
        holders = self._holders[key]
        if isinstance(holders, set):
            holders.add(holder)
        elif holders != holder:
            self._holders[key] = {holders, holder}


class Ids:
    """The numbers of everything that has one in the pipeline.

    Args:
        limit: the greatest of nodes and of paths.
        home_agents: home agent addresses in the order of the configuration: they are numbered from 1. Others follow as they come.
    """

    def __init__(self, limit: int = MAX_ID, home_agents: Iterable[Address] = ()) -> None:
        self.nodes: IdTable[Address] = IdTable(limit)
        """By home address."""
        self.paths: IdTable[Path] = IdTable(limit)
        self.spreads: IdTable[Spread] = IdTable(_MAX_SHORT)
        self.copies: IdTable[Copies] = IdTable(_MAX_SHORT)
        self._home_agents = home_agent_numbers(home_agents)

    def node(self, home_address: Address) -> int:
        """Return a node's number.

        Raises:
            KeyError: it has none.
        """
        return self.nodes.number(home_address)

    def path(self, path: Path) -> int:
        """Return a path's number.

        Raises:
            KeyError: it has none.
        """
        return self.paths.number(path)

    def home_agent(self, address: Address) -> int:
        """Return a home agent address's number, new if it had none.

        Raises:
            OutOfIdsError: it had none, and none is free.
        """
        number = self._home_agents.get(address)
        if number is None:
            if len(self._home_agents) >= _MAX_HOME_AGENTS:
                raise OutOfIdsError(f"all {_MAX_HOME_AGENTS} numbers of home agent addresses are taken")
            number = self._home_agents[address] = len(self._home_agents) + 1
        return number

    def shared(self, thing: Spread | Copies) -> int:
        """Return the number of a spread or of copies.

        Raises:
            KeyError: it has none.
        """
        return self.spreads.number(thing) if isinstance(thing, Spread) else self.copies.number(thing)

    def hold(self, thing: Shared, holder: Hashable) -> None:
        """Keep the number of something, new if it had none.

        Spreads and copies get numbers from what they are, so that a controller that is started again finds them in its switches
        under the numbers that it gives them.

        Raises:
            OutOfIdsError: it had none, and none is free.
        """
        match thing:
            case Path():
                self.paths.hold(thing, holder)
            case Spread():
                self.spreads.hold(thing, holder, _from_content(thing.buckets))
            case Copies():
                self.copies.hold(thing, holder, _from_content(thing.bids))

    def nodes_at(self, care_of: Address) -> list[Address]:
        """Return the home addresses of the nodes with a binding for a care-of address."""
        paths = (Path(care_of, home_agent) for home_agent in self._home_agents)
        # Changes that are under way hold numbers too.
        return [Address(one) for path in paths for one in self.paths.holders(path) if isinstance(one, bytes)]

    def holders(self, thing: Shared) -> Collection[Hashable]:
        """Return who keeps the number of something, in no order."""
        match thing:
            case Path():
                return self.paths.holders(thing)
            case Spread():
                return self.spreads.holders(thing)
            case Copies():
                return self.copies.holders(thing)

    def drop(self, thing: Shared, holder: Hashable) -> None:
        """End one hold. Dropping what is not held changes nothing."""
        match thing:
            case Path():
                self.paths.drop(thing, holder)
            case Spread():
                self.spreads.drop(thing, holder)
            case Copies():
                self.copies.drop(thing, holder)


def home_agent_numbers(home_agents: Iterable[Address]) -> dict[Address, int]:
    """Return the numbers of home agent addresses, 1 to 255: the same ones for the same order of addresses."""
    return {address: number for number, address in enumerate(dict.fromkeys(home_agents), start=1)}


def _from_content(numbers: tuple[int, ...]) -> int:
    return crc32(repr(numbers).encode()) % _MAX_SHORT + 1
