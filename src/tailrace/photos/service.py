"""Photos: captions and another try at processing. Looking at them is in `reading` and `serving`, adding them in
`receiving`, deleting in `trash`, pairs in `pairs`, archives in `archive`; all are offered here.
"""

from sqlalchemy.orm import Session

from tailrace.accounts.principal import Principal
from tailrace.errors import Conflict
from tailrace.notifications import inbox
from tailrace.photos.access import check_upload, photo_to_change
from tailrace.photos.archive import ArchivedPhoto, archived_photos, count_photos, is_known
from tailrace.photos.models import PhotoState, RenditionName
from tailrace.photos.news import tell
from tailrace.photos.pairs import pair_photo, unpair_photo
from tailrace.photos.reading import (
    Neighbour,
    get_photo,
    list_own_photos,
    list_project_photos,
    list_task_photos,
    neighbours,
    show,
)
from tailrace.photos.receiving import process
from tailrace.photos.schemas import PhotoView
from tailrace.photos.serving import PhotoFile, open_original, open_rendition
from tailrace.photos.trash import delete_photo, list_trash, restore_photo

__all__ = [
    "ArchivedPhoto",
    "Neighbour",
    "PhotoFile",
    "PhotoState",
    "RenditionName",
    "archived_photos",
    "change_caption",
    "check_upload",
    "count_photos",
    "delete_photo",
    "get_photo",
    "is_known",
    "list_own_photos",
    "list_project_photos",
    "list_task_photos",
    "list_trash",
    "neighbours",
    "open_original",
    "open_rendition",
    "pair_photo",
    "restore_photo",
    "retry_photo",
    "unpair_photo",
]


def change_caption(
    session: Session, principal: Principal, photo_id: str, caption: str, *, seen: str | None = None
) -> PhotoView:
    """Write what a photo shows; `seen` is what the caller saw there before, and the same again changes nothing.

    Raises NotFound, Gone, Forbidden, or Conflict if the project is archived or somebody else wrote something meanwhile.
    """
    photo = photo_to_change(session, principal, photo_id)
    if caption not in (photo.caption, seen):
        if seen not in (photo.caption, None):
            did = f"wrote “{photo.caption}”" if photo.caption else "removed the caption"
            raise Conflict(f"Somebody else {did} meanwhile. Save again to put yours in its place.")
        photo.caption = caption
        session.flush()
        tell(session, photo, "changed", fields=["caption"], by=principal.user_id)
    return show(session, principal, photo)


def retry_photo(session: Session, principal: Principal, photo_id: str) -> PhotoView:
    """Have a photo that failed processed again, by a new job; raises Conflict for any other, and as changing does."""
    photo = photo_to_change(session, principal, photo_id)
    if photo.state != PhotoState.FAILED:
        raise Conflict(f"This photo is {photo.state}; only one that failed is processed again.", state=photo.state)
    photo.state, photo.error = PhotoState.UPLOADED, None
    process(session, [photo])
    tell(session, photo, "retried", by=principal.user_id)
    inbox.forget(session, user_id=photo.user_id, subject=photo.id)
    return show(session, principal, photo)
