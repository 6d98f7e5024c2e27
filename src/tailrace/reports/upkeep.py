"""What happens to reports after the work: marking failures, and removing what is no longer wanted."""

import logging
from collections.abc import Iterable, Iterator
from itertools import islice

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.database import utcnow
from tailrace.jobs import JobContext, State
from tailrace.notifications.service import send_mail
from tailrace.patience import still_ended
from tailrace.reports import wording
from tailrace.reports.building import Resources, mail_key, tell, tell_asker
from tailrace.reports.models import Report

FOLDER = "reports"
_BATCH = 200
_log = logging.getLogger(__name__)


def mark_failed(ctx: JobContext[Resources], report_id: str, *, job_id: str, state: str, error: str) -> None:
    """Note on a report that its job ended in `state` without it, and mail that, unless somebody cancelled it.

    A report that was finished or taken up again meanwhile, or has ended otherwise since, stays as it is.
    """
    with ctx.transaction() as session:
        report = session.get(Report, report_id, with_for_update=True)
        if report is None or report.deleted_at is not None or report.ready_at is not None:
            return
        if not still_ended(session, job_id, state):
            return
        report.cancelled_at = report.failed_at = report.error = None
        if state == State.CANCELLED:
            report.cancelled_at = utcnow()
            tell(session, report, "cancelled")
            return
        report.failed_at = utcnow()
        report.error = wording.failure(job_id, state, error)
        tell(session, report, "failed")
        tell_asker(session, report, "failed")
        # The job that answers this failure gives the key: another failure after a retry is worth another mail.
        _mail_failure(session, report, key=mail_key(report, f"failed:{ctx.job_id}"))


def remove(ctx: JobContext[Resources], report_id: str) -> None:
    """Remove the files, then the row, of a report that was deleted."""
    for key in list(ctx.resources.storage.keys(f"{FOLDER}/{report_id}")):
        ctx.resources.storage.delete(key)
    with ctx.transaction() as session:
        report = session.get(Report, report_id)
        if report is not None:
            session.delete(report)


def remove_expired(ctx: JobContext[Resources]) -> None:
    """Remove the files of reports that have expired; their rows stay and tell so."""
    expired = select(Report).where(Report.expires_at <= utcnow(), Report.storage_key.is_not(None)).limit(_BATCH)
    while True:
        with ctx.database.read() as session:
            reports = session.scalars(expired).all()
        if not reports:
            return
        for report in reports:
            assert report.storage_key is not None
            ctx.resources.storage.delete(report.storage_key)
        ids = [report.id for report in reports]
        with ctx.transaction() as session:
            session.execute(update(Report).where(Report.id.in_(ids)).values(storage_key=None))
        _log.info("Removed the files of %d expired reports", len(ids))


def remove_orphans(ctx: JobContext[Resources]) -> None:
    """Remove files that interrupted attempts and deleted reports left behind."""
    storage = ctx.resources.storage
    for keys in _batches(storage.keys(FOLDER)):
        for key in _orphans(ctx, keys):
            storage.delete(key)
            _log.info("Removed %s, which belongs to no report", key)
        ctx.check()


def _orphans(ctx: JobContext[Resources], keys: list[str]) -> list[str]:
    ids = {key: key.split("/")[1] for key in keys}
    with ctx.database.read() as session:
        found = session.scalars(select(Report).where(Report.id.in_(set(ids.values())))).all()
    reports = {report.id: report for report in found}
    return [key for key in keys if not _is_wanted(key, reports.get(ids[key]))]


def _is_wanted(key: str, report: Report | None) -> bool:
    if report is None or report.deleted_at is not None:
        return False
    # While a report is not ready, any of its files may be the one that is about to be.
    return report.ready_at is None or report.storage_key == key


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
    left = iter(keys)
    while batch := list(islice(left, _BATCH)):
        yield batch


def _mail_failure(session: Session, report: Report, *, key: str) -> None:
    if report.email is None:
        return
    context = wording.of_report(report, accounts.get_user(session, report.user_id))
    send_mail(
        session,
        to=report.email,
        template="report_failed",
        context={**context, "error": report.error},
        key=key,
        owner=f"user:{report.user_id}",
    )
