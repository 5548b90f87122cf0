"""Every failure as a problem document (RFC 9457)."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from controller.northbound.access import AccessError
from controller.northbound.errors import (
    ConflictError,
    ControlError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from controller.northbound.models import FieldError, Problem

MEDIA_TYPE: Final = "application/problem+json"

_KINDS: Final[dict[int, tuple[str, str]]] = {
    400: ("bad-request", "The request cannot be read"),
    401: ("unauthenticated", "The request has no valid token"),
    403: ("forbidden", "The token is not good for this"),
    404: ("not-found", "There is no such resource"),
    405: ("method-not-allowed", "The resource does not have this method"),
    408: ("timeout", "The request took too long to arrive"),
    412: ("precondition", "The resource is not what the request takes it for"),
    409: ("conflict", "The request contradicts something that exists"),
    413: ("too-large", "The request is too large"),
    415: ("media-type", "The body is not JSON"),
    422: ("invalid", "The request is well formed, but not valid"),
    429: ("too-many-requests", "The token has used up its rate"),
    500: ("internal", "The controller failed"),
    503: ("unavailable", "It cannot be done now"),
}
"""Type and title by status."""

_MAX_ERRORS: Final = 20
"""So many wrong fields are listed."""
_MAX_TOLD: Final = 5
"""So many of them are told in the detail too."""
_MAX_TEXT: Final = 200
"""Characters of a client's own text that go back to it."""

_STATUS: Final[dict[type[ControlError], int]] = {
    NotFoundError: 404,
    ConflictError: 409,
    RefusedError: 422,
    UnavailableError: 503,
}


class ProblemResponse(JSONResponse):
    """An answer that carries a problem document."""

    media_type = MEDIA_TYPE


def problem(
    status: int,
    detail: str,
    instance: str,
    errors: Sequence[FieldError] | None = None,
    headers: Mapping[str, str] | None = None,
) -> ProblemResponse:
    """Return the answer for a failure.

    Args:
        status: an HTTP status of 400 or more.
        detail: what was wrong with this request, and what to do.
        instance: path of the request.
        errors: each field that is wrong.
        headers: more headers of the answer, such as Allow.
    """
    document = _document(status, detail, instance, errors)
    return ProblemResponse(document.model_dump(mode="json", exclude_none=True), status, dict(headers or {}))


def _document(status: int, detail: str, instance: str, errors: Sequence[FieldError] | None = None) -> Problem:
    kind, title = _KINDS.get(status, ("error", HTTPStatus(status).phrase))
    return Problem(
        type=f"urn:mcoa:problem:{kind}",
        title=title,
        status=status,
        detail=detail,
        instance=instance,
        errors=None if errors is None else list(errors),
    )


def install(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Make an application answer every failure with a problem document.

    Args:
        app: the application.
        routes: all that it serves, one by one.
    """

    async def http(request: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, HTTPException)
        return _http(request, error, routes)

    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ControlError, _refused)
    app.add_exception_handler(AccessError, _turned_away)
    app.add_exception_handler(Exception, _failed)


def _http(request: Request, error: HTTPException, routes: Sequence[BaseRoute]) -> ProblemResponse:
    path = request.url.path
    detail = str(error.detail)
    headers = error.headers
    if error.status_code == 404 and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = f"nothing is at {path}: /openapi.json lists what there is"
    elif error.status_code == 405:
        detail = f"{path} does not have {request.method}"
        headers = {"Allow": ", ".join(_methods(request, routes))}
    return problem(error.status_code, detail, path, headers=headers)


def _methods(request: Request, routes: Sequence[BaseRoute]) -> list[str]:
    """Return all methods of a resource: Starlette names those of one of its operations only."""
    found: set[str] = set()
    for route in routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found)


async def _invalid(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    unreadable = next((entry for entry in found if entry["type"] == "json_invalid"), None)
    if unreadable is not None:
        reason = unreadable.get("ctx", {}).get("error", "")
        return problem(400, f"the body is not JSON: {reason} at character {unreadable['loc'][-1]}", request.url.path)
    errors = [_field_error(entry) for entry in found[:_MAX_ERRORS]]
    told = [f"{entry.field or entry.part}: {entry.reason}" for entry in errors[:_MAX_TOLD]]
    if len(found) > len(told):
        told.append(f"and {len(found) - len(told)} more")
    return problem(422, "; ".join(told), request.url.path, errors)


def _field_error(entry: dict[str, Any]) -> FieldError:
    part, *place = entry["loc"]
    reason = str(entry["msg"]).removeprefix("Value error, ")
    if entry["type"] == "extra_forbidden":
        reason = "unknown field: remove it or correct its spelling"
    elif entry["type"] == "missing":
        reason = "required, but not there"
    return FieldError(part=str(part), field=_sendable(".".join(map(str, place))), reason=_sendable(reason))


def _sendable(text: str) -> str:
    """Return what may go back of a client's text: JSON may carry lone surrogates, which UTF-8 cannot, and any length."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}..."


async def _refused(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, ControlError)
    return problem(_status(error), str(error), request.url.path)


def _status(error: ControlError) -> int:
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)


def document_of(error: ControlError | RequestValidationError, instance: str) -> Problem:
    """Return the problem document of one part of a request that was refused."""
    if isinstance(error, ControlError):
        return _document(_status(error), str(error), instance)
    errors = [_field_error(entry) for entry in error.errors()]
    return _document(422, "; ".join(entry.reason for entry in errors), instance, errors)


async def _turned_away(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, AccessError)
    return problem(error.status, str(error), request.url.path)


async def _failed(request: Request, error: Exception) -> ProblemResponse:
    # The server logs the exception with its trace; the client learns nothing of our insides.
    detail = f"an internal error ({type(error).__name__}): the controller's log has the details"
    return problem(500, detail, request.url.path)
