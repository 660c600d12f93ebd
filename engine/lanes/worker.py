"""What runs in a worker process: it finds functions by name and calls them, one after the other, until it is killed."""

import asyncio
import contextlib
import importlib
import inspect
import json
import logging
import os
import resource
import signal
import traceback
from contextvars import copy_context
from dataclasses import asdict, dataclass

import structlog

from engine.call_ends import CallEnd, Raised, end_of_raise, end_of_return
from engine.lanes import lifeline
from engine.lanes.calls import FunctionReference, ProcessCall, decode_call
from engine.lanes.capture import Capture
from engine.lanes.channel import Channel, ChannelClosed
from engine.lanes.entries import WrittenLine
from engine.lanes.frames import Message, encode_end
from engine.metadata import arguments_for
from engine.text import describe_error
from registry import JOB_REGISTRY, JobFunction, RunContext
from registry.function import describe_function


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What a worker is told when it starts. `modules` are imported before it is ready, so that no call waits for it."""

    modules: tuple[str, ...] = ()
    memory_limit_bytes: int | None = None
    log_level: int = logging.INFO


def main(channel_descriptor: int, lifeline_descriptor: int, options: str) -> None:
    """Serve calls until the service hangs up. `options` are WorkerOptions as JSON."""
    lifeline.hold_on_to(lifeline_descriptor)
    _let_signals_pass()
    given = WorkerOptions(**json.loads(options))
    if given.memory_limit_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (given.memory_limit_bytes, given.memory_limit_bytes))
    worker = Worker(Channel(channel_descriptor), level=given.log_level)
    status = 1
    try:
        worker.import_modules(given.modules)
        worker.serve()
        status = 0
    except ChannelClosed:
        pass
    except BaseException:  # noqa: BLE001 - the last words of a process whose threads may not let it end
        traceback.print_exc()
    os._exit(status)


class Worker:
    """Answers "prepare" by finding the function, and "call" by calling it."""

    def __init__(self, channel: Channel, *, level: int) -> None:
        self._channel = channel
        self._capture = Capture(self._send_line, level=level)
        self._functions: dict[FunctionReference, JobFunction] = {}

    def import_modules(self, names: tuple[str, ...]) -> None:
        """Import what can be imported; who needs one that can't is told when it is asked for."""
        self._capture.install()
        for name in names:
            with contextlib.suppress(BaseException):
                importlib.import_module(name)

    def serve(self) -> None:
        """Answer until the service hangs up, or this process is not worth another call. Raises ChannelClosed."""
        self._channel.send({"kind": "ready"})
        for message in self._channel.messages():
            answer = self._prepare(message) if message["kind"] == "prepare" else self._call(message)
            if self._channel.is_foreign:
                # A function that forked and returned in the child as well: there is no run there to end.
                os._exit(0)
            self._channel.send(answer)
            if answer.get("stays") is False:
                return

    def _prepare(self, message: Message) -> Message:
        reference = FunctionReference(**message["function"])
        try:
            self._functions[reference] = _find(reference)
        # An import may fail in any way, SystemExit included.
        except BaseException as error:  # noqa: BLE001 - see above
            return {"kind": "prepared", "problem": asdict(describe_error(error))}
        return {"kind": "prepared", "problem": None}

    def _call(self, message: Message) -> Message:
        call = decode_call(message["call"])
        end, ran_out_of_memory = copy_context().run(self._perform, call, self._functions[call.function])
        # What a function that ran out of memory has left behind is the next one's to run out of.
        return encode_end(end) | {"stays": not ran_out_of_memory}

    def _perform(self, call: ProcessCall, function: JobFunction) -> tuple[CallEnd, bool]:
        output = self._capture.open(call.log_keys)
        try:
            return _end_of_call(call, function), False
        # User code may raise anything, SystemExit and KeyboardInterrupt included: each is an end, none is ours.
        except BaseException as error:  # noqa: BLE001 - see above
            if isinstance(error, MemoryError):
                # Its frames hold what filled the memory that is needed to tell of it.
                traceback.clear_frames(error.__traceback__)
            return end_of_raise(function, error), isinstance(error, MemoryError)
        finally:
            output.close()

    def _send_line(self, line: WrittenLine) -> None:
        # Not asdict(), which would copy the facts.
        self._channel.send(
            {
                "kind": "line",
                "stream": line.stream,
                "level": line.level,
                "logger": line.logger,
                "text": line.text,
                "facts": line.facts,
            }
        )


def _find(reference: FunctionReference) -> JobFunction:
    module = importlib.import_module(reference.module)
    known = JOB_REGISTRY.get(reference.name)
    if known is not None and _is_at(known, reference):
        return known
    return describe_function(reference.name, getattr(module, reference.qualname), replaceable=False)


def _is_at(function: JobFunction, reference: FunctionReference) -> bool:
    place = getattr(function.call, "__module__", None), getattr(function.call, "__qualname__", None)
    return place == (reference.module, reference.qualname)


def _end_of_call(call: ProcessCall, function: JobFunction) -> CallEnd:
    context = RunContext(
        id=call.run_id,
        scheduled_for=call.scheduled_for,
        attempt=call.attempt,
        log=structlog.get_logger("scheduler.job"),
    )
    arguments = arguments_for(function, job_id=call.job_id, metadata=call.job_metadata, run=lambda: context)
    if isinstance(arguments, Raised):
        return arguments
    result = function.call(**arguments)
    return end_of_return(function, asyncio.run(result) if inspect.iscoroutinefunction(function.call) else result)


def _let_signals_pass() -> None:
    """A stop of the whole service, which a container sends to each process, is for the service to carry out.

    Handlers, not SIG_IGN: what the function starts would inherit that, and could not be ended by a signal itself.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        signal.signal(number, lambda _number, _frame: None)
    os.register_at_fork(after_in_child=lambda: [signal.signal(number, signal.SIG_DFL) for number in numbers])
