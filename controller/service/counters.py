"""The traffic counters of bindings, read from the switches; where there are many, no more often than costs a tenth of the time."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from controller.dataplane import pipeline as p
from controller.dataplane.desired import DesiredState
from controller.dataplane.entries import EntryKey
from controller.dataplane.planner import binding_counters
from controller.mobility.model import NodeRecord
from controller.northbound.control import BindingKey, BindingTraffic, Traffic
from controller.service.anchors import Anchors
from controller.southbound.errors import SouthboundError
from controller.southbound.session import SwitchSession

LOG: Final = logging.getLogger(__name__)

_COUNTED: Final = (p.TUNNELS, p.SOURCE_BINDINGS)
"""Tables whose direct counters count a binding's packets."""
_SHARE: Final = 10.0
"""A reading is good for so many times as long as it took."""
_LONGEST: Final = 5.0
"""Seconds for which a reading is good at most."""
_FEW: Final = 3000
"""Counters that are read anew for whoever asks: that takes a few milliseconds."""

_Counts: TypeAlias = Mapping[EntryKey, tuple[int, int]]


class TrafficCounters:
    """Reads and sums the counters of all switches.

    Args:
        anchors: the switches.
        desired: has the numbers under which they know nodes and paths.
    """

    def __init__(self, anchors: Anchors, desired: DesiredState) -> None:
        self._anchors: Final = anchors
        self._desired: Final = desired
        self._reading: asyncio.Task[list[_Counts]] | None = None
        self._good_until = float("-inf")
        self._few = True

    async def of(self, records: Iterable[NodeRecord]) -> dict[BindingKey, BindingTraffic]:
        """Return the counters of nodes' bindings, summed over the switches that can be read."""
        counted = await self._read()
        found: dict[BindingKey, BindingTraffic] = {}
        for record in records:
            try:
                keys_by_bid = binding_counters(record, self._desired.ids)
            except KeyError:
                continue  # it changed while the counters were read
            for bid, keys in keys_by_bid.items():
                if any(keys.downstream in counters for counters in counted):
                    downstream, upstream = _sum(counted, (keys.downstream,)), _sum(counted, keys.upstream)
                    found[record.home_address, bid] = BindingTraffic(downstream, upstream)
        return found

    async def _read(self) -> list[_Counts]:
        """Return what the switches have counted; of many counters, whoever asks while they are being read gets the same."""
        loop = asyncio.get_running_loop()
        if self._few:
            return await self._read_all()
        if self._reading is None or (self._reading.done() and loop.time() >= self._good_until):
            self._reading = asyncio.create_task(self._read_all(), name="counters")
        # Shielded: a client that goes away must not take the reading from the others.
        return await asyncio.shield(self._reading)

    async def _read_all(self) -> list[_Counts]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        counted = list(await asyncio.gather(*(self._read_switch(session) for session in self._anchors.in_service())))
        self._few = sum(map(len, counted)) < _FEW
        self._good_until = loop.time() + min(_LONGEST, _SHARE * (loop.time() - began))
        return counted

    @staticmethod
    async def _read_switch(session: SwitchSession) -> _Counts:
        counters: dict[EntryKey, tuple[int, int]] = {}
        try:
            for table in _COUNTED:
                counters.update(await session.read_counters(table))
        except SouthboundError as error:
            LOG.warning("counters cannot be read: %s", error)
            return {}
        return counters


def _sum(counted: Sequence[_Counts], keys: Sequence[EntryKey]) -> Traffic:
    counts = [counters[key] for counters in counted for key in keys if key in counters]
    return Traffic(sum(packets for packets, _ in counts), sum(octets for _, octets in counts))
