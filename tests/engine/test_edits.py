"""What a request makes of a job: its grid, its next slot and its status."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calendars import Weekday
from engine.edits import changed, new_job, replaced, rescheduled
from engine.errors import InvalidSchedule, InvalidStatus, UnknownCalendar
from engine.nouns import Job, JobStatus
from engine.requests import JobChange, JobDraft
from engine.timing import DstGap, OnExcluded, Timing
from tests.factories import NOON, make_calendar, make_job, make_timing

NOT_SETTABLE = [JobStatus.FAILED, JobStatus.COMPLETED]


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def draft(**overrides: Any) -> JobDraft:
    """Every 60 seconds."""
    fields: dict[str, Any] = {
        "name": "a job",
        "function_name": "report",
        "timing": make_timing(overrides),
        "metadata": {"a": 1},
    }
    return JobDraft(**(fields | overrides))


def draft_of(job: Job, **overrides: Any) -> JobDraft:
    """The draft that says what the job is already, as a client that reads and puts back sends it."""
    fields: dict[str, Any] = {
        "name": job.name,
        "function_name": job.function_name,
        "timing": job.timing,
        "metadata": job.metadata,
        "status": job.status,
    }
    return JobDraft(**(fields | overrides))


def created(**overrides: Any) -> Job:
    """A job that was created at noon."""
    return new_job(draft(**overrides), {}, job_id=uuid4(), now=NOON)


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
    assert job.timing.interval_seconds is None


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
        ({"timing": Timing()}, "interval_seconds"),
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
        replaced(created(), draft(**schedule, status=status), {}, now=after(1))
    assert refusal.value.field == field


def test_putting_the_same_interval_keeps_the_grid_and_the_next_slot() -> None:
    job = created()
    for seconds in range(50, 60):
        job = replaced(job, draft(), {}, now=after(seconds))

    assert (job.anchor_at, job.next_run_at) == (NOON, after(60))
    assert job.version == 11
    assert (job.created_at, job.updated_at) == (NOON, after(59))


def test_putting_another_interval_moves_the_grid() -> None:
    job = replaced(created(), draft(interval_seconds=100), {}, now=after(50))

    assert (job.anchor_at, job.next_run_at) == (after(50), after(150))


def test_putting_a_job_replaces_everything_but_its_id_and_its_history() -> None:
    before = make_job(last_run_at=after(-60), last_scheduled_for=after(-60), version=5)

    job = replaced(before, draft(name="other", metadata={}), {}, now=after(1))

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
        JobChange(timing={"interval_seconds": 60}),
    ],
)
def test_a_slot_that_is_due_stays_due_while_the_schedule_is_the_same(change: JobChange) -> None:
    job = changed(created(), change, {}, now=after(75))

    assert (job.anchor_at, job.next_run_at) == (NOON, after(60))


def test_putting_a_job_as_it_is_keeps_a_slot_that_is_due() -> None:
    job = created()

    assert replaced(job, draft_of(job), {}, now=after(75)).next_run_at == after(60)


def test_a_change_changes_only_what_it_names() -> None:
    before = created()

    job = changed(before, JobChange(name="other"), {}, now=after(10))

    assert job == replace(before, name="other", version=2, updated_at=after(10))


def test_an_empty_metadata_is_a_change_and_none_is_not() -> None:
    assert changed(created(), JobChange(metadata={}), {}, now=NOON).metadata == {}
    assert changed(created(), JobChange(metadata=None), {}, now=NOON).metadata == {"a": 1}


def test_naming_the_other_kind_of_schedule_clears_the_first() -> None:
    cron = changed(created(), JobChange(timing={"cron_expression": "0 * * * *"}), {}, now=after(10))
    assert (cron.timing.interval_seconds, cron.timing.cron_expression) == (None, "0 * * * *")
    assert cron.next_run_at == after(3_600)

    interval = changed(cron, JobChange(timing={"interval_seconds": 90}), {}, now=after(20))
    assert (interval.timing.interval_seconds, interval.timing.cron_expression) == (90, None)
    assert (interval.anchor_at, interval.next_run_at) == (after(20), after(110))


def test_going_back_to_the_interval_begins_a_new_grid() -> None:
    cron = changed(created(), JobChange(timing={"cron_expression": "0 * * * *"}), {}, now=after(10))

    job = changed(cron, JobChange(timing={"interval_seconds": 60}), {}, now=after(25))

    assert (job.anchor_at, job.next_run_at) == (after(25), after(85))


def test_a_change_that_names_no_schedule_keeps_it() -> None:
    job = changed(created(cron_expression="30 * * * *"), JobChange(name="other"), {}, now=after(10))

    assert (job.timing.interval_seconds, job.timing.cron_expression) == (None, "30 * * * *")


def test_a_change_that_is_refused_says_why() -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        changed(created(), JobChange(timing={"cron_expression": "61 * * * *"}), {}, now=after(10))
    assert refusal.value.field == "cron_expression"

    with pytest.raises(InvalidSchedule, match="exactly one"):
        changed(
            created(), JobChange(timing={"cron_expression": "* * * * *", "interval_seconds": 60}), {}, now=after(10)
        )


def test_a_paused_job_resumes_on_its_old_grid_after_now() -> None:
    paused = changed(created(), JobChange(status=JobStatus.PAUSED), {}, now=after(70))
    assert (paused.status, paused.next_run_at) == (JobStatus.PAUSED, None)

    job = changed(paused, JobChange(status=JobStatus.ACTIVE), {}, now=after(3_605))
    assert (job.status, job.anchor_at, job.next_run_at) == (JobStatus.ACTIVE, NOON, after(3_660))


def test_a_job_whose_stored_schedule_cannot_be_read_any_more_can_be_paused_and_not_resumed() -> None:
    job = replace(created(), timing=Timing(cron_expression="no longer readable"))

    paused = changed(job, JobChange(status=JobStatus.PAUSED), {}, now=after(1))
    assert (paused.status, paused.next_run_at) == (JobStatus.PAUSED, None)
    with pytest.raises(InvalidSchedule):
        changed(paused, JobChange(status=JobStatus.ACTIVE), {}, now=after(2))


def test_a_change_leaves_a_paused_job_paused() -> None:
    paused = created(status=JobStatus.PAUSED)

    job = changed(paused, JobChange(timing={"interval_seconds": 10}), {}, now=after(5))

    assert (job.status, job.next_run_at, job.anchor_at) == (JobStatus.PAUSED, None, after(5))


def test_putting_a_paused_job_without_a_status_makes_it_active() -> None:
    job = replaced(created(status=JobStatus.PAUSED), draft(), {}, now=after(70))

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

    job = changed(failed, JobChange(status=requested), {}, now=after(75))

    assert job.status is expected
    assert job.next_run_at == (None if expected is JobStatus.PAUSED else after(60))


@pytest.mark.parametrize("before", [JobStatus.ACTIVE, JobStatus.PAUSED])
@pytest.mark.parametrize("requested", NOT_SETTABLE)
def test_a_status_that_only_the_engine_sets_is_refused(before: JobStatus, requested: JobStatus) -> None:
    job = created(status=before)

    with pytest.raises(InvalidStatus, match=f'"{requested}"'):
        changed(job, JobChange(status=requested), {}, now=after(1))
    with pytest.raises(InvalidStatus, match=f'"{requested}"'):
        replaced(job, draft(status=requested), {}, now=after(1))


def completed() -> Job:
    return replace(created(), status=JobStatus.COMPLETED, next_run_at=None, last_scheduled_for=after(60))


@pytest.mark.parametrize("change", [JobChange(name="other"), JobChange(status=JobStatus.COMPLETED)])
def test_a_completed_job_stays_completed_while_its_schedule_is_the_same(change: JobChange) -> None:
    job = changed(completed(), change, {}, now=after(75))

    assert (job.status, job.next_run_at) == (JobStatus.COMPLETED, None)


@pytest.mark.parametrize("schedule", [{"interval_seconds": 90}, {"cron_expression": "* * * * *"}])
def test_a_new_schedule_takes_a_job_out_of_completed(schedule: dict[str, Any]) -> None:
    job = changed(completed(), JobChange(timing=schedule), {}, now=after(75))

    assert job.status is JobStatus.ACTIVE
    assert job.next_run_at is not None
    assert job.next_run_at > after(75)


def test_a_completed_job_can_be_paused_and_started_again() -> None:
    assert changed(completed(), JobChange(status=JobStatus.PAUSED), {}, now=after(75)).status is JobStatus.PAUSED

    job = changed(completed(), JobChange(status=JobStatus.ACTIVE), {}, now=after(75))
    assert (job.status, job.next_run_at) == (JobStatus.ACTIVE, after(120))


def test_a_completed_job_with_nothing_left_cannot_be_started_again() -> None:
    over = replace(completed(), timing=Timing(interval_seconds=1e15))

    with pytest.raises(InvalidSchedule, match="it would never run"):
        changed(over, JobChange(status=JobStatus.ACTIVE), {}, now=after(75))


schedules = st.one_of(
    st.integers(1, 10_000).map(lambda seconds: {"interval_seconds": seconds}),
    st.sampled_from(["* * * * *", "*/7 * * * *", "0 12 * * *"]).map(lambda text: {"cron_expression": text}),
)
edits = st.one_of(
    schedules.map(lambda schedule: JobChange(timing=schedule)),
    st.sampled_from([JobStatus.ACTIVE, JobStatus.PAUSED]).map(lambda status: JobChange(status=status)),
    st.just(JobChange(name="other")),
    schedules.map(lambda schedule: draft(**schedule)),
)


@given(first=schedules, steps=st.lists(st.tuples(edits, st.floats(-90_000, 90_000)), min_size=1, max_size=8))
def test_no_edit_at_any_hour_of_a_stepping_clock_goes_back_to_a_slot_that_was_claimed(
    first: dict[str, Any], steps: list[tuple[JobChange | JobDraft, float]]
) -> None:
    job = replace(created(**first), last_scheduled_for=after(600))
    job = changed(job, JobChange(status=JobStatus.PAUSED), {}, now=after(600))

    for edit, seconds in steps:
        now = after(seconds)
        before = job
        job = changed(job, edit, {}, now=now) if isinstance(edit, JobChange) else replaced(job, edit, {}, now=now)
        assert job.version == before.version + 1
        if job.status is JobStatus.PAUSED:
            assert job.next_run_at is None
        else:
            assert job.next_run_at is not None
            assert job.next_run_at > after(600)
            assert job.next_run_at > now or job.next_run_at == before.next_run_at


def test_a_clock_set_back_repeats_no_slot() -> None:
    claimed = replace(created(), last_scheduled_for=after(600), next_run_at=after(660))

    job = changed(claimed, JobChange(timing={"interval_seconds": 30}), {}, now=after(-3_600))

    assert job.anchor_at == after(-3_600)
    assert job.next_run_at == after(630)


# --- One-shots, windows, numbers of runs ----------------------------------------------------------------

RUN_AT = after(3_600)


def ran_once() -> Job:
    """A one-shot that has had its slot."""
    job = created(run_at=RUN_AT)
    return replace(job, status=JobStatus.COMPLETED, next_run_at=None, last_scheduled_for=RUN_AT, run_count=1, version=2)


def test_a_one_shot_is_due_at_its_date() -> None:
    assert created(run_at=RUN_AT).next_run_at == RUN_AT


@pytest.mark.parametrize("run_at", [NOON, after(-1)])
def test_a_one_shot_in_the_past_is_refused(run_at: datetime) -> None:
    with pytest.raises(InvalidSchedule, match="past at 2026-11-23T12:00:00Z: it would never run") as refusal:
        created(run_at=run_at)

    assert refusal.value.field == "run_at"


def test_putting_a_one_shot_again_after_its_run_is_no_error_and_no_second_run() -> None:
    again = replaced(ran_once(), draft_of(ran_once(), status=JobStatus.ACTIVE, name="renamed"), {}, now=after(7_200))

    assert (again.status, again.next_run_at, again.name) == (JobStatus.COMPLETED, None, "renamed")


def test_a_one_shot_that_has_run_cannot_be_resumed_and_can_be_paused() -> None:
    with pytest.raises(InvalidSchedule, match="it would never run") as refusal:
        changed(ran_once(), JobChange(status=JobStatus.ACTIVE), {}, now=after(7_200))
    assert refusal.value.field == "run_at"

    assert changed(ran_once(), JobChange(status=JobStatus.PAUSED), {}, now=after(7_200)).status is JobStatus.PAUSED


@pytest.mark.parametrize("how", ["change", "put"])
def test_a_one_shot_that_has_run_takes_a_new_date(how: str) -> None:
    date_ = after(10_000)
    if how == "change":
        job = changed(ran_once(), JobChange(timing={"run_at": date_}), {}, now=after(7_200))
    else:
        job = replaced(ran_once(), draft(run_at=date_), {}, now=after(7_200))

    assert (job.status, job.next_run_at) == (JobStatus.ACTIVE, date_)


@pytest.mark.parametrize(
    "kind", [{"interval_seconds": 60.0}, {"cron_expression": "* * * * *"}, {"run_at": after(7_000)}]
)
@pytest.mark.parametrize("before", [{"interval_seconds": 30.0}, {"cron_expression": "0 * * * *"}, {"run_at": RUN_AT}])
def test_naming_one_kind_of_schedule_clears_the_others_and_keeps_the_rest(
    before: dict[str, Any], kind: dict[str, Any]
) -> None:
    job = created(**before, max_runs=7, timezone="Europe/Berlin", end_at=after(90_000))

    edited = changed(job, JobChange(timing=kind), {}, now=after(1))

    assert edited.timing == make_timing({**kind, "max_runs": 7, "timezone": "Europe/Berlin", "end_at": after(90_000)})


def test_a_field_of_the_timing_is_changed_alone() -> None:
    job = created(cron_expression="30 2 * * *", timezone="Europe/Berlin")

    edited = changed(job, JobChange(timing={"dst_gap": DstGap.SKIP, "timezone": "UTC"}), {}, now=after(1))

    assert edited.timing == Timing(cron_expression="30 2 * * *", dst_gap=DstGap.SKIP)
    assert edited.next_run_at == datetime(2026, 11, 24, 2, 30, tzinfo=UTC)


@pytest.mark.parametrize("change", [{"timezone": "Europe/Berlin"}, {"end_at": after(10_000)}, {"max_runs": 9}])
def test_the_grid_of_an_interval_stays_when_another_field_changes(change: dict[str, Any]) -> None:
    job = changed(created(), JobChange(timing=change), {}, now=after(75))

    assert job.anchor_at == NOON
    assert job.next_run_at == after(120)


def test_another_jitter_leaves_the_slot_that_is_to_come_where_it_is() -> None:
    job = created(cron_expression="0 * * * *", jitter_seconds=3_000.0)

    edited = changed(job, JobChange(timing={"jitter_seconds": 0.0}), {}, now=after(1))

    assert edited.next_run_at == job.next_run_at


def test_a_one_shot_that_has_run_is_not_due_again_with_another_jitter() -> None:
    ran = replace(created(run_at=after(60)), status=JobStatus.COMPLETED, next_run_at=None, last_scheduled_for=after(60))

    edited = changed(ran, JobChange(timing={"jitter_seconds": 86_400.0}), {}, now=after(61))

    assert (edited.status, edited.next_run_at) == (JobStatus.COMPLETED, None)
    with pytest.raises(InvalidSchedule):
        changed(edited, JobChange(status=JobStatus.ACTIVE), {}, now=after(62))


def test_a_slot_that_was_had_is_not_due_again_with_another_jitter_after_a_pause() -> None:
    paused = replace(
        created(cron_expression="0 * * * *", jitter_seconds=3_000.0), status=JobStatus.PAUSED, last_scheduled_for=NOON
    )

    resumed = changed(paused, JobChange(status=JobStatus.ACTIVE), {}, now=after(1))

    assert resumed.next_run_at is not None
    assert resumed.next_run_at >= after(3_600)


def test_taking_the_start_away_goes_back_to_the_grid_of_the_creation() -> None:
    job = created(start_at=after(17))
    assert job.next_run_at == after(17)

    edited = changed(job, JobChange(timing={"start_at": None}), {}, now=after(18))

    assert (edited.anchor_at, edited.next_run_at) == (NOON, after(60))


def test_a_window_that_is_over_is_refused_and_an_end_before_the_next_slot_too() -> None:
    for end_at, field in [(after(-1), "end_at"), (NOON, "end_at"), (after(59), "interval_seconds")]:
        with pytest.raises(InvalidSchedule, match="it would never run") as refusal:
            created(end_at=end_at)
        assert refusal.value.field == field

    assert created(end_at=after(60)).next_run_at == after(60)


def had_three_runs(**overrides: Any) -> Job:
    return replace(created(max_runs=3), run_count=3, last_scheduled_for=after(180), **overrides)


@pytest.mark.parametrize("max_runs", [1, 2, 3])
@pytest.mark.parametrize("status", [JobStatus.ACTIVE, JobStatus.FAILED, JobStatus.PAUSED, JobStatus.COMPLETED])
def test_a_number_of_runs_that_the_job_has_had_already_is_refused(status: JobStatus, max_runs: int) -> None:
    job = replace(had_three_runs(status=status), timing=Timing(interval_seconds=60.0, max_runs=10))

    with pytest.raises(
        InvalidSchedule, match=f"max_runs is {max_runs}, and the job has run 3 times already"
    ) as refusal:
        changed(job, JobChange(timing={"max_runs": max_runs}), {}, now=after(190))

    assert refusal.value.field == "max_runs"


@pytest.mark.parametrize("max_runs", [4, 1_000, None])
def test_a_job_that_had_its_runs_is_taken_up_again_with_more_of_them(max_runs: int | None) -> None:
    job = had_three_runs(status=JobStatus.COMPLETED, next_run_at=None)

    edited = changed(job, JobChange(timing={"max_runs": max_runs}), {}, now=after(190))

    assert (edited.status, edited.next_run_at, edited.run_count) == (JobStatus.ACTIVE, after(240), 3)


def test_a_job_that_had_its_runs_cannot_be_resumed_with_them() -> None:
    job = had_three_runs(status=JobStatus.COMPLETED, next_run_at=None)

    with pytest.raises(InvalidSchedule, match="max_runs is 3, and the job has run 3 times already"):
        changed(job, JobChange(status=JobStatus.ACTIVE), {}, now=after(190))
    again = replaced(job, draft_of(job, status=JobStatus.ACTIVE), {}, now=after(190))
    assert (again.status, again.next_run_at) == (JobStatus.COMPLETED, None)


# --- Looked up again ------------------------------------------------------------------------------------

CALENDARS = {"off": make_calendar("off", dates={date(2026, 11, 28)})}
SATURDAY = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def on_saturdays(**overrides: Any) -> Job:
    """At nine on Saturdays, or on the next day that is not off; its first slot is the one after noon."""
    timing = {
        "cron_expression": "0 9 * * 6",
        "exclude_calendars": ("off",),
        "on_excluded": OnExcluded.NEXT_BUSINESS_DAY,
    }
    return new_job(draft(**(timing | overrides)), CALENDARS, job_id=uuid4(), now=NOON)


def test_a_job_that_lists_an_unknown_calendar_is_refused() -> None:
    with pytest.raises(UnknownCalendar, match='exclude_calendars has "moon"') as refusal:
        created(exclude_calendars=("moon",))
    assert refusal.value.field == "exclude_calendars"

    with pytest.raises(UnknownCalendar):
        changed(created(), JobChange(timing={"exclude_calendars": ("moon",)}), {}, now=after(1))


def test_a_next_slot_that_stays_is_the_same_job() -> None:
    job = on_saturdays()

    assert rescheduled(job, CALENDARS) is job
    assert rescheduled(job, CALENDARS, not_before=after(60)) is job


def test_a_next_slot_that_is_none_any_more_gives_way_to_the_one_after() -> None:
    moved = replace(on_saturdays(), next_run_at=SATURDAY + DAY, last_scheduled_for=SATURDAY, version=4)
    working = {"off": make_calendar("off")}

    found = rescheduled(moved, working, not_before=SATURDAY + timedelta(hours=1))

    assert found == replace(moved, next_run_at=SATURDAY + 7 * DAY, version=5)


def test_a_slot_that_comes_before_the_next_one_is_taken() -> None:
    waiting = replace(on_saturdays(), next_run_at=SATURDAY + 7 * DAY, last_scheduled_for=SATURDAY)

    found = rescheduled(waiting, CALENDARS, not_before=SATURDAY + timedelta(hours=1))

    assert found.next_run_at == SATURDAY + DAY


def test_what_is_due_already_is_left_alone_when_a_calendar_changes() -> None:
    due = replace(on_saturdays(), next_run_at=SATURDAY + DAY, last_scheduled_for=SATURDAY)

    assert rescheduled(due, {"off": make_calendar("off")}, not_before=SATURDAY + DAY) is due


def test_a_slot_that_came_due_during_downtime_stays_due_unless_it_is_none_any_more() -> None:
    due = replace(on_saturdays(), next_run_at=SATURDAY + DAY, last_scheduled_for=SATURDAY)

    assert rescheduled(due, CALENDARS) is due
    assert rescheduled(due, {"off": make_calendar("off")}).next_run_at == SATURDAY + 7 * DAY


def test_a_slot_that_an_edit_left_due_stays_so() -> None:
    due = changed(on_saturdays(), JobChange(name="renamed"), CALENDARS, now=SATURDAY + timedelta(minutes=1))
    assert due.next_run_at == SATURDAY

    assert rescheduled(due, CALENDARS) is due


@pytest.mark.parametrize("status", [JobStatus.PAUSED, JobStatus.COMPLETED])
def test_a_job_that_is_not_scheduled_is_not_looked_up(status: JobStatus) -> None:
    job = replace(on_saturdays(), status=status, next_run_at=None)

    assert rescheduled(job, {}) is job


def test_a_failed_job_stays_failed_when_its_next_slot_moves() -> None:
    job = replace(on_saturdays(), status=JobStatus.FAILED, next_run_at=SATURDAY + 7 * DAY, last_scheduled_for=SATURDAY)

    found = rescheduled(job, CALENDARS)

    assert (found.status, found.next_run_at) == (JobStatus.FAILED, SATURDAY + DAY)


def test_a_job_that_has_lost_its_last_slot_is_completed() -> None:
    last = replace(on_saturdays(end_at=SATURDAY + 2 * DAY), next_run_at=SATURDAY + DAY, last_scheduled_for=SATURDAY)

    found = rescheduled(last, {"off": make_calendar("off", weekly_days_off=list(Weekday))})

    assert (found.status, found.next_run_at) == (JobStatus.COMPLETED, None)
