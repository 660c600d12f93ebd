"""The slots of a job: one schedule made of what its timing says, and why a timing is refused."""

from datetime import UTC, date, datetime, timedelta
from time import process_time
from typing import Any
from uuid import UUID

import pytest

from engine.business_days import NextBusinessDay
from engine.calendars import Calendar, Weekday, days_off
from engine.cron import CronSchedule
from engine.errors import InvalidSchedule, UnknownCalendar
from engine.jitter import Jitter
from engine.schedule import DateSchedule, IntervalSchedule, Schedule, Window, slots_between
from engine.slots import (
    basic_schedule,
    excluding_calendar,
    first_slot,
    latest_to_run,
    mover,
    origin,
    schedule_from,
    schedule_of,
    why_never,
)
from engine.timing import DstGap, DstOverlap, OnExcluded, Timing
from tests.engine.listings import THE_END, listed
from tests.factories import NOON, make_calendar, make_job, make_timing

JOB = UUID("5f0c4a52-8a3b-4b8e-9d0e-0d6c3f1c2a11")
WEEKEND = make_calendar("weekend", weekly_days_off={Weekday.SATURDAY, Weekday.SUNDAY})
FEAST = make_calendar("feast", dates={date(2026, 11, 24)})
CALENDARS = {calendar.name: calendar for calendar in (WEEKEND, FEAST)}
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def schedule(**fields: Any) -> Schedule:
    """Of a timing that has these fields; every 60 seconds from noon, where they say nothing of the kind."""
    return schedule_from(make_timing(fields), CALENDARS, anchor_at=NOON, job_id=JOB)


def refusal_of(**fields: Any) -> InvalidSchedule:
    with pytest.raises(InvalidSchedule) as refusal:
        schedule_from(Timing(**fields), CALENDARS, anchor_at=NOON, job_id=JOB)
    return refusal.value


# --- What it is made of ---------------------------------------------------------------------------------


def test_each_kind_has_its_schedule() -> None:
    cron = schedule(cron_expression="0 9 * * *", timezone="Europe/Berlin", dst_gap=DstGap.SKIP)

    assert schedule(interval_seconds=0.5) == IntervalSchedule(NOON, 0.5)
    assert schedule(run_at=NOON) == DateSchedule(NOON)
    assert isinstance(cron, CronSchedule)
    assert (cron.timezone, cron.dst_gap, cron.dst_overlap) == ("Europe/Berlin", DstGap.SKIP, DstOverlap.FIRST)
    assert cron.next_after(NOON) == datetime(2026, 11, 24, 8, tzinfo=UTC)


def test_what_is_not_said_is_not_there() -> None:
    assert isinstance(schedule(jitter_seconds=0.0, exclude_calendars=()), IntervalSchedule)
    assert isinstance(schedule(exclude_calendars=("weekend",), on_excluded=OnExcluded.SKIP), IntervalSchedule)
    assert isinstance(schedule(on_excluded=OnExcluded.NEXT_BUSINESS_DAY), IntervalSchedule)


def test_window_jitter_and_calendars_are_put_around_any_kind_in_this_order() -> None:
    whole = schedule(
        run_at=NOON + HOUR,
        start_at=NOON,
        end_at=NOON + DAY,
        jitter_seconds=60.0,
        exclude_calendars=("weekend", "feast"),
        on_excluded=OnExcluded.NEXT_BUSINESS_DAY,
        timezone="Europe/Berlin",
    )

    off = days_off(Timing(exclude_calendars=("weekend", "feast")), CALENDARS)
    moving = NextBusinessDay(Window(DateSchedule(NOON + HOUR), NOON, NOON + DAY), off, "Europe/Berlin")
    assert whole == Jitter(Window(moving, None, NOON + DAY), 60.0, JOB, NOON + DAY)
    assert mover(whole) == moving


def test_calendars_go_by_the_slot_before_jitter() -> None:
    spread = schedule(
        cron_expression="0 9 * * *",
        jitter_seconds=600.0,
        exclude_calendars=("weekend",),
        on_excluded=OnExcluded.NEXT_BUSINESS_DAY,
    )
    monday = datetime(2026, 11, 30, tzinfo=UTC)

    slots = list(slots_between(spread, monday, monday + DAY, at_most=10))

    assert [origin(spread, slot) for slot in slots] == [monday + 9 * HOUR]


