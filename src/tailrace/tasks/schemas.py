"""What requests about tasks carry, and what is answered; filters are in `filters`."""

from datetime import date, datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from tailrace.accounts.schemas import Person
from tailrace.http.fields import Input, Line, Text, View
from tailrace.projects.schemas import ProjectRef
from tailrace.tasks.chosen import TaskFilter
from tailrace.tasks.fields import Date, Label, PersonRef
from tailrace.tasks.filters import TaskExportQuery, TaskFilters, TaskListQuery
from tailrace.tasks.models import Priority, Status

__all__ = [
    "ActivityPage",
    "ActivityView",
    "Checklist",
    "ChecklistChanges",
    "ChecklistInput",
    "ChecklistItemView",
    "CommentInput",
    "CommentPage",
    "CommentView",
    "PageQuery",
    "SavedFilterChanges",
    "SavedFilterInput",
    "SavedFilterList",
    "SavedFilterView",
    "TaskChanges",
    "TaskExportQuery",
    "TaskFilters",
    "TaskInput",
    "TaskListQuery",
    "TaskPage",
    "TaskSummary",
    "TaskView",
]

Title = Annotated[Line, Field(min_length=1, max_length=300)]
Markdown = Annotated[Text, Field(max_length=50_000, description="Markdown; `@` and a name tell up to 50 members")]
FilterName = Annotated[Line, Field(min_length=1, max_length=60)]
Labels = Annotated[list[Label], Field(max_length=20)]


class TaskInput(Input):
    """A new task."""

    title: Title
    description: Markdown = ""
    status: Status = Status.TODO
    priority: Priority = Priority.NONE
    assignee: PersonRef | None = Field(default=None, description="`me`, an id or an e-mail address of a member")
    due: Date | None = None
    labels: Labels = Field(default_factory=list)


class TaskChanges(Input):
    """What may change of a task. What is left out stays; `null` takes the assignee or the due date away."""

    title: Title | None = None
    description: Markdown | None = None
    status: Status | None = None
    priority: Priority | None = None
    assignee: PersonRef | None = None
    due: Date | None = None
    labels: Labels | None = None
    version: int | None = Field(
        default=None, ge=1, le=2**31 - 1, description="the version you saw: if the task is newer, nothing is changed"
    )

    @model_validator(mode="after")
    def _null_only_where_it_means_something(self) -> Self:
        for field in self.model_fields_set - {"assignee", "due", "version"}:
            if getattr(self, field) is None:
                raise ValueError(f"{field} cannot be null; leave it out to keep it")
        return self


class TaskSummary(View):
    """A task as it stands in a list."""

    id: int
    project: ProjectRef
    title: str
    status: Status
    priority: Priority
    assignee: Person | None
    due: date | None
    labels: list[str]
    version: int
    created_by: Person
    created_at: datetime
    updated_at: datetime


class ChecklistItemView(View):
    """One step of a task."""

    id: int
    title: str
    done: bool


class TaskView(TaskSummary):
    """A task with its text and its steps."""

    description: str
    checklist: list[ChecklistItemView]


class TaskPage(View):
    """A page of tasks; `next` goes into `after` of the next request."""

    items: list[TaskSummary]
    next: str | None


class PageQuery(Input):
    """Which page of what hangs on a task."""

    after: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class CommentInput(Input):
    """What somebody says, in Markdown."""

    body: Annotated[
        Text, Field(min_length=1, max_length=20_000, description="Markdown; `@` and a name tell up to 50 members")
    ]


class CommentView(View):
    """What somebody said."""

    id: int
    author: Person
    body: str
    created_at: datetime
    edited_at: datetime | None


class CommentPage(View):
    """A page of comments, oldest first; `next` goes into `after` of the next request."""

    items: list[CommentView]
    next: int | None


class ChecklistInput(Input):
    """A new step."""

    title: Title
    done: bool = False


class ChecklistChanges(Input):
    """What may change of a step."""

    title: Title | None = None
    done: bool | None = None


class Checklist(View):
    """All steps of a task."""

    items: list[ChecklistItemView]


class ActivityView(View):
    """One change: `field` went from `old` to `new`."""

    id: int
    user: Person
    at: datetime
    field: str
    old: str | None
    new: str | None


class ActivityPage(View):
    """A page of changes, oldest first; `next` goes into `after` of the next request."""

    items: list[ActivityView]
    next: int | None


class SavedFilterInput(Input):
    """A filter to keep under a name."""

    name: FilterName
    filter: TaskFilter
    shared: bool = Field(default=False, description="whether all members of the project see it")
    default: bool = Field(default=False, description="whether your list of the project begins with it")


class SavedFilterChanges(Input):
    """What may change of a saved filter. What is left out stays; `default` is yours for shared ones of others too."""

    name: FilterName | None = None
    filter: TaskFilter | None = None
    shared: bool | None = None
    default: bool | None = None


class SavedFilterView(View):
    """A saved filter: `filter` is what was chosen, and `fault` a sentence if that is no longer possible."""

    id: int
    project: ProjectRef
    name: str
    filter: dict[str, str]
    owner: Person
    shared: bool
    default: bool
    fault: str | None
    created_at: datetime


class SavedFilterList(View):
    """Your filters of a project and those that are shared, by name."""

    items: list[SavedFilterView]
