"""What a start does after three hours of downtime with 1,000 jobs: 250 each of 1 s, 1 min, 1 h and daily.

Half of each kind are intervals, half cron expressions, all with the default policies. They are created through the
engine on a clock that stands three hours back, and then the real service is started on that file. Inside the measured
region: from spawning the interpreter to the first 200 of `/readyz`, and to the instant at which a look at the database
(every 50 ms, by a connection of the benchmark's own) finds the catch-up run of every overdue job recorded. Lateness
afterwards: every slot of the 10 s that follow.

Checked, by arithmetic of its own (every slot is a multiple of the period from a first one): a job with more than one
slot in the downtime has one missed row, which begins with its first slot, ends just before the slot of its catch-up
run, and counts what lies between; a job with one slot has none; each overdue job has exactly one catch-up run; there
are no more missed rows than jobs; each slot from there on has exactly one row, and is not missed. A slot that comes due
between the look at what was missed and the claim makes a second missed row of one slot; such are counted.
"""

import logging
import sqlite3
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from uuid import UUID

import structlog

from benchmarks.service_process import new_folder, service
from engine.nouns import Job
from engine.requests import JobDraft
from engine.scheduler import Scheduler
from engine.timing import Timing
from registry import FunctionRegistry
from store import open_store

DOWNTIME = timedelta(hours=3)
EACH = 250
SECONDS_AFTERWARDS = 10
FUNCTION = '''
from registry import register_job


@register_job("nothing")
def nothing(job_id):
    """Do nothing."""
'''


@dataclass(frozen=True)
class Expected:
    """A job's slots: from the first one on, every so often."""

    kind: str
    first: datetime
    period: timedelta


@dataclass(frozen=True)
class Row:
    """What is recorded of a slot, or of a stretch of them."""

    state: str
    first: datetime
    slot_count: int
    lateness_ms: float | None


class StandingClock:
    """Stands still in the past: nothing comes due, and nobody wakes but by a notification."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at

    def monotonic(self) -> float:
        return 0.0

    def adjust(self, ask: Callable[[], datetime | None]) -> None:
        """Only the benchmark sets this one."""

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        condition.wait(seconds)


def main() -> None:
    """Measure and print."""
    with new_folder() as folder:
        (folder / "bench_jobs.py").write_text(FUNCTION)
        began_at = datetime.now(UTC).replace(microsecond=0) - DOWNTIME
        jobs = create_jobs(folder, began_at)
        print_catch_up(folder, jobs)


def print_catch_up(folder: Path, jobs: dict[UUID, Expected]) -> None:
    spawned_at, began = datetime.now(UTC), time.perf_counter()
    overdue = {job_id for job_id, expected in jobs.items() if expected.first <= spawned_at}
    with service(folder, JOB_MODULES="bench_jobs") as running:
        await_catch_up(folder, overdue)
        seconds_to_caught_up = time.perf_counter() - began
        caught_up_at = datetime.now(UTC)
        time.sleep(SECONDS_AFTERWARDS)
        until = datetime.now(UTC) - timedelta(seconds=1)
    rows = recorded_rows(folder)
    missed_slots = sum(check(rows.get(job_id, []), expected, spawned_at, until) for job_id, expected in jobs.items())
    missed = Counter(jobs[job_id].kind for job_id, found in rows.items() for row in found if row.state == "missed")
    skipped: Counter[bool] = Counter()
    for row in chain.from_iterable(rows.values()):
        skipped[row.first > caught_up_at] += row.slot_count if row.state == "skipped" else 0
    late = [
        row.lateness_ms or 0.0
        for row in chain.from_iterable(rows.values())
        if caught_up_at < row.first <= until and row.state == "succeeded"
    ]
    quantiles = statistics.quantiles(late, n=100, method="inclusive")
    print(f"{DOWNTIME} of downtime, {len(jobs)} jobs, {len(overdue)} of them overdue with {missed_slots} missed slots:")
    print(f"  start to ready: {running.seconds_to_ready:.2f} s")
    print(f"  start to the catch-up run of every overdue job on record: {seconds_to_caught_up:.2f} s")
    assert missed.total() <= len(jobs), missed
    overtaken = missed.total() - sum(any(row.state == "missed" for row in found) for found in rows.values())
    kinds = ", ".join(f"{count} of {kind}" for kind, count in missed.items())
    print(f"  missed rows: {missed.total()} ({kinds}), {overtaken} of them second ones")
    print(f"  slots skipped for the run before: {skipped[False]} while it caught up, {skipped[True]} afterwards")
    print(
        f"  lateness of the {SECONDS_AFTERWARDS} s afterwards: p50 {quantiles[49]:.1f} ms, p99 {quantiles[98]:.1f} ms, "
        f"max {max(late):.1f} ms over {len(late)} runs"
    )


def create_jobs(folder: Path, at: datetime) -> dict[UUID, Expected]:
    """The jobs as a service would have kept them that was stopped right after it had created them."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    store = open_store(f"sqlite:///{folder}/scheduler.db")
    functions = FunctionRegistry()
    functions.register("nothing", lambda job_id: None)  # noqa: ARG005 - it is never called here
    scheduler = Scheduler(store=store, functions=functions, clock=StandingClock(at))
    scheduler.start()
    created = {}
    for number in range(EACH):
        for kind, timing, period in timings(number, at):
            job = scheduler.create_job(JobDraft(f"{kind} {number}", "nothing", timing, {}))
            created[job.id] = Expected(kind, first_slot(job), period)
    scheduler.stop(grace_seconds=0)
    store.close()
    return created


