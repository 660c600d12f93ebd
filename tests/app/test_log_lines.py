"""Lines of log: valid, bounded and one each, whatever the values."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Any, NoReturn
from uuid import UUID

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.log_lines import LogEvent, _ordinary_head, console_line, json_line
from engine.plain_values import MAX_TEXT_LENGTH


class Sulking:
    """An object that can't even be shown."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __repr__(self) -> NoReturn:
        raise self._error

    __str__ = __repr__


class Color(Enum):
    RED = "red"


def _event(**facts: object) -> LogEvent:
    return LogEvent(created_at=0.5, level="info", logger="test", event="something happened", facts=facts)


def _rendered(value: object) -> Any:
    line = json_line(_event(value=value))
    assert line.count(b"\n") == 1
    assert len(line.decode().splitlines()) == 1
    return json.loads(line)["value"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (2**63, 2**63),
        (2**64, str(2**64)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ("a\x00b\u2028c\x85d", "a\x00b\u2028c\x85d"),
        ("bad \udc80", "bad \\udc80"),
        (b"\xff", "b'\\xff'"),
        (Decimal("1.50"), "1.50"),
        (Color.RED, "red"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("a/b"), "a/b"),
        (datetime(2026, 11, 23, tzinfo=UTC), "2026-11-23T00:00:00Z"),
        ((1, [2, {"three": 3}]), [1, [2, {"three": 3}]]),
        ({1: "a", None: "b"}, {"1": "a", "None": "b"}),
        ({"\udc80": 1}, {"\\udc80": 1}),
        (ValueError("x"), "ValueError('x')"),
    ],
)
def test_a_value_comes_out_as_json_has_it_or_as_it_is_shown(value: object, shown: object) -> None:
    assert _rendered(value) == shown


def test_an_integer_too_long_to_read_is_described() -> None:
    assert _rendered(10**5_000) == "<integer of 16610 bits>"


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), KeyboardInterrupt(), RecursionError()])
def test_a_value_that_can_not_be_shown_is_named_by_its_type(error: BaseException) -> None:
    assert "Sulking object at" in _rendered(Sulking(error))
    assert "Sulking object at" in _rendered([Sulking(error)])[0]


def test_huge_values_keep_both_ends_and_say_what_is_left_out() -> None:
    text = _rendered("<" + "x" * 50_000_000 + ">")
    assert text.startswith("<xxx")
    assert text.endswith("xxx>")
    assert "49991810 characters left out" in text
    assert len(text) < MAX_TEXT_LENGTH + 100
    assert len(_rendered(b"x" * 10_000_000)) < 1_100
    assert len(_rendered([Sulking] * 10_000_000)) == 1_000


def test_a_container_that_holds_itself_ends() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert "nested too deep" in json.dumps(_rendered(endless))


def test_the_number_of_values_is_bounded_over_the_whole_event() -> None:
    wide = [[[[0] * 100] * 100] * 100] * 100
    assert len(json.dumps(_rendered(wide))) < 50_000


def test_an_exception_of_a_huge_message_keeps_its_end() -> None:
    error = ValueError("x" * 1_000_000 + " at the end")
    event = LogEvent(0.0, "error", "test", "failed", {}, (ValueError, error, None))
    text = json.loads(json_line(event))["exception"]
    assert text.endswith("at the end")
    assert len(text) < MAX_TEXT_LENGTH + 100


# The first use of a fresh checkout builds tables of characters, which a busy machine takes seconds for.
patiently = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

nasty_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.text(st.characters(categories=["Cs", "Cc", "Zl", "Zp"]))
    | st.binary()
    | st.datetimes()
    | st.just(object())
)
nasty_values = st.recursive(
    nasty_scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.none(), inner) | st.tuples(inner),
    max_leaves=20,
)


@patiently
@given(st.dictionaries(st.text(st.characters()), nasty_values), st.text(st.characters()))
def test_every_line_is_one_line_of_json(facts: dict[str, object], text: str) -> None:
    line = json_line(LogEvent(0.0, "info", "test", text, facts))
    assert len(line.decode().splitlines()) == 1
    assert {"timestamp", "level", "logger", "event"} <= json.loads(line).keys()


