"""The fields that clients fill: their types, their limits, and the sentences that refuse a wrong value."""

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

from engine.limits import (
    MAX_CALENDAR_DESCRIPTION_LENGTH,
    MAX_CALENDAR_NAME_LENGTH,
    MAX_METADATA_BYTES,
    MAX_METADATA_DEPTH,
    MAX_NAME_LENGTH,
)
from registry.functions import MAX_FUNCTION_NAME_LENGTH

UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
CALENDAR_NAME_PATTERN = "^[a-z0-9][a-z0-9_.-]*$"


def storable(text: str) -> str:
    """Refuse what UTF-8 has no bytes for (half of a surrogate pair) and what PostgreSQL does not store (NUL)."""
    if UNSTORABLE.search(text):
        raise PydanticCustomError("unstorable_text", "Text should hold no NUL and no half of a surrogate pair")
    return text


def _printable(text: str) -> str:
    if CONTROL_CHARACTER.search(text):
        raise PydanticCustomError("control_character", "Text should hold no control characters")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank_text", "Text should hold more than blanks")
    return text


def _keepable(metadata: dict[str, Any]) -> dict[str, Any]:
    """Refuse metadata that could not be stored, or not be sent back as it came."""
    # The depth first, and without recursion: the encoder below has the stack of the interpreter, no more.
    for depth, value in _walk(metadata):
        if depth > MAX_METADATA_DEPTH:
            raise PydanticCustomError(
                "too_deep", "Metadata should be nested at most {limit} levels deep", {"limit": MAX_METADATA_DEPTH}
            )
        if isinstance(value, str):
            storable(value)
    size = len(_encoded(metadata))
    if size > MAX_METADATA_BYTES:
        raise PydanticCustomError(
            "too_large",
            "Metadata should have at most {limit} bytes as UTF-8 JSON, not {size}",
            {"limit": MAX_METADATA_BYTES, "size": size},
        )
    return metadata


def _walk(metadata: dict[str, Any]) -> Iterator[tuple[int, Any]]:
    """Each key and value with the number of objects and arrays that are open there, itself included."""
    pending: list[tuple[int, Any]] = [(1, metadata)]
    while pending:
        depth, value = pending.pop()
        yield depth, value
        pending.extend((depth + isinstance(child, dict | list), child) for child in _children(value))


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _encoded(metadata: dict[str, Any]) -> bytes:
    try:
        return json.dumps(metadata, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError as error:
        raise PydanticCustomError("not_json", "Metadata should be JSON, which has no NaN and no Infinity") from error


Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_NAME_LENGTH),
    AfterValidator(storable),
    AfterValidator(_printable),
    AfterValidator(_not_blank),
]
"""What people call the job."""

FunctionName = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_FUNCTION_NAME_LENGTH), AfterValidator(storable)
]
"""Whether it is registered, the engine knows."""

Metadata = Annotated[dict[str, Any], AfterValidator(_keepable)]
"""What the function is given: any JSON object within the limits."""

CalendarName = Annotated[
    str, StringConstraints(pattern=CALENDAR_NAME_PATTERN, min_length=1, max_length=MAX_CALENDAR_NAME_LENGTH)
]
"""What jobs list. It stands in addresses as it is."""

CalendarDescription = Annotated[
    str, StringConstraints(max_length=MAX_CALENDAR_DESCRIPTION_LENGTH), AfterValidator(storable)
]
"""What the calendar is for."""
