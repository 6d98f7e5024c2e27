"""Engines on many machines: which queues each takes, what troubles it, and an index to publish jobs by.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _make_roster(
        sa.Column("adapter", sa.String(16), nullable=False),
        sa.Column("workers", sa.Integer(), nullable=False),
        sa.Column("queues", sa.JSON(), nullable=False),
        sa.Column("leads", sa.Boolean(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=True),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.create_index(
            "jobs_to_publish",
            "jobs",
            ["queue", "priority", "run_at", "id"],
            postgresql_where=sa.text("state = 'available'"),
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("jobs_to_publish", "jobs")
    _make_roster(sa.Column("workers", sa.Integer(), nullable=False))


def _make_roster(*columns: sa.Column[object]) -> None:
    # Made anew: who is on it now is of the version that is being replaced.
    op.drop_table("job_engines")
    op.create_table(
        "job_engines",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        *columns,
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
