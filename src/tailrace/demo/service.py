"""Asking for a demo project."""

from random import Random

from sqlalchemy.orm import Session

from tailrace.accounts.principal import Principal
from tailrace.demo import jobs
from tailrace.demo.filling import make_project
from tailrace.errors import Forbidden
from tailrace.jobs import Job, enqueue
from tailrace.projects.schemas import ProjectView


def request_demo(session: Session, principal: Principal, *, tasks: int) -> tuple[ProjectView, Job]:
    """Create the project at once and return it with the job that fills it; raises Forbidden for a member."""
    if not principal.is_admin:
        raise Forbidden("Only an administrator can make a demo project, for it brings invented people along.")
    project = make_project(session, principal, Random())  # noqa: S311 (nothing here is secret)
    args = {"project_id": project.id, "user_id": principal.user_id, "tasks": tasks}
    return project, enqueue(session, jobs.fill_project, args, owner=f"user:{principal.user_id}")
