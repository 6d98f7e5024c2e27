"""One task: its fields, text, steps and timeline, each a part that is changed in place and follows what others do."""

from typing import Annotated, Any

from fastapi import Query
from sqlalchemy.orm import Session
from starlette.responses import Response

from tailrace.errors import Invalid, NotFound, TailraceError
from tailrace.http.fields import Id
from tailrace.projects import service as projects
from tailrace.tasks import service as tasks
from tailrace.tasks.schemas import ChecklistChanges, ChecklistInput, CommentInput, TaskChanges, TaskView
from tailrace.web import timeline
from tailrace.web.forms import Form
from tailrace.web.routing import page_router
from tailrace.web.task_photos import gallery_of
from tailrace.web.visit import Visit, Visiting

router = page_router()
PARTS = ("fields", "text", "checklist", "timeline")
_SHOWN = 50
_SHOWN_MAX = 2000
_Entries = Annotated[int, Query(ge=1, le=_SHOWN_MAX)]


@router.get("/web/tasks/{task_id}")
def show_task(visit: Visiting, task_id: Id, edit: str = "", entries: _Entries = _SHOWN) -> Response:
    """Show a task; `edit` is `text`, or the id of a comment, that is to be written anew."""
    return _page(visit, task_id, edit=edit, entries=entries)


@router.get("/web/tasks/{task_id}/{part}")
def show_part(visit: Visiting, task_id: Id, part: str, edit: str = "", entries: _Entries = _SHOWN) -> Response:
    """Return one part of the page, as it is now."""
    if part not in PARTS:
        raise NotFound("A task has no such part.")
    with visit.read() as session:
        values = _values(session, visit, task_id, edit=edit, entries=entries)
        return visit.part(f"tasks/{part}", title=_title(part, values), **values)


@router.post("/web/tasks/{task_id}")
def change_task(visit: Visiting, task_id: Id) -> Response:
    """Change the fields that the form names."""
    form = visit.form
    try:
        with visit.write() as session:
            # Held before its labels are read: what somebody else adds meanwhile would be lost.
            tasks.hold_task(session, visit.user, task_id)
            changes = _changes(form, tasks.get_task(session, visit.user, task_id))
            tasks.update_task(session, visit.user, task_id, changes)
    except TailraceError as error:
        part = "text" if "title" in form else "fields"
        return _refused(visit, task_id, part, form.refused(error), error.status)
    if form.text("from") == "board" and not visit.wants_part:
        with visit.read() as session:
            return visit.go(f"/web/projects/{tasks.get_task(session, visit.user, task_id).project.id}/board")
    return _done(visit, task_id, "text" if "title" in form else "fields")


@router.post("/web/tasks/{task_id}/delete")
def delete_task(visit: Visiting, task_id: Id) -> Response:
    """Delete a task."""
    with visit.write() as session:
        task = tasks.get_task(session, visit.user, task_id)
        tasks.delete_task(session, visit.user, task_id)
    return visit.go(f"/web/projects/{task.project.id}", f"“{task.title}” is deleted.")


@router.post("/web/tasks/{task_id}/checklist")
def add_step(visit: Visiting, task_id: Id) -> Response:
    """Add a step."""
    form = visit.form
    try:
        given = form.read(ChecklistInput, title=form.text("step"))
        with visit.write() as session:
            tasks.add_item(session, visit.user, task_id, title=given.title, done=False)
    except TailraceError as error:
        return _refused(visit, task_id, "checklist", form.refused(error), error.status)
    return _done(visit, task_id, "checklist", focused=True)


@router.post("/web/tasks/{task_id}/checklist/{item_id}")
def change_step(visit: Visiting, task_id: Id, item_id: Id) -> Response:
    """Mark a step as done or not, or remove it."""
    with visit.write() as session:
        if "remove" in visit.form:
            tasks.delete_item(session, visit.user, task_id, item_id)
        else:
            changes = ChecklistChanges(done=visit.form.text("done") == "true")
            tasks.change_item(session, visit.user, task_id, item_id, changes)
    return _done(visit, task_id, "checklist")


