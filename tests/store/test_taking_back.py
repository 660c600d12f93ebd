"""Claims that are taken back: as if they had never been, or not at all."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from engine.nodes import Claimant
from engine.nouns import Advance, Assignment, Job, JobStatus, Run
from engine.policies import OverlapPolicy, Policies
from store import SqlStore
from tests.factories import NOON, make_advance, make_job, make_node, make_outcome, make_run

MINUTE = timedelta(minutes=1)


def claimed(store: SqlStore, job: Job, **overrides: object) -> tuple[Assignment, int]:
    """The job's next slot, claimed, and the version that made."""
    advance = make_advance(job, **overrides)
    recorded = store.advance([advance])[job.id]
    assert recorded is not None
    return Assignment(recorded, job), job.version + 1


def added(store: SqlStore, **overrides: object) -> Job:
    job = make_job(**overrides)
    store.add_job(job)
    return job


@pytest.mark.parametrize("is_last", [False, True])
def test_a_job_whose_claim_is_taken_back_is_what_it_was_before(store: SqlStore, is_last: bool) -> None:
    job = added(store, last_run_at=NOON - MINUTE, last_scheduled_for=NOON - MINUTE, run_count=3)
    claim = claimed(store, job, **({"next_run_at": None} if is_last else {}))

    assert store.take_back([claim]) == {claim[0].run.id}

    assert store.job(job.id) == replace(job, version=job.version + 2)
    assert store.run(claim[0].run.id) is None
    # Its slot may be claimed again.
    assert claimed(store, replace(job, version=job.version + 2))


def test_what_is_not_the_claims_own_stays(store: SqlStore) -> None:
    job = added(store, policies=Policies(overlap_policy=OverlapPolicy.ALLOW))
    earlier, _ = claimed(store, job)
    moved_on = store.job(job.id)
    assert moved_on is not None
    claim = claimed(store, moved_on, run=make_run(job_id=job.id, scheduled_for=NOON + MINUTE, started_at=NOON + MINUTE))
    store.finish([make_outcome(earlier.run)])

    assert store.take_back([claim]) == {claim[0].run.id}

    left = store.job(job.id)
    assert left is not None
    assert (left.run_count, left.last_run_at, left.next_run_at) == (1, NOON, NOON + MINUTE)
    kept = store.run(earlier.run.id)
    assert kept is not None
    assert kept.state == "succeeded"


@pytest.mark.parametrize("since", ["edited", "deleted", "over", "claimed again"])
def test_a_claim_that_something_came_after_is_not_taken_back(store: SqlStore, since: str) -> None:
    job = added(store, policies=Policies(overlap_policy=OverlapPolicy.ALLOW))
    assignment, version = claimed(store, job)
    stored = store.job(job.id)
    assert stored is not None
    match since:
        case "edited":
            edited = replace(stored, name="another", version=stored.version + 1)
            assert store.replace_job(edited, expected_version=stored.version, dropped=None)
        case "deleted":
            assert store.delete_job(job.id, at=NOON)
        case "over":
            store.finish([make_outcome(assignment.run)])
        case "claimed again":
            claimed(store, stored)
    before = store.job(job.id), store.run(assignment.run.id)

    assert store.take_back([(assignment, version)]) == set()

    assert (store.job(job.id), store.run(assignment.run.id)) == before


def test_of_many_claims_each_is_taken_back_or_not(store: SqlStore) -> None:
    claims = [claimed(store, added(store)) for _ in range(5)]
    store.finish([make_outcome(claims[2][0].run)])

    taken_back = store.take_back(claims)

    assert taken_back == {assignment.run.id for assignment, _ in claims} - {claims[2][0].run.id}


def ahead(job: Job, **overrides: object) -> Advance:
    return make_advance(job, is_ahead=True, **overrides)


