"""The record of every change of a task, and the news of it."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.database import publish, utcnow
from tailrace.tasks.access import task_to_read
from tailrace.tasks.models import Task, TaskActivity
from tailrace.tasks.schemas import ActivityPage, ActivityView


def note(session: Session, principal: Principal, task: Task, field: str, *, old: str | None, new: str | None) -> None:
    """Add an entry: the caller changed `field` of the task from `old` to `new`, now."""
    session.add(TaskActivity(task_id=task.id, user_id=principal.user_id, field=field, old=old, new=new))


def note_attachments(
    session: Session,
    principal: Principal,
    task_id: int,
    field: str,
    *,
    added: Iterable[str] = (),
    removed: Iterable[str] = (),
) -> None:
    """Note by their names what the caller added or removed that another feature hangs on a task.

    The transaction must hold the task already (`hold_task`).
    """
    changes = [(None, name) for name in added] + [(name, None) for name in removed]
    session.add_all(
        TaskActivity(task_id=task_id, user_id=principal.user_id, field=field, old=old, new=new) for old, new in changes
    )
    session.execute(update(Task).where(Task.id == task_id).values(updated_at=utcnow()))


def touch(task: Task) -> None:
    """Let the task be updated now, though none of its own fields changed."""
    task.updated_at = utcnow()


def tell(session: Session, principal: Principal, task: Task, name: str, **data: Any) -> None:
    """Publish that something happened to the task on its project's channel."""
    publish(session, f"project:{task.project_id}", name, {"task": task.id, "by": principal.user_id, **data})


def list_activity(session: Session, principal: Principal, task_id: int, *, after: int, limit: int) -> ActivityPage:
    """Return up to `limit` changes of a task with an id above `after`, oldest first; raises NotFound."""
    task_to_read(session, principal, task_id)
    query = select(TaskActivity).where(TaskActivity.task_id == task_id, TaskActivity.id > after)
    rows = session.scalars(query.order_by(TaskActivity.id).limit(limit + 1)).all()
    people = accounts.find_people(session, {row.user_id for row in rows})
    items = [
        ActivityView(id=row.id, user=people[row.user_id], at=row.at, field=row.field, old=row.old, new=row.new)
        for row in rows[:limit]
    ]
    return ActivityPage(items=items, next=items[-1].id if len(rows) > limit else None)
