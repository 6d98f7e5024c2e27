"""The photos of an archive: what goes in, under which path, and what its manifest tells of each."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.photos.archive_names import Folder, safe_name
from tailrace.photos.filters import PhotoFilters, conditions
from tailrace.photos.keys import original_key
from tailrace.photos.models import Photo
from tailrace.photos.names import saved_name
from tailrace.projects import service as projects
from tailrace.tasks import service as tasks

LOOSE = "Without a task"
_ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class ArchivedPhoto:
    """A photo in an archive: the `path` it has there, the storage `key` of its original, how its processing stands."""

    id: str
    path: str
    key: str
    project: str | None
    task: str | None
    name: str
    caption: str
    taken_at: str | None
    camera: str | None
    bytes: int
    sha256: str
    uploader: str
    created_at: datetime
    state: str
    error: str | None


def count_photos(session: Session, principal: Principal, filters: PhotoFilters) -> int:
    """Return how many photos the caller may see and the filters want."""
    wanted = conditions(session, principal, filters)
    return session.scalar(select(func.count()).select_from(Photo).where(*wanted)) or 0


def is_known(session: Session, photo_id: str) -> bool:
    """Return whether there is such a photo, in the trash or not: if there is none, its original need not be there."""
    return session.get(Photo, photo_id) is not None


def archived_photos(session: Session, principal: Principal, filters: PhotoFilters) -> Generator[ArchivedPhoto]:
    """Yield the photos that the caller may see and the filters want, folder by folder, the oldest first.

    Close it if it is not read to its end: on PostgreSQL the database keeps the rest until then.

    Within one snapshot every call yields the same, in the same order and under the same paths.
    """
    query = _query().where(*conditions(session, principal, filters))
    with closing(session.execute(query.execution_options(yield_per=_ROWS_AT_ONCE))) as rows:
        for _, group in groupby(rows, key=lambda row: (row.Photo.project_id, row.Photo.task_id)):
            names = Folder()
            for row in group:
                yield _archived(row, names)


def _query() -> Select[Any]:
    people, projects_, titles = accounts.people_table(), projects.projects_table(), tasks.titles_table()
    return (
        select(Photo, people.c.email, projects_.c.name.label("project"), titles.c.title.label("task"))
        .join(people, people.c.id == Photo.user_id)
        .outerjoin(projects_, projects_.c.id == Photo.project_id)
        .outerjoin(titles, titles.c.id == Photo.task_id)
        .order_by(Photo.project_id, Photo.task_id, Photo.shown_at, Photo.id)
    )


def _archived(row: Row[Any], names: Folder) -> ArchivedPhoto:
    photo: Photo = row.Photo
    return ArchivedPhoto(
        id=photo.id,
        path=f"{_folder(row)}/{names.name(saved_name(photo.name, photo.format))}",
        key=original_key(photo.id),
        project=row.project,
        task=row.task,
        name=photo.name,
        caption=photo.caption,
        taken_at=photo.taken_at,
        camera=photo.camera,
        bytes=photo.bytes,
        sha256=photo.sha256,
        uploader=row.email,
        created_at=photo.created_at,
        state=photo.state,
        error=photo.error,
    )


def _folder(row: Row[Any]) -> str:
    if row.Photo.task_id is None:
        return LOOSE
    # The ids make folders unique whatever projects and tasks are called.
    project, task = safe_name(f"{row.Photo.project_id} {row.project}"), safe_name(f"{row.Photo.task_id} {row.task}")
    return f"{project}/{task}"
