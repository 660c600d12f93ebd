"""The sentence about a schedule: by table, and read back into what it names."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cron import CronExpression, parse_cron
from engine.errors import InvalidSchedule
from engine.preview.description import describe
from engine.timing import DstGap, DstOverlap, OnExcluded, Timing
from tests.engine.cron.cases import random_expression
from tests.engine.preview.sentence_reader import DAYS_READ, days_read, times_read

START = datetime(2026, 12, 1, 9, tzinfo=UTC)
END = datetime(2026, 12, 31, 9, 30, 15, 500_000, tzinfo=UTC)


def described(expression: str, job_id: UUID | None = None, **settings: Any) -> str:
    timing = Timing(cron_expression=expression, **settings)
    return describe(timing, expression=parse_cron(expression, job_id=job_id))


TIMES = {
    "* * * * *": "Every minute.",
    "* * * * * *": "Every second.",
    "*/5 * * * *": "Every 5 minutes.",
    "0-59/5 * * * *": "Every 5 minutes.",
    "*/30 * * * *": "Every 30 minutes, UTC.",
    "*/10 * * * * *": "Every 10 seconds.",
    "10,40 * * * * *": "At second 10 and 40 of every minute.",
    "10 * * * * *": "At second 10 of every minute.",
    "*/7 * * * * *": "Every 7 seconds from second 0 to 56 of every minute.",
    "30 * * * *": "At minute 30 of every hour, UTC.",
    "5-5 * * * *": "At minute 5 of every hour, UTC.",
    "0,30 * * * *": "Every 30 minutes, UTC.",
    "*/25 * * * *": "At minute 0, 25 and 50 of every hour, UTC.",
    "*/7 * * * *": "Every 7 minutes from minute 0 to 56 of every hour, UTC.",
    "7-59/15 * * * *": "Every 15 minutes from minute 7 to 52 of every hour, UTC.",
    "0-10,30 * * * *": "At minute 0 to 10 and 30 of every hour, UTC.",
    "0-20 * * * *": "Every minute from minute 0 to 20 of every hour, UTC.",
    "59 23 * * *": "At 23:59 every day, UTC.",
    "0 9,17 * * *": "At 09:00 and 17:00 every day, UTC.",
    "15,45 8,20 * * *": "At 08:15, 08:45, 20:15 and 20:45 every day, UTC.",
    "30 15 10 * * *": "At 10:15:30 every day, UTC.",
    "*/30 15 10 * * *": "At 10:15:00 and 10:15:30 every day, UTC.",
    "0 9-17 * * *": "Every hour from 09:00 to 17:00 every day, UTC.",
    "30 0 9-17 * * *": "Every hour from 09:00:30 to 17:00:30 every day, UTC.",
    "30 0-4,20-23 * * *": "Every hour from 00:30 to 04:30 and from 20:30 to 23:30 every day, UTC.",
    "0 */6 * * *": "At 00:00, 06:00, 12:00 and 18:00 every day, UTC.",
    "0 */5 * * *": "At 00:00, 05:00, 10:00, 15:00 and 20:00 every day, UTC.",
    "0 */2 * * *": "Every 2 hours from 00:00 to 22:00 every day, UTC.",
    "15 1-23/3 * * *": "Every 3 hours from 01:15 to 22:15 every day, UTC.",
    "0 0-4,8,10 * * *": "At 00:00, 01:00, 02:00, 03:00, 04:00, 08:00 and 10:00 every day, UTC.",
    "* 9 * * *": "Every minute from 09:00 to 09:59 every day, UTC.",
    "*/15 9-17 * * *": "Every 15 minutes from 09:00 to 17:45 every day, UTC.",
    "*/15 9-11,14-17 * * *": "Every 15 minutes from 09:00 to 11:45 and from 14:00 to 17:45 every day, UTC.",
    "*/5 */2 * * *": "Every 5 minutes in every 2nd hour from 0 to 22 every day, UTC.",
    "*/5 1,3,6,9 * * *": "Every 5 minutes in the hours 1, 3, 6 and 9 every day, UTC.",
    "0-30/10 9-17 * * *": "Every 10 minutes from minute 0 to 30 of the hours 9 to 17 every day, UTC.",
    "5,7,50 9-17 * * *": "At minute 5, 7 and 50 of the hours 9 to 17 every day, UTC.",
    "1-10 9 * * *": "Every minute from minute 1 to 10 of hour 9 every day, UTC.",
    "*/10 */5 * * * *": "Every 10 seconds of every 5th minute from 0 to 55 of every hour.",
    "* 15 10 * * *": "Every second of minute 15 of hour 10 every day, UTC.",
    "* * 9 * * *": "Every second from 09:00:00 to 09:59:59 every day, UTC.",
    "5,6 * 9-17 * * *": "At second 5 and 6 of every minute from 09:00 to 17:59 every day, UTC.",
    "30 30 * * * *": "At second 30 of minute 30 of every hour, UTC.",
}

DAYS = {
    "0 9 * * mon-fri": "At 09:00 on Monday to Friday, UTC.",
    "0 9 * * 0,6": "At 09:00 on Saturday and Sunday, UTC.",
    "0 9 * * 5-7": "At 09:00 on Friday to Sunday, UTC.",
    "0 9 * * 7": "At 09:00 on Sunday, UTC.",
    "0 9 * * 1,3,5": "At 09:00 on Monday, Wednesday and Friday, UTC.",
    "*/5 * * * 1": "Every 5 minutes on Monday, UTC.",
    "0 0 13 * *": "At 00:00 on day 13 of the month, UTC.",
    "0 0 1,15 * *": "At 00:00 on day 1 and 15 of the month, UTC.",
    "0 0 1-7,20 * *": "At 00:00 on day 1 to 7 and 20 of the month, UTC.",
    "0 0 */2 * *": "At 00:00 on every second day of the month (1, 3, 5, ..., 31), UTC.",
    "0 0 */10 * *": "At 00:00 on every tenth day of the month (1, 11, 21, 31), UTC.",
    "0 0 * * */2": "At 00:00 on Tuesday, Thursday, Saturday and Sunday, UTC.",
    "0 0 L * *": "At 00:00 on the last day of the month, UTC.",
    "0 0 15,L * *": "At 00:00 on day 15 of the month and on the last day of the month, UTC.",
    "0 0 LW * *": "At 00:00 on the last weekday (Monday to Friday) of the month, UTC.",
    "0 0 15W * *": "At 00:00 on the weekday (Monday to Friday) nearest to day 15 of the month, UTC.",
    "0 0 * * 5#3": "At 00:00 on the third Friday of the month, UTC.",
    "0 0 * * 5L": "At 00:00 on the last Friday of the month, UTC.",
    "0 0 * * 1,3#2": "At 00:00 on Monday and on the second Wednesday of the month, UTC.",
    "0 0 * 1,7 *": "At 00:00 every day in January and July, UTC.",
    "30 * * 6-8 *": "At minute 30 of every hour in June to August, UTC.",
    "@yearly": "At 00:00 on day 1 of the month in January, UTC.",
    "@daily": "At 00:00 every day, UTC.",
    "0 0 1,L 7 *": "At 00:00 on day 1 of the month and on the last day of the month, only in July, UTC.",
    # Debian's cron: either is enough if none of the two starts with a star, and both must match if one does.
    "0 0 13 * 5": "At 00:00 on day 13 of the month or on Friday, UTC.",
    "0 0 13 7 5": "At 00:00 on day 13 of the month or on Friday, only in July, UTC.",
    "0 0 1,L * 5": "At 00:00 on day 1 of the month, on the last day of the month or on Friday, UTC.",
    "0 0 */2 * 1": "At 00:00 on every second day of the month (1, 3, 5, ..., 31), but only if it is Monday, UTC.",
    "0 0 13 * */2": "At 00:00 on day 13 of the month, but only if it is Tuesday, Thursday, Saturday or Sunday, UTC.",
    "0 0 */2 * 1,3#2": "At 00:00 on every second day of the month (1, 3, 5, ..., 31), but only if it is Monday "
    "or the second Wednesday of the month, UTC.",
    "0 0 L 7 */3": "At 00:00 on the last day of the month, but only if it is Wednesday, Saturday or Sunday, only in "
    "July, UTC.",
    "0 0 *,5 * 1": "At 00:00 on Monday, UTC.",
    "0 0 13 * *,1": "At 00:00 on day 13 of the month, UTC.",
    "0 0 1-31 * 1": "At 00:00 every day, UTC.",
    "0 0 13 * 0-6": "At 00:00 every day, UTC.",
}


@pytest.mark.parametrize(("expression", "sentence"), (TIMES | DAYS).items())
def test_a_cron_expression_is_said_in_english(expression: str, sentence: str) -> None:
    assert described(expression) == sentence


@pytest.mark.parametrize(
    ("expression", "settings", "sentence"),
    [
        ("0 9 * * 1-5", {"timezone": "Europe/Berlin"}, "At 09:00 on Monday to Friday, Europe/Berlin time."),
        ("*/15 * * * *", {"timezone": "Asia/Kathmandu"}, "Every 15 minutes."),
        ("*/20 * * * *", {"timezone": "Asia/Kathmandu"}, "Every 20 minutes, Asia/Kathmandu time."),
        (
            "30 2 * * *",
            {"timezone": "Europe/Berlin", "dst_gap": DstGap.SKIP},
            "At 02:30 every day, Europe/Berlin time, left out when the clocks skip it.",
        ),
        (
            "30 2 * * *",
            {"timezone": "Europe/Berlin", "dst_gap": DstGap.SKIP, "dst_overlap": DstOverlap.BOTH},
            "At 02:30 every day, Europe/Berlin time, left out when the clocks skip it and repeated when the clocks go "
            "back over it.",
        ),
        ("30 2 * * *", {"dst_gap": DstGap.SKIP, "dst_overlap": DstOverlap.BOTH}, "At 02:30 every day, UTC."),
        (
            "30 * * * *",
            {"timezone": "Europe/Berlin", "dst_gap": DstGap.SKIP},
            "At minute 30 of every hour, Europe/Berlin time.",
        ),
        (
            "0 0-23 * * *",
            {"timezone": "Europe/Berlin"},
            "At minute 0 of every hour, Europe/Berlin time, not repeated when the clocks go back.",
        ),
        (
            "0-59/5 0-23 * * *",
            {"timezone": "Europe/Berlin"},
            "Every 5 minutes, Europe/Berlin time, not repeated when the clocks go back.",
        ),
        (
            "0 9 * * *",
            {"exclude_calendars": ("holidays",)},
            "At 09:00 every day, UTC, except on days off of holidays.",
        ),
        (
            "*/5 * * * *",
            {"exclude_calendars": ("holidays",), "timezone": "Europe/Berlin"},
            "Every 5 minutes, except on days off of holidays (Europe/Berlin days).",
        ),
        (
            "0 9 * * *",
            {"exclude_calendars": ("holidays", "weekends"), "on_excluded": OnExcluded.NEXT_BUSINESS_DAY},
            "At 09:00 every day, UTC, moved from days off of holidays and weekends to the same time on the next "
            "business day.",
        ),
        (
            "0 9 * * *",
            {"start_at": START, "end_at": END, "max_runs": 1_000, "jitter_seconds": 90.0},
            "At 09:00 every day, UTC, from 2026-12-01 09:00:00Z on, until 2026-12-31 09:30:15.500000Z, at most 1,000 "
            "runs, each up to 90 seconds later.",
        ),
    ],
)
def test_what_else_a_timing_says_follows(expression: str, settings: dict[str, Any], sentence: str) -> None:
    assert described(expression, **settings) == sentence


@pytest.mark.parametrize(
    ("timing", "sentence"),
    [
        (Timing(interval_seconds=1), "Every second."),
        (Timing(interval_seconds=10), "Every 10 seconds."),
        (Timing(interval_seconds=0.1), "Every 0.1 seconds."),
        (Timing(interval_seconds=90), "Every 90 seconds."),
        (Timing(interval_seconds=0.99999999), "Every second."),
        (Timing(interval_seconds=60), "Every minute."),
        (Timing(interval_seconds=5_400), "Every 90 minutes."),
        (Timing(interval_seconds=3_600), "Every hour."),
        (Timing(interval_seconds=86_400), "Every 24 hours."),
        (Timing(interval_seconds=100_000.5), "Every 100,000.5 seconds."),
        (Timing(interval_seconds=10, timezone="Europe/Berlin"), "Every 10 seconds."),
        (Timing(interval_seconds=10, start_at=START), "Every 10 seconds, from 2026-12-01 09:00:00Z on."),
        (Timing(interval_seconds=10, max_runs=1), "Every 10 seconds, at most 1 run."),
        (Timing(interval_seconds=60, jitter_seconds=30), "Every minute, each up to 30 seconds later."),
        (
            Timing(interval_seconds=60, exclude_calendars=("holidays",)),
            "Every minute, except on days off of holidays (UTC days).",
        ),
        (Timing(run_at=START), "Once, at 2026-12-01 09:00:00Z."),
        (
            Timing(run_at=START, timezone="Europe/Berlin"),
            "Once, at 2026-12-01 09:00:00Z (2026-12-01 10:00:00 in Europe/Berlin).",
        ),
    ],
)
def test_intervals_and_single_instants_are_said_in_english(timing: Timing, sentence: str) -> None:
    assert describe(timing, expression=None) == sentence


def test_h_is_said_by_the_time_that_it_has_for_the_job() -> None:
    job_ids = [UUID(int=number) for number in range(20)]

    sentences = {described("H H * * *", job_id) for job_id in job_ids}

    assert len(sentences) > 15
    for job_id in job_ids:
        expression = parse_cron("H H * * *", job_id=job_id)
        (hour,), (minute,) = expression.hour.values, expression.minute.values
        assert described("H H * * *", job_id) == f"At {hour:02}:{minute:02} every day, UTC."


@given(number=st.integers(0, 10**9))
@settings(max_examples=300)
def test_whoever_reads_the_sentence_has_the_times_and_days_of_the_expression(number: int) -> None:
    expression = any_expression(number)

    sentence = describe(Timing(cron_expression=expression.text), expression=expression)

    assert times_read(sentence) == {
        hour * 3_600 + minute * 60 + second
        for hour, minute, second in product(expression.hour.values, expression.minute.values, expression.second.values)
    }
    assert days_read(sentence) == {day for day in DAYS_READ if expression.days.match(day)}


@given(
    number=st.integers(0, 10**9),
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York"]),
    dst_gap=st.sampled_from(DstGap),
    dst_overlap=st.sampled_from(DstOverlap),
    instants=st.lists(st.none() | st.datetimes(timezones=st.just(UTC)), min_size=2, max_size=2),
    max_runs=st.none() | st.integers(1),
    jitter_seconds=st.floats(0, 86_400),
    exclude_calendars=st.lists(st.text(min_size=1), max_size=3).map(tuple),
    on_excluded=st.sampled_from(OnExcluded),
)
def test_any_timing_is_one_sentence(number: int, instants: list[datetime | None], **settings: Any) -> None:
    expression = any_expression(number)
    start_at, end_at = instants
    timing = Timing(cron_expression=expression.text, start_at=start_at, end_at=end_at, **settings)

    for kind, read in ((timing, expression), (replace(timing, cron_expression=None, run_at=END), None)):
        sentence = describe(kind, expression=read)

        assert sentence[0].isupper()
        assert sentence.endswith(".")


@given(seconds=st.floats(0.1, allow_infinity=False, allow_nan=False))
def test_any_interval_is_one_sentence(seconds: float) -> None:
    sentence = describe(Timing(interval_seconds=seconds), expression=None)

    assert re.fullmatch(r"Every (second|minute|hour|[\d,.e+]+ (second|minute|hour)s)\.", sentence)


def any_expression(number: int) -> CronExpression:
    """The expression of this number, of all that can be parsed."""
    random = Random(number)
    while True:
        try:
            return parse_cron(random_expression(random, None))
        except InvalidSchedule:
            continue
