"""How runs end, and what that makes of their jobs."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from engine.nouns import BAD_ENDS, WAITING_STATES, Job, JobStatus, Outcome, Run, RunError, RunState, Trigger
from engine.recovery import LOST_REASON, lose_abandoned_runs
from store import SqlStore
from tests.factories import NOON, make_advance, make_job, make_outcome, make_run, token_of

ONE_MINUTE = timedelta(minutes=1)
ERROR = RunError("ValueError", "no such report", "Traceback (most recent call last):\n...")
OVER = [state for state in RunState if state not in {RunState.RUNNING, RunState.MISSED, *WAITING_STATES}]


def running(store: SqlStore, **overrides: object) -> tuple[Job, Run]:
    job = make_job(**overrides)
    store.add_job(job)
    advance = make_advance(job)
    store.advance([advance])
    assert advance.run is not None
    return job, advance.run


def ending(run: Run, state: RunState, **overrides: object) -> Outcome:
    return make_outcome(run, state=state, error=ERROR if state is RunState.FAILED else None, **overrides)


def status_of(store: SqlStore, job: Job) -> JobStatus:
    stored = store.job(job.id)
    assert stored is not None
    return stored.status


def test_a_success_is_recorded_with_its_result(store: SqlStore) -> None:
    _, run = running(store)
    result = {"rows": [1, 2.5, None], "text": "Grüße"}
    outcome = make_outcome(run, result_json='{"rows": [1, 2.5, null], "text": "Grüße"}', lateness_ms=0.25)
    assert store.finish([outcome]).late == set()
    assert store.run(run.id) == replace(
        run,
        state=RunState.SUCCEEDED,
        finished_at=NOON + timedelta(seconds=1),
        lateness_ms=0.25,
        duration_ms=1000.0,
        result=result,
    )


def test_a_failure_is_recorded_with_its_error(store: SqlStore) -> None:
    _, run = running(store)
    store.finish([make_outcome(run, state=RunState.FAILED, error=ERROR, reason="gave up")])
    stored = store.run(run.id)
    assert stored is not None
    assert (stored.state, stored.error, stored.reason) == (RunState.FAILED, ERROR, "gave up")


def test_an_error_without_any_text_is_an_error_still(store: SqlStore) -> None:
    _, run = running(store)
    store.finish([make_outcome(run, state=RunState.FAILED, error=RunError("", "", ""))])
    stored = store.run(run.id)
    assert stored is not None
    assert stored.error == RunError("", "", "")


def test_a_run_that_was_claimed_and_not_started_has_no_start(store: SqlStore) -> None:
    _, run = running(store)
    store.finish(
        [
            make_outcome(
                run, state=RunState.SKIPPED, started_at=None, lateness_ms=None, duration_ms=None, reason="paused"
            )
        ]
    )
    stored = store.run(run.id)
    assert stored is not None
    assert (stored.started_at, stored.lateness_ms, stored.duration_ms, stored.reason) == (None, None, None, "paused")


@pytest.mark.parametrize("state", OVER)
def test_every_way_to_end_comes_back(store: SqlStore, state: RunState) -> None:
    _, run = running(store)
    store.finish([ending(run, state)])
    stored = store.run(run.id)
    assert stored is not None
    assert stored.state is state


@pytest.mark.parametrize("first", OVER)
def test_a_late_outcome_changes_nothing(store: SqlStore, first: RunState) -> None:
    job, run = running(store)
    store.finish([ending(run, first)])
    run_before, job_before = store.run(run.id), store.job(job.id)
    late = make_outcome(run, state=RunState.FAILED, error=ERROR, undoes_claim=False)
    assert store.finish([late]).late == {run.id}
    assert store.run(run.id) == run_before
    assert store.job(job.id) == job_before


def test_the_outcome_of_an_unknown_run_is_late(store: SqlStore) -> None:
    unknown = make_run()
    assert store.finish([make_outcome(unknown)]).late == {unknown.id}


def test_late_and_timely_outcomes_of_one_batch_are_told_apart(store: SqlStore) -> None:
    (_, timely), (_, late) = running(store), running(store)
    store.finish([ending(late, RunState.LOST)])
    assert store.finish([make_outcome(late), make_outcome(timely)]).late == {late.id}
    stored = store.run(timely.id)
    assert stored is not None
    assert stored.state is RunState.SUCCEEDED


def test_no_outcomes_change_nothing(store: SqlStore) -> None:
    assert store.finish([]).late == set()


@pytest.mark.parametrize("state", OVER)
@pytest.mark.parametrize("before", [JobStatus.ACTIVE, JobStatus.FAILED])
def test_the_end_of_a_run_tells_on_its_job(store: SqlStore, before: JobStatus, state: RunState) -> None:
    job, run = running(store, status=before)
    store.finish([ending(run, state)])
    if state in BAD_ENDS:
        expected = JobStatus.FAILED
    elif state is RunState.SUCCEEDED:
        expected = JobStatus.ACTIVE
    else:
        expected = before
    assert status_of(store, job) is expected


def test_the_end_of_a_run_leaves_the_version_to_claims_and_edits(store: SqlStore) -> None:
    job, run = running(store)
    store.finish([ending(run, RunState.FAILED)])
    stored = store.job(job.id)
    assert stored is not None
    assert stored.version == 2


@pytest.mark.parametrize("state", OVER)
def test_the_end_of_a_run_does_not_wake_a_paused_job(store: SqlStore, state: RunState) -> None:
    job, run = running(store)
    paused = replace(job, status=JobStatus.PAUSED, next_run_at=None, version=3)
    store.replace_job(paused, expected_version=2, dropped=None)
    store.finish([ending(run, state)])
    assert status_of(store, job) is JobStatus.PAUSED


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([RunState.FAILED, RunState.SUCCEEDED], JobStatus.ACTIVE),
        ([RunState.SUCCEEDED, RunState.FAILED], JobStatus.FAILED),
        ([RunState.FAILED, RunState.SKIPPED], JobStatus.FAILED),
        ([RunState.SUCCEEDED, RunState.CANCELLED], JobStatus.ACTIVE),
    ],
)
def test_of_several_ends_in_one_batch_the_last_one_counts(
    store: SqlStore, states: list[RunState], expected: JobStatus
) -> None:
    job, first = running(store)
    second = make_run(job_id=job.id, trigger=Trigger.MANUAL)
    store.add_manual_run(second, ended={token_of(first)})
    store.finish([ending(run, state) for run, state in zip([first, second], states, strict=True)])
    assert status_of(store, job) is expected


def test_the_end_of_a_deleted_jobs_run_is_recorded(store: SqlStore) -> None:
    job, run = running(store)
    store.delete_job(job.id, at=NOON)
    assert store.finish([make_outcome(run)]).late == set()


def test_a_start_that_did_not_happen_is_taken_back(store: SqlStore) -> None:
    job, run = running(store)
    before = make_run(job_id=job.id, trigger=Trigger.MANUAL, started_at=NOON - ONE_MINUTE)
    store.add_manual_run(before, ended={token_of(run)})
    store.finish([ending(run, RunState.SKIPPED, started_at=None, undoes_claim=True)])
    stored = store.job(job.id)
    assert stored is not None
    assert stored.last_run_at == NOON - ONE_MINUTE


def test_a_start_is_not_taken_back_once_there_was_a_later_one(store: SqlStore) -> None:
    job, run = running(store)
    later = make_run(job_id=job.id, trigger=Trigger.MANUAL, started_at=NOON + ONE_MINUTE)
    store.add_manual_run(later, ended={token_of(run)})
    store.finish([ending(run, RunState.SKIPPED, started_at=None, undoes_claim=True)])
    stored = store.job(job.id)
    assert stored is not None
    assert stored.last_run_at == NOON + ONE_MINUTE


def test_the_first_start_that_did_not_happen_leaves_none(store: SqlStore) -> None:
    job, run = running(store)
    store.finish([ending(run, RunState.SKIPPED, started_at=None, undoes_claim=True)])
    stored = store.job(job.id)
    assert stored is not None
    assert stored.last_run_at is None


def test_a_start_later_than_its_claim_is_the_jobs_last(store: SqlStore) -> None:
    job, run = running(store)
    store.finish([make_outcome(run, started_at=NOON + ONE_MINUTE)])
    stored = store.job(job.id)
    assert stored is not None
    assert stored.last_run_at == NOON + ONE_MINUTE


def test_recovery_loses_what_runs_and_fails_its_jobs(store: SqlStore) -> None:
    (job, run), (paused, _), (done, finished) = running(store), running(store), running(store)
    store.finish([make_outcome(finished)])
    store.replace_job(
        replace(paused, status=JobStatus.PAUSED, next_run_at=None, version=3), expected_version=2, dropped=None
    )
    assert lose_abandoned_runs(store, now=NOON + ONE_MINUTE)[0] == 2
    assert store.run(run.id) == replace(run, state=RunState.LOST, finished_at=NOON + ONE_MINUTE, reason=LOST_REASON)
    assert [status_of(store, each) for each in (job, paused, done)] == [
        JobStatus.FAILED,
        JobStatus.PAUSED,
        JobStatus.ACTIVE,
    ]
    assert lose_abandoned_runs(store, now=NOON)[0] == 0


def test_recovery_loses_runs_of_deleted_jobs_too(store: SqlStore) -> None:
    job, run = running(store)
    store.delete_job(job.id, at=NOON)
    assert lose_abandoned_runs(store, now=NOON)[0] == 1
    assert store.claims_on_record({run.id: token_of(run)}) == set()


def test_a_claim_on_record_is_told_from_others_of_the_same_run(store: SqlStore) -> None:
    (_, run), (_, over) = running(store), running(store)
    store.finish([make_outcome(over)])
    assert store.claims_on_record({run.id: token_of(run), over.id: token_of(over), uuid4(): uuid4()}) == {run.claim_id}
    assert store.claims_on_record({run.id: uuid4()}) == set()
    assert store.claims_on_record({}) == set()


def test_the_outcome_of_another_claim_changes_nothing(store: SqlStore) -> None:
    job, run = running(store)
    assert store.finish([make_outcome(run, claim_id=uuid4())]).late == {run.id}
    assert store.run(run.id) == run
    assert store.finish([make_outcome(run)]).late == frozenset()
    assert status_of(store, job) is JobStatus.ACTIVE


def test_a_run_that_was_asked_to_end_is_not_tried_again(store: SqlStore) -> None:
    _, run = running(store)
    store.ask_to_end(run.id, reason="cancelled by request")

    due_at = NOON + ONE_MINUTE
    store.finish([ending(run, RunState.RETRYING, attempt_state=RunState.LOST, attempt_reason="gone", due_at=due_at)])

    stored = store.run(run.id)
    assert stored is not None
    assert (stored.state, stored.reason, stored.due_at) == (RunState.LOST, "gone", None)


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.TIMED_OUT, RunState.SKIPPED])
@pytest.mark.parametrize("status", [JobStatus.ACTIVE, JobStatus.FAILED])
def test_a_run_of_a_backfill_leaves_the_status_and_the_last_run_of_its_job(
    store: SqlStore, state: RunState, status: JobStatus
) -> None:
    job = make_job(status=status)
    store.add_job(job)
    run = make_run(job_id=job.id, trigger=Trigger.BACKFILL, backfill_id=uuid4(), scheduled_for=NOON - ONE_MINUTE)
    # There is no shorter way for one to be on record as running.
    store.add_manual_run(replace(run, started_at=None))

    store.finish([ending(run, state, undoes_claim=state is RunState.SKIPPED)])

    assert store.job(job.id) == job
