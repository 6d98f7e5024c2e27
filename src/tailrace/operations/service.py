"""Jobs as people see them: their own, and for administrators all. Whose a job is, its owner `user:<id>` says."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from tailrace.accounts.principal import Principal
from tailrace.errors import Conflict, NotFound
from tailrace.jobs import Job, State, UnknownJob, WrongState, cancel_job, get_job, list_jobs, retry_job


def owner_of(principal: Principal) -> str:
    """Return the owner that a person's jobs carry."""
    return f"user:{principal.user_id}"


def list_visible_jobs(
    session: Session,
    principal: Principal,
    *,
    states: Sequence[State] = (),
    kinds: Sequence[str] = (),
    mine: bool = False,
    after: str | None = None,
    limit: int = 50,
) -> list[Job]:
    """Return the newest jobs that the caller may see; empty filters hold for every job."""
    owner = None if principal.is_admin and not mine else owner_of(principal)
    return list_jobs(session, states=states or None, kinds=kinds or None, owner=owner, after=after, limit=limit)


def visible_job(session: Session, principal: Principal, job_id: str) -> Job:
    """Return a job; raises NotFound unless it is the caller's, or they are an administrator."""
    unknown = NotFound("There is no job with this id, or it is not yours.")
    try:
        job = get_job(session, job_id)
    except UnknownJob as error:
        raise unknown from error
    if not principal.is_admin and job.owner != owner_of(principal):
        raise unknown
    return job


def cancel_visible_job(session: Session, principal: Principal, job_id: str) -> Job:
    """Cancel a job, or ask its run to stop; raises NotFound, or Conflict if it came to an end already."""
    visible_job(session, principal, job_id)
    try:
        return cancel_job(session, job_id)
    except WrongState as error:
        raise Conflict(str(error)) from error


def retry_visible_job(session: Session, principal: Principal, job_id: str) -> Job:
    """Make a job run again; raises NotFound, or Conflict if its state does not allow that."""
    visible_job(session, principal, job_id)
    try:
        return retry_job(session, job_id)
    except WrongState as error:
        raise Conflict(str(error)) from error
