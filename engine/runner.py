"""The pool and what stands around it: how a claimed run comes to its thread, and its permit back."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

import structlog

from engine.agenda import Agenda
from engine.gate import StartGate
from engine.live_logs import LiveLogs
from engine.nouns import Assignment, Outcome, Run, RunState
from engine.ports import Clock, Store
from engine.recorder import Recorder
from engine.run_path import RunPath, not_started, run_keys
from registry import JobFunction

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
        max_wait_seconds: float,
    ) -> None:
        self._clock = clock
        self._agenda = agenda
        self._gate = gate
        self.live_logs = LiveLogs()
        self.recorder = Recorder(store=store, clock=clock, recorded=self._bring_home, max_wait_seconds=max_wait_seconds)
        self._run_path = RunPath(
            functions=functions, gate=gate, clock=clock, live_logs=self.live_logs, deliver=self.recorder.put
        )
        self._pool = ThreadPoolExecutor(max_workers=agenda.permits, thread_name_prefix="scheduler-run")

    def start(self, assignment: Assignment) -> None:
        """Hand a run that is on record to the pool. Never raises."""
        try:
            self._pool.submit(self._run_path, assignment)
        except Exception as error:  # noqa: BLE001 - the pool is shut, or there is no thread or memory for another run
            self.end_unstarted(assignment, f"no thread could be started for it: {error}")

    def end_unstarted(self, assignment: Assignment, reason: str) -> None:
        """Record that a run which may be on record will not start."""
        # The pool may have queued a run although it raised ("can't start new thread"): if a thread has taken it since,
        # that thread tells how it ends.
        if self._gate.refuse(assignment.run.id, reason=reason):
            self.recorder.put(not_started(assignment, reason=reason, at=self._clock.now()))

    def withdraw(self, run: Run) -> None:
        """Take back the ticket and the permit of a run that is certainly not on record."""
        self._gate.close(run.id)
        self._agenda.give_back()

    def abandon_runs(self) -> int:
        """Let no run start any more, and record those that are going as lost; returns how many were going."""
        reason = "the scheduler stopped before the run started"
        waiting, entered = self._gate.shut(reason)
        for assignment in waiting:
            self.end_unstarted(assignment, reason)
        over = self.recorder.waiting_run_ids()
        left = [assignment.run for assignment in entered if assignment.run.id not in over]
        running = [run for run in left if self._gate.holds(run.id)]
        for run in running:
            log.warning("run abandoned", **run_keys(run))
            written = self.live_logs.get(run.id)
            lost = _lost_at_stop(run, self._clock.now())
            self.recorder.put(replace(lost, log=None if written is None else written.captured()))
        return len(running)

    def shut_down(self) -> None:
        """End the threads that have nothing to do. One that is in a call stays until the call returns."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _bring_home(self, outcome: Outcome) -> None:
        self.live_logs.remove(outcome.run_id)
        # An outcome may come twice (abandoned at a stop, then returned): its permit comes back once.
        if self._gate.close(outcome.run_id):
            self._agenda.give_back()


def _lost_at_stop(run: Run, now: datetime) -> Outcome:
    return Outcome(
        run_id=run.id,
        job_id=run.job_id,
        state=RunState.LOST,
        finished_at=now,
        started_at=run.started_at,
        lateness_ms=run.lateness_ms,
        reason="still running when the scheduler stopped and its grace was over",
    )
