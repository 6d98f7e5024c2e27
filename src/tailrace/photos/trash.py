"""Deleting photos, and taking them back for as long as they are in the trash."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from tailrace.accounts.principal import Principal
from tailrace.database import utcnow
from tailrace.jobs import enqueue_many
from tailrace.notifications import inbox
from tailrace.photos import jobs
from tailrace.photos.access import photo_to_remove
from tailrace.photos.models import Photo
from tailrace.photos.news import tell
from tailrace.photos.reading import show, summarise
from tailrace.photos.receiving import take_out_of_trash
from tailrace.photos.schemas import PhotoView, TrashedPhoto
from tailrace.photos.timeline import of_person, of_project
from tailrace.projects import service as projects
from tailrace.tasks import service as tasks

_PHOTOS_PER_JOB = 200
_LISTED = 200


def delete_photo(session: Session, principal: Principal, photo_id: str) -> None:
    """Put a photo into the trash, which its uploader and managers may; raises NotFound, Forbidden or Conflict."""
    photo = photo_to_remove(session, principal, photo_id)
    if photo.deleted_at is not None:
        return
    photo.deleted_at = utcnow()
    session.flush()
    if photo.task_id is not None:
        tasks.note_attachments(session, principal, photo.task_id, "photo", removed=[photo.name])
    tell(session, photo, "deleted", by=principal.user_id)
    inbox.forget(session, user_id=photo.user_id, subject=photo.id)


def restore_photo(session: Session, principal: Principal, photo_id: str) -> PhotoView:
    """Take a photo out of the trash and return it; raises NotFound, also once it is gone for good, or as deleting."""
    photo = photo_to_remove(session, principal, photo_id)
    if photo.deleted_at is not None:
        take_out_of_trash(session, principal, photo)
    return show(session, principal, photo)


def list_trash(session: Session, principal: Principal, project_id: int | None) -> list[TrashedPhoto]:
    """Return the deleted photos of a project that the caller may restore, up to 200, the last deleted first.

    Without a project, those of their own photos that are in no task. Raises NotFound.
    """
    query = select(Photo).where(Photo.deleted_at.is_not(None))
    if project_id is None:
        query = query.where(of_person(principal.user_id))
    elif projects.role_in(session, principal, project_id) is projects.Role.MANAGER:
        query = query.where(of_project(project_id))
    else:
        query = query.where(of_project(project_id), Photo.user_id == principal.user_id)
    photos = session.scalars(query.order_by(Photo.deleted_at.desc(), Photo.id).limit(_LISTED)).all()
    items = summarise(session, principal, photos)
    return [
        TrashedPhoto.model_validate(dict(item) | {"deleted_at": photo.deleted_at})
        for item, photo in zip(items, photos, strict=True)
    ]


@tasks.when_task_goes
def remove_photos(session: Session, _principal: Principal, task_id: int) -> None:
    """Have the files of a task's photos removed once its rows, and theirs with them, are gone."""
    ids = session.scalars(select(Photo.id).where(Photo.task_id == task_id)).all()
    batches = [list(ids[start : start + _PHOTOS_PER_JOB]) for start in range(0, len(ids), _PHOTOS_PER_JOB)]
    enqueue_many(session, jobs.remove_files, [{"photo_ids": batch} for batch in batches])
