"""Reports: asking for one, how far each has come, its file, and what to do about one that failed."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session
from starlette.responses import Response

from tailrace.accounts import service as accounts
from tailrace.accounts.schemas import Person
from tailrace.database import utcnow
from tailrace.errors import Forbidden, NotFound, TailraceError
from tailrace.jobs import State
from tailrace.operations.service import cancel_visible_job, visible_job
from tailrace.projects import service as projects
from tailrace.projects.schemas import ProjectRef
from tailrace.reports import service as reports
from tailrace.reports.registry import KINDS
from tailrace.reports.schemas import UNFINISHED, ReportInput, ReportQuery, ReportState, ReportView
from tailrace.tasks.chosen import TaskFilter
from tailrace.tasks.schemas import TaskFilters
from tailrace.web import report_filters
from tailrace.web.forms import Form
from tailrace.web.report_filters import Known
from tailrace.web.routing import page_router
from tailrace.web.visit import Visit, Visiting
from tailrace.web.wording import remaining

router = page_router()
_ADDRESS = "/web/reports"
_SHOWN = 50
_PEOPLE = ("assignee", "created_by")
_FORMAT_NAMES = {
    "csv": "CSV – a table for any program",
    "jsonl": "JSON lines – for programs",
    "xlsx": "Excel – with filters and typed columns",
    "zip": "ZIP – the originals with a list",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A report of the list: its title, its filters in words, and how long it still takes, where that can be told."""

    report: ReportView
    title: str
    words: Sequence[str]
    left: str

    @property
    def unfinished(self) -> bool:
        """Whether it is still being made, or waits for that."""
        return self.report.state in UNFINISHED

    @property
    def repeatable(self) -> bool:
        """Whether one may want it again."""
        return self.report.state in {ReportState.FAILED, ReportState.CANCELLED, ReportState.EXPIRED}


@router.get(_ADDRESS)
def list_reports(visit: Visiting, after: str = "") -> Response:
    """List one's reports, the newest first."""
    with visit.shell() as (session, shell):
        return visit.page("reports/list", shell, **_list(session, visit, after))


@router.get("/web/reports/list")
def refresh_list(visit: Visiting, after: str = "") -> Response:
    """Return the list alone, as it is now."""
    with visit.read() as session:
        return visit.part("reports/list_part", **_list(session, visit, after))


@router.get("/web/reports/new")
def new_report(visit: Visiting, kind: str = "tasks") -> Response:
    """Show the form for a report of a kind; the filter of a list of tasks comes along in the address."""
    if kind not in KINDS:
        raise NotFound("There is no such kind of report.")
    return _show_new(visit, kind)


@router.post(_ADDRESS)
def request_report(visit: Visiting) -> Response:
    """Ask for a report."""
    kind = visit.form.text("kind")
    if kind not in KINDS:
        raise NotFound("There is no such kind of report.")
    form = visit.form
    try:
        with visit.write() as session:
            reports.request_report(session, visit.user, _order(form, kind, _known(session, visit, ())))
    except TailraceError as error:
        form.refused(error, "email" if isinstance(error, Forbidden) else "")
        return _show_new(visit, kind, form=form, status=error.status)
    return visit.go(_ADDRESS, "The report is being made.")


@router.get("/web/reports/{report_id}/line")
def refresh_line(visit: Visiting, report_id: str) -> Response:
    """Return one report of the list, as it is now."""
    with visit.read() as session:
        report = reports.get_report(session, visit.user, report_id)
        known = _known(session, visit, _named(session, [report]))
        line = _line(session, visit, report, known)
        return visit.part("reports/line_part", line=line, token=visit.forgery_token)


@router.post("/web/reports/{report_id}/cancel")
def cancel_report(visit: Visiting, report_id: str) -> Response:
    """Stop making a report."""
    with visit.write() as session:
        cancel_visible_job(session, visit.user, reports.get_report(session, visit.user, report_id).job)
    return visit.go(_ADDRESS)


@router.post("/web/reports/{report_id}/again")
def repeat_report(visit: Visiting, report_id: str) -> Response:
    """Have a report made that failed, was cancelled or has expired."""
    with visit.write() as session:
        reports.repeat_report(session, visit.user, report_id)
    return visit.go(_ADDRESS, "The report is being made.")


