"""The addresses of reports."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from starlette.requests import HTTPConnection

from tailrace.accounts.dependencies import Bearer, Cookie, CurrentUser, client_address, current_user
from tailrace.accounts.principal import Principal
from tailrace.errors import Invalid
from tailrace.http.dependencies import DatabaseDep, ReadSession, WriteSession
from tailrace.http.fields import Email, IdempotencyKey
from tailrace.http.stored_files import StorageDep, stored_file
from tailrace.reports import service
from tailrace.reports.links import check_signature
from tailrace.reports.schemas import ReportInput, ReportPage, ReportQuery, ReportStarted, ReportView
from tailrace.reports.service import RETRY_AFTER_S
from tailrace.streams import FileDownload

router = APIRouter(tags=["reports"])


def _reader(
    *,
    connection: HTTPConnection,
    database: DatabaseDep,
    report_id: str,
    bearer: Bearer,
    cookie: Cookie,
    signature: Annotated[str | None, Query(max_length=200, description="from the link in the mail")] = None,
) -> Principal | None:
    # A signature stands for itself: the link works for whoever has it, also with a stale cookie.
    if signature is None:
        return current_user(database, bearer, cookie)
    check_signature(connection.app.state.secret, report_id, signature)
    return None


Reader = Annotated[Principal | None, Depends(_reader)]


@router.post("/reports", status_code=202)
def request_report(
    *,
    session: WriteSession,
    user: CurrentUser,
    response: Response,
    order: Annotated[ReportInput | None, Body()] = None,
    email: Annotated[Email | None, Query(description="who gets a mail with a link when the file is ready")] = None,
    idempotency_key: IdempotencyKey = None,
) -> ReportStarted:
    """Ask for a report. It is made in the background; the answer says where to look."""
    order = order or ReportInput()
    if email is not None:
        if order.email not in {None, email}:
            raise Invalid("The query and the body name two different addresses: give one.")
        order = order.model_copy(update={"email": email})
    started = service.request_report(session, user, order, idempotency_key=idempotency_key)
    response.headers["Location"] = f"/reports/{started.id}"
    response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return started


@router.get("/reports")
def list_reports(session: ReadSession, user: CurrentUser, query: Annotated[ReportQuery, Query()]) -> ReportPage:
    """List your reports, the newest first."""
    return service.list_reports(session, user, query)


@router.get("/reports/{report_id}")
def get_report(session: ReadSession, user: CurrentUser, report_id: str) -> ReportView:
    """Show where a report stands."""
    return service.get_report(session, user, report_id)


@router.delete("/reports/{report_id}", status_code=204)
def delete_report(session: WriteSession, user: CurrentUser, report_id: str) -> None:
    """Cancel a report, if it is still being made, and remove it with its file."""
    service.delete_report(session, user, report_id)


@router.head("/reports/{report_id}/file", include_in_schema=False)
@router.get(
    "/reports/{report_id}/file",
    response_class=Response,
    responses={200: {"description": "the file, or with a Range header a part of it as 206"}},
)
def download_report(
    *, request: Request, session: ReadSession, storage: StorageDep, reader: Reader, report_id: str
) -> Response:
    """Download a report's file, whole or in parts. Without signing in, only by the link from the mail."""
    file = service.open_report(session, report_id, reader)
    return FileDownload(
        stored_file(storage, file.key, size=file.size, sha256=file.sha256),
        filename=file.name,
        media_type=file.media_type,
        last_modified=file.ready_at,
        drain=request.app.state.drain,
        holder=client_address(request) if reader is None else reader.user_id,
    )
