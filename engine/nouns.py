"""The nouns: jobs, runs and how runs end. Frozen values; instants are aware UTC, durations say their unit."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from engine.captured_log import CapturedLog
from engine.timing import Timing


class JobStatus(StrEnum):
    """Where a job stands.

    `ACTIVE`: created, resumed, or succeeded after a failure. `FAILED`: its last run ended badly; still scheduled, and
    active again with its next success. `PAUSED`: by request; stored and not scheduled. `COMPLETED`: its schedule has
    no slot left; only an edit takes it out.
    """

    ACTIVE = "active"
    PAUSED = "paused"
    FAILED = "failed"
    COMPLETED = "completed"


SCHEDULED_STATUSES = frozenset({JobStatus.ACTIVE, JobStatus.FAILED})
"""The statuses in which a job's slots come due."""


class RunState(StrEnum):
    """Where a run stands. Only `RUNNING` is left again, and only by the node that owns the run or by recovery.

    `RUNNING`: a claim put it there. `SUCCEEDED`, `FAILED`: the run path, when the function returned or raised.
    `SKIPPED`: the claim (a run of the job still going, function not registered), or what came between claim and start:
    a pause, a delete, a stop, no thread, no answer from the database. `MISSED`: the slots of this row were never
    claimed. `LOST`: its node ended without saying how the run went. `TIMED_OUT`, `CANCELLED`: reserved for time-outs
    and cancellation.
    """

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    MISSED = "missed"
    LOST = "lost"


BAD_ENDS = frozenset({RunState.FAILED, RunState.TIMED_OUT, RunState.LOST})
"""The ends of a run that make its job `failed`."""


class Trigger(StrEnum):
    """What asked for a run: the job's schedule, or a request."""

    SCHEDULE = "schedule"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Job:
    """A stored definition.

    `anchor_at` is the zero of the interval's grid. `next_run_at` is the earliest slot not yet claimed, None while
    paused or completed. `last_run_at` is when the latest run was started. `last_scheduled_for` is the latest slot ever
    claimed or missed: no later slot lies before it, also when the wall clock is set back. `run_count` is how many runs
    its schedule has started, which `max_runs` bounds. `version` grows by one with
    each edit and each claim (law 1).
    """

    id: UUID
    name: str
    function_name: str
    timing: Timing
    metadata: dict[str, Any]
    status: JobStatus
    anchor_at: datetime
    next_run_at: datetime | None
    created_at: datetime
    updated_at: datetime
    last_run_at: datetime | None = None
    last_scheduled_for: datetime | None = None
    run_count: int = 0
    version: int = 1

    @property
    def is_scheduled(self) -> bool:
        """Whether its slots come due."""
        return self.status in SCHEDULED_STATUSES and self.next_run_at is not None


@dataclass(frozen=True, slots=True)
class RunError:
    """The exception that ended a run, in bounded text."""

    type: str
    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a slot or of a manual trigger; or, `skipped` and `missed`, why there was none.

    A `missed` row stands for `slot_count` slots from `scheduled_for` to `last_scheduled_for`; any other row for one.
    `started_at` of a run in progress is the instant of its claim. `lateness_ms` is `started_at - scheduled_for`.
    """

    id: UUID
    job_id: UUID
    function_name: str
    trigger: Trigger
    scheduled_for: datetime
    state: RunState
    node: UUID
    attempt: int = 1
    started_at: datetime | None = None
    finished_at: datetime | None = None
    lateness_ms: float | None = None
    duration_ms: float | None = None
    error: RunError | None = None
    result: Any = None
    reason: str | None = None
    slot_count: int = 1
    last_scheduled_for: datetime | None = None

    def skipped(self, reason: str, *, at: datetime) -> "Run":
        """The same slot, decided not to start."""
        return replace(self, state=RunState.SKIPPED, started_at=None, lateness_ms=None, finished_at=at, reason=reason)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A claimed run with the job as it was when claimed: an edit does not change a run that was claimed before it."""

    run: Run
    job: Job


class Contradiction(Exception):
    """An outcome that says two things at once: a mistake in the engine."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. There is one for each run (law 6). `result_json` is the result written as JSON.

    `undoes_claim` takes back what the claim told the job of its last run, because the run was then not started.
    """

    run_id: UUID
    job_id: UUID
    state: RunState
    finished_at: datetime
    started_at: datetime | None = None
    lateness_ms: float | None = None
    duration_ms: float | None = None
    error: RunError | None = None
    result_json: str | None = None
    reason: str | None = None
    undoes_claim: bool = False
    log: CapturedLog | None = None

    def __post_init__(self) -> None:
        if self.state in (RunState.RUNNING, RunState.MISSED):
            raise Contradiction(f"{self.state} is no way for a run to end")
        if (self.state is RunState.FAILED) != (self.error is not None):
            raise Contradiction(f"a run that {self.state} has {'an' if self.error else 'no'} error")
        if self.result_json is not None and self.state is not RunState.SUCCEEDED:
            raise Contradiction(f"a run that {self.state} has a result")


@dataclass(frozen=True, slots=True)
class Advance:
    """One job moved on to its next slot, with what becomes of the slots it leaves behind (law 3).

    Applies only while the job is scheduled and at `expected_version`. `run` is the slot that is claimed (`running`), or
    refused in the same breath (`skipped`); None where slots were only missed. `next_run_at` None completes the job.
    """

    job_id: UUID
    expected_version: int
    next_run_at: datetime | None
    last_scheduled_for: datetime
    run: Run | None
    missed: Run | None = None


@dataclass(frozen=True, slots=True)
class Dropping:
    """The row for the slots that a deletion leaves unclaimed, if the job is still at this version."""

    job_version: int
    run: Run


@dataclass(frozen=True, slots=True)
class DueHint:
    """When a job is due next, as the heap wants to know it (law 2)."""

    job_id: UUID
    due_at: datetime
    version: int
