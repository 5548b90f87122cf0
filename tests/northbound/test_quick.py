"""Reads over a real connection: what is answered without the framework is what the framework answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from controller.northbound import Access, NorthboundServer, RateLimit, Role, create_app
from controller.northbound import server as module
from fake_control import NODE as ADDRESS
from fake_control import OPEN, FakeControl

NODE = "2001:db8:0:1::100"
ROUTER = "2001:db8:0:1::200"
GET = "GET {} HTTP/1.1\r\nHost: x\r\n{}\r\n"


class Reader:
    """A connection that stays open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *paths: str, more: str = "") -> None:
        self.writer.write("".join(GET.format(path, more) for path in paths).encode())

    async def take(self) -> tuple[int, dict[str, str], bytes]:
        head, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()[:-1]
        headers = dict(line.split(": ", 1) for line in lines)
        return int(head.split()[1]), headers, await self.reader.readexactly(int(headers["content-length"]))

    async def get(self, path: str, more: str = "") -> tuple[int, dict[str, str], bytes]:
        self.send(path, more=more)
        return await self.take()


async def connect(server: NorthboundServer) -> Reader:
    return Reader(*await asyncio.open_connection("127.0.0.1", server.port))


@pytest.fixture
def access() -> Access:
    return OPEN


@pytest.fixture
async def server(control: FakeControl, access: Access) -> AsyncIterator[NorthboundServer]:
    server = NorthboundServer(create_app(control, access), "127.0.0.1", 0)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def reader(server: NorthboundServer) -> AsyncIterator[Reader]:
    reader = await connect(server)
    yield reader
    reader.writer.close()


PATHS = [
    f"/v1/nodes/{NODE}",
    f"/v1/nodes/{ROUTER}",
    "/v1/nodes/2001:0DB8:0:1:0::100",
    "/v1/nodes/2001%3Adb8:0:1::100",
    "/v1/nodes/2001:db8:0:1::999",
    "/v1/nodes/ff02::1",
    "/v1/nodes/x",
    f"/v1/nodes/{NODE}?",
    f"/v1/nodes/{NODE}?colour=red",
    f"/v1/nodes/{NODE}/",
    f"/v1/nodes/{NODE}/bindings",
    f"/v1/nodes/{ROUTER}/bindings",
    "/v1/nodes/2001:db8:0:1::999/bindings",
    "/v1/nodes/x/bindings",
    f"/v1/nodes/{NODE}/bindings?limit=1",
    f"/v1/nodes/{NODE}/bindings/1",
    "/v1/nodes?limit=1",
    "/v1/bindings",
    "/v1/switches",
    "/nothing",
]


@pytest.mark.parametrize("path", PATHS)
async def test_the_answer_is_that_of_the_application(client: httpx.AsyncClient, reader: Reader, path: str) -> None:
    expected = await client.get(path)
    for _ in range(2):
        status, headers, body = await reader.get(path)
        date = headers.pop("date")
        assert date.endswith(" GMT")
        assert (status, body) == (expected.status_code, expected.content)
        assert headers == dict(expected.headers)


async def test_health_has_the_form_that_is_documented(client: httpx.AsyncClient, reader: Reader) -> None:
    expected = (await client.get("/health")).json()
    shown = json.loads((await reader.get("/health"))[2])
    assert shown | {"uptime_seconds": 0} == expected | {"uptime_seconds": 0}


async def test_the_bindings_of_a_node_have_the_form_that_is_documented(
    client: httpx.AsyncClient, reader: Reader
) -> None:
    one = json.loads((await reader.get(f"/v1/nodes/{NODE}/bindings/1"))[2])
    several = json.loads((await reader.get(f"/v1/nodes/{NODE}/bindings"))[2])
    assert several["items"][0] == one
    assert (several["total"], several["next"]) == (2, None)


async def test_a_node_is_shown_as_it_is_now_however_often_it_is_read(reader: Reader, control: FakeControl) -> None:
    for number in range(300):
        control.known[ADDRESS] = replace(control.known[ADDRESS], sequence=number)
        assert json.loads((await reader.get(f"/v1/nodes/{NODE}"))[2])["sequence"] == number


