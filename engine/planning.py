"""Which slot of a job is claimed, which are missed, and when the job is due again: pure decisions."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from engine.calendars import Calendars, days_off
from engine.errors import InvalidSchedule
from engine.limits import MISFIRE_GRACE_SECONDS
from engine.nouns import Advance, Job, Run, RunState, Trigger
from engine.ports import Ids
from engine.schedule import MICROSECOND, Schedule
from engine.slots import excluding_calendar, following, latest_to_run, mover, origin, schedule_of

GRACE = timedelta(seconds=MISFIRE_GRACE_SECONDS)


@dataclass(frozen=True, slots=True)
class Plan:
    """A job with a due slot: the run that is to claim it, and the advance that says so to the store."""

    job: Job
    run: Run
    advance: Advance


@dataclass(frozen=True, slots=True)
class Extent:
    """A stretch of slots: the first and the last, how many with both, and whether that number is exact."""

    first: datetime
    last: datetime
    count: int
    is_exact: bool


def plan_claim(
    job: Job, calendars: Calendars, *, now: datetime, node: UUID, new_id: Ids, refusal: str | None
) -> Plan | None:
    """What to do with a job's due slot; None if it has none. `refusal` is why its function cannot be called at all.

    A slot that is late by no more than the grace is claimed as it is. Beyond that `run_once` applies: the latest due
    slot is claimed, those before it are missed. A slot on a day off is claimed and skipped in the same breath.
    """
    if not job.is_scheduled or job.next_run_at is None or job.next_run_at > now:
        return None
    schedule = schedule_of(job, calendars)
    slot, missed = job.next_run_at, None
    if now - slot > GRACE:
        slot, missed = _merge(job, schedule, calendars, slot, now=now, node=node, new_id=new_id)
    run = _claimed_run(job, slot, now=now, node=node, new_id=new_id)
    reason = _day_off(job, schedule, calendars, slot) or refusal
    if reason is not None:
        run = run.skipped(reason, at=now)
    advance = Advance(
        job_id=job.id,
        expected_version=job.version,
        next_run_at=following(schedule, slot),
        last_scheduled_for=slot,
        run=run,
        missed=missed,
    )
    return Plan(job, run, advance)


def plan_catch_up(job: Job, calendars: Calendars, *, now: datetime, node: UUID, new_id: Ids) -> Advance | None:
    """After downtime: all due slots but the latest are missed; None if at most one is due, which the timer claims."""
    if not job.is_scheduled or job.next_run_at is None:
        return None
    schedule = schedule_of(job, calendars)
    latest, missed = _merge(job, schedule, calendars, job.next_run_at, now=now, node=node, new_id=new_id)
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


def missed_stretch(
    job: Job, calendars: Calendars, *, now: datetime, node: UUID, new_id: Ids, reason: str
) -> Run | None:
    """The row for the job's slots that are due and not claimed, however many (law 11); None if there are none."""
    first = job.next_run_at
    if not job.is_scheduled or first is None or first > now:
        return None
    try:
        extent = _extent(schedule_of(job, calendars), first, now)
    except InvalidSchedule:
        # What is stored cannot be read any more: the one slot that is known stands for them.
        extent = Extent(first, first, 1, is_exact=False)
    return _missed_run(job, extent, now=now, node=node, new_id=new_id, reason=reason)


def _extent(schedule: Schedule, first: datetime, until: datetime) -> Extent:
    last = max(schedule.latest_until(until) or first, first)
    count, is_exact = schedule.count_between(first, last)
    # A first slot that the schedule does not know any more is one all the same.
    return Extent(first, last, max(count, 1), is_exact)


def _merge(
    job: Job,
    schedule: Schedule,
    calendars: Calendars,
    first: datetime,
    *,
    now: datetime,
    node: UUID,
    new_id: Ids,
) -> tuple[datetime, Run | None]:
    """The latest due slot that is to run, and the row for those from `first` on that lie before it."""
    latest = latest_to_run(job.timing, schedule, days_off(job.timing, calendars), first, now)
    if latest == first:
        return first, None
    reason = f"late by more than the grace of {MISFIRE_GRACE_SECONDS:g} s or not running: only the latest slot runs"
    extent = _extent(schedule, first, latest - MICROSECOND)
    return latest, _missed_run(job, extent, now=now, node=node, new_id=new_id, reason=reason)


def _missed_run(job: Job, extent: Extent, *, now: datetime, node: UUID, new_id: Ids, reason: str) -> Run:
    return Run(
        id=new_id(),
        job_id=job.id,
        function_name=job.function_name,
        trigger=Trigger.SCHEDULE,
        scheduled_for=extent.first,
        last_scheduled_for=extent.last,
        slot_count=extent.count,
        state=RunState.MISSED,
        node=node,
        finished_at=now,
        reason=reason if extent.is_exact else f"{reason} (at least {extent.count} slots)",
    )


def _day_off(job: Job, schedule: Schedule, calendars: Calendars, slot: datetime) -> str | None:
    """Why the slot is skipped if it lies on a day off, and what becomes of it."""
    slot = origin(schedule, slot)
    name = excluding_calendar(job.timing, days_off(job.timing, calendars), slot)
    moving = mover(schedule)
    if name is None or moving is None:
        return None if name is None else f"excluded by calendar {name}"
    moved_to = moving.moved_to(slot)
    if moved_to is None:
        return f"excluded by calendar {name}, not moved: no business day is near enough"
    if job.timing.end_at is not None and moved_to > job.timing.end_at:
        return f"excluded by calendar {name}, not moved: end_at is before the next business day"
    return f"excluded by calendar {name}, moved to {moved_to:%Y-%m-%dT%H:%M:%SZ}"


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
