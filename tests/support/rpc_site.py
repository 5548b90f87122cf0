"""A server of `testbed.rpc` with methods for tests, and octets of HTTP/2 for whoever speaks it by hand."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any

import grpc
import grpc.aio
from hpack import Encoder

from testbed.rpc import Call, Server
from testbed.rpc.frames import END_HEADERS, END_STREAM, PREFACE, Kind, frame, settings_frame

UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_metadata_size", 4 << 20)]
SECRET: dict[str, str | bytes] = {"text": "why", "octets-bin": bytes(range(256))}


class Methods:
    """What the server serves: methods that take and give octets."""

    def __init__(self) -> None:
        self.sent = 0
        """Messages that `count` has handed over."""
        self.cancelled = asyncio.Event()

    async def echo(self, request: bytes, _call: Call) -> bytes:
        return request

    async def refuse(self, request: bytes, call: Call) -> bytes:
        call.set_trailing_metadata(SECRET.items())
        await call.abort(grpc.StatusCode.ALREADY_EXISTS, request.decode())

    async def fail(self, request: bytes, _call: Call) -> bytes:
        raise ValueError(request.decode())

    async def sleep(self, request: bytes, _call: Call) -> bytes:
        try:
            await asyncio.sleep(60)
        finally:
            self.cancelled.set()
        return request

    async def count(self, request: bytes, _call: Call) -> AsyncIterator[bytes]:
        """Messages of 10 000 octets."""
        for number in range(int(request)):
            self.sent = number
            yield number.to_bytes(4) * 2500

    async def chat(self, requests: AsyncIterator[bytes], call: Call) -> None:
        async for request in requests:
            call.send(request)
        call.set_code(grpc.StatusCode.OK)

    async def length(self, requests: AsyncIterator[bytes], _call: Call) -> bytes:
        return b"%d" % len([request async for request in requests])


class RpcSite:
    """The server while it runs, and clients of it."""

    def __init__(self) -> None:
        self.server = Server()
        self.methods = Methods()
        self.port = 0
        self.channels: list[Any] = []
        unary = grpc.unary_unary_rpc_method_handler
        handlers: dict[str, Any] = {
            "echo": unary(self.methods.echo),
            "refuse": unary(self.methods.refuse),
            "fail": unary(self.methods.fail),
            "sleep": unary(self.methods.sleep),
            "digits": unary(self.methods.echo, request_deserializer=int, response_serializer=lambda n: b"%d" % n),
            "count": grpc.unary_stream_rpc_method_handler(self.methods.count),
            "chat": grpc.stream_stream_rpc_method_handler(self.methods.chat),
            "length": grpc.stream_unary_rpc_method_handler(self.methods.length),
        }
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("site", handlers),))

    def channel(self, **options: Any) -> Any:
        """A channel; grpc's stubs ask for serialisers that octets do not need."""
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", options=UNLIMITED, **options)
        self.channels.append(channel)
        return channel

    async def call(self, method: str, request: bytes = b"", **options: Any) -> bytes:
        answer: bytes = await self.channel().unary_unary(f"/site/{method}")(request, **options)
        return answer

    async def stop(self) -> None:
        for channel in self.channels:
            await channel.close()
        await self.server.stop(0.5)


def hello() -> bytes:
    """What a client says first."""
    return PREFACE + settings_frame(())


def opening(
    stream: int = 1, path: str = "/site/echo", flags: int = END_HEADERS, more: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    """A HEADERS frame that opens a call, with more headers if one likes."""
    fields = {":method": "POST", ":scheme": "http", ":path": path, "content-type": "application/grpc", **more}
    return frame(Kind.HEADERS, flags, stream, Encoder().encode(fields.items()))


def message(content: bytes, stream: int = 1, flags: int = END_STREAM) -> bytes:
    """A DATA frame with one message."""
    return frame(Kind.DATA, flags, stream, bytes(1) + len(content).to_bytes(4) + content)


async def spoken(port: int, octets: bytes, *, until: bytes = b"") -> bytes:
    """Say something to the server and return what it says: until it ends the connection, or has said something."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(octets)
        heard = b""
        async with asyncio.timeout(5):
            while data := await reader.read(65536):
                heard += data
                if until and until in heard:
                    break
    except ConnectionResetError:
        return heard
    finally:
        writer.transport.abort()
    return heard
