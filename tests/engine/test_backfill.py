"""Backfills: what is past is made up for, beside the schedule and behind it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from engine.backfills import BackfillProgress, BackfillRequest, BackfillState
from engine.errors import (
    BackfillIsOver,
    BackfillNotFound,
    BackfillTooLarge,
    InvalidBackfill,
    JobNotFound,
    StoreUnavailable,
    TooManyBackfills,
    UnknownFunction,
)
from engine.limits import MAX_UNFINISHED_BACKFILLS
from engine.nouns import Job, JobStatus, Run, RunState, Trigger
from engine.policies import DEFAULT_POLICIES, OverlapPolicy
from engine.requests import CalendarDraft, JobChange
from engine.timing import OnExcluded
from registry import RunContext
from store import SqlStore
from tests.engine.interference import Interference, away, fails, once
from tests.engine.test_scheduler import crash
from tests.fakes import NOON, Latch, Node, running

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NEVER = "0 0 1 1 *"
"""A schedule whose next slot no test lives to see."""


@pytest.fixture
def latch(node: Node) -> Iterator[Latch]:
    latch = Latch()
    node.functions.register("slow", latch)
    yield latch
    for _ in range(100):
        latch.release()


def hourly(node: Node, **overrides: Any) -> Job:
    """A job of each full hour: the first slot that is not past comes an hour after noon."""
    return node.add(**({"cron_expression": "0 * * * *"} | overrides))


def last_hours(hours: int, *, concurrency: int = 1) -> BackfillRequest:
    """The slots of so many full hours, noon's the last of them."""
    return BackfillRequest(NOON - (hours - 1) * HOUR, NOON, concurrency)


def backfill(node: Node, job: Job, hours: int, *, concurrency: int = 1) -> UUID:
    return node.scheduler.backfilling.create(job.id, last_hours(hours, concurrency=concurrency)).backfill.id


def progress(node: Node, backfill_id: UUID) -> BackfillProgress:
    found: BackfillProgress | None = node.store.views.backfill(backfill_id)
    assert found is not None
    return found


def runs_of(node: Node, backfill_id: UUID) -> list[Run]:
    """The oldest slot first."""
    runs: list[Run] = node.store.views.runs_of_backfill(backfill_id, limit=1_000)
    return runs[::-1]


def states_of(node: Node, backfill_id: UUID) -> list[str]:
    return [run.state.value for run in runs_of(node, backfill_id)]


# What is counted


def test_a_count_tells_the_slots_and_changes_nothing(node: Node) -> None:
    job = hourly(node)

    count = node.scheduler.backfilling.count(job.id, last_hours(24))

    assert (count.slot_count, count.excluded_count) == (24, 0)
    assert (count.first, count.last) == (NOON - 23 * HOUR, NOON)
    assert node.runs() == []
    assert node.store.views.backfills_of(job.id, limit=10) == []


def test_the_grid_of_an_interval_goes_back_beyond_the_job(node: Node) -> None:
    job = node.add(interval_seconds=600.0)

    count = node.scheduler.backfilling.count(job.id, BackfillRequest(NOON - HOUR, NOON))

    assert (count.slot_count, count.first, count.last) == (7, NOON - HOUR, NOON)


@pytest.mark.parametrize("back", [timedelta(0), timedelta(seconds=1), timedelta(seconds=599), timedelta(seconds=601)])
def test_the_grid_is_the_same_wherever_the_range_begins(node: Node, back: timedelta) -> None:
    job = node.add(interval_seconds=600.0)

    count = node.scheduler.backfilling.count(job.id, BackfillRequest(NOON - 2 * HOUR - back, NOON))

    assert count.last == NOON
    assert count.slot_count == 13 + back // timedelta(seconds=600)


def test_a_window_bounds_a_backfill(node: Node) -> None:
    job = node.add(interval_seconds=600.0, start_at=NOON - timedelta(minutes=25))

    count = node.scheduler.backfilling.count(job.id, BackfillRequest(NOON - DAY, NOON))

    assert (count.slot_count, count.first) == (3, NOON - timedelta(minutes=25))


