"""What nodes that write at once, or too late, leave on record."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from engine.nodes import Claimant
from engine.nouns import Advance, Job, Pause, Run, RunState, WaitingStart
from engine.policies import Policies
from store import SqlStore, pause_rows
from store.locks import succeeds_within
from store.tables import jobs
from tests.factories import IDLE, NOON, make_advance, make_job, make_node, make_outcome, make_run, token_of

SECOND = timedelta(seconds=1)


def lost_and_started_elsewhere(store: SqlStore, run: Run) -> UUID:
    """The node of the run was taken for dead; returns the claim by which it runs now."""
    store.finish(
        [make_outcome(run, state=RunState.RETRYING, attempt_state=RunState.LOST, due_at=NOON, duration_ms=None)]
    )
    job, claim_id = store.job(run.job_id), uuid4()
    assert job is not None
    started = store.start_waiting([WaitingStart(run.id, job.id, job.version, uuid4(), claim_id, NOON + SECOND)])
    assert started[run.id].state is RunState.RUNNING
    return claim_id


def claim_of(job: Job) -> Advance:
    plan = make_advance(job)
    assert plan.run is not None
    return replace(plan, run=replace(plan.run, concurrency_key=job.policies.concurrency_key))


@pytest.mark.parametrize("policies", [Policies(), Policies(max_instances=5, concurrency_key="one")])
def test_what_ended_by_a_claim_that_was_lost_is_in_the_way_while_it_runs_by_another(
    store: SqlStore, policies: Policies
) -> None:
    job = make_job(policies=policies)
    store.add_job(job)
    first = claim_of(job)
    store.advance([first])
    assert first.run is not None
    now = lost_and_started_elsewhere(store, first.run)
    after = store.job(job.id)
    assert after is not None
    second = claim_of(after)
    # The node that lost it has seen it end, and not told that yet.
    recorded = store.advance([second], ended={token_of(first.run)})[job.id]
    assert recorded is not None
    assert recorded.state in {RunState.SKIPPED, RunState.QUEUED}
    manual = make_run(job_id=job.id, concurrency_key=policies.concurrency_key)
    assert store.add_manual_run(manual, ended={token_of(first.run)}) == first.run.id
    assert store.run(manual.id) is None
    assert now != token_of(first.run)


@contextmanager
def held(store: SqlStore, job: Job) -> Iterator[None]:
    """Somebody is frozen in a transaction that has locked the job."""
    with store._transactions.writing_database.begin() as connection:
        connection.execute(select(jobs.c.id).where(jobs.c.id == job.id).with_for_update()).all()
        yield


def test_a_job_that_somebody_holds_keeps_no_other_from_starting_what_waits(postgres_store: SqlStore) -> None:
    store = postgres_store
    first, second = make_job(), make_job()
    waiting = []
    for job in (first, second):
        store.add_job(job)
        waiting.append(make_run(job_id=job.id).queued("waits", at=NOON))
        store.add_manual_run(waiting[-1], is_forced=True)
    starts = [WaitingStart(run.id, run.job_id, first.version, uuid4(), uuid4(), NOON) for run in waiting]
    with held(store, first):
        assert set(store.start_waiting(starts)) == {waiting[1].id}
    assert set(store.start_waiting(starts)) == {waiting[0].id}


def test_a_heartbeat_does_not_wait_with_a_claim_that_waits_for_somebody(postgres_store: SqlStore) -> None:
    store = postgres_store
    job, node = make_job(), make_node()
    store.add_job(job)
    store.node_started(node)
    with ThreadPoolExecutor() as pool:
        with held(store, job):
            run = make_run(job_id=job.id, node=node.id)
            claim = pool.submit(store.add_manual_run, run, by=Claimant(node.id, NOON))
            await_lock_wait(store)
            seen = pool.submit(store.node_seen, node.id, NOON, IDLE)
            assert seen.result(timeout=2)
        assert claim.result() is None
    assert store.run(run.id) == run


def await_lock_wait(store: SqlStore) -> None:
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    with store._transactions.reading_database.connect() as connection:
        assert succeeds_within(20, lambda: bool(connection.scalar(waiting)))


def test_of_two_pauses_of_everything_at_once_one_is_in_force(postgres_store: SqlStore) -> None:
    store = postgres_store
    first, second = (Pause(NOON + number * SECOND, None, None, None) for number in range(2))
    with ThreadPoolExecutor() as pool:
        with store._transactions.writing_database.begin() as connection:
            pause_rows.begin_global_pause(connection, first)
            begun = pool.submit(store.begin_global_pause, second)
            await_lock_wait(store)
        begun.result()
    assert store.end_global_pause(NOON + 2 * SECOND, only=second)
    left = store.global_pause()
    store.end_global_pause(NOON + 3 * SECOND)
    assert left is None
