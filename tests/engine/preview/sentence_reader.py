"""Reads the sentences of engine.preview.description: knows their English, and nothing of cron."""

import re
from calendar import monthrange
from collections.abc import Callable
from datetime import date, timedelta
from itertools import product

WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = [date(2000, month, 1).strftime("%B") for month in range(1, 13)]
ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
SIZES = {"second": 60, "minute": 60, "hour": 24}
LENGTHS = {"second": 1, "minute": 60, "hour": 3_600}

DAYS_READ = [date(2027, 1, 1) + timedelta(days=number) for number in range(731)]
"""The days among which those of a sentence are looked for: a common year and a leap year."""

A_DAY = "|".join(WEEKDAYS)
A_MONTH = "|".join(MONTHS)
A_WEEKDAY = r"weekday \(Monday to Friday\)"
NUMBERS = r"(\d+(?:(?:, | and | to )\d+)*)"


def times_read(sentence: str) -> set[int]:
    """The times of day that the sentence names, as seconds since midnight."""
    text = re.split(r" every day| on ", sentence)[0]
    if re.match(r"At \d\d:", text):
        return {_seconds(clock) for clock in re.findall(r"[\d:]{5,8}", text)}
    stretches = [
        (_seconds(first), _seconds(last)) for first, last in re.findall(r"from (\d\d:[\d:]+) to (\d\d:[\d:]+)", text)
    ]
    every = re.match(r"Every (?:(\d+) )?(second|minute|hour)s? from \d\d:", text)
    if every:
        step = int(every[1] or 1) * LENGTHS[every[2]]
        return {time for first, last in stretches for time in range(first, last + 1, step)}
    hours, minutes, seconds = (_values(text, unit) for unit in ("hour", "minute", "second"))
    # What is not spoken of is every one of the larger units, and the beginning of the smaller ones.
    units = product(hours or range(24), minutes or range(60), seconds or [0])
    times = {hour * 3_600 + minute * 60 + second for hour, minute, second in units}
    whole_minutes = [(first, last + 59) for first, last in stretches] or [(0, 86_399)]
    return {time for time in times if any(first <= time <= last for first, last in whole_minutes)}


def days_read(sentence: str) -> set[date]:
    """Those of the DAYS_READ that the sentence names."""
    months = re.search(rf"(?:, only)? in ((?:{A_MONTH}).*)", sentence)
    text = sentence[: months.start()] if months else sentence
    wanted = _names(months[1], MONTHS) if months else set(range(12))
    either, _, condition = text.partition(", but only if it is ")
    named = _days(either.partition(" on ")[2]) if " on " in either else set(DAYS_READ)
    if condition:
        named &= _days(condition)
    return {day for day in named if day.month - 1 in wanted}


def _values(text: str, unit: str) -> set[int]:
    """Those that the text names of the unit; empty if it says nothing of it."""
    size = SIZES[unit]
    if found := re.match(rf"Every (?:(\d+) )?{unit}s?\b(?: from {unit} (\d+) to (\d+))?", text):
        return set(range(int(found[2] or 0), int(found[3] or size - 1) + 1, int(found[1] or 1)))
    if found := re.search(rf"every (\d+)\w\w {unit} from (\d+) to (\d+)", text):
        return set(range(int(found[2]), int(found[3]) + 1, int(found[1])))
    if found := re.search(rf"(?:At|of|the) {unit}s? {NUMBERS}", text):
        return _numbers(found[1])
    return set(range(size)) if f"every {unit}" in text else set()


def _days(text: str) -> set[date]:
    """All that any of the phrases names."""
    named = set()
    for pattern, fits in PHRASES:
        for match in re.finditer(pattern, text):
            named |= {day for day in DAYS_READ if fits(day, *match.groups())}
        text = re.sub(pattern, "", text)
    return named | {day for day in DAYS_READ if day.weekday() in _names(text, WEEKDAYS)}


def _working_days(day: date) -> list[int]:
    """The days from Monday to Friday of the month."""
    return [number for number in range(1, _length(day) + 1) if day.replace(day=number).weekday() < 5]


def _length(day: date) -> int:
    return monthrange(day.year, day.month)[1]


def _is_nearest(day: date, near: str) -> bool:
    numbers = _working_days(day)
    return int(near) <= _length(day) and day.day == min(numbers, key=lambda number: abs(number - int(near)))


def _is_nth(day: date, ordinal: str, weekday: str) -> bool:
    if WEEKDAYS[day.weekday()] != weekday:
        return False
    return day.day + 7 > _length(day) if ordinal == "last" else (day.day - 1) // 7 == ORDINALS.index(ordinal)


def _is_stepped(day: date, ordinal: str, shown: str) -> bool:
    first, second, *_, last = (int(number) for number in re.findall(r"\d+", shown))
    assert second - first == ORDINALS.index(ordinal) + 1
    return day.day in range(first, last + 1, second - first)


PHRASES: list[tuple[str, Callable[..., bool]]] = [
    (rf"the {A_WEEKDAY} nearest to day (\d+) of the month", _is_nearest),
    (rf"the last {A_WEEKDAY} of the month", lambda day: day.day == _working_days(day)[-1]),
    (r"the last day of the month", lambda day: day.day == _length(day)),
    (rf"the (\w+) ({A_DAY}) of the month", _is_nth),
    (r"every (\w+) day of the month \((.*?)\)", _is_stepped),
    (rf"day {NUMBERS} of the month", lambda day, numbers: day.day in _numbers(numbers)),
]
"""What names days, before the names of weekdays alone: each with the question whether a day is one of them."""


def _numbers(text: str) -> set[int]:
    """Those of "1, 3 and 5 to 9"."""
    found = re.findall(r"(\d+)(?: to (\d+))?", text)
    return {number for first, last in found for number in range(int(first), int(last or first) + 1)}


def _names(text: str, names: list[str]) -> set[int]:
    """The places of those of "Monday, Wednesday and Friday to Sunday", from 0 on."""
    name = "|".join(names)
    found = re.findall(rf"({name})(?: to ({name}))?", text)
    return {place for first, last in found for place in range(names.index(first), names.index(last or first) + 1)}


def _seconds(clock: str) -> int:
    hour, minute, second = [*map(int, clock.split(":")), 0][:3]
    return hour * 3_600 + minute * 60 + second
