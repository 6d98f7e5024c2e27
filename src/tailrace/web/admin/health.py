"""Health: what `tailrace doctor` finds, and which engines run jobs."""

from typing import Any

from starlette.responses import Response

from tailrace import __version__
from tailrace.jobs import list_engines
from tailrace.operations.examination import examine
from tailrace.web.admin.visiting import AdminVisiting
from tailrace.web.routing import page_router
from tailrace.web.visit import Visit

router = page_router()


@router.get("/web/admin")
def show_health(visit: AdminVisiting) -> Response:
    """Show the state of every part; htmx gets that alone."""
    state = visit.request.app.state
    findings = examine(state.database, state.storage, state.mailer, folder=state.data, unshared=state.unshared)
    values: dict[str, Any] = {"findings": findings, "version": __version__}
    if visit.wants_part:
        return visit.part("admin/health_part", **values, engines=_engines(visit))
    with visit.shell() as (_, shell):
        return visit.page("admin/health", shell, **values, engines=_engines(visit))


def _engines(visit: Visit) -> list[Any]:
    with visit.read() as session:
        return sorted(list_engines(session), key=lambda engine: (not engine.alive, engine.host))
