"""The agent's control socket: one question a connection, one line of JSON as answer."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from testbed.node.sockets import SocketError

_PRIVATE: Final = 0o600
_PATIENCE: Final = 5.0


class ControlSocket:
    """Serves the status of an agent. Use it in an async with statement.

    Args:
        path: of the socket. One that a crashed agent left is replaced.
        status: what to answer.
    """

    def __init__(self, path: Path, status: Callable[[], dict[str, Any]]) -> None:
        self._path: Final = path
        self._status: Final = status
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        if _answers(self._path):
            raise SocketError(f"another agent answers at {self._path}: stop it, or set node.control to another path")
        self._path.unlink(missing_ok=True)
        try:
            self._server = await asyncio.start_unix_server(self._serve, self._path)
        except OSError as error:
            raise SocketError(f"{self._path}: {error.strerror or error}: set node.control to another path") from None
        self._path.chmod(_PRIVATE)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        with contextlib.suppress(ConnectionError):
            writer.write(json.dumps(self._status()).encode() + b"\n")
            await writer.drain()
        writer.close()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def ask_status(path: Path) -> dict[str, Any]:
    """Return the status of the agent behind a control socket.

    Raises:
        SocketError: no agent answers there.
    """
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(_PATIENCE)
        try:
            link.connect(str(path))
            with link.makefile("rb") as stream:
                found: dict[str, Any] = json.loads(stream.read())
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SocketError(f"no agent answers at {path} ({reason}): is `mcoa node --config FILE` running?") from None
        return found
