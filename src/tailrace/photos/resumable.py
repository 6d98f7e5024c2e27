"""Uploads that go on after an interruption: what the database knows of them.

    waiting ──claim──▶ receiving ──complete──▶ finished
       ▲                  │    └────refuse────▶ refused
       └────release───────┘
    waiting ──its time passes──▶ expired

A request that brings bytes claims the upload first: nobody else can until it gives the claim back or its lease ends.
Who then claims it writes alone: an earlier claim can change nothing any more. `offset` moves only past bytes that are
durable in storage, and reaches `length` in the transaction that makes the photo: so whatever is killed, the client goes
on at `offset`, and the upload is whole if and only if the photo exists. Leases go by the database's clock, which all
machines share.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from tailrace.accounts.principal import Principal
from tailrace.database import present
from tailrace.errors import Gone, NotFound
from tailrace.photos.access import check_upload
from tailrace.photos.models import Upload, UploadSegment
from tailrace.photos.segments import Segment
from tailrace.photos.upload_locks import is_abandoned, new_token
from tailrace.photos.upload_schemas import UploadState, UploadView
from tailrace.streams import tus

LEASE = timedelta(seconds=15)
MOST_LISTED = 100
_UNKNOWN = "There is no upload with this id among yours."
_EXPIRED = "This upload made no progress for too long and was given up: send the file again."


@dataclass(frozen=True, slots=True)
class NewUpload:
    """A file that somebody is going to send: its length in bytes, and what the photo shall carry.

    `metadata` is the header that said so, to be told again.
    """

    length: int
    name: str
    task_id: int | None = None
    caption: str = ""
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write to an upload from `offset` on."""

    upload_id: str
    token: str
    offset: int
    length: int
    task_id: int | None
    name: str
    caption: str


def create_upload(session: Session, principal: Principal, new: NewUpload, *, lifetime: timedelta) -> UploadView:
    """Begin an upload, without any bytes yet; raises what `check_upload` does."""
    check_upload(session, principal, new.task_id)
    now = present(session)
    upload = Upload(
        user_id=principal.user_id,
        task_id=new.task_id,
        name=new.name,
        caption=new.caption,
        tus_metadata=new.metadata,
        length=new.length,
        offset=0,
        created_at=now,
        expires_at=now + lifetime,
    )
    session.add(upload)
    session.flush()
    return _view(upload, now)


def get_upload(session: Session, principal: Principal, upload_id: str) -> UploadView:
    """Show an upload of the caller's; raises NotFound."""
    return _view(_own(session, principal, upload_id), present(session))


def list_unfinished(session: Session, principal: Principal) -> list[UploadView]:
    """Return the caller's uploads that can go on, the newest first, 100 at most."""
    mine = select(Upload).where(Upload.user_id == principal.user_id, Upload.offset < Upload.length)
    now = present(session)
    open_ones = mine.where(Upload.error.is_(None), Upload.expires_at > now)
    return [_view(upload, now) for upload in session.scalars(open_ones.order_by(Upload.id.desc()).limit(MOST_LISTED))]


def list_finished(
    session: Session, principal: Principal, *, within: timedelta, lifetime: timedelta
) -> list[UploadView]:
    """Return the caller's uploads that have become photos, and moved `within` so long, the newest first."""
    now = present(session)
    # What has moved expires a `lifetime` later.
    moved = Upload.expires_at > now + lifetime - within
    mine = select(Upload).where(Upload.user_id == principal.user_id, Upload.photo_id.is_not(None), moved)
    return [_view(upload, now) for upload in session.scalars(mine.order_by(Upload.id.desc()).limit(MOST_LISTED))]


def inspect_upload(session: Session, principal: Principal, upload_id: str) -> tuple[UploadView, str]:
    """Return an upload of the caller's that can go on or is finished, and the metadata that it was begun with.

    Raises NotFound, or Gone with the reason for one that was refused or has expired.
    """
    upload, now = _own(session, principal, upload_id), present(session)
    _check_not_gone(upload, now)
    return _view(upload, now), upload.tus_metadata


def claim_upload(session: Session, principal: Principal, upload_id: str, offset: int) -> Claim:
    """Give the caller alone the right to write from `offset` on, for 15 seconds unless `keep_claim` renews it.

    Raises NotFound, Gone, what `check_upload` does, UploadLocked while another request writes, and OffsetMismatch.
    """
    upload = _own(session, principal, upload_id, for_update=True)
    now = present(session)
    _check_not_gone(upload, now)
    check_upload(session, principal, upload.task_id)
    if _is_locked(upload, now):
        raise tus.UploadLocked
    if upload.offset != offset:
        raise tus.OffsetMismatch(f"This upload goes on at byte {upload.offset}, not at {offset}.")
    upload.lock_token = new_token()
    upload.locked_until = now + LEASE
    return Claim(upload.id, upload.lock_token, offset, upload.length, upload.task_id, upload.name, upload.caption)


