"""Reading jobs so that one that cannot be read does not hold the others."""

from collections.abc import Sequence
from uuid import UUID

from engine.errors import StoreUnavailable
from engine.nouns import Job
from engine.ports import Store


def read_jobs(store: Store, job_ids: Sequence[UUID]) -> tuple[dict[UUID, Job], dict[UUID, Exception]]:
    """Those of the jobs that exist, by id, and why the others cannot be read. Raises StoreUnavailable."""
    try:
        return {job.id: job for job in store.jobs_by_id(job_ids)}, {}
    except StoreUnavailable:
        raise
    # A row that someone edited by hand, or that another release wrote: which it is, reading one by one will show.
    except Exception:  # noqa: BLE001 - returned below, of the job that raises it
        return _read_one_by_one(store, job_ids)


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
