"""Warnings about what a cron expression says, in whatever zone: uneven steps, joined day fields, short months, load."""

import re
from collections.abc import Iterator, Sequence
from datetime import date

from engine.cron import CronExpression
from engine.cron.days import LENGTHS, DayRule
from engine.cron.fields import DAY_OF_MONTH, DAY_OF_WEEK, MONTH, FieldValues
from engine.preview.cron_sentence import MONTHS, WEEKDAYS, days_phrase, months_phrase
from engine.preview.english import counted, listed
from engine.preview.values import ScheduleWarning

STEPPED = re.compile(r"(?:\*|H)/(\d+)", re.ASCII | re.IGNORECASE)
"""A field that is a step over the whole range and nothing else: in a list nobody expects even distances."""

SINGLE_DAY = re.compile(r"(\d+)W?", re.ASCII | re.IGNORECASE)

DAY_FIELDS = (DAY_OF_MONTH, DAY_OF_WEEK)

MAX_SHOWN_VALUES = 8
SHOWN_DAYS = 3

A_YEAR = 365
"""Days over which days are counted, and over which two in a row are looked for."""


def lint_cron(expression: CronExpression, *, first: date) -> Iterator[ScheduleWarning]:
    """The warnings; days are counted from `first` on."""
    for values in expression.fields:
        step = STEPPED.fullmatch(values.text)
        if step and _comes_round(values, expression, first):
            yield from _lint_step(values, int(step[1]), expression.days.month)
    if expression.days.exist():
        yield from _lint_joined_days(expression.days, first)
        yield from _lint_short_months(expression.days)
    if len(expression.second.values) > 1:
        yield _seconds(expression)


def load(what: str, an_hour: float, a_day: float) -> str:
    """What a schedule of seconds amounts to."""
    return (
        f"{what}: that is {counted(round(an_hour), 'run')} an hour, {round(a_day):,} a day, each with a row on record; "
        "if that is not meant, name fewer seconds or a longer interval"
    )


def _seconds(expression: CronExpression) -> ScheduleWarning:
    values = expression.second
    what = f'"{values.text}" in the second field names {counted(len(values.values), "second")} of a minute'
    an_hour = len(values.values) * len(expression.minute.values)
    return ScheduleWarning("second_level_load", load(what, an_hour, expression.times_per_day))


def _comes_round(values: FieldValues, expression: CronExpression, first: date) -> bool:
    """Whether the field begins again right behind its end: its minutes in the next hour, its hours on the next day."""
    if values is expression.second:
        return _has_neighbours(expression.minute.values)
    if values is expression.minute:
        return _has_neighbours(expression.hour.values)
    if values is expression.hour:
        return _has_days_in_a_row(expression.days, first)
    if values is expression.days.day_of_month:
        named = expression.days.month.values
        return _has_neighbours(named) or {12, 1} <= named
    return True


def _has_neighbours(values: frozenset[int]) -> bool:
    return any(value + 1 in values for value in values)


def _has_days_in_a_row(days: DayRule, first: date) -> bool:
    end = _later(first, A_YEAR)
    day = days.on_or_after(first)
    while day is not None and day < end:
        following = _later(day, 1)
        if days.match(following):
            return True
        day = days.on_or_after(_later(following, 1))
    return False


def _lint_step(values: FieldValues, step: int, month: FieldValues) -> Iterator[ScheduleWarning]:
    """That the distance from the last value to the first one again is another."""
    field, size = values.field, values.field.size
    if field is DAY_OF_MONTH:
        lengths = {length for each in month.values for length in LENGTHS[each]}
        size = max(sorted(lengths, reverse=True), key=lambda length: abs(_distance_round(values, length) - step))
    distance = _distance_round(values, size)
    if distance == step:
        return
    unit = "day" if field in DAY_FIELDS else field.name
    where = f" where the month has {size} days" if field is DAY_OF_MONTH else ""
    numbers = [number for number in sorted(values.values) if field is not DAY_OF_MONTH or number <= size]
    yield ScheduleWarning(
        "uneven_step",
        f'"{values.text}" in the {field.name} field names {_shown(values, numbers)}, and then '
        f"{_name(values, numbers[0])} again after {counted(distance, unit)}{where}, not {step}: {_even(values, step)}",
    )


def _distance_round(values: FieldValues, size: int) -> int:
    numbers = [number for number in values.values if number <= size]
    return min(numbers) + size - max(numbers)


def _even(values: FieldValues, step: int) -> str:
    """How to have what was probably meant."""
    if values.field is MONTH:
        return "for even distances choose a divisor of 12"
    unit, seconds = ("day", 86_400) if values.field in DAY_FIELDS else (values.field.name, values.field.seconds or 1)
    return f"for a run every {counted(step, unit)} give interval_seconds {step * seconds}"


