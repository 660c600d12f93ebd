"""What a caller asks of the scheduler, already checked for shape and limits, and what it tells of its health."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from engine.nouns import JobStatus


@dataclass(frozen=True, slots=True)
class JobDraft:
    """A whole job as a client describes it. Exactly one of the two schedule fields is set."""

    name: str
    function_name: str
    interval_seconds: float | None
    cron_expression: str | None
    metadata: dict[str, Any]
    status: JobStatus = JobStatus.ACTIVE


@dataclass(frozen=True, slots=True)
class JobChange:
    """The fields a client wants changed; None leaves a field as it is. At most one schedule field is set."""

    name: str | None = None
    function_name: str | None = None
    interval_seconds: float | None = None
    cron_expression: str | None = None
    metadata: dict[str, Any] | None = None
    status: JobStatus | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """What the engine knows of itself at one moment. `problems` is empty when it is ready for work."""

    problems: tuple[str, ...]
    node: UUID
    is_stopping: bool
    is_timer_alive: bool
    seconds_since_tick: float | None
    is_recorder_alive: bool
    is_store_reachable: bool
    store_latency_ms: float | None
    scheduled_jobs: int
    permits: int
    permits_free: int
    running_runs: int
    outcomes_waiting: int

    @property
    def is_ready(self) -> bool:
        """Whether slots are started on time and mutations are taken."""
        return not self.problems
