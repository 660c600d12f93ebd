"""Jobs as rows: reading, writing, listing. Every function works inside the caller's transaction."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Text, and_, bindparam, cast, delete, func, insert, or_, select, tuple_, update

from engine.nouns import Dropping, DueHint, Job, JobStatus, Pause
from engine.policies import Policies
from engine.timing import Timing
from store.batches import OneOf
from store.columns import AnyRow
from store.tables import IS_SCHEDULED, jobs

# The fields of a timing, of policies, of a pause and of a job in their order, each with its column: a field without one
# fails here, at import.
_TIMING_COLUMNS = {field.name: jobs.c[field.name] for field in fields(Timing)}
_POLICY_COLUMNS = {field.name: jobs.c[field.name] for field in fields(Policies)}
_PAUSE_COLUMNS = {
    "at": jobs.c.paused_at,
    "until": jobs.c.paused_until,
    "by": jobs.c.paused_by,
    "note": jobs.c.pause_note,
    "reason": jobs.c.pause_reason,
}
_OWN_FIELDS = [field.name for field in fields(Job) if field.name not in ("timing", "policies", "pause")]
_OWN_COLUMNS = {name: jobs.c["job_metadata" if name == "metadata" else name] for name in _OWN_FIELDS}
JOB_COLUMNS = [*_TIMING_COLUMNS.values(), *_POLICY_COLUMNS.values(), *_PAUSE_COLUMNS.values(), *_OWN_COLUMNS.values()]
POLICIES_FROM = len(_TIMING_COLUMNS)
PAUSE_FROM = POLICIES_FROM + len(_POLICY_COLUMNS)
OWN_FROM = PAUSE_FROM + len(_PAUSE_COLUMNS)
# An edit leaves alone what only runs change, and they change it without a new version.
_NOT_EDITED = {"id", "created_at", "last_run_at", "run_count", "consecutive_failures", "consecutive_crashes"}

_SELECT = select(*JOB_COLUMNS)
_BY_ID = _SELECT.where(jobs.c.id == bindparam("job_id"))
_BY_IDS = _SELECT.where(OneOf(jobs.c.id, "job_ids"))
_PAGE = _SELECT.order_by(jobs.c.created_at, jobs.c.id).limit(bindparam("limit"))
_PAGE_AFTER = _PAGE.where(
    tuple_(jobs.c.created_at, jobs.c.id)
    > tuple_(bindparam("created_at", type_=jobs.c.created_at.type), bindparam("job_id", type_=jobs.c.id.type))
)
_OVERDUE = (
    select(jobs.c.id)
    .where(IS_SCHEDULED, jobs.c.next_run_at <= bindparam("due_before"))
    .order_by(jobs.c.id)
    .limit(bindparam("limit"))
)
_OVERDUE_AFTER = _OVERDUE.where(jobs.c.id > bindparam("after"))
# An interval counts elapsed time, whatever the zone; days off are days of the zone, also for an interval.
_IS_LOCAL = or_(
    and_(jobs.c.cron_expression.is_not(None), jobs.c.timezone != "UTC"),
    cast(jobs.c.exclude_calendars, Text) != "[]",
)
_LOCAL = (
    select(jobs.c.id)
    .where(IS_SCHEDULED, jobs.c.next_run_at.is_not(None), _IS_LOCAL)
    .order_by(jobs.c.id)
    .limit(bindparam("limit"))
)
_LOCAL_AFTER = _LOCAL.where(jobs.c.id > bindparam("after"))
_OF_FUNCTIONS = (
    select(jobs.c.id)
    .where(jobs.c.function_name.in_(bindparam("function_names", expanding=True)))
    .order_by(jobs.c.id)
    .limit(bindparam("limit"))
)
_OF_FUNCTIONS_AFTER = _OF_FUNCTIONS.where(jobs.c.id > bindparam("after"))
_HINT_COLUMNS = (jobs.c.id, jobs.c.version, jobs.c.function_name, jobs.c.priority)
_HINTS = (
    select(
        *_HINT_COLUMNS,
        func.coalesce(jobs.c.next_run_at, jobs.c.paused_until, type_=jobs.c.next_run_at.type).label("at"),
    )
    .where(or_(and_(IS_SCHEDULED, jobs.c.next_run_at.is_not(None)), jobs.c.paused_until.is_not(None)))
    .order_by(jobs.c.id)
    .limit(bindparam("limit"))
)
_HINTS_AFTER = _HINTS.where(jobs.c.id > bindparam("after"))
# By two indexes, of which the second is nearly always empty.
_DUE = (
    select(*_HINT_COLUMNS, jobs.c.next_run_at.label("at"))
    .where(jobs.c.next_run_at.is_not(None), jobs.c.next_run_at <= bindparam("until"), IS_SCHEDULED)
    .order_by(jobs.c.next_run_at, jobs.c.id)
    .limit(bindparam("limit"))
)
_DUE_AFTER = _DUE.where(
    tuple_(jobs.c.next_run_at, jobs.c.id)
    > tuple_(bindparam("after_at", type_=jobs.c.next_run_at.type), bindparam("after_id", type_=jobs.c.id.type))
)
_PAUSES_ENDING = (
    select(*_HINT_COLUMNS, jobs.c.paused_until.label("at"))
    .where(jobs.c.paused_until.is_not(None), jobs.c.paused_until <= bindparam("until"), jobs.c.next_run_at.is_(None))
    .order_by(jobs.c.paused_until)
    .limit(bindparam("limit"))
)
_OVERDUE_VERSIONS = (
    select(jobs.c.id, jobs.c.version)
    .where(IS_SCHEDULED, jobs.c.next_run_at <= bindparam("due_before"))
    .order_by(jobs.c.id)
    .with_for_update()
)
_LISTED = select(jobs.c.exclude_calendars).where(jobs.c.id == bindparam("job_id"))
_ANYTHING = select(jobs.c.version).limit(1)
_SCHEDULED = select(func.count()).select_from(jobs).where(jobs.c.next_run_at.is_not(None))
_PER_FUNCTION = select(jobs.c.function_name, func.count()).group_by(jobs.c.function_name)
_INSERT = insert(jobs)
_REPLACE = update(jobs).where(jobs.c.id == bindparam("job_id"), jobs.c.version == bindparam("expected_version"))
_DELETE = delete(jobs).where(jobs.c.id == bindparam("job_id"))
_DELETE_AT_VERSION = _DELETE.where(jobs.c.version == bindparam("expected_version"))
_DELETE_ALL = delete(jobs).returning(jobs.c.id, jobs.c.version)


def insert_job(connection: Connection, job: Job) -> None:
    connection.execute(_INSERT, _row_of(job))


def insert_jobs(connection: Connection, new: Sequence[Job]) -> None:
    connection.execute(_INSERT, list(map(_row_of, new)))


def find_job(connection: Connection, job_id: UUID) -> Job | None:
    row = connection.execute(_BY_ID, {"job_id": job_id}).first()
    return None if row is None else job_of(row)


def find_jobs(connection: Connection, job_ids: Collection[UUID]) -> list[Job]:
    return [job_of(row) for row in connection.execute(_BY_IDS, {"job_ids": list(job_ids)})]


def page_of_jobs(connection: Connection, after: tuple[datetime, UUID] | None, limit: int) -> list[Job]:
    if after is None:
        rows = connection.execute(_PAGE, {"limit": limit})
    else:
        rows = connection.execute(_PAGE_AFTER, {"created_at": after[0], "job_id": after[1], "limit": limit})
    return [job_of(row) for row in rows]


def page_of_overdue_ids(connection: Connection, due_before: datetime, after: UUID | None, limit: int) -> list[UUID]:
    statement = _OVERDUE if after is None else _OVERDUE_AFTER
    parameters = {"due_before": due_before, "after": after, "limit": limit}
    return list(connection.execute(statement, parameters).scalars())


def page_of_local_ids(connection: Connection, after: UUID | None, limit: int) -> list[UUID]:
    statement = _LOCAL if after is None else _LOCAL_AFTER
    return list(connection.execute(statement, {"after": after, "limit": limit}).scalars())


def page_of_ids_of(
    connection: Connection, function_names: Collection[str], after: UUID | None, limit: int
) -> list[UUID]:
    statement = _OF_FUNCTIONS if after is None else _OF_FUNCTIONS_AFTER
    parameters = {"function_names": list(function_names), "after": after, "limit": limit}
    return list(connection.execute(statement, parameters).scalars())


def page_of_hints(connection: Connection, after: UUID | None, limit: int) -> list[DueHint]:
    statement = _HINTS if after is None else _HINTS_AFTER
    return _hints(connection.execute(statement, {"after": after, "limit": limit}))


def page_of_due_hints(connection: Connection, until: datetime, after: DueHint | None, limit: int) -> list[DueHint]:
    """Jobs with a slot up to the instant, the earliest first, from the one after `after` on."""
    if after is None:
        return _hints(connection.execute(_DUE, {"until": until, "limit": limit}))
    place = {"after_at": after.due_at, "after_id": after.job_id}
    return _hints(connection.execute(_DUE_AFTER, {"until": until, "limit": limit, **place}))


def hints_of_pauses(connection: Connection, until: datetime, limit: int) -> list[DueHint]:
    """The first of the jobs whose pause ends up to the instant."""
    hints = _hints(connection.execute(_PAUSES_ENDING, {"until": until, "limit": limit}))
    return [replace(hint, is_exact=True) for hint in hints]


def _hints(rows: Iterable[AnyRow]) -> list[DueHint]:
    return [
        DueHint(row.id, row.at, row.version, function_name=row.function_name, priority=row.priority) for row in rows
    ]


def count_scheduled(connection: Connection) -> int:
    return connection.execute(_SCHEDULED).scalar_one()


def count_jobs_per_function(connection: Connection) -> dict[str, int]:
    return dict(connection.execute(_PER_FUNCTION).all())


def read_anything(connection: Connection) -> None:
    """To see whether the database answers."""
    connection.execute(_ANYTHING).all()


def newly_listed_calendars(connection: Connection, job: Job) -> list[str]:
    """The calendars that the job lists and its stored version does not: those of that one it may keep, come what may.

    No calendar is deleted while a job lists it; by hand it can be, and the job must be pausable all the same.
    """
    if not job.timing.exclude_calendars:
        return []
    kept = connection.execute(_LISTED, {"job_id": job.id}).scalar() or ()
    return [name for name in job.timing.exclude_calendars if name not in kept]


def replace_job(connection: Connection, job: Job, expected_version: int, *, keeps_status: bool) -> bool:
    left_alone = _NOT_EDITED | ({"status"} if keeps_status else set())
    edited = {name: value for name, value in _row_of(job).items() if name not in left_alone}
    if not keeps_status and job.status is JobStatus.ACTIVE:
        edited |= {"consecutive_failures": 0, "consecutive_crashes": 0}
    # The columns by the names of the parameters: a statement that is made anew costs more than its commit.
    parameters = edited | {"job_id": job.id, "expected_version": expected_version}
    return connection.execute(_REPLACE, parameters).rowcount == 1


def delete_job(connection: Connection, job_id: UUID, *, at_version: int | None = None) -> bool:
    if at_version is None:
        return connection.execute(_DELETE, {"job_id": job_id}).rowcount == 1
    parameters = {"job_id": job_id, "expected_version": at_version}
    return connection.execute(_DELETE_AT_VERSION, parameters).rowcount == 1


def are_dropped(connection: Connection, droppings: Collection[Dropping], *, at: datetime) -> bool:
    """Whether each job that is due by then has a row for its slots, made of it as it is. Nobody changes those jobs."""
    versions = {dropping.run.job_id: dropping.job_version for dropping in droppings}
    overdue = connection.execute(_OVERDUE_VERSIONS, {"due_before": at})
    return all(versions.get(row.id) == row.version for row in overdue)


def delete_all_jobs(connection: Connection) -> dict[UUID, int]:
    """Delete them; returns the version that each had."""
    return dict(connection.execute(_DELETE_ALL).all())


def _row_of(job: Job) -> dict[str, Any]:
    own = {column.name: getattr(job, name) for name, column in _OWN_COLUMNS.items()}
    timing = {column.name: getattr(job.timing, name) for name, column in _TIMING_COLUMNS.items()}
    policies = {column.name: getattr(job.policies, name) for name, column in _POLICY_COLUMNS.items()}
    pause = {column.name: getattr(job.pause, name, None) for name, column in _PAUSE_COLUMNS.items()}
    return own | timing | policies | pause


def job_of(row: Sequence[Any]) -> Job:
    """The job in the columns of `JOB_COLUMNS`."""
    return job_of_parts(
        timing=Timing(*row[:POLICIES_FROM]),
        policies=Policies(*row[POLICIES_FROM:PAUSE_FROM]),
        pause=row[PAUSE_FROM:OWN_FROM],
        own=row[OWN_FROM:],
    )


def job_of_parts(*, timing: Timing, policies: Policies, pause: Sequence[Any], own: Sequence[Any]) -> Job:
    """The job of its timing, its policies, and the values of the columns of its pause and of its own."""
    return Job(
        timing=timing,
        policies=policies,
        pause=None if pause[0] is None else Pause(*pause),
        **dict(zip(_OWN_FIELDS, own, strict=True)),
    )
