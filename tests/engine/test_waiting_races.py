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
from engine.policies import OverlapPolicy, Policies
from engine.requests import JobChange
from registry import RunContext
from store import SqlStore
from tests.engine.interference import Interference, away, fails, first, once
from tests.engine.test_races import drive, is_healed, is_whole, states
from tests.fakes import NOON, Latch, Node


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
