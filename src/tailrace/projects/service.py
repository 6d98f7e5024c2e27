"""Projects. Who may do what is decided in `access`, members are kept in `members`; both are offered here too."""

from sqlalchemy import ColumnElement, FromClause, Select, func, or_, select
from sqlalchemy.orm import Session

from tailrace.accounts.principal import Principal
from tailrace.database import publish
from tailrace.errors import Conflict
from tailrace.projects.access import require_role, require_work, role_in, visible_project_ids
from tailrace.projects.members import (
    add_member,
    change_role,
    hold_members,
    list_colleagues,
    list_members,
    remove_member,
    require_member,
    when_member_leaves,
)
from tailrace.projects.models import Project, ProjectMember, Role
from tailrace.projects.schemas import ProjectChanges, ProjectPage, ProjectRef, ProjectView

__all__ = [
    "Role",
    "add_member",
    "browse_projects",
    "change_role",
    "create_project",
    "find_projects",
    "get_project",
    "hold_members",
    "list_colleagues",
    "list_members",
    "list_names",
    "list_projects",
    "projects_table",
    "remove_member",
    "require_member",
    "require_role",
    "require_work",
    "role_in",
    "update_project",
    "visible_project_ids",
    "when_member_leaves",
]


def create_project(session: Session, principal: Principal, *, name: str, description: str = "") -> ProjectView:
    """Create a project with the caller as its manager."""
    project = Project(name=name, description=description, created_by_id=principal.user_id)
    session.add(project)
    session.flush()
    session.add(ProjectMember(project_id=project.id, user_id=principal.user_id, role=Role.MANAGER))
    session.flush()
    publish(session, f"project:{project.id}", "project.created", {"name": name, "by": principal.user_id})
    return _view(project, Role.MANAGER)


def list_projects(
    session: Session, principal: Principal, *, archived: bool | None = None, after: int = 0, limit: int = 50
) -> ProjectPage:
    """Return up to `limit` projects that the caller may see and whose id is above `after`, in the order they came."""
    query = _visible(principal, archived).where(Project.id > after).order_by(Project.id)
    items, more = _read(session, principal, query, limit)
    return ProjectPage(items=items, next=items[-1].id if more else None)


def browse_projects(
    session: Session, principal: Principal, *, archived: bool, words: str = "", skip: int = 0, limit: int
) -> tuple[list[ProjectView], bool]:
    """Return up to `limit` projects that the caller may see, by name, and whether there are more behind them.

    All of `words` are somewhere in their names. The first `skip` are left out.
    """
    query = _visible(principal, archived).where(*(_holds(word) for word in words.split()))
    query = query.order_by(func.lower(Project.name), Project.id).offset(skip)
    return _read(session, principal, query, limit)


def list_names(session: Session, principal: Principal, *, archived: bool | None = None) -> list[ProjectRef]:
    """Return the names of all projects that the caller may see, or of those in the archive or not."""
    rows = session.execute(_visible(principal, archived).with_only_columns(Project.id, Project.name))
    return [ProjectRef(id=row.id, name=row.name) for row in rows]


def get_project(session: Session, principal: Principal, project_id: int) -> ProjectView:
    """Return a project; raises NotFound."""
    role = require_role(session, principal, project_id, Role.VIEWER)
    return _view(session.get_one(Project, project_id), role)


def update_project(
    session: Session,
    principal: Principal,
    project_id: int,
    changes: ProjectChanges,
    *,
    seen: ProjectChanges | None = None,
) -> ProjectView:
    """Change a project, or put it into the archive or back.

    `seen` is what the caller saw before: a member that is the same in `changes` stays as it is by now. Raises NotFound,
    Forbidden, or Conflict if the project is archived, or if somebody else has changed one of the others meanwhile.
    """
    # Only what also takes it out of the archive may change an archived project.
    require = require_role if changes.archived is False else require_work
    role = require(session, principal, project_id, Role.MANAGER)
    project = session.get_one(Project, project_id, with_for_update=True, populate_existing=True)
    changed = _differences(project, changes, seen)
    for field, value in changed.items():
        setattr(project, field, value)
    session.flush()
    if changed:
        publish(
            session,
            f"project:{project_id}",
            "project.updated",
            {"fields": sorted(changed), "by": principal.user_id},
        )
    return _view(project, role)


def _differences(project: Project, changes: ProjectChanges, seen: ProjectChanges | None) -> dict[str, object]:
    before = seen.model_dump(exclude_none=True) if seen else {}
    given = changes.model_dump(exclude_none=True)
    wanted = {field: value for field, value in given.items() if field not in before or before[field] != value}
    changed = {field: value for field, value in wanted.items() if getattr(project, field) != value}
    lost = [field for field in changed if field in before and before[field] != getattr(project, field)]
    if lost:
        raise Conflict(f"Somebody else changed the {' and the '.join(lost)} of this project meanwhile.")
    return changed


def find_projects(session: Session, ids: set[int]) -> dict[int, ProjectRef]:
    """Return those of the projects `ids` that exist, by id, whoever may see them."""
    rows = session.execute(select(Project.id, Project.name).where(Project.id.in_(ids)))
    return {row.id: ProjectRef(id=row.id, name=row.name) for row in rows}


def projects_table(*, archived: bool | None = None) -> FromClause:
    """Return the projects, or those in the archive or not, as a table of id and name for another query to join."""
    query = select(Project.id, Project.name)
    return (query if archived is None else query.where(Project.archived == archived)).subquery("project_names")


def _visible(principal: Principal, archived: bool | None) -> Select[Project, str]:
    place = (ProjectMember.project_id == Project.id) & (ProjectMember.user_id == principal.user_id)
    query = select(Project, ProjectMember.role).join(ProjectMember, place, isouter=principal.is_admin)
    return query if archived is None else query.where(Project.archived == archived)


def _holds(word: str) -> ColumnElement[bool]:
    # SQLite knows upper and lower case of ASCII alone, so the others are written out.
    forms = dict.fromkeys((word, word.lower(), word.upper(), word.capitalize()))
    return or_(*(Project.name.icontains(form, autoescape=True) for form in forms))


def _read(
    session: Session, principal: Principal, query: Select[Project, str], limit: int
) -> tuple[list[ProjectView], bool]:
    rows = session.execute(query.limit(limit + 1)).all()
    items = [_view(project, Role.MANAGER if principal.is_admin else Role(role)) for project, role in rows[:limit]]
    return items, len(rows) > limit


def _view(project: Project, role: Role) -> ProjectView:
    return ProjectView.model_validate({**_columns(project), "role": role})


def _columns(project: Project) -> dict[str, object]:
    return {field: getattr(project, field) for field in ProjectView.model_fields if field != "role"}
