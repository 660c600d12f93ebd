"""The tables of jobs, runs and calendars, the same on SQLite and PostgreSQL. What they are, migrations/ must make."""

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    literal_column,
)

from engine.limits import (
    MAX_CALENDAR_DESCRIPTION_LENGTH,
    MAX_CALENDAR_NAME_LENGTH,
    MAX_CRON_EXPRESSION_LENGTH,
    MAX_NAME_LENGTH,
    MAX_TIMEZONE_LENGTH,
)
from engine.nouns import JobStatus, RunState, Trigger
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

# Words, not parameters: SQLite and PostgreSQL use a partial index only for a condition they can read.
IS_RUNNING = runs.c.state == literal_column("'running'")
IS_SCHEDULED = jobs.c.status.in_([literal_column("'active'"), literal_column("'failed'")])

_OF_A_SLOT = runs.c.trigger == literal_column("'schedule'")
_IS_DUE_SOMETIME = jobs.c.next_run_at.is_not(None)

Index("jobs_due", jobs.c.next_run_at, sqlite_where=_IS_DUE_SOMETIME, postgresql_where=_IS_DUE_SOMETIME)
Index("jobs_listed", jobs.c.created_at, jobs.c.id)
# The last line of defence of "each slot starts at most once" (law 3).
Index(
    "runs_one_per_slot",
    runs.c.job_id,
    runs.c.scheduled_for,
    unique=True,
    sqlite_where=_OF_A_SLOT,
    postgresql_where=_OF_A_SLOT,
)
Index("runs_running", runs.c.job_id, sqlite_where=IS_RUNNING, postgresql_where=IS_RUNNING)
Index("runs_listed", runs.c.scheduled_for, runs.c.id)
Index("runs_of_job", runs.c.job_id, runs.c.scheduled_for, runs.c.id)
Index("runs_in_state", runs.c.state, runs.c.scheduled_for, runs.c.id)

# Apart from the runs, which are listed by the hundred: a log is read for one run at a time.
run_logs = Table(
    "run_logs",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("lines", JSON, nullable=False),
    Column("dropped", Integer, nullable=False),
)
