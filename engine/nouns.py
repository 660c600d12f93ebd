"""The nouns: jobs, runs and how runs end. Frozen values; instants are aware UTC, durations say their unit."""

from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from engine.captured_log import CapturedLog
from engine.policies import DEFAULT_POLICIES, Policies
from engine.reason_codes import ReasonCode
from engine.timing import Timing
from engine.values import quick_dataclass


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
    """Where a run stands.

    Waiting, also across a restart: `QUEUED`, put there by a claim that found the job, or its concurrency key, as busy
    as it may be, by a catch-up or by a backfill; `RETRYING`, put there when an attempt ended badly and another one is
    to come. The timer takes both out when their time has come, a cancellation or the job's deletion before that.

    `RUNNING`: a claim put it there, at once or after it waited. Only the node that owns the run takes it out, or
    recovery.

    The ends: `SUCCEEDED`, `FAILED`: the function returned or raised. `TIMED_OUT`: its time was over. `CANCELLED`: by
    request, by a later slot or by the function. `SKIPPED`: the claim (overlap, day off, function not registered), or
    what came between claim and start: a pause, a delete, a stop, no thread, no answer from the database. `MISSED`: the
    slots of this row were never claimed. `LOST`: its node ended without saying how the run went.
    """

    QUEUED = "queued"
    RETRYING = "retrying"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    MISSED = "missed"
    LOST = "lost"


WAITING_STATES = frozenset({RunState.QUEUED, RunState.RETRYING})
"""The states of a run that is to start (again) later."""

BAD_ENDS = frozenset({RunState.FAILED, RunState.TIMED_OUT, RunState.LOST})
"""The ends of a run that make its job `failed`, and of an attempt that may be followed by another."""


class Trigger(StrEnum):
    """What asked for a run: the job's schedule, a request, or a request for the slots of a range."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    BACKFILL = "backfill"


@quick_dataclass(frozen=True, slots=True)
class Pause:
    """Why nothing runs: by request of `by` (whoever that says to be), or by the scheduler itself, as `reason` says.

    It ends by itself at `until`, if that is given. `note` is the requester's own.
    """

    at: datetime
    until: datetime | None = None
    by: str | None = None
    note: str | None = None
    reason: str | None = None


@quick_dataclass(frozen=True, slots=True)
class EndedPause:
    """A pause of a job that is over, or that another one has taken the place of."""

    job_id: UUID
    pause: Pause
    ended_at: datetime


@quick_dataclass(frozen=True, slots=True)
class Job:
    """A stored definition.

    `anchor_at` is the zero of the interval's grid. `next_run_at` is the earliest slot not yet claimed, None while
    paused or completed. `last_run_at` is when the latest run was started. `last_scheduled_for` is the latest slot ever
    claimed or missed: no later slot lies before it, also when the wall clock is set back. `run_count` is how many runs
    its schedule has started, which `max_runs` bounds. `consecutive_failures` counts its runs by schedule that ended
    badly in a row, `consecutive_crashes` its runs that took their worker process with them. `pause` is there while it
    is paused, unless an earlier release paused it. `timing_since` is when its timing became what it is, None if an
    earlier release saw to that. `version` grows by one with each edit and each claim (law 1).
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
    consecutive_failures: int = 0
    consecutive_crashes: int = 0
    policies: Policies = DEFAULT_POLICIES
    pause: Pause | None = None
    timing_since: datetime | None = None
    version: int = 1

    @property
    def is_scheduled(self) -> bool:
        """Whether its slots come due."""
        return self.status in SCHEDULED_STATUSES and self.next_run_at is not None


@quick_dataclass(frozen=True, slots=True)
class RunError:
    """The exception that ended a run, in bounded text."""

    type: str
    message: str
    traceback: str


@quick_dataclass(frozen=True, slots=True)
class Attempt:
    """An earlier attempt of a run: how it ended, without the traceback."""

    number: int
    state: RunState
    finished_at: datetime
    started_at: datetime | None = None
    duration_ms: float | None = None
    error_type: str | None = None
    error_message: str | None = None
    reason: str | None = None


