"""The engine as a whole: its real threads under a manual clock, over a real SQLite file."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from engine.errors import InvalidSchedule, JobNotFound, PoolFull, RunInTheWay, UnknownFunction
from engine.limits import MAX_WAITING_MANUAL_RUNS
from engine.nouns import DueHint, JobStatus, RunState, Trigger
from engine.policies import DEFAULT_POLICIES
from engine.requests import JobChange
from registry import RunContext
from store import SqlStore
from tests.fakes import NOON, REAL_SECONDS, Latch, Node


def states(node: Node) -> list[str]:
    return [run.state.value for run in node.runs()]


def test_a_job_is_due_at_300_s_and_not_at_299_s(node: Node) -> None:
    node.add(interval_seconds=300.0)

    node.advance(299)
    assert node.calls == []

    node.advance(1)
    assert [at for _, at in node.calls] == [NOON + timedelta(seconds=300)]


def test_a_virtual_day_runs_every_slot_at_its_instant(node: Node) -> None:
    job = node.add(cron_expression="*/10 * * * *")

    node.advance(86_400)

    wanted = [NOON + timedelta(minutes=10 * slot) for slot in range(1, 145)]
    assert [at for _, at in node.calls] == wanted
    assert [run.scheduled_for for run in node.runs(job)] == wanted
    assert {run.lateness_ms for run in node.runs(job)} == {0.0}


def test_a_slot_is_started_by_the_pool_and_recorded(node: Node) -> None:
    job = node.add()

    node.advance(10)

    (run,) = node.runs(job)
    assert run.state is RunState.SUCCEEDED
    assert run.trigger is Trigger.SCHEDULE
    assert run.scheduled_for == run.started_at == run.finished_at == NOON + timedelta(seconds=10)
    assert run.node == node.scheduler.node
    assert node.job(job).last_run_at == NOON + timedelta(seconds=10)
    assert node.job(job).next_run_at == NOON + timedelta(seconds=20)


def test_many_jobs_due_at_one_instant_all_run(store: SqlStore) -> None:
    node = Node(store, pool_size=2).start()
    jobs = [node.add(cron_expression="0 * * * *") for _ in range(50)]

    node.advance(3_600)
    node.stop()

    assert sorted(job_id for job_id, _ in node.calls) == sorted(str(job.id) for job in jobs)


def test_a_paused_job_is_stored_and_not_scheduled(node: Node) -> None:
    job = node.add(status=JobStatus.PAUSED)

    node.advance(100)

    assert node.calls == []
    assert node.job(job).next_run_at is None


def test_a_resumed_job_keeps_to_its_grid(node: Node) -> None:
    job = node.add()
    node.scheduler.pause_job(job.id)
    node.advance(25)

    resumed = node.scheduler.resume_job(job.id)

    assert resumed.status is JobStatus.ACTIVE
    assert resumed.next_run_at == NOON + timedelta(seconds=30)
    node.advance(5)
    assert len(node.calls) == 1


def test_a_deleted_job_does_not_start_and_keeps_its_history(node: Node) -> None:
    job = node.add()
    node.advance(10)

    node.scheduler.delete_job(job.id)
    node.advance(100)

    assert len(node.calls) == 1
    assert len(node.runs(job)) == 1
    with pytest.raises(JobNotFound):
        node.scheduler.delete_job(job.id)


def test_deleting_all_jobs_stops_them_all(node: Node) -> None:
    for _ in range(3):
        node.add()

    assert node.scheduler.delete_all_jobs() == 3
    node.advance(100)

    assert node.calls == []
    assert node.scheduler.delete_all_jobs() == 0


def test_an_edit_to_an_earlier_time_wakes_the_timer(node: Node) -> None:
    job = node.add(interval_seconds=86_400.0)

    node.scheduler.change_job(job.id, JobChange(timing={"interval_seconds": 60.0}))
    node.advance(60)

    assert len(node.calls) == 1


def test_ten_thousand_edits_leave_one_live_entry(store: SqlStore) -> None:
    node = Node(store).start()
    job = node.add()
    agenda = node._agenda

    # Straight at the agenda: ten thousand commits would only measure the disk.
    for version in range(2, 10_002):
        agenda.push(DueHint(job.id, NOON + timedelta(seconds=version), version))

    assert agenda.scheduled_jobs == 1
    assert agenda._heap.entry_count < 200
    node.stop()


def test_slots_that_come_due_while_the_previous_run_is_going_are_skipped_with_the_reason(node: Node) -> None:
    latch = Latch()
    node.functions.register("slow", latch)
    job = node.add(function_name="slow")

    node.advance(10, runs_end=False)
    latch.await_entry()
    node.advance(20, runs_end=False)
    latch.release()
    node.settle()

    first, second, third = node.runs(job)
    assert first.state is RunState.SUCCEEDED
    assert second.state is third.state is RunState.SKIPPED
    assert second.reason == f"run {first.id} of this job is still running"
    assert second.started_at is None
    assert node.job(job).last_run_at == NOON + timedelta(seconds=10)


def test_a_full_pool_makes_runs_late_and_never_claims_what_it_cannot_start(store: SqlStore) -> None:
    node = Node(store, pool_size=1).start()
    latch = Latch()
    node.functions.register("slow", latch)
    node.add(function_name="slow", interval_seconds=10.0)
    waiting = node.add(interval_seconds=11.0)

    node.advance(10, runs_end=False)
    latch.await_entry()
    node.advance(3, runs_end=False)
    assert node.runs(waiting) == []
    latch.release()
    node.settle()
    node.stop()

    (run,) = node.runs(waiting)
    assert run.scheduled_for == NOON + timedelta(seconds=11)
    assert run.started_at == NOON + timedelta(seconds=13)
    assert run.lateness_ms == 2_000.0


def test_a_failing_job_is_failed_stays_scheduled_and_recovers(node: Node) -> None:
    should_fail = [True]

    def flaky(job_id: str) -> None:
        if should_fail[0]:
            raise ValueError(f"no luck for {job_id}")

    node.functions.register("flaky", flaky)
    job = node.add(function_name="flaky")

    node.advance(10)
    assert node.job(job).status is JobStatus.FAILED
    assert node.job(job).next_run_at == NOON + timedelta(seconds=20)
    (run,) = node.runs(job)
    assert run.state is RunState.FAILED
    assert run.error is not None
    assert (run.error.type, run.error.message) == ("ValueError", f"no luck for {job.id}")
    assert "in flaky" in run.error.traceback

    should_fail[0] = False
    node.advance(10)
    assert node.job(job).status is JobStatus.ACTIVE


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise SystemExit("no text")


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        RecursionError("deep"),
        MemoryError(),
        UnreadableError(),
        ValueError("x" * 50_000_000),
        ValueError("a\x00b\ud800c"),
        ExceptionGroup("several", [ValueError("one"), TypeError("two")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_function_throws_ends_as_an_outcome_with_the_pool_intact(node: Node, error: BaseException) -> None:
    def throws(job_id: str) -> None:
        raise error

    node.functions.register("throws", throws)
    job = node.add(function_name="throws")

    node.advance(10)

    (run,) = node.runs(job)
    assert run.state is RunState.FAILED
    assert run.error is not None
    assert run.error.type.endswith(type(error).__name__)
    assert len(run.error.message) < 10_000
    assert len(run.error.traceback) < 40_000
    assert node.scheduler.health().permits_free == 4
    node.add()
    node.advance(10)
    assert len(node.calls) == 1


def test_a_function_gets_what_its_signature_takes(node: Node) -> None:
    got: dict[str, Any] = {}

    def everything(job_id: str, job_metadata: dict[str, Any], run: RunContext) -> None:
        got.update(job_id=job_id, job_metadata=job_metadata, run=run)

    node.functions.register("everything", everything)
    job = node.add(function_name="everything", metadata={"a": [1, 2]})

    node.advance(10)

    assert got["job_id"] == str(job.id)
    assert got["job_metadata"] == {"a": [1, 2]}
    assert got["run"].scheduled_for == datetime(2026, 1, 1, 12, 0, 10, tzinfo=UTC)
    assert got["run"].attempt == 1
    assert got["run"].id == str(node.runs(job)[0].id)


def test_a_result_is_kept_and_one_that_cannot_be_is_explained(node: Node) -> None:
    results: list[Any] = [{"rows": 3}, {1, 2}, "x" * 70_000, float("nan")]
    node.functions.register("returns", lambda job_id: results.pop(0))
    job = node.add(function_name="returns")

    node.advance(40)

    kept, unwritable, too_large, nan = node.runs(job)
    assert kept.result == {"rows": 3}
    assert [run.state for run in (unwritable, too_large, nan)] == [RunState.SUCCEEDED] * 3
    assert unwritable.result is None
    assert "TypeError" in (unwritable.reason or "")
    assert "70002 bytes" in (too_large.reason or "")
    assert "ValueError" in (nan.reason or "")


def test_an_awaitable_that_nobody_would_await_is_a_failure(node: Node) -> None:
    async def sneaky(job_id: str) -> None: ...

    node.functions.register("sneaky", lambda job_id: sneaky(job_id))  # noqa: PLW0108 - itself it would be refused
    job = node.add(function_name="sneaky")

    node.advance(10)

    (run,) = node.runs(job)
    assert run.state is RunState.FAILED
    assert "coroutine" in (run.error.message if run.error else "")


def test_a_manual_run_starts_now_and_leaves_the_schedule_alone(node: Node) -> None:
    job = node.add()
    node.advance(3)

    run = node.scheduler.run_now(job.id)
    node.settle()

    (recorded,) = node.runs(job)
    assert recorded.id == run.id
    assert recorded.trigger is Trigger.MANUAL
    assert recorded.state is RunState.SUCCEEDED
    assert recorded.scheduled_for == NOON + timedelta(seconds=3)
    assert node.job(job).next_run_at == NOON + timedelta(seconds=10)
    assert node.job(job).last_run_at == NOON + timedelta(seconds=3)


def test_a_paused_job_can_be_run_by_hand(node: Node) -> None:
    job = node.add(status=JobStatus.PAUSED)

    node.scheduler.run_now(job.id)
    node.settle()

    assert states(node) == ["succeeded"]
    assert node.job(job).status is JobStatus.PAUSED


def test_a_manual_run_is_refused_while_another_is_going(node: Node) -> None:
    latch = Latch()
    node.functions.register("slow", latch)
    job = node.add(function_name="slow")
    going = node.scheduler.run_now(job.id)
    latch.await_entry()

    with pytest.raises(RunInTheWay) as refusal:
        node.scheduler.run_now(job.id)

    assert refusal.value.run_id == going.id
    latch.release()
    node.settle()
    assert states(node) == ["succeeded"]


def test_manual_runs_wait_for_a_thread_up_to_a_limit(store: SqlStore) -> None:
    node = Node(store, pool_size=1).start()
    latch = Latch()
    node.functions.register("slow", latch)
    jobs = [node.add(function_name="slow", status=JobStatus.PAUSED) for _ in range(MAX_WAITING_MANUAL_RUNS + 2)]
    for job in jobs[:-1]:
        node.scheduler.run_now(job.id)

    with pytest.raises(PoolFull):
        node.scheduler.run_now(jobs[-1].id)

    for _ in jobs[:-1]:
        latch.release()
    node.settle()
    assert states(node) == ["succeeded"] * (MAX_WAITING_MANUAL_RUNS + 1)
    assert node.scheduler.health().permits_free == 1
    node.stop()


def test_an_unknown_function_and_a_schedule_that_never_fires_are_refused_without_a_trace(node: Node) -> None:
    with pytest.raises(UnknownFunction, match="Unknown function nobody"):
        node.add(function_name="nobody")
    with pytest.raises(InvalidSchedule):
        node.add(cron_expression="0 0 31 2 *")
    with pytest.raises(InvalidSchedule, match="never run"):
        node.add(interval_seconds=1e12)

    assert list(store_jobs(node)) == []


def store_jobs(node: Node) -> list[Any]:
    found: list[Any] = node.store.views.jobs_page(after=None, limit=10)
    return found


LAST_DAY = datetime(9999, 12, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "due_at"),
    [
        pytest.param(
            {"interval_seconds": (LAST_DAY - NOON).total_seconds()}, LAST_DAY, id="an interval of 80 centuries"
        ),
        pytest.param(
            {"run_at": datetime.max.replace(tzinfo=UTC)}, datetime.max.replace(tzinfo=UTC), id="the last instant"
        ),
        pytest.param({"cron_expression": "0 0 31 12 *", "start_at": LAST_DAY}, LAST_DAY, id="cron"),
        pytest.param(
            {"cron_expression": "0 0 31 12 *", "start_at": LAST_DAY - timedelta(days=1), "timezone": "Asia/Tokyo"},
            LAST_DAY - timedelta(hours=9),
            id="cron in a zone",
        ),
        pytest.param(
            {"interval_seconds": 3_155_760_000.0, "start_at": NOON - timedelta(days=1)},
            NOON + timedelta(days=36_524),
            id="an interval of a century",
        ),
    ],
)
def test_a_job_that_is_due_in_centuries_neither_kills_nor_wakes_the_timer(
    node: Node, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], due_at: datetime
) -> None:
    rests: list[float] = []
    wait = node.clock.wait

    def counted(condition: threading.Condition, seconds: float) -> None:
        if condition is node._agenda.condition:
            rests.append(seconds)
        wait(condition, seconds)

    monkeypatch.setattr(node.clock, "wait", counted)
    far = node.add(**fields)
    assert node.job(far).next_run_at == due_at

    node.advance(86_400 * 30)

    # A day each time, which is the most that this node may; and once more for the new job.
    assert len(rests) <= 31
    assert node.scheduler.health().is_timer_alive
    near = node.add()
    node.advance(10)
    assert [job_id for job_id, _ in node.calls] == [str(near.id)]
    assert node.job(far).next_run_at == due_at


def test_a_schedule_without_another_slot_completes_its_job(store: SqlStore) -> None:
    node = Node(store).start()
    node.step_wall((datetime(9999, 12, 31, 23, 59, tzinfo=UTC) - NOON).total_seconds())
    job = node.add(interval_seconds=40.0)

    node.advance(45)
    node.stop()

    assert node.job(job).status is JobStatus.COMPLETED
    assert node.job(job).next_run_at is None
    assert len(node.calls) == 1


def test_late_slots_within_the_grace_are_each_decided_and_none_is_missed(node: Node) -> None:
    job = node.add(interval_seconds=2.0)

    node.step_wall(DEFAULT_POLICIES.misfire_grace_seconds)
    node.advance(1)

    states = [run.state for run in node.runs(job)]
    assert states[0] is RunState.SUCCEEDED
    # The later ones come right behind: each runs, or finds the one before still going.
    assert {*states} <= {RunState.SUCCEEDED, RunState.SKIPPED}
    assert [run.scheduled_for - NOON for run in node.runs(job)] == [timedelta(seconds=seconds) for seconds in (2, 4, 6)]


def test_a_clock_set_forward_is_downtime_of_which_the_latest_slot_runs(node: Node) -> None:
    job = node.add()

    node.step_wall(3_605)
    node.advance(0)

    missed, ran = node.runs(job)
    assert missed.state is RunState.MISSED
    assert missed.slot_count == 359
    assert missed.scheduled_for == NOON + timedelta(seconds=10)
    assert missed.last_scheduled_for == NOON + timedelta(seconds=3_590)
    assert ran.state is RunState.SUCCEEDED
    assert ran.scheduled_for == NOON + timedelta(seconds=3_600)
    assert node.job(job).next_run_at == NOON + timedelta(seconds=3_610)


def test_a_clock_set_back_repeats_nothing(node: Node) -> None:
    job = node.add()
    node.advance(30)

    node.step_wall(-25)
    node.scheduler.change_job(job.id, JobChange(name="renamed"))
    node.scheduler.pause_job(job.id)
    resumed = node.scheduler.resume_job(job.id)
    assert resumed.next_run_at == NOON + timedelta(seconds=40)
    node.advance(35)

    assert [run.scheduled_for - NOON for run in node.runs(job)] == [
        timedelta(seconds=10 * slot) for slot in range(1, 5)
    ]


def test_a_job_whose_function_is_gone_is_orphaned_recorded_and_back_by_itself(store: SqlStore) -> None:
    first = Node(store).start()
    job = first.add()
    first.stop()

    second = Node(store, clock=first.clock)
    del second.functions._functions["note"]
    with capture_logs() as lines:
        second.start()
        second.advance(10)
    assert {"function_name": "note", "jobs": 1} in [
        {"function_name": line["function_name"], "jobs": line["jobs"]}
        for line in lines
        if line["event"] == "jobs orphaned"
    ]
    assert second.scheduler.is_orphaned(second.job(job))
    (skipped,) = second.runs(job)
    assert skipped.state is RunState.SKIPPED
    assert skipped.reason == "function note is not registered"
    with pytest.raises(UnknownFunction):
        second.scheduler.run_now(job.id)
    second.stop()

    third = Node(store, clock=first.clock).start()
    third.advance(10)
    assert len(third.calls) == 1
    assert third.job(job).status is JobStatus.ACTIVE
    third.stop()


def test_a_restart_loses_interrupted_runs_records_the_missed_stretch_and_goes_on(store: SqlStore) -> None:
    first = Node(store).start()
    latch = Latch()
    first.functions.register("slow", latch)
    interrupted = first.add(function_name="slow", interval_seconds=10.0)
    regular = first.add(interval_seconds=10.0)
    first.advance(10, runs_end=False)
    latch.await_entry()
    # The process dies here: nobody stops the node, its threads just never come round again.
    crash(first)

    first.clock.step_wall(65)
    second = Node(store, clock=first.clock)
    second.functions.register("slow", lambda job_id: None)
    second.start()
    second.advance(0)

    lost, missed, ran = second.runs(interrupted)
    assert lost.state is RunState.LOST
    assert lost.reason
    assert (missed.state, missed.slot_count) == (RunState.MISSED, 5)
    assert ran.scheduled_for == NOON + timedelta(seconds=70)
    assert [run.slot_count for run in second.runs(regular)] == [1, 5, 1]
    second.advance(10)
    assert second.job(interrupted).status is JobStatus.ACTIVE
    latch.release()
    second.stop()


def crash(node: Node) -> None:
    """End the node's timer without a word to the store; a run that is going can no longer report."""
    node._agenda.stop()
    assert node.scheduler._timer.join(REAL_SECONDS)
    node.scheduler._recorder.put = lambda outcome: None  # type: ignore[method-assign]  # a dead process
    node.scheduler._runner.lanes._run_path._deliver = lambda outcome: None


