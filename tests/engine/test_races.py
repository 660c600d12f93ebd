"""What two threads, a database that fails and a process that dies can do to the engine, one interleaving a test.

The store is the real one, behind an `Interference`: each interleaving is exact, and nothing here waits for a race to
happen.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from engine.errors import JobNotFound, NotScheduling, StoreUnavailable
from engine.gate import Refusal, StartGate
from engine.heap import DueHeap
from engine.limits import MAX_EDIT_TRIES
from engine.nouns import Assignment, DueHint, Job, JobStatus, Outcome, RunState
from engine.reason_codes import ReasonCode
from engine.requests import JobChange, JobDraft
from engine.scheduler import Scheduler
from registry import Lane, RunContext
from store import SqlStore, open_store
from tests.engine.interference import Hook, Interference, away, fails, first, nothing, once
from tests.factories import make_job, make_run
from tests.fakes import NOON, REAL_SECONDS, Latch, ManualClock, Node

STEP_SECONDS = 0.25
PATIENCE_SECONDS = 1.0
"""How long, in real time, `drive` goes on looking once the virtual time it was given is over."""


class InterferedPool(ThreadPoolExecutor):
    """A pool with something done before or after it took a run."""

    def __init__(self, threads: int = 4, *, before: Hook | None = None, after: Hook | None = None) -> None:
        super().__init__(threads)
        self.before = before or nothing
        self.after = after or nothing

    def submit(self, fn: Callable[..., Any], /, *args: Any, **options: Any) -> "Future[Any]":
        self.before()
        future = super().submit(fn, *args, **options)
        self.after()
        return future


@pytest.fixture
def chaos(store: SqlStore) -> Interference:
    return Interference(store)


@pytest.fixture
def node(chaos: Interference) -> Iterator[Node]:
    made = Node(chaos)
    yield made.start()
    chaos.end()
    made.stop()


def drive(node: Node, is_so: Callable[[], bool], *, seconds: float = 30.0, runs_end: bool = False) -> None:
    """Let virtual time pass, through failures and their pauses, until it is so.

    With `runs_end` a step waits for the runs that are in the pool; without, time may pass while they are there.
    """
    limit = node.clock.monotonic() + seconds
    while not is_so() and node.clock.monotonic() < limit:
        node.clock.advance_to_next(min(node.clock.monotonic() + STEP_SECONDS, limit))
        _await(node, lambda: _is_quiet(node) and not (runs_end and _runs_in_the_pool(node)), REAL_SECONDS)
    _await(node, is_so, PATIENCE_SECONDS)
    assert is_so(), [(run.scheduled_for, run.state.value, run.reason) for run in node.runs()]


def _await(node: Node, is_so: Callable[[], bool], real_seconds: float) -> None:
    for _ in range(round(real_seconds / 0.002)):
        if is_so():
            return
        with node.clock._changed:
            node.clock._changed.wait(0.002)


def _is_quiet(node: Node) -> bool:
    """The timer and the recorder are parked, and neither is about to wake."""
    if not node._recorder_is_settled():
        return False
    agenda = node._agenda
    with agenda.condition:
        if not _is_parked(node, agenda.condition):
            return False
        if agenda._asleep_until is None:  # it rests after a failure
            return True
        head_due_at = agenda._heap.head_due_at()
        # Notified, perhaps, but not awake yet.
        return head_due_at is None or agenda._asleep_until <= max(head_due_at, node.clock.now())


def _runs_in_the_pool(node: Node) -> bool:
    over = node.scheduler._recorder.ended_claims()
    dispatcher = node.scheduler._timer._dispatcher
    in_doubt = {doubt.claim.run.id for doubt in dispatcher._in_doubt if doubt.claim.run}
    in_doubt |= {candidate.run.id for candidate, _ in dispatcher._waiting._in_doubt}
    tickets = node.scheduler._gate._tickets
    going = {run_id for run_id, ticket in tickets.items() if ticket.assignment.run.claim_id not in over}
    return bool(going - in_doubt)


def _is_parked(node: Node, condition: threading.Condition) -> bool:
    wakes_at = node.clock.sleeps_until(condition)
    return wakes_at is not None and wakes_at > node.clock.monotonic()


def is_healed(node: Node) -> bool:
    """Nothing is in doubt, waits to be recorded, or rests after a failure; every permit is back."""
    scheduler = node.scheduler
    # A timer that sleeps for what is due next has come past its failure, and says so when it wakes.
    is_timer_resting = scheduler._timer.is_failing and node._agenda._asleep_until is None
    rests = is_timer_resting or scheduler._recorder.is_failing
    return not rests and not len(scheduler._recorder) and is_whole(node) and _is_quiet(node)


def is_whole(node: Node) -> bool:
    """Every permit is back, once, and nothing is kept of runs that are over."""
    gate = node.scheduler._gate
    return node._agenda._free == node._agenda.permits and not len(gate) and not gate._by_job


def free_threads(node: Node) -> int:
    return node._agenda._free[Lane.THREAD]


def states(node: Node, job: Job | None = None) -> list[str]:
    return [run.state.value for run in node.runs(job)]


def slots(node: Node, job: Job) -> list[float]:
    """The slots on record, in seconds after noon, each as often as a row stands for it (jobs every 10 s)."""
    found: list[float] = []
    for run in node.runs(job):
        begin = (run.scheduled_for - NOON).total_seconds()
        found += [begin + 10 * index for index in range(run.slot_count)]
    return found


def every_ten_seconds(count: int) -> list[float]:
    return [10.0 * index for index in range(1, count + 1)]


def draft_of(job: Job, **overrides: Any) -> JobDraft:
    names = ("name", "function_name", "timing", "metadata")
    return JobDraft(**({name: getattr(job, name) for name in names} | overrides))


# --- 1. No run starts once a pause or a delete was answered ---------------------------------------------

ANSWERS: dict[str, Callable[[Scheduler, Job], object]] = {
    "pause": lambda scheduler, job: scheduler.pause_job(job.id),
    "patch": lambda scheduler, job: scheduler.change_job(job.id, JobChange(status=JobStatus.PAUSED)),
    "put": lambda scheduler, job: scheduler.replace_job(job.id, draft_of(job, status=JobStatus.PAUSED)),
    "delete": lambda scheduler, job: scheduler.delete_job(job.id),
    "delete all": lambda scheduler, job: scheduler.delete_all_jobs(),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("stand", ["popped", "planned", "committed", "returned"])
def test_nothing_starts_after_the_answer_wherever_the_claim_stands(
    node: Node, chaos: Interference, stand: str, answer: str
) -> None:
    job = node.add()
    act = once(lambda: ANSWERS[answer](node.scheduler, job))
    if stand == "popped":
        chaos.before["jobs_by_id"] = act
    elif stand == "planned":
        chaos.before["advance"] = act
    elif stand == "committed":
        chaos.after["advance"] = act
    else:
        node.scheduler._runner.lanes.threads._line._pool = InterferedPool(before=act)

    node.advance(10)
    node.advance(100)

    assert node.calls == []
    assert set(states(node)) <= {"skipped", "missed"}
    assert is_whole(node)
    stored = node.store.job(job.id)
    assert stored is None or (stored.status, stored.last_run_at, stored.next_run_at) == (JobStatus.PAUSED, None, None)


@pytest.mark.parametrize("answer", ANSWERS)
def test_nothing_starts_from_the_pools_queue_after_the_answer(node: Node, answer: str) -> None:
    job = node.add()
    blocker = Latch()
    node.scheduler._runner.lanes.threads._line._pool = ThreadPoolExecutor(1)
    node.scheduler._runner.lanes.threads._line._pool.submit(blocker, job_id="")
    blocker.await_entry()
    node.advance(10, runs_end=False)
    assert states(node) == ["running"]

    ANSWERS[answer](node.scheduler, job)
    blocker.release()
    node.settle()

    assert node.calls == []
    assert states(node) == ["skipped"]


def test_nothing_starts_after_a_second_pause_was_answered_before_the_first(node: Node, chaos: Interference) -> None:
    job = node.add()
    blocker = Latch()
    node.scheduler._runner.lanes.threads._line._pool = ThreadPoolExecutor(1)
    node.scheduler._runner.lanes.threads._line._pool.submit(blocker, job_id="")
    node.advance(10, runs_end=False)

    def while_the_first_has_not_told_the_gate() -> None:
        node.scheduler.pause_job(job.id)
        blocker.release()
        node.settle()
        assert states(node) == ["skipped"]

    chaos.after["replace_job"] = once(while_the_first_has_not_told_the_gate)
    node.scheduler.pause_job(job.id)

    assert node.calls == []


@pytest.mark.parametrize("first_answer", ["it failed after its commit", "it has not told the gate yet"])
def test_nothing_starts_after_a_second_delete_of_all_was_answered(
    node: Node, chaos: Interference, first_answer: str
) -> None:
    node.add()
    blocker = Latch()
    node.scheduler._runner.lanes.threads._line._pool = ThreadPoolExecutor(1)
    node.scheduler._runner.lanes.threads._line._pool.submit(blocker, job_id="")
    node.advance(10, runs_end=False)

    def second() -> None:
        assert node.scheduler.delete_all_jobs() == 0
        blocker.release()
        node.settle()

    if first_answer == "it failed after its commit":
        chaos.after["delete_all_jobs"] = once(away)
        with pytest.raises(StoreUnavailable):
            node.scheduler.delete_all_jobs()
        second()
    else:
        chaos.after["delete_all_jobs"] = once(second)
        node.scheduler.delete_all_jobs()

    assert node.calls == []


def test_an_edit_of_a_paused_job_leaves_its_waiting_manual_run_alone(node: Node) -> None:
    job = node.add(status=JobStatus.PAUSED)
    blocker = Latch()
    node.scheduler._runner.lanes.threads._line._pool = ThreadPoolExecutor(1)
    node.scheduler._runner.lanes.threads._line._pool.submit(blocker, job_id="")
    node.scheduler.run_now(job.id)

    node.scheduler.change_job(job.id, JobChange(name="renamed"))
    blocker.release()
    node.settle()

    assert [(run.state.value, run.reason) for run in node.runs()] == [("succeeded", None)]


# --- 2. Edits, claims, hints and wake-ups ---------------------------------------------------------------


def test_an_edit_between_a_claims_commit_and_its_push_wins(node: Node, chaos: Interference) -> None:
    job = node.add(interval_seconds=1_000.0)
    chaos.after["advance"] = once(
        lambda: node.scheduler.change_job(job.id, JobChange(timing={"interval_seconds": 10.0}))
    )

    node.advance(1_000)
    node.advance(10)

    assert [at - NOON for _, at in node.calls] == [timedelta(seconds=1_000), timedelta(seconds=1_010)]


@pytest.mark.parametrize("point", ["jobs_by_id", "advance"])
def test_an_edit_between_read_and_claim_wins(node: Node, chaos: Interference, point: str) -> None:
    job = node.add()
    hooks = chaos.after if point == "jobs_by_id" else chaos.before
    hooks[point] = once(lambda: node.scheduler.change_job(job.id, JobChange(timing={"interval_seconds": 15.0})))

    node.advance(25)

    assert [(run.state.value, run.scheduled_for - NOON) for run in node.runs()] == [
        ("missed", timedelta(seconds=10)),
        ("succeeded", timedelta(seconds=25)),
    ]
    assert is_whole(node)


@pytest.mark.parametrize("pause", ["committed and not told yet", "found it paused already"])
def test_a_pause_that_is_slow_to_tell_the_heap_does_not_take_a_resumed_job_out(
    node: Node, chaos: Interference, pause: str
) -> None:
    job = node.add()
    resume = once(lambda: node.scheduler.resume_job(job.id))
    if pause == "found it paused already":
        node.scheduler.pause_job(job.id)
        chaos.after["job"] = resume
    else:
        chaos.after["replace_job"] = resume
    node.scheduler.pause_job(job.id)
    assert node.job(job).status is JobStatus.ACTIVE

    node.advance(10)

    assert len(node.calls) == 1


def test_an_edit_in_doubt_between_a_claims_commit_and_its_push_is_looked_at(node: Node, chaos: Interference) -> None:
    job = node.add(interval_seconds=1_000.0)

    def edit_without_an_answer() -> None:
        chaos.after["replace_job"] = once(away)
        with pytest.raises(StoreUnavailable):
            node.scheduler.change_job(job.id, JobChange(timing={"interval_seconds": 10.0}))

    chaos.after["advance"] = once(edit_without_an_answer)
    node.advance(1_000)
    assert node.job(job).next_run_at == NOON + timedelta(seconds=1_010)

    node.advance(10)

    assert len(node.calls) == 2


def test_a_mutation_in_doubt_is_found_out_by_the_timer(node: Node, chaos: Interference) -> None:
    chaos.after["add_job"] = once(away)
    chaos.after["replace_job"] = once(away)
    chaos.after["delete_job"] = once(away)
    with pytest.raises(StoreUnavailable):
        node.add()
    (job,) = node.store.views.jobs_page(after=None, limit=10)

    node.advance(10)
    assert len(node.calls) == 1
    with pytest.raises(StoreUnavailable):
        node.scheduler.change_job(job.id, JobChange(timing={"interval_seconds": 1.0}))
    node.advance(1)
    assert len(node.calls) == 2
    with pytest.raises(StoreUnavailable):
        node.scheduler.delete_job(job.id)
    node.advance(100)
    assert len(node.calls) == 2
    assert node._agenda.scheduled_jobs == 0
    with pytest.raises(JobNotFound):
        node.scheduler.delete_job(job.id)


# --- 3. Permits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_queued", [False, True])
def test_a_run_that_the_pool_refuses_is_skipped_and_its_permit_is_back_once(node: Node, is_queued: bool) -> None:
    blocker = Latch()
    refuse = once(fails(RuntimeError("can't start new thread")))
    pool = InterferedPool(1)
    pool.submit(blocker, job_id="")
    if is_queued:
        pool.after = refuse
    else:
        pool.before = refuse
    node.scheduler._runner.lanes.threads._line._pool = pool
    job = node.add()

    node.advance(10)
    blocker.release()
    node.advance(10)

    assert states(node) == ["skipped", "succeeded"]
    assert len(node.calls) == 1
    assert node.job(job).last_run_at == NOON + timedelta(seconds=20)
    assert is_whole(node)


def test_a_run_that_began_although_the_pool_raised_is_not_called_skipped(node: Node) -> None:
    latch = Latch()
    node.functions.register("slow", latch)
    node.add(function_name="slow")

    def fail_late() -> None:
        latch.await_entry()
        raise RuntimeError("can't start new thread")

    node.scheduler._runner.lanes.threads._line._pool = InterferedPool(after=once(fail_late))
    node.advance(10, runs_end=False)
    drive(node, lambda: not len(node.scheduler._recorder), seconds=1)
    at_work = states(node), free_threads(node)
    latch.release()
    node.settle()

    assert at_work == (["running"], 3)
    assert states(node) == ["succeeded"]


def test_a_pool_that_raises_anything_else_holds_neither_permits_nor_the_other_jobs(node: Node) -> None:
    node.scheduler._runner.lanes.threads._line._pool = InterferedPool(before=once(fails(MemoryError())))
    for _ in range(3):
        node.add()

    drive(node, lambda: len(node.calls) >= 2 and is_whole(node), seconds=15)

    assert "running" not in states(node)


def test_permits_come_back_once_whatever_becomes_of_a_run(node: Node, chaos: Interference) -> None:
    def exits(job_id: str) -> None:
        node.scheduler.delete_job(UUID(job_id))
        raise SystemExit(1)

    node.functions.register("exits", exits)
    node.add(function_name="exits")
    lost_claim = node.add()
    chaos.before["advance"] = once(lambda: node.scheduler.change_job(lost_claim.id, JobChange(name="renamed")))
    chaos.after["finish"] = first(2, away)

    drive(node, lambda: len(node.calls) == 1 and is_healed(node), seconds=19, runs_end=True)

    assert sorted(states(node)) == ["failed", "succeeded"]


# --- 4. A store that fails, before or after its commit --------------------------------------------------


@pytest.mark.parametrize("count", [1, 6])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("verb", ["jobs_by_id", "advance", "finish", "claims_on_record"])
def test_an_outage_doubles_nothing_loses_nothing_and_heals(
    node: Node, chaos: Interference, verb: str, when: str, count: int
) -> None:
    started: Counter[tuple[str, datetime]] = Counter()

    def counted(job_id: str, run: RunContext) -> None:
        started[job_id, run.scheduled_for] += 1

    node.functions.register("counted", counted)
    jobs = [node.add(function_name="counted") for _ in range(3)]
    node.advance(5)
    failures: list[str] = []

    def fail() -> None:
        failures.append(verb)
        away()

    if verb == "claims_on_record":
        chaos.after["advance"] = once(away)
    (chaos.before if when == "before" else chaos.after)[verb] = first(count, fail)
    drive(node, lambda: len(failures) == count and is_healed(node), seconds=120, runs_end=True)
    node.advance(30 - node.clock.monotonic() % 10)

    assert set(started.values()) == {1}
    for job in jobs:
        recorded = slots(node, job)
        assert recorded == every_ten_seconds(len(recorded))
        # A slot may find the one before, which was in doubt until now, just started.
        assert set(states(node, job)) <= {"succeeded", "missed", "skipped"}
        assert states(node, job)[-1] == "succeeded"
        assert node.job(job).status is JobStatus.ACTIVE
        assert node.job(job).next_run_at == NOON + timedelta(seconds=recorded[-1] + 10)
        assert node.job(job).last_run_at == node.runs(job)[-1].started_at
    assert is_whole(node)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_manual_run_in_doubt_does_not_start_and_does_not_stay(node: Node, chaos: Interference, when: str) -> None:
    job = node.add()
    (chaos.before if when == "before" else chaos.after)["add_manual_run"] = once(away)
    chaos.before["finish"] = first(3, away)

    with pytest.raises(StoreUnavailable):
        node.scheduler.run_now(job.id)
    drive(node, lambda: is_whole(node))

    assert node.calls == []
    assert states(node) == ([] if when == "before" else ["skipped"])
    assert node.job(job).last_run_at is None
    node.scheduler.run_now(job.id)
    node.settle()
    assert len(node.calls) == 1


@pytest.mark.parametrize("verb", ["advance", "add_manual_run"])
def test_a_commit_followed_by_any_other_error_is_looked_up_as_well(node: Node, chaos: Interference, verb: str) -> None:
    job = node.add()
    chaos.after[verb] = once(fails(TypeError("a mistake of ours")))
    if verb == "add_manual_run":
        with pytest.raises(TypeError):
            node.scheduler.run_now(job.id)

    drive(node, lambda: len(node.calls) > 0 and is_healed(node), seconds=25)

    assert "running" not in states(node)


# --- 5. Loops outlive what they call --------------------------------------------------------------------


@pytest.mark.parametrize("error", [StoreUnavailable("away"), TypeError("a mistake of ours")])
def test_the_timer_outlives_errors_says_so_once_and_goes_on(node: Node, chaos: Interference, error: Exception) -> None:
    node.add()
    chaos.before["jobs_by_id"] = first(5, fails(error))

    with capture_logs() as lines:
        drive(node, lambda: len(node.calls) > 0 and is_healed(node))

    backoff = node.scheduler._timer._backoff
    told = [line["event"] for line in lines if line["event"] in (backoff._failing, backoff._over)]
    # A mistake that is not the database's belongs to a job, as far as anyone can tell: that job is put off.
    unreadable = [line["event"] for line in lines if line["event"] == "job unreadable"]
    expected = (
        ([backoff._failing, backoff._over], []) if isinstance(error, StoreUnavailable) else ([], ["job unreadable"])
    )
    assert (told, unreadable) == expected


@pytest.mark.parametrize("error", [StoreUnavailable("away"), TypeError("a mistake of ours")])
def test_the_recorder_outlives_errors_says_so_once_and_goes_on(
    node: Node, chaos: Interference, error: Exception
) -> None:
    node.add()
    chaos.before["finish"] = first(9, fails(error))

    with capture_logs() as lines:
        drive(node, lambda: len(node.calls) > 0 and is_healed(node), seconds=60)

    assert states(node)[0] == "succeeded"
    assert max(Counter(line["event"] for line in lines if line["log_level"] == "error").values()) == 1


def test_an_outcome_that_cannot_be_written_does_not_hold_the_others(node: Node, chaos: Interference) -> None:
    poisoned = node.add()

    def refuse(outcomes: list[Outcome], **_: object) -> None:
        if any(outcome.job_id == poisoned.id for outcome in outcomes):
            raise TypeError("a mistake of ours")

    chaos.before["finish"] = refuse
    others = [node.add() for _ in range(3)]

    drive(node, lambda: all(states(node, job)[:2] == ["succeeded", "succeeded"] for job in others), seconds=45)
    # But for the one outcome, each permit comes back; the next slots may be on their way at this moment.
    _await(node, lambda: free_threads(node) >= node._agenda.permits[Lane.THREAD] - 1, REAL_SECONDS)
    assert free_threads(node) >= node._agenda.permits[Lane.THREAD] - 1


def test_a_job_whose_row_cannot_be_read_does_not_hold_the_others(node: Node, chaos: Interference) -> None:
    poisoned = node.add()
    other = node.add()
    with chaos.real._writing() as connection:
        connection.execute(text("UPDATE jobs SET job_metadata = '{' WHERE id = :id"), {"id": poisoned.id.hex})

    drive(node, lambda: states(node, other) == ["succeeded"], seconds=20)


def test_a_job_that_cannot_be_claimed_does_not_hold_the_others(node: Node, chaos: Interference) -> None:
    poisoned = node.add()

    def refuse(advances: list[Any], **_: object) -> None:
        if any(advance.job_id == poisoned.id for advance in advances):
            raise TypeError("a mistake of ours")

    chaos.before["advance"] = refuse
    other = node.add()

    drive(node, lambda: states(node, other) == ["succeeded"], seconds=20)


def test_a_slot_that_cannot_be_recorded_is_not_tried_and_told_twenty_times_a_second(
    node: Node, chaos: Interference
) -> None:
    job = node.add()
    with chaos.real._writing() as connection:
        columns = "id, job_id, function_name, trigger, scheduled_for, slot_count, state, attempt, node"
        values = ":id, :job, 'note', 'schedule', '2026-01-01 12:00:10.000000+00:00', 1, 'succeeded', 1, :id"
        statement = text(f"INSERT INTO runs ({columns}) VALUES ({values})")
        connection.execute(statement, {"id": uuid4().hex, "job": job.id.hex})

    with capture_logs() as lines:
        drive(node, lambda: node.clock.monotonic() >= 12)

    assert len([line for line in lines if line["log_level"] == "error"]) <= 2


@pytest.mark.parametrize("repair", ["edit", "pause and edit"])
def test_a_job_with_an_unreadable_schedule_can_be_repaired(node: Node, chaos: Interference, repair: str) -> None:
    job = node.add(cron_expression="* * * * *")
    with chaos.real._writing() as connection:
        connection.execute(text("UPDATE jobs SET cron_expression = 'no cron any more'"))
    node.advance(70)
    assert node.calls == []

    if repair == "pause and edit":
        node.scheduler.pause_job(job.id)
    node.scheduler.change_job(job.id, JobChange(timing={"interval_seconds": 10.0}, status=JobStatus.ACTIVE))
    node.advance(10)

    assert len(node.calls) == 1


def test_a_mistake_of_ours_around_a_run_ends_it_as_failed_with_the_pool_intact(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = node.add()
    monkeypatch.setattr("engine.run_path.RunPath._tell_end", lambda *_: 1 / 0)

    with capture_logs() as lines:
        node.advance(10)

    (run,) = node.runs(job)
    assert run.state is RunState.FAILED
    assert run.error is not None
    assert run.error.type == "ZeroDivisionError"
    assert [line["run_id"] for line in lines if line["event"] == "run path failed"] == [str(run.id)]
    assert is_whole(node)


def test_an_outcome_whose_texts_the_database_refuses_is_kept_without_them_and_told_of(
    node: Node, chaos: Interference
) -> None:
    node.functions.register("tells", lambda job_id: "what the database does not like")
    job = node.add(function_name="tells")

    def refuse(outcomes: list[Outcome], **_: object) -> None:
        if any(outcome.result_json for outcome in outcomes):
            raise TypeError("a text that cannot be stored")

    chaos.before["finish"] = refuse
    with capture_logs() as lines:
        node.advance(10)

    (run,) = node.runs(job)
    assert (run.state, run.result, run.reason) == (RunState.SUCCEEDED, None, "its texts could not be stored")
    assert [line["run_id"] for line in lines if line["event"] == "outcome cut"] == [str(run.id)]


@pytest.mark.parametrize("verb", ["replace_job", "delete_job"])
def test_an_edit_that_always_comes_second_gives_up(node: Node, chaos: Interference, verb: str) -> None:
    job = node.add()
    node.settle()
    tries: list[str] = []

    def overtaken(*_: object, **__: object) -> None:
        tries.append(verb)
        with chaos.real._writing() as connection:
            connection.execute(text("UPDATE jobs SET version = version + 1"))

    chaos.before[verb] = overtaken
    node.clock.step_wall(10)  # a slot is due, so that a deletion has a row to write
    ask: dict[str, Callable[[], object]] = {
        "replace_job": lambda: node.scheduler.change_job(job.id, JobChange(name="renamed")),
        "delete_job": lambda: node.scheduler.delete_job(job.id),
    }
    with pytest.raises(StoreUnavailable, match="changed by others"):
        ask[verb]()

    assert len(tries) == MAX_EDIT_TRIES


def test_a_manual_run_of_a_job_that_is_deleted_meanwhile_is_refused(node: Node, chaos: Interference) -> None:
    job = node.add()
    chaos.before["add_manual_run"] = once(lambda: node.scheduler.delete_job(job.id))

    with pytest.raises(JobNotFound):
        node.scheduler.run_now(job.id)

    assert states(node) == []
    assert is_whole(node)


@pytest.mark.parametrize("fault", ["the schedule", "the slot"])
def test_a_start_goes_on_beside_a_job_that_cannot_be_caught_up_and_the_timer_tells_of_it_once(
    store: SqlStore, fault: str
) -> None:
    before = Node(store).start()
    poisoned, other = before.add(cron_expression="* * * * *"), before.add()
    before.stop()
    before.clock.step_wall(125)
    chaos = Interference(store)

    def refuse(advances: list[Any], **_: object) -> None:
        if any(advance.job_id == poisoned.id for advance in advances):
            raise TypeError("a mistake of ours")

    if fault == "the slot":
        chaos.before["advance"] = refuse
    else:
        with store._writing() as connection:
            connection.execute(text("UPDATE jobs SET cron_expression = 'no cron' WHERE cron_expression IS NOT NULL"))

    after = Node(chaos, before.clock)
    with capture_logs() as lines:
        after.scheduler.start()
        drive(after, lambda: states(after, other) == ["missed", "succeeded"], seconds=10)
    chaos.end()
    after.stop()

    told = [line["event"] for line in lines if line.get("job_id") == str(poisoned.id) and line["log_level"] == "error"]
    assert told == ["slot not recorded" if fault == "the slot" else "job unreadable"]


def test_a_start_goes_on_beside_a_job_whose_row_cannot_be_read(store: SqlStore) -> None:
    before = Node(store).start()
    poisoned, other = before.add(), before.add()
    before.stop()
    with store._writing() as connection:
        connection.execute(text("UPDATE jobs SET job_metadata = '{' WHERE id = :id"), {"id": poisoned.id.hex})
    before.clock.step_wall(15)

    after = Node(store, before.clock)
    try:
        after.scheduler.start()
        drive(after, lambda: states(after, other) == ["succeeded"], seconds=10)
    finally:
        after.stop()


# --- 6. Crashes -----------------------------------------------------------------------------------------


class Death(BaseException):
    """The process ends here: the thread says nothing more to the store."""


@pytest.fixture
def hush(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that dies of Death dies quietly."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)


@pytest.mark.parametrize(
    ("verb", "when", "ends"),
    [
        ("advance", "before", ["succeeded"]),
        ("advance", "after", ["lost"]),
        ("finish", "before", ["lost"]),
        ("finish", "after", ["succeeded"]),
    ],
)
@pytest.mark.usefixtures("hush")
def test_a_crash_at_any_point_leaves_one_row_a_slot(tmp_path: Path, verb: str, when: str, ends: list[str]) -> None:
    url = f"sqlite:///{tmp_path}/crash.db"
    chaos = Interference(open_store(url))
    died = threading.Event()

    def die() -> None:
        died.set()
        raise Death

    first_node = Node(chaos)
    first_node.start()
    job = first_node.add()
    (chaos.before if when == "before" else chaos.after)[verb] = lambda *_, **__: die()
    first_node.clock.advance_to_next(10)
    assert died.wait(REAL_SECONDS)
    first_node._agenda.stop()
    chaos.real.close()

    first_node.clock.step_wall(0 if when == "before" and verb == "advance" else 35)
    store = open_store(url)
    second = Node(store, first_node.clock).start()
    second.settle()

    assert states(second, job)[: len(ends)] == ends
    recorded = slots(second, job)
    assert recorded == every_ten_seconds(len(recorded))
    assert len(first_node.calls) + len(second.calls) <= len(recorded)
    second.advance(10)
    assert second.job(job).status is JobStatus.ACTIVE
    assert is_whole(second)
    second.stop()
    store.close()


def test_a_start_that_is_cut_off_while_it_catches_up_can_be_made_again(store: SqlStore, chaos: Interference) -> None:
    before = Node(store).start()
    jobs = [before.add() for _ in range(3)]
    before.stop()
    before.clock.step_wall(3_605)
    chaos.after["advance"] = once(away)
    with pytest.raises(StoreUnavailable):
        Node(chaos, before.clock).scheduler.start()

    after = Node(chaos, before.clock).start()
    after.settle()
    after.stop()

    for job in jobs:
        missed, ran = after.runs(job)
        assert (missed.state, missed.slot_count) == (RunState.MISSED, 359)
        assert missed.last_scheduled_for == NOON + timedelta(seconds=3_590)
        assert ran.scheduled_for == NOON + timedelta(seconds=3_600)


def test_a_restart_after_the_wall_clock_was_set_back_repeats_nothing(store: SqlStore) -> None:
    # A thread for each run: a busy machine may end none of them while the time goes on.
    before = Node(store, pool_size=16).start()
    latch = Latch()
    before.functions.register("slow", latch)
    job, cron, slow = before.add(), before.add(cron_expression="* * * * *"), before.add(function_name="slow")
    before.advance(65, runs_end=False)
    before.stop()
    before.clock.step_wall(-3_600)

    after = Node(store, before.clock)
    after.functions.register("slow", latch)
    after.start()
    after.scheduler.change_job(cron.id, JobChange(timing={"cron_expression": "*/1 * * * *"}))
    after.scheduler.change_job(job.id, JobChange(timing={"interval_seconds": 20.0}))
    after.scheduler.change_job(job.id, JobChange(timing={"interval_seconds": 10.0}))
    after.advance(3_600, runs_end=False)

    for one in (job, cron, slow):
        recorded = [run.scheduled_for for run in after.runs(one)]
        assert len(recorded) == len(set(recorded))
    assert all(at >= NOON + timedelta(seconds=60) for _, at in after.calls)
    for _ in range(3):
        latch.release()
    after.stop()


# --- 7. Stop --------------------------------------------------------------------------------------------


def test_a_gate_that_was_shut_lets_nobody_in_who_comes_later() -> None:
    gate = StartGate(clock=ManualClock())
    run, job = make_run(), make_job()
    gate.shut("the scheduler stopped before the run started")

    gate.open(Assignment(run, job), version=1)

    assert gate.enter(run.id) == Refusal("the scheduler stopped before the run started", code=ReasonCode.STOPPED)


def test_a_manual_run_asked_for_before_a_stop_is_refused_after_it(chaos: Interference) -> None:
    node = Node(chaos).start()
    job = node.add()
    chaos.after["job"] = once(node.stop)

    with pytest.raises(NotScheduling):
        node.scheduler.run_now(job.id)

    assert states(node) == []


def test_a_stop_that_comes_just_before_a_pause_for_breath_is_noticed(chaos: Interference) -> None:
    node = Node(chaos).start()
    node.add()

    def stop_and_fail() -> None:
        node.scheduler.begin_stop()
        away()

    chaos.before["jobs_by_id"] = once(stop_and_fail)
    node.clock.advance_to_next(10)

    try:
        assert node.scheduler._timer.join(1.0)
    finally:
        node.stop()


def test_a_stop_while_the_timer_is_inside_a_claim_leaves_nothing_running(chaos: Interference) -> None:
    node = Node(chaos).start()
    job = node.add()
    claiming, stopping = threading.Event(), threading.Event()

    def hold() -> None:
        claiming.set()
        assert stopping.wait(REAL_SECONDS)

    chaos.after["advance"] = once(hold)
    node.clock.advance_to_next(10)
    assert claiming.wait(REAL_SECONDS)
    node.scheduler.begin_stop()
    stopping.set()
    node.stop()

    (run,) = node.runs(job)
    assert run.state in (RunState.SUCCEEDED, RunState.SKIPPED, RunState.LOST)
    assert node.calls == [] or run.state is not RunState.SKIPPED


def test_a_stop_counts_a_run_that_was_recorded_meanwhile_as_ended(chaos: Interference) -> None:
    node = Node(chaos).start()
    latch = Latch()
    node.functions.register("slow", latch)
    job = node.add(function_name="slow")
    node.advance(10, runs_end=False)
    latch.await_entry()
    shut = node.scheduler._gate.shut

    def shut_and_let_it_end(reason: str) -> Any:
        listed = shut(reason)
        latch.release()
        _await(node, lambda: is_whole(node), REAL_SECONDS)
        return listed

    node.scheduler._gate.shut = shut_and_let_it_end  # type: ignore[method-assign]  # in between

    assert node.scheduler.stop(grace_seconds=0)
    assert states(node, job) == ["succeeded"]


def test_a_stop_skips_the_manual_runs_that_wait_and_loses_what_runs(chaos: Interference) -> None:
    node = Node(chaos, pool_size=1).start()
    latch = Latch()
    node.functions.register("slow", latch)
    jobs = [node.add(function_name="slow", status=JobStatus.PAUSED) for _ in range(3)]
    for job in jobs:
        node.scheduler.run_now(job.id)
    latch.await_entry()

    assert not node.scheduler.stop(grace_seconds=0)
    for _ in jobs:
        latch.release()

    assert sorted(states(node)) == ["lost", "skipped", "skipped"]
    again = Node(chaos, node.clock).start()
    assert sorted(states(again)) == ["lost", "skipped", "skipped"]
    again.stop()


def test_a_stop_while_the_store_is_away_ends_and_the_next_start_sets_it_right(chaos: Interference) -> None:
    node = Node(chaos).start()
    job = node.add()
    chaos.after["advance"] = once(away)
    chaos.before["claims_on_record"] = lambda *_, **__: away()
    node.clock.advance_to_next(10)
    _await(node, lambda: states(node) == ["running"] and _is_quiet(node), REAL_SECONDS)

    node.scheduler.stop(grace_seconds=0)
    chaos.end()

    assert node.calls == []
    again = Node(chaos, node.clock).start()
    assert states(again) == ["skipped"]
    again.advance(10)
    assert states(again) == ["skipped", "succeeded"]
    assert again.job(job).status is JobStatus.ACTIVE
    again.stop()


def test_a_verb_that_meets_the_close_of_the_store_does_not_write_without_the_lock(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/closing.db"
    store = open_store(url)
    opened = store._transactions._open

    def close_meanwhile(database: Any) -> Any:
        found = opened(database)
        store.close()
        return found

    store._transactions._open = close_meanwhile  # type: ignore[method-assign]  # in between
    job = make_job()
    try:
        with pytest.raises(StoreUnavailable):
            store.add_job(job)
    finally:
        store._transactions.writing_database.dispose()
    later = open_store(url)
    assert later.job(job.id) is None
    later.close()


def test_a_recorder_gives_up_at_the_end_of_a_stop_and_a_later_outcome_is_tried_once(chaos: Interference) -> None:
    node = Node(chaos).start()
    recorder, latch = node.scheduler._recorder, Latch()
    node.functions.register("slow", latch)
    node.add(function_name="slow")
    node.advance(10, runs_end=False)
    latch.await_entry()
    chaos.before["finish"] = lambda *_, **__: away()
    node.scheduler.run_now(node.add().id)
    _await(node, lambda: len(recorder) > 0, REAL_SECONDS)

    assert not recorder.stop(0)
    while recorder.is_alive:
        node.clock.advance_to_next(node.clock.monotonic() + STEP_SECONDS)
        recorder._thread.join(0.01)
    with capture_logs() as lines:
        latch.release()
        node.scheduler._runner.lanes.threads._line._pool.shutdown()

    assert "outcome not recorded" in [line["event"] for line in lines]
    chaos.end()
    node.stop()


# --- 8. What the database says is true ------------------------------------------------------------------


@pytest.mark.parametrize(("is_bad", "status"), [(True, JobStatus.FAILED), (False, JobStatus.ACTIVE)])
def test_an_edit_does_not_undo_the_status_that_a_run_set_meanwhile(
    node: Node, chaos: Interference, is_bad: bool, status: JobStatus
) -> None:
    is_failing = [not is_bad]

    def flaky(job_id: str) -> None:
        if is_failing[0]:
            raise ValueError(job_id)

    node.functions.register("flaky", flaky)
    job = node.add(function_name="flaky")
    node.advance(10)
    is_failing[0] = is_bad

    def a_run_ends() -> None:
        node.scheduler.run_now(job.id)
        node.settle()
        assert node.job(job).status is status

    chaos.before["replace_job"] = once(a_run_ends)
    node.scheduler.change_job(job.id, JobChange(name="renamed"))

    assert node.job(job).status is status


def test_a_manual_run_that_had_to_wait_sets_last_run_at_when_it_starts(chaos: Interference) -> None:
    node = Node(chaos, pool_size=1).start()
    latch = Latch()
    node.functions.register("slow", latch)
    slow, waiting = node.add(function_name="slow", status=JobStatus.PAUSED), node.add(status=JobStatus.PAUSED)
    node.scheduler.run_now(slow.id)
    latch.await_entry()
    node.scheduler.run_now(waiting.id)
    latch.release()
    node.settle()
    node.stop()

    (run,) = node.runs(waiting)
    assert run.started_at is not None
    assert node.job(waiting).last_run_at == run.started_at


def test_a_revoked_claim_restores_the_last_run_that_took_place(node: Node, chaos: Interference) -> None:
    job = node.add()

    def a_manual_run_takes_place() -> None:
        node.scheduler.run_now(job.id)
        _await(node, lambda: free_threads(node) == node._agenda.permits[Lane.THREAD] - 1, REAL_SECONDS)

    chaos.before["advance"] = once(a_manual_run_takes_place)
    chaos.after["advance"] = once(lambda: node.scheduler.pause_job(job.id))
    node.advance(10)

    assert states(node) == ["succeeded", "skipped"] or states(node) == ["skipped", "succeeded"]
    assert len(node.calls) == 1
    assert node.job(job).last_run_at == NOON + timedelta(seconds=10)


def test_two_claims_revoked_in_a_row_restore_the_last_run_that_took_place(node: Node, chaos: Interference) -> None:
    job = node.add()
    chaos.before["finish"] = first(8, away)
    chaos.after["advance"] = first(2, lambda: node.scheduler.pause_job(job.id))
    node.clock.advance_to_next(10)
    _await(node, lambda: node.job(job).status is JobStatus.PAUSED and _is_quiet(node), REAL_SECONDS)
    node.scheduler.resume_job(job.id)
    drive(node, lambda: node.job(job).status is JobStatus.PAUSED and is_whole(node), seconds=60)

    assert states(node) == ["skipped", "skipped"]
    assert node.calls == []
    assert node.job(job).last_run_at is None


def test_a_job_paused_while_its_run_fails_stays_paused(node: Node) -> None:
    latch = Latch()

    def fails_late(job_id: str) -> None:
        latch(job_id)
        raise ValueError(job_id)

    node.functions.register("fails late", fails_late)
    job = node.add(function_name="fails late")
    node.advance(10, runs_end=False)
    latch.await_entry()
    node.scheduler.pause_job(job.id)
    latch.release()
    node.settle()

    assert states(node) == ["failed"]
    assert (node.job(job).status, node.job(job).next_run_at) == (JobStatus.PAUSED, None)
    assert node.job(job).last_run_at == NOON + timedelta(seconds=10)


# --- 9. Nothing grows, and no lock is held over I/O -----------------------------------------------------


def test_nothing_is_kept_of_what_is_over(node: Node) -> None:
    for _ in range(100):
        job = node.add()
        node.scheduler.run_now(job.id)
        node.scheduler.change_job(job.id, JobChange(timing={"interval_seconds": 5.0}))
        node.scheduler.pause_job(job.id)
        node.scheduler.delete_job(job.id)
    node.settle()

    assert is_whole(node)
    assert node._agenda.scheduled_jobs == 0
    assert node._agenda._heap.entry_count <= 64
    assert not len(node.scheduler._recorder)
    assert node.scheduler._runner.lanes.threads._line._pool._work_queue.qsize() == 0


def test_ten_thousand_tickets_and_jobs_leave_nothing_behind() -> None:
    gate, heap = StartGate(clock=ManualClock()), DueHeap()
    job, run = make_job(), make_run()
    for count in range(10_000):
        assignment = Assignment(make_run(job_id=job.id), job)
        gate.open(assignment, version=count)
        gate.revoke(job.id, reason="paused", below_version=count)
        assert gate.close(assignment.run.id)
        assert not gate.close(assignment.run.id)
        heap.push(DueHint(run.job_id, NOON + timedelta(seconds=count), count))
        heap.hasten(uuid4(), due_at=NOON - timedelta(seconds=1))
        heap.pop_due(NOON, at_most=1)
    heap.remove(run.job_id)

    assert (len(gate), gate._by_job, len(heap)) == (0, {}, 0)
    assert heap.entry_count <= 64


def test_the_due_times_are_read_at_start_without_the_lock(chaos: Interference) -> None:
    node = Node(chaos)
    owned: list[bool] = []

    class Reading:
        def due_hints(self) -> Iterator[DueHint]:
            for hint in chaos.real.due_hints():
                owned.append(node._agenda.condition._is_owned())  # type: ignore[attr-defined]  # no public way
                yield hint

        def __getattr__(self, name: str) -> Any:
            return getattr(chaos, name)

    node.add()
    node.scheduler._store = Reading()
    node.start()
    node.stop()

    assert owned == [False]


def test_a_node_that_can_neither_claim_nor_record_is_not_ready(chaos: Interference) -> None:
    node = Node(chaos).start()
    latch = Latch()
    node.functions.register("slow", latch)
    node.add(function_name="slow")
    node.advance(10, runs_end=False)
    latch.await_entry()
    chaos.before["jobs_by_id"] = chaos.before["finish"] = lambda *_, **__: away()
    node.add(interval_seconds=1.0)
    latch.release()

    drive(node, lambda: node.scheduler._timer.is_failing and node.scheduler._recorder.is_failing)
    assert node.scheduler.health().problems == ("slots cannot be claimed", "outcomes cannot be recorded")

    chaos.end()
    drive(node, lambda: node.scheduler.health().is_ready and is_whole(node))
    node.stop()
