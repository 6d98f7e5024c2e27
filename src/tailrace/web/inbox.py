"""The inbox: what concerned one, day by day, and how much of it is unread."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session
from starlette.responses import Response

from tailrace.notifications import inbox
from tailrace.notifications.kinds import Kind
from tailrace.notifications.schemas import ChoiceChange, EntryId, EntryView, InboxQuery, MarkInput
from tailrace.projects import service as projects
from tailrace.web.forms import Form
from tailrace.web.routing import page_router
from tailrace.web.visit import Visit, Visiting
from tailrace.web.wording import plural

router = page_router()
_ADDRESS = "/web/inbox"


@dataclass(frozen=True, slots=True)
class Day:
    """What came on one day, where the person is."""

    day: date
    entries: Sequence[EntryView]


@router.get(_ADDRESS)
def show_inbox(visit: Visiting, unread: bool = False, after: EntryId | None = None, undo: str = "") -> Response:
    """Show the inbox, or what of it is unread; `undo` is the moment at which all was marked as read."""
    query = InboxQuery(unread=unread, after=after)
    if visit.wants_part:
        return _part(visit, query)
    with visit.shell() as (session, shell):
        moment = _moment(undo)
        marked = 0 if moment is None else inbox.count_marked(session, visit.user, moment)
        return visit.page("inbox/show", shell, **_values(session, visit, query), undo=undo, marked=marked)


@router.get(f"{_ADDRESS}/count")
def show_count(visit: Visiting) -> Response:
    """Return how many entries are unread, as the navigation shows it."""
    with visit.read() as session:
        return visit.part("inbox/count", unread=inbox.count_unread(session, visit.user))


# A link rather than a form, so that it opens in a new tab like any other. What it changes is one's own mark, which can
# be taken back.
@router.get(f"{_ADDRESS}/{{entry_id}}")
def open_entry(visit: Visiting, entry_id: EntryId) -> Response:
    """Mark an entry as read, and go to what it tells of."""
    with visit.write() as session:
        path = inbox.open_entry(session, visit.user, entry_id)
    return visit.go(path)


@router.post(f"{_ADDRESS}/read")
def read_all(visit: Visiting) -> Response:
    """Mark all that was shown, and what is older, as read; the page that follows offers to take it back."""
    until = visit.form.read(MarkInput, all=True, until=visit.form.text("until") or None).until
    with visit.write() as session:
        count, moment = inbox.mark_all(session, visit.user, until=until)
    return visit.go(f"{_ADDRESS}?{urlencode({'undo': moment.isoformat()})}" if count else _ADDRESS)


@router.post(f"{_ADDRESS}/undo")
def undo_read_all(visit: Visiting) -> Response:
    """Mark as unread again what was marked all at once."""
    moment = _moment(visit.form.text("moment"))
    with visit.write() as session:
        count = 0 if moment is None else inbox.unmark(session, visit.user, moment)
    return visit.go(_ADDRESS, f"{plural(count, 'entry', 'entries')} unread again.")


@router.post(f"{_ADDRESS}/{{entry_id}}")
def mark_entry(visit: Visiting, entry_id: EntryId) -> Response:
    """Mark an entry as read, or as unread again."""
    form = visit.form
    with visit.write() as session:
        inbox.mark(session, visit.user, [entry_id], read=form.text("read") == "true")
    query = form.read(InboxQuery, after=form.text("after") or None)
    return _part(visit, query) if visit.wants_part else visit.go(_ADDRESS + _address(query))


def settings_of(form: Form) -> list[ChoiceChange]:
    """Return what the table of check boxes in the account says: a box that is not marked is not sent."""
    return [ChoiceChange(kind=kind, inbox=f"{kind}.inbox" in form, mail=f"{kind}.mail" in form) for kind in Kind]


def _part(visit: Visit, query: InboxQuery) -> Response:
    with visit.read() as session:
        return visit.part("inbox/list", **_values(session, visit, query), token=visit.forgery_token)


def _values(session: Session, visit: Visit, query: InboxQuery) -> dict[str, Any]:
    found = inbox.list_entries(session, visit.user, query)
    zone = visit.zone(session)
    names = projects.find_projects(session, {entry.project for entry in found.items if entry.project is not None})
    return {
        "page": found,
        "days": _days(found.items, zone),
        "places": {project_id: project.name for project_id, project in names.items()},
        "query": query,
        "address": _address(query),
        "older": None if found.next is None else _address(query.model_copy(update={"after": found.next})),
        "today": visit.today(session),
    }


def _days(entries: Iterable[EntryView], zone: ZoneInfo) -> list[Day]:
    grouped = groupby(entries, key=lambda entry: entry.created_at.astimezone(zone).date())
    return [Day(day, list(some)) for day, some in grouped]


def _address(query: InboxQuery) -> str:
    chosen = {"unread": "true" if query.unread else "", "after": query.after or ""}
    text = urlencode({name: value for name, value in chosen.items() if value})
    return f"?{text}" if text else ""


def _moment(text: str) -> datetime | None:
    with suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(text)
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    return None
