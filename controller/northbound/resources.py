"""The resources under /v1, and /health and /metrics."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, NoReturn, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from controller.mobility.address import Address, format_address
from controller.northbound import metrics
from controller.northbound.control import BindingKey, BindingTraffic, Control, NodeView, NotFoundError, UnknownNodeError
from controller.northbound.fields import BidPath, HomeAddressPath, PolicyNamePath, SwitchNamePath
from controller.northbound.guard import needs
from controller.northbound.models import (
    AuditResource,
    BindingResource,
    HealthResource,
    Items,
    NodeResource,
    PolicyRequest,
    PolicyResource,
    Problem,
    SwitchResource,
)
from controller.northbound.tokens import Role
from controller.northbound.version import mcoa_version

T = TypeVar("T")

_NODES_AT_ONCE = 200
"""Nodes that are turned into JSON without a break: two milliseconds."""

_MEANINGS = {
    400: "The body is not JSON.",
    401: "No token, or one that is not good.",
    403: "The token's role does not allow it.",
    404: "The home address, policy or switch is not known.",
    408: "The body did not arrive in time.",
    409: "Another policy of the node has this priority, or the node registered the binding anew meanwhile.",
    413: "The body is too long.",
    415: "The body is not declared as application/json.",
    422: "A field is wrong, or the data plane cannot realise the policy.",
    429: "The token has used up its rate.",
    503: "It cannot be done now; nothing was changed.",
}


def _fails(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of the failures of an operation."""
    return {status: {"model": Problem, "description": _MEANINGS[status]} for status in statuses}


def _control(request: Request) -> Control:
    control: Control = request.app.state.control
    return control


def _no_unknown_query(request: Request) -> None:
    """Refuse query parameters that the operation does not have: a misspelt filter must not look like one that works."""
    route = request.scope.get("route")
    known = {field.alias for field in route.dependant.query_params} if isinstance(route, APIRoute) else set()
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        raise RequestValidationError(
            [{"type": "extra_forbidden", "loc": ("query", name), "msg": "unknown parameter"} for name in unknown]
        )


ControlDependency = Annotated[Control, Depends(_control)]
router = APIRouter(dependencies=[Depends(_no_unknown_query)], responses=_fails(401, 422, 429))
OPERATOR = [Depends(needs(Role.OPERATOR))]


def _known(control: Control, home_address: Address) -> NodeView:
    node = control.node(home_address)
    if node is None:
        address = format_address(home_address)
        raise UnknownNodeError(f"no mobile node has the home address {address}: GET /v1/nodes lists those there are")
    return node


def _bindings(node: NodeView, traffic: Mapping[BindingKey, BindingTraffic]) -> list[BindingResource]:
    return [
        BindingResource.of(node.home_address, view, traffic.get((node.home_address, view.binding.bid)))
        for view in node.bindings
    ]


async def _gently(nodes: Sequence[NodeView], make: Callable[[NodeView], Iterable[T]]) -> list[T]:
    """Return what `make` gives for each node; let others run in between: registrations share this event loop."""
    found: list[T] = []
    for position, node in enumerate(nodes, start=1):
        found += make(node)
        if position % _NODES_AT_ONCE == 0:
            await asyncio.sleep(0)
    return found


@router.get("/v1/nodes", tags=["nodes"])
async def list_nodes(control: ControlDependency) -> Items[NodeResource]:
    """List the mobile nodes, provisioned or registered, by home address."""
    return Items.of(await _gently(control.nodes(), lambda node: [NodeResource.of(node)]))


@router.get("/v1/nodes/{home_address}", tags=["nodes"], responses=_fails(404))
async def get_node(control: ControlDependency, home_address: HomeAddressPath) -> NodeResource:
    """Show one mobile node."""
    return NodeResource.of(_known(control, home_address))


@router.get("/v1/nodes/{home_address}/bindings/{bid}", tags=["bindings"], responses=_fails(404))
async def get_binding(control: ControlDependency, home_address: HomeAddressPath, bid: BidPath) -> BindingResource:
    """Show one binding of a mobile node, with its counters."""
    _known(control, home_address)
    traffic = await control.traffic(home_address)
    found = [one for one in _bindings(_known(control, home_address), traffic) if one.bid == bid]
    if not found:
        raise NotFoundError(f"{format_address(home_address)} has no binding with BID {bid}")
    return found[0]


@router.delete(
    "/v1/nodes/{home_address}/bindings/{bid}",
    tags=["bindings"],
    status_code=204,
    responses=_fails(403, 404, 409, 503),
    dependencies=OPERATOR,
)
async def delete_binding(control: ControlDependency, home_address: HomeAddressPath, bid: BidPath) -> Response:
    """Revoke a binding (RFC 5846): the node is told, and with or without its answer the binding is removed.

    The answer comes when it is, which takes 3 seconds when the node says nothing.
    """
    _known(control, home_address)
    await control.revoke(home_address, bid)
    return Response(status_code=204)


@router.delete(
    "/v1/nodes/{home_address}/bindings",
    tags=["bindings"],
    status_code=204,
    responses=_fails(403, 404, 409, 503),
    dependencies=OPERATOR,
)
async def delete_bindings(control: ControlDependency, home_address: HomeAddressPath) -> Response:
    """Revoke all bindings of a mobile node, as one is revoked."""
    _known(control, home_address)
    await control.revoke(home_address)
    return Response(status_code=204)