@pytest.mark.parametrize("policy", list(OverlapPolicy))
def test_a_claim_ahead_is_left_out_if_its_run_could_not_start_now(store: SqlStore, policy: OverlapPolicy) -> None:
    job = added(store, policies=Policies(overlap_policy=policy))
    going, _ = claimed(store, job)
    moved_on = store.job(job.id)
    assert moved_on is not None
    slot = {"run": make_run(job_id=job.id, scheduled_for=NOON + MINUTE, started_at=NOON + MINUTE)}

    recorded = store.advance([ahead(moved_on, **slot)])

    assert bool(recorded) == (policy is OverlapPolicy.ALLOW)
    assert (store.job(job.id) == moved_on) == (policy is not OverlapPolicy.ALLOW)
    still: Run | None = store.run(going.run.id)
    assert still is not None
    assert still.cancel_reason is None


def test_a_claim_ahead_of_a_taken_key_is_left_out(store: SqlStore) -> None:
    keyed = Policies(concurrency_key="k")
    first, second = added(store, policies=keyed), added(store, policies=keyed)
    run = make_run(job_id=first.id, scheduled_for=NOON, started_at=NOON, concurrency_key="k")
    claimed(store, first, run=run)
    slot = {"run": make_run(job_id=second.id, scheduled_for=NOON, started_at=NOON, concurrency_key="k")}

    assert store.advance([ahead(second, **slot)]) == {}

    assert store.job(second.id) == second


def test_a_claim_ahead_is_left_out_where_the_nodes_clock_is_ahead_of_the_databases(store: SqlStore) -> None:
    record = make_node()
    store.node_started(record)
    soon = datetime.now(UTC).replace(microsecond=0) + 60 * MINUTE
    job = added(store, next_run_at=soon)
    by_its_clock = Claimant(record.id, soon - timedelta(milliseconds=40))

    recorded = store.advance([ahead(job)], by=by_its_clock)

    assert bool(recorded) == (store.time() is None)


def test_a_claim_ahead_is_applied_where_the_nodes_clock_is_right(store: SqlStore) -> None:
    record = make_node()
    store.node_started(record)
    now = store.time() or datetime.now(UTC)
    job = added(store, next_run_at=now + timedelta(milliseconds=40))

    assert set(store.advance([ahead(job)], by=Claimant(record.id, now))) == {job.id}


@pytest.mark.parametrize("count", [1, 2, 127, 128, 129, 300])
def test_batches_of_any_size_are_written_whole(store: SqlStore, count: int) -> None:
    jobs = [added(store) for _ in range(count)]

    recorded = store.advance([make_advance(job) for job in jobs])
    runs = [run for run in recorded.values() if run is not None]
    finished = store.finish([make_outcome(run, duration_ms=0.1 + index) for index, run in enumerate(runs)])

    assert len(runs) == count
    assert not finished.late
    kept = [store.run(run.id) for run in runs]
    assert [run.duration_ms for run in kept if run is not None] == [0.1 + index for index in range(count)]
    assert {run.state.value for run in kept if run is not None} == {"succeeded"}


@pytest.mark.parametrize("seconds", [0.1, 1 / 3, 1.1e-1, 86_400.000_000_1, 1e9 / 7])
def test_numbers_are_read_with_all_their_digits(store: SqlStore, seconds: float) -> None:
    job = added(store, interval_seconds=seconds, policies=Policies(retry_delay_seconds=seconds))

    assert store.jobs_by_id([job.id]) == [job]


def test_jobs_are_read_alike_one_by_one_and_together(store: SqlStore) -> None:
    jobs = [
        added(store, metadata={"text": "é\u2028'\"\\", "number": 2**70, "real": 1e-300, "none": None}),
        added(store, interval_seconds=None, cron_expression="*/5 * * * *", timezone="Europe/Berlin"),
        added(store, status=JobStatus.FAILED, consecutive_failures=2),
        added(store, interval_seconds=None, run_at=NOON, start_at=None),
    ]

    together = {job.id: job for job in store.jobs_by_id([job.id for job in jobs])}

    assert together == {job.id: store.job(job.id) for job in jobs}
    assert together == {job.id: job for job in jobs}
