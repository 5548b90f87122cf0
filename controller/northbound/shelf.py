"""Answers that are given again: who reads now and then sees what is, who reads all the time sees what was a moment ago.

Registrations share the event loop with readers, and to look and make JSON of it costs ten times as much as to send it.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

RATE: Final = 20.0
"""Answers a second that are made anew, when many are wanted."""
BURST: Final = 200.0
"""So many may be made anew at once."""
MAX_AGE: Final = 1.0
"""Seconds for which an answer is given again."""
_MAX_SIZE: Final = 256 * 1024
_MAX_KEPT: Final = 64

_Key: TypeAlias = tuple[str, bytes, object]


@dataclass(frozen=True, slots=True)
class _Answer:
    made: float
    start: Message
    body: Message


class Shelf:
    """ASGI middleware behind the guard. Any request that is no GET empties it: who changes something sees that it is changed.

    Args:
        app: what makes the answers.
        rate: answers a second that are made anew when many are wanted.
        burst: so many may be made anew at once.
        clock: seconds of a clock that does not run backwards.
    """

    def __init__(
        self, app: ASGIApp, rate: float = RATE, burst: float = BURST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._rate: Final = rate
        self._burst: Final = burst
        self._clock: Final = clock
        self._credit = burst
        self._then = clock()
        self._kept: Final[OrderedDict[_Key, _Answer]] = OrderedDict()
        self._changes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] != "GET":
            await self._change(scope, receive, send)
            return
        # What one role may see another may not.
        identity = scope.get("state", {}).get("identity")
        key = (scope["path"], scope["query_string"], None if identity is None else identity.role)
        kept = self._kept.get(key)
        now = self._clock()
        self._credit = min(self._burst, self._credit + (now - self._then) * self._rate)
        self._then = now
        if kept is not None and self._credit < 1 and now - kept.made <= MAX_AGE:
            await send(kept.start)
            await send(kept.body)
            return
        self._credit = max(0.0, self._credit - 1)
        await self._app(scope, receive, self._keeping(key, now, send))

    async def _change(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            # Also answers that are being made: they may have looked before the change.
            self._changes += 1
            self._kept.clear()

    def _keeping(self, key: _Key, now: float, send: Send) -> Send:
        """Return a `send` that keeps a good answer which comes in one piece."""
        changes = self._changes
        start: Message | None = None

        async def keep(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message if message["status"] == 200 else None
            elif start is not None:
                body = message.get("body", b"")
                if not message.get("more_body", False) and len(body) <= _MAX_SIZE and changes == self._changes:
                    self._kept[key] = _Answer(now, start, message)
                    self._kept.move_to_end(key)
                    if len(self._kept) > _MAX_KEPT:
                        self._kept.popitem(last=False)
                start = None
            await send(message)

        return keep
