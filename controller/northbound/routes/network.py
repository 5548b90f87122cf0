"""Switches, home networks, the topology."""

from typing import Annotated, Final

from fastapi import Query, Request, Response

from controller.northbound import paging
from controller.northbound.control import Control
from controller.northbound.errors import NotFoundError
from controller.northbound.fields import SwitchNamePath
from controller.northbound.guard import IdentityDependency
from controller.northbound.models import AuditResource, Items, SwitchResource
from controller.northbound.routes.common import (
    OPERATOR,
    ControlDependency,
    LockDependency,
    fails,
    leads_to,
    make_router,
    record,
)
from controller.northbound.switch_views import SwitchState
from controller.northbound.system_models import HomeNetworkResource, SwitchDrain, TopologyResource

router = make_router("network")

_DRAINED: Final = {drained: SwitchDrain(drained=drained) for drained in (False, True)}
"""What the audit log has of a switch."""


@router.get("/v1/switches")
async def list_switches(
    control: ControlDependency,
    state: Annotated[SwitchState | None, Query(description="Only switches in this state.")] = None,
) -> Items[SwitchResource]:
    """List the switches with the state of their sessions, how full their tables are, and what they dropped."""
    views = [view for view in await control.switches() if state is None or view.state is state]
    return Items.of([SwitchResource.of(view) for view in views])


@router.get("/v1/switches/{name}", responses=fails(404))
async def get_switch(control: ControlDependency, name: SwitchNamePath) -> SwitchResource:
    """Show one switch."""
    return await _known_switch(control, name)


@router.put(
    "/v1/switches/{name}/drain",
    responses={
        200: {"description": "It is out of service.", **leads_to("get_switch", "undrain_switch", name="name")},
        **fails(403, 404, 409, 503),
    },
    dependencies=OPERATOR,
)
async def drain_switch(
    request: Request,
    control: ControlDependency,
    identity: IdentityDependency,
    changing: LockDependency,
    name: SwitchNamePath,
) -> SwitchResource:
    """Take a switch out of service, durably: no registration waits for it, and paths lead around it.

    When the answer comes they do, as far as there are other ways. It is kept up to date meanwhile. The only anchor in service
    stays in service (409).
    """
    async with changing:
        if await control.drain_switch(name):
            await record(control, identity, "drain", request.url.path, _DRAINED[False], _DRAINED[True])
        return await _known_switch(control, name)


@router.delete("/v1/switches/{name}/drain", status_code=204, responses=fails(403, 404, 503), dependencies=OPERATOR)
async def undrain_switch(
    request: Request,
    control: ControlDependency,
    identity: IdentityDependency,
    changing: LockDependency,
    name: SwitchNamePath,
) -> Response:
    """Put a switch back into service."""
    async with changing:
        await _known_switch(control, name)
        if not await control.undrain_switch(name):
            raise NotFoundError(f"{name} is in service")
        await record(control, identity, "delete", request.url.path, _DRAINED[True], _DRAINED[False])
    return Response(status_code=204)


@router.get("/v1/switches/{name}/audit", responses=fails(404))
async def audit_switch(control: ControlDependency, name: SwitchNamePath) -> AuditResource:
    """Read a switch's tables back and compare them with what they should hold. Nothing is repaired."""
    view = await control.audit(name)
    if view is None:
        raise NotFoundError(f"no switch is named {name!r}: GET /v1/switches lists those there are")
    return AuditResource.of(view)


async def _known_switch(control: Control, name: str) -> SwitchResource:
    view = await control.switch(name)
    if view is None:
        raise NotFoundError(f"no switch is named {name!r}: GET /v1/switches lists those there are")
    return SwitchResource.of(view)


@router.get("/v1/home-networks")
async def list_home_networks(control: ControlDependency) -> Items[HomeNetworkResource]:
    """List the home networks."""
    return Items.of([HomeNetworkResource.of(view) for view in control.home_networks()])


@router.get("/v1/topology")
async def get_topology(
    control: ControlDependency,
    limit: paging.LimitQuery = paging.DEFAULT_LIMIT,
) -> TopologyResource:
    """Show the network as a graph, with the paths of the bindings of up to `limit` nodes."""
    return TopologyResource.of(control.topology(control.addresses()[:limit]))
