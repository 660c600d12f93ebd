"""What a request makes of a job: pure, so that an edit that loses to a claim can simply be made again."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from engine.calendars import Calendars
from engine.errors import InvalidStatus, JobChanged, UnknownFunction
from engine.nouns import Job, JobStatus, Pause
from engine.requests import JobChange, JobDraft
from engine.slots import first_slot, schedule_of
from registry import JobFunction

SETTABLE = frozenset({JobStatus.ACTIVE, JobStatus.PAUSED})

Known = Collection[datetime] | None
"""What a caller knows of a job that is to be as it was: it was updated last at one of these instants. None: nothing."""


def as_known(job: Job, known: Known) -> Job:
    """The job itself. Raises JobChanged if somebody has edited it since; that it has run is no edit."""
    if known is not None and job.updated_at not in known:
        raise JobChanged
    return job


def require_function(functions: Mapping[str, JobFunction], name: str) -> None:
    """Raises UnknownFunction if no function of this name is registered in this process."""
    if name not in functions:
        raise UnknownFunction(name)


def new_job(draft: JobDraft, calendars: Calendars, *, job_id: UUID, now: datetime) -> Job:
    """The job that a draft describes, with the calendars that it lists. Raises InvalidSchedule and InvalidStatus."""
    if draft.status not in SETTABLE:
        raise InvalidStatus(draft.status)
    job = Job(
        id=job_id,
        name=draft.name,
        function_name=draft.function_name,
        timing=draft.timing,
        metadata=draft.metadata,
        status=draft.status,
        anchor_at=now,
        next_run_at=None,
        created_at=now,
        updated_at=now,
        policies=draft.policies,
        pause=Pause(now) if draft.status is JobStatus.PAUSED else None,
        timing_since=now,
    )
    return _due(job, calendars, now)


def replaced(job: Job, draft: JobDraft, calendars: Calendars, *, now: datetime) -> Job:
    """The job with everything as in the draft, but its id and its history."""
    described = replace(
        job,
        name=draft.name,
        function_name=draft.function_name,
        timing=draft.timing,
        metadata=draft.metadata,
        policies=draft.policies,
    )
    is_repeated = job.status is JobStatus.COMPLETED and described.timing == job.timing
    # A client that repeats its PUT must not be told, once the job has run out, that it would never run.
    requested = job.status if is_repeated and draft.status is JobStatus.ACTIVE else draft.status
    return _settled(job, described, calendars, requested=requested, now=now)


def changed(job: Job, change: JobChange, calendars: Calendars, *, now: datetime) -> Job:
    """The job with the named fields changed; naming one kind of schedule clears the others."""
    described = replace(
        job,
        name=job.name if change.name is None else change.name,
        function_name=job.function_name if change.function_name is None else change.function_name,
        timing=job.timing.with_changes(change.timing),
        metadata=job.metadata if change.metadata is None else change.metadata,
        policies=job.policies.with_changes(change.policies),
    )
    return _settled(job, described, calendars, requested=change.status, now=now)


def resumed(job: Job, calendars: Calendars, *, now: datetime, catch_up: bool) -> Job:
    """The job active again, from its next slot on; with `catch_up` from the first one that its pause held back.

    Raises InvalidSchedule if it has no slot left.
    """
    if not catch_up or job.pause is None:
        return changed(job, JobChange(status=JobStatus.ACTIVE), calendars, now=now)
    active = replace(job, status=JobStatus.ACTIVE, pause=None, version=job.version + 1, updated_at=now)
    return _due(active, calendars, job.pause.at)


def _settled(job: Job, described: Job, calendars: Calendars, *, requested: JobStatus | None, now: datetime) -> Job:
    """The new version: status, grid and next slot follow from what changed."""
    # Another jitter counts from the next slot on: the one that is to come has been spread already.
    has_new_schedule = job.timing.without_jitter() != described.timing.without_jitter()
    status = _status(job, requested, has_new_schedule=has_new_schedule)
    # The grid moves only when the interval does: a client that repeats its PUT must not put off the next slot for ever.
    anchor_at = now if job.timing.interval_seconds != described.timing.interval_seconds else job.anchor_at
    pause = (job.pause or Pause(now)) if status is JobStatus.PAUSED else None
    edited = replace(
        described,
        status=status,
        pause=pause,
        anchor_at=anchor_at,
        timing_since=job.timing_since if job.timing == described.timing else now,
        version=job.version + 1,
        updated_at=now,
    )
    if has_new_schedule:
        return _due(edited, calendars, now)
    if status is JobStatus.PAUSED:
        # Not read: also a job whose stored schedule cannot be read any more can be paused.
        return replace(edited, next_run_at=None)
    if job.is_scheduled and edited.is_scheduled:
        # A slot that is due and not claimed yet stays due.
        return edited
    return _due(edited, calendars, now)


def _status(job: Job, requested: JobStatus | None, *, has_new_schedule: bool) -> JobStatus:
    if requested is None:
        return JobStatus.ACTIVE if job.status is JobStatus.COMPLETED and has_new_schedule else job.status
    if requested not in SETTABLE and requested is not job.status:
        raise InvalidStatus(requested)
    if requested is JobStatus.COMPLETED and has_new_schedule:
        # Sent back as it was read, along with a schedule that may have slots left.
        return JobStatus.ACTIVE
    return requested


def _due(job: Job, calendars: Calendars, now: datetime) -> Job:
    """The job with its first slot after now; also for a paused one the schedule must have a slot left."""
    if job.status is JobStatus.COMPLETED:
        return replace(job, next_run_at=None)
    # Not before a slot that was claimed already: the wall clock may have been set back since (DESIGN, Time).
    after = max(now, job.last_scheduled_for or now)
    slot = first_slot(job, calendars, after=after)
    return replace(job, next_run_at=None if job.status is JobStatus.PAUSED else slot)


def rescheduled(job: Job, calendars: Calendars, *, not_before: datetime | None = None) -> Job:
    """The job with its next slot looked up again, after a calendar or the tz database has changed; itself if that fits.

    Looked for after the last slot that was claimed or the last edit, whichever is later, as it was the first time; so
    what is due and not claimed stays due if it still is a slot. `not_before` leaves alone what is due by then.
    """
    after = max(known for known in (job.updated_at, job.last_scheduled_for, not_before) if known is not None)
    if not job.is_scheduled or job.next_run_at is None or job.next_run_at <= after:
        return job
    slot = schedule_of(job, calendars).next_after(after)
    if slot == job.next_run_at:
        return job
    status = JobStatus.COMPLETED if slot is None else job.status
    return replace(job, next_run_at=slot, status=status, version=job.version + 1)