@router.post("/web/reports/{report_id}/delete")
def delete_report(visit: Visiting, report_id: str) -> Response:
    """Remove a report with its file."""
    with visit.write() as session:
        reports.delete_report(session, visit.user, report_id)
    return visit.go(_ADDRESS, "The report is removed.")


def _list(session: Session, visit: Visit, after: str) -> dict[str, Any]:
    query = ReportQuery(after=after if re.fullmatch("[0-9a-f]{32}", after) else "", limit=_SHOWN)
    found = reports.list_reports(session, visit.user, query)
    known = _known(session, visit, _named(session, found.items))
    lines = [_line(session, visit, report, known) for report in found.items]
    return {"lines": lines, "next": found.next, "after": query.after, "token": visit.forgery_token}


def _line(session: Session, visit: Visit, report: ReportView, known: Known) -> Line:
    kind = KINDS.get(report.kind)
    title = kind.title if kind else report.kind
    left = _left(session, visit, report) if report.state is ReportState.RUNNING else ""
    return Line(report, title, report_filters.words(report.filters, known), left)


def _left(session: Session, visit: Visit, report: ReportView) -> str:
    job = visible_job(session, visit.user, report.job)
    if job.state is not State.RUNNING or job.started_at is None:
        return ""
    return remaining(utcnow() - job.started_at, done=report.rows_done, total=report.rows_total)


def _known(session: Session, visit: Visit, people: Iterable[Person]) -> Known:
    found = projects.list_names(session, visit.user)
    zone = visit.zone(session)
    return Known(_by_name(found), _by_name(person for person in people if person.id != visit.user.user_id), zone)


def _by_name(found: Iterable[Person | ProjectRef]) -> list[tuple[str, str]]:
    named = {str(each.id): each.name for each in found}
    return sorted(named.items(), key=lambda pair: pair[1].casefold())


def _named(session: Session, items: Iterable[ReportView]) -> Iterable[Person]:
    """Return the people whom the filters of reports name."""
    filters = [value for item in items for name in _PEOPLE for value in item.filters.get(name, [])]
    return accounts.find_people(session, {value for value in filters if isinstance(value, int)}).values()


def _colleagues(session: Session, visit: Visit) -> Iterable[Person]:
    """Return with whom one works: who may be chosen in a form."""
    return projects.list_colleagues(session, visit.user)


def _order(form: Form, kind: str, known: Known) -> ReportInput:
    model = KINDS[kind].filters
    sent = report_filters.cleaned(form, model, known)
    try:
        filters = sent.read(model).model_dump(mode="json", exclude_defaults=True)
    finally:
        form.faults.update(sent.faults)
    return form.read(ReportInput, kind=kind, filters=filters, email=form.text("email").strip() or None)


def _show_new(visit: Visit, kind: str, *, form: Form | None = None, status: int = 200) -> Response:
    with visit.shell() as (session, shell):
        known = _known(session, visit, _colleagues(session, visit))
        return visit.page(
            "reports/new",
            shell,
            status=status,
            kinds=sorted(KINDS.values(), key=lambda each: each.name != "tasks"),
            kind=KINDS[kind],
            form=form or report_filters.filled(_carried(session, visit, kind), known),
            filters=report_filters.fields(KINDS[kind].filters, known),
            formats=[(each.value, _FORMAT_NAMES[each.value]) for each in KINDS[kind].formats],
        )


def _carried(session: Session, visit: Visit, kind: str) -> dict[str, Any]:
    """Return the filters that the address names: of a project, and for its tasks as the list's own address has them."""
    params = visit.request.query_params
    project = params.get("project", "")
    if not project.isdecimal() or "project" not in KINDS[kind].filters.model_fields:
        return {}
    identifier = projects.get_project(session, visit.user, int(project[:9])).id
    if KINDS[kind].filters is not TaskFilters:
        return {"project": [identifier]}
    query = TaskFilter.of(params.multi_items()).query(identifier, visit.today(session))
    return query.model_dump(mode="json", exclude_defaults=True, include=set(TaskFilters.model_fields))
