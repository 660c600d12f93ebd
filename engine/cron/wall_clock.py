"""The times on the wall that an expression names: naive datetimes of whole seconds. The only module with croniter.

croniter steps what it reads as crontab(5) means it: numbers in every field, and day fields of which one is enough.
It gets the numbers written out, because it takes "5-5" for every value and a full list for a star. What it does not
join as Debian's cron does is stepped day by day over our own rule, and only the time of day is croniter's: W and #
(which stay intersections with the other day field, as its source says), L in lists, and both day fields at once.
"""

import copy
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Protocol

from croniter import CroniterBadDateError, croniter

from engine.cron.days import DayRule
from engine.cron.expression import CronExpression
from engine.cron.fields import FieldValues
from engine.limits import MAX_REMEMBERED_CRON_EXPRESSIONS
from engine.zones import FIRST_WALL, LAST_WALL

ONE_DAY = timedelta(days=1)
ONE_SECOND = timedelta(seconds=1)


class WallClock(Protocol):
    """The walls of one expression, in their order. May be used from any thread."""

    def first_from(self, wall: datetime) -> datetime | None:
        """The first one at or after `wall`."""
        ...

    def last_until(self, wall: datetime) -> datetime | None:
        """The last one at or before `wall`."""
        ...


@lru_cache(maxsize=MAX_REMEMBERED_CRON_EXPRESSIONS)
def wall_clock(expression: CronExpression) -> WallClock:
    """The walls that the expression names; for every job that names the same, the same object."""
    days = expression.days
    time_of_day = " ".join([_numbers(expression.minute), _numbers(expression.hour)])
    second = _numbers(expression.second)
    if (days.are_both_restricted and days.must_both_match) or not _has_only_numbers(expression):
        return DayByDay(expression, CroniterWalls(f"{time_of_day} * * *", second))
    day_of_month, day_of_week = _days_of_month(days), _numbers(days.day_of_week)
    if not days.are_both_restricted and not days.must_both_match:
        # One is a full list without a star: either may match, so every day does.
        day_of_month = day_of_week = "*"
    return CroniterWalls(f"{time_of_day} {day_of_month} {_numbers(days.month)} {day_of_week}", second)


def count_walls(expression: CronExpression, start: datetime, end: datetime) -> int:
    """How many walls lie from `start` on and before `end`, by arithmetic: a month at a time."""
    if end <= start:
        return 0
    days = expression.days
    whole_days = days.count(start.date(), end.date()) * expression.times_per_day
    before_start = expression.times_before(start.time()) if days.match(start.date()) else 0
    on_last_day = expression.times_before(end.time()) if days.match(end.date()) else 0
    return whole_days - before_start + on_last_day


class CroniterWalls:
    """The walls as croniter steps them."""

    def __init__(self, five_fields: str, second: str) -> None:
        text = five_fields if second == "0" else f"{second} {five_fields}"
        self._template = croniter(text, datetime(2000, 1, 1), second_at_beginning=True)  # noqa: DTZ001 - a wall

    def first_from(self, wall: datetime) -> datetime | None:
        """By croniter's `get_next`, which means "after"."""
        return self._step(max(wall, FIRST_WALL + ONE_SECOND) - ONE_SECOND, is_back=False)

    def last_until(self, wall: datetime) -> datetime | None:
        """By croniter's `get_prev`, which means "before"."""
        return self._step(min(wall, LAST_WALL - ONE_SECOND) + ONE_SECOND, is_back=True)

    def _step(self, start: datetime, *, is_back: bool) -> datetime | None:
        # A copy for each call: stepping changes the object, but not the lists in it, whose making is most of the cost.
        stepper = copy.copy(self._template)
        step = stepper.get_prev if is_back else stepper.get_next
        try:
            return step(datetime, start_time=start)
        except (CroniterBadDateError, ValueError, OverflowError):
            # Nothing within fifty years, before the year 1, or after the year 9999.
            return None


class DayByDay:
    """The walls on the days of our own rule, at croniter's times of day."""

    def __init__(self, expression: CronExpression, every_day: CroniterWalls) -> None:
        self._days = expression.days
        self._every_day = every_day

    def first_from(self, wall: datetime) -> datetime | None:
        """Looks at two days at most: on a day after the first, every time of day is still to come."""
        day = self._days.on_or_after(wall.date())
        while day is not None:
            found = self._every_day.first_from(max(wall, datetime.combine(day, time.min)))
            if found is None or found.date() == day:
                return found
            day = self._days.on_or_after(day + ONE_DAY)
        return None

    def last_until(self, wall: datetime) -> datetime | None:
        """Looks at two days at most."""
        day = self._days.on_or_before(wall.date())
        while day is not None:
            found = self._every_day.last_until(min(wall, datetime.combine(day, time(23, 59, 59))))
            if found is None or found.date() == day:
                return found
            day = None if day == date.min else self._days.on_or_before(day - ONE_DAY)
        return None


def _has_only_numbers(expression: CronExpression) -> bool:
    return all(values.has_only_numbers for values in expression.fields)


def _days_of_month(days: DayRule) -> str:
    """Without those that no named month has, which croniter would look for through fifty years."""
    existing = [day for day in sorted(days.day_of_month.values) if day <= days.longest_month]
    # None at all: the days of the week are left to match by themselves.
    return "*" if days.day_of_month.is_full or not existing else ",".join(map(str, existing))


def _numbers(values: FieldValues) -> str:
    return "*" if values.is_full else ",".join(map(str, sorted(values.values)))
