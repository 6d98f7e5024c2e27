"""The photos of a task as a part of its page, and making pairs of them: before and after the work."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session
from starlette.responses import Response

from tailrace.errors import Invalid
from tailrace.http.fields import Id
from tailrace.photos import service as photos
from tailrace.photos.schemas import PairInput, PhotoQuery, PhotoSummary
from tailrace.projects import service as projects
from tailrace.tasks import service as tasks
from tailrace.web.routing import page_router
from tailrace.web.visit import Visit, Visiting

router = page_router()
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Gallery:
    """The newest photos of a task: pairs, the others, and whether there are older ones."""

    pairs: Sequence[tuple[PhotoSummary, PhotoSummary]]
    singles: Sequence[PhotoSummary]
    more: bool


def gallery_of(session: Session, visit: Visit, task_id: int) -> Gallery:
    """Return what the page of a task shows of its photos; raises NotFound."""
    page = photos.list_task_photos(session, visit.user, task_id, PhotoQuery(limit=_SHOWN))
    known = {photo.id: photo for photo in page.items}
    pairs = {photo.pair.before: photo.pair for photo in page.items if photo.pair}
    whole = [pair for pair in pairs.values() if pair.before in known and pair.after in known]
    paired = {photo_id for pair in whole for photo_id in (pair.before, pair.after)}
    return Gallery(
        pairs=[(known[pair.before], known[pair.after]) for pair in whole],
        singles=[photo for photo in page.items if photo.id not in paired],
        more=page.next is not None,
    )


@router.get("/web/tasks/{task_id}/photos")
def refresh_photos(visit: Visiting, task_id: Id) -> Response:
    """Return the photos of a task as they are now."""
    return _part(visit, task_id)


@router.post("/web/tasks/{task_id}/pairs")
def make_pair(visit: Visiting, task_id: Id) -> Response:
    """Make the two photos that were chosen a pair."""
    after = visit.form.text("after")
    if not after or "before" not in visit.form:
        raise Invalid("Choose one photo from before the work, and one from after it.")
    other = visit.form.read(PairInput, after=None)
    with visit.write() as session:
        photos.pair_photo(session, visit.user, after, other)
    return _part(visit, task_id) if visit.wants_part else visit.go(f"/web/tasks/{task_id}#photos")


def _part(visit: Visit, task_id: int) -> Response:
    with visit.read() as session:
        task = tasks.get_task(session, visit.user, task_id)
        project = projects.get_project(session, visit.user, task.project.id)
        return visit.part(
            "tasks/photos",
            task=task,
            project=project,
            gallery=gallery_of(session, visit, task_id),
            works=project.open_to_work,
            decides=project.role is projects.Role.MANAGER,
            token=visit.forgery_token,
        )
