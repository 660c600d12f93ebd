"""How a loop behaves while what it calls fails: one log line per change of state, growing pauses (law 9)."""

import threading
from collections.abc import Callable

import structlog

from engine.limits import FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS
from engine.ports import Clock

log = structlog.get_logger("scheduler.loop")


class Backoff:
    """Belongs to one loop and is used by its thread only. Pauses on the loop's condition, so that a stop ends them.

    Once `is_stopping`, each pause takes `seconds_when_stopping`: a stop waits for the loop.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        condition: threading.Condition,
        is_stopping: Callable[[], bool],
        seconds_when_stopping: float = 0.0,
        most_seconds: float = MAX_BACKOFF_SECONDS,
        failing: str,
        over: str,
    ) -> None:
        self._clock = clock
        self._condition = condition
        self._is_stopping = is_stopping
        self._seconds_when_stopping = seconds_when_stopping
        self._most_seconds = most_seconds
        self._failing = failing
        self._over = over
        self._seconds = 0.0

    @property
    def is_pausing(self) -> bool:
        """Whether the last turn of the loop failed."""
        return self._seconds > 0

    def attempt(self, turn: Callable[[], object]) -> bool:
        """One turn of the loop, whatever becomes of it; returns whether it went well."""
        try:
            turn()
        except Exception as error:  # noqa: BLE001 - a loop outlives what it calls (law 9)
            self.fail(error)
            return False
        self.succeed()
        return True

    def fail(self, error: Exception) -> None:
        """Say so, if it is news, and pause."""
        if not self._seconds:
            log.error(self._failing, error=str(error), exc_info=error)
        self._seconds = min(max(2 * self._seconds, FIRST_BACKOFF_SECONDS), self._most_seconds)
        with self._condition:
            # Asked under the condition: a stop that was called a moment ago has notified nobody.
            seconds = self._seconds_when_stopping if self._is_stopping() else self._seconds
            if seconds > 0:
                self._clock.wait(self._condition, seconds)

    def succeed(self) -> None:
        """Say so, if it is news."""
        if self._seconds:
            log.info(self._over)
        self._seconds = 0.0
