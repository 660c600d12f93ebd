"""Runs as rows: reading, writing, listing. Every function works inside the caller's transaction."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, bindparam, exists, func, insert, select, tuple_

from engine.nouns import Attempt, Run, RunError, RunState
from store.batches import BatchInsert
from store.tables import IS_RUNNING, runs

_INSERT = insert(runs)
_INSERT_CLAIMS = BatchInsert(
    runs,
    [runs.c[name] for name in (
        "id", "job_id", "function_name", "trigger", "scheduled_for", "slot_count", "state", "attempt", "node",
        "started_at", "lateness_ms", "concurrency_key", "claim_id",
    )],
)  # fmt: skip
_BY_ID = select(runs).where(runs.c.id == bindparam("run_id"))
_RUNNING_CLAIMS = select(runs.c.claim_id).where(
    runs.c.id.in_(bindparam("run_ids", expanding=True)),
    runs.c.claim_id.in_(bindparam("claim_ids", expanding=True)),
    IS_RUNNING,
)
_TO_END = select(runs.c.id, runs.c.cancel_reason).where(
    IS_RUNNING, runs.c.node == bindparam("node"), runs.c.cancel_reason.is_not(None)
)
_HAS_RUNS = select(exists().where(runs.c.job_id == bindparam("job_id")))
_NEWEST_FIRST = select(runs).order_by(runs.c.scheduled_for.desc(), runs.c.id.desc())


def insert_runs(connection: Connection, new: Iterable[Run | None]) -> None:
    """Keep the runs, in one statement; None stands for no run."""
    rows = [run for run in new if run is not None]
    fresh = [values for run in rows if (values := _fresh_claim(run)) is not None]
    _INSERT_CLAIMS.execute(connection, fresh)
    rows = [run for run in rows if _fresh_claim(run) is None] if len(fresh) < len(rows) else []
    if rows:
        connection.execute(_INSERT, [_row_of(run) for run in rows])


def _fresh_claim(run: Run) -> tuple[Any, ...] | None:
    """The values of a run that has just been claimed, which has no others; None if it has."""
    others = (run.last_scheduled_for, run.finished_at, run.duration_ms, run.error, run.result, run.reason, run.due_at)
    more = (run.cancel_reason, run.backfill_id, run.reason_code, run.is_stuck or None, run.earlier_attempts or None)
    if any(value is not None for value in (*others, *more)):
        return None
    return (
        run.id,
        run.job_id,
        run.function_name,
        run.trigger,
        run.scheduled_for,
        run.slot_count,
        run.state,
        run.attempt,
        run.node,
        run.started_at,
        run.lateness_ms,
        run.concurrency_key,
        run.claim_id,
    )


def find_run(connection: Connection, run_id: UUID) -> Run | None:
    row = connection.execute(_BY_ID, {"run_id": run_id}).first()
    return None if row is None else run_of(row)


def claims_on_record(connection: Connection, claims: Mapping[UUID, UUID]) -> set[UUID]:
    """Of the claims, by the ids of their runs, those by which a run is running."""
    parameters = {"run_ids": list(claims), "claim_ids": list(claims.values())}
    return set(connection.execute(_RUNNING_CLAIMS, parameters).scalars()) if claims else set()


def runs_to_end(connection: Connection, node: UUID) -> list[tuple[UUID, str]]:
    """The running runs of the node that are to end, each with the reason."""
    return [(row.id, row.cancel_reason) for row in connection.execute(_TO_END, {"node": node})]


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
    return [run_of(row) for row in connection.execute(page)]


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
        "earlier_attempts": attempts_as_json(run.earlier_attempts),
        "due_at": run.due_at,
        "cancel_reason": run.cancel_reason,
        "is_stuck": run.is_stuck or None,
        "concurrency_key": run.concurrency_key,
        "backfill_id": run.backfill_id,
        "reason_code": run.reason_code,
        "claim_id": run.claim_id,
    }


def run_of(row: Row[Any]) -> Run:
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
        earlier_attempts=tuple(map(_attempt_of, row.earlier_attempts or ())),
        due_at=row.due_at,
        cancel_reason=row.cancel_reason,
        is_stuck=bool(row.is_stuck),
        concurrency_key=row.concurrency_key,
        backfill_id=row.backfill_id,
        reason_code=row.reason_code,
        claim_id=row.claim_id,
    )


def attempts_as_json(attempts: Sequence[Attempt]) -> list[dict[str, Any]] | None:
    """Attempts as they stand in their run's row; none are no list."""
    return [_attempt_as_json(attempt) for attempt in attempts] or None


def _attempt_as_json(attempt: Attempt) -> dict[str, Any]:
    started_at = attempt.started_at
    return asdict(attempt) | {
        "started_at": None if started_at is None else started_at.isoformat(),
        "finished_at": attempt.finished_at.isoformat(),
    }


def _attempt_of(entry: dict[str, Any]) -> Attempt:
    started_at = entry["started_at"]
    times = {
        "state": RunState(entry["state"]),
        "started_at": None if started_at is None else datetime.fromisoformat(started_at),
        "finished_at": datetime.fromisoformat(entry["finished_at"]),
    }
    return Attempt(**(entry | times))
