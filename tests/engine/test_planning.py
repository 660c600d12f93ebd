"""Which slot is claimed, which are missed, and when the job is due again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidSchedule
from engine.limits import MAX_COUNTED_SLOTS, MISFIRE_GRACE_SECONDS
from engine.nouns import Advance, Job, JobStatus, Run, RunState, Trigger
from engine.planning import missed_stretch, plan_catch_up, plan_claim
from tests.factories import NODE, NOON, make_job

GRACE = timedelta(seconds=MISFIRE_GRACE_SECONDS)
MICROSECOND = timedelta(microseconds=1)
THE_END = datetime.max.replace(tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def every(seconds: float, **overrides: object) -> Job:
    """A job whose first slot, due and not claimed, is noon."""
    return make_job(interval_seconds=seconds, anchor_at=NOON - timedelta(seconds=seconds), version=7, **overrides)


def claim(job: Job, now: datetime, refusal: str | None = None) -> Advance | None:
    plan = plan_claim(job, now=now, node=NODE, new_id=uuid4, refusal=refusal)
    if plan is None:
        return None
    assert (plan.job, plan.run) == (job, plan.advance.run)
    return plan.advance


def catch_up(job: Job, now: datetime) -> Advance | None:
    return plan_catch_up(job, now=now, node=NODE, new_id=uuid4)


def missed(job: Job, *, until: datetime) -> Run | None:
    return missed_stretch(job, until=until, now=after(999), node=NODE, new_id=uuid4, reason="away")


def planned(job: Job, now: datetime) -> tuple[Advance, Run]:
    """The claim of a job that is due, with its run."""
    advance = claim(job, now)
    assert advance is not None
    assert advance.run is not None
    return advance, advance.run


@pytest.mark.parametrize(
    ("seconds", "late", "slot", "due_next", "missed_slots"),
    [
        pytest.param(60, 0, 0, 60, None, id="on time"),
        pytest.param(60, 3, 0, 60, None, id="late within the grace"),
        pytest.param(1, 3.5, 0, 1, None, id="late within the grace, with several slots due"),
        pytest.param(1, MISFIRE_GRACE_SECONDS, 0, 1, None, id="exactly at the grace"),
        pytest.param(1, MISFIRE_GRACE_SECONDS + 0.000_001, 5, 6, (0, 4, 5), id="just beyond the grace"),
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
        assert late > MISFIRE_GRACE_SECONDS
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
    ("until", "missed_slots"),
    [(-0.000_001, None), (0, (0, 0, 1)), (59, (0, 0, 1)), (60, (0, 60, 2)), (600, (0, 600, 11))],
)
def test_a_stretch_holds_the_slots_up_to_its_end(until: float, missed_slots: tuple[float, float, int] | None) -> None:
    assert stretch(missed(every(60), until=after(until))) == missed_slots


def test_a_stretch_keeps_its_reason() -> None:
    row = missed(every(60), until=after(600))

    assert row is not None
    assert row.reason == "away"
    assert row.finished_at == after(999)


@pytest.mark.parametrize("status", [JobStatus.PAUSED, JobStatus.COMPLETED])
def test_a_job_that_is_not_scheduled_misses_nothing(status: JobStatus) -> None:
    assert missed(every(60, status=status), until=after(600)) is None
    assert missed(every(60, status=status, next_run_at=None), until=after(600)) is None


def test_slots_of_a_schedule_that_cannot_be_read_any_more_are_missed_as_the_one_that_is_known() -> None:
    row = missed(make_job(cron_expression="no longer readable"), until=after(600))

    assert stretch(row) == (0, 0, 1)
    assert row is not None
    assert row.reason == "away (at least 1 slots)"


def test_a_stretch_too_long_to_count_says_at_least() -> None:
    row = missed(make_job(cron_expression="* * * * *"), until=NOON + timedelta(days=365))

    assert row is not None
    assert row.slot_count == MAX_COUNTED_SLOTS
    assert row.last_scheduled_for == NOON + timedelta(days=365)
    assert row.reason == f"away (at least {MAX_COUNTED_SLOTS} slots)"


def test_an_interval_is_counted_however_long_the_stretch_is() -> None:
    row = missed(every(0.1), until=NOON + timedelta(days=3_650))

    assert row is not None
    assert row.slot_count == 3_650 * 864_000 + 1
    assert row.reason == "away"


def test_the_grace_is_what_it_says() -> None:
    within, _ = planned(every(1), NOON + GRACE)
    beyond, _ = planned(every(1), NOON + GRACE + MICROSECOND)

    assert within.missed is None
    assert beyond.missed is not None
