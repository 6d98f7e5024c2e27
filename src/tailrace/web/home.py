"""The first page: what one has to do, in all projects."""

from collections.abc import Iterable
from typing import Annotated

from fastapi import Query
from sqlalchemy.orm import Session
from starlette.responses import Response

from tailrace.http.fields import Text
from tailrace.projects import service as projects
from tailrace.tasks import service as tasks
from tailrace.tasks.chosen import OPEN
from tailrace.tasks.schemas import TaskListQuery, TaskPage, TaskSummary
from tailrace.web.routing import page_router
from tailrace.web.visit import Visit, Visiting

router = page_router()
_SHOWN = 100
#: A page follows this many projects: those of the tasks that it shows, then the newest.
_FOLLOWED = 30
_RECENT = 8
After = Annotated[Text, Query(max_length=2000)]


@router.get("/")
def show_home(visit: Visiting, after: After = "") -> Response:
    """Show the open tasks that are one's own, the most urgent first, and what changed last.

    What is in the archive cannot be done, so it is left out.
    """
    with visit.shell() as (session, shell):
        active = [project.id for project in projects.list_names(session, visit.user, archived=False)]
        mine = TaskListQuery(assignee=["me"], status=list(OPEN), sort="due", limit=_SHOWN, after=after or None)
        page, count = _page(session, visit, mine.model_copy(update={"project": active}))
        recent = tasks.list_tasks(session, visit.user, TaskListQuery(sort="-updated", limit=_RECENT)).items
        return visit.page(
            "home/show",
            shell,
            mine=page.items,
            next=page.next,
            after=after,
            count=count,
            recent=recent,
            followed=_followed([*page.items, *recent], active),
            today=visit.today(session),
        )


def _page(session: Session, visit: Visit, query: TaskListQuery) -> tuple[TaskPage, int]:
    """Return a page of tasks, and how many there are in all."""
    if not query.project:
        return TaskPage(items=[], next=None), 0
    page = tasks.list_tasks(session, visit.user, query)
    is_all = page.next is None and query.after is None
    return page, len(page.items) if is_all else tasks.count_tasks(session, visit.user, query)


def _followed(shown: Iterable[TaskSummary], active: Iterable[int]) -> list[int]:
    """Return the ids of the projects whose events the page follows."""
    return list(dict.fromkeys([*(task.project.id for task in shown), *sorted(active, reverse=True)]))[:_FOLLOWED]
