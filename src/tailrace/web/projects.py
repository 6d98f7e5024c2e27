"""Projects: all of them, a new one, and the settings and members of one."""

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from tailrace.errors import Conflict, NotFound, TailraceError
from tailrace.http.fields import Id, Text
from tailrace.projects import service as projects
from tailrace.projects.schemas import MemberInput, ProjectChanges, ProjectInput, ProjectView, RoleInput
from tailrace.tasks import service as tasks
from tailrace.tasks.filters import TaskFilters
from tailrace.web.forms import Form
from tailrace.web.routing import page_router
from tailrace.web.visit import Visit, Visiting

router = page_router()
_SHOWN = 100
_ARCHIVED_SHOWN = 20
Words = Annotated[Text, Query(max_length=200)]
PageNumber = Annotated[int, Query(ge=1, le=100_000)]
ROLE_NAMES = {
    projects.Role.VIEWER: "Viewer – reads",
    projects.Role.MEMBER: "Member – works on tasks",
    projects.Role.MANAGER: "Manager – also decides about the project",
}


@router.get("/web/projects")
def list_projects(visit: Visiting, q: Words = "", page: PageNumber = 1, archived: bool = False) -> Response:
    """List the projects by name, or those in the archive, or those with some words in their names."""
    with visit.shell() as (session, shell):

        def browse(*, archived: bool, skip: int = 0, limit: int = _SHOWN) -> tuple[list[ProjectView], bool]:
            return projects.browse_projects(session, visit.user, archived=archived, words=q, skip=skip, limit=limit)

        found, more = browse(archived=archived, skip=(page - 1) * _SHOWN)
        old, more_old = ([], False) if archived or page > 1 else browse(archived=True, limit=_ARCHIVED_SHOWN)
        return visit.page(
            "projects/list",
            shell,
            projects=found,
            more=more,
            archived=old,
            more_archived=more_old,
            in_archive=archived,
            page=page,
            q=q,
        )


@router.get("/web/projects/new")
def new_project(visit: Visiting) -> Response:
    """Show the form for a new project."""
    return _show_new(visit, Form())


@router.post("/web/projects")
def create_project(visit: Visiting) -> Response:
    """Create a project and go there."""
    form = visit.form
    try:
        given = form.read(ProjectInput, name=form.text("name"))
        with visit.write() as session:
            project = projects.create_project(session, visit.user, name=given.name, description=given.description)
    except TailraceError as error:
        return _show_new(visit, form.refused(error), status=error.status)
    return visit.go(f"/web/projects/{project.id}")


@router.get("/web/projects/{project_id}/settings")
def project_settings(visit: Visiting, project_id: Id) -> Response:
    """Show name, text and members of a project."""
    return _show_settings(visit, project_id)


@router.post("/web/projects/{project_id}/settings")
def change_project(visit: Visiting, project_id: Id) -> Response:
    """Change name and text."""
    form = visit.form
    try:
        changes = form.read(ProjectChanges)
        with visit.write() as session:
            projects.update_project(session, visit.user, project_id, changes, seen=_seen(form))
    except TailraceError as error:
        return _show_settings(visit, project_id, form=form.refused(error), status=error.status)
    return visit.go(_settings(project_id), "Saved.")


@router.post("/web/projects/{project_id}/archive")
def archive_project(visit: Visiting, project_id: Id) -> Response:
    """Put a project into the archive, or take it out."""
    archived = visit.form.text("archived") == "true"
    with visit.write() as session:
        projects.update_project(session, visit.user, project_id, ProjectChanges(archived=archived))
    return visit.go(_settings(project_id), f"The project is {'in' if archived else 'out of'} the archive.")


@router.post("/web/projects/{project_id}/members")
def add_member(visit: Visiting, project_id: Id) -> Response:
    """Make somebody a member."""
    form = visit.form
    try:
        given = form.read(MemberInput)
        with visit.write() as session:
            projects.add_member(session, visit.user, project_id, email=given.email, role=given.role)
    except TailraceError as error:
        form.refused(error, "email")
        return _show_settings(visit, project_id, member=form, status=error.status)
    return visit.go(_settings(project_id), f"{given.email} is a member now.")


