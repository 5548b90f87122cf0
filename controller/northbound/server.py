"""Runs the REST northbound in the service's own event loop."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from controller.northbound.problems import MEDIA_TYPE, problem
from controller.northbound.shelf import Answer

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

    from controller.northbound.quick import Coming, Quick

_BACKLOG = 128
CONNECTIONS = 512
"""At a time; a request on one more gets 503."""
HEAD_TIMEOUT = 10.0
"""Seconds in which the head of a request must have arrived as a whole."""
READ_TIMEOUT = 30.0
"""Seconds in which a client must take something of an answer, or of a stream of events, that waits for it."""
_GRACE = 2
"""Seconds that requests under way get when the server stops."""


class ServerError(Exception):
    """The REST server cannot listen. One line: where, why, what to do."""


async def _crowded(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request for which there is no room."""
    detail = f"{CONNECTIONS} connections are open: close some, or come again later"
    await problem(503, detail, scope["path"], headers={"Connection": "close"})(scope, receive, send)


class _Connection(HttpToolsProtocol):
    """A connection that is given up when the head of a request does not come, or its answer is not taken.

    It would take a place that others need, and what the client may see may be less by then.
    """

    _impatience: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None
    _begun = False
    """The head of a request has begun, and is not whole yet."""
    _answered = False
    """A request in what has just come is answered already."""
    _now = False
    """The head of a request is whole at this moment."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base class has it
        super().connection_made(transport)
        assert isinstance(self.config.app, FastAPI)
        self._quick: Quick = self.config.app.state.quick
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        self._moving()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._begun = False
        if len(self.connections) > CONNECTIONS:
            self.app = _crowded
        self._now = True
        super().on_headers_complete()
        self._now = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: "ASGI3Application") -> None:
        found = None
        # Not for a request that had to wait for others: each of them would be answered inside of the one before.
        if self._now and cycle.keep_alive and not self.flow.write_paused and app is not _crowded:
            found = self._quick.answer(cycle.scope)  # type: ignore[arg-type]  # uvicorn's name for the same thing
        if isinstance(found, Answer):
            self._give(cycle, found)
        else:
            super()._start_asgi_task(cycle, app if found is None else partial(self._give_later, cycle, found, app))

    def _give(self, cycle: RequestResponseCycle, answer: Answer) -> None:
        headers = b"".join(b"%b: %b\r\n" % header for header in (*cycle.default_headers, *answer.headers))
        cycle.response_started = cycle.response_complete = self._answered = True
        self.transport.write(b"HTTP/1.1 200 OK\r\n%b\r\n%b" % (headers, answer.body))
        self.on_response_complete()

    async def _give_later(
        self,
        cycle: RequestResponseCycle,
        coming: "Coming",
        app: "ASGI3Application",
        *request: Any,  # noqa: ANN401  what ASGI passes
    ) -> None:
        answer = await coming
        if answer is None or not cycle.keep_alive:
            await app(*request)
        elif not cycle.disconnected:
            self._give(cycle, answer)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._moving()
        self._stuck = self.loop.call_later(READ_TIMEOUT, self.transport.abort)

    def resume_writing(self) -> None:
        self._moving()
        super().resume_writing()

    def _moving(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def data_received(self, data: bytes) -> None:
        self._answered = False
        super().data_received(data)
        if self._is_answering() or (self._answered and not self._begun):
            self._rest()
        elif self._impatience is None:
            self._wait()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        self._impatience = self.loop.call_later(HEAD_TIMEOUT, self._give_up)

    def _rest(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None

    def _give_up(self) -> None:
        self._impatience = None
        if self._is_answering() or self.transport.is_closing() or self.transport.get_protocol() is not self:
            return  # an answer is under way, or it is a web socket by now
        body = problem(408, f"the head of the request did not arrive within {HEAD_TIMEOUT:g} s", "").body
        lines = (
            "HTTP/1.1 408 Request Timeout",
            f"Content-Type: {MEDIA_TYPE}",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        self.transport.write("\r\n".join((*lines, "", "")).encode() + body)
        self.transport.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the service: it alone decides how the process ends."""
        yield


class NorthboundServer:
    """A REST server that listens on one address.

    Args:
        app: what it serves.
        host: a name or an address.
        port: 0 takes any free port; see `port` after `start`.
        tls: certificate chain and private key, in PEM; None: plain HTTP.
        dashboard: it serves the dashboard too, which is live.
    """

    def __init__(
        self, app: FastAPI, host: str, port: int, tls: tuple[Path, Path] | None = None, *, dashboard: bool = False
    ) -> None:
        self._host = host
        self._port = port
        self._scheme = "http" if tls is None else "https"
        config = uvicorn.Config(
            app,
            http=_Connection,
            log_config=None,
            access_log=False,
            # The dashboard wants both; REST neither.
            lifespan="on" if dashboard else "off",
            ws="auto" if dashboard else "none",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=_GRACE,
            ssl_certfile=None if tls is None else tls[0],
            ssl_keyfile=None if tls is None else tls[1],
        )
        try:
            config.load()
        except (OSError, ssl.SSLError) as error:
            files = " and ".join(map(str, tls or ()))
            raise ServerError(f"REST server: {files} cannot be used for TLS: {error.strerror or error}") from error
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{self._scheme}://{host}:{self._port}"

    async def start(self) -> None:
        """Listen and serve, until `stop`.

        Raises:
            ServerError: the address cannot be listened on.
        """
        listener = await self._listen()
        self._port = listener.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="northbound")
        up = asyncio.create_task(self._server.up.wait())
        await asyncio.wait((self._task, up), return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if self._task.done():
            listener.close()
            await self._task
            raise ServerError(f"REST server on {self.url}: ended at once")

    async def stop(self) -> None:
        """Stop listening, let requests under way finish for a moment, and close. Calling it again does nothing."""
        if self._task is not None:
            self._server.should_exit = True
            task, self._task = self._task, None
            await task

    async def _listen(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, kind, protocol, _, address = found[0]
            listener = socket.socket(family, kind, protocol)
            try:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(address)
                listener.listen(_BACKLOG)
                listener.setblocking(False)
            except OSError:
                listener.close()
                raise
        except OSError as error:
            hint = "choose another address in northbound.listen, or stop what uses this one"
            raise ServerError(f"REST server on {self.url}: cannot listen: {error.strerror}: {hint}") from error
        return listener
