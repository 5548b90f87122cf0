"""How long registrations spend in each stage, as histograms for Prometheus."""

from bisect import bisect_left
from time import perf_counter
from typing import Final

from controller.dataplane.plans import Stage
from controller.northbound.views import Stages
from controller.service.anchors import Outcome
from controller.service.committer import Writer

BOUNDS: Final = (
    *(0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005),
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
"""Seconds: from a decoded packet to a slow disk."""
NAMES: Final = ("decode", "decide", "store", "program", "acknowledge", "total")
"""Decode: from octets to a message. Decide: the engine's rules. Store and program: a batch's transaction and Writes, which go side
by side. Acknowledge: bringing the record in force and sending the answer. Total: from the packet's arrival to its acknowledgement.
"""


class Stopwatch:
    """Counts durations in buckets; one count costs less than a microsecond."""

    def __init__(self) -> None:
        self._counts: Final = {name: [0] * (len(BOUNDS) + 1) for name in NAMES}
        self._sums: Final = dict.fromkeys(NAMES, 0.0)

    def add(self, stage: str, seconds: float) -> None:
        """Count one duration."""
        self._counts[stage][bisect_left(BOUNDS, seconds)] += 1
        self._sums[stage] += seconds

    def view(self) -> Stages:
        """Return what was counted."""
        return Stages(BOUNDS, {name: tuple(counts) for name, counts in self._counts.items()}, dict(self._sums))


class TimedWriter:
    """Writes to the anchors, and counts how long each Write took.

    Args:
        writer: the anchors.
        stopwatch: where to count.
    """

    def __init__(self, writer: Writer, stopwatch: Stopwatch) -> None:
        self._writer: Final = writer
        self._stopwatch: Final = stopwatch

    async def write(self, stage: Stage) -> Outcome:
        """Write one stage (see `committer.Writer`)."""
        began = perf_counter()
        refused = await self._writer.write(stage)
        self._stopwatch.add("program", perf_counter() - began)
        return refused

    def shortfall(self) -> str | None:
        """Return why too few anchors are in service (see `committer.Writer`)."""
        return self._writer.shortfall()

    def resync(self, reason: str) -> None:
        """Have the anchors read back (see `committer.Writer`)."""
        self._writer.resync(reason)
