"""The members of a project, who always include a manager."""

from collections.abc import Callable, Collection

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.accounts.schemas import Person
from tailrace.database import publish
from tailrace.errors import Conflict, Invalid, NotFound
from tailrace.notifications import inbox
from tailrace.projects.access import require_role, require_work
from tailrace.projects.models import Project, ProjectMember, Role
from tailrace.projects.schemas import MemberView

MemberLeaves = Callable[[Session, Principal, int, int], None]
_leaving: list[MemberLeaves] = []


def when_member_leaves(function: MemberLeaves) -> MemberLeaves:
    """Register `function(session, principal, project_id, user_id)`, called in the transaction that removes a member.

    It is called twice, before their place is given up and after, for what came to them in between.
    """
    _leaving.append(function)
    return function


def list_members(session: Session, principal: Principal, project_id: int) -> list[MemberView]:
    """Return the members of a project, in the order they came; raises NotFound."""
    require_role(session, principal, project_id, Role.VIEWER)
    query = select(ProjectMember).where(ProjectMember.project_id == project_id)
    members = session.scalars(query.order_by(ProjectMember.added_at, ProjectMember.user_id)).all()
    people = accounts.find_people(session, {member.user_id for member in members})
    return [_view(member, people[member.user_id]) for member in members]


def list_colleagues(session: Session, principal: Principal) -> list[Person]:
    """Return the members of all projects that the caller may see and that are not in the archive, each once."""
    query = select(ProjectMember.user_id).distinct().join(Project).where(~Project.archived)
    if not principal.is_admin:
        mine = select(ProjectMember.project_id).where(ProjectMember.user_id == principal.user_id)
        query = query.where(ProjectMember.project_id.in_(mine))
    return list(accounts.find_people(session, set(session.scalars(query))).values())


def add_member(session: Session, principal: Principal, project_id: int, *, email: str, role: Role) -> MemberView:
    """Make the person with this normalised address a member.

    Raises NotFound or Forbidden for the caller, Invalid if nobody has the address, Conflict for a member.
    """
    require_work(session, principal, project_id, Role.MANAGER)
    try:
        user = accounts.find_user_by_email(session, email)
    except NotFound as error:
        raise Invalid(f"{error.detail} An administrator creates accounts.") from error
    member = ProjectMember(project_id=project_id, user_id=user.id, role=role)
    session.add(member)
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(f"{email} is a member already; change the role instead.") from error
    _tell(session, principal, "member.added", member)
    name = session.get_one(Project, project_id).name
    news = inbox.News(inbox.Kind.PROJECT, name, place=name, actor_id=principal.user_id, project_id=project_id)
    inbox.notify(session, [user.id], news)
    return _view(member, accounts.find_people(session, {user.id})[user.id])


def change_role(session: Session, principal: Principal, project_id: int, user_id: int, role: Role) -> MemberView:
    """Give a member another role; raises NotFound, Forbidden, or Conflict if no manager would be left."""
    require_work(session, principal, project_id, Role.MANAGER)
    member = _member(session, project_id, user_id)
    if role is not Role.MANAGER:
        _keep_a_manager(session, member)
    member.role = role
    session.flush()
    _tell(session, principal, "member.changed", member)
    return _view(member, accounts.find_people(session, {user_id})[user_id])


def remove_member(session: Session, principal: Principal, project_id: int, user_id: int) -> None:
    """Take a member out, which managers may, and everybody themselves; raises as `change_role` does."""
    leaves = principal.user_id == user_id
    require_role(session, principal, project_id, Role.VIEWER if leaves else Role.MANAGER)
    member = _member(session, project_id, user_id)
    _keep_a_manager(session, member)
    _leave(session, principal, project_id, user_id)
    session.delete(member)
    session.flush()
    # Whoever held their place to give them something was waited for just now: what was given is left as well.
    _leave(session, principal, project_id, user_id)
    _tell(session, principal, "member.removed", member)
    # What their inbox held of the project is gone with their place in it.
    inbox.tell_unread(session, [user_id])


def require_member(session: Session, project_id: int, user_id: int) -> None:
    """Raise Invalid if this person is no member of the project; their place is held until the transaction ends."""
    if user_id not in hold_members(session, project_id, [user_id]):
        raise Invalid("A task can only be assigned to a member of its project.")


def hold_members(session: Session, project_id: int, user_ids: Collection[int]) -> set[int]:
    """Return those of these people who are members; their places are held until the transaction ends.

    What is held is that they are members, not as what: a change of roles (`_keep_a_manager`) and this do not wait for
    each other. Whoever holds a place may hold a task, and whoever changes members may wait for that task.
    """
    here = select(ProjectMember.user_id).where(
        ProjectMember.project_id == project_id, ProjectMember.user_id.in_(user_ids)
    )
    return set(session.scalars(here.order_by(ProjectMember.user_id).with_for_update(read=True, key_share=True)))


def _member(session: Session, project_id: int, user_id: int) -> ProjectMember:
    member = session.get(ProjectMember, (project_id, user_id))
    if member is None:
        raise NotFound("This project has no such member.")
    return member


def _keep_a_manager(session: Session, member: ProjectMember) -> None:
    # Locked, so that on PostgreSQL the last two managers cannot go at the same moment; not against those who hold a
    # place (`hold_members`), for they may hold a task as well, which somebody who goes must leave. In one
    # order, so that two who change members do not wait for each other.
    query = select(ProjectMember.user_id).where(
        ProjectMember.project_id == member.project_id, ProjectMember.role == Role.MANAGER
    )
    in_order = query.order_by(ProjectMember.user_id).with_for_update(key_share=True)
    if set(session.scalars(in_order)) == {member.user_id}:
        raise Conflict("A project cannot be without a manager; make somebody else one first.")


def _leave(session: Session, principal: Principal, project_id: int, user_id: int) -> None:
    for function in _leaving:
        function(session, principal, project_id, user_id)


def _view(member: ProjectMember, person: object) -> MemberView:
    return MemberView.model_validate({"user": person, "role": member.role, "added_at": member.added_at})


def _tell(session: Session, principal: Principal, name: str, member: ProjectMember) -> None:
    data = {"user": member.user_id, "role": str(member.role), "by": principal.user_id}
    publish(session, f"project:{member.project_id}", name, data)
