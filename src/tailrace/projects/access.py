"""Who may do what in which project: the one place that decides.

A project that the caller is no member of does not exist for them (404); within a project, too low a role is refused
with 403. Administrators run the installation: they see every project, and may do there what a manager may.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from tailrace.accounts.principal import Principal
from tailrace.errors import Conflict, Forbidden, NotFound
from tailrace.projects.models import Project, ProjectMember, Role

UNKNOWN_PROJECT = "There is no project with this id, or you are no member of it."


def visible_project_ids(session: Session, principal: Principal) -> list[int]:
    """Return the ids of all projects that the caller may see, in ascending order."""
    if principal.is_admin:
        return list(session.scalars(select(Project.id).order_by(Project.id)))
    mine = select(ProjectMember.project_id).where(ProjectMember.user_id == principal.user_id)
    return list(session.scalars(mine.order_by(ProjectMember.project_id)))


def role_in(session: Session, principal: Principal, project_id: int) -> Role:
    """Return what the caller may do in a project; raises NotFound if they may not know of it."""
    if principal.is_admin:
        if session.get(Project, project_id) is None:
            raise NotFound(UNKNOWN_PROJECT)
        return Role.MANAGER
    member = session.get(ProjectMember, (project_id, principal.user_id))
    if member is None:
        raise NotFound(UNKNOWN_PROJECT)
    return Role(member.role)


def require_role(session: Session, principal: Principal, project_id: int, role: Role) -> Role:
    """Return the caller's role in a project; raises NotFound for no member, Forbidden if it is below `role`."""
    actual = role_in(session, principal, project_id)
    if actual.rank < role.rank:
        raise Forbidden(f"This needs the role {role} in the project; yours is {actual}.")
    return actual


def require_work(session: Session, principal: Principal, project_id: int, role: Role = Role.MEMBER) -> Role:
    """Do as `require_role`, for a change; raises Conflict too if the project is archived."""
    project = session.get(Project, project_id)  # first, and kept: who looks for the role then need not ask for it again
    actual = require_role(session, principal, project_id, role)
    if project is not None and project.archived:
        raise Conflict("This project is archived; a manager must take it out of the archive before anything changes.")
    return actual