def test_days_off_are_left_out_and_counted(node: Node) -> None:
    node.scheduler.calendars.create(CalendarDraft("holidays", frozenset({date(2025, 12, 25)}), frozenset()))
    job = node.add(cron_expression="0 9 * * *", exclude_calendars=("holidays",))
    request = BackfillRequest(datetime(2025, 12, 24, tzinfo=UTC), datetime(2025, 12, 27, tzinfo=UTC))

    count = node.scheduler.backfilling.count(job.id, request)
    made = node.scheduler.backfilling.create(job.id, request)
    node.settle()

    assert (count.slot_count, count.excluded_count) == (2, 1)
    assert [run.scheduled_for.day for run in runs_of(node, made.backfill.id)] == [24, 26]


def test_slots_moved_from_days_off_run_where_they_were_moved_to(node: Node) -> None:
    node.scheduler.calendars.create(CalendarDraft("holidays", frozenset({date(2025, 12, 25)}), frozenset()))
    moving = {"exclude_calendars": ("holidays",), "on_excluded": OnExcluded.NEXT_BUSINESS_DAY}
    job = node.add(cron_expression="0 9 25 * *", **moving)
    request = BackfillRequest(datetime(2025, 12, 24, tzinfo=UTC), datetime(2025, 12, 27, tzinfo=UTC))

    count = node.scheduler.backfilling.count(job.id, request)

    assert (count.slot_count, count.excluded_count) == (1, 1)
    assert count.first == datetime(2025, 12, 26, 9, tzinfo=UTC)


def test_a_spread_slot_is_made_up_for_where_it_would_have_run(node: Node) -> None:
    job = hourly(node, jitter_seconds=60.0)

    count = node.scheduler.backfilling.count(job.id, BackfillRequest(NOON - 3 * HOUR, NOON - timedelta(minutes=30)))

    assert count.slot_count == 3
    assert count.first is not None
    assert timedelta(0) < count.first - (NOON - 3 * HOUR) < timedelta(seconds=60)


@pytest.mark.parametrize(
    ("timing", "days", "found"),
    [
        ({"interval_seconds": 0.1}, 3_650, "the job has 3153600001 slots"),
        ({"cron_expression": "* * * * *"}, 1, "the job has 1441 slots"),
        ({"cron_expression": "*/5 * * * *"}, 365, "the job has 105121 slots"),
        ({"cron_expression": "* * * * * *"}, 15_000, "the job has at least "),
    ],
)
def test_more_slots_than_may_be_are_refused_with_their_number(
    node: Node, timing: dict[str, Any], days: int, found: str
) -> None:
    job = node.add(**timing)

    with pytest.raises(BackfillTooLarge) as refused:
        node.scheduler.backfilling.create(job.id, BackfillRequest(NOON - days * DAY, NOON))

    assert str(refused.value).startswith(found)
    assert str(refused.value).endswith("at most 1000 are wanted in one backfill")
    assert node.store.views.backfills_of(job.id, limit=10) == []


def test_as_many_slots_as_may_be_are_taken(node: Node) -> None:
    job = hourly(node)

    assert node.scheduler.backfilling.count(job.id, last_hours(1_000)).slot_count == 1_000
    with pytest.raises(BackfillTooLarge):
        node.scheduler.backfilling.count(job.id, last_hours(1_001))


@pytest.mark.parametrize(
    ("from_at", "to_at", "field"),
    [
        (NOON, NOON - HOUR, "to"),
        (NOON - HOUR, NOON + timedelta(seconds=1), "to"),
        (datetime(1, 1, 1, tzinfo=UTC), NOON, "from"),
        (NOON - timedelta(minutes=2), NOON - timedelta(minutes=1), "from"),
    ],
    ids=["backwards", "not past", "before time zones", "without a slot"],
)
def test_a_range_that_cannot_be_made_up_for_is_refused(
    node: Node, from_at: datetime, to_at: datetime, field: str
) -> None:
    job = hourly(node)

    with pytest.raises(InvalidBackfill) as refused:
        node.scheduler.backfilling.create(job.id, BackfillRequest(from_at, to_at))

    assert refused.value.field == field


