"""The load generator: mobile nodes that keep as many Binding Updates under way as they are told to, and take little time for it.

It shares a process, and most often a processor, with the switch: what it took would be missing elsewhere. So there is no task, future or
timer for each Binding Update: the acknowledgement that leaves the switch sends the next one.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from bench.bed import WITHIN, BenchError
from testbed.bed import ACCESS_PORT, Bed, Request

_HOME: Final = slice(14 + 40 + 8, 14 + 40 + 24)
"""The home address in a frame: in the type 2 routing header of an acknowledgement, in the Home Address option of an update."""
_MESSAGE_AT: Final = 14 + 40 + 24
"""Where the Mobility Header begins."""
_TYPE_AT: Final = _MESSAGE_AT + 2
_ACKNOWLEDGEMENT: Final = 6
_CHECKSUM: Final = slice(_MESSAGE_AT + 4, _MESSAGE_AT + 6)
_SEQUENCE: Final = slice(_MESSAGE_AT + 6, _MESSAGE_AT + 8)
"""Of an update."""
_FLAGS: Final = slice(_MESSAGE_AT + 8, _MESSAGE_AT + 10)
_STATUS_AT: Final = _MESSAGE_AT + 6
_ECHOED: Final = slice(_MESSAGE_AT + 8, _MESSAGE_AT + 10)
"""The sequence number of an acknowledgement."""
_OVERWRITE: Final = 0x0040
_LOOK: Final = 1.0
"""Seconds between two looks for updates that nobody answers."""


class Update(NamedTuple):
    """A Binding Update to send."""

    home_address: bytes
    sequence: bytes
    """Two octets: what the acknowledgement must repeat."""
    frame: bytes


def as_sent(requests: Iterable[Request]) -> Iterator[Update]:
    """Yield the Binding Updates of requests."""
    for request in requests:
        yield Update(request.home_address, request.sequence.to_bytes(2), request.frame)


async def register(bed: Bed, updates: Iterator[Update], window: int) -> list[float]:
    """Send all of these, each as soon as there is room for it, and return how many seconds each took, by the order of answers.

    Args:
        bed: where; nobody else may watch it meanwhile.
        updates: in the order of sending. Two of one node must not be under way at the same time.
        window: so many are under way, as long as there are more.

    Raises:
        BenchError: one was not accepted, or not answered within `WITHIN` seconds.
    """
    load = _Load(bed, updates)
    before, bed.watch = bed.watch, load.watch
    try:
        for _ in range(window):
            load.send()
        return await load.finished()
    finally:
        bed.watch = before


class _Load:
    """What is under way, and what came of it."""

    def __init__(self, bed: Bed, updates: Iterator[Update]) -> None:
        self._bed = bed
        self._updates = updates
        self._under_way: dict[bytes, tuple[bytes, float]] = {}
        """By home address: sequence number, and when it was sent."""
        self._took: list[float] = []
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def send(self) -> None:
        """Send the next, if there is one."""
        update = next(self._updates, None)
        if update is not None:
            self._under_way[update.home_address] = update.sequence, time.perf_counter()
            self._bed.send(ACCESS_PORT, update.frame)
        elif not self._under_way and not self._end.done():
            self._end.set_result(None)

    def watch(self, frame: bytes) -> None:
        """Take a frame that left the switch."""
        asked = self._under_way.get(frame[_HOME])
        if asked is None or frame[_TYPE_AT] != _ACKNOWLEDGEMENT:
            return
        sequence, began = asked
        if frame[_STATUS_AT] or frame[_ECHOED] != sequence:
            if not self._end.done():
                told = f"status {frame[_STATUS_AT]} and sequence number {frame[_ECHOED].hex()}"
                self._end.set_exception(BenchError(f"the Binding Update {sequence.hex()} was answered with {told}"))
            return
        self._took.append(time.perf_counter() - began)
        del self._under_way[frame[_HOME]]
        self.send()

    async def finished(self) -> list[float]:
        """Wait until everything is answered."""
        while not (await asyncio.wait([self._end], timeout=_LOOK))[0]:
            oldest = min(began for _, began in self._under_way.values())
            if time.perf_counter() - oldest > WITHIN:
                raise BenchError(f"no acknowledgement within {WITHIN:g} s")
        self._end.result()
        return self._took


class Mover:
    """Makes Binding Updates of a node out of its first one, in which BID 2 is elsewhere each time.

    To encode each would take longer than the controller needs for it. So only what differs is put in: sequence number, the last but
    one group of the care-of address of BID 2, and the checksum (RFC 1624); the O flag is of the first alone (RFC 5648 section 5.9).
    """

    def __init__(self, request: Request) -> None:
        frame = bytearray(request.frame)
        at = frame.index(request.record.bindings[1].care_of, _MESSAGE_AT) + 12
        flags = int.from_bytes(frame[_FLAGS])
        total = ~int.from_bytes(frame[_CHECKSUM]) & 0xFFFF
        for place, value in ((_SEQUENCE, 0), (_FLAGS, flags & ~_OVERWRITE), (slice(at, at + 2), 0)):
            total += (~int.from_bytes(frame[place]) & 0xFFFF) + value
            frame[place] = value.to_bytes(2)
        self._total = total
        self._home_address = request.home_address
        self._parts = tuple(map(bytes, (frame[: _CHECKSUM.start], frame[_FLAGS.start : at], frame[at + 2 :])))

    def move(self, number: int) -> Update:
        """Return the update with this sequence number, 0 to 65535, which makes the care-of address too."""
        head, middle, tail = self._parts
        total = self._total + number + number
        while total > 0xFFFF:
            total = (total & 0xFFFF) + (total >> 16)
        octets = number.to_bytes(2)
        frame = b"".join((head, (~total & 0xFFFF).to_bytes(2), octets, middle, octets, tail))
        return Update(self._home_address, octets, frame)