@router.post("/web/projects/{project_id}/members/{user_id}")
def change_role(visit: Visiting, project_id: Id, user_id: Id) -> Response:
    """Give a member another role."""
    role = visit.form.read(RoleInput).role
    with visit.write() as session:
        member = projects.change_role(session, visit.user, project_id, user_id, role)
    return visit.go(_settings(project_id), f"{member.user.name} is a {role} now.")


@router.get("/web/projects/{project_id}/members/{user_id}/delete")
def ask_to_remove(visit: Visiting, project_id: Id, user_id: Id) -> Response:
    """Ask whether a member is really to go, or whether one really wants to leave."""
    return _ask_to_remove(visit, project_id, user_id)


@router.post("/web/projects/{project_id}/members/{user_id}/delete")
def remove_member(visit: Visiting, project_id: Id, user_id: Id) -> Response:
    """Take a member out, or leave oneself."""
    try:
        with visit.write() as session:
            projects.remove_member(session, visit.user, project_id, user_id)
    except Conflict as error:
        return _ask_to_remove(visit, project_id, user_id, form=Form().refused(error), status=error.status)
    if user_id == visit.user.user_id and not visit.user.is_admin:
        return visit.go("/web/projects", "You have left the project.")
    return visit.go(_settings(project_id), "The member is out; their tasks there are nobody's now.")


def _show_new(visit: Visit, form: Form, *, status: int = 200) -> Response:
    with visit.shell() as (_, shell):
        return visit.page("projects/new", shell, form=form, status=status)


def _show_settings(
    visit: Visit, project_id: int, *, form: Form | None = None, member: Form | None = None, status: int = 200
) -> Response:
    with visit.shell() as (session, shell):
        project = projects.get_project(session, visit.user, project_id)
        return visit.page(
            "projects/settings",
            shell,
            status=status,
            project=project,
            members=projects.list_members(session, visit.user, project_id),
            form=form or Form.of(name=project.name, description=project.description),
            meanwhile=_meanwhile(form, project) if form and status == Conflict.status else [],
            member_form=member or Form.of(role=projects.Role.MEMBER.value),
            roles=[(role.value, name) for role, name in ROLE_NAMES.items()],
            decides=project.role is projects.Role.MANAGER,
        )


def _seen(form: Form) -> ProjectChanges:
    """Return the texts that stood in the form before anybody typed; without checks, for they are only compared."""
    texts: dict[str, Any] = {name: form.text(f"seen_{name}") for name in _texts_seen(form)}
    return ProjectChanges.model_construct(**texts)


def _meanwhile(form: Form, project: ProjectView) -> list[str]:
    """Return which texts somebody else changed that the form would change too."""
    now = {"name": project.name, "description": project.description}
    return [name for name in _texts_seen(form) if now[name] not in {form.text(name), form.text(f"seen_{name}")}]


def _texts_seen(form: Form) -> list[str]:
    return [name for name in ("name", "description") if f"seen_{name}" in form]


def _ask_to_remove(
    visit: Visit, project_id: int, user_id: int, *, form: Form | None = None, status: int = 200
) -> Response:
    with visit.shell() as (session, shell):
        project = projects.get_project(session, visit.user, project_id)
        members = projects.list_members(session, visit.user, project_id)
        member = next((member.user for member in members if member.user.id == user_id), None)
        if member is None:
            raise NotFound("This project has no such member; they may have left by now.")
        theirs = TaskFilters(project=[project_id], assignee=[str(user_id)])
        return visit.page(
            "projects/remove_member",
            shell,
            status=status,
            project=project,
            member=member,
            tasks=tasks.count_tasks(session, visit.user, theirs),
            form=form or Form(),
        )


def _settings(project_id: int) -> str:
    return f"/web/projects/{project_id}/settings"
