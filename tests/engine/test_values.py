"""Frozen dataclasses that are cheap to make behave as frozen dataclasses do, but for what the type checker keeps."""

import copy
import pickle
from dataclasses import replace

import pytest

from engine.values import quick_dataclass


@quick_dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 0


def test_they_are_equal_and_hashed_by_their_fields() -> None:
    assert Point(1) == Point(1, 0) != Point(1, 2)
    assert len({Point(1), Point(1, 0), Point(1, 2)}) == 2


def test_a_changed_one_is_another() -> None:
    point = Point(1)
    assert replace(point, y=2) == Point(1, 2)
    assert point == Point(1, 0)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda point: pickle.loads(pickle.dumps(point))])
def test_they_can_be_copied_and_sent(copied: object) -> None:
    assert callable(copied)
    assert copied(Point(1, 2)) == Point(1, 2)


def test_they_have_no_room_for_more() -> None:
    with pytest.raises(AttributeError):
        Point(1).z = 3  # type: ignore[attr-defined]
