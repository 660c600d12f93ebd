"""The heartbeat: that a node's time is on record, and that a run which nobody wakes is woken all the same."""

from datetime import timedelta
from threading import Condition

import pytest
from structlog.testing import capture_logs

from engine.limits import HEARTBEAT_SECONDS, LOOK_AROUND_SECONDS, WAITING_RECHECK_SECONDS
from engine.nouns import DueHint, Run, RunState
from engine.past import Uptime
from engine.policies import OverlapPolicy, Policies
from store import SqlStore
from tests.engine.interference import Interference, away
from tests.fakes import NOON, Latch, Node, running

SECOND = timedelta(seconds=1)


def beating(store: object, **options: object) -> Node:
    return Node(store, heartbeat_seconds=HEARTBEAT_SECONDS, **options)  # type: ignore[arg-type]


def await_beat(node: Node) -> None:
    """Until it sleeps, for the next beat or because it fails."""
    await_sleep(node, node.scheduler._heartbeat._condition)


def await_look(node: Node) -> None:
    """The same of the watcher."""
    await_sleep(node, node.scheduler._watcher._condition)


def await_sleep(node: Node, condition: Condition) -> None:
    while True:
        parkings = node.clock.parkings
        wakes_at = node.clock.sleeps_until(condition)
        if wakes_at is not None and wakes_at > node.clock.monotonic():
            return
        node.clock.await_parking(after=parkings)


def pass_time(node: Node, seconds: float, *, runs_end: bool = True) -> None:
    """Beat by beat."""
    for _ in range(round(seconds / HEARTBEAT_SECONDS)):
        await_beat(node)
        node.advance(HEARTBEAT_SECONDS, runs_end=runs_end)
        await_beat(node)


def uptime_of(node: Node) -> Uptime:
    found: Uptime
    (found,) = [each for each in node.store.uptimes(around=node.clock.now()) if each.node == node.scheduler.node]
    return found


def test_a_node_is_seen_every_few_seconds_until_it_stops(store: SqlStore) -> None:
    with running(beating(store)) as node:
        assert uptime_of(node) == Uptime(node.scheduler.node, NOON, NOON, is_live=True)
        pass_time(node, 15)
        assert uptime_of(node) == Uptime(node.scheduler.node, NOON, NOON + 15 * SECOND, is_live=True)
        node.advance(2)
    end = NOON + 17 * SECOND
    assert uptime_of(node) == Uptime(node.scheduler.node, NOON, end, end)
    assert not node.scheduler._heartbeat.is_alive


def test_a_node_has_stopped_when_its_stop_began_and_not_when_its_runs_were_over(store: SqlStore) -> None:
    node = beating(store).start()
    node.advance(3)
    node.scheduler.begin_stop()
    node.clock.advance_to_next(4.0)
    node.stop()
    uptime = uptime_of(node)
    assert (uptime.stopped_at, uptime.seen_at) == (NOON + 3 * SECOND, NOON + 4 * SECOND)


def test_a_node_that_dies_leaves_the_instant_at_which_it_was_seen_last(store: SqlStore) -> None:
    interference = Interference(store)
    with running(beating(interference)) as node:
        pass_time(node, 9)
        node.advance(2)
        interference.before["node_stopped"] = lambda *_, **__: away()
    assert uptime_of(node) == Uptime(node.scheduler.node, NOON, NOON + 9 * SECOND, is_live=True)


def test_it_outlives_a_database_that_is_away_and_says_so_once(store: SqlStore) -> None:
    interference = Interference(store)
    with capture_logs() as lines, running(beating(interference)) as node:
        interference.before["node_seen"] = lambda *_: away()
        pass_time(node, 60)
        assert node.scheduler._heartbeat.is_alive
        interference.end()
        pass_time(node, 9)
        assert uptime_of(node).seen_at == node.clock.now()
    told = [line["event"] for line in lines if line["event"].startswith("heartbeat")]
    assert told == ["heartbeat failing", "heartbeat works again"]


def test_a_node_whose_row_is_gone_is_on_record_again(store: SqlStore) -> None:
    with running(beating(store)) as node:
        with store._writing() as connection:
            connection.exec_driver_sql("DELETE FROM nodes")
        pass_time(node, 3)
        assert uptime_of(node) == Uptime(node.scheduler.node, NOON + 3 * SECOND, NOON + 3 * SECOND, is_live=True)


def test_trust_counts_from_before_the_time_was_asked_for(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    node = beating(store)
    # The instant that is written down may be as old as the question.
    monkeypatch.setattr(node.clock, "adjust", lambda _: node.clock.advance_to_next(5.0))
    node.scheduler._heartbeat.enter()

    node.clock.advance_to_next(8.9)
    assert node.scheduler._gate.is_trusted
    node.clock.advance_to_next(9.1)
    assert not node.scheduler._gate.is_trusted


def test_health_says_that_it_is_not_alive(store: SqlStore) -> None:
    node = Node(store).start()
    assert node.scheduler.health().problems == ()
    node.stop()
    assert "the heartbeat thread is not alive" in node.scheduler.health().problems


def waiting_behind_another(node: Node) -> tuple[Latch, Run]:
    """A job's run that goes on until it is let go, and the next one, which waits for that."""
    latch = Latch()
    node.functions.register("linger", latch)
    job = node.add(
        function_name="linger",
        interval_seconds=10.0,
        end_at=NOON + 25 * SECOND,
        policies=Policies(overlap_policy=OverlapPolicy.QUEUE_ONE, misfire_grace_seconds=60.0),
    )
    node.advance(10, runs_end=False)
    latch.await_entry()
    node.advance(10, runs_end=False)
    _, queued = node.runs(job)
    assert queued.state is RunState.QUEUED
    return latch, queued


def test_a_run_that_waits_and_that_nobody_woke_is_woken(store: SqlStore) -> None:
    with running(beating(store, look_around_seconds=LOOK_AROUND_SECONDS)) as node:
        latch, queued = waiting_behind_another(node)
        # What was to wake it, lost as if its thread had died.
        node.scheduler._runner.recorder._finished = lambda _: None
        latch.release()
        latch.release()
        node.settle()
        assert store.run(queued.id) == queued
        await_look(node)
        node.clock.advance_to_next(node.clock.monotonic() + WAITING_RECHECK_SECONDS)
        for _ in range(round(WAITING_RECHECK_SECONDS / LOOK_AROUND_SECONDS)):
            await_look(node)
            node.advance(LOOK_AROUND_SECONDS)
        await_look(node)
        node.settle()
        woken = store.run(queued.id)
        assert woken is not None
        assert woken.state is RunState.SUCCEEDED


def test_a_run_whose_ticket_is_still_to_be_taken_is_left_to_who_takes_it(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between an attempt's end on record and the return of its ticket, a hint would start it into that return."""
    with running(beating(store)) as node:
        latch, queued = waiting_behind_another(node)
        node.scheduler._gate._tickets[queued.id] = node.scheduler._gate._tickets[node.runs()[0].id]
        pushed: list[DueHint] = []
        monkeypatch.setattr(node._agenda, "push", pushed.append)
        node.scheduler._watcher.recheck_waiting()
        assert pushed == []
        del node.scheduler._gate._tickets[queued.id]
        node.scheduler._watcher.recheck_waiting()
        assert [hint.run_id for hint in pushed] == [queued.id]
        monkeypatch.undo()
        latch.release()
        latch.release()
        node.settle()
