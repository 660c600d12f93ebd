"""How runs ended, and what that makes of their jobs. Transitions are guarded: only a running run ends (law 6)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, or_, select, update

from engine.limits import MAX_ATTEMPT_MESSAGE_LENGTH
from engine.nouns import (
    BAD_ENDS,
    Attempt,
    BadStreak,
    CallOver,
    Finished,
    JobStatus,
    Outcome,
    RunState,
    Trigger,
)
from store import log_rows
from store.batches import BatchUpdate, OneOf
from store.columns import AnyRow
from store.json_rows import RowsInOneStep
from store.run_rows import attempts_as_json
from store.tables import IS_RUNNING, jobs, runs

# Jobs are locked before their runs, by claims as well as here, and each in the order of their ids: two that write at
# once wait, and never deadlock. SQLite needs no locks of rows, and is not asked.
_LOCK_JOBS = select(jobs.c.id).where(OneOf(jobs.c.id, "job_ids")).order_by(jobs.c.id).with_for_update()
_STILL_RUNNING = RowsInOneStep(
    [
        runs.c.id,
        runs.c.job_id,
        runs.c.claim_id,
        runs.c.trigger,
        runs.c.attempt,
        runs.c.started_at,
        runs.c.earlier_attempts,
        runs.c.cancel_reason,
        runs.c.concurrency_key,
        runs.c.backfill_id,
    ],
    OneOf(runs.c.id, "run_ids"),
    IS_RUNNING,
    locking=lambda query: query.order_by(runs.c.id).with_for_update(),
)
_FINISHED = (
    "state", "attempt", "started_at", "finished_at", "lateness_ms", "duration_ms",
    "error_type", "error_message", "error_traceback", "result", "reason",
    "due_at", "earlier_attempts", "is_stuck", "reason_code",
)  # fmt: skip
_FINISH = BatchUpdate(
    runs, keys=[runs.c.id], sets=[runs.c[name] for name in _FINISHED], only="\"runs\".state = 'running'"
)
_CALL_OVER = update(runs).where(OneOf(runs.c.id, "run_ids"), runs.c.is_stuck).values(is_stuck=None)
_OVER = select(runs.c.job_id, runs.c.concurrency_key, runs.c.backfill_id).where(OneOf(runs.c.id, "run_ids"))
# Held until the run is on record as waiting: a deletion of the job that comes then finds it, and ends it.
_EXISTING = select(jobs.c.id).where(OneOf(jobs.c.id, "job_ids")).order_by(jobs.c.id).with_for_update()
_STANDING = (
    select(jobs.c.id, jobs.c.status, jobs.c.consecutive_failures, jobs.c.consecutive_crashes)
    .where(OneOf(jobs.c.id, "job_ids"))
    .order_by(jobs.c.id)
    .with_for_update()
)
# Nearly always all went well and there is nothing to change: then this finds nothing, and is all it costs.
_STANDING_BADLY = _STANDING.where(
    or_(jobs.c.status == JobStatus.FAILED, jobs.c.consecutive_failures > 0, jobs.c.consecutive_crashes > 0)
)
_STAND = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"))
    .values(
        status=bindparam("new_status"),
        consecutive_failures=bindparam("new_failures"),
        consecutive_crashes=bindparam("new_crashes"),
    )
)
START_TOLERANCE = timedelta(milliseconds=50)
"""By how much a job's `last_run_at` may be before the start of its run: each row of a job that is not written anew
saves a page of the log."""

# A claim says that the run starts; here is when it did, which for a run that waited for a thread is later.
_STARTED = BatchUpdate(
    jobs,
    keys=[jobs.c.id],
    sets=[jobs.c.last_run_at],
    only='("jobs".last_run_at IS NULL OR "jobs".last_run_at < new.last_run_at)',
)
# It did not start after all: the run that did is looked for, as another may have started since the claim.
_NOT_STARTED = (
    update(jobs)
    .where(OneOf(jobs.c.id, "job_ids"))
    .values(
        last_run_at=select(func.max(runs.c.started_at))
        .where(runs.c.job_id == jobs.c.id, runs.c.backfill_id.is_(None))
        .scalar_subquery()
    )
)
# Nor does it count for `max_runs`. A job that this run's claim completed as its last one stays completed all the same:
# nothing would wake it here, and its slot has a row that says why there was no run. An edit takes it up again.
NOT_COUNTED = (
    update(jobs).where(jobs.c.id == bindparam("job_id"), jobs.c.run_count > 0).values(run_count=jobs.c.run_count - 1)
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a job's runs have made of it."""

    status: JobStatus
    failures: int
    crashes: int

    def after(self, outcome: Outcome, trigger: Trigger) -> "Standing":
        """What one more outcome makes of it. Runs by hand count for the status only.

        Those of a backfill, which make up for what was, do not even count for that; but for crashes they do.
        """
        is_bad = outcome.state in BAD_ENDS
        has_ended = is_bad or outcome.state is RunState.SUCCEEDED
        failures, crashes = self.failures, self.crashes
        if has_ended and trigger is Trigger.SCHEDULE:
            failures = failures + 1 if is_bad else 0
        if outcome.is_crash:
            crashes += 1
        elif outcome.attempt_end in _CALLED:
            crashes = 0
        status = self.status if trigger is Trigger.BACKFILL else _status_after(self.status, outcome.state)
        return Standing(status, failures, crashes)


