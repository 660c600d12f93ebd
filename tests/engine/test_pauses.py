"""Pauses in the running engine: until when, by whom, over a restart, of everything, and by the scheduler itself."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from engine.errors import EverythingPaused
from engine.nouns import Job, JobStatus, Outcome, RunError, RunState
from engine.policies import MisfirePolicy, Policies
from engine.requests import JobChange
from store import SqlStore
from store.tables import pauses
from tests.fakes import NOON, Node


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def restarted(node: Node, store: SqlStore) -> Node:
    node.stop()
    return Node(store, node.clock).start()


def history(store: SqlStore) -> list[Any]:
    """The rows of pauses that are over."""
    with store._reading() as connection:
        query = select(pauses).where(pauses.c.ended_at.is_not(None)).order_by(pauses.c.ended_at)
        return list(connection.execute(query).all())


def calls(node: Node) -> list[float]:
    return [(at - NOON).total_seconds() for _, at in node.calls]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_pause_ends_by_itself_and_its_slots_do_not_run(store: SqlStore, restarts: bool) -> None:
    node = Node(store).start()
    job = node.add()
    node.advance(10)
    node.scheduler.pausing.pause(job.id, until=after(35), by="ada", note="repairs")
    node = restarted(node, store) if restarts else node

    node.advance(24)
    stored = node.job(job)
    assert stored.status is JobStatus.PAUSED
    assert stored.pause is not None
    assert (stored.pause.until, stored.pause.by, stored.pause.note) == (after(35), "ada", "repairs")
    node.advance(20)

    assert calls(node)[-2:] == [40.0, 50.0]
    assert node.job(job).pause is None
    (row,) = history(store)
    assert (row.job_id, row.by, row.note, row.paused_at, row.ended_at) == (
        job.id,
        "ada",
        "repairs",
        after(10),
        after(35),
    )
    node.stop()


@pytest.mark.parametrize("downtime", [100.0])
def test_a_pause_that_ended_during_downtime_ended_then(store: SqlStore, downtime: float) -> None:
    node = Node(store).start()
    job = node.add()
    node.scheduler.pausing.pause(job.id, until=after(35))
    node.stop()
    node.clock.step_wall(downtime)
    node = Node(store, node.clock).start()

    node.advance(10)
    node.stop()

    assert node.job(job).status is JobStatus.ACTIVE
    assert calls(node) == [100.0, 110.0]
    assert [(run.state, run.slot_count) for run in node.runs(job)][:1] == [(RunState.MISSED, 6)]


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        (MisfirePolicy.RUN_ONCE, [("missed", 3), ("succeeded", 1)]),
        (MisfirePolicy.SKIP, [("missed", 4)]),
        (MisfirePolicy.RUN_ALL, [("succeeded", 1)] * 4),
    ],
)
def test_a_resume_that_catches_up_deals_with_the_slots_of_the_pause_as_after_downtime(
    node: Node, policy: MisfirePolicy, wanted: list[tuple[str, int]]
) -> None:
    job = node.add(policies=Policies(misfire_policy=policy, misfire_grace_seconds=1.0))
    node.scheduler.pausing.pause(job.id)
    node.advance(45)

    node.scheduler.pausing.resume(job.id, catch_up=True)
    node.settle()
    node.advance(0)

    assert [(run.state.value, run.slot_count) for run in node.runs(job)] == wanted


def test_a_second_pause_changes_the_first_and_they_are_kept_as_one(node: Node, store: SqlStore) -> None:
    job = node.add()
    node.scheduler.pausing.pause(job.id, until=after(20), by="ada")
    node.scheduler.pausing.pause(job.id, until=after(50), by="bob")
    node.advance(49)
    assert node.calls == []
    assert history(store) == []
    node.advance(11)

    assert calls(node) == [60.0]
    assert [row.by for row in history(store)] == ["bob"]


def test_an_edit_of_a_paused_job_leaves_its_pause_alone(node: Node, store: SqlStore) -> None:
    job = node.add()
    node.scheduler.pausing.pause(job.id, until=after(35), by="ada")
    node.scheduler.change_job(job.id, JobChange(name="renamed"))
    assert history(store) == []
    node.advance(40)
    assert calls(node) == [40.0]


# --- By the scheduler itself ----------------------------------------------------------------------------


Fails = Callable[[str], None]


def add_failing(node: Node, fails: list[bool], **policies: Any) -> Job:
    """Fails for each True, in their order, and then no more."""

    def function(job_id: str) -> None:
        if fails and fails.pop(0):
            raise ValueError(job_id)

    node.functions.register("fail", function)
    return node.add(function_name="fail", policies=Policies(retry_delay_seconds=1.0, retry_jitter=0.0, **policies))


def await_status(node: Node, job: Job, status: JobStatus) -> None:
    """The recorder decides after the permit is back, so a moment after `settle`."""
    for _ in range(5_000):
        if node.job(job).status is status:
            return
        with node.clock._changed:
            node.clock._changed.wait(0.002)
    raise AssertionError(node.job(job).status)


def test_runs_that_end_badly_in_a_row_pause_their_job_once_each_whatever_its_retries(node: Node) -> None:
    job = add_failing(node, [True] * 20, pause_after_failures=2, max_retries=1)
    node.advance(12)
    assert node.job(job).status is JobStatus.FAILED
    node.advance(10)

    await_status(node, job, JobStatus.PAUSED)
    pause = node.job(job).pause
    assert pause is not None
    assert pause.by == "scheduler"
    assert pause.reason == "2 of its runs by schedule ended badly in a row; pause_after_failures is 2"
    assert len(node.runs()) == 2


@pytest.mark.parametrize("what", ["a success", "a run by hand"])
def test_a_streak_ends_with_a_success_and_is_not_made_by_hand(node: Node, what: str) -> None:
    fails = [True, False, True] if what == "a success" else [True, True, False]
    job = add_failing(node, fails, pause_after_failures=2)
    node.advance(10)
    if what == "a run by hand":
        node.scheduler.run_now(job.id)
        node.settle()
    node.advance(20)

    assert node.job(job).status in (JobStatus.ACTIVE, JobStatus.FAILED)
    assert node.job(job).pause is None


def test_a_resume_begins_a_new_streak(node: Node) -> None:
    job = add_failing(node, [True] * 3, pause_after_failures=2)
    node.advance(20)
    await_status(node, job, JobStatus.PAUSED)

    node.scheduler.resume_job(job.id)
    node.advance(10)

    assert node.job(job).consecutive_failures == 1
    assert node.job(job).status is JobStatus.FAILED


def test_three_attempts_that_take_their_process_with_them_pause_the_job(node: Node, store: SqlStore) -> None:
    job = add_failing(node, [])
    real = node.scheduler._recorder._store

    class Crashing:
        """The store, told that every call crashed."""

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def finish(self, outcomes: list[Outcome], **options: Any) -> Any:
            error = RunError("engine.ProcessDied", "", "")
            crashed = [
                Outcome(
                    run_id=each.run_id,
                    job_id=each.job_id,
                    claim_id=each.claim_id,
                    state=RunState.FAILED,
                    finished_at=each.finished_at,
                    error=error,
                    is_crash=True,
                )
                for each in outcomes
            ]
            return real.finish(crashed, **options)

    node.scheduler._recorder._store = Crashing()  # type: ignore[assignment]
    node.advance(30)

    await_status(node, job, JobStatus.PAUSED)
    pause = node.job(job).pause
    assert pause is not None
    assert pause.reason == "its last 3 attempts took their worker process with them"


# --- Of everything --------------------------------------------------------------------------------------


@pytest.mark.parametrize("restarts", [False, True])
def test_a_pause_of_everything_holds_all_but_what_is_forced_and_ends_by_itself(store: SqlStore, restarts: bool) -> None:
    node = Node(store).start()
    job = node.add()
    node.scheduler.pausing.pause_all(until=after(45), by="ada", note="move")
    node = restarted(node, store) if restarts else node
    assert node.scheduler.health().is_paused
    node.advance(25)
    with pytest.raises(EverythingPaused):
        node.scheduler.run_now(job.id)
    node.scheduler.run_now(job.id, is_forced=True)
    node.settle()
    assert calls(node) == [25.0]

    node.advance(25)
    node.stop()

    assert calls(node) == [25.0, 50.0]
    (missed,) = (run for run in node.runs() if run.state is RunState.MISSED)
    assert (missed.slot_count, missed.scheduled_for) == (4, after(10))
    assert missed.reason == "everything was paused by ada from 2026-01-01T12:00:00Z to 2026-01-01T12:00:45Z"
    assert [(row.job_id, row.by, row.ended_at) for row in history(store)] == [(None, "ada", after(45))]


def test_everything_resumed_with_catch_up_deals_with_slots_as_after_downtime(node: Node) -> None:
    job = node.add()
    node.scheduler.pausing.pause_all(until=None, by=None, note=None)
    node.advance(45)
    node.scheduler.pausing.resume_all(catch_up=True)
    node.settle()

    assert [(run.state.value, run.slot_count) for run in node.runs(job)] == [("missed", 3), ("succeeded", 1)]
    assert calls(node) == [45.0]


def test_a_retry_waits_for_the_end_of_a_pause_of_everything(node: Node) -> None:
    job = add_failing(node, [True], max_retries=1)
    node.advance(10)
    node.scheduler.pausing.pause_all(until=None, by=None, note=None)
    node.advance(5)
    assert node.runs(job)[0].state is RunState.RETRYING

    node.scheduler.pausing.resume_all()
    node.settle()

    assert node.runs(job)[0].state is RunState.SUCCEEDED
