"""The tables of photos, of what jobs made of them, and of uploads that go on after an interruption.

Time lines are walked along partial indexes that hold what is not in the trash; they begin with whose photos they are,
and end in the order of the line.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from tailrace.database import Base, UTCDateTime, new_id, utcnow


class PhotoState(StrEnum):
    """How far a photo has come; `ready` and `failed` are the ends, and `retry` leads from `failed` to `uploaded`."""

    UPLOADED = "uploaded"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


class RenditionName(StrEnum):
    """The renditions of a photo, from the smallest to the largest."""

    THUMB = "thumb"
    SMALL = "small"
    LARGE = "large"


def _index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    condition = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


class Photo(Base):
    """A picture somebody took. Its original is in storage, whole, before the row is here.

    Without a task it is its uploader's alone. `width`, `height` and `frames` are what the header says; once it is
    ready, width and height are those of the upright picture. `taken_at` is the camera's own text (ISO 8601), with an
    offset only if the camera told it; `shown_at` is the moment it stands at in time lines: taken if known, else
    created. `placeholder` is a thumbhash in base64. The same bytes are in a task (or among somebody's own photos) once,
    the trash included.
    """

    __tablename__ = "photos"
    __table_args__ = (
        _index("photos_of_project", "project_id", "shown_at", "id", where="deleted_at IS NULL"),
        _index("photos_of_task", "task_id", "shown_at", "id", where="deleted_at IS NULL"),
        _index("photos_of_nobody_else", "user_id", "shown_at", "id", where="task_id IS NULL AND deleted_at IS NULL"),
        _index("photos_once_in_task", "task_id", "sha256", where="task_id IS NOT NULL", unique=True),
        _index("photos_once_of_user", "user_id", "sha256", where="task_id IS NULL", unique=True),
        _index("photos_in_trash", "deleted_at", where="deleted_at IS NOT NULL"),
        _index("photos_unfinished", "state", "id", where="state IN ('uploaded', 'processing')"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    task_id: Mapped[int | None] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(String(255))
    caption: Mapped[str] = mapped_column(Text, default="")
    format: Mapped[str] = mapped_column(String(10))
    media_type: Mapped[str] = mapped_column(String(50))
    width: Mapped[int]
    height: Mapped[int]
    frames: Mapped[int]
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16), default=PhotoState.UPLOADED)
    error: Mapped[str | None] = mapped_column(Text)
    job_id: Mapped[str | None] = mapped_column(String(32))
    placeholder: Mapped[str | None] = mapped_column(String(64))
    taken_at: Mapped[str | None] = mapped_column(String(32))
    camera: Mapped[str | None] = mapped_column(String(200))
    shown_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    deleted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class PhotoRendition(Base):
    """A smaller WebP of a photo, in storage before the row is here."""

    __tablename__ = "photo_renditions"

    photo_id: Mapped[str] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(16), primary_key=True)
    width: Mapped[int]
    height: Mapped[int]
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    storage_key: Mapped[str] = mapped_column(String(200))


class PhotoLocation(Base):
    """Where a photo was taken: degrees of WGS 84 and metres above sea level. Apart, so that no list carries it."""

    __tablename__ = "photo_locations"

    photo_id: Mapped[str] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True)
    latitude: Mapped[float]
    longitude: Mapped[float]
    altitude: Mapped[float | None]


class PhotoPair(Base):
    """Two photos of one task that show the same thing before and after the work."""

    __tablename__ = "photo_pairs"

    before_id: Mapped[str] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True)
    after_id: Mapped[str] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), unique=True)


class PhotoReceipt(Base):
    """What a request with an Idempotency-Key was answered, to be answered again; `target` is what it was sent to."""

    __tablename__ = "photo_receipts"
    __table_args__ = (Index("photo_receipts_by_age", "created_at"),)

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    target: Mapped[str] = mapped_column(String(200))
    status: Mapped[int]
    location: Mapped[str | None] = mapped_column(String(200))
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)


class Upload(Base):
    """A resumable upload. `offset` is durable: every byte before it is in a segment that is in storage.

    It equals `length` if and only if the photo exists. `lock_token` is the request that may write, until
    `locked_until`. `tus_metadata` is the client's header, to be told again. `error` says why the upload was refused.
    """

    __tablename__ = "uploads"
    __table_args__ = (Index("uploads_to_expire", "expires_at"), Index("uploads_of_user", "user_id", "id"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    task_id: Mapped[int | None] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(255))
    caption: Mapped[str] = mapped_column(Text, default="")
    tus_metadata: Mapped[str] = mapped_column(Text, default="")
    length: Mapped[int] = mapped_column(BigInteger)
    offset: Mapped[int] = mapped_column(BigInteger, default=0)
    lock_token: Mapped[str | None] = mapped_column(String(32))
    locked_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    photo_id: Mapped[str | None] = mapped_column(ForeignKey("photos.id", ondelete="SET NULL"))
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)


class UploadSegment(Base):
    """Some bytes of an upload, in storage before the row is here; segments follow each other without a gap."""

    __tablename__ = "upload_segments"

    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True)
    start: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    storage_key: Mapped[str] = mapped_column(String(200))
