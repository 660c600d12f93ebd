"""The one way out for everything that is logged or printed: a bounded queue, one thread, one line per event."""

import atexit
import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from queue import Empty, SimpleQueue
from typing import TextIO

import structlog

from app.log_lines import ExceptionInfo, LogEvent, Renderer, console_line, json_line
from app.output import RoutedStream, Sink, open_sink
from app.own_loggers import PROCESSORS, OwnLoggers, bound_logger
from engine.clock import SystemClock
from engine.log_capture import STRUCTLOG_FACTS, CaptureHandler, event_and_facts

QUEUE_LIMIT = 10_000
"""Events that wait to be written; with more, new ones are dropped and counted."""

BATCH_EVENTS = 200
"""Events that are written at once at most."""

GATHER_SECONDS = 0.01
"""How long events are let come together before they are written: a thread that wakes for each takes the interpreter
from those who log, just when a run starts or ends."""

UVICORN_LOGGERS = ("uvicorn", "uvicorn.error")
UVICORNS_REQUESTS, OUR_REQUESTS = "uvicorn.access", "scheduler.request"
"""Ours tells of each request, as it knows its id and costs half; but not if --no-access-log has silenced uvicorn's."""

TALKATIVE_LOGGERS = ("alembic",)
"""Libraries whose information is nobody's: each start would tell how the migrations are looked for."""

_CLOCK = SystemClock()


def start_logging(*, level: str, json: bool, stream: TextIO | None = None) -> "LogPipe":
    """Send structlog's, the standard library's and uvicorn's logs, and what is printed, to `stream` from here on.

    `stream` is `sys.stdout` of now if not given. A pipe that is already started is stopped first.
    """
    _stop_previous()
    target = sys.stdout if stream is None else stream
    with contextlib.suppress(OSError, ValueError, AttributeError):
        target.flush()
    render = json_line if json else console_line(colors=_is_terminal(target))
    pipe = LogPipe(render=render, sink=open_sink(target))
    pipe.install(logging.getLevelNamesMapping()[level])
    return pipe


Marker = threading.Event
"""Goes through the queue behind what is to be flushed, and is set when it comes out."""


class LogPipe:
    """Takes events from any thread without ever waiting, and writes them from a thread of its own."""

    def __init__(self, *, render: Renderer, sink: Sink) -> None:
        self._render = render
        self._sink = sink
        # Not a bounded Queue: its lock is not reentrant, and a destructor that logs while this thread is inside put()
        # would wait for itself. This one's put() is made for that; the bound is counted in put() below.
        self._queue: SimpleQueue[LogEvent | Marker | None] = SimpleQueue()
        self._dropped = 0
        self._dropped_lock = threading.RLock()
        self._hurry = threading.Event()
        self._is_stopped = False
        self._undo = ExitStack()
        self._process_id = os.getpid()
        self._listener = threading.Thread(target=self._listen, name="log-listener", daemon=True)

    def install(self, level: int) -> None:
        """Replace streams, handlers and structlog's set-up, each with its way back, and start the listener."""
        self._listener.start()
        with ExitStack() as undo:
            ours = (PipeHandler(self, level), CaptureHandler())
            _replace_handlers(undo, ours, level)
            _route_streams(undo, self.put)
            _configure_structlog(undo, level, own_loggers=OwnLoggers(self.put, handlers=ours))
            # A process that ends by an exception would take its traceback with it.
            atexit.register(self.stop)
            undo.callback(atexit.unregister, self.stop)
            self._undo = undo.pop_all()

    def put(self, event: LogEvent) -> None:
        """Hand an event over. Never waits, never raises."""
        if os.getpid() != self._process_id:
            self._write_in_child(event)
        elif self._is_stopped or self._queue.qsize() >= QUEUE_LIMIT:
            self.count_dropped(1)
        else:
            self._queue.put(event)

    def count_dropped(self, count: int) -> None:
        """Remember that events were lost; the next batch begins with saying so."""
        with self._dropped_lock:
            self._dropped += count

    def flush(self, timeout_seconds: float = 2.0) -> None:
        """Wait until what was logged so far is written; gives up after the time-out, as when nobody reads."""
        if not self._is_stopped:
            marker = Marker()
            # In this order: who takes the marker ends the hurry, which must not begin after that and never end.
            self._hurry.set()
            self._queue.put(marker)
            marker.wait(timeout_seconds)

    def stop(self, timeout_seconds: float = 2.0) -> None:
        """Put everything back, then write what is waiting; gives up after the time-out. A second call does nothing."""
        if self._is_stopped:
            return
        self._undo.close()
        self._is_stopped = True
        self._queue.put(None)
        self._hurry.set()
        self._listener.join(timeout_seconds)

    def _listen(self) -> None:
        try:
            while self._write_batch():
                pass
        finally:
            with contextlib.suppress(Exception):
                self._sink.close()

    def _write_batch(self) -> bool:
        """Write what is waiting, one batch at most; False when the pipe was stopped.

        A method of its own, so that no event, and no frame its traceback holds, stays referenced in the next wait.
        """
        batch = self._take_batch()
        events = [item for item in batch if isinstance(item, LogEvent)]
        lost = self._take_dropped()
        try:
            self._write([*_report_of(lost), *events])
        except Exception:  # noqa: BLE001 - a broken or closed sink: the loop outlives it (law 9), and counts
            self.count_dropped(lost + len(events))
        for item in batch:
            if isinstance(item, Marker):
                self._hurry.clear()
                item.set()
        return batch[-1] is not None

    def _take_batch(self) -> list[LogEvent | Marker | None]:
        """Wait for something, then take what has come behind it; None, always the last, is the end."""
        batch = [self._queue.get()]
        if isinstance(batch[0], LogEvent) and self._queue.qsize() < BATCH_EVENTS:
            self._hurry.wait(GATHER_SECONDS)
        with contextlib.suppress(Empty):
            while len(batch) < BATCH_EVENTS and batch[-1] is not None:
                batch.append(self._queue.get_nowait())
        return batch

    def _write(self, events: Sequence[LogEvent]) -> None:
        if events:
            self._sink.write(b"".join(self._render(event) for event in events))

    def _take_dropped(self) -> int:
        with self._dropped_lock:
            dropped, self._dropped = self._dropped, 0
        return dropped

    def _write_in_child(self, event: LogEvent) -> None:
        """In a forked child there is no listener; it writes by itself, as any small program would."""
        with contextlib.suppress(Exception):
            self._write([event])


