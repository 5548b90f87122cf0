"""Entity tags: a change may be made on condition that nobody else made one in the meantime (RFC 9110 section 13).

A tag stands for what an operator has set, not for the state of the moment: a node that moves does not spoil the edit of its policy.
"""

import hashlib
import json
from typing import Annotated, Final

from fastapi import Header, Response
from pydantic import BaseModel

from controller.northbound.access import AccessError

IfMatch = Annotated[
    str | None,
    Header(max_length=1000, description="Change it only if its entity tag is one of these; `*`: if it exists."),
]
IfNoneMatch = Annotated[
    str | None,
    Header(max_length=1000, description="`*`: make it only if it does not exist. Tags: if it is none of these."),
]
_LENGTH: Final = 20


def tag(model: BaseModel, *, without: frozenset[str] = frozenset()) -> str:
    """Return the entity tag of what a model says.

    Args:
        model: the resource.
        without: fields that nobody has set.
    """
    text = json.dumps(model.model_dump(mode="json", exclude=set(without)), sort_keys=True)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]}"'


def require(current: str | None, if_match: str | None, if_none_match: str | None) -> None:
    """Check the conditions of a request.

    Args:
        current: tag of the resource as it is; None: there is none.
        if_match: header of that name.
        if_none_match: header of that name.

    Raises:
        AccessError: a condition does not hold: status 412.
    """
    if if_match is not None and (current is None or not _matches(current, if_match)):
        now = "it does not exist" if current is None else f"its tag is {current}"
        raise AccessError(412, f"If-Match is {if_match}, but {now}: read it again")
    if if_none_match is not None and current is not None and _matches(current, if_none_match):
        raise AccessError(412, f"If-None-Match is {if_none_match}, but it exists with the tag {current}")


def _matches(current: str, header: str) -> bool:
    return header.strip() == "*" or current in {part.strip() for part in header.split(",")}


def put_on(response: Response, current: str) -> None:
    """Tell a client the entity tag."""
    response.headers["ETag"] = current
