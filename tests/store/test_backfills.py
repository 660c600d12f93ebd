"""Backfills as rows: kept with their runs, released in turn, cancelled; on both databases."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from engine.backfills import Backfill, BackfillState
from engine.errors import BackfillIsOver, BackfillNotFound, JobNotFound, TooManyBackfills
from engine.limits import BACKFILL_PRIORITY, MAX_UNFINISHED_BACKFILLS
from engine.nouns import DueHint, Job, JobStatus, Run, RunState, Trigger, WaitingStart
from engine.policies import DEFAULT_POLICIES, OverlapPolicy
from store import SqlStore
from tests.factories import NODE, NOON, make_advance, make_job, make_outcome, make_run, token_of

HOUR = timedelta(hours=1)


def keep(store: SqlStore, job: Job, slots: int, *, concurrency: int = 1) -> tuple[Backfill, list[Run]]:
    """A backfill of the hours before noon, on record; its runs with the oldest slot first."""
    backfill = Backfill(uuid4(), job.id, NOON - slots * HOUR, NOON - HOUR, slots, concurrency, NOON)
    runs = [
        make_run(
            job_id=job.id,
            function_name=job.function_name,
            trigger=Trigger.BACKFILL,
            scheduled_for=NOON - number * HOUR,
            backfill_id=backfill.id,
            concurrency_key=job.policies.concurrency_key,
        ).queued("waits for its turn", at=NOON)
        for number in range(slots, 0, -1)
    ]
    store.add_backfill(backfill, runs)
    return backfill, runs


def added(store: SqlStore, **overrides: object) -> Job:
    job = make_job(**overrides)
    store.add_job(job)
    return job


def start(store: SqlStore, job: Job, runs: Sequence[Run]) -> list[Run]:
    """Try to start these; returns those that were."""
    stored = store.job(job.id)
    assert stored is not None
    starts = [WaitingStart(run.id, job.id, stored.version, NODE, token_of(run), NOON) for run in runs]
    found = store.start_waiting(starts)
    return [found[run.id] for run in runs if found[run.id].state is RunState.RUNNING]


def hinted(hints: Sequence[DueHint]) -> list[UUID | None]:
    return [hint.run_id for hint in hints]


def ids(runs: Sequence[Run]) -> list[UUID | None]:
    return [run.id for run in runs]


def stored_run(store: SqlStore, run: Run) -> Run:
    stored = store.run(run.id)
    assert stored is not None
    return stored


def test_a_backfill_is_kept_with_its_runs(store: SqlStore) -> None:
    backfill, runs = keep(store, added(store), 3)

    found = store.views.backfill(backfill.id)

    assert found is not None
    assert found.backfill == backfill
    assert found.runs == {RunState.QUEUED: 3}
    assert found.state is BackfillState.RUNNING
    assert store.views.runs_of_backfill(backfill.id, limit=10) == runs[::-1]
    assert store.views.runs_of_backfill(backfill.id, limit=1) == runs[-1:]


def test_there_is_no_backfill_of_a_job_that_is_not_there(store: SqlStore) -> None:
    job = make_job()

    with pytest.raises(JobNotFound):
        keep(store, job, 1)

    assert store.views.backfills_of(job.id, limit=10) == []


def test_backfills_are_listed_newest_first_and_bounded(store: SqlStore) -> None:
    job = added(store)
    made = [keep(store, job, 1)[0] for _ in range(3)]
    for number, backfill in enumerate(made):
        later = replace(backfill, id=uuid4(), created_at=NOON + number * HOUR)
        store.add_backfill(later, [])

    listed = [each.backfill.created_at for each in store.views.backfills_of(job.id, limit=2)]

    assert listed == [NOON + 2 * HOUR, NOON + HOUR]


def test_a_job_has_a_bounded_number_of_unfinished_backfills(store: SqlStore) -> None:
    job = added(store)
    for _ in range(MAX_UNFINISHED_BACKFILLS):
        _, [run] = keep(store, job, 1)

    with pytest.raises(TooManyBackfills):
        keep(store, job, 1)
    [going] = start(store, job, [run])
    with pytest.raises(TooManyBackfills):
        keep(store, job, 1)
    store.finish([make_outcome(going)])

    keep(store, job, 1)


@pytest.mark.parametrize("concurrency", [1, 2, 5])
def test_as_many_start_as_there_are_places_the_oldest_first(store: SqlStore, concurrency: int) -> None:
    job = added(store)
    _, runs = keep(store, job, 4, concurrency=concurrency)

    started = start(store, job, runs[::-1])

    assert sorted(ids(started), key=str) == sorted(ids(runs[:concurrency]), key=str)


def test_places_are_counted_for_each_backfill(store: SqlStore) -> None:
    job = added(store)
    _, first = keep(store, job, 2)
    _, second = keep(store, job, 2)

    assert {run.id for run in start(store, job, [*first, *second])} == {first[0].id, second[0].id}


def test_only_those_with_a_place_are_looked_at(store: SqlStore) -> None:
    job = added(store, policies=DEFAULT_POLICIES.with_changes({"priority": 7}))
    _, runs = keep(store, job, 5, concurrency=2)

    assert hinted(store.waiting_hints_of(job.id)) == ids(runs[:2])
    assert set(hinted([hint for hint in store.waiting_hints() if hint.job_id == job.id])) == set(ids(runs[:2]))
    assert {hint.priority for hint in store.waiting_hints_of(job.id)} == {7 + BACKFILL_PRIORITY}

    [going, _] = start(store, job, runs[:2])
    assert hinted(store.waiting_hints_of(job.id)) == []
    assert hinted(store.finish([make_outcome(going)]).waiting) == [runs[2].id]


def test_a_run_between_two_attempts_keeps_its_place(store: SqlStore) -> None:
    job = added(store)
    _, runs = keep(store, job, 3)
    [going] = start(store, job, runs[:1])
    retrying = make_outcome(
        going, state=RunState.RETRYING, attempt_state=RunState.TIMED_OUT, due_at=NOON + HOUR, finished_at=NOON
    )

    finished = store.finish([retrying])

    assert hinted(finished.waiting) == [runs[0].id]
    assert finished.waiting[0].due_at == NOON + HOUR
    assert start(store, job, [runs[1]]) == []
    stored = store.job(job.id)
    assert stored is not None
    again = WaitingStart(runs[0].id, job.id, stored.version, NODE, token_of(runs[0]), NOON + HOUR)
    assert store.start_waiting([again])[runs[0].id].attempt == 2
    assert start(store, job, [runs[1]]) == []


def test_a_run_that_is_stuck_keeps_its_place(store: SqlStore) -> None:
    job = added(store)
    _, runs = keep(store, job, 2)
    [going] = start(store, job, runs[:1])

    finished = store.finish([make_outcome(going, state=RunState.TIMED_OUT, is_stuck=True)])

    assert hinted(finished.waiting) == []
    assert start(store, job, runs[1:]) == []


def test_a_large_backfill_does_not_hide_the_runs_that_wait_for_their_predecessor(store: SqlStore) -> None:
    job = added(store, policies=DEFAULT_POLICIES.with_changes({"overlap_policy": OverlapPolicy.QUEUE_ALL}))
    keep(store, job, 300)
    first = make_advance(job)
    store.advance([first])
    stored = store.job(job.id)
    assert stored is not None
    second = make_advance(stored)
    store.advance([second])
    assert first.run is not None
    assert second.run is not None
    assert stored_run(store, second.run).state is RunState.QUEUED

    assert hinted(store.finish([make_outcome(first.run)]).waiting) == [second.run.id]


def test_a_concurrency_key_that_is_free_again_has_backfills_looked_at(store: SqlStore) -> None:
    keyed = DEFAULT_POLICIES.with_changes({"concurrency_key": f"key-{uuid4()}"})
    holder, job = added(store, policies=keyed), added(store, policies=keyed)
    advance = make_advance(holder)
    assert advance.run is not None
    advance = replace(advance, run=replace(advance.run, concurrency_key=keyed.concurrency_key))
    store.advance([advance])
    _, runs = keep(store, job, 3)
    assert start(store, job, runs) == []

    assert advance.run is not None
    finished = store.finish([make_outcome(advance.run)])

    assert hinted(finished.waiting) == [runs[0].id]
    assert ids(start(store, job, runs)) == [runs[0].id]


def test_a_start_of_a_backfill_is_not_the_last_run_of_its_job(store: SqlStore) -> None:
    job = added(store)
    _, runs = keep(store, job, 1)

    start(store, job, runs)

    assert store.job(job.id) == job


def test_no_run_of_a_paused_job_starts(store: SqlStore) -> None:
    job = added(store, status=JobStatus.PAUSED, next_run_at=None)
    _, runs = keep(store, job, 2)

    assert start(store, job, runs) == []


def test_cancelling_ends_what_waits_and_marks_what_is_going(store: SqlStore) -> None:
    job = added(store)
    backfill, runs = keep(store, job, 4)
    [going] = start(store, job, runs[:1])

    ending, progress = store.cancel_backfill(backfill.id, at=NOON + HOUR, reason="enough")

    assert (ending.cancelled, ending.going) == (3, (going.id,))
    assert progress.state is BackfillState.CANCELLED
    assert progress.backfill.cancelled_at == NOON + HOUR
    assert progress.runs == {RunState.RUNNING: 1, RunState.CANCELLED: 3}
    assert stored_run(store, going).cancel_reason == "enough"
    waited = stored_run(store, runs[1])
    assert (waited.finished_at, waited.reason, waited.due_at) == (NOON + HOUR, "enough", None)


def test_cancelling_one_backfill_leaves_the_others(store: SqlStore) -> None:
    job = added(store)
    backfill, _ = keep(store, job, 2)
    other, _ = keep(store, job, 2)

    store.cancel_backfill(backfill.id, at=NOON, reason="enough")

    found = store.views.backfill(other.id)
    assert found is not None
    assert found.runs == {RunState.QUEUED: 2}


def test_what_is_over_is_not_cancelled(store: SqlStore) -> None:
    job = added(store)
    backfill, runs = keep(store, job, 1)
    store.finish([make_outcome(run) for run in start(store, job, runs)])
    found = store.views.backfill(backfill.id)
    assert found is not None
    assert found.state is BackfillState.COMPLETED

    with pytest.raises(BackfillIsOver):
        store.cancel_backfill(backfill.id, at=NOON, reason="enough")
    with pytest.raises(BackfillNotFound):
        store.cancel_backfill(uuid4(), at=NOON, reason="enough")

    assert store.views.backfill(backfill.id) == found


@pytest.mark.parametrize("all_of_them", [False, True])
def test_deleting_a_job_cancels_those_of_its_backfills_that_are_not_over(store: SqlStore, all_of_them: bool) -> None:
    job = added(store)
    done, runs = keep(store, job, 1)
    store.finish([make_outcome(run) for run in start(store, job, runs)])
    going, _ = keep(store, job, 2)

    if all_of_them:
        store.delete_all_jobs(at=NOON + HOUR)
    else:
        store.delete_job(job.id, at=NOON + HOUR)

    states = {each.backfill.id: each.state for each in store.views.backfills_of(job.id, limit=10)}
    assert states == {done.id: BackfillState.COMPLETED, going.id: BackfillState.CANCELLED}


def test_the_same_slot_may_have_run_by_schedule_and_in_another_backfill(store: SqlStore) -> None:
    job = added(store, next_run_at=NOON - HOUR)
    store.advance([make_advance(job)])

    keep(store, job, 1)
    keep(store, job, 1)
