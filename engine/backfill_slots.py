"""Which slots a backfill runs: the job's schedule as it is now, applied to what is past. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from engine.calendars import Calendars, DaysOff, days_off
from engine.errors import BackfillTooLarge, InvalidBackfill
from engine.limits import MAX_BACKFILL_SLOTS, MAX_BACKFILL_SLOTS_SEEN
from engine.nouns import Job
from engine.schedule import MICROSECOND, Schedule, slots_between
from engine.slots import excluding_calendar, origin, schedule_from
from engine.timing import Timing

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""Before this time zones are guesswork, and no job has anything to make up for."""


@dataclass(frozen=True, slots=True)
class BackfillSlots:
    """The slots that run, in their order, and how many days off leave out."""

    slots: tuple[datetime, ...]
    excluded_count: int


def require_past(from_at: datetime, to_at: datetime, *, now: datetime) -> None:
    """Raises InvalidBackfill for a range that is none, or that is not past."""
    if from_at > to_at:
        raise InvalidBackfill(
            "to", f"to is {_text(to_at)}, before from, {_text(from_at)}: an instant after it is wanted"
        )
    if to_at > now:
        raise InvalidBackfill(
            "to",
            f"to is {_text(to_at)}, after now, {_text(now)}: a backfill is for what is past",
        )
    if from_at < EARLIEST:
        raise InvalidBackfill("from", f"from is {_text(from_at)}: an instant from {_text(EARLIEST)} on is wanted")


def slots_to_backfill(job: Job, calendars: Calendars, *, from_at: datetime, to_at: datetime) -> BackfillSlots:
    """The slots from the one instant to the other, both included. Raises InvalidSchedule, BackfillTooLarge.

    An interval's grid goes back beyond the job's creation, as an expression does; `start_at` and `end_at` bound both.
    """
    timing = job.timing
    schedule = schedule_from(timing, calendars, anchor_at=_anchor_before(job, from_at), job_id=job.id)
    off = days_off(timing, calendars)
    _require_listable(schedule, off, from_at, to_at)
    seen = list(slots_between(schedule, from_at, to_at, at_most=MAX_BACKFILL_SLOTS_SEEN + 1))
    to_run = tuple(slot for slot in seen if not _is_off(slot, timing, schedule, off))
    if len(to_run) > MAX_BACKFILL_SLOTS or len(seen) > MAX_BACKFILL_SLOTS_SEEN:
        is_exact = len(seen) <= MAX_BACKFILL_SLOTS_SEEN
        raise BackfillTooLarge(len(to_run), is_exact=is_exact, limit=MAX_BACKFILL_SLOTS)
    return BackfillSlots(to_run, len(seen) - len(to_run))


def _require_listable(schedule: Schedule, off: DaysOff, from_at: datetime, to_at: datetime) -> None:
    """Refuse by arithmetic what nobody should list."""
    first, last = schedule.next_after(from_at - MICROSECOND), schedule.latest_until(to_at)
    if first is None or last is None or first > last:
        return
    count, is_exact = schedule.count_between(first, last)
    if count > MAX_BACKFILL_SLOTS_SEEN:
        has_days_off = bool(off.calendars)
        raise BackfillTooLarge(count, is_exact=is_exact, limit=MAX_BACKFILL_SLOTS, has_days_off=has_days_off)


def _is_off(slot: datetime, timing: Timing, schedule: Schedule, off: DaysOff) -> bool:
    return excluding_calendar(timing, off, origin(schedule, slot)) is not None


def _anchor_before(job: Job, instant: datetime) -> datetime:
    """A zero of the job's grid whose first slot lies at or before the instant; a schedule by other means needs none."""
    seconds = job.timing.interval_seconds
    if seconds is None or instant > job.anchor_at:
        return job.anchor_at
    step = max(round(seconds * 1_000_000), 1)
    steps = (job.anchor_at - instant) // MICROSECOND // step + 1
    try:
        return job.anchor_at - timedelta(microseconds=steps * step)
    except OverflowError:
        # An interval of millennia: no slot of it but the zero itself can be past.
        return job.anchor_at


def _text(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
