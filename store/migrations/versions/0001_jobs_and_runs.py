"""The tables `jobs` and `runs`. Written out in full: a released step never changes, whatever becomes of tables.py."""

import sqlalchemy as sa
from alembic import op

from store.columns import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_jobs()
    _create_runs()


def downgrade() -> None:
    op.drop_table("runs")
    op.drop_table("jobs")


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("function_name", sa.String(200), nullable=False),
        sa.Column("interval_seconds", sa.Double),
        sa.Column("cron_expression", sa.String(256)),
        sa.Column("job_metadata", sa.JSON, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("anchor_at", UtcDateTime, nullable=False),
        sa.Column("next_run_at", UtcDateTime),
        sa.Column("last_run_at", UtcDateTime),
        sa.Column("last_scheduled_for", UtcDateTime),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.CheckConstraint("(interval_seconds IS NULL) <> (cron_expression IS NULL)", name="jobs_one_schedule"),
    )
    _create_index("jobs_due", "jobs", ["next_run_at"], where="next_run_at IS NOT NULL")
    op.create_index("jobs_listed", "jobs", ["created_at", "id"])


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("job_id", sa.Uuid, nullable=False),
        sa.Column("function_name", sa.String(200), nullable=False),
        sa.Column("trigger", sa.String(16), nullable=False),
        sa.Column("scheduled_for", UtcDateTime, nullable=False),
        sa.Column("last_scheduled_for", UtcDateTime),
        sa.Column("slot_count", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("node", sa.Uuid, nullable=False),
        sa.Column("started_at", UtcDateTime),
        sa.Column("finished_at", UtcDateTime),
        sa.Column("lateness_ms", sa.Double),
        sa.Column("duration_ms", sa.Double),
        sa.Column("error_type", sa.Text),
        sa.Column("error_message", sa.Text),
        sa.Column("error_traceback", sa.Text),
        sa.Column("result", sa.Text),
        sa.Column("reason", sa.Text),
    )
    of_a_slot = "\"trigger\" = 'schedule'"
    _create_index("runs_one_per_slot", "runs", ["job_id", "scheduled_for"], where=of_a_slot, unique=True)
    _create_index("runs_running", "runs", ["job_id"], where="state = 'running'")
    op.create_index("runs_listed", "runs", ["scheduled_for", "id"])
    op.create_index("runs_of_job", "runs", ["job_id", "scheduled_for", "id"])
    op.create_index("runs_in_state", "runs", ["state", "scheduled_for", "id"])


def _create_index(name: str, table: str, columns: list[str], *, where: str, unique: bool = False) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
