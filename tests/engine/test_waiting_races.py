"""What two threads and a database that fails can do to pauses, to runs that wait, and to retries: one a test.

As in test_races.py, each interleaving is exact: the store is the real one, behind an `Interference`.
"""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from engine.errors import StoreUnavailable
from engine.nouns import JobStatus, RunState
from engine.policies import MisfirePolicy, OverlapPolicy, Policies
from engine.requests import CalendarDraft, JobChange
from registry import RunContext
from store import SqlStore
from tests.engine.interference import Interference, away, fails, first, once
from tests.engine.test_races import drive, is_healed, is_whole, states
from tests.fakes import NOON, REAL_SECONDS, Latch, Node


@pytest.fixture
def chaos(store: SqlStore) -> Interference:
    return Interference(store)


@pytest.fixture
def node(chaos: Interference) -> Iterator[Node]:
    made = Node(chaos)  # type: ignore[arg-type]
    yield made.start()
    chaos.end()
    made.stop()


# --- 1. Pauses that end by themselves ---------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_pause_that_ends_while_the_store_is_away_doubles_no_permit(
    node: Node, chaos: Interference, when: str
) -> None:
    job = node.add()
    other = node.add(interval_seconds=15.0)
    node.scheduler.pausing.pause(job.id, until=NOON + timedelta(seconds=15))
    (chaos.before if when == "before" else chaos.after)["replace_job"] = once(away)

    drive(node, lambda: len(node.calls) >= 3 and is_healed(node), seconds=40, runs_end=True)

    assert is_whole(node)
    assert node.job(job).status is JobStatus.ACTIVE
    assert "succeeded" in states(node, other)


def test_a_job_whose_pause_outlives_its_last_slot_is_completed_and_holds_no_other(node: Node) -> None:
    paused = node.add(run_at=NOON + timedelta(seconds=5))
    other = node.add()
    node.scheduler.pausing.pause(paused.id, until=NOON + timedelta(seconds=10))

    drive(node, lambda: states(node, other)[:2] == ["succeeded"] * 2 and is_healed(node), seconds=25, runs_end=True)

    stored = node.job(paused)
    assert (stored.status, stored.pause, stored.next_run_at) == (JobStatus.COMPLETED, None, None)
    assert is_whole(node)


def test_a_pause_that_takes_the_place_of_one_that_ends_goes_on(node: Node, chaos: Interference) -> None:
    job = node.add()
    node.scheduler.pausing.pause(job.id, until=NOON + timedelta(seconds=15))
    later = NOON + timedelta(seconds=100)
    node.advance(14)
    chaos.after["jobs_by_id"] = once(lambda: node.scheduler.pausing.pause(job.id, until=later))

    node.advance(30)

    stored = node.job(job)
    assert stored.status is JobStatus.PAUSED
    assert stored.pause is not None
    assert stored.pause.until == later
    node.advance(60)
    assert node.job(job).status is JobStatus.ACTIVE


# --- 2. Runs that wait ------------------------------------------------------------------------------------

QUEUE = Policies(overlap_policy=OverlapPolicy.QUEUE_ALL)


def test_a_waiting_run_whose_function_is_gone_doubles_no_permit_while_the_store_is_away(
    node: Node, chaos: Interference
) -> None:
    latch = Latch()
    node.functions.register("slow", latch)
    job = node.add(function_name="slow", policies=QUEUE)
    node.advance(10, runs_end=False)
    latch.await_entry()
    node.advance(10, runs_end=False)
    assert states(node) == ["running", "queued"]
    node.scheduler.change_job(job.id, JobChange(function_name="note"))
    del node.functions._functions["slow"]
    chaos.before["end_waiting"] = once(away)
    latch.release()

    drive(node, lambda: states(node)[:2] == ["succeeded", "skipped"] and is_healed(node), seconds=9)

    assert is_whole(node)


