"""Rules between fields as JSON Schema: what a validator refuses, the OpenAPI document tells beforehand.

Each is made from the table that its validator goes by.
"""

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

JsonSchema: TypeAlias = dict[str, Any]

NULL: Final[JsonSchema] = {"type": "null"}
SOMETHING: Final[JsonSchema] = {"not": NULL}


def one_of(*cases: JsonSchema) -> JsonSchema:
    """Return the rule that one of some cases holds."""
    return {"anyOf": list(cases)}


def case(
    given: Iterable[str] = (), absent: Iterable[str] = (), others: JsonSchema | None = None, **values: JsonSchema
) -> JsonSchema:
    """Return a case.

    Args:
        given: fields that have to be there and not null.
        absent: fields that have to be null or left out.
        others: schemas of other fields, by name.
        values: the same; for short.
    """
    needed = list(given)
    properties = dict.fromkeys(needed, SOMETHING) | dict.fromkeys(absent, NULL) | (others or {}) | values
    return {"properties": properties} | ({"required": needed} if needed else {})


def by_kind(
    field: str,
    default: str,
    needed: dict[str, tuple[str, ...]],
    allowed: dict[str, frozenset[str]],
) -> JsonSchema:
    """Return the rule that the value of one field says which others go with it.

    Args:
        field: that has the kind.
        default: kind when it is left out.
        needed: fields that a kind has to have.
        allowed: fields that it may have; those of other kinds it may not.
    """
    every = frozenset().union(*allowed.values())
    return one_of(
        *(
            case(
                needed[kind] if kind == default else (field, *needed[kind]),
                sorted(every - may),
                {field: {"const": kind}},
            )
            for kind, may in allowed.items()
        )
    )
