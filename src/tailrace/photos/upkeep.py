"""What happens to photos and uploads after the work: nothing that nobody can want stays, nothing is left lying.

A file that no row knows is removed when it is older than 20 minutes: between a file's last byte and its row there are
moments. With the job that does it running every 20 minutes, none outlives its upload by an hour.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import delete, or_, select, text, update
from sqlalchemy.orm import Session

from tailrace.database import moment, present, utcnow
from tailrace.jobs import FAILED, Job, JobContext, JobKind, UnknownJob, enqueue, get_job
from tailrace.photos.keys import ORPHAN_AGE, PHOTOS, QUARANTINE, original_key
from tailrace.photos.models import Photo, PhotoRendition, PhotoState, Upload, UploadSegment
from tailrace.photos.receipts import forget_receipts
from tailrace.photos.resources import Resources
from tailrace.photos.segments import remove_segments
from tailrace.storage import ObjectMissing, Storage

# For so long a client that comes back too late is told what became of its upload.
UPLOAD_MEMORY = timedelta(days=7)
_BATCH = 200
_UNFINISHED = {PhotoState.UPLOADED, PhotoState.PROCESSING}
_log = logging.getLogger(__name__)


def remove_files(storage: Storage, photo_id: str) -> None:
    """Remove every file of a photo whose row is gone."""
    for key in list(storage.keys(f"{PHOTOS}/{photo_id}")):
        storage.delete(key)


def empty_trash(ctx: JobContext[Resources], *, older_than: timedelta) -> None:
    """Remove the photos that were deleted longer ago than that, with their files."""
    long_deleted = Photo.deleted_at < utcnow() - older_than
    while True:
        with ctx.transaction() as session:
            some = select(Photo.id).where(long_deleted).limit(_BATCH)
            # The condition again, for on PostgreSQL one of them may be taken back while its row is waited for.
            gone = delete(Photo).where(Photo.id.in_(some), long_deleted)
            ids = session.scalars(gone.returning(Photo.id)).all()
        for photo_id in ids:
            remove_files(ctx.resources.storage, photo_id)
        if not ids:
            return
        _log.info("Removed %d photos that were in the trash for %d days", len(ids), older_than.days)
        ctx.check()


def end_uploads(ctx: JobContext[Resources]) -> None:
    """Remove the bytes of uploads whose time has passed; their rows stay for another week and tell so."""
    while True:
        with ctx.transaction() as session:
            ids = _take_expired(session)
        for upload_id in ids:
            remove_segments(ctx.resources.storage, upload_id)
        if not ids:
            break
        _log.info("Removed the bytes of %d uploads that nobody went on with", len(ids))
        ctx.check()
    with ctx.transaction() as session:
        session.execute(delete(Upload).where(Upload.expires_at <= moment(-UPLOAD_MEMORY.total_seconds())))


def remove_orphans(ctx: JobContext[Resources]) -> None:
    """Remove originals, renditions and segments that no row knows, which killed processes left behind."""
    for folder, known in ((PHOTOS, _known_files), (QUARANTINE, _known_segments)):
        for keys in _batches(ctx.resources.storage.keys(folder)):
            with ctx.database.read() as session:
                wanted = known(session, keys)
            for key in keys:
                if key not in wanted:
                    _remove_old(ctx.resources.storage, key, before=utcnow() - ORPHAN_AGE)
            ctx.check()


def take_up_stuck(ctx: JobContext[Resources], process: JobKind) -> None:
    """Have photos processed whose job is gone, and answer the failures of jobs that were not noted on their photo."""
    after = ""
    while True:
        with ctx.transaction() as session:
            photos = _unfinished(session, after, created_before=utcnow() - ORPHAN_AGE)
            for photo in photos:
                _take_up(session, photo, process)
        if len(photos) < _BATCH:
            return
        after = photos[-1].id
        ctx.check()


def forget_answers(ctx: JobContext[Resources]) -> None:
    """Forget what requests with an Idempotency-Key were answered, when nobody repeats them any more."""
    with ctx.transaction() as session:
        forget_receipts(session)


def _known_files(session: Session, keys: list[str]) -> set[str]:
    owners = {key: key.split("/")[1] for key in keys}
    found = session.execute(select(Photo.id, Photo.state).where(Photo.id.in_(set(owners.values()))))
    states: Mapping[str, str] = {row.id: row.state for row in found}
    renditions = set(session.scalars(select(PhotoRendition.storage_key).where(PhotoRendition.photo_id.in_(states))))
    # While a photo is being processed, any of its files may be the one that is about to be.
    return {
        key
        for key, owner in owners.items()
        if owner in states and (key == original_key(owner) or key in renditions or states[owner] in _UNFINISHED)
    }


def _known_segments(session: Session, keys: list[str]) -> set[str]:
    return set(session.scalars(select(UploadSegment.storage_key).where(UploadSegment.storage_key.in_(keys))))


def _take_expired(session: Session) -> list[str]:
    """Forget the segments of some expired uploads, unless a request is bringing more now; return the ids of those."""
    now = present(session)
    unlocked = or_(Upload.locked_until.is_(None), Upload.locked_until <= now)
    has_bytes = select(UploadSegment.upload_id).where(UploadSegment.upload_id == Upload.id).exists()
    query = select(Upload.id).where(Upload.expires_at <= now, unlocked, has_bytes).limit(_BATCH)
    ids = list(session.scalars(query.with_for_update()))
    # A request that has slept through its lease can book nothing any more.
    session.execute(update(Upload).where(Upload.id.in_(ids)).values(lock_token=None, locked_until=None))
    session.execute(delete(UploadSegment).where(UploadSegment.upload_id.in_(ids)))
    return ids


def _remove_old(storage: Storage, key: str, *, before: datetime) -> None:
    # One that disappears meanwhile was removed by its own request.
    with suppress(ObjectMissing):
        if storage.modified(key) < before:
            storage.delete(key)
            _log.info("Removed %s, which belongs to no photo", key)


def _unfinished(session: Session, after: str, *, created_before: datetime) -> list[Photo]:
    # Written out, for SQLite uses a partial index only where the query itself implies its condition.
    unfinished = text("state IN ('uploaded', 'processing')")
    query = select(Photo).where(unfinished, Photo.id > after, Photo.created_at < created_before)
    return list(session.scalars(query.order_by(Photo.id).limit(_BATCH)))


def _take_up(session: Session, photo: Photo, process: JobKind) -> None:
    owner = f"user:{photo.user_id}"
    try:
        job = get_job(session, photo.job_id or "")
    except UnknownJob:
        job = None
    if job is not None and not job.finished:
        return
    if job is not None and job.state in FAILED and process.on_failure is not None:
        enqueue(session, process.on_failure, _failure(job))
        return
    photo.job_id = enqueue(session, process, {"photo_id": photo.id}, owner=owner).id
    _log.warning("Photo %s was %s without a job and is processed again", photo.id, photo.state)


def _failure(job: Job) -> dict[str, object]:
    return {"job_id": job.id, "state": job.state, "error": job.error or "", "args": dict(job.args)}


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
    left = iter(keys)
    while batch := list(islice(left, _BATCH)):
        yield batch
