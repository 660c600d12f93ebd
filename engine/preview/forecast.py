"""What schedules will do: previews of unsaved ones, of jobs, and of what a request would make of a job."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from engine.calendars import Calendars, DaysOff, days_off
from engine.cron import NO_JOB, CronSchedule
from engine.edits import changed, new_job, replaced, require_function
from engine.limits import DEFAULT_PREVIEWED_SLOTS
from engine.metadata import require_fitting, require_fitting_change
from engine.nouns import Job, JobStatus
from engine.ports import Clock, Store
from engine.preview.description import describe
from engine.preview.lint import lint
from engine.preview.values import DstNote, Preview, PreviewedSlot, ScheduleWarning
from engine.reading import existing_job, named_calendars
from engine.requests import JobChange, JobDraft
from engine.schedule import MICROSECOND, Schedule
from engine.slots import basic_schedule, excluding_calendar, mover, origin, schedule_from
from engine.timing import Timing
from engine.zones import local
from registry import JobFunction


@dataclass(frozen=True, slots=True)
class Outlook:
    """What there is to look at: a timing, where its grid begins, from when on, and how many runs are left."""

    timing: Timing
    anchor_at: datetime
    after: datetime
    job_id: UUID | None
    runs_left: int | None
    is_over: bool = False


class Forecast:
    """Looks ahead, and changes nothing. May be used from any thread; every verb may raise StoreUnavailable."""

    def __init__(self, *, store: Store, clock: Clock, functions: Mapping[str, JobFunction]) -> None:
        self._store = store
        self._clock = clock
        self._functions = functions
        # Looking ahead is all computation: two at once would keep the interpreter from the timer thread.
        self._one_at_a_time = threading.Lock()

    def of_timing(self, timing: Timing, *, after: datetime | None, count: int, job_id: UUID | None = None) -> Preview:
        """Of an unsaved schedule, as of a job that is created at `after` (now, if None). Raises InvalidSchedule.

        One that can be read but never fires is no error here: the warnings say so.
        """
        after = after or self._clock.now()
        return self._preview(Outlook(timing, after, after, job_id, timing.max_runs), count=count)

    def of_job(self, job_id: UUID, *, count: int) -> Preview:
        """Of a job from its next slot on; of a paused one as if it were resumed now. Raises JobNotFound."""
        return self._of(existing_job(self._store, job_id), count=count)

    def of_creation(self, draft: JobDraft) -> Preview:
        """Of the job that the draft would make. Raises what creating it would raise."""
        require_function(self._functions, draft.function_name)
        require_fitting(self._functions, draft.function_name, draft.metadata)
        # The id that the job would get is not known.
        job = new_job(draft, self._calendars(draft.timing), job_id=NO_JOB, now=self._clock.now())
        return self._of(job, count=DEFAULT_PREVIEWED_SLOTS, has_id=False)

    def of_replacement(self, job_id: UUID, draft: JobDraft) -> Preview:
        """Of what replacing the job would make of it. Raises what replacing it would raise."""
        require_function(self._functions, draft.function_name)
        require_fitting(self._functions, draft.function_name, draft.metadata)
        job = existing_job(self._store, job_id)
        edited = replaced(job, draft, self._calendars(draft.timing), now=self._clock.now())
        return self._of(edited, count=DEFAULT_PREVIEWED_SLOTS)

    def of_change(self, job_id: UUID, change: JobChange) -> Preview:
        """Of what changing the job would make of it. Raises what changing it would raise."""
        if change.function_name is not None:
            require_function(self._functions, change.function_name)
        job = existing_job(self._store, job_id)
        timing = job.timing.with_changes(change.timing)
        edited = changed(job, change, self._calendars(timing), now=self._clock.now())
        require_fitting_change(self._functions, job, edited)
        return self._of(edited, count=DEFAULT_PREVIEWED_SLOTS)

    def _of(self, job: Job, *, count: int, has_id: bool = True) -> Preview:
        now = max(self._clock.now(), job.last_scheduled_for or self._clock.now())
        runs_left = None if job.timing.max_runs is None else max(job.timing.max_runs - job.run_count, 0)
        outlook = Outlook(
            timing=job.timing,
            anchor_at=job.anchor_at,
            after=now if job.next_run_at is None else job.next_run_at - MICROSECOND,
            job_id=job.id if has_id else None,
            runs_left=runs_left,
            is_over=job.status is JobStatus.COMPLETED,
        )
        preview = self._preview(outlook, count=count)
        standing = {
            JobStatus.COMPLETED: "the job is completed: it has no slot until its schedule is edited",
            JobStatus.PAUSED: "the job is paused: these slots come to pass only if it is resumed before them",
        }.get(job.status)
        if standing is None:
            return preview
        # What the schedule would do otherwise is beside the point of a job that is over.
        others = () if outlook.is_over else preview.warnings
        return replace(preview, warnings=(ScheduleWarning(job.status.value, standing), *others))

    def _preview(self, outlook: Outlook, *, count: int) -> Preview:
        calendars = self._calendars(outlook.timing)
        with self._one_at_a_time:
            return look_ahead(outlook, calendars, count=count)

    def _calendars(self, timing: Timing) -> Calendars:
        return named_calendars(self._store, timing.exclude_calendars)


def look_ahead(outlook: Outlook, calendars: Calendars, *, count: int) -> Preview:
    """The preview of what there is to look at, with the calendars that its timing lists. Raises InvalidSchedule."""
    timing = outlook.timing
    off = days_off(timing, calendars)
    basic = basic_schedule(timing, anchor_at=outlook.anchor_at, job_id=outlook.job_id)
    schedule = schedule_from(timing, calendars, anchor_at=outlook.anchor_at, job_id=outlook.job_id)
    expression = basic.expression if isinstance(basic, CronSchedule) else None
    warnings = lint(
        timing,
        schedule=schedule,
        expression=expression,
        after=outlook.after,
        off=off,
        has_job_id=outlook.job_id is not None,
    )
    slots = () if outlook.is_over else tuple(_slots(outlook, schedule, basic, off, count=count))
    return Preview(slots, describe(timing, expression=expression), tuple(warnings))


def _slots(
    outlook: Outlook, schedule: Schedule, basic: Schedule, off: DaysOff, *, count: int
) -> Iterator[PreviewedSlot]:
    """The next slots, until there are `count`, no slot is left, or the last run has its slot."""
    runs_left, at = outlook.runs_left, schedule.next_after(outlook.after)
    for _ in range(count):
        if at is None or runs_left == 0:
            return
        slot = _slot(at, outlook.timing, schedule, basic, off)
        yield slot
        if runs_left is not None and slot.excluded_by is None:
            runs_left -= 1
        at = schedule.next_after(at)


def _slot(at: datetime, timing: Timing, schedule: Schedule, basic: Schedule, off: DaysOff) -> PreviewedSlot:
    moment, moving = local(at, timing.timezone), mover(schedule)
    unspread = origin(schedule, at)
    return PreviewedSlot(
        at=at,
        local=moment,
        dst=_note(moment, unspread, basic),
        excluded_by=excluding_calendar(timing, off, unspread),
        moved_from=moving.moved_from(unspread) if moving is not None else None,
    )


def _note(moment: datetime, unspread: datetime, basic: Schedule) -> DstNote | None:
    if moment.utcoffset() != moment.replace(fold=1 - moment.fold).utcoffset():
        return DstNote.SECOND_PASS if moment.fold else DstNote.FIRST_PASS
    if isinstance(basic, CronSchedule) and basic.is_after_gap(unspread):
        return DstNote.AFTER_GAP
    return None
