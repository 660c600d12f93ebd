"""Runs read back, newest first, page by page."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from engine.nouns import Run, RunError, RunState, Trigger
from store import SqlStore
from tests.factories import NOON, make_job, make_run


def kept(store: SqlStore, job_id: UUID, **overrides: object) -> Run:
    run = make_run(**({"job_id": job_id, "trigger": Trigger.MANUAL, "state": RunState.SUCCEEDED} | overrides))
    assert store.add_manual_run(run) is None
    return run


def newest_first(runs: list[Run]) -> list[Run]:
    return sorted(runs, key=lambda run: (run.scheduled_for, run.id), reverse=True)


def read(store: SqlStore, *, job_id: UUID | None = None, state: RunState | None = None) -> list[Run]:
    runs: list[Run] = []
    while page := store.views.runs_page(
        job_id=job_id, state=state, before=(runs[-1].scheduled_for, runs[-1].id) if runs else None, limit=3
    ):
        runs.extend(page)
    return runs


@pytest.fixture
def job_id(store: SqlStore) -> UUID:
    job = make_job()
    store.add_job(job)
    return job.id


def test_a_run_comes_back_as_it_was_kept(store: SqlStore, job_id: UUID) -> None:
    run = kept(
        store,
        job_id,
        state=RunState.FAILED,
        attempt=3,
        finished_at=NOON + timedelta(microseconds=1),
        lateness_ms=0.125,
        duration_ms=1e-3,
        error=RunError("Exception", "Grüße 🌍", "line 1\nline 2"),
        result=[{"a": None}],
        reason="because",
        slot_count=2,
        last_scheduled_for=NOON,
    )
    assert store.run(run.id) == run
    assert store.run(uuid4()) is None


@pytest.mark.parametrize("state", RunState)
@pytest.mark.parametrize("trigger", Trigger)
def test_every_state_and_trigger_comes_back(store: SqlStore, job_id: UUID, state: RunState, trigger: Trigger) -> None:
    run = store.run(kept(store, job_id, state=state, trigger=trigger).id)
    assert run is not None
    assert run.state is state
    assert run.trigger is trigger


@pytest.mark.parametrize("result", [0, "", False, [], {}, "text"])
def test_an_empty_result_is_not_the_same_as_none(store: SqlStore, job_id: UUID, result: object) -> None:
    run = store.run(kept(store, job_id, result=result).id)
    assert run is not None
    assert run.result == result


def test_pages_of_runs_join_up_also_where_runs_share_an_instant(store: SqlStore, job_id: UUID) -> None:
    runs = [kept(store, job_id, scheduled_for=NOON + timedelta(seconds=number // 4)) for number in range(10)]
    assert read(store) == newest_first(runs)


def test_runs_of_one_job_or_in_one_state_are_found(store: SqlStore, job_id: UUID) -> None:
    other = make_job()
    store.add_job(other)
    ours = [kept(store, job_id) for _ in range(4)]
    skipped = [kept(store, job_id, state=RunState.SKIPPED) for _ in range(4)]
    theirs = [kept(store, other.id, state=RunState.SKIPPED)]
    assert read(store, job_id=job_id) == newest_first(ours + skipped)
    assert read(store, state=RunState.SKIPPED) == newest_first(skipped + theirs)
    assert read(store, job_id=job_id, state=RunState.SKIPPED) == newest_first(skipped)


def test_a_job_with_runs_is_told_from_one_without(store: SqlStore, job_id: UUID) -> None:
    assert not store.views.has_runs(job_id)
    kept(store, job_id)
    assert store.views.has_runs(job_id)
