"""Jobs filtered, ordered and page by page: what a client may ask for, cursors, and the link to the next page."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator

from api.fields import storable
from api.limits import MAX_JOB_CURSOR_LENGTH, MAX_PAGE_SIZE
from api.run_pages import link_from
from api.schedule_fields import Instant
from engine.job_listing import JobFilter, JobOrder, JobPosition, SortKey
from engine.limits import MAX_NAME_LENGTH
from engine.nouns import Job, JobStatus
from registry.functions import MAX_FUNCTION_NAME_LENGTH

SORTS = {f"{sign}{key}": JobOrder(key, is_descending=bool(sign)) for key in SortKey for sign in ("", "-")}


@dataclass(frozen=True, slots=True)
class JobPage:
    """The page a client asks for; `limit` None asks for all jobs at once."""

    wanted: JobFilter
    order: JobOrder
    after: JobPosition | None
    limit: int | None

    @property
    def is_whole_list(self) -> bool:
        """Whether it is what clients have always asked for: every job, oldest first."""
        return self == JobPage(JobFilter(), JobOrder(), None, None)


async def _job_filter(
    status: Annotated[JobStatus | None, Query(description="Only jobs of this status")] = None,
    function_name: Annotated[
        str | None,
        Query(max_length=MAX_FUNCTION_NAME_LENGTH, description="Only jobs that call this function"),
        AfterValidator(lambda text: text and storable(text)),
    ] = None,
    name: Annotated[
        str | None,
        Query(max_length=MAX_NAME_LENGTH, description="Only jobs whose name contains this, in letters of either case"),
        AfterValidator(lambda text: text and storable(text)),
    ] = None,
    due_before: Annotated[Instant | None, Query(description="Only jobs whose next slot is before this instant")] = None,
) -> JobFilter:
    return JobFilter(status, function_name, name, due_before)


WantedJobs = Annotated[JobFilter, Depends(_job_filter)]


async def _job_page(
    wanted: WantedJobs,
    sort: Annotated[
        str,
        Query(
            description="What the jobs are ordered by; with a minus sign, backwards",
            json_schema_extra={"enum": list(SORTS)},
        ),
    ] = SortKey.CREATED_AT.value,
    limit: Annotated[
        int | None,
        Query(ge=1, le=MAX_PAGE_SIZE, description=f"Jobs in one answer; {MAX_PAGE_SIZE} if the list is filtered"),
    ] = None,
    cursor: Annotated[
        str | None,
        Query(max_length=MAX_JOB_CURSOR_LENGTH, description="As the Link header of the page before gives it"),
    ] = None,
) -> JobPage:
    order = SORTS.get(sort)
    if order is None:
        raise _fault("sort", "invalid_sort", f"one of {', '.join(SORTS)} is wanted", sort)
    return JobPage(wanted, order, None if cursor is None else read_cursor(cursor, order), limit)


WantedJobPage = Annotated[JobPage, Depends(_job_page)]


def next_link(request: Request, jobs: Sequence[Job], order: JobOrder) -> str:
    """The `Link` header of the page after `jobs`."""
    return link_from(request, write_cursor(JobPosition.of(jobs[-1], order), order))


def write_cursor(position: JobPosition, order: JobOrder) -> str:
    """The position and the order that it is one in, as URL-safe Base64 of JSON."""
    value = position.value.isoformat() if isinstance(position.value, datetime) else position.value
    text = json.dumps([order.key, order.is_descending, value, position.job_id.hex], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def read_cursor(cursor: str, order: JobOrder) -> JobPosition:
    """The position that `cursor` names in this order; raises RequestValidationError for what is none."""
    try:
        key, is_descending, value, job_id = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
        if (key, is_descending) != (order.key.value, order.is_descending):
            raise _fault("cursor", "invalid_cursor", "The cursor is one of a list in another order", cursor)
        return JobPosition(_value(value, order), UUID(hex=job_id))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        message = "The cursor cannot be read: take it from the Link header of the page before"
        raise _fault("cursor", "invalid_cursor", message, cursor) from None


def _value(value: object, order: JobOrder) -> datetime | str | None:
    if value is None and order.key is SortKey.NEXT_RUN_AT:
        return None
    if not isinstance(value, str):
        raise TypeError
    if order.key is SortKey.NAME:
        return storable(value)
    return datetime.fromisoformat(value).astimezone(UTC)


def _fault(name: str, kind: str, message: str, given: str) -> RequestValidationError:
    return RequestValidationError([{"type": kind, "loc": ("query", name), "msg": message, "input": given}])
