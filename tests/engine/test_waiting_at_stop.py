"""Runs that started after they waited, and are still going at a stop: what is recorded is the attempt that went on."""

from datetime import timedelta

from engine.nouns import RunState
from engine.policies import OverlapPolicy, Policies
from store import SqlStore
from tests.fakes import NOON, Latch, Node

SECOND = timedelta(seconds=1)


def test_a_run_that_waited_is_lost_with_the_instant_of_its_start(store: SqlStore) -> None:
    node, latch = Node(store), Latch()
    node.functions.register("linger", latch)
    node.start()
    policies = Policies(overlap_policy=OverlapPolicy.QUEUE_ONE)
    job = node.add(function_name="linger", interval_seconds=10.0, end_at=NOON + 25 * SECOND, policies=policies)
    node.advance(21, runs_end=False)
    latch.await_entry()
    latch.release()
    latch.await_entry()
    node.stop()
    latch.release()
    first, second = node.runs(job)
    assert (first.state, second.state) == (RunState.SUCCEEDED, RunState.LOST)
    assert second.started_at == NOON + 21 * SECOND


def test_the_last_attempt_of_a_run_is_not_followed_by_another_because_of_a_stop(store: SqlStore) -> None:
    node, latch = Node(store), Latch()

    def fail_then_linger(job_id: str, run: object) -> None:
        if getattr(run, "attempt") == 1:  # noqa: B009 - what a job function is given
            raise ValueError
        latch(job_id)

    node.functions.register("linger", fail_then_linger)
    node.start()
    policies = Policies(max_retries=1, retry_delay_seconds=2.0, retry_jitter=0.0)
    job = node.add(function_name="linger", interval_seconds=10.0, end_at=NOON + 15 * SECOND, policies=policies)
    node.advance(10)
    node.advance(2, runs_end=False)
    latch.await_entry()
    node.stop()
    latch.release()
    (run,) = node.runs(job)
    assert (run.state, run.attempt, len(run.earlier_attempts)) == (RunState.LOST, 2, 1)
    assert run.started_at == NOON + 12 * SECOND
