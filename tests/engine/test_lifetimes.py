"""How long jobs live: one-shots, windows and numbers of runs, in the running engine; and jitter, which it keeps."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from engine.errors import InvalidSchedule
from engine.nouns import Job, JobStatus, RunState
from engine.requests import JobChange, JobDraft
from store import SqlStore
from tests.fakes import NOON, Latch, Node

COMPLETED = (JobStatus.COMPLETED, None)


def standing(node: Node, job: Job) -> tuple[JobStatus, datetime | None]:
    stored = node.job(job)
    return stored.status, stored.next_run_at


def states(node: Node, job: Job) -> list[str]:
    return [run.state.value for run in node.runs(job)]


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def draft_of(job: Job, **overrides: Any) -> JobDraft:
    """The draft that made the job, sent once more."""
    fields = {name: getattr(job, name) for name in ("name", "function_name", "timing", "metadata")}
    return JobDraft(**(fields | overrides))


# --- One-shots ------------------------------------------------------------------------------------------


def test_a_one_shot_runs_once_at_its_date_and_is_completed(node: Node) -> None:
    job = node.add(run_at=after(3_600))

    node.advance(3_599)
    assert node.calls == []
    node.advance(86_400)

    assert node.calls == [(str(job.id), after(3_600))]
    assert [(run.state, run.scheduled_for) for run in node.runs(job)] == [(RunState.SUCCEEDED, after(3_600))]
    assert standing(node, job) == COMPLETED
    assert (node.job(job).run_count, node._agenda.scheduled_jobs) == (1, 0)


@pytest.mark.parametrize("late", [3.0, 60.0, 86_400.0 * 365])
def test_a_one_shot_that_came_due_during_downtime_runs_once(store: SqlStore, late: float) -> None:
    first = Node(store).start()
    job = first.add(run_at=after(60))
    first.stop()
    first.clock.step_wall(60 + late)

    second = Node(store, first.clock).start()
    second.advance(3_600)
    second.stop()

    assert states(second, job) == ["succeeded"]
    assert [run.lateness_ms for run in second.runs(job)] == [late * 1_000]
    assert standing(second, job) == COMPLETED
    third = Node(store, first.clock).start()
    third.advance(3_600)
    third.stop()
    assert third.calls == []


def test_a_one_shot_whose_run_fails_is_completed_all_the_same(node: Node) -> None:
    def fail(job_id: str) -> None:
        raise ValueError(job_id)

    node.functions.register("fail", fail)
    job = node.add(function_name="fail", run_at=after(60))

    node.advance(60)

    assert (states(node, job), standing(node, job)) == (["failed"], COMPLETED)


def test_a_repeated_put_of_a_one_shot_that_has_run_is_answered_and_runs_nothing(node: Node) -> None:
    job = node.add(run_at=after(60))
    node.advance(120)

    answered = node.scheduler.replace_job(job.id, draft_of(job))
    node.advance(3_600)

    assert answered.status is JobStatus.COMPLETED
    assert (states(node, job), standing(node, job)) == (["succeeded"], COMPLETED)


def test_a_one_shot_that_has_run_cannot_be_resumed_but_takes_a_new_date(node: Node) -> None:
    job = node.add(run_at=after(60))
    node.advance(120)

    with pytest.raises(InvalidSchedule, match=r"^run_at is 2026-01-01T12:01:00Z, which is past"):
        node.scheduler.resume_job(job.id)
    assert standing(node, job) == COMPLETED

    node.scheduler.change_job(job.id, JobChange(timing={"run_at": after(300)}))
    node.advance(300)
    assert [run.scheduled_for for run in node.runs(job)] == [after(60), after(300)]


def test_a_one_shot_that_is_paused_over_its_date_has_no_row_and_cannot_be_resumed(node: Node) -> None:
    job = node.add(run_at=after(60))
    node.scheduler.pause_job(job.id)
    node.advance(120)

    assert node.runs(job) == []
    with pytest.raises(InvalidSchedule, match="past"):
        node.scheduler.resume_job(job.id)


def test_a_completed_one_shot_can_be_run_by_hand(node: Node) -> None:
    job = node.add(run_at=after(60))
    node.advance(60)

    node.scheduler.run_now(job.id)
    node.settle()

    assert states(node, job) == ["succeeded", "succeeded"]
    assert (node.job(job).run_count, standing(node, job)) == (1, COMPLETED)


# --- Windows --------------------------------------------------------------------------------------------


def test_a_window_bounds_the_runs_and_its_end_completes_the_job(node: Node) -> None:
    job = node.add(interval_seconds=60.0, start_at=after(90), end_at=after(210))

    node.advance(3_600)

    assert [run.scheduled_for for run in node.runs(job)] == [after(90), after(150), after(210)]
    assert standing(node, job) == COMPLETED


def test_a_window_that_ends_between_two_slots_completes_the_job_with_the_last_one(node: Node) -> None:
    job = node.add(cron_expression="* * * * *", end_at=after(119))

    node.advance(60)

    assert (states(node, job), standing(node, job)) == (["succeeded"], COMPLETED)


def test_a_later_end_takes_the_job_up_again(node: Node) -> None:
    job = node.add(interval_seconds=60.0, end_at=after(60))
    node.advance(200)
    assert standing(node, job) == COMPLETED

    node.scheduler.change_job(job.id, JobChange(timing={"end_at": after(300)}))
    node.advance(3_600)

    assert [run.scheduled_for for run in node.runs(job)] == [after(60), after(240), after(300)]
    assert standing(node, job) == COMPLETED


def test_of_a_window_that_ended_during_downtime_the_latest_slot_runs(store: SqlStore) -> None:
    first = Node(store).start()
    job = first.add(interval_seconds=60.0, end_at=after(600))
    first.stop()
    first.clock.step_wall(86_400)

    second = Node(store, first.clock).start()
    second.advance(60)
    second.stop()

    missed, ran = second.runs(job)
    assert (missed.state, missed.slot_count, missed.last_scheduled_for) == (RunState.MISSED, 9, after(540))
    assert (ran.state, ran.scheduled_for) == (RunState.SUCCEEDED, after(600))
    assert standing(second, job) == COMPLETED


# --- Numbers of runs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [{"interval_seconds": 60.0}, {"cron_expression": "* * * * *"}])
def test_three_runs_are_three_runs(node: Node, kind: dict[str, Any]) -> None:
    job = node.add(max_runs=3, **kind)

    node.advance(3_600)

    assert [run.scheduled_for for run in node.runs(job)] == [after(60), after(120), after(180)]
    assert (standing(node, job), node.job(job).run_count) == (COMPLETED, 3)


def test_a_slot_that_was_skipped_does_not_count_as_a_run(node: Node) -> None:
    latch = Latch()
    node.functions.register("slow", latch)
    job = node.add(function_name="slow", max_runs=2)
    node.advance(10, runs_end=False)
    latch.await_entry()

    node.advance(20, runs_end=False)
    assert node.job(job).run_count == 1
    latch.release()
    latch.release()
    node.settle()
    node.advance(60)

    assert states(node, job) == ["succeeded", "skipped", "skipped", "succeeded"]
    assert standing(node, job) == COMPLETED


def test_slots_that_were_missed_do_not_count_as_runs(node: Node) -> None:
    job = node.add(max_runs=3)

    node.step_wall(105)
    node.advance(60)

    assert states(node, job) == ["missed", "succeeded", "succeeded", "succeeded"]
    assert standing(node, job) == COMPLETED


def test_runs_by_hand_do_not_count(node: Node) -> None:
    job = node.add(max_runs=2)
    for _ in range(3):
        node.scheduler.run_now(job.id)
        node.settle()

    node.advance(60)

    assert [run.trigger.value for run in node.runs(job)].count("schedule") == 2
    assert (node.job(job).run_count, standing(node, job)) == (2, COMPLETED)


def test_runs_that_fail_count(node: Node) -> None:
    def fail(job_id: str) -> None:
        raise ValueError(job_id)

    node.functions.register("fail", fail)
    job = node.add(function_name="fail", max_runs=2)

    node.advance(60)

    assert (states(node, job), standing(node, job)) == (["failed", "failed"], COMPLETED)


def test_runs_are_counted_across_restarts(store: SqlStore) -> None:
    node = Node(store).start()
    job = node.add(max_runs=3)
    for _ in range(5):
        node.advance(10)
        node.stop()
        node = Node(store, node.clock).start()
    node.stop()

    assert (len(node.runs(job)), standing(node, job)) == (3, COMPLETED)


def test_more_runs_take_a_completed_job_up_again(node: Node) -> None:
    job = node.add(max_runs=2)
    node.advance(60)
    assert standing(node, job) == COMPLETED

    changed = node.scheduler.change_job(job.id, JobChange(timing={"max_runs": 3}))
    assert (changed.status, changed.next_run_at, changed.run_count) == (JobStatus.ACTIVE, after(70), 2)
    node.advance(60)

    assert [run.scheduled_for for run in node.runs(job)] == [after(10), after(20), after(70)]
    assert standing(node, job) == COMPLETED


@pytest.mark.parametrize("max_runs", [1, 2])
def test_fewer_runs_than_there_were_are_refused_without_a_trace(node: Node, max_runs: int) -> None:
    job = node.add(max_runs=3)
    node.advance(20)
    before = node.job(job)

    requests: list[Callable[[], object]] = [
        lambda: node.scheduler.change_job(job.id, JobChange(timing={"max_runs": max_runs})),
        lambda: node.scheduler.replace_job(
            job.id, draft_of(job, timing=before.timing.with_changes({"max_runs": max_runs}))
        ),
    ]
    for request in requests:
        with pytest.raises(InvalidSchedule, match=f"max_runs is {max_runs}, and the job has run 2 times already"):
            request()

    assert node.job(job) == before


def test_a_number_of_runs_that_is_taken_away_lets_the_job_go_on(node: Node) -> None:
    job = node.add(max_runs=1)
    node.advance(10)

    node.scheduler.change_job(job.id, JobChange(timing={"max_runs": None}))
    node.advance(30)

    assert len(node.runs(job)) == 4


def test_a_run_that_was_taken_back_before_it_started_does_not_count(store: SqlStore) -> None:
    node = Node(store, pool_size=1).start()
    job = node.add(max_runs=2)
    node.scheduler._runner.lanes.threads._line._pool.shutdown()
    node.advance(10)
    node.stop()
    assert (states(node, job), node.job(job).run_count) == (["skipped"], 0)

    again = Node(store, node.clock).start()
    again.advance(60)
    again.stop()

    assert states(again, job) == ["skipped", "succeeded", "succeeded"]
    assert standing(again, job) == COMPLETED


# --- Jitter ---------------------------------------------------------------------------------------------


def test_a_slot_with_jitter_is_due_at_the_moved_instant_and_so_it_is_recorded(node: Node) -> None:
    job = node.add(cron_expression="*/5 * * * *", jitter_seconds=120.0)

    node.advance(3_600)

    runs = node.runs(job)
    delays = [(run.scheduled_for - NOON).total_seconds() % 300 for run in runs]
    assert len(runs) == 12
    assert all(0 <= delay < 120 for delay in delays)
    assert len({round(delay, 3) for delay in delays}) == 12
    assert {run.lateness_ms for run in runs} == {0.0}
    assert [at for _, at in node.calls] == [run.scheduled_for for run in runs]


def test_a_restart_does_not_move_a_slot_with_jitter(store: SqlStore) -> None:
    node = Node(store).start()
    job = node.add(cron_expression="*/5 * * * *", jitter_seconds=299.0, timezone="Europe/Berlin")
    for _ in range(10):
        next_run_at = node.job(job).next_run_at
        node.stop()
        node = Node(store, node.clock).start()
        assert node.job(job).next_run_at == next_run_at
        node.advance(300)
    node.stop()

    recorded = [run.scheduled_for for run in node.runs(job)]
    fives = [(slot - NOON) // timedelta(minutes=5) for slot in recorded]
    assert fives == list(range(fives[0], fives[0] + len(fives)))


def test_jobs_of_one_expression_are_spread_by_their_jitter(node: Node) -> None:
    jobs = [node.add(cron_expression="0 13 * * *", jitter_seconds=600.0) for _ in range(20)]

    node.advance(3_600 + 600)

    started = [node.runs(job)[0].scheduled_for for job in jobs]
    assert len(set(started)) == 20
    assert all(after(3_600) <= slot < after(4_200) for slot in started)
