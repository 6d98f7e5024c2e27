"""Pages of photos by the moment they were taken, the newest first: each is one short walk along an index."""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from sqlalchemy import ColumnElement, Select, literal, select, tuple_

from tailrace.database import UTCDateTime
from tailrace.errors import Invalid
from tailrace.photos.models import Photo

_NOT_A_CURSOR = "This `after` is not the `next` of an earlier page; start at the first page."


@dataclass(frozen=True, slots=True)
class Place:
    """The place in a time line just behind a photo."""

    shown_at: datetime
    id: str

    @classmethod
    def behind(cls, photo: Photo) -> Self:
        """Return the place behind this photo."""
        return cls(photo.shown_at, photo.id)

    def encode(self) -> str:
        """Return the text for `after`, opaque to callers."""
        data = json.dumps([self.shown_at.isoformat(), self.id])
        return base64.urlsafe_b64encode(data.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Self:
        """Return the place that `encode` wrote; raises Invalid for anything else."""
        try:
            moment, photo_id = json.loads(base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
            place = cls(datetime.fromisoformat(moment), photo_id)
            if place.shown_at.tzinfo is None or type(photo_id) is not str or not photo_id.isalnum():
                raise ValueError
            # A moment at the edge of the calendar may not exist in UTC.
            place.shown_at.astimezone(UTC)
        except (ValueError, TypeError, RecursionError, OverflowError) as error:
            raise Invalid(_NOT_A_CURSOR) from error
        return place


def of_project(project_id: int) -> ColumnElement[bool]:
    """Return the condition for the photos of a project."""
    return Photo.project_id == project_id


def of_task(task_id: int) -> ColumnElement[bool]:
    """Return the condition for the photos of a task."""
    return Photo.task_id == task_id


def of_person(user_id: int) -> ColumnElement[bool]:
    """Return the condition for the photos that are somebody's alone, in no task."""
    return (Photo.user_id == user_id) & Photo.task_id.is_(None)


def page(whose: ColumnElement[bool], *, after: Place | None, limit: int) -> Select[Photo]:
    """Return the query for the first `limit` photos behind `after` that are not in the trash."""
    query = select(Photo).where(whose, Photo.deleted_at.is_(None))
    if after is not None:
        there = tuple_(literal(after.shown_at, UTCDateTime), literal(after.id))
        query = query.where(tuple_(Photo.shown_at, Photo.id) < there)
    return query.order_by(Photo.shown_at.desc(), Photo.id.desc()).limit(limit)


def newer(whose: ColumnElement[bool], than: Place) -> Select[Photo]:
    """Return the query for the one photo just before a place in the time line."""
    there = tuple_(literal(than.shown_at, UTCDateTime), literal(than.id))
    query = select(Photo).where(whose, Photo.deleted_at.is_(None), tuple_(Photo.shown_at, Photo.id) > there)
    return query.order_by(Photo.shown_at, Photo.id).limit(1)
