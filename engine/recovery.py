"""What a start finds: runs of a process that died, and slots that came due while nobody was there."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from uuid import UUID

import structlog

from engine.calendars import Calendars
from engine.dispatcher import log_passed_over
from engine.edits import rescheduled
from engine.errors import StoreUnavailable
from engine.limits import MAX_JOBS_CHECKED_AT_START, MAX_OUTCOME_BATCH
from engine.metadata import metadata_error
from engine.nouns import Advance, Finished, Job, Outcome, Run, RunState, Trigger
from engine.planning import plan_catch_up
from engine.ports import Ids, Store
from engine.reading import calendars_of, jobs_of, local_jobs, overdue_jobs, read_jobs
from engine.retries import with_retry
from engine.run_path import as_text
from registry import JobFunction

log = structlog.get_logger("scheduler.recovery")

LOST_REASON = "the process that ran it ended without recording how it went"
GIVEN_UP_REASON = "its claim was written only after its node had given it up for failed: it did not start"


def lose_abandoned_runs(store: Store, *, now: datetime) -> tuple[int, list[Finished]]:
    """Call runs `lost` whose node is not live any more, to be tried again where their jobs say so.

    Returns how many there were, and what that came to. Any number of nodes may do it at once (law 6).
    """
    lost, finished = 0, list[Finished]()
    while runs := store.abandoned_runs(limit=MAX_OUTCOME_BATCH):
        jobs, _unreadable = read_jobs(store, [*{run.job_id for run in runs}])
        finished.append(store.finish([with_retry(_lost(run, now), run, jobs.get(run.job_id)) for run in runs]))
        lost += len(runs) - len(finished[-1].late)
    if lost:
        log.warning("abandoned runs lost", runs=lost)
    return lost, finished


def lose_strays(store: Store, strays: Sequence[Run], *, now: datetime) -> Finished:
    """Call runs `lost` that are on record as running on this node, though it has given up their claims.

    They have not started. One by hand is not tried again: who asked for it was told that it could not be.
    """
    jobs, _unreadable = read_jobs(store, [*{run.job_id for run in strays if not _is_refused_request(run)}])
    log.warning("runs lost of claims that were given up", runs=len(strays), first=str(strays[0].id))
    return store.finish([with_retry(_lost(run, now, GIVEN_UP_REASON), run, jobs.get(run.job_id)) for run in strays])


def _is_refused_request(run: Run) -> bool:
    return run.trigger is Trigger.MANUAL and not run.earlier_attempts


def _lost(run: Run, now: datetime, reason: str = LOST_REASON) -> Outcome:
    return Outcome(
        run_id=run.id,
        job_id=run.job_id,
        claim_id=run.claim_id,
        state=RunState.LOST,
        finished_at=now,
        started_at=run.started_at,
        lateness_ms=run.lateness_ms,
        reason=reason,
    )


def catch_up(store: Store, *, now: datetime, node: UUID, new_id: Ids) -> int:
    """Record what was missed and move each overdue job to its latest due slot, which the timer then claims."""
    moved = 0
    for jobs in overdue_jobs(store, now):
        calendars = calendars_of(store, jobs)
        plans = [_plan(job, calendars, now=now, node=node, new_id=new_id) for job in jobs]
        advances = [advance for advance in plans if advance is not None]
        recorded = advance_each(store, advances)
        for advance in recorded:
            log_passed_over(advance.missed)
        moved += len(recorded)
    return moved


def look_up_again(store: Store) -> int:
    """Move the next slot of each job that another tz database, or a calendar, has since put elsewhere; how many.

    Slots on record stay as they are.
    """
    moved = 0
    for jobs in local_jobs(store):
        calendars = calendars_of(store, jobs)
        for job in jobs:
            found = _looked_up(job, calendars)
            if found is job or not store.replace_job(
                found, expected_version=job.version, dropped=None, keeps_status=found.status is job.status
            ):
                continue
            log.warning(
                "next run moved",
                job_id=str(job.id),
                old=None if job.next_run_at is None else as_text(job.next_run_at),
                new=None if found.next_run_at is None else as_text(found.next_run_at),
            )
            moved += 1
    return moved


def warn_of_orphans(store: Store, functions: Mapping[str, JobFunction]) -> int:
    """Log each function that jobs name and nobody registered (law 12); returns how many jobs are orphaned."""
    orphaned = 0
    for function_name, jobs in store.jobs_per_function().items():
        if function_name not in functions:
            log.error("jobs orphaned", function_name=function_name, jobs=jobs)
            orphaned += jobs
    return orphaned


def warn_of_misfits(store: Store, functions: Mapping[str, JobFunction]) -> int:
    """Log each function with jobs whose metadata does not fit it, because it changed; returns how many they are.

    Of the first MAX_JOBS_CHECKED_AT_START jobs of functions that have a type for it; asks nothing if there are none.
    """
    typed = [name for name, function in functions.items() if function.metadata_type is not None]
    found: dict[str, list[tuple[Job, str]]] = {}
    for job in islice(chain.from_iterable(jobs_of(store, typed)), MAX_JOBS_CHECKED_AT_START):
        error = metadata_error(functions, job)
        if error is not None:
            found.setdefault(job.function_name, []).append((job, error))
    for function_name, misfits in found.items():
        job, error = misfits[0]
        log.error(
            "job metadata does not fit",
            function_name=function_name,
            jobs=len(misfits),
            job_id=str(job.id),
            error=error,
        )
    return sum(map(len, found.values()))


def _looked_up(job: Job, calendars: Calendars) -> Job:
    try:
        return rescheduled(job, calendars)
    except Exception as error:  # noqa: BLE001 - one job must not keep the service from starting
        # Of a zone that is gone, say: the timer may come to it in a year only.
        log.error("job unreadable", job_id=str(job.id), error=str(error))  # noqa: TRY400 - one line will do
        return job


def _plan(job: Job, calendars: Calendars, *, now: datetime, node: UUID, new_id: Ids) -> Advance | None:
    try:
        return plan_catch_up(job, calendars, now=now, node=node, new_id=new_id)
    except Exception:  # noqa: BLE001 - one job must not keep the service from starting; the timer comes to it, and says so
        return None


def advance_each(store: Store, advances: list[Advance]) -> list[Advance]:
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
        return [applied for advance in advances for applied in advance_each(store, [advance])]
    return [advance for advance in advances if advance.job_id in recorded]
