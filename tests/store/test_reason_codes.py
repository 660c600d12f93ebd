"""Why a slot did not run, as a word: written wherever a run is skipped or ended, on both databases."""

from datetime import timedelta
from uuid import uuid4

from engine.nouns import Job, Run, RunState
from engine.policies import OverlapPolicy, Policies
from engine.reason_codes import ReasonCode, run_in_the_way
from store import SqlStore
from tests.factories import NOON, make_advance, make_job, make_outcome

MINUTE = timedelta(minutes=1)


def claimed(store: SqlStore, job: Job) -> Run:
    """What is recorded of the job's next slot."""
    current = store.job(job.id)
    assert current is not None
    recorded = store.advance([make_advance(current)])[job.id]
    assert recorded is not None
    return recorded


def stored(store: SqlStore, run: Run) -> Run:
    found = store.run(run.id)
    assert found is not None
    return found


def test_a_slot_that_overlaps_says_so_and_names_the_run_in_its_way(store: SqlStore) -> None:
    job = make_job()
    store.add_job(job)
    first, second = claimed(store, job), claimed(store, job)
    found = stored(store, second)
    assert (found.state, found.reason_code) == (RunState.SKIPPED, ReasonCode.OVERLAP)
    assert run_in_the_way(found.reason or "") == first.id
    assert stored(store, first).reason_code is None


def test_a_slot_that_waited_and_was_superseded_says_so_and_names_the_later_run(store: SqlStore) -> None:
    job = make_job(policies=Policies(overlap_policy=OverlapPolicy.CANCEL_RUNNING))
    store.add_job(job)
    _, second, third = claimed(store, job), claimed(store, job), claimed(store, job)
    found = stored(store, second)
    assert (found.state, found.reason_code) == (RunState.SKIPPED, ReasonCode.OVERLAP)
    assert run_in_the_way(found.reason or "") == third.id


def test_a_run_that_was_refused_before_its_call_keeps_the_word_of_its_refusal(store: SqlStore) -> None:
    job = make_job()
    store.add_job(job)
    run = claimed(store, job)
    refused = make_outcome(run, state=RunState.SKIPPED, reason="paused", reason_code=ReasonCode.PAUSED)
    store.finish([refused])
    assert stored(store, run).reason_code is ReasonCode.PAUSED


def test_a_waiting_run_is_ended_with_the_word_that_is_given(store: SqlStore) -> None:
    job = make_job(policies=Policies(overlap_policy=OverlapPolicy.QUEUE_ALL))
    store.add_job(job)
    claimed(store, job)
    second, third = claimed(store, job), claimed(store, job)
    assert store.end_waiting([second.id], RunState.SKIPPED, at=NOON, reason="gone", code=ReasonCode.ORPHANED) == 1
    assert stored(store, second).reason_code is ReasonCode.ORPHANED
    store.delete_job(job.id, at=NOON + MINUTE)
    assert (stored(store, third).state, stored(store, third).reason_code) == (RunState.CANCELLED, ReasonCode.DELETED)
    assert store.run(uuid4()) is None