def test_a_backfill_of_no_job_or_of_no_function_is_refused(node: Node) -> None:
    job = hourly(node)
    node.functions._functions.pop("note")

    with pytest.raises(JobNotFound):
        node.scheduler.backfilling.create(UUID(int=0), last_hours(1))
    with pytest.raises(UnknownFunction):
        node.scheduler.backfilling.create(job.id, last_hours(1))


# How its runs go


def test_each_slot_runs_once_the_oldest_first(node: Node) -> None:
    seen: list[datetime] = []
    node.functions.register("see", lambda job_id, run: seen.append(run.scheduled_for))
    job = hourly(node, function_name="see")

    backfill_id = backfill(node, job, 50)
    node.settle()

    assert seen == [NOON - number * HOUR for number in range(49, -1, -1)]
    assert {run.trigger for run in runs_of(node, backfill_id)} == {Trigger.BACKFILL}
    assert progress(node, backfill_id).runs == {RunState.SUCCEEDED: 50}
    assert progress(node, backfill_id).state is BackfillState.COMPLETED


@pytest.mark.parametrize("concurrency", [1, 2, 3])
def test_no_more_runs_go_at_once_than_it_says(node: Node, latch: Latch, concurrency: int) -> None:
    job = hourly(node, function_name="slow")

    backfill_id = backfill(node, job, 6, concurrency=concurrency)
    for _ in range(concurrency):
        latch.await_entry()
    for _ in range(6 - concurrency):
        node.settle(runs_end=False)
        assert progress(node, backfill_id).runs[RunState.RUNNING] == concurrency
        latch.release()
        # Once the one that was released is on record.
        latch.await_entry()
    for _ in range(concurrency):
        latch.release()
    node.settle()

    assert progress(node, backfill_id).runs == {RunState.SUCCEEDED: 6}


def test_only_runs_with_room_are_looked_at(store: SqlStore) -> None:
    watched = Interference(store)
    claims: list[int] = []
    watched.after["start_waiting"] = lambda starts, **_: claims.append(len(starts))
    with running(Node(watched)) as node:
        backfill(node, hourly(node), 300)
        node.settle()

        assert len(node.calls) == 300
        assert sum(claims) == 300


def test_a_backfill_leaves_its_job_alone(node: Node) -> None:
    def fail(job_id: str) -> None:
        raise ValueError

    node.functions.register("fail", fail)
    job = hourly(
        node, function_name="fail", max_runs=5, policies=DEFAULT_POLICIES.with_changes({"pause_after_failures": 1})
    )

    backfill_id = backfill(node, job, 3)
    node.settle()

    assert states_of(node, backfill_id) == ["failed"] * 3
    assert node.job(job) == job


def test_a_success_of_the_past_does_not_heal_a_failed_job(node: Node) -> None:
    is_broken = [True]

    def flaky(job_id: str) -> None:
        if is_broken[0]:
            raise ValueError

    node.functions.register("flaky", flaky)
    job = hourly(node, function_name="flaky")
    node.advance(3_600)
    is_broken[0] = False

    backfill(node, job, 1)
    node.settle()

    assert node.job(job).status is JobStatus.FAILED
    assert node.job(job).last_run_at == NOON + HOUR


def test_slots_run_beside_a_backfill_whatever_their_overlap_policy(node: Node, latch: Latch) -> None:
    for policy in OverlapPolicy:
        policies = DEFAULT_POLICIES.with_changes({"overlap_policy": policy})
        job = node.add(function_name="slow", interval_seconds=10.0, policies=policies)
        backfill_id = node.scheduler.backfilling.create(
            job.id, BackfillRequest(node.clock.now() - timedelta(seconds=5), node.clock.now())
        ).backfill.id
        latch.await_entry()

        node.advance(10, runs_end=False)
        latch.await_entry()
        assert {run.state for run in node.runs(job)} == {RunState.RUNNING}
        latch.release()
        latch.release()
        node.settle()

        assert states_of(node, backfill_id) == ["succeeded"], policy
        assert [run.state.value for run in node.runs(job)] == ["succeeded"] * 2, policy
        node.scheduler.delete_job(job.id)


