"""Jobs: look at them, cancel them, have them tried again."""

from typing import Annotated

from fastapi import APIRouter, Query

from tailrace.accounts.dependencies import CurrentUser
from tailrace.http.dependencies import ReadSession, WriteSession
from tailrace.operations import service
from tailrace.operations.schemas import JobPage, JobQuery, JobView, view_job

router = APIRouter(tags=["jobs"])


@router.get("/jobs")
def list_jobs(query: Annotated[JobQuery, Query()], user: CurrentUser, session: ReadSession) -> JobPage:
    """List your jobs, the newest first; administrators see everybody's, and the service's own."""
    jobs = service.list_visible_jobs(
        session,
        user,
        states=query.state,
        kinds=query.kind,
        mine=query.mine,
        after=query.after,
        limit=query.limit + 1,
    )
    items = [view_job(job) for job in jobs[: query.limit]]
    return JobPage(items=items, next=items[-1].id if len(jobs) > query.limit else None)


@router.get("/jobs/{job_id}")
def show_job(job_id: str, user: CurrentUser, session: ReadSession) -> JobView:
    """Show one job."""
    return view_job(service.visible_job(session, user, job_id))


@router.post("/jobs/{job_id}/cancel")
def cancel_job(job_id: str, user: CurrentUser, session: WriteSession) -> JobView:
    """Cancel a job: one that waits at once, one that runs as soon as it looks up, or by force after a while."""
    return view_job(service.cancel_visible_job(session, user, job_id))


@router.post("/jobs/{job_id}/retry")
def retry_job(job_id: str, user: CurrentUser, session: WriteSession) -> JobView:
    """Have a failed, cancelled or waiting job run now, with all its attempts before it."""
    return view_job(service.retry_visible_job(session, user, job_id))
