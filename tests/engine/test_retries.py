"""Whether and when an attempt is followed by another: the delays by table, and retries through stops and crashes."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.nouns import Job, JobStatus, RunError, RunState
from engine.policies import Policies
from engine.requests import JobChange
from engine.retries import delay_seconds, with_retry
from registry import Cancel, Retry
from store import SqlStore
from tests.engine.lanes.functions import wait_for_ever, wait_for_ever_on_a_loop
from tests.engine.virtual_work import Mortal, Work, crash, go, rows, stop
from tests.factories import make_job, make_outcome, make_run
from tests.fakes import NOON, REAL_SECONDS, Node

RUN_ID = UUID(int=1)
PLAIN: dict[str, Any] = {"retry_jitter": 0.0, "retry_delay_seconds": 10.0, "retry_backoff": 2.0}


@pytest.mark.parametrize(
    ("policies", "delays"),
    [
        (PLAIN, [10.0, 20.0, 40.0, 80.0]),
        (PLAIN | {"retry_backoff": 1.0}, [10.0, 10.0, 10.0]),
        (PLAIN | {"retry_max_delay_seconds": 25.0}, [10.0, 20.0, 25.0, 25.0]),
        (PLAIN | {"retry_delay_seconds": 0.0}, [0.0, 0.0]),
        (PLAIN | {"retry_delay_seconds": 50.0, "retry_max_delay_seconds": 25.0}, [25.0]),
    ],
)
def test_delays_grow_up_to_their_bound(policies: dict[str, Any], delays: list[float]) -> None:
    found = [delay_seconds(Policies(**policies), RUN_ID, attempt) for attempt in range(1, len(delays) + 1)]
    assert found == delays


def test_a_delay_beyond_all_numbers_is_the_longest_one() -> None:
    policies = Policies(**(PLAIN | {"retry_backoff": 1e300, "retry_max_delay_seconds": 3_600.0}))
    assert delay_seconds(policies, RUN_ID, 100) == 3_600.0


@given(run_id=st.uuids(), attempt=st.integers(1, 100), jitter=st.floats(0, 1))
def test_jitter_only_lengthens_within_its_fraction_and_is_always_the_same(
    run_id: UUID, attempt: int, jitter: float
) -> None:
    policies = Policies(retry_jitter=jitter)
    bare = delay_seconds(Policies(retry_jitter=0.0), run_id, attempt)
    delay = delay_seconds(policies, run_id, attempt)
    assert bare <= delay <= bare * (1 + jitter)
    assert delay == delay_seconds(policies, run_id, attempt)


@pytest.mark.parametrize(
    ("state", "attempt", "is_final", "is_retried"),
    [
        (RunState.FAILED, 1, False, True),
        (RunState.FAILED, 2, False, True),
        (RunState.FAILED, 3, False, False),
        (RunState.FAILED, 1, True, False),
        (RunState.TIMED_OUT, 1, False, True),
        (RunState.LOST, 1, False, True),
        (RunState.SUCCEEDED, 1, False, False),
        (RunState.CANCELLED, 1, False, False),
        (RunState.SKIPPED, 1, False, False),
    ],
)
def test_bad_ends_are_tried_again_as_often_as_the_job_says(
    state: RunState, attempt: int, is_final: bool, is_retried: bool
) -> None:
    run = make_run(attempt=attempt)
    error = RunError("E", "", "") if state is RunState.FAILED else None
    outcome = make_outcome(run, state=state, error=error)

    found = with_retry(outcome, run, make_job(policies=Policies(max_retries=2)), is_final=is_final)

    assert (found.state is RunState.RETRYING) is is_retried
    assert with_retry(outcome, run, None) == outcome
    if is_retried:
        assert found.attempt_state is state
        assert found.as_last() == outcome


# --- In the running engine ------------------------------------------------------------------------------


Fails = Callable[..., None]


def fail(job_id: str) -> None:
    raise ValueError(job_id)


def add_failing(node: Node, function: Fails = fail, **policies: Any) -> Job:
    node.functions.register("fail", function, final_errors=(KeyError,))
    made = Policies(**(PLAIN | {"max_retries": 2} | policies))
    return node.add(function_name="fail", policies=made, interval_seconds=1_000.0)


def test_each_attempt_is_kept_with_its_run(node: Node) -> None:
    job = add_failing(node)

    node.advance(1_029)
    (run,) = node.runs(job)
    assert (run.state, run.attempt, run.due_at) == (RunState.RETRYING, 2, NOON + timedelta(seconds=1_030))
    assert node.job(job).status is JobStatus.ACTIVE
    node.advance(1)

    (run,) = node.runs(job)
    assert (run.state, run.attempt) == (RunState.FAILED, 3)
    assert [(each.number, each.state, each.error_type) for each in run.earlier_attempts] == [
        (1, RunState.FAILED, "ValueError"),
        (2, RunState.FAILED, "ValueError"),
    ]
    assert [each.started_at for each in run.earlier_attempts] == [NOON + timedelta(seconds=at) for at in (1_000, 1_010)]
    stored = node.job(job)
    assert (stored.status, stored.consecutive_failures, stored.run_count) == (JobStatus.FAILED, 1, 1)


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (Retry(after=77.0), ("retrying", 77.0)),
        (KeyError("final"), ("failed", None)),
        (Cancel("enough"), ("cancelled", None)),
    ],
)
def test_the_function_has_a_say(node: Node, error: Exception, wanted: tuple[str, float | None]) -> None:
    def raises(job_id: str) -> None:
        raise error

    add_failing(node, raises)
    node.advance(1_000)

    (run,) = node.runs()
    due_in = None if run.due_at is None else (run.due_at - NOON).total_seconds() - 1_000
    assert (run.state.value, due_in) == wanted


def test_a_manual_run_is_tried_again_and_counts_for_no_streak(node: Node) -> None:
    job = add_failing(node, max_retries=1)
    node.scheduler.run_now(job.id)
    node.advance(20)

    (run,) = node.runs(job)
    assert (run.state, run.attempt) == (RunState.FAILED, 2)
    assert (node.job(job).consecutive_failures, node.job(job).run_count) == (0, 0)


def test_a_retry_waits_while_its_job_is_paused_and_goes_by_the_job_as_it_is_then(node: Node) -> None:
    job = add_failing(node)
    node.advance(1_000)
    node.scheduler.pause_job(job.id)
    node.scheduler.change_job(job.id, JobChange(policies={"max_retries": 1}))
    node.advance(500)
    assert node.runs()[0].state is RunState.RETRYING

    node.scheduler.resume_job(job.id)
    node.settle()

    (run,) = node.runs()
    assert (run.state, run.attempt) == (RunState.FAILED, 2)


def test_a_retry_of_a_deleted_job_is_cancelled(node: Node) -> None:
    job = add_failing(node)
    node.advance(1_000)
    node.scheduler.delete_job(job.id)
    node.advance(500)

    (run,) = node.runs()
    assert (run.state, run.reason, run.attempt) == (RunState.CANCELLED, "the job was deleted", 1)


def test_a_run_whose_job_is_deleted_while_it_fails_is_not_tried_again(node: Node) -> None:
    def deletes(job_id: str) -> None:
        node.scheduler.delete_job(UUID(job_id))
        raise ValueError

    add_failing(node, deletes)
    node.advance(1_500)

    (run,) = node.runs()
    assert (run.state, run.attempt, run.due_at) == (RunState.FAILED, 1, None)


Begin = Callable[..., tuple[Node, Work]]


@pytest.fixture
def begin(store: SqlStore) -> Iterator[Begin]:
    """Starts a node whose function "work" takes 100 s; its threads are let go at the end, come what may."""
    made: list[tuple[Node, Work]] = []

    def start(**options: Any) -> tuple[Node, Work]:
        node = Node(Mortal(store), **options)
        work = Work(node.clock, 100.0, cooperates=True)
        node.functions.register("work", work)
        made.append((node, work))
        node.scheduler.start()
        return node, work

    yield start
    for node, work in made:
        crash(node, work)


@pytest.mark.parametrize("end", ["stop", "crash"])
@pytest.mark.parametrize("max_retries", [0, 1])
def test_an_attempt_that_is_lost_counts_and_is_tried_again_if_the_job_says_so(
    begin: Begin, end: str, max_retries: int
) -> None:
    first, work = begin()
    job = first.add(function_name="work", interval_seconds=1_000.0, policies=Policies(**PLAIN, max_retries=max_retries))
    go(first, work, seconds=1_050.0)
    (stop if end == "stop" else crash)(first, work)

    second, work = begin(clock=first.clock)
    go(second, work, seconds=120.0)

    (run,) = rows(second).values()
    if max_retries:
        assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2)
        assert [each.state for each in run.earlier_attempts] == [RunState.LOST]
        assert work.started == [(1_000.0, 1_060.0)]
        assert second.job(job).status is JobStatus.ACTIVE
    else:
        assert (run.state, run.attempt) == (RunState.LOST, 1)
        assert second.job(job).status is JobStatus.FAILED


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_a_retry_that_waits_survives_a_restart(begin: Begin, end: str) -> None:
    first, _ = begin()
    add_failing(first, max_retries=1)
    first.advance(1_000)
    (stop if end == "stop" else crash)(first)

    second, _ = begin(clock=first.clock)
    second.functions.register("fail", fail)
    second.advance(9)
    assert second.runs()[0].state is RunState.RETRYING
    second.advance(1)

    (run,) = second.runs()
    assert (run.state, run.attempt) == (RunState.FAILED, 2)


# --- Time-outs ------------------------------------------------------------------------------------------


def test_a_call_that_cooperates_ends_at_its_time_out(begin: Begin) -> None:
    node, work = begin()
    node.add(function_name="work", interval_seconds=1_000.0, policies=Policies(timeout_seconds=5.0))

    go(node, work, seconds=1_006.0)

    (run,) = node.runs()
    assert (run.state, run.is_stuck) == (RunState.TIMED_OUT, False)
    assert run.reason == "timed out after 5 s; its function then returned"
    assert node._agenda.is_idle


def test_a_call_that_does_not_return_is_stuck_keeps_its_permit_and_holds_its_retry(begin: Begin) -> None:
    node, work = begin()
    work._cooperates = False
    policies = Policies(**PLAIN, timeout_seconds=5.0, max_retries=1)
    job = node.add(function_name="work", run_at=NOON + timedelta(seconds=10), policies=policies)

    go(node, work, seconds=50.0)
    (run,) = node.runs()
    assert (run.state, run.is_stuck, run.attempt) == (RunState.RETRYING, True, 1)
    health = node.scheduler.health()
    assert (health.stuck_runs, health.permits - health.permits_free) == (1, 1)

    go(node, work, seconds=60.5)
    (run,) = node.runs()
    assert (run.state, run.is_stuck, run.attempt) == (RunState.RUNNING, False, 2)
    health = node.scheduler.health()
    assert (health.stuck_runs, health.permits - health.permits_free) == (0, 1)

    go(node, work, seconds=150.0)
    (run,) = node.runs()
    assert (run.state, run.is_stuck, run.attempt) == (RunState.TIMED_OUT, False, 2)
    assert node._agenda.is_idle
    assert node.job(job).status is JobStatus.COMPLETED


def test_a_stuck_run_is_in_the_way_of_the_next_slot_until_a_restart(begin: Begin) -> None:
    node, work = begin()
    work._cooperates = False
    node.add(function_name="work", interval_seconds=30.0, policies=Policies(timeout_seconds=5.0))
    go(node, work, seconds=61.0)
    stuck, skipped = rows(node).values()
    assert (stuck.state, stuck.is_stuck) == (RunState.TIMED_OUT, True)
    assert (skipped.state, skipped.reason) == (RunState.SKIPPED, f"run {stuck.id} of this job is still running")
    stop(node, work)

    second, work = begin(clock=node.clock)
    go(second, work, seconds=30.0)

    assert [run.state.value for run in second.runs()] == ["timed_out", "skipped", "running"]
    assert not second.runs()[0].is_stuck


# --- The other lanes ------------------------------------------------------------------------------------


def await_that(node: Node, is_so: Callable[[], bool]) -> None:
    """In real time, for what a loop or another process does."""
    for _ in range(round(REAL_SECONDS / 0.005)):
        if is_so():
            return
        with node.clock._changed:
            node.clock._changed.wait(0.005)
    raise AssertionError([(run.state.value, run.reason) for run in node.runs()])


@pytest.mark.real_time
@pytest.mark.parametrize("lane", ["thread", "loop", "process"])
@pytest.mark.parametrize("how", ["time-out", "cancellation", "stop"])
def test_a_call_on_any_lane_ends_once_and_gives_its_permit_back(store: SqlStore, lane: str, how: str) -> None:
    node = Node(store)
    functions: dict[str, Callable[..., Any]] = {
        "thread": lambda job_id, run: run.cancelled.wait(REAL_SECONDS) and None,
        "loop": wait_for_ever_on_a_loop,
        "process": wait_for_ever,
    }
    isolation = "process" if lane == "process" else "thread"
    node.functions.register("wait", functions[lane], isolation=isolation)
    node.start()
    agenda, live_runs = node._agenda, node.scheduler._runner.live_runs
    policies = Policies(timeout_seconds=5.0, max_retries=1, retry_delay_seconds=1_000.0)
    node.add(function_name="wait", policies=policies, run_at=NOON + timedelta(seconds=10))
    node.advance(10, runs_end=False)
    deadlines = node.scheduler._runner.deadlines
    await_that(node, lambda: node.clock.sleeps_until(deadlines._condition) == 15.0)
    assert len(live_runs.all()) == 1

    if how == "time-out":
        node.advance(5, runs_end=False)
        await_that(node, lambda: agenda.is_idle)
    elif how == "cancellation":
        (run,) = node.runs()
        node.scheduler.cancellation.end(run.id, "cancelled by request")
        await_that(node, lambda: agenda.is_idle)
    is_clean = node.scheduler.stop(grace_seconds=0.0)
    for live in live_runs.all():
        live.cancelled.set()
    await_that(node, lambda: not live_runs.all())

    (run,) = node.runs()
    wanted = {
        "time-out": "timed out after 5 s",
        "cancellation": "cancelled by request",
        "stop": "attempt 1 of at most 2",
    }
    assert wanted[how] in (run.reason or "")
    assert run.state is (RunState.CANCELLED if how == "cancellation" else RunState.RETRYING)
    assert is_clean is (how != "stop")
    await_that(node, lambda: agenda._free == agenda.permits)
