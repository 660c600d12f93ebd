"""Reading the evidence: the job, its schedule, and what is on record around an instant."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from engine.calendars import Calendars
from engine.errors import InvalidSchedule, JobNotFound
from engine.nouns import Job
from engine.ports import Clock, Store
from engine.reading import named_calendars, read_jobs
from engine.schedule import MICROSECOND, Schedule
from engine.slots import schedule_of
from engine.why.explaining import explain
from engine.why.values import Evidence, Explanation, Moment

ONE_SECOND = timedelta(seconds=1)
# At the ends of time there is no instant before, or after, and no local time; nothing else differs there from here.
_EARLIEST = datetime(1, 1, 8, tzinfo=UTC)
_LATEST = datetime(9999, 12, 24, tzinfo=UTC)
_END_OF_HISTORY = (datetime.max.replace(tzinfo=UTC), UUID(int=0))


class Why:
    """Says what became of a slot. May be used from any thread; reads some ten rows, however long the history is."""

    def __init__(self, *, store: Store, clock: Clock, node: UUID) -> None:
        self._store = store
        self._clock = clock
        self._node = node

    def of_job(self, job_id: UUID, *, at: datetime) -> Explanation:
        """What became of the instant `at`, in UTC, for a job that may be deleted. Raises JobNotFound.

        An `at` of a whole second means that second, and in it the slot on record or else the first slot.
        """
        jobs, unreadable = read_jobs(self._store, [job_id])
        job = jobs.get(job_id)
        if job is None and job_id not in unreadable:
            self._require_history(job_id)
        evidence = self._evidence(job_id, job, _moment(min(max(at, _EARLIEST), _LATEST)))
        if job_id in unreadable:
            evidence = replace(evidence, unreadable=str(unreadable[job_id]))
        return replace(explain(evidence), at=at)

    def _evidence(self, job_id: UUID, job: Job | None, moment: Moment) -> Evidence:
        schedule, since, error = self._schedule(job)
        if schedule is not None and since is not None:
            moment = replace(moment, slot=_slot_in(schedule, moment, after=since))
        around = self._store.runs_around(job_id, first=moment.at, end=moment.end)
        return Evidence(
            moment=moment,
            now=self._clock.now(),
            node=self._node,
            job=job,
            schedule=schedule,
            schedule_since=since,
            around=around,
            pauses=tuple(self._store.pauses_over(job_id, at=moment.instant)),
            uptimes=tuple(self._store.uptimes(around=moment.instant)),
            unreadable=error,
        )

    def _schedule(self, job: Job | None) -> tuple[Schedule | None, datetime | None, str | None]:
        """The job's schedule, since when it has been that, and why it cannot be read."""
        if job is None:
            return None, None, None
        try:
            calendars = named_calendars(self._store, job.timing.exclude_calendars)
            return schedule_of(job, calendars), _since(job, calendars), None
        except InvalidSchedule as error:
            return None, None, str(error)

    def _require_history(self, job_id: UUID) -> None:
        if not self._store.history_page(job_id=job_id, until=_END_OF_HISTORY, after=None, limit=1):
            raise JobNotFound


def _moment(at: datetime) -> Moment:
    return Moment(at, at + (MICROSECOND if at.microsecond else ONE_SECOND))


def _slot_in(schedule: Schedule, moment: Moment, *, after: datetime) -> datetime | None:
    """The first slot of the moment after an instant, up to which there was another schedule."""
    if moment.end <= after:
        return None
    if moment.at > after and schedule.latest_until(moment.at) == moment.at:
        return moment.at
    slot = schedule.next_after(max(moment.at, after))
    return slot if slot is not None and slot < moment.end else None


def _since(job: Job, calendars: Calendars) -> datetime:
    """From when on the slots of the job have been those of its schedule."""
    # What an earlier release edited last is not known better than by its last edit of any kind.
    edited_at = max(job.created_at, job.timing_since or job.updated_at)
    if not job.timing.moves_slots:
        return edited_at
    changed_at = [calendars[name].updated_at for name in job.timing.exclude_calendars]
    return max([edited_at, *changed_at])
