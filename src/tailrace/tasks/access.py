"""Finding a task for somebody: what they may not see is not there."""

from collections.abc import Callable
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from tailrace.accounts.principal import Principal
from tailrace.errors import NotFound
from tailrace.projects import service as projects
from tailrace.tasks.models import Task

_UNKNOWN = "There is no task with this id, or you are no member of its project."


def check_read(session: Session, principal: Principal, task_id: int) -> None:
    """Return if the caller may see a task; raises NotFound."""
    task_to_read(session, principal, task_id)


def check_work(session: Session, principal: Principal, task_id: int) -> None:
    """Return if the caller may work on a task at this moment; raises NotFound, Forbidden or Conflict (archived)."""
    _find(session, principal, task_id, projects.require_work)


def hold_task(session: Session, principal: Principal, task_id: int) -> int:
    """Keep a task that the caller may work on from being changed or deleted until the transaction ends.

    Returns the id of its project. Raises NotFound, Forbidden or Conflict (archived).
    """
    return task_to_change(session, principal, task_id)[0].project_id


def task_to_read(session: Session, principal: Principal, task_id: int) -> Task:
    """Return a task; raises NotFound if the caller may not see it."""
    return _find(session, principal, task_id, partial(projects.require_role, role=projects.Role.VIEWER))[0]


def task_to_change(session: Session, principal: Principal, task_id: int) -> tuple[Task, projects.Role]:
    """Return a task, locked until the transaction ends, and the caller's role in its project.

    Raises NotFound if the caller may not see it, Forbidden if they may only look, Conflict if the project is archived.
    """
    task, role = _find(session, principal, task_id, projects.require_work)
    as_it_is_now = select(Task).where(Task.id == task_id).with_for_update().execution_options(populate_existing=True)
    if session.scalars(as_it_is_now).one_or_none() is None:
        raise NotFound(_UNKNOWN)
    return task, role


def _find(
    session: Session,
    principal: Principal,
    task_id: int,
    require: Callable[[Session, Principal, int], projects.Role],
) -> tuple[Task, projects.Role]:
    task = session.get(Task, task_id)
    if task is None:
        raise NotFound(_UNKNOWN)
    try:
        return task, require(session, principal, task.project_id)
    except NotFound as error:
        # The same sentence as for a task that does not exist.
        raise NotFound(_UNKNOWN) from error
