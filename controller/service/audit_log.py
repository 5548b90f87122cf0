"""The audit log: who changed what, in the store."""

import json
import logging
import time
from collections.abc import Sequence
from typing import Final

from controller.northbound.errors import UnavailableError
from controller.northbound.views import Change
from controller.service.keeper import Keeper
from controller.store import AuditEntry, Store

LOG: Final = logging.getLogger(__name__)


class AuditLog:
    """Writes and reads the log.

    Args:
        store: has it.
        keep: runs a call of the store in its thread.
    """

    def __init__(self, store: Store, keep: Keeper) -> None:
        self._store: Final = store
        self._keep: Final = keep
        self.failure: str | None = None
        """Why the last change could not be written; None: it could."""

    async def record(self, change: Change) -> None:
        """Write a change that has been made; a failure is remembered, not raised."""
        entry = AuditEntry(
            round(time.time(), 3),
            change.actor,
            change.role,
            change.action,
            change.resource,
            None if change.before is None else json.dumps(change.before),
            None if change.after is None else json.dumps(change.after),
        )
        LOG.info("%s (%s): %s %s", change.actor, change.role, change.action, change.resource)
        try:
            await self._keep(lambda: self._store.append_audit(entry))
            self.failure = None
        except UnavailableError as error:
            self.failure = f"the audit log cannot be written: {error}"
            LOG.error("%s", self.failure)  # noqa: TRY400  the text says it all

    async def changes(self, limit: int, before: int | None = None) -> Sequence[Change]:
        """Return changes, newest first, of numbers below `before`.

        Raises:
            UnavailableError: it cannot be read.
        """
        entries = await self._keep(lambda: self._store.audit(limit, before))
        return [
            Change(
                entry.actor,
                entry.role,
                entry.action,
                entry.resource,
                None if entry.before is None else json.loads(entry.before),
                None if entry.after is None else json.loads(entry.after),
                entry.time,
                entry.number,
            )
            for entry in entries
        ]
