"""Pauses as rows: the history of those of jobs, and those of everything. Inside the caller's transaction."""

from datetime import datetime
from uuid import uuid4

from sqlalchemy import Connection, bindparam, insert, select, update

from engine.nouns import EndedPause, Pause
from store.tables import pauses

_COLUMNS = (pauses.c.paused_at, pauses.c.until, pauses.c.by, pauses.c.note, pauses.c.reason)
_IN_FORCE = pauses.c.job_id.is_(None) & pauses.c.ended_at.is_(None)
_GLOBAL = select(*_COLUMNS).where(_IN_FORCE).order_by(pauses.c.paused_at.desc())
_END_GLOBAL = update(pauses).where(_IN_FORCE).values(ended_at=bindparam("at"))


def find_global_pause(connection: Connection) -> Pause | None:
    row = connection.execute(_GLOBAL).first()
    return None if row is None else Pause(*row)


def begin_global_pause(connection: Connection, pause: Pause) -> None:
    connection.execute(_END_GLOBAL, {"at": pause.at})
    connection.execute(insert(pauses), {"id": uuid4(), "job_id": None, "ended_at": None} | _values(pause))


def end_global_pause(connection: Connection, at: datetime) -> None:
    connection.execute(_END_GLOBAL, {"at": at})


def insert_ended_pause(connection: Connection, ended: EndedPause | None) -> None:
    """Keep a pause of a job that is over; None stands for no pause."""
    if ended is not None:
        row = {"id": uuid4(), "job_id": ended.job_id, "ended_at": ended.ended_at} | _values(ended.pause)
        connection.execute(insert(pauses), row)


def _values(pause: Pause) -> dict[str, object]:
    return {
        "paused_at": pause.at,
        "until": pause.until,
        "by": pause.by,
        "note": pause.note,
        "reason": pause.reason,
    }
