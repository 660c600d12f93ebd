"""From a record of the logging module to a line of the log of the run that logged it."""

import logging
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import structlog

from engine.captured_log import LogLine
from engine.limits import MAX_LINE_FACTS_BYTES
from engine.plain_values import shown
from engine.run_log import current_log
from engine.text import describe_error

STRUCTLOG_FACTS = "structlog_facts"
"""The attribute of a record that holds the facts of a structlog event, whose name is then the record's message."""

OUR_LOGGERS = "scheduler"
"""The root of the service's own loggers: what they say is about a run, not of it."""

LOGGER_OF_RUNS = "scheduler.job"
"""The logger behind `run.log`, the one of ours that speaks for the function."""

KEYS_OF_A_RUN = frozenset({"run_id", "job_id", "function_name", "trigger", "scheduled_for", "attempt", "node"})
"""Bound to every event of a run, so that they say nothing on a line that is kept with it."""

_RECORD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class CaptureHandler(logging.Handler):
    """Keeps what is logged in the context of a run with the run: of any thread or task that has the context.

    A thread that the function starts has it only if it runs in a copy (`contextvars.copy_context().run`,
    `asyncio.to_thread`, or Python 3.14's `-X thread_inherit_context=1`). Belongs on the root logger, whose level
    decides what comes this way.
    """

    def __init__(self) -> None:
        super().__init__()
        self._thread = _ThreadState()

    def handle(self, record: logging.LogRecord) -> bool:
        """Without the handler's lock: the log has its own, and a thread that is preempted would hold the others."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record, if it is of a run. Never raises."""
        log = current_log.get()
        # A value that logs while it is made plain would go round and round.
        if log is None or _is_ours(record.name) or self._thread.is_capturing:
            return
        self._thread.is_capturing = True
        try:
            log.append(_line_of(record))
        except Exception as error:  # noqa: BLE001 - a record that someone built by hand: never the caller's trouble
            log.write("log", f"<a record of {shown(record.name)} that could not be kept: {shown(error)}>")
        finally:
            self._thread.is_capturing = False


def event_and_facts(record: logging.LogRecord) -> tuple[object, Mapping[str, object]]:
    """What a record says: the event and facts of structlog, or the message and what was given as `extra`."""
    bound: Mapping[str, object] | None = getattr(record, STRUCTLOG_FACTS, None)
    if bound is not None:
        return record.msg, bound
    return _message_of(record), {key: value for key, value in vars(record).items() if key not in _RECORD_ATTRIBUTES}


class _ThreadState(threading.local):
    is_capturing = False


def _is_ours(logger: str) -> bool:
    return (logger == OUR_LOGGERS or logger.startswith(f"{OUR_LOGGERS}.")) and logger != LOGGER_OF_RUNS


def _line_of(record: logging.LogRecord) -> LogLine:
    event, facts = event_and_facts(record)
    bound = {key: value for key, value in structlog.contextvars.get_contextvars().items() if key not in KEYS_OF_A_RUN}
    return LogLine(
        at=datetime.fromtimestamp(record.created, UTC),
        stream="log",
        level=record.levelname.lower(),
        logger=record.name,
        text=event if isinstance(event, str) else shown(event),
        # The traces first: were it too much, the others would be left out.
        facts={**_traces_of(record), **bound, **facts},
    )


def _message_of(record: logging.LogRecord) -> str:
    """Now, not later: the arguments may be changed by then."""
    try:
        return record.getMessage()
    except BaseException:  # noqa: BLE001 - a format that does not fit, or a foreign __str__, which may raise anything
        return f"{record.msg if isinstance(record.msg, str) else shown(record.msg)} (its arguments do not fit)"


def _traces_of(record: logging.LogRecord) -> dict[str, Any]:
    """The text of an exception or a stack that was logged. Their ends say where it happened, so the ends are kept."""
    traces: dict[str, Any] = {}
    if isinstance(record.exc_info, tuple) and isinstance(record.exc_info[1], BaseException):
        traces["exception"] = _end_of(describe_error(record.exc_info[1]).traceback)
    if record.stack_info:
        traces["stack"] = _end_of(record.stack_info)
    return traces


def _end_of(text: str) -> str:
    # In bytes, less than what the facts of a line may have together.
    at_most = MAX_LINE_FACTS_BYTES // 2 if text.isascii() else MAX_LINE_FACTS_BYTES // 4
    return text if len(text) <= at_most else f"...\n{text[-at_most:]}"
