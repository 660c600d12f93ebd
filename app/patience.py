"""What a start does while the database is away: it waits, and takes nobody down with it."""

import math
import multiprocessing
import threading
from collections.abc import Callable

from engine.backoff import Backoff
from engine.errors import StoreUnavailable
from engine.ports import Clock

PATIENCE_SECONDS = 10.0
"""How long a process that serves alone waits: for a database that is being restarted, and not for a wrong address."""


def patience_of_this_process() -> float:
    """In seconds; without an end in a worker process of a server such as uvicorn.

    There the others serve on, and the server takes one that can't start for a sign that none can: it stops them all.
    """
    return PATIENCE_SECONDS if multiprocessing.parent_process() is None else math.inf


class PatientStart:
    """Tries a start for as long as only the database is in its way, for `seconds` since the first try."""

    def __init__(self, *, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._condition = threading.Condition()
        self._is_ended = False

    def run(self, start: Callable[[], None]) -> None:
        """Return once `start` has; raise what it raises, StoreUnavailable only after the wait."""
        backoff = Backoff(
            clock=self._clock,
            condition=self._condition,
            is_stopping=lambda: self._is_ended,
            failing="start waits for the database",
            over="database there for the start",
        )
        begun = self._clock.monotonic()
        while True:
            try:
                start()
            except StoreUnavailable as error:
                if self._is_ended or self._clock.monotonic() - begun >= self._seconds:
                    raise
                backoff.fail(error)
            else:
                backoff.succeed()
                return

    def end(self) -> None:
        """Wait no longer, now and in every later start. For any thread."""
        with self._condition:
            self._is_ended = True
            self._condition.notify_all()