async def test_health_is_told_as_it_is_now_however_often_it_is_asked(reader: Reader, control: FakeControl) -> None:
    for number in range(300):
        control.problems = (f"problem {number}",)
        shown = json.loads((await reader.get("/health"))[2])
        assert (shown["status"], shown["problems"]) == ("degraded", [f"problem {number}"])


async def test_requests_that_come_together_are_answered_in_their_order(reader: Reader) -> None:
    paths = [f"/v1/nodes/{NODE}", "/v1/switches", f"/v1/nodes/{ROUTER}", "/health", f"/v1/nodes/{NODE}/bindings"] * 40
    reader.send(*paths)
    shown = [json.loads((await reader.take())[2]) for _ in paths]
    assert shown[0]["home_address"] == NODE
    assert shown[1]["items"][0]["name"] == "s1"
    assert shown[2]["home_address"] == ROUTER
    assert shown[3]["status"] == "ok"
    assert shown[4]["items"][0]["bid"] == 1
    assert shown[5:10] == [*shown[:3], shown[8], shown[4]]


async def test_who_asks_much_before_it_takes_anything_gets_everything(reader: Reader) -> None:
    many = 5000
    reader.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a read transport too
    reader.send(*[f"/v1/nodes/{NODE}"] * many)
    await asyncio.sleep(0.2)
    reader.writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
    for _ in range(many):
        assert (await reader.take())[0] == 200


async def test_a_connection_is_closed_when_that_is_asked_for(reader: Reader) -> None:
    status, headers, body = await reader.get(f"/v1/nodes/{NODE}", "Connection: close\r\n")
    assert (status, headers["connection"], json.loads(body)["home_address"]) == (200, "close", NODE)
    assert await reader.reader.read() == b""


async def test_a_body_is_looked_at(reader: Reader) -> None:
    reader.writer.write(GET.format(f"/v1/nodes/{NODE}", "Content-Length: 2\r\n").encode() + b"{}")
    assert (await reader.take())[0] == 415
    assert (await reader.get(f"/v1/nodes/{NODE}"))[0] == 200


async def test_a_head_is_never_asked_for_a_body(reader: Reader) -> None:
    reader.writer.write(f"HEAD /v1/nodes/{NODE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (await reader.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 405 ")


async def test_a_connection_that_was_answered_may_rest_and_ask_again(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEAD_TIMEOUT", 0.1)
    assert (await reader.get(f"/v1/nodes/{NODE}"))[0] == 200
    await asyncio.sleep(0.3)
    assert (await reader.get(f"/v1/nodes/{NODE}"))[0] == 200


async def test_half_a_head_behind_an_answer_is_given_up(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAD_TIMEOUT", 0.1)
    reader.writer.write(GET.format(f"/v1/nodes/{NODE}", "").encode() + b"GET /v1/no")
    assert (await reader.take())[0] == 200
    assert (await reader.reader.read()).startswith(b"HTTP/1.1 408 ")


class TestWhoMayAsk:
    @pytest.fixture
    def access(self) -> Access:
        return Access()

    async def test_a_stranger_gets_nothing_but_health(self, reader: Reader) -> None:
        for path in (f"/v1/nodes/{NODE}", f"/v1/nodes/{NODE}/bindings", "/metrics", "/v1/nodes"):
            for more in ("", "Authorization: Bearer mcoa_00000000_x\r\n", "Authorization: Basic eDp5\r\n"):
                status, headers, _ = await reader.get(path, more)
                assert (status, headers["content-type"]) == (401, "application/problem+json")
        for _ in range(100):
            assert (await reader.get("/health"))[0] == 200


class TestRate:
    @pytest.fixture
    def access(self) -> Access:
        return Access(anonymous=Role.VIEWER, limit=RateLimit(0.001, 10))

    @pytest.mark.parametrize("path", [f"/v1/nodes/{NODE}", f"/v1/nodes/{NODE}/bindings", "/v1/switches"])
    async def test_each_request_counts_once(self, reader: Reader, path: str) -> None:
        assert [(await reader.get(path))[0] for _ in range(12)] == [200] * 10 + [429] * 2
