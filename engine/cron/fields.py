"""The fields of a cron expression: their grammar, and the values that a text in one of them stands for."""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from engine.errors import InvalidSchedule

FIELD = "cron_expression"

MONTHS = dict(
    zip(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], range(1, 13), strict=True)
)
WEEKDAYS = dict(zip(["sun", "mon", "tue", "wed", "thu", "fri", "sat"], range(7), strict=True))

LAST = -1
"""The last one of its weekday in the month, where others have a number from 1 to 5."""


@dataclass(frozen=True, slots=True)
class Field:
    """One of the six: its name in messages, its bounds, the names it allows for numbers, the seconds in one of it."""

    name: str
    lowest: int
    highest: int
    names: dict[str, int] = dataclasses.field(default_factory=dict)
    seconds: int | None = None

    @property
    def size(self) -> int:
        """How many different values there are."""
        return 7 if self is DAY_OF_WEEK else self.highest - self.lowest + 1

    @property
    def highest_hashed(self) -> int:
        """H means a day that every month has."""
        return {"day of month": 28, "day of week": 6}.get(self.name, self.highest)


SECOND = Field("second", 0, 59, seconds=1)
MINUTE = Field("minute", 0, 59, seconds=60)
HOUR = Field("hour", 0, 23, seconds=3_600)
DAY_OF_MONTH = Field("day of month", 1, 31)
MONTH = Field("month", 1, 12, MONTHS)
DAY_OF_WEEK = Field("day of week", 0, 7, WEEKDAYS)

