"""The mark on a test that shows one row of the checklist."""

from collections.abc import Callable
from typing import Any, TypeVar

from conformance.checklist import BY_ID

Test = TypeVar("Test", bound=Callable[..., Any])


def requirement(row_id: str) -> Callable[[Test], Test]:
    """Mark a test function as one that shows a row.

    The test's name begins with the id (``test_mh_01_...``). A row may have several tests.

    Raises:
        ValueError: the checklist has no such row, or the name says another.
    """
    if row_id not in BY_ID:
        raise ValueError(f"the checklist has no row {row_id!r}")
    prefix = f"test_{row_id.lower().replace('-', '_')}"

    def mark(test: Test) -> Test:
        if not test.__name__.startswith(prefix):
            raise ValueError(f"{test.__name__} shows {row_id}: its name has to begin with {prefix}")
        return test

    return mark
