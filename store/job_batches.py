"""Reading many jobs in one step, on SQLite: see store.batches for why."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Connection, select
from sqlalchemy.exc import OperationalError

from engine.nouns import Job
from engine.policies import Policies
from engine.timing import Timing
from store import job_rows
from store.batches import OneOf
from store.job_rows import JOB_COLUMNS, OWN_FROM, PAUSE_FROM, POLICIES_FROM, job_of_parts
from store.json_rows import converted, converter_of, in_one_step
from store.tables import jobs

REMEMBERED = 1_024
"""Timings and policies that are made once: most jobs share theirs with many others."""

_BY_IDS = select(in_one_step(JOB_COLUMNS)).where(OneOf(jobs.c.id, "job_ids"))


def find_jobs(connection: Connection, job_ids: Collection[UUID]) -> list[Job]:
    """Those of the jobs that exist; raises whatever is wrong with what is stored of one of them."""
    if connection.dialect.name != "sqlite":
        return job_rows.find_jobs(connection, job_ids)
    try:
        return _find_in_one_step(connection, job_ids)
    except OperationalError:
        # What SQLite cannot write as JSON, as somebody has put bytes where a text belongs: row by row it shows whose.
        return job_rows.find_jobs(connection, job_ids)


def _find_in_one_step(connection: Connection, job_ids: Collection[UUID]) -> list[Job]:
    text = connection.execute(_BY_IDS, {"job_ids": list(job_ids)}).scalar_one()
    return [_job_of(row) for row in orjson.loads(text)]


def _job_of(row: Sequence[Any]) -> Job:
    return job_of_parts(
        timing=_timing(*row[:POLICIES_FROM]),
        policies=_policies(*row[POLICIES_FROM:PAUSE_FROM]),
        pause=converted(row[PAUSE_FROM:OWN_FROM], _CONVERTERS[PAUSE_FROM:OWN_FROM]),
        own=converted(row[OWN_FROM:], _CONVERTERS[OWN_FROM:]),
    )


@lru_cache(maxsize=REMEMBERED)
def _timing(*row: Any) -> Timing:
    return Timing(*converted(row, _CONVERTERS[:POLICIES_FROM]))


@lru_cache(maxsize=REMEMBERED)
def _policies(*row: Any) -> Policies:
    return Policies(*converted(row, _CONVERTERS[POLICIES_FROM:PAUSE_FROM]))


_CONVERTERS = [converter_of(column) for column in JOB_COLUMNS]
