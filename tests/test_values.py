"""Immutable values: as frozen dataclasses, but for what mypy alone watches over."""

import dataclasses
import pickle

import pytest

from controller.values import value


@value
class Point:
    x: int
    y: int = 0
    tags: tuple[str, ...] = ()


@value
class Other:
    x: int
    y: int = 0
    tags: tuple[str, ...] = ()


def test_values_are_equal_when_their_fields_are_and_their_class_is_the_same() -> None:
    assert Point(1) == Point(1, 0, ())
    assert Point(1) != Point(2)
    assert Point(1) != Other(1)  # type: ignore[comparison-overlap]


def test_equal_values_have_one_hash() -> None:
    assert {Point(1): "a"}[Point(1, 0)] == "a"
    assert len({Point(1), Point(1), Point(2)}) == 2


def test_a_changed_copy_leaves_the_value_as_it_was() -> None:
    point = Point(1, tags=("a",))
    assert dataclasses.replace(point, y=5) == Point(1, 5, ("a",))
    assert point == Point(1, 0, ("a",))


def test_values_match_patterns_and_survive_pickling() -> None:
    match pickle.loads(pickle.dumps(Point(1, 2))):
        case Point(x, y):
            assert (x, y) == (1, 2)


def test_there_is_no_room_for_what_is_no_field() -> None:
    with pytest.raises(AttributeError):
        Point(1).z = 3  # type: ignore[attr-defined]
