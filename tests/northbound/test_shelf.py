from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from controller.northbound.access import Identity
from controller.northbound.shelf import Repeater, Shelf
from controller.northbound.tokens import Role


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class World:
    """A number that can be read and changed, behind a shelf that makes one answer a second anew, three at once."""

    def __init__(self) -> None:
        self.number = 0
        self.status = 200
        self.clock = Clock()
        routes = [
            Route("/number", self.read, methods=["GET", "PUT"]),
            Route("/stream", self.stream),
        ]
        self.role = Role.VIEWER
        shelf = Repeater(Starlette(routes=routes), Shelf(1.0, 3.0, self.clock))

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("state", {})["identity"] = Identity("alice", self.role, "1")
            await shelf(scope, receive, send)

        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shelf")

    async def read(self, request: Request) -> JSONResponse:
        if request.method == "PUT":
            self.number = 1000
        return JSONResponse(self.number, self.status)

    async def stream(self, _request: Request) -> StreamingResponse:
        def parts() -> Iterator[str]:
            yield str(self.number)
            yield "!"

        return StreamingResponse(parts())

    async def get(self, path: str = "/number") -> str:
        answer = (await self.client.get(path)).text
        self.number += 1
        return answer


@pytest.fixture
def world() -> World:
    return World()


async def test_who_reads_now_and_then_sees_what_is(world: World) -> None:
    for expected in range(10):
        assert await world.get() == str(expected)
        world.clock.now += 1


async def test_who_reads_all_the_time_sees_what_was_a_moment_ago(world: World) -> None:
    assert [await world.get() for _ in range(6)] == ["0", "1", "2", "2", "2", "2"]
    world.clock.now += 1
    assert [await world.get() for _ in range(3)] == ["6", "6", "6"]


async def test_who_changes_something_sees_that_it_is_changed(world: World) -> None:
    for _ in range(5):
        await world.get()
    await world.client.put("/number")
    assert await world.get() == "1000"


async def test_another_query_or_role_gets_its_own_answer(world: World) -> None:
    for _ in range(5):
        await world.get()
    assert await world.get("/number?x=1") == "5"
    world.role = Role.ADMIN
    assert await world.get() == "6"


async def test_failures_and_streams_are_not_given_again(world: World) -> None:
    world.status = 503
    assert [await world.get() for _ in range(5)] == list("01234")
    assert [await world.get("/stream") for _ in range(3)] == ["5!", "6!", "7!"]


async def test_an_answer_becomes_no_older_than_its_age_allows(world: World) -> None:
    world.clock.now += 10
    assert [await world.get() for _ in range(4)] == ["0", "1", "2", "2"]
    # All that is earned meanwhile goes to others.
    for _ in range(11):
        world.clock.now += 0.1
        await world.get(f"/number?x={world.clock.now}")
    assert await world.get() != "2"