class Held:
    """A job function that stays in its call until the test lets it go; `entered` are its runs, each as often as called."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self._released = threading.Semaphore(0)

    def __call__(self, job_id: str, run: RunContext) -> None:
        self.entered.append(run.id)
        assert self._released.acquire(timeout=REAL_SECONDS)

    def release(self) -> None:
        self._released.release()


def hold_two(node: Node, policies: Policies = QUEUE) -> Held:
    """A run in its call, the next slot, which waits for it, and no further one for long."""
    held = Held()
    node.functions.register("held", held)
    node.add(function_name="held", policies=policies, interval_seconds=1_000.0)
    node.advance(2_000, runs_end=False)
    assert states(node) == ["running", "queued"]
    return held


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("verb", ["finish", "waiting_runs", "start_waiting", "running_run_ids"])
def test_a_run_that_waits_starts_once_whatever_answer_is_lost(
    node: Node, chaos: Interference, verb: str, when: str, count: int
) -> None:
    held = hold_two(node)
    if verb == "running_run_ids":
        chaos.after["start_waiting"] = once(away)
    (chaos.before if when == "before" else chaos.after)[verb] = first(count, away)
    held.release()

    drive(node, lambda: len(held.entered) == 2, seconds=600)
    held.release()
    drive(node, lambda: states(node)[:2] == ["succeeded", "succeeded"] and is_healed(node), seconds=300)

    assert is_whole(node)
    assert len(set(held.entered)) == len(held.entered) == 2


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_mistake_around_the_start_of_a_waiting_run_is_looked_up_as_well(
    node: Node, chaos: Interference, when: str
) -> None:
    held = hold_two(node)
    (chaos.before if when == "before" else chaos.after)["start_waiting"] = once(fails(TypeError("a mistake of ours")))
    held.release()

    drive(node, lambda: len(held.entered) == 2, seconds=600)
    held.release()
    drive(node, lambda: states(node)[:2] == ["succeeded", "succeeded"] and is_healed(node), seconds=300)

    assert is_whole(node)


def test_a_waiting_run_that_cannot_be_started_does_not_hold_the_others(node: Node, chaos: Interference) -> None:
    gate = threading.Event()
    node.functions.register("gated", lambda job_id: gate.wait(20) and None)
    poisoned, other = (node.add(function_name="gated", policies=QUEUE) for _ in range(2))
    node.advance(20, runs_end=False)
    assert states(node, poisoned) == states(node, other) == ["running", "queued"]

    def refuse(starts: list[Any], **_: object) -> None:
        if any(start.job_id == poisoned.id for start in starts):
            raise TypeError("a mistake of ours")

    chaos.before["start_waiting"] = refuse
    gate.set()
    with capture_logs() as lines:
        drive(node, lambda: states(node, other)[:2] == ["succeeded", "succeeded"], seconds=9)

    assert [line["job_id"] for line in lines if line["event"] == "waiting run not started"] == [str(poisoned.id)]


def test_a_queued_slot_whose_claim_was_not_answered_cancels_what_is_in_its_way(node: Node, chaos: Interference) -> None:
    ended: list[bool] = []
    node.functions.register("asks", lambda job_id, run: ended.append(run.cancelled.wait(20)))
    node.add(function_name="asks", policies=Policies(overlap_policy=OverlapPolicy.CANCEL_RUNNING))
    node.advance(10, runs_end=False)
    chaos.after["advance"] = once(away)

    drive(node, lambda: states(node)[:2] == ["cancelled", "running"], seconds=14)
    node.scheduler.delete_all_jobs()
    node.scheduler.cancellation.end(node.runs()[-1].id, "the test is over")
    drive(node, lambda: is_whole(node), seconds=5)

    assert ended == [True, True]


def test_bad_streaks_are_looked_at_although_the_answer_was_lost(node: Node, chaos: Interference) -> None:
    def fail(job_id: str) -> None:
        raise ValueError(job_id)

    node.functions.register("fail", fail)
    job = node.add(function_name="fail", policies=Policies(pause_after_failures=1), interval_seconds=1_000.0)
    node.advance(990)
    chaos.after["finish"] = once(away)

    drive(node, lambda: node.job(job).status is JobStatus.PAUSED and is_healed(node), seconds=600)

    assert states(node, job) == ["failed"]


def test_slots_to_be_caught_up_with_start_although_the_first_is_on_a_day_off_and_the_answer_is_lost(
    store: SqlStore,
) -> None:
    before = Node(store).start()
    draft = CalendarDraft("new year", frozenset({(NOON).date()}), frozenset())
    before.scheduler.calendars.create(draft)
    job = before.add(
        interval_seconds=43_200.0,
        exclude_calendars=("new year",),
        policies=Policies(misfire_policy=MisfirePolicy.RUN_ALL),
    )
    before.step_wall(-3_600.0)
    before.stop()
    before.clock.step_wall(3_600.0 + 3 * 86_400.0)
    chaos = Interference(store)
    after = Node(chaos, before.clock)  # type: ignore[arg-type]
    chaos.after["advance"] = once(away)
    after.scheduler.start()

    drive(after, lambda: len(after.calls) >= 5 and is_healed(after), seconds=60)
    after.stop()

    assert {run.state for run in after.runs(job)} <= {RunState.SKIPPED, RunState.SUCCEEDED, RunState.MISSED}
