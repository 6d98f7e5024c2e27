"""The page that photos are sent from, on a phone above all, and what the tray shows of those that are sent.

With scripts, `uploads.js` sends what is chosen, here as on every page. Without, the page is a form of many files. Its
token stands in its address, for its body is not read ahead.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Annotated

from fastapi import Query
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from tailrace.errors import Invalid, NotFound, TailraceError
from tailrace.http.limits import open_body
from tailrace.http.problems import explain
from tailrace.photos import service as photos
from tailrace.photos.access import check_upload
from tailrace.photos.forms import FILES, FORM_BYTES, Outcome, receive_many
from tailrace.photos.resumable import list_finished
from tailrace.photos.schemas import PhotoView
from tailrace.photos.upload_schemas import UploadView
from tailrace.photos.workshop import Workshop, WorkshopDep
from tailrace.projects import service as projects
from tailrace.streams import Intake, UploadRefused
from tailrace.tasks import service as tasks
from tailrace.tasks.chosen import OPEN
from tailrace.tasks.schemas import TaskListQuery, TaskSummary
from tailrace.web.routing import page_router
from tailrace.web.visit import Visit, Visiting
from tailrace.web.welcome import UPLOAD_PAGE
from tailrace.web.wording import plural

router = page_router()
#: What is chosen instead of a task, for photos that only their owner sees.
OWN = "own"
_CHOICE = "tailrace_upload_task"
_CHOICE_KEPT_S = 90 * 24 * 3600
_RECENT = timedelta(minutes=2)
_SHOWN = 8
_Choice = Annotated[str, Query(pattern=rf"^(\d{{1,18}}|{OWN})?$")]
_Words = Annotated[str, Query(max_length=200)]


@router.get(UPLOAD_PAGE)
def show_upload(visit: Visiting, task: _Choice = "", q: _Words = "") -> Response:
    """Show the page for the task that is chosen, now or the last time; `q` are words of the one that is looked for."""
    chosen = task or _last_choice(visit)
    response = _show(visit, chosen, q)
    if task:
        response.set_cookie(_CHOICE, task, max_age=_CHOICE_KEPT_S, path=UPLOAD_PAGE, httponly=True, samesite="lax")
    return response


@router.get(f"{UPLOAD_PAGE}/tasks")
def show_choices(visit: Visiting, q: _Words = "", tray: bool = False) -> Response:
    """Return the tasks to choose from, for the page or for the tray."""
    with visit.read() as session:
        return visit.part("uploads/choices", choices=_choices(session, visit, q.strip()), q=q, in_tray=tray)


@router.post(UPLOAD_PAGE)
async def send_photos(visit: Visiting, workshop: WorkshopDep, task: _Choice = "") -> Response:
    """Take the files of a form that a browser without scripts has sent."""
    try:
        outcome = await _receive(visit, workshop, _task_id(task))
    except UploadRefused as error:
        raise Invalid(str(error)) from error
    problems = [(each.name, explain(each.error)) for each in outcome.refusals]
    taken = len(outcome.results) - len(problems)
    if problems:
        status = 200 if taken else problems[0][1].status_code
        refused = [(name, str(problem.document["detail"])) for name, problem in problems]
        return await run_in_threadpool(_show, visit, task, "", taken=taken, refused=refused, status=status)
    return visit.go(f"{UPLOAD_PAGE}?task={task}", f"{plural(taken, 'photo')} sent, and being prepared.")


@router.get("/web/uploads")
def show_sent(visit: Visiting, workshop: WorkshopDep) -> Response:
    """Return what the tray shows of photos that were sent within the last minutes, followed until they are ready."""
    with visit.read() as session:
        finished = list_finished(session, visit.user, within=_RECENT, lifetime=workshop.lifetime)
        sent = [(upload, photo) for upload in finished if (photo := _photo(session, visit, upload)) is not None]
        return visit.part("uploads/sent", sent=sent)


def _photo(session: Session, visit: Visit, upload: UploadView) -> PhotoView | None:
    """Return what an upload has become, unless that was deleted meanwhile, or is not to be seen any more."""
    with suppress(TailraceError):
        return photos.get_photo(session, visit.user, str(upload.photo).rpartition("/")[2])
    return None


async def _receive(visit: Visit, workshop: Workshop, task_id: int | None) -> Outcome:
    request = visit.request
    await run_in_threadpool(_admit, visit, task_id)
    incoming = open_body(request, Intake(FILES * workshop.settings.max_bytes + FORM_BYTES))
    return await receive_many(workshop, visit.user, task_id, incoming, request.headers.get("content-type"))


def _admit(visit: Visit, task_id: int | None) -> None:
    with visit.read() as session:
        check_upload(session, visit.user, task_id)


def _show(
    visit: Visit,
    chosen: str,
    q: str,
    *,
    taken: int = 0,
    refused: Sequence[tuple[str | None, str]] = (),
    status: int = 200,
) -> Response:
    with visit.shell() as (session, shell):
        task_id = _task_id(chosen) if chosen else None
        check_upload(session, visit.user, task_id)
        return visit.page(
            "uploads/show",
            shell,
            status=status,
            task=None if task_id is None else tasks.get_task(session, visit.user, task_id),
            chosen=chosen,
            choices=_choices(session, visit, q.strip()),
            q=q,
            taken=taken,
            refused=refused,
        )


def _last_choice(visit: Visit) -> str:
    """Return what was chosen the last time, if photos may still be added to it."""
    last = visit.request.cookies.get(_CHOICE, "")
    if last == OWN:
        return last
    with suppress(TailraceError):
        _admit(visit, _task_id(last))
        return last
    return ""


def _task_id(choice: str) -> int | None:
    if choice == OWN:
        return None
    if choice.isdecimal() and len(choice) <= 10 and 0 < int(choice) < 2**31:
        return int(choice)
    raise NotFound("There is no such task; choose one.")


def _choices(session: Session, visit: Visit, q: str) -> list[TaskSummary]:
    """Return tasks that photos can be added to: with words, those found, else one's own open ones and then others."""
    if q:
        queries = [TaskListQuery(q=q, sort="-updated", limit=2 * _SHOWN)]
    else:
        queries = [
            TaskListQuery(assignee=["me"], status=list(OPEN), sort="-updated", limit=_SHOWN),
            TaskListQuery(status=list(OPEN), sort="-updated", limit=2 * _SHOWN),
        ]
    found = {task.id: task for query in queries for task in tasks.list_tasks(session, visit.user, query).items}
    in_projects = {task.project.id for task in found.values()}
    is_open = {each: projects.get_project(session, visit.user, each).open_to_work for each in in_projects}
    return [task for task in found.values() if is_open[task.project.id]][:_SHOWN]
