"""Cron expressions, five fields in UTC, as crontab(5) of Debian has them. The only module that knows croniter."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from croniter import CroniterBadDateError, croniter

from engine.errors import InvalidSchedule
from engine.limits import MAX_COUNTED_SLOTS, MAX_CRON_EXPRESSION_LENGTH, MAX_REMEMBERED_CRON_EXPRESSIONS

FIELD = "cron_expression"

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

MONTHS = dict(
    zip(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], range(1, 13), strict=True)
)
WEEKDAYS = dict(zip(["sun", "mon", "tue", "wed", "thu", "fri", "sat"], range(7), strict=True))


@dataclass(frozen=True, slots=True)
class Field:
    """One of the five: its name in messages, its bounds, and the names it allows for numbers."""

    name: str
    lowest: int
    highest: int
    names: dict[str, int]


FIELDS = (
    Field("minute", 0, 59, {}),
    Field("hour", 0, 23, {}),
    Field("day of month", 1, 31, {}),
    Field("month", 1, 12, MONTHS),
    Field("day of week", 0, 7, WEEKDAYS),
)
DAY_OF_MONTH, DAY_OF_WEEK = 2, 4

ELEMENT = re.compile(r"(?:(?P<star>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\w+))?", re.ASCII)

ONE_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """A cron expression that has been read and found sound. `canonical` is what croniter is given."""

    canonical: str

    def next_after(self, instant: datetime) -> datetime | None:
        """The first matching minute strictly after `instant`."""
        # Whole seconds: a fraction never matters to a slot on a minute, and croniter rounds it in its own ways.
        return _found(self._stepper(instant.replace(microsecond=0)).get_next)

    def latest_until(self, instant: datetime) -> datetime | None:
        """The last matching minute at or before `instant`."""
        # One second into the minute, because croniter looks before what it is given.
        return _found(self._stepper(instant.replace(second=1, microsecond=0)).get_prev)

    def count_between(self, first: datetime, last: datetime) -> tuple[int, bool]:
        """Counted one by one, up to MAX_COUNTED_SLOTS: then the number is a lower bound."""
        stepper = self._stepper(first - ONE_SECOND)
        for count in range(MAX_COUNTED_SLOTS):
            slot = _found(stepper.get_next)
            if slot is None or slot > last:
                return count, True
        return MAX_COUNTED_SLOTS, False

    def _stepper(self, start: datetime) -> croniter:
        # A new object for each call: croniter's are mutable and not thread-safe. Naive values are UTC to it, and
        # cheaper. implement_cron_bug is Debian's rule for a day field that starts with a star: both days must match.
        return croniter(self.canonical, start.replace(tzinfo=None), implement_cron_bug=True)


def _found(step: Callable[[type[datetime]], datetime]) -> datetime | None:
    try:
        return step(datetime).replace(tzinfo=UTC)
    except (CroniterBadDateError, ValueError, OverflowError):
        # Nothing within fifty years, or before the year 1, or after the year 9999.
        return None


def parse_cron(expression: str) -> CronSchedule:
    """Read an expression; raises InvalidSchedule saying which field has what and what is allowed."""
    if len(expression) > MAX_CRON_EXPRESSION_LENGTH:
        raise InvalidSchedule(
            FIELD, f"cron_expression has {len(expression)} characters: at most {MAX_CRON_EXPRESSION_LENGTH} are wanted"
        )
    return _parse(expression)


@lru_cache(maxsize=MAX_REMEMBERED_CRON_EXPRESSIONS)
def _parse(expression: str) -> CronSchedule:
    texts = _expand_macro(expression).split()
    if len(texts) != len(FIELDS):
        raise InvalidSchedule(
            FIELD,
            f'cron_expression "{expression}" has {len(texts)} field{"" if len(texts) == 1 else "s"}: 5 are wanted, '
            'minute hour day-of-month month day-of-week, as in "0 9 * * mon-fri"',
        )
    values = [_values(field, text) for field, text in zip(FIELDS, texts, strict=True)]
    return CronSchedule(_canonical(texts, values))


def _expand_macro(expression: str) -> str:
    text = expression.strip(" \t")
    if not text.startswith("@"):
        return text
    if text.lower() not in MACROS:
        raise InvalidSchedule(FIELD, f'cron_expression "{text}" is no macro: {", ".join(MACROS)} are known')
    return MACROS[text.lower()]


def _canonical(texts: list[str], values: list[frozenset[int]]) -> str:
    """The expression in plain numbers: what croniter reads as crontab(5) means it.

    It takes "5-5" for every value, and a full list in a day field for a star, which joins the two day fields
    differently: with either day field full and none starting with a star, either may match, so every day does.
    """
    has_star = [text.startswith("*") for text in texts]
    canonical = [_canonical_field(field, text, found) for field, text, found in zip(FIELDS, texts, values, strict=True)]
    day_fields = (DAY_OF_MONTH, DAY_OF_WEEK)
    is_every_day = any(canonical[index] == "*" for index in day_fields)
    if is_every_day and not any(has_star[index] for index in day_fields):
        for index in day_fields:
            canonical[index] = "*"
    return " ".join(canonical)


def _canonical_field(field: Field, text: str, values: frozenset[int]) -> str:
    if len(values) == len(_all_values(field)):
        return "*"
    listed = ",".join(map(str, sorted(values)))
    if not text.startswith("*"):
        return listed
    # The star is kept in front: it says how the two day fields join.
    return ",".join([text.split(",", 1)[0], listed])


def _all_values(field: Field) -> frozenset[int]:
    return frozenset(
        value % 7 if field.names is WEEKDAYS else value for value in range(field.lowest, field.highest + 1)
    )


def _values(field: Field, text: str) -> frozenset[int]:
    found: set[int] = set()
    for element in text.split(","):
        found.update(_element_values(field, element))
    return frozenset(value % 7 for value in found) if field.names is WEEKDAYS else frozenset(found)


def _element_values(field: Field, text: str) -> range:
    match = ELEMENT.fullmatch(text)
    if match is None:
        raise _refusal(
            field,
            text,
            f"numbers from {field.lowest} to {field.highest}, ranges a-b, lists a,b and steps */n or a-b/n are",
        )
    first, last = _bounds(field, text, match)
    return range(first, last + 1, _step(field, text, match, last - first + 1))


def _bounds(field: Field, text: str, match: re.Match[str]) -> tuple[int, int]:
    if match["star"]:
        return field.lowest, min(field.highest, 6) if field.names is WEEKDAYS else field.highest
    first = _number(field, text, match["first"])
    last = first if match["last"] is None else _number(field, text, match["last"])
    if first > last:
        is_to_sunday = field.names is WEEKDAYS and last == 0
        upwards = f"{first}-7" if is_to_sunday else f"{last}-{first}"
        raise _refusal(field, text, f"a range that goes up, such as {upwards}, is")
    return first, last


def _step(field: Field, text: str, match: re.Match[str], width: int) -> int:
    if match["step"] is None:
        return 1
    if not match["star"] and match["last"] is None:
        whole = f"{field.lowest}-{field.highest}"
        raise _refusal(field, text, f"a step after a star or a range, such as */5 or {whole}/5, is")
    if not match["step"].isdecimal() or not 1 <= int(match["step"]) <= width:
        raise _refusal(field, text, f"a step from 1 to {width} is")
    return int(match["step"])


def _number(field: Field, text: str, word: str) -> int:
    value = field.names.get(word.lower())
    if value is None and word.isdecimal() and len(word) <= 4:
        value = int(word)
    if value is None or not field.lowest <= value <= field.highest:
        names = f" or {', '.join(field.names)}" if field.names else ""
        raise _refusal(field, text, f"a number from {field.lowest} to {field.highest}{names} is")
    return value


def _refusal(field: Field, text: str, wanted: str) -> InvalidSchedule:
    return InvalidSchedule(FIELD, f'cron_expression has "{text}" in its {field.name} field: {wanted} wanted')
