"""The slots of a job: what its timing says, put together from the parts that each say one thing."""

from datetime import datetime
from uuid import UUID

from engine.business_days import NextBusinessDay
from engine.calendars import Calendars, DaysOff, days_off
from engine.cron import NO_JOB, CronSchedule, cron_schedule, parse_cron
from engine.cron.days import DayRule
from engine.errors import InvalidSchedule
from engine.jitter import Jitter
from engine.limits import MAX_DAYS_OFF_IN_A_ROW
from engine.nouns import Job
from engine.schedule import MICROSECOND, DateSchedule, Schedule, Window, interval_schedule
from engine.timing import KINDS, Timing
from engine.zones import local, require_zone, start_of_day


def schedule_of(job: Job, calendars: Calendars) -> Schedule:
    """The job's schedule; raises InvalidSchedule if what is stored cannot be read (any more)."""
    return schedule_from(job.timing, calendars, anchor_at=job.anchor_at, job_id=job.id)


def schedule_from(timing: Timing, calendars: Calendars, *, anchor_at: datetime, job_id: UUID | None) -> Schedule:
    """The schedule that a timing describes. Raises InvalidSchedule with the name of the field that is at fault.

    `anchor_at` is the zero of an interval's grid where there is no `start_at`; `job_id` spreads H and jitter. With
    `calendars` come at least those that the timing lists.
    """
    schedule: Schedule = basic_schedule(timing, anchor_at=anchor_at, job_id=job_id)
    if timing.start_at is not None or timing.end_at is not None:
        schedule = _window(schedule, timing)
    off = days_off(timing, calendars)
    if timing.moves_slots:
        schedule = NextBusinessDay(schedule, off, timing.timezone)
        schedule = schedule if timing.end_at is None else Window(schedule, None, timing.end_at)
    if timing.jitter_seconds:
        # Last: calendars go by the slot itself, and not by where chance puts it.
        schedule = Jitter(schedule, timing.jitter_seconds, job_id or NO_JOB, timing.end_at)
    return schedule


def basic_schedule(timing: Timing, *, anchor_at: datetime, job_id: UUID | None) -> CronSchedule | Schedule:
    """The timing's one kind of schedule, without window, jitter and calendars. Raises InvalidSchedule."""
    require_zone(timing.timezone)
    if len(timing.kinds) > 1:
        raise InvalidSchedule(
            KINDS[0], f"exactly one of {', '.join(KINDS)} is wanted, not {' and '.join(timing.kinds)}"
        )
    if timing.cron_expression is not None:
        return cron_schedule(
            timing.cron_expression,
            timezone=timing.timezone,
            dst_gap=timing.dst_gap,
            dst_overlap=timing.dst_overlap,
            job_id=job_id,
        )
    if timing.interval_seconds is not None:
        return interval_schedule(timing.interval_seconds, anchor_at=anchor_at, start_at=timing.start_at)
    if timing.run_at is not None:
        return DateSchedule(timing.run_at)
    raise InvalidSchedule(KINDS[0], f"exactly one of {', '.join(KINDS)} is wanted, not none of them")


def first_slot(job: Job, calendars: Calendars, *, after: datetime) -> datetime:
    """The job's first slot after the instant. Raises InvalidSchedule if there is none, also for want of runs."""
    schedule = schedule_of(job, calendars)
    max_runs = job.timing.max_runs
    if max_runs is not None and job.run_count >= max_runs:
        raise InvalidSchedule("max_runs", f"max_runs is {max_runs}, and the job has run {job.run_count} times already")
    slot = schedule.next_after(after)
    had = job.last_scheduled_for
    if slot is not None and had is not None and origin(schedule, slot) <= origin(schedule, had):
        # Had already, by another jitter.
        slot = following(schedule, had)
    if slot is None:
        raise InvalidSchedule(_field_at_fault(job.timing, after), why_never(job.timing, after))
    return slot


def why_never(timing: Timing, after: datetime) -> str:
    """Why a timing that was read has no slot after the instant."""
    since = f"{after:%Y-%m-%dT%H:%M:%SZ}"
    kind = timing.kinds[0]
    if timing.run_at is not None and timing.run_at <= after:
        return f"run_at is {timing.run_at:%Y-%m-%dT%H:%M:%SZ}, which is past at {since}: it would never run"
    if timing.end_at is not None and timing.end_at <= after:
        return f"end_at is {timing.end_at:%Y-%m-%dT%H:%M:%SZ}, which is past at {since}: it would never run"
    if timing.cron_expression is not None and not parse_cron(timing.cron_expression).days.exist():
        return f"cron_expression {_impossible_date(parse_cron(timing.cron_expression).days)}: it would never run"
    if timing.start_at is None and timing.end_at is None:
        return f"{kind} names no instant after {since}: it would never run"
    return f"{kind} names no instant after {since} that lies between start_at and end_at: it would never run"


def excluding_calendar(timing: Timing, off: DaysOff, slot: datetime) -> str | None:
    """The name of the calendar because of which the slot is skipped; None if it is not."""
    calendar = off.excluding(local(slot, timing.timezone).date()) if off.calendars else None
    return None if calendar is None else calendar.name


def latest_to_run(timing: Timing, schedule: Schedule, off: DaysOff, first: datetime, now: datetime) -> datetime:
    """The latest slot from `first` to `now` that lies on no day off; the latest of all if each of them does."""
    latest = slot = max(schedule.latest_until(now) or first, first)
    for _ in range(MAX_DAYS_OFF_IN_A_ROW):
        day = local(origin(schedule, slot), timing.timezone).date()
        if off.excluding(day) is None:
            return slot
        before = schedule.latest_until(start_of_day(day, timing.timezone) - MICROSECOND)
        if before is None or before < first:
            return latest
        slot = before
    return latest


def origin(schedule: Schedule, slot: datetime) -> datetime:
    """The slot as it is without jitter, which calendars go by."""
    return schedule.origin(slot) if isinstance(schedule, Jitter) else slot


def following(schedule: Schedule, slot: datetime) -> datetime | None:
    """The slot after this one, which an earlier version of the job may have spread by another jitter."""
    return schedule.following(slot) if isinstance(schedule, Jitter) else schedule.next_after(slot)


def mover(schedule: Schedule) -> NextBusinessDay | None:
    """The part of a schedule that moves slots from days off; None if it has none. It knows slots without jitter."""
    if isinstance(schedule, Jitter):
        schedule = schedule.schedule
    if isinstance(schedule, Window):
        schedule = schedule.schedule
    return schedule if isinstance(schedule, NextBusinessDay) else None


def _impossible_date(days: DayRule) -> str:
    """What the fields are that no date fits."""
    fields = [days.day_of_month, days.month, days.day_of_week]
    shown = [f'"{each.text}" in its {each.field.name} field' for each in fields if not each.is_full]
    too_late = days.day_of_month.has_only_numbers and min(days.day_of_month.values) > days.longest_month
    most = f", as no month that it names has more than {days.longest_month} days" if too_late else ""
    return f"has {' and '.join(shown)}: there is no such date{most}"


def _window(schedule: Schedule, timing: Timing) -> Window:
    start_at, end_at = timing.start_at, timing.end_at
    if start_at is not None and end_at is not None and start_at > end_at:
        raise InvalidSchedule("end_at", "end_at is before start_at: the end of the window after its start is wanted")
    return Window(schedule, start_at, end_at)


def _field_at_fault(timing: Timing, after: datetime) -> str:
    is_past = timing.end_at is not None and timing.end_at <= after and timing.run_at is None
    return "end_at" if is_past else timing.kinds[0]