def test_stopping_gives_runs_their_grace_and_records_what_is_left_as_lost(store: SqlStore) -> None:
    node = Node(store).start()
    latch = Latch()
    node.functions.register("slow", latch)
    job = node.add(function_name="slow")
    node.advance(10, runs_end=False)
    latch.await_entry()

    stopper = threading.Thread(target=node.stop, kwargs={"grace_seconds": 5.0})
    parkings = node.clock.parkings
    stopper.start()
    node.clock.await_parking(after=parkings)
    while stopper.is_alive():
        node.clock.advance_to_next(node.clock.monotonic() + 5.0)
        stopper.join(0.01)

    (run,) = node.runs(job)
    assert run.state is RunState.LOST
    assert node.job(job).status is JobStatus.FAILED
    latch.release()


def test_a_stop_waits_for_a_run_that_ends_within_the_grace(store: SqlStore) -> None:
    node = Node(store).start()
    latch = Latch()
    node.functions.register("slow", latch)
    job = node.add(function_name="slow")
    node.advance(10, runs_end=False)
    latch.await_entry()

    stopper = threading.Thread(target=node.stop, kwargs={"grace_seconds": 60.0})
    parkings = node.clock.parkings
    stopper.start()
    node.clock.await_parking(after=parkings)
    latch.release()
    stopper.join(20)

    assert not stopper.is_alive()
    assert [run.state for run in node.runs(job)] == [RunState.SUCCEEDED]


