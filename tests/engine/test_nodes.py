"""Several nodes on one database: who claims what, who takes over, and what becomes of a node that is not heard of."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from engine.errors import NodeLost, RunInTheWay
from engine.gate import Refusal, StartGate
from engine.homes import Homes
from engine.limits import HEARTBEAT_SECONDS, LOOK_AROUND_SECONDS, MAX_TAKE_OVER_SECONDS, MISSING_FUNCTION_SECONDS
from engine.nodes import Claimant, Neighbours, NodeRecord, Presence, Role
from engine.nouns import Assignment, DueHint, RunState
from engine.policies import OverlapPolicy, Policies
from engine.requests import JobChange
from engine.rhythm import REGULAR
from registry import FunctionRegistry
from store import SqlStore
from tests.engine.interference import Interference, away, once
from tests.factories import IDLE, make_advance, make_job, make_node, make_run
from tests.factories import NOON as FACTORY_NOON
from tests.fakes import NOON, REAL_SECONDS, Fleet, Latch, ManualClock, Node

SECOND = timedelta(seconds=1)
IN_PRODUCTION = {"heartbeat_seconds": HEARTBEAT_SECONDS, "look_around_seconds": LOOK_AROUND_SECONDS}
DATABASE_VERBS = (
    *("advance", "start_waiting", "add_manual_run", "finish", "node_seen", "node_back", "live_nodes", "global_pause"),
    *("jobs_by_id", "claims_on_record", "waiting_runs", "runs_to_end", "due_hints_until", "abandoned_runs"),
)


@contextmanager
def fleet_of(*stores: Any, clock: ManualClock | None = None, **options: Any) -> Iterator[Fleet]:
    clock = clock or ManualClock()
    fleet = Fleet(*(Node(store, clock, **(IN_PRODUCTION | options)) for store in stores))
    fleet.start()
    try:
        yield fleet
    finally:
        fleet.stop()


@contextmanager
def cut_off(fleet: Fleet, node: Node) -> Iterator[None]:
    """The database does not answer this node."""
    for verb in DATABASE_VERBS:
        node.store.before[verb] = lambda *_, **__: away()
    fleet.cut_off.append(node)
    yield
    node.store.end()
    fleet.cut_off.remove(node)


# --- Who claims ---------------------------------------------------------------------------------------------


def test_each_slot_starts_once_and_the_nodes_share_the_jobs(store: SqlStore) -> None:
    with fleet_of(store, store, store) as fleet:
        jobs = [fleet.nodes[0].add() for _ in range(30)]
        fleet.advance(60)
    runs = fleet.nodes[0].runs()
    assert Counter((run.job_id, run.scheduled_for) for run in runs).most_common(1)[0][1] == 1
    assert len(runs) == len(jobs) * 6
    assert {run.state for run in runs} == {RunState.SUCCEEDED}
    assert len({run.node for run in runs}) == 3
    assert all(len({run.node for run in runs if run.job_id == job.id}) == 1 for job in jobs)
    # The home of each job is at its slots on time.
    assert {run.lateness_ms for run in runs} == {0.0}


def test_a_job_that_another_node_creates_is_known_here_at_the_next_look(store: SqlStore) -> None:
    with fleet_of(store, store) as fleet:
        fleet.nodes[1]._agenda.stop()
        assert fleet.nodes[1].scheduler._timer.join(REAL_SECONDS)
        job = fleet.nodes[1].add(interval_seconds=5.0)
        fleet.advance(10 + MAX_TAKE_OVER_SECONDS)
        assert [run.node for run in fleet.nodes[0].runs(job)] == [fleet.nodes[0].scheduler.node] * 2


def test_the_jobs_of_a_node_that_is_cut_off_are_taken_over_a_moment_later(store: SqlStore) -> None:
    with fleet_of(Interference(store), store, store) as fleet:
        for _ in range(20):
            fleet.nodes[1].add()
        fleet.advance(15)
        with cut_off(fleet, fleet.nodes[0]):
            fleet.advance(10)
        runs = [run for run in fleet.nodes[1].runs() if run.scheduled_for == NOON + 20 * SECOND]
        assert len(runs) == 20
        assert 0.0 < max(run.lateness_ms or 0.0 for run in runs) <= 1_000 * MAX_TAKE_OVER_SECONDS


def test_a_busy_node_leaves_what_is_due_to_the_others(store: SqlStore) -> None:
    with fleet_of(store, store, pool_size=1) as fleet:
        latch = Latch()
        for node in fleet.nodes:
            node.functions.register("linger", latch)
        for _ in range(2):
            fleet.nodes[0].add(function_name="linger", interval_seconds=1_000.0, start_at=NOON + 10 * SECOND)
        fleet.advance(12, runs_end=False)
        assert {run.node for run in fleet.nodes[0].runs()} == {node.scheduler.node for node in fleet.nodes}
        latch.release()
        latch.release()


def test_limits_hold_over_all_nodes(store: SqlStore) -> None:
    with fleet_of(store, store) as fleet:
        latch = Latch()
        for node in fleet.nodes:
            node.functions.register("linger", latch)
        keyed = Policies(concurrency_key="one", overlap_policy=OverlapPolicy.SKIP)
        jobs = [
            fleet.nodes[0].add(function_name="linger", interval_seconds=1_000.0, policies=keyed, start_at=NOON + SECOND)
            for _ in range(8)
        ]
        fleet.advance(3, runs_end=False)
        running = [run for run in fleet.nodes[0].runs() if run.state is RunState.RUNNING]
        assert len(running) == 1
        other = next(node for node in fleet.nodes if node.scheduler.node != running[0].node)
        with pytest.raises(RunInTheWay):
            other.scheduler.run_now(running[0].job_id)
        assert len(jobs) == len(fleet.nodes[0].runs())
        latch.release()


# --- What becomes of a node that is not heard of ---------------------------------------------------------------


def test_a_node_that_is_not_heard_of_is_lost_with_its_runs_and_comes_back_without_them(store: SqlStore) -> None:
    with fleet_of(store, Interference(store)) as fleet:
        watching, silent = fleet.nodes
        latch = Latch()
        for node in fleet.nodes:
            node.functions.register("linger", latch)
        job = silent.add(
            function_name="linger",
            interval_seconds=1_000.0,
            policies=Policies(max_retries=1, retry_delay_seconds=1.0, retry_jitter=0.0),
        )
        run = silent.scheduler.run_now(job.id)
        latch.await_entry()
        with cut_off(fleet, silent):
            fleet.advance(REGULAR.lease_seconds + HEARTBEAT_SECONDS + 2, runs_end=False)
            # Lost, and tried again where somebody is left to do it.
            latch.await_entry()
        retried = store.run(run.id)
        assert retried is not None
        assert (retried.state, retried.attempt, retried.node) == (RunState.RUNNING, 2, watching.scheduler.node)
        assert [attempt.state for attempt in retried.earlier_attempts] == [RunState.LOST]

        fleet.advance(2 * HEARTBEAT_SECONDS, runs_end=False)
        assert {record.id for record in store.live_nodes()} == {node.scheduler.node for node in fleet.nodes}

        # Both calls return; only the one whose run it is is heard.
        latch.release()
        latch.release()
        fleet.advance(5)
        finished = store.run(run.id)
        assert finished is not None
        assert (finished.state, finished.attempt, finished.node) == (RunState.SUCCEEDED, 2, watching.scheduler.node)


def test_a_node_that_was_declared_lost_claims_nothing_until_it_has_come_back(store: SqlStore) -> None:
    with fleet_of(store) as fleet:
        (node,) = fleet.nodes
        job = node.add()
        (record,) = store.live_nodes()
        assert store.lose_node(record.id, beats=record.beats, at=NOON)
        with pytest.raises(NodeLost):
            node.scheduler.run_now(job.id)
        assert node.runs() == []
        fleet.advance(HEARTBEAT_SECONDS)
        node.scheduler.run_now(job.id)
        node.settle()
        assert [run.state for run in node.runs()] == [RunState.SUCCEEDED]


def test_a_node_that_has_moved_since_it_was_seen_is_not_lost(store: SqlStore) -> None:
    record = make_node()
    store.node_started(record)
    assert store.node_seen(record.id, NOON, IDLE)
    assert not store.lose_node(record.id, beats=record.beats, at=NOON)
    assert store.lose_node(record.id, beats=record.beats + 1, at=NOON)
    assert not store.lose_node(record.id, beats=record.beats + 1, at=NOON)
    assert not store.node_seen(record.id, NOON, IDLE)


def test_a_node_does_not_come_back_while_a_run_of_its_life_before_is_on_record(store: SqlStore) -> None:
    record = make_node()
    store.node_started(record)
    job = make_job()
    store.add_job(job)
    advance = make_advance(job, run=make_run(job_id=job.id, node=record.id))
    store.advance([advance], by=Claimant(record.id, NOON))
    (seen,) = store.live_nodes()
    assert seen.beats == record.beats + 1
    assert store.lose_node(record.id, beats=seen.beats, at=NOON)
    assert [run.id for run in store.abandoned_runs(limit=9)] == [advance.run.id if advance.run else None]
    assert not store.node_back(record)
    assert store.live_nodes() == []


def test_a_claim_of_a_node_that_is_lost_writes_nothing(store: SqlStore) -> None:
    job = make_job()
    store.add_job(job)
    with pytest.raises(NodeLost):
        store.advance([make_advance(job)], by=Claimant(uuid4(), NOON))
    assert store.job(job.id) == job
    assert store.views.runs_page(job_id=None, state=None, before=None, limit=9) == []


def look_every_three_seconds(
    neighbours: Neighbours, record: NodeRecord, *, begin: float, end: float, now: datetime | None = FACTORY_NOON
) -> float | None:
    """When the node is lapsed first, if it is."""
    instants = [begin + 3.0 * number for number in range(round((end - begin) / 3.0) + 1)]
    return next((instant for instant in instants if neighbours.observe([record], now=now, monotonic=instant)), None)


def neighbours_of(me: UUID) -> Neighbours:
    return Neighbours(me=me, lease_seconds=12.0, gap_seconds=6.0)


def test_beats_that_stand_still_make_a_node_lapsed_by_the_observers_own_clock() -> None:
    neighbours = neighbours_of(uuid4())
    other = make_node(beats=7)
    assert look_every_three_seconds(neighbours, other, begin=100.0, end=109.0) is None
    moved = make_node(id=other.id, beats=8)
    assert look_every_three_seconds(neighbours, moved, begin=112.0, end=130.0) == 124.0


def test_a_node_that_went_and_came_back_is_counted_from_then() -> None:
    neighbours = neighbours_of(uuid4())
    other = make_node(beats=7)
    assert look_every_three_seconds(neighbours, other, begin=100.0, end=106.0) is None
    assert neighbours.observe([], now=FACTORY_NOON, monotonic=109.0) == []
    assert look_every_three_seconds(neighbours, other, begin=112.0, end=130.0) == 124.0


def test_who_could_not_look_for_a_while_takes_nobody_for_dead_because_of_that() -> None:
    neighbours = neighbours_of(uuid4())
    other = make_node(beats=7)
    assert look_every_three_seconds(neighbours, other, begin=100.0, end=106.0) is None
    # The database was away for all of them.
    assert look_every_three_seconds(neighbours, other, begin=160.0, end=180.0) == 172.0


def test_a_new_node_takes_half_a_lease_of_the_silence_of_others_on_trust() -> None:
    """All were killed, and one is back: their runs must not wait for it to see all of their silence itself."""
    long_silent = make_node(at=FACTORY_NOON - 60 * SECOND)
    neighbours = neighbours_of(uuid4())
    instants = [100.0 + 3.0 * number for number in range(9)]
    lapsed = [bool(neighbours.observe([long_silent], now=FACTORY_NOON, monotonic=instant)) for instant in instants]
    assert instants[lapsed.index(True)] == 106.0


def test_a_new_node_without_a_clock_of_the_database_sees_all_of_the_silence_itself() -> None:
    """The wall clock of the host, by which the others were seen, may have been set forward since."""
    silent = make_node(at=FACTORY_NOON - 60 * SECOND)
    assert look_every_three_seconds(neighbours_of(uuid4()), silent, begin=100.0, end=120.0, now=None) == 112.0


def test_the_pause_of_everything_that_ends_elsewhere_is_not_the_one_that_took_its_place(store: SqlStore) -> None:
    """Between two looks around, this node does not know yet that the pause whose time has come was replaced."""
    with fleet_of(store, store, look_around_seconds=60.0) as fleet:
        here, there = fleet.nodes
        here.scheduler.pausing.pause_all(until=NOON + 5 * SECOND, by=None, note=None)
        there.scheduler.pausing.follow()
        here.scheduler.pausing.pause_all(until=None, by="ops", note=None)
        fleet.advance(10)
        assert there.scheduler.pausing.current == here.scheduler.pausing.current == store.global_pause()
        assert store.global_pause() is not None


# --- Trust ----------------------------------------------------------------------------------------------------


def ticket(gate: StartGate) -> UUID:
    run, job = make_run(), make_job()
    gate.open(Assignment(run, job), version=1)
    return run.id


def test_nothing_enters_on_claims_that_are_out_of_trust() -> None:
    clock = ManualClock()
    gate = StartGate(clock=clock, trust_seconds=9.0)
    first, second = ticket(gate), ticket(gate)
    clock.advance_to_next(8.9)
    assert not gate.is_to_wait(first)
    assert gate.enter(first) is None
    clock.advance_to_next(9.0)
    assert gate.is_to_wait(second)
    # Counted from before the write, not from its answer.
    gate.trust(0.5)
    assert not gate.is_to_wait(second)
    clock.advance_to_next(9.5)
    assert gate.is_to_wait(second)


def test_word_that_the_node_was_lost_comes_before_the_trust_that_follows_it() -> None:
    clock = ManualClock()
    gate = StartGate(clock=clock, trust_seconds=9.0)
    entered, waiting = ticket(gate), ticket(gate)
    gate.enter(entered)
    clock.advance_to_next(20.0)
    assert [run.id for run in gate.revoke_all(Refusal("lost", RunState.LOST))] == [entered]
    assert not gate.is_to_wait(waiting)
    assert gate.enter(waiting) == Refusal("lost", RunState.LOST)
    gate.trust(20.0)
    assert gate.enter(waiting) == Refusal("lost", RunState.LOST)


# --- What others change -----------------------------------------------------------------------------------------


def test_a_pause_of_everything_holds_the_other_nodes_too_and_so_does_its_end(store: SqlStore) -> None:
    with fleet_of(store, store) as fleet:
        here, there = fleet.nodes
        for _ in range(8):
            here.add()
        here.scheduler.pausing.pause_all(until=None, by="ops", note=None)
        fleet.advance(LOOK_AROUND_SECONDS)
        assert there.scheduler.pausing.current == here.scheduler.pausing.current
        fleet.advance(30)
        assert here.calls == there.calls == []
        there.scheduler.pausing.resume_all()
        fleet.advance(LOOK_AROUND_SECONDS)
        assert here.scheduler.pausing.current is None
        fleet.advance(20)
        assert here.calls
        assert there.calls


def test_a_run_of_another_node_is_cancelled_there(store: SqlStore) -> None:
    with fleet_of(store, store) as fleet:
        here, there = fleet.nodes
        ended: list[RunState] = []
        latch = Latch()
        there.functions.register("linger", latch)
        here.functions.register("linger", latch)
        job = here.add(function_name="linger", interval_seconds=1_000.0)
        run = there.scheduler.run_now(job.id)
        latch.await_entry()
        assert store.ask_to_end(run.id, reason="enough")
        fleet.advance(LOOK_AROUND_SECONDS, runs_end=False)
        live = there.scheduler._runner.live_runs.get(run.id)
        assert live is not None
        assert live.cancelled.is_set()
        latch.release()
        fleet.settle()
        found = store.run(run.id)
        assert found is not None
        ended.append(found.state)
        assert ended == [RunState.CANCELLED]


@pytest.mark.parametrize("change", ["pause", "delete"])
def test_what_was_claimed_and_has_not_started_does_not_start_after_a_change_elsewhere(
    store: SqlStore, change: str
) -> None:
    with fleet_of(store, store) as fleet:
        here, there = fleet.nodes
        job = here.add()
        gate = there.scheduler._gate
        run = make_run(job_id=job.id)
        gate.open(Assignment(run, job), version=job.version)
        if change == "pause":
            here.scheduler.pause_job(job.id)
        else:
            here.scheduler.delete_job(job.id)
        there.scheduler.changed()
        fleet.settle()
        refusal = gate.enter(run.id)
        assert refusal is not None
        assert change in refusal.reason
        gate.close(run.id)


def test_a_node_that_serves_the_api_only_leaves_runs_to_the_others(store: SqlStore) -> None:
    clock = ManualClock()
    options: dict[str, Any] = dict(IN_PRODUCTION)
    serving = Node(store, clock, presence=Presence(role=Role.API), **options)
    working = Node(store, clock, **options)
    fleet = Fleet(serving, working)
    fleet.start()
    job = serving.add()
    asked = serving.scheduler.run_now(job.id)
    assert asked.state is RunState.QUEUED
    fleet.advance(25)
    assert serving.calls == []
    assert {run.node for run in serving.runs() if run.id != asked.id} == {working.scheduler.node}
    started = store.run(asked.id)
    assert started is not None
    assert (started.state, started.node) == (RunState.SUCCEEDED, working.scheduler.node)
    assert serving.scheduler.health().problems == ()
    fleet.stop()


# --- Homes ------------------------------------------------------------------------------------------------------


def homes(me: UUID, *others: UUID, functions: tuple[str, ...] = ("note",)) -> Homes:
    registry = FunctionRegistry()
    for name in functions:
        registry.register(name, lambda job_id: None)
    found = Homes(me=me, functions=registry)
    found.set_live(frozenset({me, *others}))
    return found


def hint(job_id: UUID, function_name: str = "note") -> DueHint:
    return DueHint(job_id, NOON, 1, function_name=function_name)


def test_each_job_has_one_home_and_they_are_spread_evenly() -> None:
    nodes = [uuid4() for _ in range(4)]
    views = [homes(node, *nodes) for node in nodes]
    at_home: Counter[int] = Counter()
    for _ in range(2_000):
        delays = [view.delay(hint(uuid4_fixed)) for uuid4_fixed in [uuid4()] for view in views]
        assert len(set(delays)) == len(nodes)
        at_home[delays.index(timedelta(0))] += 1
    assert min(at_home.values()) > 350


def test_when_a_node_goes_only_its_jobs_move() -> None:
    nodes = [uuid4() for _ in range(4)]
    for _ in range(500):
        job_id = uuid4()
        before = [homes(node, *nodes).delay(hint(job_id)) for node in nodes]
        home = before.index(timedelta(0))
        gone = (home + 1) % 4
        left = [node for node in nodes if node != nodes[gone]]
        after = {node: homes(node, *left).delay(hint(job_id)) for node in left}
        assert after[nodes[home]] == timedelta(0)


def test_a_node_without_the_function_looks_later_unless_it_is_alone() -> None:
    me, other = uuid4(), uuid4()
    job_id = uuid4()
    assert homes(me, other).delay(hint(job_id, "absent")) >= timedelta(seconds=MISSING_FUNCTION_SECONDS)
    assert homes(me).delay(hint(job_id, "absent")) == timedelta(0)


def test_a_job_that_is_edited_while_all_are_deleted_leaves_a_row_for_its_due_slots(store: SqlStore) -> None:
    interference = Interference(store)
    with fleet_of(interference) as fleet:
        (node,) = fleet.nodes
        job = node.add()
        node.scheduler.pausing.pause_all(until=None, by=None, note=None)
        fleet.advance(25)
        interference.before["delete_all_jobs"] = once(
            lambda: node.scheduler.change_job(job.id, JobChange(name="another name"))
        )
        assert node.scheduler.delete_all_jobs() == 1
        (row,) = node.runs(job)
        assert (row.state, row.slot_count, row.scheduled_for) == (RunState.MISSED, 2, NOON + 10 * SECOND)
