"""In a worker process: what the function prints and logs, on its way to the service, in the order in which it comes."""

import contextlib
import io
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, BinaryIO, cast

import structlog
from structlog.typing import EventDict

from engine.lanes.channel import ChannelClosed
from engine.lanes.entries import WrittenLine, plain_facts, plain_text
from engine.limits import MAX_LINE_LENGTH
from engine.output import RunOutput

_FACTS = "structlog_facts"
_RECORD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

Send = Callable[[WrittenLine], None]


class CallOutput:
    """What one call writes, from any of its threads; what comes after its end is a stray."""

    def __init__(self, send: Send, log_keys: Mapping[str, Any]) -> None:
        self._send = send
        self._log_keys = log_keys
        self._printed = RunOutput(self._send_printed)
        self._lock = threading.RLock()
        self._is_open = True

    def write(self, stream: str, text: str) -> bool:
        """Take printed text; False if the call is over."""
        with self._lock:
            if self._is_open:
                self._printed.write(stream, text)
            return self._is_open

    def log(self, record: logging.LogRecord) -> bool:
        """Take a logged record; False if the call is over."""
        line = self._line_of(record)
        with self._lock:
            if self._is_open:
                self._send(line)
            return self._is_open

    def close(self) -> None:
        """Send what was printed without a newline, and take nothing more."""
        with self._lock:
            self._printed.close()
            self._is_open = False

    def _send_printed(self, stream: str, line: str) -> None:
        self._send(WrittenLine(stream, "info", "", plain_text(line)))

    def _line_of(self, record: logging.LogRecord) -> WrittenLine:
        bound = structlog.contextvars.get_contextvars()
        # The service knows the keys of the run; only what the function bound or changed is news.
        news = {key: value for key, value in bound.items() if key not in self._log_keys or value != self._log_keys[key]}
        facts = plain_facts(news | _facts_of(record))
        if exception := _exception_of(record):
            facts["exception"] = exception
        return WrittenLine(None, record.levelname.lower(), record.name, plain_text(_text_of(record)), facts)


_output_of_context: ContextVar[CallOutput | None] = ContextVar("call_output", default=None)


class Capture:
    """Stands behind print, logging and structlog in this process. One call at a time is open."""

    def __init__(self, send: Send, *, level: int) -> None:
        self._send = send
        self._level = level
        self._current: CallOutput | None = None
        self._streams = {name: RoutedStream(name, self.write) for name in ("stdout", "stderr")}
        self._handler = _Handler(self, level)

    def open(self, log_keys: Mapping[str, Any]) -> CallOutput:
        """Begin the output of a call, within its context. Whatever its module has set up since is put right."""
        self.install()
        self._current = CallOutput(self._send, log_keys)
        _output_of_context.set(self._current)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(**log_keys)
        return self._current

    def install(self) -> None:
        """Be behind the streams, the root logger and structlog, whoever was before."""
        sys.stdout, sys.stderr = self._streams["stdout"], self._streams["stderr"]
        root = logging.getLogger()
        for handler in [handler for handler in root.handlers if self._would_say_it_twice(handler)]:
            root.removeHandler(handler)
        root.addHandler(self._handler)
        root.setLevel(self._level)
        structlog.configure(
            processors=[_to_record],
            wrapper_class=structlog.make_filtering_bound_logger(self._level),
            logger_factory=_logger_named,
            cache_logger_on_first_use=False,
        )

    def write(self, stream: str, text: str) -> None:
        """Take printed text of any thread."""
        output = self._output()
        if output is None or not output.write(stream, text):
            _write_stray(text)

    def log(self, record: logging.LogRecord) -> None:
        """Take a logged record of any thread."""
        output = self._output()
        if output is None or not output.log(record):
            _write_stray(f"{record.levelname} {record.name}: {_text_of(record)}\n")

    def _output(self) -> CallOutput | None:
        # A thread that the function started without its context belongs to the call that is open.
        return _output_of_context.get() or self._current

    def _would_say_it_twice(self, handler: logging.Handler) -> bool:
        stream = getattr(handler, "stream", None)
        return any(stream is terminal for terminal in (*self._streams.values(), sys.__stdout__, sys.__stderr__))


class RoutedStream(io.TextIOBase):
    """`sys.stdout` or `sys.stderr` of a worker. It raises nothing of its own into the code that prints."""

    encoding: str = "utf-8"
    errors: str | None = "backslashreplace"

    def __init__(self, name: str, route: Callable[[str, str], None]) -> None:
        self.name = f"<{name}>"
        self._stream_name = name
        self._route = route

    @property
    def buffer(self) -> BinaryIO:
        """The real one's: bytes written there are not routed."""
        real = getattr(sys, f"__{self._stream_name}__")
        if real is None:
            raise AttributeError("buffer")
        return cast("BinaryIO", real.buffer)

    def fileno(self) -> int:
        real = getattr(sys, f"__{self._stream_name}__")
        if real is None:
            raise io.UnsupportedOperation("fileno")
        return cast("int", real.fileno())

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        # Nothing else is held back: what a signal handler of the function raises in here is meant for the function.
        with contextlib.suppress(ChannelClosed):
            self._route(self._stream_name, str(text))
        return len(text)

    def flush(self) -> None:
        """Lines leave when they are complete."""

    def close(self) -> None:
        """The next call needs it."""

    def reconfigure(self, **_options: Any) -> None:
        """As `io.TextIOWrapper` has it; there is nothing to configure."""


class _Handler(logging.Handler):
    def __init__(self, capture: Capture, level: int) -> None:
        super().__init__(level)
        self._capture = capture

    def emit(self, record: logging.LogRecord) -> None:
        # As with a stream.
        with contextlib.suppress(ChannelClosed):
            self._capture.log(record)


def _logger_named(*names: str) -> logging.Logger:
    return logging.getLogger(*names)


def _to_record(_logger: object, _method: str, event: EventDict) -> tuple[tuple[object], dict[str, Any]]:
    """The last processor: the event as message and the facts beside it, for handlers of other makes as well."""
    keywords = {name: event.pop(name) for name in ("exc_info", "stack_info") if name in event}
    message = event.pop("event", None)
    return (message,), {**keywords, "extra": {_FACTS: dict(event)}}


def _facts_of(record: logging.LogRecord) -> dict[str, Any]:
    bound = getattr(record, _FACTS, None)
    if isinstance(bound, dict):
        return bound
    return {key: value for key, value in vars(record).items() if key not in _RECORD_ATTRIBUTES}


def _text_of(record: logging.LogRecord) -> object:
    if hasattr(record, _FACTS):
        return record.msg
    try:
        return record.getMessage()
    # A format that does not fit, or a foreign __str__, which may raise anything.
    except BaseException:  # noqa: BLE001 - see above
        return f"{plain_text(record.msg)} (its arguments do not fit)"


def _exception_of(record: logging.LogRecord) -> str | None:
    match record.exc_info:
        case (type() as kind, BaseException() as error, trace):
            lines = traceback.format_exception(kind, error, trace)
            return plain_text("".join(lines)[-MAX_LINE_LENGTH:].rstrip("\n"))
        case _:
            return None


def _write_stray(text: str) -> None:
    """What belongs to no call: to wherever the worker's own standard error goes."""
    if sys.__stderr__ is not None:
        with contextlib.suppress(Exception):
            sys.__stderr__.write(text)
            sys.__stderr__.flush()
