"""Backfills as rows: kept with their runs, cancelled, counted; which runs are next. Inside a transaction."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, Select, bindparam, exists, func, insert, literal_column, or_, select, union, update

from engine.backfills import Backfill, BackfillEnding, BackfillProgress, BackfillState
from engine.errors import BackfillIsOver, BackfillNotFound, JobNotFound, TooManyBackfills
from engine.limits import MAX_BACKFILL_CONCURRENCY, MAX_UNFINISHED_BACKFILLS
from engine.nouns import Run, RunState
from store.claims import ask_to_end, end_waiting
from store.columns import AnyRow
from store.run_rows import insert_runs, run_of
from store.tables import IS_RUNNING, IS_WAITING, backfills, jobs, runs

HINT_COLUMNS = (
    runs.c.id,
    runs.c.job_id,
    runs.c.due_at,
    runs.c.scheduled_for,
    runs.c.function_name,
    runs.c.backfill_id,
    jobs.c.priority,
)
"""What a hint of a waiting run is made of."""

# The call hides the column from SQLite, which would search what is queued of all backfills for that of a few.
_IS_QUEUED = func.coalesce(runs.c.state, None) == RunState.QUEUED
# A run between two attempts keeps its place: otherwise its next attempt would be one run more than there may be.
_TAKES_A_PLACE = or_(IS_RUNNING, runs.c.is_stuck, runs.c.state == literal_column("'retrying'"))
_OF_THESE = runs.c.backfill_id.in_(bindparam("backfill_ids", expanding=True))
_OF_THIS = runs.c.backfill_id == bindparam("backfill_id")
_GOING = select(runs.c.backfill_id, func.count().label("going")).where(_OF_THESE, _TAKES_A_PLACE)
_GOING = _GOING.group_by(runs.c.backfill_id)
_CONCURRENCY = select(backfills.c.id, backfills.c.concurrency).where(
    backfills.c.id.in_(bindparam("backfill_ids", expanding=True))
)


def _next_in_line() -> Select[tuple[object, ...]]:
    place = func.row_number().over(partition_by=runs.c.backfill_id, order_by=(runs.c.scheduled_for, runs.c.id))
    line = select(runs.c.id, place.label("place")).where(_OF_THESE, _IS_QUEUED).subquery("line")
    going = _GOING.subquery("loads")
    return (
        select(*HINT_COLUMNS)
        .join(line, line.c.id == runs.c.id)
        .join(jobs, jobs.c.id == runs.c.job_id)
        .join(backfills, backfills.c.id == runs.c.backfill_id)
        .outerjoin(going, going.c.backfill_id == runs.c.backfill_id)
        # The first condition only spares the look-up of a thousand rows for the few that the second one leaves.
        .where(
            line.c.place <= MAX_BACKFILL_CONCURRENCY,
            line.c.place <= backfills.c.concurrency - func.coalesce(going.c.going, 0),
        )
        .order_by(runs.c.scheduled_for, runs.c.id)
    )


_NEXT_IN_LINE = _next_in_line()
_WAITING_BACKFILLS = select(runs.c.backfill_id).where(IS_WAITING, runs.c.backfill_id.is_not(None)).distinct()
_WAITING_OF_JOB = _WAITING_BACKFILLS.where(runs.c.job_id == bindparam("job_id"))
_WAITING_FOR_KEYS = _WAITING_BACKFILLS.where(runs.c.concurrency_key.in_(bindparam("keys", expanding=True)))
_LOCK_JOB = select(jobs.c.id).where(jobs.c.id == bindparam("job_id")).with_for_update()
_OF_JOB = (runs.c.job_id == bindparam("job_id"), runs.c.backfill_id.is_not(None))
# Two questions, each with an index of its own: together they would search the history of the job.
_UNFINISHED_OF_JOB = union(
    select(runs.c.backfill_id).where(*_OF_JOB, IS_RUNNING), select(runs.c.backfill_id).where(*_OF_JOB, IS_WAITING)
)
_BY_ID = select(backfills).where(backfills.c.id == bindparam("backfill_id"))
_NEWEST_OF_JOB = (
    select(backfills)
    .where(backfills.c.job_id == bindparam("job_id"))
    .order_by(backfills.c.created_at.desc(), backfills.c.id.desc())
    .limit(bindparam("limit"))
)
_STATES = select(runs.c.backfill_id, runs.c.state, func.count()).where(_OF_THESE)
_STATES = _STATES.group_by(runs.c.backfill_id, runs.c.state)
_WAITING_IDS = select(runs.c.id).where(_OF_THIS, IS_WAITING)
# In the order in which whoever records outcomes locks them.
_RUNNING_IDS = select(runs.c.id).where(_OF_THIS, IS_RUNNING).order_by(runs.c.id).with_for_update()
_CANCEL = update(backfills).where(backfills.c.id == bindparam("backfill")).values(cancelled_at=bindparam("at"))
_CANCEL_WAITING = (
    update(backfills)
    .where(
        backfills.c.cancelled_at.is_(None),
        exists().where(runs.c.backfill_id == backfills.c.id, IS_WAITING),
    )
    .values(cancelled_at=bindparam("at"))
)
_NEWEST_SLOT_FIRST = (
    select(runs).where(_OF_THIS).order_by(runs.c.scheduled_for.desc(), runs.c.id.desc()).limit(bindparam("limit"))
)


def add_backfill(connection: Connection, backfill: Backfill, queued: Sequence[Run]) -> None:
    """Keep the backfill and its runs. Raises JobNotFound and TooManyBackfills."""
    # Held to the end: the job is not deleted meanwhile, and no other backfill of it is counted beside this one.
    if connection.execute(_LOCK_JOB, {"job_id": backfill.job_id}).first() is None:
        raise JobNotFound
    unfinished = connection.execute(_UNFINISHED_OF_JOB, {"job_id": backfill.job_id}).all()
    if len(unfinished) >= MAX_UNFINISHED_BACKFILLS:
        raise TooManyBackfills(MAX_UNFINISHED_BACKFILLS)
    connection.execute(insert(backfills), _row_of(backfill))
    insert_runs(connection, queued)


def cancel_backfill(
    connection: Connection, backfill_id: UUID, *, at: datetime, why: str
) -> tuple[BackfillEnding, BackfillProgress]:
    """End what waits and ask what is running to end. Raises BackfillNotFound and BackfillIsOver."""
    row = connection.execute(_BY_ID.with_for_update(), {"backfill_id": backfill_id}).first()
    if row is None:
        raise BackfillNotFound
    [before] = _progresses(connection, [row])
    if before.state is not BackfillState.RUNNING:
        raise BackfillIsOver(backfill_id, before.state)
    connection.execute(_CANCEL, {"backfill": backfill_id, "at": at})
    # First what waits: what starts at this moment is running by the time of the second question.
    cancelled = _end_waiting(connection, backfill_id, at=at, why=why)
    going = connection.execute(_RUNNING_IDS, {"backfill_id": backfill_id}).scalars().all()
    ask_to_end(connection, going, why=why)
    # Once more: before its row was locked, an attempt may have ended, and its run wait for another one.
    cancelled += _end_waiting(connection, backfill_id, at=at, why=why)
    progress = find_backfill(connection, backfill_id)
    assert progress is not None  # noqa: S101 - its row is locked
    return BackfillEnding(cancelled, tuple(going)), progress


def cancel_backfills_of_deleted(connection: Connection, job_id: UUID | None, *, at: datetime) -> None:
    """Those with runs that wait, and are about to be ended with their job; None stands for all jobs."""
    statement = _CANCEL_WAITING if job_id is None else _CANCEL_WAITING.where(backfills.c.job_id == job_id)
    connection.execute(statement, {"at": at})


def find_backfill(connection: Connection, backfill_id: UUID) -> BackfillProgress | None:
    rows = connection.execute(_BY_ID, {"backfill_id": backfill_id}).all()
    return next(iter(_progresses(connection, rows)), None)


def backfills_of_job(connection: Connection, job_id: UUID, limit: int) -> list[BackfillProgress]:
    """The newest first."""
    return _progresses(connection, connection.execute(_NEWEST_OF_JOB, {"job_id": job_id, "limit": limit}).all())


def runs_of_backfill(connection: Connection, backfill_id: UUID, limit: int) -> list[Run]:
    """The latest slot first."""
    parameters = {"backfill_id": backfill_id, "limit": limit}
    return [run_of(row) for row in connection.execute(_NEWEST_SLOT_FIRST, parameters)]


def loads_of_backfills(connection: Connection, backfill_ids: Collection[UUID]) -> dict[UUID, tuple[int, int]]:
    """How many places of each backfill are taken, and how many there are."""
    if not backfill_ids:
        return {}
    parameters = {"backfill_ids": list(backfill_ids)}
    going: Counter[UUID] = Counter(dict(connection.execute(_GOING, parameters).all()))
    return {each: (going[each], concurrency) for each, concurrency in connection.execute(_CONCURRENCY, parameters)}


def next_in_line(connection: Connection, backfill_ids: Collection[UUID]) -> Iterable[AnyRow]:
    """Of each backfill as many queued runs as it has room for, in the order of their slots, as HINT_COLUMNS.

    Only these are worth a look: each look costs a permit and a claim.
    """
    return connection.execute(_NEXT_IN_LINE, {"backfill_ids": list(backfill_ids)}).all() if backfill_ids else ()


def waiting_backfill_ids(connection: Connection) -> list[UUID]:
    """The backfills of which a run waits."""
    return list(connection.execute(_WAITING_BACKFILLS).scalars())


def waiting_backfill_ids_of(connection: Connection, job_id: UUID) -> list[UUID]:
    """The same of one job."""
    return list(connection.execute(_WAITING_OF_JOB, {"job_id": job_id}).scalars())


def waiting_backfill_ids_for(connection: Connection, keys: Collection[str]) -> list[UUID]:
    """The backfills of which a run waits that needs one of these concurrency keys."""
    return list(connection.execute(_WAITING_FOR_KEYS, {"keys": list(keys)}).scalars()) if keys else []


def _end_waiting(connection: Connection, backfill_id: UUID, *, at: datetime, why: str) -> int:
    waiting = connection.execute(_WAITING_IDS, {"backfill_id": backfill_id}).scalars().all()
    return end_waiting(connection, waiting, RunState.CANCELLED, at=at, why=why)


def _progresses(connection: Connection, rows: Sequence[AnyRow]) -> list[BackfillProgress]:
    counts: dict[UUID, dict[RunState, int]] = {row.id: {} for row in rows}
    if rows:
        for backfill_id, state, count in connection.execute(_STATES, {"backfill_ids": list(counts)}):
            counts[backfill_id][state] = count
    return [BackfillProgress(_backfill_of(row), counts[row.id]) for row in rows]


def _backfill_of(row: AnyRow) -> Backfill:
    return Backfill(
        id=row.id,
        job_id=row.job_id,
        from_at=row.from_at,
        to_at=row.to_at,
        slot_count=row.slot_count,
        concurrency=row.concurrency,
        created_at=row.created_at,
        cancelled_at=row.cancelled_at,
    )


def _row_of(backfill: Backfill) -> dict[str, object]:
    return {
        "id": backfill.id,
        "job_id": backfill.job_id,
        "from_at": backfill.from_at,
        "to_at": backfill.to_at,
        "slot_count": backfill.slot_count,
        "concurrency": backfill.concurrency,
        "created_at": backfill.created_at,
        "cancelled_at": backfill.cancelled_at,
    }
