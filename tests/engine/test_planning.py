"""Which slot is claimed, which are missed, and when the job is due again."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calendars import Calendars, Weekday
from engine.errors import InvalidSchedule, UnknownCalendar
from engine.limits import MAX_COUNTED_YEARS
from engine.nouns import Advance, Job, JobStatus, Run, RunState, Trigger
from engine.planning import missed_stretch, plan_catch_up, plan_claim
from engine.policies import DEFAULT_POLICIES
from engine.slots import schedule_of
from engine.timing import OnExcluded
from tests.factories import NODE, NOON, make_calendar, make_job

GRACE_SECONDS = DEFAULT_POLICIES.misfire_grace_seconds
GRACE = timedelta(seconds=GRACE_SECONDS)
MICROSECOND = timedelta(microseconds=1)
THE_END = datetime.max.replace(tzinfo=UTC)
NO_CALENDARS: Calendars = {}


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def every(seconds: float, **overrides: object) -> Job:
    """A job whose first slot, due and not claimed, is noon."""
    return make_job(interval_seconds=seconds, anchor_at=NOON - timedelta(seconds=seconds), version=7, **overrides)


def claim(job: Job, now: datetime, refusal: str | None = None, calendars: Calendars = NO_CALENDARS) -> Advance | None:
    plan = plan_claim(job, calendars, now=now, node=NODE, new_id=uuid4, refusal=refusal)
    if plan is None:
        return None
    assert plan.job == job
    return plan.advance


def catch_up(job: Job, now: datetime, calendars: Calendars = NO_CALENDARS) -> Advance | None:
    return plan_catch_up(job, calendars, now=now, node=NODE, new_id=uuid4)


def missed(job: Job, *, now: datetime, calendars: Calendars = NO_CALENDARS) -> Run | None:
    return missed_stretch(job, calendars, now=now, node=NODE, new_id=uuid4, reason="away")


def planned(job: Job, now: datetime, calendars: Calendars = NO_CALENDARS) -> tuple[Advance, Run]:
    """The claim of a job that is due, with its run."""
    advance = claim(job, now, calendars=calendars)
    assert advance is not None
    assert advance.run is not None
    return advance, advance.run


@pytest.mark.parametrize(
    ("seconds", "late", "slot", "due_next", "missed_slots"),
    [
        pytest.param(60, 0, 0, 60, None, id="on time"),
        pytest.param(60, 3, 0, 60, None, id="late within the grace"),
        pytest.param(1, 3.5, 0, 1, None, id="late within the grace, with several slots due"),
        pytest.param(1, GRACE_SECONDS, 0, 1, None, id="exactly at the grace"),
        pytest.param(1, GRACE_SECONDS + 0.000_001, 5, 6, (0, 4, 5), id="just beyond the grace"),
        pytest.param(60, 59, 0, 60, None, id="beyond the grace, with one slot due"),
        pytest.param(60, 60, 60, 120, (0, 0, 1), id="beyond the grace, with the next one due"),
        pytest.param(60, 3_630, 3_600, 3_660, (0, 3_540, 60), id="an hour late"),
        pytest.param(0.1, 86_400, 86_400, 86_400.1, (0, 86_399.9, 864_000), id="a day of tenths of a second late"),
    ],
)
def test_of_the_slots_that_are_due_the_right_one_is_claimed(
    seconds: float, late: float, slot: float, due_next: float, missed_slots: tuple[float, float, int] | None
) -> None:
    job, now = every(seconds), after(late)

    advance, run = planned(job, now)

    assert run.scheduled_for == advance.last_scheduled_for == after(slot)
    assert advance.next_run_at == after(due_next)
    assert (advance.job_id, advance.expected_version) == (job.id, 7)
    assert (run.state, run.trigger, run.started_at) == (RunState.RUNNING, Trigger.SCHEDULE, now)
    assert run.lateness_ms == round((late - slot) * 1_000, 3)
    assert (run.job_id, run.function_name, run.node) == (job.id, job.function_name, NODE)
    assert stretch(advance.missed) == missed_slots


def stretch(row: Run | None) -> tuple[float, float, int] | None:
    """First and last slot of a stretch, in seconds after noon, and how many there are."""
    if row is None or row.last_scheduled_for is None:
        return None
    first, last = row.scheduled_for - NOON, row.last_scheduled_for - NOON
    return first.total_seconds(), last.total_seconds(), row.slot_count


def test_a_missed_stretch_is_one_row_that_says_why() -> None:
    job = every(60)
    advance, _ = planned(job, after(630))

    row = advance.missed
    assert row is not None
    assert (row.state, row.trigger, row.job_id, row.node) == (RunState.MISSED, Trigger.SCHEDULE, job.id, NODE)
    assert (row.started_at, row.finished_at) == (None, after(630))
    assert row.reason == "late by more than the grace of 5 s or not running: only the latest slot runs"


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(every(60, next_run_at=after(0.000_001)), id="due a microsecond later"),
        pytest.param(every(60, next_run_at=after(3_600)), id="due later"),
        pytest.param(every(60, status=JobStatus.PAUSED, next_run_at=None), id="paused"),
        pytest.param(every(60, status=JobStatus.PAUSED), id="paused with a due time left over"),
        pytest.param(every(60, status=JobStatus.COMPLETED, next_run_at=None), id="completed"),
        pytest.param(every(60, next_run_at=None), id="without a due time"),
    ],
)
def test_a_job_that_is_not_due_is_not_claimed(job: Job) -> None:
    assert claim(job, NOON) is None
    assert claim(job, NOON, refusal="no such function") is None


def test_a_failed_job_is_claimed_like_an_active_one() -> None:
    _, run = planned(every(60, status=JobStatus.FAILED), NOON)

    assert run.scheduled_for == NOON


def test_a_job_without_another_slot_is_completed_by_its_last() -> None:
    last = datetime(9999, 12, 31, 23, 59, 30, tzinfo=UTC)
    job = make_job(interval_seconds=60, anchor_at=last - timedelta(seconds=60), next_run_at=last)

    advance, run = planned(job, last)

    assert run.scheduled_for == last
    assert advance.next_run_at is None


def test_a_job_without_another_slot_that_is_late_is_completed_too() -> None:
    anchor_at = datetime(9999, 12, 31, 23, 0, tzinfo=UTC)
    job = make_job(interval_seconds=60, anchor_at=anchor_at, next_run_at=anchor_at + timedelta(minutes=1))

    advance, run = planned(job, THE_END)

    assert run.scheduled_for == anchor_at + timedelta(minutes=59)
    assert advance.next_run_at is None
    assert advance.missed is not None
    assert advance.missed.slot_count == 58


@pytest.mark.parametrize(
    ("expression", "late", "slot", "due_next", "missed_slots"),
    [
        pytest.param("* * * * *", 2, 0, 60, None, id="on time"),
        pytest.param("* * * * *", 150, 120, 180, (0, 60, 2), id="late"),
        pytest.param("0 12,18 * * *", 3_600, 0, 6 * 3_600, None, id="late, with one slot due"),
        pytest.param("0 12,18 * * *", 86_400, 86_400, 108_000, (0, 21_600, 2), id="a day late"),
    ],
)
def test_a_cron_job_is_claimed_by_the_same_rules(
    expression: str, late: float, slot: float, due_next: float, missed_slots: tuple[float, float, int] | None
) -> None:
    advance, run = planned(make_job(cron_expression=expression), after(late))

    assert run.scheduled_for == after(slot)
    assert advance.next_run_at == after(due_next)
    assert stretch(advance.missed) == missed_slots


def test_a_refused_slot_becomes_a_skipped_run_with_the_reason() -> None:
    advance = claim(every(60), after(2), refusal="function report is not registered")

    assert advance is not None
    assert advance.run is not None
    assert (advance.run.state, advance.run.reason) == (RunState.SKIPPED, "function report is not registered")
    assert (advance.run.started_at, advance.run.lateness_ms) == (None, None)
    assert (advance.run.scheduled_for, advance.run.finished_at) == (NOON, after(2))
    assert advance.next_run_at == after(60)


def test_a_refused_slot_that_is_late_still_has_its_missed_stretch() -> None:
    advance = claim(every(60), after(180), refusal="function report is not registered")

    assert advance is not None
    assert advance.run is not None
    assert (advance.run.state, advance.run.scheduled_for) == (RunState.SKIPPED, after(180))
    assert stretch(advance.missed) == (0, 120, 3)


def test_each_row_of_a_claim_has_an_id_of_its_own() -> None:
    advance, run = planned(every(60), after(630))

    assert advance.missed is not None
    assert advance.missed.id != run.id


def test_a_slot_beside_the_grid_is_claimed_as_it_stands() -> None:
    job = make_job(interval_seconds=3_600, anchor_at=NOON, next_run_at=after(60))

    advance, run = planned(job, after(120))

    assert run.scheduled_for == after(60)
    assert advance.next_run_at == after(3_600)
    assert advance.missed is None


def test_a_stored_schedule_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(InvalidSchedule):
        claim(make_job(cron_expression="no longer readable"), NOON)


@given(
    seconds=st.sampled_from([0.1, 0.25, 1, 7, 60, 3_600]),
    late=st.floats(0, 10_000).map(lambda late: round(late, 6)),
)
def test_claimed_missed_and_next_follow_each_other_without_gap_or_overlap(seconds: float, late: float) -> None:
    advance, run = planned(every(seconds), after(late))
    step = timedelta(seconds=seconds)

    assert NOON <= run.scheduled_for <= after(late)
    assert advance.next_run_at == run.scheduled_for + step
    if advance.missed is None:
        assert run.scheduled_for == NOON
    else:
        assert late > GRACE_SECONDS
        assert advance.missed.scheduled_for == NOON
        assert advance.missed.last_scheduled_for == run.scheduled_for - step
        assert advance.missed.slot_count == (run.scheduled_for - NOON) / step
        assert advance.next_run_at > after(late)


@pytest.mark.parametrize(
    ("late", "due", "missed_slots"),
    [
        pytest.param(-1, None, None, id="not due yet"),
        pytest.param(0, None, None, id="one slot due"),
        pytest.param(59.9, None, None, id="one slot due, late"),
        pytest.param(60, 60, (0, 0, 1), id="two slots due"),
        pytest.param(3_599, 3_540, (0, 3_480, 59), id="an hour of slots due"),
    ],
)
def test_after_downtime_all_slots_but_the_latest_are_missed(
    late: float, due: float | None, missed_slots: tuple[float, float, int] | None
) -> None:
    job = every(60)
    advance = catch_up(job, after(late))

    if due is None:
        assert advance is None
        return
    assert advance is not None
    assert advance.run is None
    assert advance.next_run_at == after(due)
    assert stretch(advance.missed) == missed_slots
    assert advance.missed is not None
    assert advance.last_scheduled_for == advance.missed.last_scheduled_for
    assert (advance.job_id, advance.expected_version) == (job.id, 7)


def test_what_catching_up_leaves_is_claimed_as_the_latest_slot() -> None:
    job = every(60)
    advance = catch_up(job, after(3_599))
    assert advance is not None

    following, run = planned(replace(job, next_run_at=advance.next_run_at), after(3_599))

    assert run.scheduled_for == after(3_540)
    assert following.missed is None
    assert following.next_run_at == after(3_600)


def test_a_paused_job_has_nothing_to_catch_up_with() -> None:
    assert catch_up(every(60, status=JobStatus.PAUSED), after(3_600)) is None


@pytest.mark.parametrize(
    ("now", "missed_slots"),
    [(-0.000_001, None), (0, (0, 0, 1)), (59, (0, 0, 1)), (60, (0, 60, 2)), (600, (0, 600, 11))],
)
def test_a_stretch_holds_the_slots_up_to_now(now: float, missed_slots: tuple[float, float, int] | None) -> None:
    assert stretch(missed(every(60), now=after(now))) == missed_slots


def test_a_stretch_keeps_its_reason() -> None:
    row = missed(every(60), now=after(600))

    assert row is not None
    assert row.reason == "away"
    assert row.finished_at == after(600)


@pytest.mark.parametrize("status", [JobStatus.PAUSED, JobStatus.COMPLETED])
def test_a_job_that_is_not_scheduled_misses_nothing(status: JobStatus) -> None:
    assert missed(every(60, status=status), now=after(600)) is None
    assert missed(every(60, status=status, next_run_at=None), now=after(600)) is None


def test_slots_of_a_schedule_that_cannot_be_read_any_more_are_missed_as_the_one_that_is_known() -> None:
    row = missed(make_job(cron_expression="no longer readable"), now=after(600))

    assert stretch(row) == (0, 0, 1)
    assert row is not None
    assert row.reason == "away (at least 1 slots)"


def test_years_of_cron_slots_are_counted_exactly() -> None:
    row = missed(make_job(cron_expression="* * * * *"), now=NOON + timedelta(days=3_650))

    assert row is not None
    assert row.slot_count == 3_650 * 1_440 + 1
    assert row.last_scheduled_for == NOON + timedelta(days=3_650)
    assert row.reason == "away"


def test_a_stretch_too_long_to_count_says_at_least() -> None:
    row = missed(make_job(cron_expression="* * * * *"), now=NOON + timedelta(days=3_651))

    assert row is not None
    assert row.slot_count == MAX_COUNTED_YEARS * 365 * 1_440 + 1
    assert row.last_scheduled_for == NOON + timedelta(days=3_651)
    assert row.reason == f"away (at least {row.slot_count} slots)"


def test_an_interval_is_counted_however_long_the_stretch_is() -> None:
    row = missed(every(0.1), now=NOON + timedelta(days=3_650))

    assert row is not None
    assert row.slot_count == 3_650 * 864_000 + 1
    assert row.reason == "away"


def test_the_grace_is_what_it_says() -> None:
    within, _ = planned(every(1), NOON + GRACE)
    beyond, _ = planned(every(1), NOON + GRACE + MICROSECOND)

    assert within.missed is None
    assert beyond.missed is not None


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"cron_expression": "0 9 * * *"}, id="cron"),
        pytest.param({"run_at": after(3_600)}, id="date"),
        pytest.param({"interval_seconds": 60.0, "end_at": after(-60)}, id="window that is over"),
    ],
)
def test_a_due_slot_that_the_schedule_does_not_know_any_more_is_missed_as_one(fields: dict[str, object]) -> None:
    row = missed(make_job(**fields), now=after(30))

    assert stretch(row) == (0, 0, 1)


# --- One-shots, windows, jitter -------------------------------------------------------------------------


@pytest.mark.parametrize("late", [0, 3, 3_600, 86_400 * 400])
def test_a_date_is_claimed_once_however_late_and_nothing_is_missed(late: float) -> None:
    advance, run = planned(make_job(run_at=NOON), after(late))

    assert (run.scheduled_for, run.state, advance.next_run_at, advance.missed) == (NOON, RunState.RUNNING, None, None)
    assert catch_up(make_job(run_at=NOON), after(late)) is None


def test_the_last_slot_of_a_window_completes_the_job() -> None:
    job = make_job(interval_seconds=60.0, anchor_at=after(-60), end_at=after(60))

    first, _ = planned(job, NOON)
    last, run = planned(replace(job, next_run_at=after(60)), after(60))

    assert first.next_run_at == after(60)
    assert (run.scheduled_for, last.next_run_at) == (after(60), None)


def test_of_a_window_that_ended_during_downtime_the_latest_slot_runs_and_is_the_last() -> None:
    job = make_job(interval_seconds=60.0, anchor_at=after(-60), end_at=after(600))
    now = after(7_200)

    caught_up = catch_up(job, now)
    assert caught_up is not None
    assert (caught_up.next_run_at, stretch(caught_up.missed)) == (after(600), (0, 540, 10))
    advance, run = planned(job, now)

    assert (run.scheduled_for, advance.next_run_at) == (after(600), None)
    assert stretch(advance.missed) == (0, 540, 10)


def test_a_slot_of_a_job_with_jitter_is_the_moved_one_and_lateness_counts_from_there() -> None:
    job = make_job(cron_expression="0 * * * *", jitter_seconds=600.0)
    slot = schedule_of(job, {}).next_after(NOON + timedelta(hours=1) - MICROSECOND)
    assert slot is not None

    advance, run = planned(replace(job, next_run_at=slot), slot + timedelta(seconds=2))

    assert after(3_600) < run.scheduled_for == slot < after(4_200)
    assert run.lateness_ms == 2_000.0
    assert advance.next_run_at is not None
    assert after(7_200) <= advance.next_run_at < after(7_800)


def test_a_stretch_of_slots_with_jitter_has_all_of_them() -> None:
    job = make_job(interval_seconds=60.0, jitter_seconds=3_600.0, anchor_at=after(-60))
    first = schedule_of(job, {}).next_after(after(-1))
    assert first is not None

    row = missed(replace(job, next_run_at=first), now=after(59.999_999) + timedelta(hours=1))

    assert row is not None
    assert (row.scheduled_for, row.slot_count) == (first, 61)


# --- Days off -------------------------------------------------------------------------------------------

CALENDARS = {
    "weekend": make_calendar("weekend", weekly_days_off={Weekday.SATURDAY, Weekday.SUNDAY}),
    "feasts": make_calendar("feasts", dates={date(2026, 11, 23)}),
}
FRIDAY = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def daily(slot: datetime, **overrides: object) -> Job:
    """Every day at nine but at weekends, due at this slot."""
    timing = {"cron_expression": "0 9 * * *", "exclude_calendars": ("feasts", "weekend")}
    return make_job(**(timing | {"next_run_at": slot} | overrides))


def test_a_slot_on_a_day_off_is_skipped_with_the_name_of_the_calendar() -> None:
    advance, run = planned(daily(FRIDAY + DAY), FRIDAY + DAY, CALENDARS)

    assert (run.state, run.reason) == (RunState.SKIPPED, "excluded by calendar weekend")
    assert (run.started_at, run.lateness_ms, run.finished_at) == (None, None, FRIDAY + DAY)
    assert (run.scheduled_for, advance.next_run_at, advance.missed) == (FRIDAY + DAY, FRIDAY + 2 * DAY, None)


def test_the_calendar_is_named_also_if_the_function_is_not_there() -> None:
    advance = claim(daily(FRIDAY + DAY), FRIDAY + DAY, refusal="no such function", calendars=CALENDARS)

    assert advance is not None
    assert advance.run is not None
    assert advance.run.reason == "excluded by calendar weekend"


def test_a_slot_on_a_working_day_runs() -> None:
    advance, run = planned(daily(FRIDAY), FRIDAY, CALENDARS)

    assert (run.state, advance.next_run_at) == (RunState.RUNNING, FRIDAY + DAY)


def test_a_slot_that_is_moved_says_where_and_runs_there() -> None:
    job = daily(FRIDAY + DAY, cron_expression="0 9 * * 6", on_excluded=OnExcluded.NEXT_BUSINESS_DAY)
    advance, run = planned(job, FRIDAY + DAY, CALENDARS)

    # The Monday is a feast.
    assert (run.state, run.scheduled_for) == (RunState.SKIPPED, FRIDAY + DAY)
    assert run.reason == "excluded by calendar weekend, moved to 2026-11-24T09:00:00Z"
    assert advance.next_run_at == FRIDAY + 4 * DAY
    advance, run = planned(replace(job, next_run_at=FRIDAY + 4 * DAY), FRIDAY + 4 * DAY, CALENDARS)
    assert (run.state, run.scheduled_for, run.reason) == (RunState.RUNNING, FRIDAY + 4 * DAY, None)
    assert advance.next_run_at == FRIDAY + 8 * DAY


def test_a_slot_that_is_not_moved_as_no_business_day_is_near_says_so() -> None:
    always = {"weekend": make_calendar("weekend", weekly_days_off=list(Weekday)), "feasts": CALENDARS["feasts"]}
    job = daily(FRIDAY, on_excluded=OnExcluded.NEXT_BUSINESS_DAY)

    _, run = planned(job, FRIDAY, always)

    assert run.reason is not None
    assert run.reason.startswith("excluded by calendar weekend, not moved: ")


def test_a_slot_that_would_be_moved_past_the_end_does_not_say_that_it_runs_there() -> None:
    job = daily(
        FRIDAY + DAY, cron_expression="0 9 * * 6", on_excluded=OnExcluded.NEXT_BUSINESS_DAY, end_at=FRIDAY + 2 * DAY
    )

    advance, run = planned(job, FRIDAY + DAY, CALENDARS)

    assert advance.next_run_at is None
    assert run.reason is not None
    assert "moved to" not in run.reason


def test_moved_slots_that_were_missed_are_counted() -> None:
    job = daily(FRIDAY + DAY, cron_expression="0 9,18 * * 6", on_excluded=OnExcluded.NEXT_BUSINESS_DAY)

    advance, run = planned(job, FRIDAY + 6 * DAY, CALENDARS)

    assert run.scheduled_for == FRIDAY + 4 * DAY + timedelta(hours=9)
    assert run.state is RunState.RUNNING
    assert advance.missed is not None
    assert (advance.missed.scheduled_for, advance.missed.slot_count) == (FRIDAY + DAY, 3)
    assert advance.missed.last_scheduled_for == FRIDAY + 4 * DAY
    assert stretch(missed(job, now=FRIDAY + 6 * DAY, calendars=CALENDARS)) is not None


def test_of_a_job_whose_calendar_is_gone_the_one_slot_that_is_known_is_missed() -> None:
    with pytest.raises(UnknownCalendar):
        claim(daily(FRIDAY), FRIDAY)

    row = missed(daily(FRIDAY), now=FRIDAY + 10 * DAY)

    assert row is not None
    assert (row.scheduled_for, row.last_scheduled_for, row.slot_count) == (FRIDAY, FRIDAY, 1)
