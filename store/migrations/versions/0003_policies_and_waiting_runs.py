"""Policies and pauses of jobs, waiting runs and their attempts, captured logs, backfills, and who was there when.

The new columns of runs may be empty, so that a long history is not written anew.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from store.columns import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Name, type, and what the jobs that are there already get; None is a column that may be empty.
_ADDED_TO_JOBS: tuple[tuple[str, sa.types.TypeEngine[Any], str | None], ...] = (
    ("misfire_policy", sa.String(16), "run_once"),
    ("misfire_grace_seconds", sa.Double(), "5"),
    ("max_catch_up", sa.Integer(), "100"),
    ("overlap_policy", sa.String(16), "skip"),
    ("max_instances", sa.Integer(), "1"),
    ("max_retries", sa.Integer(), "0"),
    ("retry_delay_seconds", sa.Double(), "10"),
    ("retry_backoff", sa.Double(), "2"),
    ("retry_max_delay_seconds", sa.Double(), "3600"),
    ("retry_jitter", sa.Double(), "0.1"),
    ("timeout_seconds", sa.Double(), None),
    ("pause_after_failures", sa.Integer(), None),
    ("concurrency_key", sa.String(100), None),
    ("concurrency_limit", sa.Integer(), "1"),
    ("priority", sa.Integer(), "0"),
    ("consecutive_failures", sa.Integer(), "0"),
    ("consecutive_crashes", sa.Integer(), "0"),
    ("paused_at", UtcDateTime(), None),
    ("paused_until", UtcDateTime(), None),
    ("paused_by", sa.String(200), None),
    ("pause_note", sa.Text(), None),
    ("pause_reason", sa.Text(), None),
    ("timing_since", UtcDateTime(), None),
)
_ADDED_TO_RUNS: tuple[tuple[str, sa.types.TypeEngine[Any]], ...] = (
    ("earlier_attempts", sa.JSON()),
    ("due_at", UtcDateTime()),
    ("cancel_reason", sa.Text()),
    ("is_stuck", sa.Boolean()),
    ("concurrency_key", sa.String(100)),
    ("backfill_id", sa.Uuid()),
    ("reason_code", sa.String(32)),
)
_ONE_SCHEDULE = (
    "CASE WHEN interval_seconds IS NULL THEN 0 ELSE 1 END + "
    "CASE WHEN cron_expression IS NULL THEN 0 ELSE 1 END + "
    "CASE WHEN run_at IS NULL THEN 0 ELSE 1 END = 1"
)
_IS_WAITING = "state IN ('queued', 'retrying')"
_INDEXES = (
    ("runs_waiting", ["job_id", "scheduled_for"], _IS_WAITING),
    ("runs_waiting_for_key", ["concurrency_key"], f"{_IS_WAITING} AND concurrency_key IS NOT NULL"),
    ("runs_holding_key", ["concurrency_key"], "state = 'running' AND concurrency_key IS NOT NULL"),
    ("runs_stuck", ["job_id"], "is_stuck"),
    ("runs_of_backfill", ["backfill_id", "scheduled_for"], "backfill_id IS NOT NULL"),
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _make_jobs_again(add=True)
    else:
        _add_to_jobs()
    for name, kind in _ADDED_TO_RUNS:
        op.add_column("runs", sa.Column(name, kind))
    _create_index("jobs_pause_ends", "jobs", ["paused_until"], where="paused_until IS NOT NULL")
    for name, columns, where in _INDEXES:
        _create_index(name, "runs", columns, where=where)
    _create_tables()


def downgrade() -> None:
    """Forgets what jobs and runs had of the new columns; runs that wait are over."""
    for table in ("run_logs", "pauses", "backfills", "nodes"):
        op.drop_table(table)
    op.drop_index("jobs_pause_ends", "jobs")
    for name, _, _ in _INDEXES:
        op.drop_index(name, "runs")
    op.execute(f"UPDATE runs SET state = 'skipped' WHERE {_IS_WAITING}")  # noqa: S608 - a constant of ours
    for name, _ in _ADDED_TO_RUNS:
        op.drop_column("runs", name)
    if op.get_bind().dialect.name == "sqlite":
        _make_jobs_again(add=False)
    else:
        for name, _, _ in _ADDED_TO_JOBS:
            op.drop_column("jobs", name)


def _add_to_jobs() -> None:
    for name, kind, value in _ADDED_TO_JOBS:
        op.add_column("jobs", sa.Column(name, kind, nullable=value is None, server_default=value))
        if value is not None:
            op.alter_column("jobs", name, server_default=None)


def _make_jobs_again(*, add: bool) -> None:
    """Make the table anew around its rows, as 0002 does and for its reasons: SQLite takes no default back."""
    connection = op.get_bind()
    dependents = connection.exec_driver_sql(
        "SELECT sql FROM sqlite_master WHERE tbl_name = 'jobs' AND type IN ('index', 'trigger') AND sql IS NOT NULL"
    ).scalars()
    statements = list(dependents)
    new = {name for name, _, _ in _ADDED_TO_JOBS}
    found = sa.inspect(connection).get_columns("jobs")
    kept = [
        sa.Column(each["name"], each["type"], nullable=each["nullable"], primary_key=each["name"] == "id")
        for each in found
        if each["name"] not in new
    ]
    added = [sa.Column(name, kind, nullable=value is None) for name, kind, value in _ADDED_TO_JOBS] if add else []
    given = {name: f"'{value}'" for name, _, value in _ADDED_TO_JOBS if add and value is not None}
    names = ", ".join(column.name for column in kept)
    op.execute("CREATE TABLE jobs_before AS SELECT * FROM jobs")
    op.execute("DROP TABLE jobs")
    op.create_table("jobs", *kept, *added, sa.CheckConstraint(_ONE_SCHEDULE, name="jobs_one_schedule"))
    op.execute(
        f"INSERT INTO jobs ({', '.join([names, *given])}) "  # noqa: S608 - constants of ours
        f"SELECT {', '.join([names, *given.values()])} FROM jobs_before"
    )
    op.execute("DROP TABLE jobs_before")
    for statement in statements:
        connection.exec_driver_sql(statement)


def _create_tables() -> None:
    op.create_table(
        "run_logs",
        sa.Column("run_id", sa.Uuid, primary_key=True),
        sa.Column("lines", sa.JSON, nullable=False),
        sa.Column("dropped", sa.Integer, nullable=False),
    )
    op.create_table(
        "pauses",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("job_id", sa.Uuid),
        sa.Column("paused_at", UtcDateTime, nullable=False),
        sa.Column("ended_at", UtcDateTime),
        sa.Column("until", UtcDateTime),
        sa.Column("by", sa.String(200)),
        sa.Column("note", sa.Text),
        sa.Column("reason", sa.Text),
    )
    op.create_index("pauses_of_job", "pauses", ["job_id", "paused_at"])
    op.create_table(
        "backfills",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("job_id", sa.Uuid, nullable=False),
        sa.Column("from_at", UtcDateTime, nullable=False),
        sa.Column("to_at", UtcDateTime, nullable=False),
        sa.Column("slot_count", sa.Integer, nullable=False),
        sa.Column("concurrency", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("cancelled_at", UtcDateTime),
    )
    op.create_index("backfills_of_job", "backfills", ["job_id", "created_at"])
    op.create_table(
        "nodes",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("seen_at", UtcDateTime, nullable=False),
        sa.Column("stopped_at", UtcDateTime),
    )
    op.create_index("nodes_seen", "nodes", ["seen_at"])


def _create_index(name: str, table: str, columns: list[str], *, where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
