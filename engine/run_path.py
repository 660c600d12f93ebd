"""The life of one run, from the gate to its outcome: named steps of a few lines each, and none of them raises."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog

from engine.call_ends import CallEnd, Died, GaveUp, Killed, Raised, Returned
from engine.deadlines import Deadlines
from engine.gate import GIVEN_UP, Refusal, StartGate
from engine.limits import END_GRACE_SECONDS
from engine.live_logs import LiveLogs
from engine.live_runs import Ending, Handle, LiveRun, LiveRuns
from engine.metadata import arguments_for
from engine.nouns import Assignment, CallOver, Outcome, Run, RunError, RunState
from engine.ports import Clock
from engine.retries import attempt_not_started, with_retry
from engine.run_log import RunLog
from engine.slot_rows import milliseconds
from engine.text import describe_error
from engine.values import quick_dataclass
from registry import JobFunction, RunContext

log = structlog.get_logger("scheduler.run")

PROCESS_DIED = "engine.ProcessDied"
"""The type of the error of a run whose worker process ended under it."""


@quick_dataclass(frozen=True, slots=True)
class Started:
    """When a call began, on both clocks."""

    at: datetime
    monotonic: float


class RunPath:
    """Takes an assignment through gate, call and outcome. Each lane calls the steps from where it calls the function.

    Every way out hands exactly one outcome to `deliver` (law 6), `BaseException` included; and, if the run was over
    before its call, then word that the call is over too.
    """

    def __init__(
        self,
        *,
        functions: Mapping[str, JobFunction],
        gate: StartGate,
        live_runs: LiveRuns,
        live_logs: LiveLogs,
        clock: Clock,
        deliver: Callable[[Outcome | CallOver], None],
        max_wait_seconds: float,
    ) -> None:
        self._functions = functions
        self._gate = gate
        self._live_runs = live_runs
        self._clock = clock
        self._live_logs = live_logs
        self._deliver = deliver
        # Bound here and not for each line, of which every run has two.
        self._log = log.bind()
        self.deadlines = Deadlines(clock=clock, expired=self._expire, max_wait_seconds=max_wait_seconds)

    def is_to_wait(self, assignment: Assignment) -> bool:
        """Whether `enter` would wait, because the node has not been heard of for too long."""
        return self._gate.is_to_wait(assignment.run.id)

    def enter(self, assignment: Assignment) -> bool:
        """Ask, as the last thing before the call, whether it may happen; if not, the run has ended here."""
        refusal = self._gate.enter(assignment.run.id)
        if refusal is not None and refusal is not GIVEN_UP:
            self._deliver(not_started(assignment, refusal, at=self._clock.now()))
        return refusal is None

    def begin(self, assignment: Assignment, handle: Handle | None = None) -> "Call":
        """The run is in its call from here on; `handle` can end that. Binds its keys in the caller's context."""
        started = Started(self._clock.now(), self._clock.monotonic())
        keys = run_keys(assignment.run)
        call = Call(LiveRun(assignment, deliver=self._deliver), started, RunLog(self._clock), keys)
        self._live_runs.add(call.live)
        self._live_logs.add(assignment.run.id, call.log)
        structlog.contextvars.clear_contextvars()
        lateness = call.started.at - assignment.run.scheduled_for
        self._log.info("run started", **keys, lateness_ms=milliseconds(lateness))
        structlog.contextvars.bind_contextvars(**keys)
        timeout_seconds = assignment.job.policies.timeout_seconds
        if timeout_seconds is not None:
            self.deadlines.set(call.live, timeout_seconds)
        cancelled = self._gate.cancelled(assignment.run.id)
        if cancelled is not None:
            call.live.end(Ending(cancelled.state, cancelled.reason))
        call.live.begin(handle)
        return call

    def finish(self, call: "Call", end: CallEnd) -> None:
        """The call is over."""
        run_id = call.assignment.run.id
        self.deadlines.drop(call.live)
        self._live_runs.remove(run_id)
        call.log.close()
        call.live.returned(lambda ending: self._outcome(call, end, ending))

    def fail(self, assignment: Assignment, error: BaseException) -> None:
        """A mistake of ours on the way. The last net: a permit that never comes back would shrink its lane for good."""
        live = self._live_runs.get(assignment.run.id)
        if live is not None:
            self.deadlines.drop(live)
            self._live_runs.remove(assignment.run.id)
        log.error("run path failed", **run_keys(assignment.run), exc_info=error)
        self._deliver(_failed_by_us(assignment, self._clock.now(), error))

    def function_of(self, assignment: Assignment) -> JobFunction:
        """The function of a run, which was registered when it was claimed."""
        return self._functions[assignment.run.function_name]

    def arguments_of(self, call: "Call") -> dict[str, Any] | Raised:
        """What the function is called with; or that it cannot be, as the job's metadata does not fit it any more."""
        function, job = self.function_of(call.assignment), call.assignment.job
        return arguments_for(function, job_id=call.keys["job_id"], metadata=job.metadata, run=lambda: _context_of(call))

    def _expire(self, live: LiveRun) -> None:
        """Its time is over: it is asked to end, and after a moment of grace it is over without its function."""
        seconds = live.assignment.job.policies.timeout_seconds or 0.0
        if live.end(Ending(RunState.TIMED_OUT, f"timed out after {seconds:g} s")):
            self.deadlines.set(live, END_GRACE_SECONDS)
        elif live.ending is not None:
            ending = live.ending
            live.settle(lambda: self._stuck(live, ending))

    def _stuck(self, live: LiveRun, ending: Ending) -> Outcome:
        run = live.assignment.run
        log.error("run stuck", **run_keys(run), reason=ending.reason)
        outcome = Outcome(
            run_id=run.id,
            job_id=run.job_id,
            claim_id=run.claim_id,
            state=ending.state,
            finished_at=self._clock.now(),
            started_at=run.started_at,
            lateness_ms=run.lateness_ms,
            reason=f"{ending.reason}; its function has not returned",
            is_stuck=True,
            log=self._live_logs.captured(run.id),
        )
        return with_retry(outcome, run, live.assignment.job)

    def _outcome(self, call: "Call", end: CallEnd, ending: Ending | None) -> Outcome:
        run = call.assignment.run
        facts = _ended(end) if ending is None else _ended_early(ending, end)
        last = Outcome(
            run_id=run.id,
            job_id=run.job_id,
            claim_id=run.claim_id,
            finished_at=self._clock.now(),
            started_at=call.started.at,
            lateness_ms=milliseconds(call.started.at - run.scheduled_for),
            duration_ms=round((self._clock.monotonic() - call.started.monotonic) * 1_000, 3),
            log=call.log.captured(),
            **facts,
        )
        outcome = _retried(last, call.assignment, end) if ending is None else with_retry(last, run, call.assignment.job)
        self._tell_end(call.keys, outcome)
        return outcome

    def _tell_end(self, keys: dict[str, Any], outcome: Outcome) -> None:
        facts: dict[str, Any] = keys | {
            "state": outcome.state.value,
            "duration_ms": outcome.duration_ms,
            "lateness_ms": outcome.lateness_ms,
        }
        if outcome.reason is not None:
            facts["reason"] = outcome.reason
        if outcome.error is None:
            self._log.info("run finished", **facts)
        else:
            facts |= {
                "error_type": outcome.error.type,
                "error": outcome.error.message,
                "traceback": outcome.error.traceback,
            }
            self._log.error("run finished", **facts)


