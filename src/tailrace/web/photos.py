"""Photos by day, the newest first: those of a project, of one task, or one's own; and what is in the trash."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Depends, Query
from sqlalchemy.orm import Session
from starlette.responses import Response

from tailrace.database import utcnow
from tailrace.http.fields import Id
from tailrace.photos import service as photos
from tailrace.projects import service as projects
from tailrace.tasks import service as tasks
from tailrace.web.photo_chunks import Span, arrange, start_of
from tailrace.web.routing import page_router
from tailrace.web.visit import Visit, Visiting

router = page_router()


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address of a grid says: a place in the time line and its bounds, or a day to begin with (`at`)."""

    after: Annotated[str, Query(max_length=200)] = ""
    until: Annotated[str, Query(max_length=200)] = ""
    day: Annotated[str, Query(max_length=10)] = ""
    at: Annotated[str, Query(max_length=10)] = ""

    def span(self, zone: ZoneInfo) -> Span:
        """Return the span that is to be shown."""
        day = _day(self.at)
        return Span(start_of(day, zone) if day else self.after, self.until, self.day)


_Asked = Annotated[Asked, Depends()]


@router.get("/web/photos")
def show_own_photos(visit: Visiting, asked: _Asked, trash: bool = False) -> Response:
    """Show one's own photos that are in no task; for htmx, one chunk alone. Or what is in the trash."""
    if trash:
        return _show_trash(visit, None)

    def read(session: Session) -> dict[str, Any]:
        zone = visit.zone(session)
        span = asked.span(zone)
        page = photos.list_own_photos(session, visit.user, span.query())
        channel = f"user:{visit.user.user_id}"
        known = {"base": "/web/photos", "channel": channel, "works": True, "task": None}
        return {**known, "chunk": arrange(page, span, zone), "today": visit.today(session)}

    return _show(visit, "photos/own", asked, read)


@router.get("/web/projects/{project_id}/photos")
def show_photos(
    visit: Visiting, project_id: Id, asked: _Asked, task: Id | None = None, trash: bool = False
) -> Response:
    """Show the photos of the project or of one task; for htmx, one chunk alone. Or what is in the trash."""
    if trash:
        return _show_trash(visit, project_id)
    return _show(visit, "photos/grid", asked, lambda session: _values(session, visit, project_id, task, asked))


def _show(visit: Visit, template: str, asked: Asked, read: Callable[[Session], dict[str, Any]]) -> Response:
    token = visit.forgery_token
    if visit.wants_part:
        with visit.read() as session:
            return visit.part("photos/chunk", token=token, **read(session))
    with visit.shell() as (session, shell):
        at = str(_day(asked.at) or "")
        return visit.page(template, shell, at=at, token=token, **read(session))


def _values(session: Session, visit: Visit, project_id: int, task_id: int | None, asked: Asked) -> dict[str, Any]:
    project = projects.get_project(session, visit.user, project_id)
    task = None if task_id is None else tasks.get_task(session, visit.user, task_id)
    zone = visit.zone(session)
    span = asked.span(zone)
    if task is None:
        page = photos.list_project_photos(session, visit.user, project_id, span.query())
    else:
        page = photos.list_task_photos(session, visit.user, task.id, span.query())
    return {
        "project": project,
        "task": task,
        "base": f"/web/projects/{project_id}/photos{f'?task={task.id}' if task else ''}",
        "channel": f"project:{project_id}",
        "chunk": arrange(page, span, zone),
        "works": project.open_to_work,
        "today": visit.today(session),
    }


def _show_trash(visit: Visit, project_id: int | None) -> Response:
    days = visit.request.app.state.photos.trash_days
    with visit.shell() as (session, shell):
        project = None if project_id is None else projects.get_project(session, visit.user, project_id)
        found = photos.list_trash(session, visit.user, project_id)
        about = {"project": project, "works": project.open_to_work} if project else {"works": True}
        left = {photo.id: max(0, days - (utcnow() - photo.deleted_at).days) for photo in found}
        return visit.page("photos/trash", shell, trash=found, left=left, days=days, **about)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
