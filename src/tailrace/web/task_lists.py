"""The tasks of a project, as a list and as a board; quick add, and changes of many at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import Query
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.responses import Response

from tailrace.accounts.schemas import Person
from tailrace.errors import Invalid
from tailrace.http.fields import Id
from tailrace.notifications import inbox
from tailrace.projects import service as projects
from tailrace.tasks import service as tasks
from tailrace.tasks.chosen import OPEN, TaskFilter
from tailrace.tasks.quick import QuickTask, parse
from tailrace.tasks.schemas import TaskChanges, TaskPage, TaskSummary
from tailrace.web import task_filters
from tailrace.web.forms import Form
from tailrace.web.routing import page_router
from tailrace.web.saved_filters import chips, list_saved
from tailrace.web.visit import Visit, Visiting
from tailrace.web.wording import PRIORITY_NAMES, STATUS_NAMES, plural

router = page_router()
_COLUMN_LIMIT = 100
_BULK_MAX = 500
_ID_MAX = 2**63 - 1
_Line = Annotated[str, Query(max_length=1000)]


@dataclass(frozen=True, slots=True)
class Column:
    """The tasks of one state on the board; `more` tells that not all are shown."""

    status: tasks.Status
    items: Sequence[TaskSummary]
    more: bool


@router.get("/web/projects/{project_id}")
def show_list(visit: Visiting, project_id: Id) -> Response:
    """Show the tasks as a list; htmx gets the list alone, and the address that means it.

    An address that says nothing leads on to the person's default filter.
    """
    chosen = _filter(visit)
    if visit.wants_part:
        with visit.read() as session:
            values = _chosen_list(session, visit, project_id, chosen)
            part = visit.part("tasks/list_chosen", **values, **_choices(session, visit, project_id))
        part.headers["HX-Push-Url"] = f"/web/projects/{project_id}{chosen.address()}"
        return part
    with visit.shell() as (session, shell):
        values = _chosen_list(session, visit, project_id, chosen)
        begin = next((each.begins for each in values["saved"] if each.begins), "")
        if begin and not visit.request.url.query:
            return visit.go(f"/web/projects/{project_id}{begin}")
        return visit.page("tasks/list", shell, **values, **_choices(session, visit, project_id))


@router.get("/web/projects/{project_id}/list")
def refresh_list(visit: Visiting, project_id: Id) -> Response:
    """Return the list alone, as it is now."""
    with visit.read() as session:
        return visit.part("tasks/list_part", **_list(session, visit, project_id, _filter(visit)))


@router.get("/web/projects/{project_id}/board")
def show_board(visit: Visiting, project_id: Id) -> Response:
    """Show the tasks as a board, a column for each state."""
    if visit.wants_part:
        with visit.read() as session:
            return visit.part("tasks/board_part", **_board(session, visit, project_id))
    with visit.shell() as (session, shell):
        return visit.page("tasks/board", shell, **_board(session, visit, project_id), text="", understood=None)


@router.get("/web/projects/{project_id}/quick")
def preview_quick(visit: Visiting, project_id: Id, text: _Line = "") -> Response:
    """Show what a line of quick add would make."""
    with visit.read() as session:
        understood = _understand(session, visit, project_id, text)
        return visit.part("tasks/quick_preview", understood=understood, today=visit.today(session))


@router.post("/web/projects/{project_id}/quick")
def quick_add(visit: Visiting, project_id: Id) -> Response:
    """Create the task that a line describes."""
    text = visit.form.text("text")
    with visit.write() as session:
        try:
            new = _understand(session, visit, project_id, text).as_input()
        except ValidationError as error:
            raise Invalid("Write what is to be done, in up to 300 characters.") from error
        task = tasks.create_task(session, visit.user, project_id, new)
    if not visit.wants_part:
        back = "/board" if visit.form.text("from") == "board" else ""
        return visit.go(f"/web/projects/{project_id}{back}", f"“{task.title}” is there.")
    with visit.read() as session:
        project = projects.get_project(session, visit.user, project_id)
    response = visit.part("tasks/quick", project=project, origin=visit.form.text("from"), focused=True)
    response.headers["HX-Trigger"] = "tasks-changed"
    return response


@router.post("/web/projects/{project_id}/bulk")
def change_many(visit: Visiting, project_id: Id) -> Response:
    """Change what was chosen of all marked tasks, all of them or none."""
    form = visit.form
    ids = _marked(form)
    values = {name: form.text(name) for name in ("status", "priority", "assignee", "due") if form.text(name)}
    label = form.text("label").strip()
    with visit.write() as session, inbox.gathered(session):
        # All of them are held, in one order, before anybody's place in the project is: see `projects.hold_members`.
        for task_id in ids:
            tasks.hold_task(session, visit.user, task_id)
        changed = sum(_change_one(session, visit, task_id, values, label) for task_id in ids)
    chosen = TaskFilter.of(parse_qsl(form.text("filter").removeprefix("?")))
    return visit.go(f"/web/projects/{project_id}{chosen.address()}", _told(ids, values, label, changed))


def _filter(visit: Visit) -> TaskFilter:
    return TaskFilter.of(visit.request.query_params.multi_items())


def _list(session: Session, visit: Visit, project_id: int, chosen: TaskFilter) -> dict[str, Any]:
    project = projects.get_project(session, visit.user, project_id)
    today = visit.today(session)
    found: TaskPage = tasks.list_tasks(session, visit.user, chosen.query(project_id, today))
    return {"project": project, "chosen": chosen, "page": found, "today": today, "works": project.open_to_work}


def _chosen_list(session: Session, visit: Visit, project_id: int, chosen: TaskFilter) -> dict[str, Any]:
    """Return the list with the saved filters above it."""
    values = _list(session, visit, project_id, chosen)
    saved = chips(list_saved(session, visit, project_id), chosen, values["project"])
    return {**values, **saved, "token": visit.forgery_token}


def _board(session: Session, visit: Visit, project_id: int) -> dict[str, Any]:
    project = projects.get_project(session, visit.user, project_id)
    today = visit.today(session)
    columns = [_column(session, visit, project_id, status, today) for status in tasks.Status]
    return {"project": project, "columns": columns, "today": today, "works": project.open_to_work}


def _column(session: Session, visit: Visit, project_id: int, status: tasks.Status, today: date) -> Column:
    sort = "-priority" if status in OPEN else "-updated"
    query = TaskFilter(status=status.value, sort=sort).query(project_id, today, limit=_COLUMN_LIMIT)
    found = tasks.list_tasks(session, visit.user, query)
    return Column(status, found.items, more=found.next is not None)


def _choices(session: Session, visit: Visit, project_id: int) -> dict[str, Any]:
    members = [member.user for member in projects.list_members(session, visit.user, project_id)]
    return {
        "members": members,
        "statuses": STATUS_NAMES.items(),
        "priorities": PRIORITY_NAMES.items(),
        "status_choices": task_filters.STATUS_CHOICES,
        "priority_choices": task_filters.PRIORITY_CHOICES,
        "assignee_choices": assignee_choices(members, visit.user.user_id),
        "when_choices": task_filters.WHEN_CHOICES,
        "sort_choices": task_filters.SORT_CHOICES,
    }


def assignee_choices(members: Sequence[Person], me: int) -> list[tuple[str, str]]:
    """Return who may be chosen in a filter."""
    others = [(str(person.id), person.name) for person in members if person.id != me]
    return [("", "Anybody"), ("me", "Me"), ("none", "Nobody"), *others]


def _understand(session: Session, visit: Visit, project_id: int, text: str) -> QuickTask:
    members = [member.user for member in projects.list_members(session, visit.user, project_id)]
    return parse(text, me=visit.user.user_id, people=members, today=visit.today(session))


def _marked(form: Form) -> list[int]:
    """Return the ids of the marked tasks, each once, in ascending order; raises Invalid for one that none can have."""
    texts = [text for text in form.all("task")[:_BULK_MAX] if text.isdecimal()]
    if any(len(text) > len(str(_ID_MAX)) or int(text) > _ID_MAX for text in texts):
        raise Invalid("One of the marked tasks has a number that no task can have; nothing was changed.")
    return sorted({int(text) for text in texts})


def _change_one(session: Session, visit: Visit, task_id: int, values: dict[str, str], label: str) -> bool:
    """Change a task, and return whether that made a difference."""
    task = tasks.get_task(session, visit.user, task_id)
    changes = _bulk_changes(task.labels, values, label)
    return tasks.update_task(session, visit.user, task_id, changes).version != task.version


def _told(ids: Sequence[int], values: dict[str, str], label: str, changed: int) -> str:
    if not ids:
        return "No task was marked, so nothing was changed."
    if not values and not label:
        return "Nothing was chosen to change, so all is as it was."
    same = len(ids) - changed
    return f"{plural(changed, 'task')} changed{f'; {same} had it already' if same else ''}."


def _bulk_changes(labels: list[str], values: dict[str, str], label: str) -> TaskChanges:
    given: dict[str, Any] = dict(values)
    for name in ("assignee", "due"):
        if given.get(name) == "none":
            given[name] = None
    if label and label not in labels:
        given["labels"] = [*labels, label]
    try:
        return TaskChanges.model_validate(given)
    except ValidationError as error:
        raise Invalid("One of the changes is not possible; nothing was changed.") from error
