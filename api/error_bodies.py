"""The bodies of answers that refuse. Whatever a client sent, writing one of these does not fail."""

import json
import reprlib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, Field

from api.limits import MAX_ERROR_ENTRIES, MAX_ERROR_TEXT_LENGTH, MAX_SHOWN_INPUT_BYTES
from engine.text import clean_text


class ProblemView(BaseModel):
    """What every refusal says beside its detail, as RFC 9457 has it."""

    type: str = Field(description="What kind of problem it is; about:blank: no more than its status")
    title: str = Field(description="The same in words")
    status: int
    request_id: str | None = Field(description="Also in the answer's X-Request-ID, and in the log")


class ErrorView(ProblemView):
    """Why the request was refused."""

    detail: str


class FaultView(BaseModel):
    """One fault: where it is, what is wanted, what was given."""

    loc: list[str | int]
    msg: str
    type: str
    input: Any = None
    ctx: dict[str, Any] = {}


class ValidationErrorView(ProblemView):
    """What does not fit in the request."""

    detail: list[FaultView]


def faults(found: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The first of the faults that validation found, in the shape that FastAPI gives them, safe to send."""
    return [_fault(entry) for entry in list(found)[:MAX_ERROR_ENTRIES]]


def _fault(entry: Mapping[str, Any]) -> dict[str, Any]:
    fault = {
        "type": entry["type"],
        "loc": [part if isinstance(part, int) else safe_text(part) for part in entry["loc"]],
        "msg": safe_text(entry["msg"]),
        "input": _shown(entry["input"]),
    }
    # Some of the context is exceptions; the message has their text.
    facts = {key: _shown(fact) for key, fact in entry.get("ctx", {}).items() if isinstance(fact, str | int | float)}
    return fault | {"ctx": facts} if facts else fault


def safe_text(text: str) -> str:
    """`text` as it can be sent: bounded, and UTF-8."""
    return clean_text(text, at_most=MAX_ERROR_TEXT_LENGTH)


def _shown(value: Any) -> Any:
    """`value` itself if it is small and proper JSON, else a short description of it."""
    try:
        encoded = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        # Bytes; NaN, Infinity and halves of surrogate pairs; too deep.
        return safe_text(reprlib.repr(value))
    return value if len(encoded) <= MAX_SHOWN_INPUT_BYTES else safe_text(reprlib.repr(value))