@patiently
@given(st.dictionaries(st.text(st.characters(), min_size=1), nasty_values), st.text(st.characters()))
def test_a_console_event_is_one_line_without_control_characters(facts: dict[str, object], text: str) -> None:
    facts.pop("stack", None)
    line = console_line(colors=False)(LogEvent(0.0, "info", "test", text, facts)).decode()
    assert line.endswith("\n")
    assert line.removesuffix("\n").isprintable()


def test_a_console_exception_can_not_pose_as_an_event() -> None:
    error = ValueError("x\n1970-01-01T00:00:00.000000Z [info     ] forged\x1b[2J")
    event = LogEvent(0.0, "error", "test", "failed", {"stack": "a\nb"}, (ValueError, error, None))
    lines = console_line(colors=False)(event).decode().splitlines()
    assert "failed" in lines[0]
    assert not any(line.startswith("1970") for line in lines[1:])
    assert "\x1b" not in "".join(lines)


def test_colors_are_there_when_asked_for() -> None:
    assert b"\x1b" in console_line(colors=True)(_event())


class Elusive:
    """Its class is whatever its own code says, which raises."""

    @property  # type: ignore[misc]  # as lazy proxies do
    def __class__(self) -> type:
        raise SystemExit("no class")


class Uncaused(Exception):
    @property
    def __cause__(self) -> BaseException:  # type: ignore[override]  # as a user's class may
        raise SystemExit("no cause")


class Unreadable(dict[str, object]):
    def items(self) -> NoReturn:
        raise RuntimeError("no items")


def test_a_value_that_has_no_class_to_ask_for_is_shown() -> None:
    assert "Elusive object at" in _rendered(Elusive())


def test_an_exception_that_can_not_be_formatted_is_shown() -> None:
    error = Uncaused("no luck")
    line = json.loads(json_line(LogEvent(0.0, "error", "test", "failed", {}, (Uncaused, error, None))))
    assert line["exception"] == "Uncaused('no luck')"


def test_a_line_that_can_not_be_rendered_says_so() -> None:
    line = json.loads(json_line(LogEvent(0.0, "info", "test", "something", Unreadable())))
    assert (line["event"], line["level"]) == ("log event not renderable", "error")
    assert "no items" in line["error"]


ORDINARY_TEXT = st.text("abc09._:-", min_size=1)


@given(
    facts=st.dictionaries(
        ORDINARY_TEXT | st.sampled_from(["logger_name", "stack_", "%s"]) | st.text(min_size=1),
        st.none() | st.booleans() | st.integers() | st.floats() | ORDINARY_TEXT | st.text() | st.just("x" * 9_000),
        max_size=6,
    ),
    text=st.sampled_from(["run finished", "two  blanks ", "x" * 300]) | st.text(),
    level=st.sampled_from(["debug", "info", "warning", "error", "critical"]),
)
def test_a_line_without_colours_is_that_of_structlog(facts: dict[str, object], text: str, level: str) -> None:
    event = LogEvent(created_at=0.5, level=level, logger="test", event=text, facts=facts)
    # What the renderer is given can be read off a line of JSON.
    fields = {key: _as_printed(value) for key, value in json.loads(json_line(event)).items()}
    fields = {_as_printed(key): value for key, value in fields.items()}
    if fields.keys() & {"exception", "stack"}:
        return
    structlogs = structlog.dev.ConsoleRenderer(colors=False)(None, level, dict(fields))

    assert console_line(colors=False)(event).decode() == f"{structlogs}\n"


def _as_printed(value: Any) -> Any:
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in value
    )


class Unhashable(str):
    __slots__ = ()

    def __hash__(self) -> int:
        raise RuntimeError("no hash")


@pytest.mark.parametrize("text", [Unhashable("run finished"), "x" * 1_000_000])
def test_a_text_that_must_not_be_remembered_is_not(text: str) -> None:
    before = _ordinary_head.cache_info().currsize
    line = console_line(colors=False)(LogEvent(0.0, "info", "test", text, {"key": 1})).decode()
    assert line.endswith(" [test] key=1\n")
    assert _ordinary_head.cache_info().currsize == before
