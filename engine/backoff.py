"""How a loop behaves while what it calls fails: one log line per change of state, growing pauses (law 9)."""

import threading

import structlog

from engine.limits import FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS
from engine.ports import Clock

log = structlog.get_logger("scheduler.loop")


class Backoff:
    """Belongs to one loop and is used by its thread only. Pauses on the loop's condition, so a stop ends them."""

    def __init__(self, *, clock: Clock, condition: threading.Condition, failing: str, over: str) -> None:
        self._clock = clock
        self._condition = condition
        self._failing = failing
        self._over = over
        self._seconds = 0.0

    def fail(self, error: Exception) -> None:
        """Say so, if it is news, and pause."""
        if not self._seconds:
            log.error(self._failing, error=str(error), exc_info=error)
        self._seconds = min(max(2 * self._seconds, FIRST_BACKOFF_SECONDS), MAX_BACKOFF_SECONDS)
        with self._condition:
            self._clock.wait(self._condition, self._seconds)

    def succeed(self) -> None:
        """Say so, if it is news."""
        if self._seconds:
            log.info(self._over)
        self._seconds = 0.0
