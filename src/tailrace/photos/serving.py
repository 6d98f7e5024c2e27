"""Where the bytes of a photo are, and how they are to be sent."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from tailrace.accounts.principal import Principal
from tailrace.errors import Conflict
from tailrace.photos.access import photo_to_read
from tailrace.photos.keys import original_key
from tailrace.photos.models import Photo, PhotoRendition, PhotoState, RenditionName
from tailrace.photos.names import saved_name, stem_of

RETRY_AFTER_S = 2
WEBP = "image/webp"
# What every browser shows; the rest is for saving.
_SHOWN = {"image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"}


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A photo's original or one of its renditions; `inline` if browsers can show it."""

    key: str
    size: int
    sha256: str
    name: str
    media_type: str
    inline: bool
    made_at: datetime


def open_original(session: Session, principal: Principal, photo_id: str) -> PhotoFile:
    """Return where a photo is as it came, whatever became of its processing; raises NotFound or Gone."""
    photo = photo_to_read(session, principal, photo_id)
    return PhotoFile(
        key=original_key(photo.id),
        size=photo.bytes,
        sha256=photo.sha256,
        name=saved_name(photo.name, photo.format),
        media_type=photo.media_type,
        inline=photo.media_type in _SHOWN,
        made_at=photo.created_at,
    )


def open_rendition(session: Session, principal: Principal, photo_id: str, name: RenditionName) -> PhotoFile:
    """Return where a rendition is.

    Raises NotFound or Gone; Conflict while there is none yet, or with the reason if there never will be.
    """
    photo = photo_to_read(session, principal, photo_id)
    rendition = session.get(PhotoRendition, (photo.id, name))
    if rendition is None:
        raise _missing(photo)
    return PhotoFile(
        key=rendition.storage_key,
        size=rendition.bytes,
        sha256=rendition.sha256,
        name=f"{stem_of(photo.name)}-{name}.webp",
        media_type=WEBP,
        inline=True,
        made_at=photo.created_at,
    )


def _missing(photo: Photo) -> Conflict:
    if photo.state == PhotoState.FAILED:
        reason = photo.error or "This photo could not be processed."
        return Conflict(f"{reason} `POST /photos/{photo.id}/retry` tries again.", state=photo.state)
    detail = "This photo is still being processed: ask again in a moment."
    return Conflict(detail, headers={"Retry-After": str(RETRY_AFTER_S)}, state=photo.state)
