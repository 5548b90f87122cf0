"""One gRPC call that carries messages both ways, on a connection of its own and in the event loop.

A registration is one message of a switch and one of ours. grpc.aio waits for each message by itself, with three threads that take the
processor from the one that works, and needs longer for these two than the protocol engine for all it does (docs/performance.md). HTTP/2
is h2's here; what gRPC adds to it is five octets before each message, and a status at the end (grpc's doc/PROTOCOL-HTTP2.md).
"""

import asyncio
import contextlib
import ssl
import struct
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, cast
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from controller.southbound.errors import ConnectionLostError, code_name

_PREFIX: Final = struct.Struct(">?I")
"""Before each message: whether it is compressed, and its length."""
_LONGEST: Final = 64 << 20
"""Octets of the longest message that is taken: a list of a million idle entries, or a switch that has gone mad."""
_READ: Final = 16 << 10
"""Octets that are read at a time: some sixty packets, a few milliseconds of work, after which other tasks get their turn."""
_FAREWELL: Final = 1.0
"""Seconds that the connection may take to end."""
_WINDOW: Final = 4 << 20
"""Octets that the switch may send before we have read them."""
_SILENCE: Final = 10.0
"""Seconds without an octet after which the switch is asked whether it is there, and that it then has to answer."""


class Duplex(asyncio.BufferedProtocol):
    """One such call.

    Args:
        host: name or address.
        port: the TCP port.
        method: the call, as in ``/p4.v1.P4Runtime/StreamChannel``.
        probe: a call that takes an empty message; any answer to it shows that there is somebody.
        on_message: called at once with each message. What it raises ends the call.
        tls: None: no encryption.
        silence: seconds without an octet after which the peer is asked, and that it then has to answer.
    """

    def __init__(
        self,
        host: str,
        port: int,
        method: str,
        probe: str,
        on_message: Callable[[bytes], None],
        *,
        tls: ssl.SSLContext | None = None,
        silence: float = _SILENCE,
    ) -> None:
        self._loop: Final = asyncio.get_running_loop()
        self._host: Final = host
        self._port: Final = port
        self._method: Final = method
        self._probe: Final = probe
        self._on_message: Final = on_message
        self._tls: Final = tls
        self._silence: Final = silence
        self._http: Final = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._call: int = 0
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._ended: Final[asyncio.Future[None]] = self._loop.create_future()
        self._lost: Final[asyncio.Future[None]] = self._loop.create_future()
        self._heard = 0.0
        self._read: Final = memoryview(bytearray(_READ))
        self._received: Final = bytearray()
        self._waiting: Final[deque[bytes]] = deque()
        self._leaving = memoryview(b"")
        self._joined = 0
        self._pumping = False

    async def run(self) -> None:
        """Connect, and carry messages until the call ends, which is always an error.

        Raises:
            ConnectionLostError: it ended, and why: a status of gRPC and what was said about it.
            Exception: what `end` was given, or `on_message` has raised.
        """
        try:
            await self._connect()
            await self._listen()
        finally:
            await self._hang_up()

    def send(self, message: bytes) -> None:
        """Send a message as soon as there is room for it: the first at once, with those that come before the event loop goes round together."""
        self._waiting.append(message)
        if not self._pumping:
            self._pump()
            self._pumping = True
            self._loop.call_soon(self._pump)

    def end(self, error: Exception) -> None:
        """End the call because of something that was seen elsewhere."""
        if not self._ended.done():
            self._ended.set_exception(error)

    @property
    def waiting(self) -> int:
        """Messages that have not left yet, or not whole."""
        return len(self._waiting) + self._joined

    async def _connect(self) -> None:
        try:
            await self._loop.create_connection(lambda: self, self._host, self._port, ssl=self._tls)
        except OSError as error:
            raise ConnectionLostError(f"UNAVAILABLE {self._host} port {self._port}: {error}") from error

    async def _listen(self) -> None:
        """Wait for the end; when nothing is heard for some time ask whether there is anybody, and for as long again wait for the answer."""
        asked = False
        while True:
            heard = self._heard
            due = heard + self._silence * (2 if asked else 1)
            await asyncio.wait((self._ended,), timeout=due - self._loop.time())
            if self._ended.done():
                self._ended.result()
            if self._heard != heard:
                asked = False
            elif asked:
                raise ConnectionLostError(f"UNAVAILABLE nothing was heard for {2 * self._silence:g} s")
            elif self._loop.time() >= due:
                asked = True
                self._request(self._probe, ends=True)
                self._flush()

    async def _hang_up(self) -> None:
        self.end(ConnectionLostError("CANCELLED"))
        self._ended.exception()  # somebody has seen it
        transport = self._transport
        if transport is None:
            return
        if not transport.is_closing():
            with contextlib.suppress(ProtocolError):
                self._http.reset_stream(self._call, ErrorCodes.CANCEL)
                self._http.close_connection()
                self._flush()
            transport.close()
        try:
            await asyncio.wait((self._lost,), timeout=_FAREWELL)
        finally:
            transport.abort()  # who does not read does not get to know

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the call."""
        self._transport = cast("asyncio.Transport", transport)
        self._heard = self._loop.time()
        session = transport.get_extra_info("ssl_object")
        if session is not None and session.selected_alpn_protocol() != "h2":
            self.end(ConnectionLostError("UNAVAILABLE the server does not speak HTTP/2 (ALPN)"))
            return
        self._http.initiate_connection()
        self._http.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW, SettingCodes.ENABLE_PUSH: 0})
        self._http.increment_flow_control_window(_WINDOW - self._http.local_settings.initial_window_size)
        self._call = self._request(self._method)
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the call."""
        self._lost.set_result(None)
        self.end(ConnectionLostError(f"UNAVAILABLE {exc or 'the switch closed the connection'}"))

    def pause_writing(self) -> None:
        """Send nothing: what was sent before has not left yet."""
        self._paused = True

    def resume_writing(self) -> None:
        """Send what has come meanwhile."""
        self._paused = False
        self._pump()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  the size is ours to say
        """Return where octets are read to."""
        return self._read

    def buffer_updated(self, nbytes: int) -> None:
        """Take octets that were read."""
        self._heard = self._loop.time()
        if self._ended.done():
            return
        try:
            events = self._http.receive_data(bytes(self._read[:nbytes]))
            self._take_events(events)
            self._flush()
        except ProtocolError as error:
            self.end(ConnectionLostError(f"UNAVAILABLE HTTP/2 broke off: {error or type(error).__name__}"))

    # HTTP/2.

    def _request(self, method: str, *, ends: bool = False) -> int:
        """Open a call; with `ends` it is one that takes an empty message."""
        number = self._http.get_next_available_stream_id()
        host = f"[{self._host}]" if ":" in self._host else self._host
        headers = [
            (":method", "POST"),
            (":scheme", "https" if self._tls else "http"),
            (":path", method),
            (":authority", f"{host}:{self._port}"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "mcoa"),
        ]
        self._http.send_headers(number, headers)
        if ends:
            self._http.send_data(number, _PREFIX.pack(False, 0), end_stream=True)
        return number

    def _take_events(self, events: Iterable[Event]) -> None:
        read = 0
        for event in events:
            if isinstance(event, DataReceived):
                size = event.flow_controlled_length or 0
                if event.stream_id == self._call:
                    read += size
                    self._take(event.data or b"")
                else:
                    self._http.acknowledge_received_data(size, event.stream_id)
            elif isinstance(event, WindowUpdated | RemoteSettingsChanged):
                self._pump()
            elif isinstance(event, ConnectionTerminated):
                why = (event.additional_data or b"").decode(errors="replace")
                self.end(ConnectionLostError(f"UNAVAILABLE the switch ends the connection: {event.error_code} {why}"))
            elif getattr(event, "stream_id", None) == self._call:
                self._take_end(event)
        if read and not self._ended.done():
            self._http.acknowledge_received_data(read, self._call)

    def _take_end(self, event: Event) -> None:
        """Take what may be the end of the call."""
        if isinstance(event, ResponseReceived | TrailersReceived):
            headers = {
                name.decode(errors="replace"): value.decode(errors="replace") for name, value in _octets(event.headers)
            }
            http, status = headers.get(":status", "200"), headers.get("grpc-status")
            if http != "200":
                self.end(ConnectionLostError(f"UNAVAILABLE HTTP status {http}"))
            elif status == "0":
                self.end(ConnectionLostError("the switch closed the stream"))
            elif status is not None:
                name = code_name(int(status)) if status.isdecimal() else f"status {status}"
                self.end(ConnectionLostError(f"{name} {unquote(headers.get('grpc-message', ''))}".rstrip()))
        elif isinstance(event, StreamReset):
            self.end(ConnectionLostError(f"UNAVAILABLE the switch ended the call: error {event.error_code}"))
        elif isinstance(event, StreamEnded):
            self.end(ConnectionLostError("the switch closed the stream"))

    def _take(self, data: bytes) -> None:
        """Hand on the messages that octets complete."""
        received = self._received
        received += data
        at = 0
        while len(received) - at >= _PREFIX.size and not self._ended.done():
            compressed, size = _PREFIX.unpack_from(received, at)
            if compressed or size > _LONGEST:
                what = "compressed" if compressed else f"of {size} octets"
                self.end(ConnectionLostError(f"INTERNAL a message is {what}, which was not agreed on"))
                return
            end = at + _PREFIX.size + size
            if len(received) < end:
                break
            try:
                self._on_message(bytes(received[at + _PREFIX.size : end]))
            except Exception as error:  # noqa: BLE001  it is told by `run`
                self.end(error)
            at = end
        del received[:at]

    def _pump(self) -> None:
        """Send as much of what waits as there is room for."""
        self._pumping = False
        if self._transport is None or self._paused or self._ended.done() or not self._call:
            return
        try:
            while self._leaving or self._waiting:
                if not self._leaving:
                    messages = [_PREFIX.pack(False, len(each)) + each for each in self._waiting]
                    self._leaving, self._joined = memoryview(b"".join(messages)), len(messages)
                    self._waiting.clear()
                room = min(self._http.local_flow_control_window(self._call), self._http.max_outbound_frame_size)
                if room <= 0:
                    break
                self._http.send_data(self._call, self._leaving[:room])
                self._leaving = self._leaving[room:]
            if not self._leaving:
                self._joined = 0
            self._flush()
        except ProtocolError as error:
            self.end(ConnectionLostError(f"UNAVAILABLE HTTP/2 broke off: {error or type(error).__name__}"))

    def _flush(self) -> None:
        data = self._http.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)


def _octets(headers: Iterable[tuple[bytes | str, bytes | str]] | None) -> Iterable[tuple[bytes, bytes]]:
    """Return headers as they came: h2's type also names what it would give if it were to decode them."""
    for name, value in headers or ():
        assert isinstance(name, bytes)
        assert isinstance(value, bytes)
        yield name, value
