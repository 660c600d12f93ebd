"""Cron as DESIGN section 5 and crontab(5) have it, read anew by brute force: what the engine is held against.

Shares no code with the engine. It goes through UTC hour by hour, asks zoneinfo what the clock on the wall shows, and
looks at every minute that is shown, one by one. It reads sound expressions only, refuses nothing, and knows no `H`. It
is made for instants more than two days away from the first and the last that a datetime can hold.
"""

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=seconds) for seconds in (1, 60, 3_600, 86_400))
FIRST_INSTANT, LAST_INSTANT = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class Oracle:
    """One expression in one zone. Answers with aware UTC instants."""

    def __init__(
        self, expression: str, timezone: str = "UTC", *, runs_after_gap: bool = True, runs_in_both_passes: bool = False
    ) -> None:
        texts = MACROS.get(expression.strip().lower(), expression).lower().split()
        second, minute, hour, day, month, weekday = texts if len(texts) == 6 else ["0", *texts]
        self._zone = ZoneInfo(timezone)
        self._runs_after_gap, self._runs_in_both_passes = runs_after_gap, runs_in_both_passes
        # Debian: "the job has a fixed time" if neither field starts with a star.
        self._is_fixed = not minute.startswith("*") and not hour.startswith("*")
        self._seconds, self._minutes = sorted(numbers(second, 0, 59)), numbers(minute, 0, 59)
        self._hours, self._months = numbers(hour, 0, 23), numbers(month, 1, 12, MONTHS)
        self._day, self._weekday = day, weekday
        # Debian: if both are restricted either matches; what it looks at is the first character.
        self._joined = all if day.startswith("*") or weekday.startswith("*") else any
        self._dates: dict[tuple[int, int], set[int]] = {}

    def slots_after(self, instant: datetime, *, end: datetime = LAST_INSTANT) -> Iterator[datetime]:
        """Every slot strictly after, the earliest first; looks no further than the hour of `end`."""
        instant, end = in_utc(instant), in_utc(end)
        hour = instant.replace(minute=0, second=0, microsecond=0)
        while self._has_any_date() and hour <= end:
            if self._may_have_slots_on(hour):
                yield from (slot.replace(tzinfo=UTC) for slot in self._slots_of_hour(hour) if slot > instant)
                hour += HOUR
            else:
                hour = hour.replace(hour=0) + DAY

    def slots_until(self, instant: datetime, *, start: datetime = FIRST_INSTANT) -> Iterator[datetime]:
        """Every slot at or before, the latest first; looks no further than the hour of `start`."""
        instant, start = in_utc(instant), in_utc(start)
        hour = instant.replace(minute=0, second=0, microsecond=0)
        while self._has_any_date() and hour > start - HOUR:
            if self._may_have_slots_on(hour):
                slots = list(self._slots_of_hour(hour))
                yield from (slot.replace(tzinfo=UTC) for slot in reversed(slots) if slot <= instant)
                hour -= HOUR
            else:
                hour = hour.replace(hour=0) - HOUR

    def _has_any_date(self) -> bool:
        """Whether any date ever matches: the calendar repeats itself after 400 years."""
        return any(self._days_of(year, month) for year in range(2000, 2400) for month in self._months)

    def _may_have_slots_on(self, day: datetime) -> bool:
        """No clock is more than a day from UTC, nor is a wall time that a gap swallows."""
        return any(self._is_date(day + days * DAY) for days in (-1, 0, 1))

    def _slots_of_hour(self, hour: datetime) -> Iterator[datetime]:
        for start, end, offset, offset_before in stretches(self._zone, hour):
            # Had nothing happened, the clock would show start + offset_before: what lies between was never shown.
            swallowed = self._walls(start + offset_before, start + offset)
            if self._is_fixed and self._runs_after_gap and any(swallowed) and not self._is_due(start + offset):
                yield start
            for wall in self._walls(start + offset, end + offset):
                instant = wall - offset
                if not self._is_fixed or self._runs_in_both_passes or not is_second_pass(self._zone, instant):
                    yield instant

    def _is_due(self, wall: datetime) -> bool:
        return any(self._walls(wall, wall + SECOND))

    def _walls(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Each wall time that matches, from `start` on and before `end`."""
        minute = start.replace(second=0, microsecond=0)
        while minute < end:
            if not self._is_date(minute):
                minute = minute.replace(hour=0, minute=0) + DAY
            elif minute.hour not in self._hours:
                minute = minute.replace(minute=0) + HOUR
            else:
                if minute.minute in self._minutes:
                    walls = (minute + second * SECOND for second in self._seconds)
                    yield from (wall for wall in walls if start <= wall < end)
                minute += MINUTE

    def _is_date(self, day: datetime) -> bool:
        return day.month in self._months and day.day in self._days_of(day.year, day.month)

    def _days_of(self, year: int, month: int) -> set[int]:
        """The days of the month that the two day fields name together; computed once."""
        if (year, month) not in self._dates:
            days, weekdays = days_of_month(self._day, year, month), days_by_weekday(self._weekday, year, month)
            matching = {day for day in range(1, 32) if self._joined([day in days, day in weekdays])}
            self._dates[year, month] = matching
        return self._dates[year, month]


def in_utc(instant: datetime) -> datetime:
    """Naive, as all datetimes within this module are: UTC, or what a clock on the wall shows."""
    return instant.astimezone(UTC).replace(tzinfo=None)


def numbers(text: str, lowest: int, highest: int, names: list[str] | None = None) -> set[int]:
    """What a field names that has nothing but numbers, names, stars, ranges, steps and lists of them."""
    return {number for element in text.split(",") for number in element_numbers(element, lowest, highest, names or [])}


def element_numbers(element: str, lowest: int, highest: int, names: list[str]) -> range:
    spelt, _, step = element.partition("/")
    first, _, last = (f"{lowest}-{highest}" if spelt == "*" else spelt).partition("-")
    return range(number(first, lowest, names), number(last or first, lowest, names) + 1, int(step or 1))


def number(word: str, lowest: int, names: list[str]) -> int:
    return names.index(word) + lowest if word in names else int(word)


def days_of_month(text: str, year: int, month: int) -> set[int]:
    """The days that a day-of-month field names in one month."""
    month_length = monthrange(year, month)[1]
    working_days = [day for day in range(1, month_length + 1) if weekday_of(year, month, day) not in {0, 6}]
    days: set[int] = set()
    for element in text.split(","):
        if element == "l":
            days.add(month_length)
        elif element == "lw":
            days.add(working_days[-1])
        elif element.endswith("w"):
            wanted = int(element[:-1])
            if wanted <= month_length:
                days.add(min(working_days, key=lambda day: abs(day - wanted)))
        else:
            days |= set(element_numbers(element, 1, 31, [])) & set(range(1, month_length + 1))
    return days


def days_by_weekday(text: str, year: int, month: int) -> set[int]:
    """The days that a day-of-week field names in one month."""
    days: set[int] = set()
    for element in text.split(","):
        if element.endswith("l"):
            days.add(dates_of(number(element[:-1], 0, WEEKDAYS), year, month)[-1])
        elif "#" in element:
            weekday, _, which = element.partition("#")
            days.update(dates_of(number(weekday, 0, WEEKDAYS), year, month)[int(which) - 1 :][:1])
        else:
            highest = 6 if element.startswith("*") else 7
            for weekday_number in element_numbers(element, 0, highest, WEEKDAYS):
                days.update(dates_of(weekday_number, year, month))
    return days


@lru_cache(maxsize=100_000)
def dates_of(weekday: int, year: int, month: int) -> list[int]:
    """The days of the month that fall on the weekday, Sunday being 0 and 7."""
    days = range(1, monthrange(year, month)[1] + 1)
    return [day for day in days if weekday_of(year, month, day) == weekday % 7]


def weekday_of(year: int, month: int, day: int) -> int:
    return datetime(year, month, day).isoweekday() % 7  # noqa: DTZ001 - a date


Stretch = tuple[datetime, datetime, timedelta, timedelta]


@lru_cache(maxsize=200_000)
def stretches(zone: ZoneInfo, hour: datetime) -> list[Stretch]:
    """The hour of UTC, cut where the offset changes: first instant, end, offset, and the offset a second earlier."""
    end = hour + HOUR
    if offset_at(zone, hour - SECOND) == offset_at(zone, end - SECOND):
        return [(hour, end, offset_at(zone, hour), offset_at(zone, hour))]
    cuts = sorted({hour, *changes(zone, hour, end), end})
    return [(start, stop, offset_at(zone, start), offset_at(zone, start - SECOND)) for start, stop in pairwise(cuts)]


def changes(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """The first instant of each new offset, found by going through minutes, and the seconds of those that differ."""
    minute = start
    while minute < end:
        if offset_at(zone, minute - SECOND) != offset_at(zone, minute + 59 * SECOND):
            seconds = (minute + number * SECOND for number in range(60))
            yield from (at for at in seconds if offset_at(zone, at) != offset_at(zone, at - SECOND))
        minute += MINUTE


def offset_at(zone: ZoneInfo, instant: datetime) -> timedelta:
    return instant.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) - instant


def is_second_pass(zone: ZoneInfo, instant: datetime) -> bool:
    """Whether the wall clock shows a time that it has shown before."""
    return instant.replace(tzinfo=UTC).astimezone(zone).fold == 1
