"""Which tasks: one set of filters for lists, exports and reports.

Filters of different names must all hold; of the values of one filter one must, but labels must all be there.
`…_after` is from that moment or day on, `…_before` earlier than it, so ranges that meet leave no gap.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.http.fields import Id, Input, Text
from tailrace.tasks import search
from tailrace.tasks.fields import Date, Label, Moment, PersonRef
from tailrace.tasks.models import Priority, Status, Task, TaskLabel

T = TypeVar("T")


def _several(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


# A report's filters come as JSON, where a person writes one value as itself.
Several = Annotated[list[T], BeforeValidator(_several), Field(max_length=100)]


class TaskFilters(Input):
    """Which tasks."""

    project: Several[Id] = Field(default_factory=list, description="id of a project")
    status: Several[Status] = Field(default_factory=list)
    priority: Several[Priority] = Field(default_factory=list)
    assignee: Several[PersonRef] = Field(default_factory=list, description="`me`, `none`, an id or an e-mail address")
    created_by: Several[PersonRef] = Field(default_factory=list, description="`me`, an id or an e-mail address")
    label: Several[Label] = Field(default_factory=list, description="every label given must be there")
    due: Literal["set", "none"] | None = Field(default=None, description="whether there is a due date")
    due_after: Date | None = Field(default=None, description="due on this day or later")
    due_before: Date | None = Field(default=None, description="due before this day")
    created_after: Moment | None = None
    created_before: Moment | None = None
    updated_after: Moment | None = None
    updated_before: Moment | None = None
    q: Annotated[Text, Field(max_length=500)] | None = Field(
        default=None, description="words, or beginnings of words, of title and description"
    )


class TaskListQuery(TaskFilters):
    """Which tasks, in which order, and which page of them."""

    sort: Literal[
        "created", "-created", "updated", "-updated", "due", "-due", "priority", "-priority", "title", "-title"
    ] = Field(default="-created", description="with a minus from last to first; tasks without due date come last")
    after: Annotated[Text, Field(max_length=2000)] | None = Field(
        default=None, description="`next` of the page before, with the same sort"
    )
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class TaskExportQuery(TaskFilters):
    """Which tasks, and how the file is written."""

    guard: bool = Field(default=False, description="keep spreadsheets from running cells that begin like a formula")


def conditions(session: Session, principal: Principal, filters: TaskFilters) -> list[ColumnElement[bool]]:
    """Return the filters as conditions on `tasks`, but for `project`, which the caller joins with what may be seen."""
    found = [*_choices(principal, filters), *_ranges(filters)]
    found += [Task.id.in_(select(TaskLabel.task_id).where(TaskLabel.name == label)) for label in filters.label]
    if filters.q is not None and filters.q.strip():
        tasks = Task.metadata.tables["tasks"]
        found.append(search.matches(tasks, filters.q, dialect=session.get_bind().dialect.name))
    return found


def _choices(principal: Principal, filters: TaskFilters) -> Iterator[ColumnElement[bool]]:
    if filters.status:
        yield Task.status.in_(filters.status)
    if filters.priority:
        yield Task.priority.in_(filters.priority)
    if filters.assignee:
        yield _is_one_of(Task.assignee_id, principal, filters.assignee)
    if filters.created_by:
        yield _is_one_of(Task.created_by_id, principal, filters.created_by)


def _is_one_of(column: Any, principal: Principal, people: list[int | str]) -> ColumnElement[bool]:
    table = accounts.people_table()
    ids = [
        principal.user_id if person == "me" else person
        for person in people
        if isinstance(person, int) or person == "me"
    ]
    emails = [person for person in people if isinstance(person, str) and person not in {"me", "none"}]
    found: list[ColumnElement[bool]] = []
    if ids:
        found.append(column == ids[0] if len(ids) == 1 else column.in_(ids))
    if len(emails) == 1:
        found.append(column == select(table.c.id).where(table.c.email == emails[0]).scalar_subquery())
    elif emails:
        found.append(column.in_(select(table.c.id).where(table.c.email.in_(emails))))
    if "none" in people:
        found.append(column.is_(None))
    return or_(*found)


def _ranges(filters: TaskFilters) -> Iterator[ColumnElement[bool]]:
    if filters.due is not None:
        yield Task.due.is_(None) if filters.due == "none" else Task.due.is_not(None)
    for column, after, before in (
        (Task.due, filters.due_after, filters.due_before),
        (Task.created_at, filters.created_after, filters.created_before),
        (Task.updated_at, filters.updated_after, filters.updated_before),
    ):
        if after is not None:
            yield column >= after
        if before is not None:
            yield column < before
