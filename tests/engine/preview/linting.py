"""Asks for the warnings about a timing, and watches what that costs."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from engine.calendars import Calendar, Weekday, days_off
from engine.cron import CronSchedule
from engine.preview import ScheduleWarning
from engine.preview.lint import lint
from engine.schedule import Schedule
from engine.slots import basic_schedule, schedule_from
from engine.timing import Timing
from tests.factories import NOON

JOB_ID = UUID(int=7)
NEW_YORK = "America/New_York"
MAX_LOOKS = 120
"""Slots that one lint may ask for: a few of the schedule's own, and one for each day with slots on days off."""


def calendar(name: str, *weekly: Weekday, dates: frozenset[date] = frozenset()) -> Calendar:
    return Calendar(name, dates, frozenset(weekly), NOON, NOON)


CALENDARS = {
    "weekends": calendar("weekends", Weekday.SATURDAY, Weekday.SUNDAY),
    "always": calendar("always", *Weekday),
    "gap": calendar("gap", dates=frozenset({date(2027, 3, 14), date(2028, 3, 12)})),
    "overlap": calendar("overlap", dates=frozenset({date(2027, 11, 7), date(2028, 11, 5)})),
}


@dataclass
class Watched:
    """A schedule that counts how often it is asked."""

    schedule: Schedule
    looks: int = 0

    def next_after(self, instant: datetime) -> datetime | None:
        self.looks += 1
        return self.schedule.next_after(instant)

    def latest_until(self, instant: datetime) -> datetime | None:
        self.looks += 1
        return self.schedule.latest_until(instant)

    def count_between(self, first: datetime, last: datetime) -> tuple[int, bool]:
        self.looks += 1
        return self.schedule.count_between(first, last)


def warnings_of(
    timing: Timing, *, after: datetime = NOON, job_id: UUID | None = JOB_ID, calendars: dict[str, Calendar] = CALENDARS
) -> list[ScheduleWarning]:
    basic = basic_schedule(timing, anchor_at=after, job_id=job_id)
    watched = Watched(schedule_from(timing, calendars, anchor_at=after, job_id=job_id))
    found = lint(
        timing,
        schedule=watched,
        expression=basic.expression if isinstance(basic, CronSchedule) else None,
        after=after,
        off=days_off(timing, calendars),
        has_job_id=job_id is not None,
    )
    assert watched.looks <= MAX_LOOKS
    return found


def codes(timing: Timing, **rest: Any) -> list[str]:
    return [warning.code for warning in warnings_of(timing, **rest)]


def message(timing: Timing, code: str, **rest: Any) -> str:
    (found,) = [warning.message for warning in warnings_of(timing, **rest) if warning.code == code]
    return found


def cron(expression: str, timezone: str = "UTC", **rest: Any) -> Timing:
    return Timing(cron_expression=expression, timezone=timezone, **rest)
