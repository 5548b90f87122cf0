"""Tokens are made and revoked in a file, by `mcoa token`: what becomes of them goes into the audit log.

What was in the file at the last look is in the store, so that a start notices what happened while no controller ran. Neither there nor in
the log is anything that a token could be made of.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

from controller.northbound import Role, TokenFile
from controller.northbound.errors import UnavailableError
from controller.northbound.tokens import Token
from controller.northbound.views import Change
from controller.service.keeper import Keeper
from controller.store import Document, Store, StoreError

LOG: Final = logging.getLogger(__name__)

KIND: Final = "tokens"
"""Of the document in the store; there is one at most, with an empty key."""
PERIOD: Final = 1.0
"""Seconds between two looks."""
_PATIENCE: Final = 60.0
"""The same while the store cannot be written: each look would add to the log."""

Shown: TypeAlias = dict[str, str | None]
"""What the audit log has of a token."""


class TokenWatch:
    """Compares the token file with what it was.

    Args:
        tokens: the file.
        record: writes a change to the audit log.
        store: remembers what was seen.
        keep: runs a call of the store in its thread.
    """

    def __init__(
        self, tokens: TokenFile, record: Callable[[Change], Awaitable[None]], store: Store, keep: Keeper
    ) -> None:
        self._tokens: Final = tokens
        self._record: Final = record
        self._store: Final = store
        self._keep: Final = keep
        self._seen: dict[str, Shown] = {}
        """By the ids of the tokens."""
        self._last: Mapping[str, Token] | None = None
        self._error: str | None = None

    def restore(self, documents: Sequence[Document]) -> None:
        """Take over what an earlier controller saw.

        Raises:
            StoreError: the document is not one that this program writes.
        """
        for document in documents:
            if document.kind == KIND:
                try:
                    self._seen = {number: dict(shown) for number, shown in json.loads(document.body).items()}
                except (AttributeError, TypeError, ValueError) as error:
                    raise StoreError(f"the document {KIND} is damaged: {error}") from error

    async def run(self) -> None:
        """Look again and again; a look that has begun is finished, so that what is in the audit log counts as seen."""
        while True:
            looking = asyncio.create_task(self.look(), name="token file")
            try:
                await asyncio.shield(looking)
                pause = PERIOD
            except UnavailableError:  # the audit log has said so
                pause = _PATIENCE
            finally:
                await asyncio.wait([looking])
            await asyncio.sleep(pause)

    async def look(self) -> None:
        """Write down what has changed since the last look.

        Raises:
            UnavailableError: the store cannot be written: what has changed is written down again at the next look.
        """
        current = self._tokens.current()
        if self._tokens.error != self._error:
            self._error = self._tokens.error
            if self._error is not None:
                LOG.warning("%s: the tokens of before stay good", self._error)
        if current is self._last or self._error is not None:
            return
        now = {number: _shown(token) for number, token in current.items()}
        for number in sorted(self._seen.keys() | now.keys()):
            before, after = self._seen.get(number), now.get(number)
            if before != after:
                await self._record(_change(self._tokens.owner(), before, after))
        if now != self._seen:
            await self._keep(lambda: self._store.save_document(Document(KIND, "", json.dumps(now))))
        self._seen, self._last = now, current


def _shown(token: Token) -> Shown:
    return {
        "name": token.name,
        "role": str(token.role),
        "created": _when(token.created),
        "expires": None if token.expires is None else _when(token.expires),
    }


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _change(owner: str, before: Shown | None, after: Shown | None) -> Change:
    name = (after or before or {}).get("name")
    action = "delete" if after is None else "put"
    # Whoever may write the file may make a token of any role.
    return Change(f"{owner} (token file)", Role.ADMIN, action, f"tokens/{name}", before, after)
