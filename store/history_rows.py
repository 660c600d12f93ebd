"""The history as rows: what is on record around an instant, and what is old enough to go. Inside a transaction.

No question here is answered by looking at all runs: there may be ten million.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
)

from engine.limits import MAX_RUNS_EXPLAINED, MAX_SLOTS_BEFORE
from engine.nouns import WAITING_STATES, RunState
from engine.past import Around, CrowdedJob, Entry, Position
from store.run_rows import run_of
from store.tables import IS_OF_A_SLOT, IS_RUNNING, IS_WAITING, nodes, pauses, run_logs, runs

_OF_JOB = runs.c.job_id == bindparam("job_id")
_WITHIN = (
    select(runs)
    .where(_OF_JOB, runs.c.scheduled_for >= bindparam("first"), runs.c.scheduled_for < bindparam("end"))
    .order_by(runs.c.scheduled_for, runs.c.id)
    .limit(MAX_RUNS_EXPLAINED)
)
_SLOTS = select(runs).where(_OF_JOB, IS_OF_A_SLOT)
_BEFORE = (
    _SLOTS.where(runs.c.scheduled_for < bindparam("first"))
    .order_by(runs.c.scheduled_for.desc())
    .limit(MAX_SLOTS_BEFORE)
)
_AFTER = _SLOTS.where(runs.c.scheduled_for >= bindparam("end")).order_by(runs.c.scheduled_for).limit(1)
_ENTRIES = select(runs.c.id, runs.c.scheduled_for, runs.c.state, runs.c.finished_at, runs.c.is_stuck)
_IS_OVER = and_(not_(IS_RUNNING), not_(IS_WAITING), or_(runs.c.is_stuck.is_(None), not_(runs.c.is_stuck)))
_FORGET = delete(runs).where(runs.c.id.in_(bindparam("run_ids", expanding=True)), _IS_OVER).returning(runs.c.id)
_FORGET_LOGS = delete(run_logs).where(run_logs.c.run_id.in_(bindparam("run_ids", expanding=True)))
_OLD_PAUSES = select(pauses.c.id).where(pauses.c.ended_at < bindparam("before")).limit(bindparam("limit"))
_FORGET_PAUSES = delete(pauses).where(pauses.c.id.in_(_OLD_PAUSES))
_NEWEST_NODES = select(nodes.c.id).order_by(nodes.c.seen_at.desc(), nodes.c.id).limit(bindparam("keep"))
_OLD_NODES = (
    select(nodes.c.id)
    .where(nodes.c.seen_at < bindparam("before"), nodes.c.id.not_in(_NEWEST_NODES))
    .limit(bindparam("limit"))
)
_FORGET_NODES = delete(nodes).where(nodes.c.id.in_(_OLD_NODES))


def find_around(connection: Connection, job_id: UUID, first: datetime, end: datetime) -> Around:
    """The runs of a job from `first` on and before `end`, and the nearest slots beside them."""
    parameters = {"job_id": job_id, "first": first, "end": end}
    within, before, after = (
        tuple(run_of(row) for row in connection.execute(statement, parameters))
        for statement in (_WITHIN, _BEFORE, _AFTER)
    )
    return Around(within, before, after)


def page_of_history(
    connection: Connection, *, job_id: UUID | None, until: Position, after: Position | None, limit: int
) -> list[Entry]:
    """Runs of a job, or of all, oldest first, from the one after `after` to `until`, which may be one."""
    position = tuple_(runs.c.scheduled_for, runs.c.id)
    page: Select[Any] = _ENTRIES.where(position <= until).order_by(runs.c.scheduled_for, runs.c.id).limit(limit)
    if job_id is not None:
        page = page.where(runs.c.job_id == job_id)
    if after is not None:
        page = page.where(position > after)
    return [
        Entry(row.id, row.scheduled_for, row.state, row.finished_at, row.state in _GOING or bool(row.is_stuck))
        for row in connection.execute(page)
    ]


_GOING = WAITING_STATES | {RunState.RUNNING}


def forget_runs(connection: Connection, run_ids: Collection[UUID]) -> int:
    """Delete those of the runs that are over, with what they printed; returns how many that were."""
    if not run_ids:
        return 0
    forgotten = list(connection.execute(_FORGET, {"run_ids": list(run_ids)}).scalars())
    if forgotten:
        connection.execute(_FORGET_LOGS, {"run_ids": forgotten})
    return len(forgotten)


def forget_pauses(connection: Connection, before: datetime, limit: int) -> int:
    return connection.execute(_FORGET_PAUSES, {"before": before, "limit": limit}).rowcount


def forget_nodes(connection: Connection, before: datetime, *, keep: int, limit: int) -> int:
    return connection.execute(_FORGET_NODES, {"before": before, "keep": keep, "limit": limit}).rowcount


def crowded_jobs(
    connection: Connection, *, newest: int, after: UUID | None, limit: int
) -> tuple[list[CrowdedJob], UUID | None]:
    """Of the next `limit` jobs after `after`, those with more than `newest` runs; and the last that was looked at.

    None in its place: there are no more. From job to job, and within each to the run beyond, by the index alone.
    """
    rows = connection.execute(_crowded(newest, after or _FIRST_ID, limit)).all()
    found = [CrowdedJob(row.job_id, (row.scheduled_for, row.run_id)) for row in rows if row.run_id is not None]
    return found, rows[-1].job_id if len(rows) == limit else None


_FIRST_ID = UUID(int=0)


def _crowded(newest: int, after: UUID, limit: int) -> Select[Any]:
    """A loose scan of the index of jobs and slots: neither database has one of its own."""
    other, of_job, beyond = runs.alias(), runs.alias(), runs.alias()
    first_id = select(other.c.job_id).where(other.c.job_id > after).order_by(other.c.job_id).limit(1)
    looked_at = select(first_id.scalar_subquery().label("job_id"), literal_column("1").label("number")).cte(
        "looked_at", recursive=True
    )
    next_id = select(other.c.job_id).where(other.c.job_id > looked_at.c.job_id).order_by(other.c.job_id).limit(1)
    looked_at = looked_at.union_all(
        select(next_id.scalar_subquery(), looked_at.c.number + 1).where(
            looked_at.c.job_id.is_not(None), looked_at.c.number < limit
        )
    )
    surplus = (
        select(of_job.c.id)
        .where(of_job.c.job_id == looked_at.c.job_id)
        .order_by(of_job.c.scheduled_for.desc(), of_job.c.id.desc())
        .limit(1)
        .offset(newest)
        .scalar_subquery()
    )
    found = (
        select(looked_at.c.job_id, looked_at.c.number, surplus.label("run_id"))
        .where(looked_at.c.job_id.is_not(None))
        # It bounds nothing; without it SQLite would put the count into the join, and there count twice.
        .limit(limit)
        .subquery()
    )
    return (
        select(found.c.job_id, found.c.run_id, beyond.c.scheduled_for)
        .select_from(found.outerjoin(beyond, beyond.c.id == found.c.run_id))
        .order_by(found.c.number)
    )
