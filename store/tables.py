"""The tables of jobs, runs, calendars and keys, the same on both databases. What they are, migrations/ must make."""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    and_,
    literal_column,
)

from engine.access import Scope
from engine.limits import (
    MAX_CALENDAR_DESCRIPTION_LENGTH,
    MAX_CALENDAR_NAME_LENGTH,
    MAX_CONCURRENCY_KEY_LENGTH,
    MAX_CRON_EXPRESSION_LENGTH,
    MAX_NAME_LENGTH,
    MAX_TIMEZONE_LENGTH,
)
from engine.nodes import Role
from engine.nouns import JobStatus, RunState, Trigger
from engine.policies import MisfirePolicy, OverlapPolicy
from engine.reason_codes import ReasonCode
from engine.timing import KINDS, DstGap, DstOverlap, OnExcluded
from registry.functions import MAX_FUNCTION_NAME_LENGTH
from store.columns import Names, UtcDateTime, word_of

metadata = MetaData()

# In words that both databases know: PostgreSQL does not add up truth values.
_KINDS_GIVEN = " + ".join(f"CASE WHEN {kind} IS NULL THEN 0 ELSE 1 END" for kind in KINDS)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", String(MAX_NAME_LENGTH), nullable=False),
    Column("function_name", String(MAX_FUNCTION_NAME_LENGTH), nullable=False),
    Column("interval_seconds", Double),
    Column("cron_expression", String(MAX_CRON_EXPRESSION_LENGTH)),
    Column("run_at", UtcDateTime),
    Column("timezone", String(MAX_TIMEZONE_LENGTH), nullable=False),
    Column("dst_gap", word_of(DstGap), nullable=False),
    Column("dst_overlap", word_of(DstOverlap), nullable=False),
    Column("start_at", UtcDateTime),
    Column("end_at", UtcDateTime),
    Column("max_runs", Integer),
    Column("jitter_seconds", Double, nullable=False),
    Column("exclude_calendars", Names, nullable=False),
    Column("on_excluded", word_of(OnExcluded, length=32), nullable=False),
    Column("job_metadata", JSON, nullable=False),
    Column("status", word_of(JobStatus), nullable=False),
    Column("anchor_at", UtcDateTime, nullable=False),
    Column("next_run_at", UtcDateTime),
    Column("last_run_at", UtcDateTime),
    Column("last_scheduled_for", UtcDateTime),
    Column("run_count", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("misfire_policy", word_of(MisfirePolicy), nullable=False),
    Column("misfire_grace_seconds", Double, nullable=False),
    Column("max_catch_up", Integer, nullable=False),
    Column("overlap_policy", word_of(OverlapPolicy), nullable=False),
    Column("max_instances", Integer, nullable=False),
    Column("max_retries", Integer, nullable=False),
    Column("retry_delay_seconds", Double, nullable=False),
    Column("retry_backoff", Double, nullable=False),
    Column("retry_max_delay_seconds", Double, nullable=False),
    Column("retry_jitter", Double, nullable=False),
    Column("timeout_seconds", Double),
    Column("pause_after_failures", Integer),
    Column("concurrency_key", String(MAX_CONCURRENCY_KEY_LENGTH)),
    Column("concurrency_limit", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("consecutive_failures", Integer, nullable=False),
    Column("consecutive_crashes", Integer, nullable=False),
    Column("paused_at", UtcDateTime),
    Column("paused_until", UtcDateTime),
    Column("paused_by", String(MAX_NAME_LENGTH)),
    Column("pause_note", Text),
    Column("pause_reason", Text),
    Column("timing_since", UtcDateTime),
    CheckConstraint(f"{_KINDS_GIVEN} = 1", name="jobs_one_schedule"),
)

# History outlives its job, so `job_id` refers to nothing.
runs = Table(
    "runs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("job_id", Uuid, nullable=False),
    Column("function_name", String(MAX_FUNCTION_NAME_LENGTH), nullable=False),
    Column("trigger", word_of(Trigger), nullable=False),
    Column("scheduled_for", UtcDateTime, nullable=False),
    Column("last_scheduled_for", UtcDateTime),
    Column("slot_count", Integer, nullable=False),
    Column("state", word_of(RunState), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("node", Uuid, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("lateness_ms", Double),
    Column("duration_ms", Double),
    Column("error_type", Text),
    Column("error_message", Text),
    Column("error_traceback", Text),
    Column("result", Text),
    Column("reason", Text),
    Column("earlier_attempts", JSON(none_as_null=True)),
    Column("due_at", UtcDateTime),
    Column("cancel_reason", Text),
    Column("is_stuck", Boolean),
    Column("concurrency_key", String(MAX_CONCURRENCY_KEY_LENGTH)),
    Column("backfill_id", Uuid),
    Column("reason_code", word_of(ReasonCode, length=32)),
    Column("claim_id", Uuid),
)

# Jobs list calendars by name, in JSON: store/calendar_rows.py sees to it that those are there.
calendars = Table(
    "calendars",
    metadata,
    Column("name", String(MAX_CALENDAR_NAME_LENGTH), primary_key=True),
    Column("description", String(MAX_CALENDAR_DESCRIPTION_LENGTH)),
    Column("dates", JSON, nullable=False),
    Column("weekly_days_off", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

# What a run printed and logged, written with its outcome.
run_logs = Table(
    "run_logs",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("lines", JSON, nullable=False),
    Column("dropped", Integer, nullable=False),
)

# Pauses that are over; and, without a job, those of the whole scheduler, of which the one that is not over is in force.
pauses = Table(
    "pauses",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("job_id", Uuid),
    Column("paused_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("until", UtcDateTime),
    Column("by", String(MAX_NAME_LENGTH)),
    Column("note", Text),
    Column("reason", Text),
)

backfills = Table(
    "backfills",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("job_id", Uuid, nullable=False),
    Column("from_at", UtcDateTime, nullable=False),
    Column("to_at", UtcDateTime, nullable=False),
    Column("slot_count", Integer, nullable=False),
    Column("concurrency", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("cancelled_at", UtcDateTime),
)

# Which process was there from when to when: what tells a slot's reader that nobody was.
nodes = Table(
    "nodes",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("stopped_at", UtcDateTime),
    Column("lost_at", UtcDateTime),
    Column("beats", BigInteger),
    Column("role", word_of(Role)),
    Column("version", String(64)),
    Column("host", String(255)),
    Column("process_id", Integer),
    Column("running_runs", Integer),
    Column("permits", Integer),
)

# Digests of keys: nothing here opens anything.
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", String(MAX_NAME_LENGTH), nullable=False),
    Column("prefix", String(16), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("scope", word_of(Scope), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
)

# Words, not parameters: SQLite and PostgreSQL use a partial index only for a condition they can read.
IS_RUNNING = runs.c.state == literal_column("'running'")
IS_WAITING = runs.c.state.in_([literal_column("'queued'"), literal_column("'retrying'")])
IS_OF_A_SLOT = runs.c.trigger == literal_column("'schedule'")
IS_SCHEDULED = jobs.c.status.in_([literal_column("'active'"), literal_column("'failed'")])


def _where(condition: ColumnElement[bool]) -> dict[str, Any]:
    """The same condition of a partial index for both databases."""
    return {"sqlite_where": condition, "postgresql_where": condition}


_IS_DUE_SOMETIME = jobs.c.next_run_at.is_not(None)

Index("jobs_due", jobs.c.next_run_at, **_where(_IS_DUE_SOMETIME))
Index("jobs_listed", jobs.c.created_at, jobs.c.id)
# The last line of defence of "each slot starts at most once" (law 3).
Index(
    "runs_one_per_slot",
    runs.c.job_id,
    runs.c.scheduled_for,
    unique=True,
    **_where(IS_OF_A_SLOT),
)
Index("runs_running", runs.c.job_id, **_where(IS_RUNNING))
Index("runs_running_on_node", runs.c.node, **_where(IS_RUNNING))
Index("runs_listed", runs.c.scheduled_for, runs.c.id)
Index("runs_of_job", runs.c.job_id, runs.c.scheduled_for, runs.c.id)
Index("runs_in_state", runs.c.state, runs.c.scheduled_for, runs.c.id)
Index("jobs_pause_ends", jobs.c.paused_until, **_where(jobs.c.paused_until.is_not(None)))
Index("runs_waiting", runs.c.job_id, runs.c.scheduled_for, **_where(IS_WAITING))
Index("runs_waiting_for_key", runs.c.concurrency_key, **_where(and_(IS_WAITING, runs.c.concurrency_key.is_not(None))))
Index("runs_holding_key", runs.c.concurrency_key, **_where(and_(IS_RUNNING, runs.c.concurrency_key.is_not(None))))
Index("runs_stuck", runs.c.job_id, **_where(runs.c.is_stuck))
Index("runs_of_backfill", runs.c.backfill_id, runs.c.scheduled_for, **_where(runs.c.backfill_id.is_not(None)))
Index("pauses_of_job", pauses.c.job_id, pauses.c.paused_at)
Index("backfills_of_job", backfills.c.job_id, backfills.c.created_at)
Index("nodes_seen", nodes.c.seen_at)
Index("api_keys_by_prefix", api_keys.c.prefix, unique=True)
