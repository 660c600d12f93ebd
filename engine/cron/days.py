"""Which days an expression names: month, day of month and day of week, and how the two day fields join."""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import MAXYEAR, MINYEAR, date
from functools import lru_cache

from engine.cron.fields import LAST, FieldValues

MAX_REMEMBERED_MONTHS = 256
"""Of which is known how they begin and end: schedules are asked about the next few, again and again."""

LENGTHS = {month: (28, 29) if month == 2 else (monthrange(2001, month)[1],) for month in range(1, 13)}
"""How long each month can be."""


@dataclass(frozen=True, slots=True)
class DayRule:
    """The days. A month's are one number with a bit for each day, which depends only on its length and first weekday.

    The two day fields join as in crontab(5) of Debian: if both are restricted, either matches; but if one of them
    starts with a star, both must.
    """

    month: FieldValues
    day_of_month: FieldValues
    day_of_week: FieldValues
    _masks: dict[tuple[int, int], int] = field(default_factory=dict, compare=False, repr=False)

    @property
    def must_both_match(self) -> bool:
        """Whether a day must match both day fields; otherwise one of them is enough."""
        return self.day_of_month.starts_with_star or self.day_of_week.starts_with_star

    @property
    def are_both_restricted(self) -> bool:
        """Whether each of the day fields leaves out some days."""
        return not self.day_of_month.is_full and not self.day_of_week.is_full

    @property
    def longest_month(self) -> int:
        """The most days that any of the named months has."""
        return max(length for month in self.month.values for length in LENGTHS[month])

    def exist(self) -> bool:
        """Whether there is any such day: within 400 years each month begins on each weekday, leap years included."""
        return any(
            self._mask(first_weekday, length)
            for month in self.month.values
            for length in LENGTHS[month]
            for first_weekday in range(7)
        )

    def match(self, day: date) -> bool:
        """Whether the day is one of them."""
        return day.month in self.month.values and bool(self._mask_of(day.year, day.month) >> day.day & 1)

    def on_or_after(self, day: date) -> date | None:
        """The first of them from `day` on."""
        # Nearly always in the same month, and then without looking at which months there are.
        mask = self._mask_of(day.year, day.month) & -1 << day.day if day.month in self.month.values else 0
        if mask:
            return day.replace(day=(mask & -mask).bit_length() - 1)
        for year, month in self._months_from(day):
            mask = self._mask_of(year, month)
            if (year, month) == (day.year, day.month):
                mask &= -1 << day.day
            if mask:
                return date(year, month, (mask & -mask).bit_length() - 1)
        return None

    def on_or_before(self, day: date) -> date | None:
        """The last of them up to `day`."""
        for year, month in self._months_back_from(day):
            mask = self._mask_of(year, month)
            if (year, month) == (day.year, day.month):
                mask &= (2 << day.day) - 1
            if mask:
                return date(year, month, mask.bit_length() - 1)
        return None

    def count(self, first: date, end: date) -> int:
        """How many there are from `first` on and before `end`."""
        total = 0
        for year, month in self._months_from(first):
            if (year, month) > (end.year, end.month):
                break
            mask = self._mask_of(year, month)
            if (year, month) == (first.year, first.month):
                mask &= -1 << first.day
            if (year, month) == (end.year, end.month):
                mask &= (1 << end.day) - 1
            total += mask.bit_count()
        return total

    def _months_from(self, day: date) -> Iterator[tuple[int, int]]:
        if not self.exist():
            return
        months = sorted(self.month.values)
        yield from ((day.year, month) for month in months if month >= day.month)
        for year in range(day.year + 1, MAXYEAR + 1):
            yield from ((year, month) for month in months)

    def _months_back_from(self, day: date) -> Iterator[tuple[int, int]]:
        if not self.exist():
            return
        months = sorted(self.month.values, reverse=True)
        yield from ((day.year, month) for month in months if month <= day.month)
        for year in range(day.year - 1, MINYEAR - 1, -1):
            yield from ((year, month) for month in months)

    def _mask_of(self, year: int, month: int) -> int:
        return self._mask(*_month(year, month))

    def _mask(self, first_weekday: int, length: int) -> int:
        key = first_weekday, length
        if key not in self._masks:
            days = range(1, length + 1)
            self._masks[key] = sum(
                1 << day for day in days if self._fits(day, (first_weekday + day - 1) % 7, first_weekday, length)
            )
        return self._masks[key]

    def _fits(self, day: int, weekday: int, first_weekday: int, length: int) -> bool:
        fits_month = self._fits_day_of_month(day, first_weekday, length)
        fits_week = self._fits_day_of_week(day, weekday, length)
        return (fits_month and fits_week) if self.must_both_match else (fits_month or fits_week)

    def _fits_day_of_month(self, day: int, first_weekday: int, length: int) -> bool:
        rule = self.day_of_month
        return (
            day in rule.values
            or (rule.is_last and day == length)
            or (rule.is_last_business_day and day == _nearest_business_day(length, first_weekday, length))
            or any(day == _nearest_business_day(near, first_weekday, length) for near in rule.nearest if near <= length)
        )

    def _fits_day_of_week(self, day: int, weekday: int, length: int) -> bool:
        rule = self.day_of_week
        return (
            weekday in rule.values
            or (weekday, (day + 6) // 7) in rule.nth
            or ((weekday, LAST) in rule.nth and day + 7 > length)
        )


@lru_cache(maxsize=MAX_REMEMBERED_MONTHS)
def _month(year: int, month: int) -> tuple[int, int]:
    """On which weekday it begins, Sunday being 0, and how many days it has."""
    monday_is_zero, length = monthrange(year, month)
    return (monday_is_zero + 1) % 7, length


def _nearest_business_day(day: int, first_weekday: int, length: int) -> int:
    """The day from Monday to Friday that is nearest to `day` and in the same month, as Quartz has it."""
    weekday = (first_weekday + day - 1) % 7
    if weekday == 6:
        return day - 1 if day > 1 else day + 2
    if weekday == 0:
        return day + 1 if day < length else day - 2
    return day
