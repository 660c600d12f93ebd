"""Changing jobs: read, decide, write, and then tell heap and gate, each in that order and once (law 4)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import structlog

from engine.agenda import Agenda
from engine.ahead_claims import AheadClaims
from engine.calendars import Calendars
from engine.dispatcher import hint_of, log_passed_over
from engine.edits import Known, as_known, rescheduled
from engine.errors import JobChanged, JobNotFound, StoreUnavailable
from engine.gate import StartGate
from engine.limits import MAX_DELETION_TRIES, MAX_EDIT_TRIES
from engine.nouns import Dropping, EndedPause, Job, JobStatus, Run
from engine.planning import missed_stretch
from engine.ports import Clock, Ids, Store
from engine.reading import existing_job, named_calendars, overdue_jobs, read_jobs
from engine.reason_codes import ReasonCode
from engine.timing import Timing

log = structlog.get_logger("scheduler.engine")

Edit = Callable[[Job, datetime], Job]


class Editor:
    """Makes edits that may lose to a claim, and then are made again. May be used from any thread."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        agenda: Agenda,
        gate: StartGate,
        ahead_claims: AheadClaims,
        node: UUID,
        new_id: Ids,
    ) -> None:
        self._store = store
        self._clock = clock
        self._agenda = agenda
        self._gate = gate
        self._ahead_claims = ahead_claims
        self._node = node
        self._new_id = new_id

    def add(self, job: Job) -> None:
        """Keep and schedule a new job. Raises UnknownCalendar and StoreUnavailable."""
        try:
            self._store.add_job(job)
        except StoreUnavailable:
            self._agenda.hasten(job.id)
            raise
        self._wake(job)

    def add_together(self, jobs: Sequence[Job]) -> None:
        """The same for several that list no calendars, all of them or none. Raises StoreUnavailable."""
        try:
            self._store.add_jobs(jobs)
        except StoreUnavailable:
            for job in jobs:
                self._agenda.hasten(job.id)
            raise
        for job in jobs:
            self._wake(job)

    def edit(self, job_id: UUID, edit: Edit, *, event: str) -> Job:
        """Write what `edit` makes of the job, and log `event`. Raises JobNotFound, StoreUnavailable, what edit does."""
        for _ in range(MAX_EDIT_TRIES):
            job = self.settled(job_id)
            now = self._clock.now()
            edited = edit(job, now)
            if edited is job:
                # Nothing to write; but whoever wrote it may not have told the gate yet, and we are about to answer.
                self._wake(job, is_pausing=job.status is JobStatus.PAUSED)
                return job
            written = self._write(job, edited, now)
            if written is not None:
                self._wake(written, is_pausing=written.status is JobStatus.PAUSED and written.status is not job.status)
                is_resumed = job.status is JobStatus.PAUSED and written.status is not JobStatus.PAUSED
                if is_resumed or written.policies != job.policies:
                    self._wake_waiting(job_id)
                log.info(event, job_id=str(job_id), status=written.status.value)
                return written
        raise StoreUnavailable(f"job {job_id} was changed by others {MAX_EDIT_TRIES} times in a row")

    def take_back_claims(self) -> None:
        """Undo what is claimed here of slots that are still to come, if the database answers."""
        try:
            self._ahead_claims.take_back()
        except StoreUnavailable as error:
            log.warning("claims not taken back", error=str(error))

    def settled(self, job_id: UUID) -> Job:
        """The job, of which no slot is claimed that is still to come. Raises JobNotFound and StoreUnavailable."""
        while True:
            self._ahead_claims.take_back(job_id)
            job = existing_job(self._store, job_id)
            if not self._ahead_claims.await_others(job):
                return job

    def delete(self, job_id: UUID, *, known: Known = None) -> None:
        """Delete the job: once this returns, no run of it starts. Raises JobNotFound, JobChanged, StoreUnavailable."""
        for _ in range(MAX_EDIT_TRIES):
            self._ahead_claims.take_back(job_id)
            job = self._deletable(job_id)
            at_version = None if known is None else self._known_version(job, known)
            dropping = self._dropping(job)
            try:
                is_deleted = self._store.delete_job(
                    job_id, at=self._clock.now(), dropping=dropping, at_version=at_version
                )
            except StoreUnavailable:
                self._agenda.hasten(job_id)
                raise
            if is_deleted:
                self._forget(job_id)
                self._ahead_claims.outlast()
                log_passed_over(None if dropping is None else dropping.run)
                log.info("job deleted", job_id=str(job_id))
                return
        raise StoreUnavailable(f"job {job_id} was changed by others {MAX_EDIT_TRIES} times in a row")

    def delete_all(self) -> int:
        """Delete every job; returns how many there were."""
        self._ahead_claims.take_back()
        # Of these, one may be deleted already by a request that has not come to tell the gate; all will be.
        claimed = self._gate.job_ids()
        deleted = self._delete_all()
        for job_id in claimed.union(deleted):
            self._forget(job_id)
        self._ahead_claims.outlast()
        log.info("all jobs deleted", jobs=len(deleted))
        return len(deleted)

    def _delete_all(self) -> list[UUID]:
        for _ in range(MAX_DELETION_TRIES):
            now = self._clock.now()
            deleted = self._store.delete_all_jobs(at=now, droppings=self._droppings(now), may_be_silent=False)
            if deleted is not None:
                return deleted
        # Of a job that cannot be read there is no row, however often it is tried.
        now = self._clock.now()
        return self._store.delete_all_jobs(at=now, droppings=self._droppings(now)) or []

    def reschedule(self, job_id: UUID) -> None:
        """Look up the job's next slot again, because a calendar that it lists has changed. Raises JobNotFound."""

        def edit(job: Job, now: datetime) -> Job:
            found = rescheduled(job, self.calendars_of(job.timing), not_before=now)
            # Also where nothing moves, a new version: a claim that is planned already goes by the calendar as it was.
            is_due = job.next_run_at is not None and job.next_run_at <= now
            is_in_doubt = found is job and job.is_scheduled and (job.timing.moves_slots or is_due)
            return replace(job, version=job.version + 1) if is_in_doubt else found

        self.edit(job_id, edit, event="job rescheduled")

    def checked_against_calendars(self, job: Job) -> Job:
        """Read the calendars once more: one may have changed since it was read for this job and before the commit, and
        who changed it did not know yet that the job lists it."""
        if not job.timing.moves_slots:
            return job

        def edit(job: Job, now: datetime) -> Job:
            return rescheduled(job, self.calendars_of(job.timing), not_before=now)

        try:
            return self.edit(job.id, edit, event="job rescheduled")
        except (StoreUnavailable, JobNotFound) as error:
            # The job is written, and must not be refused for that; the next claim, or the next start, reads them again.
            log.warning("calendars not read again", job_id=str(job.id), error=str(error))
            return job

    def calendars_of(self, timing: Timing) -> Calendars:
        """The calendars that the timing lists."""
        return named_calendars(self._store, timing.exclude_calendars)

    def missed(self, job: Job, now: datetime, reason: str, code: ReasonCode) -> Run | None:
        """The row for the job's slots that are due and will not be claimed."""
        calendars = self.calendars_of(job.timing)
        return missed_stretch(job, calendars, now=now, node=self._node, new_id=self._new_id, reason=reason, code=code)

    def _write(self, job: Job, edited: Job, now: datetime) -> Job | None:
        """Write the edit with the row of a slot it drops; None if a claim moved the job on meanwhile."""
        dropped = self._dropped_slots(job, edited, now)
        if dropped is not None:
            edited = replace(edited, last_scheduled_for=dropped.last_scheduled_for)
        is_still_paused = edited.pause is not None and job.pause is not None and edited.pause.at == job.pause.at
        ended = (
            None if job.pause is None or is_still_paused else EndedPause(job.id, job.pause, ended_at=edited.updated_at)
        )
        try:
            is_written = self._store.replace_job(
                edited,
                expected_version=job.version,
                dropped=dropped,
                keeps_status=edited.status is job.status,
                ended_pause=ended,
            )
        except StoreUnavailable:
            # Perhaps it is written. The heap then knows an old due time, so the timer must look.
            self._agenda.hasten(job.id)
            raise
        if is_written:
            log_passed_over(dropped)
        return edited if is_written else None

    def _dropped_slots(self, job: Job, edited: Job, now: datetime) -> Run | None:
        if not job.is_scheduled or edited.next_run_at == job.next_run_at:
            return None
        code = ReasonCode.PAUSED if edited.status is JobStatus.PAUSED else ReasonCode.EDITED
        return self.missed(job, now, f"the job was {code} before the slot was claimed", code)

    def _wake(self, job: Job, *, is_pausing: bool = False) -> None:
        """Tell heap and gate what was committed; only then may the caller be answered (law 4)."""
        if is_pausing:
            self._gate.revoke(
                job.id,
                reason="the job was paused before the run started",
                code=ReasonCode.PAUSED,
                below_version=job.version,
            )
        pause_ends = job.pause is not None and job.pause.until is not None
        if job.next_run_at is None and not pause_ends:
            self._agenda.remove(job.id, up_to_version=job.version)
        else:
            self._agenda.push(hint_of(job))

    def _wake_waiting(self, job_id: UUID) -> None:
        """Runs that wait were passed by while the job was paused, or there may be more room by its new policies."""
        try:
            hints = self._store.waiting_hints_of(job_id)
        except StoreUnavailable as error:
            # The edit is written, and must not be refused for that: the timer looks.
            log.warning("waiting runs not looked at", job_id=str(job_id), error=str(error))
            self._agenda.hasten(job_id)
            return
        for hint in hints:
            self._agenda.push(hint)

    def _deletable(self, job_id: UUID) -> Job | None:
        """The job, None where it cannot be read: that must not keep it from being deleted. Raises JobNotFound."""
        jobs, unreadable = read_jobs(self._store, [job_id])
        if job_id not in jobs and job_id not in unreadable:
            # Whoever deleted it may not have told the gate yet.
            self._forget(job_id)
            raise JobNotFound
        return jobs.get(job_id)

    def _known_version(self, job: Job | None, known: Known) -> int:
        """The version at which the job is as the caller knows it. Raises JobChanged, also of what cannot be read."""
        if job is None:
            raise JobChanged
        return as_known(job, known).version

    def _dropping(self, job: Job | None) -> Dropping | None:
        if job is None:
            return None
        run = self.missed(job, self._clock.now(), "the job was deleted before the slot was claimed", ReasonCode.DELETED)
        return None if run is None else Dropping(job.version, run)

    def _droppings(self, now: datetime) -> list[Dropping]:
        pages = overdue_jobs(self._store, now)
        return [dropping for jobs in pages for job in jobs if (dropping := self._dropping(job)) is not None]

    def _forget(self, job_id: UUID) -> None:
        self._gate.revoke(job_id, reason="the job was deleted before the run started", code=ReasonCode.DELETED)
        self._agenda.remove(job_id)
