"""Runs page by page: what a client may ask for, cursors, and the link to the next page."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import quote, urlencode
from uuid import UUID

from fastapi import Depends, Query, Request
from fastapi.exceptions import RequestValidationError

from api.limits import DEFAULT_PAGE_SIZE, MAX_CURSOR_LENGTH, MAX_PAGE_SIZE
from engine.nouns import Run, RunState

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
INSTANT_BYTES = 8


@dataclass(frozen=True, slots=True)
class RunPage:
    """The page a client asks for. `before` is the position of the run before it: `scheduled_for` and `id`."""

    limit: int
    state: RunState | None
    before: tuple[datetime, UUID] | None


async def _run_page(
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE, description="Runs in one answer")] = DEFAULT_PAGE_SIZE,
    state: Annotated[RunState | None, Query(description="Only runs in this state")] = None,
    cursor: Annotated[
        str | None, Query(max_length=MAX_CURSOR_LENGTH, description="As the Link header of the page before gives it")
    ] = None,
) -> RunPage:
    return RunPage(limit=limit, state=state, before=None if cursor is None else read_cursor(cursor))


WantedPage = Annotated[RunPage, Depends(_run_page)]


def next_link(request: Request, runs: Sequence[Run]) -> str:
    """The `Link` header of the page after `runs`."""
    return link_from(request, write_cursor(runs[-1]))


def link_from(request: Request, cursor: str) -> str:
    """The `Link` header (RFC 8288) of the page from the cursor on, with all else that was asked for."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    query = urlencode([*kept, ("cursor", cursor)])
    # Without scheme and host, which a proxy may have changed.
    return f'<{quote(request.url.path)}?{query}>; rel="next"'


def write_cursor(run: Run) -> str:
    """The position of `run` in the order of runs: microseconds since 1970 and its id, in URL-safe Base64."""
    microseconds = (run.scheduled_for - EPOCH) // MICROSECOND
    position = microseconds.to_bytes(INSTANT_BYTES, signed=True) + run.id.bytes
    return base64.urlsafe_b64encode(position).decode()


def read_cursor(cursor: str) -> tuple[datetime, UUID]:
    """The position that `cursor` names; raises RequestValidationError for what `write_cursor` did not write."""
    try:
        position = base64.b64decode(cursor, altchars=b"-_", validate=True)
        instant, run_id = position[:INSTANT_BYTES], position[INSTANT_BYTES:]
        return EPOCH + int.from_bytes(instant, signed=True) * MICROSECOND, UUID(bytes=run_id)
    except (ValueError, OverflowError):
        raise _unreadable(cursor) from None


def _unreadable(cursor: str) -> RequestValidationError:
    message = "The cursor cannot be read: take it from the Link header of the page before"
    return RequestValidationError(
        [{"type": "invalid_cursor", "loc": ("query", "cursor"), "msg": message, "input": cursor}]
    )
