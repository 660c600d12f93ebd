"""A database with many jobs before the service starts: one that the service has made, copied."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, create_engine, delete, insert, select

from store.tables import jobs

ROWS = 5_000
"""Jobs written at once."""


def fill(url: str, first_slots: Iterable[float]) -> int:
    """In place of the one job that is there: one for each first slot, in seconds since the epoch; returns how many.

    Each is told its number, from 0 on, in its metadata.
    """
    database = create_engine(url)
    try:
        return _fill(database, first_slots)
    finally:
        database.dispose()


def _fill(database: Engine, first_slots: Iterable[float]) -> int:
    with database.begin() as connection:
        (template,) = connection.execute(select(jobs)).mappings().all()
        connection.execute(delete(jobs))
        made = (_copy(dict(template), number, slot) for number, slot in enumerate(first_slots))
        written = 0
        while rows := list(islice(made, ROWS)):
            connection.execute(insert(jobs), rows)
            written += len(rows)
        return written


def _copy(template: dict[str, Any], number: int, first_slot: float) -> dict[str, Any]:
    at = datetime.fromtimestamp(first_slot, UTC)
    return template | {"id": uuid4(), "next_run_at": at, "anchor_at": at, "job_metadata": {"number": number}}
