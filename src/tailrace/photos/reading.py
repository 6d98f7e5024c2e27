"""Looking at photos: one, or a page of a time line."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session, aliased

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.photos import timeline
from tailrace.photos.access import photo_to_read
from tailrace.photos.models import Photo, PhotoLocation, PhotoPair, PhotoRendition, PhotoState, RenditionName
from tailrace.photos.news import events_of
from tailrace.photos.schemas import (
    Location,
    Pair,
    PhotoPage,
    PhotoQuery,
    PhotoSummary,
    PhotoView,
    Rendition,
)
from tailrace.projects import service as projects
from tailrace.tasks import service as tasks

_GATHERED = {"project", "task", "user", "url", "original", "renditions", "pair", "events"}
_COPIED = PhotoSummary.model_fields.keys() - _GATHERED


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The photo beside another one in a time line."""

    id: str
    is_ready: bool


def get_photo(session: Session, principal: Principal, photo_id: str) -> PhotoView:
    """Return a photo with its place on Earth; raises NotFound, or Gone for one in the trash."""
    return show(session, principal, photo_to_read(session, principal, photo_id))


def list_task_photos(session: Session, principal: Principal, task_id: int, query: PhotoQuery) -> PhotoPage:
    """Return a page of a task's photos, the newest first; raises NotFound, or Invalid for a wrong `after`."""
    tasks.check_read(session, principal, task_id)
    return _page(session, principal, timeline.of_task(task_id), query)


def list_project_photos(session: Session, principal: Principal, project_id: int, query: PhotoQuery) -> PhotoPage:
    """Return a page of a project's photos, the newest first; raises NotFound, or Invalid for a wrong `after`."""
    projects.require_role(session, principal, project_id, projects.Role.VIEWER)
    return _page(session, principal, timeline.of_project(project_id), query)


def list_own_photos(session: Session, principal: Principal, query: PhotoQuery) -> PhotoPage:
    """Return a page of the caller's photos that are in no task, the newest first; raises Invalid."""
    return _page(session, principal, timeline.of_person(principal.user_id), query)


def neighbours(
    session: Session, principal: Principal, photo_id: str, *, in_task: bool
) -> tuple[Neighbour | None, Neighbour | None]:
    """Return the photos just before (newer) and behind one in the time line of its project, or of its task alone.

    A photo without a task stands among its uploader's own. Raises NotFound, or Gone for one in the trash.
    """
    photo = photo_to_read(session, principal, photo_id)
    here, whose = timeline.Place.behind(photo), _line_of(photo, in_task=in_task)
    newer = session.scalars(timeline.newer(whose, here)).first()
    older = session.scalars(timeline.page(whose, after=here, limit=1)).first()
    return _neighbour(newer), _neighbour(older)


def show(session: Session, principal: Principal, photo: Photo) -> PhotoView:
    """Return a photo as it is shown by itself."""
    (summary,) = summarise(session, principal, [photo])
    row = session.get(PhotoLocation, photo.id)
    location = None if row is None else Location.model_validate(row)
    return PhotoView(**dict(summary), sha256=photo.sha256, location=location)


def summarise(session: Session, principal: Principal, photos: Sequence[Photo]) -> list[PhotoSummary]:
    """Return photos as they stand in a list, with a handful of queries however many they are."""
    ids = [photo.id for photo in photos]
    people = accounts.find_people(session, {photo.user_id for photo in photos})
    renditions, pairs = _renditions(session, ids), _pairs(session, ids)
    return [
        PhotoSummary.model_validate(
            {
                **{field: getattr(photo, field) for field in _COPIED},
                "project": photo.project_id,
                "task": photo.task_id,
                "user": people[photo.user_id],
                "url": f"/photos/{photo.id}",
                "original": f"/photos/{photo.id}/original",
                "renditions": renditions[photo.id],
                "pair": pairs.get(photo.id),
                "events": events_of(principal, photo),
            }
        )
        for photo in photos
    ]


def _page(session: Session, principal: Principal, whose: ColumnElement[bool], query: PhotoQuery) -> PhotoPage:
    after = None if query.after is None else timeline.Place.decode(query.after)
    found = session.scalars(timeline.page(whose, after=after, limit=query.limit + 1)).all()
    shown = found[: query.limit]
    more = timeline.Place.behind(shown[-1]).encode() if len(found) > query.limit else None
    return PhotoPage(items=summarise(session, principal, shown), next=more)


def _line_of(photo: Photo, *, in_task: bool) -> ColumnElement[bool]:
    if photo.project_id is None or photo.task_id is None:
        return timeline.of_person(photo.user_id)
    return timeline.of_task(photo.task_id) if in_task else timeline.of_project(photo.project_id)


def _neighbour(photo: Photo | None) -> Neighbour | None:
    return None if photo is None else Neighbour(photo.id, photo.state == PhotoState.READY)


def _renditions(session: Session, ids: Sequence[str]) -> dict[str, dict[RenditionName, Rendition]]:
    found: dict[str, dict[RenditionName, Rendition]] = defaultdict(dict)
    for row in session.scalars(select(PhotoRendition).where(PhotoRendition.photo_id.in_(ids))):
        url = f"/photos/{row.photo_id}/{row.name}"
        rendition = Rendition(url=url, width=row.width, height=row.height, bytes=row.bytes)
        found[row.photo_id][RenditionName(row.name)] = rendition
    return found


def _pairs(session: Session, ids: Sequence[str]) -> dict[str, Pair]:
    """Return the pairs of which both photos are there, under each of their ids."""
    before, after = aliased(Photo), aliased(Photo)
    query = (
        select(PhotoPair)
        .join(before, and_(before.id == PhotoPair.before_id, before.deleted_at.is_(None)))
        .join(after, and_(after.id == PhotoPair.after_id, after.deleted_at.is_(None)))
        .where(or_(PhotoPair.before_id.in_(ids), PhotoPair.after_id.in_(ids)))
    )
    found: dict[str, Pair] = {}
    for row in session.scalars(query):
        pair = Pair(before=row.before_id, after=row.after_id)
        found |= {row.before_id: pair, row.after_id: pair}
    return found
