"""What all resources share: dependencies, documented failures, conditions, and the audit log."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel

from controller.mobility.address import Address, format_address
from controller.northbound.access import Identity
from controller.northbound.control import Control, NodeView
from controller.northbound.errors import UnknownNodeError
from controller.northbound.guard import needs
from controller.northbound.models import Problem
from controller.northbound.tokens import Role
from controller.northbound.views import Change

T = TypeVar("T")

AT_ONCE: Final = 25
"""Items that are looked at, or turned into JSON, without a break: half a millisecond."""

_MEANINGS: Final = {
    400: "The body is not JSON.",
    401: "No token, or one that is not good.",
    403: "The token's role does not allow it.",
    404: "The home address, policy or switch is not known.",
    408: "The body did not arrive in time.",
    409: "It contradicts something that exists, or something that happened meanwhile.",
    412: "The resource is not what If-Match or If-None-Match say.",
    413: "The body is too long.",
    415: "The body is not declared as application/json.",
    422: "A field is wrong, or the data plane cannot realise it.",
    429: "The token has used up its rate.",
    503: "It cannot be done now; nothing was changed.",
}

OPERATOR: Final = [Depends(needs(Role.OPERATOR))]
ADMIN: Final = [Depends(needs(Role.ADMIN))]
ValidateQuery = Annotated[
    Literal["only"] | None, Query(description="only: change nothing, and show what would be written to the tables.")
]


def fails(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of the failures of an operation."""
    return {status: {"model": Problem, "description": _MEANINGS[status]} for status in statuses}


def leads_to(*operations: str, **parameters: str) -> dict[str, Any]:
    """Return the links of an answer: operations that go on from there, with the path parameters that they take over."""
    taken = {name: f"$request.path.{origin}" for name, origin in parameters.items()}
    return {"links": {one: {"operationId": one, "parameters": taken} for one in operations}}


BODY: Final = (400, 408, 413, 415)
"""What may be wrong with a body before anything looks into it."""


def _query_names(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for other in dependant.dependencies:
        yield from _query_names(other)


async def no_unknown_query(request: Request) -> None:
    """Refuse query parameters that the operation does not have: a misspelt filter must not look like one that works."""
    route = request.scope.get("route")
    known = set(_query_names(route.dependant)) if isinstance(route, APIRoute) else set()
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        raise RequestValidationError(
            [{"type": "extra_forbidden", "loc": ("query", name), "msg": "unknown parameter"} for name in unknown]
        )


def make_router(tag: str, *, closed: bool = True) -> APIRouter:
    """Return a router for the resources of one tag.

    Args:
        tag: of the reference.
        closed: a token is needed.
    """
    statuses = (401, 422, 429) if closed else (422,)
    return APIRouter(tags=[tag], dependencies=[Depends(no_unknown_query)], responses=fails(*statuses))


async def _control(request: Request) -> Control:
    control: Control = request.app.state.control
    return control


async def _changing(request: Request) -> asyncio.Lock:
    lock: asyncio.Lock = request.app.state.changing
    return lock


ControlDependency = Annotated[Control, Depends(_control)]
LockDependency = Annotated[asyncio.Lock, Depends(_changing)]
"""Held from the check of a condition until the change is made."""


def known_node(control: Control, home_address: Address) -> NodeView:
    """Return a node.

    Raises:
        UnknownNodeError: there is none.
    """
    node = control.node(home_address)
    if node is None:
        address = format_address(home_address)
        raise UnknownNodeError(f"no mobile node has the home address {address}: GET /v1/nodes lists those there are")
    return node


async def gently(items: Sequence[Any], make: Callable[[Any], Iterable[T]]) -> list[T]:
    """Return what `make` gives for each item; let others run in between: registrations share this event loop."""
    found: list[T] = []
    for position, item in enumerate(items, start=1):
        found += make(item)
        if position % AT_ONCE == 0:
            await asyncio.sleep(0)
    return found


async def record(
    control: Control,
    identity: Identity,
    action: str,
    resource: str,
    before: BaseModel | None = None,
    after: BaseModel | None = None,
) -> None:
    """Write a change to the audit log."""
    await control.record_change(
        Change(
            identity.name,
            identity.role,
            action,
            resource,
            None if before is None else before.model_dump(mode="json"),
            None if after is None else after.model_dump(mode="json"),
        )
    )