@pytest.mark.parametrize(
    ("hours_down", "runs"), [(4, 0), (28, 0), (52, 0), (76, 72)], ids=["Friday", "Saturday", "Sunday", "Monday"]
)
def test_of_the_due_slots_the_latest_that_is_on_no_day_off_is_to_run(hours_down: int, runs: int) -> None:
    timing = Timing(cron_expression="0 9 * * *", exclude_calendars=("weekend",))
    friday = datetime(2026, 11, 27, 9, tzinfo=UTC)
    daily = schedule(cron_expression="0 9 * * *", exclude_calendars=("weekend",))

    found = latest_to_run(timing, daily, days_off(timing, CALENDARS), friday, friday + hours_down * HOUR)

    assert found == friday + runs * HOUR


def test_if_all_due_slots_are_on_days_off_the_latest_stands_for_them() -> None:
    timing = Timing(cron_expression="0 9 * * *", exclude_calendars=("weekend",))
    saturday = datetime(2026, 11, 28, 9, tzinfo=UTC)
    daily = schedule(cron_expression="0 9 * * *", exclude_calendars=("weekend",))

    found = latest_to_run(timing, daily, days_off(timing, CALENDARS), saturday, saturday + 30 * HOUR)

    assert found == saturday + DAY


def test_a_schedule_moves_slots_only_if_it_is_told_so() -> None:
    moving = schedule(exclude_calendars=("weekend",), on_excluded=OnExcluded.NEXT_BUSINESS_DAY)

    assert mover(moving) is moving
    assert mover(schedule(exclude_calendars=("weekend",))) is None
    assert mover(schedule(end_at=NOON + DAY)) is None


def test_the_start_of_a_window_is_the_first_slot_of_an_interval_and_bounds_the_others() -> None:
    start_at = NOON + timedelta(seconds=1_234.5)

    assert listed(schedule(interval_seconds=60.0, start_at=start_at), NOON, at_most=2) == [start_at, start_at + MINUTE]
    assert schedule(cron_expression="* * * * *", start_at=start_at).next_after(NOON) == NOON + 21 * MINUTE
    assert schedule(run_at=NOON, start_at=start_at).next_after(NOON - DAY) is None
    assert schedule(run_at=start_at, start_at=start_at, end_at=start_at).next_after(NOON) == start_at


def test_the_end_of_a_window_may_be_a_slot_and_bounds_jitter_and_moving() -> None:
    sunday = datetime(2026, 11, 29, 12, tzinfo=UTC)
    moving = {"exclude_calendars": ("weekend",), "on_excluded": OnExcluded.NEXT_BUSINESS_DAY}

    assert listed(schedule(end_at=NOON + 2 * MINUTE), NOON) == [NOON + MINUTE, NOON + 2 * MINUTE]
    assert listed(schedule(run_at=NOON, jitter_seconds=3_600.0, end_at=NOON), NOON - DAY) == [NOON]
    assert listed(schedule(run_at=sunday, end_at=sunday + DAY, **moving), NOON) == [sunday, sunday + DAY]
    assert listed(schedule(run_at=sunday, end_at=sunday + DAY - MINUTE, **moving), NOON) == [sunday]


def test_what_differs_from_job_to_job_goes_by_its_id_and_without_one_there_is_a_schedule_too() -> None:
    timings = [Timing(cron_expression="H H * * *"), Timing(cron_expression="0 9 * * *", jitter_seconds=3_600.0)]
    for timing in timings:
        of_jobs = {
            schedule_from(timing, {}, anchor_at=NOON, job_id=UUID(int=number)).next_after(NOON)
            for number in range(1, 30)
        }
        assert len(of_jobs) > 20
        assert schedule_from(timing, {}, anchor_at=NOON, job_id=None).next_after(NOON) is not None


def test_the_schedule_of_a_job_is_that_of_its_timing_anchor_and_id() -> None:
    job = make_job(cron_expression="H * * * *", jitter_seconds=60.0, start_at=NOON)

    assert schedule_of(job, {}) == schedule_from(job.timing, {}, anchor_at=job.anchor_at, job_id=job.id)
    assert schedule_of(make_job(anchor_at=NOON + MINUTE), {}).next_after(NOON) == NOON + 2 * MINUTE


