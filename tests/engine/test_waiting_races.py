"""What two threads and a database that fails can do to pauses, to runs that wait, and to retries: one a test.

As in test_races.py, each interleaving is exact: the store is the real one, behind an `Interference`.
"""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from engine.deadlines import Deadlines
from engine.errors import StoreUnavailable
from engine.live_runs import LiveRun
from engine.nouns import Assignment, BadStreak, CallOver, DueHint, Job, JobStatus, RunState
from engine.policies import MisfirePolicy, OverlapPolicy, Policies
from engine.ready import Ready
from engine.recorder import Recorder
from engine.requests import CalendarDraft, JobChange
from registry import Lane, RunContext
from store import SqlStore
from tests.engine.interference import Interference, away, fails, first, nothing, once
from tests.engine.test_races import _await as await_that
from tests.engine.test_races import drive, is_healed, is_whole, states
from tests.factories import make_job, make_outcome, make_run
from tests.fakes import NOON, REAL_SECONDS, Latch, Node


@pytest.fixture
def chaos(store: SqlStore) -> Interference:
    return Interference(store)


@pytest.fixture
def node(chaos: Interference) -> Iterator[Node]:
    made = Node(chaos)
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

    drive(node, lambda: states(node)[:2] == ["succeeded", "skipped"] and is_healed(node), seconds=9, runs_end=True)

    assert is_whole(node)


