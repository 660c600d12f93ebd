"""Named calendars: the days on which jobs that list them do not run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from engine.errors import UnknownCalendar
from engine.timing import Timing


class Weekday(StrEnum):
    """The days of the week in the order of ISO 8601."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


WEEKDAYS = tuple(Weekday)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Days off: single dates and whole weekdays. They are local days of the job that lists the calendar."""

    name: str
    dates: frozenset[date]
    weekly_days_off: frozenset[Weekday]
    created_at: datetime
    updated_at: datetime
    description: str | None = None

    def excludes(self, day: date) -> bool:
        """Whether the day is off."""
        return WEEKDAYS[day.weekday()] in self.weekly_days_off or day in self.dates


@dataclass(frozen=True, slots=True)
class DaysOff:
    """The calendars of one job together. A business day is one that none of them excludes."""

    calendars: tuple[Calendar, ...] = ()

    def excluding(self, day: date) -> Calendar | None:
        """The first of the calendars that excludes the day."""
        return next((calendar for calendar in self.calendars if calendar.excludes(day)), None)


NO_DAYS_OFF = DaysOff()

Calendars = Mapping[str, Calendar]
"""Calendars by name: at least those that the jobs at hand list."""


def days_off(timing: Timing, calendars: Calendars) -> DaysOff:
    """The calendars that the timing lists, in its order. Raises UnknownCalendar."""
    if not timing.exclude_calendars:
        return NO_DAYS_OFF
    return DaysOff(tuple(_known(name, calendars) for name in timing.exclude_calendars))


def listed_names(timings: Iterable[Timing]) -> set[str]:
    """The names of all calendars that any of the timings lists."""
    return {name for timing in timings for name in timing.exclude_calendars}


def _known(name: str, calendars: Calendars) -> Calendar:
    if name not in calendars:
        raise UnknownCalendar(name)
    return calendars[name]
