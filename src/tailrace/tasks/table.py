"""All tasks that somebody may see, as one table for exports and reports of any size."""

from sqlalchemy import ColumnElement, FromClause, Integer, case, false, func, select, type_coerce
from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.projects import service as projects
from tailrace.streams import TableQuery
from tailrace.tasks.filters import TaskFilters, conditions
from tailrace.tasks.models import Priority, Task
from tailrace.tasks.reading import selected_projects


def task_table(session: Session, principal: Principal, filters: TaskFilters) -> TableQuery:
    """Return the query for every task that the caller may see and the filters want, in order of project and id.

    It has one part for each project, so the first rows come at once whatever the caller sees. What they may see is
    decided now: a project joined while the rows are read is not among them.
    """
    people, names = accounts.people_table(), projects.projects_table()
    # Not an outer join: after one, every column might be NULL, and the encoder would have to look.
    assignee = select(people.c.email).where(people.c.id == Task.assignee_id).scalar_subquery()
    query = (
        select(
            Task.id.label("id"),
            names.c.name.label("project"),
            Task.title.label("title"),
            Task.status.label("status"),
            _priority_name().label("priority"),
            assignee.label("assignee"),
            Task.due.label("due"),
            Task.labels.label("labels"),
            Task.created_at.label("created"),
            Task.updated_at.label("updated"),
        )
        .join(names, names.c.id == Task.project_id)
        .where(*conditions(session, principal, filters))
    )
    parts = tuple(Task.project_id == project_id for project_id in selected_projects(session, principal, filters))
    # No parts would mean one part without a condition: everything.
    return TableQuery(query, Task.metadata.tables["tasks"].c.id, parts=parts or (false(),))


def count_tasks(session: Session, principal: Principal, filters: TaskFilters) -> int:
    """Return how many tasks the table has at this moment."""
    project_ids = selected_projects(session, principal, filters)
    wanted = (Task.project_id.in_(project_ids), *conditions(session, principal, filters))
    return session.scalar(select(func.count()).select_from(Task).where(*wanted)) or 0


def titles_table() -> FromClause:
    """Return the tasks as a table of id and title, for another feature's query to join."""
    return select(Task.id, Task.title).subquery("task_titles")


def _priority_name() -> ColumnElement[str]:
    rank = type_coerce(Task.priority, Integer)
    # With an `else`, the encoder sees that it is never NULL, and need not look in each row.
    return case({priority.rank: priority.value for priority in Priority}, value=rank, else_="")