# --- What is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        (
            {},
            "interval_seconds",
            "exactly one of interval_seconds, cron_expression, run_at is wanted, not none of them",
        ),
        (
            {"interval_seconds": 1.0, "cron_expression": "* * * * *"},
            "interval_seconds",
            "exactly one of interval_seconds, cron_expression, run_at is wanted, "
            "not interval_seconds and cron_expression",
        ),
        (
            {"cron_expression": "no cron", "run_at": NOON},
            "interval_seconds",
            "exactly one of interval_seconds, cron_expression, run_at is wanted, not cron_expression and run_at",
        ),
        (
            {"interval_seconds": 0.05},
            "interval_seconds",
            "interval_seconds is 0.05: a finite number of at least 0.1 is wanted",
        ),
        (
            {"cron_expression": ""},
            "cron_expression",
            'cron_expression "" has 0 fields: 5 are wanted, minute hour day-of-month month day-of-week, '
            'as in "0 9 * * mon-fri", or six with the seconds first',
        ),
        (
            {"interval_seconds": 60.0, "start_at": NOON, "end_at": NOON - MINUTE},
            "end_at",
            "end_at is before start_at: the end of the window after its start is wanted",
        ),
        (
            {"interval_seconds": 60.0, "timezone": "europe/berlin"},
            "timezone",
            'timezone "europe/berlin" is not known: an IANA name such as Europe/Berlin or UTC is wanted; '
            "did you mean Europe/Berlin?",
        ),
        (
            {"interval_seconds": 60.0, "exclude_calendars": ("weekend", "moon")},
            "exclude_calendars",
            'exclude_calendars has "moon": no calendar has this name',
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else None,
)
def test_a_timing_that_cannot_be_read_is_refused_by_its_field(fields: dict[str, Any], field: str, message: str) -> None:
    refusal = refusal_of(**fields)

    assert (refusal.field, str(refusal)) == (field, message)


def test_a_cron_expression_that_cannot_be_read_is_refused_by_what_it_has() -> None:
    refusal = refusal_of(cron_expression="61 * * * *")

    assert refusal.field == "cron_expression"
    assert str(refusal).startswith('cron_expression has "61" in its minute field')


def test_a_calendar_that_is_gone_is_an_unknown_one() -> None:
    assert isinstance(refusal_of(run_at=NOON, exclude_calendars=("moon",)), UnknownCalendar)


@pytest.mark.parametrize(
    "fields", [{}, {"run_at": NOON, "interval_seconds": 1.0}, {"run_at": NOON, "timezone": "Mars"}]
)
def test_the_basic_schedule_is_refused_for_the_same_reasons(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        basic_schedule(Timing(**fields), anchor_at=NOON, job_id=None)

    assert (refusal.value.field, str(refusal.value)) == (refusal_of(**fields).field, str(refusal_of(**fields)))


NEVER: list[tuple[dict[str, Any], str, str]] = [
    (
        {"run_at": NOON},
        "run_at",
        "run_at is 2026-11-23T12:00:00Z, which is past at 2026-11-23T12:00:00Z: it would never run",
    ),
    (
        {"run_at": NOON - DAY, "end_at": NOON - HOUR},
        "run_at",
        "run_at is 2026-11-22T12:00:00Z, which is past at 2026-11-23T12:00:00Z: it would never run",
    ),
    (
        {"interval_seconds": 60.0, "end_at": NOON},
        "end_at",
        "end_at is 2026-11-23T12:00:00Z, which is past at 2026-11-23T12:00:00Z: it would never run",
    ),
    (
        {"cron_expression": "0 0 31 2 *"},
        "cron_expression",
        'cron_expression has "31" in its day of month field and "2" in its month field: there is no such date, '
        "as no month that it names has more than 29 days: it would never run",
    ),
    (
        {"interval_seconds": 1e15},
        "interval_seconds",
        "interval_seconds names no instant after 2026-11-23T12:00:00Z: it would never run",
    ),
    (
        {"interval_seconds": 86_400.0, "end_at": NOON + HOUR},
        "interval_seconds",
        "interval_seconds names no instant after 2026-11-23T12:00:00Z that lies between start_at and end_at: "
        "it would never run",
    ),
    (
        {"cron_expression": "0 9 * * *", "start_at": NOON, "end_at": NOON + HOUR},
        "cron_expression",
        "cron_expression names no instant after 2026-11-23T12:00:00Z that lies between start_at and end_at: "
        "it would never run",
    ),
    (
        {"run_at": NOON + DAY, "end_at": NOON + HOUR},
        "run_at",
        "run_at names no instant after 2026-11-23T12:00:00Z that lies between start_at and end_at: it would never run",
    ),
    (
        {"run_at": NOON + HOUR, "start_at": NOON + DAY},
        "run_at",
        "run_at names no instant after 2026-11-23T12:00:00Z that lies between start_at and end_at: it would never run",
    ),
]


@pytest.mark.parametrize(("fields", "field", "message"), NEVER)
def test_a_schedule_without_a_slot_to_come_is_refused_with_the_reason(
    fields: dict[str, Any], field: str, message: str
) -> None:
    job = make_job(**fields)
    with pytest.raises(InvalidSchedule) as refusal:
        first_slot(job, {}, after=NOON)

    assert (refusal.value.field, str(refusal.value)) == (field, message)
    assert why_never(job.timing, NOON) == message


def test_an_expression_that_only_a_gap_could_fire_never_does_if_it_is_to_skip_it() -> None:
    # Half past two on the last Sunday of March is never on the clocks of Berlin.
    job = make_job(cron_expression="30 2 * 3 0L", timezone="Europe/Berlin", dst_gap=DstGap.SKIP)
    began = process_time()

    with pytest.raises(InvalidSchedule, match="it would never run") as refusal:
        first_slot(job, {}, after=NOON)

    assert refusal.value.field == "cron_expression"
    assert process_time() - began < 0.5, "a request that takes seconds is one to stop the service with"


@pytest.mark.parametrize(("run_count", "max_runs"), [(3, 3), (4, 3), (1, 1)])
def test_a_job_that_has_had_its_runs_has_no_slot(run_count: int, max_runs: int) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        first_slot(make_job(max_runs=max_runs, run_count=run_count), {}, after=NOON)

    assert refusal.value.field == "max_runs"
    assert str(refusal.value) == f"max_runs is {max_runs}, and the job has run {run_count} times already"


@pytest.mark.parametrize(("run_count", "max_runs"), [(2, 3), (0, 1), (1_000, None)])
def test_a_job_with_runs_left_has_its_next_slot(run_count: int, max_runs: int | None) -> None:
    job = make_job(max_runs=max_runs, run_count=run_count)

    assert first_slot(job, {}, after=NOON) == NOON + MINUTE


def test_the_first_slot_may_be_in_the_year_9999() -> None:
    assert first_slot(make_job(run_at=THE_END), {}, after=NOON) == THE_END


@pytest.mark.parametrize("kind", [{"cron_expression": "0 0 1 1 *"}, {"interval_seconds": 86_400.0}])
def test_a_window_may_begin_in_the_year_9999(kind: dict[str, Any]) -> None:
    start_at = datetime(9999, 1, 1, tzinfo=UTC)

    assert first_slot(make_job(**kind, start_at=start_at), {}, after=NOON) == start_at


# --- Days off -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slot", "names", "excluding"),
    [
        ("2026-11-27T12:00:00", ("weekend",), None),
        ("2026-11-28T00:00:00", ("weekend",), "weekend"),
        ("2026-11-29T23:59:59.999999", ("weekend",), "weekend"),
        ("2026-11-30T00:00:00", ("weekend",), None),
        ("2026-11-24T12:00:00", ("weekend", "feast"), "feast"),
        ("2026-11-28T12:00:00", ("feast",), None),
        ("2026-11-28T12:00:00", (), None),
    ],
)
def test_a_slot_is_excluded_by_the_calendar_that_has_its_day(
    slot: str, names: tuple[str, ...], excluding: str | None
) -> None:
    timing = Timing(run_at=NOON, exclude_calendars=names)

    found = excluding_calendar(timing, days_off(timing, CALENDARS), datetime.fromisoformat(slot).replace(tzinfo=UTC))

    assert found == excluding


