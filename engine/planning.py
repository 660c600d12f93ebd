"""Which slots of a job are claimed, queued or missed, and when the job is due again: pure decisions."""

from datetime import datetime, timedelta
from uuid import UUID

from engine.calendars import Calendars, days_off
from engine.due_slots import Decision, DueSlots
from engine.errors import InvalidSchedule
from engine.nouns import Advance, Job, Run, RunState
from engine.ports import Ids
from engine.reason_codes import ReasonCode, day_off_reason
from engine.schedule import Schedule
from engine.slot_rows import Extent, SlotRows, extent_between
from engine.slots import excluding_calendar, following, mover, origin, schedule_of
from engine.values import quick_dataclass


@quick_dataclass(frozen=True, slots=True)
class Plan:
    """A job with due slots, and the advance that says to the store what becomes of them."""

    job: Job
    advance: Advance


def plan_claim(
    job: Job,
    calendars: Calendars,
    *,
    now: datetime,
    node: UUID,
    new_id: Ids,
    refusal: str | None,
    excused_seconds: float = 0.0,
    ahead: timedelta = timedelta(0),
) -> Plan | None:
    """What to do with a job's due slots; None if it has none. `refusal` is why its function cannot be called at all.

    A slot that is to come within `ahead` is decided on as it will be at its instant.

    A slot that is late by no more than the grace, and by `excused_seconds` because the pool was full, is claimed as it
    is. Beyond that the misfire policy applies. A slot on a day off is claimed and skipped in the same breath.
    """
    if not job.is_scheduled or job.next_run_at is None or job.next_run_at - ahead > now:
        return None
    is_ahead = now < job.next_run_at
    now = max(now, job.next_run_at)
    rows = SlotRows(job, now, node, new_id)
    schedule = schedule_of(job, calendars)
    excused = timedelta(seconds=excused_seconds)
    due = DueSlots(job, schedule, days_off(job.timing, calendars), job.next_run_at, now, excused)
    return Plan(job, _advance(rows, schedule, calendars, due.decide(), refusal=refusal, is_ahead=is_ahead))


def plan_catch_up(job: Job, calendars: Calendars, *, now: datetime, node: UUID, new_id: Ids) -> Advance | None:
    """After downtime: which slots are missed; None where none are. Those that are to run are left to the timer."""
    if not job.is_scheduled or job.next_run_at is None or job.next_run_at > now:
        return None
    rows = SlotRows(job, now, node, new_id)
    schedule = schedule_of(job, calendars)
    due = DueSlots(job, schedule, days_off(job.timing, calendars), job.next_run_at, now, timedelta(0))
    decision = due.decide_after_downtime()
    if decision is None or decision.missed is None:
        return None
    return Advance(
        job_id=job.id,
        expected_version=job.version,
        next_run_at=following(schedule, decision.missed.last),
        last_scheduled_for=decision.missed.last,
        run=None,
        missed=rows.stretch(decision.missed, RunState.MISSED, decision.missed_because, ReasonCode.MISFIRE),
    )


def missed_stretch(
    job: Job,
    calendars: Calendars,
    *,
    now: datetime,
    node: UUID,
    new_id: Ids,
    reason: str,
    code: ReasonCode | None = None,
) -> Run | None:
    """The row for the job's slots that are due and not claimed, however many (law 11); None if there are none."""
    first = job.next_run_at
    if not job.is_scheduled or first is None or first > now:
        return None
    try:
        extent = extent_between(schedule_of(job, calendars), first, now)
    except InvalidSchedule:
        # What is stored cannot be read any more: the one slot that is known stands for them.
        extent = Extent(first, first, 1, is_exact=False)
    return SlotRows(job, now, node, new_id).stretch(extent, RunState.MISSED, reason, code)


def _advance(
    rows: SlotRows,
    schedule: Schedule,
    calendars: Calendars,
    decision: Decision,
    *,
    refusal: str | None,
    is_ahead: bool,
) -> Advance:
    def decided(slot: datetime) -> Run:
        run = rows.claimed(slot)
        day_off = _day_off(rows.job, schedule, calendars, slot)
        if day_off is not None:
            return run.skipped(day_off, at=rows.now, code=ReasonCode.DAY_OFF)
        return run if refusal is None else run.skipped(refusal, at=rows.now, code=ReasonCode.ORPHANED)

    missed, passed_over = decision.missed, decision.passed_over
    return Advance(
        job_id=rows.job.id,
        expected_version=rows.job.version,
        next_run_at=decision.next_run_at,
        last_scheduled_for=decision.last,
        run=None if decision.slot is None else decided(decision.slot),
        queued=tuple(_waiting(decided(slot)) for slot in decision.queued),
        missed=None
        if missed is None
        else rows.stretch(missed, RunState.MISSED, decision.missed_because, ReasonCode.MISFIRE),
        passed_over=None
        if passed_over is None
        else rows.stretch(passed_over, RunState.SKIPPED, decision.passed_over_because, ReasonCode.OVERLAP),
        is_ahead=is_ahead,
    )


def _waiting(run: Run) -> Run:
    is_refused = run.state is RunState.SKIPPED
    # Due since its slot, so that what waits for a place in the pool gets it in the order of the slots.
    at = run.scheduled_for
    return run if is_refused else run.queued("waits for the slots before it, which came due with it", at=at)


def _day_off(job: Job, schedule: Schedule, calendars: Calendars, slot: datetime) -> str | None:
    """Why the slot is skipped if it lies on a day off, and what becomes of it."""
    slot = origin(schedule, slot)
    name = excluding_calendar(job.timing, days_off(job.timing, calendars), slot)
    moving = mover(schedule)
    if name is None or moving is None:
        return None if name is None else day_off_reason(name)
    moved_to = moving.moved_to(slot)
    if moved_to is None:
        return day_off_reason(name, "not moved: no business day is near enough")
    if job.timing.end_at is not None and moved_to > job.timing.end_at:
        return day_off_reason(name, "not moved: end_at is before the next business day")
    return day_off_reason(name, f"moved to {moved_to:%Y-%m-%dT%H:%M:%SZ}")
