"""Whose mail one is: on that channel is told what becomes of it.

Revision ID: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("mails", sa.Column("owner", sa.String(100), nullable=True))


def downgrade() -> None:
    op.drop_column("mails", "owner")
