"""Every page, one module for each area, and what is said where there is none."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from tailrace.errors import NotFound
from tailrace.web import (
    account,
    assets,
    entry,
    home,
    inbox,
    job_bars,
    photo,
    photos,
    projects,
    reports,
    saved_filters,
    search,
    task_lists,
    task_photos,
    tasks,
    uploads,
    welcome,
)
from tailrace.web.admin import health, jobs, logs, mail, people
from tailrace.web.routing import open_router

router = APIRouter(include_in_schema=False)
for area in (
    assets,
    entry,
    home,
    inbox,
    welcome,
    account,
    projects,
    photos,
    uploads,
    photo,
    task_lists,
    task_photos,
    tasks,
    search,
    reports,
    saved_filters,
    job_bars,
):
    router.include_router(area.router)

for area in (health, jobs, mail, logs, people):
    router.include_router(area.router)

_rest = open_router()


@_rest.api_route("/web/{path:path}", methods=["GET", "POST"])
def no_page(request: Request, path: str) -> Response:
    """Say that there is no such page."""
    raise NotFound("There is no page at this address; it may have been moved or removed.")


# Last, for it takes every address that is left.
router.include_router(_rest)
