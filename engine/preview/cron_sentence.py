"""Cron expressions in English: their times of day, and their days. It goes by what was read, never by the text."""

from collections.abc import Sequence
from datetime import time

from engine.calendars import Weekday
from engine.cron import CronExpression
from engine.cron.days import DayRule
from engine.cron.fields import LAST, FieldValues
from engine.preview.english import clock_times, common_step, listed, spanned, spans

WEEKDAYS = tuple(day.title() for day in Weekday)
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
ORDINALS = ("", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")

MAX_LISTED_TIMES = 6
"""Times of day that are written out; more are said by their hours, minutes and seconds."""

MAX_STRETCHES = 3
"""Stretches of the day that are written out with their first and last times."""

MIN_STEPPED = 4
"""Numbers of equal distance from which on they are said by that distance."""


def sentence(expression: CronExpression) -> str:
    """What the expression names, without the zone and the full stop: "At 09:00 on Monday to Friday"."""
    days = days_phrase(expression.days)
    if not days and not expression.hour.is_full:
        days = "every day"
    return f"{times_phrase(expression)} {days}".rstrip() + months_phrase(expression.days)


def times_phrase(expression: CronExpression) -> str:
    """At which times of a day that it names."""
    second, minute, hour = (sorted(each.values) for each in (expression.second, expression.minute, expression.hour))
    if expression.times_per_day <= MAX_LISTED_TIMES:
        return f"At {listed(clock_times([time(h, m, s) for h in hour for m in minute for s in second]))}"
    if len(minute) == len(second) == 1 and not expression.hour.is_full:
        return _once_an_hour([time(each, minute[0], second[0]) for each in hour])
    if second == [0]:
        return _minutes(expression)
    return _seconds(expression)


def days_phrase(rule: DayRule) -> str:
    """On which days, whatever the months; empty for all."""
    by_month, by_week = _restrictions(rule)
    if by_month and by_week and rule.must_both_match:
        return f"{_on(by_month, 'and')}, but only if it is {listed(_days_of_week(rule.day_of_week, 'or'), 'or')}"
    return _on([*by_month, *by_week], "or" if by_month and by_week else "and")


def months_phrase(rule: DayRule) -> str:
    """In which months; empty for all. It counts for all the days, so behind several it is set apart by a comma."""
    if rule.month.is_full:
        return ""
    names = spanned([month - 1 for month in sorted(rule.month.values)], MONTHS)
    by_month, by_week = _restrictions(rule)
    return f"{', only' if len(by_month) + len(by_week) > 1 else ''} in {names}"


def is_even(values: FieldValues) -> bool:
    """Whether seconds or minutes come round in equal distances, 0 among them: no more needs to be said then."""
    numbers = sorted(values.values)
    return numbers[0] == 0 and len(numbers) > 1 and common_step([*numbers, values.field.size]) is not None


def _restrictions(rule: DayRule) -> tuple[list[str], list[str]]:
    """What each day field says, as far as it leaves out any day."""
    by_month = [] if rule.day_of_month.is_full else _days_of_month(rule.day_of_month)
    by_week = [] if rule.day_of_week.is_full else _days_of_week(rule.day_of_week)
    if not rule.must_both_match and not (by_month and by_week):
        # One field names every day without a star and is enough, whatever the other one says.
        return [], []
    return by_month, by_week


def _on(days: list[str], last: str) -> str:
    return listed([f"on {each}" for each in days], last) if days else ""


def _once_an_hour(times: Sequence[time]) -> str:
    """One time in each of many hours, but not in all."""
    hours = [each.hour for each in times]
    step = common_step(hours)
    if step is not None and step > 1:
        first, last = clock_times([times[0], times[-1]])
        return f"Every {step} hours from {first} to {last}"
    stretches = spans(hours)
    if len(stretches) <= MAX_STRETCHES and all(first < last for first, last in stretches):
        at = times[0]
        return f"Every hour {_from_to([(at.replace(first), at.replace(last)) for first, last in stretches])}"
    return f"At {listed(clock_times(times))}"


def _minutes(expression: CronExpression) -> str:
    """All hours, or more than one minute of an hour; no seconds."""
    every = _every(expression.minute)
    if not is_even(expression.minute):
        return f"{every} of {_which(expression.hour)}"
    return every + _stretches(expression.hour, last=time(0, max(expression.minute.values)))


def _seconds(expression: CronExpression) -> str:
    second, minute, hour = expression.second, expression.minute, expression.hour
    every = _every(second)
    if not minute.is_full:
        return f"{every} of {_which(minute)} of {_which(hour)}"
    if not is_even(second):
        return f"{every} of every minute{_stretches(hour, last=time(0, 59))}"
    return every + _stretches(hour, last=time(0, 59, max(second.values)))


def _stretches(hours: FieldValues, *, last: time) -> str:
    """Stretches of whole hours, each up to its `last` time in an hour; hours by number where there are too many."""
    if hours.is_full:
        return ""
    stretches = spans(sorted(hours.values))
    if len(stretches) > MAX_STRETCHES:
        return f" in {_which(hours)}"
    return f" {_from_to([(time(start), last.replace(end)) for start, end in stretches])}"


def _from_to(stretches: Sequence[tuple[time, time]]) -> str:
    return listed(["from {} to {}".format(*clock_times(stretch)) for stretch in stretches])


def _every(values: FieldValues) -> str:
    """How a phrase begins: "Every 5 minutes", "Every 7 minutes from minute 0 to 56", "At minute 5 and 7"."""
    numbers, unit = sorted(values.values), values.field.name
    step = common_step(numbers)
    if step is None or not (is_even(values) or len(numbers) >= MIN_STEPPED):
        return f"At {unit} {spanned(numbers)}"
    every = f"Every {unit}" if step == 1 else f"Every {step} {unit}s"
    return every if is_even(values) else f"{every} from {unit} {numbers[0]} to {numbers[-1]}"


def _which(values: FieldValues) -> str:
    """How it goes on: "every hour", "hour 9", "the hours 9 to 17", "every 3rd hour from 0 to 21"."""
    numbers, unit = sorted(values.values), values.field.name
    if values.is_full:
        return f"every {unit}"
    if len(numbers) == 1:
        return f"{unit} {numbers[0]}"
    step = common_step(numbers)
    if step is not None and step > 1 and len(numbers) >= MIN_STEPPED:
        # In digits: "every second minute" would read as another "every second".
        ordinal = {2: "2nd", 3: "3rd"}.get(step, f"{step}th")
        return f"every {ordinal} {unit} from {numbers[0]} to {numbers[-1]}"
    return f"the {unit}s {spanned(numbers)}"


def _days_of_month(values: FieldValues) -> list[str]:
    numbers = sorted(values.values)
    step = common_step(numbers)
    phrases = []
    if step is not None and step > 1 and len(numbers) >= MIN_STEPPED:
        shown = f"{', '.join(map(str, numbers[:3]))}, {'..., ' * (len(numbers) > MIN_STEPPED)}{numbers[-1]}"
        phrases.append(f"every {ORDINALS[step]} day of the month ({shown})")
    elif numbers:
        phrases.append(f"day {spanned(numbers)} of the month")
    phrases += [f"the weekday (Monday to Friday) nearest to day {day} of the month" for day in sorted(values.nearest)]
    if values.is_last:
        phrases.append("the last day of the month")
    if values.is_last_business_day:
        phrases.append("the last weekday (Monday to Friday) of the month")
    return phrases


def _days_of_week(values: FieldValues, last: str = "and") -> list[str]:
    # Sunday is 0 in cron; a week that begins with Monday keeps the weekend together.
    numbers = sorted((value - 1) % 7 for value in values.values)
    phrases = [spanned(numbers, WEEKDAYS, last=last)] if numbers else []
    for weekday, number in sorted(values.nth, key=lambda each: (each[1] == LAST, each[1], (each[0] - 1) % 7)):
        ordinal = "last" if number == LAST else ORDINALS[number]
        phrases.append(f"the {ordinal} {WEEKDAYS[(weekday - 1) % 7]} of the month")
    return phrases
