"""The log pipe: whatever happens, one valid line per event, and nobody waits."""

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
import structlog

from app.log_lines import LogEvent, json_line
from app.logs import QUEUE_LIMIT, LogPipe, PipeHandler, start_logging
from app.output import RoutedStream
from engine.output import RunOutput, current_output

Line = dict[str, Any]
Start = Callable[..., LogPipe]


class Sulking:
    """An object that can't be shown."""

    def __str__(self) -> NoReturn:
        raise SystemExit


class Written:
    """A file that a pipe writes to, and what came out of it."""

    def __init__(self, path: Path) -> None:
        self.stream = path.open("w+")
        self._path = path

    def text(self) -> str:
        return self._path.read_text()

    def lines(self) -> list[Line]:
        return [json.loads(line) for line in self.text().splitlines()]


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    written = Written(tmp_path / "written")
    yield written
    written.stream.close()


@pytest.fixture
def start(written: Written) -> Iterator[Start]:
    pipes: list[LogPipe] = []

    def start_one(*, level: str = "INFO", json: bool = True, stream: Any = written.stream) -> LogPipe:
        pipes.append(start_logging(level=level, json=json, stream=stream))
        return pipes[-1]

    yield start_one
    for pipe in pipes:
        pipe.stop()
    structlog.contextvars.clear_contextvars()


# What a line looks like


def test_a_line_has_its_keys_and_the_bound_ones(start: Start, written: Written) -> None:
    pipe = start()
    before = datetime.now(UTC)
    structlog.get_logger("team.jobs").bind(job_id="7").info("run started", attempt=1)
    after = datetime.now(UTC)
    pipe.stop()
    (line,) = written.lines()
    timestamp = line.pop("timestamp")
    assert line == {"level": "info", "logger": "team.jobs", "event": "run started", "job_id": "7", "attempt": 1}
    assert timestamp.endswith("Z")
    assert len(timestamp) == len("2026-11-23T12:00:00.000000Z")
    # Python before 3.13 takes a record's time as a float of less than a microsecond's precision.
    assert before - timedelta(milliseconds=1) <= datetime.fromisoformat(timestamp) <= after


def test_an_exception_is_text_under_one_key(start: Start, written: Written) -> None:
    pipe = start()
    try:
        int("it broke")
    except ValueError:
        structlog.get_logger("a").exception("loop failed")
        logging.getLogger("b").exception("loop failed")
    pipe.stop()
    for line in written.lines():
        assert line["level"] == "error"
        assert line["exception"].startswith("Traceback (most recent call last):")
        assert line["exception"].endswith("'it broke'")


def test_an_exception_given_as_a_value_is_shown_as_well(start: Start, written: Written) -> None:
    pipe = start()
    structlog.get_logger("a").error("loop failed", exc_info=KeyError("k"))
    structlog.get_logger("a").error("nothing raised", exc_info=True)
    pipe.stop()
    first, second = written.lines()
    assert first["exception"] == "KeyError: 'k'"
    assert "exception" not in second


def test_the_standard_librarys_records_take_the_same_way(start: Start, written: Written) -> None:
    pipe = start()
    logging.getLogger("library").warning("%d things in %s", 3, "a box", extra={"job_id": "7"})
    pipe.stop()
    (line,) = written.lines()
    assert (line["event"], line["level"], line["logger"], line["job_id"]) == (
        "3 things in a box",
        "warning",
        "library",
        "7",
    )


def test_arguments_that_do_not_fit_their_message_lose_nothing(start: Start, written: Written) -> None:
    pipe = start()
    # Not through a logger: pytest's own handler would object first.
    for message, argument in (("%d things", "three"), ("%s", Sulking())):
        PipeHandler(pipe, logging.INFO).handle(
            logging.LogRecord("library", logging.INFO, "", 0, message, (argument,), None)
        )
    pipe.stop()
    assert [line["event"] for line in written.lines()] == [
        "%d things (its arguments do not fit)",
        "%s (its arguments do not fit)",
    ]