class PipeHandler(logging.Handler):
    """The root handler: turns a record into an event of the pipe, in the thread that logs."""

    def __init__(self, pipe: LogPipe, level: int) -> None:
        super().__init__(level)
        self.pipe = pipe

    def handle(self, record: logging.LogRecord) -> bool:
        """Without the handler's lock: the queue needs none, and a thread that is preempted would hold the others."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.pipe.put(_event_of(record))
        except Exception:  # noqa: BLE001 - arguments that don't fit their message, and the like: never the caller's
            self.pipe.count_dropped(1)


def _report_of(lost: int) -> list[LogEvent]:
    return [_event_of_ours("log events dropped", level=logging.WARNING, count=lost)] if lost else []


def _event_of(record: logging.LogRecord) -> LogEvent:
    event, facts = event_and_facts(record)
    if record.stack_info:
        facts = {**facts, "stack": record.stack_info}
    return LogEvent(
        created_at=record.created,
        level=record.levelname.lower(),
        logger=record.name,
        event=event,
        facts={**structlog.contextvars.get_contextvars(), **facts},
        exception=_exception_of(record),
    )


def _exception_of(record: logging.LogRecord) -> ExceptionInfo | None:
    """None also for what logging leaves when there was no exception to speak of: (None, None, None)."""
    match record.exc_info:
        case (type() as kind, BaseException() as exception, trace):
            return kind, exception, trace
        case _:
            return None


def _event_of_ours(event: str, *, level: int, **facts: object) -> LogEvent:
    """An event that goes around the logging module, and with it around any handler that could print or log."""
    record = logging.LogRecord(__name__, level, "", 0, event, None, None)
    setattr(record, STRUCTLOG_FACTS, facts)
    return _event_of(record)


def _stop_previous() -> None:
    for handler in list(logging.getLogger().handlers):
        if isinstance(handler, PipeHandler):
            handler.pipe.stop()


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def _route_streams(undo: ExitStack, put: Callable[[LogEvent], None]) -> None:
    def emit_stray(stream: str, line: str) -> None:
        put(_event_of_ours("stray output", level=logging.INFO, stream=stream, line=line))

    for name in ("stdout", "stderr"):
        real = getattr(sys, name)
        routed = RoutedStream(name, real, emit_stray)
        setattr(sys, name, routed)
        undo.callback(_put_stream_back, name, routed, real)


def _put_stream_back(name: str, routed: RoutedStream, real: TextIO | None) -> None:
    routed.finish()
    # Someone may have replaced it after us; theirs to undo.
    if getattr(sys, name) is routed:
        setattr(sys, name, real)


def _replace_handlers(undo: ExitStack, handlers: Sequence[logging.Handler], level: int) -> None:
    root = logging.getLogger()
    _silence(undo, root, [other for other in root.handlers if _writes_to_terminal(other)])
    for name in UVICORN_LOGGERS:
        logger = logging.getLogger(name)
        _silence(undo, logger, logger.handlers)
        undo.callback(setattr, logger, "propagate", logger.propagate)
        logger.propagate = True
    _take_over_requests(undo)
    for name in TALKATIVE_LOGGERS:
        logger = logging.getLogger(name)
        undo.callback(logger.setLevel, logger.level)
        logger.setLevel(max(level, logging.WARNING))
    undo.callback(root.setLevel, root.level)
    root.setLevel(level)
    for ours in handlers:
        undo.callback(root.removeHandler, ours)
        root.addHandler(ours)


def _take_over_requests(undo: ExitStack) -> None:
    theirs, ours = logging.getLogger(UVICORNS_REQUESTS), logging.getLogger(OUR_REQUESTS)
    is_wanted = theirs.propagate or bool(theirs.handlers)
    _silence(undo, theirs, theirs.handlers)
    undo.callback(setattr, theirs, "propagate", theirs.propagate)
    # uvicorn asks whether anybody would hear it.
    theirs.propagate = False
    undo.callback(ours.setLevel, ours.level)
    ours.setLevel(logging.NOTSET if is_wanted else logging.WARNING)


def _silence(undo: ExitStack, logger: logging.Logger, handlers: Sequence[logging.Handler]) -> None:
    for handler in list(handlers):
        logger.removeHandler(handler)
        undo.callback(logger.addHandler, handler)


def _writes_to_terminal(handler: logging.Handler) -> bool:
    """It would say everything a second time. Others, to a file or a service, are someone's wish and stay."""
    stream = getattr(handler, "stream", None)
    terminals = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return stream is not None and any(stream is terminal for terminal in terminals)


def _configure_structlog(undo: ExitStack, level: int, *, own_loggers: OwnLoggers) -> None:
    if structlog.is_configured():
        undo.callback(structlog.configure, **structlog.get_config())
    else:
        undo.callback(structlog.reset_defaults)
    structlog.configure(
        processors=PROCESSORS,
        wrapper_class=bound_logger(level),
        logger_factory=own_loggers.logger_named,
        cache_logger_on_first_use=False,  # a cached logger would outlive stop() and the next start
    )
