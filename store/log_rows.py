"""The logs of runs as rows. Every function works inside the caller's transaction."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, insert, select

from engine.captured_log import CapturedLog, LogLine
from store.tables import run_logs

_INSERT = insert(run_logs)
_BY_RUN = select(run_logs.c.lines, run_logs.c.dropped).where(run_logs.c.run_id == bindparam("of_run"))


def insert_logs(connection: Connection, logs: Iterable[tuple[UUID, CapturedLog | None]]) -> None:
    """Keep the logs of runs that have none on record yet, in one statement. One without any line needs no row.

    Of a run that comes twice the first counts, as with its outcome: abandoned at a stop, it may return after all.
    """
    first: dict[UUID, CapturedLog | None] = {}
    for run_id, log in logs:
        first.setdefault(run_id, log)
    rows = [_row_of(run_id, log) for run_id, log in first.items() if log is not None and (log.lines or log.dropped)]
    if rows:
        connection.execute(_INSERT, rows)


def find_log(connection: Connection, run_id: UUID) -> CapturedLog | None:
    row = connection.execute(_BY_RUN, {"of_run": run_id}).first()
    return None if row is None else CapturedLog(tuple(_line_of(fields) for fields in row.lines), row.dropped)


def _row_of(run_id: UUID, log: CapturedLog) -> dict[str, Any]:
    return {"run_id": run_id, "lines": [_fields_of(line) for line in log.lines], "dropped": log.dropped}


def _fields_of(line: LogLine) -> dict[str, Any]:
    # What is absent from most lines is left out: there may be a thousand of them.
    optional = {"level": line.level, "logger": line.logger, "facts": line.facts or None}
    return {
        "at": line.at.astimezone(UTC).isoformat(),
        "stream": line.stream,
        "text": line.text,
        **{name: value for name, value in optional.items() if value is not None},
    }


def _line_of(fields: dict[str, Any]) -> LogLine:
    return LogLine(
        at=datetime.fromisoformat(fields["at"]),
        stream=fields["stream"],
        text=fields["text"],
        level=fields.get("level"),
        logger=fields.get("logger"),
        facts=fields.get("facts", {}),
    )
