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

    While a thread is in a call that is short as a rule, such runs are left to it, also those that are late, as long as
    it comes back for one within `patience_seconds`: threads that make short calls in turn would only take the
    interpreter from each other.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        threads: int,
        name: str,
        run: Callable[[Assignment], float],
        patience_seconds: float = 0.0,
    ) -> None:
        """`run` never raises, and returns for how many seconds its function was called.

        `patience_seconds` is how long a run is left to a thread that is in a short call; 0: it is not.
        """
        self._clock = clock
        self._threads = threads
        self._run = run
        self._patience_seconds = patience_seconds
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)
        self._condition = threading.Condition()
        self._line: list[Entry] = []
        self._numbers = count()
        self._takers = 0
        self._in_short_calls: set[int] = set()
        self._short_functions: dict[str, bool] = {}
        self._taken = 0
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
            seconds = self._run(assignment)
            self._short_functions[assignment.run.function_name] = seconds <= SHORT_CALL_SECONDS

    def _take(self) -> Assignment | None:
        """Wait for the first run's instant, unless somebody does already; None if this thread is not needed."""
        with self._condition:
            self._in_short_calls.discard(threading.get_ident())
            assignment = self._take_first()
            if assignment is None:
                self._takers -= 1
            elif self._patience_seconds and self._is_short(assignment):
                self._in_short_calls.add(threading.get_ident())
            is_taker_wanted = self._wants_taker()
        if is_taker_wanted:
            self._send_follower()
        return assignment

    def _take_first(self) -> Assignment | None:
        while self._line and not self._is_stopped:
            starts_at, _, assignment = self._line[0]
            seconds = starts_at - self._clock.monotonic()
            is_left_to_others = bool(self._in_short_calls) and self._is_short(assignment)
            if seconds <= 0 and not is_left_to_others:
                self._taken += 1
                return heapq.heappop(self._line)[2]
            if self._watched_until is not None:
                return None
            self._watched_until = starts_at
            if seconds > 0:
                self._clock.wait(self._condition, seconds)
            else:
                self._watch_short_calls(assignment)
            self._watched_until = None
        return None

    def _watch_short_calls(self, assignment: Assignment) -> None:
        """Wait for those who are in short calls to take a run; if none does, their calls are short no longer."""
        taken = self._taken
        self._clock.wait(self._condition, self._patience_seconds)
        if self._taken == taken:
            self._in_short_calls.clear()
            self._short_functions[assignment.run.function_name] = False

    def _is_short(self, assignment: Assignment) -> bool:
        return self._short_functions.get(assignment.run.function_name, False)

    def _send_follower(self) -> None:
        # No thread to be had, or the pool is shut: this one comes back after its run and looks itself.
        with suppress(Exception):
            self._send_taker()
