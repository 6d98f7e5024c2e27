"""What hangs on a task: comments and the checklist."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.database import utcnow
from tailrace.errors import Conflict, Forbidden, NotFound
from tailrace.projects import service as projects
from tailrace.tasks.access import task_to_change, task_to_read
from tailrace.tasks.activity import note, tell, touch
from tailrace.tasks.concern import tell_commented, tell_mentioned
from tailrace.tasks.models import ChecklistItem, Task, TaskComment
from tailrace.tasks.schemas import ChecklistChanges, ChecklistItemView, CommentPage, CommentView

ITEMS_MAX = 200
_EXCERPT = 200


def list_comments(session: Session, principal: Principal, task_id: int, *, after: int, limit: int) -> CommentPage:
    """Return up to `limit` comments with an id above `after`, oldest first; raises NotFound."""
    task_to_read(session, principal, task_id)
    query = select(TaskComment).where(TaskComment.task_id == task_id, TaskComment.id > after)
    rows = session.scalars(query.order_by(TaskComment.id).limit(limit + 1)).all()
    items = _comment_views(session, list(rows[:limit]))
    return CommentPage(items=items, next=items[-1].id if len(rows) > limit else None)


def add_comment(session: Session, principal: Principal, task_id: int, *, body: str) -> CommentView:
    """Say something about a task; raises NotFound or Forbidden."""
    task, _ = task_to_change(session, principal, task_id)
    comment = TaskComment(task_id=task_id, author_id=principal.user_id, body=body)
    session.add(comment)
    _record(session, principal, task, "comment", old=None, new=body)
    session.flush()
    tell(session, principal, task, "comment.added", comment=comment.id)
    tell_commented(session, principal, task, body)
    return _comment_views(session, [comment])[0]


def edit_comment(session: Session, principal: Principal, task_id: int, comment_id: int, *, body: str) -> CommentView:
    """Change what one said oneself; raises NotFound or Forbidden."""
    task, _ = task_to_change(session, principal, task_id)
    comment = _comment(session, task_id, comment_id)
    if comment.author_id != principal.user_id:
        raise Forbidden("Only its author can change a comment.")
    if comment.body != body:
        _record(session, principal, task, "comment", old=comment.body, new=body)
        before = comment.body
        comment.body, comment.edited_at = body, utcnow()
        session.flush()
        tell(session, principal, task, "comment.changed", comment=comment.id)
        tell_mentioned(session, principal, task, body, before=before)
    return _comment_views(session, [comment])[0]


def delete_comment(session: Session, principal: Principal, task_id: int, comment_id: int) -> None:
    """Remove a comment, which its author and the managers may; raises NotFound or Forbidden."""
    task, role = task_to_change(session, principal, task_id)
    comment = _comment(session, task_id, comment_id)
    if role is not projects.Role.MANAGER and comment.author_id != principal.user_id:
        raise Forbidden("Only its author or a manager of the project can remove a comment.")
    _record(session, principal, task, "comment", old=comment.body, new=None)
    session.delete(comment)
    tell(session, principal, task, "comment.removed", comment=comment_id)


def list_items(session: Session, principal: Principal, task_id: int) -> list[ChecklistItemView]:
    """Return the steps of a task in the order they came; raises NotFound."""
    task_to_read(session, principal, task_id)
    rows = session.scalars(select(ChecklistItem).where(ChecklistItem.task_id == task_id).order_by(ChecklistItem.id))
    return [ChecklistItemView.model_validate(row) for row in rows]


def add_item(session: Session, principal: Principal, task_id: int, *, title: str, done: bool) -> ChecklistItemView:
    """Add a step to a task; raises NotFound, Forbidden, or Conflict if it has 200 already."""
    task, _ = task_to_change(session, principal, task_id)
    count = session.scalar(select(func.count()).where(ChecklistItem.task_id == task_id)) or 0
    if count >= ITEMS_MAX:
        raise Conflict(f"A task can have {ITEMS_MAX} steps at most; make some of them a task of their own.")
    item = ChecklistItem(task_id=task_id, title=title, done=done)
    session.add(item)
    session.flush()
    _record(session, principal, task, "checklist", old=None, new=_step(item))
    tell(session, principal, task, "checklist.changed", item=item.id)
    return ChecklistItemView.model_validate(item)


def change_item(
    session: Session, principal: Principal, task_id: int, item_id: int, changes: ChecklistChanges
) -> ChecklistItemView:
    """Rename a step, or mark it as done or not; raises NotFound or Forbidden."""
    task, _ = task_to_change(session, principal, task_id)
    item = _item(session, task_id, item_id)
    old = _step(item)
    item.title = item.title if changes.title is None else changes.title
    item.done = item.done if changes.done is None else changes.done
    if _step(item) != old:
        _record(session, principal, task, "checklist", old=old, new=_step(item))
        session.flush()
        tell(session, principal, task, "checklist.changed", item=item.id)
    return ChecklistItemView.model_validate(item)


def delete_item(session: Session, principal: Principal, task_id: int, item_id: int) -> None:
    """Remove a step; raises NotFound or Forbidden."""
    task, _ = task_to_change(session, principal, task_id)
    item = _item(session, task_id, item_id)
    _record(session, principal, task, "checklist", old=_step(item), new=None)
    session.delete(item)
    tell(session, principal, task, "checklist.changed", item=item_id)


def _record(
    session: Session, principal: Principal, task: Task, field: str, *, old: str | None, new: str | None
) -> None:
    note(session, principal, task, field, old=_excerpt(old), new=_excerpt(new))
    touch(task)


def _excerpt(text: str | None) -> str | None:
    return text if text is None or len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"


def _step(item: ChecklistItem) -> str:
    return f"[{'x' if item.done else ' '}] {item.title}"


def _comment(session: Session, task_id: int, comment_id: int) -> TaskComment:
    comment = session.get(TaskComment, comment_id)
    if comment is None or comment.task_id != task_id:
        raise NotFound("This task has no such comment.")
    return comment


def _item(session: Session, task_id: int, item_id: int) -> ChecklistItem:
    item = session.get(ChecklistItem, item_id)
    if item is None or item.task_id != task_id:
        raise NotFound("This task has no such step.")
    return item


def _comment_views(session: Session, comments: list[TaskComment]) -> list[CommentView]:
    people = accounts.find_people(session, {comment.author_id for comment in comments})
    return [
        CommentView(
            id=comment.id,
            author=people[comment.author_id],
            body=comment.body,
            created_at=comment.created_at,
            edited_at=comment.edited_at,
        )
        for comment in comments
    ]