@quick_dataclass(frozen=True, slots=True)
class Run:
    """One execution of a slot or of a manual trigger; or, `skipped` and `missed`, why there was none.

    A `missed` or `skipped` row may stand for `slot_count` slots, up to `last_scheduled_for`. `started_at` of a run in
    progress is the instant of its claim; `lateness_ms` is `started_at - scheduled_for`.

    `attempt` is the latest one, to which times, error and result belong; `earlier_attempts` are those before it.
    `due_at` is when a waiting run may start, `reason` what it waits for. `cancel_reason` is there once it is to end.
    `is_stuck`: it is over, and what it called has not returned. `claim_id` is the token of the claim that made it
    running last, fresh with each claim: by it alone a node knows a run for its own.
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
    earlier_attempts: tuple[Attempt, ...] = ()
    due_at: datetime | None = None
    cancel_reason: str | None = None
    is_stuck: bool = False
    concurrency_key: str | None = None
    backfill_id: UUID | None = None
    reason_code: ReasonCode | None = None
    claim_id: UUID | None = None

    @property
    def is_request(self) -> bool:
        """Whether somebody asked for it by hand and it has not started yet: no pause of its job holds it."""
        return self.trigger is Trigger.MANUAL and self.state is RunState.QUEUED

    def skipped(self, reason: str, *, at: datetime, code: ReasonCode | None = None) -> "Run":
        """The same slot, decided not to start."""
        ended = replace(self, state=RunState.SKIPPED, started_at=None, lateness_ms=None, finished_at=at, reason=reason)
        return replace(ended, reason_code=code, claim_id=None)

    def queued(self, reason: str, *, at: datetime) -> "Run":
        """The same slot, decided to start later."""
        waiting = replace(self, state=RunState.QUEUED, started_at=None, lateness_ms=None, due_at=at, reason=reason)
        return replace(waiting, claim_id=None)

    def started_again(self, *, node: UUID, claim_id: UUID, at: datetime) -> "Run":
        """A run that waited, started: with its next attempt if it has had one."""
        return replace(
            self,
            state=RunState.RUNNING,
            node=node,
            claim_id=claim_id,
            attempt=self.attempt + (self.state is RunState.RETRYING),
            started_at=at,
            finished_at=None,
            duration_ms=None,
            due_at=None,
            error=None,
            reason=None,
            cancel_reason=None,
        )


@quick_dataclass(frozen=True, slots=True)
class Assignment:
    """A claimed run with the job as it was when claimed: an edit does not change a run that was claimed before it."""

    run: Run
    job: Job


class Contradiction(Exception):
    """An outcome that says two things at once: a mistake in the engine."""


@quick_dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, or an attempt that is not its last. There is one for each attempt (law 6).

    It applies only to a run that is running by the claim `claim_id`: None stands for those of earlier releases.
    `result_json` is the result written as JSON. `undoes_claim` takes back what the claim told the job of its last run,
    because the run was then not started. A run that is `retrying` waits until `due_at` for the attempt after the one
    that ended as `attempt_state`. `is_stuck`: what it called has not returned. `is_crash`: its process died under it.
    """

    run_id: UUID
    job_id: UUID
    claim_id: UUID | None
    state: RunState
    finished_at: datetime
    started_at: datetime | None = None
    lateness_ms: float | None = None
    duration_ms: float | None = None
    error: RunError | None = None
    result_json: str | None = None
    reason: str | None = None
    reason_code: ReasonCode | None = None
    undoes_claim: bool = False
    attempt_state: RunState | None = None
    attempt_reason: str | None = None
    due_at: datetime | None = None
    is_stuck: bool = False
    is_crash: bool = False
    log: CapturedLog | None = None

    def __post_init__(self) -> None:
        if self.state in (RunState.RUNNING, RunState.MISSED, RunState.QUEUED):
            raise Contradiction(f"{self.state} is no way for a run to end")
        if (self.state is RunState.RETRYING) != (self.due_at is not None and self.attempt_state in BAD_ENDS):
            raise Contradiction(f"a run that is {self.state} after {self.attempt_state} at {self.due_at}")
        if (self.attempt_end is RunState.FAILED) != (self.error is not None):
            raise Contradiction(f"a run that {self.state} has {'an' if self.error else 'no'} error")
        if self.result_json is not None and self.state is not RunState.SUCCEEDED:
            raise Contradiction(f"a run that {self.state} has a result")

    @property
    def attempt_end(self) -> RunState:
        """How the attempt ended, whether or not it was the last one."""
        return self.attempt_state or self.state

    def as_last(self) -> "Outcome":
        """The same, with no attempt to come."""
        return replace(self, state=self.attempt_end, attempt_state=None, due_at=None, reason=self.attempt_reason)

    @property
    def makes_room(self) -> bool:
        """Whether nothing of the run is in the way of the next one any more."""
        return self.state is not RunState.RETRYING and not self.is_stuck


