"""Going anywhere by a few letters: pages, projects, tasks. It is a page, and the inside of the palette."""

from typing import Annotated, Any

from fastapi import Query
from sqlalchemy.orm import Session
from starlette.responses import Response

from tailrace.http.fields import Text
from tailrace.projects import service as projects
from tailrace.tasks import service as tasks
from tailrace.tasks.schemas import TaskListQuery
from tailrace.web.routing import page_router
from tailrace.web.visit import Shell, Visit, Visiting

router = page_router()
_TASKS = 12
_TASKS_OF_PAGE = 50
_PROJECTS = 6


@router.get("/web/search")
def search(visit: Visiting, q: Annotated[Text, Query(max_length=200)] = "") -> Response:
    """Show what has these words in its name; without words, the pages."""
    with visit.shell() as (session, shell):
        if visit.wants_part:
            return visit.part("search/found", **_find(session, visit, shell, q.strip(), limit=_TASKS))
        return visit.page("search/show", shell, **_find(session, visit, shell, q.strip(), limit=_TASKS_OF_PAGE))


def _find(session: Session, visit: Visit, shell: Shell, q: str, *, limit: int) -> dict[str, Any]:
    words = q.casefold().split()
    found, more = projects.browse_projects(session, visit.user, archived=False, words=q, limit=_PROJECTS)
    page = tasks.list_tasks(session, visit.user, TaskListQuery(q=q, sort="-updated", limit=limit)) if q else None
    return {
        "q": q,
        "sections": [section for section in shell.sections if _holds(section.name, words)],
        "projects": found,
        "more_projects": more,
        "tasks": page.items if page else [],
        "more_tasks": bool(page and page.next),
    }


def _holds(name: str, words: list[str]) -> bool:
    return all(word in name.casefold() for word in words)