def test_the_first_of_the_calendars_that_exclude_a_day_is_named() -> None:
    both = make_calendar("both", weekly_days_off={Weekday.SUNDAY})
    for names in (("weekend", "both"), ("both", "weekend")):
        timing = Timing(run_at=NOON, exclude_calendars=names)
        off = days_off(timing, CALENDARS | {"both": both})

        assert excluding_calendar(timing, off, datetime(2026, 11, 29, tzinfo=UTC)) == names[0]


@pytest.mark.parametrize(
    ("zone", "slot", "is_off"),
    [
        ("Europe/Berlin", "2026-11-27T22:59:59", False),
        ("Europe/Berlin", "2026-11-27T23:00:00", True),
        ("Pacific/Kiritimati", "2026-11-27T10:00:00", True),
        ("Etc/GMT+12", "2026-11-28T11:59:59", False),
        ("Etc/GMT+12", "2026-11-30T11:59:59", True),
    ],
)
def test_a_day_off_is_a_local_day(zone: str, slot: str, is_off: bool) -> None:
    timing = Timing(run_at=NOON, timezone=zone, exclude_calendars=("weekend",))

    found = excluding_calendar(timing, days_off(timing, CALENDARS), datetime.fromisoformat(slot).replace(tzinfo=UTC))

    assert found == ("weekend" if is_off else None)


def test_a_calendar_knows_its_days_off() -> None:
    calendar: Calendar = make_calendar("mine", dates={date(2026, 12, 24)}, weekly_days_off={Weekday.WEDNESDAY})

    days = [date(2026, 12, day) for day in range(21, 28)]
    assert [day.day for day in days if calendar.excludes(day)] == [23, 24]
