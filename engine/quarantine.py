"""Jobs that fail by themselves: each is told of once and looked at again after growing pauses, beside all others."""

from uuid import UUID

import structlog

from engine.limits import FIRST_QUARANTINE_SECONDS, MAX_QUARANTINE_SECONDS, MAX_QUARANTINED_JOBS

log = structlog.get_logger("scheduler.timer")


class Quarantine:
    """Remembers for how long each job is put off, the latest MAX_QUARANTINED_JOBS of them. Used by one thread."""

    def __init__(self) -> None:
        self._seconds: dict[UUID, float] = {}

    def put_off(self, job_id: UUID, event: str, error: Exception) -> float:
        """The seconds after which the job is to be tried again; says so, the first time."""
        if job_id not in self._seconds:
            log.error(event, job_id=str(job_id), error=f"{type(error).__name__}: {error}")
        seconds = min(max(2 * self._seconds.pop(job_id, 0.0), FIRST_QUARANTINE_SECONDS), MAX_QUARANTINE_SECONDS)
        if len(self._seconds) >= MAX_QUARANTINED_JOBS:
            # Nobody says here that a job is gone. The one put off longest ago may be; otherwise it is told of again.
            del self._seconds[next(iter(self._seconds))]
        self._seconds[job_id] = seconds
        return seconds

    def release(self, job_id: UUID) -> None:
        """The job works again."""
        self._seconds.pop(job_id, None)
