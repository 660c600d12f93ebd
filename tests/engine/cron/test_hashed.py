"""H: a stable spread by job id. What it means for one job is an ordinary expression, which nobody has to know."""

from uuid import UUID

import pytest

from engine.cron import cron_schedule
from tests.engine.cron.stepping import slots_after, slots_between, utc

START, END = utc("2026-01-01"), utc("2026-12-31T23:59:59")
JOBS = [UUID(int=number * 0x9E3779B97F4A7C15) for number in range(1, 301)]


def minutes_of(expression: str, job_id: UUID) -> list[int]:
    """The minutes of one hour at which the job is due."""
    schedule = cron_schedule(expression, job_id=job_id)
    return [slot.minute for slot in slots_between(schedule, START, utc("2026-01-01T00:59:59"))]


def test_a_job_has_one_value_which_stays() -> None:
    for job_id in JOBS[:50]:
        first, again = (slots_after(cron_schedule("H H * * *", job_id=job_id), START, 10) for _ in range(2))
        plain = cron_schedule(f"{first[0].minute} {first[0].hour} * * *")
        assert first == again == slots_after(plain, START, 10)


def test_a_new_process_spreads_a_job_as_the_one_before() -> None:
    """Literal values: were they to change, every such job would be due at another time after an upgrade."""
    slot = cron_schedule("H H H * *", job_id=UUID("00000000-0000-4000-8000-00000000000a")).next_after(START)

    assert slot == utc("2026-01-04T13:22")


def test_jobs_are_spread_over_all_values() -> None:
    assert {minute for job_id in JOBS for minute in minutes_of("H * * * *", job_id)} == set(range(60))
    by_hour = [sum(1 for job_id in JOBS if hour_of(job_id) == hour) for hour in range(24)]
    assert min(by_hour) >= 1
    assert max(by_hour) <= 40


def hour_of(job_id: UUID) -> int:
    slot = cron_schedule("0 H * * *", job_id=job_id).next_after(START)
    assert slot is not None
    return slot.hour


def test_the_fields_of_one_job_are_spread_independently() -> None:
    slots = [cron_schedule("H H * * * *", job_id=job_id).next_after(START) for job_id in JOBS]

    assert len({(slot.second, slot.minute) for slot in slots if slot}) > 250


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("H(10-19) * * * *", set(range(10, 20))),
        ("H(7-7) * * * *", {7}),
        ("h(10-19) * * * *", set(range(10, 20))),
    ],
)
def test_in_brackets_are_the_bounds(expression: str, allowed: set[int]) -> None:
    assert {minute for job_id in JOBS for minute in minutes_of(expression, job_id)} == allowed


def test_a_step_begins_somewhere_in_its_first_round() -> None:
    rounds = {tuple(minutes_of("H/15 * * * *", job_id)) for job_id in JOBS}

    assert rounds == {(first, first + 15, first + 30, first + 45) for first in range(15)}


def test_a_step_that_does_not_divide_the_hour_begins_anew_each_hour() -> None:
    rounds = {tuple(minutes_of("H/25 * * * *", job_id)) for job_id in JOBS}

    assert rounds == {tuple(range(first, 60, 25)) for first in range(25)}


def test_a_step_within_bounds_keeps_to_them() -> None:
    rounds = {tuple(minutes_of("H(10-29)/10 * * * *", job_id)) for job_id in JOBS}

    assert rounds == {(first, first + 10) for first in range(10, 20)}


def test_a_day_of_the_month_is_one_that_every_month_has() -> None:
    for job_id in JOBS[:50]:
        slots = slots_after(cron_schedule("0 0 H * *", job_id=job_id), START, 12)
        assert len({slot.month for slot in slots}) == 12
        assert len({slot.day for slot in slots}) == 1
    days = {slot.day for job_id in JOBS for slot in slots_after(cron_schedule("0 0 H * *", job_id=job_id), START, 1)}
    assert days == set(range(1, 29))


def test_every_weekday_and_month_has_its_jobs() -> None:
    weekdays = [cron_schedule("0 0 * * H", job_id=job_id) for job_id in JOBS]
    months = [cron_schedule("0 0 1 H *", job_id=job_id) for job_id in JOBS]

    assert {slot.isoweekday() for schedule in weekdays for slot in slots_after(schedule, START, 1)} == set(range(1, 8))
    assert {slot.month for schedule in months for slot in slots_after(schedule, START, 1)} == set(range(1, 13))


def test_it_may_stand_in_a_list() -> None:
    for job_id in JOBS[:50]:
        (alone,) = minutes_of("H * * * *", job_id)
        assert set(minutes_of("0,H * * * *", job_id)) == {0, alone}


def test_a_time_that_is_spread_is_a_fixed_one() -> None:
    """H is no star: in New York's overlap of 1 November 2026, from 05:00Z to 07:00Z, it fires once."""
    for job_id in JOBS[:50]:
        schedule = cron_schedule("H 1 * * *", timezone="America/New_York", job_id=job_id)
        slots = slots_between(schedule, utc("2026-11-01"), utc("2026-11-01T23:59"))
        assert len(slots) == 1
        assert slots[0] < utc("2026-11-01T06:00")


def test_without_a_job_it_has_some_value() -> None:
    assert len(slots_between(cron_schedule("H H * * *"), START, END)) == 365
