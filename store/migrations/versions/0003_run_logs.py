"""The table `run_logs`."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "run_logs",
        sa.Column("run_id", sa.Uuid(), primary_key=True),
        sa.Column("lines", sa.JSON(), nullable=False),
        sa.Column("dropped", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("run_logs")
