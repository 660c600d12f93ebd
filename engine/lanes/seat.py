"""One thread and the worker process that it keeps: replaced when it ends, and fed one call at a time."""

import threading
from collections.abc import Callable
from dataclasses import replace

import structlog

from engine.call_ends import CallEnd, Died, Killed
from engine.lanes.calls import FunctionReference, encode_call
from engine.lanes.entries import WrittenLine
from engine.lanes.frames import GarbledFrame, Message, decode_end
from engine.lanes.process_call import CallHandle
from engine.lanes.worker import WorkerOptions
from engine.lanes.worker_process import WorkerProcess
from engine.limits import MAX_BACKOFF_SECONDS, MAX_REASON_LENGTH, MAX_WAIT_SECONDS, MAX_WORKER_START_SECONDS
from engine.text import clean_text

log = structlog.get_logger("scheduler.lanes")


class Seat:
    """Serves calls from `take` until it is told to vacate; then `left` is called."""

    def __init__(
        self, take: Callable[[float], CallHandle | None], options: WorkerOptions, left: Callable[[], None]
    ) -> None:
        self._take = take
        self._options = options
        self._left = left
        self._lock = threading.Lock()
        self._is_vacated = False
        self._process: WorkerProcess | None = None
        self._call: CallHandle | None = None
        self._is_ready = False
        self._prepared: set[FunctionReference] = set()
        self._trouble = ""

    @property
    def pid(self) -> int | None:
        """The process id of a worker that can be given calls or is in one."""
        process = self._process
        return process.pid if process is not None and self._is_ready else None

    def serve(self) -> None:
        """The thread."""
        try:
            while not self._is_vacated:
                self._serve_once()
        finally:
            self._bury()
            self._left()

    def vacate(self) -> None:
        """End the thread, and its process with the call that it is in."""
        with self._lock:
            self._is_vacated = True
            call, process = self._call, self._process
        if call is not None:
            call.kill()
        if process is not None:
            process.kill()

    def let_go(self) -> None:
        """Drop the connection to the worker, in a forked child, whose locks nobody may give back any more."""
        process = self._process
        if process is not None:
            process.let_go()

    def _serve_once(self) -> None:
        """Have a worker, and take it through the next call, if one comes soon."""
        is_staffed = self._has_worker()
        # Without one there is nothing to try at once, and a worker that dies in its rest is replaced soon.
        call = self._take(MAX_WAIT_SECONDS if is_staffed else MAX_BACKOFF_SECONDS)
        if call is None:
            return
        with self._lock:
            self._call = call
        if self._is_vacated:
            call.kill()
        try:
            end = self._made(call)
            if end is not None:
                call.end(end)
        # The last net (law 9): neither the call nor this seat is lost.
        except Exception as error:
            log.exception("worker seat failed", run_id=call.call.run_id)
            self._bury()
            call.end(call.end_of_death(f"the service failed while it was called: {error}"))
        with self._lock:
            self._call = None
        # Killed a moment too late, the call has returned; but its worker is dying, and not for the next one.
        if call.is_killed:
            self._is_ready = False

    def _made(self, call: CallHandle) -> CallEnd | None:
        """Make the call; how it ended, or None if the gate refused it."""
        if not self._has_worker():
            return self._unmade(call, self._trouble)
        process = self._process
        assert process is not None  # noqa: S101 - for the type checker: it was there just now, and only we take it away
        if not call.enter(process):
            return Killed()
        problem = self._problem_with(call, process)
        if problem is not None:
            return self._unmade(call, problem)
        if not call.may_start():
            return None
        process.send({"kind": "call", "call": encode_call(call.call)})
        return self._await_end(call, process)

    def _unmade(self, call: CallHandle, reason: str) -> CallEnd | None:
        """The end of a call that can't be made. It too goes through the gate: a run that was revoked has not failed."""
        if call.is_killed:
            return Killed()
        return Died(clean_text(reason, at_most=MAX_REASON_LENGTH)) if call.may_start() else None

    def _problem_with(self, call: CallHandle, process: WorkerProcess) -> str | None:
        """Have the worker find the function, which may import its module; why it can't."""
        function = call.call.function
        if function in self._prepared:
            return None
        process.send({"kind": "prepare", "function": _plain(function)})
        while (message := process.receive()) is not None:
            if message["kind"] == "prepared":
                return self._remember(function, message["problem"])
        return f"while it imported {function.module}, {self._bury()}"

    def _remember(self, function: FunctionReference, problem: Message | None) -> str | None:
        if problem is None:
            self._prepared.add(function)
            return None
        return (
            f"a worker process could not find {function.module}.{function.qualname}: "
            f"{problem['type']}: {problem['message']}"
        )

    def _await_end(self, call: CallHandle, process: WorkerProcess) -> CallEnd:
        try:
            while (message := process.receive()) is not None:
                if message["kind"] == "line":
                    call.write(_line_of(message))
                elif message["kind"] == "end":
                    self._is_ready = message.get("stays") is True
                    return decode_end(message)
        except GarbledFrame:
            process.refuse_talk()
        return call.end_of_death(self._bury())

    def _has_worker(self) -> bool:
        """Whether there is one; if there is none, or no more, it is started."""
        if self._process is not None and self._is_ready and self._process.is_alive():
            return True
        self._bury()
        # A module that ends the process in which it is imported must not keep us from having one.
        return self._start(self._options) or self._start(replace(self._options, modules=()))

    def _start(self, options: WorkerOptions) -> bool:
        if self._is_vacated:
            return False
        try:
            process = WorkerProcess(options)
        except OSError as error:
            self._note(f"no worker process could be started: {error}")
            return False
        with self._lock:
            self._process = process
            is_wanted = not self._is_vacated
        greeting = process.receive(MAX_WORKER_START_SECONDS) if is_wanted else None
        self._is_ready = greeting is not None and greeting["kind"] == "ready"
        if not self._is_ready:
            self._note(f"no worker process could be started: {self._bury()}")
        return self._is_ready

    def _note(self, trouble: str) -> None:
        if not self._is_vacated:
            log.warning("worker process not started", reason=trouble)
        self._trouble = trouble

    def _bury(self) -> str:
        """See the process off, if there is one, and forget it; why it ended."""
        with self._lock:
            process, self._process = self._process, None
        self._is_ready = False
        self._prepared.clear()
        return "" if process is None else process.bury()


def _plain(function: FunctionReference) -> dict[str, str]:
    return {"name": function.name, "module": function.module, "qualname": function.qualname}


def _line_of(message: Message) -> WrittenLine:
    try:
        return WrittenLine(**{name: value for name, value in message.items() if name != "kind"})
    except TypeError as error:
        raise GarbledFrame from error
