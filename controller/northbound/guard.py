"""The door: no request without an identity reaches a resource, its body is not even read."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from controller.northbound.access import Access, AccessError, Identity
from controller.northbound.problems import problem
from controller.northbound.tokens import Role

OPEN: Final = frozenset({"/health", "/docs", "/openapi.json"})
"""Paths that anybody may GET."""


class Guard:
    """ASGI middleware that answers 401 and 429 itself.

    Args:
        app: what is behind the door.
        access: who is let in.
        elsewhere: prefix of paths that have a door of their own; empty: none.
    """

    def __init__(self, app: ASGIApp, access: Access, elsewhere: str = "") -> None:
        self._app = app
        self._access = access
        self._elsewhere = elsewhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] in {"http", "websocket"} and not self._is_open(scope):
            state = scope.setdefault("state", {})
            if "identity" not in state:  # else the connection has let it in, and counted it
                try:
                    state["identity"] = self._access.identify(Headers(scope=scope).get("authorization"))
                except AccessError as error:
                    await refuse(error, scope, receive, send)
                    return
        await self._app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        path: str = scope["path"]
        if self._elsewhere and (path == self._elsewhere or path.startswith(f"{self._elsewhere}/")):
            return True
        return scope["type"] == "http" and path in OPEN


async def refuse(error: AccessError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request that is turned away."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": str(error)})
        return
    await access_problem(error, scope["path"])(scope, receive, send)


def access_problem(error: AccessError, path: str) -> ASGIApp:
    """Return the answer to a request that is turned away."""
    headers = {}
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="mcoa"'
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return problem(error.status, str(error), path, headers=headers)


# Dependencies are coroutines, those too that wait for nothing: FastAPI sends plain functions to a thread and back, which
# costs more than most answers do, and makes threads of the registrations' process compete with one another.
async def identity_of(request: Request) -> Identity:
    """Return who made a request."""
    identity: Identity = request.state.identity
    return identity


IdentityDependency = Annotated[Identity, Depends(identity_of)]


def needs(role: Role) -> Callable[[Request], Awaitable[None]]:
    """Return a dependency that turns away whoever has not at least that role."""

    async def check(request: Request) -> None:
        identity = await identity_of(request)
        if not identity.role.includes(role):
            raise AccessError(403, f"{identity.name!r} is a {identity.role}: this needs the role {role}")

    return check