_CALLED = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.TIMED_OUT, RunState.CANCELLED})
"""The ends of an attempt whose function was called, and whose process saw its end."""


@dataclass(frozen=True, slots=True)
class Freed:
    """What there may be room in, as a run of it is over: jobs, concurrency keys, backfills."""

    job_ids: frozenset[UUID]
    keys: frozenset[str]
    backfill_ids: frozenset[UUID]

    @classmethod
    def by(cls, rows: Sequence[AnyRow]) -> "Freed":
        """By the runs of these rows."""
        return cls(
            job_ids=frozenset(row.job_id for row in rows),
            keys=frozenset(row.concurrency_key for row in rows if row.concurrency_key is not None),
            backfill_ids=frozenset(row.backfill_id for row in rows if row.backfill_id is not None),
        )


def lock_jobs(connection: Connection, job_ids: Collection[UUID]) -> None:
    """Keep others from these jobs, and from their runs, until the transaction ends."""
    if job_ids and connection.dialect.name == "postgresql":
        connection.execute(_LOCK_JOBS, {"job_ids": list(job_ids)}).all()


def finish_runs(
    connection: Connection, outcomes: Sequence[Outcome], overs: Sequence[CallOver]
) -> tuple[Finished, Freed]:
    """Record the ends of those runs that are still running, and the calls that are over after all."""
    lock_jobs(connection, {outcome.job_id for outcome in outcomes} | {over.job_id for over in overs})
    run_ids = {outcome.run_id for outcome in outcomes}
    rows = _STILL_RUNNING.read(connection, {"run_ids": list(run_ids)}) if run_ids else ()
    running = {row.id: row for row in rows}
    # Of two for one run (abandoned at a stop, then returned) the first counts, for the job as for the run. One of an
    # earlier claim counts for nothing: the run is somebody else's by now, or another attempt of ours.
    first: dict[UUID, Outcome] = {}
    for outcome in outcomes:
        if outcome.run_id in running and running[outcome.run_id].claim_id == outcome.claim_id:
            first.setdefault(outcome.run_id, outcome)
    applied = sorted(first.values(), key=lambda each: each.job_id)
    applied = _without_futile_retries(connection, applied, running)
    bad_streaks: list[BadStreak] = []
    if applied:
        _FINISH.execute(connection, [_finish(outcome, running[outcome.run_id]) for outcome in applied])
        log_rows.keep_logs(connection, [(outcome.run_id, outcome.log) for outcome in applied])
        triggers = {run_id: row.trigger for run_id, row in running.items()}
        bad_streaks = _tell_jobs(connection, applied, triggers)
        telling = [outcome for outcome in applied if triggers[outcome.run_id] is not Trigger.BACKFILL]
        _tell_jobs_of_starts(connection, telling, running)
        _take_back_starts(connection, [outcome for outcome in telling if outcome.undoes_claim], running)
    if overs:
        connection.execute(_CALL_OVER, {"run_ids": [over.run_id for over in overs]})
    late = frozenset(run_ids - first.keys())
    freed: list[AnyRow] = [running[outcome.run_id] for outcome in applied]
    # Late ones as well: recorded by a try whose answer was lost, they have told nobody that waits for them.
    told_again = [*late, *(over.run_id for over in overs)]
    freed += connection.execute(_OVER, {"run_ids": told_again}).all() if told_again else []
    if late:
        bad_streaks += _streaks_again(connection, [each for each in outcomes if each.run_id in late], bad_streaks)
    return Finished(late, bad_streaks=tuple(bad_streaks)), Freed.by(freed)


def _streaks_again(connection: Connection, late: Sequence[Outcome], told: Sequence[BadStreak]) -> list[BadStreak]:
    """The bad streaks of jobs whose bad ends are on record already."""
    ill = {each.job_id for each in late if each.attempt_end in BAD_ENDS} - {streak.job_id for streak in told}
    stored = connection.execute(_STANDING_BADLY, {"job_ids": list(ill)}).all() if ill else []
    return [BadStreak(row.id, row.consecutive_failures, row.consecutive_crashes) for row in stored]


def _without_futile_retries(
    connection: Connection, applied: list[Outcome], running: Mapping[UUID, AnyRow]
) -> list[Outcome]:
    """The same; a run that was to end, or whose job was deleted meanwhile, is not tried again."""
    retried = {outcome.job_id for outcome in applied if outcome.state is RunState.RETRYING}
    if not retried:
        return applied
    existing = set(connection.execute(_EXISTING, {"job_ids": list(retried)}).scalars())
    return [
        outcome.as_last()
        if outcome.state is RunState.RETRYING
        and (outcome.job_id not in existing or running[outcome.run_id].cancel_reason is not None)
        else outcome
        for outcome in applied
    ]


