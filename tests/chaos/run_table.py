"""The run table as it is, read with plain SQL: the checker does not ask the service what it wrote."""

import json
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import psycopg

from tests.chaos.facts import Attempt, Row, instant

_QUERY = (
    "SELECT id, job_id, scheduled_for, state, attempt, finished_at, last_scheduled_for, slot_count, trigger,"
    " earlier_attempts, reason FROM runs"
)


class RunTable(Protocol):
    """Where rows are read from."""

    def rows(self) -> list[Row]: ...


class SqliteRunTable:
    def __init__(self, file: Path) -> None:
        self._file = file

    def rows(self) -> list[Row]:
        with closing(sqlite3.connect(self._file, timeout=30)) as connection:
            return [_row(values) for values in connection.execute(_QUERY)]


class PostgresRunTable:
    """`conninfo` goes straight to the server, not through a proxy."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo

    def rows(self) -> list[Row]:
        with psycopg.connect(self._conninfo) as connection:
            return [_row(values) for values in connection.execute(_QUERY.encode())]


def _row(values: tuple[Any, ...]) -> Row:
    identity, job_id, slot, state, attempt, finished_at, last_slot, slot_count, trigger, earlier, reason = values
    return Row(
        run_id=_id(identity),
        job_id=_id(job_id),
        slot=_at(slot),
        state=state,
        attempt=attempt,
        finished_at=None if finished_at is None else _at(finished_at),
        last_slot=None if last_slot is None else _at(last_slot),
        slot_count=slot_count,
        trigger=trigger,
        earlier=tuple(map(_attempt, (json.loads(earlier) if isinstance(earlier, str) else earlier) or ())),
        reason=reason,
    )


def _attempt(facts: dict[str, Any]) -> Attempt:
    return Attempt(facts["number"], facts["state"], _at(facts["finished_at"]))


def _id(value: UUID | str) -> str:
    return str(value if isinstance(value, UUID) else UUID(value))


def _at(value: datetime | str) -> int:
    return instant(datetime.fromisoformat(value) if isinstance(value, str) else value)
