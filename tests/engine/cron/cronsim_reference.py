"""cronsim, another reading of Debian's cron: its answers, and where it is known to be wrong or to say nothing."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim

from tests.engine.cron.oracle import MACROS, WEEKDAYS
from tests.engine.cron.zones import Transition, transitions_of

MOST_STEPS = 200_000
"""Fifty years, a day at a time, ten times over."""

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


class Endless(Exception):
    """It goes round in circles."""


class GuardedCronSim(CronSim):
    """Gives up where the original never does."""

    steps = 0

    def tick(self, seconds: int = 1) -> None:
        self._count()
        super().tick(seconds)

    def advance_month(self) -> None:
        self._count()
        super().advance_month()

    def reverse_month(self) -> None:
        self._count()
        super().reverse_month()

    def _count(self) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise Endless


def in_its_words(expression: str) -> str:
    """Macros written out, and 5L for friL: it knows neither."""
    written_out = MACROS.get(expression, expression)
    return NAMED_LAST_WEEKDAY.sub(lambda match: f"{WEEKDAYS.index(match[1].lower())}L", written_out)


NAMED_LAST_WEEKDAY = re.compile(rf"({'|'.join(WEEKDAYS)})L", re.IGNORECASE)


def cronsim_answers(expression: str, timezone: str, instant: datetime, *, is_back: bool, count: int) -> list[datetime]:
    """Its next slots after the instant, or its last ones up to it. Raises CronSimError or Endless."""
    # Back from t means before t to it, and up to t to us.
    start = (instant.replace(microsecond=0) + SECOND if is_back else instant).astimezone(ZoneInfo(timezone))
    return [
        slot.astimezone(UTC) for slot in islice(GuardedCronSim(in_its_words(expression), start, reverse=is_back), count)
    ]


@dataclass(frozen=True)
class Question:
    """What cronsim is asked, and what we hold to be right: so far it has to look."""

    expression: str
    timezone: str
    instant: datetime
    is_back: bool
    expected: list[datetime]

    def answers(self) -> list[datetime]:
        return cronsim_answers(
            self.expression, self.timezone, self.instant, is_back=self.is_back, count=max(len(self.expected), 1)
        )

    @property
    def is_fixed_time(self) -> bool:
        minute, hour = in_its_words(self.expression).split()[-5:-3]
        return not minute.startswith("*") and not hour.startswith("*")

    @property
    def starts_in_second_pass(self) -> bool:
        start = self.instant.replace(microsecond=0) + SECOND if self.is_back else self.instant
        return start.astimezone(ZoneInfo(self.timezone)).fold == 1

    @cached_property
    def transitions(self) -> list[Transition]:
        """Those on its way, and a day around."""
        first, last = min([self.instant, *self.expected]) - DAY, max([self.instant, *self.expected]) + DAY
        found = transitions_of(self.timezone, first.year, last.year)
        return [transition for transition in found if first <= transition.at <= last]


def is_of_part_hours(transition: Transition) -> bool:
    """Whether an hour on the wall is cut anywhere but at its beginning."""
    return any((wall.minute, wall.second) != (0, 0) for wall in _walls(transition))


def is_within_minute(transition: Transition) -> bool:
    """Whether a minute on the wall is cut anywhere but at its beginning."""
    return any(wall.second != 0 for wall in _walls(transition))


def hides_end_of_day(transition: Transition, *, is_back: bool) -> bool:
    """Whether the wall at which a day is entered is not (00:00, or 23:59:59 on the way back), or was there before."""
    first, last = sorted(_walls(transition))
    entered = datetime.combine((last - SECOND).date(), datetime.min.time())
    if is_back:
        entered = datetime.combine(first.date(), datetime.max.time()).replace(microsecond=0)
    return first <= entered < last and (transition.is_gap or is_back or first < entered)


def _walls(transition: Transition) -> tuple[datetime, datetime]:
    return transition.expected_wall, transition.expected_wall + (transition.after - transition.before)


@dataclass(frozen=True)
class Fault:
    """Something that is wrong in cronsim 2.8: which questions it spoils, and why we do not follow it."""

    name: str
    reason: str
    spoils: Callable[[Question], bool]


NEAREST_WEEKDAY = re.compile(r"\dW", re.IGNORECASE)
RANGE_OF_ONE_WITH_STEP = re.compile(r"\b0*(\d+)-0*\1/1\b")

FAULTS = [
    Fault(
        "W", "it does not know the nearest weekday", lambda question: bool(NEAREST_WEEKDAY.search(question.expression))
    ),
    Fault(
        "5-5/1",
        "a range of one value with a step goes on to the end of the field, as if it were 5/1",
        lambda question: bool(RANGE_OF_ONE_WITH_STEP.search(question.expression)),
    ),
    Fault(
        "never",
        "what can never come it refuses, or looks for over fifty years; we read it, and have no slot",
        lambda question: not question.expected,
    ),
    Fault(
        "six fields",
        "no rule for gaps and overlaps applies to an expression with seconds, as its source says",
        lambda question: (
            len(question.expression.split()) == 6 and question.is_fixed_time and bool(question.transitions)
        ),
    ),
    Fault(
        "second pass",
        "for fixed times it goes by the wall alone: from the second pass of an overlap it goes back to the first, and "
        "answers with a time in the past",
        lambda question: question.is_fixed_time and question.starts_in_second_pass,
    ),
    Fault(
        "gap of seconds",
        "from a fixed time in a gap it goes on by whole minutes until it is out: of one that ends within a minute, as "
        "where local mean time ended, it misses the first instant after it",
        lambda question: (
            question.is_fixed_time
            and any(transition.is_gap and is_within_minute(transition) for transition in question.transitions)
        ),
    ),
    Fault(
        "part hours",
        "for times that are not fixed it sets minutes to 0 and goes on by whole hours from there: where clocks change "
        "within an hour it lands beside it, skips it, or (St Johns, 00:01) goes round for ever",
        lambda question: not question.is_fixed_time and any(map(is_of_part_hours, question.transitions)),
    ),
    Fault(
        "midnight",
        "for times that are not fixed it takes the next day to begin at 00:00 and the day before to end at 23:59:59, "
        "both in the first pass: it answers with walls that are not, with times in the past, and leaves out a pass",
        lambda question: (
            not question.is_fixed_time
            and any(hides_end_of_day(transition, is_back=question.is_back) for transition in question.transitions)
        ),
    ),
]
"""Every disagreement that has been found; each is shown by an example in test_against_cronsim. What it takes and we
refuse (59/15, a step larger than its range) is not asked: the random schedules are sound ones."""
