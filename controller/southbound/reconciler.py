"""Bringing one switch to what is desired, and finding out whether it still is. Who is primary is the session's business."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from controller.dataplane.entries import Entries, Entry, EntryKey, Update
from controller.dataplane.plans import diff, fill
from controller.dataplane.wanted import Wanted
from controller.southbound.artefacts import Artefacts
from controller.southbound.calls import Calls
from controller.southbound.errors import DistrustError, WriteFailedError
from controller.southbound.options import SessionOptions
from controller.southbound.readback import Drift, repairs, structure

_LOG: Final = logging.getLogger(__name__)

_ROUNDS: Final = 5
"""How often what changed during a round is written before the switch takes part in changes, and the rest is caught up with."""


class Reconciler:
    """Compares and repairs.

    Args:
        options: the switch and the limits.
        artefacts: the program that it must run.
        wanted: what its tables should hold.
    """

    def __init__(self, options: SessionOptions, artefacts: Artefacts, wanted: Wanted) -> None:
        self.last = Drift()
        """What the last comparison found."""
        self.repaired = 0
        """Entries that differed while the switch was thought to be in order, and were put right."""
        self._options = options
        self._artefacts = artefacts
        self._structure = structure(artefacts.info)
        self._wanted = wanted
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

    async def reconcile(self, calls: Calls, *, pushed: bool) -> Entries | None:
        """Read back, and write until little differs.

        Args:
            calls: to the switch.
            pushed: its program was pushed a moment ago.

        Returns:
            What the switch holds, for `catch_up`; None: all that is wanted.

        Raises:
            WriteFailedError: the switch refused something; all else was written.
            DistrustError: it was distrusted, and does not hold what it said it would.
        """
        with self._wanted.watch() as changing:
            wanted = await self._gathered()
            if pushed and not await calls.read_entries():
                # Tables are empty after a push (P4Runtime section 7.2): nothing is there to be compared.
                drift = Drift(missing=tuple(wanted.values()))
                stages: Sequence[Sequence[Update]] = fill(wanted)
            else:
                drift = (await calls.compare(wanted)).drift(self._options.foreign)
                stages = repairs(drift, [wanted])
            self._report(drift)
            await self._write(calls, stages)
            if self._distrusted and drift:
                again = (await calls.compare(wanted)).drift(self._options.foreign)
                if again:
                    raise DistrustError(f"{self._options.name} does not hold what it said it would: {again.describe()}")
            elif drift:
                self._unseen.set()
            self._distrusted = False
            if not changing:
                return None
        for _ in range(_ROUNDS):
            with self._wanted.watch() as changing:
                now = await self._gathered()
                stages = diff(wanted, now)
                await self._write(calls, stages)
                wanted = now
                if not changing:
                    return None
                if not stages:
                    break
        return wanted

    async def catch_up(self, calls: Calls, held: Entries) -> None:
        """Write what has changed since the switch was brought to hold `held`. What changes from now on comes by `Calls.write`.

        Raises:
            WriteFailedError: the switch refused something; all else was written.
        """
        await self._write(calls, diff(held, self._wanted.entries()))

    async def compare(self, calls: Calls) -> Drift:
        """Return what differs, but for what changes are about."""
        with self._wanted.watch() as changing:
            wanted = await self._gathered()
            drift = (await calls.compare(wanted)).drift(self._options.foreign)
            return drift.without(changing)

    async def _gathered(self) -> Entries:
        """Gather what is wanted, letting others work in between."""
        found: dict[EntryKey, Entry] = {}
        for part in self._wanted.parts():
            found.update(part)
            await asyncio.sleep(0)
        return found

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
            await self._write(calls, repairs(drift, self._wanted.parts()))
            self.repaired += len(drift)
            self._unseen.set()

    def _report(self, drift: Drift) -> None:
        if drift.adopted and drift.adopted != self.last.adopted:
            first = drift.adopted[0]
            text = "%s: %d foreign entries are left alone, the first: %s %s"
            _LOG.warning(text, self._options.name, len(drift.adopted), first.table, first.match)
        self.last = drift

    async def _write(self, calls: Calls, stages: Sequence[Sequence[Update]]) -> None:
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
