"""Lists in pages: a cursor is where the last page ended, so a page is right however much came and went since."""

import base64
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Final, TypeVar

from fastapi import Query
from fastapi.exceptions import RequestValidationError

from controller.mobility.address import ADDRESS_LENGTH, Address

T = TypeVar("T")

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000

LimitQuery = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items on a page.")]
_CURSOR: Final = "^([A-Za-z0-9_-]{4})*[A-Za-z0-9_-]{2,4}$"
CursorQuery = Annotated[
    str | None,
    Query(
        max_length=200,
        description="`next` of the page before; left out: the first page.",
        json_schema_extra={"pattern": _CURSOR},
    ),
]


def encode(key: bytes) -> str:
    """Return the cursor of a key."""
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def decode(cursor: str) -> bytes:
    """Return the key of a cursor.

    Raises:
        RequestValidationError: it is none.
    """
    if re.fullmatch(_CURSOR, cursor) is None:
        reason = "not a cursor: take it from `next` of the page before"
        raise RequestValidationError([{"type": "value_error", "loc": ("query", "cursor"), "msg": reason}])
    return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))


def after(addresses: Sequence[Address], cursor: str | None) -> int:
    """Return the position in a sorted list at which a page begins.

    Raises:
        RequestValidationError: the cursor is none.
    """
    if cursor is None:
        return 0
    return bisect_right(addresses, Address(decode(cursor)[:ADDRESS_LENGTH]))


def page(items: Iterable[T], key: Callable[[T], bytes], limit: int, cursor: str | None) -> tuple[list[T], str | None]:
    """Return a page of items that are in ascending order of their keys, and the cursor of the next; None: it is the last.

    Raises:
        RequestValidationError: the cursor is none.
    """
    start = None if cursor is None else decode(cursor)
    found: list[T] = []
    for item in items:
        if start is not None and key(item) <= start:
            continue
        if len(found) == limit:
            return found, encode(key(found[-1]))
        found.append(item)
    return found, None
