"""How many runs a schedule has started: what counts, what is given back, and what the last one makes of its job."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from engine.nouns import Advance, Job, JobStatus, Outcome, Run, RunState, Trigger
from engine.recovery import lose_abandoned_runs
from store import SqlStore
from tests.factories import NOON, make_advance, make_job, make_outcome, make_run, token_of
from tests.store.test_claims import ONE_MINUTE, added, run_of, stored
from tests.store.test_outcomes import ERROR, OVER
from tests.store.test_outcomes import running as claimed


def after_claim(store: SqlStore, job: Job, **overrides: object) -> Job:
    """The job after its due slot was claimed, and the run is over."""
    advance = make_advance(stored(store, job), **overrides)
    recorded = store.advance([advance])[job.id]
    if recorded is not None and recorded.state is RunState.RUNNING:
        store.finish([make_outcome(recorded)])
    return stored(store, job)


def test_the_last_of_its_runs_completes_the_job_whatever_slots_it_has_still(store: SqlStore) -> None:
    job = added(store, max_runs=2)
    first = after_claim(store, job)
    assert (first.run_count, first.status, first.next_run_at) == (1, JobStatus.ACTIVE, NOON + ONE_MINUTE)
    second = after_claim(store, job)
    assert (second.run_count, second.status, second.next_run_at) == (2, JobStatus.COMPLETED, None)
    assert (second.last_run_at, second.last_scheduled_for) == (NOON + ONE_MINUTE, NOON + ONE_MINUTE)
    assert list(store.due_hints()) == []


def test_the_last_run_of_a_failed_job_completes_it_too(store: SqlStore) -> None:
    job = added(store, max_runs=1, status=JobStatus.FAILED)
    assert after_claim(store, job).status is JobStatus.COMPLETED


def test_a_job_without_a_bound_goes_on_counting(store: SqlStore) -> None:
    job = added(store, run_count=10**9)
    after = after_claim(store, job)
    assert (after.run_count, after.status) == (10**9 + 1, JobStatus.ACTIVE)


def test_a_job_with_more_runs_than_its_bound_has_no_further_one_after_this(store: SqlStore) -> None:
    job = added(store, max_runs=2, run_count=5)
    assert after_claim(store, job).status is JobStatus.COMPLETED


def test_slots_that_are_refused_or_missed_do_not_count_for_the_bound(store: SqlStore) -> None:
    job = added(store, max_runs=1)
    skipped = run_of(make_advance(job)).skipped("function is not registered", at=NOON)
    after_claim(store, job, run=skipped)
    missed = make_run(job_id=job.id, state=RunState.MISSED, scheduled_for=NOON + ONE_MINUTE, slot_count=3)
    after = after_claim(store, job, run=None, missed=missed)
    assert (after.run_count, after.status, after.next_run_at) == (0, JobStatus.ACTIVE, NOON + 2 * ONE_MINUTE)


def test_a_slot_that_is_skipped_because_of_a_running_run_does_not_count_for_the_bound(store: SqlStore) -> None:
    job = added(store, max_runs=2)
    store.advance([make_advance(job)])
    second = store.advance([make_advance(stored(store, job))])[job.id]
    assert second is not None
    assert second.state is RunState.SKIPPED
    after = stored(store, job)
    assert (after.run_count, after.status, after.next_run_at) == (1, JobStatus.ACTIVE, NOON + 2 * ONE_MINUTE)


def test_manual_runs_do_not_count_for_the_bound(store: SqlStore) -> None:
    job = added(store, max_runs=1)
    store.add_manual_run(make_run(job_id=job.id, trigger=Trigger.MANUAL))
    after = stored(store, job)
    assert (after.run_count, after.status) == (0, JobStatus.ACTIVE)


def test_one_of_two_jobs_of_a_batch_has_its_last_run(store: SqlStore) -> None:
    last, on = added(store, max_runs=3, run_count=2), added(store, max_runs=3, run_count=1)
    assert store.advance(advances := [make_advance(last), make_advance(on)]) == {
        advance.job_id: advance.run for advance in advances
    }
    assert [(each.status, each.next_run_at, each.run_count) for each in (stored(store, last), stored(store, on))] == [
        (JobStatus.COMPLETED, None, 3),
        (JobStatus.ACTIVE, NOON + ONE_MINUTE, 2),
    ]


def test_a_run_counts_once_whoever_of_two_claims_it(store: SqlStore) -> None:
    jobs = [added(store, max_runs=1) for _ in range(20)]
    together = Barrier(2)

    def claim(advances: list[Advance]) -> None:
        together.wait()
        for advance in advances:
            store.advance([advance])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(claim, [[make_advance(job) for job in jobs] for _ in range(2)]))
    assert {(stored(store, job).run_count, stored(store, job).status) for job in jobs} == {(1, JobStatus.COMPLETED)}


def after_ends(store: SqlStore, job: Job, *outcomes: Outcome) -> Job:
    """The job after the outcomes were recorded."""
    store.finish(outcomes)
    return stored(store, job)


def not_started(run: Run) -> Outcome:
    return make_outcome(run, state=RunState.SKIPPED, started_at=None, undoes_claim=True)


def test_a_run_that_did_not_start_does_not_count_for_the_bound(store: SqlStore) -> None:
    job, run = claimed(store, max_runs=5, run_count=2)
    assert after_ends(store, job, not_started(run)).run_count == 2


def test_a_run_that_did_not_start_counts_only_once_less_however_often_it_is_said(store: SqlStore) -> None:
    job, run = claimed(store, run_count=2)
    after_ends(store, job, not_started(run), not_started(run))
    assert after_ends(store, job, not_started(run)).run_count == 2


@pytest.mark.parametrize("state", OVER)
def test_a_run_that_started_goes_on_counting_however_it_ends(store: SqlStore, state: RunState) -> None:
    job, run = claimed(store, run_count=2)
    outcome = make_outcome(run, state=state, error=ERROR if state is RunState.FAILED else None)
    assert after_ends(store, job, outcome).run_count == 3


def test_lost_runs_go_on_counting(store: SqlStore) -> None:
    job, _ = claimed(store)
    lose_abandoned_runs(store, now=NOON)
    assert after_ends(store, job).run_count == 1


def test_a_manual_run_that_did_not_start_gives_nothing_back(store: SqlStore) -> None:
    job = make_job(run_count=3)
    store.add_job(job)
    manual = make_run(job_id=job.id, trigger=Trigger.MANUAL)
    store.add_manual_run(manual)
    after = after_ends(store, job, not_started(manual))
    assert (after.run_count, after.last_run_at) == (3, None)


def test_several_runs_of_one_batch_are_each_given_back(store: SqlStore) -> None:
    job, first = claimed(store, run_count=4)
    other, others = claimed(store, run_count=4)
    second = make_advance(stored(store, job))
    store.advance([second], ended={token_of(first)})
    manual = make_run(job_id=job.id, trigger=Trigger.MANUAL)
    store.add_manual_run(manual, ended={token_of(first), token_of(run_of(second))})
    after = after_ends(store, job, *(not_started(run) for run in (first, manual, others, run_of(second))))
    assert (after.run_count, after.last_run_at) == (4, None)
    assert after_ends(store, other).run_count == 4


def test_no_count_falls_below_nothing(store: SqlStore) -> None:
    job = make_job(next_run_at=None, status=JobStatus.PAUSED)
    store.add_job(job)
    run = make_run(job_id=job.id)
    store.replace_job(replace(job, version=2), expected_version=1, dropped=run)
    assert after_ends(store, job, not_started(run)).run_count == 0


def test_a_job_that_its_last_run_completed_stays_completed_when_that_run_did_not_start(store: SqlStore) -> None:
    job, run = claimed(store, max_runs=1)
    after = after_ends(store, job, not_started(run))
    assert (after.status, after.next_run_at, after.run_count) == (JobStatus.COMPLETED, None, 0)


def test_a_run_given_back_may_be_had_later(store: SqlStore) -> None:
    job, run = claimed(store, max_runs=2)
    after = after_ends(store, job, not_started(run))
    store.advance([make_advance(after)])
    again = after_ends(store, job)
    assert (again.run_count, again.status) == (1, JobStatus.ACTIVE)
