"""The loggers of the service's own events: whoever else wants to see these events still does."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from app.logs import LogPipe, start_logging

OURS = "scheduler.test"


class Listener(logging.Handler):
    """Somebody else's handler."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def pipe(output: io.StringIO) -> Iterator[LogPipe]:
    pipe = start_logging(level="INFO", json=True, stream=output)
    yield pipe
    pipe.stop()
    structlog.contextvars.clear_contextvars()


def lines_of(pipe: LogPipe, output: io.StringIO) -> list[dict[str, Any]]:
    pipe.flush()
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_an_event_has_what_its_logger_and_its_context_hold(pipe: LogPipe, output: io.StringIO) -> None:
    structlog.contextvars.bind_contextvars(request="7", attempt=1)
    structlog.get_logger(OURS).bind(job_id="j").warning("slots missed", attempt=2)
    (line,) = lines_of(pipe, output)
    del line["timestamp"]
    assert line == {
        "level": "warning", "logger": OURS, "event": "slots missed", "request": "7", "job_id": "j", "attempt": 2,
    }  # fmt: skip


def test_an_event_below_the_level_of_its_logger_does_not_come_out(pipe: LogPipe, output: io.StringIO) -> None:
    logger = logging.getLogger(OURS)
    logger.setLevel(logging.ERROR)
    try:
        structlog.get_logger(OURS).info("run started")
    finally:
        logger.setLevel(logging.NOTSET)
    assert lines_of(pipe, output) == []


@pytest.mark.parametrize("name", ["", "scheduler", OURS])
def test_a_handler_of_others_is_given_the_event(pipe: LogPipe, output: io.StringIO, name: str) -> None:
    listener = Listener()
    logging.getLogger(name).addHandler(listener)
    try:
        structlog.get_logger(OURS).info("run started")
    finally:
        logging.getLogger(name).removeHandler(listener)
    assert listener.heard == ["run started"]
    assert [line["event"] for line in lines_of(pipe, output)] == ["run started"]


def test_processors_of_others_are_asked(pipe: LogPipe, output: io.StringIO) -> None:
    ours = structlog.get_config()["processors"]

    def add_site(_logger: object, _method: str, event: Any) -> Any:
        return event | {"site": "north"}

    structlog.configure(processors=[add_site, *ours])
    structlog.get_logger(OURS).info("run started")
    (line,) = lines_of(pipe, output)
    assert line["site"] == "north"


def test_what_is_captured_does_not_come_out(pipe: LogPipe, output: io.StringIO) -> None:
    with structlog.testing.capture_logs() as captured:
        structlog.get_logger(OURS).info("run started")
    assert captured == [{"event": "run started", "log_level": "info"}]
    assert lines_of(pipe, output) == []


def test_an_error_brings_its_traceback(pipe: LogPipe, output: io.StringIO) -> None:
    try:
        int("no such thing")
    except ValueError:
        structlog.get_logger(OURS).exception("tick failed", loop="timer")
    (line,) = lines_of(pipe, output)
    assert line["level"] == "error"
    assert line["loop"] == "timer"
    assert line["exception"].endswith("'no such thing'")


def test_words_of_the_event_are_filled_in(pipe: LogPipe, output: io.StringIO) -> None:
    structlog.get_logger(OURS).info("%s of %s", 1, 2)
    (line,) = lines_of(pipe, output)
    assert line["event"] == "1 of 2"