def test_a_slot_that_cancels_the_one_before_does_not_cancel_a_backfill(node: Node, latch: Latch) -> None:
    def wait(job_id: str, run: RunContext) -> None:
        if run.scheduled_for > NOON:
            assert run.cancelled.wait(20)
        else:
            latch(job_id)

    node.functions.register("wait", wait)
    policies = DEFAULT_POLICIES.with_changes({"overlap_policy": OverlapPolicy.CANCEL_RUNNING})
    job = node.add(function_name="wait", interval_seconds=10.0, policies=policies)
    backfill_id = node.scheduler.backfilling.create(job.id, BackfillRequest(NOON, NOON)).backfill.id
    latch.await_entry()

    node.advance(20, runs_end=False)
    latch.release()
    node.scheduler.delete_job(job.id)
    for run in node.runs(job):
        if run.state is RunState.RUNNING:
            node.scheduler.cancellation.end(run.id, "the test is over")
    node.settle()

    assert states_of(node, backfill_id) == ["succeeded"]
    assert node.runs(job)[1].state is RunState.CANCELLED


def test_a_concurrency_key_holds_a_backfill_too(node: Node, latch: Latch) -> None:
    keyed = DEFAULT_POLICIES.with_changes({"concurrency_key": "database"})
    other = node.add(function_name="slow", cron_expression=NEVER, policies=keyed)
    job = hourly(node, policies=keyed)
    node.scheduler.run_now(other.id)
    latch.await_entry()

    backfill_id = backfill(node, job, 3, concurrency=3)
    node.settle(runs_end=False)
    assert states_of(node, backfill_id) == ["queued"] * 3

    latch.release()
    node.settle()
    assert states_of(node, backfill_id) == ["succeeded"] * 3


def test_a_slot_that_waits_for_a_key_goes_before_a_backfill(node: Node, latch: Latch) -> None:
    order: list[datetime] = []
    node.functions.register("see", lambda job_id, run: order.append(run.scheduled_for))
    keyed = DEFAULT_POLICIES.with_changes({"concurrency_key": "database"})
    other = node.add(function_name="slow", cron_expression=NEVER, policies=keyed)
    job = hourly(node, function_name="see", policies=keyed)
    node.scheduler.run_now(other.id)
    latch.await_entry()
    backfill(node, job, 2)
    node.advance(3_600, runs_end=False)

    latch.release()
    node.settle()

    assert order == [NOON + HOUR, NOON - HOUR, NOON]


def test_a_backfill_does_not_take_the_place_of_a_due_slot_in_a_full_pool(store: SqlStore) -> None:
    with running(Node(store, pool_size=1)) as node:
        latch = Latch()
        node.functions.register("slow", latch)
        order: list[str] = []
        node.functions.register("see", lambda job_id, run: order.append(run.scheduled_for.isoformat()[:16]))
        slow = node.add(function_name="slow", cron_expression=NEVER)
        urgent = DEFAULT_POLICIES.with_changes({"priority": 100})
        job = hourly(node, function_name="see", policies=urgent)
        modest = DEFAULT_POLICIES.with_changes({"priority": -100})
        node.add(function_name="see", cron_expression="0 18 * * *", policies=modest)
        node.scheduler.run_now(slow.id)
        latch.await_entry()

        backfill(node, job, 1)
        node.advance(6 * 3_600, runs_end=False)
        latch.release()
        node.settle()

        assert order[-1] == "2026-01-01T12:00"
        assert "2026-01-01T18:00" in order


