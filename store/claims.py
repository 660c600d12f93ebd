"""Claims: a job moves on to its next slot and the run of the slot it leaves appears, together (law 3)."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, bindparam, select, update

from engine.errors import JobNotFound
from engine.nouns import Advance, JobStatus, Run, RunState
from store.run_rows import insert_runs, running_by_job
from store.tables import IS_SCHEDULED, jobs

_MOVABLE = (
    select(jobs.c.id, jobs.c.version, jobs.c.status, jobs.c.last_run_at, jobs.c.run_count, jobs.c.max_runs)
    .where(jobs.c.id.in_(bindparam("job_ids", expanding=True)), IS_SCHEDULED)
    # A job that another node is claiming is left to it. SQLite leaves this out: there the write lock is held already.
    .with_for_update(skip_locked=True)
)
_MOVE = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"), jobs.c.version == bindparam("expected_version"))  # law 1
    .values(
        version=jobs.c.version + 1,
        status=bindparam("new_status"),
        next_run_at=bindparam("new_next_run_at"),
        last_run_at=bindparam("new_last_run_at"),
        last_scheduled_for=bindparam("new_last_scheduled_for"),
        run_count=bindparam("new_run_count"),
    )
)
_LOCK = select(jobs.c.id).where(jobs.c.id == bindparam("job_id")).with_for_update()
_STARTED = update(jobs).where(jobs.c.id == bindparam("job_id")).values(last_run_at=bindparam("started_at"))

_Stored = Row[UUID, int, JobStatus, datetime | None, int, int | None]


def advance_jobs(
    connection: Connection, advances: Sequence[Advance], ended: Collection[UUID]
) -> dict[UUID, Run | None]:
    """Apply the advances whose job is still at its version; returns what was recorded for each of those."""
    asked = {advance.job_id: advance for advance in advances}
    stored = {row.id: row for row in connection.execute(_MOVABLE, {"job_ids": list(asked)})}
    moves = [asked[job_id] for job_id, row in stored.items() if row.version == asked[job_id].expected_version]
    if not moves:
        return {}
    claimed = [advance.job_id for advance in moves if advance.run and advance.run.state is RunState.RUNNING]
    in_the_way = running_by_job(connection, claimed, ended)
    recorded = {advance.job_id: _decided(advance.run, in_the_way.get(advance.job_id)) for advance in moves}
    connection.execute(_MOVE, [_move(advance, stored[advance.job_id], recorded[advance.job_id]) for advance in moves])
    insert_runs(connection, [*recorded.values(), *(advance.missed for advance in moves)])
    return recorded


def add_manual_run(connection: Connection, run: Run, ended: Collection[UUID]) -> UUID | None:
    """Keep a manual run unless a run of the job is in the way, which is returned; raises JobNotFound."""
    if connection.execute(_LOCK, {"job_id": run.job_id}).first() is None:
        raise JobNotFound
    in_the_way = running_by_job(connection, [run.job_id], ended).get(run.job_id)
    if in_the_way is None:
        insert_runs(connection, [run])
        if run.started_at is not None:
            connection.execute(_STARTED, {"job_id": run.job_id, "started_at": run.started_at})
    return in_the_way


def _decided(run: Run | None, in_the_way: UUID | None) -> Run | None:
    if run is None or in_the_way is None:
        return run
    return run.skipped(f"run {in_the_way} of this job is still running", at=run.started_at or run.scheduled_for)


def _move(advance: Advance, stored: _Stored, recorded: Run | None) -> dict[str, Any]:
    is_started = recorded is not None and recorded.state is RunState.RUNNING
    run_count = stored.run_count + is_started
    # The row decides and not the engine, which may have made its plan while a start was taken back (store.outcomes).
    is_last = is_started and stored.max_runs is not None and run_count >= stored.max_runs
    next_run_at = None if is_last else advance.next_run_at
    return {
        "job_id": advance.job_id,
        "expected_version": advance.expected_version,
        "new_status": JobStatus.COMPLETED if next_run_at is None else stored.status,
        "new_next_run_at": next_run_at,
        "new_last_run_at": recorded.started_at if recorded is not None and is_started else stored.last_run_at,
        "new_last_scheduled_for": advance.last_scheduled_for,
        "new_run_count": run_count,
    }
