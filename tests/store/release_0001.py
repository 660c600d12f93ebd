"""What release 0001 wrote: the rows of two jobs and two runs, with each column filled in some row."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from engine.nouns import Job, JobStatus, Run, RunError, RunState, Trigger
from engine.timing import Timing
from tests.factories import NODE, NOON

INSTANTS = [NOON + timedelta(days=day, microseconds=day) for day in range(8)]

INTERVAL_JOB = Job(
    id=UUID(int=0x10),
    name="Grüße, 'Welt' 🌍 :name %s",
    function_name="dummy_number_crunch",
    timing=Timing(interval_seconds=0.1),
    metadata={"multiplier": 5, "deep": [{"a": None}, 1.5, True, "\x00", ":x"]},
    status=JobStatus.FAILED,
    anchor_at=INSTANTS[0],
    next_run_at=INSTANTS[1],
    created_at=INSTANTS[2],
    updated_at=INSTANTS[3],
    last_run_at=INSTANTS[4],
    last_scheduled_for=INSTANTS[5],
    version=7,
)
CRON_JOB = replace(
    INTERVAL_JOB,
    id=UUID("00000000-0000-4000-8000-000000000011"),
    timing=Timing(cron_expression="*/5 0-23/2 * JAN,feb 1-5"),
    metadata={},
    status=JobStatus.PAUSED,
    next_run_at=None,
    last_run_at=None,
    last_scheduled_for=None,
    version=1,
)
RUN = Run(
    id=UUID(int=0x20),
    job_id=INTERVAL_JOB.id,
    function_name="dummy_number_crunch",
    trigger=Trigger.SCHEDULE,
    scheduled_for=INSTANTS[0],
    state=RunState.FAILED,
    node=NODE,
    attempt=3,
    started_at=INSTANTS[1],
    finished_at=INSTANTS[2],
    lateness_ms=0.125,
    duration_ms=1e-3,
    error=RunError("ValueError", "Grüße", "line 1\nline 2"),
    result=[{"a": None}],
    reason="because",
    slot_count=2,
    last_scheduled_for=INSTANTS[3],
)
RUNNING = Run(
    id=UUID(int=0x21),
    job_id=INTERVAL_JOB.id,
    function_name="dummy_number_crunch",
    trigger=Trigger.MANUAL,
    scheduled_for=INSTANTS[4],
    state=RunState.RUNNING,
    node=NODE,
)

INSERT_JOB = text("""
    INSERT INTO jobs VALUES (:id, :name, :function_name, :interval_seconds, :cron_expression, :job_metadata, :status,
    :anchor_at, :next_run_at, :last_run_at, :last_scheduled_for, :version, :created_at, :updated_at)
""")
INSERT_RUN = text("""
    INSERT INTO runs VALUES (:id, :job_id, :function_name, :trigger, :scheduled_for, :last_scheduled_for, :slot_count,
    :state, :attempt, :node, :started_at, :finished_at, :lateness_ms, :duration_ms, :error_type, :error_message,
    :error_traceback, :result, :reason)
""")


def written(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(" ", "microseconds")


def job_row(job: Job, metadata: str) -> dict[str, Any]:
    """As release 0001 wrote it."""
    return {
        "id": job.id.hex,
        "name": job.name,
        "function_name": job.function_name,
        "interval_seconds": job.timing.interval_seconds,
        "cron_expression": job.timing.cron_expression,
        "job_metadata": metadata,
        "status": job.status.value,
        "version": job.version,
    } | {
        name: written(getattr(job, name))
        for name in ("anchor_at", "next_run_at", "last_run_at", "last_scheduled_for", "created_at", "updated_at")
    }


def run_row(run: Run, result: str | None) -> dict[str, Any]:
    """As release 0001 wrote it."""
    return {
        "id": run.id.hex,
        "job_id": run.job_id.hex,
        "function_name": run.function_name,
        "trigger": run.trigger.value,
        "slot_count": run.slot_count,
        "state": run.state.value,
        "attempt": run.attempt,
        "node": run.node.hex,
        "lateness_ms": run.lateness_ms,
        "duration_ms": run.duration_ms,
        "error_type": run.error and run.error.type,
        "error_message": run.error and run.error.message,
        "error_traceback": run.error and run.error.traceback,
        "result": result,
        "reason": run.reason,
    } | {
        name: written(getattr(run, name))
        for name in ("scheduled_for", "last_scheduled_for", "started_at", "finished_at")
    }


METADATA = r'{"multiplier": 5, "deep": [{"a": null}, 1.5, true, "\u0000", ":x"]}'
