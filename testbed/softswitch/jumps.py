"""Jumps inside of an action: p4c writes ifs and loops as `_jump_if_zero` and `_jump` to positions in the list of primitives."""

from collections.abc import Sequence

from testbed.softswitch.errors import ArtefactError
from testbed.softswitch.program import Json

MAX_LAPS = 1 << 16
"""How often the loops of one action may turn for one packet; then the action ends."""


def target(primitive: Json, where: str, count: int) -> int:
    """Where a jump leads to, 0 to `count`.

    Raises:
        ArtefactError: out of the action.
    """
    place = int(primitive["parameters"][-1]["value"], 16)
    if not 0 <= place <= count:
        raise ArtefactError(f"{where}: a jump leads out of the action, to {place}")
    return place


def is_nested(primitives: Sequence[Json], where: str) -> bool:
    """Whether the jumps are those of ifs, one inside of another; else they are written as blocks in a loop."""
    return _nested(primitives, 0, len(primitives), where)


def branch(primitives: Sequence[Json], index: int, end: int, where: str) -> tuple[int, int] | None:
    """The if that begins with a `_jump_if_zero`: where its else part begins and where it ends; None when it is no if.

    The else part is what a `_jump` at the end of the then part leaps over.
    """
    middle = target(primitives[index], where, len(primitives))
    if not index < middle <= end:
        return None
    last = primitives[middle - 1]
    after = target(last, where, len(primitives)) if last["op"] == "_jump" and middle - 1 > index else middle
    return (middle, after) if middle <= after <= end else None


def _nested(primitives: Sequence[Json], start: int, end: int, where: str) -> bool:
    index = start
    while index < end:
        primitive = primitives[index]
        if primitive["op"] == "_jump_if_zero":
            found = branch(primitives, index, end, where)
            if found is None:
                return False
            middle, after = found
            inner_end = middle - 1 if after > middle else middle
            if not (_nested(primitives, index + 1, inner_end, where) and _nested(primitives, middle, after, where)):
                return False
            index = after
        elif primitive["op"] == "_jump":
            place = target(primitive, where, len(primitives))
            if not index < place <= end:
                return False
            index = place
        else:
            index += 1
    return True


def leaders(primitives: Sequence[Json], where: str) -> list[int]:
    """Positions at which a block begins: the first, those that a jump leads to, and those behind a jump."""
    found = {0}
    for index, primitive in enumerate(primitives):
        if primitive["op"] in {"_jump", "_jump_if_zero"}:
            found |= {index + 1, target(primitive, where, len(primitives))}
    return sorted(place for place in found if place < len(primitives))
