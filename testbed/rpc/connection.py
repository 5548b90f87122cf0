"""One HTTP/2 connection of a client (RFC 9113)."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

import hpack

from testbed.rpc import frames
from testbed.rpc.calls import RECEIVE_WINDOW, Call
from testbed.rpc.frames import HEAD, MAX_FRAME, MAX_WINDOW, Code, Kind, ProtocolError, Setting

MAX_STREAMS: Final = 256
"""Calls that a client may have under way."""
_CONNECTION_WINDOW: Final = 8 << 20
_MAX_BLOCK: Final = 1 << 16
"""Octets of the longest header block that we take, compressed and as it is."""
_MAX_UNSENT: Final = 1 << 26
"""Octets that may wait for a client that reads nothing; one that lets us answer PINGs and the like all the same is cut off."""
_UNIMPLEMENTED: Final = b"\x88" + b"".join(
    (
        frames.header(b"content-type", b"application/grpc"),
        frames.header(b"grpc-status", b"12"),
        frames.header(b"grpc-message", b"Method not found!"),
    )
)
_NOT_GRPC: Final = frames.header(b":status", b"415")

Finder = Callable[[str], Any]
"""Returns the handler of a method by its path, or None."""


class Connection(asyncio.Protocol):
    """The protocol of one connection.

    Args:
        find: knows the methods.
        connections: those that are open; this one is among them as long as it is.
    """

    def __init__(self, find: Finder, connections: "set[Connection]") -> None:
        self.peer = ""
        self.tasks: set[asyncio.Task[None]] = set()
        """Servicers at work."""
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection is no more."""
        self._find = find
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._rest: bytes = b""
        self._greeted = False
        self._leaving = False
        self._closing = False
        self._out: list[bytes] = []
        self._scheduled = False
        self._paused = False
        self._calls: dict[int, Call] = {}
        self._last = 0
        self._decoder = hpack.Decoder(max_header_list_size=_MAX_BLOCK)
        self._window = frames.WINDOW
        self._initial_window = frames.WINDOW
        self._max_frame = MAX_FRAME
        self._owed = 0
        self._block: tuple[int, int, bytes] | None = None
        """Stream, flags and octets of a header block that is not complete."""

    # -- the transport -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who we are (RFC 9113 section 3.4)."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if sock.family in {socket.AF_INET, socket.AF_INET6}:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = transport.get_extra_info("peername") or ("unknown", 0)
        self.peer = f"ipv6:[{name[0]}]:{name[1]}" if ":" in str(name[0]) else f"ipv4:{name[0]}:{name[1]}"
        self._connections.add(self)
        settings = (
            (Setting.MAX_CONCURRENT_STREAMS, MAX_STREAMS),
            (Setting.INITIAL_WINDOW_SIZE, RECEIVE_WINDOW),
            (Setting.MAX_HEADER_LIST_SIZE, _MAX_BLOCK),
        )
        self._put(frames.settings_frame(settings))
        self._put(frames.number_frame(Kind.WINDOW_UPDATE, 0, _CONNECTION_WINDOW - frames.WINDOW))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the base class has it
        """End what is under way."""
        self._closing = True
        self._connections.discard(self)
        self.lost.set_result(None)
        for call in list(self._calls.values()):
            self._forget(call)

    def pause_writing(self) -> None:
        """Hold messages back: the client reads too little."""
        self._paused = True

    def resume_writing(self) -> None:
        """Send what was held back."""
        self._paused = False
        self._pump_all()

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        if self._closing:
            return
        data = self._rest + data if self._rest else data
        # What is sent on account of it leaves together, at the end.
        scheduled, self._scheduled = self._scheduled, True
        try:
            self._rest = self._read(data)
        except ProtocolError as error:
            self._fail(error)
        except hpack.HPACKError as error:
            self._fail(ProtocolError(Code.COMPRESSION_ERROR, str(error)))
        finally:
            self._scheduled = scheduled
            self._flush()

    def _flush_later(self) -> None:
        self._scheduled = False
        self._flush()

    def _flush(self) -> None:
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
            self._out.clear()
            if self._transport.get_write_buffer_size() > _MAX_UNSENT:
                self._transport.abort()

    def _put(self, octets: bytes) -> None:
        self._out.append(octets)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush_later)

    def _fail(self, error: ProtocolError) -> None:
        self.go_away(error.code, str(error))
        self.close()

    def go_away(self, code: Code = Code.NO_ERROR, text: str = "") -> None:
        """Tell the client that no new calls are taken."""
        self._leaving = True
        content = self._last.to_bytes(4) + code.to_bytes(4) + text.encode()
        self._put(frames.frame(Kind.GOAWAY, 0, 0, content))

    def close(self) -> None:
        """End the connection, after what was sent."""
        self._closing = True
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    # -- frames that come ----------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> bytes:
        """Carry out frames; return what is left, the beginning of one.

        Raises:
            ProtocolError: the client broke a rule.
        """
        position, end = 0, len(data)
        if not self._greeted:
            position = len(frames.PREFACE)
            if data[:position] != frames.PREFACE[:end]:
                raise ProtocolError(Code.PROTOCOL_ERROR, "this is no HTTP/2")
            if end < position:
                return data
            self._greeted = True
        while end - position >= HEAD:
            size = data[position] << 16 | data[position + 1] << 8 | data[position + 2]
            start = position + HEAD
            if size > MAX_FRAME:
                raise ProtocolError(Code.FRAME_SIZE_ERROR, f"a frame has {size} octets")
            if end - start < size:
                break
            kind, flags = data[position + 3], data[position + 4]
            stream = int.from_bytes(data[position + 5 : start]) & MAX_WINDOW
            position = start + size
            if self._block is not None and (kind != Kind.CONTINUATION or stream != self._block[0]):
                raise ProtocolError(Code.PROTOCOL_ERROR, "a header block is not continued")
            if kind == Kind.DATA:
                self._data(stream, flags, data[start:position])
            else:
                self._other(kind, stream, flags, data[start:position])
        return data[position:]

    def _data(self, stream: int, flags: int, content: bytes) -> None:
        size = len(content)
        self._owed += size
        if self._owed >= _CONNECTION_WINDOW // 2:
            self._put(frames.number_frame(Kind.WINDOW_UPDATE, 0, self._owed))
            self._owed = 0
        call = self._calls.get(stream)
        if call is None or call.half_closed:
            if not 0 < stream <= self._last:
                raise ProtocolError(Code.PROTOCOL_ERROR, f"DATA on stream {stream}, which is not open")
            return
        if flags & frames.PADDED:
            content = frames.unpadded(flags & frames.PADDED, content)
        call.received(content, size)
        if flags & frames.END_STREAM:
            call.closed()
        if call.task is None:
            self._start(call)

    def _other(self, kind: int, stream: int, flags: int, content: bytes) -> None:
        if kind in {Kind.HEADERS, Kind.CONTINUATION}:
            self._header_frame(kind, stream, flags, content)
        elif kind == Kind.SETTINGS and not flags & frames.ACK:
            self._settings(content)
        elif kind == Kind.WINDOW_UPDATE:
            self._more_room(stream, int.from_bytes(_exactly(4, content)) & MAX_WINDOW)
        elif kind == Kind.RST_STREAM:
            _exactly(4, content)
            call = self._calls.get(stream)
            if call is not None:
                self._forget(call)
        elif kind == Kind.PING and not flags & frames.ACK:
            self._put(frames.frame(Kind.PING, frames.ACK, 0, _exactly(8, content)))
        elif kind == Kind.PUSH_PROMISE:
            raise ProtocolError(Code.PROTOCOL_ERROR, "clients do not push")

    def _header_frame(self, kind: int, stream: int, flags: int, content: bytes) -> None:
        if kind == Kind.HEADERS:
            self._headers(stream, flags, frames.unpadded(flags, content))
        elif self._block is None:
            raise ProtocolError(Code.PROTOCOL_ERROR, "CONTINUATION of nothing")
        else:
            _, before, block = self._block
            self._headers(stream, before | flags & frames.END_HEADERS, block + content)

    def _settings(self, content: bytes) -> None:
        for number, value in frames.settings_of(content):
            if number == Setting.INITIAL_WINDOW_SIZE:
                if value > MAX_WINDOW:
                    raise ProtocolError(Code.FLOW_CONTROL_ERROR, f"an initial window of {value} octets")
                for call in self._calls.values():
                    call.window += value - self._initial_window
                self._initial_window = value
            elif number == Setting.MAX_FRAME_SIZE:
                if not MAX_FRAME <= value < 1 << 24:
                    raise ProtocolError(Code.PROTOCOL_ERROR, f"frames of at most {value} octets")
                self._max_frame = value
        self._put(frames.frame(Kind.SETTINGS, frames.ACK, 0))
        self._pump_all()

    def _more_room(self, stream: int, octets: int) -> None:
        call = self._calls.get(stream)
        if not octets and (call is not None or not stream):
            raise ProtocolError(Code.PROTOCOL_ERROR, "a WINDOW_UPDATE by nothing")
        if not stream:
            self._window += octets
            self._pump_all()
        elif call is not None:
            call.window += octets
            self._pump(call)
        if max(self._window, call.window if call else 0) > MAX_WINDOW:
            raise ProtocolError(Code.FLOW_CONTROL_ERROR, "a window is too large")

    def _headers(self, stream: int, flags: int, block: bytes) -> None:
        if len(block) > _MAX_BLOCK:
            raise ProtocolError(Code.ENHANCE_YOUR_CALM, "the header block is too long")
        if not flags & frames.END_HEADERS:
            self._block = stream, flags, block
            return
        self._block = None
        if not stream % 2:
            raise ProtocolError(Code.PROTOCOL_ERROR, f"a client cannot open stream {stream}")
        fields: dict[bytes, bytes] = {
            bytes(name): bytes(value) for name, value in self._decoder.decode(block, raw=True)
        }
        end = bool(flags & frames.END_STREAM)
        if stream <= self._last:
            # Trailers, of which gRPC has none in this direction, or of a call that is over.
            call = self._calls.get(stream)
            if call is not None and end:
                call.closed()
            return
        self._last = stream
        self._open(stream, fields, end=end)

    def _open(self, stream: int, fields: dict[bytes, bytes], *, end: bool) -> None:
        # A servicer may still be at work for a client that has taken its call back: that counts too.
        if self._leaving or len(self._calls) >= MAX_STREAMS or len(self.tasks) >= 2 * MAX_STREAMS:
            self._put(frames.number_frame(Kind.RST_STREAM, stream, Code.REFUSED_STREAM))
            return
        handler = self._find(fields.get(b":path", b"").decode(errors="replace"))
        if not fields.get(b"content-type", b"").startswith(b"application/grpc"):
            self._refuse(stream, _NOT_GRPC, end=end)
        elif handler is None:
            self._refuse(stream, _UNIMPLEMENTED, end=end)
        else:
            call = Call(self, stream, handler, self._initial_window)
            self._calls[stream] = call
            if end:
                call.closed()
            if end or handler.request_streaming:
                self._start(call)

    def _start(self, call: Call) -> None:
        task = call.start()
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _refuse(self, stream: int, block: bytes, *, end: bool) -> None:
        self._put(frames.headers_frames(stream, block, self._max_frame, end=True))
        if not end:
            self._put(frames.number_frame(Kind.RST_STREAM, stream, Code.NO_ERROR))

    def _forget(self, call: Call) -> None:
        """End a call whose client is gone."""
        del self._calls[call.stream]
        call.pending.clear()
        call.trailers = b""
        call.drained()
        if call.task is not None:
            call.task.cancel()

    # -- frames that go ------------------------------------------------------------------------------------------------

    def headers(self, call: Call, block: bytes, *, end: bool) -> None:
        """Send a header block of a call."""
        self._put(frames.headers_frames(call.stream, block, self._max_frame, end=end))

    def data(self, call: Call, octets: bytes) -> None:
        """Send octets of a call's messages, as soon as there is room."""
        size = len(octets)
        if call.pending or self._paused or size > min(call.window, self._window, self._max_frame):
            call.pending.append(octets)
            self._pump(call)
        else:
            call.window -= size
            self._window -= size
            self._put(frames.head(size, Kind.DATA, 0, call.stream) + octets)

    def _pump_all(self) -> None:
        for call in [call for call in self._calls.values() if call.pending]:
            self._pump(call)

    def _pump(self, call: Call) -> None:
        """Send what waits and has room."""
        if not call.pending:
            return
        while call.pending and not self._paused:
            octets = call.pending[0]
            room = min(call.window, self._window, self._max_frame)
            if room <= 0:
                break
            if len(octets) > room:
                octets = memoryview(octets)
                call.pending[0], octets = octets[room:], octets[:room]
            else:
                call.pending.popleft()
            call.window -= len(octets)
            self._window -= len(octets)
            self._put(frames.head(len(octets), Kind.DATA, 0, call.stream) + octets)
        call.drained()
        if not call.pending and call.trailers is not None:
            self.headers(call, call.trailers, end=True)
            self.ended(call)

    def grant(self, call: Call, octets: int) -> None:
        """Let the client send so many more octets."""
        self._put(frames.number_frame(Kind.WINDOW_UPDATE, call.stream, octets))

    def ended(self, call: Call) -> None:
        """Forget a call that is answered; a client that still sends is told to stop (RFC 9113 section 8.1)."""
        if self._calls.pop(call.stream, None) is not None and not call.half_closed:
            self._put(frames.number_frame(Kind.RST_STREAM, call.stream, Code.NO_ERROR))


def _exactly(size: int, content: bytes) -> bytes:
    if len(content) != size:
        raise ProtocolError(Code.FRAME_SIZE_ERROR, f"a frame has {len(content)} octets instead of {size}")
    return content
