"""Flow policies, and the order of a node's paths."""

from typing import Annotated, NoReturn

from fastapi import Query, Response

from controller.mobility.address import Address, format_address
from controller.northbound import etags, paging
from controller.northbound.control import Control, PolicyState, PolicyView
from controller.northbound.errors import NotFoundError
from controller.northbound.fields import HomeAddressPath, PolicyNamePath
from controller.northbound.models import Items
from controller.northbound.policy_models import PolicyRequest, PolicyResource, Preview
from controller.northbound.routes.common import (
    BODY,
    OPERATOR,
    ControlDependency,
    fails,
    known_node,
    leads_to,
    make_router,
)
from controller.northbound.routes.exchange import PREVIEWED, RemovalDependency, ReplacementDependency

router = make_router("policies")

_NEXT = leads_to("get_policy", "put_policy", "delete_policy", home_address="home_address", name="name")
_UNSET = frozenset({"state"})
"""What of a policy is no operator's doing."""


@router.get("/v1/policies")
async def list_policies(
    control: ControlDependency,
    state: Annotated[PolicyState | None, Query(description="Only policies in this state.")] = None,
    limit: paging.LimitQuery = paging.DEFAULT_LIMIT,
    cursor: paging.CursorQuery = None,
) -> Items[PolicyResource]:
    """List all policies, by home address and priority."""
    views = control.policies()
    wanted = views if state is None else [view for view in views if view.state is state]
    items, following = paging.page(wanted, _key, limit, cursor)
    return Items.of([PolicyResource.of(view) for view in items], len(wanted), following)


@router.get("/v1/nodes/{home_address}/policies", responses=fails(404))
async def list_node_policies(control: ControlDependency, home_address: HomeAddressPath) -> Items[PolicyResource]:
    """List the policies of one mobile node, by priority."""
    known_node(control, home_address)
    return Items.of([PolicyResource.of(view) for view in control.policies(home_address)])


@router.get("/v1/nodes/{home_address}/policies/{name}", responses=fails(404))
async def get_policy(
    control: ControlDependency, response: Response, home_address: HomeAddressPath, name: PolicyNamePath
) -> PolicyResource:
    """Show one policy."""
    known_node(control, home_address)
    policy = find_policy(control, home_address, name) or _no_policy(home_address, name)
    etags.put_on(response, etags.tag(policy, without=_UNSET))
    return policy


@router.put(
    "/v1/nodes/{home_address}/policies/{name}",
    responses={
        200: {"description": "The policy is so.", **_NEXT},
        201: {"model": PolicyResource, "description": "The policy is new.", **_NEXT},
        **fails(403, 404, 409, 412, 503, *BODY),
    },
    dependencies=OPERATOR,
)
async def put_policy(
    replacement: ReplacementDependency, home_address: HomeAddressPath, name: PolicyNamePath, body: PolicyRequest
) -> PolicyResource | Preview:
    """Make a policy, or put another in its place. Saying the same again changes nothing.

    The node need not be registered. While none of its BIDs is, the policy is inactive.
    """
    control = replacement.control
    known_node(control, home_address)
    policy = body.to_policy(home_address, name)

    async def put() -> tuple[bool, PolicyResource]:
        new = await control.put_policy(policy, body.to_schedule())
        # A deletion waits for the lock: what was put is there.
        return new, find_policy(control, home_address, name) or _no_policy(home_address, name)

    return await replacement.carry_out(
        lambda: find_policy(control, home_address, name),
        lambda: Preview.of(control.preview_policy(policy, body.to_schedule())),
        put,
        _UNSET,
    )


@router.delete(
    "/v1/nodes/{home_address}/policies/{name}",
    status_code=204,
    responses={**PREVIEWED, **fails(403, 404, 412, 503)},
    dependencies=OPERATOR,
)
async def delete_policy(removal: RemovalDependency, home_address: HomeAddressPath, name: PolicyNamePath) -> Response:
    """Remove a policy: its flows take the next policy that fits, else the preferred binding."""
    control = removal.control
    known_node(control, home_address)

    def preview() -> Preview:
        if find_policy(control, home_address, name) is None:
            _no_policy(home_address, name)
        return Preview.of(control.preview_policy_deletion(home_address, name))

    async def remove() -> None:
        if not await control.delete_policy(home_address, name):
            _no_policy(home_address, name)

    return await removal.carry_out(lambda: find_policy(control, home_address, name), preview, remove, _UNSET)


def find_policy(control: Control, home_address: Address, name: str) -> PolicyResource | None:
    """Return a policy, None when there is none."""
    views = control.policies(home_address)
    return next((PolicyResource.of(view) for view in views if view.policy.name == name), None)


def _key(view: PolicyView) -> bytes:
    return view.policy.home_address + view.policy.priority.to_bytes(2)


def _no_policy(home_address: Address, name: str) -> NoReturn:
    raise NotFoundError(f"{format_address(home_address)} has no policy {name!r}")
