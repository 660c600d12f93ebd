"""The facade: start, stop, and every mutation, each in the order validate, commit, wake, answer (law 4)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from uuid import UUID, uuid4

import structlog

from engine.agenda import Agenda
from engine.ahead_claims import AheadClaims
from engine.backfilling import Backfilling
from engine.calendar_book import CalendarBook
from engine.cancellation import Cancellation
from engine.creation import Creation
from engine.dispatcher import Dispatcher
from engine.editor import Editor
from engine.edits import Known, as_known, changed, replaced, require_function
from engine.errors import EverythingPaused, NotScheduling
from engine.gate import StartGate
from engine.health import HealthCheck
from engine.heartbeat import Heartbeat
from engine.homes import Homes
from engine.ids import ids_of_runs
from engine.limits import (
    HEARTBEAT_SECONDS_AT_STOP,
    RECORDING_SECONDS_AT_STOP,
    TIMER_SECONDS_AT_STOP,
)
from engine.manual_runs import ManualRuns
from engine.metadata import metadata_error, require_fitting, require_fitting_change
from engine.nodes import Load, NodeRecord, Presence, Role
from engine.nouns import Finished, Job, Run
from engine.pausing import Pausing
from engine.ports import Clock, Ids, Store
from engine.preview.forecast import Forecast
from engine.recovery import catch_up, look_up_again, warn_of_misfits, warn_of_orphans
from engine.requests import Capacity, Health, JobChange, JobDraft
from engine.retention import HistoryLimits, Retention
from engine.rhythm import REGULAR, Rhythm
from engine.runner import Runner
from engine.timer import Timer
from engine.watcher import Watcher
from engine.why import Why
from registry import JobFunction

log = structlog.get_logger("scheduler.engine")


class Scheduler:
    """One node: timer, pool and recorder over one store. Every method but start and stop may be called from any thread.

    Any number of nodes may work on one store. `presence` is what it tells the others of itself.
    """

    def __init__(
        self,
        *,
        store: Store,
        functions: Mapping[str, JobFunction],
        clock: Clock,
        capacity: Capacity | None = None,
        history: HistoryLimits | None = None,
        rhythm: Rhythm = REGULAR,
        presence: Presence | None = None,
        new_id: Ids = uuid4,
    ) -> None:
        self.functions = functions
        self.node = new_id()
        self.role = Role.ALL if presence is None else presence.role
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._new_run_id = ids_of_runs(clock, new_id)
        self._rhythm = rhythm
        self._gate = StartGate(clock=clock, trust_seconds=rhythm.trust_seconds)
        room = capacity or Capacity()
        self._agenda = Agenda(
            clock=clock,
            permits=room.permits,
            functions=functions,
            homes=Homes(me=self.node, functions=functions),
            rhythm=rhythm,
            takes_hints=self.role.runs_jobs,
        )
        self._runner = Runner(
            store=store,
            clock=clock,
            agenda=self._agenda,
            gate=self._gate,
            functions=functions,
            finished=self._follow_up,
            rhythm=rhythm,
            memory_limit_bytes=room.process_memory_bytes,
        )
        self.live_logs = self._runner.live_logs
        self._recorder = self._runner.recorder
        self._editor = self._new_editor()
        self._creation = Creation(functions=functions, editor=self._editor, clock=clock, new_id=new_id)
        self.cancellation = Cancellation(
            store=store, clock=clock, agenda=self._agenda, gate=self._gate, live_runs=self._runner.live_runs
        )
        self.pausing = Pausing(store=store, clock=clock, agenda=self._agenda, gate=self._gate, editor=self._editor)
        self._manual_runs = self._new_manual_runs()
        self.backfilling = self._new_backfilling()
        self._timer = Timer(agenda=self._agenda, dispatcher=self._new_dispatcher(), pausing=self.pausing, clock=clock)
        self._heartbeat = self._new_heartbeat(presence or Presence(), rhythm)
        self._watcher = self._new_watcher(rhythm)
        self._retention = Retention(store=store, clock=clock, limits=history or HistoryLimits())
        self._claims_ended_at: datetime | None = None
        self._health_check = self._new_health_check()
        self.why = Why(store=store, clock=clock, node=self.node)
        self.forecast = Forecast(store=store, clock=clock, functions=functions)
        self.calendars = CalendarBook(store=store, clock=clock, reschedule=self._editor.reschedule)

    def start(self) -> None:
        """Recover what the last process left, read the due times back, start the threads. Raises StoreUnavailable."""
        others = self._heartbeat.enter()
        # Before all that may take longer than the others wait for a sign of life.
        self._heartbeat.start()
        try:
            self._start(others)
        except BaseException:
            self._heartbeat.stop(claims_ended_at=self._clock.now())
            raise

    def _start(self, others: list[NodeRecord]) -> None:
        now = self._clock.now()
        self.pausing.restore()
        moved = look_up_again(self._store)
        # While everything is paused, what became due is looked at when that ends; perhaps it has, meanwhile.
        self.pausing.look_at_clock()
        # Where others are that run jobs, nothing came due while nobody was there.
        was_alone = not any(record.presence.role.runs_jobs for record in others)
        is_downtime = self.role.runs_jobs and was_alone and self.pausing.current is None
        caught_up = catch_up(self._store, now=now, node=self.node, new_id=self._new_run_id) if is_downtime else 0
        orphaned = warn_of_orphans(self._store, self.functions)
        misfits = warn_of_misfits(self._store, self.functions)
        scheduled_jobs = self._store.scheduled_jobs()
        if self.role.runs_jobs:
            self._fill_agenda()
        # Nothing is asked of the store from here on: a start that fails leaves no thread and no process behind.
        self._recorder.start()
        self._runner.deadlines.start()
        if self.role.runs_jobs:
            self._runner.lanes.start_ahead()
            self._timer.start()
        self._retention.start()
        self._watcher.start()
        log.info(
            "scheduler started",
            node=str(self.node),
            scheduled_jobs=scheduled_jobs,
            functions=len(self.functions),
            nodes=1 + len(others),
            runs_lost=self._heartbeat.runs_lost,
            next_runs_moved=moved,
            jobs_caught_up=caught_up,
            jobs_orphaned=orphaned,
            jobs_not_fitting=misfits,
        )

    def begin_stop(self) -> None:
        """Claim nothing more and say so in `health`; `stop` is to follow."""
        self._agenda.stop()
        self._claims_ended_at = self._claims_ended_at or self._clock.now()
        # Open streams would hold the server until it cancels them, if it ever does.
        self.live_logs.end_all()

    def stop(self, *, grace_seconds: float) -> bool:
        """Claim nothing more, give the runs their grace, record what is left as lost; True if all is on record.

        Returns within the grace plus twelve seconds, also when a function never returns: its thread is then still
        there, and it is for the deployment to end the process. Called once.
        """
        self.begin_stop()
        log.info("scheduler stopping", node=str(self.node), running=len(self._gate), grace_seconds=grace_seconds)
        self._timer.join(TIMER_SECONDS_AT_STOP)
        self._editor.take_back_claims()
        self._agenda.wait_until_idle(grace_seconds)
        left = self._runner.abandon_runs()
        self._runner.shut_down()
        is_recorded = self._recorder.stop(RECORDING_SECONDS_AT_STOP)
        self._retention.stop()
        self._watcher.stop(HEARTBEAT_SECONDS_AT_STOP)
        self._heartbeat.stop(claims_ended_at=self._claims_ended_at or self._clock.now())
        log.info("scheduler stopped", node=str(self.node), runs_left=left, outcomes_recorded=is_recorded)
        return left == 0 and is_recorded

    def changed(self) -> None:
        """Another node may have changed something: look soon. Returns at once."""
        self._watcher.wake()

    def create_job(self, draft: JobDraft) -> Job:
        """Keep and schedule a new job.

        Raises UnknownFunction, InvalidMetadata, InvalidSchedule, InvalidStatus, StoreUnavailable.
        """
        return self._creation.create(draft)

    def create_jobs(self, drafts: Sequence[JobDraft]) -> list[Job | Exception]:
        """The same for several in one transaction: for each its job, or what create_job would raise.

        An author's code that checks metadata runs for one after the other: it should not be among them.
        """
        return self._creation.create_together(drafts)

    def replace_job(self, job_id: UUID, draft: JobDraft, *, known: Known = None) -> Job:
        """Make the job what the draft says. Raises JobNotFound, JobChanged and whatever create_job raises."""
        require_function(self.functions, draft.function_name)
        require_fitting(self.functions, draft.function_name, draft.metadata)

        def edit(job: Job, now: datetime) -> Job:
            return replaced(as_known(job, known), draft, self._editor.calendars_of(draft.timing), now=now)

        return self._editor.checked_against_calendars(self._editor.edit(job_id, edit, event="job replaced"))

    def change_job(self, job_id: UUID, change: JobChange, *, known: Known = None) -> Job:
        """Change the fields that are named. Raises JobNotFound, JobChanged and whatever create_job raises."""
        if change.function_name is not None:
            require_function(self.functions, change.function_name)

        def edit(job: Job, now: datetime) -> Job:
            calendars = self._editor.calendars_of(job.timing.with_changes(change.timing))
            edited = changed(as_known(job, known), change, calendars, now=now)
            require_fitting_change(self.functions, job, edited)
            return edited

        return self._editor.checked_against_calendars(self._editor.edit(job_id, edit, event="job changed"))

    def pause_job(self, job_id: UUID) -> Job:
        """Stop scheduling the job: once this returns, no run of it starts but one asked for by hand from now on."""
        return self.pausing.pause(job_id)

    def resume_job(self, job_id: UUID) -> Job:
        """Schedule the job again, from its next slot after now."""
        return self.pausing.resume(job_id)

    def delete_job(self, job_id: UUID, *, known: Known = None) -> None:
        """Delete the job, keeping its history: once this returns, no run starts. Raises JobNotFound and JobChanged."""
        self._editor.delete(job_id, known=known)

    def delete_all_jobs(self) -> int:
        """Delete every job, keeping the history; returns how many there were."""
        return self._editor.delete_all()

    def run_now(self, job_id: UUID, *, is_forced: bool = False) -> Run:
        """Start a run outside the schedule, also of a paused job; it waits for a thread if the pool is full.

        It is refused where a slot could not start now either, unless it is forced. Raises JobNotFound, UnknownFunction,
        RunInTheWay, EverythingPaused, PoolFull, NotScheduling, StoreUnavailable.
        """
        if self._agenda.is_stopped:
            raise NotScheduling
        job = self._editor.settled(job_id)
        require_function(self.functions, job.function_name)
        pause = self.pausing.current
        if pause is not None and not is_forced:
            raise EverythingPaused(pause.by, pause.at)
        return self._manual_runs.start(job, is_forced=is_forced)

    def is_orphaned(self, job: Job) -> bool:
        """Whether the job's function is not registered in this process (law 12)."""
        return job.function_name not in self.functions

    def metadata_error(self, job: Job) -> str | None:
        """Why the job's metadata does not fit its function as that is registered now; None if it does (law 12)."""
        return metadata_error(self.functions, job)

    def health(self) -> Health:
        """How this node is; asks the database, so not for a tight loop."""
        return self._health_check.look()

    def _new_editor(self) -> Editor:
        ahead_claims = AheadClaims(
            store=self._store,
            clock=self._clock,
            agenda=self._agenda,
            gate=self._gate,
            withdraw=self._runner.withdraw,
            end_unstarted=self._runner.end_unstarted,
            ahead_seconds=self._rhythm.ahead_seconds,
        )
        return Editor(
            store=self._store,
            clock=self._clock,
            agenda=self._agenda,
            gate=self._gate,
            ahead_claims=ahead_claims,
            node=self.node,
            new_id=self._new_run_id,
        )

    def _new_manual_runs(self) -> ManualRuns:
        return ManualRuns(
            store=self._store,
            clock=self._clock,
            agenda=self._agenda,
            gate=self._gate,
            runner=self._runner,
            node=self.node,
            new_id=self._new_run_id,
            runs_jobs=self.role.runs_jobs,
        )

    def _new_backfilling(self) -> Backfilling:
        return Backfilling(
            store=self._store,
            clock=self._clock,
            agenda=self._agenda,
            cancellation=self.cancellation,
            pausing=self.pausing,
            functions=self.functions,
            node=self.node,
            new_id=self._new_run_id,
        )

    def _new_heartbeat(self, presence: Presence, rhythm: Rhythm) -> Heartbeat:
        return Heartbeat(
            store=self._store,
            clock=self._clock,
            gate=self._gate,
            node=self.node,
            presence=presence,
            load=self._load,
            live_nodes=self._go_by_nodes,
            finished=self._follow_up,
            orphaned=self._end_orphan,
            rhythm=rhythm,
        )

    def _new_watcher(self, rhythm: Rhythm) -> Watcher:
        return Watcher(
            store=self._store,
            clock=self._clock,
            agenda=self._agenda,
            gate=self._gate,
            pausing=self.pausing,
            end_run=self.cancellation.end,
            node=self.node,
            rhythm=rhythm,
            runs_jobs=self.role.runs_jobs,
        )

    def _new_health_check(self) -> HealthCheck:
        return HealthCheck(
            node=self.node,
            store=self._store,
            clock=self._clock,
            agenda=self._agenda,
            gate=self._gate,
            timer=self._timer,
            runner=self._runner,
            pausing=self.pausing,
            heartbeat=self._heartbeat,
            watcher=self._watcher,
            runs_jobs=self.role.runs_jobs,
            retention=self._retention,
        )

    def _new_dispatcher(self) -> Dispatcher:
        return Dispatcher(
            store=self._store,
            agenda=self._agenda,
            gate=self._gate,
            recorder=self._recorder,
            clock=self._clock,
            functions=self.functions,
            node=self.node,
            new_id=self._new_run_id,
            ahead_seconds=self._rhythm.ahead_seconds,
            start=self._runner.start,
            resume=self.pausing.resume_at_its_time,
            supersede=self.cancellation.supersede,
        )

    def _fill_agenda(self) -> None:
        horizon = self._watcher.horizon(self._clock.now())
        due = self._store.due_hints() if horizon is None else self._store.due_hints_until(horizon)
        self._agenda.fill(chain(due, self._store.waiting_hints()), horizon=horizon)

    def _load(self) -> Load:
        return Load(running_runs=len(self._gate), permits=sum(self._agenda.permits.values()))

    def _go_by_nodes(self, live: list[NodeRecord]) -> None:
        self._watcher.go_by_nodes(len(live))
        if self._agenda.move_homes(frozenset(record.id for record in live if record.presence.role.runs_jobs)):
            # What waited for the last runs of one that went has been told of to nobody but that one.
            self._watcher.recheck_soon()

    def _end_orphan(self, run: Run) -> None:
        self.cancellation.end(run.id, "the other nodes took its node for dead")

    def _follow_up(self, finished: Finished) -> None:
        """What outcomes lead to: runs that waited for them, and jobs that are to be paused."""
        for hint in finished.waiting:
            self._agenda.push(hint)
        for streak in finished.bad_streaks:
            self.pausing.look_at_streak(streak)
