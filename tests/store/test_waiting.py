"""Runs that wait, on both databases: how they come to wait, start, end, and who is told that there is room."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import pytest

from engine.nouns import CallOver, Job, JobStatus, Outcome, Run, RunError, RunState, Trigger, WaitingStart
from engine.policies import OverlapPolicy, Policies
from store import SqlStore
from tests.factories import NODE, NOON, make_advance, make_job, make_outcome, make_run, token_of

ONE_MINUTE = timedelta(minutes=1)
ERROR = RunError("ValueError", "no luck", "")


def added(store: SqlStore, **policies: Any) -> Job:
    job = make_job(policies=Policies(**policies))
    store.add_job(job)
    return job


def stored(store: SqlStore, job: Job) -> Job:
    found = store.job(job.id)
    assert found is not None
    return found


def found(store: SqlStore, run_id: UUID) -> Run:
    run = store.run(run_id)
    assert run is not None
    return run


def claim(store: SqlStore, job: Job, **overrides: Any) -> Run:
    """The job's next slot, as it was recorded."""
    current = stored(store, job)
    advance = make_advance(current)
    assert advance.run is not None
    keyed = replace(advance.run, concurrency_key=current.policies.concurrency_key)
    recorded = store.advance([replace(advance, run=keyed, **overrides)])[job.id]
    assert recorded is not None
    return recorded


def start(store: SqlStore, *runs: Run, at: timedelta = ONE_MINUTE, ended: tuple[UUID, ...] = ()) -> dict[UUID, str]:
    """Try to start what waits; the states that this comes to."""
    starts = []
    for run in runs:
        job = store.job(run.job_id)
        starts.append(
            WaitingStart(run.id, run.job_id, 0 if job is None else job.version, NODE, token_of(run), NOON + at)
        )
    return {run_id: run.state.value for run_id, run in store.start_waiting(starts, ended=ended).items()}


def failure(run: Run, **overrides: Any) -> Outcome:
    return make_outcome(run, **({"state": RunState.FAILED, "error": ERROR} | overrides))


def retry(run: Run, **overrides: Any) -> Outcome:
    return failure(
        run,
        **({"state": RunState.RETRYING, "attempt_state": RunState.FAILED, "due_at": NOON + ONE_MINUTE} | overrides),
    )


def keys_of(hints: Any) -> set[UUID]:
    return {hint.key for hint in hints}


def test_a_queued_slot_waits_for_the_one_before_and_starts_once_it_is_over(store: SqlStore) -> None:
    job = added(store, overlap_policy=OverlapPolicy.QUEUE_ALL)
    first, second, third = (claim(store, job) for _ in range(3))
    assert [first.state, second.state, third.state] == [RunState.RUNNING, RunState.QUEUED, RunState.QUEUED]
    assert start(store, second, third) == {second.id: "queued", third.id: "queued"}

    finished = store.finish([make_outcome(first)])

    assert keys_of(finished.waiting) == keys_of(store.waiting_hints()) == {second.id, third.id}
    assert start(store, third, second) == {second.id: "running", third.id: "queued"}
    assert found(store, second.id).started_at == stored(store, job).last_run_at == NOON + ONE_MINUTE
    assert start(store, second) == {}


def test_two_places_are_taken_by_two_of_one_batch(store: SqlStore) -> None:
    job = added(store, overlap_policy=OverlapPolicy.QUEUE_ALL, max_instances=2)
    going = [claim(store, job) for _ in range(2)]
    waiting = [claim(store, job) for _ in range(3)]
    store.finish([make_outcome(run) for run in going])

    states = start(store, *reversed(waiting))

    assert [states[run.id] for run in waiting] == ["running", "running", "queued"]


def test_a_run_whose_job_was_edited_or_deleted_or_paused_does_not_start(store: SqlStore) -> None:
    job = added(store, overlap_policy=OverlapPolicy.QUEUE_ALL)
    first, second = claim(store, job), claim(store, job)
    store.finish([make_outcome(first)])
    stale = WaitingStart(second.id, job.id, stored(store, job).version - 1, NODE, uuid4(), NOON)
    assert store.start_waiting([stale]) == {}

    current = stored(store, job)
    paused = replace(current, status=JobStatus.PAUSED, next_run_at=None, version=current.version + 1)
    store.replace_job(paused, expected_version=current.version, dropped=None)
    assert start(store, second) == {second.id: "queued"}

    store.delete_job(job.id, at=NOON)
    assert start(store, second) == {}
    assert (found(store, second.id).state, found(store, second.id).reason) == (
        RunState.CANCELLED,
        "the job was deleted",
    )
    assert list(store.waiting_hints()) == []


