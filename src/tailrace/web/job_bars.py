"""A job's progress as a part of any page: it follows the job by itself, and ends with it.

In a template: `{% include "jobs/bar.html" %}` with `job` at hand.
"""

from starlette.responses import Response

from tailrace.operations.service import visible_job
from tailrace.web.routing import page_router
from tailrace.web.visit import Visiting

router = page_router()


@router.get("/web/jobs/{job_id}/bar")
def show_bar(visit: Visiting, job_id: str) -> Response:
    """Return the bar as it is now."""
    with visit.read() as session:
        return visit.part("jobs/bar", job=visible_job(session, visit.user, job_id))
