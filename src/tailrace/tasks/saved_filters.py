"""Filters that people saved under a name: each their own, and those that they share with the project's members."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from pydantic import ValidationError
from sqlalchemy import delete, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.database import publish, upsert, utcnow
from tailrace.errors import Conflict, Forbidden, Invalid, NotFound
from tailrace.projects import service as projects
from tailrace.tasks.chosen import TaskFilter
from tailrace.tasks.models import DefaultFilter, SavedFilter
from tailrace.tasks.schemas import SavedFilterChanges, SavedFilterInput, SavedFilterView

FILTERS_MAX = 50
_RESTORABLE = timedelta(days=1)
_UNKNOWN = "There is no such filter, or it is not shared with you."
_STALE = "It asks for something that there is no longer; choose the filters anew and save it again."


def list_filters(session: Session, principal: Principal, project_id: int) -> list[SavedFilterView]:
    """Return one's own filters of a project and those that are shared, by name; raises NotFound."""
    projects.require_role(session, principal, project_id, projects.Role.VIEWER)
    seen = or_(SavedFilter.user_id == principal.user_id, SavedFilter.shared)
    query = select(SavedFilter).where(SavedFilter.project_id == project_id, SavedFilter.deleted_at.is_(None), seen)
    views = _views(session, principal, session.scalars(query).all())
    return sorted(views, key=lambda view: (view.name.casefold(), view.id))


def save_filter(session: Session, principal: Principal, project_id: int, new: SavedFilterInput) -> SavedFilterView:
    """Save a filter; raises NotFound, Forbidden for a viewer who would share it, Invalid for one that finds nothing.

    Raises Conflict for a name that one used already, for the 51st filter, and for sharing in an archived project.
    """
    _require(session, principal, project_id, shared=new.shared)
    _check(new.filter)
    _check_number(session, principal.user_id, project_id)
    row = SavedFilter(
        project_id=project_id,
        user_id=principal.user_id,
        name=new.name,
        filter=new.filter.chosen(),
        shared=new.shared,
    )
    session.add(row)
    _flush(session, row)
    if new.default:
        _begin_with(session, principal, row)
    _tell(session, principal, row, widely=row.shared)
    return _view(session, principal, row)


def change_filter(
    session: Session, principal: Principal, filter_id: int, changes: SavedFilterChanges
) -> SavedFilterView:
    """Change a filter of one's own, or whether one's list begins with it, which is everybody's own choice.

    Raises as `save_filter` does, and Forbidden for somebody else's.
    """
    row = _find(session, principal, filter_id)
    given = changes.model_dump(exclude_none=True, exclude={"default", "filter"})
    if changes.filter is not None:
        given["filter"] = _check(changes.filter).chosen()
    was_shared = row.shared
    if given:
        _change(session, principal, row, given)
    if changes.default is not None:
        _choose_default(session, principal, row, wanted=changes.default)
    _tell(session, principal, row, widely=bool(given) and (was_shared or row.shared))
    return _view(session, principal, row)


def remove_filter(session: Session, principal: Principal, filter_id: int) -> SavedFilterView:
    """Remove a filter of one's own, or as a manager a shared one, and return it; raises NotFound, Forbidden.

    Of a shared one it takes the right to share: Forbidden for a viewer, Conflict in an archived project.
    """
    row = _find(session, principal, filter_id)
    _check_decides(session, principal, row)
    session.execute(delete(SavedFilter).where(SavedFilter.deleted_at < utcnow() - _RESTORABLE))
    row.deleted_at = utcnow()
    session.flush()
    _tell(session, principal, row, widely=row.shared)
    return _view(session, principal, row)


def removed_filter(session: Session, principal: Principal, filter_id: int) -> SavedFilterView:
    """Return a removed filter that the caller may restore; raises NotFound, Forbidden, Conflict."""
    row = _find(session, principal, filter_id, removed=True)
    _check_decides(session, principal, row)
    return _view(session, principal, row)


def restore_filter(session: Session, principal: Principal, filter_id: int) -> SavedFilterView:
    """Take back the removal of a filter, within a day; raises NotFound, Forbidden, Conflict as `save_filter` does."""
    row = _find(session, principal, filter_id, removed=True)
    _check_decides(session, principal, row)
    _check_number(session, row.user_id, row.project_id)
    row.deleted_at = None
    _flush(session, row)
    _tell(session, principal, row, widely=row.shared)
    return _view(session, principal, row)


