"""How a run goes through each lane: the steps of the run path, taken where the lane calls the function."""

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Coroutine
from contextvars import Context, copy_context
from typing import Any, Protocol

import structlog

from engine.call_ends import CallEnd, Raised, Returned, end_of_raise, end_of_return
from engine.lanes.calls import FunctionReference, ProcessCall
from engine.lanes.entries import WrittenLine
from engine.lanes.loop_lane import LoopLane
from engine.lanes.process_lane import ProcessLane
from engine.lanes.start_line import StartLine
from engine.limits import LOOP_BEAT_SECONDS
from engine.nouns import Assignment
from engine.output import RunOutput, current_output
from engine.ports import Clock
from engine.run_log import current_log
from engine.run_path import Call, RunPath, run_keys, write_output


class Driver(Protocol):
    """Takes runs through one lane."""

    def start(self, assignment: Assignment) -> None:
        """Have the run taken through gate, call and outcome; may raise if it is not taken."""
        ...

    def stop(self, timeout_seconds: float) -> None:
        """Take no more, end what can be ended, and wait so long for that."""
        ...


class ThreadDriver:
    """Plain functions, in threads of a pool."""

    def __init__(self, run_path: RunPath, *, clock: Clock, threads: int, patience_seconds: float) -> None:
        self._run_path = run_path
        self._clock = clock
        self._line = StartLine(
            clock=clock,
            threads=threads,
            name="scheduler-run",
            run=self._perform_in_thread,
            patience_seconds=patience_seconds,
        )
        self._process_id = os.getpid()

    def start(self, assignment: Assignment) -> None:
        """Have a thread of the pool take it at its instant."""
        self._line.put(assignment)

    def stop(self, timeout_seconds: float) -> None:  # noqa: ARG002 - nothing can end a thread that is in a call
        """End the threads that have nothing to do. One that is in a call stays until the call returns."""
        self._line.stop()

    def _perform_in_thread(self, assignment: Assignment) -> float:
        """Returns for how many seconds the function was called."""
        try:
            if self._run_path.enter(assignment):
                # A context of its own: what the function binds must not reach the pool thread's next run.
                return copy_context().run(self._perform, assignment)
        except BaseException as error:  # noqa: BLE001 - none may get past here without an outcome (law 6)
            self._run_path.fail(assignment, error)
        return 0.0

    def _perform(self, assignment: Assignment) -> float:
        call = self._run_path.begin(assignment)
        output = _capture(call)
        begun = self._clock.monotonic()
        end = self._call(call)
        seconds = self._clock.monotonic() - begun
        output.close()
        if os.getpid() != self._process_id:
            # A function that forked and came back in the child as well: there is neither a run to end there, nor a
            # service to go on with.
            os._exit(0 if isinstance(end, Returned) else 1)
        self._run_path.finish(call, end)
        return seconds

    def _call(self, call: Call) -> CallEnd:
        function = self._run_path.function_of(call.assignment)
        try:
            arguments = self._run_path.arguments_of(call)
            return arguments if isinstance(arguments, Raised) else end_of_return(function, function.call(**arguments))
        # User code may raise anything, SystemExit and KeyboardInterrupt included: each is an outcome, none is ours.
        except BaseException as error:  # noqa: BLE001 - see above
            return end_of_raise(function, error)


class LoopDriver:
    """Coroutine functions, on one loop."""

    def __init__(self, run_path: RunPath, lane: LoopLane) -> None:
        self._run_path = run_path
        self._lane = lane

    def start(self, assignment: Assignment) -> None:
        """Have the loop take it."""
        run = _RunOnLoop(self._run_path, assignment)
        with run.being_handed_over:
            run.loop_call = self._lane.submit(
                run.make_coroutine,
                ended=run.ended,
                function=self._run_path.function_of(assignment),
                context=copy_context(),
            )

    def stop(self, timeout_seconds: float) -> None:
        """Cancel what is left."""
        self._lane.stop(timeout_seconds)


