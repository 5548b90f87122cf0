"""Immutable values that are cheap to make: mypy says that nothing of them is assigned, and at run time nobody looks.

A frozen dataclass sets each of its fields by way of `object.__setattr__`, which for seven fields takes five times as long as the
assignments alone; a Binding Update makes some twenty values. Everything else is as in a frozen dataclass: fields, equality, hash,
`dataclasses.replace`, patterns. It has slots, so an assignment to what is no field raises.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """Make a class one of immutable values (a decorator, as `dataclass`)."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
