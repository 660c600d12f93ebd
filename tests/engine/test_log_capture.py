"""What is logged in the context of a run is kept with the run, from any thread and task that has the context."""

import asyncio
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import Any, NoReturn

import pytest
import structlog

from engine.captured_log import LogLine
from engine.limits import MAX_LINE_FACTS_BYTES, MAX_LINE_LENGTH
from engine.log_capture import KEYS_OF_A_RUN, STRUCTLOG_FACTS, CaptureHandler
from engine.run_log import RunLog, current_log
from engine.run_path import run_keys
from tests.factories import make_run
from tests.fakes import ManualClock


@pytest.fixture(autouse=True)
def root() -> Iterator[logging.Logger]:
    """The root logger with our handler on it, and nothing else of ours."""
    root, handler, level = logging.getLogger(), CaptureHandler(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield root
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def log() -> Iterator[RunLog]:
    """The log of the run that the test itself is."""
    log = RunLog(ManualClock())
    with written_to(log):
        yield log


@contextmanager
def written_to(log: RunLog) -> Iterator[None]:
    token = current_log.set(log)
    try:
        yield
    finally:
        current_log.reset(token)


def texts(log: RunLog) -> list[str]:
    return [line.text for line in log.captured().lines]


def only_line(log: RunLog) -> LogLine:
    (line,) = log.captured().lines
    return line


def test_a_logged_message_is_kept_with_its_level_logger_and_extra(log: RunLog) -> None:
    logging.getLogger("billing").warning("paid %s of %s", 5, 7, extra={"customer": "c-1"})

    line = only_line(log)
    assert (line.stream, line.level, line.logger, line.text) == ("log", "warning", "billing", "paid 5 of 7")
    assert line.facts == {"customer": "c-1"}
    assert line.at.utcoffset() is not None


def test_an_event_of_structlog_is_kept_with_its_facts_as_plain_values(log: RunLog) -> None:
    logging.getLogger("billing").info("paid", extra={STRUCTLOG_FACTS: {"cents": 5, "codes": {1: b"x"}}})

    assert only_line(log).text == "paid"
    assert only_line(log).facts == {"cents": 5, "codes": {"1": "b'x'"}}


def test_what_the_function_binds_is_kept_and_what_every_line_of_the_run_has_is_not(log: RunLog) -> None:
    keys = run_keys(make_run())
    with structlog.contextvars.bound_contextvars(**keys, customer="c-1"):
        logging.getLogger("billing").info("paid")

    assert keys.keys() == KEYS_OF_A_RUN
    assert only_line(log).facts == {"customer": "c-1"}


def test_what_the_root_logger_does_not_let_through_is_not_kept(log: RunLog) -> None:
    logging.getLogger("billing").debug("details")

    assert texts(log) == []


def test_the_services_own_loggers_are_left_out_but_that_of_functions(log: RunLog) -> None:
    for name in ("scheduler", "scheduler.run", "scheduler.engine.deep", "scheduler.job", "schedulers", "a.scheduler"):
        logging.getLogger(name).info(name)

    assert texts(log) == ["scheduler.job", "schedulers", "a.scheduler"]


def test_outside_a_run_nothing_is_kept(log: RunLog) -> None:
    Context().run(logging.getLogger("billing").info, "nobody's")

    assert texts(log) == []


def test_an_exception_is_kept_with_its_traceback(log: RunLog) -> None:
    try:
        int("no number")
    except ValueError:
        logging.getLogger("billing").exception("failed")

    facts = only_line(log).facts
    assert facts["exception"].startswith("Traceback (most recent call last):")
    assert facts["exception"].endswith("'no number'\n")


@pytest.mark.parametrize("letter", ["x", "\u20ac"])
def test_a_long_exception_keeps_its_end_whatever_else_is_logged(log: RunLog, letter: str) -> None:
    error = ValueError(f"{letter * 20_000} at the end")
    facts = {"much": "y" * MAX_LINE_FACTS_BYTES}

    logging.getLogger("billing").error("failed", exc_info=error, extra=facts, stack_info=False)

    kept = only_line(log).facts
    assert kept["exception"][-20:].endswith("at the end\n")
    assert kept["left_out"] == 1


def test_no_exception_to_speak_of_is_none(log: RunLog) -> None:
    logging.getLogger("billing").error("failed", exc_info=(None, None, None))

    assert only_line(log).facts == {}


def test_a_stack_is_kept(log: RunLog) -> None:
    logging.getLogger("billing").info("here", stack_info=True)

    assert "test_a_stack_is_kept" in only_line(log).facts["stack"]


class Sulking:
    def __str__(self) -> NoReturn:
        raise SystemExit

    __repr__ = __str__


class Talkative:
    def __repr__(self) -> str:
        logging.getLogger("billing").info("asked for my text", extra={"me": self})
        return "talkative"


@pytest.mark.parametrize(
    ("message", "arguments", "kept"),
    [
        ("%s", (Sulking(),), "%s (its arguments do not fit)"),
        ("%d", ("no number",), "%d (its arguments do not fit)"),
        ("x" * 50_000_000, (), "characters left out"),
    ],
)
def test_a_message_that_can_not_be_made_is_kept_as_far_as_it_goes(
    log: RunLog, message: str, arguments: tuple[object, ...], kept: str
) -> None:
    # Made by hand: other handlers, such as pytest's own, would stumble over it.
    CaptureHandler().handle(logging.LogRecord("billing", logging.INFO, "", 0, message, arguments, None))

    assert kept in only_line(log).text
    assert len(only_line(log).text) < MAX_LINE_LENGTH + 100


def test_a_value_that_logs_while_it_is_shown_does_not_go_round_and_round(log: RunLog) -> None:
    logging.getLogger("billing").info("hello", extra={"value": Talkative()})

    assert texts(log) == ["hello"]
    assert only_line(log).facts == {"value": "talkative"}


def test_a_record_that_nobody_can_read_says_so(log: RunLog) -> None:
    broken: Any = logging.makeLogRecord({"name": "billing", "msg": "hello", "created": "yesterday"})

    CaptureHandler().handle(broken)

    assert texts(log)[0].startswith("<a record of 'billing' that could not be kept: TypeError(")


def test_threads_that_run_at_once_keep_to_their_own_logs() -> None:
    logs = [RunLog(ManualClock()) for _ in range(4)]
    together = threading.Barrier(4)

    def run(number: int) -> None:
        with written_to(logs[number]):
            for _ in range(50):
                together.wait()
                logging.getLogger("billing").info("run %d", number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [texts(log) for log in logs] == [[f"run {number}"] * 50 for number in range(4)]


def test_coroutines_that_take_turns_on_one_loop_keep_to_their_own_logs() -> None:
    logs = [RunLog(ManualClock()) for _ in range(3)]

    async def run(number: int, turns: asyncio.Barrier) -> None:
        current_log.set(logs[number])
        for turn in range(20):
            await turns.wait()
            logging.getLogger("billing").info("run %d turn %d", number, turn)
            await asyncio.to_thread(logging.getLogger("billing").info, "run %d in a thread", number)

    async def run_all() -> None:
        turns = asyncio.Barrier(3)
        async with asyncio.TaskGroup() as tasks:
            for number in range(3):
                tasks.create_task(run(number, turns))

    asyncio.run(run_all())

    for number, log in enumerate(logs):
        expected = [(f"run {number} turn {turn}", f"run {number} in a thread") for turn in range(20)]
        assert texts(log) == [text for pair in expected for text in pair]


def test_a_thread_that_the_function_starts_is_kept_if_it_has_the_context(log: RunLog) -> None:
    context = copy_context()
    for target in (
        lambda: logging.getLogger("billing").info("bare"),
        lambda: context.run(logging.getLogger("billing").info, "with context"),
    ):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()

    inherits = getattr(sys.flags, "thread_inherit_context", 0)
    assert texts(log) == (["bare"] if inherits else []) + ["with context"]
