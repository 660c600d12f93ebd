"""Whether the node is ready for work, for whoever asks without a key: one look a second, however often that is."""

import threading

from engine.ports import Clock
from engine.scheduler import Scheduler

HOLDS_SECONDS = 1.0


class Readiness:
    """What the last look found. May be used from any thread."""

    def __init__(self) -> None:
        self._looking = threading.Lock()
        self._looked_at: float | None = None
        self._is_ready = False

    def look(self, scheduler: Scheduler, clock: Clock) -> bool:
        """Look again if that was long ago and nobody does; the database may take its time."""
        is_old = self._looked_at is None or clock.monotonic() - self._looked_at >= HOLDS_SECONDS
        if is_old and self._looking.acquire(blocking=self._looked_at is None):
            try:
                self._is_ready = scheduler.health().is_ready
                self._looked_at = clock.monotonic()
            finally:
                self._looking.release()
        return self._is_ready
