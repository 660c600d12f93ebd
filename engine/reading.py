"""Reading jobs so that one that cannot be read does not hold the others."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

import structlog

from engine.calendars import Calendars, listed_names
from engine.errors import JobNotFound, StoreUnavailable
from engine.limits import OVERDUE_BATCH
from engine.nouns import Job
from engine.ports import Store

log = structlog.get_logger("scheduler.engine")


def read_jobs(store: Store, job_ids: Sequence[UUID]) -> tuple[dict[UUID, Job], dict[UUID, Exception]]:
    """Those of the jobs that exist, by id, and why the others cannot be read. Raises StoreUnavailable."""
    try:
        return {job.id: job for job in store.jobs_by_id(job_ids)}, {}
    except StoreUnavailable:
        raise
    # A row that someone edited by hand, or that another release wrote: which it is, reading one by one will show.
    except Exception:  # noqa: BLE001 - returned below, of the job that raises it
        return _read_one_by_one(store, job_ids)


def existing_job(store: Store, job_id: UUID) -> Job:
    """The job of this id. Raises JobNotFound."""
    job = store.job(job_id)
    if job is None:
        raise JobNotFound
    return job


def calendars_of(store: Store, jobs: Iterable[Job]) -> Calendars:
    """The calendars that the jobs list, by name: asked for only if they list any."""
    return named_calendars(store, listed_names(job.timing for job in jobs))


def named_calendars(store: Store, names: Collection[str]) -> Calendars:
    """Those of the calendars that exist and can be read, by name. Raises StoreUnavailable."""
    if not names:
        return {}
    try:
        return {calendar.name: calendar for calendar in store.calendars(names)}
    except StoreUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - a row that someone edited by hand: only jobs that list it are without
        if len(names) == 1:
            log.error("calendar unreadable", calendar=next(iter(names)), error=str(error))  # noqa: TRY400 - one line will do
            return {}
        return {name: found for each in names for name, found in named_calendars(store, [each]).items()}


def overdue_jobs(store: Store, now: datetime) -> Iterator[list[Job]]:
    """The jobs with a due slot, page by page, without those that cannot be read."""
    after: UUID | None = None
    while job_ids := store.overdue_job_ids(due_before=now, after=after, limit=OVERDUE_BATCH):
        # The timer will come to those that cannot be read, and say so.
        jobs, _unreadable = read_jobs(store, job_ids)
        yield list(jobs.values())
        after = job_ids[-1]


def local_jobs(store: Store) -> Iterator[list[Job]]:
    """The scheduled jobs whose next slot a time zone or a calendar decides, page by page, if they can be read."""
    after: UUID | None = None
    while job_ids := store.local_job_ids(after=after, limit=OVERDUE_BATCH):
        jobs, _unreadable = read_jobs(store, job_ids)
        yield list(jobs.values())
        after = job_ids[-1]


def jobs_of(store: Store, function_names: Collection[str]) -> Iterator[list[Job]]:
    """The jobs that name one of the functions, page by page, if they can be read."""
    after: UUID | None = None
    while function_names and (job_ids := store.job_ids_of(function_names, after=after, limit=OVERDUE_BATCH)):
        jobs, _unreadable = read_jobs(store, job_ids)
        yield list(jobs.values())
        after = job_ids[-1]


def _read_one_by_one(store: Store, job_ids: Sequence[UUID]) -> tuple[dict[UUID, Job], dict[UUID, Exception]]:
    jobs: dict[UUID, Job] = {}
    unreadable: dict[UUID, Exception] = {}
    for job_id in job_ids:
        try:
            jobs |= {job.id: job for job in store.jobs_by_id([job_id])}
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one job of many
            unreadable[job_id] = error
    return jobs, unreadable
