"""The routes of calendars. What they mean for jobs, the engine knows."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.models import Example
from fastapi.responses import Response
from pydantic import TypeAdapter

from api.calendar_bodies import (
    HOLIDAYS,
    REPLACED_HOLIDAYS,
    CalendarCreate,
    CalendarReplace,
    CalendarView,
    WrittenCalendarView,
)
from api.errors import documented
from api.icalendar_dates import DaysInText, dates_of
from api.json_bodies import StrictRoute
from api.refusals import BodyTooLarge, InvalidICalendar, NotConfirmed, UnreadableBody
from api.responses import DeletedView
from api.service import KnownAs, Service, TheService, require_confirmation
from engine.calendars import Calendar
from engine.errors import (
    CalendarExists,
    CalendarInUse,
    CalendarNotFound,
    StoreUnavailable,
    TooManyCalendars,
    TooManyDates,
)
from engine.limits import MAX_CALENDAR_DATES
from engine.requests import CalendarDraft

router = APIRouter(prefix="/calendars", tags=["calendars"], route_class=StrictRoute)

VIEWS = TypeAdapter(list[CalendarView])

IMPORTING = (BodyTooLarge, InvalidICalendar, TooManyDates)
"""What may be wrong with an iCalendar text."""

DESCRIBING = (UnreadableBody, RequestValidationError, *IMPORTING)
"""What may be wrong with a calendar that a client describes."""

KNOWN = (RequestValidationError, CalendarNotFound)
"""What may be wrong with the name of a calendar."""

WholeCalendar = Annotated[
    CalendarCreate, Body(openapi_examples={"holidays": Example(summary="Holidays and weekends", value=HOLIDAYS)})
]
OtherCalendar = Annotated[
    CalendarReplace, Body(openapi_examples={"holidays": Example(summary="Other holidays", value=REPLACED_HOLIDAYS)})
]

ICALENDAR_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "An iCalendar text (RFC 5545) in UTF-8, whatever its Content-Type: curl --data-binary @a.ics",
        "content": {"text/calendar": {"schema": {"type": "string"}}},
    }
}


async def _text(request: Request) -> bytes:
    return await request.body()


@router.post(
    "",
    summary="Create a calendar",
    responses=documented(*DESCRIBING, CalendarExists, TooManyCalendars, StoreUnavailable),
)
def create_calendar(body: WholeCalendar, service: TheService) -> WrittenCalendarView:
    """Days off, for jobs to list in `exclude_calendars`."""
    found = _found_in(body, service)
    calendar = service.scheduler.calendars.create(_draft(body.name, body, found))
    return WrittenCalendarView.after_import(calendar, found, known=frozenset(body.dates or ()))


@router.get("", response_model=list[CalendarView], summary="List all calendars", responses=documented(StoreUnavailable))
def list_calendars(service: TheService) -> Response:
    """Every calendar, by name, in one array."""
    views = [CalendarView.of(calendar) for calendar in service.store.all_calendars()]
    # Written at once: FastAPI would check the millions of dates there may be a second time.
    return Response(VIEWS.dump_json(views), media_type="application/json")


@router.get("/{name}", summary="Get a calendar", responses=documented(*KNOWN, StoreUnavailable))
def get_calendar(name: KnownAs, service: TheService) -> CalendarView:
    """With all its dates."""
    return CalendarView.of(_existing(service, name))


@router.put("/{name}", summary="Replace a calendar", responses=documented(*KNOWN, *DESCRIBING, StoreUnavailable))
def replace_calendar(name: KnownAs, body: OtherCalendar, service: TheService) -> WrittenCalendarView:
    """What is not named is emptied. Jobs that list the calendar have their next run looked up again."""
    if body.name not in (None, name):
        raise _other_name(given=body.name, wanted=name)
    found = _found_in(body, service)
    calendar = service.scheduler.calendars.replace(_draft(name, body, found))
    return WrittenCalendarView.after_import(calendar, found, known=frozenset(body.dates or ()))


@router.delete(
    "/{name}",
    summary="Delete a calendar",
    dependencies=[Depends(require_confirmation)],
    responses=documented(NotConfirmed, *KNOWN, CalendarInUse, StoreUnavailable),
)
def delete_calendar(name: KnownAs, service: TheService) -> DeletedView:
    """Only one that no job lists."""
    service.scheduler.calendars.delete(name)
    return DeletedView(message=f"Calendar {name} deleted successfully")


@router.post(
    "/{name}/import",
    summary="Import an iCalendar text",
    openapi_extra=ICALENDAR_BODY,
    responses=documented(*KNOWN, *IMPORTING, StoreUnavailable),
)
def import_calendar(name: KnownAs, text: Annotated[bytes, Depends(_text)], service: TheService) -> WrittenCalendarView:
    """Adds the days of its events of whole days. Events with a time of day, and cancelled ones, are left out and named.

    Recurring events are followed from a year ago to ten years from now.
    """
    known = _existing(service, name).dates
    found = dates_of(text, today=service.clock.now().date())
    calendar = service.scheduler.calendars.add_dates(name, found.dates)
    return WrittenCalendarView.after_import(calendar, found, known=known)


def _existing(service: Service, name: str) -> Calendar:
    calendar = service.store.calendar(name)
    if calendar is None:
        raise CalendarNotFound(name)
    return calendar


def _found_in(body: CalendarReplace, service: Service) -> DaysInText:
    if body.icalendar is None:
        return DaysInText(frozenset(), (), expanded_until=None)
    return dates_of(body.icalendar, today=service.clock.now().date())


def _draft(name: str, body: CalendarReplace, found: DaysInText) -> CalendarDraft:
    dates = found.dates.union(body.dates or ())
    if len(dates) > MAX_CALENDAR_DATES:
        raise TooManyDates(len(dates), limit=MAX_CALENDAR_DATES)
    return CalendarDraft(
        name=name, dates=dates, weekly_days_off=frozenset(body.weekly_days_off or ()), description=body.description
    )


def _other_name(*, given: str | None, wanted: str) -> RequestValidationError:
    message = f"the body names {given} and the address {wanted}: leave the name out of the body, or give the same"
    return RequestValidationError([{"type": "other_name", "loc": ("body", "name"), "msg": message, "input": given}])