def timings(number: int, at: datetime) -> list[tuple[str, Timing, timedelta]]:
    """One of each kind. A daily cron expression comes within the downtime, a daily interval only 21 hours after it."""
    second, minute, hour = number % 60, (at.minute + number) % 60, (at + timedelta(hours=1)).hour
    crons = ["* * * * * *", f"{second} * * * * *", f"{minute} * * * *", f"{minute} {hour} * * *"]
    periods = [timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)]
    kinds = ["1 s", "1 min", "1 h", "daily"]
    if number % 2:
        made = [Timing(cron_expression=cron) for cron in crons]
    else:
        # Spread over a minute, as jobs are that were not all created in the same instant.
        start_at = at + number * timedelta(minutes=1) / EACH
        made = [Timing(interval_seconds=period.total_seconds(), start_at=start_at) for period in periods]
    return list(zip(kinds, made, periods, strict=True))


def first_slot(job: Job) -> datetime:
    assert job.next_run_at is not None
    return job.next_run_at


def await_catch_up(folder: Path, overdue: set[UUID]) -> None:
    give_up_at = time.monotonic() + 120
    with closing(sqlite3.connect(f"file:{folder}/scheduler.db?mode=ro", uri=True)) as database:
        while True:
            query = "SELECT count(DISTINCT job_id) FROM runs WHERE state = 'succeeded'"
            (recorded,) = database.execute(query).fetchone()
            if recorded >= len(overdue):
                return
            assert time.monotonic() < give_up_at, f"only {recorded} of {len(overdue)} are on record"
            time.sleep(0.05)


def recorded_rows(folder: Path) -> dict[UUID, list[Row]]:
    """Of each job, in the order of their slots."""
    found: dict[UUID, list[Row]] = {}
    with closing(sqlite3.connect(folder / "scheduler.db")) as database:
        query = "SELECT job_id, state, scheduled_for, slot_count, lateness_ms FROM runs ORDER BY scheduled_for"
        for job_id, state, scheduled_for, slot_count, late in database.execute(query):
            first = datetime.fromisoformat(scheduled_for).replace(tzinfo=UTC)
            found.setdefault(UUID(job_id), []).append(Row(state, first, slot_count, late))
    return found


def check(rows: list[Row], expected: Expected, spawned_at: datetime, until: datetime) -> int:
    """Every slot until then is on record as it should be; returns how many were missed."""
    if expected.first > until:
        assert rows == [], (expected, rows)
        return 0
    missed = [row for row in rows if row.state == "missed"]
    runs = [row for row in rows if row.state != "missed"]
    catch_up = runs[0]
    # The latest slot that was due when the service looked, which was after it was spawned.
    assert catch_up.first > spawned_at - expected.period, (expected, catch_up)
    missed_slots = round((catch_up.first - expected.first) / expected.period)
    stretches = [(row.first, row.slot_count) for row in missed]
    assert not stretches or stretches[0][0] == expected.first, (expected, rows)
    assert sum(count for _, count in stretches) == missed_slots, (expected, rows)
    # A second one is a slot that came due in the moment between the look at what was missed and the claim.
    assert len(stretches) <= 1 or [count for _, count in stretches[1:]] == [1], (expected, rows)
    # The next slots of a job of 1 s find its catch-up run still going, or waiting for a thread, if that starts late.
    assert catch_up.state == "succeeded", (expected, runs)
    assert {row.state for row in runs if row.first <= until} <= {"succeeded", "skipped"}, (expected, runs)
    slots = [row.first + expected.period * number for row in runs for number in range(row.slot_count)]
    due = int((until - catch_up.first) / expected.period) + 1
    assert slots[:due] == [catch_up.first + expected.period * number for number in range(due)], (expected, runs)
    return missed_slots


if __name__ == "__main__":
    main()