@router.get("/v1/nodes/{home_address}/bindings", tags=["bindings"], responses=_fails(404))
async def list_node_bindings(control: ControlDependency, home_address: HomeAddressPath) -> Items[BindingResource]:
    """List the bindings of one mobile node, by BID, with their counters."""
    _known(control, home_address)
    traffic = await control.traffic(home_address)
    # Asked again: reading the counters took time, and the node may have moved meanwhile.
    return Items.of(_bindings(_known(control, home_address), traffic))


@router.get("/v1/bindings", tags=["bindings"])
async def list_bindings(control: ControlDependency) -> Items[BindingResource]:
    """List all bindings, by home address and BID, with their counters."""
    traffic = await control.traffic()
    return Items.of(await _gently(control.nodes(), lambda node: _bindings(node, traffic)))


@router.get("/v1/switches", tags=["switches"])
async def list_switches(control: ControlDependency) -> Items[SwitchResource]:
    """List the switches with the state of their sessions, how full their tables are, and what they dropped."""
    return Items.of([SwitchResource.of(view) for view in await control.switches()])


@router.get("/v1/switches/{name}", tags=["switches"], responses=_fails(404))
async def get_switch(control: ControlDependency, name: SwitchNamePath) -> SwitchResource:
    """Show one switch."""
    view = await control.switch(name)
    if view is None:
        raise NotFoundError(f"no switch is named {name!r}: GET /v1/switches lists those there are")
    return SwitchResource.of(view)


@router.get("/v1/switches/{name}/audit", tags=["switches"], responses=_fails(404))
async def audit_switch(control: ControlDependency, name: SwitchNamePath) -> AuditResource:
    """Read a switch's tables back and compare them with what they should hold. Nothing is repaired."""
    view = await control.audit(name)
    if view is None:
        raise NotFoundError(f"no switch is named {name!r}: GET /v1/switches lists those there are")
    return AuditResource.of(view)


@router.get("/v1/policies", tags=["policies"])
async def list_policies(control: ControlDependency) -> Items[PolicyResource]:
    """List all policies, by home address and priority."""
    return Items.of([PolicyResource.of(view) for view in control.policies()])


@router.get("/v1/nodes/{home_address}/policies", tags=["policies"], responses=_fails(404))
async def list_node_policies(control: ControlDependency, home_address: HomeAddressPath) -> Items[PolicyResource]:
    """List the policies of one mobile node, by priority."""
    _known(control, home_address)
    return Items.of([PolicyResource.of(view) for view in control.policies(home_address)])


def _policy(control: Control, home_address: Address, name: str) -> PolicyResource:
    views = control.policies(home_address)
    found = next((PolicyResource.of(view) for view in views if view.policy.name == name), None)
    return found or _no_policy(home_address, name)


def _no_policy(home_address: Address, name: str) -> NoReturn:
    raise NotFoundError(f"{format_address(home_address)} has no policy {name!r}")


@router.get("/v1/nodes/{home_address}/policies/{name}", tags=["policies"], responses=_fails(404))
async def get_policy(control: ControlDependency, home_address: HomeAddressPath, name: PolicyNamePath) -> PolicyResource:
    """Show one policy."""
    _known(control, home_address)
    return _policy(control, home_address, name)


@router.put(
    "/v1/nodes/{home_address}/policies/{name}",
    tags=["policies"],
    responses={
        201: {"model": PolicyResource, "description": "The policy is new."},
        **_fails(400, 403, 404, 408, 409, 413, 415, 503),
    },
    dependencies=OPERATOR,
)
async def put_policy(
    request: Request,
    response: Response,
    control: ControlDependency,
    home_address: HomeAddressPath,
    name: PolicyNamePath,
    body: PolicyRequest,
) -> PolicyResource:
    """Make a policy, or put another in its place. Saying the same again changes nothing.

    The node need not be registered. While the BID is not, the policy is inactive.
    """
    _known(control, home_address)
    if await control.put_policy(body.to_policy(home_address, name)):
        response.status_code = 201
        response.headers["Location"] = request.url.path
    # Someone may have deleted it in the meantime: then there is nothing to show.
    return _policy(control, home_address, name)


@router.delete(
    "/v1/nodes/{home_address}/policies/{name}",
    tags=["policies"],
    status_code=204,
    responses=_fails(403, 404, 503),
    dependencies=OPERATOR,
)
async def delete_policy(control: ControlDependency, home_address: HomeAddressPath, name: PolicyNamePath) -> Response:
    """Remove a policy: its flows take the next policy that fits, else the preferred binding."""
    _known(control, home_address)
    if not await control.delete_policy(home_address, name):
        _no_policy(home_address, name)
    return Response(status_code=204)


@router.get("/health", tags=["controller"])
async def get_health(control: ControlDependency) -> HealthResource:
    """Tell how the controller is. Always 200 while it answers: a switch out of reach makes it "degraded"."""
    return HealthResource.of(control.health(), mcoa_version())


@router.get("/metrics", tags=["controller"], response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def get_metrics(control: ControlDependency) -> Response:
    """Give the numbers for Prometheus."""
    switches = await control.switches()
    page = metrics.render(control.nodes(), switches, control.signalling(), control.health().uptime)
    return Response(page, media_type="text/plain; version=0.0.4")
