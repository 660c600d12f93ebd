"""The facade: start, stop, and every mutation, each in the order validate, commit, wake, answer (law 4)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

import structlog

from engine.agenda import Agenda
from engine.calendar_book import CalendarBook
from engine.calendars import Calendars
from engine.dispatcher import Dispatcher, log_missed
from engine.edits import changed, new_job, replaced, require_function, rescheduled
from engine.errors import JobNotFound, NotScheduling, StoreUnavailable
from engine.gate import StartGate
from engine.health import HealthCheck
from engine.limits import (
    MAX_EDIT_TRIES,
    MAX_WAIT_SECONDS,
    RECORDING_SECONDS_AT_STOP,
    TIMER_SECONDS_AT_STOP,
)
from engine.manual_runs import ManualRuns
from engine.nouns import Dropping, Job, JobStatus, Run
from engine.planning import missed_stretch
from engine.ports import Clock, Ids, Store
from engine.preview.forecast import Forecast
from engine.reading import existing_job, named_calendars, overdue_jobs, read_jobs
from engine.recovery import catch_up, look_up_again, lose_abandoned_runs, warn_of_orphans
from engine.requests import Health, JobChange, JobDraft
from engine.runner import Runner
from engine.timer import Timer
from engine.timing import Timing
from registry import JobFunction

log = structlog.get_logger("scheduler.engine")

Edit = Callable[[Job, datetime], Job]


class Scheduler:
    """One node: timer, pool and recorder over one store. Every method but start and stop may be called from any thread.

    The process must be the only one that schedules on the store: `start` calls every run on record as running lost.
    """

    def __init__(
        self,
        *,
        store: Store,
        functions: Mapping[str, JobFunction],
        clock: Clock,
        pool_size: int = 16,
        max_wait_seconds: float = MAX_WAIT_SECONDS,
        new_id: Ids = uuid4,
    ) -> None:
        self.functions = functions
        self.node = new_id()
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._gate = StartGate()
        self._agenda = Agenda(clock=clock, permits=pool_size, max_wait_seconds=max_wait_seconds)
        self._runner = Runner(
            store=store,
            clock=clock,
            agenda=self._agenda,
            gate=self._gate,
            functions=functions,
            max_wait_seconds=max_wait_seconds,
        )
        self._recorder = self._runner.recorder
        self.live_logs = self._runner.live_logs
        self._manual_runs = ManualRuns(
            store=store,
            clock=clock,
            agenda=self._agenda,
            gate=self._gate,
            runner=self._runner,
            node=self.node,
            new_id=new_id,
        )
        self._timer = Timer(agenda=self._agenda, dispatcher=self._new_dispatcher(), clock=clock)
        self._health_check = HealthCheck(
            node=self.node,
            store=store,
            clock=clock,
            agenda=self._agenda,
            gate=self._gate,
            timer=self._timer,
            recorder=self._recorder,
        )
        self.forecast = Forecast(store=store, clock=clock, functions=functions)
        self.calendars = CalendarBook(store=store, clock=clock, reschedule=self._reschedule)

    def start(self) -> None:
        """Recover what the last process left, read the due times back, start the threads. Raises StoreUnavailable."""
        now = self._clock.now()
        lost = lose_abandoned_runs(self._store, now=now)
        moved = look_up_again(self._store)
        caught_up = catch_up(self._store, now=now, node=self.node, new_id=self._new_id)
        orphaned = warn_of_orphans(self._store, self.functions)
        self._agenda.fill(self._store.due_hints())
        self._recorder.start()
        self._timer.start()
        log.info(
            "scheduler started",
            node=str(self.node),
            scheduled_jobs=self._agenda.scheduled_jobs,
            functions=len(self.functions),
            runs_lost=lost,
            next_runs_moved=moved,
            jobs_caught_up=caught_up,
            jobs_orphaned=orphaned,
        )

    def begin_stop(self) -> None:
        """Claim nothing more and say so in `health`; `stop` is to follow."""
        self._agenda.stop()
        # Open streams would hold the server until it cancels them, if it ever does.
        self.live_logs.end_all()

    def stop(self, *, grace_seconds: float) -> bool:
        """Claim nothing more, give the runs their grace, record what is left as lost; True if all is on record.

        Returns within the grace plus ten seconds, also when a function never returns: its thread is then still
        there, and it is for the deployment to end the process. Called once.
        """
        self.begin_stop()
        log.info("scheduler stopping", node=str(self.node), running=len(self._gate), grace_seconds=grace_seconds)
        self._timer.join(TIMER_SECONDS_AT_STOP)
        self._agenda.wait_until_idle(grace_seconds)
        left = self._runner.abandon_runs()
        is_recorded = self._recorder.stop(RECORDING_SECONDS_AT_STOP)
        self._runner.shut_down()
        log.info("scheduler stopped", node=str(self.node), runs_left=left, outcomes_recorded=is_recorded)
        return left == 0 and is_recorded

    def create_job(self, draft: JobDraft) -> Job:
        """Keep and schedule a new job. Raises UnknownFunction, InvalidSchedule, InvalidStatus, StoreUnavailable."""
        require_function(self.functions, draft.function_name)
        job = new_job(draft, self._calendars_of(draft.timing), job_id=self._new_id(), now=self._clock.now())
        try:
            self._store.add_job(job)
        except StoreUnavailable:
            self._agenda.hasten(job.id)
            raise
        self._wake(job)
        log.info("job created", job_id=str(job.id), name=job.name, function_name=job.function_name)
        return self._checked_against_calendars(job)

    def replace_job(self, job_id: UUID, draft: JobDraft) -> Job:
        """Make the job what the draft says. Raises JobNotFound and whatever create_job raises."""
        require_function(self.functions, draft.function_name)

        def edit(job: Job, now: datetime) -> Job:
            return replaced(job, draft, self._calendars_of(draft.timing), now=now)

        return self._checked_against_calendars(self._edit(job_id, edit, event="job replaced"))

    def change_job(self, job_id: UUID, change: JobChange) -> Job:
        """Change the fields that are named. Raises JobNotFound and whatever create_job raises."""
        if change.function_name is not None:
            require_function(self.functions, change.function_name)

        def edit(job: Job, now: datetime) -> Job:
            calendars = self._calendars_of(job.timing.with_changes(change.timing))
            return changed(job, change, calendars, now=now)

        return self._checked_against_calendars(self._edit(job_id, edit, event="job changed"))

    def pause_job(self, job_id: UUID) -> Job:
        """Stop scheduling the job: once this returns, no run of it starts but one asked for by hand from now on."""
        return self._set_status(job_id, JobStatus.PAUSED, unless=frozenset({JobStatus.PAUSED}))

    def resume_job(self, job_id: UUID) -> Job:
        """Schedule the job again, from its next slot after now."""
        return self._set_status(job_id, JobStatus.ACTIVE, unless=frozenset({JobStatus.ACTIVE, JobStatus.FAILED}))

    def delete_job(self, job_id: UUID) -> None:
        """Delete the job, keeping its history: once this returns, no run of it starts. Raises JobNotFound."""
        for _ in range(MAX_EDIT_TRIES):
            dropping = self._dropping(self._deletable(job_id))
            try:
                is_deleted = self._store.delete_job(job_id, dropping=dropping)
            except StoreUnavailable:
                self._agenda.hasten(job_id)
                raise
            if is_deleted:
                self._forget(job_id)
                log_missed(None if dropping is None else dropping.run)
                log.info("job deleted", job_id=str(job_id))
                return
        raise StoreUnavailable(f"job {job_id} was changed by others {MAX_EDIT_TRIES} times in a row")

    def delete_all_jobs(self) -> int:
        """Delete every job, keeping the history; returns how many there were."""
        # Of these, one may be deleted already by a request that has not come to tell the gate; all will be.
        claimed = self._gate.job_ids()
        deleted = self._store.delete_all_jobs(droppings=self._droppings())
        for job_id in claimed.union(deleted):
            self._forget(job_id)
        log.info("all jobs deleted", jobs=len(deleted))
        return len(deleted)

    def run_now(self, job_id: UUID) -> Run:
        """Start a run outside the schedule, also of a paused job; it waits for a thread if the pool is full.

        Raises JobNotFound, UnknownFunction, RunInTheWay, PoolFull, NotScheduling, StoreUnavailable.
        """
        if self._agenda.is_stopped:
            raise NotScheduling
        job = existing_job(self._store, job_id)
        require_function(self.functions, job.function_name)
        return self._manual_runs.start(job)

    def is_orphaned(self, job: Job) -> bool:
        """Whether the job's function is not registered in this process (law 12)."""
        return job.function_name not in self.functions

    def health(self) -> Health:
        """How this node is; asks the database, so not for a tight loop."""
        return self._health_check.look()

    def _new_dispatcher(self) -> Dispatcher:
        return Dispatcher(
            store=self._store,
            agenda=self._agenda,
            gate=self._gate,
            recorder=self._recorder,
            clock=self._clock,
            functions=self.functions,
            node=self.node,
            new_id=self._new_id,
            start=self._runner.start,
        )

    def _edit(self, job_id: UUID, edit: Edit, *, event: str) -> Job:
        for _ in range(MAX_EDIT_TRIES):
            job = existing_job(self._store, job_id)
            now = self._clock.now()
            edited = edit(job, now)
            if edited is job:
                # Nothing to write; but whoever wrote it may not have told the gate yet, and we are about to answer.
                self._wake(job, is_pausing=job.status is JobStatus.PAUSED)
                return job
            written = self._write_edit(job, edited, now)
            if written is not None:
                self._wake(written, is_pausing=written.status is JobStatus.PAUSED and written.status is not job.status)
                log.info(event, job_id=str(job_id), status=written.status.value)
                return written
        raise StoreUnavailable(f"job {job_id} was changed by others {MAX_EDIT_TRIES} times in a row")

    def _write_edit(self, job: Job, edited: Job, now: datetime) -> Job | None:
        """Write the edit with the row of a slot it drops; None if a claim moved the job on meanwhile."""
        dropped = self._dropped_slots(job, edited, now)
        if dropped is not None:
            edited = replace(edited, last_scheduled_for=dropped.last_scheduled_for)
        try:
            is_written = self._store.replace_job(
                edited, expected_version=job.version, dropped=dropped, keeps_status=edited.status is job.status
            )
        except StoreUnavailable:
            # Perhaps it is written. The heap then knows an old due time, so the timer must look.
            self._agenda.hasten(job.id)
            raise
        if is_written:
            log_missed(dropped)
        return edited if is_written else None

    def _dropped_slots(self, job: Job, edited: Job, now: datetime) -> Run | None:
        if not job.is_scheduled or edited.next_run_at == job.next_run_at:
            return None
        reason = (
            f"the job was {'paused' if edited.status is JobStatus.PAUSED else 'edited'} before the slot was claimed"
        )
        calendars = self._calendars_of(job.timing)
        return missed_stretch(job, calendars, now=now, node=self.node, new_id=self._new_id, reason=reason)

    def _set_status(self, job_id: UUID, status: JobStatus, *, unless: frozenset[JobStatus]) -> Job:
        def edit(job: Job, now: datetime) -> Job:
            if job.status in unless:
                return job
            return changed(job, JobChange(status=status), self._calendars_of(job.timing), now=now)

        if status is JobStatus.PAUSED:
            return self._edit(job_id, edit, event="job paused")
        return self._checked_against_calendars(self._edit(job_id, edit, event="job resumed"))

    def _reschedule(self, job_id: UUID) -> None:
        """Look up the job's next slot again, because a calendar that it lists has changed. Raises JobNotFound."""

        def edit(job: Job, now: datetime) -> Job:
            found = rescheduled(job, self._calendars_of(job.timing), not_before=now)
            # Also where nothing moves, a new version: a claim that is planned already goes by the calendar as it was.
            is_due = job.next_run_at is not None and job.next_run_at <= now
            is_in_doubt = found is job and job.is_scheduled and (job.timing.moves_slots or is_due)
            return replace(job, version=job.version + 1) if is_in_doubt else found

        self._edit(job_id, edit, event="job rescheduled")

    def _checked_against_calendars(self, job: Job) -> Job:
        """Read the calendars once more: one may have changed since it was read for this job and before the commit, and
        who changed it did not know yet that the job lists it."""
        if not job.timing.moves_slots:
            return job

        def edit(job: Job, now: datetime) -> Job:
            return rescheduled(job, self._calendars_of(job.timing), not_before=now)

        try:
            return self._edit(job.id, edit, event="job rescheduled")
        except (StoreUnavailable, JobNotFound) as error:
            # The job is written, and must not be refused for that; the next claim, or the next start, reads them again.
            log.warning("calendars not read again", job_id=str(job.id), error=str(error))
            return job

    def _calendars_of(self, timing: Timing) -> Calendars:
        return named_calendars(self._store, timing.exclude_calendars)

    def _wake(self, job: Job, *, is_pausing: bool = False) -> None:
        """Tell heap and gate what was committed; only then may the caller be answered (law 4)."""
        if is_pausing:
            self._gate.revoke(job.id, reason="the job was paused before the run started", below_version=job.version)
        if job.next_run_at is None:
            self._agenda.remove(job.id, up_to_version=job.version)
        self._agenda.push_next(job.id, due_at=job.next_run_at, version=job.version)

    def _deletable(self, job_id: UUID) -> Job | None:
        """The job, None where it cannot be read: that must not keep it from being deleted. Raises JobNotFound."""
        jobs, unreadable = read_jobs(self._store, [job_id])
        if job_id not in jobs and job_id not in unreadable:
            # Whoever deleted it may not have told the gate yet.
            self._forget(job_id)
            raise JobNotFound
        return jobs.get(job_id)

    def _dropping(self, job: Job | None) -> Dropping | None:
        if job is None:
            return None
        now = self._clock.now()
        reason = "the job was deleted before the slot was claimed"
        calendars = self._calendars_of(job.timing)
        run = missed_stretch(job, calendars, now=now, node=self.node, new_id=self._new_id, reason=reason)
        return None if run is None else Dropping(job.version, run)

    def _droppings(self) -> list[Dropping]:
        pages = overdue_jobs(self._store, self._clock.now())
        return [dropping for jobs in pages for job in jobs if (dropping := self._dropping(job)) is not None]

    def _forget(self, job_id: UUID) -> None:
        self._gate.revoke(job_id, reason="the job was deleted before the run started")
        self._agenda.remove(job_id)
