"""Drills: a path is taken away in a controlled way, and given back. What that costs is for the one who drills to measure."""

import asyncio
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from controller.dataplane.desired import DesiredState
from controller.dataplane.plans import Plan
from controller.mobility.address import Address, format_address
from controller.mobility.home_agent import HomeAgent
from controller.mobility.model import Cause, NodeRecord, Transaction
from controller.northbound.errors import ConflictError, NotFoundError, RefusedError
from controller.northbound.events import EventFeed, Kind
from controller.northbound.views import DrillView
from controller.service.committer import Committer


@dataclass(slots=True, eq=False)
class RecordJob:
    """Another record for the switches than the engine has, or that one again. The store hears nothing of it."""

    home_address: Address
    record: NodeRecord | None
    outcome: asyncio.Future[str | None]
    """Set to None when in force, else to why not."""

    @property
    def refusable(self) -> bool:
        """It asks for nothing new."""
        return False

    def plan(self, desired: DesiredState) -> Plan:
        """Enter the record into the desired state."""
        before = desired.record(self.home_address)
        return desired.apply(Transaction(0, self.home_address, before, self.record, Cause.REGISTRATION))

    def stored(self, _desired: DesiredState) -> None:
        """Nothing is left to store."""

    restored = stored

    def done(self) -> None:
        """Report success."""
        if not self.outcome.done():
            self.outcome.set_result(None)

    def failed(self, reason: str, _full: frozenset[int] = frozenset(), /) -> None:
        """Report why it failed."""
        if not self.outcome.done():
            self.outcome.set_result(reason)


class Drills:
    """Carries drills out, at most one of a node at a time.

    Args:
        engine: has the records.
        committer: changes the switches.
        feed: hears of it.
    """

    def __init__(self, engine: HomeAgent, committer: Committer, feed: EventFeed) -> None:
        self._engine: Final = engine
        self._committer: Final = committer
        self._feed: Final = feed
        self._under_way: Final[set[Address]] = set()

    async def run(self, home_address: Address, bid: int, seconds: float) -> DrillView:
        """Take a path away for a while (see `Control.drill`). A registration of the node meanwhile gives it back earlier."""
        who = format_address(home_address)
        record = self._engine.record(home_address)
        if record is None or record.binding(bid) is None:
            raise NotFoundError(f"{who} has no binding with BID {bid}")
        rest = replace(record, bindings=tuple(one for one in record.bindings if one.bid != bid))
        if rest.preferred is None:
            raise ConflictError(f"BID {bid} is the only one of {who}: its traffic would have nowhere to go")
        if home_address in self._under_way:
            raise ConflictError(f"a drill of {who} is under way")
        self._under_way.add(home_address)
        try:
            return await self._carry_out(home_address, rest, bid, seconds)
        finally:
            self._under_way.discard(home_address)

    async def _carry_out(self, home_address: Address, rest: NodeRecord, bid: int, seconds: float) -> DrillView:
        preferred = rest.preferred
        assert preferred is not None
        down_at = time.time()
        failover = await self._tell(home_address, rest)
        self._report(home_address, bid, "down", failover)
        try:
            await asyncio.sleep(seconds)
        finally:
            # Also when the client has gone away meanwhile. The engine may know more by now than when the drill began.
            restored_at = time.time()
            restoring = asyncio.create_task(self._tell(home_address, self._engine.record(home_address)), name="drill")
            restore = await asyncio.shield(restoring)
            self._report(home_address, bid, "restored", restore)
        return DrillView(home_address, bid, preferred.bid, down_at, failover, restored_at, restore)

    async def _tell(self, home_address: Address, record: NodeRecord | None) -> float:
        """Bring a record to the switches; return how many milliseconds that took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        outcome: asyncio.Future[str | None] = loop.create_future()
        self._committer.submit(RecordJob(home_address, record, outcome))
        refusal = await outcome
        if refusal is not None:
            raise RefusedError(f"the drill was undone: {refusal}")
        return round((loop.time() - began) * 1000, 3)

    def _report(self, home_address: Address, bid: int, state: str, milliseconds: float) -> None:
        details = {
            "home_address": format_address(home_address),
            "bid": bid,
            "state": state,
            "milliseconds": milliseconds,
        }
        self._feed.publish(Kind.DRILL, partial(dict, details))