class _RunOnLoop:
    """One run on the loop. It is its own handle."""

    def __init__(self, run_path: RunPath, assignment: Assignment) -> None:
        self._run_path = run_path
        self._assignment = assignment
        self._call: Call | None = None
        self._output: RunOutput | None = None
        # Who kills it before `submit` has returned waits for that here.
        self.being_handed_over = threading.Lock()
        self.loop_call: Any = None

    def kill(self) -> None:
        """Cancel the coroutine."""
        with self.being_handed_over:
            loop_call = self.loop_call
        if loop_call is not None:
            loop_call.cancel()

    def make_coroutine(self) -> Coroutine[Any, Any, Any]:
        """In the context of the run, on the loop: the gate, and then the function's own coroutine."""
        if self._run_path.is_to_wait(self._assignment):
            return self._when_trusted()
        return self._make_coroutine()

    async def _when_trusted(self) -> Any:
        # Not in `enter`, which would hold the loop.
        while self._run_path.is_to_wait(self._assignment):  # noqa: ASYNC110 - it is a thread of the engine that tells
            await asyncio.sleep(LOOP_BEAT_SECONDS)
        return await self._make_coroutine()

    def _make_coroutine(self) -> Coroutine[Any, Any, Any]:
        try:
            if not self._run_path.enter(self._assignment):
                return _nothing()
            self._call = self._run_path.begin(self._assignment, self)
            self._output = _capture(self._call)
            return self._coroutine_of(self._call)
        except BaseException as error:  # noqa: BLE001 - none may get past here without an outcome (law 6)
            self._run_path.fail(self._assignment, error)
            return _nothing()

    def ended(self, end: CallEnd) -> None:
        """The coroutine has ended; nothing is left to do for one that was not let in."""
        if self._output is not None:
            self._output.close()
        if self._call is not None:
            self._run_path.finish(self._call, self._misfit or end)

    _misfit: Raised | None = None

    def _coroutine_of(self, call: Call) -> Coroutine[Any, Any, Any]:
        arguments = self._run_path.arguments_of(call)
        if isinstance(arguments, Raised):
            self._misfit = arguments
            return _nothing()
        made: Coroutine[Any, Any, Any] = self._run_path.function_of(call.assignment).call(**arguments)
        return made


class ProcessDriver:
    """Functions that are to be called in a worker process."""

    def __init__(self, run_path: RunPath, lane: ProcessLane) -> None:
        self._run_path = run_path
        self._lane = lane

    def start(self, assignment: Assignment) -> None:
        """Put it in line for a worker."""
        run = _RunInProcess(self._run_path, assignment)
        with run.being_handed_over:
            run.call_handle = self._lane.submit(
                _process_call(assignment, FunctionReference.of(self._run_path.function_of(assignment))),
                started=run.started,
                ended=run.ended,
                wrote=run.wrote,
            )

    def stop(self, timeout_seconds: float) -> None:
        """Kill what is left, with the workers."""
        self._lane.stop(timeout_seconds)


class _RunInProcess:
    """One run in a worker process, seen from here. It is its own handle; all but `kill` is for one thread at a time."""

    def __init__(self, run_path: RunPath, assignment: Assignment) -> None:
        self._run_path = run_path
        self._assignment = assignment
        self._context: Context = copy_context()
        self._call: Call | None = None
        self.being_handed_over = threading.Lock()
        self.call_handle: Any = None

    def kill(self) -> None:
        """Kill the worker that it is in."""
        with self.being_handed_over:
            call_handle = self.call_handle
        if call_handle is not None:
            call_handle.kill()

    def started(self) -> bool:
        """The gate, as the last thing before the call is sent."""
        return self._context.run(self._enter)

    def wrote(self, line: WrittenLine) -> None:
        """What it printed or logged over there, kept and logged here."""
        if self._call is not None:
            self._context.run(_write_line, self._call, line)

    def ended(self, end: CallEnd) -> None:
        """The call is over. Without a start it was killed in line, which only a stop does."""
        if self._call is not None:
            self._context.run(self._run_path.finish, self._call, end)

    def _enter(self) -> bool:
        try:
            if not self._run_path.enter(self._assignment):
                return False
            self._call = self._run_path.begin(self._assignment, self)
        except BaseException as error:  # noqa: BLE001 - none may get past here without an outcome (law 6)
            self._run_path.fail(self._assignment, error)
            return False
        return True


def _process_call(assignment: Assignment, function: FunctionReference) -> ProcessCall:
    run, job = assignment.run, assignment.job
    return ProcessCall(
        function=function,
        job_id=str(job.id),
        job_metadata=job.metadata,
        run_id=str(run.id),
        scheduled_for=run.scheduled_for,
        attempt=run.attempt,
        log_keys=run_keys(run),
    )


def _capture(call: Call) -> RunOutput:
    """Have what is printed and logged in this context kept with the run."""
    output = RunOutput(lambda stream, line: write_output(call.log, stream, line))
    current_output.set(output)
    current_log.set(call.log)
    return output


def _write_line(call: Call, line: WrittenLine) -> None:
    if line.stream is not None:
        write_output(call.log, line.stream, line.text)
        return
    facts = dict(line.facts)
    call.log.write("log", line.text, level=line.level, logger=line.logger, facts=facts)
    level = logging.getLevelNamesMapping().get(line.level.upper(), logging.INFO)
    # Facts that a call of a logger has other uses for are its author's, and are kept with the run all the same.
    with contextlib.suppress(TypeError):
        structlog.get_logger(line.logger).log(level, line.text, **facts)


async def _nothing() -> None:
    """What runs of a call that is not made."""