def test_cancel_running_asks_those_that_go_to_end_and_skips_those_that_wait(store: SqlStore) -> None:
    job = added(store, overlap_policy=OverlapPolicy.CANCEL_RUNNING)
    first, second, third = (claim(store, job) for _ in range(3))

    assert found(store, first.id).cancel_reason == (
        f"cancelled for run {third.id}, whose slot came while this one was not over"
    )
    assert found(store, second.id).state is RunState.SKIPPED
    assert third.state is RunState.QUEUED
    assert keys_of(store.waiting_hints_of(job.id)) == {third.id}


def test_a_key_is_shared_by_jobs_within_one_batch_and_given_back_by_a_retry(store: SqlStore) -> None:
    jobs = [added(store, concurrency_key="database", concurrency_limit=2) for _ in range(3)]
    advances = []
    for job in jobs:
        advance = make_advance(job)
        assert advance.run is not None
        advances.append(replace(advance, run=replace(advance.run, concurrency_key="database")))
    recorded = [run for run in store.advance(advances).values() if run is not None]
    going = [run for run in recorded if run.state is RunState.RUNNING]
    (waiting,) = (run for run in recorded if run.state is RunState.QUEUED)
    assert len(going) == 2
    assert waiting.reason == 'concurrency key "database" is taken: 2 of at most 2 runs are going'
    assert start(store, waiting) == {waiting.id: "queued"}

    finished = store.finish([retry(going[0])])

    assert keys_of(finished.waiting) == {going[0].id, waiting.id}
    start(store, waiting, going[0])
    assert [found(store, run.id).state for run in (going[0], waiting)].count(RunState.RUNNING) == 1


def test_one_of_two_jobs_takes_the_last_place_of_their_key_whoever_asks(store: SqlStore) -> None:
    for _ in range(10):
        key = uuid4().hex
        slot_of, asked = (added(store, concurrency_key=key) for _ in range(2))
        manual = make_run(job_id=asked.id, trigger=Trigger.MANUAL, concurrency_key=key)
        together = Barrier(2)

        def at_once(ask: Callable[[], object], together: Barrier = together) -> None:
            together.wait()
            ask()

        def take(run: Run = manual) -> object:
            return store.add_manual_run(run)

        def slot(job: Job = slot_of) -> object:
            return claim(store, job)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(at_once, [take, slot]))
        going = [run for job in (slot_of, asked) for run in page(store, job) if run.state is RunState.RUNNING]
        assert len(going) == 1


def page(store: SqlStore, job: Job) -> list[Run]:
    return store.views.runs_page(job_id=job.id, state=None, before=None, limit=10)


def test_a_retry_is_due_at_its_time_counts_its_attempt_and_is_in_the_way_until_then(store: SqlStore) -> None:
    job = added(store)
    run = claim(store, job)
    store.finish([retry(run)])
    assert start(store, run, at=timedelta(seconds=59)) == {run.id: "retrying"}
    blocked = claim(store, job)
    assert blocked.reason == f"run {run.id} of this job is to be tried again"
    assert stored(store, job).status is JobStatus.ACTIVE

    assert start(store, run) == {run.id: "running"}

    again = found(store, run.id)
    assert (again.attempt, again.error, again.due_at, again.finished_at) == (2, None, None, None)
    assert [(each.number, each.state) for each in again.earlier_attempts] == [(1, RunState.FAILED)]


def test_two_that_are_to_be_tried_again_at_once_go_one_after_the_other(store: SqlStore) -> None:
    job = added(store, max_retries=3, overlap_policy=OverlapPolicy.QUEUE_ALL)
    first = claim(store, job)
    current = stored(store, job)
    advance = make_advance(current)
    second = store.advance([advance], ended=[token_of(first)])[job.id]
    assert second is not None
    assert second.state is RunState.RUNNING
    # The node that knew the first to be over dies with its outcome: both are lost, and tried again.
    store.finish([retry(first), retry(second)])

    assert start(store, first, second) == {first.id: "running", second.id: "retrying"}
    over = store.finish([make_outcome(found(store, first.id))])
    assert [hint.run_id for hint in over.waiting] == [second.id]
    assert start(store, second) == {second.id: "running"}


def test_a_stuck_run_is_in_the_way_until_its_call_is_over_which_is_told_again_when_asked_again(
    store: SqlStore,
) -> None:
    job = added(store, overlap_policy=OverlapPolicy.QUEUE_ALL)
    run, waiting = claim(store, job), claim(store, job)
    timed_out = make_outcome(run, state=RunState.TIMED_OUT, is_stuck=True)
    store.finish([timed_out])
    assert start(store, waiting) == {waiting.id: "queued"}

    for _ in range(2):
        finished = store.finish([], overs=[CallOver(run.id, job.id)])
        assert keys_of(finished.waiting) == {waiting.id}

    assert not found(store, run.id).is_stuck
    assert start(store, waiting) == {waiting.id: "running"}


