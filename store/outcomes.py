"""How runs ended, and what that makes of their jobs. Transitions are guarded: only a running run ends (law 6)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, or_, select, update

from engine.nouns import BAD_ENDS, JobStatus, Outcome, RunState, Trigger
from store import log_rows
from store.tables import IS_RUNNING, jobs, runs

# Rows are locked in the order of their ids, here and below: two nodes that record at once wait, and never deadlock.
_STILL_RUNNING = (
    select(runs.c.id, runs.c.trigger)
    .where(runs.c.id.in_(bindparam("run_ids", expanding=True)), IS_RUNNING)
    .order_by(runs.c.id)
    .with_for_update()
)
_FINISH = (
    update(runs)
    .where(runs.c.id == bindparam("run_id"), IS_RUNNING)
    .values({name: bindparam(f"new_{name}") for name in (
        "state", "started_at", "finished_at", "lateness_ms", "duration_ms",
        "error_type", "error_message", "error_traceback", "result", "reason",
    )})
)  # fmt: skip
_IN_STATUS = (
    select(jobs.c.id)
    .where(jobs.c.id.in_(bindparam("job_ids", expanding=True)), jobs.c.status == bindparam("status"))
    .order_by(jobs.c.id)
    .with_for_update()
)
_SET_STATUS = (
    update(jobs).where(jobs.c.id.in_(bindparam("job_ids", expanding=True))).values(status=bindparam("new_status"))
)
# A claim says that the run starts; here is when it did, which for a run that waited for a thread is later.
_STARTED = (
    update(jobs)
    .where(
        jobs.c.id == bindparam("job_id"),
        or_(jobs.c.last_run_at.is_(None), jobs.c.last_run_at < bindparam("started_at")),
    )
    .values(last_run_at=bindparam("started_at"))
)
# It did not start after all: the run that did is looked for, as another may have started since the claim.
_NOT_STARTED = (
    update(jobs)
    .where(jobs.c.id.in_(bindparam("job_ids", expanding=True)))
    .values(last_run_at=select(func.max(runs.c.started_at)).where(runs.c.job_id == jobs.c.id).scalar_subquery())
)
# Nor does it count for `max_runs`. A job that this run's claim completed as its last one stays completed all the same:
# nothing would wake it here, and its slot has a row that says why there was no run. An edit takes it up again.
_NOT_COUNTED = (
    update(jobs).where(jobs.c.id == bindparam("job_id"), jobs.c.run_count > 0).values(run_count=jobs.c.run_count - 1)
)
_JOBS_OF_RUNNING = select(runs.c.job_id).where(IS_RUNNING)
_FAIL_JOBS_OF_RUNNING = (
    update(jobs)
    .where(jobs.c.id.in_(_JOBS_OF_RUNNING), jobs.c.status == JobStatus.ACTIVE)
    .values(status=JobStatus.FAILED)
)
_LOSE_RUNNING = (
    update(runs)
    .where(IS_RUNNING)
    .values(state=RunState.LOST, finished_at=bindparam("at"), reason=bindparam("why"), duration_ms=None)
)


def finish_runs(connection: Connection, outcomes: Sequence[Outcome]) -> set[UUID]:
    """Record the ends of those runs that are still running; returns the ids of the others."""
    run_ids = {outcome.run_id for outcome in outcomes}
    running = dict(connection.execute(_STILL_RUNNING, {"run_ids": list(run_ids)}).all())
    applied = sorted((outcome for outcome in outcomes if outcome.run_id in running), key=lambda each: each.job_id)
    if applied:
        connection.execute(_FINISH, [_finish(outcome) for outcome in applied])
        log_rows.insert_logs(connection, [(outcome.run_id, outcome.log) for outcome in applied])
        _tell_jobs(connection, applied)
        _tell_jobs_of_starts(connection, applied)
        _take_back_starts(connection, [outcome for outcome in applied if outcome.undoes_claim], running)
    return run_ids - running.keys()


def lose_running_runs(connection: Connection, finished_at: datetime, reason: str) -> int:
    """End every running run as lost, and its job as failed; returns how many there were."""
    connection.execute(_FAIL_JOBS_OF_RUNNING)
    return connection.execute(_LOSE_RUNNING, {"at": finished_at, "why": reason}).rowcount


def _tell_jobs(connection: Connection, applied: Sequence[Outcome]) -> None:
    """Let the last outcome that says anything decide on each job, as if they were recorded one by one."""
    last = {each.job_id: each.state for each in applied if each.state in BAD_ENDS or each.state is RunState.SUCCEEDED}
    failed = [job_id for job_id, state in last.items() if state in BAD_ENDS]
    succeeded = [job_id for job_id, state in last.items() if state not in BAD_ENDS]
    _change_status(connection, failed, old=JobStatus.ACTIVE, new=JobStatus.FAILED)
    _change_status(connection, succeeded, old=JobStatus.FAILED, new=JobStatus.ACTIVE)


def _change_status(connection: Connection, job_ids: Sequence[UUID], *, old: JobStatus, new: JobStatus) -> None:
    # Nearly always there is nothing to change, and a read is all it costs.
    changing = job_ids and list(connection.execute(_IN_STATUS, {"job_ids": job_ids, "status": old}).scalars())
    if changing:
        connection.execute(_SET_STATUS, {"job_ids": changing, "new_status": new})


def _tell_jobs_of_starts(connection: Connection, applied: Sequence[Outcome]) -> None:
    starts = [{"job_id": each.job_id, "started_at": each.started_at} for each in applied if each.started_at is not None]
    if starts:
        connection.execute(_STARTED, starts)


def _take_back_starts(connection: Connection, undone: Sequence[Outcome], triggers: Mapping[UUID, Trigger]) -> None:
    if undone:
        connection.execute(_NOT_STARTED, {"job_ids": [each.job_id for each in undone]})
    # One entry a run, not a job: a batch may take back several of the same job.
    counted = {each.run_id: each.job_id for each in undone if triggers[each.run_id] is Trigger.SCHEDULE}
    if counted:
        connection.execute(_NOT_COUNTED, [{"job_id": job_id} for job_id in counted.values()])


def _finish(outcome: Outcome) -> dict[str, Any]:
    error = outcome.error
    return {
        "run_id": outcome.run_id,
        "new_state": outcome.state,
        "new_started_at": outcome.started_at,
        "new_finished_at": outcome.finished_at,
        "new_lateness_ms": outcome.lateness_ms,
        "new_duration_ms": outcome.duration_ms,
        "new_error_type": error and error.type,
        "new_error_message": error and error.message,
        "new_error_traceback": error and error.traceback,
        "new_result": outcome.result_json,
        "new_reason": outcome.reason,
    }
