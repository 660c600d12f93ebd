"""What functions print and log in a worker process: all of it, in order, bounded, and before the end."""

import pytest

from engine.call_ends import Killed, Returned
from engine.lanes.process_lane import ProcessLane
from engine.limits import MAX_LINE_LENGTH
from tests.engine.lanes.calls import run

pytestmark = pytest.mark.real_time


def test_whatever_is_printed_or_logged_comes_over_in_order(lane: ProcessLane) -> None:
    watch = run(lane, "say_everything")

    assert watch.end() == Returned()
    assert [(line.stream, line.level, line.logger, line.text) for line in watch.lines] == [
        ("stdout", "info", "", "printed"),
        ("stderr", "info", "", "to stderr"),
        (None, "warning", "a.library", "logged so"),
        (None, "info", "mine", "an event"),
        (None, "error", "scheduler.job", "by the run"),
        (None, "info", "scheduler.job", "with more bound"),
        ("stdout", "info", "", "from a thread"),
        (None, "error", "scheduler.job", "failed"),
        ("stdout", "info", "", "no newline"),
    ]
    assert watch.told[-1] == "ended"


def test_the_facts_of_a_line_are_json_and_leave_out_what_the_service_knows(lane: ProcessLane) -> None:
    watch = run(lane, "say_everything")
    watch.end()
    facts = {line.text: dict(line.facts) for line in watch.lines}

    assert facts["logged so"] == {"size": 3}
    assert facts["an event"] == {"odd": "<class 'object'>", "deep": {"a": [1, "inf"]}}
    assert facts["by the run"] == {"count": 2}
    assert facts["with more bound"] == {"order": "A1"}
    assert facts["failed"].pop("exception").endswith("invalid literal for int() with base 10: 'bad'")


def test_what_one_call_binds_or_sets_up_does_not_reach_the_next() -> None:
    lane = ProcessLane(workers=1)
    lane.start()
    assert run(lane, "log_too_quietly").end() == Returned()
    first, second = run(lane, "say_everything"), run(lane, "say_everything")

    first.end()
    second.end()

    assert first.lines == second.lines
    assert len(first.lines) == 9
    assert lane.stop(20)


def test_the_threads_of_a_coroutine_are_heard_too(lane: ProcessLane) -> None:
    watch = run(lane, "print_in_turns")
    watch.end()

    assert watch.texts() == ["turn 0", "turn 1", "turn 2"]


def test_a_long_line_is_cut(lane: ProcessLane) -> None:
    watch = run(lane, "write_one_endless_line")
    watch.end()

    assert [len(text) for text in watch.texts()] == [
        2 * MAX_LINE_LENGTH - MAX_LINE_LENGTH,
        MAX_LINE_LENGTH,
        20_000 % 8_192,
    ]


def test_a_hundred_megabytes_of_lines_come_over_and_the_worker_waits_for_who_reads_them(lane: ProcessLane) -> None:
    watch = run(lane, "talk", 100_000_000 // 8_000)

    assert watch.end() == Returned()
    assert len(watch.lines) == 12_500
    assert {len(line.text) for line in watch.lines} == {8_000}


def test_a_talkative_function_is_killed_in_the_middle_of_a_line(lane: ProcessLane) -> None:
    watch = run(lane, "talk", 10_000_000)
    watch.await_line("x")

    watch.kill()

    assert watch.end() == Killed()
    assert {len(line.text) for line in watch.lines} == {8_000}
    assert run(lane, "give_back", 1).end() == Returned("1")


def test_a_signal_handler_that_raises_cuts_no_line_in_two(lane: ProcessLane) -> None:
    watch = run(lane, "wait_under_an_alarm", 0.1)

    assert watch.end() == Returned('"rung"')
    assert watch.texts()[-1] == "rung"