def _tell_jobs(connection: Connection, applied: Sequence[Outcome], triggers: Mapping[UUID, Trigger]) -> list[BadStreak]:
    """Change what the outcomes, one after another, make of each job; returns the bad streaks that this leaves."""
    ill = {each.job_id for each in applied if each.state in BAD_ENDS or each.is_crash}
    well = {each.job_id for each in applied} - ill
    stored = [
        *(connection.execute(_STANDING, {"job_ids": list(ill)}) if ill else ()),
        *(connection.execute(_STANDING_BADLY, {"job_ids": list(well)}) if well else ()),
    ]
    before = {row.id: Standing(row.status, row.consecutive_failures, row.consecutive_crashes) for row in stored}
    after = dict(before)
    for outcome in applied:
        if outcome.job_id in after:
            after[outcome.job_id] = after[outcome.job_id].after(outcome, triggers[outcome.run_id])
    changed = {job_id: standing for job_id, standing in after.items() if standing != before[job_id]}
    if changed:
        connection.execute(_STAND, [_stand(job_id, standing) for job_id, standing in changed.items()])
    return [
        BadStreak(job_id, standing.failures, standing.crashes)
        for job_id, standing in changed.items()
        if standing.failures > before[job_id].failures or standing.crashes > before[job_id].crashes
    ]


def _status_after(status: JobStatus, end: RunState) -> JobStatus:
    if end in BAD_ENDS and status is JobStatus.ACTIVE:
        return JobStatus.FAILED
    if end is RunState.SUCCEEDED and status is JobStatus.FAILED:
        return JobStatus.ACTIVE
    return status


def _stand(job_id: UUID, standing: Standing) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "new_status": standing.status,
        "new_failures": standing.failures,
        "new_crashes": standing.crashes,
    }


def _tell_jobs_of_starts(connection: Connection, applied: Sequence[Outcome], running: Mapping[UUID, AnyRow]) -> None:
    late = [each for each in applied if _is_later_than_claimed(each, running[each.run_id].started_at)]
    # In their order, so that the latest of a job is what is left of it.
    latest = dict(sorted((each.job_id, each.started_at) for each in late if each.started_at is not None))
    _STARTED.execute(connection, list(latest.items()))


def _is_later_than_claimed(outcome: Outcome, claimed_for: datetime | None) -> bool:
    """Whether the job is to be told when the run started: nearly always that is what the claim has told it."""
    started_at = outcome.started_at
    return started_at is not None and (claimed_for is None or started_at - claimed_for > START_TOLERANCE)


def _take_back_starts(connection: Connection, undone: Sequence[Outcome], running: Mapping[UUID, AnyRow]) -> None:
    # Of a run that is tried again, an earlier attempt did start.
    undone = [each for each in undone if running[each.run_id].attempt == 1]
    if undone:
        connection.execute(_NOT_STARTED, {"job_ids": [each.job_id for each in undone]})
    # One entry a run, not a job: a batch may take back several of the same job.
    counted = [each.job_id for each in undone if running[each.run_id].trigger is Trigger.SCHEDULE]
    if counted:
        connection.execute(NOT_COUNTED, [{"job_id": job_id} for job_id in counted])


def _finish(outcome: Outcome, run: AnyRow) -> tuple[Any, ...]:
    """The values of _FINISH."""
    error = outcome.error
    earlier, attempt = run.earlier_attempts or [], run.attempt
    if outcome.undoes_claim and earlier:
        # A further attempt that did not start: as it was before it was claimed. The row itself tells of the last one.
        attempt -= 1
        earlier = earlier if outcome.state is RunState.RETRYING else earlier[:-1]
    elif outcome.state is RunState.RETRYING:
        earlier = [*earlier, *(attempts_as_json([_attempt(outcome, attempt)]) or [])]
    return (
        outcome.run_id,
        outcome.state,
        attempt,
        outcome.started_at,
        outcome.finished_at,
        outcome.lateness_ms,
        outcome.duration_ms,
        error and error.type,
        error and error.message,
        error and error.traceback,
        outcome.result_json,
        outcome.reason,
        outcome.due_at,
        earlier or None,
        outcome.is_stuck or None,
        outcome.reason_code,
    )


def _attempt(outcome: Outcome, number: int) -> Attempt:
    error = outcome.error
    return Attempt(
        number=number,
        state=outcome.attempt_end,
        started_at=outcome.started_at,
        finished_at=outcome.finished_at,
        duration_ms=outcome.duration_ms,
        error_type=None if error is None else error.type,
        error_message=None if error is None else error.message[:MAX_ATTEMPT_MESSAGE_LENGTH],
        reason=outcome.attempt_reason,
    )