def test_what_the_context_holds_is_on_every_line(start: Start, written: Written) -> None:
    pipe = start()
    structlog.contextvars.bind_contextvars(run_id="9", job_id="7")
    structlog.get_logger("a").info("one", job_id="8")
    logging.getLogger("b").info("two")
    pipe.stop()
    first, second = written.lines()
    assert (first["run_id"], first["job_id"]) == ("9", "8")
    assert (second["run_id"], second["job_id"]) == ("9", "7")


def test_a_fact_can_not_take_the_place_of_a_lines_own_key(start: Start, written: Written) -> None:
    pipe = start()
    structlog.get_logger("a").info("one", level="loud", timestamp="never", logger="me")
    pipe.stop()
    (line,) = written.lines()
    assert (line["level"], line["logger"]) == ("info", "a")
    assert (line["level_"], line["timestamp_"], line["logger_"]) == ("loud", "never", "me")


@pytest.mark.parametrize(
    ("has_handler", "propagates", "is_told"), [(True, False, True), (False, True, True), (False, False, False)]
)
def test_requests_are_told_of_by_us_and_not_by_uvicorn_unless_it_was_silenced(
    start: Start, written: Written, has_handler: bool, propagates: bool, is_told: bool
) -> None:
    access = logging.getLogger("uvicorn.access")
    theirs = logging.StreamHandler(io.StringIO())
    access.propagate = propagates
    if has_handler:
        access.addHandler(theirs)
    try:
        pipe = start()
        assert not access.hasHandlers()
        structlog.get_logger("scheduler.request").info("request", path="/jobs")
        pipe.stop()
        assert [line["event"] for line in written.lines()] == (["request"] if is_told else [])
        assert access.propagate is propagates
        assert access.handlers == ([theirs] if has_handler else [])
    finally:
        access.removeHandler(theirs)
        access.propagate = True


def test_uvicorns_own_handlers_go_and_come_back(start: Start, written: Written) -> None:
    error = logging.getLogger("uvicorn.error")
    theirs = logging.StreamHandler(io.StringIO())
    error.addHandler(theirs)
    error.propagate = False
    pipe = start()
    error.info("Application startup complete.", extra={"color_message": "green"})
    error.info("an odd one")
    pipe.stop()
    assert [(line["event"], sorted(line)) for line in written.lines()] == [
        ("Application startup complete.", ["event", "level", "logger", "timestamp"]),
        ("an odd one", ["event", "level", "logger", "timestamp"]),
    ]
    assert (error.handlers, error.propagate) == ([theirs], False)
    error.removeHandler(theirs)
    error.propagate = True


@pytest.mark.parametrize("name", ["structlog", "standard"])
def test_what_is_below_the_level_does_not_come_out(name: str, start: Start, written: Written) -> None:
    pipe = start(level="WARNING")
    logger = structlog.get_logger("a") if name == "structlog" else logging.getLogger("a")
    logger.info("quiet")
    logger.warning("loud")
    pipe.stop()
    assert [line["event"] for line in written.lines()] == ["loud"]


def test_without_a_terminal_the_console_has_no_colors(start: Start, written: Written) -> None:
    pipe = start(json=False)
    structlog.get_logger("a").info("hello", job_id="7")
    pipe.stop()
    assert "hello" in written.text()
    assert "\x1b" not in written.text()


# What is printed


def test_a_print_of_a_run_becomes_what_the_run_makes_of_it(start: Start, written: Written) -> None:
    pipe = start()
    log = structlog.get_logger("engine")
    token = current_output.set(RunOutput(lambda stream, line: log.info("run output", stream=stream, line=line)))
    print("hello")
    current_output.reset(token)
    pipe.stop()
    assert [(line["event"], line["stream"], line["line"]) for line in written.lines()] == [
        ("run output", "stdout", "hello")
    ]


def test_a_stray_print_is_an_event_too(start: Start, written: Written) -> None:
    pipe = start(level="ERROR")
    print("lost")
    print("and wrong", end="", file=sys.stderr)
    pipe.stop()
    assert [(line["event"], line["stream"], line["line"]) for line in written.lines()] == [
        ("stray output", "stdout", "lost"),
        ("stray output", "stderr", "and wrong"),
    ]


