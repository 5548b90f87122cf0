"""What each switch has by its place in the network, whoever registers: its static entries and its ways to home links."""

from collections import Counter
from collections.abc import Iterable, Mapping

from controller.dataplane import pipeline as p
from controller.dataplane.doors import Doors
from controller.dataplane.entries import Entry, EntryKey
from controller.dataplane.plans import Plan, plan


class Statics:
    """The static part of every switch, by name; an unknown one has none, and carries the entries of nodes."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[EntryKey, Entry]] = {}
        self._doors: dict[str, Doors] = {}
        self._transit: set[str] = set()

    def replace(self, switch: str, entries: Iterable[Entry], *, anchor: bool, doors: Doors | None) -> Plan:
        """Replace what a switch has, and return the plan that carries it out there (see `DesiredState.set_static`)."""
        after = {entry.key: entry for entry in entries}
        change = plan(self._entries.get(switch, {}), after, grace=False)
        self._entries[switch] = after
        (self._transit.discard if anchor else self._transit.add)(switch)
        if doors is not None:
            self._doors[switch] = doors
        return change

    def entries(self, switch: str) -> Mapping[EntryKey, Entry]:
        """Return the static entries of a switch."""
        return self._entries.get(switch, {})

    def counts(self, switch: str) -> Counter[str]:
        """Return how many static entries each table of a switch has, and how many actions each action selector."""
        found = Counter(key[0] for key in self.entries(switch))
        for entry in self.entries(switch).values():
            table = p.TABLES.get(entry.table)
            if table is not None and table.selector:
                found[table.selector] += len(entry.params) // len(table.actions[0].params)
        return found

    def doors(self, switch: str) -> Doors:
        """Return by which ways a switch delivers on home links."""
        return self._doors.get(switch, {})

    def carries_nodes(self, switch: str) -> bool:
        """Tell whether a switch has the entries of nodes too; a transit switch has not."""
        return switch not in self._transit
