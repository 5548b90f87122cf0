"""One call: the messages that come, the messages that go, and how it ends."""

import asyncio
import base64
import logging
import re
from collections import deque
from collections.abc import Iterable
from struct import Struct
from typing import Any, Final, NoReturn, Protocol

import grpc

from testbed.rpc.frames import WINDOW, header

_LOG = logging.getLogger(__name__)

MAX_MESSAGE: Final = 256 << 20
"""Octets of the longest message that a client may send."""
RECEIVE_WINDOW: Final = 1 << 20
"""Octets that a client may send on one stream before it is told that there is room for more."""
_MANY: Final = 1024
"""Messages that wait for the servicer; with more, the client is given no more room."""
_AHEAD: Final = 1 << 18
"""Octets that wait for a slow client before `write` waits too."""
_PREFIX: Final = Struct(">BI")
"""Whether a message is compressed, and how long it is."""
_OK_HEADERS: Final = b"\x88" + header(b"content-type", b"application/grpc")
_OK_TRAILERS: Final = header(b"grpc-status", b"0")
_ODD: Final = re.compile(rb"[^ -$&-~]")
"""Octets that a message of a status must not have as they are."""


class Aborted(Exception):  # noqa: N818 - it ends a call, which need not be wrong
    """A servicer has ended its call."""


class Wire(Protocol):
    """The part of the connection that a call works on."""

    peer: str

    def headers(self, call: "Call", block: bytes, *, end: bool) -> None:
        """Send a header block."""
        ...

    def data(self, call: "Call", octets: bytes) -> None:
        """Send octets of messages, as soon as there is room."""
        ...

    def grant(self, call: "Call", octets: int) -> None:
        """Let the client send so many more."""
        ...

    def ended(self, call: "Call") -> None:
        """Forget a call: nothing more is sent."""
        ...


