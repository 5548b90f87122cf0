"""Runs the REST northbound in the service's own event loop."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI

_BACKLOG = 128
_CONNECTIONS = 512
"""Requests under way at a time; beyond it the server answers 503 at once."""
_GRACE = 2
"""Seconds that requests under way get when the server stops."""


class ServerError(Exception):
    """The REST server cannot listen. One line: where, why, what to do."""


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
            log_config=None,
            access_log=False,
            # The dashboard wants both; REST neither.
            lifespan="on" if dashboard else "off",
            ws="auto" if dashboard else "none",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS,
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
