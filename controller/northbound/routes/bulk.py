"""Many nodes and policies in one request."""

import asyncio
from typing import Annotated, Literal

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field

from controller.northbound import fields
from controller.northbound.control import Control
from controller.northbound.errors import ControlError
from controller.northbound.guard import IdentityDependency, needs
from controller.northbound.models import Problem, Resource
from controller.northbound.node_models import ProvisionRequest, ProvisionResource
from controller.northbound.policy_models import PolicyRequest, PolicyResource
from controller.northbound.problems import document_of
from controller.northbound.routes.common import (
    BODY,
    OPERATOR,
    ControlDependency,
    LockDependency,
    ValidateQuery,
    fails,
    known_node,
    make_router,
    record,
)
from controller.northbound.routes.policies import find_policy
from controller.northbound.tokens import Role

router = make_router("controller")

MAX_ITEMS = 1000


class BulkNode(ProvisionRequest):
    """A node, as for PUT /v1/nodes/{home_address}/provision."""

    home_address: fields.AddressText


class BulkPolicy(PolicyRequest):
    """A policy, as for PUT /v1/nodes/{home_address}/policies/{name}."""

    home_address: fields.AddressText
    name: Annotated[str, Field(pattern=fields.NAME)]


class BulkRequest(Resource):
    """What is to be; nodes come before policies. What is not named stays as it is."""

    nodes: list[BulkNode] = Field(default=[], max_length=MAX_ITEMS)
    policies: list[BulkPolicy] = Field(default=[], max_length=MAX_ITEMS)


class BulkItem(Resource):
    """What became of one item."""

    resource: str
    result: Literal["created", "updated", "valid", "refused"]
    problem: Problem | None = None


class BulkResource(Resource):
    """What became of all, in their order."""

    items: list[BulkItem]
    refused: int


@router.post("/v1/bulk", responses=fails(403, *BODY), dependencies=OPERATOR)
async def bulk(
    request: Request,
    control: ControlDependency,
    identity: IdentityDependency,
    changing: LockDependency,
    body: BulkRequest,
    validate: ValidateQuery = None,
) -> BulkResource:
    """Put many nodes and policies, each as it would be put alone: one that is refused leaves the others alone."""
    if body.nodes:
        await needs(Role.ADMIN)(request)
    items: list[BulkItem] = []
    only = validate == "only"
    for node in body.nodes:
        await asyncio.sleep(0)  # registrations share this event loop
        path = f"/v1/nodes/{node.home_address}/provision"
        async with changing:
            try:
                before, after, new = await _put_node(control, node, only=only)
            except (ControlError, RequestValidationError) as error:
                items.append(BulkItem(resource=path, result="refused", problem=document_of(error, path)))
                continue
            if not only and before != after:
                await record(control, identity, "put", path, before, after)
        items.append(BulkItem(resource=path, result="valid" if only else "created" if new else "updated"))
    for policy in body.policies:
        await asyncio.sleep(0)
        path = f"/v1/nodes/{policy.home_address}/policies/{policy.name}"
        async with changing:
            try:
                shown, put, new = await _put_policy(control, policy, only=only)
            except ControlError as error:
                items.append(BulkItem(resource=path, result="refused", problem=document_of(error, path)))
                continue
            if not only and shown != put:
                await record(control, identity, "put", path, shown, put)
        items.append(BulkItem(resource=path, result="valid" if only else "created" if new else "updated"))
    return BulkResource(items=items, refused=sum(1 for item in items if item.result == "refused"))


async def _put_node(
    control: Control, node: BulkNode, *, only: bool
) -> tuple[ProvisionResource | None, ProvisionResource | None, bool]:
    address = fields.home_address(node.home_address)
    known = control.provision(address)
    before = None if known is None else ProvisionResource.of(known)
    try:
        provision = node.to_provision(address, known)
    except ValueError as error:
        raise RequestValidationError(
            [{"type": "value_error", "loc": ("body", "security"), "msg": str(error)}]
        ) from error
    if only:
        control.preview_provision(provision)
        return before, before, False
    new = await control.put_provision(provision)
    after = control.provision(address)
    return before, None if after is None else ProvisionResource.of(after), new


async def _put_policy(
    control: Control, policy: BulkPolicy, *, only: bool
) -> tuple[PolicyResource | None, PolicyResource | None, bool]:
    address = fields.home_address(policy.home_address)
    known_node(control, address)
    before = find_policy(control, address, policy.name)
    wanted = policy.to_policy(address, policy.name)
    if only:
        control.preview_policy(wanted)
        return before, before, False
    new = await control.put_policy(wanted, policy.to_schedule())
    return before, find_policy(control, address, policy.name), new
