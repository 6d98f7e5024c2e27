"""Looking at reports: where each stands, which its row and its job tell together, and where its file is."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from tailrace.accounts.principal import Principal
from tailrace.database import utcnow
from tailrace.errors import Conflict, Gone, NotFound
from tailrace.jobs import Job, State, UnknownJob, get_job
from tailrace.notifications.service import MailView, get_mail
from tailrace.reports import wording
from tailrace.reports.building import mail_key
from tailrace.reports.formats import MEDIA_TYPES, Format
from tailrace.reports.links import file_path
from tailrace.reports.models import Report
from tailrace.reports.schemas import UNFINISHED, ReportPage, ReportQuery, ReportState, ReportView

RETRY_AFTER_S = 2
_STATES = {
    State.SCHEDULED: ReportState.WAITING,
    State.AVAILABLE: ReportState.WAITING,
    State.RUNNING: ReportState.RUNNING,
    State.RETRYABLE: ReportState.RETRYING,
    State.CANCELLED: ReportState.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class ReportFile:
    """Where a report's file is, and how it is to be sent."""

    key: str
    size: int
    sha256: str
    name: str
    media_type: str
    ready_at: datetime


def get_report(session: Session, principal: Principal, report_id: str) -> ReportView:
    """Return one of the caller's reports; raises NotFound."""
    return _view(session, own_report(session, principal, report_id))


def list_reports(session: Session, principal: Principal, query: ReportQuery) -> ReportPage:
    """Return a page of the caller's reports, the newest first."""
    mine = select(Report).where(Report.user_id == principal.user_id, Report.deleted_at.is_(None))
    if query.after:
        mine = mine.where(Report.id < query.after)
    found = session.scalars(mine.order_by(Report.id.desc()).limit(query.limit + 1)).all()
    items = [_view(session, report) for report in found[: query.limit]]
    return ReportPage(items=items, next=items[-1].id if len(found) > query.limit else None)


def open_report(session: Session, report_id: str, principal: Principal | None) -> ReportFile:
    """Return where a report's file is; `principal` is None for a link whose signature was checked.

    Raises NotFound; Conflict while there is no file yet, or never will be; Gone once it has expired.
    """
    report = _existing(session, report_id) if principal is None else own_report(session, principal, report_id)
    job = _job(session, report)
    state = _state(report, job)
    if state is ReportState.EXPIRED:
        raise Gone("The file of this report has expired: ask for the report again.", state=state)
    if state in UNFINISHED:
        detail = "The report is not ready yet: ask again in a moment."
        raise Conflict(detail, headers={"Retry-After": str(RETRY_AFTER_S)}, state=state)
    if state is ReportState.CANCELLED:
        raise Conflict("This report was cancelled: ask for it again.", state=state)
    if state is ReportState.FAILED:
        raise Conflict(_error(report, state, job) or "This report failed: ask for it again.", state=state)
    assert report.storage_key is not None
    assert report.bytes is not None
    assert report.sha256 is not None
    assert report.ready_at is not None
    return ReportFile(
        key=report.storage_key,
        size=report.bytes,
        sha256=report.sha256,
        name=f"{report.kind}-{report.created_at:%Y-%m-%d}.{report.format}",
        media_type=MEDIA_TYPES[Format(report.format)],
        ready_at=report.ready_at,
    )


def own_report(session: Session, principal: Principal, report_id: str) -> Report:
    """Return the row of one of the caller's reports; raises NotFound."""
    report = _existing(session, report_id)
    if report.user_id != principal.user_id:
        raise NotFound("There is no such report, or it was deleted.")
    return report


def addresses(report: Report) -> dict[str, str]:
    """Return where a report's file, job and events are, as its views tell."""
    job = report.job_id or ""
    return {"url": file_path(report.id), "job": job, "events": f"/jobs/{job}/events"}


def _existing(session: Session, report_id: str) -> Report:
    report = session.get(Report, report_id)
    if report is None or report.deleted_at is not None:
        raise NotFound("There is no such report, or it was deleted.")
    return report


def _job(session: Session, report: Report) -> Job | None:
    # Jobs are pruned after a while, and a report outlives its own.
    try:
        job = get_job(session, report.job_id or "")
    except UnknownJob:
        return None
    if job.finished and report.ready_at is None:
        # On PostgreSQL this is a later moment than that in which the report was read: it may be ready since.
        again = select(Report).where(Report.id == report.id).execution_options(populate_existing=True)
        session.scalars(again).one_or_none()
    return job


def _state(report: Report, job: Job | None) -> ReportState:
    if report.ready_at is not None:
        expired = report.expires_at is not None and report.expires_at <= utcnow()
        return ReportState.EXPIRED if expired else ReportState.READY
    if job is not None:
        return _STATES.get(job.state, ReportState.FAILED)
    return ReportState.CANCELLED if report.cancelled_at is not None else ReportState.FAILED


def _view(session: Session, report: Report) -> ReportView:
    job = _job(session, report)
    state = _state(report, job)
    mail = _mail(session, report)
    done, total = (report.rows, report.rows) if report.rows is not None else _progress(job)
    return ReportView(
        id=report.id,
        kind=report.kind,
        format=Format(report.format),
        filters=report.filters,
        email=report.email,
        state=state,
        unit=wording.unit(report),
        rows_done=done or 0,
        rows_total=total,
        bytes=report.bytes,
        sha256=report.sha256,
        error=_error(report, state, job),
        mail=mail.state if mail else None,
        mail_error=mail.error if mail else None,
        created_at=report.created_at,
        ready_at=report.ready_at,
        expires_at=report.expires_at,
        **addresses(report),
    )


def _error(report: Report, state: ReportState, job: Job | None) -> str | None:
    if state is ReportState.FAILED and report.error is None and job is not None:
        # The job has just failed, and the one that notes it on the report has not run yet.
        return wording.failure(job.id, job.state, job.error or "")
    if state in UNFINISHED and job is not None and job.error:
        return wording.trouble(job.error)
    return report.error if state is ReportState.FAILED else None


def _progress(job: Job | None) -> tuple[int | None, int | None]:
    return (job.progress_done, job.progress_total) if job is not None else (None, None)


def _mail(session: Session, report: Report) -> MailView | None:
    if report.email is None or report.ready_at is None:
        return None
    with suppress(NotFound):
        return get_mail(session, mail_key(report, "ready"))
    return None
