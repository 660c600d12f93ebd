"""What a start finds: runs of a process that died, and slots that came due while nobody was there."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import structlog

from engine.dispatcher import log_missed
from engine.errors import StoreUnavailable
from engine.nouns import Advance, Job
from engine.planning import plan_catch_up
from engine.ports import Ids, Store
from engine.reading import overdue_jobs
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


def _plan(job: Job, *, now: datetime, node: UUID, new_id: Ids) -> Advance | None:
    try:
        return plan_catch_up(job, now=now, node=node, new_id=new_id)
    except Exception:  # noqa: BLE001 - one job must not keep the service from starting; the timer comes to it, and says so
        return None


def _advance(store: Store, advances: list[Advance]) -> list[Advance]:
    """Apply them, together or else one by one; returns those that applied."""
    if not advances:
        return []
    try:
        recorded = store.advance(advances)
    except StoreUnavailable:
        raise
    except Exception:  # noqa: BLE001 - one job of many; the timer comes to it, and says so
        if len(advances) == 1:
            return []
        return [applied for advance in advances for applied in _advance(store, [advance])]
    return [advance for advance in advances if advance.job_id in recorded]
