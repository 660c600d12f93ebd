"""Undoing claims whose slot has not come yet. Inside the caller's transaction."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, case, delete, select, update

from engine.nouns import Assignment, JobStatus
from store.outcomes import lock_jobs
from store.tables import IS_RUNNING, jobs, runs

# A job that the claim had completed is what it was before; what a run has made of it since stays.
_MOVE_BACK = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"), jobs.c.version == bindparam("claimed_version"))
    .values(
        version=jobs.c.version + 1,
        status=case(
            (jobs.c.status == JobStatus.COMPLETED, bindparam("old_status", type_=jobs.c.status.type)),
            else_=jobs.c.status,
        ),
        next_run_at=bindparam("slot"),
        last_scheduled_for=bindparam("old_last_scheduled_for"),
        last_run_at=case(
            (
                jobs.c.last_run_at == bindparam("slot", type_=jobs.c.last_run_at.type),
                bindparam("old_last_run_at", type_=jobs.c.last_run_at.type),
            ),
            else_=jobs.c.last_run_at,
        ),
        run_count=jobs.c.run_count - 1,
    )
)
_IS_CLAIMED = (runs.c.id == bindparam("run_id"), runs.c.claim_id == bindparam("claim"), IS_RUNNING)
_FIND_CLAIM = select(runs.c.id).where(*_IS_CLAIMED).with_for_update()
_DELETE_CLAIM = delete(runs).where(*_IS_CLAIMED)


def take_back_claims(connection: Connection, claims: Sequence[tuple[Assignment, int]]) -> set[UUID]:
    """Undo those of the claims that nothing has come after; returns the ids of their runs."""
    lock_jobs(connection, {assignment.job.id for assignment, _ in claims})
    in_order = sorted(claims, key=lambda claim: claim[0].job.id)
    return {assignment.run.id for assignment, version in in_order if _take_back(connection, assignment, version)}


def _take_back(connection: Connection, assignment: Assignment, version: int) -> bool:
    run = assignment.run
    this_claim = {"run_id": run.id, "claim": run.claim_id}
    if connection.execute(_FIND_CLAIM, this_claim).first() is None:
        return False
    is_moved_back = connection.execute(_MOVE_BACK, _as_before(assignment, version)).rowcount == 1
    if is_moved_back:
        connection.execute(_DELETE_CLAIM, this_claim)
    return is_moved_back


def _as_before(assignment: Assignment, version: int) -> dict[str, Any]:
    job = assignment.job
    return {
        "job_id": job.id,
        "claimed_version": version,
        "slot": assignment.run.scheduled_for,
        "old_status": job.status,
        "old_last_scheduled_for": job.last_scheduled_for,
        "old_last_run_at": job.last_run_at,
    }