def test_runs_that_wait_for_their_predecessor_are_not_forgotten_for_a_large_backfill(node: Node, latch: Latch) -> None:
    policies = DEFAULT_POLICIES.with_changes({"overlap_policy": OverlapPolicy.QUEUE_ALL})
    job = node.add(function_name="slow", cron_expression="*/10 * * * *", policies=policies)
    node.scheduler.pause_job(job.id)
    request = BackfillRequest(NOON - 2 * DAY, NOON)
    backfill_id = node.scheduler.backfilling.create(job.id, request).backfill.id
    node.scheduler.resume_job(job.id)
    latch.await_entry()
    node.advance(1_200, runs_end=False)
    latch.await_entry()
    first, second = [run for run in node.runs(job) if run.trigger is Trigger.SCHEDULE]
    assert (first.state, second.state) == (RunState.RUNNING, RunState.QUEUED)

    # One of the two that are going ends; then, whichever it was, the other.
    latch.release()
    latch.await_entry()
    latch.release()
    latch.await_entry()
    node.settle(runs_end=False)

    assert node.store.run(second.id).state is RunState.RUNNING
    node.scheduler.backfilling.cancel(backfill_id)


def test_a_run_that_is_to_be_tried_again_keeps_its_place(node: Node) -> None:
    attempts: list[tuple[datetime, int]] = []

    def flaky(job_id: str, run: RunContext) -> None:
        attempts.append((run.scheduled_for, run.attempt))
        if run.attempt == 1:
            raise ValueError

    node.functions.register("flaky", flaky)
    policies = DEFAULT_POLICIES.with_changes({"max_retries": 1, "retry_delay_seconds": 10.0, "retry_jitter": 0.0})
    job = hourly(node, function_name="flaky", policies=policies)

    backfill_id = backfill(node, job, 2)
    node.settle()
    assert states_of(node, backfill_id) == ["retrying", "queued"]
    node.advance(20)

    assert attempts == [(NOON - HOUR, 1), (NOON - HOUR, 2), (NOON, 1), (NOON, 2)]
    assert states_of(node, backfill_id) == ["succeeded"] * 2


def test_time_outs_apply_to_a_backfill(node: Node) -> None:
    entered = Latch()

    def wait(job_id: str, run: RunContext) -> None:
        entered.entered.release()
        assert run.cancelled.wait(20)

    node.functions.register("wait", wait)
    policies = DEFAULT_POLICIES.with_changes({"timeout_seconds": 5.0})
    job = hourly(node, function_name="wait", policies=policies)

    backfill_id = backfill(node, job, 2)
    for _ in range(2):
        entered.await_entry()
        node.advance(5, runs_end=False)
    node.settle()

    assert states_of(node, backfill_id) == ["timed_out"] * 2


# What holds it up, and ends it


def test_a_backfill_of_a_paused_job_waits_until_it_is_resumed(node: Node) -> None:
    job = hourly(node)
    node.scheduler.pause_job(job.id)

    backfill_id = backfill(node, job, 3)
    node.settle()
    assert states_of(node, backfill_id) == ["queued"] * 3
    assert "paused" in node.scheduler.backfilling.hold_ups([progress(node, backfill_id)])[backfill_id]

    node.scheduler.resume_job(job.id)
    node.settle()
    assert states_of(node, backfill_id) == ["succeeded"] * 3
    assert node.scheduler.backfilling.hold_ups([progress(node, backfill_id)]) == {}


def test_a_backfill_waits_while_everything_is_paused(node: Node) -> None:
    job = hourly(node)
    node.scheduler.pausing.pause_all(until=None, by=None, note=None)

    backfill_id = backfill(node, job, 3)
    node.settle()
    assert states_of(node, backfill_id) == ["queued"] * 3

    node.scheduler.pausing.resume_all()
    node.settle()
    assert states_of(node, backfill_id) == ["succeeded"] * 3


def test_a_backfill_goes_on_with_a_job_that_is_completed(node: Node) -> None:
    job = node.add(run_at=NOON + timedelta(seconds=10))
    node.advance(10)
    assert node.job(job).status is JobStatus.COMPLETED

    made = node.scheduler.backfilling.create(job.id, BackfillRequest(NOON, NOON + timedelta(seconds=10)))
    node.settle()

    assert progress(node, made.backfill.id).runs == {RunState.SUCCEEDED: 1}
    assert node.job(job).status is JobStatus.COMPLETED


