"""What a switch holds, beside what it should hold: read back and compared as it comes.

An entry that is as desired comes back as the bytes that we would send. So what comes is looked up among the encodings of what
is desired, and only what is not found there is decoded. A switch that writes an entry differently is understood all the same,
more slowly.
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from finsy.proto import p4r
from google.protobuf.message import DecodeError

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entries, Entry, EntryKey
from controller.dataplane.plans import Stages, diff
from controller.southbound.codec import Codec
from controller.southbound.encoding import REPLICATION_ENTRY, TABLE_ENTRY
from controller.southbound.errors import DistrustError
from controller.southbound.options import Foreign
from controller.southbound.wire import CodecError, tag, varint_at

ADOPTABLE: Final = frozenset({p.MY_STATION, p.HOME_AGENTS, p.SIGNALLING, p.ROUTES, p.NEXT_HOPS})
"""Tables in which foreign entries may stay. In the others an entry means that somebody is registered, and that is ours to say:
what is left behind there would send packets to an address that nobody has."""

_ENTITIES: Final = tag(1)[0]
_ENTRANCES: Final = (p.HOME_ADDRESSES, p.MOBILE_NETWORKS)


def entities(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each table entry and each entry of the packet replication engine of a serialised `p4.v1.ReadResponse`.

    Other entities are skipped. Each comes with its tag, `TABLE_ENTRY` or `REPLICATION_ENTRY`, as a number.

    Raises:
        CodecError: the bytes are no ReadResponse.
    """
    position, end = 0, len(data)
    wanted = (TABLE_ENTRY[0], REPLICATION_ENTRY[0])
    try:
        while position < end:
            if data[position] != _ENTITIES:
                raise CodecError(f"a read's answer has an unknown field at octet {position}")
            size, position = varint_at(data, position + 1)
            stop = position + size
            if stop > end:
                raise CodecError(f"a read's answer ends in the middle of an entity of {size} octets")
            if data[position] in wanted:
                length, start = varint_at(data, position + 1)
                if start + length != stop:
                    raise CodecError("an entity has more in it than one entry")
                yield data[position], data[start:stop]
            position = stop
    except IndexError:
        raise CodecError("a read's answer ends too early") from None


