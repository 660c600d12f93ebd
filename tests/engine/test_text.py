"""What is kept of exceptions and results: bounded, storable, and read without ever raising."""

import json
from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.limits import (
    MAX_ERROR_MESSAGE_LENGTH,
    MAX_ERROR_TYPE_LENGTH,
    MAX_RESULT_BYTES,
    MAX_TRACEBACK_FRAMES,
    MAX_TRACEBACK_LENGTH,
)
from engine.nouns import RunError
from engine.text import clean_text, describe_error, encode_result

LONGEST_ESCAPE = len("\\ud800")
REMARK = 60
"""Characters that may be added to say that text was cut."""


def raised(error: BaseException) -> RunError:
    """What is kept of an error that was raised, as a job function's is."""
    try:
        raise error  # noqa: TRY301 - its traceback is wanted
    except BaseException as caught:  # noqa: BLE001 - any of them
        return described(caught)


def described(error: BaseException) -> RunError:
    """What is kept of the error, storable and within its bounds."""
    kept = describe_error(error)
    for text, limit in [
        (kept.type, MAX_ERROR_TYPE_LENGTH),
        (kept.message, MAX_ERROR_MESSAGE_LENGTH),
        (kept.traceback, MAX_TRACEBACK_LENGTH),
    ]:
        assert type(text) is str
        assert "\x00" not in text
        assert len(text.encode("utf-8")) <= 4 * LONGEST_ESCAPE * limit
        assert len(text) <= LONGEST_ESCAPE * limit + REMARK
    return kept


def test_an_error_is_kept_with_its_type_message_and_traceback() -> None:
    kept = raised(ValueError("no such customer"))

    assert kept.type == "ValueError"
    assert kept.message == "no such customer"
    assert kept.traceback.startswith("Traceback (most recent call last):\n")
    assert "raise error" in kept.traceback
    assert kept.traceback.endswith("ValueError: no such customer\n")


def test_the_type_of_an_error_has_its_module_and_its_class() -> None:
    class Overdrawn(Exception): ...

    assert raised(Overdrawn()).type == f"{__name__}.{Overdrawn.__qualname__}"
    assert raised(json.JSONDecodeError("x", "y", 0)).type == "json.decoder.JSONDecodeError"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt("stop"), GeneratorExit("over")])
def test_errors_that_are_no_exceptions_are_kept_too(error: BaseException) -> None:
    kept = raised(error)

    assert kept.type == type(error).__name__
    assert kept.message == str(error)


def test_a_message_of_fifty_megabytes_is_cut_and_says_how_long_it_was() -> None:
    kept = raised(ValueError("x" * 50_000_000))

    assert kept.message == "x" * MAX_ERROR_MESSAGE_LENGTH + "... (50000000 characters in all)"
    assert len(kept.traceback) <= MAX_TRACEBACK_LENGTH + REMARK
    assert "raise error" in kept.traceback


def test_a_message_of_the_greatest_length_is_kept_whole() -> None:
    assert raised(ValueError("x" * MAX_ERROR_MESSAGE_LENGTH)).message == "x" * MAX_ERROR_MESSAGE_LENGTH


def test_a_class_with_a_name_of_a_megabyte_is_cut() -> None:
    kept = raised(type("E" * 1_000_000, (Exception,), {})("short"))

    assert len(kept.type) < MAX_ERROR_TYPE_LENGTH + REMARK
    assert kept.message == "short"


class LoudText(str):
    """Text that raises as soon as it is measured, cut or changed."""

    __slots__ = ()

    def __len__(self) -> int:
        raise RuntimeError("not to be measured")

    def __getitem__(self, key: Any) -> str:
        raise RuntimeError("not to be cut")


class Unreadable(Exception):
    """An error whose text is made by `make`."""

    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__()
        self.make = make

    def __str__(self) -> str:
        text: str = self.make()
        return text


def throw(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize(
    "failure", [ValueError("again"), SystemExit(1), KeyboardInterrupt(), MemoryError(), RecursionError()]
)
def test_an_error_whose_text_raises_is_kept_with_what_it_raised(failure: BaseException) -> None:
    kept = raised(Unreadable(lambda: throw(failure)))

    assert kept.type == f"{__name__}.Unreadable"
    assert kept.message == f"<its text could not be read: {type(failure).__name__}>"
    assert "raise error" in kept.traceback


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: 7, "<its text could not be read: TypeError>"),
        (lambda: None, "<its text could not be read: TypeError>"),
        (lambda: LoudText("loud"), "loud"),
        (
            lambda: throw(Unreadable(lambda: throw(ValueError()))),
            f"<its text could not be read: {__name__}.Unreadable>",
        ),
    ],
)
def test_an_error_whose_text_is_odd_is_kept(make: Callable[[], Any], message: str) -> None:
    assert raised(Unreadable(make)).message == message