@router.post("/web/tasks/{task_id}/comments")
def add_comment(visit: Visiting, task_id: Id) -> Response:
    """Say something."""
    form = visit.form
    try:
        given = form.read(CommentInput)
        with visit.write() as session:
            tasks.add_comment(session, visit.user, task_id, body=given.body)
    except TailraceError as error:
        return _refused(visit, task_id, "composer", form.refused(error, "body"), error.status)
    return _done(visit, task_id, "composer")


@router.post("/web/tasks/{task_id}/comments/{comment_id}")
def change_comment(visit: Visiting, task_id: Id, comment_id: Id) -> Response:
    """Change or remove what was said."""
    form = visit.form
    try:
        with visit.write() as session:
            if "remove" in form:
                tasks.delete_comment(session, visit.user, task_id, comment_id)
            else:
                body = form.read(CommentInput).body
                tasks.edit_comment(session, visit.user, task_id, comment_id, body=body)
    except TailraceError as error:
        return _refused(visit, task_id, "timeline", form.refused(error, "body"), error.status, edit=str(comment_id))
    return _done(visit, task_id, "timeline")


def _changes(form: Form, task: TaskView) -> TaskChanges:
    given: dict[str, Any] = {}
    for name in ("assignee", "due"):
        if name in form:
            given[name] = form.text(name) or None
    if "add_label" in form:
        given["labels"] = [*task.labels, *(name.strip() for name in form.text("add_label").split(",") if name.strip())]
    if "remove_label" in form:
        given["labels"] = [name for name in task.labels if name != form.text("remove_label")]
    try:
        return form.read(TaskChanges, **given)
    except Invalid:
        if "labels" in form.faults:
            form.faults["add_label"] = form.faults.pop("labels")
        raise


def _page(
    visit: Visit,
    task_id: int,
    *,
    form: Form | None = None,
    edit: str = "",
    entries: int = _SHOWN,
    status: int = 200,
) -> Response:
    with visit.shell() as (session, shell):
        values = _values(session, visit, task_id, form=form, edit=edit, entries=entries)
        values |= {"gallery": gallery_of(session, visit, task_id), "token": shell.forgery_token}
        return visit.page("tasks/show", shell, status=status, **values)


def _values(
    session: Session,
    visit: Visit,
    task_id: int,
    *,
    form: Form | None = None,
    edit: str = "",
    entries: int = _SHOWN,
) -> dict[str, Any]:
    task = tasks.get_task(session, visit.user, task_id)
    project = projects.get_project(session, visit.user, task.project.id)
    found = tasks.read_timeline(session, visit.user, task_id, limit=entries)
    return {
        "task": task,
        "project": project,
        "members": [member.user for member in projects.list_members(session, visit.user, project.id)],
        "works": project.open_to_work,
        "decides": project.role is projects.Role.MANAGER,
        "timeline": timeline.lines(found.entries, more=found.more),
        "entries": entries,
        "before": min(_SHOWN_MAX, entries * 4) if found.more and entries < _SHOWN_MAX else 0,
        "today": visit.today(session),
        "form": form or Form(),
        "edit": edit,
        "refreshed": visit.refreshes("timeline"),
    }


def _title(part: str, values: dict[str, Any]) -> str:
    """Return what the whole page is called after this part of it has changed, or nothing."""
    return str(values["task"].title) if part == "text" else ""


def _done(visit: Visit, task_id: int, part: str, *, focused: bool = False) -> Response:
    if not visit.wants_part:
        return visit.go(f"/web/tasks/{task_id}")
    with visit.read() as session:
        values = _values(session, visit, task_id)
        response = visit.part(f"tasks/{part}", title=_title(part, values), focused=focused, **values)
    response.headers["HX-Trigger"] = "task-changed"
    return response


def _refused(visit: Visit, task_id: int, part: str, form: Form, status: int, *, edit: str = "text") -> Response:
    if not visit.wants_part:
        return _page(visit, task_id, form=form, edit=edit, status=status)
    with visit.read() as session:
        return visit.part(f"tasks/{part}", status=status, **_values(session, visit, task_id, form=form, edit=edit))
