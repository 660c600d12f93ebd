"""Cron expressions as texts: macros, five or six fields, and what they mean together."""

import re
from bisect import bisect_left
from dataclasses import dataclass
from datetime import time
from functools import lru_cache
from uuid import UUID

from engine.cron.days import DayRule
from engine.cron.fields import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    FIELD,
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    FieldValues,
    read_field,
)
from engine.errors import InvalidSchedule
from engine.limits import MAX_CRON_EXPRESSION_LENGTH, MAX_REMEMBERED_CRON_EXPRESSIONS

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

MACRO_HINTS = {
    "@reboot": "; a start of the service is no time",
    "@every": "; give interval_seconds instead",
    "@minutely": "; give * * * * *",
}

FIELDS = (SECOND, MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK)

NO_JOB = UUID(int=0)
"""Stands for the id of a job that has none yet, where H is to be spread."""

BLANKS = re.compile(r"[ \t]+")

_HASH_SIGN = re.compile(r"(?<![A-Za-z])[Hh](?![A-Za-z])")


@dataclass(frozen=True, slots=True, eq=False)
class CronExpression:
    """An expression that has been read; the same object for every job that means the same by it.

    `text` is as it was given; a macro is in the fields already.
    """

    text: str
    second: FieldValues
    minute: FieldValues
    hour: FieldValues
    days: DayRule

    @property
    def fields(self) -> tuple[FieldValues, ...]:
        """All six, in their order."""
        days = self.days
        return self.second, self.minute, self.hour, days.day_of_month, days.month, days.day_of_week

    @property
    def is_fixed_time(self) -> bool:
        """Whether it names times of day, to which the rules for gaps and overlaps apply; otherwise it follows elapsed
        time (Debian's cron(8): "jobs that run at a specific time")."""
        return not self.minute.starts_with_star and not self.hour.starts_with_star

    @property
    def is_hashed(self) -> bool:
        """Whether it means something else for another job."""
        return any(values.is_hashed for values in self.fields)

    @property
    def times_per_day(self) -> int:
        """How many times of day it names."""
        return len(self.hour.values) * len(self.minute.values) * len(self.second.values)

    def times_before(self, moment: time) -> int:
        """How many of them lie before `moment`."""
        hours, minutes, seconds = (sorted(each.values) for each in (self.hour, self.minute, self.second))
        total = bisect_left(hours, moment.hour) * len(minutes) * len(seconds)
        if moment.hour in self.hour.values:
            total += bisect_left(minutes, moment.minute) * len(seconds)
            if moment.minute in self.minute.values:
                total += bisect_left(seconds, moment.second)
        return total


def parse_cron(expression: str, *, job_id: UUID | None = None) -> CronExpression:
    """Read an expression, H by the job's id. Raises InvalidSchedule: which field has what, and what is wanted."""
    if len(expression) > MAX_CRON_EXPRESSION_LENGTH:
        raise InvalidSchedule(
            FIELD, f"cron_expression has {len(expression)} characters: at most {MAX_CRON_EXPRESSION_LENGTH} are wanted"
        )
    is_hashed = _HASH_SIGN.search(expression) is not None
    return _parse(expression, job_id if job_id is not None and is_hashed else NO_JOB)


@lru_cache(maxsize=MAX_REMEMBERED_CRON_EXPRESSIONS)
def _parse(expression: str, job_id: UUID) -> CronExpression:
    texts = [text for text in BLANKS.split(_expand_macro(expression)) if text]
    if len(texts) not in (5, 6):
        raise InvalidSchedule(FIELD, _count_refusal(expression, len(texts)))
    with_seconds = texts if len(texts) == 6 else ["0", *texts]
    second, minute, hour, day_of_month, month, day_of_week = (
        read_field(field, text, job_id=job_id) for field, text in zip(FIELDS, with_seconds, strict=True)
    )
    return CronExpression(
        text=expression,
        second=second,
        minute=minute,
        hour=hour,
        days=DayRule(month, day_of_month, day_of_week),
    )


def _count_refusal(expression: str, count: int) -> str:
    wanted = 'minute hour day-of-month month day-of-week, as in "0 9 * * mon-fri", or six with the seconds first'
    year = "; years are not for cron expressions: give start_at and end_at" if count == 7 else ""
    return f'cron_expression "{expression}" has {count} field{"" if count == 1 else "s"}: 5 are wanted, {wanted}{year}'


def _expand_macro(expression: str) -> str:
    text = expression.strip(" \t")
    if not text.startswith("@"):
        return text
    if text.lower() not in MACROS:
        hint = MACRO_HINTS.get(text.lower().split()[0], "")
        raise InvalidSchedule(FIELD, f'cron_expression "{text}" is no macro: {", ".join(MACROS)} are known{hint}')
    return MACROS[text.lower()]
