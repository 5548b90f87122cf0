"""The traffic counters of bindings, read from the switches: those that are asked for, or all when that is less work."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from controller.dataplane import pipeline as p
from controller.dataplane.desired import DesiredState
from controller.dataplane.entries import EntryKey
from controller.dataplane.planner import BindingCounters, binding_counters
from controller.mobility.model import NodeRecord
from controller.northbound.control import BindingKey, BindingTraffic
from controller.northbound.switch_views import Traffic
from controller.service.anchors import Anchors
from controller.service.readings import Readings
from controller.southbound.errors import SouthboundError
from controller.southbound.session import SwitchSession

LOG: Final = logging.getLogger(__name__)

_COUNTED: Final = (p.TUNNELS, p.SOURCE_BINDINGS)
"""Tables whose direct counters count a binding's packets."""
_DEARER: Final = 2
"""To read a counter by its key costs so many times as much as one of all."""
_ALL: Final = "all"

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
        self._readings: Final[Readings[list[_Counts]]] = Readings()

    async def of(self, records: Iterable[NodeRecord]) -> dict[BindingKey, BindingTraffic]:
        """Return the counters of nodes' bindings, summed over the switches that can be read."""
        wanted = self._keys(records)
        keys = tuple(key for one in wanted.values() for key in (one.downstream, *one.upstream))
        if not keys:
            return {}
        if len(keys) * _DEARER < sum(map(self._desired.used, _COUNTED)):
            counted = await self._readings.get(keys, lambda: self._read(keys))
        else:
            counted = await self._readings.get(_ALL, lambda: self._read(None))
        return {
            binding: BindingTraffic(_sum(counted, (one.downstream,)), _sum(counted, one.upstream))
            for binding, one in wanted.items()
            if any(one.downstream in counters for counters in counted)
        }

    def _keys(self, records: Iterable[NodeRecord]) -> dict[BindingKey, BindingCounters]:
        found: dict[BindingKey, BindingCounters] = {}
        for record in records:
            try:
                by_bid = binding_counters(record, self._desired.ids)
            except KeyError:
                continue  # it is being changed
            found |= {(record.home_address, bid): keys for bid, keys in by_bid.items()}
        return found

    async def _read(self, keys: Sequence[EntryKey] | None) -> list[_Counts]:
        sessions = self._anchors.in_service()
        return list(await asyncio.gather(*(self._read_switch(session, keys) for session in sessions)))

    @staticmethod
    async def _read_switch(session: SwitchSession, keys: Sequence[EntryKey] | None) -> _Counts:
        counters: dict[EntryKey, tuple[int, int]] = {}
        try:
            if keys is not None:
                return await session.read_counters_of(keys)
            for table in _COUNTED:
                counters.update(await session.read_counters(table))
        except SouthboundError as error:
            LOG.warning("counters cannot be read: %s", error)
            return {}
        return counters


def _sum(counted: Sequence[_Counts], keys: Sequence[EntryKey]) -> Traffic:
    counts = [counters[key] for counters in counted for key in keys if key in counters]
    return Traffic(sum(packets for packets, _ in counts), sum(octets for _, octets in counts))
