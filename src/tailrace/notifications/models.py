"""The tables of mails, of what concerned whom (the inbox), and of what each person wants to hear of."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, ForeignKeyConstraint, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from tailrace.database import Base, UTCDateTime, new_id, utcnow


class MailState(StrEnum):
    """Where a mail stands."""

    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"


class Mail(Base):
    """One mail to one person: what it is made from, and what became of it. `key` makes it unique.

    `message_id` is under what a mail server accepted it; one that was only written to a file has none. `owner` is whose
    channel is told what becomes of it.
    """

    __tablename__ = "mails"
    __table_args__ = (Index("mails_by_age", "created_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    key: Mapped[str] = mapped_column(String(200), unique=True)
    recipient: Mapped[str] = mapped_column(String(320))
    subject: Mapped[str] = mapped_column(String(400))
    template: Mapped[str] = mapped_column(String(100))
    context: Mapped[dict[str, Any]] = mapped_column(JSON)
    state: Mapped[MailState] = mapped_column(String(10), default=MailState.QUEUED)
    message_id: Mapped[str | None] = mapped_column(String(400))
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    sent_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    owner: Mapped[str | None] = mapped_column(String(100))


class InboxEntry(Base):
    """One thing that concerned one person; `count` is how many of its kind it stands for.

    What is about a project hangs on the person's place in it: whoever leaves loses these entries with it, in the same
    statement, whatever is being written at that moment. `title` is what the thing was called then; `detail` is what
    its kind has to add, such as the new state; `subject` is the id of a report or a photo.
    """

    __tablename__ = "inbox_entries"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "user_id"], ["project_members.project_id", "project_members.user_id"], ondelete="CASCADE"
        ),
        Index("inbox_of_user", "user_id", "id"),
        Index(
            "inbox_unread",
            "user_id",
            "id",
            sqlite_where=text("read_at IS NULL"),
            postgresql_where=text("read_at IS NULL"),
        ),
        Index("inbox_of_member", "project_id", "user_id"),
        Index("inbox_of_task", "task_id"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))
    title: Mapped[str] = mapped_column(String(300))
    detail: Mapped[str] = mapped_column(String(100), default="")
    count: Mapped[int] = mapped_column(default=1)
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    project_id: Mapped[int | None]
    task_id: Mapped[int | None] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    subject: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    read_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class InboxChoice(Base):
    """What a person chose for one kind of thing; without a row the kind's own defaults hold."""

    __tablename__ = "inbox_choices"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    inbox: Mapped[bool]
    mail: Mapped[bool]
