"""Jobs and runs for tests: whole and valid, with only what a test is about spelled out."""

from collections.abc import Collection
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from engine.calendars import Calendar, Weekday
from engine.nodes import Load, NodeRecord, Presence
from engine.nouns import Advance, Job, JobStatus, Outcome, Run, RunState, Trigger
from engine.timing import KINDS, Timing

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
"""The instant at which a test's world begins."""

TIMING_FIELDS = {field.name for field in fields(Timing)}

IDLE = Load(running_runs=0, permits=16)

NODE = UUID("00000000-0000-4000-8000-00000000000a")


def make_job(**overrides: Any) -> Job:
    """An active job of every 60 seconds from noon on, due at noon."""
    described: dict[str, Any] = {
        "id": uuid4(),
        "name": "Number Cruncher",
        "function_name": "dummy_number_crunch",
        "timing": make_timing(overrides),
        "metadata": {"multiplier": 5},
        "status": JobStatus.ACTIVE,
        "anchor_at": NOON,
        "next_run_at": NOON,
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Job(**(described | overrides))


def make_timing(overrides: dict[str, Any], *, interval_seconds: float = 60.0) -> Timing:
    """The timing that `overrides` speak of, which are taken out of them; with an interval if they name no kind."""
    named = {name: overrides.pop(name) for name in TIMING_FIELDS & overrides.keys()}
    if not any(named.get(kind) is not None for kind in KINDS):
        named["interval_seconds"] = interval_seconds
    return Timing(**named)


def make_calendar(name: str, *, dates: Collection[date] = (), weekly_days_off: Collection[Weekday] = ()) -> Calendar:
    """A calendar that was made at noon."""
    return Calendar(name, frozenset(dates), frozenset(weekly_days_off), created_at=NOON, updated_at=NOON)


def make_run(**overrides: Any) -> Run:
    """A run of noon's slot, claimed at noon and running."""
    described: dict[str, Any] = {
        "id": uuid4(),
        "claim_id": uuid4(),
        "job_id": uuid4(),
        "function_name": "dummy_number_crunch",
        "trigger": Trigger.SCHEDULE,
        "scheduled_for": NOON,
        "state": RunState.RUNNING,
        "node": NODE,
        "started_at": NOON,
        "lateness_ms": 0.0,
    }
    return Run(**(described | overrides))


def token_of(run: Run) -> UUID:
    """The token of the claim that made the run running; one that waits is started with its id for a token, here."""
    return run.claim_id or run.id


def make_node(*, at: datetime = NOON, **overrides: Any) -> NodeRecord:
    """A node that came at the instant and has not been seen since."""
    described: dict[str, Any] = {
        "id": uuid4(),
        "presence": Presence(),
        "started_at": at,
        "seen_at": at,
        "beats": 0,
        "load": IDLE,
    }
    return NodeRecord(**(described | overrides))


def make_advance(job: Job, **overrides: Any) -> Advance:
    """The claim of the job's due slot: it runs, and the next one is a minute later."""
    assert job.next_run_at is not None
    slot = job.next_run_at
    described: dict[str, Any] = {
        "job_id": job.id,
        "expected_version": job.version,
        "next_run_at": slot + timedelta(minutes=1),
        "last_scheduled_for": slot,
        "run": make_run(job_id=job.id, function_name=job.function_name, scheduled_for=slot, started_at=slot),
    }
    return Advance(**(described | overrides))


def make_outcome(run: Run, **overrides: Any) -> Outcome:
    """The run succeeded a second after it began."""
    assert run.started_at is not None
    described: dict[str, Any] = {
        "run_id": run.id,
        "job_id": run.job_id,
        "claim_id": token_of(run),
        "state": RunState.SUCCEEDED,
        "started_at": run.started_at,
        "finished_at": run.started_at + timedelta(seconds=1),
        "lateness_ms": 0.0,
        "duration_ms": 1000.0,
    }
    return Outcome(**(described | overrides))