RANGE = re.compile(r"(?:(?P<star>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\w+))?", re.ASCII)
HASHED = re.compile(r"H(?:\((?P<first>\w+)-(?P<last>\w+)\))?(?:/(?P<step>\w+))?", re.ASCII | re.IGNORECASE)
NEAREST = re.compile(r"(?P<day>\d{1,2})W", re.ASCII | re.IGNORECASE)
LAST_OF_WEEKDAY = re.compile(r"(?P<day>[0-7]|[a-z]{3})L", re.ASCII | re.IGNORECASE)
NTH_OF_WEEKDAY = re.compile(r"(?P<day>\w+)#(?P<number>\w+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class FieldValues:
    """What a field's text stands for. Sunday is 0.

    `values` are plain numbers. The others say more than a number can: of the day of month `is_last` (L),
    `is_last_business_day` (LW) and `nearest` (15W); of the day of week `nth`, pairs of a weekday and its number in the
    month (5#3) or LAST (5L).
    """

    field: Field
    text: str
    values: frozenset[int] = frozenset()
    is_last: bool = False
    is_last_business_day: bool = False
    nearest: frozenset[int] = frozenset()
    nth: frozenset[tuple[int, int]] = frozenset()
    is_hashed: bool = False

    @property
    def starts_with_star(self) -> bool:
        """What Debian's cron looks at: of `*/2`, `*,5` and `*` alike."""
        return self.text.startswith("*")

    @property
    def is_full(self) -> bool:
        """Whether every value matches."""
        return len(self.values) == self.field.size

    @property
    def has_only_numbers(self) -> bool:
        """Whether `values` is all there is."""
        return not (self.is_last or self.is_last_business_day or self.nearest or self.nth)


@dataclass(slots=True)
class _Reading:
    """A field on its way through its elements."""

    field: Field
    text: str
    job_id: UUID
    values: set[int] = dataclasses.field(default_factory=set)
    is_last: bool = False
    is_last_business_day: bool = False
    nearest: set[int] = dataclasses.field(default_factory=set)
    nth: set[tuple[int, int]] = dataclasses.field(default_factory=set)
    is_hashed: bool = False

    def finished(self) -> FieldValues:
        is_weekday = self.field is DAY_OF_WEEK
        return FieldValues(
            field=self.field,
            text=self.text,
            values=frozenset(value % 7 for value in self.values) if is_weekday else frozenset(self.values),
            is_last=self.is_last,
            is_last_business_day=self.is_last_business_day,
            nearest=frozenset(self.nearest),
            nth=frozenset(self.nth),
            is_hashed=self.is_hashed,
        )


def read_field(field: Field, text: str, *, job_id: UUID) -> FieldValues:
    """Read a field's text; H is spread by `job_id`. Raises InvalidSchedule with what was given and what is wanted."""
    reading = _Reading(field, text, job_id)
    for element in text.split(","):
        _read_element(reading, element)
    return reading.finished()


def _read_element(reading: _Reading, element: str) -> None:
    for pattern, read in _PATTERNS.get(reading.field.name, _EVERYWHERE):
        match = pattern.fullmatch(element)
        if match is not None:
            read(reading, element, match)
            return
    raise refusal(reading.field, element, _grammar(reading.field, element))


def _read_range(reading: _Reading, element: str, match: re.Match[str]) -> None:
    first, last = _bounds(reading.field, element, match)
    step = _step(reading.field, element, match, last - first + 1)
    reading.values.update(range(first, last + 1, step))


def _read_hashed(reading: _Reading, element: str, match: re.Match[str]) -> None:
    field = reading.field
    first, last = field.lowest, field.highest_hashed
    if match["first"] is not None:
        first, last = _rising(field, element, match["first"], match["last"])
    width = last - first + 1
    spread = _spread(reading.job_id, field)
    if match["step"] is None:
        reading.values.add(first + spread % width)
    else:
        step = _step(field, element, match, width)
        reading.values.update(range(first + spread % step, last + 1, step))
    reading.is_hashed = True


def _read_last(reading: _Reading, _element: str, _match: re.Match[str]) -> None:
    reading.is_last = True


def _read_last_business_day(reading: _Reading, _element: str, _match: re.Match[str]) -> None:
    reading.is_last_business_day = True


def _read_nearest(reading: _Reading, element: str, match: re.Match[str]) -> None:
    reading.nearest.add(_number(reading.field, element, match["day"]))


def _read_last_of_weekday(reading: _Reading, element: str, match: re.Match[str]) -> None:
    reading.nth.add((_number(reading.field, element, match["day"]) % 7, LAST))


def _read_nth_of_weekday(reading: _Reading, element: str, match: re.Match[str]) -> None:
    if match["number"] not in set("12345"):
        raise refusal(reading.field, element, "a weekday and its number in the month from 1 to 5, such as 5#3, are")
    reading.nth.add((_number(reading.field, element, match["day"]) % 7, int(match["number"])))


_Read = Callable[[_Reading, str, re.Match[str]], None]
_EVERYWHERE: tuple[tuple[re.Pattern[str], _Read], ...] = ((HASHED, _read_hashed), (RANGE, _read_range))
_PATTERNS: dict[str, tuple[tuple[re.Pattern[str], _Read], ...]] = {
    DAY_OF_MONTH.name: (
        (re.compile("L", re.IGNORECASE), _read_last),
        (re.compile("LW", re.IGNORECASE), _read_last_business_day),
        (NEAREST, _read_nearest),
        *_EVERYWHERE,
    ),
    DAY_OF_WEEK.name: (
        (LAST_OF_WEEKDAY, _read_last_of_weekday),
        (NTH_OF_WEEKDAY, _read_nth_of_weekday),
        *_EVERYWHERE,
    ),
}


def _bounds(field: Field, element: str, match: re.Match[str]) -> tuple[int, int]:
    if match["star"]:
        return field.lowest, field.lowest + field.size - 1
    if match["last"] is None:
        first = _number(field, element, match["first"])
        return first, first
    return _rising(field, element, match["first"], match["last"])


def _rising(field: Field, element: str, first_word: str, last_word: str) -> tuple[int, int]:
    first, last = _number(field, element, first_word), _number(field, element, last_word)
    if first <= last:
        return first, last
    if field is DAY_OF_WEEK and last == 0:
        raise refusal(field, element, f"a range that goes up, such as {first}-7, is")
    around = f"{first}-{field.highest},{field.lowest}-{last}"
    raise refusal(field, element, f"a range that goes up, such as {last}-{first}, or {around} to go round, is")


def _step(field: Field, element: str, match: re.Match[str], width: int) -> int:
    text = match["step"]
    if text is None:
        return 1
    if "star" in match.groupdict() and not match["star"] and match["last"] is None:
        first = _number(field, element, match["first"])
        fits = text.isdecimal() and len(text) <= 2 and 1 <= int(text) <= field.highest - first
        such_as = f"*/5 or {match['first']}-{field.highest}/{text}" if fits else "*/5"
        raise refusal(field, element, f"a step after a star or a range, such as {such_as}, is")
    # No longer than the largest step there is: int() of a long text is slow.
    if not (text.isdecimal() and len(text) <= 2 and 1 <= int(text) <= width):
        raise refusal(field, element, f"a step from 1 to {width} is", hint=_interval_hint(field, text))
    return int(text)


def _interval_hint(field: Field, step: str) -> str:
    if field.seconds is None or not step.isdecimal() or not 1 < len(step) <= 4:
        return ""
    return f"; for a run every {int(step)} {field.name}s give interval_seconds {int(step) * field.seconds}"


def _number(field: Field, element: str, word: str) -> int:
    value = field.names.get(word.lower())
    if value is None and word.isdecimal() and len(word) <= 4:
        value = int(word)
    if value is None or not field.lowest <= value <= field.highest:
        names = f" or {', '.join(field.names)}" if field.names else ""
        wanted = f"a number from {field.lowest} to {field.highest}{names} is"
        raise refusal(field, element, wanted, hint=_number_hint(field, word))
    return value


def _number_hint(field: Field, word: str) -> str:
    if field is HOUR and word == "24":
        return "; midnight is 0"
    if word[:3].lower() in field.names:
        return f"; did you mean {word[:3].lower()}?"
    if word.upper() == "R":
        return "; for a time that differs from job to job give H"
    if len(word) == 4 and word.isdecimal():
        return "; years are not for cron expressions: give start_at and end_at"
    return ""


def _grammar(field: Field, element: str) -> str:
    if not element.isascii():
        return "only ASCII digits, letters and * , - / # ( ) are"
    if element == "?":
        return "* (which is what Quartz means by ?) is"
    if not element:
        return "a value before and after each comma is"
    days = {
        DAY_OF_MONTH.name: ", L for the last day, 15W for the weekday nearest to the 15th",
        DAY_OF_WEEK.name: ", 5#3 for the third Friday, 5L for the last one",
    }.get(field.name, "")
    return f"numbers from {field.lowest} to {field.highest}, ranges a-b, lists a,b, steps */n or a-b/n, H{days} are"


def _spread(job_id: UUID, field: Field) -> int:
    """A number that differs from job to job and from field to field, and is the same on every node for ever."""
    return int.from_bytes(sha256(f"{job_id}/{field.name}".encode()).digest()[:8])


def refusal(field: Field, element: str, wanted: str, *, hint: str = "") -> InvalidSchedule:
    """The refusal of one element of a field; `wanted` ends in the verb."""
    return InvalidSchedule(FIELD, f'cron_expression has "{element}" in its {field.name} field: {wanted} wanted{hint}')
