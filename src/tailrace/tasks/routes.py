"""Tasks, what hangs on them, and their export as a stream."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from tailrace.accounts.dependencies import CurrentUser
from tailrace.accounts.principal import Principal
from tailrace.database import Database, utcnow
from tailrace.errors import Invalid
from tailrace.http.dependencies import DatabaseDep, ReadSession, WriteSession
from tailrace.http.fields import Id
from tailrace.streams import TableStream
from tailrace.tasks import saved_filters, service
from tailrace.tasks.schemas import (
    ActivityPage,
    Checklist,
    ChecklistChanges,
    ChecklistInput,
    ChecklistItemView,
    CommentInput,
    CommentPage,
    CommentView,
    PageQuery,
    SavedFilterChanges,
    SavedFilterInput,
    SavedFilterList,
    SavedFilterView,
    TaskChanges,
    TaskExportQuery,
    TaskInput,
    TaskListQuery,
    TaskPage,
    TaskView,
)

router = APIRouter(tags=["tasks"])


@router.get("/tasks")
def list_tasks(query: Annotated[TaskListQuery, Query()], user: CurrentUser, session: ReadSession) -> TaskPage:
    """List the tasks of all your projects."""
    return service.list_tasks(session, user, query)


@router.get("/projects/{project_id}/tasks")
def list_project_tasks(
    project_id: Id, query: Annotated[TaskListQuery, Query()], user: CurrentUser, session: ReadSession
) -> TaskPage:
    """List the tasks of one project."""
    if query.project:
        raise Invalid("The address names the project already; leave `project` out, or ask `/tasks`.")
    return service.list_project_tasks(session, user, project_id, query)


@router.post("/projects/{project_id}/tasks", status_code=201)
def create_task(
    project_id: Id, body: TaskInput, response: Response, user: CurrentUser, session: WriteSession
) -> TaskView:
    """Create a task."""
    task = service.create_task(session, user, project_id, body)
    response.headers["Location"] = f"/tasks/{task.id}"
    return task


@router.get("/tasks/{task_id}")
def show_task(task_id: Id, user: CurrentUser, session: ReadSession) -> TaskView:
    """Show a task."""
    return service.get_task(session, user, task_id)


@router.patch("/tasks/{task_id}")
def update_task(task_id: Id, body: TaskChanges, user: CurrentUser, session: WriteSession) -> TaskView:
    """Change a task. With `version`, only if nobody changed it since you saw that version."""
    return service.update_task(session, user, task_id, body)


@router.delete("/tasks/{task_id}", status_code=204)
def delete_task(task_id: Id, user: CurrentUser, session: WriteSession) -> None:
    """Delete a task (its creator and managers)."""
    service.delete_task(session, user, task_id)


@router.get("/tasks/{task_id}/activity")
def list_activity(
    task_id: Id, query: Annotated[PageQuery, Query()], user: CurrentUser, session: ReadSession
) -> ActivityPage:
    """List every change of a task."""
    return service.list_activity(session, user, task_id, after=query.after, limit=query.limit)


@router.get("/tasks/{task_id}/comments")
def list_comments(
    task_id: Id, query: Annotated[PageQuery, Query()], user: CurrentUser, session: ReadSession
) -> CommentPage:
    """List the comments on a task."""
    return service.list_comments(session, user, task_id, after=query.after, limit=query.limit)


@router.post("/tasks/{task_id}/comments", status_code=201)
def add_comment(task_id: Id, body: CommentInput, user: CurrentUser, session: WriteSession) -> CommentView:
    """Comment on a task."""
    return service.add_comment(session, user, task_id, body=body.body)


@router.patch("/tasks/{task_id}/comments/{comment_id}")
def edit_comment(
    task_id: Id, comment_id: Id, body: CommentInput, user: CurrentUser, session: WriteSession
) -> CommentView:
    """Change a comment of your own."""
    return service.edit_comment(session, user, task_id, comment_id, body=body.body)


@router.delete("/tasks/{task_id}/comments/{comment_id}", status_code=204)
def delete_comment(task_id: Id, comment_id: Id, user: CurrentUser, session: WriteSession) -> None:
    """Remove a comment (its author and managers)."""
    service.delete_comment(session, user, task_id, comment_id)


@router.get("/tasks/{task_id}/checklist")
def list_items(task_id: Id, user: CurrentUser, session: ReadSession) -> Checklist:
    """List the steps of a task."""
    return Checklist(items=service.list_items(session, user, task_id))


@router.post("/tasks/{task_id}/checklist", status_code=201)
def add_item(task_id: Id, body: ChecklistInput, user: CurrentUser, session: WriteSession) -> ChecklistItemView:
    """Add a step to a task."""
    return service.add_item(session, user, task_id, title=body.title, done=body.done)


@router.patch("/tasks/{task_id}/checklist/{item_id}")
def change_item(
    task_id: Id, item_id: Id, body: ChecklistChanges, user: CurrentUser, session: WriteSession
) -> ChecklistItemView:
    """Rename a step, or mark it as done or not."""
    return service.change_item(session, user, task_id, item_id, body)


@router.delete("/tasks/{task_id}/checklist/{item_id}", status_code=204)
def delete_item(task_id: Id, item_id: Id, user: CurrentUser, session: WriteSession) -> None:
    """Remove a step."""
    service.delete_item(session, user, task_id, item_id)


@router.get("/projects/{project_id}/filters")
def list_filters(project_id: Id, user: CurrentUser, session: ReadSession) -> SavedFilterList:
    """List your saved filters of a project, and those that are shared."""
    return SavedFilterList(items=saved_filters.list_filters(session, user, project_id))


@router.post("/projects/{project_id}/filters", status_code=201)
def save_filter(project_id: Id, body: SavedFilterInput, user: CurrentUser, session: WriteSession) -> SavedFilterView:
    """Save a filter under a name."""
    return saved_filters.save_filter(session, user, project_id, body)


@router.patch("/filters/{filter_id}")
def change_filter(filter_id: Id, body: SavedFilterChanges, user: CurrentUser, session: WriteSession) -> SavedFilterView:
    """Change a filter of your own, or make any that you see your default."""
    return saved_filters.change_filter(session, user, filter_id, body)


@router.delete("/filters/{filter_id}", status_code=204)
def remove_filter(filter_id: Id, user: CurrentUser, session: WriteSession) -> None:
    """Remove a filter of your own, or as a manager a shared one. It can be restored for a day."""
    saved_filters.remove_filter(session, user, filter_id)


@router.post("/filters/{filter_id}/restore")
def restore_filter(filter_id: Id, user: CurrentUser, session: WriteSession) -> SavedFilterView:
    """Take back the removal of a filter."""
    return saved_filters.restore_filter(session, user, filter_id)


@router.get("/reports.csv", response_class=Response, responses={200: {"content": {"text/csv": {}}}})
def stream_csv(
    query: Annotated[TaskExportQuery, Query()], request: Request, user: CurrentUser, database: DatabaseDep
) -> Response:
    """Stream the tasks of all your projects as CSV. A transfer that ends cleanly is complete."""
    return _stream(request, database, user, query, "csv")


@router.get("/reports.jsonl", response_class=Response, responses={200: {"content": {"application/jsonl": {}}}})
def stream_jsonl(
    query: Annotated[TaskExportQuery, Query()], request: Request, user: CurrentUser, database: DatabaseDep
) -> Response:
    """Stream the tasks of all your projects as JSON Lines. A transfer that ends cleanly is complete."""
    return _stream(request, database, user, query, "jsonl")


def _stream(
    request: Request, database: Database, user: Principal, query: TaskExportQuery, kind: Literal["csv", "jsonl"]
) -> Response:
    with database.read() as session:
        table = service.task_table(session, user, query)
    name = f"tasks-{utcnow():%Y-%m-%d}.{kind}"
    drain = request.app.state.drain
    return TableStream(database, table, kind, guard=query.guard, filename=name, drain=drain, holder=user.user_id)
