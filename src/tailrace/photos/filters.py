"""Which photos: filters for reports, which hold together with what somebody may see."""

from collections.abc import Iterator

from pydantic import Field
from sqlalchemy import ColumnElement, or_
from sqlalchemy.orm import Session

from tailrace.accounts.principal import Principal
from tailrace.http.fields import Id, Input
from tailrace.photos.models import Photo
from tailrace.photos.timeline import of_person
from tailrace.projects import service as projects
from tailrace.tasks.fields import Moment
from tailrace.tasks.filters import Several


class PhotoFilters(Input):
    """Which photos. `taken_…` goes by the moment a photo was uploaded where nobody knows when it was taken."""

    project: Several[Id] = Field(default_factory=list, description="id of a project")
    task: Several[Id] = Field(default_factory=list, description="id of a task")
    taken_after: Moment | None = Field(default=None, description="at this moment or later")
    taken_before: Moment | None = Field(default=None, description="before this moment")


def conditions(session: Session, principal: Principal, filters: PhotoFilters) -> list[ColumnElement[bool]]:
    """Return the conditions for the photos that the filters want and the caller may see, their own without task too."""
    visible = Photo.project_id.in_(projects.visible_project_ids(session, principal))
    return [
        Photo.deleted_at.is_(None),
        or_(visible, of_person(principal.user_id)),
        *_wanted(filters),
    ]


def _wanted(filters: PhotoFilters) -> Iterator[ColumnElement[bool]]:
    if filters.project:
        yield Photo.project_id.in_(filters.project)
    if filters.task:
        yield Photo.task_id.in_(filters.task)
    if filters.taken_after is not None:
        yield Photo.shown_at >= filters.taken_after
    if filters.taken_before is not None:
        yield Photo.shown_at < filters.taken_before
