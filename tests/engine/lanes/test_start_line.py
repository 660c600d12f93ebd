"""Who takes a run: one thread where calls are short, as many as there are where they are not."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engine.clock import SystemClock
from engine.lanes.start_line import StartLine
from engine.limits import SHORT_CALL_SECONDS
from engine.nouns import Assignment
from tests.factories import make_job, make_run
from tests.fakes import REAL_SECONDS

SHORT, LONG = SHORT_CALL_SECONDS, SHORT_CALL_SECONDS * 2


def assignment(function_name: str = "short") -> Assignment:
    job = make_job(function_name=function_name)
    return Assignment(make_run(job_id=job.id, function_name=function_name), job)


class Calls:
    """What the threads of a line call: each call waits until it may return."""

    def __init__(self) -> None:
        self.threads: list[int] = []
        self._changed = threading.Condition()
        self._may_return = 0

    def call(self, assignment: Assignment) -> float:
        with self._changed:
            self.threads.append(threading.get_ident())
            mine = len(self.threads)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._may_return >= mine, REAL_SECONDS)
        return SHORT if assignment.run.function_name == "short" else LONG

    def release(self, calls: int) -> None:
        """Let so many more return, in the order in which they began."""
        with self._changed:
            self._may_return += calls
            self._changed.notify_all()

    def await_begun(self, calls: int, seconds: float = REAL_SECONDS) -> bool:
        """Whether so many have begun in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.threads) >= calls, seconds)


class Learnt(dict[str, bool]):
    """What a line knows of functions, and a signal that it knows something."""

    def __init__(self) -> None:
        super().__init__()
        self.is_set = threading.Event()

    def __setitem__(self, name: str, is_short: bool) -> None:
        super().__setitem__(name, is_short)
        self.is_set.set()


@contextmanager
def line_of(run: Callable[[Assignment], float], *, patience_seconds: float) -> Iterator[StartLine]:
    line = StartLine(clock=SystemClock(), threads=4, name="line", run=run, patience_seconds=patience_seconds)
    try:
        yield line
    finally:
        line.stop()


def begin_first_call(line: StartLine, calls: Calls, function_name: str) -> None:
    """The function has been called once, and so is known to be short or not; its second call is going."""
    learnt = line._short_functions = Learnt()
    line.put(assignment(function_name))
    assert calls.await_begun(1)
    calls.release(1)
    assert learnt.is_set.wait(REAL_SECONDS)
    line.put(assignment(function_name))
    assert calls.await_begun(2)


def test_runs_that_are_late_are_left_to_the_thread_that_makes_short_calls() -> None:
    calls = Calls()
    with line_of(calls.call, patience_seconds=REAL_SECONDS) as line:
        begin_first_call(line, calls, "short")
        for _ in range(10):
            line.put(assignment("short"))
        assert not calls.await_begun(3, seconds=0.05)
        calls.release(11)
        assert calls.await_begun(12)
    assert set(calls.threads[2:]) == {calls.threads[1]}


def test_a_short_call_that_does_not_return_holds_nobody() -> None:
    calls = Calls()
    with line_of(calls.call, patience_seconds=0.01) as line:
        begin_first_call(line, calls, "short")
        for _ in range(3):
            line.put(assignment("short"))
        # Every thread of the four has a call now, though none has returned.
        assert calls.await_begun(5)
        assert len(set(calls.threads[1:])) == 4
        calls.release(5)


def test_calls_that_are_not_short_are_made_side_by_side_at_once() -> None:
    calls = Calls()
    with line_of(calls.call, patience_seconds=REAL_SECONDS * 10) as line:
        begin_first_call(line, calls, "long")
        for _ in range(3):
            line.put(assignment("long"))
        assert calls.await_begun(5)
        calls.release(5)
