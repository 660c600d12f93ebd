"""The life of one run, from the gate to its outcome: named steps of a few lines each, and none of them raises."""

import inspect
from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from engine.gate import StartGate
from engine.live_logs import LiveLogs
from engine.nouns import Assignment, Outcome, Run, RunError, RunState
from engine.output import RunOutput, current_output
from engine.planning import milliseconds
from engine.ports import Clock
from engine.run_log import RunLog, current_log
from engine.text import describe_error, encode_result
from registry import JobFunction, RunContext, UnsuitableFunction

log = structlog.get_logger("scheduler.run")


@dataclass(frozen=True, slots=True)
class Started:
    """When a call began, on both clocks."""

    at: datetime
    monotonic: float


class RunPath:
    """Takes an assignment through gate, call and outcome, in a thread of the pool.

    Called by the pool. Every way out hands exactly one outcome to `deliver` (law 6), `BaseException` included.
    """

    def __init__(
        self,
        *,
        functions: Mapping[str, JobFunction],
        gate: StartGate,
        clock: Clock,
        live_logs: LiveLogs,
        deliver: Callable[[Outcome], None],
    ) -> None:
        self._functions = functions
        self._gate = gate
        self._clock = clock
        self._live_logs = live_logs
        self._deliver = deliver

    def __call__(self, assignment: Assignment) -> None:
        """Run it. Never raises."""
        try:
            outcome = self._live(assignment)
        # The last net: a permit that never comes back would shrink the pool for good.
        except BaseException as error:
            log.exception("run path failed", run_id=str(assignment.run.id), job_id=str(assignment.job.id))
            outcome = self._failed(assignment, None, describe_error(error))
        self._deliver(outcome)

    def _live(self, assignment: Assignment) -> Outcome:
        refusal = self._gate.enter(assignment.run.id)
        if refusal is not None:
            return not_started(assignment, reason=refusal, at=self._clock.now())
        # A context of its own: what the function binds or sets must not reach the pool thread's next run.
        return copy_context().run(self._perform, assignment)

    def _perform(self, assignment: Assignment) -> Outcome:
        _bind(assignment)
        run_log = RunLog(self._clock)
        self._live_logs.add(assignment.run.id, run_log)
        current_log.set(run_log)
        output = _output_to(run_log)
        current_output.set(output)
        started = self._start(assignment)
        outcome = self._outcome_of_call(assignment, started)
        output.close()
        run_log.close()
        _log_end(outcome)
        return replace(outcome, log=run_log.captured())

    def _start(self, assignment: Assignment) -> Started:
        started = Started(self._clock.now(), self._clock.monotonic())
        lateness = milliseconds(started.at - assignment.run.scheduled_for)
        log.info("run started", lateness_ms=lateness)
        return started

    def _outcome_of_call(self, assignment: Assignment, started: Started) -> Outcome:
        try:
            result = self._call(assignment)
        # User code may raise anything, SystemExit and KeyboardInterrupt included: each is an outcome, none is ours.
        except BaseException as error:  # noqa: BLE001 - see above
            return self._failed(assignment, started, describe_error(error))
        return self._succeeded(assignment, started, result)

    def _call(self, assignment: Assignment) -> Any:
        function = self._functions[assignment.run.function_name]
        context = RunContext(
            id=str(assignment.run.id),
            scheduled_for=assignment.run.scheduled_for,
            attempt=assignment.run.attempt,
            log=structlog.get_logger("scheduler.job"),
        )
        arguments = function.select_arguments(
            job_id=str(assignment.job.id), job_metadata=assignment.job.metadata, run=context
        )
        result = function.call(**arguments)
        _refuse_unfinished(function, result)
        return result

    def _succeeded(self, assignment: Assignment, started: Started, result: Any) -> Outcome:
        result_json, reason = encode_result(result)
        return self._ended(assignment, started, RunState.SUCCEEDED, result_json=result_json, reason=reason)

    def _failed(self, assignment: Assignment, started: Started | None, error: RunError) -> Outcome:
        return self._ended(assignment, started, RunState.FAILED, error=error)

    def _ended(self, assignment: Assignment, started: Started | None, state: RunState, **facts: Any) -> Outcome:
        times = {} if started is None else self._times(assignment, started)
        return Outcome(
            run_id=assignment.run.id,
            job_id=assignment.job.id,
            state=state,
            finished_at=self._clock.now(),
            **times,
            **facts,
        )

    def _times(self, assignment: Assignment, started: Started) -> dict[str, Any]:
        return {
            "started_at": started.at,
            "lateness_ms": milliseconds(started.at - assignment.run.scheduled_for),
            "duration_ms": round((self._clock.monotonic() - started.monotonic) * 1_000, 3),
        }


def _refuse_unfinished(function: JobFunction, result: Any) -> None:
    """Refuse what is only a promise of work: a wrapper may hide from the registry that its function is one."""
    if inspect.iscoroutine(result) or inspect.isgenerator(result):
        result.close()
    elif not inspect.isawaitable(result):
        return
    raise UnsuitableFunction(
        f'job function "{function.name}" returned {type(result).__name__}, of which nothing has run: use a plain def'
    )


def not_started(assignment: Assignment, *, reason: str, at: datetime) -> Outcome:
    """The end of a claimed run whose function was not called."""
    run = assignment.run
    log.info("run not started", **run_keys(run), reason=reason)
    return Outcome(
        run_id=run.id,
        job_id=run.job_id,
        state=RunState.SKIPPED,
        finished_at=at,
        reason=reason,
        undoes_claim=True,
    )


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


def _output_to(run_log: RunLog) -> RunOutput:
    def emit(stream: str, line: str) -> None:
        run_log.write(stream, line)
        log.info("job output", stream=stream, line=line)

    return RunOutput(emit)


def _bind(assignment: Assignment) -> None:
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**run_keys(assignment.run))


def _log_end(outcome: Outcome) -> None:
    facts: dict[str, Any] = {
        "state": outcome.state.value,
        "duration_ms": outcome.duration_ms,
        "lateness_ms": outcome.lateness_ms,
    }
    if outcome.reason is not None:
        facts["reason"] = outcome.reason
    if outcome.error is None:
        log.info("run finished", **facts)
    else:
        facts |= {
            "error_type": outcome.error.type,
            "error": outcome.error.message,
            "traceback": outcome.error.traceback,
        }
        log.error("run finished", **facts)
