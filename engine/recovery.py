"""What a start finds: runs of a process that died, and slots that came due while nobody was there."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from uuid import UUID

import structlog

from engine.dispatcher import log_missed
from engine.errors import StoreUnavailable
from engine.limits import CATCH_UP_BATCH
from engine.nouns import Advance, Job
from engine.planning import plan_catch_up
from engine.ports import Ids, Store
from engine.reading import read_jobs
from registry import JobFunction

log = structlog.get_logger("scheduler.recovery")

LOST_REASON = "the process that ran it ended without recording how it went"


def lose_abandoned_runs(store: Store, *, now: datetime) -> int:
    """Call runs of the process before us `lost`. Only for a process that alone may schedule on this database."""
    lost = store.lose_running_runs(finished_at=now, reason=LOST_REASON)
    if lost:
        log.warning("abandoned runs lost", runs=lost)
    return lost


def catch_up(store: Store, *, now: datetime, node: UUID, new_id: Ids) -> int:
    """Record what was missed and move each overdue job to its latest due slot, which the timer then claims."""
    moved = 0
    for jobs in overdue_jobs(store, now):
        advances = [advance for job in jobs if (advance := _plan(job, now=now, node=node, new_id=new_id)) is not None]
        recorded = _advance(store, advances)
        for advance in recorded:
            log_missed(advance.missed)
        moved += len(recorded)
    return moved


def warn_of_orphans(store: Store, functions: Mapping[str, JobFunction]) -> int:
    """Log each function that jobs name and nobody registered (law 12); returns how many jobs are orphaned."""
    orphaned = 0
    for function_name, jobs in store.jobs_per_function().items():
        if function_name not in functions:
            log.error("jobs orphaned", function_name=function_name, jobs=jobs)
            orphaned += jobs
    return orphaned


def overdue_jobs(store: Store, now: datetime) -> Iterator[list[Job]]:
    """The jobs with a due slot, page by page, without those that cannot be read."""
    after: UUID | None = None
    while job_ids := store.overdue_job_ids(due_before=now, after=after, limit=CATCH_UP_BATCH):
        # The timer will come to those that cannot be read, and say so.
        jobs, _unreadable = read_jobs(store, job_ids)
        yield list(jobs.values())
        after = job_ids[-1]


def _plan(job: Job, *, now: datetime, node: UUID, new_id: Ids) -> Advance | None:
    try:
        return plan_catch_up(job, now=now, node=node, new_id=new_id)
    # One job that cannot be read must not keep the service from starting.
    except Exception as error:  # noqa: BLE001 - one job of many
        _tell(job.id, "job unreadable", error)
        return None


def _advance(store: Store, advances: list[Advance]) -> list[Advance]:
    """Apply them, together or else one by one; returns those that applied."""
    if not advances:
        return []
    try:
        recorded = store.advance(advances)
    except StoreUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - one job of many
        if len(advances) == 1:
            _tell(advances[0].job_id, "slot not recorded", error)
            return []
        return [applied for advance in advances for applied in _advance(store, [advance])]
    return [advance for advance in advances if advance.job_id in recorded]


def _tell(job_id: UUID, event: str, error: Exception) -> None:
    log.error(event, job_id=str(job_id), error=f"{type(error).__name__}: {error}")
