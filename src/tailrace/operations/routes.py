"""All routes of the operators and of live streams."""

from fastapi import APIRouter

from tailrace.operations import counter, docs, health, job_routes, live_routes, log_routes, metrics

router = APIRouter()
for part in (health, metrics, docs, counter, job_routes, live_routes, log_routes):
    router.include_router(part.router)
