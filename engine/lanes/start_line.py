"""Where claimed runs wait for their instant and for a thread: each starts in the thread that waited for it."""

import heapq
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count

from engine.limits import CLAIM_AHEAD_SECONDS
from engine.nouns import Assignment
from engine.ports import Clock

Entry = tuple[float, int, Assignment]
"""From when on it may start, on the monotonic clock; the number keeps the order of those that came at once."""


class StartLine:
    """A bounded pool whose idle threads take turns at the head of a line. May be used from any thread.

    One of them, no more, waits for the first run's instant, and then takes that run itself: no other thread has to be
    woken between the instant and the call. Before it does, it sends another one to wait for the next (leader and
    followers, as in java.util.concurrent.DelayQueue). A thread that finds nothing to wait for goes back to the pool.
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
            self._run(assignment)

    def _take(self) -> Assignment | None:
        """Wait for the first run's instant, unless somebody does already; None if this thread is not needed."""
        with self._condition:
            assignment = self._take_first()
            self._takers -= assignment is None
            is_taker_wanted = self._wants_taker()
        if is_taker_wanted:
            self._send_follower()
        return assignment

    def _take_first(self) -> Assignment | None:
        while self._line and not self._is_stopped:
            starts_at = self._line[0][0]
            seconds = starts_at - self._clock.monotonic()
            if seconds <= 0:
                return heapq.heappop(self._line)[2]
            if self._watched_until is not None:
                return None
            self._watched_until = starts_at
            self._clock.wait(self._condition, seconds)
            self._watched_until = None
        return None

    def _send_follower(self) -> None:
        # No thread to be had, or the pool is shut: this one comes back after its run and looks itself.
        with suppress(Exception):
            self._send_taker()
