"""`/healthz`: this process answers. `/readyz`: so does everything without which it cannot answer others.

Without workers, or a broker to reach them by, jobs wait and the page says so, but requests are served: whoever takes
processes out of service by `/readyz` would take all of them. That is a warning there, and an alarm for `/metrics`.
"""

from fastapi import APIRouter, Response
from pydantic import BaseModel
from starlette.requests import Request

from tailrace import __version__
from tailrace.operations.checks import (
    Finding,
    check_database,
    check_engine,
    check_migrations,
    check_storage,
    run_checks,
)

router = APIRouter(tags=["operations"])


class Health(BaseModel):
    """This process answers."""

    status: str
    version: str


class Part(BaseModel):
    """One thing that the service needs."""

    part: str
    state: str
    detail: str


class Readiness(BaseModel):
    """Whether to send requests here, and why not."""

    status: str
    parts: list[Part]


@router.get("/healthz")
async def show_health() -> Health:
    """Answer at once, whatever the rest of the service does."""
    return Health(status="ok", version=__version__)


@router.get("/readyz", responses={503: {"model": Readiness}})
def show_readiness(request: Request, response: Response) -> Readiness:
    """Answer 200 when requests can be served, and 503 while shutting down, or without database, schema or storage.

    Without an engine it is 200: what jobs do waits, and `engine` is `warn` among the parts.
    """
    state = request.app.state
    findings = run_checks(
        [
            lambda: check_database(state.database),
            lambda: check_migrations(state.database),
            lambda: check_storage(state.storage),
            lambda: check_engine(state.database),
            lambda: _check_shutdown(draining=state.drain.started),
        ]
    )
    ready = all(finding.state != "fail" for finding in findings)
    response.status_code = 200 if ready else 503
    # Without the details of failures: anybody may ask, and they name hosts and paths. `tailrace doctor` shows them.
    parts = [
        Part(part=each.part, state=each.state, detail=each.detail if each.state == "ok" else each.cure)
        for each in findings
    ]
    return Readiness(status="ready" if ready else "not ready", parts=parts)


def _check_shutdown(*, draining: bool) -> Finding:
    if draining:
        return Finding("shutdown", "fail", "The service is stopping.", "Ask again in a few seconds.")
    return Finding("shutdown", "ok", "The service is not stopping.")
