"""What the engine has decided, carried on to those who do it."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from controller.mobility.address import Address, format_address
from controller.mobility.events import Revoked
from controller.mobility.home_agent import HomeAgent
from controller.mobility.model import Transaction
from controller.northbound.events import EventFeed
from controller.service.anchors import Anchors
from controller.service.committer import Committer
from controller.service.event_log import EventLog
from controller.service.feed import publish
from controller.service.home_links import HomeLinks
from controller.service.jobs import RefreshJob, TransactionJob
from controller.service.stages import Stopwatch

LOG: Final = logging.getLogger(__name__)

TIDY_INTERVAL: Final = 0.01
"""Seconds after which what has happened is told, and the engine asked when it wants to be called: many packets share one such look."""
TIDY_DELAY: Final = 0.003
"""Seconds that this may wait for a change that is just being carried out."""


class Dispatcher:
    """Carries on what the engine decides, tells it what came of that, and keeps its timer.

    Args:
        engine: the home agent.
        committer: takes its changes to the switches and into the store.
        anchors: send its packets.
        home_links: send those that belong on a home link.
        feed: hears of its events, as the log does.
        stopwatch: takes how long changes last.
        nodes_at: gives the nodes with a binding for a care-of address.
    """

    def __init__(
        self,
        engine: HomeAgent,
        committer: Committer,
        anchors: Anchors,
        home_links: HomeLinks,
        feed: EventFeed,
        stopwatch: Stopwatch,
        *,
        nodes_at: Callable[[Address], Iterable[Address]],
    ) -> None:
        self._loop: Final = asyncio.get_running_loop()
        self._engine: Final = engine
        self._committer: Final = committer
        self._anchors: Final = anchors
        self._home_links: Final = home_links
        self._feed: Final = feed
        self._stopwatch: Final = stopwatch
        self._nodes_at: Final = nodes_at
        self._event_log: Final = EventLog()
        self._arrived: Final[dict[int, float]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._afterwards: asyncio.TimerHandle | None = None
        self._on_commit: Callable[[Transaction], None] = lambda _transaction: None
        self._on_revoked: Callable[[Revoked], None] = lambda _event: None

    def tell(self, on_commit: Callable[[Transaction], None], on_revoked: Callable[[Revoked], None]) -> None:
        """Have changes that are in force, and revocations that are over, told to these from now on."""
        self._on_commit = on_commit
        self._on_revoked = on_revoked

    def close(self) -> None:
        """Tell of what has happened until now, and let the engine's timer go."""
        self._report()
        for handle in (self._afterwards, self._timer):
            if handle is not None:
                handle.cancel()

    def pump(self, arrived: float | None = None) -> None:
        """Carry on what the engine has decided: changes to the committer, packets to a switch, events to the log.

        Args:
            arrived: when the packet came that it decided about; None: it was something else.
        """
        for transaction in self._engine.transactions():
            if arrived is not None:
                self._arrived[transaction.number] = arrived
            self._committer.submit(TransactionJob(transaction, self._done, self._failed))
        for care_of in self._engine.path_mtu_changes():
            for home_address in self._nodes_at(care_of):
                self._committer.submit(RefreshJob(home_address, self._not_refreshed))
        for packet in self._engine.outbox():
            self._anchors.send(packet)
        for link_packet in self._engine.link_outbox():
            self._home_links.send(link_packet)
        if self._afterwards is None:
            # Acknowledgements do not wait for the log.
            self._afterwards = self._loop.call_later(TIDY_INTERVAL, self._look_round)

    def _look_round(self) -> None:
        """Tidy up, now or when the change is in force that is being carried out."""
        if self._committer.at_work:
            self._afterwards = self._loop.call_later(TIDY_DELAY, self._tidy_up)
        else:
            self._tidy_up()

    def _tidy_up(self) -> None:
        """Tell of what has happened, and look when the engine wants to be called next."""
        self._afterwards = None
        self._report()
        self._arm_timer()

    def _report(self) -> None:
        now = self._loop.time()
        for event in self._engine.events():
            self._event_log.write(event, now)
            publish(self._feed, event)
            if isinstance(event, Revoked):
                self._on_revoked(event)

    def _done(self, transaction: Transaction) -> None:
        began = self._loop.time()
        self._engine.commit(transaction.number, began)
        self._on_commit(transaction)
        self.pump()
        now = self._loop.time()
        self._stopwatch.add("acknowledge", now - began)
        arrived = self._arrived.pop(transaction.number, None)
        if arrived is not None:
            self._stopwatch.add("total", now - arrived)

    def _failed(self, transaction: Transaction, _reason: str, full: frozenset[int]) -> None:
        self._arrived.pop(transaction.number, None)
        self._engine.abort(transaction.number, self._loop.time(), full=full)
        self.pump()

    @staticmethod
    def _not_refreshed(home_address: Address, reason: str) -> None:
        LOG.warning("tunnels of %s keep their MTU: %s", format_address(home_address), reason)

    def _arm_timer(self) -> None:
        due = self._engine.next_timer()
        if self._timer is not None:
            if due is not None and not self._timer.cancelled() and self._timer.when() == due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._loop.call_at(due, self._handle_timer)

    def _handle_timer(self) -> None:
        self._timer = None
        self._engine.handle_timer(self._loop.time())
        self.pump()
