"""How a resource of an operator is put and removed: conditions, dry runs, the audit log, and what the client is told."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from controller.northbound import etags
from controller.northbound.guard import IdentityDependency
from controller.northbound.policy_models import Preview
from controller.northbound.routes.common import ControlDependency, LockDependency, ValidateQuery, record

R = TypeVar("R", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Removal:
    """A request that removes a resource."""

    request: Request
    control: ControlDependency
    identity: IdentityDependency
    changing: LockDependency
    validate: ValidateQuery = None
    if_match: etags.IfMatch = None

    async def carry_out(
        self,
        shown: Callable[[], R | None],
        preview: Callable[[], Preview],
        remove: Callable[[], Awaitable[object]],
        unset: frozenset[str] = frozenset(),
    ) -> Response:
        """Remove it if the condition holds, and write that down; or only tell what would be written to the tables.

        Args:
            shown: gives what there is.
            preview: gives what would be; raises as `remove` does.
            remove: removes it, or raises.
            unset: fields that no operator has set.

        Raises:
            AccessError: the condition does not hold.
        """
        async with self.changing:
            before = shown()
            etags.require(_tag(before, unset), self.if_match, None)
            if self.validate == "only":
                return JSONResponse(preview().model_dump(mode="json"))
            await remove()
            await record(self.control, self.identity, "delete", self.request.url.path, before)
        return Response(status_code=204)


@dataclass(frozen=True, slots=True)
class Replacement:
    """A request that makes a resource, or puts another in its place. Saying the same again changes nothing."""

    request: Request
    response: Response
    control: ControlDependency
    identity: IdentityDependency
    changing: LockDependency
    validate: ValidateQuery = None
    if_match: etags.IfMatch = None
    if_none_match: etags.IfNoneMatch = None

    async def carry_out(
        self,
        shown: Callable[[], R | None],
        preview: Callable[[], Preview],
        put: Callable[[], Awaitable[tuple[bool, R]]],
        unset: frozenset[str] = frozenset(),
    ) -> R | Preview:
        """Put it if the conditions hold, and write that down; or only tell what would be written to the tables.

        Args:
            shown: gives what there is.
            preview: gives what would be.
            put: puts it; returns whether it is new, and what there is now.
            unset: fields that no operator has set.

        Raises:
            AccessError: a condition does not hold.
        """
        async with self.changing:
            before = shown()
            etags.require(_tag(before, unset), self.if_match, self.if_none_match)
            if self.validate == "only":
                return preview()
            new, after = await put()
            tag = etags.tag(after, without=unset)
            if _tag(before, unset) != tag:
                await record(self.control, self.identity, "put", self.request.url.path, before, after)
        if new:
            self.response.status_code = 201
            self.response.headers["Location"] = self.request.url.path
        etags.put_on(self.response, tag)
        return after


def _tag(resource: BaseModel | None, unset: frozenset[str]) -> str | None:
    return None if resource is None else etags.tag(resource, without=unset)


PREVIEWED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": Preview, "description": "With `validate=only`: what would be written to the tables."}
}
"""The answer to a dry run of a removal."""
RemovalDependency = Annotated[Removal, Depends()]
ReplacementDependency = Annotated[Replacement, Depends()]