def test_nul_and_lone_surrogates_are_escaped() -> None:
    kept = raised(ValueError("a\x00b\ud800c\udfffd é 😀"))

    assert kept.message == "a\\x00b\\ud800c\\udfffd é 😀"
    assert "ValueError: a\\x00b\\ud800c\\udfffd é 😀" in kept.traceback


def descend(depth: int) -> None:
    if depth:
        descend(depth - 1)
    else:
        raise LookupError("at the bottom")


def test_of_a_thousand_frames_the_innermost_are_kept() -> None:
    with pytest.raises(LookupError) as caught:
        descend(700)

    kept = described(caught.value)
    assert "in descend" in kept.traceback
    assert 'raise LookupError("at the bottom")' in kept.traceback
    assert kept.traceback.count('File "') <= MAX_TRACEBACK_FRAMES


def test_an_endless_recursion_is_kept() -> None:
    def fall() -> None:
        fall()

    with pytest.raises(RecursionError) as caught:
        fall()

    kept = described(caught.value)
    assert kept.type == "RecursionError"
    assert kept.message.startswith("maximum recursion depth exceeded")
    assert "in fall" in kept.traceback


def test_chained_errors_are_kept_with_their_causes() -> None:
    def fail() -> None:
        try:
            dict[str, int]()["first"]
        except KeyError as error:
            raise ValueError("second") from error

    with pytest.raises(ValueError, match="second") as caught:
        fail()

    kept = described(caught.value)
    assert kept.message == "second"
    assert "KeyError: 'first'" in kept.traceback
    assert "direct cause" in kept.traceback


def test_a_chain_of_two_thousand_errors_is_bounded_and_ends_with_the_last() -> None:
    error = ValueError("number 0")
    for number in range(1, 2_000):
        following = ValueError(f"number {number}")
        following.__cause__ = error
        error = following

    assert described(error).traceback.endswith("ValueError: number 1999\n")


def test_a_chain_that_runs_in_a_circle_is_kept() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__context__, second.__context__ = second, first

    assert "ValueError: second" in described(first).traceback


def test_a_group_of_errors_is_kept_with_its_parts() -> None:
    kept = raised(ExceptionGroup("all of it", [ValueError("one"), ExceptionGroup("inner", [TypeError("two")])]))

    assert kept.type == "ExceptionGroup"
    assert kept.message == "all of it (2 sub-exceptions)"
    assert "ValueError: one" in kept.traceback
    assert "TypeError: two" in kept.traceback


def test_a_group_of_a_hundred_thousand_errors_is_bounded() -> None:
    assert raised(ExceptionGroup("many", [ValueError(number) for number in range(100_000)])).type == "ExceptionGroup"


def test_notes_are_kept_and_long_ones_bounded() -> None:
    error = ValueError("with notes")
    error.add_note("see the manual")
    assert "see the manual" in raised(error).traceback

    error.add_note("n" * 10_000_000)
    assert len(raised(error).traceback) <= MAX_TRACEBACK_LENGTH + REMARK


class RaisingNotes(Exception):
    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]  # as job functions may
        raise RuntimeError("no notes")


class OddNotes(Exception):
    __notes__ = 7  # type: ignore[assignment]  # as job functions may


class RaisingNote:
    def __str__(self) -> str:
        raise SystemExit(1)


def test_notes_that_raise_leave_type_and_message() -> None:
    kept = raised(RaisingNotes("hello"))

    assert (kept.type, kept.message) == (f"{__name__}.RaisingNotes", "hello")
    assert kept.traceback


def test_notes_that_are_none_or_raise_one_by_one_are_kept_as_far_as_they_go() -> None:
    error = ValueError("hello")
    error.__notes__ = [RaisingNote(), "a good one"]  # type: ignore[list-item]  # as job functions may

    assert "ValueError: hello" in raised(error).traceback
    assert "OddNotes: hello" in raised(OddNotes("hello")).traceback


class OddModule(type):
    """A metaclass that says something else than text, or nothing at all, of where its classes come from."""

    @property
    def __module__(cls) -> Any:
        return throw(ValueError("no module")) if cls.__name__ == "Silent" else 7

    @__module__.setter
    def __module__(cls, value: str) -> None: ...


class Numbered(Exception, metaclass=OddModule): ...


class Silent(Exception, metaclass=OddModule): ...


class Placed(Exception):
    __module__ = 7  # type: ignore[assignment]  # as job functions may


@pytest.mark.parametrize("kind", [Numbered, Silent, Placed])
def test_a_class_whose_module_is_no_text_is_kept_by_its_name(kind: type[Exception]) -> None:
    kept = raised(kind("hello"))

    assert kind.__name__ in kept.type
    assert kept.message == "hello"


@given(st.text(), st.integers(0, 20))
def test_clean_text_can_always_be_stored_and_says_when_it_was_cut(text: str, at_most: int) -> None:
    clean = clean_text(text, at_most=at_most)

    clean.encode("utf-8")
    assert "\x00" not in clean
    assert clean.endswith(f"... ({len(text)} characters in all)") == (len(text) > at_most)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=50))
