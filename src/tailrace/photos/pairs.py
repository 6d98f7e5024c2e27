"""Pairs of photos: the same thing before and after the work."""

from sqlalchemy import ColumnElement, delete, or_, select
from sqlalchemy.orm import Session

from tailrace.accounts.principal import Principal
from tailrace.errors import Conflict, Invalid, NotFound
from tailrace.photos.access import photo_to_change
from tailrace.photos.models import Photo, PhotoPair
from tailrace.photos.news import tell
from tailrace.photos.reading import show
from tailrace.photos.schemas import PairInput, PhotoView


def pair_photo(session: Session, principal: Principal, photo_id: str, wanted: PairInput) -> PhotoView:
    """Make a photo and another of its task a pair, in place of the pair it was in, and return the photo.

    Raises Invalid if they are not of one task, Conflict if the other is in a pair with a third, and as changing does.
    """
    photo = photo_to_change(session, principal, photo_id)
    other = _other(session, principal, photo, str(wanted.before or wanted.after))
    _dissolve(session, photo.id)
    before, after = (other, photo) if wanted.before else (photo, other)
    if session.scalars(select(PhotoPair).where(_has(other.id))).first() is not None:
        raise Conflict("The other photo is in a pair already; take it out of that one first.")
    session.add(PhotoPair(before_id=before.id, after_id=after.id))
    session.flush()
    tell(session, photo, "changed", fields=["pair"], by=principal.user_id)
    return show(session, principal, photo)


def unpair_photo(session: Session, principal: Principal, photo_id: str) -> None:
    """Take a photo out of its pair, if it is in one; raises as changing does."""
    photo = photo_to_change(session, principal, photo_id)
    if _dissolve(session, photo.id):
        tell(session, photo, "changed", fields=["pair"], by=principal.user_id)


def _other(session: Session, principal: Principal, photo: Photo, other_id: str) -> Photo:
    try:
        other = photo_to_change(session, principal, other_id)
    except NotFound as error:
        raise Invalid("There is no such other photo, or it is not yours to see.") from error
    if other.id == photo.id:
        raise Invalid("A photo cannot be before or after itself.")
    if photo.task_id is None or other.task_id != photo.task_id:
        raise Invalid("Only two photos of the same task can be a pair.")
    return other


def _dissolve(session: Session, photo_id: str) -> bool:
    return bool(session.scalars(delete(PhotoPair).where(_has(photo_id)).returning(PhotoPair.before_id)).all())


def _has(photo_id: str) -> ColumnElement[bool]:
    return or_(PhotoPair.before_id == photo_id, PhotoPair.after_id == photo_id)
