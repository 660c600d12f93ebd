"""Where claimed runs wait for their instant and for a thread: each starts in the thread that waited for it."""

import heapq
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count

from engine.limits import CLAIM_AHEAD_SECONDS, SHORT_CALL_SECONDS
from engine.nouns import Assignment
from engine.ports import Clock

Entry = tuple[float, int, Assignment]
"""From when on it may start, on the monotonic clock; the number keeps the order of those that came at once."""


class StartLine:
    """A bounded pool whose idle threads take turns at the head of a line. May be used from any thread.

    One of them, no more, waits for the first run's instant, and then takes that run itself: no other thread has to be
    woken between the instant and the call. Before it does, it sends another one to wait for the next (leader and
    followers, as in java.util.concurrent.DelayQueue). A thread that finds nothing to wait for goes back to the pool.

    While a thread is in a call that has been short until now, the next such run is left to it for SHORT_CALL_SECONDS:
    threads that each make a short call in turn would only take the interpreter from each other.
    """

    def __init__(self, *, clock: Clock, threads: int, name: str, run: Callable[[Assignment], None]) -> None:
        """`run` never raises."""
        self._clock = clock
        self._threads = threads
        self._run = run
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)
        self._condition = threading.Condition()
        self._line: list[Entry] = []
        self._numbers = count()
        self._takers = 0
        self._in_short_calls: set[int] = set()
        self._short_functions: dict[str, bool] = {}
        self._watched_until: float | None = None
        self._is_stopped = False

    def put(self, assignment: Assignment) -> None:
        """Have it run by a thread of the pool once its instant has come; raises if there can be no thread for it."""
        # In this order: what passes in between makes it late, and not early. To the microsecond, as instants are.
        seconds = self._seconds_to(assignment)
        starts_at = round(seconds + self._clock.monotonic(), 6)
        with self._condition:
            heapq.heappush(self._line, (starts_at, next(self._numbers), assignment))
            if self._watched_until is not None and starts_at < self._watched_until:
                self._condition.notify()
            is_taker_wanted = self._wants_taker()
        if is_taker_wanted:
            self._send_taker()

    def stop(self) -> None:
        """Let no run begin any more. A thread that is in a call stays until the call returns."""
        with self._condition:
            self._is_stopped = True
            self._condition.notify()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _seconds_to(self, assignment: Assignment) -> float:
        # Bounded, so that a wall clock that is set back keeps nobody waiting; what waits goes by the other one.
        claimed_for = assignment.run.started_at
        seconds = 0.0 if claimed_for is None else (claimed_for - self._clock.now()).total_seconds()
        return min(max(seconds, 0.0), CLAIM_AHEAD_SECONDS)

    def _wants_taker(self) -> bool:
        """Whether another thread is to be sent, which counts from now on. The caller holds the condition."""
        has_work = bool(self._line) and not self._is_stopped
        is_wanted = has_work and self._watched_until is None and self._takers < self._threads
        self._takers += is_wanted
        return is_wanted

    def _send_taker(self) -> None:
        try:
            self._pool.submit(self._take_turns)
        except BaseException:
            with self._condition:
                self._takers -= 1
            raise

    def _take_turns(self) -> None:
        while (assignment := self._take()) is not None:
            began = self._clock.monotonic()
            self._run(assignment)
            is_short = self._clock.monotonic() - began <= SHORT_CALL_SECONDS
            self._short_functions[assignment.run.function_name] = is_short

    def _take(self) -> Assignment | None:
        """Wait for the first run's instant, unless somebody does already; None if this thread is not needed."""
        with self._condition:
            self._in_short_calls.discard(threading.get_ident())
            assignment = self._take_first()
            if assignment is None:
                self._takers -= 1
            elif self._is_short(assignment):
                self._in_short_calls.add(threading.get_ident())
            is_taker_wanted = self._wants_taker()
        if is_taker_wanted:
            self._send_follower()
        return assignment

    def _take_first(self) -> Assignment | None:
        is_leader = False
        while self._line and not self._is_stopped:
            starts_at, _, assignment = self._line[0]
            seconds = starts_at - self._clock.monotonic()
            if is_leader and self._in_short_calls and self._is_short(assignment):
                seconds += SHORT_CALL_SECONDS
            if seconds <= 0:
                return heapq.heappop(self._line)[2]
            if self._watched_until is not None:
                return None
            self._watched_until, is_leader = starts_at, True
            self._clock.wait(self._condition, seconds)
            self._watched_until = None
        return None

    def _is_short(self, assignment: Assignment) -> bool:
        return self._short_functions.get(assignment.run.function_name, False)

    def _send_follower(self) -> None:
        # No thread to be had, or the pool is shut: this one comes back after its run and looks itself.
        with suppress(Exception):
            self._send_taker()
