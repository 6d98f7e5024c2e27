"""The tables of tasks and what hangs on them.

The indexes begin with the project, because everybody sees some projects only: a list is merged from one short walk
along an index for each of them (`listing`), an export goes through them one after the other (`table`). The state comes
next, because what is done stays for ever and what is open is looked at: a walk must not step over the one to find the
other. Only the two orders in which lists of many projects are read without a state have an index without it as well.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Dialect, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from tailrace.database import Base, UTCDateTime, utcnow
from tailrace.tasks import search

LABEL_SEPARATOR = ", "


class Status(StrEnum):
    """Where a task stands."""

    TODO = "todo"
    DOING = "doing"
    BLOCKED = "blocked"
    DONE = "done"
    CANCELLED = "cancelled"


class Priority(StrEnum):
    """How soon a task wants doing."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    URGENT = "urgent"

    @property
    def rank(self) -> int:
        """The number that is stored, so that a database sorts by urgency."""
        return list(Priority).index(self)


_BY_RANK = tuple(Priority)


class PriorityRank(TypeDecorator[Priority]):
    """A priority, stored as its rank."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> int | None:
        return None if value is None else Priority(value).rank

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Priority | None:
        return None if value is None else _BY_RANK[value]


class Task(Base):
    """What a person has to do. `labels` repeats the names in `task_labels`, sorted, so that no reader needs to join."""

    __tablename__ = "tasks"
    __table_args__ = (
        Index("tasks_by_id", "project_id", "id"),
        Index("tasks_by_creation", "project_id", "created_at", "id"),
        Index("tasks_by_update", "project_id", "updated_at", "id"),
        Index("tasks_by_status_and_creation", "project_id", "status", "created_at", "id"),
        Index("tasks_by_status_and_update", "project_id", "status", "updated_at", "id"),
        Index("tasks_by_status_and_due", "project_id", "status", "due", "id"),
        Index("tasks_by_status_and_priority", "project_id", "status", "priority", "id"),
        Index("tasks_by_assignee", "project_id", "assignee_id", "created_at", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(String(300))
    description: Mapped[str] = mapped_column(Text, default="")
    status: Mapped[str] = mapped_column(String(16), default=Status.TODO)
    priority: Mapped[Priority] = mapped_column(PriorityRank, default=Priority.NONE)
    assignee_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    due: Mapped[date | None]
    labels: Mapped[str] = mapped_column(Text, default="")
    version: Mapped[int] = mapped_column(default=1)
    created_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)


class TaskLabel(Base):
    """A label of a task."""

    __tablename__ = "task_labels"
    __table_args__ = (Index("task_labels_by_name", "name", "task_id"), {"sqlite_with_rowid": False})

    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(50), primary_key=True)


class ChecklistItem(Base):
    """One step of a task."""

    __tablename__ = "checklist_items"
    __table_args__ = (Index("checklist_items_by_task", "task_id", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(String(300))
    done: Mapped[bool] = mapped_column(default=False)


class TaskComment(Base):
    """What somebody said about a task, in Markdown."""

    __tablename__ = "task_comments"
    __table_args__ = (Index("task_comments_by_task", "task_id", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    edited_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class TaskActivity(Base):
    """One change of a task: who, when, of what, from and to. It is only ever added to."""

    __tablename__ = "task_activity"
    __table_args__ = (Index("task_activity_by_task", "task_id", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    field: Mapped[str] = mapped_column(String(32))
    old: Mapped[str | None] = mapped_column(Text)
    new: Mapped[str | None] = mapped_column(Text)


class SavedFilter(Base):
    """A filter of a project's list that a person gave a name; `filter` holds what was chosen, see `chosen`.

    One that was removed stays for a day, in which it can be restored.
    """

    __tablename__ = "saved_filters"
    __table_args__ = (
        Index(
            "saved_filters_by_name",
            "project_id",
            "user_id",
            "name",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(60))
    filter: Mapped[dict[str, str]] = mapped_column(JSON)
    shared: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    deleted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class DefaultFilter(Base):
    """The filter with which a person's list of a project begins, their own or one that is shared."""

    __tablename__ = "default_filters"

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    filter_id: Mapped[int] = mapped_column(ForeignKey("saved_filters.id", ondelete="CASCADE"), index=True)


search.attach(Base.metadata.tables["tasks"])
