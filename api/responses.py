"""What clients get: jobs, runs, functions and health as JSON. Instants are ISO 8601 in UTC, with a Z."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel

from api.pauses import PauseView
from engine.cancellation import Cancelled
from engine.captured_log import CapturedLog, LogLine, Stream
from engine.nouns import Job, JobStatus, Run, RunError, RunState, Trigger
from engine.policies import POLICY_NAMES, MisfirePolicy, OverlapPolicy, Policies
from engine.requests import Health
from engine.timing import DstGap, DstOverlap, OnExcluded
from registry import JobFunction, Lane


class JobView(BaseModel):
    """A job. `orphaned`: its function is not registered; it is kept, and runs again when the function returns.

    `metadata_error`: its metadata does not fit its function, which has changed; its runs fail until one is mended.
    """

    id: UUID
    name: str
    function_name: str
    interval_seconds: int | float | None
    cron_expression: str | None
    run_at: datetime | None
    timezone: str
    dst_gap: DstGap
    dst_overlap: DstOverlap
    start_at: datetime | None
    end_at: datetime | None
    max_runs: int | None
    jitter_seconds: int | float
    exclude_calendars: list[str]
    on_excluded: OnExcluded
    misfire_policy: MisfirePolicy
    misfire_grace_seconds: int | float
    max_catch_up: int
    overlap_policy: OverlapPolicy
    max_instances: int
    max_retries: int
    retry_delay_seconds: int | float
    retry_backoff: int | float
    retry_max_delay_seconds: int | float
    retry_jitter: int | float
    timeout_seconds: int | float | None
    pause_after_failures: int | None
    concurrency_key: str | None
    concurrency_limit: int
    priority: int
    job_metadata: dict[str, Any]
    status: JobStatus
    orphaned: bool
    metadata_error: str | None
    run_count: int
    consecutive_failures: int
    pause: PauseView | None
    last_run_at: datetime | None
    next_run_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, job: Job, *, orphaned: bool, metadata_error: str | None) -> Self:
        """As clients see `job`."""
        timing = job.timing
        return cls(
            id=job.id,
            name=job.name,
            function_name=job.function_name,
            interval_seconds=None if timing.interval_seconds is None else _whole(timing.interval_seconds),
            cron_expression=timing.cron_expression,
            run_at=timing.run_at,
            timezone=timing.timezone,
            dst_gap=timing.dst_gap,
            dst_overlap=timing.dst_overlap,
            start_at=timing.start_at,
            end_at=timing.end_at,
            max_runs=timing.max_runs,
            jitter_seconds=_whole(timing.jitter_seconds),
            exclude_calendars=list(timing.exclude_calendars),
            on_excluded=timing.on_excluded,
            **_policies(job.policies),
            job_metadata=job.metadata,
            status=job.status,
            orphaned=orphaned,
            metadata_error=metadata_error,
            run_count=job.run_count,
            consecutive_failures=job.consecutive_failures,
            pause=None if job.pause is None else PauseView.of(job.pause),
            last_run_at=job.last_run_at,
            next_run_at=job.next_run_at,
            created_at=job.created_at,
            updated_at=job.updated_at,
        )


def _policies(policies: Policies) -> dict[str, Any]:
    """Each by its name; whole numbers as a client writes them."""
    given = {name: getattr(policies, name) for name in POLICY_NAMES}
    return {name: _whole(value) if isinstance(value, float) else value for name, value in given.items()}


def _whole(seconds: float) -> int | float:
    return int(seconds) if seconds == int(seconds) else seconds


class RunErrorView(BaseModel):
    """The exception that ended a run, in bounded text."""

    type: str
    message: str
    traceback: str

    @classmethod
    def of(cls, error: RunError) -> Self:
        """As clients see `error`."""
        return cls(type=error.type, message=error.message, traceback=error.traceback)


class AttemptView(BaseModel):
    """An earlier attempt of a run, and how it ended."""

    number: int
    state: RunState
    started_at: datetime | None
    finished_at: datetime
    duration_ms: float | None
    error_type: str | None
    error_message: str | None
    reason: str | None


class RunView(BaseModel):
    """A run; or, skipped and missed, why there was none.

    A missed row, and a skipped one, may stand for `slot_count` slots. `attempt` is the latest one, to which times,
    error and result belong. `due_at` is when a waiting run may start. `cancel_reason` is there once it is to end.
    `is_stuck`: the run is over, and what it called has not returned.
    """

    id: UUID
    job_id: UUID
    function_name: str
    trigger: Trigger
    scheduled_for: datetime
    started_at: datetime | None
    finished_at: datetime | None
    state: RunState
    attempt: int
    lateness_ms: float | None
    duration_ms: float | None
    error: RunErrorView | None
    result: Any
    reason: str | None
    node: UUID
    slot_count: int
    last_scheduled_for: datetime | None
    earlier_attempts: list[AttemptView]
    due_at: datetime | None
    cancel_reason: str | None
    is_stuck: bool
    concurrency_key: str | None
    backfill_id: UUID | None

    @classmethod
    def of(cls, run: Run) -> Self:
        """As clients see `run`."""
        return cls(
            id=run.id,
            job_id=run.job_id,
            function_name=run.function_name,
            trigger=run.trigger,
            scheduled_for=run.scheduled_for,
            started_at=run.started_at,
            finished_at=run.finished_at,
            state=run.state,
            attempt=run.attempt,
            lateness_ms=run.lateness_ms,
            duration_ms=run.duration_ms,
            error=RunErrorView.of(run.error) if run.error else None,
            result=run.result,
            reason=run.reason,
            node=run.node,
            slot_count=run.slot_count,
            last_scheduled_for=run.last_scheduled_for,
            earlier_attempts=[AttemptView(**asdict(attempt)) for attempt in run.earlier_attempts],
            due_at=run.due_at,
            cancel_reason=run.cancel_reason,
            is_stuck=run.is_stuck,
            concurrency_key=run.concurrency_key,
            backfill_id=run.backfill_id,
        )


class CancelledView(BaseModel):
    """What a cancellation came to. `cancelled`: the run has ended; otherwise it was asked to, and goes on until its
    function returns."""

    cancelled: bool
    message: str
    run: RunView

    @classmethod
    def of(cls, cancelled: Cancelled) -> Self:
        """As clients see it."""
        run = cancelled.run
        if cancelled.has_ended:
            message = f"Run {run.id} has ended: it is {run.state}"
        else:
            message = f"Run {run.id} was asked to end, and goes on: a function in a thread has to look at run.cancelled"
        return cls(cancelled=cancelled.has_ended, message=message, run=RunView.of(run))


class LogLineView(BaseModel):
    """A line that a run printed or logged. `number` counts all lines of the run from 0, dropped ones included."""

    number: int
    at: datetime
    stream: Stream
    text: str
    level: str | None
    logger: str | None
    facts: dict[str, Any]

    @classmethod
    def of(cls, line: LogLine, *, number: int) -> Self:
        """As clients see `line`."""
        return cls(
            number=number,
            at=line.at,
            stream=line.stream,
            text=line.text,
            level=line.level,
            logger=line.logger,
            facts=line.facts,
        )


class RunLogsView(BaseModel):
    """The newest lines of a run, oldest first; `dropped` older ones are gone. `is_complete` once the run is over."""

    run_id: UUID
    lines: list[LogLineView]
    dropped: int
    is_complete: bool

    @classmethod
    def of(cls, run_id: UUID, log: CapturedLog, *, is_complete: bool) -> Self:
        """As clients see `log`."""
        lines = [LogLineView.of(line, number=number) for number, line in enumerate(log.lines, log.dropped)]
        return cls(run_id=run_id, lines=lines, dropped=log.dropped, is_complete=is_complete)


class DroppedView(BaseModel):
    """Lines that came and went before the client took them."""

    dropped: int


class RunEndView(BaseModel):
    """How the run ended whose log was followed."""

    state: RunState


class ParameterView(BaseModel):
    """One parameter of a function."""

    name: str
    annotation: str | None
    required: bool


class FunctionView(BaseModel):
    """A function that jobs may name. `summary` is the first line of its docstring.

    `lane` is where it is called: in a thread, in a worker process, or on the loop of coroutines. `metadata_schema` is
    the JSON Schema of the `job_metadata` it takes; null if it takes any.
    """

    name: str
    summary: str | None
    parameters: list[ParameterView]
    lane: Lane
    metadata_schema: dict[str, Any] | None

    @classmethod
    def of(cls, function: JobFunction) -> Self:
        """As clients see `function`."""
        parameters = [ParameterView(**asdict(parameter)) for parameter in function.parameters]
        return cls(
            name=function.name,
            summary=function.summary,
            parameters=parameters,
            lane=function.lane,
            metadata_schema=None if function.metadata_type is None else function.metadata_type.schema,
        )


class HealthView(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"
    version: str
    node: UUID
    uptime_seconds: float


class LaneRoomView(BaseModel):
    """How many runs may go at once in a lane, and how many more may start now."""

    permits: int
    permits_free: int


class ReadyView(BaseModel):
    """What the engine knows of itself. Ready when `problems` is empty; otherwise `detail` has them in one sentence."""

    status: Literal["ready", "not ready"]
    detail: str | None
    problems: list[str]
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
    lanes: dict[str, LaneRoomView]
    is_paused: bool

    @classmethod
    def of(cls, health: Health) -> Self:
        """As clients see `health`."""
        return cls(
            status="ready" if health.is_ready else "not ready",
            # An error like any other: clients look for its text under `detail`.
            detail="; ".join(health.problems) or None,
            **asdict(health),
        )


class DeletedView(BaseModel):
    """What was to be deleted is gone."""

    message: str


class AllDeletedView(BaseModel):
    """All jobs are gone."""

    message: str
    deleted_count: int
