"""Calendars as clients send and get them. Their dates have no zone: they are local days of the jobs that list them."""

import re
from datetime import date, datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from api.fields import CalendarDescription, CalendarName
from api.icalendar_dates import DaysInText
from engine.calendars import WEEKDAYS, Calendar, Weekday
from engine.limits import MAX_CALENDAR_DATES

HOLIDAYS: dict[str, Any] = {
    "name": "company-holidays",
    "description": "When the office is closed",
    "dates": ["2026-12-25", "2027-01-01"],
    "weekly_days_off": ["saturday", "sunday"],
}

REPLACED_HOLIDAYS: dict[str, Any] = {"dates": ["2027-12-24", "2027-12-31"], "weekly_days_off": ["sunday"]}

DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
LONG_NAMES = {day[:3]: day for day in Weekday}


def _date(value: Any) -> Any:
    # Pydantic would take numbers for seconds since 1970, and instants whose time of day is 00:00.
    if not isinstance(value, str) or not DATE.fullmatch(value):
        raise PydanticCustomError("date_type", "Input should be a date, such as 2026-12-25")
    return value


def _weekday(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    name = value.lower()
    return LONG_NAMES.get(name, name)


Day = Annotated[date, BeforeValidator(_date)]
DayOfWeek = Annotated[Weekday, BeforeValidator(_weekday)]


class CalendarReplace(BaseModel):
    """A whole calendar, whose name is in the address. Null means absent; unknown fields are ignored."""

    model_config = ConfigDict(json_schema_extra={"examples": [REPLACED_HOLIDAYS]})

    name: CalendarName | None = Field(default=None, description="If given, the one in the address")
    description: CalendarDescription | None = Field(default=None, description="What the calendar is for")
    dates: Annotated[list[Day], Field(max_length=MAX_CALENDAR_DATES)] | None = Field(
        default=None, description="Days off, such as 2026-12-25"
    )
    weekly_days_off: Annotated[list[DayOfWeek], Field(max_length=len(WEEKDAYS))] | None = Field(
        default=None, description="Days of each week that are off, such as saturday; sat will do as well, in any case"
    )
    icalendar: str | None = Field(
        default=None, description="An iCalendar text (RFC 5545); the days of its events of whole days are added"
    )


class CalendarCreate(CalendarReplace):
    """A whole calendar. Null means absent; unknown fields are ignored."""

    model_config = ConfigDict(json_schema_extra={"examples": [HOLIDAYS]})

    name: CalendarName = Field(description="What jobs list: a-z, 0-9, dot, hyphen and underscore")


class CalendarView(BaseModel):
    """A calendar: single days off, and days of each week. Both are local days of the jobs that list it."""

    name: str
    description: str | None
    dates: list[date]
    weekly_days_off: list[Weekday]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, calendar: Calendar) -> Self:
        """As clients see `calendar`."""
        return cls(**_described(calendar))


class WrittenCalendarView(CalendarView):
    """A calendar after a change, and what became of the iCalendar text, if there was one.

    `imported`: how many of its dates the calendar would not have without it. `ignored`: which of its events have no
    days off, and why. `expanded_until`: the last day until which its recurring events were followed.
    """

    imported: int
    ignored: list[str]
    expanded_until: date | None

    @classmethod
    def after_import(cls, calendar: Calendar, found: DaysInText, *, known: frozenset[date]) -> Self:
        """The calendar with what was found, where it has, or had, the dates in `known` anyway."""
        return cls(
            **_described(calendar),
            imported=len(found.dates - known),
            ignored=list(found.ignored),
            expanded_until=found.expanded_until,
        )


def _described(calendar: Calendar) -> dict[str, Any]:
    return {
        "name": calendar.name,
        "description": calendar.description,
        "dates": sorted(calendar.dates),
        "weekly_days_off": [day for day in WEEKDAYS if day in calendar.weekly_days_off],
        "created_at": calendar.created_at,
        "updated_at": calendar.updated_at,
    }
