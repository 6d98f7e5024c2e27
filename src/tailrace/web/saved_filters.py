"""Filters that people saved: as chips above a project's list, and the page on which they are changed."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import Query
from sqlalchemy.orm import Session
from starlette.responses import Response

from tailrace.errors import TailraceError
from tailrace.http.fields import Id
from tailrace.projects import service as projects
from tailrace.projects.schemas import ProjectView
from tailrace.tasks import saved_filters
from tailrace.tasks.chosen import TaskFilter
from tailrace.tasks.schemas import SavedFilterChanges, SavedFilterInput, SavedFilterView
from tailrace.web import task_filters
from tailrace.web.forms import Form
from tailrace.web.routing import page_router
from tailrace.web.visit import Visit, Visiting

router = page_router()
_Removed = Annotated[int, Query(ge=0, lt=2**63)]


@dataclass(frozen=True, slots=True)
class Saved:
    """A saved filter as a page shows it; one that is stale has neither address nor words."""

    view: SavedFilterView
    address: str
    words: Sequence[str]
    mine: bool

    @property
    def begins(self) -> str:
        """The address with which the list begins, if this is the person's default and not stale."""
        return self.address if self.view.default else ""


@router.get("/web/projects/{project_id}/filters")
def show_filters(visit: Visiting, project_id: Id, removed: _Removed = 0) -> Response:
    """Show the filters of a project to change them; `removed` is one that was just removed."""
    if visit.wants_part:
        with visit.read() as session:
            return visit.part("tasks/filters_part", **_values(session, visit, project_id, removed))
    return _page(visit, project_id, removed=removed)


@router.get("/web/projects/{project_id}/filters/chips")
def show_chips(visit: Visiting, project_id: Id) -> Response:
    """Return the chips above the list, as they are now."""
    chosen = TaskFilter.of(visit.request.query_params.multi_items())
    with visit.read() as session:
        project = projects.get_project(session, visit.user, project_id)
        values = chips(list_saved(session, visit, project_id), chosen, project)
        return visit.part("tasks/chips", project=project, chosen=chosen, token=visit.forgery_token, **values)


@router.post("/web/projects/{project_id}/filters")
def save_filter(visit: Visiting, project_id: Id) -> Response:
    """Save the filter of a list."""
    form = visit.form
    try:
        chosen = TaskFilter.of(parse_qsl(form.text("filter").removeprefix("?")))
        given = form.read(SavedFilterInput, filter=chosen)
        with visit.write() as session:
            saved = saved_filters.save_filter(session, visit.user, project_id, given)
    except TailraceError as error:
        return _page(visit, project_id, form=form.refused(error, "name"), status=error.status)
    return visit.go(f"/web/projects/{project_id}{chosen.address()}", f"The filter “{saved.name}” is saved.")


@router.post("/web/filters/{filter_id}")
def change_filter(visit: Visiting, filter_id: Id) -> Response:
    """Rename a filter, and share it or not."""
    given = visit.form.read(SavedFilterChanges, shared="shared" in visit.form)
    return _change(visit, filter_id, given, "Saved.")


@router.post("/web/filters/{filter_id}/default")
def choose_default(visit: Visiting, filter_id: Id) -> Response:
    """Let the list begin with a filter, or no longer."""
    wanted = visit.form.text("default") == "true"
    said = "The list begins with it from now on." if wanted else "The list begins with all that is open again."
    return _change(visit, filter_id, SavedFilterChanges(default=wanted), said)


@router.post("/web/filters/{filter_id}/delete")
def remove_filter(visit: Visiting, filter_id: Id) -> Response:
    """Remove a filter, which the next page offers to undo."""
    with visit.write() as session:
        project = saved_filters.remove_filter(session, visit.user, filter_id).project
    return visit.go(f"{_address(project.id)}?removed={filter_id}")


@router.post("/web/filters/{filter_id}/restore")
def restore_filter(visit: Visiting, filter_id: Id) -> Response:
    """Take back the removal of a filter."""
    with visit.write() as session:
        saved = saved_filters.restore_filter(session, visit.user, filter_id)
    return visit.go(_address(saved.project.id), f"“{saved.name}” is there again.")


def list_saved(session: Session, visit: Visit, project_id: int) -> list[Saved]:
    """Return the filters of a project that the person sees; raises NotFound."""
    found = saved_filters.list_filters(session, visit.user, project_id)
    people = {}
    if any("assignee" in view.filter for view in found):
        members = projects.list_members(session, visit.user, project_id)
        people = {str(member.user.id): member.user.name for member in members}
    return [_saved(view, people, visit.user.user_id) for view in found]


def chips(saved: Sequence[Saved], chosen: TaskFilter, project: ProjectView) -> dict[str, Any]:
    """Return what the chips above a list show: the filters, which of them it is, and whether it is worth saving."""
    address = chosen.address()
    return {
        "saved": saved,
        "here": address,
        "saves": bool(chosen.chosen()) and all(each.address != address for each in saved),
        "shares": project.open_to_work,
        "form": Form(),
    }


def _saved(view: SavedFilterView, people: dict[str, str], me: int) -> Saved:
    mine = view.owner.id == me
    if view.fault:
        return Saved(view, "", (), mine)
    chosen = TaskFilter.model_validate(view.filter)
    return Saved(view, chosen.address(), task_filters.words(chosen, people), mine)


def _change(visit: Visit, filter_id: int, changes: SavedFilterChanges, said: str) -> Response:
    with visit.write() as session:
        project = saved_filters.change_filter(session, visit.user, filter_id, changes).project
    return visit.go(_address(project.id), said)


def _page(visit: Visit, project_id: int, *, removed: int = 0, form: Form | None = None, status: int = 200) -> Response:
    with visit.shell() as (session, shell):
        values = _values(session, visit, project_id, removed)
        return visit.page("tasks/filters", shell, status=status, form=form, **values)


def _values(session: Session, visit: Visit, project_id: int, removed: int) -> dict[str, Any]:
    project = projects.get_project(session, visit.user, project_id)
    return {
        "project": project,
        "saved": list_saved(session, visit, project_id),
        "removed": _removed(session, visit, project_id, removed),
        "manages": project.role is projects.Role.MANAGER,
        "shares": project.open_to_work,
        "token": visit.forgery_token,
    }


def _removed(session: Session, visit: Visit, project_id: int, filter_id: int) -> SavedFilterView | None:
    # An address may be kept longer than what it names.
    with suppress(TailraceError):
        found = saved_filters.removed_filter(session, visit.user, filter_id)
        return found if found.project.id == project_id else None
    return None


def _address(project_id: int) -> str:
    return f"/web/projects/{project_id}/filters"
