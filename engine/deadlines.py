"""Time-outs: a thread that ends runs whose time is over. It outlives whatever it calls (law 9)."""

import threading
from collections.abc import Callable

import structlog

from engine.live_runs import LiveRun
from engine.ports import Clock

log = structlog.get_logger("scheduler.run")


class Deadlines:
    """Calls `expired` for each run in its call whose deadline passes. May be used from any thread.

    By the call and not by the run's id: the time-out of one attempt must not hit the next one.

    There are no more entries than permits, so the next one is simply looked for. On the monotonic clock: a run's time
    goes on while the wall clock is set.
    """

    def __init__(self, *, clock: Clock, expired: Callable[[LiveRun], None], max_wait_seconds: float) -> None:
        self._clock = clock
        self._expired = expired
        self._max_wait_seconds = max_wait_seconds
        self._condition = threading.Condition()
        self._deadlines: dict[LiveRun, float] = {}
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="scheduler-deadlines", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether deadlines are being watched."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End it, at its next turn."""
        with self._condition:
            self._is_stopping = True
            self._condition.notify_all()

    def set(self, live: LiveRun, seconds: float) -> None:
        """Have the run expire in so many seconds from now, in place of an earlier deadline."""
        with self._condition:
            self._deadlines[live] = self._clock.monotonic() + seconds
            self._condition.notify_all()

    def drop(self, live: LiveRun) -> None:
        """Forget the run."""
        # Nearly none has one, and each run comes by here.
        if live not in self._deadlines:
            return
        with self._condition:
            self._deadlines.pop(live, None)

    def turn(self) -> None:
        """Wait once for the next deadline, a notification or the cap, and tell of those that passed."""
        with self._condition:
            now = self._clock.monotonic()
            next_one = min(self._deadlines.values(), default=now + self._max_wait_seconds)
            if next_one > now and not self._is_stopping:
                self._clock.wait(self._condition, min(next_one - now, self._max_wait_seconds))
            passed = self._take_passed()
        for live in passed:
            try:
                self._expired(live)
            except Exception:
                log.exception("time-out failed", run_id=str(live.assignment.run.id))

    def _take_passed(self) -> list[LiveRun]:
        now = self._clock.monotonic()
        passed = [live for live, deadline in self._deadlines.items() if deadline <= now]
        for live in passed:
            del self._deadlines[live]
        return passed

    def _run(self) -> None:
        while not self._is_stopping:
            try:
                self.turn()
            except Exception:
                log.exception("time-out failed")
