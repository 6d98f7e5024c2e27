"""Tasks: creating, changing and deleting them. Reading is in `reading`, exports in `table`, talk in `discussion`."""

from collections.abc import Callable
from datetime import date

from sqlalchemy import delete, insert, literal, select, update
from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.database import UTCDateTime, publish, utcnow
from tailrace.errors import Conflict, Forbidden, NotFound
from tailrace.notifications import inbox
from tailrace.projects import service as projects
from tailrace.tasks.access import check_read, check_work, hold_task, task_to_change
from tailrace.tasks.activity import list_activity, note, note_attachments, tell
from tailrace.tasks.concern import tell_changed, tell_created
from tailrace.tasks.discussion import (
    add_comment,
    add_item,
    change_item,
    delete_comment,
    delete_item,
    edit_comment,
    list_comments,
    list_items,
)
from tailrace.tasks.models import LABEL_SEPARATOR, Priority, Status, Task, TaskActivity, TaskLabel
from tailrace.tasks.reading import get_task, labels_of, list_project_tasks, list_tasks, view
from tailrace.tasks.schemas import TaskChanges, TaskInput, TaskView
from tailrace.tasks.table import count_tasks, task_table, titles_table
from tailrace.tasks.timeline import Timeline, read_timeline

__all__ = [
    "Priority",
    "Status",
    "Timeline",
    "add_comment",
    "add_item",
    "change_item",
    "check_read",
    "check_work",
    "count_tasks",
    "create_task",
    "delete_comment",
    "delete_item",
    "delete_task",
    "edit_comment",
    "get_task",
    "hold_task",
    "list_activity",
    "list_comments",
    "list_items",
    "list_project_tasks",
    "list_tasks",
    "note_attachments",
    "read_timeline",
    "task_table",
    "titles_table",
    "update_task",
    "when_task_goes",
]

TaskGoes = Callable[[Session, Principal, int], None]
_going: list[TaskGoes] = []


def when_task_goes(function: TaskGoes) -> TaskGoes:
    """Register `function(session, principal, task_id)`, called in the transaction that deletes a task, before it."""
    _going.append(function)
    return function


def create_task(session: Session, principal: Principal, project_id: int, new: TaskInput) -> TaskView:
    """Create a task in a project; raises NotFound or Forbidden, and Invalid for an assignee who is no member."""
    projects.require_work(session, principal, project_id)
    now = utcnow()
    task = Task(
        project_id=project_id,
        assignee_id=_assignee_id(session, principal, project_id, new.assignee),
        created_by_id=principal.user_id,
        created_at=now,
        updated_at=now,
        **new.model_dump(exclude={"assignee", "labels"}),
    )
    session.add(task)
    session.flush()
    _set_labels(session, task, new.labels)
    note(session, principal, task, "created", old=None, new=task.title)
    session.flush()
    tell(session, principal, task, "task.created", title=task.title)
    tell_created(session, principal, task)
    return view(session, task)


def update_task(session: Session, principal: Principal, task_id: int, changes: TaskChanges) -> TaskView:
    """Change what `changes` names and note each change; raises NotFound, Forbidden, Invalid as `create_task` does.

    Raises Conflict if the task is no longer at the version that the caller saw.
    """
    task, _ = task_to_change(session, principal, task_id)
    if changes.version not in {None, task.version}:
        raise Conflict(
            f"Somebody changed this task meanwhile: it is at version {task.version}. Look at it again first."
        )
    description = task.description
    fields = sorted(changes.model_fields_set - {"version"})
    changed = [field for field in fields if _change(session, principal, task, field, changes)]
    if changed:
        task.version += 1
        task.updated_at = utcnow()
        session.flush()
        tell(session, principal, task, "task.updated", fields=changed, version=task.version)
        tell_changed(session, principal, task, changed, description=description)
    return view(session, task)


def delete_task(session: Session, principal: Principal, task_id: int) -> None:
    """Delete a task with all that hangs on it, which its creator and the managers may; raises NotFound, Forbidden."""
    task, role = task_to_change(session, principal, task_id)
    if role is not projects.Role.MANAGER and task.created_by_id != principal.user_id:
        raise Forbidden("Only its creator or a manager of the project can delete a task; you could cancel it.")
    for function in _going:
        function(session, principal, task_id)
    tell(session, principal, task, "task.deleted", title=task.title)
    inbox.forget(session, task_id=task_id)
    session.execute(delete(Task).where(Task.id == task_id))


@projects.when_member_leaves
def unassign(session: Session, principal: Principal, project_id: int, user_id: int) -> None:
    """Take a person's tasks in a project away from them, however many they are."""
    theirs = (Task.project_id == project_id, Task.assignee_id == user_id)
    if session.scalar(select(Task.id).where(*theirs).limit(1)) is None:
        return
    email, now = accounts.get_user(session, user_id).email, utcnow()
    values = (Task.id, literal(principal.user_id), literal(now, UTCDateTime), literal("assignee"), literal(email))
    entries = insert(TaskActivity).from_select(
        ["task_id", "user_id", "at", "field", "old"], select(*values).where(*theirs)
    )
    session.execute(entries)
    free = update(Task).where(*theirs).values(assignee_id=None, version=Task.version + 1, updated_at=now)
    session.execute(free.execution_options(synchronize_session=False))
    publish(session, f"project:{project_id}", "tasks.unassigned", {"user": user_id, "by": principal.user_id})


def _change(session: Session, principal: Principal, task: Task, field: str, changes: TaskChanges) -> bool:
    """Change one field and note it; return whether it was different."""
    if field == "labels":
        return _relabel(session, principal, task, changes.labels or [])
    if field == "assignee":
        user_id = _assignee_id(session, principal, task.project_id, changes.assignee)
        return _reassign(session, principal, task, user_id)
    old, new = getattr(task, field), getattr(changes, field)
    if old == new:
        return False
    setattr(task, field, new)
    note(session, principal, task, field, old=_text(old), new=_text(new))
    return True


def _reassign(session: Session, principal: Principal, task: Task, user_id: int | None) -> bool:
    """Give the task to a person, or to nobody, and note it; return whether it was somebody else's."""
    if user_id == task.assignee_id:
        return False
    people = accounts.find_people(session, {person for person in (user_id, task.assignee_id) if person is not None})
    old, new = (people[person].email if person else None for person in (task.assignee_id, user_id))
    task.assignee_id = user_id
    note(session, principal, task, "assignee", old=old, new=new)
    return True


def _relabel(session: Session, principal: Principal, task: Task, labels: list[str]) -> bool:
    old = task.labels
    if sorted(set(labels)) == labels_of(task):
        return False
    _set_labels(session, task, labels)
    note(session, principal, task, "labels", old=old or None, new=task.labels or None)
    return True


def _set_labels(session: Session, task: Task, labels: list[str]) -> None:
    names = sorted(set(labels))
    session.execute(delete(TaskLabel).where(TaskLabel.task_id == task.id))
    session.add_all(TaskLabel(task_id=task.id, name=name) for name in names)
    task.labels = LABEL_SEPARATOR.join(names)


def _assignee_id(session: Session, principal: Principal, project_id: int, person: int | str | None) -> int | None:
    if person is None or person == "none":
        return None
    try:
        user_id = accounts.find_user_by_email(session, person).id if isinstance(person, str) else person
    except NotFound:
        user_id = 0
    user_id = principal.user_id if person == "me" else user_id
    projects.require_member(session, project_id, user_id)
    return user_id


def _text(value: str | date | None) -> str | None:
    return None if value is None else str(value)
