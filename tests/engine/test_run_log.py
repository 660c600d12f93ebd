"""The log of a run: the newest lines, numbered, whoever writes and whoever reads."""

import gc
import os
import threading
from dataclasses import replace
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.captured_log import CapturedLog, LogLine
from engine.limits import (
    LINES_PER_BREATH,
    LOG_LINE_COST,
    MAX_LINE_FACTS_BYTES,
    MAX_LINE_LENGTH,
    MAX_LOG_BYTES,
    MAX_LOG_LINES,
)
from engine.live_logs import LiveLogs
from engine.run_log import RunLog
from tests.fakes import NOON, REAL_SECONDS, ManualClock


@pytest.fixture
def log() -> RunLog:
    return RunLog(ManualClock())


def texts(log: RunLog) -> list[str]:
    return [line.text for line in log.captured().lines]


def test_a_printed_line_has_its_instant_and_its_stream(log: RunLog) -> None:
    log.write("stderr", "hello")

    assert log.captured() == CapturedLog(lines=(LogLine(at=NOON, stream="stderr", text="hello"),), dropped=0)


def test_a_line_that_another_process_logged_is_kept_as_if_it_came_from_here(log: RunLog) -> None:
    log.write("log", "paid", level="info", logger="billing", facts={"cents": 5})

    assert log.captured().lines == (
        LogLine(at=NOON, stream="log", text="paid", level="info", logger="billing", facts={"cents": 5}),
    )


def test_a_logged_line_is_kept_with_its_level_logger_and_facts(log: RunLog) -> None:
    line = LogLine(at=NOON, stream="log", text="paid", level="info", logger="billing", facts={"cents": 5})

    log.append(line)

    assert log.captured().lines == (line,)


def test_the_oldest_lines_are_dropped_and_counted(log: RunLog) -> None:
    for number in range(MAX_LOG_LINES + 7):
        log.write("stdout", str(number))

    assert texts(log) == [str(number) for number in range(7, MAX_LOG_LINES + 7)]
    assert log.captured().dropped == 7


def test_long_lines_are_bounded_by_their_bytes_together(log: RunLog) -> None:
    for _ in range(100):
        log.write("stdout", "\u20ac" * MAX_LINE_LENGTH)

    kept = log.captured()
    size = 3 * MAX_LINE_LENGTH + LOG_LINE_COST
    assert len(kept.lines) == MAX_LOG_BYTES // size
    assert kept.dropped == 100 - len(kept.lines)


