"""One table says which error is which answer. The answers are given, and documented, from it."""

from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.error_bodies import ErrorView, ValidationErrorView, faults, safe_text
from api.outage import Outage
from api.problems import refusal
from api.refusals import (
    BodyTooLarge,
    Forbidden,
    InvalidBackfillId,
    InvalidICalendar,
    InvalidJobId,
    InvalidKeyId,
    InvalidRunId,
    KeyWouldBeOver,
    NotConfirmed,
    TooManyStreams,
    UnreadableBody,
)
from engine.errors import (
    BackfillIsOver,
    BackfillNotFound,
    BackfillTooLarge,
    CalendarExists,
    CalendarInUse,
    CalendarNotFound,
    EverythingPaused,
    InvalidBackfill,
    InvalidMetadata,
    InvalidPause,
    InvalidSchedule,
    InvalidStatus,
    JobChanged,
    JobNotFound,
    KeyNotFound,
    NodeLost,
    NotScheduling,
    PoolFull,
    RunInTheWay,
    RunIsOver,
    RunNotFound,
    StoreUnavailable,
    TooManyBackfills,
    TooManyCalendars,
    TooManyDates,
    TooManyKeys,
    UnknownCalendar,
    UnknownFunction,
)
from registry import MetadataFault

log = structlog.get_logger("scheduler.api")


@dataclass(frozen=True, slots=True)
class Answer:
    """What an error becomes: a status, its meaning in the documentation, and, if not the error's text, the detail."""

    status: int
    meaning: str
    detail: str | None = None
    retry_after_seconds: int | None = None

    @property
    def headers(self) -> dict[str, str] | None:
        """Those that tell a client when to come again."""
        return None if self.retry_after_seconds is None else {"Retry-After": str(self.retry_after_seconds)}


ANSWERS: dict[type[Exception], Answer] = {
    InvalidJobId: Answer(400, "The job's id is no UUID"),
    InvalidRunId: Answer(400, "The run's id is no UUID"),
    InvalidBackfillId: Answer(400, "The backfill's id is no UUID"),
    InvalidKeyId: Answer(400, "The key's id is no UUID"),
    UnreadableBody: Answer(400, "The body is not UTF-8"),
    NotConfirmed: Answer(400, "?confirm=true is missing"),
    UnknownFunction: Answer(400, "No function of this name is registered"),
    Forbidden: Answer(403, "The key is not good for this"),
    JobNotFound: Answer(404, "No job has this id"),
    RunNotFound: Answer(404, "No run has this id"),
    BackfillNotFound: Answer(404, "No backfill has this id"),
    CalendarNotFound: Answer(404, "No calendar has this name"),
    KeyNotFound: Answer(404, "No key has this id"),
    RunInTheWay: Answer(409, "A run of this job is still going"),
    RunIsOver: Answer(409, "The run has ended"),
    EverythingPaused: Answer(409, "Everything is paused"),
    BackfillIsOver: Answer(409, "The backfill has ended"),
    TooManyBackfills: Answer(409, "As many backfills of this job as may be are not over"),
    CalendarExists: Answer(409, "A calendar of this name exists"),
    CalendarInUse: Answer(409, "Jobs list this calendar"),
    TooManyCalendars: Answer(409, "As many calendars as may be are there"),
    TooManyKeys: Answer(409, "As many keys as may be are kept"),
    JobChanged: Answer(412, "The job is not as it was with the ETag in If-Match"),
    BodyTooLarge: Answer(413, "The body is too large"),
    RequestValidationError: Answer(422, "The request does not fit"),
    InvalidSchedule: Answer(422, "The schedule cannot be read, or never fires"),
    UnknownCalendar: Answer(422, "A calendar that is listed does not exist"),
    InvalidBackfill: Answer(422, "The range cannot be made up for"),
    BackfillTooLarge: Answer(422, "The range has too many slots"),
    TooManyDates: Answer(422, "The calendar would have too many dates"),
    InvalidICalendar: Answer(422, "The iCalendar text cannot be taken"),
    InvalidStatus: Answer(422, "The status cannot be set"),
    InvalidPause: Answer(422, "The pause would be over already"),
    KeyWouldBeOver: Answer(422, "The key would be over already"),
    InvalidMetadata: Answer(422, "The metadata does not fit the function"),
    PoolFull: Answer(503, "Too many manual runs wait for a thread", retry_after_seconds=1),
    TooManyStreams: Answer(503, "Too many logs are followed", retry_after_seconds=5),
    NotScheduling: Answer(503, "The service is stopping", retry_after_seconds=5),
    NodeLost: Answer(503, "The other nodes took this one for dead; it comes back in a moment", retry_after_seconds=5),
    # The driver's text can hold host names and statements; it is logged instead.
    StoreUnavailable: Answer(
        503,
        "The database does not answer",
        detail="The database is not available at the moment; try again later",
        retry_after_seconds=5,
    ),
}

