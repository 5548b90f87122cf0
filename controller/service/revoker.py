"""Revocations that an operator asked for: begun in the engine, and waited for."""

import asyncio
from collections.abc import Callable
from typing import Final

from controller.mobility.address import Address
from controller.mobility.events import Revoked
from controller.mobility.home_agent import HomeAgent
from controller.northbound.errors import ConflictError, NotFoundError, UnavailableError

LONGEST: Final = 15.0
"""Seconds for which a client waits: the node has 3 to answer, the rest is for store and switches."""


class Revoker:
    """Begins revocations and tells who waits for them that they are over.

    Args:
        engine: The home agent.
        pump: Carries on what the engine has decided.
    """

    def __init__(self, engine: HomeAgent, pump: Callable[[], None]) -> None:
        self._engine: Final = engine
        self.pump: Final = pump
        self._waiting: Final[dict[Address, list[asyncio.Future[None]]]] = {}

    async def revoke(self, home_address: Address, bid: int | None) -> None:
        """Take one binding back, or all, and wait until switches and store have it.

        Raises:
            NotFoundError: there is no such binding.
            ConflictError: the node registered it anew meanwhile.
            UnavailableError: it takes longer; it goes on.
        """
        loop = asyncio.get_running_loop()
        try:
            wanted = self._engine.revoke(home_address, None if bid is None else (bid,), loop.time())
        except LookupError as error:
            raise NotFoundError(str(error)) from error
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(home_address, []).append(future)
        self.pump()
        try:
            await asyncio.wait_for(future, LONGEST)
        except TimeoutError:
            raise UnavailableError("the revocation is under way and takes longer: look again in a while") from None
        finally:
            waiting = self._waiting.get(home_address, [])
            if future in waiting:
                waiting.remove(future)
            if not waiting:
                self._waiting.pop(home_address, None)
        record = self._engine.record(home_address)
        # When one of several is named, the others that went or stayed with it are somebody else's business.
        named = wanted if bid is None else {bid}
        renewed = [one.bid for one in record.bindings if one.bid in named] if record is not None else []
        if renewed:
            raise ConflictError(f"the node registered BID {', '.join(map(str, renewed))} anew meanwhile")

    def revoke_all(self) -> int:
        """Begin to take all bindings of all nodes back; return of how many nodes."""
        now = asyncio.get_running_loop().time()
        nodes = [record.home_address for record in self._engine.records() if record.bindings]
        for home_address in nodes:
            self._engine.revoke(home_address, None, now)
        self.pump()
        return len(nodes)

    def heard(self, event: Revoked) -> None:
        """Take note that the revocations of a node are over."""
        for future in self._waiting.get(event.home_address, []):
            if not future.done():
                future.set_result(None)
