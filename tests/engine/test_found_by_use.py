"""What a demanding user found: pauses that end in downtime, late slots that skip each other, limits that are raised."""

from datetime import timedelta
from typing import Any

import pytest

from engine.nouns import Job, JobStatus, RunState
from engine.policies import MisfirePolicy, OverlapPolicy, Policies
from engine.requests import JobChange
from store import SqlStore
from tests.fakes import NOON, Latch, Node, running


def told(node: Node, job: Job) -> list[tuple[str, int]]:
    """State and number of slots of each row, the oldest first."""
    return [(run.state.value, run.slot_count) for run in node.runs(job)]


def test_what_comes_due_after_a_pause_that_ends_in_downtime_is_downtime(store: SqlStore) -> None:
    first = Node(store)
    with running(first):
        job = first.add()
        first.scheduler.pausing.pause(job.id, until=NOON + timedelta(seconds=65))
    first.clock.advance_to_next(first.clock.monotonic() + 600.0)

    second = Node(store, first.clock)
    with running(second):
        second.advance(0)
        assert told(second, job) == [("missed", 53), ("succeeded", 1)]
        assert second.runs(job)[0].scheduled_for == NOON + timedelta(seconds=70)


def test_a_pause_of_everything_that_ends_in_downtime_ends_at_its_time(store: SqlStore) -> None:
    first = Node(store)
    with running(first):
        job = first.add()
        first.scheduler.pausing.pause_all(until=NOON + timedelta(seconds=65), by="Ada", note=None)
    first.clock.advance_to_next(first.clock.monotonic() + 600.0)

    second = Node(store, first.clock)
    with running(second):
        second.advance(0)
        paused, missed, ran = second.runs(job)
        assert second.scheduler.pausing.current is None
    assert (paused.slot_count, paused.last_scheduled_for) == (6, NOON + timedelta(seconds=60))
    assert paused.reason == "everything was paused by Ada from 2026-01-01T12:00:00Z to 2026-01-01T12:01:05Z"
    assert (missed.state, missed.scheduled_for) == (RunState.MISSED, NOON + timedelta(seconds=70))
    assert (ran.state, ran.scheduled_for) == (RunState.SUCCEEDED, NOON + timedelta(seconds=600))


def test_a_pause_that_is_changed_goes_on_as_the_one_that_it_is(node: Node, store: SqlStore) -> None:
    job = node.add()
    node.scheduler.pausing.pause(job.id, until=NOON + timedelta(seconds=100), by="Ada")
    node.advance(20)

    paused = node.scheduler.pausing.pause(job.id, note="stocktaking")

    assert paused.pause is not None
    assert (paused.pause.at, paused.pause.until) == (NOON, NOON + timedelta(seconds=100))
    assert (paused.pause.by, paused.pause.note) == ("Ada", "stocktaking")
    node.advance(100)
    assert node.job(job).status is JobStatus.ACTIVE
    kept = store.pauses_over(job.id, at=NOON + timedelta(seconds=50))
    assert [row.pause.at for row in kept] == [NOON]


@pytest.mark.parametrize(
    ("policy", "states"),
    [(MisfirePolicy.RUN_ALL, {"succeeded"}), (MisfirePolicy.RUN_ONCE, {"succeeded", "skipped"})],
)
def test_slots_that_are_late_within_the_grace_all_run_if_all_are_to(
    node: Node, policy: MisfirePolicy, states: set[str]
) -> None:
    job = node.add(interval_seconds=1.0, policies=Policies(misfire_policy=policy, misfire_grace_seconds=60.0))

    node.step_wall(8)
    node.advance(0)

    assert len(node.runs(job)) == 8
    assert {run.state.value for run in node.runs(job)} <= states


def test_slots_late_for_another_reason_have_not_piled_up_behind_the_pool(store: SqlStore) -> None:
    first = Node(store)
    with running(first):
        grace = Policies(misfire_policy=MisfirePolicy.SKIP, misfire_grace_seconds=60.0)
        jobs = [first.add(interval_seconds=2.0, policies=grace) for _ in range(3)]
    first.clock.advance_to_next(first.clock.monotonic() + 7.0)

    # One place in the pool for three jobs that are late: two of them wait for it, and not because of it.
    second = Node(store, first.clock, pool_size=1)
    with running(second):
        second.advance(0)
        rows = [run for job in jobs for run in second.runs(job)]
    assert len(rows) == 9
    assert not [run.reason for run in rows if "place in the pool" in (run.reason or "")]


@pytest.mark.parametrize(
    "raised", [{"max_instances": 2}, {"overlap_policy": OverlapPolicy.ALLOW}], ids=["more instances", "any number"]
)
def test_a_raised_limit_is_told_to_those_who_wait(node: Node, raised: dict[str, Any]) -> None:
    latch = Latch()
    node.functions.register("slow", latch)
    job = node.add(function_name="slow", policies=Policies(overlap_policy=OverlapPolicy.QUEUE_ONE))
    node.advance(20, runs_end=False)
    latch.await_entry()
    assert [run.state for run in node.runs(job)] == [RunState.RUNNING, RunState.QUEUED]

    node.scheduler.change_job(job.id, JobChange(policies=raised))
    latch.await_entry()

    assert [run.state for run in node.runs(job)] == [RunState.RUNNING, RunState.RUNNING]
    node.scheduler.pause_job(job.id)
    for _ in range(2):
        latch.release()
    node.settle()
