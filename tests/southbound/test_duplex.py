"""The call that carries messages both ways, against servers of grpc, and against such as grpc would not make."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.southbound.duplex import Duplex
from controller.southbound.errors import ConnectionLostError
from southbound_world import eventually

METHOD = "/test.Service/Both"
PROBE = "/test.Service/Anybody"

Behaviour = Callable[[AsyncIterator[bytes], Any], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(behaviour: Behaviour, address: str = "127.0.0.1:0") -> AsyncIterator[int]:
    """A server of grpc with one call, which answers any other with UNIMPLEMENTED."""
    server = grpc.aio.server()
    handler = grpc.stream_stream_rpc_method_handler(behaviour)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", {"Both": handler}),))
    port = server.add_insecure_port(address)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


@contextlib.asynccontextmanager
async def listening(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A server of TCP. What it handles has to end by itself when the client goes."""
    over = asyncio.Semaphore(0)
    begun = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal begun
        begun += 1
        try:
            await handle(reader, writer)
        finally:
            writer.close()
            over.release()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for _ in range(begun):
            await over.acquire()


@contextlib.asynccontextmanager
async def calling(
    port: int, on_message: Callable[[bytes], None] = lambda _: None, host: str = "127.0.0.1", silence: float = 10.0
) -> AsyncIterator[tuple[Duplex, asyncio.Task[None]]]:
    duplex = Duplex(host, port, METHOD, PROBE, on_message, silence=silence)
    task = asyncio.create_task(duplex.run())
    try:
        yield duplex, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ended(task: asyncio.Task[None]) -> str:
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionLostError) as caught:
            await task
    return str(caught.value)


async def echo(requests: AsyncIterator[bytes], context: Any) -> None:
    async for request in requests:
        await context.write(request)


@pytest.mark.parametrize(
    ("host", "address"), [("127.0.0.1", "127.0.0.1:0"), ("::1", "[::1]:0"), ("localhost", "[::]:0")]
)
async def test_messages_of_every_size_go_both_ways_whole_and_in_order(host: str, address: str) -> None:
    """More than what a frame and a window of HTTP/2 hold, and the first of them before there is a connection."""
    sizes = [0, 1, 5, 16_383, 16_384, 16_385, 65_535, 65_536, 300_000, 2, 0, 3_000_000, *range(200, 500)]
    messages = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    found: list[bytes] = []
    async with serving(echo, address) as port, calling(port, found.append, host) as (duplex, task):
        for message in messages:
            duplex.send(message)
        await eventually(lambda: len(found) == len(messages) or task.done())
        assert found == messages
        assert duplex.waiting == 0


async def test_what_is_sent_by_and_by_arrives_at_once() -> None:
    found: list[bytes] = []
    async with serving(echo) as port, calling(port, found.append) as (duplex, _):
        for number in range(20):
            duplex.send(b"%d" % number)
            await eventually(lambda: found[-1:] == [b"%d" % number])  # noqa: B023  it is over before the next turn
    assert found == [b"%d" % number for number in range(20)]


async def test_the_first_message_does_not_wait_for_those_that_come_with_it() -> None:
    found: list[bytes] = []
    async with serving(echo) as port, calling(port, found.append) as (duplex, _):
        duplex.send(b"0")
        await eventually(lambda: found == [b"0"])
        waiting = []
        for number in range(1, 4):
            duplex.send(b"%d" % number)
            waiting.append(duplex.waiting)
        assert waiting == [0, 1, 2]
        await eventually(lambda: len(found) == 4)
    assert found == [b"0", b"1", b"2", b"3"]


async def test_the_status_of_the_server_is_told() -> None:
    async def refuse(_requests: AsyncIterator[bytes], context: Any) -> None:
        await context.abort(grpc.StatusCode.NOT_FOUND, "no device 7: 50 % größer")

    async with serving(refuse) as port, calling(port) as (_, task):
        assert await ended(task) == "NOT_FOUND no device 7: 50 % größer"


async def test_a_server_that_ends_the_call_or_the_connection() -> None:
    async def enough(requests: AsyncIterator[bytes], context: Any) -> None:
        async for request in requests:
            await context.write(request)
            return

    found: list[bytes] = []
    async with serving(enough) as port, calling(port, found.append) as (duplex, task):
        duplex.send(b"one")
        assert await ended(task) == "the switch closed the stream"
        assert found == [b"one"]
        duplex.send(b"late: this goes nowhere, and raises nothing")
    async with contextlib.AsyncExitStack() as server:
        port = await server.enter_async_context(serving(echo))
        async with calling(port, found.append) as (duplex, task):
            duplex.send(b"two")
            await eventually(lambda: found[-1] == b"two")
            await server.aclose()
            assert (await ended(task)).startswith("UNAVAILABLE ")
    async with calling(port) as (_, task):
        assert (await ended(task)).startswith(f"UNAVAILABLE 127.0.0.1 port {port}: ")


async def test_a_server_without_the_call() -> None:
    async with serving(echo) as port:
        duplex = Duplex("127.0.0.1", port, "/test.Service/Neither", PROBE, lambda _: None)
        assert (await ended(asyncio.create_task(duplex.run()))).startswith("UNIMPLEMENTED")


async def test_what_does_not_speak_http_2() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    async with listening(answer) as port, calling(port) as (_, task):
        assert await ended(task) == "UNAVAILABLE the switch closed the connection"