class Model:
    """The same in the plainest way: all lines ever written, and how many of the newest fit."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def dropped(self) -> int:
        first = len(self.written)
        size = 0
        while first > 0 and len(self.written) - first < MAX_LOG_LINES:
            size += LOG_LINE_COST + len(self.written[first - 1].encode())
            if size > MAX_LOG_BYTES:
                break
            first -= 1
        return first


lengths = st.lists(st.tuples(st.integers(0, MAX_LINE_LENGTH), st.integers(1, 400)), max_size=12)


@given(lengths, st.integers(-5, 5_000))
def test_what_is_kept_is_the_longest_tail_that_fits(batches: list[tuple[int, int]], number: int) -> None:
    log, model = RunLog(ManualClock()), Model()
    for length, count in batches:
        for _ in range(count):
            log.write("stdout", "x" * length)
            model.written.append("x" * length)

    kept = log.captured()
    first, lines = log.since(number)

    assert kept.dropped == model.dropped()
    assert [line.text for line in kept.lines] == model.written[kept.dropped :]
    assert first == min(max(number, kept.dropped), len(model.written))
    assert [line.text for line in lines] == model.written[first:]


@pytest.mark.parametrize(
    ("text", "kept"), [("nul \x00", "nul \\x00"), ("half \ud800", "half \\ud800"), ("\u20ac", "\u20ac")]
)
def test_text_is_kept_as_databases_can_store_it(log: RunLog, text: str, kept: str) -> None:
    log.write("stdout", text)

    assert texts(log) == [kept]


def test_one_line_is_bounded_and_keeps_both_ends(log: RunLog) -> None:
    log.append(LogLine(at=NOON, stream="log", text="<" + "x" * 50_000_000 + ">", level="l" * 1_000, logger="n" * 1_000))

    (line,) = log.captured().lines
    assert len(line.text) < MAX_LINE_LENGTH + 100
    assert (line.text[0], line.text[-1]) == ("<", ">")
    assert len(line.level or "") < 400
    assert len(line.logger or "") < 400


def test_facts_of_any_kind_become_plain_and_those_beyond_the_limit_are_counted(log: RunLog) -> None:
    facts = {"id": uuid4(), "first": "x" * (MAX_LINE_FACTS_BYTES // 2), "second": "y" * MAX_LINE_FACTS_BYTES, "last": 1}

    log.append(LogLine(at=NOON, stream="log", text="much", facts=facts))

    (line,) = log.captured().lines
    assert line.facts == {"id": str(facts["id"]), "first": facts["first"], "left_out": 2}


def test_what_is_no_line_at_all_keeps_its_number(log: RunLog) -> None:
    broken: Any = LogLine(at=NOON, stream="log", text=7)  # type: ignore[arg-type]  # as a worker may send it

    log.append(broken)
    log.append(replace(broken, text="sound", facts=["no", "mapping"]))
    log.append(replace(broken, text="sound", stream="a third"))
    log.write("stdout", "the next")

    assert log.captured().lines[2].stream == "log"
    assert texts(log) == [
        "<a line that could not be kept: TypeError>",
        "<a line that could not be kept: AttributeError>",
        "sound",
        "the next",
    ]


def test_once_closed_nothing_more_is_kept(log: RunLog) -> None:
    log.write("stdout", "in time")
    log.close()
    log.write("stdout", "late")

    assert texts(log) == ["in time"]


def test_many_threads_lose_and_double_nothing(log: RunLog) -> None:
    start = threading.Barrier(4)

    def write(name: str) -> None:
        start.wait(REAL_SECONDS)
        for number in range(200):
            log.write("stdout", f"{name} {number}")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(texts(log)) == sorted(f"{name} {number}" for name in "abcd" for number in range(200))
    for name in "abcd":
        own = [int(text.split()[1]) for text in texts(log) if text.startswith(name)]
        assert all(earlier < later for earlier, later in pairwise(own))


def test_a_destructor_that_prints_while_a_line_is_kept_does_not_wait_for_itself(log: RunLog) -> None:
    class Talkative:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            log.write("stderr", "gone")

    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(200):
            Talkative()
            log.write("stdout", "here")
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()

    assert sorted(texts(log)) == ["gone"] * 200 + ["here"] * 200


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_a_lock_that_nobody_will_release(log: RunLog) -> None:
    with log._lock:
        child = os.fork()
        if child == 0:
            threading.Thread(target=log.write, args=("stdout", "from the child"), daemon=True).start()
            thread = threading.Thread(target=log.write, args=("stdout", "more"), daemon=True)
            thread.start()
            thread.join(REAL_SECONDS)
            os._exit(1 if thread.is_alive() else 0)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert texts(log) == []


class Bell:
    """Counts how often it was rung."""

    def __init__(self) -> None:
        self.rings = 0

    def ring(self) -> None:
        self.rings += 1


def test_who_waits_is_woken_once_however_many_lines_come(log: RunLog) -> None:
    bell = Bell()
    log.wake_once(0, bell.ring)
    assert bell.rings == 0

    for _ in range(1_000):
        log.write("stdout", "line")

    assert bell.rings == 1


def test_who_asks_for_what_is_there_already_is_woken_at_once(log: RunLog) -> None:
    bell = Bell()
    log.write("stdout", "line")

    log.wake_once(0, bell.ring)
    assert bell.rings == 1
    log.wake_once(1, bell.ring)
    assert bell.rings == 1


def test_who_waits_is_woken_when_it_is_over_and_may_not_wait_again(log: RunLog) -> None:
    bell = Bell()
    log.wake_once(0, bell.ring)

    log.let_go()
    assert bell.rings == 1
    log.wake_once(0, bell.ring)
    assert bell.rings == 2
    assert log.is_let_go


def test_who_has_gone_is_not_woken(log: RunLog) -> None:
    bell = Bell()
    log.wake_once(0, bell.ring)
    log.forget(bell.ring)
    log.forget(bell.ring)

    log.write("stdout", "line")

    assert bell.rings == 0


def test_nobody_is_woken_under_the_lock_and_none_who_raises_reaches_the_writer(log: RunLog) -> None:
    seen: list[tuple[int, tuple[LogLine, ...]]] = []

    def look_from_another_thread() -> None:
        thread = threading.Thread(target=lambda: seen.append(log.since(0)))
        thread.start()
        thread.join(REAL_SECONDS)
        raise RuntimeError("a reader's trouble")

    log.wake_once(0, look_from_another_thread)
    log.write("stdout", "line")

    assert len(seen) == 1


def test_a_run_that_waits_in_line_wakes_those_who_wait_for_its_log(log: RunLog) -> None:
    live, bell, run_id = LiveLogs(), Bell(), uuid4()
    live.wake_once(run_id, bell.ring)
    live.add(uuid4(), RunLog(ManualClock()))
    assert bell.rings == 0

    live.add(run_id, log)
    assert bell.rings == 1
    assert live.get(run_id) is log
    live.wake_once(run_id, bell.ring)
    assert bell.rings == 2


def test_a_run_that_is_over_is_known_no_more_and_lets_its_readers_go(log: RunLog) -> None:
    live, bell, run_id = LiveLogs(), Bell(), uuid4()
    live.add(run_id, log)
    log.wake_once(0, bell.ring)

    live.remove(run_id)
    live.remove(run_id)

    assert bell.rings == 1
    assert live.get(run_id) is None
    assert len(live) == 0


def test_a_run_that_ended_without_a_start_wakes_those_who_wait_for_its_log() -> None:
    live, bell, run_id = LiveLogs(), Bell(), uuid4()
    live.wake_once(run_id, bell.ring)

    live.remove(run_id)

    assert bell.rings == 1


def test_at_the_end_all_are_sent_away_and_nobody_is_kept_after_that(log: RunLog) -> None:
    live, waiting, reading = LiveLogs(), Bell(), Bell()
    live.add(uuid4(), log)
    log.wake_once(0, reading.ring)
    live.wake_once(uuid4(), waiting.ring)

    live.end_all()
    assert (waiting.rings, reading.rings) == (1, 1)

    late = RunLog(ManualClock())
    live.add(uuid4(), late)
    assert late.is_let_go
    live.wake_once(uuid4(), waiting.ring)
    assert waiting.rings == 2
    log.write("stdout", "still kept")
    assert texts(log) == ["still kept"]


def test_who_has_gone_is_not_woken_by_a_start(log: RunLog) -> None:
    live, bell, run_id = LiveLogs(), Bell(), uuid4()
    live.wake_once(run_id, bell.ring)
    live.forget(run_id, bell.ring)
    live.forget(run_id, bell.ring)

    live.add(run_id, log)

    assert bell.rings == 0
    assert live._waiting == {}


def test_who_writes_more_than_is_kept_lets_others_run_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    breaths: list[int] = []
    log = RunLog(ManualClock())
    monkeypatch.setattr("engine.run_log._let_others_run", lambda: breaths.append(log.captured().dropped))

    for _ in range(MAX_LOG_LINES):
        log.write("stdout", "a line")
    assert breaths == []

    for _ in range(10 * LINES_PER_BREATH):
        log.write("stdout", "a line")
    assert len(breaths) == 10
