"""The service's database from outside: many jobs put into it at once, and what it recorded."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Engine, text

_NUMBERED_ID = "0000000000004000800000{:010x}"
_PLACED = ("id", "interval_seconds", "anchor_at", "next_run_at")
_PIECE = 10_000
_UNFINISHED = (
    text("SELECT 1 FROM jobs WHERE next_run_at <= :due_at LIMIT 1"),
    text("SELECT 1 FROM runs WHERE state = 'running' AND scheduled_for <= :due_at LIMIT 1"),
)


def multiply_jobs(database: Engine, first_slots: Iterable[tuple[int, str]]) -> None:
    """Instead of the one job there, copies of it: each with an interval in seconds and a first slot, as ISO text.

    The last ten digits of a copy's id are its number, from 0.
    """
    with database.begin() as connection:
        template = connection.execute(text("SELECT * FROM jobs")).mappings().one()
        connection.execute(text("CREATE TEMPORARY TABLE placed (id TEXT, interval_seconds FLOAT, slot TEXT)"))
        _place(connection, first_slots)
        kept = ", ".join(name for name in template if name not in _PLACED)
        slot, job_id = _readings(connection)
        connection.execute(
            text(
                f"INSERT INTO jobs (id, interval_seconds, anchor_at, next_run_at, {kept}) "
                f"SELECT {job_id}, placed.interval_seconds, {slot}, {slot}, {kept} "
                "FROM placed CROSS JOIN (SELECT * FROM jobs) AS template"
            )
        )
        connection.execute(text("DELETE FROM jobs WHERE id = :template"), {"template": template["id"]})


def _place(connection: Connection, first_slots: Iterable[tuple[int, str]]) -> None:
    insert = text("INSERT INTO placed VALUES (:id, :interval, :slot)")
    rows: list[dict[str, Any]] = []
    for number, (interval, slot) in enumerate(first_slots):
        rows.append({"id": _NUMBERED_ID.format(number), "interval": interval, "slot": slot})
        if len(rows) == _PIECE:
            connection.execute(insert, rows)
            rows = []
    if rows:
        connection.execute(insert, rows)


def _readings(connection: Connection) -> tuple[str, str]:
    """Text as each database keeps an instant and an id: SQLite as this very text."""
    if connection.dialect.name == "sqlite":
        return "placed.slot", "placed.id"
    return "placed.slot::timestamptz", "placed.id::uuid"


def is_all_recorded(database: Engine, due_at: str) -> bool:
    """Whether no slot up to an instant waits for its claim or its outcome; asks indexes only."""
    with database.connect() as connection:
        return not any(connection.execute(query, {"due_at": due_at}).first() for query in _UNFINISHED)


def count_runs(database: Engine, before: str) -> dict[str, int]:
    """Slots of runs before an instant, by state; not those asked for by hand."""
    query = text(
        "SELECT state, sum(slot_count) FROM runs "
        "WHERE scheduled_for < :before AND \"trigger\" = 'schedule' GROUP BY state"
    )
    with database.connect() as connection:
        return {str(state): int(slots) for state, slots in connection.execute(query, {"before": before})}
