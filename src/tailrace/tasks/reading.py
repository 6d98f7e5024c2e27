"""Showing tasks: one, or a page of those that the caller may see."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.projects import service as projects
from tailrace.tasks.access import task_to_read
from tailrace.tasks.filters import TaskFilters, TaskListQuery, conditions
from tailrace.tasks.listing import page_of_ids
from tailrace.tasks.models import LABEL_SEPARATOR, ChecklistItem, Task
from tailrace.tasks.paging import Cursor, Order
from tailrace.tasks.schemas import ChecklistItemView, TaskPage, TaskSummary, TaskView


def get_task(session: Session, principal: Principal, task_id: int) -> TaskView:
    """Return a task; raises NotFound."""
    return view(session, task_to_read(session, principal, task_id))


def list_tasks(session: Session, principal: Principal, query: TaskListQuery) -> TaskPage:
    """Return a page of the tasks that the caller may see; raises Invalid for a cursor that no page gave."""
    order = Order.named(query.sort)
    after = None if query.after is None else Cursor.decode(query.after, order)
    found = page_of_ids(
        session,
        project_ids=selected_projects(session, principal, query),
        statuses=query.status,
        # A search finds few, and would be made anew for every project.
        together=bool(query.q),
        conditions=conditions(session, principal, query.model_copy(update={"status": []})),
        order=order,
        after=after,
        limit=query.limit + 1,
    )
    shown = found[: query.limit]
    more = Cursor(shown[-1].value, shown[-1].id).encode(order) if len(found) > query.limit else None
    return TaskPage(items=_summaries(session, [place.id for place in shown]), next=more)


def list_project_tasks(session: Session, principal: Principal, project_id: int, query: TaskListQuery) -> TaskPage:
    """Return a page of the tasks of one project; raises NotFound if the caller may not see it."""
    projects.require_role(session, principal, project_id, projects.Role.VIEWER)
    return list_tasks(session, principal, query.model_copy(update={"project": [project_id]}))


def selected_projects(session: Session, principal: Principal, filters: TaskFilters) -> list[int]:
    """Return the projects that the caller may see and the filters want; an invisible one is as one without tasks."""
    visible = projects.visible_project_ids(session, principal)
    return [project_id for project_id in visible if not filters.project or project_id in filters.project]


def view(session: Session, task: Task) -> TaskView:
    """Return a task as it is shown by itself."""
    items = session.scalars(select(ChecklistItem).where(ChecklistItem.task_id == task.id).order_by(ChecklistItem.id))
    checklist = [ChecklistItemView.model_validate(item) for item in items]
    summary = _summarise(session, [task])[0]
    return TaskView(**dict(summary), description=task.description, checklist=checklist)


def labels_of(task: Task | Row[Any]) -> list[str]:
    """Return the labels of a task, sorted."""
    return task.labels.split(LABEL_SEPARATOR) if task.labels else []


def _summaries(session: Session, ids: Sequence[int]) -> list[TaskSummary]:
    # Without their texts, and without an object of the session for each: hundreds come at once.
    rows = {row.id: row for row in session.execute(select(*_COLUMNS).where(Task.id.in_(ids)))}
    return _summarise(session, [rows[task_id] for task_id in ids])


def _summarise(session: Session, tasks: Sequence[Task | Row[Any]]) -> list[TaskSummary]:
    ids = {task.created_by_id for task in tasks} | {task.assignee_id for task in tasks if task.assignee_id is not None}
    people = accounts.find_people(session, ids)
    names = projects.find_projects(session, {task.project_id for task in tasks})
    return [
        TaskSummary.model_validate(
            {
                **{field: getattr(task, field) for field in _COPIED},
                "project": names[task.project_id],
                "labels": labels_of(task),
                "assignee": None if task.assignee_id is None else people[task.assignee_id],
                "created_by": people[task.created_by_id],
            }
        )
        for task in tasks
    ]


_COPIED = TaskSummary.model_fields.keys() - {"project", "labels", "assignee", "created_by"}
_COLUMNS = [
    *(getattr(Task, field) for field in sorted(_COPIED)),
    Task.project_id,
    Task.labels,
    Task.assignee_id,
    Task.created_by_id,
]
