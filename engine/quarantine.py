"""Jobs that fail by themselves: each is told of once and looked at again after growing pauses, beside all others."""

from uuid import UUID

import structlog

from engine.limits import FIRST_QUARANTINE_SECONDS, MAX_QUARANTINE_SECONDS

log = structlog.get_logger("scheduler.timer")


class Quarantine:
    """Remembers for how long each job is put off. Used by one thread."""

    def __init__(self) -> None:
        self._seconds: dict[UUID, float] = {}

    def __len__(self) -> int:
        return len(self._seconds)

    def put_off(self, job_id: UUID, event: str, error: Exception) -> float:
        """The seconds after which the job is to be tried again; says so, the first time."""
        if job_id not in self._seconds:
            log.error(event, job_id=str(job_id), error=f"{type(error).__name__}: {error}")
        doubled = max(2 * self._seconds.get(job_id, 0.0), FIRST_QUARANTINE_SECONDS)
        self._seconds[job_id] = min(doubled, MAX_QUARANTINE_SECONDS)
        return self._seconds[job_id]

    def release(self, job_id: UUID) -> None:
        """The job works again, or is gone."""
        self._seconds.pop(job_id, None)
