"""Nodes against each other, and against their own past: commits that come late, deaths between two steps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from engine.errors import StoreUnavailable
from engine.gate import Refusal
from engine.limits import (
    HEARTBEAT_SECONDS,
    MAX_BACKOFF_SECONDS,
    MAX_HEARTBEAT_BACKOFF_SECONDS,
    MAX_QUARANTINE_SECONDS,
    MAX_WAIT_SECONDS,
    MISSING_FUNCTION_RUN_SECONDS,
    MISSING_FUNCTION_SECONDS,
    WINDOW_SECONDS,
)
from engine.nodes import Presence, Role
from engine.nouns import Assignment, Attempt, RunState
from engine.policies import OverlapPolicy, Policies
from engine.rhythm import REGULAR
from engine.run_path import not_started
from store import SqlStore
from tests.engine.interference import Hook, Interference, away, once
from tests.engine.test_heartbeat import await_beat
from tests.engine.test_nodes import fleet_of
from tests.factories import make_job, make_node, make_outcome, make_run
from tests.fakes import NOON, Fleet, Latch, ManualClock, Node, running

ONE_RETRY = Policies(max_retries=1, retry_delay_seconds=1.0, retry_jitter=0.0)

QUEUED = Policies(overlap_policy=OverlapPolicy.QUEUE_ALL)


# --- Commits that come after they were given up ------------------------------------------------------------------


class LateCommit:
    """A verb whose answer does not come in time, and whose commit comes when `arrive` is called."""

    def __init__(self, verb: Callable[..., object]) -> None:
        self._verb = verb
        self._calls: list[tuple[Any, Any]] = []

    def hook(self) -> Hook:
        """To be called before the verb: the first call is given up."""

        def give_up(*args: Any, **options: Any) -> None:
            if not self._calls:
                self._calls.append((args, options))
                away()

        return give_up

    def arrive(self) -> None:
        (args, options), *_ = self._calls
        self._verb(*args, **options)


@pytest.mark.parametrize("max_retries", [0, 1])
def test_a_claim_that_is_written_after_it_was_given_up_does_not_go_on_for_ever(
    store: SqlStore, max_retries: int
) -> None:
    """A stalled disk holds the commit and nothing that is read: the claim is looked for, and not on record yet."""
    interfered = Interference(store)
    late = LateCommit(store.advance)
    with running(Node(interfered)) as node:
        policies = Policies(max_retries=max_retries, retry_delay_seconds=1.0, retry_jitter=0.0)
        node.add(interval_seconds=5.0, max_runs=1, policies=policies)
        interfered.before["advance"] = late.hook()
        interfered.after["claims_on_record"] = once(late.arrive)
        node.advance(6, runs_end=False)
        node.scheduler._heartbeat.beat()
        node.advance(2)
        (run,) = node.runs()
        assert (run.state, len(node.calls)) == ((RunState.SUCCEEDED, 1) if max_retries else (RunState.LOST, 0))


def test_a_run_by_hand_that_was_refused_and_is_written_later_does_not_start(store: SqlStore) -> None:
    interfered = Interference(store)
    late = LateCommit(store.add_manual_run)
    with fleet_of(interfered) as fleet:
        (node,) = fleet.nodes
        job = node.add(interval_seconds=1_000.0, policies=ONE_RETRY)
        interfered.before["add_manual_run"] = late.hook()
        with pytest.raises(StoreUnavailable):
            node.scheduler.run_now(job.id)
        fleet.settle()
        late.arrive()
        fleet.advance(2 * HEARTBEAT_SECONDS)
        assert [run.state for run in node.runs()] == [RunState.LOST]
        assert node.calls == []


# --- How a node comes ----------------------------------------------------------------------------------------------


def test_a_node_that_takes_long_to_start_is_seen_to_live_meanwhile(store: SqlStore) -> None:
    """A hundred thousand jobs whose next slot is looked up again take longer than a lease."""
    interfered = Interference(store)
    node = Node(interfered, heartbeat_seconds=HEARTBEAT_SECONDS)

    def take_long() -> None:
        for _ in range(5):
            await_beat(node)
            node.clock.advance_to_next(node.clock.monotonic() + HEARTBEAT_SECONDS)
        await_beat(node)

    interfered.before["local_job_ids"] = once(take_long)
    with running(node):
        (record,) = store.live_nodes()
        assert (record.beats, record.seen_at) == (5, NOON + timedelta(seconds=5 * HEARTBEAT_SECONDS))


def test_a_node_whose_start_fails_says_that_it_has_gone(store: SqlStore) -> None:
    interfered = Interference(store)
    node = Node(interfered, heartbeat_seconds=HEARTBEAT_SECONDS)
    interfered.before["local_job_ids"] = once(away)
    with pytest.raises(StoreUnavailable):
        node.scheduler.start()
    assert store.live_nodes() == []
    assert not node.scheduler._heartbeat.is_alive


def test_nodes_that_only_serve_the_api_do_not_make_up_for_a_downtime(store: SqlStore) -> None:
    before = Node(store).start()
    job = before.add(interval_seconds=10.0, policies=Policies(misfire_grace_seconds=60.0))
    before.stop()
    before.clock.advance_to_next(45)
    serving = make_node(at=NOON, presence=Presence(role=Role.API))
    store.hold_node(serving.id)
    store.node_started(serving)
    with running(Node(store, before.clock)) as node:
        runs = [(run.scheduled_for, run.state, run.slot_count) for run in node.runs(job)]
        assert runs == [
            (NOON + timedelta(seconds=10), RunState.MISSED, 3),
            (NOON + timedelta(seconds=40), RunState.SUCCEEDED, 1),
        ]


# --- What a node leaves behind ---------------------------------------------------------------------------------------


def test_what_is_stuck_on_a_node_that_stopped_is_so_no_more(store: SqlStore) -> None:
    """The node that is there looked when it started, and has lost nobody since: nor did anybody when a loser died."""
    with fleet_of(store) as fleet:
        job = fleet.nodes[0].add(interval_seconds=1_000.0)
        gone = make_node(at=NOON)
        store.node_started(gone)
        run = make_run(job_id=job.id, node=gone.id, started_at=NOON, scheduled_for=NOON)
        store.add_manual_run(run, is_forced=True)
        store.finish([make_outcome(run, state=RunState.TIMED_OUT, is_stuck=True)])
        store.node_stopped(gone.id, NOON, since=NOON)
        fleet.advance(HEARTBEAT_SECONDS)
        found = store.run(run.id)
        assert found is not None
        assert not found.is_stuck


@pytest.mark.parametrize("attempt", [1, 2])
def test_what_did_not_start_as_its_node_was_lost_is_tried_again_whoever_records_it(attempt: int) -> None:
    """The node finds out in the moment at which the others call its runs lost, and its recorder may be faster."""
    job = make_job(policies=Policies(max_retries=2))
    earlier = (Attempt(1, RunState.FAILED, NOON, NOON, 1.0, "ValueError", "no luck"),) if attempt > 1 else ()
    run = make_run(job_id=job.id, attempt=attempt, earlier_attempts=earlier)
    outcome = not_started(Assignment(run, job), Refusal("lost", RunState.LOST), at=NOON)
    assert (outcome.state, outcome.attempt_end) == (RunState.RETRYING, RunState.LOST)
    assert not outcome.undoes_claim


def test_a_run_that_waits_is_left_to_the_node_that_has_its_function(store: SqlStore) -> None:
    """A new release comes in: the old node looks first, and knows nothing of what the new one is to do."""
    with fleet_of(store, store) as fleet:
        old, new = fleet.nodes
        latch = Latch()
        new.functions.register("novel", latch)
        job = new.add(function_name="novel", interval_seconds=5.0, policies=QUEUED)
        fleet.advance(11 + MISSING_FUNCTION_SECONDS, runs_end=False)
        assert [run.state for run in new.runs(job)] == [RunState.RUNNING, RunState.QUEUED]
        old.scheduler._watcher.recheck_waiting()
        fleet.settle(runs_end=False)
        assert [run.state for run in new.runs(job)] == [RunState.RUNNING, RunState.QUEUED]
        latch.release()
        latch.await_entry()
        latch.await_entry()
        latch.release()


def test_a_run_that_waits_for_a_function_that_nobody_has_is_skipped_in_the_end(store: SqlStore) -> None:
    with fleet_of(store, store, look_around_seconds=30.0) as fleet:
        job = fleet.nodes[0].add(interval_seconds=86_400.0)
        run = make_run(job_id=job.id, function_name="gone", node=fleet.nodes[0].scheduler.node)
        store.add_manual_run(run.queued("waits", at=NOON), is_forced=True)
        fleet.advance(MISSING_FUNCTION_RUN_SECONDS - 30)
        assert [run.state for run in fleet.nodes[0].runs(job)] == [RunState.QUEUED]
        fleet.advance(90)
        assert [run.state for run in fleet.nodes[0].runs(job)] == [RunState.SKIPPED]


def test_what_waited_for_the_last_run_of_a_node_that_stopped_starts_soon(store: SqlStore) -> None:
    with fleet_of(store) as fleet:
        (node,) = fleet.nodes
        gone = make_node(at=NOON)
        store.hold_node(gone.id)
        store.node_started(gone)
        job = node.add(interval_seconds=1_000.0, policies=QUEUED)
        going = make_run(job_id=job.id, node=gone.id, started_at=NOON)
        waiting = make_run(job_id=job.id, function_name="note", scheduled_for=NOON).queued("waits", at=NOON)
        for run in (going, waiting):
            store.add_manual_run(run, is_forced=True)
        fleet.advance(HEARTBEAT_SECONDS + 1)
        assert node.calls == []
        store.finish([make_outcome(going)])
        store.node_stopped(gone.id, NOON, since=NOON)
        fleet.advance(HEARTBEAT_SECONDS)
        assert len(node.calls) == 1


# --- What a node looks at, and how often -----------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["jobs_by_id", "advance"])
def test_a_job_that_was_put_off_is_not_looked_at_again_for_being_due(store: SqlStore, verb: str) -> None:
    """The looks around, once a second here, find it due each time: that is known, and why it was put off."""
    interfered = Interference(store)
    looks: list[float] = []
    with fleet_of(interfered, window_seconds=WINDOW_SECONDS) as fleet:
        (node,) = fleet.nodes
        node.add(interval_seconds=1_000.0, start_at=NOON + timedelta(seconds=5))

        def fail(*_: object, **__: object) -> None:
            looks.append(node.clock.monotonic())
            raise TypeError("a mistake of ours")

        interfered.before[verb] = fail
        fleet.advance(200)
        pauses = {round(after - before) for before, after in pairwise(dict.fromkeys(looks))}
        assert MAX_QUARANTINE_SECONDS in pauses
        assert len(set(looks)) < 12
        interfered.end()
        fleet.advance(MAX_QUARANTINE_SECONDS)
        assert len(node.calls) == 1


def test_a_node_that_only_serves_the_api_keeps_nothing_that_is_due(store: SqlStore) -> None:
    """Nobody would ever take it out."""
    node = Node(store, presence=Presence(role=Role.API))
    with started(node):
        job = node.add()
        node.scheduler.pause_job(job.id)
        node.scheduler.resume_job(job.id)
        node._agenda.hasten(job.id)
        node.scheduler.run_now(job.id)
        assert node._agenda.scheduled_jobs == 0


def test_an_end_of_a_pause_that_this_node_has_not_heard_of_passes_over_what_it_held(store: SqlStore) -> None:
    clock = ManualClock()
    node, serving = Node(store, clock), Node(store, clock, presence=Presence(role=Role.API))
    with started(node, serving) as fleet:
        job = node.add(interval_seconds=5.0)
        node.scheduler.pausing.pause_all(until=None, by="ops", note=None)
        fleet.advance(6)
        serving.scheduler.pausing.resume_all()
        node.scheduler.pausing.follow()
        fleet.settle()
        assert [run.state for run in node.runs(job)] == [RunState.MISSED]


@contextmanager
def started(*nodes: Node) -> Iterator[Fleet]:
    fleet = Fleet(*nodes)
    fleet.start()
    try:
        yield fleet
    finally:
        fleet.stop()


# --- What a node says of itself --------------------------------------------------------------------------------------


def test_a_node_that_cannot_look_at_the_others_or_cannot_beat_is_not_ready(store: SqlStore) -> None:
    interfered = Interference(store)
    with fleet_of(interfered, max_wait_seconds=MAX_WAIT_SECONDS) as fleet:
        (node,) = fleet.nodes
        assert node.scheduler.health().problems == ()
        for verb in ("node_seen", "global_pause"):
            interfered.before[verb] = lambda *_, **__: away()
        fleet.advance(REGULAR.trust_seconds + 1)
        assert set(node.scheduler.health().problems) == {
            "other nodes are not looked at",
            "what other nodes change is not looked at",
            "no heartbeat got through for too long: nothing starts",
        }
        interfered.end()
        fleet.advance(HEARTBEAT_SECONDS + MAX_BACKOFF_SECONDS)
        assert node.scheduler.health().problems == ()


def test_a_node_whose_database_is_back_beats_within_a_second(store: SqlStore) -> None:
    """Pauses that grew to five seconds, after a call that hung for ten, would be longer than a lease."""
    interfered = Interference(store)
    with fleet_of(interfered) as fleet:
        interfered.before["node_seen"] = lambda *_, **__: away()
        fleet.advance(60)
        (before,) = store.live_nodes()
        interfered.end()
        fleet.advance(MAX_HEARTBEAT_BACKOFF_SECONDS)
        (after,) = store.live_nodes()
        assert after.beats > before.beats
