"""The server: methods, addresses, and the end."""

import asyncio
import socket
import ssl
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from testbed.rpc.connection import Connection

_BACKLOG: Final = 128
_LEAVE: Final = 0.5
"""Seconds that a client gets to take what was sent last."""


class _Asked(NamedTuple):
    """What a generic handler of grpc is asked with."""

    method: str
    invocation_metadata: tuple[()] = ()


class Server:
    """Serves what generated code adds to it, as `grpc.aio.server` does."""

    def __init__(self) -> None:
        self._handlers: list[Any] = []
        self._methods: dict[str, Any] = {}
        self._listeners: list[asyncio.Server] = []
        self._connections: set[Connection] = set()

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        """Serve these too; generated code calls it."""
        self._handlers.extend(handlers)

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Serve these too; newer generated code calls it."""
        self._methods.update((f"/{service}/{name}", handler) for name, handler in handlers.items())

    def _find(self, path: str) -> Any:  # noqa: ANN401  grpc's handlers have no types
        found = self._methods.get(path)
        if found is None:
            asked = _Asked(path)
            found = next(filter(None, (handler.service(asked) for handler in self._handlers)), None)
            if found is not None:
                self._methods[path] = found
        return found

    async def listen(self, address: str, tls: ssl.SSLContext | None = None) -> int:
        """Take connections from now on.

        Args:
            address: HOST:PORT; an IPv6 address in brackets; port 0 takes one that is free.
            tls: context of a server with TLS.

        Returns:
            The port.

        Raises:
            OSError: the address is in use or not usable.
            ValueError: it is no address.
        """
        host, colon, port = address.rpartition(":")
        if not colon:
            raise ValueError(f"{address!r} names no port")
        host = host.removeprefix("[").removesuffix("]")
        if tls is not None:
            tls.set_alpn_protocols(["h2"])
        loop = asyncio.get_running_loop()
        family, _, _, _, found = (
            await loop.getaddrinfo(host or "::", int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        )[0]
        # The address of all interfaces is IPv4's as well, as with grpcio.
        both = family == socket.AF_INET6 and found[0] == "::" and socket.has_dualstack_ipv6()
        sock = socket.create_server(found[:2], family=family, backlog=_BACKLOG, dualstack_ipv6=both)
        try:
            listener = await loop.create_server(
                lambda: Connection(self._find, self._connections), sock=sock, ssl=tls, backlog=_BACKLOG
            )
        except BaseException:
            sock.close()
            raise
        self._listeners.append(listener)
        return int(sock.getsockname()[1])

    async def stop(self, grace: float) -> None:
        """Take no more calls, let those under way finish for so many seconds, and close everything."""
        for listener in self._listeners:
            listener.close()
        for connection in self._connections:
            connection.go_away()
        tasks = [task for connection in self._connections for task in connection.tasks]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        connections = list(self._connections)
        for connection in connections:
            connection.close()
        if connections:
            await asyncio.wait([connection.lost for connection in connections], timeout=_LEAVE)
        for connection in list(self._connections):
            connection.abort()
        for listener in self._listeners:
            await listener.wait_closed()