@quick_dataclass(frozen=True, slots=True)
class Call:
    """A call that has begun."""

    live: LiveRun
    started: Started
    log: RunLog
    keys: dict[str, Any]
    """What each of its log lines says."""

    @property
    def assignment(self) -> Assignment:
        """The run and the job as it was claimed."""
        return self.live.assignment


def write_output(run_log: RunLog, stream: str, line: str) -> None:
    """A printed line: kept with the run, and an event of its own."""
    run_log.write(stream, line)
    log.info("job output", stream=stream, line=line)


def _context_of(call: Call) -> RunContext:
    run = call.assignment.run
    return RunContext(
        id=str(run.id),
        scheduled_for=run.scheduled_for,
        attempt=run.attempt,
        log=structlog.get_logger("scheduler.job"),
        cancelled=call.live.cancelled,
    )


def _retried(outcome: Outcome, assignment: Assignment, end: CallEnd) -> Outcome:
    """The outcome, to be followed by another attempt if the job and the function want that."""
    if not isinstance(end, Raised):
        return with_retry(outcome, assignment.run, assignment.job)
    asked, is_final = end.retry_after_seconds, end.is_final
    return with_retry(outcome, assignment.run, assignment.job, is_final=is_final, asked_seconds=asked)


def _ended(end: CallEnd) -> dict[str, Any]:
    """What the end of a call by itself says of how the run ended."""
    match end:
        case Returned(result_json, reason):
            return {"state": RunState.SUCCEEDED, "result_json": result_json, "reason": reason}
        case Raised(error):
            return {"state": RunState.FAILED, "error": error}
        case GaveUp(reason):
            return {"state": RunState.CANCELLED, "reason": reason}
        case Died(reason):
            return {"state": RunState.FAILED, "error": RunError(PROCESS_DIED, reason, ""), "is_crash": True}
        case Killed():
            return {"state": RunState.LOST, "reason": "its call was ended because the scheduler stopped"}