class Call:
    """A call as its servicer sees it: what is used of `grpc.aio.ServicerContext`, and `send`. The servicer's iterator of requests, too.

    Args:
        wire: the connection.
        stream: the number of its HTTP/2 stream.
        handler: of the method.
    """

    def __init__(self, wire: Wire, stream: int, handler: Any, window: int = WINDOW) -> None:  # noqa: ANN401  grpc's handlers have no types
        self.stream: Final = stream
        self.window = window
        """Octets that the client has room for."""
        self.pending: deque[bytes | memoryview] = deque()
        """Octets that wait for room, a message each."""
        self.trailers: bytes | None = None
        """The header block that ends the call, once that is known."""
        self.half_closed = False
        """The client sends no more."""
        self.task: asyncio.Task[None] | None = None
        self._wire = wire
        self._handler = handler
        self._begun = False
        self._code = grpc.StatusCode.OK
        self._details = ""
        self._metadata: Iterable[tuple[str, str | bytes]] = ()
        self._inbox: deque[bytes] = deque()
        self._partial = bytearray()
        self._needed = 0
        self._owed = 0
        self._news: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    # -- what comes ----------------------------------------------------------------------------------------------------

    def received(self, octets: bytes, size: int) -> None:
        """Take octets of messages; `size`: what they count for in flow control."""
        self._owed += size
        if self._partial:
            self._partial += octets
            if len(self._partial) >= self._needed:
                octets = bytes(self._partial)
                self._partial.clear()
                self._split(octets)
        else:
            self._split(octets)
        if self._inbox:
            self._wake()
        if len(self._inbox) < _MANY:
            self._grant()

    def _split(self, octets: bytes) -> None:
        position, end = 0, len(octets)
        while end - position >= _PREFIX.size:
            compressed, size = _PREFIX.unpack_from(octets, position)
            if compressed or size > MAX_MESSAGE:
                code = grpc.StatusCode.UNIMPLEMENTED if compressed else grpc.StatusCode.RESOURCE_EXHAUSTED
                self.finish(code, "a message is compressed" if compressed else f"a message has {size} octets")
                self.closed()  # what else comes does not count
                return
            start = position + _PREFIX.size
            if end - start < size:
                self._needed = size + _PREFIX.size
                break
            position = start + size
            self._inbox.append(octets[start:position])
        else:
            self._needed = _PREFIX.size
        self._partial += octets[position:]

    def _grant(self) -> None:
        if self._owed >= RECEIVE_WINDOW // 2 and not self.half_closed and self.trailers is None:
            self._wire.grant(self, self._owed)
            self._owed = 0

    def closed(self) -> None:
        """The client sends no more."""
        self.half_closed = True
        self._wake()

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def __aiter__(self) -> "Call":
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401  a message of the method's type
        """Return the next request."""
        while not self._inbox:
            if self.half_closed:
                raise StopAsyncIteration
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        octets = self._inbox.popleft()
        self._grant()
        try:
            return self._handler.request_deserializer(octets) if self._handler.request_deserializer else octets
        except Exception:  # noqa: BLE001  whatever the method's deserialiser raises
            self.finish(grpc.StatusCode.INTERNAL, "Exception deserializing request!")
            raise Aborted from None

    # -- what goes -----------------------------------------------------------------------------------------------------

    def send(self, message: Any) -> None:  # noqa: ANN401  a message of the method's type
        """Send a message, or its octets, without waiting for anything; nothing happens when the call is over."""
        if self.trailers is not None:
            return
        octets = message if isinstance(message, bytes) else self._handler.response_serializer(message)
        if not self._begun:
            self._begun = True
            self._wire.headers(self, _OK_HEADERS, end=False)
        self._wire.data(self, _PREFIX.pack(0, len(octets)) + octets)

    @property
    def waiting(self) -> int:
        """Messages that wait for a slow client."""
        return len(self.pending)

    async def write(self, message: Any) -> None:  # noqa: ANN401  a message of the method's type
        """Send a message, and wait while much else waits for the client."""
        self.send(message)
        while sum(map(len, self.pending)) > _AHEAD:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def drained(self) -> None:
        """Something that waited has left."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    # -- the end -------------------------------------------------------------------------------------------------------

    def peer(self) -> str:
        """Return the client's address."""
        return self._wire.peer

    def set_code(self, code: grpc.StatusCode) -> None:
        """Say how the call will end."""
        self._code = code

    def set_details(self, details: str) -> None:
        """Say why."""
        self._details = details

    def set_trailing_metadata(self, metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """Say what else the client gets at the end."""
        self._metadata = metadata

    async def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call.

        Raises:
            Aborted: always.
        """
        self.finish(code, details)
        raise Aborted(details)

    def finish(self, code: grpc.StatusCode, details: str = "") -> None:
        """End the call, after what was sent; no effect when it has ended."""
        if self.trailers is not None:
            return
        block = b"" if self._begun else _OK_HEADERS
        block += _OK_TRAILERS if code is grpc.StatusCode.OK else header(b"grpc-status", b"%d" % code.value[0])
        if details:
            text = _ODD.sub(lambda odd: b"%%%02X" % odd[0][0], details.encode())
            block += header(b"grpc-message", text)
        for name, value in self._metadata:
            octets = value.encode() if isinstance(value, str) else base64.b64encode(value).rstrip(b"=")
            block += header(name.encode(), octets)
        self._begun = True
        self.trailers = block
        if not self.pending:
            self._wire.headers(self, block, end=True)
            self._wire.ended(self)

    # -- the servicer --------------------------------------------------------------------------------------------------

    def start(self) -> asyncio.Task[None]:
        """Let the servicer work on it."""
        self.task = asyncio.create_task(self._run(), name=f"rpc {self.peer()}, stream {self.stream}")
        return self.task

    async def _run(self) -> None:
        try:
            await self._serve()
        except Aborted:
            pass
        except asyncio.CancelledError:
            self.finish(grpc.StatusCode.CANCELLED, "the server ended the call")
            raise
        except Exception as error:  # noqa: BLE001  a servicer that fails ends its own call and no other
            _LOG.exception("a servicer failed")
            self.finish(grpc.StatusCode.UNKNOWN, f"Unexpected {type(error)}: {error}")
        else:
            self.finish(self._code, self._details)

    async def _serve(self) -> None:
        handler = self._handler
        behaviour = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        request: Any = self
        if not handler.request_streaming:
            request = await anext(self, None)
            if request is None:
                await self.abort(grpc.StatusCode.INTERNAL, "the call brings no request")
        answer = behaviour(request, self)
        if not handler.response_streaming:
            self.send(await answer)
        elif hasattr(answer, "__aiter__"):
            async for message in answer:
                await self.write(message)
        else:
            await answer
