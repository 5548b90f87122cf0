"""Carrying changes out: store, switches, acknowledgement, and undoing what a switch refused.

Changes that wait together travel together: one commit of the store, and at the same time one Write for each step of their merged
plans. The next batch begins when both are over: what came meanwhile is in it, so the slower switch or disk is, the more do share
a Write and a commit, and the less each of them costs. A change is done when the store has written it and every anchor in service
has confirmed it; only then does its owner hear of it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from controller.dataplane.desired import CapacityError, DesiredState
from controller.dataplane.plans import STEPS, Plan, Stage, Step, joined, merge
from controller.mobility.address import Address, format_address
from controller.service.anchors import Outcome
from controller.store import Change, StoreError

LOG: Final = logging.getLogger(__name__)


MAX_WAITING: Final = 10_000
"""Changes that may wait for store and switches: more get status 130 at once."""
MAX_DELAY: Final = 5.0
"""Seconds that the first of them may have waited: a node that is answered later has asked again meanwhile."""
MAX_REFUSALS: Final = 3
"""Changes in a row that the store may refuse one by one before all others of their batch count as refused too."""
CLEARED: Final = 4
"""Batches whose grace period ends at a time. A thousand changes a second leave a thousand entries to delete: all at once, they would
stop everything else for as long."""
MAX_OVERDUE: Final = 1.0
"""Seconds for which the end of a grace period may wait for a quiet moment, or for a batch of several changes."""
QUIET: Final = 0.002
"""Seconds after a batch before a moment is quiet: until then its acknowledgements are on their way through the switch."""


class Writer(Protocol):
    """The anchors in service, as one."""

    async def write(self, stage: Stage) -> Outcome:
        """Write one stage to every anchor in service; return what was refused, each with the switch's reason.

        An anchor that goes out of service meanwhile refuses nothing: before it is in service again it is read back and brought
        to what is desired, this stage included.
        """

    def shortfall(self) -> str | None:
        """Return why too few anchors are in service for a registration; None: there are enough."""

    def resync(self, reason: str) -> None:
        """Read every anchor back and bring it to what is desired: a write that must not fail did."""


class Job(Protocol):
    """A change of one node on its way."""

    @property
    def home_address(self) -> Address:
        """Whose change it is. Two changes of one node never travel in one batch."""

    @property
    def refusable(self) -> bool:
        """Whether it asks for something new: it may be refused where there is no room or no quorum. What ends may not."""

    def plan(self, desired: DesiredState) -> Plan:
        """Enter the change into the desired state.

        Raises:
            ValueError: it cannot be carried out; nothing changed.
        """

    def stored(self, desired: DesiredState) -> Change | None:
        """Return what the store has to write; None: the store knows already.

        Called right after `plan`, when the numbers of the new state are known, and before anything else happens.
        """

    def restored(self, desired: DesiredState) -> Change | None:
        """Return what takes back what `stored` gave.

        Called when the desired state is again as it was before `plan`.
        """

    def done(self) -> None:
        """It is stored and in force."""

    def failed(self, reason: str, full: frozenset[int] = frozenset(), /) -> None:
        """It was undone. The reason is for an operator; without the BIDs in `full` it might do."""


Faults = Mapping[Address, str]
"""Whose change could not be stored, and why."""

StoreWriter = Callable[[Sequence[Change]], Awaitable[None]]
"""Makes changes durable, all or none of them; raises StoreError."""


@dataclass(slots=True, eq=False)
class _Flight:
    """A job in the batch that is under way."""

    job: Job
    plan: Plan
    stored: Change | None
    refusal: str | None = None
    full: frozenset[int] = frozenset()
    """The BIDs whose updates a switch refused, and no others."""
    reached: Step = Step.MAKE


class Committer:
    """Takes changes and carries them out, batch by batch, in the order they came.

    Args:
        desired: what the anchors should hold.
        writer: the anchors.
        store: makes changes durable.
        grace_period: seconds for which replaced decapsulation entries stay.
        batch_limit: most changes in one batch.
        batch_window: seconds to wait for as many changes as travelled together last before a batch leaves: after a lone one, none.
    """

    def __init__(
        self,
        desired: DesiredState,
        writer: Writer,
        store: StoreWriter,
        *,
        grace_period: float,
        batch_limit: int,
        batch_window: float = 0.0,
    ) -> None:
        self._desired = desired
        self._writer = writer
        self._store = store
        self._grace_period = grace_period
        self._batch_limit = batch_limit
        self._batch_window = batch_window
        self._travelled = 0
        """Changes in the last batch."""
        self._enough = asyncio.Event()
        self.at_work = False
        """Somebody waits for what is being carried out."""
        self._quiet_from = 0.0
        self._waiting: deque[tuple[float, Job]] = deque()
        self.refused = 0
        """Changes that were refused because store or switches do not keep up."""
        self._wake = asyncio.Event()
        self._breaks: deque[tuple[float, Plan]] = deque()
        # What the store should have forgotten with a change that was undone, and could not.
        self._owed: dict[Address, Change] = {}
        self._stopping = False

    def __len__(self) -> int:
        return len(self._waiting)

    def submit(self, job: Job) -> None:
        """Queue a change; one that may be refused is, at once, while others wait for too long already."""
        now = asyncio.get_running_loop().time()
        if job.refusable and (why := self._overload(now)) is not None:
            self.refused += 1
            job.failed(why)
            return
        self._waiting.append((now, job))
        self._wake.set()
        if len(self._waiting) >= self._travelled:
            self._enough.set()

    def _overload(self, now: float) -> str | None:
        if len(self._waiting) >= MAX_WAITING:
            return f"{len(self._waiting)} changes wait for store and switches"
        waited = now - self._waiting[0][0] if self._waiting else 0.0
        return f"changes have waited for {waited:.1f} s for store and switches" if waited > MAX_DELAY else None

    async def run(self) -> None:
        """Carry changes out until `stop`."""
        while not self._stopping:
            await self._wake.wait()
            if self._batch_window and self._travelled > 1:
                await self._wait_for_company()
            await self._work()

    async def _wait_for_company(self) -> None:
        """Wait until as many changes have come as travelled together last, but no longer than the window."""
        if len(self._waiting) >= self._travelled:
            return
        self._enough.clear()
        end = asyncio.get_running_loop().call_later(self._batch_window, self._enough.set)
        try:
            await self._enough.wait()
        finally:
            end.cancel()

    def stop(self) -> None:
        """Let `run` end after the batch under way: no half-written change stays behind."""
        self._stopping = True
        self._wake.set()
        self._enough.set()

    async def _work(self) -> None:
        self._wake.clear()
        batch = self._take_batch()
        self._travelled = len(batch)
        loop = asyncio.get_running_loop()
        if batch:
            self.at_work = True
            await self._carry_out(batch)
            self.at_work = False
            self._quiet_from = loop.time() + QUIET
        elif self._is_due() and loop.time() >= self._quiet_from:
            await self._end_grace_periods()
        if self._waiting:
            self._wake.set()
        elif self._is_due():
            loop.call_at(self._quiet_from, self._wake.set)

    def _is_due(self, since: float = 0.0) -> bool:
        """Tell whether a grace period is over, and has been for some seconds."""
        return bool(self._breaks) and self._breaks[0][0] + since <= asyncio.get_running_loop().time()

    def _take_batch(self) -> list[Job]:
        """Take the next jobs, at most one of each node; the others keep their order."""
        batch: list[Job] = []
        later: list[tuple[float, Job]] = []
        nodes: set[Address] = set()
        while self._waiting and len(batch) < self._batch_limit:
            since, job = self._waiting.popleft()
            if job.home_address in nodes:
                later.append((since, job))
            else:
                nodes.add(job.home_address)
                batch.append(job)
        self._waiting.extendleft(reversed(later))
        return batch

    async def _carry_out(self, jobs: Sequence[Job]) -> None:
        """Enter changes, have them stored and written to the switches; bring what went well into force, undo the rest."""
        flights = [flight for job in jobs if (flight := self._enter(job)) is not None]
        if not flights:
            return
        changes = [flight.stored for flight in flights if flight.stored is not None]
        storing = asyncio.ensure_future(self._store_all(changes))
        # What the batch wants again is not deleted, as it was entered before: so both can go in one Write. A lone change goes alone:
        # somebody waits for its acknowledgement, and there is a quiet moment after it.
        ended, deletions = self._take_ended() if len(flights) > 1 or self._is_due(MAX_OVERDUE) else (Plan(), ())
        await self._write(flights, deletions)
        self._desired.finish_break(ended)
        faults = await storing
        for flight in flights:
            flight.refusal = flight.refusal or faults.get(flight.job.home_address)
        good = [flight for flight in flights if flight.refusal is None]
        bad = [flight for flight in flights if flight.refusal is not None]
        for flight in good:
            flight.job.done()  # who waits hears of it before the books are brought up to date
        if good:
            done = merge([flight.plan for flight in good])
            self._desired.confirm(done)
            if done.break_:
                self._begin_grace_period(done)
        if bad:
            await self._undo(bad, faults)

    def _enter(self, job: Job) -> _Flight | None:
        if job.refusable and (why := self._writer.shortfall()) is not None:
            job.failed(why)
            return None
        try:
            plan = job.plan(self._desired)
        except ValueError as error:
            LOG.warning("change of %s refused: %s", format_address(job.home_address), error)
            job.failed(str(error), error.full if isinstance(error, CapacityError) else frozenset())
            return None
        return _Flight(job, plan, job.stored(self._desired))

    async def _store_all(self, changes: Sequence[Change]) -> Faults:
        """Have changes stored, from the next turn of the event loop on; return which could not be, and why.

        In this turn the Write leaves that goes with them, and it takes longer: the store's thread does not take the processor from it.
        """
        await asyncio.sleep(0)
        owed, self._owed = self._owed, {}
        fresh = {change.home_address for change in changes}
        several = [*(change for change in owed.values() if change.home_address not in fresh), *changes]
        why = await self._attempt(several)
        if why is None:
            return {}
        faults = {several[0].home_address: why} if len(several) == 1 else await self._one_by_one(several)
        self._owed |= {home_address: change for home_address, change in owed.items() if home_address in faults}
        return faults

    async def _one_by_one(self, changes: Sequence[Change]) -> Faults:
        """Store each change by itself: one that contradicts what is stored must not take others with it for ever.

        A store that takes none of the first few takes nothing, and is not asked again.
        """
        faults: dict[Address, str] = {}
        why: str | None = None
        for number, change in enumerate(changes):
            if len(faults) < number or number < MAX_REFUSALS:
                why = await self._attempt([change])
            if why is not None:
                faults[change.home_address] = why
        return faults

    async def _attempt(self, changes: Sequence[Change]) -> str | None:
        """Have changes stored; return why that failed, None if it did not."""
        try:
            await self._store(changes)
        except StoreError as error:
            LOG.error("store: %s", error)  # noqa: TRY400 - the text says it all, a traceback adds nothing
            return str(error)
        return None

    async def _write(self, flights: Sequence[_Flight], deletions: Stage) -> None:
        """Write every step of the jobs' plans; a job that a switch refused takes no further part.

        Args:
            flights: the jobs.
            deletions: of what is over; they travel with the first step.
        """
        going = flights
        for step in STEPS:
            stage = (*joined([flight.plan.now[step] for flight in going]), *deletions)
            if not stage:
                continue
            for flight in going:
                flight.reached = step
            outcome = await self._writer.write(stage)
            if outcome.refused or outcome.shortfall is not None:
                for flight in going:
                    self._note_refusal(flight, step, outcome)
                going = [flight for flight in going if flight.refusal is None]
                self._note_left(deletions, outcome)
            deletions = ()

    def _note_refusal(self, flight: _Flight, step: Step, outcome: Outcome) -> None:
        """Note why a job that had a part in a stage goes no further, if it does not."""
        if outcome.shortfall is not None and flight.job.refusable and flight.plan.now[step]:
            flight.refusal = outcome.shortfall
        elif refused := [key for key in outcome.refused if flight.plan.touches((key,))]:
            flight.refusal = outcome.refused[refused[0]]
            flight.full = self._desired.bids_of(flight.job.home_address, refused)

    async def _undo(self, flights: Sequence[_Flight], faults: Faults) -> None:
        for flight in flights:
            blamed = f" for BIDs {sorted(flight.full)}" if flight.full else ""
            LOG.warning("change of %s undone%s: %s", format_address(flight.job.home_address), blamed, flight.refusal)
            reverse = self._desired.rollback(flight.plan, flight.reached)
            for stage in (*reverse.stages, *reverse.break_):
                self._note_left(stage, await self._writer.write(stage), "an undo was refused")
            self._desired.confirm(reverse)
        undone = [flight for flight in flights if flight.stored is not None and flight.job.home_address not in faults]
        back = [change for flight in undone if (change := flight.job.restored(self._desired)) is not None]
        if back:
            left = await self._store_all(back)
            # A row that is left behind would hold a number that is another node's by then.
            self._owed |= {change.home_address: change for change in back if change.home_address in left}
        for flight in flights:
            flight.job.failed(flight.refusal or "", flight.full)

    def _begin_grace_period(self, done: Plan) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._grace_period
        self._breaks.append((due, done.deferred()))
        loop.call_at(due, self._wake.set)

    def _take_ended(self) -> tuple[Plan, Stage]:
        """Take some plans whose grace period is over; return them as one, and what is to be deleted of what they have left behind."""
        plans: list[Plan] = []
        while self._is_due() and len(plans) < CLEARED:
            plans.append(self._breaks.popleft()[1])
        ended = merge(plans)
        return ended, joined(self._desired.take_break(ended))

    async def _end_grace_periods(self) -> None:
        """Delete what the plans whose grace period is over have left behind."""
        ended, deletions = self._take_ended()
        if deletions:
            self._note_left(deletions, await self._writer.write(deletions))
        self._desired.finish_break(ended)

    def _note_left(self, stage: Stage, outcome: Outcome, fault: str = "a deletion was refused") -> None:
        """Have the tables compared if a switch refused what has to succeed."""
        refused = [key for update in stage if (key := update.entry.key) in outcome.refused]
        if refused:
            LOG.error("%s: %s", fault, outcome.refused[refused[0]])
            self._writer.resync(fault)
