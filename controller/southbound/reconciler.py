"""Bringing one switch to what is desired, and finding out whether it still is. Who is primary is the session's business."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from controller.dataplane.entries import Entries, EntryKey
from controller.dataplane.plans import Stages, diff
from controller.southbound.artefacts import Artefacts
from controller.southbound.calls import Calls
from controller.southbound.errors import DistrustError, WriteFailedError
from controller.southbound.options import SessionOptions
from controller.southbound.readback import Drift, repairs, structure

_LOG: Final = logging.getLogger(__name__)


class Reconciler:
    """Compares and repairs.

    Args:
        options: the switch and the limits.
        artefacts: the program that it must run.
        desired: gives the entries that its tables should hold now.
        in_flight: gives the keys of entries that a change is about to write.
    """

    def __init__(
        self,
        options: SessionOptions,
        artefacts: Artefacts,
        desired: Callable[[], Entries],
        in_flight: Callable[[], Iterable[EntryKey]],
    ) -> None:
        self.last = Drift()
        """What the last comparison found."""
        self.repaired = 0
        """Entries that differed while the switch was thought to be in order, and were put right."""
        self._options = options
        self._artefacts = artefacts
        self._structure = structure(artefacts.info)
        self._desired = desired
        self._in_flight = in_flight
        self._distrusted = False
        # Something was written by a repair or a reconciliation and has not been seen in the tables yet.
        self._unseen = asyncio.Event()
        self._began = 0
        self._total = 0

    def distrust(self) -> None:
        """Believe nothing of the switch that was not read back."""
        self._distrusted = True

    def progress(self, calls: Calls | None) -> tuple[int, int]:
        """Return updates written and to be written by the reconciliation that is under way, or was last."""
        done = self._total if calls is None else min(calls.sent - self._began, self._total)
        return done, self._total

    async def due(self) -> None:
        """Wait until it is time for a comparison."""
        interval = self._options.audit_interval
        try:
            async with asyncio.timeout(interval or None):
                await self._unseen.wait()
        except TimeoutError:
            return

    async def ensure_pipeline(self, calls: Calls) -> bool:
        """Push the program unless the switch runs it; tell whether it was pushed."""
        cookie = self._artefacts.cookie
        there = await calls.pipeline()
        if there is not None and there[0] == cookie:
            if structure(there[1]) == self._structure:
                return False
            self.distrust()
            _LOG.error("%s has the cookie of our program and another P4Info: pushing ours", self._options.name)
        _LOG.info("%s: pushing the pipeline %016x", self._options.name, cookie)
        await calls.push(self._artefacts)
        there = await calls.pipeline()
        if there is None or there[0] != cookie or structure(there[1]) != self._structure:
            raise DistrustError(f"{self._options.name} took our program and says that it runs another one")
        return True

    async def reconcile(self, calls: Calls, *, pushed: bool) -> None:
        """Read back, and write until nothing differs. Nothing is awaited after `desired` was asked for the last time.

        Args:
            calls: to the switch.
            pushed: its program was pushed a moment ago.

        Raises:
            WriteFailedError: the switch refused something; all else was written.
            DistrustError: it was distrusted, and does not hold what it said it would.
        """
        wanted = dict(self._desired())
        if pushed and not await calls.read_entries():
            # Tables are empty after a push (P4Runtime section 7.2): nothing is there to be compared.
            drift = Drift(missing=tuple(wanted.values()))
            stages = diff({}, wanted)
        else:
            drift = (await calls.compare(wanted)).drift(self._options.foreign)
            stages = repairs(drift, wanted)
        self._report(drift)
        await self._write(calls, stages)
        if self._distrusted and drift:
            again = (await calls.compare(wanted)).drift(self._options.foreign)
            if again:
                raise DistrustError(f"{self._options.name} does not hold what it said it would: {again.describe()}")
        elif drift:
            self._unseen.set()
        self._distrusted = False
        while (now := dict(self._desired())) != wanted:
            await self._write(calls, diff(wanted, now))
            wanted = now

    async def compare(self, calls: Calls) -> Drift:
        """Return what differs, but for what a change is about to write or has changed meanwhile."""
        wanted = dict(self._desired())
        moving = set(self._in_flight())
        drift = (await calls.compare(wanted)).drift(self._options.foreign)
        if drift:
            now, wrong = self._desired(), drift.keys()
            moving.update(self._in_flight())
            moving.update(key for key in wrong if now.get(key) != wanted.get(key))
            drift = drift.without(moving)
        return drift

    async def judge(self, calls: Calls, drift: Drift, *, repair: bool) -> None:
        """Take note of a comparison with a switch to which nothing is under way.

        Raises:
            DistrustError: what was written before and confirmed is not there.
            WriteFailedError: the switch refused a repair.
        """
        self._report(drift)
        if self._unseen.is_set() and (drift.missing or drift.different):
            raise DistrustError(f"{self._options.name} does not hold what it said it would: {drift.describe()}")
        self._unseen.clear()
        if drift and repair:
            _LOG.warning("%s has drifted, repairing: %s", self._options.name, drift.describe())
            await self._write(calls, repairs(drift, self._desired()))
            self.repaired += len(drift)
            self._unseen.set()

    def _report(self, drift: Drift) -> None:
        if drift.adopted and drift.adopted != self.last.adopted:
            first = drift.adopted[0]
            text = "%s: %d foreign entries are left alone, the first: %s %s"
            _LOG.warning(text, self._options.name, len(drift.adopted), first.table, first.match)
        self.last = drift

    async def _write(self, calls: Calls, stages: Stages) -> None:
        """Write every stage, also after a refusal: the more of the entries are right the better."""
        self._began, self._total = calls.sent, sum(map(len, stages))
        if stages:
            _LOG.info("%s: reconciling %d entries", self._options.name, self._total)
        refused: WriteFailedError | None = None
        for stage in stages:
            try:
                await calls.write(stage)
            except WriteFailedError as error:
                refused = refused or error
        if refused is not None:
            raise refused
