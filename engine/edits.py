"""What a request makes of a job: pure, so that an edit that loses to a claim can simply be made again."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from engine.errors import InvalidStatus
from engine.nouns import Job, JobStatus
from engine.planning import schedule_of
from engine.requests import JobChange, JobDraft
from engine.schedule import first_slot

SETTABLE = frozenset({JobStatus.ACTIVE, JobStatus.PAUSED})


def new_job(draft: JobDraft, *, job_id: UUID, now: datetime) -> Job:
    """The job that a draft describes. Raises InvalidSchedule and InvalidStatus."""
    if draft.status not in SETTABLE:
        raise InvalidStatus(draft.status)
    job = Job(
        id=job_id,
        name=draft.name,
        function_name=draft.function_name,
        interval_seconds=draft.interval_seconds,
        cron_expression=draft.cron_expression,
        metadata=draft.metadata,
        status=draft.status,
        anchor_at=now,
        next_run_at=None,
        created_at=now,
        updated_at=now,
    )
    return _due(job, now)


def replaced(job: Job, draft: JobDraft, *, now: datetime) -> Job:
    """The job with everything as in the draft, but its id and its history."""
    described = replace(
        job,
        name=draft.name,
        function_name=draft.function_name,
        interval_seconds=draft.interval_seconds,
        cron_expression=draft.cron_expression,
        metadata=draft.metadata,
    )
    return _settled(job, described, requested=draft.status, now=now)


def changed(job: Job, change: JobChange, *, now: datetime) -> Job:
    """The job with the named fields changed; naming one kind of schedule clears the other."""
    has_schedule = change.interval_seconds is not None or change.cron_expression is not None
    described = replace(
        job,
        name=job.name if change.name is None else change.name,
        function_name=job.function_name if change.function_name is None else change.function_name,
        interval_seconds=change.interval_seconds if has_schedule else job.interval_seconds,
        cron_expression=change.cron_expression if has_schedule else job.cron_expression,
        metadata=job.metadata if change.metadata is None else change.metadata,
    )
    return _settled(job, described, requested=change.status, now=now)


def _settled(job: Job, described: Job, *, requested: JobStatus | None, now: datetime) -> Job:
    """The new version: status, grid and next slot follow from what changed."""
    has_new_schedule = _schedule_fields(job) != _schedule_fields(described)
    status = _status(job, requested, has_new_schedule=has_new_schedule)
    # The grid moves only when the interval does: a client that repeats its PUT must not put off the next slot for ever.
    anchor_at = now if job.interval_seconds != described.interval_seconds else job.anchor_at
    edited = replace(described, status=status, anchor_at=anchor_at, version=job.version + 1, updated_at=now)
    if has_new_schedule:
        return _due(edited, now)
    if status is JobStatus.PAUSED:
        # Not read: also a job whose stored schedule cannot be read any more can be paused.
        return replace(edited, next_run_at=None)
    if job.is_scheduled and edited.is_scheduled:
        # A slot that is due and not claimed yet stays due.
        return edited
    return _due(edited, now)


def _status(job: Job, requested: JobStatus | None, *, has_new_schedule: bool) -> JobStatus:
    if requested is None:
        return JobStatus.ACTIVE if job.status is JobStatus.COMPLETED and has_new_schedule else job.status
    if requested not in SETTABLE and requested is not job.status:
        raise InvalidStatus(requested)
    if requested is JobStatus.COMPLETED and has_new_schedule:
        # Sent back as it was read, along with a schedule that may have slots left.
        return JobStatus.ACTIVE
    return requested


def _due(job: Job, now: datetime) -> Job:
    """The job with its first slot after now; also for a paused one the schedule must have a slot left."""
    if job.status is JobStatus.COMPLETED:
        return replace(job, next_run_at=None)
    field = "interval_seconds" if job.cron_expression is None else "cron_expression"
    # Not before a slot that was claimed already: the wall clock may have been set back since (DESIGN, Time).
    after = max(now, job.last_scheduled_for or now)
    slot = first_slot(schedule_of(job), field=field, after=after)
    return replace(job, next_run_at=None if job.status is JobStatus.PAUSED else slot)


def _schedule_fields(job: Job) -> tuple[float | None, str | None]:
    return job.interval_seconds, job.cron_expression
