"""The warning that a schedule and its calendars leave nothing to run."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from engine.calendars import DaysOff
from engine.preview.english import instant_text, listed
from engine.preview.values import ScheduleWarning
from engine.schedule import MICROSECOND, Schedule
from engine.timing import Timing
from engine.zones import local, start_of_day

MAX_DAYS_WITH_SLOTS = 50
MAX_DAYS_LOOKED_AT = 1_100
"""How far to look for a slot on a business day: so many days with slots, within three years."""

ONE_DAY = timedelta(days=1)


def lint_days_off(timing: Timing, schedule: Schedule, after: datetime, off: DaysOff) -> Iterator[ScheduleWarning]:
    """That no slot lies on a business day, as far as one looks."""
    first = schedule.next_after(after)
    if first is None or not off.calendars:
        return
    found = _days_off_only(timing.timezone, schedule, first, off)
    if found is not None:
        names = listed([calendar.name for calendar in off.calendars])
        yield ScheduleWarning(
            "all_excluded", f"{found} of {names}, so nothing runs: choose other days or other calendars"
        )


def _days_off_only(zone: str, schedule: Schedule, first: datetime, off: DaysOff) -> str | None:
    """What it is that leaves nothing to run; None if a slot lies on a business day.

    From a slot on a day off on it looks at the next business day: slots in between are on days off anyway.
    """
    last, slot = first, schedule.next_after(first - MICROSECOND)
    end = _day(first, zone, MAX_DAYS_LOOKED_AT)
    for _ in range(MAX_DAYS_WITH_SLOTS):
        if slot is None:
            break
        last, day = slot, _day(slot, zone)
        if off.excluding(day) is None:
            return None
        business_day = _business_day_after(day, end, off)
        if business_day is None:
            return f"there is a slot at {instant_text(first)}, but from {day} to {end} each day is a day off"
        slot = schedule.next_after(start_of_day(business_day, zone) - MICROSECOND)
    which = f"the only slot, at {instant_text(first)}," if last == first else _from_to(first, last)
    return f"{which} lies on a day off"


def _from_to(first: datetime, last: datetime) -> str:
    return f"every slot from {instant_text(first)} to {instant_text(last)}"


def _business_day_after(day: date, end: date, off: DaysOff) -> date | None:
    while day < end:
        day += ONE_DAY
        if off.excluding(day) is None:
            return day
    return None


def _day(instant: datetime, zone: str, later: int = 0) -> date:
    day = local(instant, zone).date()
    return date.fromordinal(min(day.toordinal() + later, date.max.toordinal() - 1))