def _ended_early(ending: Ending, end: CallEnd) -> dict[str, Any]:
    """The same of a call that was asked to end."""
    match end:
        case Returned():
            how = "; its function then returned"
        case Raised(error):
            how = f"; its function then raised {error.type}"
        case _:
            how = ""
    return {"state": ending.state, "reason": f"{ending.reason}{how}"}


def _failed_by_us(assignment: Assignment, now: datetime, error: BaseException) -> Outcome:
    run = assignment.run
    return Outcome(
        run_id=run.id,
        job_id=run.job_id,
        claim_id=run.claim_id,
        state=RunState.FAILED,
        finished_at=now,
        error=describe_error(error),
    )


def not_started(assignment: Assignment, refusal: Refusal, *, at: datetime) -> Outcome:
    """The end of a claimed run whose function was not called."""
    run = assignment.run
    log.info("run not started", **run_keys(run), reason=refusal.reason)
    if run.earlier_attempts and refusal.state is RunState.SKIPPED:
        return attempt_not_started(run, refusal.reason, at=at)
    if refusal.state is RunState.LOST:
        return _lost_before_start(assignment, refusal.reason, at)
    return Outcome(
        run_id=run.id,
        job_id=run.job_id,
        claim_id=run.claim_id,
        state=refusal.state,
        finished_at=at,
        reason=refusal.reason,
        reason_code=refusal.code,
        undoes_claim=True,
    )


def _lost_before_start(assignment: Assignment, reason: str, at: datetime) -> Outcome:
    """As the other nodes have it, who cannot tell whether it had started: whoever comes first, it is tried again."""
    run = assignment.run
    outcome = Outcome(
        run_id=run.id,
        job_id=run.job_id,
        claim_id=run.claim_id,
        state=RunState.LOST,
        finished_at=at,
        started_at=run.started_at,
        lateness_ms=run.lateness_ms,
        reason=reason,
    )
    return with_retry(outcome, run, assignment.job)


def run_keys(run: Run) -> dict[str, Any]:
    """The keys that every log line of a run carries."""
    return {
        "run_id": str(run.id),
        "job_id": str(run.job_id),
        "function_name": run.function_name,
        "trigger": run.trigger.value,
        "scheduled_for": as_text(run.scheduled_for),
        "attempt": run.attempt,
        "node": str(run.node),
    }


def as_text(instant: datetime) -> str:
    """An instant for a log line: ISO 8601, UTC, with Z."""
    return str(instant).replace(" ", "T").replace("+00:00", "Z")
