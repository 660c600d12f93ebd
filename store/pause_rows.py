"""Pauses as rows: the history of those of jobs, and those of everything. Inside the caller's transaction."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Connection, bindparam, insert, or_, select, text, update

from engine.limits import MAX_PAUSES_READ
from engine.nouns import EndedPause, Pause
from engine.past import KeptPause
from store.tables import jobs, pauses

PAUSES_PER_INSERT = 1_000
"""Pauses written in one statement when all jobs are deleted."""

_COLUMNS = (pauses.c.paused_at, pauses.c.until, pauses.c.by, pauses.c.note, pauses.c.reason)
_IN_FORCE = pauses.c.job_id.is_(None) & pauses.c.ended_at.is_(None)
_GLOBAL = select(*_COLUMNS).where(_IN_FORCE).order_by(pauses.c.paused_at.desc())
_OF_JOBS = select(
    jobs.c.id, jobs.c.paused_at, jobs.c.paused_until, jobs.c.paused_by, jobs.c.pause_note, jobs.c.pause_reason
).where(jobs.c.paused_at.is_not(None))
_COVERING = (
    select(pauses.c.job_id, pauses.c.ended_at, *_COLUMNS)
    .where(
        or_(pauses.c.job_id == bindparam("job_id"), pauses.c.job_id.is_(None)),
        pauses.c.paused_at <= bindparam("at"),
        or_(pauses.c.ended_at.is_(None), pauses.c.ended_at >= bindparam("at")),
    )
    .order_by(pauses.c.paused_at.desc())
    .limit(MAX_PAUSES_READ)
)
_ONE_AT_A_TIME = text("LOCK TABLE pauses IN SHARE ROW EXCLUSIVE MODE")
_END_GLOBAL = update(pauses).where(_IN_FORCE).values(ended_at=bindparam("at"))


def find_global_pause(connection: Connection) -> Pause | None:
    row = connection.execute(_GLOBAL).first()
    return None if row is None else Pause(*row)


def begin_global_pause(connection: Connection, pause: Pause) -> None:
    if connection.dialect.name == "postgresql":
        # Two that begin at once would not see each other's, and one of them stay in force behind the other.
        connection.execute(_ONE_AT_A_TIME)
    connection.execute(_END_GLOBAL, {"at": pause.at})
    connection.execute(insert(pauses), {"id": uuid4(), "job_id": None, "ended_at": None} | _values(pause))


def end_global_pause(connection: Connection, at: datetime, only: Pause | None) -> bool:
    """False if none is in force, or not this one."""
    statement = _END_GLOBAL
    if only is not None:
        statement = statement.where(pauses.c.paused_at == only.at, pauses.c.until.is_not_distinct_from(only.until))
    return connection.execute(statement, {"at": at}).rowcount > 0


def insert_ended_pause(connection: Connection, ended: EndedPause | None) -> None:
    """Keep a pause of a job that is over; None stands for no pause."""
    if ended is not None:
        row = {"id": uuid4(), "job_id": ended.job_id, "ended_at": ended.ended_at} | _values(ended.pause)
        connection.execute(insert(pauses), row)


def pause_to_keep(connection: Connection, job_id: UUID, *, at: datetime) -> EndedPause | None:
    """The pause that is in force of a job that is to be deleted."""
    row = connection.execute(_OF_JOBS.where(jobs.c.id == job_id)).first()
    return None if row is None else EndedPause(row[0], Pause(*row[1:]), at)


def keep_all_pauses(connection: Connection, *, at: datetime) -> None:
    """Keep those of all jobs, which are to be deleted."""
    for found in connection.execute(_OF_JOBS).partitions(PAUSES_PER_INSERT):
        ended = [EndedPause(row[0], Pause(*row[1:]), at) for row in found]
        rows = [{"id": uuid4(), "job_id": each.job_id, "ended_at": at} | _values(each.pause) for each in ended]
        connection.execute(insert(pauses), rows)


def find_pauses(connection: Connection, job_id: UUID, *, at: datetime) -> list[KeptPause]:
    """The pauses of the job, and those of everything, that were in force at the instant, both ends included."""
    parameters = {"job_id": job_id, "at": at}
    return [KeptPause(row[0], Pause(*row[2:]), row[1]) for row in connection.execute(_COVERING, parameters)]


def _values(pause: Pause) -> dict[str, object]:
    return {
        "paused_at": pause.at,
        "until": pause.until,
        "by": pause.by,
        "note": pause.note,
        "reason": pause.reason,
    }