class Held:
    """A job function that stays in its call until the test lets go; `entered` are its runs, each as often as called."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.let_go = threading.Event()

    def __call__(self, job_id: str, run: RunContext) -> None:
        self.entered.append(run.id)
        assert self.let_go.wait(REAL_SECONDS)


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
@pytest.mark.parametrize("verb", ["finish", "waiting_runs", "start_waiting", "claims_on_record"])
def test_a_run_that_waits_starts_once_whatever_answer_is_lost(
    node: Node, chaos: Interference, verb: str, when: str, count: int
) -> None:
    held = hold_two(node)
    if verb == "claims_on_record":
        chaos.after["start_waiting"] = once(away)
    (chaos.before if when == "before" else chaos.after)[verb] = first(count, away)
    held.let_go.set()

    drive(node, lambda: states(node)[:2] == ["succeeded"] * 2 and is_healed(node), seconds=600, runs_end=True)

    assert is_whole(node)
    assert len(set(held.entered)) == len(held.entered) == 2


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_mistake_around_the_start_of_a_waiting_run_is_looked_up_as_well(
    node: Node, chaos: Interference, when: str
) -> None:
    held = hold_two(node)
    (chaos.before if when == "before" else chaos.after)["start_waiting"] = once(fails(TypeError("a mistake of ours")))
    held.let_go.set()

    drive(node, lambda: states(node)[:2] == ["succeeded"] * 2 and is_healed(node), seconds=600, runs_end=True)

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
        drive(node, lambda: states(node, other)[:2] == ["succeeded"] * 2, seconds=9, runs_end=True)

    assert [line["job_id"] for line in lines if line["event"] == "waiting run not started"] == [str(poisoned.id)]


def test_a_queued_slot_whose_claim_was_not_answered_cancels_what_is_in_its_way(node: Node, chaos: Interference) -> None:
    ended: list[bool] = []
    node.functions.register("asks", lambda job_id, run: ended.append(run.cancelled.wait(20)))
    cancelling = Policies(overlap_policy=OverlapPolicy.CANCEL_RUNNING)
    node.add(function_name="asks", policies=cancelling, interval_seconds=1_000.0)
    node.advance(1_990, runs_end=False)
    chaos.after["advance"] = once(away)

    drive(node, lambda: states(node)[:2] == ["cancelled", "running"], seconds=900)
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

    drive(node, lambda: node.job(job).status is JobStatus.PAUSED and is_healed(node), seconds=600, runs_end=True)

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
    after = Node(chaos, before.clock)
    chaos.after["advance"] = once(away)
    after.scheduler.start()

    drive(after, lambda: len(after.calls) >= 5 and is_healed(after), seconds=60)
    after.stop()

    assert {run.state for run in after.runs(job)} <= {RunState.SKIPPED, RunState.SUCCEEDED, RunState.MISSED}


@pytest.mark.parametrize("lost", ["the edit", "the look at what waits"])
def test_a_run_that_waits_starts_after_a_resume_whose_answer_was_lost(
    node: Node, chaos: Interference, lost: str
) -> None:
    held = hold_two(node)
    (job,) = node.store.views.jobs_page(after=None, limit=2)
    node.scheduler.pause_job(job.id)
    held.let_go.set()
    node.settle()
    assert states(node)[:2] == ["succeeded", "queued"]
    if lost == "the edit":
        chaos.after["replace_job"] = once(away)
        with pytest.raises(StoreUnavailable):
            node.scheduler.resume_job(job.id)
    else:
        chaos.before["waiting_hints_of"] = once(away)
        assert node.scheduler.resume_job(job.id).status is JobStatus.ACTIVE

    drive(node, lambda: states(node)[:2] == ["succeeded"] * 2 and is_healed(node), seconds=600, runs_end=True)

    assert len(held.entered) == 2


# --- 3. Retries and cancellations -------------------------------------------------------------------------


class FailsOnce:
    """A job function that fails in its first call, once the test lets it."""

    def __init__(self) -> None:
        self.attempts: list[int] = []
        self.let_go = threading.Event()

    def __call__(self, job_id: str, run: RunContext) -> None:
        self.attempts.append(run.attempt)
        assert self.let_go.wait(REAL_SECONDS)
        if len(self.attempts) == 1:
            raise ValueError("the first call fails")


def failing_job(node: Node, **policies: Any) -> tuple[FailsOnce, Job]:
    function = FailsOnce()
    node.functions.register("fails once", function)
    made = Policies(**({"max_retries": 3, "retry_delay_seconds": 100.0, "retry_jitter": 0.0} | policies))
    return function, node.add(function_name="fails once", policies=made, interval_seconds=1_000.0)


def await_state(node: Node, state: str) -> None:
    await_that(node, lambda: states(node) == [state], REAL_SECONDS)
    assert states(node) == [state]


def test_a_retry_that_is_looked_at_before_its_last_attempt_is_home_keeps_its_permit_and_its_ticket(
    node: Node, chaos: Interference
) -> None:
    function, job = failing_job(node, retry_delay_seconds=0.0)

    def look_at_once() -> None:
        for hint in chaos.real.waiting_hints_of(job.id):
            node._agenda.push(hint)
        await_that(node, lambda: len(function.attempts) == 2, 0.2)

    chaos.after["finish"] = once(look_at_once)
    function.let_go.set()
    node.advance(990)
    drive(node, lambda: states(node) == ["succeeded"] and is_healed(node), seconds=600, runs_end=True)

    assert function.attempts == [1, 2]
    assert is_whole(node)


def test_a_cancellation_that_finds_its_run_just_about_to_be_tried_again_ends_it(
    node: Node, chaos: Interference
) -> None:
    function, _ = failing_job(node)
    node.advance(1_000, runs_end=False)
    (run,) = node.runs()

    def fail() -> None:
        function.let_go.set()
        await_state(node, "retrying")

    chaos.before["ask_to_end"] = once(fail)
    cancelled = node.scheduler.cancellation.cancel(run.id)

    assert (cancelled.run.state, cancelled.has_ended) == (RunState.CANCELLED, True)
    node.advance(500)
    assert function.attempts == [1]


def test_a_run_that_was_asked_to_end_while_its_failure_waited_to_be_recorded_is_not_tried_again(
    node: Node, chaos: Interference
) -> None:
    function, _ = failing_job(node)
    function.let_go.set()
    chaos.before["finish"] = once(lambda: chaos.real.ask_to_end(node.runs()[0].id, reason="cancelled by request"))

    node.advance(1_500)

    assert states(node) == ["failed"]
    assert function.attempts == [1]


def test_a_cancellation_between_gate_and_call_is_heard(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bool] = []
    node.functions.register("asks", lambda job_id, run: heard.append(run.cancelled.wait(0.5)))
    node.add(function_name="asks")
    live_runs = node.scheduler._runner.live_runs
    add = live_runs.add

    def cancelled_first(live: Any) -> None:
        node.scheduler.cancellation.end(live.assignment.run.id, "cancelled by request")
        add(live)

    monkeypatch.setattr(live_runs, "add", cancelled_first)
    node.advance(10)

    assert heard == [True]
    assert states(node) == ["cancelled"]


def test_the_time_out_of_an_attempt_does_not_hit_the_next_one(node: Node) -> None:
    run = make_run()
    assignment = Assignment(run, make_job(policies=Policies(timeout_seconds=5.0)))
    path = node.scheduler._runner.lanes._run_path
    earlier, later = (LiveRun(assignment, deliver=lambda _: None) for _ in range(2))
    earlier.returned(lambda _: make_outcome(run))
    path._live_runs.add(later)

    path._expire(earlier)

    assert later.ending is None
    path._live_runs.remove(run.id)


def test_a_time_out_that_fails_holds_no_other(node: Node) -> None:
    expired: list[LiveRun] = []

    def expire(live: LiveRun) -> None:
        expired.append(live)
        raise OSError("no such process")

    deadlines = Deadlines(clock=node.clock, expired=expire, max_wait_seconds=1.0)
    for _ in range(2):
        live = LiveRun(Assignment(make_run(), make_job()), deliver=lambda _: None)
        deadlines.set(live, 0.0)

    deadlines.turn()

    assert len(expired) == 2


# --- 4. Pauses of everything, and by the scheduler ----------------------------------------------------------


def test_everything_is_resumed_beside_a_job_whose_schedule_cannot_be_read(node: Node, chaos: Interference) -> None:
    node.add(cron_expression="* * * * *")
    other = node.add()
    node.scheduler.pausing.pause_all(until=None, by=None, note=None)
    with chaos.real._writing() as connection:
        connection.execute(text("UPDATE jobs SET cron_expression = 'no cron' WHERE cron_expression IS NOT NULL"))
    node.advance(65)

    node.scheduler.pausing.resume_all()
    drive(node, lambda: "succeeded" in states(node, other), seconds=15)

    assert states(node, other)[0] == "missed"


def test_a_pause_of_everything_that_takes_the_place_of_one_that_ends_goes_on(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.add()
    pausing = node.scheduler.pausing
    later = NOON + timedelta(seconds=500)
    pausing.pause_all(until=NOON + timedelta(seconds=15), by=None, note=None)
    pass_over = pausing._is_over
    replaced: list[bool] = []

    def is_over() -> bool:
        if not (found := pass_over()) or replaced:
            return found
        replaced.append(True)
        pausing.pause_all(until=later, by=None, note=None)
        return True

    monkeypatch.setattr(pausing, "_is_over", is_over)
    node.advance(100)

    assert replaced == [True]
    assert pausing.current is not None
    assert pausing.current.until == later == node.store.global_pause().until
    assert node.calls == []


def test_a_job_that_its_last_run_completed_is_not_paused_for_its_failures(node: Node) -> None:
    function, job = failing_job(node, max_retries=0, pause_after_failures=1)
    node.scheduler.change_job(job.id, JobChange(timing={"max_runs": 1}))
    function.let_go.set()

    node.advance(1_000)

    node.scheduler.pausing.look_at_streak(BadStreak(job.id, failures=1, crashes=0))

    assert states(node) == ["failed"]
    assert node.job(job).status is JobStatus.COMPLETED


def test_a_pause_that_is_slow_to_tell_leaves_what_waits_for_a_permit_of_a_resumed_job() -> None:
    ready = Ready(lambda _: Lane.THREAD)
    job_id = uuid4()
    ready.add(DueHint(job_id, NOON, 3))

    ready.discard(job_id, up_to_version=2)
    assert ready.has(Lane.THREAD)

    ready.discard(job_id, up_to_version=3)
    assert not ready.has(Lane.THREAD)


def test_a_run_whose_call_is_over_after_all_is_not_over_for_who_asks(node: Node) -> None:
    recorder = Recorder(store=node.store, clock=node.clock, recorded=nothing, finished=nothing)
    run = make_run()
    stuck = make_outcome(
        run,
        state=RunState.RETRYING,
        attempt_state=RunState.TIMED_OUT,
        due_at=NOON,
        is_stuck=True,
    )
    recorder.put(stuck)
    recorder.put(CallOver(run.id, run.job_id))

    assert recorder.ended_claims() == set()
    assert recorder.run_ids_with_outcome() == {run.id}
