"""Claims: a job moves on and its run appears, together or not at all, and for one of many who try."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy.exc import IntegrityError

from engine.errors import JobNotFound
from engine.nouns import Advance, Job, JobStatus, Run, RunState, Trigger
from store import SqlStore
from tests.factories import NOON, make_advance, make_job, make_outcome, make_run, token_of

ONE_MINUTE = timedelta(minutes=1)


def added(store: SqlStore, **overrides: object) -> Job:
    job = make_job(**overrides)
    store.add_job(job)
    return job


def stored(store: SqlStore, job: Job) -> Job:
    found = store.job(job.id)
    assert found is not None
    return found


def run_of(advance: Advance) -> Run:
    assert advance.run is not None
    return advance.run


def test_a_claim_moves_the_job_on_and_records_its_run(store: SqlStore) -> None:
    job = added(store)
    advance = make_advance(job)
    assert store.advance([advance]) == {job.id: advance.run}
    assert stored(store, job) == replace(
        job, next_run_at=NOON + ONE_MINUTE, last_run_at=NOON, last_scheduled_for=NOON, run_count=1, version=2
    )
    assert store.run(run_of(advance).id) == advance.run


def test_many_jobs_are_claimed_at_once(store: SqlStore) -> None:
    jobs = [added(store) for _ in range(200)]
    advances = [make_advance(job) for job in jobs]
    assert store.advance(advances) == {advance.job_id: advance.run for advance in advances}
    claims = {run_of(advance).id: token_of(run_of(advance)) for advance in advances}
    assert store.claims_on_record(claims) == set(claims.values())
    assert {stored(store, job).version for job in jobs} == {2}


def test_no_claims_change_nothing(store: SqlStore) -> None:
    assert store.advance([]) == {}


def test_a_claim_with_a_naive_instant_is_refused_whole(store: SqlStore) -> None:
    job = added(store)
    naive = (NOON + ONE_MINUTE).replace(tzinfo=None)
    with pytest.raises(ValueError, match="has no time zone"):
        store.advance([replace(make_advance(job), next_run_at=naive)])
    assert stored(store, job) == job


def test_a_claim_of_another_version_is_left_out(store: SqlStore) -> None:
    edited, ours = added(store, version=2), added(store)
    old = make_advance(edited, expected_version=1)
    assert set(store.advance([old, make_advance(ours)])) == {ours.id}
    assert stored(store, edited) == edited
    assert store.run(run_of(old).id) is None


@pytest.mark.parametrize("status", [JobStatus.PAUSED, JobStatus.COMPLETED])
def test_a_job_that_is_not_scheduled_is_left_out(store: SqlStore, status: JobStatus) -> None:
    job = added(store, status=status)
    assert store.advance([make_advance(job)]) == {}
    assert stored(store, job) == job


def test_a_deleted_job_is_left_out(store: SqlStore) -> None:
    advance = make_advance(make_job())
    assert store.advance([advance]) == {}
    assert store.run(run_of(advance).id) is None


def test_a_failed_job_is_claimed_and_stays_failed_until_it_succeeds(store: SqlStore) -> None:
    job = added(store, status=JobStatus.FAILED)
    assert job.id in store.advance([make_advance(job)])
    assert stored(store, job).status is JobStatus.FAILED


def test_the_last_slot_completes_the_job(store: SqlStore) -> None:
    job = added(store)
    store.advance([make_advance(job, next_run_at=None)])
    completed = stored(store, job)
    assert (completed.status, completed.next_run_at) == (JobStatus.COMPLETED, None)


def test_missed_slots_are_recorded_without_a_run(store: SqlStore) -> None:
    job = added(store, last_run_at=NOON - ONE_MINUTE)
    missed = make_run(
        job_id=job.id,
        state=RunState.MISSED,
        slot_count=30,
        last_scheduled_for=NOON + 29 * ONE_MINUTE,
        started_at=None,
        lateness_ms=None,
        reason="no scheduler was running",
    )
    advance = make_advance(job, run=None, missed=missed, last_scheduled_for=NOON + 29 * ONE_MINUTE)
    assert store.advance([advance]) == {job.id: None}
    assert store.run(missed.id) == missed
    assert stored(store, job).last_run_at == NOON - ONE_MINUTE
    assert stored(store, job).last_scheduled_for == NOON + 29 * ONE_MINUTE


def test_a_slot_that_is_refused_is_recorded_and_is_no_start(store: SqlStore) -> None:
    job = added(store)
    skipped = run_of(make_advance(job)).skipped("function is not registered", at=NOON)
    assert store.advance([make_advance(job, run=skipped)]) == {job.id: skipped}
    assert store.run(skipped.id) == skipped
    assert stored(store, job).last_run_at is None


def test_a_slot_is_skipped_while_a_run_of_its_job_is_running(store: SqlStore) -> None:
    job = added(store)
    first = make_advance(job)
    store.advance([first])
    second = make_advance(stored(store, job))
    recorded = store.advance([second])[job.id]
    assert recorded is not None
    assert recorded.state is RunState.SKIPPED
    assert recorded.reason == f"run {run_of(first).id} of this job is still running"
    assert (recorded.started_at, recorded.finished_at) == (None, run_of(second).started_at)
    assert store.run(recorded.id) == recorded
    assert stored(store, job).last_run_at == NOON
    assert stored(store, job).next_run_at == NOON + 2 * ONE_MINUTE


def test_a_running_run_of_another_job_is_not_in_the_way(store: SqlStore) -> None:
    other, job = added(store), added(store)
    store.advance([make_advance(other)])
    assert store.advance([advance := make_advance(job)]) == {job.id: advance.run}


def test_a_run_whose_outcome_only_waits_to_be_written_is_not_in_the_way(store: SqlStore) -> None:
    job = added(store)
    first = make_advance(job)
    store.advance([first])
    second = make_advance(stored(store, job))
    assert store.advance([second], ended={token_of(run_of(first))}) == {job.id: second.run}


def test_a_finished_run_is_not_in_the_way(store: SqlStore) -> None:
    job = added(store)
    first = make_advance(job)
    store.advance([first])
    store.finish([make_outcome(run_of(first))])
    second = make_advance(stored(store, job))
    assert store.advance([second]) == {job.id: second.run}


def test_one_of_two_threads_wins_a_slot(store: SqlStore) -> None:
    jobs = [added(store) for _ in range(20)]
    attempts = [[make_advance(job) for job in jobs] for _ in range(2)]
    together = Barrier(2)

    def claim(advances: list[Advance]) -> list[Run | None]:
        together.wait()
        return [run for advance in advances for run in store.advance([advance]).values()]

    with ThreadPoolExecutor(2) as pool:
        won = [run for runs in pool.map(claim, attempts) for run in runs if run is not None]
    assert sorted(run.job_id for run in won) == sorted(job.id for job in jobs)
    assert {run.id for run in store.views.runs_page(job_id=None, state=None, before=None, limit=100)} == {
        run.id for run in won
    }
    assert {stored(store, job).version for job in jobs} == {2}


def test_a_slot_has_one_scheduled_run_whatever_asks_for_two(store: SqlStore) -> None:
    job = added(store)
    store.advance([make_advance(job)])
    again = make_run(job_id=job.id, scheduled_for=NOON, state=RunState.SKIPPED)
    with pytest.raises(IntegrityError):
        store.replace_job(replace(job, version=3), expected_version=2, dropped=again)
    assert stored(store, job).version == 2
    assert store.run(again.id) is None


def test_a_slot_may_have_manual_runs_beside_its_own(store: SqlStore) -> None:
    job = added(store)
    slot = make_advance(job)
    store.advance([slot])
    manual = make_run(job_id=job.id, trigger=Trigger.MANUAL)
    assert store.add_manual_run(manual, ended={token_of(run_of(slot))}) is None
    assert store.run(manual.id) == manual


def test_a_slot_that_has_a_row_takes_its_whole_batch_back(store: SqlStore) -> None:
    poisoned, other = added(store), added(store)
    store.advance([slot := make_advance(poisoned)])
    store.finish([make_outcome(run_of(slot))])
    taken = make_advance(stored(store, poisoned), run=make_run(job_id=poisoned.id, scheduled_for=NOON))

    with pytest.raises(IntegrityError):
        store.advance([make_advance(other), taken])

    assert stored(store, other) == other
    assert stored(store, poisoned).version == 2


def test_a_manual_run_is_kept_and_is_a_start_of_its_job(store: SqlStore) -> None:
    job = added(store)
    run = make_run(job_id=job.id, trigger=Trigger.MANUAL, started_at=NOON + ONE_MINUTE)
    assert store.add_manual_run(run) is None
    assert store.run(run.id) == run
    assert stored(store, job) == replace(job, last_run_at=NOON + ONE_MINUTE)


def test_a_manual_run_that_waits_for_a_thread_is_no_start_yet(store: SqlStore) -> None:
    job = added(store)
    store.add_manual_run(make_run(job_id=job.id, trigger=Trigger.MANUAL, started_at=None))
    assert stored(store, job).last_run_at is None


def test_a_manual_run_of_no_job_is_refused(store: SqlStore) -> None:
    run = make_run(trigger=Trigger.MANUAL)
    with pytest.raises(JobNotFound):
        store.add_manual_run(run)
    assert store.run(run.id) is None


def test_a_manual_run_is_not_kept_while_a_run_of_its_job_is_running(store: SqlStore) -> None:
    job = added(store)
    first, second = (make_run(job_id=job.id, trigger=Trigger.MANUAL) for _ in range(2))
    store.add_manual_run(first)
    assert store.add_manual_run(second) == first.id
    assert store.run(second.id) is None
    assert store.add_manual_run(second, ended={token_of(first)}) is None


def test_of_a_manual_run_and_a_slot_at_the_same_moment_one_runs(store: SqlStore) -> None:
    job = added(store)
    manual = make_run(job_id=job.id, trigger=Trigger.MANUAL)
    slot = make_advance(job)
    together = Barrier(2)

    def start(ask: Callable[[], object]) -> None:
        together.wait()
        ask()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(start, [lambda: store.add_manual_run(manual), lambda: store.advance([slot])]))
    claims = {run.id: token_of(run) for run in (manual, run_of(slot))}
    assert len(store.claims_on_record(claims)) == 1
