"""What functions say is on record with their runs, however those end."""

import logging
from collections.abc import Iterator

import pytest

from engine.log_capture import CaptureHandler
from engine.nouns import RunState
from engine.output import current_output
from engine.run_log import current_log
from tests.fakes import Latch, Node


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    root, handler, level = logging.getLogger(), CaptureHandler(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield
    root.removeHandler(handler)
    root.setLevel(level)


def say(text: str) -> None:
    """Log it, and print half a line as the deployment would route it."""
    logging.getLogger("billing").info(text)
    output = current_output.get()
    assert output is not None
    output.write("stdout", f"{text} printed")


def texts(node: Node) -> list[list[str]]:
    logs = [node.store.views.run_log(run.id) for run in node.runs()]
    return [[line.text for line in log.lines] if log else [] for log in logs]


def test_a_run_is_on_record_with_what_it_said_and_is_live_no_more(node: Node) -> None:
    node.functions.register("says", lambda job_id: say("hello"))
    node.add(function_name="says")

    node.advance(20)

    assert texts(node) == [["hello", "hello printed"]] * 2
    assert len(node.scheduler.live_logs) == 0
    assert current_log.get() is None


def test_a_run_that_fails_is_on_record_with_what_it_said(node: Node) -> None:
    def fail(job_id: str) -> None:
        say("last words")
        raise SystemExit

    node.functions.register("fails", fail)
    node.add(function_name="fails")

    node.advance(10)

    assert texts(node) == [["last words", "last words printed"]]


def test_a_run_that_a_stop_abandons_is_on_record_with_what_it_said_by_then(node: Node) -> None:
    latch = Latch()

    def linger(job_id: str) -> None:
        say("here for long")
        latch(job_id)

    node.functions.register("lingers", linger)
    node.add(function_name="lingers")
    node.advance(10, runs_end=False)
    latch.await_entry()

    node.stop()
    latch.release()

    assert [run.state for run in node.runs()] == [RunState.LOST]
    assert texts(node) == [["here for long"]]
    assert node.scheduler.live_logs.is_ended
