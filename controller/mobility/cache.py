"""The binding cache: the records in force, when each of them changes by itself, and how much room they take."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from controller.mobility.address import Address
from controller.mobility.limits import Load, Weight
from controller.mobility.model import NodeRecord
from controller.mobility.prefixes import PrefixTimes
from controller.mobility.provision import Directory, HomeAgentConfig
from controller.mobility.timing import Deadlines


class BindingCache:
    """One record for each home address that has bindings, or had some a moment ago (RFC 6275 section 9.1)."""

    def __init__(self, config: HomeAgentConfig, directory: Directory, times: PrefixTimes) -> None:
        self._directory: Final = directory
        self._times: Final = times
        self._records: Final[dict[Address, NodeRecord]] = {}
        self._deadlines: Final = Deadlines()
        self.load: Final = Load(Weight(config.max_bindings, config.max_flows))
        """What the records take of the room of all nodes, and what is reserved."""

    def __iter__(self) -> Iterator[NodeRecord]:
        return iter(tuple(self._records.values()))

    def record(self, home_address: Address) -> NodeRecord | None:
        """Return the record in force of a home address."""
        return self._records.get(home_address)

    def put(self, home_address: Address, record: NodeRecord | None) -> None:
        """Put a record in force; None: there is none any more."""
        self.load.replace(self._records.get(home_address), record)
        if record is None:
            self._records.pop(home_address, None)
            self._deadlines.clear(home_address)
        else:
            self._records[home_address] = record
            self.arm(record)

    def note_sequence(self, record: NodeRecord, sequence: int, sequences: tuple[tuple[int, int], ...]) -> None:
        """Remember a sequence number that counts, and those of single BIDs, though nothing else of the record changes."""
        if record.sequence != sequence or record.sequences != sequences:
            self._records[record.home_address] = replace(record, sequence=sequence, sequences=sequences)

    # Time

    def arm(self, record: NodeRecord) -> None:
        """Set the deadline of a record anew: its first binding ends, or its home prefix, or the memory of its number."""
        when = record.forget_at
        if when is None:
            when = min([binding.expires for binding in record.bindings])
            if (end := self.prefix_end(record)) is not None:
                when = min(when, end)
        self._deadlines.set(record.home_address, when)

    def look_again(self, home_address: Address, when: float) -> None:
        """Have a record looked at again at that time, for a change that did not come in force."""
        self._deadlines.set(home_address, when)

    def prefix_end(self, record: NodeRecord) -> float | None:
        """Return when the home prefix of a record ends, and all its bindings with it (RFC 6275 section 10.3.1)."""
        if not self._times:
            return None
        network = self._directory.network(record.home_address, record.home_agent)
        return None if network is None else self._times.until(network.prefix)[0]

    def next_timer(self) -> float | None:
        """Return when the next record is due."""
        return self._deadlines.next()

    def due(self, now: float) -> list[Address]:
        """Return whose records are due, and forget their deadlines."""
        return self._deadlines.due(now)
