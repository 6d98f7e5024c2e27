"""What was said about a task and what changed, together in the order of time."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.accounts.schemas import Person
from tailrace.tasks.access import task_to_read
from tailrace.tasks.models import TaskActivity, TaskComment
from tailrace.tasks.schemas import ActivityView, CommentView


@dataclass(frozen=True, slots=True)
class Timeline:
    """The latest entries of a task, oldest first; `more` tells that there are older ones."""

    entries: list[CommentView | ActivityView]
    more: bool


def read_timeline(session: Session, principal: Principal, task_id: int, *, limit: int) -> Timeline:
    """Return the latest `limit` comments and changes of a task; raises NotFound.

    That a comment was added is told by the comment itself, not by a change beside it.
    """
    task_to_read(session, principal, task_id)
    comments = select(TaskComment).where(TaskComment.task_id == task_id).order_by(TaskComment.id.desc())
    told = or_(TaskActivity.field != "comment", TaskActivity.old.is_not(None))
    changes = select(TaskActivity).where(TaskActivity.task_id == task_id, told).order_by(TaskActivity.id.desc())
    said = session.scalars(comments.limit(limit + 1)).all()
    done = session.scalars(changes.limit(limit + 1)).all()
    people = accounts.find_people(session, {row.author_id for row in said} | {row.user_id for row in done})
    entries = [_comment(row, people) for row in said] + [_change(row, people) for row in done]
    entries.sort(key=_moment)
    return Timeline(entries[-limit:], more=len(entries) > limit)


def _moment(entry: CommentView | ActivityView) -> datetime:
    return entry.created_at if isinstance(entry, CommentView) else entry.at


def _comment(row: TaskComment, people: dict[int, Person]) -> CommentView | ActivityView:
    return CommentView(
        id=row.id, author=people[row.author_id], body=row.body, created_at=row.created_at, edited_at=row.edited_at
    )


def _change(row: TaskActivity, people: dict[int, Person]) -> CommentView | ActivityView:
    return ActivityView(id=row.id, user=people[row.user_id], at=row.at, field=row.field, old=row.old, new=row.new)