def test_clean_text_leaves_good_text_as_it_is(text: str) -> None:
    assert clean_text(text, at_most=50) == text


class Colour(Enum):
    RED = 1


def kind_of(value: object) -> str:
    """A name for a case: pytest's own would be the value, and some of these have megabytes."""
    return type(value).__name__


class Count(int):
    """A number that prints itself otherwise."""

    def __repr__(self) -> str:
        return "many"


@pytest.mark.parametrize(
    ("result", "encoded"),
    [
        (None, None),
        (0, "0"),
        (False, "false"),
        ("", '""'),
        ([], "[]"),
        ({"rows": 7, "ok": True, "none": None}, '{"rows":7,"ok":true,"none":null}'),
        ((1, "two", 3.5), '[1,"two",3.5]'),
        ("ä 😀", '"ä 😀"'),
        ("a\x00b", '"a\\u0000b"'),
        ({1: "a", None: "b", False: "c", 2.5: "d"}, '{"1":"a","null":"b","false":"c","2.5":"d"}'),
        (10**4_000, str(10**4_000)),
        (Count(3), "3"),
        ("x" * (MAX_RESULT_BYTES - 2), '"' + "x" * (MAX_RESULT_BYTES - 2) + '"'),
    ],
    ids=kind_of,
)
def test_a_result_that_is_json_is_kept(result: Any, encoded: str | None) -> None:
    assert encode_result(result) == (encoded, None)


class RaisingItems(dict[str, int]):
    """A result that raises when it is read."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(a=1)
        self.error = error

    def items(self) -> Any:
        raise self.error


def cyclic() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


def deep(levels: int) -> list[Any]:
    items: list[Any] = []
    for _ in range(levels):
        items = [items]
    return items


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (float("nan"), "ValueError: Out of range float values are not JSON compliant"),
        ({"figures": [1.0, float("-inf")]}, "ValueError: Out of range float values are not JSON compliant"),
        (cyclic(), "ValueError: Circular reference detected"),
        ((number for number in range(3)), "TypeError: Object of type generator is not JSON serializable"),
        (object(), "TypeError: Object of type object is not JSON serializable"),
        (b"bytes", "TypeError: Object of type bytes is not JSON serializable"),
        ({1, 2}, "TypeError: Object of type set is not JSON serializable"),
        (Colour.RED, "TypeError: Object of type Colour is not JSON serializable"),
        ({(1, 2): "a pair"}, "TypeError: keys must be str, int, float, bool or None, not tuple"),
        ("lone \ud800", "UnicodeEncodeError: 'utf-8' codec can't encode character '\\ud800'"),
        ({"\udfff": 1}, "UnicodeEncodeError: 'utf-8' codec can't encode character '\\udfff'"),
        (10**5_000, "ValueError: Exceeds the limit (4300 digits) for integer string conversion"),
        (deep(100_000), "RecursionError: maximum recursion depth exceeded"),
        (RaisingItems(SystemExit("no items")), "SystemExit: no items"),
        ("x" * 70_000, f"70002 bytes as JSON, at most {MAX_RESULT_BYTES} are"),
        ("ä" * 40_000, f"80002 bytes as JSON, at most {MAX_RESULT_BYTES} are"),
        ("x" * (MAX_RESULT_BYTES - 1), f"{MAX_RESULT_BYTES + 1} bytes as JSON, at most {MAX_RESULT_BYTES} are"),
        (list(range(100_000)), f"bytes as JSON, at most {MAX_RESULT_BYTES} are"),
    ],
    ids=kind_of,
)
def test_a_result_that_cannot_be_kept_is_told_why(result: Any, reason: str) -> None:
    encoded, why = encode_result(result)

    assert encoded is None
    assert why is not None
    assert why.startswith("result not kept: ")
    assert reason in why
    assert len(why.encode("utf-8")) < 2_000


@pytest.mark.parametrize(
    "error",
    [
        ValueError("m" * 1_000_000),
        ValueError("nul \x00 and \ud800"),
        KeyboardInterrupt(),
        Unreadable(lambda: throw(SystemExit(1))),
        Silent("hello"),
        type("E" * 1_000_000, (Exception,), {})("long name"),
    ],
    ids=lambda error: type(error).__name__[:20],
)
def test_why_a_result_is_not_kept_is_bounded_and_storable(error: BaseException) -> None:
    encoded, why = encode_result(RaisingItems(error))

    assert encoded is None
    assert why is not None
    assert len(why.encode("utf-8")) < 2_000
    assert "\x00" not in why


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_a_kept_result_reads_back_as_it_was(result: Any) -> None:
    encoded, why = encode_result(result)

    if why is None:
        assert json.loads(encoded or "null") == result
    else:
        assert "UnicodeEncodeError" in why
