"""Ending runs by request: what waits at once, what is in a call as far as its lane can."""

from dataclasses import dataclass
from uuid import UUID

import structlog

from engine.agenda import Agenda
from engine.errors import RunIsOver, RunNotFound, StoreUnavailable
from engine.gate import Refusal, StartGate
from engine.limits import CANCEL_ANSWER_SECONDS, MAX_EDIT_TRIES, REMOTE_LOOK_SECONDS
from engine.live_runs import Ending, LiveRuns
from engine.nouns import WAITING_STATES, Run, RunState
from engine.ports import Clock, Store
from engine.reason_codes import superseded_reason
from engine.run_path import run_keys

log = structlog.get_logger("scheduler.engine")


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What a cancellation came to: the run as it is now on record, and whether it has ended."""

    run: Run
    has_ended: bool


class Cancellation:
    """Cancels runs. May be used from any thread."""

    def __init__(self, *, store: Store, clock: Clock, agenda: Agenda, gate: StartGate, live_runs: LiveRuns) -> None:
        self._store = store
        self._clock = clock
        self._agenda = agenda
        self._gate = gate
        self._live_runs = live_runs

    def cancel(self, run_id: UUID, *, reason: str = "cancelled by request") -> Cancelled:
        """End the run, and wait a moment to see it. Raises RunNotFound, RunIsOver, StoreUnavailable."""
        for _ in range(MAX_EDIT_TRIES):
            run = self._existing(run_id)
            if run.state in WAITING_STATES:
                if self._end_waiting(run, reason):
                    return Cancelled(self._existing(run_id), has_ended=True)
            elif run.state is not RunState.RUNNING:
                raise RunIsOver(run_id, run.state)
            elif self._store.ask_to_end(run_id, reason=reason):
                return self._ended(run, reason)
            # It started, or came to wait for another attempt, since it was read.
        raise StoreUnavailable(f"run {run_id} changed {MAX_EDIT_TRIES} times in a row")

    def supersede(self, by: Run) -> None:
        """End what is going of the job, for a run that waits for that."""
        reason = superseded_reason(by.id)
        for run in self._gate.runs(by.job_id):
            # A backfill has a concurrency of its own.
            if run.id != by.id and run.backfill_id is None:
                self.end(run.id, reason)

    def end(self, run_id: UUID, reason: str) -> None:
        """Have a run of this node end, whether or not it is in its call yet; harmless if it is over."""
        if self._gate.refuse(run_id, Refusal(reason, RunState.CANCELLED)):
            return
        live = self._live_runs.get(run_id)
        if live is not None:
            live.end(Ending(RunState.CANCELLED, reason))

    def _ended(self, run: Run, reason: str) -> Cancelled:
        log.info("run to be cancelled", **run_keys(run), reason=reason)
        self.end(run.id, reason)
        self._await_end(run.id)
        now = self._existing(run.id)
        return Cancelled(now, has_ended=now.state not in {RunState.RUNNING, *WAITING_STATES})

    def _end_waiting(self, run: Run, reason: str) -> bool:
        try:
            is_ended = self._store.end_waiting([run.id], RunState.CANCELLED, at=self._clock.now(), reason=reason)
        except StoreUnavailable:
            # Perhaps it is ended, and was the first in its line.
            self._agenda.hasten(run.job_id)
            raise
        if not is_ended:
            return False
        log.info("run cancelled", **run_keys(run), reason=reason)
        # It may have been the first in its line.
        for hint in self._store.waiting_hints_of(run.job_id):
            self._agenda.push(hint)
        return True

    def _await_end(self, run_id: UUID) -> None:
        """Wait until the run is on record as over, or for so long as an answer may take."""
        deadline = self._clock.monotonic() + CANCEL_ANSWER_SECONDS
        with self._agenda.condition:
            # Its permit comes back right after its outcome is recorded, and notifies.
            while self._gate.holds(run_id) and (left := deadline - self._clock.monotonic()) > 0:
                self._clock.wait(self._agenda.condition, left)
        # One of another node, which nobody tells of here.
        while self._existing(run_id).state is RunState.RUNNING and (left := deadline - self._clock.monotonic()) > 0:
            with self._agenda.condition:
                self._clock.wait(self._agenda.condition, min(left, REMOTE_LOOK_SECONDS))

    def _existing(self, run_id: UUID) -> Run:
        run = self._store.run(run_id)
        if run is None:
            raise RunNotFound
        return run