def _change(session: Session, principal: Principal, row: SavedFilter, given: Mapping[str, object]) -> None:
    if row.user_id != principal.user_id:
        raise Forbidden("Only whoever saved a filter can change it; save one of your own instead.")
    _require(session, principal, row.project_id, shared=bool(given.get("shared", row.shared)))
    for name, value in given.items():
        setattr(row, name, value)
    _flush(session, row)


def _choose_default(session: Session, principal: Principal, row: SavedFilter, *, wanted: bool) -> None:
    if wanted:
        _begin_with(session, principal, row)
        return
    mine = (DefaultFilter.filter_id == row.id, DefaultFilter.user_id == principal.user_id)
    session.execute(delete(DefaultFilter).where(*mine))


def _begin_with(session: Session, principal: Principal, row: SavedFilter) -> None:
    keys = {"project_id": row.project_id, "user_id": principal.user_id}
    upsert(session, DefaultFilter, keys=keys, values={"filter_id": row.id})


def _require(session: Session, principal: Principal, project_id: int, *, shared: bool) -> None:
    """Refuse whoever may not keep a filter here: what others see is a change of the project."""
    if shared:
        projects.require_work(session, principal, project_id)
    else:
        projects.require_role(session, principal, project_id, projects.Role.VIEWER)


def _check(chosen: TaskFilter) -> TaskFilter:
    # The project and the day do not matter for whether there is such a filter.
    chosen.query(1, utcnow().date())
    return chosen


def _check_number(session: Session, user_id: int, project_id: int) -> None:
    theirs = (SavedFilter.project_id == project_id, SavedFilter.user_id == user_id)
    number = session.scalar(select(func.count()).where(*theirs, SavedFilter.deleted_at.is_(None))) or 0
    if number >= FILTERS_MAX:
        raise Conflict(f"A person can save {FILTERS_MAX} filters in a project at most; remove one of them first.")


def _check_decides(session: Session, principal: Principal, row: SavedFilter) -> None:
    manages = projects.role_in(session, principal, row.project_id) is projects.Role.MANAGER
    if row.user_id != principal.user_id and not manages:
        raise Forbidden("Only whoever saved a filter, or a manager of the project, can remove it.")
    _require(session, principal, row.project_id, shared=row.shared)


def _flush(session: Session, row: SavedFilter) -> None:
    name = row.name
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(f"“{name}” is the name of another filter of the same person; choose another name.") from error


def _find(session: Session, principal: Principal, filter_id: int, *, removed: bool = False) -> SavedFilter:
    row = session.get(SavedFilter, filter_id)
    if row is None or (row.deleted_at is not None) is not removed:
        raise NotFound(_UNKNOWN)
    if row.deleted_at is not None and row.deleted_at < utcnow() - _RESTORABLE:
        raise NotFound(_UNKNOWN)
    if row.user_id != principal.user_id and not row.shared:
        raise NotFound(_UNKNOWN)
    try:
        projects.require_role(session, principal, row.project_id, projects.Role.VIEWER)
    except NotFound as error:
        # The same sentence as for a filter that does not exist.
        raise NotFound(_UNKNOWN) from error
    return row


def _tell(session: Session, principal: Principal, row: SavedFilter, *, widely: bool) -> None:
    channel = f"project:{row.project_id}" if widely else f"user:{principal.user_id}"
    data = {"filter": row.id, "project": row.project_id, "by": principal.user_id}
    publish(session, channel, "filters.changed", data)


def _view(session: Session, principal: Principal, row: SavedFilter) -> SavedFilterView:
    return _views(session, principal, [row])[0]


def _views(session: Session, principal: Principal, rows: Sequence[SavedFilter]) -> list[SavedFilterView]:
    people = accounts.find_people(session, {row.user_id for row in rows})
    named = projects.find_projects(session, {row.project_id for row in rows})
    mine = select(DefaultFilter.filter_id).where(DefaultFilter.user_id == principal.user_id)
    defaults = set(session.scalars(mine.where(DefaultFilter.filter_id.in_([row.id for row in rows]))))
    return [
        SavedFilterView(
            id=row.id,
            project=named[row.project_id],
            name=row.name,
            filter=row.filter,
            owner=people[row.user_id],
            shared=row.shared,
            default=row.id in defaults,
            fault=_fault(row.filter),
            created_at=row.created_at,
        )
        for row in rows
    ]


def _fault(stored: Mapping[str, str]) -> str | None:
    """Return a sentence if a filter that was saved by another version asks for what this one does not have."""
    try:
        _check(TaskFilter.model_validate(stored))
    except (ValidationError, Invalid):
        return _STALE
    return None
