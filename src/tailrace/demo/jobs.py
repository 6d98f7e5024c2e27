"""The job that fills a demo project."""

from itertools import islice
from random import Random
from typing import Any

from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.demo.filling import find_workers, invent
from tailrace.jobs import JobContext, job
from tailrace.tasks import service as tasks_service
from tailrace.tasks.bulk import insert_tasks
from tailrace.tasks.filters import TaskFilters

BATCH = 2_000


@job("demo.fill")
def fill_project(ctx: JobContext[Any], project_id: int, user_id: int, tasks: int) -> None:
    """Add tasks to the project until it has `tasks`; a run that comes after a crash goes on where that one ended."""
    with ctx.database.read() as session:
        owner = _principal(session, user_id)
        workers = find_workers(session, owner, project_id)
        made = tasks_service.count_tasks(session, owner, TaskFilters(project=[project_id]))
    work = invent(Random(project_id + made), workers, max(0, tasks - made))  # noqa: S311 (nothing here is secret)
    ctx.progress(made, tasks, "tasks")
    while batch := list(islice(work, BATCH)):
        with ctx.transaction() as session:
            insert_tasks(session, owner, project_id, batch)
        made += len(batch)
        ctx.progress(made, tasks, "tasks")


def _principal(session: Session, user_id: int) -> Principal:
    user = accounts.get_user(session, user_id)
    return Principal(user.id, user.email, user.name, user.is_admin, "session")
