"""Pauses: of one job, of everything, and those that the scheduler decides on by itself."""

import threading
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import structlog

from engine.agenda import Agenda
from engine.dispatcher import log_passed_over
from engine.editor import Editor
from engine.edits import Known, as_known, resumed
from engine.errors import InvalidPause, InvalidSchedule, JobNotFound, StoreUnavailable
from engine.gate import StartGate
from engine.limits import MAX_CRASHES
from engine.nouns import SCHEDULED_STATUSES, Advance, BadStreak, Job, JobStatus, Pause
from engine.ports import Clock, Store
from engine.reading import overdue_jobs
from engine.reason_codes import ReasonCode
from engine.recovery import advance_each
from engine.run_path import as_text
from engine.slots import following, schedule_of

log = structlog.get_logger("scheduler.engine")


class Pausing:
    """Pauses and resumes. May be used from any thread.

    `current` is the pause of everything: nothing starts while it is there, but what is asked for by hand and forced.
    """

    def __init__(self, *, store: Store, clock: Clock, agenda: Agenda, gate: StartGate, editor: Editor) -> None:
        self._store = store
        self._clock = clock
        self._agenda = agenda
        self._gate = gate
        self._editor = editor
        # Held over the store's answer, against law 5: what is in force here must be what is on record; of a pause and
        # the end of another, at once, the later one must win in both. Nothing but these two waits for it.
        self._one_at_a_time = threading.Lock()
        self.current: Pause | None = None

    def restore(self) -> None:
        """Go by what is on record, at a start."""
        pause = self._store.global_pause()
        if pause is not None:
            self._hold(pause)
            log.warning("everything is paused", since=as_text(pause.at), by=pause.by, note=pause.note)

    def pause_all(self, *, until: datetime | None, by: str | None, note: str | None) -> Pause:
        """Start nothing from now on; once this returns, no run starts. A second pause takes the place of the first.

        Raises InvalidPause and StoreUnavailable.
        """
        with self._one_at_a_time:
            now = self._clock.now()
            _refuse_past(until, now)
            pause = Pause(now, until, by, note)
            self._store.begin_global_pause(pause)
            self._hold(pause)
            # What comes due from now on comes due in the pause, and is dealt with at its end.
            self._editor.take_back_claims()
        log.warning("everything paused", until=None if until is None else as_text(until), by=by, note=note)
        return pause

    def resume_all(self, *, catch_up: bool = False) -> None:
        """Start again. What came due meanwhile is missed, or with `catch_up` dealt with as after downtime."""
        with self._one_at_a_time:
            # Another node may have paused a moment ago: what came due since is missed by that pause, and not late.
            self._follow()
            self._resume_all(catch_up=catch_up, only=None)

    def follow(self) -> None:
        """Do as another node has done, if that has paused or resumed everything. Raises StoreUnavailable."""
        with self._one_at_a_time:
            self._follow()

    def look_at_clock(self) -> None:
        """End the pause of everything if its time has come."""
        if self._is_over():
            with self._one_at_a_time:
                # Asked again: another pause may have taken its place, here or on another node.
                self._follow()
                if self._is_over():
                    self._resume_all(catch_up=False, only=self.current)

    def pause(
        self,
        job_id: UUID,
        *,
        until: datetime | None = None,
        by: str | None = None,
        note: str | None = None,
        reason: str | None = None,
        known: Known = None,
    ) -> Job:
        """Stop scheduling the job: once this returns, no run of it starts but one asked for by hand from now on.

        Pausing a paused job changes those of until, by and note that are given; without any it changes nothing.

        Raises JobNotFound, JobChanged, InvalidPause, StoreUnavailable.
        """

        def edit(job: Job, now: datetime) -> Job:
            as_known(job, known)
            _refuse_past(until, now)
            is_paused = job.status is JobStatus.PAUSED
            if is_paused and until is None and by is None and note is None:
                return job
            pause = Pause(now, until, by, note, reason)
            if is_paused and job.pause is not None:
                # The pause goes on as the one that it is, with what is said of it now.
                pause = replace(
                    job.pause,
                    until=until or job.pause.until,
                    by=by or job.pause.by,
                    note=note or job.pause.note,
                )
            return replace(
                job, status=JobStatus.PAUSED, next_run_at=None, pause=pause, version=job.version + 1, updated_at=now
            )

        return self._editor.edit(job_id, edit, event="job paused")

    def resume(self, job_id: UUID, *, catch_up: bool = False, known: Known = None) -> Job:
        """Schedule the job again, from its next slot after now; with `catch_up` from the first one of its pause.

        Raises JobNotFound, JobChanged, InvalidSchedule, StoreUnavailable.
        """

        def edit(job: Job, now: datetime) -> Job:
            as_known(job, known)
            if job.status in (JobStatus.ACTIVE, JobStatus.FAILED):
                return job
            return resumed(job, self._editor.calendars_of(job.timing), now=now, catch_up=catch_up)

        return self._editor.checked_against_calendars(self._editor.edit(job_id, edit, event="job resumed"))

    def resume_at_its_time(self, job_id: UUID) -> None:
        """End the pause of the job if its time has come; without a slot left the job is then completed.

        Raises JobNotFound, InvalidSchedule if its schedule cannot be read any more, and StoreUnavailable.
        """

        def edit(job: Job, now: datetime) -> Job:
            # Asked again: since the timer read it, another pause may have taken its place.
            until = None if job.pause is None else job.pause.until
            if job.status is not JobStatus.PAUSED or until is None or until > now:
                return job
            # As of then: what came due since, while nobody was there to end it, is late and not paused.
            try:
                return resumed(job, self._editor.calendars_of(job.timing), now=until, catch_up=False)
            except InvalidSchedule as error:
                return self._completed(job, until, error)

        self._editor.checked_against_calendars(self._editor.edit(job_id, edit, event="job resumed"))

    def look_at_streak(self, streak: BadStreak) -> None:
        """Pause a job that has ended badly too often in a row, or has crashed its process again and again."""
        job = self._store.job(streak.job_id)
        if job is None or job.status not in SCHEDULED_STATUSES:
            # Nor one that is completed: a pause has nothing to hold there, and could not be ended any more.
            return
        limit = job.policies.pause_after_failures
        if streak.crashes >= MAX_CRASHES:
            reason = f"its last {streak.crashes} attempts took their worker process with them"
        elif limit is not None and streak.failures >= limit:
            reason = f"{streak.failures} of its runs by schedule ended badly in a row; pause_after_failures is {limit}"
        else:
            return
        try:
            self.pause(job.id, by="scheduler", reason=reason)
        except JobNotFound:
            return
        log.error("job paused by itself", job_id=str(job.id), name=job.name, reason=reason)

    def _completed(self, job: Job, now: datetime, error: InvalidSchedule) -> Job:
        # One that only cannot be read, of a zone that is gone, say, is not over (law 12): this raises then.
        schedule_of(job, self._editor.calendars_of(job.timing))
        log.warning("job completed in its pause", job_id=str(job.id), reason=str(error))
        return replace(
            job, status=JobStatus.COMPLETED, pause=None, next_run_at=None, version=job.version + 1, updated_at=now
        )

    def _is_over(self) -> bool:
        pause = self.current
        return pause is not None and pause.until is not None and pause.until <= self._clock.now()

    def _follow(self) -> None:
        pause = self._store.global_pause()
        if pause == self.current:
            return
        if pause is not None:
            self._hold(pause)
            log.warning("everything is paused", since=as_text(pause.at), by=pause.by, note=pause.note)
        else:
            self._release()
            log.warning("everything resumed elsewhere")

    def _resume_all(self, *, catch_up: bool, only: Pause | None) -> None:
        """`only` is the pause that is to end, where another one is to stay."""
        pause, ended_at = self.current, self._clock.now()
        if pause is not None and pause.until is not None:
            # What came due since, while nobody was there to end it, is late and not paused.
            ended_at = min(ended_at, pause.until)
        if pause is not None and not catch_up:
            self._pass_over(pause, ended_at)
        if not self._store.end_global_pause(ended_at, only=only) and only is not None:
            # Another node was faster: it ended, or another one has taken its place.
            self._follow()
            return
        self._release()
        log.warning("everything resumed", catch_up=catch_up)

    def _release(self) -> None:
        self.current = None
        self._gate.release()
        self._agenda.release()
        for hint in self._store.waiting_hints():
            self._agenda.push(hint)

    def _hold(self, pause: Pause) -> None:
        self.current = pause
        self._gate.hold("everything was paused before the run started")
        self._agenda.hold(until=pause.until)

    def _pass_over(self, pause: Pause, now: datetime) -> None:
        """A row for what came due during the pause, which ends `now`, of each job."""
        by = "" if pause.by is None else f" by {pause.by}"
        reason = f"everything was paused{by} from {as_text(pause.at)} to {as_text(now)}"
        for jobs in overdue_jobs(self._store, now):
            advances = [advance for job in jobs if (advance := self._passed_over(job, now, reason)) is not None]
            for advance in advance_each(self._store, advances):
                log_passed_over(advance.missed)

    def _passed_over(self, job: Job, now: datetime, reason: str) -> Advance | None:
        try:
            return self._advance_over(job, now, reason)
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 - one job must not keep the others paused; the timer comes to it, and says so
            return None

    def _advance_over(self, job: Job, now: datetime, reason: str) -> Advance | None:
        missed = self._editor.missed(job, now, reason, ReasonCode.PAUSED_ALL)
        if missed is None or missed.last_scheduled_for is None:
            return None
        schedule = schedule_of(job, self._editor.calendars_of(job.timing))
        last = missed.last_scheduled_for
        return Advance(job.id, job.version, following(schedule, last), last, run=None, missed=missed)


def _refuse_past(until: datetime | None, now: datetime) -> None:
    if until is not None and until <= now:
        raise InvalidPause(until, now)