def test_deleting_the_job_cancels_its_backfill(node: Node, latch: Latch) -> None:
    job = hourly(node, function_name="slow")
    backfill_id = backfill(node, job, 3)
    latch.await_entry()

    node.scheduler.delete_job(job.id)
    latch.release()
    node.settle()

    assert states_of(node, backfill_id) == ["succeeded", "cancelled", "cancelled"]
    assert progress(node, backfill_id).state is BackfillState.CANCELLED


def test_cancelling_ends_what_waits_and_asks_what_is_going_to_end(node: Node) -> None:
    entered = Latch()

    def wait(job_id: str, run: RunContext) -> None:
        entered.entered.release()
        assert run.cancelled.wait(20)

    node.functions.register("wait", wait)
    job = hourly(node, function_name="wait")
    backfill_id = backfill(node, job, 5, concurrency=2)
    entered.await_entry()
    entered.await_entry()

    with capture_logs() as logs:
        cancelled = node.scheduler.backfilling.cancel(backfill_id)
    node.settle()

    assert (cancelled.cancelled, cancelled.asked_to_end) == (3, 2)
    assert cancelled.progress.state is BackfillState.CANCELLED
    assert states_of(node, backfill_id) == ["cancelled"] * 5
    assert "was cancelled by request" in (runs_of(node, backfill_id)[-1].reason or "")
    assert [entry["event"] for entry in logs if entry["event"].startswith("backfill")] == ["backfill cancelled"]
    with pytest.raises(BackfillIsOver):
        node.scheduler.backfilling.cancel(backfill_id)


def test_a_run_that_fails_after_its_backfill_was_cancelled_is_not_tried_again(node: Node, latch: Latch) -> None:
    def fail(job_id: str) -> None:
        latch(job_id)
        raise ValueError

    node.functions.register("fail", fail)
    policies = DEFAULT_POLICIES.with_changes({"max_retries": 5})
    job = hourly(node, function_name="fail", policies=policies)
    backfill_id = backfill(node, job, 1)
    latch.await_entry()

    # As if the call had ended before the word reached it.
    node.store.cancel_backfill(backfill_id, at=NOON, reason="a test")
    latch.release()
    node.settle()

    assert states_of(node, backfill_id) == ["failed"]


def test_a_backfill_that_is_over_or_unknown_cannot_be_cancelled(node: Node) -> None:
    backfill_id = backfill(node, hourly(node), 1)
    node.settle()

    with pytest.raises(BackfillIsOver, match="it is completed"):
        node.scheduler.backfilling.cancel(backfill_id)
    with pytest.raises(BackfillNotFound):
        node.scheduler.backfilling.cancel(UUID(int=0))


def test_cancelling_one_run_lets_the_next_one_go(node: Node, latch: Latch) -> None:
    job = hourly(node, function_name="slow")
    backfill_id = backfill(node, job, 3)
    latch.await_entry()

    node.scheduler.cancellation.cancel(runs_of(node, backfill_id)[1].id)
    latch.release()
    latch.await_entry()
    latch.release()
    node.settle()

    assert states_of(node, backfill_id) == ["succeeded", "cancelled", "succeeded"]


def test_a_job_has_a_bounded_number_of_backfills_that_are_not_over(node: Node) -> None:
    job = hourly(node)
    node.scheduler.pause_job(job.id)
    for _ in range(MAX_UNFINISHED_BACKFILLS):
        backfill_id = backfill(node, job, 1)

    with pytest.raises(TooManyBackfills):
        backfill(node, job, 1)
    node.scheduler.backfilling.cancel(backfill_id)

    backfill(node, job, 1)


# What goes wrong


