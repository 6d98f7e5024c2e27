"""One photo, large, with what is known about it, and what people do to photos."""

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from sqlalchemy.orm import Session
from starlette.responses import Response

from tailrace.errors import Gone, TailraceError
from tailrace.photos import service as photos
from tailrace.photos.schemas import PhotoChanges, PhotoView
from tailrace.projects import service as projects
from tailrace.tasks import service as tasks
from tailrace.web.forms import Form
from tailrace.web.routing import page_router
from tailrace.web.visit import Visit, Visiting

router = page_router()
_DELETED = "This photo was deleted. As long as it is in the project's trash, who added it or a manager can restore it."
#: `task` walks among the photos of the task, everything else among those of the project.
_Within = Annotated[str, Query(alias="in", max_length=10)]


@router.get("/web/photos/{photo_id}")
def show_photo(visit: Visiting, photo_id: str, within: _Within = "") -> Response:
    """Show a photo; for htmx without the page around it."""
    return _show(visit, photo_id, within)


@router.post("/web/photos/{photo_id}/caption")
def change_caption(visit: Visiting, photo_id: str, within: _Within = "") -> Response:
    """Write what the photo shows."""
    form = visit.form
    try:
        given = form.read(PhotoChanges)
        with visit.write() as session:
            seen = form.text("seen") if "seen" in form else None
            photos.change_caption(session, visit.user, photo_id, given.caption, seen=seen)
    except TailraceError as error:
        return _show(visit, photo_id, within, form=form.refused(error, "caption"), status=error.status)
    return _done(visit, photo_id, within)


@router.post("/web/photos/{photo_id}/retry")
def retry_photo(visit: Visiting, photo_id: str, within: _Within = "") -> Response:
    """Have a photo that failed processed again."""
    with visit.write() as session:
        photos.retry_photo(session, visit.user, photo_id)
    return _done(visit, photo_id, within)


@router.post("/web/photos/{photo_id}/unpair")
def unpair_photo(visit: Visiting, photo_id: str, within: _Within = "") -> Response:
    """Take a photo out of its pair."""
    with visit.write() as session:
        photos.unpair_photo(session, visit.user, photo_id)
    return _done(visit, photo_id, within)


@router.post("/web/photos/{photo_id}/delete")
def delete_photo(visit: Visiting, photo_id: str, within: _Within = "") -> Response:
    """Put a photo into the trash, from where it can be taken back."""
    with visit.write() as session:
        photo = photos.get_photo(session, visit.user, photo_id)
        photos.delete_photo(session, visit.user, photo_id)
    said = f"“{photo.name}” is deleted."
    if visit.wants_part:
        news = {"say": {"text": said, "undo": f"/web/photos/{photo.id}/restore"}, "photo-gone": photo.id}
        return Response(status_code=204, headers={"HX-Trigger": json.dumps(news)})
    days = visit.request.app.state.photos.trash_days
    return visit.go(_home(photo, within), f"{said} For {days} days it can be taken out of the trash.")


@router.post("/web/photos/{photo_id}/restore")
def restore_photo(visit: Visiting, photo_id: str) -> Response:
    """Take a photo out of the trash."""
    with visit.write() as session:
        photo = photos.restore_photo(session, visit.user, photo_id)
    said = f"“{photo.name}” is back."
    if visit.wants_part:
        news = {"say": {"text": said}, "photo-back": photo.id}
        return Response(status_code=204, headers={"HX-Trigger": json.dumps(news)})
    return visit.go(f"/web/photos/{photo.id}", said)


def _done(visit: Visit, photo_id: str, within: str) -> Response:
    if visit.wants_part:
        return _show(visit, photo_id, within)
    return visit.go(f"/web/photos/{photo_id}{_query(within)}")


def _show(visit: Visit, photo_id: str, within: str, *, form: Form | None = None, status: int = 200) -> Response:
    if visit.wants_part:
        with visit.read() as session:
            values = _values(session, visit, photo_id, within, form)
            title = values["photo"].caption or values["photo"].name
            return visit.part("photos/view", status=status, title=title, **values)
    with visit.shell() as (session, shell):
        return visit.page("photos/show", shell, status=status, **_values(session, visit, photo_id, within, form))


def _values(session: Session, visit: Visit, photo_id: str, within: str, form: Form | None) -> dict[str, Any]:
    photo = _photo(session, visit, photo_id)
    newer, older = photos.neighbours(session, visit.user, photo.id, in_task=within == "task")
    values = {
        "photo": photo,
        "newer": newer,
        "older": older,
        "partner": _partner(session, visit, photo),
        "taken": _taken(photo),
        "home": _home(photo, within),
        "query": _query(within),
        "channel": f"user:{photo.user.id}" if photo.project is None else f"project:{photo.project}",
        "form": form or Form.of(caption=photo.caption),
        "token": visit.forgery_token,
    }
    return values | _surroundings(session, visit, photo)


def _photo(session: Session, visit: Visit, photo_id: str) -> PhotoView:
    try:
        return photos.get_photo(session, visit.user, photo_id)
    except Gone as error:
        # The service's own sentence speaks to programs.
        raise Gone(_DELETED) from error


def _surroundings(session: Session, visit: Visit, photo: PhotoView) -> dict[str, Any]:
    if photo.project is None or photo.task is None:
        return {"task": None, "works": True, "removes": True}
    project = projects.get_project(session, visit.user, photo.project)
    decides = project.role is projects.Role.MANAGER or photo.user.id == visit.user.user_id
    task = tasks.get_task(session, visit.user, photo.task)
    return {
        "project": project,
        "task": task,
        "works": project.open_to_work,
        "removes": project.open_to_work and decides,
    }


def _partner(session: Session, visit: Visit, photo: PhotoView) -> PhotoView | None:
    if photo.pair is None:
        return None
    other = photo.pair.after if photo.pair.before == photo.id else photo.pair.before
    return photos.get_photo(session, visit.user, other)


def _taken(photo: PhotoView) -> str:
    """Return when the picture was taken, by the camera's own clock, and its offset if it told one."""
    if photo.taken_at is None:
        return ""
    moment = datetime.fromisoformat(photo.taken_at)
    offset = f" (UTC{moment.isoformat()[-6:]})" if moment.tzinfo else ""
    return f"{moment:%-d %B %Y, %H:%M}{offset}"


def _home(photo: PhotoView, within: str) -> str:
    if photo.project is None:
        return "/web/photos"
    return f"/web/tasks/{photo.task}" if within == "task" else f"/web/projects/{photo.project}/photos"


def _query(within: str) -> str:
    return "?in=task" if within == "task" else ""
