"""Nodes that watch each other, and a token for each claim.

The new columns may be empty, so that a long history is not written anew: a run that an earlier release claimed has no
token, and its node no pulse.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from store.columns import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ADDED_TO_NODES: tuple[tuple[str, sa.types.TypeEngine[Any]], ...] = (
    ("lost_at", UtcDateTime()),
    ("beats", sa.BigInteger()),
    ("role", sa.String(16)),
    ("version", sa.String(64)),
    ("host", sa.String(255)),
    ("process_id", sa.Integer()),
    ("running_runs", sa.Integer()),
    ("permits", sa.Integer()),
)
_IS_RUNNING = "state = 'running'"


def upgrade() -> None:
    for name, kind in _ADDED_TO_NODES:
        op.add_column("nodes", sa.Column(name, kind))
    op.add_column("runs", sa.Column("claim_id", sa.Uuid()))
    op.create_index(
        "runs_running_on_node",
        "runs",
        ["node"],
        sqlite_where=sa.text(_IS_RUNNING),
        postgresql_where=sa.text(_IS_RUNNING),
    )


def downgrade() -> None:
    """Forgets which nodes were lost."""
    op.drop_index("runs_running_on_node", "runs")
    op.drop_column("runs", "claim_id")
    for name, _ in _ADDED_TO_NODES:
        op.drop_column("nodes", name)