@dataclass(frozen=True, slots=True)
class Drift:
    """By what a switch's tables differ from what is desired."""

    missing: tuple[Entry, ...] = ()
    """Desired, but not there."""
    different: tuple[tuple[Entry, Entry], ...] = ()
    """There with another action, parameter or rate: as it is, and as it should be."""
    foreign: tuple[Entry, ...] = ()
    """There, but nobody's."""
    adopted: tuple[Entry, ...] = ()
    """Foreign entries that the configured rule lets stay: no drift."""
    entries: int = 0
    """How many entries the switch has in all."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.different or self.foreign)

    def __len__(self) -> int:
        return len(self.missing) + len(self.different) + len(self.foreign)

    def keys(self) -> set[EntryKey]:
        """Return the keys of everything that differs."""
        wrong = [entry for pair in self.different for entry in pair[:1]]
        return {entry.key for entry in (*self.missing, *wrong, *self.foreign)}

    def without(self, keys: AbstractSet[EntryKey]) -> "Drift":
        """Return the same, with some entries left out."""
        return Drift(
            tuple(entry for entry in self.missing if entry.key not in keys),
            tuple(pair for pair in self.different if pair[0].key not in keys),
            tuple(entry for entry in self.foreign if entry.key not in keys),
            self.adopted,
            self.entries,
        )

    def describe(self) -> str:
        """Return a short line for a log."""
        text = f"{len(self.missing)} missing, {len(self.different)} different, {len(self.foreign)} foreign"
        first = next(iter((*self.missing, *(pair[0] for pair in self.different), *self.foreign)), None)
        return text if first is None else f"{text}; the first: {first.table} {first.match} {first.action}"


@dataclass(slots=True)
class Readback:
    """Takes what a switch sends and finds what differs.

    Args:
        switch: its name, for messages.
        codec: of the program.
        desired: what it should hold.
    """

    switch: str
    codec: Codec
    desired: Entries
    count: int = 0
    """Entries read so far."""
    _expected: dict[bytes, Entry] = field(default_factory=dict)
    _others: dict[EntryKey, Entry] = field(default_factory=dict)

    def expect(self, entries: list[Entry]) -> None:
        """Encode a part of what is desired: in slices, as all of it takes a while. Before the first `take`."""
        encode = self.codec.entry
        expected = self._expected
        for entry in entries:
            expected[encode(entry)] = entry

    def take(self, data: bytes, slice_: int = 500) -> Iterator[None]:
        """Take a serialised `p4.v1.ReadResponse`, and let go of the processor after each slice of entries.

        Raises:
            DistrustError: no switch that runs our program would send this.
        """
        expected = self._expected
        try:
            for tag, raw in entities(data):
                self.count += 1
                if expected.pop(raw, None) is None:
                    self._look_at(tag, raw)
                if self.count % slice_ == 0:
                    yield
        except (CodecError, DecodeError) as error:
            raise DistrustError(f"{self.switch} sends what is not of its program: {error}") from error

    def _look_at(self, tag: int, raw: bytes) -> None:
        if tag == REPLICATION_ENTRY[0]:
            entry = self.codec.decode_group(p4r.PacketReplicationEngineEntry.FromString(raw))
        else:
            message = p4r.TableEntry.FromString(raw)
            if message.is_default_action or message.is_const:
                self.count -= 1
                return
            entry = self.codec.decode(message)
        wanted = self.desired.get(entry.key)
        if entry.key in self._others or (wanted == entry and self._expected.pop(self.codec.entry(entry), None) is None):
            raise DistrustError(f"{self.switch} has the entry {entry.table} {entry.match} twice")
        if wanted != entry:
            self._others[entry.key] = entry

    def drift(self, rule: Foreign) -> Drift:
        """Return what differs. After the last `take`.

        Args:
            rule: what becomes of foreign entries.
        """
        others = dict(self._others)
        left = self._expected.values()
        different = tuple((others.pop(entry.key), entry) for entry in left if entry.key in others)
        missing = tuple(entry for entry in left if entry.key not in self._others)
        adopts = rule is Foreign.ADOPT
        adopted = tuple(entry for entry in others.values() if adopts and entry.table in ADOPTABLE)
        foreign = tuple(entry for entry in others.values() if not (adopts and entry.table in ADOPTABLE))
        return Drift(missing, different, foreign, adopted, self.count)


def repairs(drift: Drift, desired: Iterable[Entries]) -> Stages:
    """Return the Writes that end a drift, in the order that interrupts nothing that is in use.

    Args:
        drift: what differs.
        desired: everything that is desired, in parts.
    """
    if not drift:
        return ()
    before = {entry.key: entry for entry in (*(pair[0] for pair in drift.different), *drift.foreign)}
    after = {entry.key: entry for entry in (*(pair[1] for pair in drift.different), *drift.missing)}
    # Which steps are needed depends on whether anybody can get in: that may be by an entry that does not differ.
    entrance = _standing_entrance(desired, drift)
    if entrance is not None:
        before[entrance.key] = after[entrance.key] = entrance
    return diff(before, after)


def _standing_entrance(desired: Iterable[Entries], drift: Drift) -> Entry | None:
    wrong = drift.keys()
    everything = (item for part in desired for item in part.items())
    return next((entry for key, entry in everything if key[0] in _ENTRANCES and key not in wrong), None)


def structure(info: object) -> Mapping[str, object]:
    """Return what of a P4Info the controller relies on: two programs with the same may be written to alike."""
    tables = {
        table.preamble.id: (
            table.preamble.alias,
            tuple((field.id, field.name, field.bitwidth, field.match_type) for field in table.match_fields),
            tuple(sorted(ref.id for ref in table.action_refs)),
            table.implementation_id,
        )
        for table in info.tables  # type: ignore[attr-defined]  # finsy's messages have no types
    }
    actions = {
        action.preamble.id: (
            action.preamble.alias,
            tuple((param.id, param.name, param.bitwidth) for param in action.params),
        )
        for action in info.actions  # type: ignore[attr-defined]
    }
    headers = {
        header.preamble.id: tuple((one.id, one.name, one.bitwidth) for one in header.metadata)
        for header in info.controller_packet_metadata  # type: ignore[attr-defined]
    }
    return {"tables": tables, "actions": actions, "headers": headers}
