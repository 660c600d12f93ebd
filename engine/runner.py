"""The pool and what stands around it: how a claimed run comes to its lane, and its permit back."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import inf
from uuid import UUID

import structlog

from engine.agenda import Agenda
from engine.gate import Refusal, StartGate
from engine.lanes.lanes import Lanes
from engine.limits import SHORT_RUN_SECONDS
from engine.live_logs import LiveLogs
from engine.live_runs import LiveRuns
from engine.nouns import Assignment, CallOver, Finished, Outcome, Run, RunState
from engine.ports import Clock, Store
from engine.reason_codes import ReasonCode
from engine.recorder import Recorder
from engine.retries import with_retry
from engine.rhythm import Rhythm
from engine.run_path import RunPath, not_started, run_keys
from registry import JobFunction, Lane

log = structlog.get_logger("scheduler.run")


class Runner:
    """Takes claimed runs, each with its ticket and its permit, and sees to it that both come home once (law 7)."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        agenda: Agenda,
        gate: StartGate,
        functions: Mapping[str, JobFunction],
        finished: Callable[[Finished], None],
        rhythm: Rhythm,
        memory_limit_bytes: int | None,
    ) -> None:
        self._clock = clock
        self._agenda = agenda
        self._gate = gate
        self._functions = functions
        self._stuck: dict[UUID, Lane] = {}
        self.live_runs = LiveRuns()
        self.live_logs = LiveLogs()
        self.recorder = Recorder(store=store, clock=clock, recorded=self._bring_home, finished=finished, rhythm=rhythm)
        run_path = RunPath(
            functions=functions,
            gate=gate,
            live_runs=self.live_runs,
            live_logs=self.live_logs,
            clock=clock,
            deliver=self.recorder.put,
            max_wait_seconds=rhythm.max_wait_seconds,
        )
        self.deadlines = run_path.deadlines
        self.lanes = Lanes(
            run_path=run_path,
            functions=functions,
            clock=clock,
            permits=agenda.permits,
            memory_limit_bytes=memory_limit_bytes,
            patience_seconds=rhythm.patience_seconds,
            not_taken=self._not_taken,
        )

    def lane_of(self, function_name: str) -> Lane:
        """Where the function is called."""
        function = self._functions.get(function_name)
        return Lane.THREAD if function is None else function.lane

    def start(self, assignment: Assignment) -> None:
        """Have a run that is on record start in its lane, at its instant. Never raises."""
        try:
            self.lanes.start(assignment)
        except Exception as error:  # noqa: BLE001 - the lane is shut, or there is no thread or memory for another run
            self._not_taken(assignment, error)

    def _not_taken(self, assignment: Assignment, error: Exception) -> None:
        self.end_unstarted(assignment, Refusal(f"no thread could be started for it: {error}"))

    def end_unstarted(self, assignment: Assignment, refusal: Refusal) -> None:
        """Record that a run which may be on record will not start."""
        # The pool may have queued a run although it raised ("can't start new thread"): if a thread has taken it since,
        # that thread tells how it ends.
        if self._gate.refuse(assignment.run.id, refusal):
            self.recorder.put(not_started(assignment, refusal, at=self._clock.now()))

    def withdraw(self, run: Run) -> None:
        """Take back the ticket and the permit of a run that is certainly not on record."""
        self._gate.close(run.id)
        self._agenda.give_back(self.lane_of(run.function_name))

    def abandon_runs(self) -> int:
        """Let no run start any more, and record those that are going as lost; returns how many were going."""
        reason = "the scheduler stopped before the run started"
        waiting, entered = self._gate.shut(reason)
        for assignment in waiting:
            self.end_unstarted(assignment, Refusal(reason, code=ReasonCode.STOPPED))
        over = self.recorder.run_ids_with_outcome()
        left = [assignment for assignment in entered if assignment.run.id not in over]
        return sum(self._abandon(assignment) for assignment in left if self._gate.holds(assignment.run.id))

    def shut_down(self) -> None:
        """End what can be ended of what is still in a call."""
        self.deadlines.stop()
        self.lanes.stop()

    def _abandon(self, assignment: Assignment) -> bool:
        live = self.live_runs.get(assignment.run.id)
        if live is None:
            # On its way into its call, or out of it: if it has an outcome after all, that comes late.
            self.recorder.put(self._lost_at_stop(assignment))
            return True
        return live.settle(lambda: self._lost_at_stop(assignment))

    def _lost_at_stop(self, assignment: Assignment) -> Outcome:
        run = assignment.run
        log.warning("run abandoned", **run_keys(run))
        outcome = Outcome(
            run_id=run.id,
            job_id=run.job_id,
            claim_id=run.claim_id,
            state=RunState.LOST,
            finished_at=self._clock.now(),
            started_at=run.started_at,
            lateness_ms=run.lateness_ms,
            reason="still running when the scheduler stopped and its grace was over",
            log=self.live_logs.captured(run.id),
        )
        return with_retry(outcome, run, assignment.job)

    def _bring_home(self, items: Sequence[Outcome | CallOver]) -> None:
        """Called by the recorder, once what it was given is on record."""
        homecoming: Counter[Lane] = Counter()
        short_runs: Counter[Lane] = Counter()
        for item in items:
            lane = self._lane_of_returned_permit(item)
            if lane is not None:
                homecoming[lane] += 1
                short_runs[lane] += isinstance(item, Outcome) and (item.duration_ms or inf) <= SHORT_RUN_SECONDS * 1_000
        for lane, permits in homecoming.items():
            self._agenda.give_back(lane, permits, short_runs=short_runs[lane])

    def _lane_of_returned_permit(self, item: Outcome | CallOver) -> Lane | None:
        if isinstance(item, CallOver):
            lane = self._stuck.pop(item.run_id, None)
            if lane is not None:
                self._agenda.recover(lane)
            return None
        # After it is on record: who follows the log looks there next.
        self.live_logs.remove(item.run_id)
        assignment = self._gate.close(item.run_id)
        # An outcome may come twice (abandoned at a stop, then returned): its permit comes back once.
        if assignment is None:
            return None
        lane = self.lane_of(assignment.run.function_name)
        if item.is_stuck:
            self._stuck[item.run_id] = lane
            self._agenda.strand(lane)
            return None
        return lane
