"""Slots that are late because the pool is full: late or skipped by the overlap policy, and never missed."""

from collections.abc import Iterator

import pytest

from engine.nouns import Job
from engine.policies import OverlapPolicy, Policies
from store import SqlStore
from tests.engine.virtual_work import Mortal, Work, after_noon, crash, go
from tests.fakes import NOON, Node

ONE_MOMENT = 0.2
FULL_UNTIL = 62.0


@pytest.fixture
def full(store: SqlStore) -> Iterator[tuple[Node, Work, Work]]:
    """A node with one thread, which another job holds from 5 s to 62 s."""
    node = Node(Mortal(store), pool_size=1)
    blocking, work = Work(node.clock, FULL_UNTIL - 5.0), Work(node.clock, ONE_MOMENT)
    node.functions.register("block", blocking)
    node.functions.register("work", work)
    node.start()
    node.add(function_name="block", run_at=NOON.replace(second=5))
    yield node, blocking, work
    crash(node, blocking, work)


EXPECTED = {
    "skip": (Policies(), [10.0]),
    "skip, 2 instances": (Policies(max_instances=2), [10.0, 20.0]),
    "queue_one": (Policies(overlap_policy=OverlapPolicy.QUEUE_ONE), [10.0]),
    "queue_all": (Policies(overlap_policy=OverlapPolicy.QUEUE_ALL), [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]),
    "cancel_running": (Policies(overlap_policy=OverlapPolicy.CANCEL_RUNNING), [60.0]),
    "allow": (Policies(overlap_policy=OverlapPolicy.ALLOW), [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]),
    "allow, bounded": (Policies(overlap_policy=OverlapPolicy.ALLOW), [10.0, 20.0]),
}


@pytest.mark.parametrize("policy", EXPECTED)
def test_slots_that_a_full_pool_held_back_are_late_or_skipped_and_never_missed(
    full: tuple[Node, Work, Work], policy: str
) -> None:
    node, blocking, work = full
    policies, run = EXPECTED[policy]
    max_runs = 2 if policy == "allow, bounded" else None
    job = node.add(function_name="work", policies=policies, max_runs=max_runs)

    go(node, blocking, work, seconds=69.0)

    assert [slot for slot, _ in work.started] == run
    assert [at for _, at in work.started] == pytest.approx(
        [FULL_UNTIL + ONE_MOMENT * index for index in range(len(run))]
    )
    states = {after_noon(row.scheduled_for): row.state.value for row in node.runs(job)}
    assert set(states.values()) <= {"succeeded", "skipped"}
    assert sum(row.slot_count for row in node.runs(job)) == (2 if max_runs else 6)
    reasons = {row.reason for row in node.runs(job) if row.state.value == "skipped"}
    assert all(reason and "waiting for a free place in the pool" in reason for reason in reasons)
    assert len(reasons) == (max_runs is None and len(run) < 6)


def test_slots_of_the_time_that_a_clock_jumps_over_while_the_pool_is_full_are_missed(
    full: tuple[Node, Work, Work],
) -> None:
    node, blocking, work = full
    job = node.add(function_name="work")
    go(node, blocking, work, seconds=30.0)
    node.step_wall(3_600.0)

    go(node, blocking, work, seconds=35.0)

    assert states_of(node, job) == [(10.0, "missed", 365), (3_660.0, "succeeded", 1)]


def states_of(node: Node, job: Job) -> list[tuple[float, str, int]]:
    return [(after_noon(row.scheduled_for), row.state.value, row.slot_count) for row in node.runs(job)]
