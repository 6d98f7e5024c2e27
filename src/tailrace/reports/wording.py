"""How reports are spoken of to people: titles, sizes, moments, and why one failed."""

from datetime import datetime
from zoneinfo import ZoneInfo

from tailrace.accounts.schemas import UserView
from tailrace.errors import sentence_of
from tailrace.jobs import State
from tailrace.reports.models import Report
from tailrace.reports.registry import KINDS

_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_KILLED = (
    "Making the report ended its worker process several times, most likely for want of memory. "
    "Narrow the filters, or ask for csv where there is that."
)


def of_report(report: Report, user: UserView) -> dict[str, str]:
    """Return what every mail about a report shows."""
    return {
        "report_id": report.id,
        "title": title(report),
        "format": report.format.upper(),
        "asked_by": user.name or user.email,
        "created_at": moment(report.created_at, user.time_zone),
    }


def title(report: Report) -> str:
    """Return what a report is called."""
    kind = KINDS.get(report.kind)
    return kind.title if kind else report.kind


def amount(report: Report) -> str:
    """Return how much is in a report that is ready, such as `1,024 rows`."""
    return f"{report.rows or 0:,} {unit(report).removesuffix('s' if report.rows == 1 else '')}"


def unit(report: Report) -> str:
    """Return what a report is counted in."""
    kind = KINDS.get(report.kind)
    return kind.unit if kind else "rows"


def moment(value: datetime | None, zone: str) -> str:
    """Return a moment as people in that IANA time zone write it, such as `3 May 2026, 14:05 CEST`."""
    if value is None:
        return "—"
    local = value.astimezone(ZoneInfo(zone))
    return f"{local.day} {local:%B %Y, %H:%M %Z}"


def size(count: int) -> str:
    """Return a number of bytes in the decimal unit that suits it."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 or value >= 10 else f"{value:.1f} {_UNITS[unit]}"


def failure(job_id: str, state: str, error: str) -> str:
    """Return, in sentences a person can act on, why the job that made a report ended in `state` with `error`."""
    if state == State.QUARANTINED:
        return _KILLED
    hidden = f"The report could not be made because of an error in Tailrace; an administrator finds it in job {job_id}."
    return sentence_of(error) or hidden


def trouble(error: str) -> str:
    """Return why a report that is tried again is not made yet, from the last error of its job."""
    return f"{sentence_of(error) or 'Something went wrong.'} It is tried again by itself."
