"""Idle timeouts of table entries (P4Runtime specification, sections "Idle-timeout" and "Table Idle Timeout Notification")."""

import heapq
import itertools
import time
from collections.abc import Callable

from finsy.proto import p4r

from testbed.softswitch.schema import TableSchema
from testbed.softswitch.tables import Entry
from testbed.softswitch.values import encode_key

SHORTEST = 0.01
"""Seconds: a shorter timeout is notified as if it were this long."""
_SPARE = 1024


class Ageing:
    """Watches the entries that have a timeout.

    Args:
        clock: seconds; what `Entry.last_hit` goes by.
        send: takes notifications for the primary.
    """

    def __init__(self, clock: Callable[[], float], send: Callable[[p4r.StreamMessageResponse], None]) -> None:
        self._clock = clock
        self._send = send
        self._heap: list[tuple[float, int, TableSchema, Entry]] = []
        self._numbers = itertools.count(1)
        self._watched = 0

    def watch(self, table: TableSchema, entry: Entry, timeout_ns: int) -> None:
        """Give an entry a timeout; 0: none any more."""
        if timeout_ns == entry.timeout_ns:
            return
        self._watched += bool(timeout_ns) - bool(entry.timeout_ns)
        entry.timeout_ns = timeout_ns
        entry.timer = next(self._numbers)
        if timeout_ns:
            self._push(max(entry.last_hit, self._clock()) + timeout_ns / 1e9, table, entry)
        if len(self._heap) > 2 * self._watched + _SPARE:
            self._heap = [item for item in self._heap if item[1] == item[3].timer]
            heapq.heapify(self._heap)

    def _push(self, when: float, table: TableSchema, entry: Entry) -> None:
        heapq.heappush(self._heap, (when, entry.timer, table, entry))

    def tick(self) -> None:
        """Notify of every entry whose time is over; it is notified again after the same time."""
        now = self._clock()
        idle: dict[int, list[tuple[TableSchema, Entry]]] = {}
        while self._heap and self._heap[0][0] <= now:
            _, timer, table, entry = heapq.heappop(self._heap)
            if timer != entry.timer:
                continue
            timeout = max(entry.timeout_ns / 1e9, SHORTEST)
            due = entry.last_hit + timeout
            if due <= now:
                idle.setdefault(table.id, []).append((table, entry))
                due = now + timeout
            self._push(due, table, entry)
        for found in idle.values():
            self._send(_notification(found))


def _notification(found: list[tuple[TableSchema, Entry]]) -> p4r.StreamMessageResponse:
    message = p4r.StreamMessageResponse()
    message.idle_timeout_notification.timestamp = time.time_ns()
    for table, entry in found:
        item = message.idle_timeout_notification.table_entry.add()
        item.table_id, item.priority, item.metadata = table.id, entry.priority, entry.metadata
        item.idle_timeout_ns, item.controller_metadata = entry.timeout_ns, entry.cookie
        encode_key(item.match, table.fields, entry.match)
    return message
