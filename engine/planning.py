"""Which slot of a job is claimed, which are missed, and when the job is due again: pure decisions."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from engine.errors import InvalidSchedule
from engine.limits import MISFIRE_GRACE_SECONDS
from engine.nouns import Advance, Job, Run, RunState, Trigger
from engine.ports import Ids
from engine.schedule import Schedule, parse_schedule

GRACE = timedelta(seconds=MISFIRE_GRACE_SECONDS)


def schedule_of(job: Job) -> Schedule:
    """The job's schedule; raises InvalidSchedule if what is stored cannot be read (any more)."""
    return parse_schedule(
        interval_seconds=job.interval_seconds, cron_expression=job.cron_expression, anchor_at=job.anchor_at
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """A job with a due slot: the run that is to claim it, and the advance that says so to the store."""

    job: Job
    run: Run
    advance: Advance


def plan_claim(job: Job, *, now: datetime, node: UUID, new_id: Ids, refusal: str | None) -> Plan | None:
    """What to do with a job's due slot; None if it has none. `refusal` is why its function cannot be called at all.

    A slot that is late by no more than the grace is claimed as it is. Beyond that `run_once` applies: the latest due
    slot is claimed, those before it are missed.
    """
    if not job.is_scheduled or job.next_run_at is None or job.next_run_at > now:
        return None
    schedule = schedule_of(job)
    slot, missed = job.next_run_at, None
    if now - slot > GRACE:
        slot, missed = _merge(job, slot, now=now, node=node, new_id=new_id)
    run = _claimed_run(job, slot, now=now, node=node, new_id=new_id)
    if refusal is not None:
        run = run.skipped(refusal, at=now)
    advance = Advance(
        job_id=job.id,
        expected_version=job.version,
        next_run_at=schedule.next_after(slot),
        last_scheduled_for=slot,
        run=run,
        missed=missed,
    )
    return Plan(job, run, advance)


def plan_catch_up(job: Job, *, now: datetime, node: UUID, new_id: Ids) -> Advance | None:
    """After downtime: all due slots but the latest are missed; None if at most one is due, which the timer claims."""
    if job.next_run_at is None:
        return None
    latest, missed = _merge(job, job.next_run_at, now=now, node=node, new_id=new_id)
    if missed is None or missed.last_scheduled_for is None:
        return None
    return Advance(
        job_id=job.id,
        expected_version=job.version,
        next_run_at=latest,
        last_scheduled_for=missed.last_scheduled_for,
        run=None,
        missed=missed,
    )


def missed_stretch(job: Job, *, until: datetime, now: datetime, node: UUID, new_id: Ids, reason: str) -> Run | None:
    """The row for the job's unclaimed slots at or before `until`, however many (law 11); None if there are none."""
    first = job.next_run_at
    if not job.is_scheduled or first is None or first > until:
        return None
    try:
        last, count, is_exact = _extent(schedule_of(job), first, until)
    except InvalidSchedule:
        # What is stored cannot be read any more: the one slot that is known stands for them.
        last, count, is_exact = first, 1, False
    return Run(
        id=new_id(),
        job_id=job.id,
        function_name=job.function_name,
        trigger=Trigger.SCHEDULE,
        scheduled_for=first,
        last_scheduled_for=last,
        slot_count=count,
        state=RunState.MISSED,
        node=node,
        finished_at=now,
        reason=reason if is_exact else f"{reason} (at least {count} slots)",
    )


def _extent(schedule: Schedule, first: datetime, until: datetime) -> tuple[datetime, int, bool]:
    """The last slot at or before `until`, how many there are from `first` to it, and whether that is exact."""
    last = max(schedule.latest_until(until) or first, first)
    return last, *schedule.count_between(first, last)


def _merge(job: Job, first: datetime, *, now: datetime, node: UUID, new_id: Ids) -> tuple[datetime, Run | None]:
    """The latest due slot, and the row for those from `first` on that lie before it."""
    latest = max(schedule_of(job).latest_until(now) or first, first)
    just_before = latest - timedelta(microseconds=1)
    reason = f"late by more than the grace of {MISFIRE_GRACE_SECONDS:g} s or not running: only the latest slot runs"
    return latest, missed_stretch(job, until=just_before, now=now, node=node, new_id=new_id, reason=reason)


def _claimed_run(job: Job, slot: datetime, *, now: datetime, node: UUID, new_id: Ids) -> Run:
    return Run(
        id=new_id(),
        job_id=job.id,
        function_name=job.function_name,
        trigger=Trigger.SCHEDULE,
        scheduled_for=slot,
        state=RunState.RUNNING,
        node=node,
        started_at=now,
        lateness_ms=milliseconds(now - slot),
    )


def milliseconds(span: timedelta) -> float:
    """The span in milliseconds, to the microsecond."""
    return round(span.total_seconds() * 1_000, 3)
