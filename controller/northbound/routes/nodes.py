"""Mobile nodes: who there is, what they may do, what they have signalled."""

from typing import Annotated

from fastapi import Query, Response
from fastapi.exceptions import RequestValidationError

from controller.mobility.address import Address
from controller.mobility.provision import NodeProvision
from controller.northbound import etags, paging
from controller.northbound.control import Control, NodeState, NodeView
from controller.northbound.errors import NotFoundError
from controller.northbound.fields import HomeAddressPath
from controller.northbound.models import Items, NodeResource
from controller.northbound.node_models import FlowResource, ProvisionRequest, ProvisionResource
from controller.northbound.policy_models import Preview
from controller.northbound.routes.common import (
    ADMIN,
    BODY,
    ControlDependency,
    fails,
    gently,
    known_node,
    leads_to,
    make_router,
)
from controller.northbound.routes.exchange import PREVIEWED, RemovalDependency, ReplacementDependency
from controller.northbound.views import Origin, ProvisionView

router = make_router("nodes")

_NEXT = leads_to(
    "get_node",
    "get_provision",
    "put_provision",
    "delete_provision",
    "list_node_bindings",
    "list_node_policies",
    "get_preference",
    home_address="home_address",
)
StateQuery = Annotated[NodeState | None, Query(description="Only nodes in this state.")]


@router.get("/v1/nodes")
async def list_nodes(
    control: ControlDependency,
    state: StateQuery = None,
    limit: paging.LimitQuery = paging.DEFAULT_LIMIT,
    cursor: paging.CursorQuery = None,
) -> Items[NodeResource]:
    """List the mobile nodes, provisioned or registered, by home address."""
    addresses = control.addresses()
    views: list[NodeView] = []
    following: str | None = None
    for address in addresses[paging.after(addresses, cursor) :]:
        view = control.node(address)
        if view is None or (state is not None and view.state is not state):
            continue
        if len(views) == limit:
            following = paging.encode(views[-1].home_address)
            break
        views.append(view)
    total = len(addresses) if state is None else len(views)
    return Items.of(await gently(views, lambda view: [NodeResource.of(view)]), total, following)


@router.get("/v1/nodes/{home_address}", responses=fails(404))
async def get_node(control: ControlDependency, home_address: HomeAddressPath) -> NodeResource:
    """Show one mobile node."""
    return NodeResource.of(known_node(control, home_address))


@router.get("/v1/nodes/{home_address}/provision", responses=fails(404))
async def get_provision(
    control: ControlDependency, response: Response, home_address: HomeAddressPath
) -> ProvisionResource:
    """Show what a node may do. Its keys are not shown."""
    known_node(control, home_address)
    view = control.provision(home_address)
    if view is None:
        raise NotFoundError("the node is not provisioned: an open home network admits it with the defaults")
    resource = ProvisionResource.of(view)
    etags.put_on(response, etags.tag(resource))
    return resource


@router.put(
    "/v1/nodes/{home_address}/provision",
    responses={
        200: {"description": "The node is served so.", **_NEXT},
        201: {"model": ProvisionResource, "description": "The node is new.", **_NEXT},
        **fails(403, 409, 412, 503, *BODY),
    },
    dependencies=ADMIN,
)
async def put_provision(
    replacement: ReplacementDependency, home_address: HomeAddressPath, body: ProvisionRequest
) -> ProvisionResource | Preview:
    """Serve a node, or by other rules. It is durable, and in force at once; bindings that the node may not keep are revoked.

    A node that the configuration file names has to be changed there.
    """
    control = replacement.control

    def preview() -> Preview:
        return Preview.of(control.preview_provision(_provision(control, home_address, body)))

    async def put() -> tuple[bool, ProvisionResource]:
        node = _provision(control, home_address, body)
        new = await control.put_provision(node)
        return new, ProvisionResource.of(ProvisionView(node, Origin.REST))

    return await replacement.carry_out(lambda: _shown(control, home_address), preview, put)


@router.delete(
    "/v1/nodes/{home_address}/provision",
    status_code=204,
    responses={**PREVIEWED, **fails(403, 404, 409, 412, 503)},
    dependencies=ADMIN,
)
async def delete_provision(removal: RemovalDependency, home_address: HomeAddressPath) -> Response:
    """Serve a node no more; its bindings are revoked."""
    control = removal.control
    return await removal.carry_out(
        lambda: _shown(control, home_address),
        lambda: Preview.of(control.preview_unprovision(home_address)),
        lambda: control.delete_provision(home_address),
    )


@router.get("/v1/nodes/{home_address}/flows", responses=fails(404))
async def list_flows(control: ControlDependency, home_address: HomeAddressPath) -> Items[FlowResource]:
    """List the flow bindings that a node has signalled (RFC 6089), by priority. Policies of the operator come before them."""
    known_node(control, home_address)
    return Items.of([FlowResource.of(view) for view in control.flows(home_address)])


def _shown(control: Control, home_address: Address) -> ProvisionResource | None:
    view = control.provision(home_address)
    return None if view is None else ProvisionResource.of(view)


def _provision(control: Control, home_address: Address, body: ProvisionRequest) -> NodeProvision:
    try:
        return body.to_provision(home_address, control.provision(home_address))
    except ValueError as error:
        raise RequestValidationError(
            [{"type": "value_error", "loc": ("body", "security"), "msg": str(error)}]
        ) from error
