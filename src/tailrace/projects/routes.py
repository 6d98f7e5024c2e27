"""Projects and their members."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from tailrace.accounts.dependencies import CurrentUser
from tailrace.http.dependencies import ReadSession, WriteSession
from tailrace.http.fields import Id
from tailrace.projects import service
from tailrace.projects.schemas import (
    MemberInput,
    MemberList,
    MemberView,
    ProjectChanges,
    ProjectInput,
    ProjectPage,
    ProjectQuery,
    ProjectView,
    RoleInput,
)

router = APIRouter(prefix="/projects", tags=["projects"])


@router.post("", status_code=201)
def create_project(body: ProjectInput, response: Response, user: CurrentUser, session: WriteSession) -> ProjectView:
    """Create a project and become its manager."""
    project = service.create_project(session, user, name=body.name, description=body.description)
    response.headers["Location"] = f"/projects/{project.id}"
    return project


@router.get("")
def list_projects(query: Annotated[ProjectQuery, Query()], user: CurrentUser, session: ReadSession) -> ProjectPage:
    """List the projects that you are a member of; administrators see all."""
    return service.list_projects(session, user, archived=query.archived, after=query.after, limit=query.limit)


@router.get("/{project_id}")
def show_project(project_id: Id, user: CurrentUser, session: ReadSession) -> ProjectView:
    """Show a project."""
    return service.get_project(session, user, project_id)


@router.patch("/{project_id}")
def update_project(project_id: Id, body: ProjectChanges, user: CurrentUser, session: WriteSession) -> ProjectView:
    """Change a project, or put it into the archive or back (managers)."""
    return service.update_project(session, user, project_id, body)


@router.get("/{project_id}/members")
def list_members(project_id: Id, user: CurrentUser, session: ReadSession) -> MemberList:
    """List the members of a project."""
    return MemberList(items=service.list_members(session, user, project_id))


@router.post("/{project_id}/members", status_code=201)
def add_member(project_id: Id, body: MemberInput, user: CurrentUser, session: WriteSession) -> MemberView:
    """Make somebody who has an account a member (managers)."""
    return service.add_member(session, user, project_id, email=body.email, role=body.role)


@router.patch("/{project_id}/members/{user_id}")
def change_role(project_id: Id, user_id: Id, body: RoleInput, user: CurrentUser, session: WriteSession) -> MemberView:
    """Give a member another role (managers)."""
    return service.change_role(session, user, project_id, user_id, body.role)


@router.delete("/{project_id}/members/{user_id}", status_code=204)
def remove_member(project_id: Id, user_id: Id, user: CurrentUser, session: WriteSession) -> None:
    """Take a member out (managers), or leave a project."""
    service.remove_member(session, user, project_id, user_id)