def test_an_outcome_that_is_recorded_twice_tells_twice_who_waits_and_what_streak_it_makes(store: SqlStore) -> None:
    job = added(store, overlap_policy=OverlapPolicy.QUEUE_ALL)
    run, waiting = claim(store, job), claim(store, job)

    once, again = store.finish([failure(run)]), store.finish([failure(run)])

    assert (set(once.late), set(again.late)) == (set(), {run.id})
    assert keys_of(once.waiting) == keys_of(again.waiting) == {waiting.id}
    assert [each.failures for each in once.bad_streaks] == [each.failures for each in again.bad_streaks] == [1]
    assert stored(store, job).consecutive_failures == 1


def test_of_two_outcomes_of_one_run_in_one_batch_the_first_counts_for_its_job_too(store: SqlStore) -> None:
    job = added(store)
    run = claim(store, job)

    finished = store.finish([make_outcome(run, state=RunState.LOST), make_outcome(run)])

    assert finished.late == frozenset()
    assert found(store, run.id).state is RunState.LOST
    assert (stored(store, job).status, stored(store, job).consecutive_failures) == (JobStatus.FAILED, 1)


@pytest.mark.parametrize("why", ["it is to end", "its job is deleted"])
def test_a_retry_that_nobody_wants_any_more_is_the_last_attempt(store: SqlStore, why: str) -> None:
    job = added(store)
    run = claim(store, job)
    if why == "it is to end":
        assert store.ask_to_end(run.id, reason="cancelled by request")
    else:
        store.delete_job(job.id, at=NOON)

    store.finish([retry(run)])

    assert found(store, run.id).state is RunState.FAILED
    assert list(store.waiting_hints()) == []


def test_only_what_waits_is_ended_and_only_what_runs_is_asked_to_end(store: SqlStore) -> None:
    job = added(store, overlap_policy=OverlapPolicy.QUEUE_ALL)
    going, waiting = claim(store, job), claim(store, job)

    ended = store.end_waiting([going.id, waiting.id], RunState.CANCELLED, at=NOON, reason="enough")

    assert ended == 1
    assert (found(store, waiting.id).state, found(store, waiting.id).reason) == (RunState.CANCELLED, "enough")
    assert found(store, going.id).state is RunState.RUNNING
    assert [store.ask_to_end(run.id, reason="x") for run in (going, waiting)] == [True, False]


def test_a_retry_that_did_not_start_takes_back_no_start_of_its_run(store: SqlStore) -> None:
    job = added(store)
    run = claim(store, job)
    store.finish([retry(run)])
    start(store, run)

    store.finish([make_outcome(run, state=RunState.SKIPPED, started_at=None, undoes_claim=True)])

    assert stored(store, job).run_count == 1
    assert stored(store, job).last_run_at is not None


def test_streaks_grow_with_bad_ends_by_schedule_and_end_with_a_success(store: SqlStore) -> None:
    job = added(store, overlap_policy=OverlapPolicy.ALLOW)
    streaks = [store.finish([failure(claim(store, job))]).bad_streaks for _ in range(2)]
    assert [[each.failures for each in found_] for found_ in streaks] == [[1], [2]]

    manual = make_run(job_id=job.id, trigger=Trigger.MANUAL)
    store.add_manual_run(manual)
    assert store.finish([failure(manual)]).bad_streaks == ()
    assert stored(store, job).consecutive_failures == 2

    assert store.finish([make_outcome(claim(store, job))]).bad_streaks == ()
    assert stored(store, job).consecutive_failures == 0


def test_crashes_count_by_attempt_until_a_call_is_seen_to_end(store: SqlStore) -> None:
    job = added(store)
    run = claim(store, job)
    (streak,) = store.finish([retry(run, is_crash=True)]).bad_streaks
    assert (streak.failures, streak.crashes) == (0, 1)
    start(store, run)
    (streak,) = store.finish([failure(run, is_crash=True)]).bad_streaks
    assert (streak.failures, streak.crashes) == (1, 2)
    store.finish([make_outcome(claim(store, job))])
    assert stored(store, job).consecutive_crashes == 0


@pytest.mark.parametrize("how", ["by request", "for a later slot"])
def test_a_queued_slot_that_never_starts_does_not_count_for_the_bound(store: SqlStore, how: str) -> None:
    job = added(store, overlap_policy=OverlapPolicy.CANCEL_RUNNING)
    _, waiting = (claim(store, job) for _ in range(2))
    assert stored(store, job).run_count == 2

    if how == "by request":
        store.end_waiting([waiting.id], RunState.CANCELLED, at=NOON, reason="cancelled by request")
        assert stored(store, job).run_count == 1
    else:
        claim(store, job)
        assert stored(store, job).run_count == 2


def test_a_retry_that_is_cancelled_has_started_and_counts(store: SqlStore) -> None:
    job = added(store)
    run = claim(store, job)
    store.finish([retry(run)])
    store.end_waiting([run.id], RunState.CANCELLED, at=NOON, reason="cancelled by request")
    assert stored(store, job).run_count == 1
