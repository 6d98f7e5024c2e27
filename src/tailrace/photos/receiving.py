"""The moment at which stored bytes become a photo: one transaction, after they are whole and before the answer."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from tailrace.accounts.principal import Principal
from tailrace.database import Database, DatabaseBusy, utcnow
from tailrace.errors import Conflict, TailraceError, Unavailable
from tailrace.jobs import enqueue_many
from tailrace.photos import jobs
from tailrace.photos.inspection import Picture
from tailrace.photos.keys import ORPHAN_AGE, original_key
from tailrace.photos.models import Photo, PhotoState
from tailrace.photos.names import clean_name
from tailrace.photos.news import events_of, tell
from tailrace.photos.receipts import AnsweredMeanwhile
from tailrace.photos.schemas import PhotoStarted
from tailrace.storage import ObjectMissing, Storage, StorageError
from tailrace.streams import UploadRefused
from tailrace.tasks import service as tasks

Keep = Callable[[Session, PhotoStarted], None]
_BUSY = "The database cannot answer at the moment: send this picture again."
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NewPhoto:
    """A picture whose bytes are whole under `original_key(id)`, and which nobody knows yet."""

    id: str
    task_id: int | None
    name: str
    picture: Picture
    bytes: int
    sha256: str
    caption: str = ""


def finish(
    database: Database, storage: Storage, principal: Principal, new: NewPhoto, *, keep: Keep | None = None
) -> PhotoStarted:
    """Make stored bytes a photo, and do what `keep` does in the same transaction; blocks.

    Where the task (or the caller's own photos) has the same bytes already, that photo is returned, taken out of the
    trash if it was there, and its original put back if the storage has lost it and can take it now. The new bytes are
    then removed, as they are when something is refused; where it is not known whether the transaction was committed,
    they stay for the upkeep to judge.

    Raises NotFound, Forbidden or Conflict if the caller may not add to the task by now, Conflict too if the bytes have
    waited so long that the upkeep may be about to remove them, StorageError, and what `keep` raises.
    """
    _check_fresh(storage, new.id)
    try:
        with database.write() as session:
            (started,) = add_photos(session, principal, new.task_id, [new])
            if keep is not None:
                keep(session, started)
    except (TailraceError, UploadRefused, AnsweredMeanwhile):
        _discard(storage, new.id)
        raise
    _tidy(storage, new, started)
    return started


def finish_many(
    database: Database, storage: Storage, principal: Principal, task_id: int | None, news: Sequence[NewPhoto]
) -> list[PhotoStarted | TailraceError | StorageError]:
    """Do as `finish` for several pictures of a task, and return for each what came of it, or what refused it.

    They become photos in one transaction; if one is refused, each in its own. What the database had no answer for is
    Unavailable.
    """
    outcomes: list[PhotoStarted | TailraceError | StorageError] = [Unavailable(_BUSY) for _ in news]
    with suppress(DatabaseBusy, OperationalError):
        # Nothing is held for photos without a task: two requests with the same two pictures could wait for each other.
        if task_id is not None:
            with suppress(TailraceError, StorageError):
                return [*_finish_together(database, storage, principal, task_id, news)]
        for place, new in enumerate(news):
            outcomes[place] = _finish_alone(database, storage, principal, new)
    return outcomes


def _finish_together(
    database: Database, storage: Storage, principal: Principal, task_id: int, news: Sequence[NewPhoto]
) -> list[PhotoStarted]:
    for new in news:
        _check_fresh(storage, new.id)
    with database.write() as session:
        all_started = add_photos(session, principal, task_id, news)
    for new, started in zip(news, all_started, strict=True):
        _tidy(storage, new, started)
    return all_started


def _finish_alone(
    database: Database, storage: Storage, principal: Principal, new: NewPhoto
) -> PhotoStarted | TailraceError | StorageError:
    try:
        return finish(database, storage, principal, new)
    except (TailraceError, StorageError) as error:
        return error


def add_photos(
    session: Session, principal: Principal, task_id: int | None, news: Sequence[NewPhoto]
) -> list[PhotoStarted]:
    """Add photos to a task, each with the job that processes it, or find the first ones with the same bytes."""
    project_id = None if task_id is None else tasks.hold_task(session, principal, task_id)
    photos = _find_same(session, principal, task_id, news)
    for photo in photos.values():
        if photo.deleted_at is not None:
            take_out_of_trash(session, principal, photo)
    first: dict[str, NewPhoto] = {}
    for new in news:
        first.setdefault(new.sha256, new)
    rows = [_row(principal, new, project_id) for sha256, new in first.items() if sha256 not in photos]
    try:
        with session.begin_nested():
            _insert(session, principal, task_id, rows)
    except IntegrityError:
        if _find_same(session, principal, task_id, news).keys() == photos.keys():
            raise
        # Another request of the caller with the same bytes was faster by a moment.
        return add_photos(session, principal, task_id, news)
    photos |= {row.sha256: row for row in rows}
    return [_started(principal, photos[new.sha256], first=photos[new.sha256].id == new.id) for new in news]


def process(session: Session, photos: Sequence[Photo]) -> None:
    """Enqueue the jobs that make the renditions of some photos of one person."""
    ids = [{"photo_id": photo.id} for photo in photos]
    owner = f"user:{photos[0].user_id}"
    for photo, job_id in zip(photos, enqueue_many(session, jobs.process_photo, ids, owner=owner), strict=True):
        photo.job_id = job_id
    session.flush()


def take_out_of_trash(session: Session, principal: Principal, photo: Photo) -> None:
    """Let a deleted photo be there again."""
    photo.deleted_at = None
    session.flush()
    _note(session, principal, photo.task_id, [photo])
    tell(session, photo, "restored", by=principal.user_id)


def _insert(session: Session, principal: Principal, task_id: int | None, photos: Sequence[Photo]) -> None:
    if not photos:
        return
    process(session, photos)
    session.add_all(photos)
    session.flush()
    _note(session, principal, task_id, photos)
    for photo in photos:
        tell(session, photo, "added", name=photo.name, by=principal.user_id)


def _row(principal: Principal, new: NewPhoto, project_id: int | None) -> Photo:
    now = utcnow()
    return Photo(
        id=new.id,
        project_id=project_id,
        task_id=new.task_id,
        user_id=principal.user_id,
        name=clean_name(new.name),
        caption=new.caption,
        format=new.picture.format,
        media_type=new.picture.media_type,
        width=new.picture.width,
        height=new.picture.height,
        frames=new.picture.frames,
        bytes=new.bytes,
        sha256=new.sha256,
        created_at=now,
        shown_at=now,
    )


def _find_same(
    session: Session, principal: Principal, task_id: int | None, news: Sequence[NewPhoto]
) -> dict[str, Photo]:
    """Return the photos with the same bytes that are among those of the task, or the caller's own, by their SHA-256."""
    if task_id is None:
        among = Photo.task_id.is_(None), Photo.user_id == principal.user_id
    else:
        among = Photo.task_id.is_not(None), Photo.task_id == task_id
    query = select(Photo).where(*among, Photo.sha256.in_({new.sha256 for new in news}))
    return {photo.sha256: photo for photo in session.scalars(query.with_for_update())}


def _note(session: Session, principal: Principal, task_id: int | None, photos: Sequence[Photo]) -> None:
    if task_id is not None:
        tasks.note_attachments(session, principal, task_id, "photo", added=[photo.name for photo in photos])


def _started(principal: Principal, photo: Photo, *, first: bool) -> PhotoStarted:
    return PhotoStarted(
        id=photo.id,
        name=photo.name,
        state=PhotoState(photo.state),
        url=f"/photos/{photo.id}",
        events=events_of(principal, photo),
        first=first,
    )


def _check_fresh(storage: Storage, photo_id: str) -> None:
    try:
        age = utcnow() - storage.modified(original_key(photo_id))
    except ObjectMissing:
        age = ORPHAN_AGE
    if age >= ORPHAN_AGE / 2:
        raise Conflict("The rest of this request came too late after the picture: send it again.")


def _tidy(storage: Storage, new: NewPhoto, started: PhotoStarted) -> None:
    if started.id != new.id:
        _mend(storage, started.id, new)
        _discard(storage, new.id)


def _mend(storage: Storage, photo_id: str, same: NewPhoto) -> None:
    """Give a photo its original again, by the same bytes under another key, if it has lost it.

    The photo is the caller's answer by now, whatever the storage has to say.
    """
    try:
        if _size(storage, photo_id) == same.bytes:
            return
        with storage.write(original_key(photo_id)) as writer:
            for piece in storage.read(original_key(same.id)):
                writer.write(piece)
    except StorageError as error:
        _log.warning("Whether photo %s still has its original cannot be seen to now: %s", photo_id, error)


def _size(storage: Storage, photo_id: str) -> int | None:
    try:
        return storage.size(original_key(photo_id))
    except ObjectMissing:
        return None


def _discard(storage: Storage, photo_id: str) -> None:
    # What cannot be removed now is removed by the upkeep, for no row knows it.
    with suppress(StorageError):
        storage.delete(original_key(photo_id))
