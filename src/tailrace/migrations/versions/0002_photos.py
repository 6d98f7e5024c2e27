"""Photos, what jobs made of them, and resumable uploads.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = (
    "upload_segments",
    "uploads",
    "photo_receipts",
    "photo_pairs",
    "photo_locations",
    "photo_renditions",
    "photos",
)


def upgrade() -> None:
    _create_photos()
    _create_renditions()
    _create_receipts()
    _create_uploads()


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)


def _create_photos() -> None:
    op.create_table(
        "photos",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=True),
        sa.Column("task_id", sa.Integer(), nullable=True),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("caption", sa.Text(), nullable=False),
        sa.Column("format", sa.String(10), nullable=False),
        sa.Column("media_type", sa.String(50), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("job_id", sa.String(32), nullable=True),
        sa.Column("placeholder", sa.String(64), nullable=True),
        sa.Column("taken_at", sa.String(32), nullable=True),
        sa.Column("camera", sa.String(200), nullable=True),
        sa.Column("shown_at", sa.DateTime(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
    )
    _index("photos_in_trash", ["deleted_at"], where="deleted_at IS NOT NULL")
    own = "task_id IS NULL AND deleted_at IS NULL"
    _index("photos_of_nobody_else", ["user_id", "shown_at", "id"], where=own)
    _index("photos_of_project", ["project_id", "shown_at", "id"], where="deleted_at IS NULL")
    _index("photos_of_task", ["task_id", "shown_at", "id"], where="deleted_at IS NULL")
    _index("photos_once_in_task", ["task_id", "sha256"], where="task_id IS NOT NULL", unique=True)
    _index("photos_once_of_user", ["user_id", "sha256"], where="task_id IS NULL", unique=True)
    _index("photos_unfinished", ["state", "id"], where="state IN ('uploaded', 'processing')")


def _create_renditions() -> None:
    op.create_table(
        "photo_renditions",
        sa.Column("photo_id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(16), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("storage_key", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("photo_id", "name"),
        sa.ForeignKeyConstraint(["photo_id"], ["photos.id"], ondelete="CASCADE"),
    )
    op.create_table(
        "photo_locations",
        sa.Column("photo_id", sa.String(32), nullable=False),
        sa.Column("latitude", sa.Double(), nullable=False),
        sa.Column("longitude", sa.Double(), nullable=False),
        sa.Column("altitude", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("photo_id"),
        sa.ForeignKeyConstraint(["photo_id"], ["photos.id"], ondelete="CASCADE"),
    )
    op.create_table(
        "photo_pairs",
        sa.Column("before_id", sa.String(32), nullable=False),
        sa.Column("after_id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("before_id"),
        sa.ForeignKeyConstraint(["before_id"], ["photos.id"], ondelete="CASCADE"),
        sa.UniqueConstraint("after_id"),
        sa.ForeignKeyConstraint(["after_id"], ["photos.id"], ondelete="CASCADE"),
    )


def _create_receipts() -> None:
    op.create_table(
        "photo_receipts",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("target", sa.String(200), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("location", sa.String(200), nullable=True),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "key"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
    )
    op.create_index("photo_receipts_by_age", "photo_receipts", ["created_at"])


def _create_uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("caption", sa.Text(), nullable=False),
        sa.Column("tus_metadata", sa.Text(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("lock_token", sa.String(32), nullable=True),
        sa.Column("locked_until", sa.DateTime(), nullable=True),
        sa.Column("photo_id", sa.String(32), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["photo_id"], ["photos.id"], ondelete="SET NULL"),
    )
    op.create_index("uploads_of_user", "uploads", ["user_id", "id"])
    op.create_index("uploads_to_expire", "uploads", ["expires_at"])
    op.create_table(
        "upload_segments",
        sa.Column("upload_id", sa.String(32), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("storage_key", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("upload_id", "start"),
        sa.ForeignKeyConstraint(["upload_id"], ["uploads.id"], ondelete="CASCADE"),
    )


def _index(name: str, columns: list[str], *, where: str, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, "photos", columns, unique=unique, sqlite_where=condition, postgresql_where=condition)
