"""Bindings: care-of addresses and their traffic, revocation, drills."""

from typing import TYPE_CHECKING, Annotated

from fastapi import Query, Request, Response

from controller.mobility.address import Address, format_address
from controller.northbound import paging
from controller.northbound.errors import NotFoundError
from controller.northbound.fields import BidPath, HomeAddressPath
from controller.northbound.guard import IdentityDependency
from controller.northbound.models import BindingResource, Items, bindings_of
from controller.northbound.routes.common import (
    BODY,
    OPERATOR,
    ControlDependency,
    fails,
    gently,
    known_node,
    make_router,
    record,
)
from controller.northbound.system_models import DrillRequest, DrillResource, RevokedResource

if TYPE_CHECKING:
    from controller.northbound.control import NodeView

router = make_router("bindings")


@router.get("/v1/bindings")
async def list_bindings(
    control: ControlDependency,
    bid: Annotated[int | None, Query(ge=0, le=65535, description="Only bindings with this BID.")] = None,
    limit: paging.LimitQuery = paging.DEFAULT_LIMIT,
    cursor: paging.CursorQuery = None,
) -> Items[BindingResource]:
    """List all bindings, by home address and BID, with their counters. A page ends with the last binding of a node."""
    addresses = control.addresses()
    nodes: list[NodeView] = []
    found = 0
    following: str | None = None
    for address in addresses[paging.after(addresses, cursor) :]:
        view = control.node(address)
        mine = 0 if view is None else sum(1 for one in view.bindings if bid is None or one.binding.bid == bid)
        if view is None or not mine:
            continue
        if nodes and found + mine > limit:
            following = paging.encode(nodes[-1].home_address)
            break
        nodes.append(view)
        found += mine
    traffic = await control.traffic([view.home_address for view in nodes])
    items = await gently(
        nodes, lambda view: [one for one in bindings_of(view, traffic) if bid is None or one.bid == bid]
    )
    return Items.of(items, control.census().bindings if bid is None else len(items), following)


@router.delete("/v1/bindings", status_code=202, responses=fails(403), dependencies=OPERATOR)
async def delete_all_bindings(
    request: Request, control: ControlDependency, identity: IdentityDependency
) -> RevokedResource:
    """Begin to revoke all bindings of all nodes (RFC 5846). Events tell when each is gone."""
    begun = RevokedResource(nodes=control.revoke_all())
    await record(control, identity, "revoke", request.url.path, None, begun)
    return begun


@router.get("/v1/nodes/{home_address}/bindings", responses=fails(404))
async def list_node_bindings(control: ControlDependency, home_address: HomeAddressPath) -> Items[BindingResource]:
    """List the bindings of one mobile node, by BID, with their counters."""
    known_node(control, home_address)
    traffic = await control.traffic([home_address])
    # Asked again: reading the counters took time, and the node may have moved meanwhile.
    return Items.of(bindings_of(known_node(control, home_address), traffic))


@router.delete(
    "/v1/nodes/{home_address}/bindings",
    status_code=204,
    responses=fails(403, 404, 409, 503),
    dependencies=OPERATOR,
)
async def delete_bindings(
    request: Request, control: ControlDependency, identity: IdentityDependency, home_address: HomeAddressPath
) -> Response:
    """Revoke all bindings of a mobile node, as one is revoked."""
    before = bindings_of(known_node(control, home_address), {})
    await control.revoke(home_address)
    await record(control, identity, "revoke", request.url.path, Items.of(before))
    return Response(status_code=204)


@router.get("/v1/nodes/{home_address}/bindings/{bid}", responses=fails(404))
async def get_binding(control: ControlDependency, home_address: HomeAddressPath, bid: BidPath) -> BindingResource:
    """Show one binding of a mobile node, with its counters."""
    known_node(control, home_address)
    traffic = await control.traffic([home_address])
    return _one(bindings_of(known_node(control, home_address), traffic), home_address, bid)


@router.delete(
    "/v1/nodes/{home_address}/bindings/{bid}",
    status_code=204,
    responses=fails(403, 404, 409, 503),
    dependencies=OPERATOR,
)
async def delete_binding(
    request: Request,
    control: ControlDependency,
    identity: IdentityDependency,
    home_address: HomeAddressPath,
    bid: BidPath,
) -> Response:
    """Revoke a binding (RFC 5846): the node is told, and with or without its answer the binding is removed.

    The answer comes when it is, which takes 3 seconds when the node says nothing.
    """
    before = _one(bindings_of(known_node(control, home_address), {}), home_address, bid)
    await control.revoke(home_address, bid)
    await record(control, identity, "revoke", request.url.path, before)
    return Response(status_code=204)


@router.post(
    "/v1/nodes/{home_address}/bindings/{bid}/drill",
    responses=fails(403, 404, 409, 503, *BODY),
    dependencies=OPERATOR,
)
async def drill(
    request: Request,
    control: ControlDependency,
    identity: IdentityDependency,
    home_address: HomeAddressPath,
    bid: BidPath,
    body: DrillRequest,
) -> DrillResource:
    """Take a path away as if its binding had ended, and give it back: the node's traffic goes by its other paths meanwhile.

    The answer comes when the path is back. What traffic suffers is measured by whoever sends it: see `mcoa drill`.
    """
    known_node(control, home_address)
    done = DrillResource.of(await control.drill(home_address, bid, body.seconds))
    await record(control, identity, "drill", request.url.path, None, done)
    return done


def _one(bindings: list[BindingResource], home_address: Address, bid: int) -> BindingResource:
    found = next((one for one in bindings if one.bid == bid), None)
    if found is None:
        raise NotFoundError(f"{format_address(home_address)} has no binding with BID {bid}")
    return found
