"""Facts of a log line, made plain: by table."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from engine.lanes.entries import plain_facts, plain_text
from engine.limits import MAX_FACTS_PER_LINE, MAX_LINE_LENGTH


class Color(Enum):
    RED = "red"


class Broken:
    def __repr__(self) -> str:
        raise SystemExit


class BrokenText(str):
    __slots__ = ()

    def __len__(self) -> int:
        raise SystemExit


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (2**70, str(2**70)),
        (0.5, 0.5),
        (float("nan"), "nan"),
        ("a\x00\ud800", "'a\\x00\\udcd800'"),
        (Color.RED, "red"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00Z"),
        (UUID(int=1), str(UUID(int=1))),
        (Decimal("1.50"), "1.50"),
        ((1, {2: "b"}), [1, {"2": "b"}]),
    ],
)
def test_a_value_becomes_what_json_has(value: Any, plain: Any) -> None:
    got = plain_facts({"key": value})["key"]

    assert got == plain or isinstance(value, str)
    json.dumps(got, allow_nan=False).encode()


def test_a_value_that_has_no_text_is_shown_all_the_same() -> None:
    assert plain_facts({"key": Broken()})["key"].startswith("<tests.engine.lanes")
    assert isinstance(plain_text(BrokenText("a")), str)


def test_a_line_has_so_many_facts_and_no_more() -> None:
    facts = plain_facts({"key": list(range(1_000)), "more": 1})

    assert len(facts["key"]) == MAX_FACTS_PER_LINE - 2 + 1
    assert facts["key"][-1] == f"<{1_000 - MAX_FACTS_PER_LINE + 2} left out>"


def test_a_structure_without_end_ends() -> None:
    circle: list[Any] = []
    circle.append(circle)

    json.dumps(plain_facts({"key": circle}))


def test_a_long_text_is_cut() -> None:
    assert len(plain_text("x" * 1_000_000)) < MAX_LINE_LENGTH + 50
