"""Whom a change of a task concerns, and telling them: their inbox and their mails are in `tailrace.notifications`."""

import re
from collections import Counter
from collections.abc import Collection, Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from tailrace.accounts.principal import Principal
from tailrace.notifications import inbox
from tailrace.notifications.inbox import Kind, News
from tailrace.projects import service as projects
from tailrace.tasks.models import Task, TaskComment
from tailrace.tasks.quick import Roll

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
_MENTION = re.compile(r"(?<![\w@/.])@(\w\S*)")
# Looked up while nobody else can write.
MENTIONS_MAX = 50
_AFTER_A_NAME = ".,;:!?)]}>*_~\"'”’"


def tell_created(session: Session, principal: Principal, task: Task) -> None:
    """Tell the assignee of a new task, and whom its description mentions."""
    assigned = _people(task.assignee_id)
    _tell(session, principal, task, Kind.ASSIGNED, assigned)
    _tell(session, principal, task, Kind.MENTION, _mentioned(session, principal, task, task.description) - assigned)


def tell_changed(
    session: Session, principal: Principal, task: Task, changed: Collection[str], *, description: str
) -> None:
    """Tell whom it concerns that these fields changed; `description` is what it was before."""
    new = _people(task.assignee_id) if "assignee" in changed else set()
    _tell(session, principal, task, Kind.ASSIGNED, new)
    if "status" in changed:
        theirs = _people(task.assignee_id, task.created_by_id) - new
        _tell(session, principal, task, Kind.STATUS, theirs, detail=str(task.status))
    if "description" in changed:
        tell_mentioned(session, principal, task, task.description, before=description)


def tell_commented(session: Session, principal: Principal, task: Task, body: str) -> None:
    """Tell whom a new comment mentions, and else whoever is assigned to the task, created it or commented on it."""
    called = _mentioned(session, principal, task, body)
    _tell(session, principal, task, Kind.MENTION, called)
    spoke = session.scalars(select(TaskComment.author_id).where(TaskComment.task_id == task.id).distinct())
    _tell(session, principal, task, Kind.COMMENT, {*_people(task.assignee_id, task.created_by_id), *spoke} - called)


def tell_mentioned(session: Session, principal: Principal, task: Task, text: str, *, before: str) -> None:
    """Tell whom a text mentions now that it did not mention `before` it was edited."""
    _tell(session, principal, task, Kind.MENTION, _mentioned(session, principal, task, text, before))


def tell_inserted(session: Session, principal: Principal, project_id: int, assignees: Iterable[int]) -> None:
    """Tell people how many tasks of a project are theirs now; `assignees` names each once for every task."""
    counts = Counter(assignees)
    name = projects.find_projects(session, {project_id})[project_id].name
    for user_id in sorted(projects.hold_members(session, project_id, set(counts))):
        news = News(
            Kind.ASSIGNED,
            name,
            place=name,
            actor_id=principal.user_id,
            project_id=project_id,
            count=counts[user_id],
        )
        inbox.notify(session, [user_id], news)


def _mentioned(session: Session, principal: Principal, task: Task, text: str, before: str = "") -> set[int]:
    """Return the members of the project whom `text` mentions with `@`, as quick add does, and `before` did not.

    Of more different names than MENTIONS_MAX, the first count.
    """
    known = _names(before)
    names = [name for name in _names(text) if name not in known][:MENTIONS_MAX]
    if not names:
        return set()
    members = projects.list_members(session, principal, task.project_id)
    roll = Roll((member.user for member in members), principal.user_id)
    found = [roll.find(name) for name in names]
    return {person.id for person in found if person is not None}


def _names(text: str) -> dict[str, None]:
    """Return the names behind `@`, each once, in their order."""
    return dict.fromkeys(name.rstrip(_AFTER_A_NAME).lower() for name in _MENTION.findall(_CODE.sub(" ", text)))


def _people(*ids: int | None) -> set[int]:
    return {user_id for user_id in ids if user_id is not None}


def _tell(
    session: Session, principal: Principal, task: Task, kind: Kind, user_ids: Collection[int], *, detail: str = ""
) -> None:
    others = set(user_ids) - {principal.user_id}
    members = projects.hold_members(session, task.project_id, others) if others else set()
    if not members:
        return
    news = News(
        kind,
        task.title,
        detail=detail,
        place=projects.find_projects(session, {task.project_id})[task.project_id].name,
        actor_id=principal.user_id,
        project_id=task.project_id,
        task_id=task.id,
    )
    inbox.notify(session, members, news)
