"""What a caller asks of the scheduler, already checked for shape and limits, and what it tells of its health."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from engine.calendars import Weekday
from engine.nouns import JobStatus
from engine.policies import DEFAULT_POLICIES, Policies
from engine.timing import Timing
from registry import Lane


@dataclass(frozen=True, slots=True)
class JobDraft:
    """A whole job as a client describes it."""

    name: str
    function_name: str
    timing: Timing
    metadata: dict[str, Any]
    status: JobStatus = JobStatus.ACTIVE
    policies: Policies = DEFAULT_POLICIES


@dataclass(frozen=True, slots=True)
class JobChange:
    """The fields a client wants changed; None leaves a field as it is.

    `timing` has the fields of a Timing that are named, with their new values; of the kinds of schedule, one at most.
    `policies` likewise.
    """

    name: str | None = None
    function_name: str | None = None
    timing: Mapping[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] | None = None
    status: JobStatus | None = None
    policies: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CalendarDraft:
    """A whole calendar as a client describes it."""

    name: str
    dates: frozenset[date]
    weekly_days_off: frozenset[Weekday]
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many runs may go at once in threads, in worker processes, and on the loop of coroutines.

    `process_memory_bytes` is the address space that each worker process may have; None bounds nothing.
    """

    threads: int = 16
    processes: int = 2
    coroutines: int = 200
    process_memory_bytes: int | None = None

    @property
    def permits(self) -> dict[Lane, int]:
        """The same by lane."""
        return {Lane.THREAD: self.threads, Lane.PROCESS: self.processes, Lane.LOOP: self.coroutines}


@dataclass(frozen=True, slots=True)
class LaneRoom:
    """How many runs may go at once in a lane, and how many more may start now."""

    permits: int
    permits_free: int


@dataclass(frozen=True, slots=True)
class Health:
    """What the engine knows of itself at one moment. `problems` is empty when it is ready for work.

    `scheduled_jobs` are those of all nodes, 0 while the database does not answer. `permits` are those of the lane of
    threads. `stuck_runs` are over, and what they called has not returned.
    """

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
    stuck_runs: int
    lanes: Mapping[str, LaneRoom]
    is_paused: bool

    @property
    def is_ready(self) -> bool:
        """Whether slots are started on time and mutations are taken."""
        return not self.problems