def _shown(values: FieldValues, numbers: Sequence[int]) -> str:
    names = [_name(values, number) for number in numbers]
    return listed(names) if len(names) <= MAX_SHOWN_VALUES else f"{', '.join(names[:3])}, ..., {names[-1]}"


def _name(values: FieldValues, number: int) -> str:
    if values.field is DAY_OF_WEEK:
        return WEEKDAYS[number - 1]
    return MONTHS[number - 1] if values.field is MONTH else str(number)


def _lint_joined_days(days: DayRule, first: date) -> Iterator[ScheduleWarning]:
    """How two day fields join, which nobody guesses."""
    by_month, by_week = days.day_of_month, days.day_of_week
    both = f'"{by_month.text}" in the day of month field and "{by_week.text}" in the day of week field'
    if days.are_both_restricted and days.must_both_match:
        starred = [each for each in (by_month, by_week) if each.starts_with_star]
        yield ScheduleWarning(
            "both_days",
            f"of {both} {'one starts' if len(starred) == 1 else 'both start'} with *, so a day must match both: "
            f"{_runs(days, first)}; for days that match either write {' and '.join(map(_without_star, starred))}",
        )
    elif not days.must_both_match and not (by_month.is_full and by_week.is_full):
        yield ScheduleWarning(
            "either_day",
            f"of {both} none starts with *, so a day that matches either is enough: {_runs(days, first)}; "
            f"{_one_of(by_month, by_week)}",
        )


def _runs(days: DayRule, first: date) -> str:
    """Which days these are, how many, and the first of them."""
    count = days.count(first, _later(first, A_YEAR))
    shown: list[str] = []
    day = days.on_or_after(first)
    while day is not None and len(shown) < SHOWN_DAYS:
        shown.append(day.isoformat())
        day = days.on_or_after(_later(day, 1)) if day < date.max else None
    phrase = f"{days_phrase(days) or 'every day'}{months_phrase(days)}"
    return f"it runs {phrase}, {counted(count, 'day')} of the next {A_YEAR} ({', '.join(shown)}, ...)"


def _without_star(values: FieldValues) -> str:
    """The same values in a text that does not start with a star."""
    return f'"{"1-31" if values.field is DAY_OF_MONTH else "0-6"}{values.text[1:]}" instead of "{values.text}"'


def _one_of(by_month: FieldValues, by_week: FieldValues) -> str:
    """How to have what was probably meant."""
    week = (min(by_month.values, default=0) + 6) // 7
    if (
        len(by_week.values) == 1
        and by_week.has_only_numbers
        and by_month.values == set(range(week * 7 - 6, week * 7 + 1))
    ):
        (weekday,) = by_week.values
        return f'for days that match both write "{weekday}#{week}" as day of week and * as day of month'
    return "write * in one of them to go by the other, and exclude days by a calendar if both are to match"


def _lint_short_months(days: DayRule) -> Iterator[ScheduleWarning]:
    """That a named month lacks a named day. Where the day of week is enough by itself, or L makes up, nobody minds."""
    rule = days.day_of_month
    if not days.must_both_match or rule.is_full or rule.is_last or rule.is_last_business_day:
        return
    lacks = {
        day: [month for month in sorted(days.month.values) if min(LENGTHS[month]) < day] for day in _late_days(rule)
    }
    parts = [f"{_months(lacking, day)} no day {day}" for day, lacking in lacks.items() if lacking]
    if parts:
        yield ScheduleWarning(
            "short_months",
            f'"{rule.text}" in the day of month field: {listed(parts)}, and no run instead of it; '
            f"the last {'weekday of each month is LW' if rule.nearest else 'day of each month is L'}",
        )


def _late_days(rule: FieldValues) -> list[int]:
    """Days from 29 on that are named one by one, or with no other day but such; not where all from 28 on are named."""
    named = rule.values | rule.nearest
    single = {int(match[1]) for match in map(SINGLE_DAY.fullmatch, rule.text.split(",")) if match}
    wanted = named if min(named, default=0) >= 29 else named & single
    return [day for day in sorted(wanted) if day >= 29 and not set(range(28, day)) <= rule.values]


def _months(lacking: list[int], day: int) -> str:
    names = listed([MONTHS[month - 1] for month in lacking])
    leap = " (but in leap years)" if day == 29 else ""
    return f"{names}{leap} {'has' if len(lacking) == 1 else 'have'}"


def _later(day: date, number: int) -> date:
    return date.fromordinal(min(day.toordinal() + number, date.max.toordinal()))
