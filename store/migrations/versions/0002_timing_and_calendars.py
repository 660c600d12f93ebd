"""Jobs get the whole of a timing and a count of their runs; the table `calendars`. Written out in full, like 0001."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from store.columns import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Name, type, and what the jobs that are there already get; None is a column that may be empty.
_ADDED: tuple[tuple[str, sa.types.TypeEngine[Any], str | None], ...] = (
    ("run_at", UtcDateTime(), None),
    ("timezone", sa.String(64), "UTC"),
    ("dst_gap", sa.String(16), "run_after"),
    ("dst_overlap", sa.String(16), "first"),
    ("start_at", UtcDateTime(), None),
    ("end_at", UtcDateTime(), None),
    ("max_runs", sa.Integer(), None),
    ("jitter_seconds", sa.Double(), "0"),
    ("exclude_calendars", sa.JSON(), "[]"),
    ("on_excluded", sa.String(32), "skip"),
    ("run_count", sa.Integer(), "0"),
)
_ONE_OF_TWO = "(interval_seconds IS NULL) <> (cron_expression IS NULL)"
_ONE_OF_THREE = (
    "CASE WHEN interval_seconds IS NULL THEN 0 ELSE 1 END + "
    "CASE WHEN cron_expression IS NULL THEN 0 ELSE 1 END + "
    "CASE WHEN run_at IS NULL THEN 0 ELSE 1 END = 1"
)


def upgrade() -> None:
    if _is_sqlite():
        given = {name: f"'{value}'" for name, _, value in _ADDED if value is not None}
        _make_jobs_again(_added_columns(), check=_ONE_OF_THREE, given=given)
    else:
        _add_columns()
    _create_calendars()


def downgrade() -> None:
    """Forgets what jobs had of the new columns. One with a date has no place in 0001: its constraint refuses that."""
    op.drop_table("calendars")
    if _is_sqlite():
        _make_jobs_again([], check=_ONE_OF_TWO, given={})
    else:
        _change_constraint(_ONE_OF_TWO)
        for name, _, _ in _ADDED:
            op.drop_column("jobs", name)


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _add_columns() -> None:
    for name, kind, value in _ADDED:
        op.add_column("jobs", sa.Column(name, kind, nullable=value is None, server_default=value))
        if value is not None:
            op.alter_column("jobs", name, server_default=None)
    _change_constraint(_ONE_OF_THREE)


def _change_constraint(check: str) -> None:
    op.drop_constraint("jobs_one_schedule", "jobs", type_="check")
    op.create_check_constraint("jobs_one_schedule", "jobs", sa.text(check))


def _make_jobs_again(added: list[sa.Column[Any]], *, check: str, given: dict[str, str]) -> None:
    """Make the table anew around its rows: SQLite changes no constraint in place.

    Nothing is renamed: SQLite would change the views of a table that is, or refuse because of them. The indexes come
    back as they were, and with them the triggers and indexes that a team has made itself.
    """
    connection = op.get_bind()
    dependents = connection.exec_driver_sql(
        "SELECT sql FROM sqlite_master WHERE tbl_name = 'jobs' AND type IN ('index', 'trigger') AND sql IS NOT NULL"
    ).scalars()
    statements = list(dependents)
    columns = _columns_of_0001()
    kept = ", ".join(column.name for column in columns)
    op.execute("CREATE TABLE jobs_before AS SELECT * FROM jobs")
    op.execute("DROP TABLE jobs")
    op.create_table("jobs", *columns, *added, sa.CheckConstraint(check, name="jobs_one_schedule"))
    op.execute(
        f"INSERT INTO jobs ({', '.join([kept, *given])}) "  # noqa: S608 - constants of ours
        f"SELECT {', '.join([kept, *given.values()])} FROM jobs_before"
    )
    op.execute("DROP TABLE jobs_before")
    for statement in statements:
        connection.exec_driver_sql(statement)


def _columns_of_0001() -> list[sa.Column[Any]]:
    return [
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
    ]


def _added_columns() -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=value is None) for name, kind, value in _ADDED]


def _create_calendars() -> None:
    op.create_table(
        "calendars",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("description", sa.String(500)),
        sa.Column("dates", sa.JSON, nullable=False),
        sa.Column("weekly_days_off", sa.JSON, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