def test_every_line_of_a_run_carries_the_stated_keys(node: Node) -> None:
    job = node.add()

    with capture_logs(processors=[merge_contextvars]) as lines:
        node.advance(10)

    of_run = [line for line in lines if line["event"] in ("run started", "run finished")]
    assert [line["event"] for line in of_run] == ["run started", "run finished"]
    for line in of_run:
        assert line["job_id"] == str(job.id)
        assert {"run_id", "function_name", "scheduled_for", "lateness_ms", "attempt", "node", "trigger"} <= line.keys()
    assert of_run[1]["state"] == "succeeded"


def test_a_generator_that_nobody_would_exhaust_is_a_failure(node: Node) -> None:
    def steps(job_id: str) -> Iterator[int]:
        yield 1

    node.functions.register("steps", lambda job_id: steps(job_id))  # noqa: PLW0108 - itself it would be refused
    job = node.add(function_name="steps")

    node.advance(10)

    (run,) = node.runs(job)
    assert run.state is RunState.FAILED
    assert "generator" in (run.error.message if run.error else "")


@pytest.mark.parametrize("how", ["pause", "edit", "delete", "delete all"])
def test_slots_that_a_request_leaves_unclaimed_are_on_record(store: SqlStore, how: str) -> None:
    node = Node(store, pool_size=1).start()
    latch = Latch()
    node.functions.register("slow", latch)
    node.add(function_name="slow", interval_seconds=10.0)
    waiting = node.add(interval_seconds=11.0)
    node.advance(10, runs_end=False)
    latch.await_entry()
    node.advance(25, runs_end=False)

    requests: dict[str, Callable[[], object]] = {
        "pause": lambda: node.scheduler.pause_job(waiting.id),
        "edit": lambda: node.scheduler.change_job(waiting.id, JobChange(timing={"interval_seconds": 60.0})),
        "delete": lambda: node.scheduler.delete_job(waiting.id),
        "delete all": node.scheduler.delete_all_jobs,
    }
    requests[how]()

    (missed,) = node.runs(waiting)
    assert missed.state is RunState.MISSED
    assert (missed.scheduled_for, missed.slot_count) == (NOON + timedelta(seconds=11), 3)
    assert missed.last_scheduled_for == NOON + timedelta(seconds=33)
    assert how.split(maxsplit=1)[0] in (missed.reason or "")
    latch.release()
    node.stop()