@quick_dataclass(frozen=True, slots=True)
class CallOver:
    """What a stuck run had called has returned after all."""

    run_id: UUID
    job_id: UUID


@quick_dataclass(frozen=True, slots=True)
class BadStreak:
    """How often in a row a job has ended badly by now, and taken its worker process with it."""

    job_id: UUID
    failures: int
    crashes: int


@quick_dataclass(frozen=True, slots=True)
class Finished:
    """What recording outcomes came to.

    `late` are the runs that were over already: they are as they were (law 6). `waiting` are hints of runs that may
    start now, or at a given time. `bad_streaks` are those of jobs that have one after this.
    """

    late: frozenset[UUID] = frozenset()
    waiting: tuple["DueHint", ...] = ()
    bad_streaks: tuple[BadStreak, ...] = ()


@quick_dataclass(frozen=True, slots=True)
class Advance:
    """One job moved on to its next slot, with what becomes of the slots it leaves behind (law 3).

    Applies only while the job is scheduled and at `expected_version`. `run` is the slot that is claimed (`running`), or
    refused in the same breath (`skipped`); None where slots were only missed. `queued` are to run after it, one after
    another. `missed` and `passed_over` stand for slots that do not run. `next_run_at` None completes the job.
    """

    job_id: UUID
    expected_version: int
    next_run_at: datetime | None
    last_scheduled_for: datetime
    run: Run | None
    missed: Run | None = None
    queued: tuple[Run, ...] = ()
    passed_over: Run | None = None
    is_ahead: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it is about one slot, which is to run."""
        return self.run is not None and self.run.state is RunState.RUNNING and not self.rows

    @property
    def rows(self) -> list[Run]:
        """What it writes beside `run`."""
        return [*self.queued, *(row for row in (self.missed, self.passed_over) if row is not None)]


@quick_dataclass(frozen=True, slots=True)
class Dropping:
    """The row for the slots that a deletion leaves unclaimed, if the job is still at this version."""

    job_version: int
    run: Run


@quick_dataclass(frozen=True, slots=True)
class DueHint:
    """When a job is due next, or a run of it that waits, as the heap wants to know it (law 2).

    `function_name` and `priority` say in which lane, and how urgently; they too are hints, and may be old. What
    `is_exact` is not to be looked at ahead of its instant.
    """

    job_id: UUID
    due_at: datetime
    version: int
    run_id: UUID | None = None
    function_name: str | None = None
    priority: int = 0
    is_exact: bool = False

    @property
    def key(self) -> UUID:
        """What it is a hint of: the run if there is one, else the job."""
        return self.run_id or self.job_id


@quick_dataclass(frozen=True, slots=True)
class WaitingStart:
    """A waiting run that is to start now, if its job is still at this version and there is room."""

    run_id: UUID
    job_id: UUID
    job_version: int
    node: UUID
    claim_id: UUID
    at: datetime
