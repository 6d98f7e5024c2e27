"""Asking for reports and taking them back; looking at them is in `reading`, offered here too."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.database import utcnow
from tailrace.errors import Conflict, Forbidden, Gone, Invalid
from tailrace.http.faults import describe
from tailrace.jobs import State, UnknownJob, WrongState, cancel_job, enqueue, get_job, retry_job
from tailrace.notifications import inbox
from tailrace.notifications.service import withdraw_mails
from tailrace.reports import jobs
from tailrace.reports.building import mail_key, tell
from tailrace.reports.formats import Format
from tailrace.reports.models import Report
from tailrace.reports.reading import (
    RETRY_AFTER_S,
    ReportFile,
    addresses,
    get_report,
    list_reports,
    open_report,
    own_report,
)
from tailrace.reports.registry import KINDS
from tailrace.reports.schemas import UNFINISHED, ReportInput, ReportStarted, ReportState

__all__ = [
    "RETRY_AFTER_S",
    "ReportFile",
    "delete_report",
    "get_report",
    "list_reports",
    "open_report",
    "repeat_report",
    "request_report",
]


def request_report(
    session: Session, principal: Principal, order: ReportInput, *, idempotency_key: str | None = None
) -> ReportStarted:
    """Accept a report and enqueue the job that makes it, in the caller's transaction.

    With an `idempotency_key` that this person used before, the first answer is returned again and nothing is made.
    Raises Invalid for filters that the kind does not have, or a key that was used for another report; Forbidden for
    an address that only an administrator may mail.
    """
    filters = _check_filters(order)
    _check_recipient(session, principal, order.email)
    report = Report(
        user_id=principal.user_id,
        kind=order.kind,
        format=order.chosen_format,
        filters=filters,
        email=order.email,
        idempotency_key=idempotency_key,
        fingerprint=_fingerprint(order, filters),
    )
    earlier = _add_unless_repeated(session, principal, report)
    if earlier is not None:
        return _started(earlier)
    job = enqueue(session, jobs.build_report, {"report_id": report.id}, owner=f"user:{principal.user_id}")
    report.job_id = job.id
    tell(session, report, "requested")
    return _started(report)


def repeat_report(session: Session, principal: Principal, report_id: str) -> str:
    """Have a report made that failed, was cancelled or has expired; return its id, a new one if its job is gone.

    Raises NotFound; Conflict while it is being made, and as long as its file is there; Gone if there is no such kind of
    report any more, and what `request_report` raises.
    """
    report = own_report(session, principal, report_id)
    state = get_report(session, principal, report_id).state
    if state in UNFINISHED or state is ReportState.READY:
        raise Conflict(f"This report is {state}; there is no need to ask again.", state=state)
    if _take_up_again(session, report):
        tell(session, report, "requested")
        return report.id
    if report.kind not in KINDS:
        raise Gone(f"There is no kind of report {report.kind} any more.")
    order = ReportInput(kind=report.kind, format=Format(report.format), filters=report.filters, email=report.email)
    return request_report(session, principal, order, idempotency_key=_key_of_successor(session, principal, report)).id


def delete_report(session: Session, principal: Principal, report_id: str) -> None:
    """Cancel the making of a report and remove it with its file; raises NotFound."""
    report = own_report(session, principal, report_id)
    report.deleted_at = utcnow()
    # The key is free again: whoever asks anew after this wants a new report.
    report.idempotency_key = None
    if report.job_id is not None:
        with suppress(UnknownJob, WrongState):
            cancel_job(session, report.job_id)
    tell(session, report, "deleted")
    inbox.forget(session, user_id=report.user_id, subject=report.id)
    # Their links would lead nowhere.
    withdraw_mails(session, mail_key(report, ""))
    enqueue(session, jobs.remove_report, {"report_id": report.id}, unique_key=f"remove-report:{report.id}")


def _take_up_again(session: Session, report: Report) -> bool:
    """Have the job of a report run again, unless it is gone or has completed; raises Conflict if it is under way."""
    try:
        retry_job(session, report.job_id or "")
    except UnknownJob:
        return False
    except WrongState as error:
        if get_job(session, report.job_id or "").state == State.COMPLETED:
            return False
        # Another request, such as the second of two clicks, was faster by a moment.
        raise Conflict("This report is being made again already; there is no need to ask again.") from error
    return True


def _key_of_successor(session: Session, principal: Principal, report: Report) -> str:
    """Return the key under which two requests make one new report; one that came to nothing gives it up.

    Raises Conflict if the new one is ready already.
    """
    key = f"again:{report.id}"
    earlier = _with_key(session, principal, key)
    state = None if earlier is None else get_report(session, principal, earlier.id).state
    if state is ReportState.READY:
        raise Conflict("This report was made again already, and the new one is ready.", state=state)
    if earlier is not None and state not in UNFINISHED:
        earlier.idempotency_key = None
        session.flush()
    return key


def _check_filters(order: ReportInput) -> dict[str, Any]:
    try:
        filters = KINDS[order.kind].filters.model_validate(order.filters)
    except ValidationError as error:
        faults = [
            {"location": ".".join(map(str, ("filters", *fault["loc"])))[:100], "message": describe(fault)}
            for fault in error.errors()
        ]
        detail = "; ".join(f"{fault['location']}: {fault['message']}" for fault in faults[:3])
        raise Invalid(f"{detail}.", errors=faults) from error
    chosen: dict[str, Any] = filters.model_dump(mode="json", exclude_defaults=True)
    return chosen


def _check_recipient(session: Session, principal: Principal, email: str | None) -> None:
    if email is not None and not principal.is_admin and not accounts.is_member_address(session, email):
        raise Forbidden(f"Nobody here has the address {email}; only an administrator may mail a report elsewhere.")


def _add_unless_repeated(session: Session, principal: Principal, report: Report) -> Report | None:
    """Add a report; or return the earlier one that was asked for with its key, and add nothing."""
    if earlier := _find_repeated(session, principal, report):
        return earlier
    try:
        with session.begin_nested():
            session.add(report)
    except IntegrityError:
        # Another request with the same key was faster by a moment; if none was, something else is wrong.
        if earlier := _find_repeated(session, principal, report):
            return earlier
        raise
    return None


def _fingerprint(order: ReportInput, filters: Mapping[str, Any]) -> str:
    wanted = [order.kind, order.chosen_format, filters, order.email]
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()


def _find_repeated(session: Session, principal: Principal, report: Report) -> Report | None:
    earlier = report.idempotency_key and _with_key(session, principal, report.idempotency_key)
    if earlier and earlier.fingerprint != report.fingerprint:
        raise Invalid("This Idempotency-Key was used for another report: take a new one for each new report.")
    return earlier or None


def _with_key(session: Session, principal: Principal, key: str) -> Report | None:
    mine = select(Report).where(Report.user_id == principal.user_id, Report.idempotency_key == key)
    return session.scalars(mine).one_or_none()


def _started(report: Report) -> ReportStarted:
    state = ReportState.WAITING
    return ReportStarted(detail="Report in progress", id=report.id, state=state, **addresses(report))