def test_a_handler_that_prints_does_not_recurse(start: Start, written: Written) -> None:
    class Printing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            print(f"saw {record.getMessage()}")

    pipe = start()
    printing = Printing()
    logging.getLogger().addHandler(printing)
    log = logging.getLogger("engine")
    token = current_output.set(RunOutput(lambda _stream, line: log.info(line)))
    print("hello")
    current_output.reset(token)
    logging.getLogger().removeHandler(printing)
    pipe.stop()
    assert {line.get("line", line["event"]) for line in written.lines()} == {"hello", "saw hello"}


# Nobody waits


@pytest.fixture
def full_pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """A pipe that nobody reads, filled to the brim."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"-")
    os.set_blocking(writing, True)
    with os.fdopen(writing, "w") as stream:
        yield reading, stream


def test_with_a_full_pipe_and_no_reader_neither_logging_nor_stopping_waits(
    full_pipe: tuple[int, io.TextIOWrapper], start: Start
) -> None:
    reading, stream = full_pipe
    pipe = start(stream=stream)
    log = structlog.get_logger("a")
    began = time.monotonic()
    for number in range(20_000):
        log.info("event", number=number)
    print("and this")
    pipe.stop(timeout_seconds=0.2)
    assert time.monotonic() - began < 20
    os.close(reading)  # lets the listener go: the pipe breaks


def test_what_was_dropped_is_counted_once_there_is_room(full_pipe: tuple[int, io.TextIOWrapper], start: Start) -> None:
    reading, stream = full_pipe
    pipe = start(stream=stream)
    log = structlog.get_logger("a")
    for number in range(20_000):
        log.info("event", number=number)
    came_out: list[Line] = []

    def read() -> None:
        with os.fdopen(reading) as reader:
            lines = reader.read().lstrip("-").splitlines()
        came_out.extend(json.loads(line) for line in lines)

    reader = threading.Thread(target=read)
    reader.start()
    pipe.stop(timeout_seconds=60)
    stream.close()
    reader.join()
    drops = [line for line in came_out if line["event"] == "log events dropped"]
    numbers = [line["number"] for line in came_out if line["event"] == "event"]
    assert [drop["count"] + len(numbers) for drop in drops] == [20_000]
    assert drops[0]["level"] == "warning"
    assert numbers == list(range(len(numbers)))
    assert QUEUE_LIMIT <= len(numbers) < 20_000


def test_a_reader_that_went_away_breaks_nothing(start: Start) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        pipe = start(stream=stream)
        structlog.get_logger("a").info("into the void")
        print("and this")
        pipe.stop()


def test_a_sink_that_fails_for_a_while_is_made_up_for() -> None:
    class Failing:
        def __init__(self) -> None:
            self.data = b""
            self.has_failed = threading.Event()

        def write(self, data: bytes) -> None:
            if not self.has_failed.is_set():
                self.has_failed.set()
                raise OSError("no space left")
            self.data += data

        def close(self) -> None:
            pass

    sink = Failing()
    pipe = LogPipe(render=json_line, sink=sink)
    pipe.install(logging.INFO)
    structlog.get_logger("a").info("lost")
    assert sink.has_failed.wait(60)
    structlog.get_logger("a").info("kept")
    pipe.stop()
    first, second = (json.loads(line) for line in sink.data.splitlines())
    assert (first["event"], first["count"]) == ("log events dropped", 1)
    assert second["event"] == "kept"


def test_many_threads_log_and_nothing_is_torn(start: Start, written: Written) -> None:
    pipe = start()

    def log(thread: int) -> None:
        for number in range(200):
            print(f"{thread} {number}")
            structlog.get_logger("a").info("event", number=number)

    threads = [threading.Thread(target=log, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipe.stop(timeout_seconds=60)
    assert len(written.lines()) == 8 * 400


def test_flush_waits_for_what_was_logged(start: Start, written: Written) -> None:
    pipe = start()
    structlog.get_logger("a").info("first")
    pipe.flush(60)
    assert [line["event"] for line in written.lines()] == ["first"]


def test_the_hurry_of_a_flush_ends_with_it(start: Start) -> None:
    pipe = start()
    for _ in range(200):
        pipe.flush(60)
        assert not pipe._hurry.is_set()


def test_flush_gives_up_when_nobody_reads(full_pipe: tuple[int, io.TextIOWrapper], start: Start) -> None:
    reading, stream = full_pipe
    pipe = start(stream=stream)
    structlog.get_logger("a").info("stuck")
    began = time.monotonic()
    pipe.flush(0.05)
    pipe.stop(timeout_seconds=0.05)
    pipe.flush(60)
    assert time.monotonic() - began < 20
    os.close(reading)


# Start and stop


def test_stop_puts_everything_back(start: Start) -> None:
    root = logging.getLogger()
    before = (sys.stdout, sys.stderr, list(root.handlers), root.level, structlog.get_config())
    pipe = start()
    assert isinstance(sys.stdout, RoutedStream)
    assert isinstance(sys.stderr, RoutedStream)
    pipe.stop()
    pipe.stop()
    assert (sys.stdout, sys.stderr, list(root.handlers), root.level, structlog.get_config()) == before


def test_handlers_of_others_stay_but_those_that_write_to_the_terminal(start: Start) -> None:
    root = logging.getLogger()
    terminal, elsewhere = logging.StreamHandler(sys.stderr), logging.StreamHandler(io.StringIO())
    root.addHandler(terminal)
    root.addHandler(elsewhere)
    pipe = start()
    while_started = list(root.handlers)
    pipe.stop()
    afterwards = list(root.handlers)
    root.removeHandler(terminal)
    root.removeHandler(elsewhere)
    assert elsewhere in while_started
    assert terminal not in while_started
    assert {terminal, elsewhere} <= set(afterwards)


def test_a_second_start_replaces_the_first(start: Start, written: Written, tmp_path: Path) -> None:
    other = Written(tmp_path / "other")
    first = start()
    second = start(stream=other.stream)
    structlog.get_logger("a").info("to the second")
    first.stop()
    structlog.get_logger("a").info("still to the second")
    assert sum(isinstance(handler, PipeHandler) for handler in logging.getLogger().handlers) == 1
    second.stop()
    other.stream.close()
    assert written.lines() == []
    assert [line["event"] for line in other.lines()] == ["to the second", "still to the second"]


def test_a_logger_bound_before_stop_is_harmless_after_it(start: Start, written: Written) -> None:
    pipe = start()
    bound = structlog.get_logger("a").bind(job_id="7")
    pipe.stop()
    bound.info("too late")
    assert written.lines() == []


def test_nothing_of_an_event_is_kept_once_it_is_written(start: Start) -> None:
    class Precious:
        pass

    pipe = start()
    gone = threading.Event()
    precious = Precious()
    weakref.finalize(precious, gone.set)
    # Not through a logger: pytest's own handler would keep it.
    pipe.put(LogEvent(0.0, "info", "a", "event", {"value": precious}))
    del precious
    assert gone.wait(60)
    pipe.stop()


def _run(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.real_time
def test_a_process_that_dies_of_an_exception_still_says_so() -> None:
    ended = _run(
        "from app.logs import start_logging\nstart_logging(level='INFO', json=True)\nraise ValueError('the end')"
    )
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == 1
    assert ended.stderr == ""
    assert lines[-1]["line"] == "ValueError: the end"


@pytest.mark.real_time
def test_a_forked_child_writes_valid_lines_by_itself() -> None:
    ended = _run(
        "import os, logging\n"
        "from app.logs import start_logging\n"
        "start_logging(level='INFO', json=True)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    print('printed'); logging.getLogger('a').info('logged'); os._exit(0)\n"
        "os.waitpid(child, 0)\n"
    )
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [line.get("line", line["event"]) for line in lines] == ["printed", "logged"]


@pytest.mark.real_time
def test_a_process_with_a_blocked_output_still_ends(full_pipe: tuple[int, io.TextIOWrapper]) -> None:
    reading, stream = full_pipe
    code = (
        "from app.logs import start_logging\nstart_logging(level='INFO', json=True)\nprint('more')\nprint('and more')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], stdout=stream, check=False, timeout=60)
    os.close(reading)
    assert ended.returncode == 0
