"""Answers that are given again: who reads now and then sees what is, who reads all the time sees what was a moment ago.

Registrations share the event loop with readers, and to look and make JSON of it costs ten times as much as to send it.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

RATE: Final = 10.0
"""Answers a second that are made anew, when many are wanted."""
BURST: Final = 30.0
"""So many may be made anew at once."""
MAX_AGE: Final = 1.0
"""Seconds for which an answer is given again."""
_MAX_SIZE: Final = 256 * 1024
_MAX_KEPT: Final = 64

_Key: TypeAlias = tuple[str, bytes, object]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked for, whole: the status is 200."""

    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


class Shelf:
    """Keeps answers, and says when they are given again.

    Args:
        rate: answers a second that are made anew when many are wanted.
        burst: so many may be made anew at once.
        clock: seconds of a clock that does not run backwards.
    """

    def __init__(self, rate: float = RATE, burst: float = BURST, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate: Final = rate
        self._burst: Final = burst
        self._clock: Final = clock
        self._credit = burst
        self._then = clock()
        self._kept: Final[OrderedDict[_Key, tuple[float, Answer]]] = OrderedDict()
        self.changes = 0
        """How often it was emptied."""

    def find(self, scope: Scope) -> Answer | None:
        """Return what a request is answered with again; None: it is to be answered anew."""
        now = self._clock()
        self._credit = min(self._burst, self._credit + (now - self._then) * self._rate)
        self._then = now
        if self._credit >= 1:
            return None
        made, answer = self._kept.get(_key(scope), (0.0, None))
        return answer if now - made <= MAX_AGE else None

    def begin(self) -> float:
        """Take note that an answer is made anew; return when that was."""
        self._credit = max(0.0, self._credit - 1)
        return self._clock()

    def keep(self, scope: Scope, made: float, answer: Answer) -> None:
        """Keep the answer to a request.

        Args:
            scope: the request.
            made: what `begin` returned.
            answer: what it was answered with.
        """
        key = _key(scope)
        self._kept[key] = made, answer
        self._kept.move_to_end(key)
        if len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)

    def empty(self) -> None:
        """Keep nothing of what was until now."""
        self.changes += 1
        self._kept.clear()


def _key(scope: Scope) -> _Key:
    # What one role may see another may not.
    identity = scope.get("state", {}).get("identity")
    return scope["path"], scope["query_string"], None if identity is None else identity.role


class Repeater:
    """ASGI middleware behind the guard. Any request that is no GET empties the shelf: who changes something sees that it is changed.

    Args:
        app: what makes the answers.
        shelf: has those that were made a moment ago.
    """

    def __init__(self, app: ASGIApp, shelf: Shelf) -> None:
        self._app: Final = app
        self._shelf: Final = shelf

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] != "GET":
            await self._change(scope, receive, send)
        elif (answer := self._shelf.find(scope)) is not None:
            await send({"type": "http.response.start", "status": 200, "headers": answer.headers})
            await send({"type": "http.response.body", "body": answer.body})
        else:
            await self._app(scope, receive, self._keeping(scope, send))

    async def _change(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            # Also answers that are being made: they may have looked before the change.
            self._shelf.empty()

    def _keeping(self, scope: Scope, send: Send) -> Send:
        """Return a `send` that keeps a good answer which comes in one piece."""
        began = self._shelf.begin()
        changes = self._shelf.changes
        start: Message | None = None

        async def keep(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message if message["status"] == 200 else None
            elif start is not None:
                body = message.get("body", b"")
                if not message.get("more_body", False) and len(body) <= _MAX_SIZE and changes == self._shelf.changes:
                    self._shelf.keep(scope, began, Answer(start["headers"], body))
                start = None
            await send(message)

        return keep
