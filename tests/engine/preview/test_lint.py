"""Warnings about whole schedules: which there are, what they say, and what looking for them may cost."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidSchedule
from engine.slots import schedule_from
from engine.timing import DstGap, DstOverlap, OnExcluded, Timing
from tests.engine.cron.cases import random_case
from tests.engine.preview.linting import CALENDARS, JOB_ID, NEW_YORK, codes, cron, message, warnings_of
from tests.factories import NOON


@pytest.mark.parametrize(
    "timing",
    [
        cron("* * * * *"),
        cron("*/5 * * * *"),
        cron("*/15 */6 * * *", "Asia/Kolkata"),
        cron("0 9 * * 1-5", "Europe/Berlin"),
        cron("0 0 1 * *"),
        cron("0 0 L * *"),
        cron("0 0 28 2 *"),
        cron("0 0 1 1 *"),
        cron("H H * * *"),
        cron("*/5 * * * *", NEW_YORK),
        cron("0 * * * *", NEW_YORK),
        cron("0 9 * * *", jitter_seconds=3_600, exclude_calendars=("weekends",), max_runs=3),
        cron("0 9 * * *", exclude_calendars=("weekends",), on_excluded=OnExcluded.NEXT_BUSINESS_DAY),
        Timing(interval_seconds=10),
        Timing(interval_seconds=60, timezone=NEW_YORK, exclude_calendars=("weekends",)),
        Timing(interval_seconds=1_000_000),
        Timing(run_at=NOON + timedelta(days=300)),
    ],
)
def test_nothing_is_said_of_an_ordinary_schedule(timing: Timing) -> None:
    assert warnings_of(timing) == []


@pytest.mark.parametrize(
    ("timing", "reason"),
    [
        (cron("0 0 31 2 *"), "there is no such date, as no month that it names has more than 29 days"),
        (cron("0 0 1 * *", end_at=NOON + timedelta(days=1)), "no instant after 2026-11-23T12:00:00Z"),
        (Timing(run_at=NOON - timedelta(days=1)), "run_at is 2026-11-22T12:00:00Z, which is past"),
        (Timing(interval_seconds=60, end_at=NOON - timedelta(days=1)), "end_at is 2026-11-22T12:00:00Z, which is past"),
    ],
)
def test_never_fires_says_why(timing: Timing, reason: str) -> None:
    assert reason in message(timing, "never_fires")


@pytest.mark.parametrize(
    ("timing", "said"),
    [
        (cron("0 0 29 2 *"), "the first slot is at 2028-02-29 00:00:00Z, 462 days from 2026-11-23 12:00:00Z"),
        (cron("0 0 29 2 *"), "the one after it at 2032-02-29 00:00:00Z"),
        (Timing(run_at=NOON + timedelta(days=1_000)), "2029-08-19 12:00:00Z, 1,000 days from"),
        (Timing(interval_seconds=60, start_at=NOON + timedelta(days=400)), "the first slot is at 2027-12-28 12:00:00Z"),
    ],
)
def test_fires_rarely_says_when(timing: Timing, said: str) -> None:
    assert said in message(timing, "fires_rarely")


def test_a_long_pause_between_slots_is_rare_too() -> None:
    assert message(cron("0 0 29 2 *"), "fires_rarely", after=datetime(2028, 2, 1, tzinfo=UTC)).startswith(
        "after the slot at 2028-02-29 00:00:00Z the next one is at 2032-02-29 00:00:00Z, 1,461 days from"
    )


def test_hashed_without_job_is_said_only_where_there_is_no_job() -> None:
    assert codes(cron("H H * * *"), job_id=None) == ["hashed_without_job"]
    assert codes(cron("H H * * *"), job_id=JOB_ID) == []
    assert codes(cron("0 9 * * *"), job_id=None) == []
    assert "H in" in message(cron("H H * * *"), "hashed_without_job", job_id=None)
    assert "jitter_seconds 5 depends" in message(
        Timing(interval_seconds=60, jitter_seconds=5), "hashed_without_job", job_id=None
    )


@pytest.mark.parametrize("on_excluded", OnExcluded)
@pytest.mark.parametrize(
    ("timing", "said"),
    [
        (
            Timing(interval_seconds=1, exclude_calendars=("always",)),
            "from 2026-11-23 to 2029-11-27 each day is a day off of always",
        ),
        (cron("0 9 * * 6", exclude_calendars=("always",)), "each day is a day off of always, so nothing runs"),
    ],
)
def test_all_excluded_says_how_long(timing: Timing, said: str, on_excluded: OnExcluded) -> None:
    assert said in message(replace(timing, on_excluded=on_excluded), "all_excluded")


def test_slots_that_are_all_on_days_off_are_noticed_among_business_days() -> None:
    weekly = cron("0 9 * * 6", exclude_calendars=("weekends",))
    once = Timing(run_at=datetime(2026, 11, 28, 9, tzinfo=UTC), exclude_calendars=("weekends",))

    assert "every slot from 2026-11-28 09:00:00Z to 2027-11-06 09:00:00Z lies on a day off of weekends" in message(
        weekly, "all_excluded"
    )
    assert "the only slot, at 2026-11-28 09:00:00Z, lies on a day off of weekends" in message(once, "all_excluded")
    assert codes(replace(weekly, on_excluded=OnExcluded.NEXT_BUSINESS_DAY)) == []
    assert codes(replace(once, on_excluded=OnExcluded.NEXT_BUSINESS_DAY)) == []


def test_many_slots_on_one_day_off_are_no_warning() -> None:
    saturday = datetime(2026, 11, 28, tzinfo=UTC)

    assert codes(Timing(interval_seconds=10, exclude_calendars=("weekends",)), after=saturday) == []


@pytest.mark.parametrize(
    ("timing", "said"),
    [
        (Timing(interval_seconds=60, jitter_seconds=90), "jitter_seconds 90 is more than the interval of 1 minute"),
        (cron("*/5 * * * *", jitter_seconds=600), "more than the 5 minutes from 2026-11-23 12:05:00Z to the next slot"),
        (cron("*/25 * * * *", jitter_seconds=700), "more than the 10 minutes from 2026-11-23 12:50:00Z"),
        (cron("0 9,17 * * *", jitter_seconds=30_000), "more than the 8 hours from 2026-11-24 09:00:00Z"),
    ],
)
def test_jitter_clipped_says_by_what(timing: Timing, said: str) -> None:
    assert said in message(timing, "jitter_clipped")


def test_window_short_counts_the_slots() -> None:
    window: dict[str, Any] = {"start_at": NOON, "end_at": NOON + timedelta(hours=1), "max_runs": 20}
    later = {name: value + timedelta(1) for name, value in window.items() if isinstance(value, datetime)}

    assert message(Timing(interval_seconds=300, **(window | later)), "window_short").startswith(
        "from 2026-11-24 12:00:00Z until end_at 2026-11-24 13:00:00Z there are 13 slots, fewer than max_runs 20"
    )
    assert codes(cron("*/5 * * * *", **window)) == [], "a window that has begun may have had its runs"
    assert codes(cron("* * * * *", **(window | later))) == []
    assert codes(cron("*/5 * * * *", end_at=NOON + timedelta(minutes=5), max_runs=2)) == ["window_short"]


timings = st.builds(
    Timing,
    start_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    end_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    max_runs=st.none() | st.integers(1, 10**9),
    jitter_seconds=st.just(0.0) | st.floats(0, 86_400),
    exclude_calendars=st.lists(st.sampled_from(sorted(CALENDARS)), unique=True).map(tuple),
    on_excluded=st.sampled_from(OnExcluded),
    dst_gap=st.sampled_from(DstGap),
    dst_overlap=st.sampled_from(DstOverlap),
)


@given(timing=timings, number=st.integers(0, 10**9), instant=st.none() | st.datetimes(timezones=st.just(UTC)))
@settings(max_examples=200)
def test_any_cron_schedule_is_looked_at_within_bounds(timing: Timing, number: int, instant: datetime | None) -> None:
    case = random_case(number)
    timing = replace(timing, cron_expression=case.expression, timezone=case.timezone)

    look_at(timing, instant or case.instant)


@given(
    timing=timings,
    kind=st.builds(dict, interval_seconds=st.floats(0.1, 1e12))
    | st.builds(dict, run_at=st.datetimes(timezones=st.just(UTC))),
    timezone=st.sampled_from(["UTC", NEW_YORK, "Pacific/Kiritimati", "Pacific/Niue"]),
    instant=st.datetimes(timezones=st.just(UTC)),
)
@settings(max_examples=200)
def test_any_other_schedule_is_looked_at_within_bounds(
    timing: Timing, kind: dict[str, Any], timezone: str, instant: datetime
) -> None:
    look_at(replace(timing, timezone=timezone, **kind), instant)


def look_at(timing: Timing, after: datetime) -> None:
    """Whatever the warnings say, they are there, and each says something."""
    try:
        found = warnings_of(timing, after=after)
    except InvalidSchedule:
        return

    assert all(warning.code.islower() and len(warning.message) > 20 for warning in found)
    assert ("never_fires" in {warning.code for warning in found}) == (
        schedule_from(timing, CALENDARS, anchor_at=after, job_id=JOB_ID).next_after(after) is None
    )
