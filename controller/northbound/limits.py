"""What a request may cost before anything looks into it: size, time, and kind of body."""

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controller.northbound.problems import problem

MAX_BODY: Final = 64 * 1024
"""Octets; a policy takes a few hundred."""
MAX_BULK: Final = 4 * 1024 * 1024
"""Octets of a body with many of them."""
BULK: Final = "/v1/bulk"
"""Path that takes it."""
BODY_TIMEOUT: Final = 10.0
"""Seconds in which a body must have arrived as a whole."""


class BodyLimit:
    """ASGI middleware that reads the body of a request within bounds, and answers 408, 413 or 415 itself.

    Args:
        app: the application that gets the request with its body complete.
        max_body: octets.
        timeout: seconds.
        max_bulk: octets of a bulk upload.
        elsewhere: prefix of paths that have limits of their own; empty: none.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_body: int = MAX_BODY,
        timeout: float = BODY_TIMEOUT,
        max_bulk: int = MAX_BULK,
        elsewhere: str = "",
    ) -> None:
        self._elsewhere = elsewhere
        self._app = app
        self._max_bulk = max_bulk
        self._max_body = max_body
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or (self._elsewhere and scope["path"].startswith(f"{self._elsewhere}/")):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not {"content-length", "transfer-encoding"} & set(headers):
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        limit = self._max_bulk if path == BULK else self._max_body
        try:
            async with asyncio.timeout(self._timeout):
                body = await self._read(headers, receive, limit)
        except TimeoutError:
            detail = f"the body did not arrive within {self._timeout:g} s"
            await problem(408, detail, path, headers={"Connection": "close"})(scope, receive, send)
            return
        if body is None:
            detail = f"the body is longer than {limit} octets"
            await problem(413, detail, path, headers={"Connection": "close"})(scope, receive, send)
            return
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if body and kind != "application/json":
            detail = f"the body is {kind or 'of no declared type'}: send application/json"
            await problem(415, detail, path)(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    @staticmethod
    async def _read(headers: Headers, receive: Receive, limit: int) -> bytes | None:
        """Return the body; None when it is longer than that many octets."""
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > limit:
            return None
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > limit:
                return None
        return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body as one message, then what comes after it."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
