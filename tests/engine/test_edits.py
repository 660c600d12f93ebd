"""What a request makes of a job: its grid, its next slot and its status."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.edits import changed, new_job, replaced
from engine.errors import InvalidSchedule, InvalidStatus
from engine.nouns import Job, JobStatus
from engine.requests import JobChange, JobDraft
from tests.factories import NOON, make_job

NOT_SETTABLE = [JobStatus.FAILED, JobStatus.COMPLETED]


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def draft(**overrides: Any) -> JobDraft:
    """Every 60 seconds."""
    fields: dict[str, Any] = {
        "name": "a job",
        "function_name": "report",
        "interval_seconds": None if overrides.get("cron_expression") else 60,
        "cron_expression": None,
        "metadata": {"a": 1},
    }
    return JobDraft(**(fields | overrides))


def draft_of(job: Job, **overrides: Any) -> JobDraft:
    """The draft that says what the job is already, as a client that reads and puts back sends it."""
    fields: dict[str, Any] = {
        "name": job.name,
        "function_name": job.function_name,
        "interval_seconds": job.interval_seconds,
        "cron_expression": job.cron_expression,
        "metadata": job.metadata,
        "status": job.status,
    }
    return JobDraft(**(fields | overrides))


def created(**overrides: Any) -> Job:
    """A job that was created at noon."""
    return new_job(draft(**overrides), job_id=uuid4(), now=NOON)


def test_a_new_job_is_due_one_interval_after_its_creation() -> None:
    job = created()

    assert (job.anchor_at, job.created_at, job.updated_at) == (NOON, NOON, NOON)
    assert job.next_run_at == after(60)
    assert (job.last_run_at, job.last_scheduled_for, job.version) == (None, None, 1)
    assert (job.name, job.function_name, job.metadata) == ("a job", "report", {"a": 1})
    assert job.status is JobStatus.ACTIVE


def test_a_new_cron_job_is_due_at_its_first_slot() -> None:
    job = created(cron_expression="30 * * * *")

    assert job.next_run_at == after(1_800)
    assert job.interval_seconds is None


def test_a_new_paused_job_has_no_next_slot() -> None:
    job = created(status=JobStatus.PAUSED)

    assert (job.status, job.next_run_at) == (JobStatus.PAUSED, None)


@pytest.mark.parametrize("status", NOT_SETTABLE)
def test_a_new_job_is_active_or_paused(status: JobStatus) -> None:
    with pytest.raises(InvalidStatus, match=f'status "{status}" cannot be set: give "active" or "paused"'):
        created(status=status)


@pytest.mark.parametrize("status", [JobStatus.ACTIVE, JobStatus.PAUSED])
@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        ({"cron_expression": "0 0 31 2 *"}, "cron_expression"),
        ({"cron_expression": "no cron"}, "cron_expression"),
        ({"interval_seconds": 10**15}, "interval_seconds"),
        ({"interval_seconds": 0}, "interval_seconds"),
        ({"interval_seconds": None}, "interval_seconds"),
        ({"interval_seconds": 60, "cron_expression": "* * * * *"}, "interval_seconds"),
    ],
)
def test_a_schedule_that_never_fires_is_refused_also_for_a_paused_job(
    status: JobStatus, schedule: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        created(**schedule, status=status)
    assert refusal.value.field == field

    with pytest.raises(InvalidSchedule) as refusal:
        replaced(created(), draft(**schedule, status=status), now=after(1))
    assert refusal.value.field == field


def test_putting_the_same_interval_keeps_the_grid_and_the_next_slot() -> None:
    job = created()
    for seconds in range(50, 60):
        job = replaced(job, draft(), now=after(seconds))

    assert (job.anchor_at, job.next_run_at) == (NOON, after(60))
    assert job.version == 11
    assert (job.created_at, job.updated_at) == (NOON, after(59))


def test_putting_another_interval_moves_the_grid() -> None:
    job = replaced(created(), draft(interval_seconds=100), now=after(50))

    assert (job.anchor_at, job.next_run_at) == (after(50), after(150))


def test_putting_a_job_replaces_everything_but_its_id_and_its_history() -> None:
    before = make_job(last_run_at=after(-60), last_scheduled_for=after(-60), version=5)

    job = replaced(before, draft(name="other", metadata={}), now=after(1))

    assert (job.name, job.function_name, job.metadata) == ("other", "report", {})
    assert (job.id, job.created_at) == (before.id, before.created_at)
    assert (job.last_run_at, job.last_scheduled_for, job.version) == (after(-60), after(-60), 6)


@pytest.mark.parametrize(
    "change",
    [
        JobChange(),
        JobChange(name="other"),
        JobChange(metadata={"b": 2}),
        JobChange(function_name="other"),
        JobChange(status=JobStatus.ACTIVE),
        JobChange(interval_seconds=60),
    ],
)
def test_a_slot_that_is_due_stays_due_while_the_schedule_is_the_same(change: JobChange) -> None:
    job = changed(created(), change, now=after(75))

    assert (job.anchor_at, job.next_run_at) == (NOON, after(60))


def test_putting_a_job_as_it_is_keeps_a_slot_that_is_due() -> None:
    job = created()

    assert replaced(job, draft_of(job), now=after(75)).next_run_at == after(60)


def test_a_change_changes_only_what_it_names() -> None:
    before = created()

    job = changed(before, JobChange(name="other"), now=after(10))

    assert job == replace(before, name="other", version=2, updated_at=after(10))


def test_an_empty_metadata_is_a_change_and_none_is_not() -> None:
    assert changed(created(), JobChange(metadata={}), now=NOON).metadata == {}
    assert changed(created(), JobChange(metadata=None), now=NOON).metadata == {"a": 1}


def test_naming_the_other_kind_of_schedule_clears_the_first() -> None:
    cron = changed(created(), JobChange(cron_expression="0 * * * *"), now=after(10))
    assert (cron.interval_seconds, cron.cron_expression) == (None, "0 * * * *")
    assert cron.next_run_at == after(3_600)

    interval = changed(cron, JobChange(interval_seconds=90), now=after(20))
    assert (interval.interval_seconds, interval.cron_expression) == (90, None)
    assert (interval.anchor_at, interval.next_run_at) == (after(20), after(110))


def test_going_back_to_the_interval_begins_a_new_grid() -> None:
    cron = changed(created(), JobChange(cron_expression="0 * * * *"), now=after(10))

    job = changed(cron, JobChange(interval_seconds=60), now=after(25))

    assert (job.anchor_at, job.next_run_at) == (after(25), after(85))


def test_a_change_that_names_no_schedule_keeps_it() -> None:
    job = changed(created(cron_expression="30 * * * *"), JobChange(name="other"), now=after(10))

    assert (job.interval_seconds, job.cron_expression) == (None, "30 * * * *")


def test_a_change_that_is_refused_says_why() -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        changed(created(), JobChange(cron_expression="61 * * * *"), now=after(10))
    assert refusal.value.field == "cron_expression"

    with pytest.raises(InvalidSchedule, match="exactly one"):
        changed(created(), JobChange(cron_expression="* * * * *", interval_seconds=60), now=after(10))


def test_a_paused_job_resumes_on_its_old_grid_after_now() -> None:
    paused = changed(created(), JobChange(status=JobStatus.PAUSED), now=after(70))
    assert (paused.status, paused.next_run_at) == (JobStatus.PAUSED, None)

    job = changed(paused, JobChange(status=JobStatus.ACTIVE), now=after(3_605))
    assert (job.status, job.anchor_at, job.next_run_at) == (JobStatus.ACTIVE, NOON, after(3_660))


def test_a_job_whose_stored_schedule_cannot_be_read_any_more_can_be_paused_and_not_resumed() -> None:
    job = replace(created(), interval_seconds=None, cron_expression="no longer readable")

    paused = changed(job, JobChange(status=JobStatus.PAUSED), now=after(1))
    assert (paused.status, paused.next_run_at) == (JobStatus.PAUSED, None)
    with pytest.raises(InvalidSchedule):
        changed(paused, JobChange(status=JobStatus.ACTIVE), now=after(2))


def test_a_change_leaves_a_paused_job_paused() -> None:
    paused = created(status=JobStatus.PAUSED)

    job = changed(paused, JobChange(interval_seconds=10), now=after(5))

    assert (job.status, job.next_run_at, job.anchor_at) == (JobStatus.PAUSED, None, after(5))


def test_putting_a_paused_job_without_a_status_makes_it_active() -> None:
    job = replaced(created(status=JobStatus.PAUSED), draft(), now=after(70))

    assert (job.status, job.next_run_at) == (JobStatus.ACTIVE, after(120))


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        (None, JobStatus.FAILED),
        (JobStatus.FAILED, JobStatus.FAILED),
        (JobStatus.ACTIVE, JobStatus.ACTIVE),
        (JobStatus.PAUSED, JobStatus.PAUSED),
    ],
)
def test_a_failed_job_stays_failed_until_it_is_told_otherwise(requested: JobStatus | None, expected: JobStatus) -> None:
    failed = replace(created(), status=JobStatus.FAILED)

    job = changed(failed, JobChange(status=requested), now=after(75))

    assert job.status is expected
    assert job.next_run_at == (None if expected is JobStatus.PAUSED else after(60))


@pytest.mark.parametrize("before", [JobStatus.ACTIVE, JobStatus.PAUSED])
@pytest.mark.parametrize("requested", NOT_SETTABLE)
def test_a_status_that_only_the_engine_sets_is_refused(before: JobStatus, requested: JobStatus) -> None:
    job = created(status=before)

    with pytest.raises(InvalidStatus, match=f'"{requested}"'):
        changed(job, JobChange(status=requested), now=after(1))
    with pytest.raises(InvalidStatus, match=f'"{requested}"'):
        replaced(job, draft(status=requested), now=after(1))


def completed() -> Job:
    return replace(created(), status=JobStatus.COMPLETED, next_run_at=None, last_scheduled_for=after(60))


@pytest.mark.parametrize("change", [JobChange(name="other"), JobChange(status=JobStatus.COMPLETED)])
def test_a_completed_job_stays_completed_while_its_schedule_is_the_same(change: JobChange) -> None:
    job = changed(completed(), change, now=after(75))

    assert (job.status, job.next_run_at) == (JobStatus.COMPLETED, None)


@pytest.mark.parametrize("schedule", [{"interval_seconds": 90}, {"cron_expression": "* * * * *"}])
def test_a_new_schedule_takes_a_job_out_of_completed(schedule: dict[str, Any]) -> None:
    job = changed(completed(), JobChange(**schedule), now=after(75))

    assert job.status is JobStatus.ACTIVE
    assert job.next_run_at is not None
    assert job.next_run_at > after(75)


def test_a_completed_job_can_be_paused_and_started_again() -> None:
    assert changed(completed(), JobChange(status=JobStatus.PAUSED), now=after(75)).status is JobStatus.PAUSED

    job = changed(completed(), JobChange(status=JobStatus.ACTIVE), now=after(75))
    assert (job.status, job.next_run_at) == (JobStatus.ACTIVE, after(120))


def test_a_completed_job_with_nothing_left_cannot_be_started_again() -> None:
    over = replace(completed(), interval_seconds=10**15)

    with pytest.raises(InvalidSchedule, match="it would never run"):
        changed(over, JobChange(status=JobStatus.ACTIVE), now=after(75))


schedules = st.one_of(
    st.integers(1, 10_000).map(lambda seconds: {"interval_seconds": seconds}),
    st.sampled_from(["* * * * *", "*/7 * * * *", "0 12 * * *"]).map(lambda text: {"cron_expression": text}),
)
edits = st.one_of(
    schedules.map(lambda schedule: JobChange(**schedule)),
    st.sampled_from([JobStatus.ACTIVE, JobStatus.PAUSED]).map(lambda status: JobChange(status=status)),
    st.just(JobChange(name="other")),
    schedules.map(lambda schedule: draft(**schedule)),
)


@given(first=schedules, steps=st.lists(st.tuples(edits, st.floats(-90_000, 90_000)), min_size=1, max_size=8))
def test_no_edit_at_any_hour_of_a_stepping_clock_goes_back_to_a_slot_that_was_claimed(
    first: dict[str, Any], steps: list[tuple[JobChange | JobDraft, float]]
) -> None:
    job = replace(created(**first), last_scheduled_for=after(600))
    job = changed(job, JobChange(status=JobStatus.PAUSED), now=after(600))

    for edit, seconds in steps:
        now = after(seconds)
        before = job
        job = changed(job, edit, now=now) if isinstance(edit, JobChange) else replaced(job, edit, now=now)
        assert job.version == before.version + 1
        if job.status is JobStatus.PAUSED:
            assert job.next_run_at is None
        else:
            assert job.next_run_at is not None
            assert job.next_run_at > after(600)
            assert job.next_run_at > now or job.next_run_at == before.next_run_at


def test_a_clock_set_back_repeats_no_slot() -> None:
    claimed = replace(created(), last_scheduled_for=after(600), next_run_at=after(660))

    job = changed(claimed, JobChange(interval_seconds=30), now=after(-3_600))

    assert job.anchor_at == after(-3_600)
    assert job.next_run_at == after(630)
