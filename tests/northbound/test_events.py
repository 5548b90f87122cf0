import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from controller.northbound import Access, NorthboundServer, Role, TokenFile, create_app
from controller.northbound.events import EventFeed, Kind
from controller.northbound.routes import events as module
from fake_control import OPEN, FakeControl


def publish(control: FakeControl, *numbers: int, kind: Kind = Kind.POLICY) -> None:
    for number in numbers:
        control.feed.publish(kind, partial(dict, number=number))


@pytest.fixture
async def server(control: FakeControl) -> AsyncIterator[NorthboundServer]:
    server = NorthboundServer(create_app(control, OPEN), "127.0.0.1", 0)
    await server.start()
    yield server
    control.feed.close()
    await server.stop()


class Reader:
    """Reads a stream of events by hand: the client library is tested with the command line."""

    def __init__(self, url: str, headers: dict[str, str] | None = None, query: str = "") -> None:
        self._client = httpx.AsyncClient(trust_env=False, timeout=20)
        self._stream = self._client.stream("GET", f"{url}/v1/events/stream{query}", headers=headers)

    async def __aenter__(self) -> Self:
        self.answer = await self._stream.__aenter__()
        self._lines = self.answer.aiter_lines()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stream.__aexit__(None, None, None)
        await self._client.aclose()

    async def next(self) -> tuple[str, str, Any]:
        """Return id, kind and data of the next event."""
        fields: dict[str, str] = {}
        async for line in self._lines:
            if not line and "data" in fields:
                return fields["id"], fields["event"], json.loads(fields["data"])
            name, _, value = line.partition(": ")
            fields[name] = value
        raise EOFError


async def test_a_stream_shows_what_happens_from_now_on(server: NorthboundServer, control: FakeControl) -> None:
    publish(control, 1)
    async with Reader(server.url) as reader:
        assert reader.answer.headers["content-type"].startswith("text/event-stream")
        await asyncio.sleep(0.05)
        publish(control, 2)
        number, kind, data = await reader.next()
        assert (kind, data["details"], data["id"]) == ("policy", {"number": 2}, number)


async def test_a_reader_goes_on_where_it_was(server: NorthboundServer, control: FakeControl) -> None:
    publish(control, *range(1, 6))
    seen = control.feed.id_of(3)
    async with Reader(server.url, {"Last-Event-ID": seen}) as reader:
        assert [(await reader.next())[2]["details"]["number"] for _ in range(2)] == [4, 5]
        publish(control, 6)
        assert (await reader.next())[2]["details"]["number"] == 6


async def test_kinds(server: NorthboundServer, control: FakeControl) -> None:
    publish(control, 1, 2)
    publish(control, 3, kind=Kind.DRAIN)
    async with Reader(server.url, {"Last-Event-ID": control.feed.id_of(0)}, "?kind=drain&kind=drill") as reader:
        assert (await reader.next())[2]["details"]["number"] == 3
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        listed = (await client.get("/v1/events?kind=policy&limit=1")).json()
        assert [one["details"]["number"] for one in listed["items"]] == [2]
        more = (await client.get(f"/v1/events?kind=policy&limit=1&cursor={listed['next']}")).json()
        assert ([one["details"]["number"] for one in more["items"]], more["next"]) == ([1], None)
        assert (await client.get("/v1/events?kind=weather")).status_code == 422


async def test_a_reader_is_told_what_it_missed(control: FakeControl) -> None:
    control.feed = EventFeed(lambda: 1e9, capacity=3)
    server = NorthboundServer(create_app(control, OPEN), "127.0.0.1", 0)
    await server.start()
    publish(control, *range(1, 11))
    async with Reader(server.url, {"Last-Event-ID": control.feed.id_of(2)}) as reader:
        assert (await reader.next())[1:] == ("gap", {"missed": 5})
        assert [(await reader.next())[2]["details"]["number"] for _ in range(3)] == [8, 9, 10]
    # Of another run of the controller: all that this one knows is new.
    async with Reader(server.url, {"Last-Event-ID": "abc-9"}) as reader:
        assert (await reader.next())[1] == "gap"
        assert (await reader.next())[2]["details"]["number"] == 8
    async with Reader(server.url, {"Last-Event-ID": "nonsense"}) as reader:
        await asyncio.sleep(0.05)
        publish(control, 11)
        assert (await reader.next())[2]["details"]["number"] == 11
    control.feed.close()
    await server.stop()


async def test_readers_have_an_end(
    server: NorthboundServer, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_STREAMS", 2)
    async with Reader(server.url) as one, Reader(server.url) as other, Reader(server.url) as third:
        assert (one.answer.status_code, other.answer.status_code, third.answer.status_code) == (200, 200, 503)
    # When one goes, another may come.
    async with asyncio.timeout(20):
        while True:
            publish(control, 1)
            async with Reader(server.url) as fourth:
                if fourth.answer.status_code == 200:
                    break
            await asyncio.sleep(0.05)


async def test_of_thousands_that_come_at_once_so_many_get_in(control: FakeControl) -> None:
    """In one process without sockets: that many ask before the first has its answer."""
    app = create_app(control, OPEN)
    statuses: list[int] = []

    async def ask() -> None:
        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        leave = asyncio.Event()

        async def receive() -> Any:
            await leave.wait()

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "path": "/v1/events/stream",
            "raw_path": b"/v1/events/stream",
            "query_string": b"",
            "headers": [],
            "server": ("northbound", 80),
            "scheme": "http",
        }
        await app(scope, receive, send)

    readers = [asyncio.create_task(ask()) for _ in range(3000)]
    while len(statuses) < len(readers):  # noqa: ASYNC110  only the answers tell
        await asyncio.sleep(0.01)
    assert (statuses.count(200), statuses.count(503)) == (module.MAX_STREAMS, 3000 - module.MAX_STREAMS)
    assert app.state.streams == module.MAX_STREAMS
    control.feed.close()
    await asyncio.gather(*readers)
    assert app.state.streams == 0


async def test_a_stream_ends_with_its_token(
    control: FakeControl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUIET", 0.05)
    monkeypatch.setattr("controller.northbound.tokens._RECHECK", 0.0)
    tokens = TokenFile(tmp_path / "tokens.json")
    header = {"Authorization": f"Bearer {tokens.create('alice', Role.VIEWER)}"}
    server = NorthboundServer(create_app(control, Access(tokens)), "127.0.0.1", 0)
    await server.start()
    async with Reader(server.url, header) as reader:
        assert reader.answer.status_code == 200
        tokens.revoke("alice")
        async with asyncio.timeout(20):
            with pytest.raises(EOFError):
                await reader.next()
    async with Reader(server.url) as stranger:
        assert stranger.answer.status_code == 401
    control.feed.close()
    await server.stop()


async def test_the_ring_forgets() -> None:
    feed = EventFeed(lambda: 0.0, capacity=2)
    assert (feed.oldest, feed.after(0, 10)) == (1, [])
    for _ in range(5):
        feed.publish(Kind.NODE, dict)
    assert [one.number for one in feed.after(0, 10)] == [4, 5]
    assert [one.number for one in feed.after(4, 10)] == [5]
    assert feed.after(5, 10) == []
    assert not await feed.wait(5, 0.01)
    assert await feed.wait(4, 0.01)
