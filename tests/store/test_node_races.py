"""What nodes that write at once, or too late, leave on record."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from engine.nouns import Advance, Job, Run, RunState, WaitingStart
from engine.policies import Policies
from store import SqlStore
from tests.factories import NOON, make_advance, make_job, make_outcome, make_run, token_of

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
