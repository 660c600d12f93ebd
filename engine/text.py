"""Text and results from job functions, made safe to keep: bounded, storable, never raising."""

import json
import re
import traceback
from types import TracebackType
from typing import Any

from engine.limits import (
    MAX_ERROR_MESSAGE_LENGTH,
    MAX_ERROR_TYPE_LENGTH,
    MAX_RESULT_BYTES,
    MAX_RESULT_DEPTH,
    MAX_TRACEBACK_FRAMES,
    MAX_TRACEBACK_LENGTH,
)
from engine.nouns import RunError

STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
BRACKET = re.compile(r"[\[\]{}]")


def clean_text(text: str, *, at_most: int) -> str:
    """The first `at_most` characters, without NUL and lone surrogates, which PostgreSQL and UTF-8 refuse."""
    kept = text[:at_most].replace("\x00", "\\x00")
    kept = kept.encode("utf-8", "backslashreplace").decode("utf-8")
    return kept if len(text) <= at_most else f"{kept}... ({len(text)} characters in all)"


def describe_error(error: BaseException) -> RunError:
    """What is kept of an exception, whatever its class does when it is asked for its text."""
    return RunError(
        type=clean_text(_type_name(error), at_most=MAX_ERROR_TYPE_LENGTH),
        message=clean_text(_message(error), at_most=MAX_ERROR_MESSAGE_LENGTH),
        traceback=_traceback(error),
    )


def encode_result(result: Any) -> tuple[str | None, str | None]:
    """The result as JSON text, or None and the reason why it is not kept."""
    if result is None:
        return None, None
    try:
        encoded = json.dumps(result, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(encoded.encode("utf-8"))
    # A result is any object of the user's: its keys may raise what they like, its depth may exhaust the stack.
    except BaseException as error:  # noqa: BLE001 - see above
        cause = clean_text(f"{_type_name(error)}: {_message(error)}", at_most=200)
        return None, f"result not kept: {cause}"
    if size > MAX_RESULT_BYTES:
        return None, f"result not kept: {size} bytes as JSON, at most {MAX_RESULT_BYTES} are"
    if (depth := _depth(encoded)) > MAX_RESULT_DEPTH:
        return None, f"result not kept: {depth} levels deep, at most {MAX_RESULT_DEPTH} are"
    return encoded, None


def _depth(encoded: str) -> int:
    """How many objects and arrays are open at once, at most."""
    depth = deepest = 0
    for bracket in BRACKET.findall(STRING.sub("", encoded)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _type_name(error: BaseException) -> str:
    kind = type(error)
    try:
        return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    # A metaclass may answer for its class, and __module__ may be any object.
    except BaseException:  # noqa: BLE001 - see above
        return type.__repr__(kind)


def _message(error: BaseException) -> str:
    try:
        # Plain text: a subclass of str could raise whenever it is measured or cut.
        return str.__str__(str(error))
    # str() of a user's exception is user code: it may raise anything.
    except BaseException as failure:  # noqa: BLE001 - see above
        return f"<its text could not be read: {_type_name(failure)}>"


def _traceback(error: BaseException) -> str:
    try:
        lines = _format(error, error.__traceback__)
    # Formatting asks the exception for its text and its notes, which are user code.
    except BaseException as failure:  # noqa: BLE001 - see above
        return f"<its traceback could not be written: {_type_name(failure)}>"
    # The end says where it happened, so the end is kept; each line is cut first, or one message could fill memory.
    text = "".join(
        line if len(line) <= MAX_TRACEBACK_LENGTH else f"{line[:MAX_ERROR_MESSAGE_LENGTH]}...\n" for line in lines
    )
    kept = text if len(text) <= MAX_TRACEBACK_LENGTH else f"...\n{text[-MAX_TRACEBACK_LENGTH:]}"
    return clean_text(kept, at_most=MAX_TRACEBACK_LENGTH + 4)


def _format(error: BaseException, trace: TracebackType | None) -> list[str]:
    return traceback.format_exception(type(error), error, trace, limit=-MAX_TRACEBACK_FRAMES)