async def test_an_error_of_who_takes_messages_ends_the_call_with_it() -> None:
    def take(message: bytes) -> None:
        raise ValueError(f"{message!r} is no message")

    async with serving(echo) as port, calling(port, take) as (duplex, task):
        duplex.send(b"x")
        async with asyncio.timeout(10):
            with pytest.raises(ValueError, match="b'x' is no message"):
                await task


def says(
    data: bytes, headers: list[tuple[str, str]]
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """A server of HTTP/2 that answers the first request with headers and octets, and then keeps silent."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = H2Connection(H2Configuration(client_side=False))
        http.initiate_connection()
        answered = False
        while octets := await reader.read(65_536):
            for event in http.receive_data(octets):
                if isinstance(event, RequestReceived) and not answered:
                    answered = True
                    http.send_headers(1, headers)
                    if data:
                        http.send_data(1, data)
            writer.write(http.data_to_send())

    return serve


OK = [(":status", "200"), ("content-type", "application/grpc")]


@pytest.mark.parametrize(
    ("data", "headers", "text"),
    [
        (b"\0\xff\xff\xff\xff", OK, "INTERNAL a message is of 4294967295 octets"),
        (b"\1\0\0\0\1x", OK, "INTERNAL a message is compressed"),
        (b"", [(":status", "503")], "UNAVAILABLE HTTP status 503"),
        (b"", [*OK, ("grpc-status", "16"), ("grpc-message", "who%20are you?")], "UNAUTHENTICATED who are you?"),
        (b"", [*OK, ("grpc-status", "strange")], "status strange"),
    ],
)
async def test_what_a_server_should_not_say(data: bytes, headers: list[tuple[str, str]], text: str) -> None:
    async with listening(says(data, headers)) as port, calling(port) as (_, task):
        assert (await ended(task)).startswith(text)


async def test_messages_may_come_in_pieces() -> None:
    found: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = H2Connection(H2Configuration(client_side=False))
        http.initiate_connection()
        octets = b"\0\0\0\0\3abc" + b"\0\0\0\0\0" + b"\0\0\0\0\1d"
        while not http.highest_inbound_stream_id:
            http.receive_data(await reader.read(65_536))
        http.send_headers(1, OK)
        for each in octets:
            http.send_data(1, bytes([each]))
            writer.write(http.data_to_send())
            await asyncio.sleep(0.001)
        await reader.read(65_536)

    async with listening(serve) as port, calling(port, found.append):
        await eventually(lambda: len(found) == 3)
    assert found == [b"abc", b"", b"d"]


def conversation() -> bytes:
    """What a server sends: settings, headers, three messages, window updates, a question, a status."""
    client, server = (H2Connection(H2Configuration(client_side=side)) for side in (True, False))
    client.initiate_connection()
    client.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":path", METHOD), (":authority", "x")])
    server.initiate_connection()
    server.receive_data(client.data_to_send())
    server.send_headers(1, OK)
    for size in (0, 7, 300):
        server.send_data(1, size.to_bytes(5) + bytes(size))
    server.increment_flow_control_window(1000)
    server.ping(b"anybody?")
    server.send_headers(1, [("grpc-status", "5"), ("grpc-message", "gone")], end_stream=True)
    return server.data_to_send()


SPOKEN = conversation()


@given(
    at=st.integers(0, len(SPOKEN) - 1),
    instead=st.binary(max_size=20),
    left_out=st.integers(0, 20),
)
@settings(max_examples=150, deadline=None)
def test_whatever_comes_ends_the_call_and_nothing_else(at: int, instead: bytes, left_out: int) -> None:
    spoken = SPOKEN[:at] + instead + SPOKEN[at + left_out :]
    strange: list[dict[str, Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(spoken)
        with contextlib.suppress(ConnectionError):
            await writer.drain()

    async def converse() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: strange.append(context))
        async with listening(serve) as port, calling(port) as (_, task):
            await ended(task)

    asyncio.run(converse())
    assert not strange


async def test_a_peer_that_says_nothing_is_asked_and_given_up() -> None:
    asked: list[bytes] = []

    async def deaf(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while octets := await reader.read(65_536):
            asked.append(octets)

    async with listening(deaf) as port, calling(port, silence=0.2) as (_, task):
        assert await ended(task) == "UNAVAILABLE nothing was heard for 0.4 s"
        assert len(asked) >= 2


async def test_a_peer_that_has_nothing_to_say_is_kept() -> None:
    """Any answer to the question will do: the server here does not know what it is asked."""
    found: list[bytes] = []
    async with serving(echo) as port, calling(port, found.append, silence=0.05) as (duplex, task):
        await asyncio.sleep(1)
        assert not task.done()
        duplex.send(b"still there")
        await eventually(lambda: found == [b"still there"])


async def test_a_peer_that_does_not_read_lets_messages_wait() -> None:
    async def deaf(_requests: AsyncIterator[bytes], _context: Any) -> None:
        await asyncio.sleep(60)

    async with serving(deaf) as port, calling(port) as (duplex, task):
        for _ in range(50):
            duplex.send(bytes(1_000_000))
        await asyncio.sleep(0.5)
        assert duplex.waiting == 50  # not even the first has left whole
        for _ in range(50):
            duplex.send(bytes(1_000_000))
        await asyncio.sleep(0.1)
        assert duplex.waiting == 100
        assert not task.done()
