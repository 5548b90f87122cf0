"""Sending all nodes elsewhere (RFC 5142), and remembering it over a restart."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import Final

from controller.mobility.address import Address, format_address, parse_address
from controller.mobility.home_agent import HomeAgent
from controller.northbound.errors import RefusedError
from controller.northbound.views import DrainView
from controller.service.keeper import Keeper
from controller.store import Document, Store, StoreError

KIND: Final = "drain"
"""Of the document in the store; there is one at most, with an empty key."""


class Drains:
    """Begins and ends draining.

    Args:
        engine: does it.
        pump: carries on what the engine has decided.
        store: remembers it.
        keep: runs a call of the store in its thread.
    """

    def __init__(self, engine: HomeAgent, pump: Callable[[], None], store: Store, keep: Keeper) -> None:
        self._engine: Final = engine
        self._pump: Final = pump
        self._store: Final = store
        self._keep: Final = keep
        self._home_agents: tuple[Address, ...] = ()
        self._until: float | None = None
        self.active = False

    def restore(self, documents: Sequence[Document]) -> None:
        """Go on draining when an earlier controller was. Call it when the engine has its records.

        Raises:
            StoreError: the document is not one that this program writes.
        """
        for document in documents:
            if document.kind == KIND:
                try:
                    body = json.loads(document.body)
                    agents = tuple(map(parse_address, body["home_agents"]))
                    self._begin(agents, None if body["until"] is None else max(0.0, body["until"] - time.time()))
                except (KeyError, TypeError, ValueError) as error:
                    raise StoreError(f"the document {KIND} is damaged: {error}") from error

    def view(self) -> DrainView | None:
        """Return how it stands; None: nothing is drained."""
        if not self.active:
            return None
        left = None if self._until is None else max(0.0, self._until - asyncio.get_running_loop().time())
        remaining = sum(1 for record in self._engine.records() if record.bindings)
        return DrainView(self._home_agents, left, remaining)

    async def begin(self, home_agents: Sequence[Address], seconds_left: float | None) -> None:
        """Ask all nodes to go, again those that were asked before.

        Raises:
            RefusedError: more addresses than fit into a message.
            UnavailableError: it could not be made durable; nothing was changed.
        """
        body = {
            "home_agents": list(map(format_address, home_agents)),
            "until": None if seconds_left is None else time.time() + seconds_left,
        }
        await self._keep(lambda: self._store.save_document(Document(KIND, "", json.dumps(body))))
        try:
            self._begin(tuple(home_agents), seconds_left)
        except ValueError as error:
            await self._keep(lambda: self._store.delete_document(KIND, ""))
            raise RefusedError(str(error)) from error

    async def end(self) -> bool:
        """Serve as before; tell whether anything was drained."""
        was, self.active = self.active, False
        if was:
            await self._keep(lambda: self._store.delete_document(KIND, ""))
            self._engine.end_drain()
            self._pump()
        return was

    def _begin(self, home_agents: tuple[Address, ...], seconds_left: float | None) -> None:
        now = asyncio.get_running_loop().time()
        self._engine.drain(home_agents, now, seconds_left)
        self._home_agents, self.active = home_agents, True
        self._until = None if seconds_left is None else now + seconds_left
        self._pump()
