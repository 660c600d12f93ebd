"""Hours of downtime for jobs of every pace, by default policies: one run each, and one row for what was missed."""

from datetime import datetime, timedelta

import pytest

from engine.nouns import Job, Run
from store import SqlStore
from tests.fakes import NOON, Node, running

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DOWNTIME = 3 * HOUR + timedelta(seconds=0.5)
EACH = 3

KINDS = [
    # Of these the first slot is one period after noon, and the last one before the start at 15:00:00.5.
    pytest.param({"interval_seconds": 1.0}, SECOND, 10_800, id="interval of 1 s"),
    pytest.param({"interval_seconds": 60.0}, MINUTE, 180, id="interval of 1 min"),
    pytest.param({"interval_seconds": 3_600.0}, HOUR, 3, id="interval of 1 h"),
    pytest.param({"interval_seconds": 86_400.0}, DAY, 0, id="daily interval"),
    pytest.param({"cron_expression": "* * * * * *"}, SECOND, 10_800, id="cron of 1 s"),
    pytest.param({"cron_expression": "* * * * *"}, MINUTE, 180, id="cron of 1 min"),
    pytest.param({"cron_expression": "0 * * * *"}, HOUR, 3, id="cron of 1 h"),
    pytest.param({"cron_expression": "0 14 * * *"}, DAY, 1, id="daily cron"),
    pytest.param({"cron_expression": "0 9 * * *"}, DAY, 0, id="daily cron that was not due"),
]


@pytest.mark.parametrize(("timing", "period", "due"), KINDS)
def test_after_three_hours_a_job_runs_once_and_what_it_missed_is_one_row(
    store: SqlStore, timing: dict[str, object], period: timedelta, due: int
) -> None:
    first_node = Node(store)
    with running(first_node):
        jobs = [first_node.add(**timing) for _ in range(EACH)]
    first_slots = [slot_of(job) for job in jobs]
    first_node.clock.step_wall(DOWNTIME.total_seconds())

    second = Node(store, first_node.clock)
    with running(second):
        histories = [second.runs(job) for job in jobs]
        next_slots = [slot_of(second.job(job)) for job in jobs]

    for first, history, next_slot in zip(first_slots, histories, next_slots, strict=True):
        latest = first + period * (due - 1)
        assert [told(run) for run in history] == [
            *([("missed", first, due - 1, latest - period)] if due > 1 else []),
            *([("succeeded", latest, 1, latest)] if due else []),
        ]
        assert next_slot == first + period * due
        assert next_slot > NOON + DOWNTIME
    assert len(second.calls) == (EACH if due else 0)


def test_the_slots_after_the_downtime_run_on_the_same_grid(store: SqlStore) -> None:
    first_node = Node(store)
    with running(first_node):
        jobs = [first_node.add(interval_seconds=period) for period in (1.0, 60.0)]
    first_node.clock.step_wall(DOWNTIME.total_seconds())

    second = Node(store, first_node.clock)
    with running(second):
        second.advance(120)
        seconds, minutes = (second.runs(job) for job in jobs)

    assert [run.scheduled_for for run in seconds[1:]] == [NOON + 3 * HOUR + SECOND * number for number in range(121)]
    assert [run.scheduled_for for run in minutes[1:]] == [NOON + 3 * HOUR + MINUTE * number for number in range(3)]
    assert {run.state.value for run in seconds[1:] + minutes[1:]} == {"succeeded"}


def told(run: Run) -> tuple[str, datetime, int, datetime]:
    """Its state, and which slots it stands for: the first, how many, the last."""
    return run.state.value, run.scheduled_for, run.slot_count, run.last_scheduled_for or run.scheduled_for


def slot_of(job: Job) -> datetime:
    assert job.next_run_at is not None
    return job.next_run_at
