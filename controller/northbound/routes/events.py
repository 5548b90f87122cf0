"""What happened: as a list, and as a stream of server-sent events."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from controller.northbound import paging
from controller.northbound.access import Access, Identity
from controller.northbound.errors import UnavailableError
from controller.northbound.events import EventFeed, Happening, Kind
from controller.northbound.guard import IdentityDependency
from controller.northbound.models import Items
from controller.northbound.routes.common import ControlDependency, fails, gently, make_router
from controller.northbound.system_models import EventResource, timestamp

router = make_router("events")

MAX_STREAMS: Final = 200
"""Streams at a time; more get status 503."""
_BATCH: Final = 200
_QUIET: Final = 15.0
"""Seconds after which a stream gives a sign of life, and its token is looked at again."""

KindQuery = Annotated[list[Kind], Query(description="Only events of these kinds; none: all.", max_length=len(Kind))]


def _resource(feed: EventFeed, one: Happening) -> EventResource:
    return EventResource(
        id=feed.id_of(one.number), time=timestamp(one.time), kind=one.kind, details=dict(one.details())
    )


@router.get("/v1/events")
async def list_events(
    control: ControlDependency,
    kind: KindQuery = [],  # noqa: B006  FastAPI copies it
    limit: paging.LimitQuery = paging.DEFAULT_LIMIT,
    cursor: paging.CursorQuery = None,
) -> Items[EventResource]:
    """List the latest events, newest first; so many as the controller remembers. The total is that of the page."""
    feed = control.feed
    newest = feed.last if cursor is None else int.from_bytes(paging.decode(cursor)[:7]) - 1
    kinds = frozenset(kind)
    found: list[Happening] = []
    following: str | None = None
    number = min(newest, feed.last)
    while number >= feed.oldest:
        one = feed.after(number - 1, 1)
        if one and (not kinds or one[0].kind in kinds):
            if len(found) == limit:
                following = paging.encode((number + 1).to_bytes(7))
                break
            found.append(one[0])
        number -= 1
    return Items.of(await gently(found, lambda one: [_resource(feed, one)]), None, following)


class EventStream(StreamingResponse):
    """Server-sent events; it has been counted as one of the streams that may be open at a time, until its end."""

    media_type = "text/event-stream"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            scope["app"].state.streams -= 1


@router.get(
    "/v1/events/stream",
    response_class=EventStream,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "Events without end."},
        **fails(503),
    },
)
async def stream_events(
    request: Request,
    control: ControlDependency,
    identity: IdentityDependency,
    kind: KindQuery = [],  # noqa: B006  as above
    last_event_id: Annotated[
        str | None, Header(max_length=64, description="Go on after this event; left out: with what comes from now on.")
    ] = None,
) -> EventStream:
    """Follow the events as they happen (server-sent events).

    A reader that goes on where it was gets an event "gap" first when events are forgotten that it has not seen.
    """
    state = request.app.state
    if state.streams >= MAX_STREAMS:
        raise UnavailableError(
            f"{MAX_STREAMS} streams of events are open: close some, or ask GET /v1/events from time to time"
        )
    position, missed = control.feed.position(last_event_id)
    # Counted before anybody else gets a turn: thousands may ask at once.
    state.streams += 1
    return EventStream(
        _events(state.access, control.feed, identity, frozenset(kind), position, missed),
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(
    access: Access, feed: EventFeed, identity: Identity, kinds: frozenset[Kind], position: int, missed: int
) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    while not feed.closed and access.still_good(identity):
        missed = max(missed, feed.oldest - 1 - position)
        if missed:
            position = max(position, feed.oldest - 1)
            yield _message(feed.id_of(position), "gap", {"missed": missed})
            missed = 0
        batch = feed.after(position, _BATCH)
        for one in batch:
            position = one.number
            if not kinds or one.kind in kinds:
                text = _resource(feed, one).model_dump(mode="json")
                yield _message(text["id"], one.kind, text)
        if not batch and not await feed.wait(position, _QUIET):
            yield ": still here\n\n"


def _message(number: str, kind: str, data: dict[str, Any]) -> str:
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"