def keep_claim(session: Session, claim: Claim) -> None:
    """Renew the lease of a claim; raises as `advance` does."""
    _claimed(session, claim).locked_until = present(session) + LEASE


def advance(session: Session, claim: Claim, segment: Segment, *, lifetime: timedelta, releasing: bool = False) -> Claim:
    """Move the offset past a segment that is durable in storage, and return the claim to what follows.

    `releasing` gives the claim back in the same transaction. Raises NotFound or Gone if the upload was ended meanwhile,
    UploadLocked if another request has claimed it.
    """
    upload = _claimed(session, claim)
    now = present(session)
    session.add(UploadSegment(upload_id=upload.id, start=segment.start, bytes=segment.bytes, storage_key=segment.key))
    upload.offset = segment.stop
    upload.locked_until = now + LEASE
    upload.expires_at = now + lifetime
    if releasing:
        _unlock(upload)
    return replace(claim, offset=upload.offset)


def list_segments(session: Session, claim: Claim) -> list[Segment]:
    """Return the segments before the claim's offset, in their order."""
    segments = select(UploadSegment).where(UploadSegment.upload_id == claim.upload_id).order_by(UploadSegment.start)
    return [Segment(each.storage_key, each.start, each.bytes) for each in session.scalars(segments)]


def complete(session: Session, claim: Claim, photo_id: str) -> None:
    """Mark an upload as whole, in the transaction that makes the photo; raises as `advance` does."""
    upload = _claimed(session, claim)
    upload.offset = upload.length
    upload.photo_id = photo_id
    _end(session, upload)


def refuse(session: Session, claim: Claim, reason: str) -> None:
    """End an upload whose bytes cannot be taken, with a sentence that says why; raises as `advance` does."""
    upload = _claimed(session, claim)
    upload.error = reason
    _end(session, upload)


def release(session: Session, claim: Claim) -> None:
    """Give a claim back; one that has ended otherwise is fine."""
    upload = session.get(Upload, claim.upload_id, with_for_update=True)
    if upload is not None and upload.lock_token == claim.token:
        _unlock(upload)


def terminate(session: Session, principal: Principal, upload_id: str) -> None:
    """Forget an upload, also while a request still brings bytes; a photo that it became stays. Raises NotFound."""
    session.delete(_own(session, principal, upload_id, for_update=True))


def _own(session: Session, principal: Principal, upload_id: str, *, for_update: bool = False) -> Upload:
    upload = session.get(Upload, upload_id, with_for_update=for_update or None)
    if upload is None or upload.user_id != principal.user_id:
        raise NotFound(_UNKNOWN)
    return upload


def _claimed(session: Session, claim: Claim) -> Upload:
    """Return the upload, its row locked until the transaction ends, if nobody has claimed it since."""
    upload = session.get(Upload, claim.upload_id, with_for_update=True)
    if upload is None:
        raise NotFound(_UNKNOWN)
    _check_not_gone(upload, present(session))
    if upload.lock_token != claim.token:
        raise tus.UploadLocked
    return upload


def _end(session: Session, upload: Upload) -> None:
    _unlock(upload)
    session.execute(delete(UploadSegment).where(UploadSegment.upload_id == upload.id))


def _unlock(upload: Upload) -> None:
    upload.lock_token = upload.locked_until = None


def _is_locked(upload: Upload, now: datetime) -> bool:
    if upload.lock_token is None or upload.locked_until is None or upload.locked_until <= now:
        return False
    return not is_abandoned(upload.lock_token)


def _check_not_gone(upload: Upload, now: datetime) -> None:
    state = _state(upload, now)
    if state is UploadState.REFUSED:
        raise Gone(upload.error)
    if state is UploadState.EXPIRED:
        raise Gone(_EXPIRED)


def _state(upload: Upload, now: datetime) -> UploadState:
    if upload.offset == upload.length:
        return UploadState.FINISHED
    if upload.error is not None:
        return UploadState.REFUSED
    if _is_locked(upload, now):
        return UploadState.RECEIVING
    return UploadState.WAITING if upload.expires_at > now else UploadState.EXPIRED


def _view(upload: Upload, now: datetime) -> UploadView:
    return UploadView(
        id=upload.id,
        url=f"/uploads/{upload.id}",
        state=_state(upload, now),
        name=upload.name,
        caption=upload.caption,
        task=upload.task_id,
        length=upload.length,
        offset=upload.offset,
        photo=f"/photos/{upload.photo_id}" if upload.photo_id else None,
        error=upload.error,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
    )
