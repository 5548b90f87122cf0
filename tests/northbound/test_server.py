import asyncio
import json
import signal
import socket
from functools import partial

import httpx
import pytest

from controller.northbound import NorthboundServer, ServerError, create_app
from controller.northbound import server as module
from controller.northbound.events import Kind
from fake_control import OPEN, FakeControl


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_it_serves_on_a_free_port(control: FakeControl, host: str) -> None:
    server = NorthboundServer(create_app(control, OPEN), host, 0)
    await server.start()
    try:
        assert server.port > 0
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
            assert (await client.get("/health")).json()["status"] == "ok"
            unread = await client.put("/v1/nodes/x/policies/y", content=b"x" * 70_000)
            assert unread.status_code == 413
    finally:
        await server.stop()
        await server.stop()
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("/health")


async def test_an_address_in_use_is_told_in_one_line(control: FakeControl) -> None:
    first = NorthboundServer(create_app(control, OPEN), "127.0.0.1", 0)
    await first.start()
    try:
        second = NorthboundServer(create_app(control, OPEN), "127.0.0.1", first.port)
        with pytest.raises(ServerError, match=f"127.0.0.1:{first.port}: cannot listen: .*in use") as caught:
            await second.start()
        assert "\n" not in str(caught.value)
    finally:
        await first.stop()


async def test_an_address_of_another_machine_is_told(control: FakeControl) -> None:
    server = NorthboundServer(create_app(control, OPEN), "2001:db8::1", 0)
    with pytest.raises(ServerError, match=r"http://\[2001:db8::1\]:0: cannot listen"):
        await server.start()


async def test_it_leaves_signals_alone(control: FakeControl) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    server = NorthboundServer(create_app(control, OPEN), "127.0.0.1", 0)
    await server.start()
    try:
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    finally:
        await server.stop()


async def test_a_client_that_says_nothing_does_not_hold_up_the_end(control: FakeControl) -> None:
    server = NorthboundServer(create_app(control, OPEN), "127.0.0.1", 0)
    await server.start()
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n")
    await writer.drain()
    async with asyncio.timeout(5):
        await server.stop()
    writer.close()


@pytest.mark.parametrize("before", [b"", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_a_head_that_does_not_come_is_given_up(
    control: FakeControl, before: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEAD_TIMEOUT", 0.2)
    server = NorthboundServer(create_app(control, OPEN), "127.0.0.1", 0)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    if before:
        writer.write(before)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
    writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n")
    async with asyncio.timeout(10):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\nContent-Type: application/problem+json\r\n")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["type"] == "urn:mcoa:problem:timeout"
    writer.close()
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        assert (await client.get("/health")).status_code == 200
    await server.stop()


async def test_one_connection_too_many_is_told_so(control: FakeControl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTIONS", 2)
    server = NorthboundServer(create_app(control, OPEN), "127.0.0.1", 0)
    await server.start()
    idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        answer = await client.get("/health")
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert answer.json()["detail"].startswith("2 connections are open")
        idle.pop()[1].close()
        async with asyncio.timeout(10):
            while (await client.get("/health")).status_code != 200:  # noqa: ASYNC110  only the answer tells
                await asyncio.sleep(0.01)
    idle.pop()[1].close()
    await server.stop()


async def test_a_reader_that_takes_nothing_loses_its_place(
    control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a stream of events, which would have no end; what waits for such a reader is bounded meanwhile."""
    monkeypatch.setattr(module, "READ_TIMEOUT", 0.3)
    app = create_app(control, OPEN)
    server = NorthboundServer(app, "127.0.0.1", 0)
    await server.start()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", server.port))
        client.send(b"GET /v1/events/stream HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(20):
            while app.state.streams == 0:  # noqa: ASYNC110  only the application tells
                await asyncio.sleep(0.01)
            large = "x" * 100_000
            while app.state.streams == 1:
                control.feed.publish(Kind.NODE, partial(dict, name=large))
                await asyncio.sleep(0.01)
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as other:
        assert (await other.get("/health")).status_code == 200
    control.feed.close()
    await server.stop()
