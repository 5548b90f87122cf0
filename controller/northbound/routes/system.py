"""The controller itself: health, metrics, draining, the audit log."""

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request, Response

from controller.northbound import etags, metrics, paging
from controller.northbound.control import Control
from controller.northbound.errors import NotFoundError
from controller.northbound.guard import IdentityDependency
from controller.northbound.models import HealthResource, Items
from controller.northbound.routes.common import (
    ADMIN,
    BODY,
    OPERATOR,
    ControlDependency,
    LockDependency,
    fails,
    make_router,
    record,
)
from controller.northbound.system_models import ChangeResource, DrainRequest, DrainResource, ReloadedResource
from controller.northbound.version import mcoa_version

router = make_router("controller")
open_router = make_router("controller", closed=False)

_PASSING: Final = frozenset({"seconds_left", "remaining"})
"""What of a draining changes by itself."""


@dataclass(frozen=True, slots=True)
class _DrainExchange:
    """A request that begins or ends draining."""

    request: Request
    control: ControlDependency
    identity: IdentityDependency
    changing: LockDependency
    if_match: etags.IfMatch = None


DrainExchange = Annotated[_DrainExchange, Depends()]


@open_router.get("/health")
async def get_health(control: ControlDependency) -> HealthResource:
    """Tell how the controller is. Always 200 while it answers: a switch out of reach makes it "degraded"."""
    return HealthResource.of(control.health(), mcoa_version())


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def get_metrics(control: ControlDependency) -> Response:
    """Give the numbers for Prometheus."""
    page = metrics.render(control, await control.switches())
    return Response(page, media_type="text/plain; version=0.0.4")


@router.get("/v1/drain", responses=fails(404))
async def get_drain(control: ControlDependency, response: Response) -> DrainResource:
    """Show how draining stands; 404: nothing is drained."""
    shown = _draining(control)
    if shown is None:
        raise NotFoundError("nothing is drained: PUT /v1/drain begins")
    etags.put_on(response, etags.tag(shown, without=_PASSING))
    return shown


@router.put("/v1/drain", responses=fails(403, 412, 503, *BODY), dependencies=OPERATOR)
async def put_drain(
    exchange: DrainExchange, response: Response, body: DrainRequest, if_none_match: etags.IfNoneMatch = None
) -> DrainResource:
    """Ask all nodes to go to other home agents (RFC 5142), and prolong no binding. It is durable. Again: ask them again."""
    control = exchange.control
    async with exchange.changing:
        before = _draining(control)
        etags.require(_tag(before), exchange.if_match, if_none_match)
        await control.begin_drain(body.addresses(), body.seconds_left)
        after = _draining(control)
        assert after is not None, "a draining ends under the same lock"
        await record(control, exchange.identity, "drain", exchange.request.url.path, before, after)
    etags.put_on(response, etags.tag(after, without=_PASSING))
    return after


@router.delete("/v1/drain", status_code=204, responses=fails(403, 404, 412, 503), dependencies=OPERATOR)
async def delete_drain(exchange: DrainExchange) -> Response:
    """End draining: nodes may register and stay as before."""
    control = exchange.control
    async with exchange.changing:
        before = _draining(control)
        etags.require(_tag(before), exchange.if_match, None)
        if before is None or not await control.end_drain():
            raise NotFoundError("nothing is drained")
        await record(control, exchange.identity, "delete", exchange.request.url.path, before)
    return Response(status_code=204)


def _draining(control: Control) -> DrainResource | None:
    view = control.drain()
    return None if view is None else DrainResource.of(view)


def _tag(shown: DrainResource | None) -> str | None:
    return None if shown is None else etags.tag(shown, without=_PASSING)


@router.post("/v1/reload", responses=fails(403), dependencies=ADMIN)
async def reload(request: Request, control: ControlDependency, identity: IdentityDependency) -> ReloadedResource:
    """Read the configuration file again, and bring into force what can be; one with an error changes nothing (422)."""
    done = ReloadedResource.of(await control.reload())
    await record(control, identity, "reload", request.url.path, None, done)
    return done


@router.get("/v1/audit-log", responses=fails(403, 503), dependencies=ADMIN)
async def list_changes(
    control: ControlDependency,
    limit: paging.LimitQuery = paging.DEFAULT_LIMIT,
    cursor: paging.CursorQuery = None,
) -> Items[ChangeResource]:
    """List who changed what, newest first; the total is that of the page."""
    before = None if cursor is None else int.from_bytes(paging.decode(cursor)[:7])
    found = [ChangeResource.of(change) for change in await control.changes(limit, before)]
    following = paging.encode(found[-1].number.to_bytes(7)) if len(found) == limit and found[-1].number > 1 else None
    return Items.of(found, None, following)
