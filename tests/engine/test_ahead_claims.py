"""Slots that are claimed ahead of their instant: they start at it, and not at all if something else comes first."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from engine.errors import StoreUnavailable
from engine.nouns import Job
from engine.policies import OverlapPolicy, Policies
from engine.requests import JobChange
from engine.rhythm import Rhythm
from store import SqlStore
from tests.engine.interference import Interference, away, once
from tests.engine.virtual_work import Mortal, Work, crash, go
from tests.fakes import NOON, Node

AHEAD = 0.05
BETWEEN = 9.97
"""Seconds after which the first slot, at 10 s, is claimed and has not come."""


@pytest.fixture
def node(store: SqlStore) -> Iterator[Node]:
    node = Node(Interference(store), ahead_seconds=AHEAD).start()
    yield node
    node.store.end()
    node.stop()


def claimed(node: Node, **options: object) -> Job:
    """A job whose first slot is claimed and has not come."""
    job = node.add(**options)
    node.advance(BETWEEN, runs_end=False)
    assert [run.state for run in node.runs(job)] == ["running"]
    assert not node.calls
    return job


def called_after(node: Node) -> list[float]:
    return [(at - NOON).total_seconds() for _, at in node.calls]


def states(node: Node, job: Job) -> list[tuple[float, str]]:
    return [((run.scheduled_for - NOON).total_seconds(), run.state.value) for run in node.runs(job)]


def test_a_slot_that_is_claimed_ahead_starts_at_its_instant(node: Node) -> None:
    job = claimed(node)

    node.advance(19.0)

    assert called_after(node) == [10.0, 20.0]
    assert [run.lateness_ms for run in node.runs(job)] == [0.0, 0.0]
    assert node.job(job).last_run_at == NOON + timedelta(seconds=20)


@pytest.mark.parametrize("interval", [3.0, 10.0, 60.0])
def test_an_edit_in_between_undoes_the_claim(node: Node, interval: float) -> None:
    job = claimed(node)

    node.scheduler.change_job(job.id, JobChange(timing={"interval_seconds": interval}))
    node.advance(BETWEEN)

    expected = [10.0] if interval == 10.0 else [BETWEEN + interval * k for k in range(1, 4) if interval < 10.0]
    assert called_after(node) == pytest.approx(expected)
    assert [slot for slot, _ in states(node, job)] == pytest.approx(expected)
    assert node.job(job).run_count == len(expected)


def test_what_runs_after_an_edit_in_between_is_the_job_as_it_is_then(node: Node) -> None:
    seen: list[object] = []

    def see(job_id: str, job_metadata: object) -> None:
        seen.append(job_metadata)

    node.functions.register("see", see)
    job = node.add(function_name="see", metadata={"is": "old"})
    node.advance(BETWEEN, runs_end=False)

    node.scheduler.change_job(job.id, JobChange(metadata={"is": "new"}))
    node.advance(1.0)

    assert seen == [{"is": "new"}]
    assert states(node, job) == [(10.0, "succeeded")]


def test_a_job_that_is_deleted_in_between_does_not_start_and_leaves_no_row(node: Node) -> None:
    job = claimed(node)

    node.scheduler.delete_job(job.id)
    node.advance(20.0)

    assert (node.calls, node.runs(job)) == ([], [])


def test_all_jobs_that_are_deleted_in_between_do_not_start(node: Node) -> None:
    job = claimed(node)

    node.scheduler.delete_all_jobs()
    node.advance(20.0)

    assert (node.calls, node.runs(job)) == ([], [])


def test_a_job_that_is_paused_in_between_does_not_start_until_it_is_resumed(node: Node) -> None:
    job = claimed(node)

    node.scheduler.pause_job(job.id)
    node.advance(5.0)
    node.scheduler.resume_job(job.id)
    node.advance(10.0)

    assert states(node, job) == [(20.0, "succeeded")]


def test_what_comes_due_in_a_pause_of_everything_that_began_in_between_is_caught_up_with(node: Node) -> None:
    job = claimed(node)

    node.scheduler.pausing.pause_all(until=None, by=None, note=None)
    node.advance(5.0)
    node.scheduler.pausing.resume_all(catch_up=True)
    node.settle()

    assert states(node, job) == [(10.0, "succeeded")]
    assert called_after(node) == pytest.approx([BETWEEN + 5.0])


def test_a_run_by_hand_in_between_starts_at_once_and_the_slot_is_decided_on_at_its_instant(node: Node) -> None:
    job = claimed(node)

    node.scheduler.run_now(job.id)
    node.advance(1.0)

    assert called_after(node) == pytest.approx([BETWEEN, 10.0])
    assert [state for _, state in states(node, job)] == ["succeeded", "succeeded"]


def test_a_stop_in_between_leaves_the_slot_to_the_next_start(store: SqlStore) -> None:
    node = Node(store, ahead_seconds=AHEAD).start()
    job = claimed(node)

    node.stop(grace_seconds=1.0)
    stopped_with = (node.runs(job), node.job(job).next_run_at)
    successor = Node(store, node.clock, ahead_seconds=AHEAD).start()
    successor.advance(1.0)
    successor.stop()

    assert stopped_with == ([], NOON + timedelta(seconds=10))
    assert states(successor, job) == [(10.0, "succeeded")]


def test_the_last_slot_of_a_job_may_be_taken_back_as_well(node: Node) -> None:
    job = claimed(node, max_runs=1)
    assert node.job(job).status == "completed"

    node.scheduler.change_job(job.id, JobChange(name="another"))
    node.advance(20.0)

    assert states(node, job) == [(10.0, "succeeded")]
    assert node.job(job).status == "completed"


def test_a_run_that_is_over_just_before_the_next_slot_is_not_in_its_way(store: SqlStore) -> None:
    node = Node(Mortal(store), ahead_seconds=AHEAD)
    work = Work(node.clock, 10.0 - AHEAD / 2)
    node.functions.register("work", work)
    node.start()
    job = node.add(function_name="work")

    go(node, work, seconds=45.0)

    assert [slot for slot, _ in work.started] == [10.0, 20.0, 30.0, 40.0]
    assert [at for _, at in work.started] == [10.0, 20.0, 30.0, 40.0]
    assert {state for _, state in states(node, job)} <= {"succeeded", "running"}
    crash(node, work)


@pytest.mark.parametrize("policy", [OverlapPolicy.SKIP, OverlapPolicy.QUEUE_ONE, OverlapPolicy.CANCEL_RUNNING])
def test_overlaps_are_decided_at_the_instant(store: SqlStore, policy: OverlapPolicy) -> None:
    node = Node(Mortal(store), ahead_seconds=AHEAD)
    work = Work(node.clock, 15.0)
    node.functions.register("work", work)
    node.start()
    job = node.add(function_name="work", policies=Policies(overlap_policy=policy))

    go(node, work, seconds=19.98)
    before = states(node, job)
    go(node, work, seconds=0.02)

    assert before == [(10.0, "running")]
    expected = "skipped" if policy is OverlapPolicy.SKIP else "queued"
    assert states(node, job) == [(10.0, "running"), (20.0, expected)]
    crash(node, work)


@pytest.mark.parametrize("is_written", [False, True])
def test_where_the_database_does_not_say_whether_a_claim_is_taken_back_its_run_does_not_start(
    node: Node, is_written: bool
) -> None:
    job = claimed(node)
    hooks = node.store.after if is_written else node.store.before
    hooks["take_back"] = once(away)

    with pytest.raises(StoreUnavailable):
        node.scheduler.change_job(job.id, JobChange(name="another"))
    node.advance(1.0)

    assert states(node, job) == [(10.0, "succeeded" if is_written else "skipped")]
    assert len(node.calls) == is_written


def test_a_wall_clock_that_is_set_back_in_between_does_not_keep_the_run_waiting(node: Node) -> None:
    job = claimed(node)

    node.step_wall(-3_600.0)
    node.advance(0.1)

    assert [run.state for run in node.runs(job)] == ["succeeded"]


def test_slots_are_collected_for_one_claim(store: SqlStore) -> None:
    store_ = Interference(store)
    batches: list[int] = []
    store_.before["advance"] = lambda advances, **_: batches.append(len(advances))
    node = Node(store_, pool_size=30, ahead_seconds=AHEAD, rest_seconds=0.02).start()
    for _ in range(30):
        node.add()
        node.advance(0.001)

    node.advance(10.0)
    node.stop()

    assert sum(batches) == 30
    assert len(batches) <= 4
    assert called_after(node) == pytest.approx([10.0 + 0.001 * number for number in range(30)])


def test_a_claim_ahead_is_early_enough_for_the_rest_before_it() -> None:
    regular = Rhythm()

    assert regular.rest_seconds < regular.ahead_seconds
