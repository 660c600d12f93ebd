"""The logs of runs as rows. Every function works inside the caller's transaction."""

import json
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, delete, insert, select

from engine.captured_log import CapturedLog, LogLine
from engine.limits import LOG_LINE_COST, MAX_LOG_BYTES, MAX_LOG_LINES
from store.columns import AnyRow
from store.tables import run_logs

_INSERT = insert(run_logs)
_BY_RUN = select(run_logs).where(run_logs.c.run_id == bindparam("of_run"))
_THESE = run_logs.c.run_id.in_(bindparam("run_ids", expanding=True))
_BY_RUNS = select(run_logs).where(_THESE)
_DELETE = delete(run_logs).where(_THESE)


def keep_logs(connection: Connection, logs: Iterable[tuple[UUID, CapturedLog | None]]) -> None:
    """Keep the logs of attempts, each behind that of the attempt before. One without any line needs no row.

    Of an attempt that comes twice the first counts, as with its outcome: abandoned at a stop, it may return after all.
    """
    each: dict[UUID, CapturedLog | None] = {}
    for run_id, log in logs:
        each.setdefault(run_id, log)
    first = {run_id: log for run_id, log in each.items() if log is not None and (log.lines or log.dropped)}
    if not first:
        return
    earlier = {row.run_id: _log_of(row) for row in connection.execute(_BY_RUNS, {"run_ids": list(first)})}
    if earlier:
        connection.execute(_DELETE, {"run_ids": list(earlier)})
    kept = {run_id: _joined(earlier.get(run_id), log) for run_id, log in first.items()}
    connection.execute(_INSERT, [_row_of(run_id, log) for run_id, log in kept.items()])


def find_log(connection: Connection, run_id: UUID) -> CapturedLog | None:
    row = connection.execute(_BY_RUN, {"of_run": run_id}).first()
    return None if row is None else _log_of(row)


def _log_of(row: AnyRow) -> CapturedLog:
    return CapturedLog(tuple(_line_of(fields) for fields in row.lines), row.dropped)


def _joined(earlier: CapturedLog | None, later: CapturedLog) -> CapturedLog:
    """The newest lines of both, within the limits of one log."""
    if earlier is None:
        return later
    lines: deque[LogLine] = deque()
    size = 0
    for line in (*reversed(later.lines), *reversed(earlier.lines)):
        size += LOG_LINE_COST + len(json.dumps(_fields_of(line)).encode())
        if size > MAX_LOG_BYTES or len(lines) >= MAX_LOG_LINES:
            break
        lines.appendleft(line)
    everything = earlier.dropped + len(earlier.lines) + later.dropped + len(later.lines)
    return CapturedLog(tuple(lines), dropped=everything - len(lines))


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
