"""Runs as rows: reading, writing, listing. Every function works inside the caller's transaction."""

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, bindparam, exists, func, insert, select, tuple_

from engine.nouns import Run, RunError, RunState
from store.tables import IS_RUNNING, runs

_INSERT = insert(runs)
_BY_ID = select(runs).where(runs.c.id == bindparam("run_id"))
_RUNNING_IDS = select(runs.c.id).where(runs.c.id.in_(bindparam("run_ids", expanding=True)), IS_RUNNING)
_RUNNING_OF_JOBS = select(runs.c.job_id, runs.c.id).where(
    runs.c.job_id.in_(bindparam("job_ids", expanding=True)), IS_RUNNING
)
_HAS_RUNS = select(exists().where(runs.c.job_id == bindparam("job_id")))
_NEWEST_FIRST = select(runs).order_by(runs.c.scheduled_for.desc(), runs.c.id.desc())


def insert_runs(connection: Connection, new: Iterable[Run | None]) -> None:
    """Keep the runs, in one statement; None stands for no run."""
    rows = [_row_of(run) for run in new if run is not None]
    if rows:
        connection.execute(_INSERT, rows)


def find_run(connection: Connection, run_id: UUID) -> Run | None:
    row = connection.execute(_BY_ID, {"run_id": run_id}).first()
    return None if row is None else _run_of(row)


def running_among(connection: Connection, run_ids: Collection[UUID]) -> set[UUID]:
    return set(connection.execute(_RUNNING_IDS, {"run_ids": list(run_ids)}).scalars())


def running_by_job(connection: Connection, job_ids: Sequence[UUID], ended: Collection[UUID]) -> dict[UUID, UUID]:
    """A run that is running for each of the jobs that has one. Those in `ended` only wait for their outcome's row."""
    if not job_ids:
        return {}
    rows = connection.execute(_RUNNING_OF_JOBS, {"job_ids": job_ids})
    return {job_id: run_id for job_id, run_id in rows if run_id not in ended}


def has_runs(connection: Connection, job_id: UUID) -> bool:
    return bool(connection.execute(_HAS_RUNS, {"job_id": job_id}).scalar())


def page_of_runs(
    connection: Connection,
    *,
    job_id: UUID | None,
    state: RunState | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Run]:
    """Newest first; each filter has an index that ends in the order of the page.

    With both, the job's index is the better one, as its history is bounded by the job; SQLite, which keeps no figures,
    would take the state's, and search a million successes for those of one job. A call hides the column from it.
    """
    page: Select[Any] = _NEWEST_FIRST.limit(limit)
    if job_id is not None:
        page = page.where(runs.c.job_id == job_id)
    if state is not None:
        page = page.where((runs.c.state if job_id is None else func.coalesce(runs.c.state, None)) == state)
    if before is not None:
        page = page.where(tuple_(runs.c.scheduled_for, runs.c.id) < before)
    return [_run_of(row) for row in connection.execute(page)]


def _row_of(run: Run) -> dict[str, Any]:
    error = run.error
    return {
        "id": run.id,
        "job_id": run.job_id,
        "function_name": run.function_name,
        "trigger": run.trigger,
        "scheduled_for": run.scheduled_for,
        "last_scheduled_for": run.last_scheduled_for,
        "slot_count": run.slot_count,
        "state": run.state,
        "attempt": run.attempt,
        "node": run.node,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "lateness_ms": run.lateness_ms,
        "duration_ms": run.duration_ms,
        "error_type": error and error.type,
        "error_message": error and error.message,
        "error_traceback": error and error.traceback,
        "result": None if run.result is None else json.dumps(run.result),
        "reason": run.reason,
    }


def _run_of(row: Row[Any]) -> Run:
    has_error = row.error_type is not None
    return Run(
        id=row.id,
        job_id=row.job_id,
        function_name=row.function_name,
        trigger=row.trigger,
        scheduled_for=row.scheduled_for,
        last_scheduled_for=row.last_scheduled_for,
        slot_count=row.slot_count,
        state=row.state,
        attempt=row.attempt,
        node=row.node,
        started_at=row.started_at,
        finished_at=row.finished_at,
        lateness_ms=row.lateness_ms,
        duration_ms=row.duration_ms,
        error=RunError(row.error_type, row.error_message, row.error_traceback) if has_error else None,
        result=None if row.result is None else json.loads(row.result),
        reason=row.reason,
    )
