"""Further attempts that are claimed and then do not start; streaks that a start finds; a stop beside stuck runs."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from engine.nouns import JobStatus, RunState
from engine.policies import Policies
from registry import RunContext
from store import SqlStore
from tests.engine.interference import Interference, once
from tests.engine.test_races import _await as await_that
from tests.engine.test_races import is_whole
from tests.fakes import NOON, REAL_SECONDS, Latch, Node

RETRIED = Policies(max_retries=3, retry_delay_seconds=10.0, retry_jitter=0.0, retry_backoff=1.0)


@pytest.fixture
def chaos(store: SqlStore) -> Interference:
    return Interference(store)


@pytest.fixture
def node(chaos: Interference) -> Iterator[Node]:
    made = Node(chaos)
    attempts: list[int] = []

    def fails_at_first(job_id: str, run: RunContext) -> None:
        attempts.append(run.attempt)
        if run.attempt == 1:
            raise ValueError("not yet")

    made.functions.register("fails_at_first", fails_at_first)
    yield made.start()
    chaos.end()
    made.stop()


def test_an_attempt_that_a_pause_kept_from_starting_is_still_to_come(node: Node, chaos: Interference) -> None:
    job = node.add(function_name="fails_at_first", interval_seconds=1_000.0, policies=RETRIED)
    chaos.after["start_waiting"] = once(lambda: node.scheduler.pause_job(job.id))

    node.advance(1_100)
    (run,) = node.runs(job)
    assert (run.state, run.attempt) == (RunState.RETRYING, 1)
    assert run.reason == "attempt 2 did not start: the job was paused before the run started"
    assert [attempt.number for attempt in run.earlier_attempts] == [1]
    assert (run.error and run.error.message) == "not yet"
    assert node.job(job).run_count == 1

    node.scheduler.resume_job(job.id)
    node.advance(60)
    (run,) = node.runs(job)
    assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2)
    assert [(attempt.number, attempt.state) for attempt in run.earlier_attempts] == [(1, RunState.FAILED)]
    assert is_whole(node)


def test_of_a_job_deleted_before_a_further_attempt_the_one_before_was_the_last(node: Node, chaos: Interference) -> None:
    job = node.add(function_name="fails_at_first", interval_seconds=1_000.0, policies=RETRIED)
    chaos.after["start_waiting"] = once(lambda: node.scheduler.delete_job(job.id))

    node.advance(1_100)

    (run,) = node.runs(job)
    assert (run.state, run.attempt, run.earlier_attempts) == (RunState.FAILED, 1, ())
    assert (run.error and (run.error.type, run.error.message)) == ("ValueError", "not yet")
    assert is_whole(node)


def test_an_attempt_that_a_stop_kept_from_starting_comes_after_the_restart(store: SqlStore) -> None:
    chaos = Interference(store)
    first = Node(chaos)
    calls: list[int] = []

    def fails_at_first(job_id: str, run: RunContext) -> None:
        calls.append(run.attempt)
        if run.attempt == 1:
            raise ValueError("not yet")

    first.functions.register("fails_at_first", fails_at_first)
    first.start()
    job = first.add(function_name="fails_at_first", interval_seconds=1_000.0, policies=RETRIED)
    # The gate is shut between the claim's commit and the start, as by a stop whose wait for the timer was too short.
    chaos.after["start_waiting"] = once(lambda: first.scheduler._gate.shut("the scheduler stopped"))
    first.advance(1_011)
    first.stop()
    (run,) = store.views.runs_page(job_id=job.id, state=None, before=None, limit=10)
    assert (run.state, run.attempt, calls) == (RunState.RETRYING, 1, [1])

    second = Node(store, first.clock)
    second.functions.register("fails_at_first", fails_at_first)
    second.start()
    second.advance(30)
    second.stop()

    (run,) = store.views.runs_page(job_id=job.id, state=None, before=None, limit=10)
    assert (run.state, run.attempt, calls) == (RunState.SUCCEEDED, 2, [1, 2])


def test_a_run_that_was_lost_with_its_process_can_be_one_too_many(store: SqlStore) -> None:
    first = Node(store).start()
    latch = Latch()
    first.functions.register("slow", latch)
    job = first.add(function_name="slow", policies=Policies(pause_after_failures=1))
    first.advance(10, runs_end=False)
    latch.await_entry()
    first._agenda.stop()
    assert first.scheduler._timer.join(REAL_SECONDS)
    first.scheduler._recorder.put = lambda outcome: None  # type: ignore[method-assign]  # a dead process

    second = Node(store, first.clock)
    second.functions.register("slow", latch)
    second.start()
    paused = second.job(job)
    second.stop()
    latch.release()
    first.stop()

    assert paused.status is JobStatus.PAUSED
    assert paused.pause is not None
    assert paused.pause.reason == "1 of its runs by schedule ended badly in a row; pause_after_failures is 1"


def test_a_stop_does_not_wait_for_a_run_that_is_over_and_stuck(node: Node) -> None:
    latch = Latch()
    node.functions.register("slow", latch)
    node.add(function_name="slow", run_at=NOON + timedelta(seconds=10), policies=Policies(timeout_seconds=5.0))
    node.advance(10, runs_end=False)
    latch.await_entry()
    node.advance(10, runs_end=False)
    await_that(node, lambda: node._agenda.is_idle, REAL_SECONDS)
    assert [run.state for run in node.runs()] == [RunState.TIMED_OUT]

    # On a clock that stands still: waiting out the grace would never end.
    stopping = threading.Thread(target=node.stop, kwargs={"grace_seconds": 1_000.0}, daemon=True)
    stopping.start()
    stopping.join(REAL_SECONDS)
    is_over = not stopping.is_alive()
    latch.release()

    assert is_over