def test_a_backfill_goes_on_after_a_crash_and_starts_no_slot_twice(store: SqlStore) -> None:
    first = Node(store).start()
    latch = Latch()
    started: list[datetime] = []

    def slow(job_id: str, run: RunContext) -> None:
        started.append(run.scheduled_for)
        if len(started) > 3:
            latch(job_id)

    first.functions.register("slow", slow)
    backfill_id = backfill(first, hourly(first, function_name="slow"), 10, concurrency=2)
    latch.await_entry()
    latch.await_entry()
    first.settle(runs_end=False)
    crash(first)

    second = Node(store, first.clock)
    with running(second):
        # Its function is not registered there: the slots wait for a start that finds it (law 12).
        second.settle()
        assert progress(second, backfill_id).runs[RunState.QUEUED] == 5
    third = Node(store, first.clock)
    third.functions.register("slow", lambda job_id, run: started.append(run.scheduled_for))
    with running(third):
        third.settle()

        assert progress(third, backfill_id).runs == {RunState.SUCCEEDED: 8, RunState.LOST: 2}
        assert sorted(started) == [NOON - number * HOUR for number in range(9, -1, -1)]
    latch.release()
    latch.release()


def test_runs_that_were_lost_are_tried_again_where_the_job_says_so(store: SqlStore) -> None:
    first = Node(store).start()
    latch = Latch()
    first.functions.register("slow", latch)
    policies = DEFAULT_POLICIES.with_changes({"max_retries": 1, "retry_delay_seconds": 10.0, "retry_jitter": 0.0})
    backfill_id = backfill(first, hourly(first, function_name="slow", policies=policies), 2)
    latch.await_entry()
    first.settle(runs_end=False)
    crash(first)

    second = Node(store, first.clock)
    second.functions.register("slow", lambda job_id: None)
    with running(second):
        second.settle()
        assert states_of(second, backfill_id) == ["retrying", "queued"]
        second.advance(10)
        assert states_of(second, backfill_id) == ["succeeded", "succeeded"]
    latch.release()


def test_a_backfill_whose_commit_got_no_answer_runs_all_the_same(store: SqlStore) -> None:
    shaky = Interference(store)
    with running(Node(shaky)) as node:
        job = hourly(node)
        shaky.after["add_backfill"] = once(away)

        with pytest.raises(StoreUnavailable):
            backfill(node, job, 3)
        node.settle()

        assert [run.state.value for run in node.runs(job)] == ["succeeded"] * 3


def test_a_backfill_that_was_not_kept_leaves_no_trace(store: SqlStore) -> None:
    shaky = Interference(store)
    with running(Node(shaky)) as node:
        job = hourly(node)
        shaky.before["add_backfill"] = once(away)

        with pytest.raises(StoreUnavailable):
            backfill(node, job, 3)
        node.settle()

        assert node.runs(job) == []


def test_a_claim_of_which_nobody_knows_whether_it_was_written_starts_its_run_once(store: SqlStore) -> None:
    shaky = Interference(store)
    shaky.after["start_waiting"] = once(away)
    with running(Node(shaky)) as node:
        backfill_id = backfill(node, hourly(node), 3)
        node.advance(10, runs_end=False)
        node.settle()

        assert states_of(node, backfill_id) == ["succeeded"] * 3
        assert len(node.calls) == 3


def test_an_edit_while_a_backfill_is_going_does_not_hold_it(node: Node, latch: Latch) -> None:
    job = hourly(node, function_name="slow")
    backfill_id = backfill(node, job, 2)
    latch.await_entry()

    node.scheduler.change_job(job.id, JobChange(name="another name"))
    latch.release()
    latch.await_entry()
    latch.release()
    node.settle()

    assert states_of(node, backfill_id) == ["succeeded"] * 2


def test_a_waiting_run_comes_up_again_after_a_mistake_in_its_claim(store: SqlStore) -> None:
    shaky = Interference(store)
    shaky.before["start_waiting"] = once(fails(ValueError("a mistake")))
    with running(Node(shaky)) as node:
        backfill_id = backfill(node, hourly(node), 2)
        node.advance(120)

        assert states_of(node, backfill_id) == ["succeeded"] * 2
