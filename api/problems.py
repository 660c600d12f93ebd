"""The bodies of answers that refuse: `detail`, as clients know it, and beside it the members of RFC 9457."""

import re
from functools import cache
from http import HTTPStatus
from typing import Any

import structlog
from fastapi.responses import JSONResponse

BLANK = "about:blank"
"""The type of a problem that is no more than its status."""


def refusal(
    status: int,
    detail: Any,
    headers: dict[str, str] | None = None,
    *,
    kind: type[Exception] | None = None,
    title: str = "",
) -> JSONResponse:
    """The answer. `kind` names the type of the problem, and `title` says what it is; without them, it is its status."""
    body = {
        "type": BLANK if kind is None else type_of(kind.__name__),
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": structlog.contextvars.get_contextvars().get("request_id"),
    }
    return JSONResponse(body, status_code=status, headers=headers)


@cache
def type_of(error_name: str) -> str:
    """A name for the type of a problem that stays as it is: `JobNotFound` is `urn:scheduler:job-not-found`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", error_name)
    return f"urn:scheduler:{words.lower()}"