PLANNING = (UnreadableBody, BodyTooLarge, RequestValidationError, InvalidSchedule, UnknownCalendar)
"""What may be wrong with a schedule that a client describes."""

CREATING = (UnknownFunction, InvalidMetadata, InvalidStatus, *PLANNING)
"""What may be wrong with a job that a client describes."""


def documented(*errors: type[Exception]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may raise these."""
    answers = [ANSWERS[error] for error in errors]
    return {status: _response(status, answers) for status in sorted({answer.status for answer in answers})}


def _response(status: int, answers: list[Answer]) -> dict[str, Any]:
    of_status = [answer for answer in answers if answer.status == status]
    response: dict[str, Any] = {
        "model": ValidationErrorView if status == 422 else ErrorView,
        "description": "; or: ".join(answer.meaning for answer in of_status),
    }
    if any(answer.headers for answer in of_status):
        header = {"description": "Seconds after which to try again", "schema": {"type": "integer"}}
        response["headers"] = {"Retry-After": header}
    return response


def add_error_handlers(app: FastAPI) -> None:
    """Give the table's answers to the errors that routes raise."""
    app.state.outage = Outage()
    for error in ANSWERS.keys() - {BodyTooLarge, UnreadableBody}:
        app.add_exception_handler(error, answer_error)
    app.add_exception_handler(HTTPException, _answer_http)


async def answer_error(request: Request, error: Exception) -> JSONResponse:
    """The table's answer to an error, which the log is told of if the request was not served."""
    kind = next(kind for kind in type(error).__mro__ if kind in ANSWERS)
    answer = ANSWERS[kind]
    if answer.status == 503:
        _tell(request, error)
    detail = await _detail(request, error) or answer.detail or safe_text(str(error))
    return refusal(answer.status, detail, answer.headers, kind=kind, title=answer.meaning)


async def _answer_http(_request: Request, error: Exception) -> Response:
    """What FastAPI and Starlette refuse by themselves: no such route, not this method, a body that is no text."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code in _WITHOUT_BODY:
        return Response(status_code=error.status_code, headers=error.headers)
    kind = type(error) if type(error) in ANSWERS else None
    title = "" if kind is None else ANSWERS[kind].meaning
    return refusal(error.status_code, error.detail, dict(error.headers or {}), kind=kind, title=title)


_WITHOUT_BODY = frozenset({204, 304})


def _tell(request: Request, error: Exception) -> None:
    """Of an outage of the database only the first request is news: the others would fill the log."""
    facts = {"method": request.method, "path": request.url.path, "error": str(error)}
    if isinstance(error, StoreUnavailable) and not _begins_outage(request):
        log.debug("request not served", **facts)
    else:
        log.warning("request not served", **facts)


def _begins_outage(request: Request) -> bool:
    state = request.app.state
    is_news: bool = state.outage.begin(state.service.clock.monotonic())
    return is_news


async def _detail(request: Request, error: Exception) -> list[dict[str, Any]] | None:
    """What validation found; what the engine says of one field, in the same shape; None for other errors."""
    if isinstance(error, RequestValidationError):
        return faults(error.errors())
    if isinstance(error, InvalidSchedule):
        return faults([await _field_fault(request, error.field, kind="invalid_schedule", message=str(error))])
    if isinstance(error, InvalidBackfill):
        kind = "backfill_too_large" if isinstance(error, BackfillTooLarge) else "invalid_backfill"
        return faults([await _field_fault(request, error.field, kind=kind, message=str(error))])
    if isinstance(error, InvalidStatus):
        return faults([await _field_fault(request, "status", kind="invalid_status", message=str(error))])
    if isinstance(error, InvalidPause):
        return faults([await _field_fault(request, "until", kind="invalid_pause", message=str(error))])
    if isinstance(error, KeyWouldBeOver):
        return faults([await _field_fault(request, "expires_at", kind="invalid_expiry", message=str(error))])
    if isinstance(error, InvalidMetadata):
        return faults(map(_metadata_fault, error.faults))
    if isinstance(error, TooManyDates):
        return faults([await _field_fault(request, "dates", kind="too_many_dates", message=str(error))])
    if isinstance(error, InvalidICalendar):
        return faults([await _field_fault(request, "icalendar", kind="invalid_icalendar", message=str(error))])
    return None


def _metadata_fault(found: MetadataFault) -> dict[str, Any]:
    return {
        "type": found.type,
        "loc": ("body", "job_metadata", *found.loc),
        "msg": found.message,
        "input": found.input,
    }


async def _field_fault(request: Request, field: str, *, kind: str, message: str) -> dict[str, Any]:
    return {"type": kind, "loc": ("body", field), "msg": message, "input": await _given(request, field)}


async def _given(request: Request, field: str) -> Any:
    # A route that takes a body has read it by now, found it to be an object or left out, and kept it with the request.
    takes_body = getattr(request.scope["route"], "body_field", None) is not None
    return (await request.json()).get(field) if takes_body and await request.body() else None
