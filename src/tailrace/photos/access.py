"""Who may see, add and change photos.

A photo of a task is its project's: whoever sees the project sees it, members add photos and write captions, and its
uploader or a manager deletes it. A photo without a task is its uploader's alone; administrators may do everything.
What somebody may not see is not there (404).
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from tailrace.accounts.principal import Principal
from tailrace.errors import Forbidden, Gone, NotFound
from tailrace.photos.models import Photo
from tailrace.projects import service as projects
from tailrace.tasks import service as tasks

_UNKNOWN = "There is no photo with this id, or it is not yours to see."
_DELETED = "This photo was deleted; until it is gone for good, `POST /photos/{}/restore` brings it back."


def check_upload(session: Session, principal: Principal, task_id: int | None) -> None:
    """Return if the caller may add photos to a task, or (None) to their own; ask before a byte of them is read.

    Raises NotFound for no such task, Forbidden for who may only look, Conflict if the project is archived.
    """
    if task_id is not None:
        tasks.check_work(session, principal, task_id)


def photo_to_read(session: Session, principal: Principal, photo_id: str) -> Photo:
    """Return a photo; raises NotFound, or Gone for one in the trash."""
    return _present(_visible(session, principal, photo_id))


def photo_to_change(session: Session, principal: Principal, photo_id: str) -> Photo:
    """Return a photo, held until the transaction ends; raises NotFound, Gone, Forbidden or Conflict (archived)."""
    return _present(_hold(session, principal, photo_id))


def photo_to_remove(session: Session, principal: Principal, photo_id: str) -> Photo:
    """Return a photo, in the trash or not, that the caller may put there and take out; held.

    Raises NotFound, Forbidden or Conflict (archived).
    """
    photo = _hold(session, principal, photo_id)
    if photo.user_id != principal.user_id and _role_in(session, principal, photo) is not projects.Role.MANAGER:
        raise Forbidden("Only who uploaded a photo, or a manager of the project, can delete or restore it.")
    return photo


def _hold(session: Session, principal: Principal, photo_id: str) -> Photo:
    photo = _visible(session, principal, photo_id)
    if photo.task_id is not None:
        # Always the task first, then its photos: whoever locks in this order never waits for each other.
        tasks.hold_task(session, principal, photo.task_id)
    return _visible(session, principal, photo_id, lock=True)


def _visible(session: Session, principal: Principal, photo_id: str, *, lock: bool = False) -> Photo:
    query = select(Photo).where(Photo.id == photo_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    photo = session.scalars(query).one_or_none()
    if photo is None:
        raise NotFound(_UNKNOWN)
    try:
        _role_in(session, principal, photo)
    except NotFound as error:
        raise NotFound(_UNKNOWN) from error
    return photo


def _role_in(session: Session, principal: Principal, photo: Photo) -> projects.Role:
    if photo.project_id is not None:
        return projects.role_in(session, principal, photo.project_id)
    if principal.is_admin or photo.user_id == principal.user_id:
        return projects.Role.MANAGER
    raise NotFound(_UNKNOWN)


def _present(photo: Photo) -> Photo:
    if photo.deleted_at is not None:
        raise Gone(_DELETED.format(photo.id))
    return photo
